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
  Error writeFiles(const ScratchFolder &scratch, const Linker &linker,
                   llvm::ArrayRef<std::string> objects, OutputFile &artifact,
                   OutputFile &weights);
  Error appendWeights(OutputFile &artifact, OutputFile &weights);
  LogicalResult fail(Error error) {
    return emitError(module.getLoc(), toString(std::move(error)));
  }

  ModuleOp module;
  const ArtifactOptions &options;
};

} // namespace

LogicalResult ArtifactWriter::write() {
  if (options.bundle && options.kind == ArtifactOptions::Object)
    return emitError(module.getLoc(),
                     "an object can't hold its weights: --bundle is for "
                     "libraries and programs");
  std::string weightsPath = getWeightsPath(options.output);
  if (weightsPath == options.output)
    return emitError(module.getLoc(), "'")
           << options.output
           << "' is the name of the weights file; choose another output";

  // What can fail comes first: writing weights can take a minute.
  Expected<OutputFile> artifact = OutputFile::create(options.output);
  if (!artifact)
    return fail(artifact.takeError());
  Expected<OutputFile> weights = OutputFile::create(weightsPath);
  if (!weights)
    return fail(weights.takeError());
  Expected<ScratchFolder> scratch = ScratchFolder::create();
  if (!scratch)
    return fail(scratch.takeError());
  std::string triple = getTargetTriple(module);
  auto machine = makeMachine(triple, "", "");
  if (!machine)
    return fail(machine.takeError());
  Expected<Linker> linker =
      Linker::find(options.kind, triple, options.toolPath);
  if (!linker)
    return fail(linker.takeError());
  FailureOr<std::vector<LevelObject>> levels =
      emitLevels(module, options.progress);
  if (failed(levels))
    return failure();
  FailureOr<Description> description =
      readDescription(module, *levels, options.sourceFolder);
  if (failed(description))
    return failure();

  FailureOr<WeightsFileInfo> info =
      writeWeights(module, options.sourceFolder, *weights, options.progress);
  if (failed(info))
    return failure();

  std::vector<std::string> objects;
  auto put = [&](const llvm::Twine &name, llvm::ArrayRef<char> bytes) -> Error {
    Expected<std::string> path = scratch->write(name.str(), bytes);
    if (!path)
      return path.takeError();
    objects.push_back(std::move(*path));
    return Error::success();
  };
  for (auto [i, level] : llvm::enumerate(*levels))
    if (Error error = put("level" + llvm::Twine(i) + ".o", level.object))
      return fail(std::move(error));
  auto descriptor = emitDescriptor(module, *description, *levels, *info);
  if (!descriptor)
    return fail(descriptor.takeError());
  if (Error error = put("descriptor.o", *descriptor))
    return fail(std::move(error));
  if (Error error = writeFiles(*scratch, *linker, objects, *artifact, *weights))
    return fail(std::move(error));
  return success();
}

Error ArtifactWriter::writeFiles(const ScratchFolder &scratch,
                                 const Linker &linker,
                                 llvm::ArrayRef<std::string> objects,
                                 OutputFile &artifact, OutputFile &weights) {
  std::string linked = scratch.getFile("linked");
  if (Error error = linker.link(objects, scratch, linked))
    return error;
  if (Error error = artifact.append(0, linked))
    return error;
  if (options.kind != ArtifactOptions::Object)
    if (Error error = artifact.makeExecutable())
      return error;
  if (options.bundle)
    if (Error error = appendWeights(artifact, weights))
      return error;
  // The disk may be full yet; then neither file must have its name.
  if (Error error = artifact.flush())
    return error;
  return options.bundle ? artifact.keep()
                        : OutputFile::keepBoth(weights, artifact);
}

Error ArtifactWriter::appendWeights(OutputFile &artifact, OutputFile &weights) {
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

std::string qtale::getWeightsPath(StringRef output) {
  llvm::SmallString<128> path(output);
  llvm::sys::path::replace_extension(path, "safetensors");
  return path.str().str();
}

LogicalResult qtale::writeArtifact(ModuleOp module,
                                   const ArtifactOptions &options) {
  return ArtifactWriter(module, options).write();
}
