//===- LLVMStatistics.h - LLVM's counters, as LLVM was compiled -----------===//
//
// llvm::Statistic is one class where NDEBUG is defined and another where it is
// not. Debian's libraries, whose constructor makes our passes' counters, were
// compiled with it, our code is not: it would read what nobody wrote. Included
// before all else.
//
//===----------------------------------------------------------------------===//

#if defined(__cplusplus) && !defined(NDEBUG) &&                                \
    __has_include("llvm/ADT/Statistic.h")
#define NDEBUG
#include "llvm/ADT/Statistic.h"
#undef NDEBUG
#include <cassert>
#endif
