//===- TokenizerNormalize.cpp - The steps of the normalizer ---------------===//
//
//   " Ａn  ox"  NFKC  " An  ox"  Strip  "An  ox"  Replace  "An▁▁ox"
//
//===----------------------------------------------------------------------===//

#include "TokenizerSteps.h"
#include "Utf8.h"

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

void qtale::rt::replaceAll(std::string &text, std::string_view from,
                           std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos)
    return;
  std::string result;
  size_t begin = 0;
  for (size_t found; (found = text.find(from, begin)) != std::string::npos;
       begin = found + from.size()) {
    result.append(text, begin, found - begin);
    result += to;
  }
  result.append(text, begin);
  text = std::move(result);
}

void qtale::rt::replaceAll(std::string &text, const PatternMatcher &pattern,
                           std::string_view to) {
  std::string result;
  size_t done = 0, begin, end;
  while (pattern.find(text, done, begin, end)) {
    result.append(text, done, begin - done);
    result += to;
    done = end;
  }
  result.append(text, done);
  text = std::move(result);
}

bool qtale::rt::mapCharacter(const TokenizerView &tables, uint32_t index,
                             uint32_t point, std::string_view &to) {
  if (index >= tables.header().maps.count)
    return false;
  Section map = tables.at<Section>(tables.header().maps, index);
  if (!tables.holds(map, sizeof(Mapping)))
    return false;
  uint32_t low = 0, high = map.count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    Mapping entry = tables.at<Mapping>(map, middle);
    if (entry.from == point) {
      to = tables.text(entry.to);
      return true;
    }
    if (entry.from < point)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

static std::string mapText(const TokenizerView &tables, uint32_t index,
                           std::string_view text) {
  std::string result;
  while (!text.empty()) {
    Character character = decodeCharacter(text);
    std::string_view to = text.substr(0, character.length);
    mapCharacter(tables, index, character.point, to);
    result += to;
    text.remove_prefix(character.length);
  }
  return result;
}

static void strip(std::string &text, uint32_t sides) {
  size_t begin = 0, end = text.size();
  if (sides & kLeft)
    while (size_t space = spaceLength(std::string_view(text).substr(begin)))
      begin += space;
  while (sides & kRight && end > begin) {
    std::string_view rest(text.data() + begin, end - begin);
    size_t length = lastCharacter(rest);
    if (spaceLength(rest.substr(rest.size() - length)) != length)
      break;
    end -= length;
  }
  text = text.substr(begin, end - begin);
}

Normalizer::Normalizer(const TokenizerView &tables) : tables(tables) {
  Section list = tables.header().normalize;
  for (uint32_t i = 0; i < list.count; ++i) {
    steps.push_back(tables.at<Step>(list, i));
    patterns.emplace_back(tables, steps.back().index);
  }
}

void Normalizer::apply(size_t index, std::string &text) const {
  const Step &step = steps[index];
  std::string_view from = tables.text(step.from), to = tables.text(step.to);
  switch (step.kind) {
  case StepKind::Prepend:
    if (!text.empty())
      text.insert(0, to);
    return;
  case StepKind::Replace:
    return replaceAll(text, from, to);
  case StepKind::ReplacePattern:
    return replaceAll(text, patterns[index], to);
  case StepKind::Strip:
    return strip(text, step.flags);
  case StepKind::Map:
    text = mapText(tables, step.index, text);
    return;
  case StepKind::Decompose:
  case StepKind::Compose:
    text = normalForm(tables, step.index, step.kind == StepKind::Compose, text);
    return;
  default: // no step of a normalizer
    return;
  }
}

std::string Normalizer::operator()(std::string_view text) const {
  std::string result(text);
  for (size_t i = 0; i < steps.size(); ++i)
    apply(i, result);
  return result;
}
