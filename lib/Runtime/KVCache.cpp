//===- KVCache.cpp - What a session remembers -----------------------------===//
//
//   session   table ─▶ [block 0][block 1][block 2 ·····]
//                         ▲        ▲
//   fork      table ──────┴────────┴─────[block 2 ··]  a copy, made when the
//                                                      fork first writes
//
// A block is shared as long as nobody writes to it, which can only happen to
// the last one, where it is not full. In front of each block stands the number
// of its owners.
//
//===----------------------------------------------------------------------===//

#include "KVCache.h"

#include <atomic>
#include <cstring>
#include <new>

using namespace qtale::rt;

namespace {

/// Before each block; a cache line, so that the block begins on one.
struct alignas(64) Owners {
  std::atomic<int64_t> count{1};
};

} // namespace

static Owners &ownersOf(void *block) {
  return static_cast<Owners *>(block)[-1];
}

/// Zeros, so that compiled code may compute with slots that it will mask.
static void *makeBlock(uint64_t bytes) {
  void *memory =
      ::operator new(sizeof(Owners) + bytes, std::align_val_t(alignof(Owners)));
  void *block = new (memory) Owners + 1;
  return memset(block, 0, bytes);
}

static void releaseBlock(void *block) {
  // The last owner must see that the others have read what they needed.
  if (ownersOf(block).count.fetch_sub(1, std::memory_order_acq_rel) == 1)
    ::operator delete(&ownersOf(block), std::align_val_t(alignof(Owners)));
}

static int64_t blocksFor(int64_t slots) {
  return (slots + QTALE_KV_BLOCK - 1) / QTALE_KV_BLOCK;
}

KVCache::KVCache(const qtale_module &module)
    : module(module), tables(module.num_caches) {}

void KVCache::grow(int64_t from, int64_t to) {
  for (int64_t cache = 0; cache < module.num_caches; ++cache) {
    std::vector<void *> &table = tables[cache];
    uint64_t bytes = module.kv_block_bytes[cache];
    if (from % QTALE_KV_BLOCK) {
      void *&last = table[from / QTALE_KV_BLOCK];
      if (ownersOf(last).count.load(std::memory_order_acquire) > 1) {
        void *copy = memcpy(makeBlock(bytes), last, bytes);
        releaseBlock(last);
        last = copy;
      }
    }
    table.reserve(blocksFor(to));
    while (int64_t(table.size()) < blocksFor(to))
      table.push_back(makeBlock(bytes));
  }
}

void KVCache::shrink(int64_t length) {
  for (std::vector<void *> &table : tables)
    for (; int64_t(table.size()) > blocksFor(length); table.pop_back())
      releaseBlock(table.back());
}

void KVCache::share(const KVCache &other) {
  for (size_t cache = 0; cache < tables.size(); ++cache) {
    tables[cache] = other.tables[cache];
    for (void *block : tables[cache])
      ownersOf(block).count.fetch_add(1, std::memory_order_relaxed);
  }
}

uint64_t KVCache::bytes() const {
  uint64_t total = 0;
  for (int64_t cache = 0; cache < module.num_caches; ++cache)
    total += tables[cache].size() * module.kv_block_bytes[cache];
  return total;
}
