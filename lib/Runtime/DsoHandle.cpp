//===- DsoHandle.cpp - What a compiler's start files would bring ----------===//
//
//   static object made ──▶ its destructor registered under __dso_handle
//   library unloaded   ──▶ what stands under __dso_handle is called
//
// An artifact is linked without crtbegin.o, which does both; without the second
// the process would jump into the unloaded library when it ends. Weak, and
// harmless when done twice, for links that do have crtbegin.o.
//
// The C++ library also holds 72 KB in reserve for exceptions thrown when no
// memory is left; a process that loads and unloads models would lose them each
// time.
//
//===----------------------------------------------------------------------===//

extern "C" {
__attribute__((visibility("hidden"), weak)) void *__dso_handle = &__dso_handle;
void __cxa_finalize(void *);
}

namespace __gnu_cxx {
__attribute__((weak)) void __freeres(); // of libstdc++ alone
} // namespace __gnu_cxx

__attribute__((destructor)) static void finalize() {
  __cxa_finalize(&__dso_handle);
  if (__gnu_cxx::__freeres)
    __gnu_cxx::__freeres();
}
