//===- TokenizerView.cpp - Reading the flat tables, checked ---------------===//
//
//   hash & (size - 1)  ->  slot, slot + 1, ... until it fits or is empty
//
// Both hash tables are at most half full when the compiler writes them, so a
// look-up touches one or two slots. A probe ends after a full turn, in case
// damage has filled the table.
//
//===----------------------------------------------------------------------===//

#include "TokenizerView.h"
#include "Error.h"

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

static bool isPowerOfTwo(uint32_t value) {
  return value && !(value & (value - 1));
}

int32_t TokenizerView::open(const uint8_t *tables, uint64_t bytes,
                            qtale_error *error) {
  if (!tables)
    return fail(error, QTALE_UNSUPPORTED,
                "this model has no tokenizer: give ids instead of text, or "
                "compile it with --tokenizer=tokenizer.json");
  auto corrupt = [&](const char *what) {
    return fail(error, QTALE_CORRUPT, "the tokenizer tables are damaged: %s",
                what);
  };
  if (bytes < sizeof(Header))
    return corrupt("they are too short");
  std::memcpy(&head, tables, sizeof(Header));
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0)
    return corrupt("the signature is missing");
  if (head.version != kVersion)
    return corrupt("they have another version than the runtime");
  if (head.bytes > bytes)
    return corrupt("they are cut off");

  struct {
    Section section;
    uint64_t size;
  } sections[] = {
      {head.pieces, sizeof(Piece)},
      {head.pieceHash, sizeof(uint32_t)},
      {head.mergeHash, sizeof(Merge)},
      {head.byteIds, sizeof(uint32_t)},
      {head.rawAdded, sizeof(Added)},
      {head.normAdded, sizeof(Added)},
      {head.normalize, sizeof(Step)},
      {head.split, sizeof(Step)},
      {head.decode, sizeof(Step)},
      {head.patterns, sizeof(Pattern)},
      {head.maps, sizeof(Section)},
      {head.combining, sizeof(CombiningRange)},
      {head.compositions, sizeof(Composition)},
  };
  for (auto [section, size] : sections)
    if (!holds(section, size))
      return corrupt("a section reaches beyond the end");
  if (!isPowerOfTwo(head.pieceHash.count) ||
      !isPowerOfTwo(head.mergeHash.count))
    return corrupt("the size of a hash table is no power of two");
  if (head.byteIds.count != 256)
    return corrupt("there must be 256 byte tokens");
  if (head.pieces.count > kMaxIds)
    return corrupt("there are too many pieces");
  data = tables;
  return QTALE_OK;
}

std::string_view TokenizerView::text(Text range) const {
  if (uint64_t(range.offset) + range.length > head.bytes)
    return {};
  return {reinterpret_cast<const char *>(data) + range.offset, range.length};
}

uint32_t TokenizerView::findPiece(std::string_view piece) const {
  uint32_t mask = head.pieceHash.count - 1;
  uint32_t slot = hashPiece(piece.data(), piece.size()) & mask;
  for (uint32_t turn = 0; turn <= mask; ++turn, slot = (slot + 1) & mask) {
    uint32_t id = at<uint32_t>(head.pieceHash, slot);
    if (id >= head.pieces.count)
      return kNone;
    if (text(at<Piece>(head.pieces, id).text) == piece)
      return id;
  }
  return kNone;
}

Merge TokenizerView::findMerge(uint32_t left, uint32_t right) const {
  uint32_t mask = head.mergeHash.count - 1;
  uint32_t slot = hashPair(left, right) & mask;
  for (uint32_t turn = 0; turn <= mask; ++turn, slot = (slot + 1) & mask) {
    Merge merge = at<Merge>(head.mergeHash, slot);
    if (merge.result >= head.pieces.count)
      break;
    if (merge.left == left && merge.right == right)
      return merge;
  }
  return {left, right, kNone, kNone};
}
