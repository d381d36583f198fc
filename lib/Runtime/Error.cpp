//===- Error.cpp - A code and a sentence for the caller -------------------===//

#include "Error.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

int32_t qtale::rt::fail(qtale_error *error, int32_t code, const char *format,
                        ...) {
  if (!error)
    return code;
  error->code = code;
  constexpr size_t capacity = sizeof(error->message);
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(error->message, capacity, format, arguments);
  va_end(arguments);
  if (written < 0 || static_cast<size_t>(written) < capacity)
    return code;

  // Cut: drop a character whose bytes did not all fit. Its first byte says how
  // many there should be.
  size_t end = capacity - 1, first = end;
  while (first > 0 && (error->message[first - 1] & 0xC0) == 0x80)
    --first;
  if (first > 0) {
    unsigned char lead = error->message[first - 1];
    size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (first - 1 + bytes > end)
      error->message[first - 1] = 0;
  }
  return code;
}
