//===- WeightsFile.h - The weights, mapped --------------------------------===//

#ifndef QTALE_LIB_RUNTIME_WEIGHTSFILE_H
#define QTALE_LIB_RUNTIME_WEIGHTSFILE_H

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <string>

namespace qtale::rt {

class WeightsFile {
public:
  WeightsFile() = default;
  WeightsFile(const WeightsFile &) = delete;
  WeightsFile &operator=(const WeightsFile &) = delete;
  ~WeightsFile();

  /// Finds and maps the weights of `module`: the file `path`; or, where that is
  /// null, those inside `artifact` (a bundle), or the file beside it. Refuses
  /// what does not belong to the module.
  int32_t open(const qtale_module &module, const std::string &artifact,
               const char *path, qtale_error *error);

  /// The data section: where offsets in compiled code count from. 64-byte
  /// aligned.
  const uint8_t *data() const { return bytes + header; }

  /// Hashes every tensor and compares it with the header.
  int32_t verify(qtale_error *error) const;

private:
  int32_t openFile(qtale_error *error);
  int32_t findBundle(qtale_error *error);
  int32_t checkSize(uint64_t expected, qtale_error *error) const;
  int32_t map(qtale_error *error);
  int32_t checkHeader(const uint8_t *start, qtale_error *error) const;
  int32_t read(uint64_t at, void *buffer, uint64_t count,
               qtale_error *error) const;
  int32_t hashRange(uint64_t begin, uint64_t end, std::string &digits,
                    qtale_error *error) const;

  std::string path;
  int fd = -1;
  uint64_t offset = 0; // of the weights in the file
  uint64_t length = 0;
  uint64_t header = 0;                 // bytes before the data section
  const uint8_t *headerHash = nullptr; // what they should hash to
  bool bundled = false;
  void *mapping = nullptr;
  uint64_t mappedBytes = 0;
  const uint8_t *bytes = nullptr; // the weights' first byte
};

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_WEIGHTSFILE_H
