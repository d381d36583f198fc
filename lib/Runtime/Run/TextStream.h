//===- TextStream.h - Bytes of tokens as whole characters -----------------===//
//
//   tokens give   61   e2 82   ac      ff
//   it passes on  a            "€"     U+FFFD
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_TEXTSTREAM_H
#define QTALE_LIB_RUNTIME_RUN_TEXTSTREAM_H

#include <string>

namespace qtale::run {

class TextStream {
public:
  /// Takes bytes; gives all characters that are whole by now. Bytes that can't
  /// become one are U+FFFD, one for each longest begin of a character, as
  /// Unicode recommends.
  std::string push(const std::string &bytes);

  /// The end: what is still incomplete is U+FFFD.
  std::string finish();

private:
  std::string pending;
};

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_TEXTSTREAM_H
