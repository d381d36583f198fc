//===- Artifact.cpp - From the stage llvm to files ------------------------===//
//
//   weights   -> m.safetensors (temporary name) ─┐ size, hash of the header
//   levels    -> objects ─────────────┐          ▼
//   attributes, tokenizer ────────────┼──> descriptor.o
//                                     ▼
//                          link -> m.so (temporary name) -> both get their
//                          names
//
// A bundle holds the weights itself:
//
//   | ELF … | zeros | weights file … | "QTALEWTS" | offset | length | 1 |
//           a page's multiple ^        the last 32 bytes, little-endian
//
//===----------------------------------------------------------------------===//

#include "qtale/Target/Artifact.h"
#include "Descriptor.h"
#include "Link.h"
#include "Object.h"
#include "OutputFile.h"
#include "WeightsWriter.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace qtale;
using llvm::Error;
using llvm::Expected;

/// Pages of all systems (AArch64's may be 64 KiB).
static constexpr uint64_t pageBytes = 64 << 10;

namespace {

class ArtifactWriter {
public:
  ArtifactWriter(ModuleOp module, const ArtifactOptions &options)
      : module(module), options(options) {}

  LogicalResult write();

private:
  /// Objects of the levels and the descriptor, linked; the ELF file's path.
  FailureOr<std::string> build(const ScratchFolder &scratch,
                               const WeightsFileInfo &weights);
  Error appendWeights(OutputFile &artifact, const OutputFile &weights);
  LogicalResult fail(Error error) {
    return module.emitError(toString(std::move(error)));
  }

  ModuleOp module;
  const ArtifactOptions &options;
};

} // namespace

LogicalResult ArtifactWriter::write() {
  if (options.bundle && options.kind == ArtifactOptions::Object)
    return module.emitError("an object can't hold its weights: --bundle is for "
                            "libraries and programs");
  llvm::SmallString<128> weightsPath(options.output);
  llvm::sys::path::replace_extension(weightsPath, "safetensors");
  if (weightsPath == options.output)
    return module.emitError("'")
           << options.output
           << "' is the name of the weights file; choose another output";

  // The cheap checks come first: writing weights can take a minute.
  Expected<ScratchFolder> scratch = ScratchFolder::create();
  if (!scratch)
    return fail(scratch.takeError());
  Expected<OutputFile> artifact = OutputFile::create(options.output);
  if (!artifact)
    return fail(artifact.takeError());
  Expected<OutputFile> weights = OutputFile::create(weightsPath);
  if (!weights)
    return fail(weights.takeError());

  FailureOr<WeightsFileInfo> info =
      writeWeights(module, options.sourceFolder, *weights, options.progress);
  if (failed(info))
    return failure();
  FailureOr<std::string> elf = build(*scratch, *info);
  if (failed(elf))
    return failure();

  if (Error error = artifact->append(0, *elf))
    return fail(std::move(error));
  if (options.bundle)
    if (Error error = appendWeights(*artifact, *weights))
      return fail(std::move(error));
  if (options.kind != ArtifactOptions::Object)
    if (Error error = artifact->makeExecutable())
      return fail(std::move(error));
  if (!options.bundle)
    if (Error error = weights->keep())
      return fail(std::move(error));
  if (Error error = artifact->keep())
    return fail(std::move(error));
  return success();
}

FailureOr<std::string> ArtifactWriter::build(const ScratchFolder &scratch,
                                             const WeightsFileInfo &weights) {
  FailureOr<std::vector<LevelObject>> levels =
      emitLevels(module, options.progress);
  if (failed(levels))
    return failure();
  auto descriptor =
      emitDescriptor(module, *levels, weights, options.sourceFolder);
  if (failed(descriptor))
    return failure();

  std::vector<std::string> objects;
  auto put = [&](const llvm::Twine &name, llvm::ArrayRef<char> bytes) {
    Expected<std::string> path = scratch.write(name.str(), bytes);
    if (!path)
      return fail(path.takeError());
    objects.push_back(*path);
    return LogicalResult(success());
  };
  for (auto [i, level] : llvm::enumerate(*levels))
    if (failed(put("level" + llvm::Twine(i) + ".o", level.object)))
      return failure();
  if (failed(put("descriptor.o", *descriptor)))
    return failure();

  std::string elf = scratch.getFile("linked");
  if (Error error = link(options.kind, getTargetTriple(module), objects,
                         options.toolPath, scratch, elf)) {
    (void)fail(std::move(error));
    return failure();
  }
  return elf;
}

Error ArtifactWriter::appendWeights(OutputFile &artifact,
                                    const OutputFile &weights) {
  Expected<uint64_t> size = artifact.getSize();
  if (!size)
    return size.takeError();
  Expected<uint64_t> length = weights.getSize();
  if (!length)
    return length.takeError();
  uint64_t offset = llvm::alignTo(*size, pageBytes);
  if (Error error = artifact.append(offset, weights.getTemporaryPath()))
    return error;
  uint8_t footer[32] = {'Q', 'T', 'A', 'L', 'E', 'W', 'T', 'S'};
  llvm::support::endian::write64le(footer + 8, offset);
  llvm::support::endian::write64le(footer + 16, *length);
  llvm::support::endian::write64le(footer + 24, 1); // version
  return artifact.write(offset + *length, footer);
}

LogicalResult qtale::writeArtifact(ModuleOp module,
                                   const ArtifactOptions &options) {
  return ArtifactWriter(module, options).write();
}
