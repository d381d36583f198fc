//===- TokenizerTables.cpp - Fuzzes damaged tables, and any text ----------===//
//
//   tables of a tokenizer of the tests
//     ◀─ damage   length of it (1 byte), then place (3), by (1), …
//     ◀─ text     the rest: tokenized, what came detokenized, and as ids
//
// An input is what differs, so that it stays small whatever the vocabulary.
//
//===----------------------------------------------------------------------===//

#include "../../lib/Runtime/Tokenizer.h"
#include "qtale/Target/Tokenizer.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <cstring>
#include <vector>

static std::vector<uint8_t> build() {
  llvm::Expected<std::vector<uint8_t>> tables =
      qtale::buildTokenizerTables(QTALE_FUZZ_TOKENIZER);
  if (tables)
    return *tables;
  llvm::errs() << llvm::toString(tables.takeError()) << "\n";
  std::abort();
}

static void use(const std::vector<uint8_t> &tables, const char *text,
                size_t length) {
  qtale_error error;
  std::vector<int32_t> ids(std::max<size_t>(length, 1));
  std::vector<char> back(1 + 16 * length);
  size_t count = 0, written = 0;
  int32_t code = qtale::rt::tokenize(tables.data(), tables.size(), text, length,
                                     ids.data(), length, &count, &error);
  if (code == QTALE_OK)
    (void)qtale::rt::detokenize(tables.data(), tables.size(), -1, ids.data(),
                                count, back.data(), back.size(), &written,
                                &error);
  // Any number is an id that somebody can give.
  size_t numbers = length / sizeof(int32_t);
  if (numbers)
    std::memcpy(ids.data(), text, numbers * sizeof(int32_t));
  (void)qtale::rt::detokenize(tables.data(), tables.size(), ids[0], ids.data(),
                              numbers, back.data(), back.size(), &written,
                              &error);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<uint8_t> whole = build();
  std::vector<uint8_t> tables = whole;
  size_t damages = size ? data[0] % 16 : 0, at = size ? 1 : 0;
  for (; damages && at + 4 <= size; --damages, at += 4) {
    size_t place = data[at] | data[at + 1] << 8 | data[at + 2] << 16;
    tables[place % tables.size()] = data[at + 3];
    if (data[at + 2] == 0xff) // now and then, cut
      tables.resize(1 + place % tables.size());
  }
  tables.shrink_to_fit();
  // A copy that ends where the text does.
  std::vector<char> text(data + at, data + size);
  use(tables, text.data(), text.size());
  return 0;
}
