# Builds that watch themselves: -DQTALE_SANITIZE=…
#
#   address  AddressSanitizer, LeakSanitizer, UBSan     utils/check --asan
#   thread   ThreadSanitizer                            utils/check --tsan
#   fuzzer   address, and coverage for libFuzzer        utils/fuzz
#
# Only our own code is compiled so; MLIR, LLVM, ONNX and protobuf stay what they
# are. How the sanitizers are told so: utils/lib/sanitizers.py.
set(QTALE_SANITIZE "" CACHE STRING "Sanitizers: address, thread, fuzzer or none")

if(QTALE_SANITIZE STREQUAL thread)
  set(flags -fsanitize=thread)
elseif(QTALE_SANITIZE MATCHES "^(address|fuzzer)$")
  # Of a virtual call UBSan asks for RTTI, which LLVM has not; of a call by
  # pointer, that the callee, maybe MLIR's, was compiled so, too.
  set(flags -fsanitize=address,undefined -fno-sanitize=vptr,function
            -fno-sanitize-recover=all)
  if(QTALE_SANITIZE STREQUAL fuzzer)
    list(APPEND flags -fsanitize=fuzzer-no-link)
  endif()
elseif(QTALE_SANITIZE)
  message(FATAL_ERROR "QTALE_SANITIZE is address, thread or fuzzer, but is "
                      "'${QTALE_SANITIZE}'")
endif()

if(QTALE_SANITIZE)
  # Lines in stack traces; what is optimised more is seen less, and built later.
  list(APPEND flags -fno-omit-frame-pointer -gline-tables-only)
  list(JOIN flags " " flags)
  string(APPEND CMAKE_C_FLAGS " ${flags}")
  string(APPEND CMAKE_CXX_FLAGS " ${flags}")
  set(CMAKE_C_FLAGS_RELEASE "-O1")
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")
endif()
