//===- TokenizerView.h - Reading the flat tables, checked -----------------===//
//
//   open() checks that every section lies within the bytes; then elements are
//   read by index, strings and ids are checked where they are used.
//
// A string that would reach beyond the tables reads as empty, an id without a
// piece as "none": damage can't lead outside, and costs no pass over 128k
// pieces for each call.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_TOKENIZERVIEW_H
#define QTALE_LIB_RUNTIME_TOKENIZERVIEW_H

#include "qtale/Runtime/TokenizerTables.h"
#include "qtale/Runtime/qtale.h"
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace qtale::rt {

class TokenizerView {
public:
  /// Null tables are QTALE_UNSUPPORTED: the model has no tokenizer.
  int32_t open(const uint8_t *tables, uint64_t bytes, qtale_error *error);

  const tokenizer::Header &header() const { return head; }
  bool has(tokenizer::Flags flag) const { return head.flags & flag; }

  /// Element `index` of a section; the caller stays below its count.
  template <typename T> T at(tokenizer::Section section, uint32_t index) const {
    T element;
    std::memcpy(&element, data + section.offset + uint64_t(index) * sizeof(T),
                sizeof(T));
    return element;
  }

  std::string_view text(tokenizer::Text range) const;

  /// Whether all of a section lies within the tables. open() has asked for
  /// those of the header; those that elements hold are asked for at use.
  bool holds(tokenizer::Section section, uint64_t size) const {
    return section.offset + section.count * size <= head.bytes;
  }

  /// The id of a piece of the model's vocabulary, or kNone.
  uint32_t findPiece(std::string_view piece) const;

  /// What a pair of ids becomes; its result is kNone where they don't merge.
  tokenizer::Merge findMerge(uint32_t left, uint32_t right) const;

private:
  const uint8_t *data = nullptr;
  tokenizer::Header head;
};

/// Replaces every `from` by `to`, from the left; an empty `from` none.
void replaceAll(std::string &text, std::string_view from, std::string_view to);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_TOKENIZERVIEW_H
