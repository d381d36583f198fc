//===- Tokenizer.h - tokenizer.json as flat tables ------------------------===//
//
//   Hugging Face's tokenizer.json  -->  bytes that the artifact holds and its
//                                       runtime walks (TokenizerTables.h)
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TARGET_TOKENIZER_H
#define QTALE_TARGET_TOKENIZER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <vector>

namespace qtale {

/// The tables of the tokenizer in the file `path`. What it asks for and qtale
/// doesn't implement is refused, by the JSON key and with what is supported.
/// "truncation" and "padding" concern batches for training and are left out; of
/// "post_processor" the token before a text is kept.
llvm::Expected<std::vector<uint8_t>> buildTokenizerTables(llvm::StringRef path);

} // namespace qtale

#endif // QTALE_TARGET_TOKENIZER_H
