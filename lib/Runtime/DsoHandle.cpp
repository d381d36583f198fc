//===- DsoHandle.cpp - What a compiler's start files would bring ----------===//
//
// An artifact is linked without crtbegin.o, whose one use here is this symbol:
// destructors of static objects are registered under its address, so that they
// run when this library is unloaded. Weak, for links that have crtbegin.o.
//
//===----------------------------------------------------------------------===//

extern "C" __attribute__((visibility("hidden"), weak)) void *__dso_handle =
    &__dso_handle;
