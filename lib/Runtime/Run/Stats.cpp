//===- Stats.cpp - What ran of a routed model -----------------------------===//
//
//   --stats            a table to stderr: of each layer, the share that ran
//   --stats=FILE.json  which unit ran for which token:
//
//     {"tokens": [1, 403, …], "text": ["", "Once", …], "units": 1,
//      "kept": [[1, 1, 0, …], …], "probability": [[1, 0.98, 0.31, …], …],
//      "ratio": 0.61, "ms_per_token": 0.42, "kv_bytes": 8192}
//
// A row of kept and probability is a unit: a layer, or (units 2) its attention,
// then its FFN. The ratio counts what routers decided about, from the position
// on where not everything must run; null where no token got so far.
//
//===----------------------------------------------------------------------===//

#include "Stats.h"
#include "Json.h"
#include "Messages.h"
#include "TextStream.h"
#include <algorithm>

using namespace qtale::run;

int Stats::open() {
  return options.statsFile.empty() ? kDone : file.open(options.statsFile);
}

int Stats::read(const qtale_session *session) {
  routing = artifact.api->model_routing(artifact.model);
  units = routing->layers * routing->units;
  int64_t count = tokens.size();
  kept.resize(units * count);
  probability.resize(units * count);
  kvBytes = artifact.api->session_kv_bytes(session);
  qtale_error failure;
  if (artifact.api->session_kept(session, 0, count, kept.data(), &failure) !=
          QTALE_OK ||
      artifact.api->session_probability(session, 0, count, probability.data(),
                                        &failure) != QTALE_OK)
    return error("%s", failure.message);
  return kDone;
}

int Stats::write(const qtale_session *session,
                 const std::vector<int32_t> &readTokens, double milliseconds) {
  tokens = readTokens;
  msPerToken = milliseconds;
  if (int code = read(session))
    return code;
  if (!options.statsFile.empty())
    return file.commit(json());
  std::fputs(table().c_str(), stderr);
  return kDone;
}

/// Of the tokens that its router decided about.
int64_t Stats::countKept(int64_t unit) const {
  auto row = kept.begin() + unit * tokens.size();
  int64_t first = std::min<int64_t>(routing->always_execute, tokens.size());
  return std::count(row + first, row + tokens.size(), 1);
}

namespace {

/// Kept and all pairs of a token and a routed unit.
struct Share {
  int64_t kept = 0, all = 0;

  void add(int64_t some, int64_t of) {
    kept += some;
    all += of;
  }
  std::string percent() const {
    char text[32] = "-";
    if (all)
      std::snprintf(text, sizeof(text), "%.0f%%", 100.0 * kept / all);
    return text;
  }
};

} // namespace

std::string Stats::table() const {
  int64_t count = tokens.size();
  int64_t decided = std::max<int64_t>(0, count - routing->always_execute);
  Share whole;
  char line[160];
  std::string text =
      routing->units == 1 ? "layer      runs\n" : "layer attention       FFN\n";
  for (int64_t layer = 0; layer < routing->layers; ++layer) {
    std::snprintf(line, sizeof(line), "%5lld", static_cast<long long>(layer));
    text += line;
    for (int64_t unit = layer * routing->units;
         unit < (layer + 1) * routing->units; ++unit) {
      Share share;
      if (routing->routed[unit])
        share.add(countKept(unit), decided);
      whole.add(share.kept, share.all);
      std::snprintf(line, sizeof(line), "%10s",
                    routing->routed[unit] ? share.percent().c_str() : "always");
      text += line;
    }
    text += '\n';
  }
  std::snprintf(line, sizeof(line),
                "ratio %s of %lld tokens after the first %lld, KV caches %.1f "
                "KiB, %.2f ms per token\n",
                whole.percent().c_str(), static_cast<long long>(decided),
                static_cast<long long>(count - decided), kvBytes / 1024.0,
                msPerToken);
  return text + line;
}

/// The text of each token; a character goes with the token that completes it.
std::string Stats::texts() const {
  TextStream stream;
  std::string list, bytes;
  for (size_t i = 0; i < tokens.size(); ++i) {
    qtale_error failure;
    if (artifact.detokenize(i ? tokens[i - 1] : -1, tokens[i], bytes,
                            &failure) != QTALE_OK)
      return "[]"; // no tokenizer
    std::string text = stream.push(bytes);
    if (i + 1 == tokens.size())
      text += stream.finish();
    list += (i ? ", " : "") + jsonString(text);
  }
  return "[" + list + "]";
}

/// [[row], …] with `count` numbers a row.
template <typename T>
static std::string matrix(const std::vector<T> &values, size_t rows,
                          size_t count) {
  std::string text;
  for (size_t row = 0; row < rows; ++row) {
    text += row ? ",\n   [" : "\n   [";
    for (size_t i = 0; i < count; ++i) {
      char number[32];
      std::snprintf(number, sizeof(number), i ? ", %.6g" : "%.6g",
                    double(values[row * count + i]));
      text += number;
    }
    text += ']';
  }
  return "[" + text + "]";
}

std::string Stats::json() const {
  int64_t count = tokens.size();
  int64_t decided = std::max<int64_t>(0, count - routing->always_execute);
  Share whole;
  for (int64_t unit = 0; unit < units; ++unit)
    if (routing->routed[unit])
      whole.add(countKept(unit), decided);
  std::string ids;
  for (int32_t token : tokens)
    ids += (ids.empty() ? "" : ", ") + std::to_string(token);
  char ratio[32] = "null", numbers[128];
  if (whole.all)
    std::snprintf(ratio, sizeof(ratio), "%.6f",
                  double(whole.kept) / double(whole.all));
  std::snprintf(numbers, sizeof(numbers),
                "\"ratio\": %s, \"ms_per_token\": %.4f, \"kv_bytes\": %llu",
                ratio, msPerToken, static_cast<unsigned long long>(kvBytes));
  return "{\"tokens\": [" + ids + "],\n \"text\": " + texts() +
         ",\n \"units\": " + std::to_string(routing->units) +
         ",\n \"kept\": " + matrix(kept, units, count) +
         ",\n \"probability\": " + matrix(probability, units, count) + ",\n " +
         numbers + "}\n";
}
