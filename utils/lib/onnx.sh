# ONNX's C++ library, built once for all checkouts from its source distribution.
#
#   pip download ─ sha256 ─▶ build in a temporary folder ─▶ install ─▶ rename
#
# A prefix that exists is therefore a finished one. Its name holds what its ABI
# depends on.
# shellcheck shell=bash disable=SC2154 # variables are those of utils/setup

onnx_version=1.23.2
onnx_sha256=008cb0467b2bbee41448acc7da8b6f4e704624cb0d327a2d5adafc7ce19bc5b8

build_onnx() {
  local work=$1
  # shellcheck disable=SC2064 # $work is a local: expanded now
  trap "rm -rf '$work'" EXIT
  .venv/bin/python -m pip download --disable-pip-version-check --no-deps \
    --no-build-isolation --no-binary onnx --dest "$work" onnx==$onnx_version
  local archive=$work/onnx-$onnx_version.tar.gz
  sha256sum -c <<<"$onnx_sha256  $archive"
  tar -xzf "$archive" -C "$work"
  local launcher=()
  if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  # Paths below $work: the cache hits although its name is new each time.
  export CCACHE_BASEDIR=$work
  .venv/bin/cmake -G Ninja -S "$work/onnx-$onnx_version" -B "$work/build" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" "${launcher[@]}" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_STANDARD=17 \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    -DPython3_EXECUTABLE="$root/.venv/bin/python" \
    -DONNX_USE_PROTOBUF_SHARED_LIBS=ON -DONNX_GEN_PB_TYPE_STUBS=OFF
  .venv/bin/cmake --build "$work/build" --target install
  # Another checkout may have been faster; its result is as good.
  mv -T "$work/prefix" "$onnx_prefix" || [[ -d $onnx_prefix ]]
}

ensure_onnx() {
  onnx_prefix=$cache/onnx-$onnx_version-$(uname -m)-protobuf$(protoc --version | sed 's/.* //')
  if [[ -d $onnx_prefix ]]; then return; fi
  mkdir -p "$cache" || fail "$cache: can't be made" "name another folder in QTALE_CACHE"
  local work
  work=$(mktemp -d "$cache/onnx-build.XXXXXX") ||
    fail "$cache: can't be written to" "name another folder in QTALE_CACHE"
  step "ONNX $onnx_version, C++ library (once, some minutes)" \
    "the source comes from the package index; the build needs protobuf's headers and protoc" \
    build_onnx "$work"
}
