//===- WeightsFile.cpp - From recipes to a safetensors file ---------------===//
//
//   weights, in the order of their bytes, cut into chunks
//     │ c0 │ c1 │ c2 │ c3 │ …
//       ▼    ▼                 each thread takes the next chunk, evaluates it
//      T0   T1                 in its own buffers, adds it to the tensor's hash
//       │    │                 when its turn comes, and writes it at its place
//       ▼    ▼
//   file (temporary name), header last, then renamed
//
// Temporary memory is bounded for all threads together; mapped source pages are
// released behind (SourceFiles.h).
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "Pack.h"
#include "WeightsLayout.h"
#include "WeightsWriter.h"

#include "llvm/Support/Path.h"
#include "llvm/Support/Threading.h"
#include <condition_variable>
#include <mutex>
#include <thread>

using namespace mlir;
using namespace qtale;
using llvm::Error;
using llvm::Expected;

namespace {

/// Of all threads together.
constexpr uint64_t temporaryBytes = 48 << 20;
constexpr uint64_t maxChunkBytes = 4 << 20;
constexpr uint64_t minScratchBytes = 64 << 10;
constexpr uint64_t maxScratchBytes = 1 << 20;

/// How one weight is evaluated.
struct Evaluation {
  const PlacedWeight *weight;
  PackInput input;
  PackedAttr packed;  // null: plain elements
  uint64_t unitBytes; // a tile or an element of the result
  uint64_t units;
  Sha256 hash;
  uint64_t hashed = 0; // bytes
};

struct Chunk {
  size_t weight;
  uint64_t begin, count; // units
};

class Writer {
public:
  Writer(llvm::ArrayRef<PlacedWeight> weights, uint64_t dataBegin,
         OutputFile &file, ProgressFn progress)
      : weights(weights), dataBegin(dataBegin), file(file), progress(progress) {
  }

  LogicalResult prepare(SourceFiles &files);
  /// Evaluates and writes everything; the hash of each weight.
  FailureOr<std::vector<Sha256::Digest>> run();

private:
  void cutIntoChunks();
  void work();
  Error process(const Chunk &chunk, std::vector<uint8_t> &out,
                llvm::MutableArrayRef<float> scratch);
  bool addToHash(Evaluation &evaluation, uint64_t at,
                 llvm::ArrayRef<uint8_t> bytes);

  llvm::ArrayRef<PlacedWeight> weights;
  uint64_t dataBegin;
  OutputFile &file;
  ProgressFn progress;

  std::vector<Evaluation> evaluations;
  std::vector<Chunk> chunks;
  unsigned threads = 1;
  uint64_t chunkBytes = maxChunkBytes, scratchBytes = maxScratchBytes;
  uint64_t allBytes = 0;

  std::mutex mutex;
  std::condition_variable turn;
  size_t nextChunk = 0;
  uint64_t doneBytes = 0;
  // The failure of the first chunk that failed. All chunks before it have been
  // handed out, so that it is the same one in every run.
  size_t failedChunk = SIZE_MAX;
  std::string problem;
};

} // namespace

LogicalResult Writer::prepare(SourceFiles &files) {
  bool failed = false;
  for (const PlacedWeight &weight : weights) {
    WeightOp op = weight.op;
    RankedTensorType type = weight.type;
    RecipeAttrInterface recipe = op.getRecipe();
    auto packed = dyn_cast_or_null<PackedAttr>(type.getEncoding());
    if (auto pack = dyn_cast<PackAttr>(recipe))
      recipe = pack.getInput();
    Expected<PackInput> input = makePackInput(recipe, files);
    if (!input) {
      emitError(op.getLoc(), "weight @")
          << weight.name << ": " << toString(input.takeError());
      failed = true;
      continue;
    }
    uint64_t unitBytes =
        packed ? packed.getTileBytes(type.getDimSize(1))
               : llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    uint64_t units = unitBytes ? weight.bytes / unitBytes : 0;
    evaluations.push_back(
        {&weight, std::move(*input), packed, unitBytes, units, Sha256()});
    allBytes += weight.padded;
  }
  if (failed)
    return failure();
  cutIntoChunks();
  return success();
}

void Writer::cutIntoChunks() {
  uint64_t largest = 1;
  for (const Evaluation &evaluation : evaluations)
    largest = std::max(largest, evaluation.unitBytes);
  uint64_t wanted =
      std::max(1u, llvm::hardware_concurrency().compute_thread_count());
  uint64_t fitting = temporaryBytes / (largest + minScratchBytes);
  threads = std::clamp<uint64_t>(wanted, 1, std::max<uint64_t>(fitting, 1));
  uint64_t share = temporaryBytes / threads;
  scratchBytes = std::clamp(share / 4, minScratchBytes, maxScratchBytes);
  chunkBytes = std::min(share - std::min(share, scratchBytes), maxChunkBytes);

  for (auto [index, evaluation] : llvm::enumerate(evaluations)) {
    uint64_t unit = std::max<uint64_t>(evaluation.unitBytes, 1);
    uint64_t step = std::max<uint64_t>(chunkBytes / unit, 1);
    for (uint64_t begin = 0; begin < evaluation.units; begin += step)
      chunks.push_back(
          {index, begin, std::min(step, evaluation.units - begin)});
  }
}

FailureOr<std::vector<Sha256::Digest>> Writer::run() {
  std::vector<std::thread> team;
  for (unsigned i = 1; i < threads; ++i)
    team.emplace_back([this] { work(); });
  work();
  for (std::thread &thread : team)
    thread.join();
  if (failedChunk != SIZE_MAX) {
    const PlacedWeight &weight =
        *evaluations[chunks[failedChunk].weight].weight;
    WeightOp op = weight.op;
    emitError(op.getLoc(), "weight @") << weight.name << ": " << problem;
    return failure();
  }
  std::vector<Sha256::Digest> hashes;
  for (Evaluation &evaluation : evaluations)
    hashes.push_back(evaluation.hash.finish());
  return hashes;
}

void Writer::work() {
  std::vector<uint8_t> out;
  std::vector<float> scratch(scratchBytes / sizeof(float));
  while (true) {
    size_t index;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (failedChunk != SIZE_MAX || nextChunk == chunks.size())
        return;
      index = nextChunk++;
    }
    Error error = process(chunks[index], out, scratch);
    std::lock_guard<std::mutex> lock(mutex);
    if (error) {
      std::string text = toString(std::move(error));
      if (index < failedChunk) {
        failedChunk = index;
        problem = std::move(text);
      }
      turn.notify_all();
      return;
    }
    doneBytes += out.size();
    if (progress)
      progress("weights", doneBytes, allBytes);
  }
}

Error Writer::process(const Chunk &chunk, std::vector<uint8_t> &out,
                      llvm::MutableArrayRef<float> scratch) {
  Evaluation &evaluation = evaluations[chunk.weight];
  const PlacedWeight &weight = *evaluation.weight;
  uint64_t at = chunk.begin * evaluation.unitBytes;
  uint64_t bytes = chunk.count * evaluation.unitBytes;
  if (at + bytes == weight.bytes)
    bytes += weight.padded - weight.bytes;
  out.assign(bytes, 0);

  Error error = evaluation.packed
                    ? packTiles(evaluation.input, evaluation.packed,
                                chunk.begin, chunk.count, out.data(), scratch)
                    : readElements(*evaluation.input.values, chunk.begin,
                                   chunk.count, out.data(), scratch);
  if (error)
    return error;
  if (!addToHash(evaluation, at, out))
    return Error::success(); // another chunk reports
  return file.write(dataBegin + weight.offset + at, out);
}

bool Writer::addToHash(Evaluation &evaluation, uint64_t at,
                       llvm::ArrayRef<uint8_t> bytes) {
  {
    std::unique_lock<std::mutex> lock(mutex);
    turn.wait(lock, [&] {
      return evaluation.hashed == at || failedChunk != SIZE_MAX;
    });
    if (failedChunk != SIZE_MAX)
      return false;
  }
  evaluation.hash.update(bytes.data(), bytes.size());
  {
    std::lock_guard<std::mutex> lock(mutex);
    evaluation.hashed += bytes.size();
  }
  turn.notify_all();
  return true;
}

FailureOr<WeightsFileInfo> qtale::writeWeights(ModuleOp module,
                                               llvm::StringRef sourceFolder,
                                               OutputFile &file,
                                               ProgressFn progress) {
  FailureOr<std::vector<PlacedWeight>> weights = placeWeights(module);
  if (failed(weights))
    return failure();
  auto fail = [&](Error error) {
    emitError(module.getLoc(), toString(std::move(error)));
    return failure();
  };

  uint64_t headerBytes =
      buildHeader(*weights, std::vector<Sha256::Digest>(weights->size()))
          .size();
  SourceFiles sources(sourceFolder);
  Writer writer(*weights, headerBytes, file, progress);
  if (failed(writer.prepare(sources)))
    return failure();
  FailureOr<std::vector<Sha256::Digest>> hashes = writer.run();
  if (failed(hashes))
    return failure();

  std::string header = buildHeader(*weights, *hashes);
  assert(header.size() == headerBytes && "hashes have one length");
  if (Error error = file.write(0, llvm::arrayRefFromStringRef(header)))
    return fail(std::move(error));
  Expected<uint64_t> size = file.getSize();
  if (!size)
    return fail(size.takeError());

  WeightsFileInfo info;
  info.fileName = llvm::sys::path::filename(file.getPath()).str();
  info.bytes = *size;
  info.headerBytes = headerBytes;
  Sha256 hash;
  hash.update(header.data(), header.size());
  info.headerHash = hash.finish();
  return info;
}

FailureOr<WeightsFileInfo> qtale::writeWeights(ModuleOp module,
                                               llvm::StringRef sourceFolder,
                                               llvm::StringRef path,
                                               ProgressFn progress) {
  Expected<OutputFile> file = OutputFile::create(path);
  if (!file) {
    emitError(module.getLoc(), toString(file.takeError()));
    return failure();
  }
  FailureOr<WeightsFileInfo> info =
      writeWeights(module, sourceFolder, *file, progress);
  if (failed(info))
    return failure();
  if (Error error = file->keep()) {
    emitError(module.getLoc(), toString(std::move(error)));
    return failure();
  }
  return info;
}
