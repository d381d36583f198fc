//===- TokenizerTables.cpp - A tokenizer's flat bytes ---------------------===//
//
//   | header | strings | sections |
//
// Strings come first, so that their places are known while sections are made;
// the header is written last.
//
// The same description gives the same bytes: hash tables are filled in the
// order of ids and ranks, never in that of a StringMap.
//
//===----------------------------------------------------------------------===//

#include "../Runtime/Utf8.h"
#include "TokenizerDescription.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>
#include <map>

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

namespace {
class Writer {
public:
  explicit Writer(const TokenizerDescription &from) : from(from) {}
  std::vector<uint8_t> write();

private:
  /// A string of the pool, which lies behind the header.
  tokenizer::Text text(StringRef string) {
    tokenizer::Text range{static_cast<uint32_t>(sizeof(Header) + pool.size()),
                          static_cast<uint32_t>(string.size())};
    pool.append(string.begin(), string.end());
    return range;
  }
  std::vector<Added> added(ArrayRef<TokenizerDescription::Added> tokens);
  std::vector<Step> steps(ArrayRef<TokenizerDescription::Step> list);
  std::vector<uint32_t> pieceHash() const;
  std::vector<Merge> mergeHash() const;
  std::vector<uint32_t> byteIds() const;
  std::vector<Pattern> patterns();
  std::vector<Section> maps(ArrayRef<std::vector<Mapping>> mappings);

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

/// By their bytes, so that those that go on alike lie together.
std::vector<Added> Writer::added(ArrayRef<TokenizerDescription::Added> tokens) {
  std::vector<TokenizerDescription::Added> sorted(tokens);
  llvm::sort(sorted, [](const auto &a, const auto &b) {
    return std::make_pair(StringRef(a.text), a.id) <
           std::make_pair(StringRef(b.text), b.id);
  });
  std::vector<Added> result;
  for (const TokenizerDescription::Added &token : sorted)
    result.push_back({text(token.text), token.id, token.flags});
  return result;
}

std::vector<Step> Writer::steps(ArrayRef<TokenizerDescription::Step> list) {
  std::vector<Step> result;
  for (const TokenizerDescription::Step &step : list)
    result.push_back(
        {step.kind, step.flags, step.index, text(step.from), text(step.to)});
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
    if (!from.pieces[id] || !from.pieces[id]->model)
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

/// The 256 characters that byte-level vocabularies spell bytes with: printable
/// ones of Latin 1 are themselves, the others count from U+0100 on.
static uint32_t byteLevelCharacter(unsigned byte) {
  auto printable = [](unsigned value) {
    return (value > 0x20 && value < 0x7f) || (value > 0xa0 && value != 0xad);
  };
  if (printable(byte))
    return byte;
  uint32_t character = 0x100;
  for (unsigned below = 0; below < byte; ++below)
    character += !printable(below);
  return character;
}

std::optional<std::string> qtale::decodeByteLevel(StringRef piece) {
  static const std::map<uint32_t, char> bytes = [] {
    std::map<uint32_t, char> result;
    for (unsigned byte = 0; byte < 256; ++byte)
      result[byteLevelCharacter(byte)] = static_cast<char>(byte);
    return result;
  }();
  std::string result;
  std::string_view rest(piece.data(), piece.size());
  while (!rest.empty()) {
    rt::Character next = rt::decodeCharacter(rest);
    auto byte = bytes.find(next.point);
    if (byte == bytes.end())
      return std::nullopt;
    result += byte->second;
    rest.remove_prefix(next.length);
  }
  return result;
}

std::vector<uint32_t> Writer::byteIds() const {
  std::vector<uint32_t> ids(256, kNone);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string name;
    if (from.flags & kByteLevel)
      rt::appendCharacter(name, byteLevelCharacter(byte));
    else
      raw_string_ostream(name) << format("<0x%02X>", byte);
    auto found = from.vocabulary.find(name);
    if (found != from.vocabulary.end())
      ids[byte] = found->second;
  }
  return ids;
}

std::vector<Pattern> Writer::patterns() {
  std::vector<Pattern> result;
  for (const RegexAutomaton &automaton : from.patterns) {
    std::vector<ClassRange> ranges;
    std::vector<uint8_t> ascii;
    for (auto [first, klass] : automaton.ranges) {
      if (first < 128)
        ascii.resize(first, ascii.empty() ? 0 : ascii.back());
      if (first < 128)
        ascii.push_back(klass);
      ranges.push_back({first, klass});
    }
    ascii.resize(128, ascii.back());
    Pattern pattern = {};
    pattern.ranges = section<ClassRange>(ranges);
    pattern.ascii = section<uint8_t>(ascii);
    pattern.table = section<uint16_t>(automaton.table);
    pattern.starts = section<uint16_t>(automaton.starts);
    pattern.classes = automaton.classes;
    pattern.end = automaton.end;
    result.push_back(pattern);
  }
  return result;
}

std::vector<Section> Writer::maps(ArrayRef<std::vector<Mapping>> mappings) {
  std::vector<Section> result;
  for (const std::vector<Mapping> &map : mappings)
    result.push_back(section<Mapping>(map));
  return result;
}

std::vector<uint8_t> Writer::write() {
  Header header = {};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.flags = from.flags;
  header.unk = from.unk;
  header.bos = from.bos;
  header.wordPattern = from.wordPattern;

  // What holds strings.
  std::vector<Piece> pieces;
  for (const std::optional<TokenizerDescription::Piece> &piece : from.pieces)
    pieces.push_back(piece ? Piece{text(piece->text),
                                   piece->special ? uint32_t(kSpecial) : 0}
                           : Piece{{kNone, 0}, 0});
  std::vector<Added> raw = added(from.rawAdded), norm = added(from.normAdded);
  std::vector<Step> normalize = steps(from.normalize);
  std::vector<Step> split = steps(from.split), decode = steps(from.decode);
  std::vector<std::vector<Mapping>> mappings;
  for (const std::vector<CharacterMapping> &map : from.maps) {
    mappings.emplace_back();
    for (const CharacterMapping &entry : map)
      mappings.back().push_back({entry.from, text(entry.to)});
  }
  bytes.resize(sizeof(Header));
  bytes.insert(bytes.end(), pool.begin(), pool.end());

  header.pieces = section<Piece>(pieces);
  header.pieceHash = section<uint32_t>(pieceHash());
  header.mergeHash = section<Merge>(mergeHash());
  header.byteIds = section<uint32_t>(byteIds());
  header.rawAdded = section<Added>(raw);
  header.normAdded = section<Added>(norm);
  header.normalize = section<Step>(normalize);
  header.split = section<Step>(split);
  header.decode = section<Step>(decode);
  header.patterns = section<Pattern>(patterns());
  header.maps = section<Section>(maps(mappings));
  if (from.composes) {
    std::vector<CombiningRange> marks;
    for (CombiningClass marked : combiningClasses())
      marks.push_back({marked.first, marked.last, marked.order});
    std::vector<Composition> pairs;
    for (CharacterPair pair : characterPairs())
      pairs.push_back({pair.first, pair.second, pair.result});
    header.combining = section<CombiningRange>(marks);
    header.compositions = section<Composition>(pairs);
  }
  header.bytes = static_cast<uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &header, sizeof(Header));
  return std::move(bytes);
}

std::vector<uint8_t> qtale::writeTables(const TokenizerDescription &from) {
  return Writer(from).write();
}
