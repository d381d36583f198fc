//===- KVCache.h - What a session remembers -------------------------------===//

#ifndef QTALE_LIB_RUNTIME_KVCACHE_H
#define QTALE_LIB_RUNTIME_KVCACHE_H

#include "qtale/Runtime/ModuleABI.h"

#include <cstdint>
#include <vector>

namespace qtale::rt {

/// Every cache of one session holds the slots 0 .. length - 1, in blocks.
class KVCache {
public:
  explicit KVCache(const qtale_module &module);
  KVCache(const KVCache &) = delete;
  KVCache &operator=(const KVCache &) = delete;
  ~KVCache() { shrink(0); }

  /// Makes slots `from` .. `to` - 1 ready to be written; `from` is the length
  /// so far. Throws bad_alloc: then shrink(from) undoes what was done.
  void grow(int64_t from, int64_t to);
  /// Lets go of the blocks past `length` slots.
  void shrink(int64_t length);
  /// Takes the content of `other`, which goes on owning it too. This cache is
  /// empty before.
  void share(const KVCache &other);

  /// The blocks of `cache`; valid until it grows or shrinks.
  void *const *blocks(int64_t cache) const { return tables[cache].data(); }
  /// Bytes of all blocks, shared or not.
  uint64_t bytes() const;

private:
  const qtale_module &module;
  std::vector<std::vector<void *>> tables; // [cache][slot / 16]
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_KVCACHE_H
