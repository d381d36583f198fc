//===- KVCache.cpp - What a session remembers -----------------------------===//
//
//   session   table ─▶ [block 0][block 1][block 2 ·····]
//                         ▲        ▲
//   fork      table ──────┴────────┴─────[block 2 ··]  a copy, made when the
//                                                      fork first writes
//
//   owners │ keys and values of 16 slots │ positions of 16 slots (if ragged)
//          ▲ what tables lead to
//
// A block is shared as long as nobody writes to it, which can only happen to
// the last one, where it is not full. Positions tell which slots of a ragged
// cache to forget; they go with the block when it is shared or copied.
//
//===----------------------------------------------------------------------===//

#include "KVCache.h"

#include <algorithm>
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

/// Makes `block` this session's alone, for writing.
static void own(void *&block, uint64_t bytes) {
  if (ownersOf(block).count.load(std::memory_order_acquire) == 1)
    return;
  void *copy = memcpy(makeBlock(bytes), block, bytes);
  releaseBlock(block);
  block = copy;
}

static int64_t blocksFor(int64_t slots) {
  return (slots + QTALE_KV_BLOCK - 1) / QTALE_KV_BLOCK;
}

/// Bytes of a block, with its positions.
static uint64_t heldBytes(uint64_t blockBytes, bool ragged) {
  return blockBytes + (ragged ? QTALE_KV_BLOCK * sizeof(int32_t) : 0);
}

/// A table has room for so many slots, or for the model's context, from the
/// beginning: 512 KB of addresses, of which only what is used is ever touched.
static constexpr int64_t tableSlots = 1 << 20;

KVCache::KVCache(const qtale_module &module) : layers(module.num_caches) {
  for (int64_t cache = 0; cache < module.num_caches; ++cache) {
    layers[cache].blockBytes = module.kv_block_bytes[cache];
    layers[cache].ragged = module.kv_ragged && module.kv_ragged[cache];
    layers[cache].blocks.reserve(
        blocksFor(std::min(module.context, tableSlots)));
  }
}

int32_t &KVCache::positionOf(const Layer &layer, int64_t slot) {
  char *block = static_cast<char *>(layer.blocks[slot / QTALE_KV_BLOCK]);
  return reinterpret_cast<int32_t *>(block +
                                     layer.blockBytes)[slot % QTALE_KV_BLOCK];
}

void KVCache::grow(int64_t from, int64_t to) {
  for (Layer &layer : layers) {
    if (layer.ragged) {
      layer.blocks.reserve(blocksFor(layer.entries + to - from));
      continue;
    }
    if (from % QTALE_KV_BLOCK)
      own(layer.blocks[from / QTALE_KV_BLOCK], layer.blockBytes);
    layer.blocks.reserve(blocksFor(to));
    while (int64_t(layer.blocks.size()) < blocksFor(to))
      layer.blocks.push_back(makeBlock(layer.blockBytes));
  }
}

void KVCache::add(int64_t cache, int32_t position) {
  Layer &layer = layers[cache];
  uint64_t bytes = heldBytes(layer.blockBytes, /*ragged=*/true);
  if (layer.entries % QTALE_KV_BLOCK)
    own(layer.blocks.back(), bytes);
  else
    layer.blocks.push_back(makeBlock(bytes));
  positionOf(layer, layer.entries++) = position;
}

void KVCache::shrink(int64_t length) {
  for (Layer &layer : layers) {
    int64_t &entries = layer.entries;
    while (entries && positionOf(layer, entries - 1) >= length)
      --entries;
    int64_t slots = layer.ragged ? entries : length;
    for (; int64_t(layer.blocks.size()) > blocksFor(slots);
         layer.blocks.pop_back())
      releaseBlock(layer.blocks.back());
  }
}

void KVCache::share(const KVCache &other) {
  for (size_t cache = 0; cache < layers.size(); ++cache) {
    layers[cache] = other.layers[cache];
    for (void *block : layers[cache].blocks)
      ownersOf(block).count.fetch_add(1, std::memory_order_relaxed);
  }
}

uint64_t KVCache::bytes() const {
  uint64_t total = 0;
  for (const Layer &layer : layers)
    total += layer.blocks.size() * heldBytes(layer.blockBytes, layer.ragged);
  return total;
}
