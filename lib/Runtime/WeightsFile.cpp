//===- WeightsFile.cpp - The weights, mapped ------------------------------===//
//
//   m.safetensors     | length 8 | header, spaces | data section …           |
//                     |<----- weights_header ---->|  64-byte aligned
//
//   a bundle          | ELF … | the same, page-aligned … | footer 32 |
//                                                  "QTALEWTS" offset length 1
//
// The code holds the file's size and the hash of its header; the header holds
// the hash of each tensor. Opening compares the first two, which takes no time;
// verify() reads everything.
//
//===----------------------------------------------------------------------===//

#include "WeightsFile.h"

#include "Error.h"
#include "SafetensorsHeader.h"
#include "Sha256.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace qtale::rt;

static constexpr char remedy[] =
    "compile again, or pass the weights file written with this artifact";

static uint64_t loadLittleEndian(const uint8_t *p) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i)
    value = value << 8 | p[i];
  return value;
}

/// Reads exactly `count` bytes; false with errno set, 0 at the file's end.
static bool readAt(int fd, void *buffer, uint64_t count, uint64_t offset) {
  uint8_t *next = static_cast<uint8_t *>(buffer);
  while (count) {
    ssize_t got = pread(fd, next, count, offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      errno = got ? errno : 0;
      return false;
    }
    next += got, count -= got, offset += got;
  }
  return true;
}

WeightsFile::~WeightsFile() {
  if (mapping)
    munmap(mapping, mappedBytes);
  if (fd >= 0)
    close(fd);
}

int32_t WeightsFile::open(const qtale_module &module,
                          const std::string &artifact, const char *given,
                          qtale_error *error) {
  if (given) {
    path = given;
    if (int32_t code = openFile(error))
      return code;
  } else {
    if (artifact.empty())
      return fail(error, QTALE_IO,
                  "the system does not say where this artifact lies; pass the "
                  "weights file's path");
    path = artifact;
    if (int32_t code = openFile(error))
      return code;
    if (int32_t code = findBundle(error))
      return code;
    if (!bundled) {
      close(fd);
      fd = -1;
      path.resize(path.rfind('/') + 1); // npos + 1 is 0
      path += module.weights_file;
      if (int32_t code = openFile(error))
        return code;
    }
  }
  header = module.weights_header;
  headerHash = module.header_hash;
  if (int32_t code = checkSize(module.weights_bytes, error))
    return code;
  if (int32_t code = map(error))
    return code;
  return checkHeader(bytes, error);
}

int32_t WeightsFile::openFile(qtale_error *error) {
  // (A pipe must not be waited for.)
  fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail(error, errno == ENOENT ? QTALE_NOT_FOUND : QTALE_IO,
                "%s: can't open the weights: %s; pass the weights file written "
                "with this artifact, or put it beside the artifact",
                path.c_str(), strerror(errno));
  struct stat status;
  if (fstat(fd, &status))
    return fail(error, QTALE_IO, "%s: can't read the weights: %s", path.c_str(),
                strerror(errno));
  if (!S_ISREG(status.st_mode))
    return fail(error, QTALE_IO,
                "%s: not a file; pass the weights file written with this "
                "artifact",
                path.c_str());
  length = status.st_size;
  return QTALE_OK;
}

int32_t WeightsFile::findBundle(qtale_error *error) {
  uint8_t footer[32];
  if (length < sizeof(footer))
    return QTALE_OK;
  if (!readAt(fd, footer, sizeof(footer), length - sizeof(footer)))
    return fail(error, QTALE_IO, "%s: can't read the last 32 bytes: %s",
                path.c_str(), strerror(errno));
  if (memcmp(footer, "QTALEWTS", 8))
    return QTALE_OK;
  uint64_t first = loadLittleEndian(footer + 8);
  uint64_t count = loadLittleEndian(footer + 16);
  uint64_t version = loadLittleEndian(footer + 24);
  if (version != 1)
    return fail(error, QTALE_CORRUPT,
                "%s: its bundle has version %llu, this runtime reads 1; "
                "compile again",
                path.c_str(), (unsigned long long)version);
  uint64_t room = length - sizeof(footer);
  if (first > room || count > room - first || first % 64)
    return fail(error, QTALE_CORRUPT,
                "%s: its bundle claims %llu bytes of weights at %llu, but the "
                "file has %llu bytes; compile again",
                path.c_str(), (unsigned long long)count,
                (unsigned long long)first, (unsigned long long)length);
  bundled = true;
  offset = first;
  length = count;
  return QTALE_OK;
}

int32_t WeightsFile::checkSize(uint64_t expected, qtale_error *error) const {
  if (length == expected)
    return QTALE_OK;
  return fail(error, QTALE_CORRUPT,
              "%s: the weights have %llu bytes, this artifact's have %llu; %s",
              path.c_str(), (unsigned long long)length,
              (unsigned long long)expected, remedy);
}

/// Maps `bytes` of a file where addresses and offsets agree modulo a huge page,
/// and asks for such pages: where the file system keeps large folios, a table
/// walk then finds 2 MiB of weights, not 4 KiB. Elsewhere nothing is lost.
static void *mapForHugePages(int fd, uint64_t offset, uint64_t bytes) {
  constexpr uint64_t huge = 2 << 20;
  uint64_t reserved = bytes + huge;
  void *range =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (range == MAP_FAILED)
    return MAP_FAILED;
  uint8_t *first = static_cast<uint8_t *>(range);
  uint64_t skip = (offset - reinterpret_cast<uintptr_t>(first)) % huge;
  uint8_t *start = first + skip;
  void *mapped =
      mmap(start, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, offset);
  if (mapped == MAP_FAILED) {
    int reason = errno;
    munmap(range, reserved);
    errno = reason;
    return MAP_FAILED;
  }
  if (skip)
    munmap(first, skip);
  uint64_t page = sysconf(_SC_PAGESIZE);
  uint8_t *end = start + (bytes + page - 1) / page * page;
  if (end < first + reserved)
    munmap(end, first + reserved - end);
  madvise(mapped, bytes, MADV_HUGEPAGE);
  return mapped;
}

int32_t WeightsFile::map(qtale_error *error) {
  uint64_t before = offset % sysconf(_SC_PAGESIZE);
  mappedBytes = before + length;
  mapping = mapForHugePages(fd, offset - before, mappedBytes);
  if (mapping == MAP_FAILED) {
    mapping = nullptr;
    return fail(error, errno == ENOMEM ? QTALE_OUT_OF_MEMORY : QTALE_IO,
                "%s: can't map %llu bytes: %s", path.c_str(),
                (unsigned long long)length, strerror(errno));
  }
  bytes = static_cast<const uint8_t *>(mapping) + before;
  return QTALE_OK;
}

int32_t WeightsFile::checkHeader(const uint8_t *start,
                                 qtale_error *error) const {
  uint64_t claimed = loadLittleEndian(start);
  if (claimed != header - 8)
    return fail(error, QTALE_CORRUPT,
                "%s: the header has %llu bytes, this artifact's has %llu; %s",
                path.c_str(), (unsigned long long)claimed,
                (unsigned long long)(header - 8), remedy);
  Sha256 hash;
  hash.update(start, header);
  Sha256::Digest found = hash.finish();
  if (memcmp(found.data(), headerHash, found.size()))
    return fail(error, QTALE_CORRUPT,
                "%s: the header's SHA-256 is %s, this artifact's is %s; %s",
                path.c_str(), hexDigits(found.data()).c_str(),
                hexDigits(headerHash).c_str(), remedy);
  return QTALE_OK;
}

int32_t WeightsFile::read(uint64_t at, void *buffer, uint64_t count,
                          qtale_error *error) const {
  if (readAt(fd, buffer, count, offset + at))
    return QTALE_OK;
  if (errno)
    return fail(error, QTALE_IO, "%s: can't read: %s", path.c_str(),
                strerror(errno));
  return fail(error, QTALE_CORRUPT,
              "%s: the file was cut since it was opened; %s", path.c_str(),
              remedy);
}

int32_t WeightsFile::hashRange(uint64_t begin, uint64_t end,
                               std::string &digits, qtale_error *error) const {
  constexpr uint64_t piece = 1 << 20;
  auto buffer = std::make_unique<uint8_t[]>(piece);
  Sha256 hash;
  for (uint64_t at = begin; at < end; at += piece) {
    uint64_t count = std::min(piece, end - at);
    if (int32_t code = read(header + at, buffer.get(), count, error))
      return code;
    hash.update(buffer.get(), count);
  }
  digits = hexDigits(hash.finish().data());
  return QTALE_OK;
}

int32_t WeightsFile::verify(qtale_error *error) const {
  if (fd < 0)
    return QTALE_OK; // a model without weights
  // Read, not mapped: a file cut short since is then an error, not a signal,
  // and its pages do not count as this process's.
  auto start = std::make_unique<uint8_t[]>(header);
  if (int32_t code = read(0, start.get(), header, error))
    return code;
  if (int32_t code = checkHeader(start.get(), error))
    return code;
  SafetensorsHeader contents;
  size_t position = 0;
  std::string_view json(reinterpret_cast<const char *>(start.get()) + 8,
                        header - 8);
  if (const char *problem = parseSafetensorsHeader(json, contents, position))
    return fail(error, QTALE_CORRUPT, "%s: byte %zu of the header: %s; %s",
                path.c_str(), position, problem, remedy);

  // In the file's order, so that every byte is seen to belong to a tensor.
  using Entry = std::pair<const std::string, SafetensorsHeader::Tensor>;
  std::vector<const Entry *> order;
  for (const Entry &entry : contents.tensors)
    order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry *a, const Entry *b) {
    return std::pair(a->second.begin, a->second.end) <
           std::pair(b->second.begin, b->second.end);
  });
  uint64_t covered = 0;
  for (const Entry *entry : order) {
    const auto &[name, range] = *entry;
    if (range.begin != covered || range.end > length - header)
      return fail(error, QTALE_CORRUPT,
                  "%s: tensor '%s' has bytes %llu to %llu, the one before ends "
                  "at %llu, the file at %llu; %s",
                  path.c_str(), name.c_str(), (unsigned long long)range.begin,
                  (unsigned long long)range.end, (unsigned long long)covered,
                  (unsigned long long)(length - header), remedy);
    covered = range.end;
    std::string found, expected = contents.metadata["sha256." + name];
    if (int32_t code = hashRange(range.begin, range.end, found, error))
      return code;
    if (found != expected)
      return fail(error, QTALE_CORRUPT,
                  "%s: tensor '%s' has the SHA-256 %s, its header says %s; %s",
                  path.c_str(), name.c_str(), found.c_str(),
                  expected.empty() ? "nothing" : expected.c_str(), remedy);
  }
  if (covered != length - header)
    return fail(error, QTALE_CORRUPT,
                "%s: %llu bytes after the last tensor; %s", path.c_str(),
                (unsigned long long)(length - header - covered), remedy);
  return QTALE_OK;
}
