//===- CApi.cpp - Fuzzes calls of the C interface -------------------------===//
//
//   bytes ─▶ call, arguments, call, arguments, …      dense or routed, by the
//                                                     first byte
//
// Any order, any number, null where a pointer is asked for. What the caller
// must get right (a pointer is null or good, a buffer is as large as its count,
// a session is not used after its end) is right. Every buffer has exactly the
// size that is announced, so that a byte beyond is seen.
//
//===----------------------------------------------------------------------===//

#include "FakeModule.h"
#include "FakeRouted.h"
#include "Model.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

/// The input as a source of arguments; zeros behind its end.
class Source {
public:
  Source(const uint8_t *data, size_t size) : at(data), end(data + size) {}

  bool empty() const { return at == end; }
  uint8_t byte() { return at == end ? 0 : *at++; }
  bool flag() { return byte() & 1; }
  /// Mostly one in eight.
  bool rare() { return byte() % 8 == 7; }
  /// Mostly small; now and then awkward.
  int64_t number() {
    static constexpr int64_t awkward[] = {
        -1,        -2,        INT32_MAX, INT32_MIN, INT64_MAX,
        INT64_MIN, 1ll << 32, 1ll << 61, 1ll << 62, INT64_MAX / 4 + 1};
    uint8_t kind = byte();
    return kind < 224 ? kind % 128 : awkward[kind % std::size(awkward)];
  }
  float real() {
    static constexpr float awkward[] = {0,
                                        1,
                                        -1,
                                        0.5f,
                                        1.5f,
                                        __builtin_inff(),
                                        -__builtin_inff(),
                                        __builtin_nanf("")};
    uint8_t kind = byte();
    return kind < 128 ? kind / 128.0f : awkward[kind % std::size(awkward)];
  }

private:
  const uint8_t *at, *end;
};

/// One model, its sessions and what else the calls make.
class Caller {
public:
  Caller(const uint8_t *data, size_t size) : source(data, size) {
    const qtale_module &module =
        source.flag() ? fake::routedModule : fake::module;
    if (qtale::rt::openModel(module, "", QTALE_FAKE_WEIGHTS, nullptr, &model,
                             &error))
      std::abort();
  }
  ~Caller() {
    for (qtale_session *session : sessions)
      api->session_destroy(session);
    for (qtale_profile *profile : profiles)
      api->profile_destroy(profile);
    for (qtale_pool *pool : pools)
      api->pool_destroy(pool);
    api->model_close(model);
  }

  void callAll() {
    for (int calls = 0; !source.empty() && calls < 64; ++calls)
      call();
  }

private:
  using Call = void (Caller::*)();

  void call() {
    static constexpr Call calls[] = {
        &Caller::describe, &Caller::create,      &Caller::destroy,
        &Caller::truncate, &Caller::fork,        &Caller::step,
        &Caller::step,     &Caller::step,        &Caller::run,
        &Caller::run,      &Caller::tokens,      &Caller::makePool,
        &Caller::steer,    &Caller::steer,       &Caller::record,
        &Caller::profile,  &Caller::stepTogether};
    (this->*calls[source.byte() % std::size(calls)])();
  }

  const qtale_model *anyModel() { return source.rare() ? nullptr : model; }
  qtale_session *anySession() {
    uint8_t index = source.byte();
    if (sessions.empty() || index == 255)
      return nullptr;
    return sessions[index % sessions.size()];
  }
  qtale_error *anyError() { return source.rare() ? nullptr : &error; }
  /// The thread that calls, alone: a pool of the host's.
  static void runHere(void *, void (*task)(void *, int64_t), void *argument) {
    task(argument, 0);
  }
  const qtale_pool *anyPool() {
    switch (source.byte() % 8) {
    case 0:
      return pools.empty() ? nullptr : pools[source.byte() % pools.size()];
    case 1:
      host = {nullptr, 1, runHere};
      return &host;
    case 2:
      host = {nullptr, source.number(), nullptr};
      return &host;
    case 3:
      // Such a number of threads can't be run here; it must be refused, or
      // needs a `run` that has them.
      host = {nullptr, std::min<int64_t>(source.number(), 1), runHere};
      return &host;
    default:
      return nullptr;
    }
  }

  void describe();
  void create();
  void destroy();
  void truncate();
  void fork();
  void step();
  void stepTogether();
  void run();
  void tokens();
  void makePool();
  void steer();
  void record();
  void profile();
  int32_t oneStep(qtale_step *items, int64_t count);
  qtale_step makeItem();
  void keep(qtale_session *session) {
    if (session)
      sessions.push_back(session);
  }

  Source source;
  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
  qtale_model *model = nullptr;
  qtale_error error = {};
  qtale_pool host = {};
  std::vector<qtale_session *> sessions;
  std::vector<qtale_profile *> profiles;
  std::vector<qtale_pool *> pools;
  /// Of steps and runs.
  std::vector<std::unique_ptr<char[]>> buffers;
};

} // namespace

void Caller::describe() {
  const qtale_model *of = anyModel();
  qtale_tensor tensor;
  int64_t index = source.number();
  const int64_t *ids;
  (void)api->model_info(of);
  (void)api->model_num_inputs(of);
  (void)api->model_num_outputs(of);
  (void)api->model_input(of, index, source.rare() ? nullptr : &tensor,
                         anyError());
  (void)api->model_output(of, index, &tensor, anyError());
  (void)api->model_vocab(of);
  (void)api->model_context(of);
  (void)api->model_bos(of);
  (void)api->model_eos(of, source.rare() ? nullptr : &ids);
  (void)api->model_routing(of);
  (void)api->model_verify(of, anyError());
  (void)qtale_get_api(uint32_t(index));
}

void Caller::create() {
  if (sessions.size() > 8)
    return;
  qtale_session_options options = {};
  options.pool = anyPool();
  // More threads than this are a wish that the machine fulfils; that takes time.
  options.threads = source.number();
  if (options.threads > 3 && options.threads < 1 << 20)
    options.threads %= 3;
  options.max_rows = source.number();
  options.record = source.flag();
  qtale_session *made = nullptr;
  (void)api->session_create(anyModel(), source.rare() ? nullptr : &options,
                            source.rare() ? nullptr : &made, anyError());
  keep(made);
}

void Caller::destroy() {
  qtale_session *session = anySession();
  api->session_destroy(session);
  sessions.erase(std::remove(sessions.begin(), sessions.end(), session),
                 sessions.end());
}

void Caller::truncate() {
  qtale_session *session = anySession();
  (void)api->session_truncate(session, source.number(), anyError());
  if (source.rare())
    (void)api->session_reset(session, anyError());
  (void)api->session_position(session);
  (void)api->session_kv_bytes(session);
}

void Caller::fork() {
  if (sessions.size() > 8)
    return;
  qtale_session *made = nullptr;
  (void)api->session_fork(anySession(), source.rare() ? nullptr : &made,
                          anyError());
  keep(made);
}

/// Some tokens of some session. A count without as many tokens would be the
/// caller's fault, so wrong ones come without any.
qtale_step Caller::makeItem() {
  qtale_step item = {};
  item.session = anySession();
  item.count = source.number();
  item.wanted = source.rare() ? int32_t(source.number()) : source.byte() % 3;
  if (item.count < 1 || item.count > 128 || source.rare())
    return item;
  auto tokens = std::make_unique<char[]>(item.count * sizeof(int32_t));
  for (int64_t i = 0; i < item.count; ++i) {
    int32_t token =
        source.rare() ? int32_t(source.number()) : source.byte() % fake::vocab;
    std::memcpy(&tokens[i * sizeof(token)], &token, sizeof(token));
  }
  item.tokens = reinterpret_cast<int32_t *>(tokens.get());
  buffers.push_back(std::move(tokens));
  int64_t rows = item.wanted == QTALE_LOGITS_ALL ? item.count : 1;
  if (!source.rare()) {
    buffers.push_back(
        std::make_unique<char[]>(rows * fake::vocab * sizeof(float)));
    item.logits = reinterpret_cast<float *>(buffers.back().get());
  }
  return item;
}

int32_t Caller::oneStep(qtale_step *items, int64_t count) {
  if (!profiles.empty() && source.rare())
    return api->profile_step(profiles.back(), items, count, anyError());
  return api->step(items, count, anyError());
}

void Caller::step() {
  qtale_step item = makeItem();
  int64_t before = api->session_position(item.session);
  int32_t code = oneStep(&item, 1);
  // A step that fails leaves the session as it was.
  int64_t expected = before + (code == QTALE_OK ? item.count : 0);
  if (item.session && api->session_position(item.session) != expected)
    std::abort();
  buffers.clear();
}

void Caller::stepTogether() {
  std::vector<qtale_step> items(source.byte() % 5);
  for (qtale_step &item : items)
    item = makeItem();
  int64_t count = source.rare() ? -1 : int64_t(items.size());
  (void)oneStep(source.rare() && count < 1 ? nullptr : items.data(), count);
  buffers.clear();
}

void Caller::run() {
  static constexpr const char *names[] = {"x",    "y",      "mode", "sum",
                                          "rows", "turned", "",     nullptr};
  int64_t rows = source.byte() % 16;
  int32_t mode = source.byte() % 3;
  std::vector<float> x(rows * 3), y(rows * 3);
  std::vector<qtale_tensor> inputs = {
      {"x", QTALE_FLOAT32, 2, {rows, 3}, x.data()},
      {"y", QTALE_FLOAT32, 2, {rows, 3}, y.data()},
      {"mode", QTALE_INT32, 0, {}, &mode}};
  qtale_tensor &altered = inputs[source.byte() % 3];
  switch (source.byte() % 8) {
  case 0:
    altered.name = names[source.byte() % std::size(names)];
    break;
  case 1:
    altered.dtype = int32_t(source.number());
    break;
  case 2:
    altered.rank = int32_t(source.number());
    break;
  case 3:
    altered.data = nullptr;
    break;
  case 4: // a shape that differs in its size must not be believed, but is
    altered.dims[source.flag()] = std::min<int64_t>(source.number(), 0);
    break;
  case 5:
    inputs.pop_back();
    break;
  default:
    break;
  }
  std::vector<qtale_tensor> outputs(source.byte() % 5);
  for (qtale_tensor &output : outputs) {
    output = {};
    output.name = names[source.byte() % std::size(names)];
  }
  const qtale_pool *pool = anyPool();
  const qtale_tensor *in = source.rare() ? nullptr : inputs.data();
  if (!profiles.empty() && source.rare())
    (void)api->profile_run(profiles.back(), pool, in, inputs.size(),
                           outputs.data(), outputs.size(), anyError());
  else
    (void)api->run(anyModel(), pool, in, source.rare() ? -1 : inputs.size(),
                   outputs.data(), source.rare() ? -1 : outputs.size(),
                   anyError());
  for (qtale_tensor &output : outputs)
    api->release(&output);
  api->release(nullptr);
}

void Caller::tokens() {
  // The fake model has no tokenizer: TokenizerTables.cpp is for those.
  size_t count;
  int32_t id = int32_t(source.number());
  char text[4] = {};
  (void)api->tokenize(anyModel(), text, 4, &id, 1, &count, anyError());
  (void)api->detokenize(anyModel(), id, &id, 1, text, 4, &count, anyError());
}

void Caller::makePool() {
  if (pools.size() > 2)
    return;
  int64_t threads = source.number();
  if (threads > 3 && threads < 1 << 20)
    threads %= 4;
  qtale_pool *made = nullptr;
  (void)api->pool_create(threads, source.rare() ? nullptr : &made, anyError());
  if (made)
    pools.push_back(made);
}

void Caller::steer() {
  qtale_session *session = anySession();
  switch (source.byte() % 4) {
  case 0: {
    int64_t count = source.number();
    std::vector<float> values(count > 0 && count < 1 << 20 ? count : 0);
    for (float &value : values)
      value = source.real();
    bool none = values.empty() || source.rare();
    // Beyond what any model has, nothing is read.
    (void)api->session_set_threshold(session, none ? nullptr : values.data(),
                                     count, anyError());
    (void)api->session_threshold(session, none ? nullptr : values.data(), count,
                                 anyError());
    return;
  }
  case 1:
    (void)api->session_set_ratio(session, source.real(), anyError());
    return;
  default:
    (void)api->session_set_budget(session, source.number(), anyError());
  }
}

void Caller::record() {
  qtale_session *session = anySession();
  int64_t first = source.number(), count = source.number();
  bool real = count > 0 && count <= fake::context;
  size_t room = real ? count * fake::routedUnits : 0;
  std::vector<uint8_t> kept(room);
  std::vector<float> probability(room);
  bool none = !real || source.rare();
  (void)api->session_kept(session, first, count, none ? nullptr : kept.data(),
                          anyError());
  (void)api->session_probability(
      session, first, count, none ? nullptr : probability.data(), anyError());
}

void Caller::profile() {
  if (profiles.size() < 3) {
    qtale_profile *made = nullptr;
    (void)api->profile_create(anyModel(), source.number(),
                              source.rare() ? nullptr : &made, anyError());
    if (made)
      profiles.push_back(made);
  }
  if (profiles.empty())
    return;
  std::vector<qtale_operation> operations(source.byte() % 8);
  std::vector<qtale_event> events(source.byte() % 8);
  qtale_profile *of = source.rare() ? nullptr : profiles.back();
  (void)api->profile_operations(of, operations.data(), operations.size());
  (void)api->profile_events(of, events.data(), events.size());
  if (source.rare()) {
    api->profile_destroy(profiles.back());
    profiles.pop_back();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Caller(data, size).callAll();
  return 0;
}
