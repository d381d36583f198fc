//===- SafetensorsHeader.h - What a weights file says of itself -----------===//

#ifndef QTALE_LIB_RUNTIME_SAFETENSORSHEADER_H
#define QTALE_LIB_RUNTIME_SAFETENSORSHEADER_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace qtale::rt {

/// Names, bytes and metadata of a safetensors file. dtype and shape are left
/// out: compiled code knows them.
struct SafetensorsHeader {
  struct Tensor {
    uint64_t begin = 0, end = 0; // in the data section
  };
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads the JSON text of a header. Any text is safe to give. Returns null, or
/// what is wrong with it; `position` is then where.
const char *parseSafetensorsHeader(std::string_view json,
                                   SafetensorsHeader &header, size_t &position);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_SAFETENSORSHEADER_H
