//===- Driver.cpp - A tokenizer of both halves, line by line --------------===//
//
//   qtale-tokenizer-tests tokenizer.json         builds the tables, then reads
//     encode HEX                  ->  ids
//     decode PREVIOUS ID ...      ->  HEX
//   qtale-tokenizer-tests --fuzz COUNT tokenizer.json
//     damages the tables COUNT times and uses them: must not crash
//
// tokenizer_driver.py feeds it what Hugging Face tokenizers was fed.
//
//===----------------------------------------------------------------------===//

#include "../../lib/Runtime/Tokenizer.h"
#include "qtale/Runtime/TokenizerTables.h"
#include "qtale/Target/Tokenizer.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <iostream>
#include <random>
#include <sstream>

using namespace qtale;

using qtale::tokenizer::Header;
using Tables = std::vector<uint8_t>;

static int report(const qtale_error &error) {
  llvm::outs() << "error " << error.code << " " << error.message << "\n";
  return error.code;
}

static int encode(const Tables &tables, const std::string &text) {
  qtale_error error;
  size_t count = 0;
  // Once to learn the size, once to fill it: both uses of the interface.
  int code = rt::tokenize(tables.data(), tables.size(), text.data(),
                          text.size(), nullptr, 0, &count, &error);
  if (code != QTALE_OK && code != QTALE_LIMIT)
    return report(error);
  std::vector<int32_t> ids(count);
  if (rt::tokenize(tables.data(), tables.size(), text.data(), text.size(),
                   ids.data(), ids.size(), &count, &error))
    return report(error);
  llvm::interleave(ids, llvm::outs(), " ");
  llvm::outs() << "\n";
  return 0;
}

static int decode(const Tables &tables, int32_t previous,
                  const std::vector<int32_t> &ids) {
  qtale_error error;
  size_t length = 0;
  int code = rt::detokenize(tables.data(), tables.size(), previous, ids.data(),
                            ids.size(), nullptr, 0, &length, &error);
  if (code != QTALE_OK && code != QTALE_LIMIT)
    return report(error);
  std::string text(length, 0);
  if (rt::detokenize(tables.data(), tables.size(), previous, ids.data(),
                     ids.size(), text.data(), text.size(), &length, &error))
    return report(error);
  llvm::outs() << llvm::toHex(text) << "\n";
  return 0;
}

/// Flips bytes, mostly of the header and of single words, sometimes cuts.
static void fuzz(const Tables &tables, int count) {
  std::mt19937 random(7);
  // Every stage has work: added tokens, marks to order, words, bytes.
  std::string text = "<s>Once upon a time </s>\xf0\x9f\x98\x80 \xff  end<s>"
                     " it's 12345 A\xcc\x81\xcc\xa3\xea\xb0\x80 word\n\n";
  for (int i = 0; i < count; ++i) {
    Tables damaged = tables;
    size_t window = i % 2 ? damaged.size() : sizeof(Header);
    for (int flips = 1 + random() % 8; flips; --flips)
      damaged[random() % window] =
          random() % 3 ? random() : (random() % 2 ? 0xff : 0);
    if (i % 5 == 0)
      damaged.resize(random() % damaged.size());
    damaged.shrink_to_fit();
    std::vector<int32_t> ids(256);
    std::string decoded(256, 0);
    size_t size = 0;
    rt::tokenize(damaged.data(), damaged.size(), text.data(), text.size(),
                 ids.data(), ids.size(), &size, nullptr);
    for (int32_t &id : ids)
      id = random() % 1000;
    rt::detokenize(damaged.data(), damaged.size(), -1, ids.data(), ids.size(),
                   decoded.data(), decoded.size(), &size, nullptr);
  }
  llvm::outs() << "survived " << count << "\n";
}

int main(int argc, char **argv) {
  if (argc != 2 && !(argc == 4 && std::string(argv[1]) == "--fuzz")) {
    llvm::errs() << "usage: " << argv[0]
                 << " [--fuzz COUNT] tokenizer.json < commands\n";
    return 2;
  }
  llvm::Expected<Tables> tables = buildTokenizerTables(argv[argc - 1]);
  if (!tables) {
    llvm::errs() << llvm::toString(tables.takeError()) << "\n";
    return 1;
  }
  if (argc == 4) {
    fuzz(*tables, std::atoi(argv[2]));
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, hex;
    words >> command;
    if (command == "encode") {
      words >> hex;
      encode(*tables, llvm::fromHex(hex));
      continue;
    }
    int32_t previous, id;
    std::vector<int32_t> ids;
    words >> previous;
    while (words >> id)
      ids.push_back(id);
    decode(*tables, previous, ids);
  }
  return 0;
}
