# Debian's packages: only those that are missing, so that nothing is asked of
# the network, nor of root, when all are there.
# shellcheck shell=bash disable=SC2154 # variables are those of utils/setup

wanted_packages() {
  printf '%s\n' ccache libc6-dev libgtest-dev libprotobuf-dev \
    libstdc++-12-dev ninja-build protobuf-compiler
  # ld.lld links artifacts, llvm-objcopy prelinks the runtime.
  printf '%s\n' lld-22 llvm-22 clang-format-22
  # --target=aarch64-linux-gnu: its C and C++ libraries, and what runs programs
  # of that machine for the tests. An AArch64 machine has all this as its own.
  if [[ $(uname -m) != aarch64 ]]; then
    printf '%s\n' libc6-dev-arm64-cross libstdc++-12-dev-arm64-cross \
      qemu-user-static
  fi
  if [[ $mlir == "$debian_mlir" ]]; then
    printf '%s\n' libmlir-22-dev llvm-22-dev llvm-22-tools mlir-22-tools
  fi
  # Fuzz targets and sanitizers need the compiler's own runtime libraries.
  if [[ $cc == clang-22 || $cxx == clang++-22 ]]; then
    printf '%s\n' clang-22 libclang-rt-22-dev
  fi
  # A Python from elsewhere, as pyenv's, brings venv with it.
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    printf '%s\n' python3 python3-venv
  fi
}

install_packages() {
  local run=(env DEBIAN_FRONTEND=noninteractive)
  if ((EUID)); then run=(sudo -n "${run[@]}"); fi
  "${run[@]}" apt-get update
  "${run[@]}" apt-get install -y --no-install-recommends "$@"
}

ensure_packages() {
  local missing
  if ! command -v dpkg-query >/dev/null; then
    check_tools
    return
  fi
  mapfile -t missing < <(comm -23 <(wanted_packages | sort -u) <(
    dpkg-query -W -f='${Package} ${db:Status-Status}\n' 2>/dev/null |
      sed -n 's/ installed$//p' | sort -u))
  if ((${#missing[@]} == 0)); then return; fi
  local command="apt-get install ${missing[*]}"
  if ((EUID)) && ! { command -v sudo && sudo -n true; } &>/dev/null; then
    fail "packages are missing, and installing them needs root" \
      "as root: apt-get update && $command"
  fi
  explain "  $command"
  step "Debian packages" \
    "LLVM 22 is among bookworm's security updates; elsewhere give MLIR_DIR, CC and CXX (README, Other systems)" \
    install_packages "${missing[@]}"
}

# Without Debian's package manager: what must be there, by name.
check_tools() {
  local tool absent=()
  for tool in "$cc" "$cxx" ninja protoc "$python"; do
    if ! command -v "$tool" >/dev/null; then absent+=("$tool"); fi
  done
  if [[ ! -f $mlir/MLIRConfig.cmake ]]; then absent+=("MLIR 22 ($mlir)"); fi
  if ((${#absent[@]})); then
    fail "not found: $(printf '%s, ' "${absent[@]}" | sed 's/, $//')" \
      "this is no Debian: install them, and name them in CC, CXX, MLIR_DIR, PYTHON (README, Other systems)"
  fi
}
