//===- Step.cpp - Tokens of any number of sessions, at once ---------------===//
//
//   session A: a b c d e      rows  a b c │ d e x │ y
//   session B: x y            ───▶  pass 1│ pass 2│ pass 3     max_rows = 3
//
// A row is a token with its session's index in this step and its position.
// What the rows need is made first, so that nothing fails midway for want of
// memory (but for blocks of ragged caches, which are made as layers run); where a
// pass fails all the same, every session goes back to where it was. Slots at or past a session's position may then hold anything: the next
// step writes them before it reads them.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Profile.h"
#include "Session.h"

#include <algorithm>
#include <cstring>

using namespace qtale::rt;

namespace {

class Step {
public:
  Step(const qtale_step *items, int64_t count, qtale_profile *profile,
       qtale_error *error)
      : items(items), count(count), profile(profile), error(error) {}
  ~Step();

  int32_t execute();

private:
  int32_t hold();
  int32_t check(int64_t index);
  void grow();
  void addRow(int64_t index, int64_t token);
  int32_t runPass();
  void prepareRouting(qtale_context &context);
  int32_t takeDecisions();
  int32_t explain(int32_t code);
  void copyLogits(const qtale_memref &result);

  const qtale_step *items;
  const int64_t count;
  qtale_profile *profile;
  qtale_error *error;
  int64_t held = 0; // sessions taken
  bool growing = false, complete = false;
};

} // namespace

/// Takes every session, each once.
int32_t Step::hold() {
  for (; held < count; ++held) {
    int64_t i = held;
    const qtale_session *session = items[i].session;
    if (!session)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "item %lld of the step has no session", (long long)i);
    if (&session->model != &items[0].session->model)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "items 0 and %lld of the step are sessions of different "
                  "models; step each model alone",
                  (long long)i);
    if (profile && &session->model != &profile->model)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "the profile is of another model than the session of item "
                  "%lld; make one of its own model",
                  (long long)i);
    if (session->take())
      continue;
    for (int64_t j = 0; j < i; ++j)
      if (items[j].session == session)
        return fail(error, QTALE_INVALID_ARGUMENT,
                    "items %lld and %lld of the step are the same session; "
                    "give all its tokens in one item",
                    (long long)j, (long long)i);
    return failBusy(error);
  }
  return QTALE_OK;
}

int32_t Step::check(int64_t index) {
  const qtale_step &item = items[index];
  const qtale_module &module = *item.session->model.module;
  if (item.count < 1 || !item.tokens)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "item %lld of the step has %lld tokens%s; give at least one",
                (long long)index, (long long)item.count,
                item.tokens ? "" : " and a null pointer");
  if (item.wanted < QTALE_LOGITS_NONE || item.wanted > QTALE_LOGITS_ALL)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "item %lld of the step wants logits %d; the modes are none "
                "(0), last (1) and all (2)",
                (long long)index, item.wanted);
  if (item.wanted != QTALE_LOGITS_NONE && !item.logits)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "item %lld of the step wants logits but has no buffer for them",
                (long long)index);
  int64_t position = item.session->position;
  if (item.count > module.context - position)
    return fail(error, QTALE_LIMIT,
                "%lld tokens at position %lld go beyond the model's context of "
                "%lld; give fewer, or truncate or reset the session",
                (long long)item.count, (long long)position,
                (long long)module.context);
  for (int64_t i = 0; i < item.count; ++i)
    if (item.tokens[i] < 0 || item.tokens[i] >= module.vocab)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "token %lld of item %lld is %d; the model's vocabulary has "
                  "the ids 0 to %lld",
                  (long long)i, (long long)index, item.tokens[i],
                  (long long)module.vocab - 1);
  return QTALE_OK;
}

/// Blocks for every row of the step, the tables that lead to them, and room for
/// what is recorded.
void Step::grow() {
  growing = true;
  qtale_session &first = *items[0].session;
  first.tables.clear();
  first.pass.thresholds.clear();
  for (int64_t i = 0; i < count; ++i) {
    qtale_session &session = *items[i].session;
    int64_t from = session.position, to = from + items[i].count;
    session.cache.grow(from, to);
    session.routing.reserve(to);
    first.tables.add(session.cache);
    const std::vector<float> &own = session.routing.thresholds;
    first.pass.thresholds.insert(first.pass.thresholds.end(), own.begin(),
                                 own.end());
  }
  first.tables.make(first.model.module->num_caches);
}

Step::~Step() {
  for (int64_t i = 0; growing && i < count; ++i) {
    qtale_session &session = *items[i].session;
    session.settle(session.position + (complete ? items[i].count : 0));
  }
  for (int64_t i = 0; i < held; ++i)
    items[i].session->release();
}

void Step::addRow(int64_t index, int64_t token) {
  const qtale_step &item = items[index];
  Pass &pass = items[0].session->pass;
  bool last = token == item.count - 1;
  if (item.wanted == QTALE_LOGITS_ALL ||
      (item.wanted == QTALE_LOGITS_LAST && last)) {
    int64_t vocab = item.session->model.module->vocab;
    int64_t row = item.wanted == QTALE_LOGITS_ALL ? token : 0;
    pass.logitRows.push_back(pass.tokens.size());
    pass.logits.push_back(item.logits + row * vocab);
  }
  pass.tokens.push_back(item.tokens[token]);
  pass.sequences.push_back(index);
  pass.positions.push_back(item.session->position + token);
  if (item.session->routing.units)
    pass.budgets.push_back(item.session->routing.budget);
}

static qtale_memref vectorMemref(std::vector<int32_t> &values) {
  qtale_memref memref = {};
  memref.allocated = memref.aligned = values.data();
  memref.sizes[0] = values.size();
  memref.sizes[1] = 1;
  return memref;
}

/// [rows, columns].
static qtale_memref matrixMemref(std::vector<float> &values, int64_t columns) {
  int64_t rows = columns ? values.size() / columns : 0;
  return {values.data(), values.data(), 0, {rows, columns, columns, 1}};
}

/// Bytes of weights, times rows, from which a pass is shared among threads. A
/// pass has some ten loops a layer, each with a barrier; below this they cost
/// more than the work that is divided. Threads that were asked for, by number or
/// as a pool, are used every time.
static constexpr uint64_t worthWaking = 8 << 20;

/// Executes the rows gathered so far.
int32_t Step::runPass() {
  qtale_session &first = *items[0].session;
  Pass &pass = first.pass;
  bool routed = first.routing.units;
  qtale_memref memrefs[] = {vectorMemref(pass.tokens),
                            vectorMemref(pass.sequences),
                            vectorMemref(pass.positions),
                            vectorMemref(pass.logitRows),
                            matrixMemref(pass.thresholds, first.routing.units),
                            vectorMemref(pass.budgets)};
  qtale_memref logits = {};
  void *args[] = {&memrefs[0],
                  &memrefs[1],
                  &memrefs[2],
                  &memrefs[3],
                  routed ? &memrefs[4] : &logits,
                  &memrefs[5],
                  &logits};

  qtale_context context = {};
  context.arena = first.arena.data();
  context.arena_bytes = first.arena.bytes();
  context.weights = first.model.weights.data();
  context.kv = first.tables.kv();
  context.profile = profile;
  if (routed)
    prepareRouting(context);
  first.team.caches = &first.tables;
  // Every row reads all weights: what a pass takes grows with both.
  const qtale_module &module = *first.model.module;
  bool small = first.ownPool && first.ownPool->isDefault() &&
               module.weights_bytes * pass.tokens.size() < worthWaking;
  int32_t code =
      small ? first.team.executeAlone(first.model.level->step, context, args)
            : first.team.execute(first.model.level->step, context, args);
  if (code)
    return explain(code);
  if (routed)
    if (int32_t code = takeDecisions())
      return code;
  copyLogits(logits);
  return QTALE_OK;
}

int32_t Step::explain(int32_t code) {
  if (code == QTALE_OUT_OF_MEMORY)
    return fail(error, code,
                "memory for the KV caches ran out; the sessions are as before. "
                "Free some, or use fewer or shorter sessions");
  return fail(error, code,
              "the compiled code failed with code %d at a pass of %zu rows; "
              "the sessions are as before",
              code, items[0].session->pass.tokens.size());
}

/// Room for the decisions about the rows. What has no router runs.
void Step::prepareRouting(qtale_context &context) {
  qtale_session &first = *items[0].session;
  Pass &pass = first.pass;
  const qtale_module &module = *first.model.module;
  int64_t rows = pass.tokens.size();
  pass.kept.resize(first.routing.units * rows);
  pass.probability.resize(first.routing.units * rows);
  for (int64_t unit = 0; unit < first.routing.units; ++unit)
    if (!module.routed[unit]) {
      std::fill_n(pass.kept.begin() + unit * rows, rows, 1);
      std::fill_n(pass.probability.begin() + unit * rows, rows, 1.0f);
    }
  context.kept = pass.kept.data();
  context.probability = pass.probability.data();
  context.rows = rows;
}

/// Checks what was decided about the rows, and keeps it where it is wanted.
int32_t Step::takeDecisions() {
  qtale_session &first = *items[0].session;
  Pass &pass = first.pass;
  int64_t rows = pass.tokens.size();
  if (int32_t code = checkProbabilities(*first.model.module, pass.probability,
                                        rows, pass.sequences.data(),
                                        pass.positions.data(), error))
    return code;
  for (int64_t row = 0; row < rows; ++row) {
    Routing &routing = items[pass.sequences[row]].session->routing;
    if (routing.recording)
      routing.append(&pass.kept[row], &pass.probability[row], rows);
  }
  return QTALE_OK;
}

void Step::copyLogits(const qtale_memref &result) {
  qtale_session &first = *items[0].session;
  int64_t vocab = first.model.module->vocab;
  const float *logits = static_cast<const float *>(result.aligned);
  for (size_t row = 0; row < first.pass.logits.size(); ++row) {
    const float *from = logits + result.offset + row * result.sizes[2];
    float *to = first.pass.logits[row];
    if (result.sizes[3] == 1)
      memcpy(to, from, vocab * sizeof(float));
    else
      for (int64_t i = 0; i < vocab; ++i)
        to[i] = from[i * result.sizes[3]];
  }
}

int32_t Step::execute() {
  if (int32_t code = hold())
    return code;
  for (int64_t i = 0; i < count; ++i)
    if (int32_t code = check(i))
      return code;
  grow();

  qtale_session &first = *items[0].session;
  Pass &pass = first.pass;
  pass.clearRows();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t token = 0; token < items[i].count; ++token) {
      addRow(i, token);
      bool whole = i == count - 1 && token == items[i].count - 1;
      if (!whole && int64_t(pass.tokens.size()) < first.maxRows)
        continue;
      if (int32_t code = runPass())
        return code;
      pass.clearRows();
    }
  }
  complete = true;
  return QTALE_OK;
}

int32_t qtale::rt::stepSessions(const qtale_step *items, int64_t count,
                                qtale_profile *profile, qtale_error *error) {
  if (!items || count < 1)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "a step of %lld items%s; give at least one", (long long)count,
                items ? "" : " and a null pointer");
  return Step(items, count, profile, error).execute();
}
