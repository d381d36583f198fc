//===- Bench.cpp - How fast a model is here -------------------------------===//
//
//   5 times: reset | 128 tokens at once | 128 tokens one by one
//                  |<----- prompt ----->|<------ decode ------>|
//
// One round more stands before, uncounted: it brings weights into memory and
// threads to life. The median is given, with the slowest and the fastest.
//
//===----------------------------------------------------------------------===//

#include "Bench.h"
#include "Messages.h"
#include "Session.h"
#include <algorithm>

using namespace qtale::run;

constexpr int kRounds = 5;
constexpr int64_t kTokens = 128;

namespace {
struct Measured {
  std::vector<double> perSecond;

  void sort() { std::sort(perSecond.begin(), perSecond.end()); }
  double median() const { return perSecond[perSecond.size() / 2]; }
};
} // namespace

/// Tokens that differ, the same on every run.
static std::vector<int32_t> someTokens(int64_t count, int64_t vocab) {
  std::vector<int32_t> tokens(count);
  for (int64_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>((i * 7919 + 1) % vocab);
  return tokens;
}

static int measure(const Artifact &artifact, Session &session, int64_t prompt,
                   int64_t steps, Measured &prefill, Measured &decode) {
  int64_t vocab = artifact.api->model_vocab(artifact.model);
  std::vector<int32_t> tokens = someTokens(prompt, vocab);
  std::vector<float> logits;
  for (int round = 0; round <= kRounds; ++round) {
    qtale_error failure;
    if (artifact.api->session_reset(session.handle, &failure) != QTALE_OK)
      return error("%s", failure.message);
    double begin = now();
    if (int code = session.step(tokens, &logits))
      return code;
    double middle = now();
    for (int64_t i = 0; i < steps; ++i)
      if (int code = session.step({static_cast<int32_t>((i * 31 + 2) % vocab)},
                                  &logits))
        return code;
    double end = now();
    if (round == 0)
      continue;
    prefill.perSecond.push_back(double(prompt) / (middle - begin));
    decode.perSecond.push_back(double(steps) / (end - middle));
  }
  prefill.sort();
  decode.sort();
  return kDone;
}

static std::string line(const char *what, int64_t tokens,
                        const Measured &measured) {
  char text[160];
  std::snprintf(text, sizeof(text),
                "%-8s%6lld tokens  %10.1f tok/s  (%.1f to %.1f)\n", what,
                static_cast<long long>(tokens), measured.median(),
                measured.perSecond.front(), measured.perSecond.back());
  return text;
}

int qtale::run::bench(const Artifact &artifact, const Options &options) {
  Session session(artifact);
  if (int code = session.create(options))
    return code;
  int64_t context = artifact.api->model_context(artifact.model);
  if (context < 2)
    return error("the model's context of %lld tokens is too short to measure",
                 static_cast<long long>(context));
  int64_t prompt = std::min(kTokens, context / 2);
  int64_t steps = std::min(options.steps.value_or(kTokens), context - prompt);
  if (steps < 1)
    return misuse("--bench needs --steps of at least 1");
  Measured prefill, decode;
  if (int code = measure(artifact, session, prompt, steps, prefill, decode))
    return code;
  double kv = double(artifact.api->session_kv_bytes(session.handle));

  char text[320];
  if (options.json) {
    std::snprintf(text, sizeof(text),
                  "{\"load_ms\": %.3f, \"prompt_tokens\": %lld, "
                  "\"prompt_tokens_per_second\": %.2f, \"decode_tokens\": "
                  "%lld, \"decode_tokens_per_second\": %.2f, \"rounds\": %d, "
                  "\"kv_bytes\": %.0f}\n",
                  artifact.loadSeconds * 1e3, static_cast<long long>(prompt),
                  prefill.median(), static_cast<long long>(steps),
                  decode.median(), kRounds, kv);
    return print(text) ? kDone : kFailed;
  }
  std::snprintf(text, sizeof(text),
                "load    %8.1f ms\n%s%skv      %8.1f KiB\n"
                "Median of %d rounds (slowest to fastest).\n",
                artifact.loadSeconds * 1e3,
                line("prompt", prompt, prefill).c_str(),
                line("decode", steps, decode).c_str(), kv / 1024, kRounds);
  return print(text) ? kDone : kFailed;
}
