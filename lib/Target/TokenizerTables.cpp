//===- TokenizerTables.cpp - A tokenizer's flat bytes ---------------------===//
//
//   sections are appended one after the other, strings go to a pool whose
//   place is known once all sections are; the header is written last.
//
// The same description gives the same bytes: hash tables are filled in the
// order of ids and ranks, never in that of a StringMap.
//
//===----------------------------------------------------------------------===//

#include "TokenizerDescription.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

namespace {
class Writer {
public:
  explicit Writer(const TokenizerDescription &from) : from(from) {}
  std::vector<uint8_t> write();

private:
  /// A string of the pool; its offset becomes final in finish().
  tokenizer::Text text(StringRef string) {
    tokenizer::Text range{static_cast<uint32_t>(pool.size()),
                          static_cast<uint32_t>(string.size())};
    pool.append(string.begin(), string.end());
    return range;
  }
  std::vector<Added> added(ArrayRef<TokenizerDescription::Added> tokens);
  std::vector<Step> steps(ArrayRef<TokenizerDescription::Step> list);
  std::vector<uint32_t> pieceHash() const;
  std::vector<Merge> mergeHash() const;
  std::vector<uint32_t> byteIds() const;

  template <typename T> Section section(ArrayRef<T> elements) {
    Section place{static_cast<uint32_t>(bytes.size()),
                  static_cast<uint32_t>(elements.size())};
    auto *begin = reinterpret_cast<const uint8_t *>(elements.data());
    bytes.insert(bytes.end(), begin, begin + elements.size() * sizeof(T));
    return place;
  }

  const TokenizerDescription &from;
  std::vector<uint8_t> bytes;
  std::string pool;
};
} // namespace

/// By first byte, then longest first, so that the first match is the right one.
std::vector<Added> Writer::added(ArrayRef<TokenizerDescription::Added> tokens) {
  std::vector<TokenizerDescription::Added> sorted(tokens);
  llvm::sort(sorted, [](const auto &a, const auto &b) {
    uint8_t left = a.text[0], right = b.text[0];
    return std::make_tuple(left, b.text.size(), StringRef(a.text), a.id) <
           std::make_tuple(right, a.text.size(), StringRef(b.text), b.id);
  });
  std::vector<Added> result;
  for (const TokenizerDescription::Added &token : sorted)
    result.push_back({text(token.text), token.id, token.flags});
  return result;
}

std::vector<Step> Writer::steps(ArrayRef<TokenizerDescription::Step> list) {
  std::vector<Step> result;
  for (const TokenizerDescription::Step &step : list)
    result.push_back({step.kind, text(step.from), text(step.to)});
  return result;
}

/// At most half full: probes stay short.
static uint32_t slotsFor(size_t entries) {
  return static_cast<uint32_t>(PowerOf2Ceil(std::max<size_t>(2 * entries, 1)));
}

std::vector<uint32_t> Writer::pieceHash() const {
  std::vector<uint32_t> slots(slotsFor(from.vocabulary.size()), kNone);
  for (uint32_t id = 0; id < from.pieces.size(); ++id) {
    // Tokens that were only added are no pieces of the model.
    if (!from.pieces[id] || !from.vocabulary.contains(from.pieces[id]->text))
      continue;
    const std::string &piece = from.pieces[id]->text;
    uint32_t slot = hashPiece(piece.data(), piece.size()) % slots.size();
    while (slots[slot] != kNone)
      slot = (slot + 1) % slots.size();
    slots[slot] = id;
  }
  return slots;
}

std::vector<Merge> Writer::mergeHash() const {
  std::vector<Merge> slots(slotsFor(from.merges.size()),
                           {kNone, kNone, kNone, kNone});
  for (const Merge &merge : from.merges) {
    uint32_t slot = hashPair(merge.left, merge.right) % slots.size();
    while (slots[slot].result != kNone)
      slot = (slot + 1) % slots.size();
    slots[slot] = merge;
  }
  return slots;
}

std::vector<uint32_t> Writer::byteIds() const {
  std::vector<uint32_t> ids(256, kNone);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string name;
    raw_string_ostream(name) << format("<0x%02X>", byte);
    auto found = from.vocabulary.find(name);
    if (found != from.vocabulary.end())
      ids[byte] = found->second;
  }
  return ids;
}

std::vector<uint8_t> Writer::write() {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.flags = from.flags;
  header.unk = from.unk;
  header.bos = from.bos;
  header.marker = text(from.marker);

  std::vector<Piece> pieces;
  for (const std::optional<TokenizerDescription::Piece> &piece : from.pieces)
    pieces.push_back(piece ? Piece{text(piece->text),
                                   piece->special ? uint32_t(kSpecial) : 0}
                           : Piece{{kNone, 0}, 0});
  std::vector<Added> raw = added(from.rawAdded), norm = added(from.normAdded);
  std::vector<Step> normalize = steps(from.normalize);
  std::vector<Step> decode = steps(from.decode);
  std::vector<uint32_t> hash = pieceHash(), byteTokens = byteIds();
  std::vector<Merge> merges = mergeHash();

  // Now that no string is to come, the pool's place is known.
  uint32_t base = sizeof(Header) + pieces.size() * sizeof(Piece) +
                  (raw.size() + norm.size()) * sizeof(Added) +
                  (normalize.size() + decode.size()) * sizeof(Step) +
                  (hash.size() + byteTokens.size()) * sizeof(uint32_t) +
                  merges.size() * sizeof(Merge);
  auto place = [&](tokenizer::Text &range) {
    if (range.offset != kNone)
      range.offset += base;
  };
  place(header.marker);
  for (Piece &piece : pieces)
    place(piece.text);
  for (std::vector<Added> *list : {&raw, &norm})
    for (Added &token : *list)
      place(token.text);
  for (std::vector<Step> *list : {&normalize, &decode})
    for (Step &step : *list) {
      place(step.from);
      place(step.to);
    }

  bytes.resize(sizeof(Header));
  header.pieces = section<Piece>(pieces);
  header.pieceHash = section<uint32_t>(hash);
  header.mergeHash = section<Merge>(merges);
  header.byteIds = section<uint32_t>(byteTokens);
  header.rawAdded = section<Added>(raw);
  header.normAdded = section<Added>(norm);
  header.normalize = section<Step>(normalize);
  header.decode = section<Step>(decode);
  bytes.insert(bytes.end(), pool.begin(), pool.end());
  header.bytes = static_cast<uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &header, sizeof(Header));
  return std::move(bytes);
}

std::vector<uint8_t> qtale::writeTables(const TokenizerDescription &from) {
  return Writer(from).write();
}
