//===- CacheTables.h - The caches of a step, as compiled code sees them ---===//

#ifndef QTALE_LIB_RUNTIME_CACHETABLES_H
#define QTALE_LIB_RUNTIME_CACHETABLES_H

#include "KVCache.h"

namespace qtale::rt {

/// Kept from step to step, for its memory.
class CacheTables {
public:
  /// A new step: what it reads and writes is added sequence by sequence, each
  /// grown for the step; then the tables are made.
  void clear() { sequences.clear(); }
  void add(KVCache &sequence) { sequences.push_back(&sequence); }
  void make(int64_t caches);

  /// qtale_context.kv: [cache][sequence][slot / 16].
  void *const *const *const *kv() const { return ofCache.data(); }

  /// qtale_rt_kv_reserve. Throws bad_alloc.
  void reserve(int64_t cache, const uint8_t *keep, const int32_t *sequence,
               const int32_t *positions, int64_t rows, int32_t *slots);

private:
  std::vector<KVCache *> sequences;
  std::vector<void *const *> tables; // [cache][sequence]
  std::vector<void *const *const *> ofCache;
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_CACHETABLES_H
