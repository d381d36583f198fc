//===- TokenizerRegex.cpp - Reading regular expressions -------------------===//
//
//   alternative   sequence | sequence
//   sequence      item item …
//   item          atom, then ? * + {m,n}; behind one of these ? is lazy, + (not
//                 behind {m,n}) possessive
//   atom          x  .  [class]  \p{L}  \s  (?:…)  (?i:…)  (?!x)  (?<=x)  $
//
// A possessive repetition of a single character, x++, is x+(?!x): it goes on as
// long as it can. Looks ahead and behind see one character, which is all that
// tokenizers ask for.
//
//===----------------------------------------------------------------------===//

#include "TokenizerRegex.h"
#include "TokenizerRegexClass.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;
using namespace qtale;

namespace {

constexpr unsigned kMaxDepth = 100, kMaxRepeat = 1000;

RegexNode setNode(CharacterSet set, RegexNode::Kind kind = RegexNode::Set) {
  RegexNode node;
  node.kind = kind;
  node.set = std::move(set);
  return node;
}

RegexNode listNode(RegexNode::Kind kind, std::vector<RegexNode> children) {
  if (children.size() == 1)
    return std::move(children[0]);
  RegexNode node;
  node.kind = kind;
  node.children = std::move(children);
  return node;
}

class Parser : public RegexReader {
public:
  explicit Parser(StringRef pattern) : RegexReader(pattern) {}

  Expected<RegexNode> parse() {
    Expected<RegexNode> node = alternative();
    if (node && !rest.empty())
      return refuse("an unmatched \")\"");
    return node;
  }

private:
  Expected<RegexNode> alternative();
  Expected<RegexNode> sequence();
  Expected<RegexNode> item();
  Expected<RegexNode> atom();
  Expected<RegexNode> group();
  Expected<RegexNode> look(bool ahead, bool negative, StringRef from);
  Expected<RegexNode> literal();
  Expected<RegexNode> anchor(char name);
  Expected<RegexNode> repeat(RegexNode node, StringRef from);
  Error checkFolding(const std::vector<RegexNode> &items) const;

  unsigned depth = 0;
  bool behind = false; // within "(?<="
};

} // namespace

Expected<RegexNode> Parser::alternative() {
  if (depth++ > kMaxDepth)
    return refuse("groups more than 100 deep");
  bool outer = ignoreCase; // a "(?i)" holds up to the end of its group
  std::vector<RegexNode> choices;
  do {
    Expected<RegexNode> choice = sequence();
    if (!choice)
      return choice;
    choices.push_back(std::move(*choice));
  } while (rest.consume_front("|"));
  ignoreCase = outer;
  --depth;
  return listNode(RegexNode::Alternative, std::move(choices));
}

/// Some characters are, without regard to case, two others: ß is ss, ﬁ is fi.
Error Parser::checkFolding(const std::vector<RegexNode> &items) const {
  for (size_t i = 1; i < items.size(); ++i) {
    const RegexNode &a = items[i - 1], &b = items[i];
    if (a.kind != RegexNode::Set || b.kind != RegexNode::Set)
      continue;
    for (StringRef pair : {"ss", "st", "ff", "fi", "fl"})
      if (a.set.contains(pair[0]) && b.set.contains(pair[1]))
        return refuse("\"" + pair + "\" under (?i), which is also one letter");
  }
  return Error::success();
}

Expected<RegexNode> Parser::sequence() {
  std::vector<RegexNode> items;
  while (!rest.empty() && rest[0] != '|' && rest[0] != ')') {
    // Up to the end of the group, also over its other alternatives.
    if (rest.consume_front("(?i)")) {
      ignoreCase = true;
      Expected<RegexNode> others = alternative();
      if (!others)
        return others;
      items.push_back(std::move(*others));
      break;
    }
    Expected<RegexNode> next = item();
    if (!next)
      return next;
    items.push_back(std::move(*next));
  }
  if (ignoreCase)
    if (Error error = checkFolding(items))
      return std::move(error);
  return listNode(RegexNode::Sequence, std::move(items));
}

Expected<RegexNode> Parser::item() {
  StringRef from = rest;
  Expected<RegexNode> node = atom();
  // "a{2}{3}" and "a{1,3}+" repeat what is repeated.
  for (unsigned times = 0;
       node && !rest.empty() && StringRef("?*+{").contains(rest[0]); ++times) {
    if (times == kMaxDepth)
      return refuse("more than 100 repetitions of the same");
    node = repeat(std::move(*node), from);
  }
  return node;
}

Expected<RegexNode> Parser::repeat(RegexNode node, StringRef from) {
  RegexNode result;
  result.kind = RegexNode::Repeat;
  bool counted = false;
  StringRef body = rest;
  if (rest.consume_front("?")) {
    result.max = 1;
  } else if (rest.consume_front("*")) {
    result.max = RegexNode::kUnlimited;
  } else if (rest.consume_front("+")) {
    result.min = 1;
    result.max = RegexNode::kUnlimited;
  } else {
    counted = true;
    rest.consume_front("{");
    bool low = !rest.consumeInteger(10, result.min);
    result.max = result.min;
    bool comma = rest.consume_front(",");
    bool high = comma && !rest.consumeInteger(10, result.max);
    if (!rest.consume_front("}") || (!low && !high))
      return refuse("\"{\" that is no {m,n}");
    if (comma && !high)
      result.max = RegexNode::kUnlimited;
    if (result.min > kMaxRepeat ||
        (result.max > kMaxRepeat && result.max != RegexNode::kUnlimited) ||
        result.max < result.min)
      return refuse("\"" + body.drop_back(rest.size()) +
                    "\", where it takes up to " + Twine(kMaxRepeat) +
                    ", ascending");
  }
  auto quoted = [&] {
    return ("\"" + from.drop_back(rest.size()) + "\"").str();
  };
  if (node.kind == RegexNode::Ahead || node.kind == RegexNode::Behind)
    return refuse(quoted() + ", a repeated look");
  bool single = node.kind == RegexNode::Set;
  CharacterSet set = node.set;
  result.children.push_back(std::move(node));
  if (rest.consume_front("?")) {
    if (counted && result.min == result.max)
      return refuse(quoted() + ", a repetition of a lazy count");
    result.lazy = true;
  } else if (!counted && rest.consume_front("+")) {
    if (!single)
      return refuse(quoted() + ", possessive for more than one character");
    RegexNode sequence;
    sequence.children.push_back(std::move(result));
    // "x?+" that took one is content, "x*+" goes on while there is one.
    RegexNode stop = setNode(set.complementWithEnd(), RegexNode::Ahead);
    if (sequence.children[0].max == 1) {
      RegexNode choice;
      choice.kind = RegexNode::Alternative;
      choice.children = {setNode(set), std::move(stop)};
      return choice;
    }
    sequence.children.push_back(std::move(stop));
    return sequence;
  }
  return result;
}

/// A literal character, or what an escape stands for.
Expected<RegexNode> Parser::literal() {
  Expected<CharacterSet> set = character();
  if (!set)
    return set.takeError();
  if (Error error = foldCase(*set))
    return std::move(error);
  return setNode(std::move(*set));
}

Expected<RegexNode> Parser::anchor(char name) {
  CharacterSet end(CharacterSet::kEnd, CharacterSet::kEnd);
  CharacterSet line('\n', '\n');
  auto either = [](RegexNode a, RegexNode b, RegexNode c, RegexNode d) {
    RegexNode left, right, both;
    left.children = {std::move(a), std::move(b)};
    right.children = {std::move(c), std::move(d)};
    both.kind = RegexNode::Alternative;
    both.children = {std::move(left), std::move(right)};
    return both;
  };
  switch (name) {
  case 'A':
    return setNode(end, RegexNode::Behind);
  case 'z':
    return setNode(end, RegexNode::Ahead);
  case '$':
    line |= end;
    return setNode(line, RegexNode::Ahead);
  case '^': { // behind a line's end, if anything follows
    CharacterSet any = CharacterSet().complement();
    CharacterSet all = any;
    all |= end;
    return either(
        setNode(end, RegexNode::Behind), setNode(all, RegexNode::Ahead),
        setNode(line, RegexNode::Behind), setNode(any, RegexNode::Ahead));
  }
  default: { // b, B: a letter on one side; on both or none
    CharacterSet word = wordCharacters(), other = word.complementWithEnd();
    const CharacterSet &left = name == 'b' ? other : word;
    const CharacterSet &right = name == 'b' ? word : other;
    return either(
        setNode(word, RegexNode::Behind), setNode(left, RegexNode::Ahead),
        setNode(other, RegexNode::Behind), setNode(right, RegexNode::Ahead));
  }
  }
}

Expected<RegexNode> Parser::look(bool ahead, bool negative, StringRef from) {
  if (behind && !ahead && negative)
    return refuse("\"(?<!\" within \"(?<=\"");
  bool outer = behind;
  behind |= !ahead && !negative;
  Expected<RegexNode> body = alternative();
  behind = outer;
  if (!body)
    return body;
  if (!rest.consume_front(")"))
    return refuse("a group without an end");
  // One character, an end, or a choice of them.
  CharacterSet set;
  RegexNode::Kind kind = ahead ? RegexNode::Ahead : RegexNode::Behind;
  std::vector<RegexNode> choices;
  if (body->kind == RegexNode::Alternative)
    choices = std::move(body->children);
  else
    choices.push_back(std::move(*body));
  for (const RegexNode &choice : choices) {
    if (choice.kind != RegexNode::Set && choice.kind != kind)
      return refuse("\"" + from.drop_back(rest.size()) +
                    "\", a look at more than one character");
    set |= choice.set;
  }
  return setNode(negative ? set.complementWithEnd() : set, kind);
}

Expected<RegexNode> Parser::group() {
  StringRef from = rest;
  rest.consume_front("(");
  struct {
    StringRef begin;
    bool ahead, negative;
  } looks[] = {{"?=", true, false},
               {"?!", true, true},
               {"?<=", false, false},
               {"?<!", false, true}};
  for (auto [begin, ahead, negative] : looks)
    if (rest.consume_front(begin))
      return look(ahead, negative, from);
  bool outer = ignoreCase;
  if (rest.consume_front("?i:"))
    ignoreCase = true;
  else if (rest.consume_front("?-i:"))
    ignoreCase = false;
  else if (!rest.consume_front("?:") && rest.starts_with("?"))
    return refuse("\"(" + next(3) + "\"");
  Expected<RegexNode> node = alternative();
  ignoreCase = outer;
  if (node && !rest.consume_front(")"))
    return refuse("a group without an end");
  // A group in a sequence is one item: what repeats it repeats all of it.
  return node;
}

Expected<RegexNode> Parser::atom() {
  switch (rest[0]) {
  case '(':
    return group();
  case '[': {
    Expected<CharacterSet> set = bracket();
    if (!set)
      return set.takeError();
    if (Error error = foldCase(*set))
      return std::move(error);
    return setNode(std::move(*set));
  }
  case '.':
    rest = rest.drop_front();
    return setNode(CharacterSet('\n', '\n').complement());
  case '^':
  case '$': {
    char name = rest[0];
    rest = rest.drop_front();
    return anchor(name);
  }
  case '?':
  case '*':
  case '+':
  case '{':
    return refuse("\"" + rest.take_front(1) + "\" behind nothing");
  default:
    break;
  }
  if (rest.size() > 1 && rest[0] == '\\' &&
      StringRef("AzbB").contains(rest[1])) {
    char name = rest[1];
    rest = rest.drop_front(2);
    return anchor(name);
  }
  return literal();
}

Expected<RegexNode> qtale::parseRegex(StringRef pattern) {
  return Parser(pattern).parse();
}

Expected<RegexAutomaton> qtale::compileRegex(StringRef pattern) {
  Expected<RegexNode> root = parseRegex(pattern);
  if (!root)
    return root.takeError();
  return buildAutomaton(*root);
}
