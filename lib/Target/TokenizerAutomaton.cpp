//===- TokenizerAutomaton.cpp - A regular expression as a table -----------===//
//
//   tree ─▶ program ─▶ states: lists of threads, the most wanted first
//
//   ' ?\p{L}+'   0: split 1, 2     start   {1, 2}
//                1: ' '            ' '     {2}
//                2: letter         letter  {3: 2 again, match}
//                3: split 2, 4
//                4: match
//
// A state is what a matcher with backtracking could still try after the same
// characters, in its order. When a thread matches, those behind it are dropped;
// those before it may still find the match that is wanted more. So one look at
// each character gives what backtracking would.
//
// A look ahead is a promise about the next character: a thread carries the set
// of characters that it allows, and is dropped when another comes. A look
// behind is known when the thread gets there: by the character just read.
//
//===----------------------------------------------------------------------===//

#include "TokenizerRegex.h"
#include "qtale/Runtime/TokenizerTables.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallBitVector.h"
#include <map>
#include <set>

using namespace llvm;
using namespace qtale;
using namespace qtale::tokenizer;

namespace {

constexpr size_t kMaxProgram = 4096, kMaxStates = 4096, kMaxClasses = 255;

Error refuse(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

struct Instruction {
  enum Kind { Character, Split, Ahead, Behind, Match } kind;
  unsigned set = 0;    // of Character, Ahead, Behind
  unsigned first = 0;  // goes on there
  unsigned second = 0; // Split: or, less wanted, there
};

/// The tree as a program, from its end to its begin: each part is told where
/// it goes on.
class Program {
public:
  Expected<unsigned> write(const RegexNode &root) {
    unsigned match = add({Instruction::Match});
    return write(root, match);
  }

  std::vector<Instruction> code;
  std::vector<CharacterSet> sets;

private:
  unsigned add(Instruction instruction) {
    code.push_back(instruction);
    return code.size() - 1;
  }
  unsigned setIndex(const CharacterSet &set) {
    auto found = llvm::find(sets, set);
    if (found == sets.end())
      return sets.push_back(set), sets.size() - 1;
    return found - sets.begin();
  }
  Expected<unsigned> write(const RegexNode &node, unsigned next);
  Expected<unsigned> writeRepeat(const RegexNode &node, unsigned next);
};

bool canBeEmpty(const RegexNode &node) {
  switch (node.kind) {
  case RegexNode::Set:
    return false;
  case RegexNode::Sequence:
    return llvm::all_of(node.children, canBeEmpty);
  case RegexNode::Alternative:
    return llvm::any_of(node.children, canBeEmpty);
  case RegexNode::Repeat:
    return node.min == 0 || canBeEmpty(node.children[0]);
  default:
    return true;
  }
}

/// Whether it asks about its place, as "^" and "(?=x)" do.
bool looksAround(const RegexNode &node) {
  return node.kind == RegexNode::Ahead || node.kind == RegexNode::Behind ||
         llvm::any_of(node.children, looksAround);
}

} // namespace

Expected<unsigned> Program::writeRepeat(const RegexNode &node, unsigned next) {
  const RegexNode &child = node.children[0];
  auto split = [&](unsigned body, unsigned behind) {
    Instruction result{Instruction::Split};
    result.first = node.lazy ? behind : body;
    result.second = node.lazy ? body : behind;
    return add(result);
  };
  // Engines stop at a round that was empty, and differ in what follows.
  if (canBeEmpty(child) && (node.max == RegexNode::kUnlimited ||
                            (node.max > 1 && looksAround(child))))
    return refuse("it repeats what can be empty");
  if (node.max == RegexNode::kUnlimited) {
    unsigned loop = split(0, next);
    Expected<unsigned> body = write(child, loop);
    if (!body)
      return body;
    (node.lazy ? code[loop].second : code[loop].first) = *body;
    next = loop;
  } else {
    // x{0,2} is (x(x)?)?: each begins only behind the one before.
    unsigned behind = next;
    for (unsigned i = node.min; i < node.max; ++i) {
      Expected<unsigned> body = write(child, next);
      if (!body)
        return body;
      next = split(*body, behind);
    }
  }
  for (unsigned i = 0; i < node.min; ++i) {
    Expected<unsigned> body = write(child, next);
    if (!body)
      return body;
    if (*body == next) // an empty child, which would be written for nothing
      break;
    next = *body;
  }
  return next;
}

Expected<unsigned> Program::write(const RegexNode &node, unsigned next) {
  if (code.size() > kMaxProgram)
    return refuse("it is too long, or repeats too much");
  switch (node.kind) {
  case RegexNode::Set:
  case RegexNode::Ahead:
  case RegexNode::Behind: {
    Instruction result{node.kind == RegexNode::Set     ? Instruction::Character
                       : node.kind == RegexNode::Ahead ? Instruction::Ahead
                                                       : Instruction::Behind};
    result.set = setIndex(node.set);
    result.first = next;
    return add(result);
  }
  case RegexNode::Sequence:
    for (const RegexNode &child : llvm::reverse(node.children)) {
      Expected<unsigned> begin = write(child, next);
      if (!begin)
        return begin;
      next = *begin;
    }
    return next;
  case RegexNode::Alternative: {
    std::optional<unsigned> rest;
    for (const RegexNode &child : llvm::reverse(node.children)) {
      Expected<unsigned> begin = write(child, next);
      if (!begin)
        return begin;
      if (rest) {
        Instruction split{Instruction::Split};
        split.first = *begin;
        split.second = *rest;
        rest = add(split);
      } else {
        rest = *begin;
      }
    }
    return *rest;
  }
  case RegexNode::Repeat:
    return writeRepeat(node, next);
  }
  llvm_unreachable("all kinds are listed");
}

namespace {

class Builder {
public:
  Expected<RegexAutomaton> build(const RegexNode &root);

private:
  /// An instruction that waits for the next character, and which it allows.
  struct Thread {
    unsigned at;
    unsigned allowed; // index of `promises`
    bool operator<(const Thread &other) const {
      return std::tie(at, allowed) < std::tie(other.at, other.allowed);
    }
  };
  using State = std::vector<Thread>;

  Error classify();
  unsigned promise(const BitVector &classes);
  void follow(Thread thread, unsigned before, State &state,
              std::set<Thread> &seen);
  std::optional<uint16_t> number(const State &state);
  Error writeRow(const State &state);

  Program program;
  RegexAutomaton result;
  std::vector<BitVector> members; // of a set: its classes
  std::vector<BitVector> promises;
  std::map<State, uint16_t> numbers;
  std::vector<State> states;
};

} // namespace

/// Characters that no set tells apart are one class.
Error Builder::classify() {
  std::set<uint32_t> bounds = {0, CharacterSet::kEnd};
  for (const CharacterSet &set : program.sets)
    for (auto [first, last] : set.ranges()) {
      bounds.insert(first);
      bounds.insert(last + 1);
    }
  bounds.erase(CharacterSet::kEnd + 1);
  std::map<std::vector<bool>, uint32_t> classes;
  for (uint32_t first : bounds) {
    std::vector<bool> in;
    for (const CharacterSet &set : program.sets)
      in.push_back(set.contains(first));
    // The end is never taken for a character.
    in.push_back(first == CharacterSet::kEnd);
    uint32_t klass = classes.try_emplace(in, classes.size()).first->second;
    if (first == CharacterSet::kEnd)
      result.end = klass;
    else if (result.ranges.empty() || result.ranges.back().second != klass)
      result.ranges.push_back({first, klass});
  }
  result.classes = classes.size();
  if (result.classes > kMaxClasses)
    return refuse("it has too many different classes of characters");
  members.assign(program.sets.size(), BitVector(result.classes));
  for (const auto &[in, klass] : classes)
    for (size_t set = 0; set < program.sets.size(); ++set)
      if (in[set])
        members[set].set(klass);
  return Error::success();
}

unsigned Builder::promise(const BitVector &classes) {
  auto found = llvm::find(promises, classes);
  if (found == promises.end())
    return promises.push_back(classes), promises.size() - 1;
  return found - promises.begin();
}

/// Appends where `thread` gets without reading, in the order of its wishes.
void Builder::follow(Thread thread, unsigned before, State &state,
                     std::set<Thread> &seen) {
  std::vector<Thread> open = {thread};
  while (!open.empty()) {
    Thread top = open.back();
    open.pop_back();
    if (!seen.insert(top).second)
      continue;
    const Instruction &instruction = program.code[top.at];
    switch (instruction.kind) {
    case Instruction::Split:
      open.push_back({instruction.second, top.allowed});
      open.push_back({instruction.first, top.allowed});
      break;
    case Instruction::Ahead: {
      BitVector both = promises[top.allowed];
      both &= members[instruction.set];
      if (both.any())
        open.push_back({instruction.first, promise(both)});
      break;
    }
    case Instruction::Behind:
      if (members[instruction.set].test(before))
        open.push_back({instruction.first, top.allowed});
      break;
    default:
      state.push_back(top);
      break;
    }
  }
}

/// The number of a state, a new one if need be; none: there are too many.
std::optional<uint16_t> Builder::number(const State &state) {
  if (state.empty())
    return kDead;
  auto [entry, fresh] = numbers.try_emplace(state, states.size());
  if (fresh) {
    if (states.size() >= kMaxStates)
      return std::nullopt;
    states.push_back(state);
  }
  return entry->second;
}

Error Builder::writeRow(const State &state) {
  for (unsigned klass = 0; klass < result.classes; ++klass) {
    State next;
    std::set<Thread> seen;
    uint16_t accept = 0;
    for (Thread thread : state) {
      if (!promises[thread.allowed].test(klass))
        continue;
      const Instruction &instruction = program.code[thread.at];
      if (instruction.kind == Instruction::Match) {
        accept = kAccept;
        break;
      }
      if (klass != result.end && members[instruction.set].test(klass))
        follow({instruction.first, 0}, klass, next, seen);
    }
    std::optional<uint16_t> to = number(next);
    if (!to)
      return refuse("it needs too many states");
    result.table.push_back(*to | accept);
  }
  return Error::success();
}

Expected<RegexAutomaton> Builder::build(const RegexNode &root) {
  Expected<unsigned> start = program.write(root);
  if (!start)
    return start.takeError();
  if (Error error = classify())
    return std::move(error);
  promises.push_back(BitVector(result.classes, true)); // number 0: anything
  for (unsigned before = 0; before < result.classes; ++before) {
    State state;
    std::set<Thread> seen;
    follow({*start, 0}, before, state, seen);
    for (Thread thread : state)
      if (program.code[thread.at].kind == Instruction::Match)
        return refuse("it can match nothing, an empty text");
    result.starts.push_back(*number(state));
  }
  for (size_t i = 0; i < states.size(); ++i) {
    State state = states[i]; // writeRow() adds to the list
    if (Error error = writeRow(state))
      return std::move(error);
  }
  return std::move(result);
}

Expected<RegexAutomaton> qtale::buildAutomaton(const RegexNode &root) {
  return Builder().build(root);
}
