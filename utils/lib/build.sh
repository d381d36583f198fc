# Configures when the arguments are new, and builds; ninja sees the rest.
# shellcheck shell=bash disable=SC2154 # variables are those of utils/setup

configure() {
  # What another compiler or MLIR had found must not stay in the cache.
  rm -f "$build/CMakeCache.txt" "$build/qtale-configured"
  .venv/bin/cmake "${configure_arguments[@]}"
}

ensure_build() {
  configure_arguments=(-G Ninja -S . -B "$build" -DQTALE_SANITIZE="$sanitize"
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx"
    -DMLIR_DIR="$mlir" -DCMAKE_PREFIX_PATH="$onnx_prefix")
  if command -v ccache >/dev/null; then
    configure_arguments+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache
      -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  if [[ $cxx == *clang* ]]; then
    configure_arguments+=(-DCMAKE_LINKER_TYPE=LLD)
  fi
  # CMake looks for the C++ library of other targets: by now it may be there.
  local key cross
  cross=$("$cxx" --target=aarch64-linux-gnu -print-file-name=libstdc++.a 2>&1 || true)
  key="$root $(.venv/bin/cmake --version | head -n 1) ${configure_arguments[*]} $cross"
  if [[ ! -f $build/build.ninja ]] || ! is_fresh "$build/qtale-configured" "$key"; then
    step "Configuring" "MLIR_DIR must hold MLIRConfig.cmake of LLVM 22; it is $mlir" configure
    printf '%s\n' "$key" >"$build/qtale-configured"
  fi
  local chosen=()
  if ((${#targets[@]})); then chosen=(--target "${targets[@]}"); fi
  step "Building${sanitize:+ for sanitizers ($sanitize)}" "fix what the log shows; utils/setup goes on where it stopped" \
    .venv/bin/cmake --build "$build" "${chosen[@]}"
}
