//===- Tokenizer.h - Text to ids and back, over flat tables ---------------===//
//
//   "Once upon"  --tokenize-->  403 407 261 378  --detokenize-->  "Once upon"
//
// The tables (qtale/Runtime/TokenizerTables.h) are walked where they lie:
// nothing is built per call that grows with the vocabulary. Damaged tables
// give wrong ids or QTALE_CORRUPT, never a read beyond them.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_TOKENIZER_H
#define QTALE_LIB_RUNTIME_TOKENIZER_H

#include "qtale/Runtime/qtale.h"

namespace qtale::rt {

/// Bytes to ids, without BOS. Bytes that are no UTF-8 count as characters of
/// their own. Writes at most `capacity` ids; *count is what the text needs.
/// `tables` may be null: QTALE_UNSUPPORTED.
int32_t tokenize(const uint8_t *tables, uint64_t bytes, const char *text,
                 size_t length, int32_t *ids, size_t capacity, size_t *count,
                 qtale_error *error);

/// Ids to the bytes that they stand for, which need not be whole UTF-8.
/// Special tokens and ids without a piece give nothing. What stands at the
/// begin of a text only (Llama's leading space) is taken off where `previous`
/// is -1 or BOS. *length is what the ids need.
int32_t detokenize(const uint8_t *tables, uint64_t bytes, int32_t previous,
                   const int32_t *ids, size_t count, char *text,
                   size_t capacity, size_t *length, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_TOKENIZER_H
