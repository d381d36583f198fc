//===- Step.cpp - Tokens of any number of sessions, at once ---------------===//
//
//   session A: a b c d e      rows  a b c │ d e x │ y
//   session B: x y            ───▶  pass 1│ pass 2│ pass 3     max_rows = 3
//
// A row is a token with its session's index in this step and its position.
// Blocks for all rows are made first, so that nothing fails midway for want of
// memory; where a pass fails all the same, every session goes back to where it
// was. Slots at or past a session's position may then hold anything: the next
// step writes them before it reads them.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Session.h"

#include <cstring>

using namespace qtale::rt;

namespace {

class Step {
public:
  Step(const qtale_step *items, int64_t count, qtale_error *error)
      : items(items), count(count), error(error) {}
  ~Step();

  int32_t execute();

private:
  int32_t hold();
  int32_t check(int64_t index);
  void grow();
  void addRow(int64_t index, int64_t token);
  int32_t runPass();
  void copyLogits(const qtale_memref &result);

  const qtale_step *items;
  const int64_t count;
  qtale_error *error;
  std::vector<Hold> holds;
  bool growing = false, complete = false;
  std::vector<void *const *> tables;               // [cache][session]
  std::vector<void *const *const *> tablesOfCache; // [cache]
};

} // namespace

/// Takes every session, each once.
int32_t Step::hold() {
  std::vector<Hold> taken(count);
  for (int64_t i = 0; i < count; ++i) {
    const qtale_session *session = items[i].session;
    if (!session)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "item %lld of the step has no session", (long long)i);
    if (&session->model != &items[0].session->model)
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "items 0 and %lld of the step are sessions of different "
                  "models; step each model alone",
                  (long long)i);
    if (taken[i].take(*session))
      continue;
    for (int64_t j = 0; j < i; ++j)
      if (items[j].session == session)
        return fail(error, QTALE_INVALID_ARGUMENT,
                    "items %lld and %lld of the step are the same session; "
                    "give all its tokens in one item",
                    (long long)j, (long long)i);
    return taken[i].take(*session, error);
  }
  holds.swap(taken);
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

/// Blocks for every row of the step, and the tables that lead to them.
void Step::grow() {
  growing = true;
  for (int64_t i = 0; i < count; ++i) {
    qtale_session &session = *items[i].session;
    session.cache.grow(session.position, session.position + items[i].count);
  }
  int64_t caches = items[0].session->model.module->num_caches;
  tables.resize(caches * count);
  for (int64_t cache = 0; cache < caches; ++cache) {
    for (int64_t i = 0; i < count; ++i)
      tables[cache * count + i] = items[i].session->cache.blocks(cache);
    tablesOfCache.push_back(&tables[cache * count]);
  }
}

Step::~Step() {
  for (int64_t i = 0; growing && i < count; ++i) {
    qtale_session &session = *items[i].session;
    session.settle(session.position + (complete ? items[i].count : 0));
  }
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
}

static qtale_memref vectorMemref(std::vector<int32_t> &values) {
  qtale_memref memref = {};
  memref.allocated = memref.aligned = values.data();
  memref.sizes[0] = values.size();
  memref.sizes[1] = 1;
  return memref;
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
  qtale_memref memrefs[5] = {vectorMemref(pass.tokens),
                             vectorMemref(pass.sequences),
                             vectorMemref(pass.positions),
                             vectorMemref(pass.logitRows),
                             {}};
  void *args[5];
  for (int i = 0; i < 5; ++i)
    args[i] = &memrefs[i];

  qtale_context context = {};
  context.arena = first.arena.data();
  context.arena_bytes = first.arena.bytes();
  context.weights = first.model.weights.data();
  context.kv = tablesOfCache.data();
  // Every row reads all weights: what a pass takes grows with both.
  const qtale_module &module = *first.model.module;
  bool small = first.ownPool && first.ownPool->isDefault() &&
               module.weights_bytes * pass.tokens.size() < worthWaking;
  int32_t code =
      small ? first.team.executeAlone(first.model.level->step, context, args)
            : first.team.execute(first.model.level->step, context, args);
  if (code)
    return fail(error, code,
                "the compiled code failed with code %d at a pass of %zu rows; "
                "the sessions are as before",
                code, pass.tokens.size());
  copyLogits(memrefs[4]);
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
  auto clear = [&] {
    pass.tokens.clear(), pass.sequences.clear(), pass.positions.clear();
    pass.logitRows.clear(), pass.logits.clear();
  };
  clear();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t token = 0; token < items[i].count; ++token) {
      addRow(i, token);
      bool whole = i == count - 1 && token == items[i].count - 1;
      if (!whole && int64_t(pass.tokens.size()) < first.maxRows)
        continue;
      if (int32_t code = runPass())
        return code;
      clear();
    }
  }
  complete = true;
  return QTALE_OK;
}

int32_t qtale::rt::stepSessions(const qtale_step *items, int64_t count,
                                qtale_error *error) {
  if (!items || count < 1)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "a step of %lld items%s; give at least one", (long long)count,
                items ? "" : " and a null pointer");
  return Step(items, count, error).execute();
}
