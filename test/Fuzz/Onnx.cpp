//===- Onnx.cpp - Fuzzes the reader of ONNX models, and what follows ------===//
//
//   bytes ─▶ file in a folder of its own ─▶ importOnnx ─▶ all stages
//            beside w.bin, 64 KiB of zeros, for external data
//
// A serialized model, or with QTALE_FUZZ_TEXT the text of .onnxtxt.
//
//===----------------------------------------------------------------------===//

#include "Compile.h"
#include "Folder.h"
#include "ProtoMutator.h"
#include "TextMutator.h"
#include "qtale/Import/Onnx/Import.h"

#include "mlir/IR/OwningOpRef.h"

#ifdef QTALE_FUZZ_TEXT
static constexpr char name[] = "m.onnxtxt";
static constexpr auto mutate = fuzz::mutateTextInput;
#else
static constexpr char name[] = "m.onnx";
static constexpr auto mutate = fuzz::mutateProtoInput;
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::Folder folder;
  static const std::string weights =
      folder.write("w.bin", std::string(64 << 10, 0));
  std::string path =
      folder.write(name, {reinterpret_cast<const char *>(data), size});
  mlir::OwningOpRef<mlir::ModuleOp> module =
      qtale::importOnnx(path, &fuzz::context());
  if (module)
    fuzz::compile(*module);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t capacity, unsigned seed) {
  return mutate(data, size, capacity, seed);
}
