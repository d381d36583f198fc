# What the scripts in utils/ share: how they speak, and how a step runs.
#
#   step NAME REMEDY COMMAND…   ── ok ──▶  one line, with the seconds it took
#                               └─ no ──▶  the step, the end of its log, where
#                                          the log lies, and what to do
#
# Everything is said on stderr: stdout belongs to what a user asked for.
# Sourced with $root set.
# shellcheck shell=bash disable=SC2154 # variables are those of utils/setup

logs=$root/build/logs

if [[ -t 2 ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' red='' plain=''
fi

say() { printf '%s%s%s\n' "$bold" "$*" "$plain" >&2; }
explain() { printf '%s%s%s\n' "$dim" "$*" "$plain" >&2; }

# fail MESSAGE [REMEDY]
fail() {
  printf '%serror:%s %s\n' "$red" "$plain" "$1" >&2
  if [[ $# -gt 1 ]]; then printf '       %s\n' "${@:2}" >&2; fi
  exit 1
}

# Shows that something long goes on: seconds on a terminal, a sign of life
# every half minute elsewhere. Passes what it reads on to the log.
watch_log() { # NAME LOG
  local name=$1 log=$2 line='' rest='' said=0 progress='' shown
  while true; do
    if IFS= read -r -t 1 line; then
      printf '%s%s\n' "$rest" "$line" >>"$log"
      rest=''
      # Ninja's "[12/345] …" tells how far it is; at 0 it only looks around.
      if [[ $line =~ ^\[([1-9][0-9]*/[0-9]+)\] ]]; then
        progress=" ${BASH_REMATCH[1]}"
      fi
    elif (($? > 128)); then
      rest+=$line # the second is over, the line is not
    else
      printf '%s' "$rest$line" >>"$log"
      break
    fi
    shown=$((SECONDS - began))
    if [[ -t 2 ]]; then
      printf '\r%s …%s %d s\e[K' "$name" "$progress" "$shown" >&2
    elif ((shown - said >= 30)); then
      printf '  %s …%s %d s\n' "$name" "$progress" "$shown" >&2
      said=$shown
    fi
  done
  if [[ -t 2 ]]; then printf '\r\e[K' >&2; fi
}

step() { # NAME REMEDY COMMAND…
  local name=$1 remedy=$2 began=$SECONDS code
  local log=$logs/${name//[^a-zA-Z0-9]/-}.log
  shift 2
  mkdir -p "$logs"
  : >"$log"
  # (Not within a condition: there a function's own errors would not end it.)
  set +e
  (
    set -e
    "$@"
  ) 2>&1 </dev/null | watch_log "$name" "$log"
  code=${PIPESTATUS[0]}
  set -e
  if ((code)); then
    tail -n 25 "$log" | sed 's/^/  | /' >&2
    fail "$name: failed (exit code $code)" "the whole log: $log" "$remedy"
  fi
  # A build with nothing to do is nothing to talk about.
  if ! grep -qx 'ninja: no work to do.' "$log"; then
    say "$name: done in $((SECONDS - began)) s"
  fi
}

# A stamp holds what a finished step was made from; when that is unchanged, so is
# what it made.
is_fresh() { [[ -f $1 && $(<"$1") == "$2" ]]; } # STAMP KEY
hash_of() { cat -- "$@" | sha256sum | cut -c1-16; }
