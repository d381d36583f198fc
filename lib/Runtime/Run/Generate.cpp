//===- Generate.cpp - Text from a session ---------------------------------===//
//
//   prompt --tokenize--> BOS + ids --step--> logits --sample--> id --> stdout
//                                     ^                          |
//                                     +--------------------------+
//
//   It ends at --steps, at an end-of-sequence or --stop id, or where the
//   context is full. The token that ends it is not written.
//
//===----------------------------------------------------------------------===//

#include "Generate.h"
#include "Messages.h"
#include "Profiler.h"
#include "Prompt.h"
#include "Session.h"
#include "Stats.h"
#include "TextStream.h"
#include <algorithm>
#include <ctime>

using namespace qtale::run;

namespace {

/// Writes tokens as they come, as text or as "1,2,3".
class TokenWriter {
public:
  TokenWriter(const Artifact &artifact, bool asIds)
      : artifact(artifact), asIds(asIds) {}

  int write(int32_t previous, int32_t token);
  int finish();

private:
  const Artifact &artifact;
  bool asIds;
  bool first = true;
  TextStream stream;
  std::string bytes;
};

} // namespace

int TokenWriter::write(int32_t previous, int32_t token) {
  if (asIds) {
    std::string text = (first ? "" : ",") + std::to_string(token);
    first = false;
    return print(text) ? kDone : kFailed;
  }
  qtale_error failure;
  int32_t code = artifact.detokenize(previous, token, bytes, &failure);
  if (code == QTALE_UNSUPPORTED)
    return error("%s (--output=ids prints ids)", failure.message);
  if (code != QTALE_OK)
    return error("%s", failure.message);
  return print(stream.push(bytes)) ? kDone : kFailed;
}

int TokenWriter::finish() {
  return print(stream.finish() + "\n") ? kDone : kFailed;
}

/// Whether the tokenizer is there, before the model has worked for nothing.
static int checkOutput(const Artifact &artifact, const Options &options) {
  if (options.outputIds)
    return kDone;
  qtale_error failure;
  size_t length = 0;
  if (artifact.api->detokenize(artifact.model, -1, nullptr, 0, nullptr, 0,
                               &length, &failure) != QTALE_OK)
    return error("%s (--output=ids prints ids)", failure.message);
  return kDone;
}

static bool endsHere(const Artifact &artifact, const Options &options,
                     int32_t token) {
  const int64_t *eos = nullptr;
  int64_t count = artifact.api->model_eos(artifact.model, &eos);
  const std::vector<int32_t> &stops = options.stops;
  return std::find(eos, eos + count, token) != eos + count ||
         std::find(stops.begin(), stops.end(), token) != stops.end();
}

static uint64_t chooseSeed(const Options &options) {
  if (options.seed)
    return *options.seed;
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  // Short enough to be typed again.
  return (uint64_t(time.tv_sec) * 1000003u ^ uint64_t(time.tv_nsec)) % 1000000;
}

namespace {

/// One text: its tokens and how long they took.
struct Generation {
  const Artifact &artifact;
  const Options &options;
  Session &session;
  Profiler &profiler;
  TokenWriter writer;
  uint64_t seed;
  int64_t prompt = 0;  /// tokens
  int64_t written = 0; /// tokens
  int64_t decoded = 0; /// steps of a single token
  double promptSeconds = 0, decodeSeconds = 0;
  bool full = false;              /// it ended because the context did
  std::vector<int32_t> read = {}; /// by the session

  int write(std::vector<int32_t> tokens);
  double msPerToken() const;
  void report() const;
};

} // namespace

int Generation::write(std::vector<int32_t> tokens) {
  const qtale_api *api = artifact.api;
  int64_t context = api->model_context(artifact.model);
  int64_t steps = options.steps.value_or(256);
  Sampler sampler(options.sampling, seed);
  std::vector<float> logits;
  prompt = static_cast<int64_t>(tokens.size());
  double begin = now();
  while (written < steps) {
    // The last token needs no position: it is written, but not stepped over.
    int64_t position = api->session_position(session.handle);
    if (position >= context) {
      full = true;
      break;
    }
    if (int code = session.step(tokens, &logits,
                                profiler.section(position == 0 ? 0 : 1)))
      return code;
    read.insert(read.end(), tokens.begin(), tokens.end());
    if (position == 0)
      promptSeconds = now() - begin;
    else
      ++decoded;
    int32_t token =
        sampler.sample(logits.data(), static_cast<int64_t>(logits.size()));
    if (token < 0)
      return error(
          "the model's logits are not numbers at position %lld; its "
          "weights may be damaged (see --verify)",
          static_cast<long long>(api->session_position(session.handle) - 1));
    if (endsHere(artifact, options, token))
      break;
    if (int code = writer.write(tokens.back(), token))
      return code;
    ++written;
    tokens.assign(1, token);
  }
  decodeSeconds = now() - begin - promptSeconds;
  return kDone;
}

static std::string counted(int64_t tokens) {
  return std::to_string(tokens) + (tokens == 1 ? " token" : " tokens");
}

/// Of those decoded one by one; of the prompt, where there are none.
double Generation::msPerToken() const {
  if (decoded)
    return decodeSeconds / double(decoded) * 1e3;
  return read.empty() ? 0 : promptSeconds / double(read.size()) * 1e3;
}

void Generation::report() const {
  if (full)
    note("stopped: the context of %s is full",
         counted(artifact.api->model_context(artifact.model)).c_str());
  char speed[64] = "";
  if (decoded)
    std::snprintf(speed, sizeof(speed), " (%.1f tok/s decode)",
                  double(decoded) / decodeSeconds);
  std::string sampled;
  if (options.sampling.temperature > 0)
    sampled = ", seed " + std::to_string(seed);
  note("%s%s, prompt of %s in %.1f ms%s", counted(written).c_str(), speed,
       counted(prompt).c_str(), promptSeconds * 1e3, sampled.c_str());
}

int qtale::run::generate(const Artifact &artifact, const Options &options) {
  Session session(artifact);
  if (int code = session.create(options))
    return code;
  if (int code = checkOutput(artifact, options))
    return code;
  std::vector<int32_t> tokens;
  if (int code = readPrompt(artifact, options, tokens))
    return code;
  Stats stats(artifact, options);
  if (options.stats)
    if (int code = stats.open())
      return code;
  Profiler profiler(artifact, options);
  if (int code = profiler.open({"prompt", "decode"}))
    return code;
  Generation generation{artifact,
                        options,
                        session,
                        profiler,
                        TokenWriter(artifact, options.outputIds),
                        chooseSeed(options)};
  int code = generation.write(std::move(tokens));
  if (code && generation.written == 0)
    return code;
  // What was begun gets its end of line, also after a failure.
  if (int failed = generation.writer.finish())
    return failed;
  if (code)
    return code;
  generation.report();
  if (options.stats)
    if (int failed = stats.write(session.handle, generation.read,
                                 generation.msPerToken()))
      return failed;
  return profiler.report();
}
