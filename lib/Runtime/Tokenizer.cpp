//===- Tokenizer.cpp - Text to ids, over flat tables ----------------------===//
//
//   "<s>Hi there"   cut at added tokens     <s> | Hi there
//                   normalize the rest            ▁Hi▁there
//                   split it                      ▁Hi | ▁there
//                   encode each word              22177 | 727
//
//===----------------------------------------------------------------------===//

#include "Tokenizer.h"
#include "Error.h"
#include "TokenizerSteps.h"
#include <new>

using namespace qtale;
using namespace qtale::rt;
using namespace qtale::tokenizer;

/// The ids of a whole text. What the tables describe is laid out once a call.
static std::vector<uint32_t> encode(const TokenizerView &tables,
                                    std::string_view text) {
  std::vector<uint32_t> ids;
  AddedTokens raw(tables, tables.header().rawAdded);
  AddedTokens normalized(tables, tables.header().normAdded);
  Normalizer normalize(tables);
  Splitter splitter(tables);
  WordEncoder encoder(tables);
  for (Part outer : raw.cut(text)) {
    if (outer.id != kNone) {
      ids.push_back(outer.id);
      continue;
    }
    std::string rest = normalize(outer.text);
    for (Part inner : normalized.cut(rest)) {
      if (inner.id != kNone) {
        ids.push_back(inner.id);
        continue;
      }
      bool atBegin =
          outer.text.data() == text.data() && inner.text.data() == rest.data();
      for (std::string_view word : splitter.split(inner.text, atBegin))
        encoder.encode(word, ids);
    }
  }
  return ids;
}

int32_t qtale::rt::tokenize(const uint8_t *tables, uint64_t bytes,
                            const char *text, size_t length, int32_t *ids,
                            size_t capacity, size_t *count,
                            qtale_error *error) {
  if ((!text && length) || (!ids && capacity) || !count)
    return fail(error, QTALE_INVALID_ARGUMENT, "tokenize: a pointer is null");
  // Symbols are counted in 32 bits, and steps may triple the bytes.
  if (length > (size_t(1) << 30))
    return fail(error, QTALE_LIMIT,
                "a text of %zu bytes is too long to tokenize at once; the "
                "limit is 1 GiB",
                length);
  TokenizerView view;
  if (int32_t code = view.open(tables, bytes, error))
    return code;
  try {
    std::vector<uint32_t> found = encode(view, {text, length});
    *count = found.size();
    for (size_t i = 0; i < found.size() && i < capacity; ++i)
      ids[i] = static_cast<int32_t>(found[i]);
    if (found.size() > capacity)
      return fail(error, QTALE_LIMIT,
                  "the text has %zu tokens, the buffer holds %zu", found.size(),
                  capacity);
    return QTALE_OK;
  } catch (const std::bad_alloc &) {
    return fail(error, QTALE_OUT_OF_MEMORY,
                "out of memory while tokenizing %zu bytes", length);
  }
}
