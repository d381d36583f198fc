//===- Error.h - A code and a sentence for the caller ---------------------===//
//
// Every failure is one call: `return fail(error, QTALE_LIMIT, "... %d", n);`
// The message says what was found, what was expected, and the remedy.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_ERROR_H
#define QTALE_LIB_RUNTIME_ERROR_H

#include "qtale/Runtime/qtale.h"

namespace qtale::rt {

/// Fills `error` (which may be null; longer messages are cut at a whole UTF-8
/// character) and returns `code`.
[[gnu::format(printf, 3, 4)]] int32_t fail(qtale_error *error, int32_t code,
                                           const char *format, ...);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_ERROR_H
