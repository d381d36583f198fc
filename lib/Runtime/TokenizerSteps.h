//===- TokenizerSteps.h - The stages between a text and its ids -----------===//
//
//   text ─cut─▶ parts ─normalize─▶ text ─split─▶ words ─encode─▶ ids
//        Added        Normalize          Split          BPE
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_TOKENIZERSTEPS_H
#define QTALE_LIB_RUNTIME_TOKENIZERSTEPS_H

#include "TokenizerPattern.h"
#include "TokenizerView.h"
#include <deque>
#include <memory>

namespace qtale::rt {

/// A part of a text: an added token, or (id == kNone) what stands between.
struct Part {
  std::string_view text;
  uint32_t id;
};

/// Cuts texts at one list of added tokens: leftmost first, then longest.
class AddedTokens {
public:
  AddedTokens(const TokenizerView &tables, tokenizer::Section added);
  std::vector<Part> cut(std::string_view text) const;

private:
  std::string_view textOf(uint32_t index) const {
    return tables.text(tables.at<tokenizer::Added>(added, index).text);
  }
  bool longestMatch(std::string_view rest, tokenizer::Added &found) const;
  bool standsAlone(std::string_view text, size_t begin, size_t end) const;

  const TokenizerView &tables;
  tokenizer::Section added;
  PatternMatcher letter;
  bool begins[256] = {}; /// some token begins with this byte
};

/// The steps of the normalizer, one after the other.
class Normalizer {
public:
  explicit Normalizer(const TokenizerView &tables);
  std::string operator()(std::string_view text) const;

private:
  void apply(size_t index, std::string &text) const;

  const TokenizerView &tables;
  std::vector<tokenizer::Step> steps;
  std::vector<PatternMatcher> patterns; /// one a step
};

/// `text` by the characters of map `index`, marks in canonical order, then
/// joined again if `compose` (TokenizerForms.cpp).
std::string normalForm(const TokenizerView &tables, uint32_t index,
                       bool compose, std::string_view text);

/// What `point` becomes by map `index`. False: itself.
bool mapCharacter(const TokenizerView &tables, uint32_t index, uint32_t point,
                  std::string_view &to);

/// The steps of the pre-tokenizer: a text to words.
class Splitter {
public:
  explicit Splitter(const TokenizerView &tables);

  /// `atBegin`: the text of the user begins with this part. The words are
  /// valid until the next call.
  const std::vector<std::string_view> &split(std::string_view part,
                                             bool atBegin);

private:
  void splitAt(const tokenizer::Step &step, const PatternMatcher &pattern,
               std::string_view word);
  void metaspace(const tokenizer::Step &step, std::string_view word,
                 bool atBegin);
  void append(std::string_view word) {
    if (!word.empty())
      next.push_back(word);
  }

  const TokenizerView &tables;
  std::vector<tokenizer::Step> steps;
  std::vector<PatternMatcher> patterns; /// one a step
  std::vector<std::string_view> words, next;
  struct Range {
    size_t begin, end;
    bool match;
  };
  std::vector<Range> ranges;
  std::deque<std::string> rewritten; /// what words point to
};

/// Byte-pair encoding; keeps its memory from word to word.
class WordEncoder {
public:
  explicit WordEncoder(const TokenizerView &tables);
  ~WordEncoder();
  void encode(std::string_view word, std::vector<uint32_t> &ids);

private:
  class Word;
  const TokenizerView &tables;
  std::unique_ptr<Word> word;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_TOKENIZERSTEPS_H
