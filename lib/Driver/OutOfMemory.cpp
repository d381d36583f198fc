//===- OutOfMemory.cpp - What ends a compile that gets no memory ----------===//
//
//   operator new, LLVM's containers, malloc ──▶ message ─ remove outputs ─ exit 1
//
// LLVM is built without exceptions: a failed allocation can't be unwound, and
// would abort. So the program ends where it is, by the way of Ctrl-C: nothing
// half-written stays. No memory is asked for on this way.
//
//===----------------------------------------------------------------------===//

#include "OutOfMemory.h"

#include "llvm/Support/Compiler.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/Signals.h"
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <unistd.h>

/// Whether a failed allocation ends the program.
static std::atomic<bool> armed{false};

static void say(const char *text) {
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, text, strlen(text));
}

[[noreturn]] static void end(const char *what) {
  armed = false;
  say("qtale-compile: error: ");
  say(what);
  say("\n");
  llvm::sys::RunInterruptHandlers();
  _exit(1);
}

[[noreturn]] static void endOutOfMemory() {
  end("out of memory; give it more (see 'ulimit -v'), or compile for one level "
      "of --cpu at a time");
}

// MLIR writes to what malloc returns without a look at it, so malloc is ours:
// the C library's own, which never returns null. Sanitizers bring theirs.
#if defined(__GLIBC__) && !__has_feature(address_sanitizer) &&                 \
    !__has_feature(thread_sanitizer) && !__has_feature(memory_sanitizer)
extern "C" void *__libc_malloc(size_t size);

extern "C" LLVM_ATTRIBUTE_VISIBILITY_DEFAULT void *malloc(size_t size) {
  void *memory = __libc_malloc(size);
  if (!memory && armed)
    endOutOfMemory();
  return memory;
}

// Constructors of libraries ask for memory before main; this runs before them.
[[gnu::section(".preinit_array"),
  gnu::used]] static void (*const beforeConstructors)() =
    qtale::endCleanlyOutOfMemory;
#endif

void qtale::endCleanlyOutOfMemory() {
  if (armed.exchange(true))
    return;
  std::set_new_handler(endOutOfMemory);
  llvm::install_bad_alloc_error_handler(
      [](void *, const char *, bool) { endOutOfMemory(); });
  llvm::install_fatal_error_handler(
      [](void *, const char *reason, bool) { end(reason); });
  std::set_terminate([] {
    try {
      if (std::exception_ptr current = std::current_exception())
        std::rethrow_exception(current);
    } catch (const std::system_error &error) {
      end(error.what()); // a thread, usually
    } catch (...) {
    }
    std::abort();
  });
}
