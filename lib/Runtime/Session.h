//===- Session.h - A text in the making -----------------------------------===//

#ifndef QTALE_LIB_RUNTIME_SESSION_H
#define QTALE_LIB_RUNTIME_SESSION_H

#include "Arena.h"
#include "CacheTables.h"
#include "KVCache.h"
#include "Model.h"
#include "Pool.h"
#include "Routing.h"
#include "Team.h"

#include <atomic>
#include <memory>
#include <vector>

namespace qtale::rt {

/// One pass over the weights: its rows, and the logits wanted of them. Kept
/// from step to step, so that a step allocates nothing but cache blocks.
struct Pass {
  std::vector<int32_t> tokens, sequences, positions;
  std::vector<int32_t> logitRows;
  std::vector<float *> logits; // where each goes

  // Of routed models; decisions are [units, rows].
  std::vector<float> thresholds; // [sequences of the step, units]
  std::vector<int32_t> budgets;
  std::vector<uint8_t> kept;
  std::vector<float> probability;

  void clearRows();
};

} // namespace qtale::rt

struct qtale_session {
  qtale_session(const qtale_model &model,
                std::shared_ptr<qtale::rt::Pool> ownPool,
                const qtale_pool &pool, int64_t maxRows, bool recording);

  const qtale_model &model;
  const std::shared_ptr<qtale::rt::Pool>
      ownPool; // null: the host's; forks share
  const qtale_pool pool;
  const int64_t maxRows;
  qtale::rt::Team team;
  qtale::rt::Arena arena;
  qtale::rt::Pass pass;
  qtale::rt::CacheTables tables;

  /// Who may touch what is above and below: one thread at a time.
  mutable std::atomic<bool> busy{false};
  qtale::rt::KVCache cache;
  qtale::rt::Routing routing;
  /// Tokens held; their bytes. Read by any thread.
  std::atomic<int64_t> position{0};
  std::atomic<uint64_t> kvBytes{0};

  /// False where another thread has it.
  bool take() const { return !busy.exchange(true, std::memory_order_acquire); }
  void release() const { busy.store(false, std::memory_order_release); }

  /// Holds the tokens below `length`, of those that cache and record have.
  void settle(int64_t length);
};

namespace qtale::rt {

/// A session in use by this thread, until the end of the scope.
class Hold {
public:
  Hold() = default;
  Hold(const Hold &) = delete;
  Hold &operator=(const Hold &) = delete;
  ~Hold() {
    if (session)
      session->release();
  }

  int32_t take(const qtale_session &wanted, qtale_error *error);

private:
  const qtale_session *session = nullptr;
};

/// Reports that a session could not be taken.
int32_t failBusy(qtale_error *error);

int32_t createSession(const qtale_model &model,
                      const qtale_session_options *options,
                      qtale_session **result, qtale_error *error);
int32_t truncateSession(qtale_session &session, int64_t length,
                        qtale_error *error);
int32_t forkSession(const qtale_session &session, qtale_session **result,
                    qtale_error *error);
/// One step of `count` sessions (Step.cpp). `profile` may be null.
int32_t stepSessions(const qtale_step *items, int64_t count,
                     qtale_profile *profile, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_SESSION_H
