//===- TokenizerJson.cpp - Fuzzes the compiler of tokenizer.json ----------===//
//
//   tokenizer.json ─▶ tables ─▶ text to ids ─▶ back        or refused
//
//===----------------------------------------------------------------------===//

#include "../../lib/Runtime/Tokenizer.h"
#include "Folder.h"
#include "TextMutator.h"
#include "qtale/Target/Tokenizer.h"

#include <vector>

/// What tokenizers look at: spaces, digits, signs, several scripts, an emoji
/// sequence, a combining mark, bytes that are no UTF-8.
static constexpr char text[] =
    "<s>Once upon  a time, 1234 won't\n\n </s>\t\xe4\xbd\xa0\xe5\xa5\xbd "
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 e\xcc\x81 \xff\xc3 end";

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::Folder folder;
  llvm::Expected<std::vector<uint8_t>> tables =
      qtale::buildTokenizerTables(folder.write(
          "tokenizer.json", {reinterpret_cast<const char *>(data), size}));
  if (!tables) {
    (void)llvm::toString(tables.takeError());
    return 0;
  }
  qtale_error error;
  std::vector<int32_t> ids(4 * sizeof(text));
  size_t count = 0, length = 0;
  if (qtale::rt::tokenize(tables->data(), tables->size(), text,
                          sizeof(text) - 1, ids.data(), ids.size(), &count,
                          &error))
    return 0;
  std::string back(64 << 10, 0);
  (void)qtale::rt::detokenize(tables->data(), tables->size(), -1, ids.data(),
                              count, back.data(), back.size(), &length, &error);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t capacity, unsigned seed) {
  return fuzz::mutateTextInput(data, size, capacity, seed);
}
