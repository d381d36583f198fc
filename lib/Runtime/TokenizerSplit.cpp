//===- TokenizerSplit.cpp - The steps of the pre-tokenizer ----------------===//
//
//   "it's 5"    Split at \p{N}, Isolated     it's_ | 5
//               Split at 's| ?\p{L}+|\s+     it | 's | _ | 5
//
// A step sees the words of the one before, each alone.
//
//===----------------------------------------------------------------------===//

#include "TokenizerSteps.h"
#include <algorithm>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

Splitter::Splitter(const TokenizerView &tables) : tables(tables) {
  Section list = tables.header().split;
  for (uint32_t i = 0; i < list.count; ++i) {
    steps.push_back(tables.at<Step>(list, i));
    patterns.emplace_back(tables, steps.back().index);
  }
}

void Splitter::splitAt(const Step &step, const PatternMatcher &pattern,
                       std::string_view word) {
  bool inverted = step.flags & kInvert;
  ranges.clear();
  size_t done = 0, begin, end;
  while (pattern.find(word, done, begin, end)) {
    if (done < begin)
      ranges.push_back({done, begin, inverted});
    ranges.push_back({begin, end, !inverted});
    done = end;
  }
  if (done < word.size())
    ranges.push_back({done, word.size(), inverted});

  uint32_t behavior = step.flags & kBehavior;
  for (size_t i = 0; i < ranges.size(); ++i) {
    Range range = ranges[i];
    bool matchBefore = i && ranges[i - 1].match;
    bool matchBehind = i + 1 < ranges.size() && ranges[i + 1].match;
    // What joins is taken on by the range that it joins.
    if (behavior == kRemoved && range.match)
      continue;
    if (behavior == kMergedWithPrevious) {
      if (range.match && i && !matchBefore)
        continue;
      if (!range.match && matchBehind)
        range.end = ranges[i + 1].end;
    }
    if (behavior == kMergedWithNext) {
      if (range.match && i + 1 < ranges.size() && !matchBehind)
        continue;
      if (!range.match && matchBefore)
        range.begin = ranges[i - 1].begin;
    }
    if (behavior == kContiguous)
      while (i + 1 < ranges.size() && ranges[i + 1].match == range.match)
        range.end = ranges[++i].end;
    append(word.substr(range.begin, range.end - range.begin));
  }
}

void Splitter::metaspace(const Step &step, std::string_view word,
                         bool atBegin) {
  std::string_view marker = tables.text(step.from);
  std::string text(word);
  replaceAll(text, " ", marker);
  bool prepend =
      step.flags & kPrependAlways || (step.flags & kPrependFirst && atBegin);
  if (prepend && text.compare(0, marker.size(), marker) != 0)
    text.insert(0, marker);
  rewritten.push_back(std::move(text));
  word = rewritten.back();
  if (!(step.flags & kSplitWords) || marker.empty())
    return append(word);
  for (size_t begin = 0; begin < word.size();) {
    size_t end = std::min(word.find(marker, begin + 1), word.size());
    append(word.substr(begin, end - begin));
    begin = end;
  }
}

const std::vector<std::string_view> &Splitter::split(std::string_view part,
                                                     bool atBegin) {
  words.assign(1, part);
  rewritten.clear();
  for (size_t i = 0; i < steps.size(); ++i) {
    next.clear();
    for (std::string_view word : words) {
      // The first word of a part stands where the part does, if nothing was
      // removed before it.
      bool first = atBegin && word.data() == part.data();
      switch (steps[i].kind) {
      case StepKind::Split:
        splitAt(steps[i], patterns[i], word);
        break;
      case StepKind::Metaspace:
        metaspace(steps[i], word, first);
        break;
      case StepKind::PrefixSpace:
        if (word[0] != ' ') {
          rewritten.push_back(" " + std::string(word));
          word = rewritten.back();
        }
        append(word);
        break;
      default: // no step of a pre-tokenizer
        append(word);
        break;
      }
    }
    words.swap(next);
  }
  return words;
}
