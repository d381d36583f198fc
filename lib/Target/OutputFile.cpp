//===- OutputFile.cpp - Files that appear whole or not at all -------------===//

#include "OutputFile.h"

#include "llvm/Support/Errno.h"
#include "llvm/Support/Path.h"
#include <cerrno>
#include <unistd.h>
#include <vector>

using namespace llvm;
using namespace qtale;

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
    : path(std::move(other.path)), file(std::move(other.file)) {
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

Expected<uint64_t> OutputFile::getSize() const {
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
  Error error = file->keep(path);
  if (error)
    return problem(toString(std::move(error)));
  file.reset();
  return Error::success();
}
