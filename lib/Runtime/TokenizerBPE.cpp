//===- TokenizerBPE.cpp - Byte-pair encoding of one word ------------------===//
//
//   h  e  l  l  o      pairs wait in a heap, lowest rank first, then leftmost
//   he    l  l  o      a merge keeps its left symbol, unlinks its right one,
//   he    ll    o      and offers the two new pairs
//   hell        o
//
// An entry of the heap may be out of date: its left symbol was unlinked, or
// the pair there is another by now. It is dropped when it comes up. Every
// merge removes a symbol and adds at most two entries: O(n log n).
//
//===----------------------------------------------------------------------===//

#include "TokenizerSteps.h"
#include "Utf8.h"
#include <algorithm>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

namespace {

constexpr uint32_t kEnd = kNone;

struct Symbol {
  uint32_t id;
  uint32_t previous; /// index, or kEnd
  uint32_t next;     /// index, or kEnd
  bool linked;
};

struct Candidate {
  uint32_t rank;
  uint32_t position; /// of the left symbol
  uint32_t result;

  bool operator<(const Candidate &other) const {
    // A heap of the standard library serves the largest first.
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

} // namespace

class WordEncoder::Word {
public:
  explicit Word(const TokenizerView &tables) : tables(tables) {}

  void addBytes(std::string_view word);
  void addCharacters(std::string_view word);
  void mergeAll();
  void appendTo(std::vector<uint32_t> &ids) const;
  void clear() {
    symbols.clear();
    candidates.clear();
  }

private:
  void add(uint32_t id) {
    uint32_t index = static_cast<uint32_t>(symbols.size());
    if (index)
      symbols.back().next = index;
    symbols.push_back({id, index ? index - 1 : kEnd, kEnd, true});
  }
  uint32_t byteId(char byte) const {
    return tables.at<uint32_t>(tables.header().byteIds,
                               static_cast<uint8_t>(byte));
  }
  bool fallBack(std::string_view character);
  void addUnknown(bool &waiting);
  void offer(uint32_t left, uint32_t right);

  const TokenizerView &tables;
  std::vector<Symbol> symbols;
  std::vector<Candidate> candidates; /// a heap
};

/// A character without a piece, as its bytes. False where a byte has no token.
bool WordEncoder::Word::fallBack(std::string_view character) {
  for (char byte : character)
    if (byteId(byte) == kNone)
      return false;
  for (char byte : character)
    add(byteId(byte));
  return true;
}

/// An unknown token waits to be added: neighbours may share it.
void WordEncoder::Word::addUnknown(bool &waiting) {
  if (tables.header().unk == kNone)
    return;
  if (waiting && !tables.has(kFuseUnk))
    add(tables.header().unk);
  waiting = true;
}

void WordEncoder::Word::addBytes(std::string_view word) {
  bool unknown = false;
  for (char byte : word) {
    uint32_t id = byteId(byte);
    if (id == kNone) {
      addUnknown(unknown);
      continue;
    }
    if (unknown)
      add(tables.header().unk);
    unknown = false;
    add(id);
  }
  if (unknown)
    add(tables.header().unk);
}

void WordEncoder::Word::addCharacters(std::string_view word) {
  bool unknown = false;
  while (!word.empty()) {
    int length = characterLength(word);
    std::string_view character = word.substr(0, length > 0 ? length : 1);
    word.remove_prefix(character.size());

    uint32_t id = tables.findPiece(character);
    // The waiting token is not added before byte tokens: so it is in the
    // definition (tokenizers, BPE::merge_word), which models were trained with.
    if (id == kNone && tables.has(kByteFallback) && fallBack(character))
      continue;
    if (id != kNone) {
      if (unknown)
        add(tables.header().unk);
      unknown = false;
      add(id);
    } else {
      addUnknown(unknown);
    }
  }
  if (unknown)
    add(tables.header().unk);
}

void WordEncoder::Word::offer(uint32_t left, uint32_t right) {
  if (left == kEnd || right == kEnd)
    return;
  Merge merge = tables.findMerge(symbols[left].id, symbols[right].id);
  if (merge.result != kNone)
    candidates.push_back({merge.rank, left, merge.result});
}

void WordEncoder::Word::mergeAll() {
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i)
    offer(i, i + 1);
  std::make_heap(candidates.begin(), candidates.end());
  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end());
    Candidate top = candidates.back();
    candidates.pop_back();
    Symbol &left = symbols[top.position];
    if (!left.linked || left.next == kEnd)
      continue;
    Symbol &right = symbols[left.next];
    if (tables.findMerge(left.id, right.id).result != top.result)
      continue;

    left.id = top.result;
    left.next = right.next;
    right.linked = false;
    if (left.next != kEnd)
      symbols[left.next].previous = top.position;
    for (uint32_t fresh : {left.previous, top.position}) {
      size_t count = candidates.size();
      if (fresh != kEnd)
        offer(fresh, symbols[fresh].next);
      if (candidates.size() > count)
        std::push_heap(candidates.begin(), candidates.end());
    }
  }
}

void WordEncoder::Word::appendTo(std::vector<uint32_t> &ids) const {
  for (const Symbol &symbol : symbols)
    if (symbol.linked)
      ids.push_back(symbol.id);
}

WordEncoder::WordEncoder(const TokenizerView &tables)
    : tables(tables), word(std::make_unique<Word>(tables)) {}

WordEncoder::~WordEncoder() = default;

void WordEncoder::encode(std::string_view text, std::vector<uint32_t> &ids) {
  if (tables.has(kIgnoreMerges)) {
    if (uint32_t id = tables.findPiece(text); id != kNone) {
      ids.push_back(id);
      return;
    }
  }
  word->clear();
  if (tables.has(kByteLevel))
    word->addBytes(text);
  else
    word->addCharacters(text);
  word->mergeAll();
  word->appendTo(ids);
}
