//===- Arena.cpp - Scratch memory of compiled code ------------------------===//

#include "Arena.h"

#include <sys/mman.h>

using namespace qtale::rt;

Arena::~Arena() {
  if (base)
    munmap(base, size);
}

bool Arena::reserve(uint64_t bytes) {
  if (bytes == 0)
    bytes = 1; // every arena has an address
  void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return false;
  *this = Arena();
  base = static_cast<uint8_t *>(mapped);
  size = bytes;
  return true;
}

bool Arena::reserveMost() {
  for (uint64_t bytes = uint64_t(1) << 40; bytes >= 1 << 20; bytes /= 2)
    if (reserve(bytes))
      return true;
  return false;
}
