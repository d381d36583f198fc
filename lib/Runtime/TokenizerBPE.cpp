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

#include "TokenizerView.h"
#include "Utf8.h"
#include <queue>

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
    // std::priority_queue serves the largest first.
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

class Word {
public:
  explicit Word(const TokenizerView &tables) : tables(tables) {}

  void addCharacters(std::string_view word);
  void mergeAll();
  void appendTo(std::vector<uint32_t> &ids) const;

private:
  void add(uint32_t id) {
    uint32_t index = static_cast<uint32_t>(symbols.size());
    if (index)
      symbols.back().next = index;
    symbols.push_back({id, index ? index - 1 : kEnd, kEnd, true});
  }
  bool addBytes(std::string_view character);
  void offer(uint32_t left, uint32_t right);

  const TokenizerView &tables;
  std::vector<Symbol> symbols;
  std::priority_queue<Candidate> candidates;
};

} // namespace

/// A character without a piece, as its bytes. False where a byte has no token.
bool Word::addBytes(std::string_view character) {
  Section byteIds = tables.header().byteIds;
  for (char byte : character)
    if (tables.at<uint32_t>(byteIds, static_cast<uint8_t>(byte)) == kNone)
      return false;
  for (char byte : character)
    add(tables.at<uint32_t>(byteIds, static_cast<uint8_t>(byte)));
  return true;
}

void Word::addCharacters(std::string_view word) {
  bool unknown = false; // an unknown token waits to be added
  while (!word.empty()) {
    int length = characterLength(word);
    std::string_view character = word.substr(0, length > 0 ? length : 1);
    word.remove_prefix(character.size());

    uint32_t id = tables.findPiece(character);
    // The waiting token is not added before byte tokens: so it is in the
    // definition (tokenizers, BPE::merge_word), which models were trained with.
    if (id == kNone && tables.has(kByteFallback) && addBytes(character))
      continue;
    if (id != kNone) {
      if (unknown)
        add(tables.header().unk);
      unknown = false;
      add(id);
    } else if (tables.header().unk != kNone) {
      if (unknown && !tables.has(kFuseUnk))
        add(tables.header().unk);
      unknown = true;
    }
  }
  if (unknown)
    add(tables.header().unk);
}

void Word::offer(uint32_t left, uint32_t right) {
  if (left == kEnd || right == kEnd)
    return;
  Merge merge = tables.findMerge(symbols[left].id, symbols[right].id);
  if (merge.result != kNone)
    candidates.push({merge.rank, left, merge.result});
}

void Word::mergeAll() {
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i)
    offer(i, i + 1);
  while (!candidates.empty()) {
    Candidate top = candidates.top();
    candidates.pop();
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
    offer(left.previous, top.position);
    offer(top.position, left.next);
  }
}

void Word::appendTo(std::vector<uint32_t> &ids) const {
  for (const Symbol &symbol : symbols)
    if (symbol.linked)
      ids.push_back(symbol.id);
}

void qtale::rt::encodeWord(const TokenizerView &tables, std::string_view text,
                           std::vector<uint32_t> &ids) {
  if (tables.has(kIgnoreMerges)) {
    if (uint32_t id = tables.findPiece(text); id != kNone) {
      ids.push_back(id);
      return;
    }
  }
  Word word(tables);
  word.addCharacters(text);
  word.mergeAll();
  word.appendTo(ids);
}
