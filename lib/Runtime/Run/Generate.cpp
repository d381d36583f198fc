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
#include "Prompt.h"
#include "Session.h"
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
  size_t length = 64;
  int32_t code;
  do {
    bytes.resize(length);
    code = artifact.api->detokenize(artifact.model, previous, &token, 1,
                                    &bytes[0], bytes.size(), &length, &failure);
  } while (code == QTALE_LIMIT && length > bytes.size());
  if (code == QTALE_UNSUPPORTED)
    return error("%s (--output=ids prints ids)", failure.message);
  if (code != QTALE_OK)
    return error("%s", failure.message);
  bytes.resize(length);
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

static std::string counted(int64_t tokens) {
  return std::to_string(tokens) + (tokens == 1 ? " token" : " tokens");
}

int qtale::run::generate(const Artifact &artifact, const Options &options) {
  Session session(artifact);
  if (int code = session.create(options.threads))
    return code;
  if (int code = checkOutput(artifact, options))
    return code;
  std::vector<int32_t> tokens;
  if (int code = readPrompt(artifact, options, tokens))
    return code;
  int64_t context = artifact.api->model_context(artifact.model);
  int64_t promptCount = static_cast<int64_t>(tokens.size());
  if (promptCount > context)
    return error("the prompt has %lld tokens, but the model's context holds "
                 "%lld; give a shorter one",
                 static_cast<long long>(promptCount),
                 static_cast<long long>(context));

  uint64_t seed = chooseSeed(options);
  Sampler sampler(options.sampling, seed);
  TokenWriter writer(artifact, options.outputIds);
  std::vector<float> logits;
  double begin = now(), promptEnd = begin;
  int64_t steps = options.steps.value_or(256), written = 0, decoded = 0;
  bool full = false;
  int32_t previous = tokens.back();
  while (written < steps) {
    // The last token needs no position: it is written, but not stepped over.
    if (artifact.api->session_position(session.handle) >= context) {
      full = true;
      break;
    }
    if (int code = session.step(tokens, &logits))
      return code;
    if (written == 0)
      promptEnd = now();
    else
      ++decoded;
    int32_t token =
        sampler.sample(logits.data(), static_cast<int64_t>(logits.size()));
    if (token < 0)
      return error("the model's logits are not numbers at position %lld; its "
                   "weights may be damaged (see --verify)",
                   static_cast<long long>(
                       artifact.api->session_position(session.handle) - 1));
    if (endsHere(artifact, options, token))
      break;
    if (int code = writer.write(previous, token))
      return code;
    ++written;
    previous = token;
    tokens.assign(1, token);
  }
  if (int code = writer.finish())
    return code;

  double end = now();
  if (full)
    note("stopped: the context of %lld tokens is full",
         static_cast<long long>(context));
  char speed[64] = "";
  if (decoded)
    std::snprintf(speed, sizeof(speed), " (%.1f tok/s decode)",
                  double(decoded) / (end - promptEnd));
  std::string seedUsed;
  if (options.sampling.temperature > 0)
    seedUsed = ", seed " + std::to_string(seed);
  note("%s%s, prompt of %s in %.1f ms%s", counted(written).c_str(), speed,
       counted(promptCount).c_str(), (promptEnd - begin) * 1e3,
       seedUsed.c_str());
  return kDone;
}
