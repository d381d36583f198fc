//===- CacheTables.cpp - The caches of a step, as compiled code sees them -===//
//
//   kv ─▶ [cache] ─▶ [sequence] ─▶ a session's table ─▶ [slot / 16] ─▶ block
//
//   keep       1  0  1  1     rows of one sequence whose cache has 7 entries
//   slots      7  8  8  9     reserve: a row attends to the slots below its own
//
// Blocks of ragged caches are made while the step runs, when it is known what
// runs; the tables were given room for the worst case, so that they do not move.
//
//===----------------------------------------------------------------------===//

#include "CacheTables.h"

#include "Team.h"
#include "qtale/Runtime/qtale.h"

#include <new>

using namespace qtale::rt;

void CacheTables::make(int64_t caches) {
  int64_t count = sequences.size();
  tables.resize(caches * count);
  ofCache.clear();
  for (int64_t cache = 0; cache < caches; ++cache) {
    for (int64_t i = 0; i < count; ++i)
      tables[cache * count + i] = sequences[i]->blocks(cache);
    ofCache.push_back(&tables[cache * count]);
  }
}

void CacheTables::reserve(int64_t cache, const uint8_t *keep,
                          const int32_t *sequence, const int32_t *positions,
                          int64_t rows, int32_t *slots) {
  for (int64_t row = 0; row < rows; ++row) {
    KVCache &own = *sequences[sequence[row]];
    slots[row] = own.entries(cache);
    if (keep[row])
      own.add(cache, positions[row]);
  }
}

int32_t qtale_rt_kv_reserve(qtale_context *context, int64_t cache,
                            const uint8_t *keep, const int32_t *sequences,
                            const int32_t *positions, int64_t rows,
                            int32_t *slots) {
  CacheTables *tables = static_cast<Team *>(context->team)->caches;
  try {
    tables->reserve(cache, keep, sequences, positions, rows, slots);
    return QTALE_OK;
  } catch (const std::bad_alloc &) {
    return QTALE_OUT_OF_MEMORY;
  }
}
