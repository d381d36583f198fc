//===- KVCache.h - What a session remembers -------------------------------===//

#ifndef QTALE_LIB_RUNTIME_KVCACHE_H
#define QTALE_LIB_RUNTIME_KVCACHE_H

#include "qtale/Runtime/ModuleABI.h"

#include <cstdint>
#include <vector>

namespace qtale::rt {

/// All caches of one session, in blocks. In a dense cache slot p belongs to
/// position p; a ragged one has a slot for each position that ran.
class KVCache {
public:
  explicit KVCache(const qtale_module &module);
  KVCache(const KVCache &) = delete;
  KVCache &operator=(const KVCache &) = delete;
  ~KVCache() { shrink(0); }

  /// Makes the positions `from` .. `to` - 1 ready: slots in dense caches, room
  /// in the tables of ragged ones. `from` is what is held so far. Throws
  /// bad_alloc: then shrink(from) undoes what was done.
  void grow(int64_t from, int64_t to);
  /// Adds a slot for `position`, which grow has made ready and which comes after
  /// those in the ragged `cache`. Tables stay where they are. Throws bad_alloc,
  /// and has then done nothing.
  void add(int64_t cache, int32_t position);
  /// Forgets the positions from `length` on.
  void shrink(int64_t length);
  /// Takes the content of `other`, which goes on owning it too. This cache is
  /// empty before.
  void share(const KVCache &other);

  /// Slots in use of the ragged `cache`.
  int64_t entries(int64_t cache) const { return layers[cache].entries; }
  /// The blocks of `cache`; the table is valid until it grows.
  void *const *blocks(int64_t cache) const {
    return layers[cache].blocks.data();
  }
  /// Bytes of all blocks, shared or not.
  uint64_t bytes() const;

private:
  struct Layer {
    std::vector<void *> blocks; // [slot / 16]
    bool ragged = false;
    int64_t entries = 0; // of a ragged cache
    uint64_t blockBytes; // without positions
  };

  static int32_t &positionOf(const Layer &layer, int64_t slot);

  std::vector<Layer> layers; // a layer's keys and values: one cache
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_KVCACHE_H
