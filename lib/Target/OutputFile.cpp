//===- OutputFile.cpp - Files that appear whole or not at all -------------===//

#include "OutputFile.h"

#include "llvm/Support/Errno.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <vector>

using namespace llvm;
using namespace qtale;

/// What x86-64, and AArch64 with pages of 4 KiB, map at once.
static constexpr uint64_t blockBytes = 2 << 20;

static Error cannotWrite(StringRef path, const Twine &why) {
  return createStringError("can't write '" + path + "': " + why);
}

Expected<OutputFile> OutputFile::create(StringRef path) {
  if (sys::fs::is_directory(path))
    return cannotWrite(path, "it is a folder");
  // Renaming would put a file in the place of a device.
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path))
    return cannotWrite(path, "it is no regular file");
  SmallString<128> model(sys::path::parent_path(path));
  sys::path::append(model, "." + sys::path::filename(path) + ".%%%%%%%%");
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(model);
  if (!file)
    return cannotWrite(path, toString(file.takeError()));
  return OutputFile(path.str(), std::move(*file));
}

OutputFile::OutputFile(OutputFile &&other)
    : path(std::move(other.path)), file(std::move(other.file)),
      mutex(std::move(other.mutex)), blocks(std::move(other.blocks)) {
  other.file.reset();
}

OutputFile::~OutputFile() {
  if (file)
    consumeError(file->discard());
}

Error OutputFile::problem(const Twine &what) const {
  return cannotWrite(path, what);
}

Error OutputFile::write(uint64_t offset, ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    uint64_t within = offset % blockBytes;
    uint64_t count = std::min<uint64_t>(blockBytes - within, bytes.size());
    ArrayRef<uint8_t> part = bytes.take_front(count);
    std::vector<uint8_t> whole;
    if (count < blockBytes) {
      std::lock_guard<std::mutex> lock(*mutex);
      Block &block = blocks[offset - within];
      block.bytes.resize(blockBytes);
      memcpy(block.bytes.data() + within, part.data(), count);
      block.parts[within] = within + count;
      block.filled += count;
      if (block.filled == blockBytes) {
        whole = std::move(block.bytes);
        blocks.erase(offset - within);
      }
    }
    Error error = Error::success();
    if (count == blockBytes)
      error = writeNow(offset, part);
    else if (!whole.empty())
      error = writeNow(offset - within, whole);
    if (error)
      return error;
    bytes = bytes.drop_front(count);
    offset += count;
  }
  return Error::success();
}

Error OutputFile::flush() {
  for (auto &[offset, block] : blocks)
    for (auto [begin, end] : block.parts)
      if (Error error = writeNow(
              offset + begin, ArrayRef(block.bytes).slice(begin, end - begin)))
        return error;
  blocks.clear();
  return Error::success();
}

Error OutputFile::writeNow(uint64_t offset, ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t written = pwrite(file->FD, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return problem(sys::StrError());
    bytes = bytes.drop_front(written);
    offset += written;
  }
  return Error::success();
}

Expected<uint64_t> OutputFile::getSize() {
  if (Error error = flush())
    return std::move(error);
  sys::fs::file_status status;
  if (std::error_code code = sys::fs::status(getTemporaryPath(), status))
    return problem(code.message());
  return status.getSize();
}

Error OutputFile::append(uint64_t offset, StringRef from) {
  Expected<sys::fs::file_t> input = sys::fs::openNativeFileForRead(from);
  if (!input)
    return input.takeError();
  std::vector<char> buffer(4 << 20);
  Error error = Error::success();
  while (!error) {
    Expected<size_t> got = sys::fs::readNativeFile(*input, buffer);
    if (!got)
      error = got.takeError();
    else if (*got == 0)
      break;
    else
      error = write(offset,
                    {reinterpret_cast<const uint8_t *>(buffer.data()), *got});
    offset += error ? 0 : *got;
  }
  sys::fs::closeFile(*input);
  return error;
}

Error OutputFile::makeExecutable() {
  unsigned mask = sys::fs::getUmask();
  auto mode = static_cast<sys::fs::perms>(0777 & ~mask);
  if (std::error_code code = sys::fs::setPermissions(file->FD, mode))
    return problem(code.message());
  return Error::success();
}

Error OutputFile::keep() {
  if (Error error = flush())
    return error;
  Error error = file->keep(path);
  if (error)
    return problem(toString(std::move(error)));
  file.reset();
  return Error::success();
}

Error OutputFile::keepBoth(OutputFile &first, OutputFile &second) {
  // A second name for what is replaced. File systems without such names lose it
  // if the second file can't be named, which on full disks it still can.
  std::string older = first.file->TmpName + ".older";
  bool replaces = !sys::fs::create_hard_link(first.path, older);
  if (replaces)
    sys::RemoveFileOnSignal(older);
  Error error = first.keep();
  if (!error) {
    error = second.keep();
    if (error && replaces)
      replaces = sys::fs::rename(older, first.path).operator bool();
    else if (error)
      sys::fs::remove(first.path);
  }
  if (replaces)
    sys::fs::remove(older);
  sys::DontRemoveFileOnSignal(older);
  return error;
}
