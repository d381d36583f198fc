//===- Session.cpp - A text in the making ---------------------------------===//
//
//   session = caches (what was read) + arena, rows, team (to read on)
//
// Everything whose size depends on the rows of a pass is reserved here, once.
//
//===----------------------------------------------------------------------===//

#include "Session.h"

#include "Cores.h"
#include "Error.h"

using namespace qtale::rt;

static constexpr int64_t defaultRows = 512;
/// Rows are numbered in 32 bits.
static constexpr int64_t mostRows = 1 << 24;

qtale_session::qtale_session(const qtale_model &model,
                             std::shared_ptr<Pool> ownPool,
                             const qtale_pool &pool, int64_t maxRows,
                             bool recording)
    : model(model), ownPool(std::move(ownPool)), pool(pool), maxRows(maxRows),
      team(pool, pool.threads <= availableCores()), cache(*model.module),
      routing(*model.module, recording) {
  for (std::vector<int32_t> *rows :
       {&pass.tokens, &pass.sequences, &pass.positions, &pass.logitRows})
    rows->reserve(maxRows);
  pass.logits.reserve(maxRows);
  if (!routing.units)
    return;
  pass.budgets.reserve(maxRows);
  pass.kept.reserve(routing.units * maxRows);
  pass.probability.reserve(routing.units * maxRows);
}

void Pass::clearRows() {
  tokens.clear(), sequences.clear(), positions.clear();
  logitRows.clear(), logits.clear();
  budgets.clear();
}

void qtale_session::settle(int64_t length) {
  cache.shrink(length);
  routing.shrink(length);
  position.store(length, std::memory_order_relaxed);
  kvBytes.store(cache.bytes(), std::memory_order_relaxed);
}

int32_t qtale::rt::failBusy(qtale_error *error) {
  return fail(error, QTALE_BUSY,
              "the session is in use by another thread; wait for it, or give "
              "each thread a session of its own");
}

int32_t Hold::take(const qtale_session &wanted, qtale_error *error) {
  if (!wanted.take())
    return failBusy(error);
  session = &wanted;
  return QTALE_OK;
}

/// A session without content.
static int32_t
makeSession(const qtale_model &model, std::shared_ptr<Pool> ownPool,
            const qtale_pool &pool, int64_t maxRows, bool recording,
            std::unique_ptr<qtale_session> &result, qtale_error *error) {
  auto session = std::make_unique<qtale_session>(model, std::move(ownPool),
                                                 pool, maxRows, recording);
  uint64_t bytes = model.level->step_scratch(maxRows, maxRows);
  if (!session->arena.reserve(bytes))
    return fail(error, QTALE_OUT_OF_MEMORY,
                "%llu bytes of scratch memory for max_rows %lld could not be "
                "reserved; use fewer rows",
                (unsigned long long)bytes, (long long)maxRows);
  result = std::move(session);
  return QTALE_OK;
}

int32_t qtale::rt::createSession(const qtale_model &model,
                                 const qtale_session_options *given,
                                 qtale_session **result, qtale_error *error) {
  if (!model.level->step)
    return fail(error, QTALE_UNSUPPORTED,
                "this model has no session: it was not compiled from a "
                "language model that reads token by token; use run");
  qtale_session_options options = given ? *given : qtale_session_options();
  int64_t maxRows = options.max_rows ? options.max_rows : defaultRows;
  if (maxRows < 0 || maxRows > mostRows)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "max_rows is %lld; give 1 to %lld, or 0 for %lld",
                (long long)maxRows, (long long)mostRows,
                (long long)defaultRows);
  if (options.record != 0 && options.record != 1)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "record is %d; give 1 to keep what ran, or 0", options.record);
  if (options.record && !countUnits(*model.module))
    return fail(error, QTALE_UNSUPPORTED,
                "this model has no router, so there is nothing to record: all "
                "of its layers run for every token");

  std::shared_ptr<Pool> own;
  if (options.pool) {
    if (int32_t code = checkPool(*options.pool, error))
      return code;
  } else {
    std::unique_ptr<Pool> made;
    if (int32_t code = Pool::create(options.threads, made, error))
      return code;
    own = std::move(made);
  }
  std::unique_ptr<qtale_session> session;
  const qtale_pool pool = own ? static_cast<qtale_pool &>(*own) : *options.pool;
  if (int32_t code = makeSession(model, own, pool, maxRows, options.record,
                                 session, error))
    return code;
  *result = session.release();
  return QTALE_OK;
}

int32_t qtale::rt::truncateSession(qtale_session &session, int64_t length,
                                   qtale_error *error) {
  Hold hold;
  if (int32_t code = hold.take(session, error))
    return code;
  int64_t position = session.position;
  if (length < 0 || length > position)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the session holds %lld tokens and can't be truncated to %lld; "
                "give 0 to %lld",
                (long long)position, (long long)length, (long long)position);
  session.settle(length);
  return QTALE_OK;
}

int32_t qtale::rt::forkSession(const qtale_session &session,
                               qtale_session **result, qtale_error *error) {
  Hold hold;
  if (int32_t code = hold.take(session, error))
    return code;
  std::unique_ptr<qtale_session> twin;
  if (int32_t code =
          makeSession(session.model, session.ownPool, session.pool,
                      session.maxRows, session.routing.recording, twin, error))
    return code;
  twin->routing = session.routing;
  twin->cache.share(session.cache);
  twin->settle(session.position);
  *result = twin.release();
  return QTALE_OK;
}
