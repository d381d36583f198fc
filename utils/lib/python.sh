# .venv: the packages of utils/requirements.txt, and qtale itself, editable.
# shellcheck shell=bash disable=SC2154 # variables are those of utils/setup

modern='import sys; sys.exit(sys.version_info < (3, 11))'

# A checkout that was moved, or a Python that was removed, leaves a broken one:
# scripts in it name their Python by its absolute path.
venv_works() {
  [[ -f .venv/bin/pip && $(head -n 1 .venv/bin/pip) == "#!$root/.venv/"* ]] &&
    .venv/bin/python -c "$modern" 2>/dev/null
}

install_requirements() {
  if ! venv_works; then
    rm -rf .venv
    "$python" -m venv .venv
  fi
  .venv/bin/python -m pip install --disable-pip-version-check \
    -r utils/requirements.txt
}

install_qtale() {
  .venv/bin/python -m pip install --disable-pip-version-check \
    --no-build-isolation --no-deps -e .
}

ensure_python() {
  local key stamp=.venv/qtale-requirements
  key=$(hash_of utils/requirements.txt)
  if ! venv_works || ! is_fresh $stamp "$key"; then
    if ! "$python" -c "$modern" 2>/dev/null; then
      fail "$python is not a Python of 3.11 or later: $("$python" -V 2>&1 | tail -n 1)" \
        "name one in PYTHON"
    fi
    # Within an active .venv, python3 would be the one that is replaced.
    python=$("$python" -c 'import sys; print(sys.base_prefix)')/bin/python3
    step "Python packages" \
      "is the package index reachable? pip's own settings apply" \
      install_requirements
    printf '%s\n' "$key" >$stamp
  fi
  stamp=.venv/qtale-itself
  key=$(hash_of pyproject.toml)
  if ! is_fresh $stamp "$key"; then
    step "Python package qtale" "the log says what pip wants" install_qtale
    printf '%s\n' "$key" >$stamp
  fi
}
