//===- Artifact.cpp - Fuzzes what is read of an artifact and its weights --===//
//
//   bytes ─▶ a library    qtale-run's look at the headers; the bundle's footer
//         ─▶ weights      opened and verified by a module that expects them
//         ─▶ JSON         a safetensors header; a model's description
//         ─▶ NPY          an input of qtale-run
//
// The module holds size and hash of what it is given: every file is that of the
// same compile, so that reading goes on to the end.
//
//===----------------------------------------------------------------------===//

#include "FakeModule.h"
#include "Folder.h"
#include "Run/ElfFile.h"
#include "Run/Json.h"
#include "Run/Npy.h"
#include "SafetensorsHeader.h"
#include "Sha256.h"
#include "WeightsFile.h"

#include <cstdlib>
#include <cstring>

using namespace qtale::rt;

/// What a module says of weights that begin with these bytes.
struct Expected {
  Sha256::Digest hash;
  qtale_module module = fake::module;

  Expected(const uint8_t *data, size_t size) {
    uint64_t length = 0;
    if (size >= 8)
      std::memcpy(&length, data, 8);
    uint64_t header = 8 + std::min<uint64_t>(length, size < 8 ? 0 : size - 8);
    if (size < 8)
      header = size;
    Sha256 sum;
    sum.update(data, header);
    hash = sum.finish();
    module.weights_bytes = size;
    module.weights_header = header;
    module.header_hash = hash.data();
  }
};

static void openWeights(const qtale_module &module, const std::string &artifact,
                        const char *path) {
  WeightsFile weights;
  qtale_error error;
  if (weights.open(module, artifact, path, &error) == QTALE_OK)
    (void)weights.verify(&error);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::Folder folder;
  std::string_view bytes(reinterpret_cast<const char *>(data), size);
  std::string path = folder.write("m.npy", bytes);

  if (std::FILE *file = std::fopen(path.c_str(), "rb")) {
    (void)qtale::run::findElfProblem(file, size);
    std::fclose(file);
  }
  qtale::run::Npy array;
  (void)qtale::run::readNpy(path, array);
  (void)qtale::run::jsonTable(std::string(bytes));

  SafetensorsHeader header;
  size_t position;
  if (parseSafetensorsHeader(bytes, header, position) && position > size)
    std::abort();
  if (size < 8)
    return 0; // smaller than what any module expects
  openWeights(Expected(data, size).module, "", path.c_str());

  // A bundle: weights of the size that its footer gives.
  if (size < 32)
    return 0;
  uint64_t first, count;
  std::memcpy(&first, data + size - 24, 8);
  std::memcpy(&count, data + size - 16, 8);
  bool holds = first <= size && count <= size - first && count >= 8;
  openWeights(holds ? Expected(data + first, count).module : fake::module, path,
              nullptr);
  return 0;
}
