//===- RoutingCalls.cpp - What callers set and ask about routing ----------===//
//
// Each call takes the session, so that nothing is moved under a running step.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Session.h"

#include <cstdlib>

using namespace qtale::rt;

/// Takes a session of a routed model.
static int32_t take(const qtale_session &session, Hold &hold,
                    qtale_error *error) {
  if (!session.routing.units)
    return fail(error, QTALE_UNSUPPORTED,
                "this model has no router: all of its layers run for every "
                "token");
  return hold.take(session, error);
}

int32_t qtale::rt::setThreshold(qtale_session &session, const float *thresholds,
                                int64_t count, qtale_error *error) {
  Hold hold;
  if (int32_t code = take(session, hold, error))
    return code;
  const qtale_module &module = *session.model.module;
  int64_t units = session.routing.units;
  if (!thresholds || (count != 1 && count != module.layers && count != units)) {
    char both[64] = "";
    if (module.units > 1)
      snprintf(both, sizeof(both), ", or %lld (one for each unit)",
               (long long)units);
    return fail(error, QTALE_INVALID_ARGUMENT,
                "%lld thresholds%s; give 1 for all, %lld (one for each "
                "layer)%s",
                (long long)count, thresholds ? "" : " and a null pointer",
                (long long)module.layers, both);
  }
  for (int64_t i = 0; i < count; ++i)
    if (!(thresholds[i] >= 0))
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "threshold %lld is %g; give 0 (everything runs) or more "
                  "(above 1: only what must run)",
                  (long long)i, thresholds[i]);
  for (int64_t unit = 0; unit < units; ++unit)
    session.routing.thresholds[unit] = thresholds[unit * count / units];
  return QTALE_OK;
}

int32_t qtale::rt::getThreshold(const qtale_session &session, float *thresholds,
                                int64_t count, qtale_error *error) {
  Hold hold;
  if (int32_t code = take(session, hold, error))
    return code;
  const std::vector<float> &held = session.routing.thresholds;
  if (!thresholds || count != int64_t(held.size()))
    return fail(error, QTALE_INVALID_ARGUMENT,
                "room for %lld thresholds%s; the model has %zu",
                (long long)count, thresholds ? "" : " and a null pointer",
                held.size());
  std::copy(held.begin(), held.end(), thresholds);
  return QTALE_OK;
}

int32_t qtale::rt::setRatio(qtale_session &session, double ratio,
                            qtale_error *error) {
  Hold hold;
  if (int32_t code = take(session, hold, error))
    return code;
  return thresholdsForRatio(*session.model.module, ratio,
                            session.routing.thresholds, error);
}

int32_t qtale::rt::setBudget(qtale_session &session, int64_t units,
                             qtale_error *error) {
  Hold hold;
  if (int32_t code = take(session, hold, error))
    return code;
  if (units < -1)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the budget is %lld; give how many routed units may run for a "
                "token, from 0, or -1 for no limit",
                (long long)units);
  session.routing.budget =
      units < 0 || units > INT32_MAX ? INT32_MAX : int32_t(units);
  return QTALE_OK;
}

/// A part of the record, [tokens, units], as [units, count].
template <typename T>
static int32_t copyRecord(const qtale_session &session,
                          const std::vector<T> Routing::*record, int64_t first,
                          int64_t count, T *result, qtale_error *error) {
  Hold hold;
  if (int32_t code = take(session, hold, error))
    return code;
  const Routing &routing = session.routing;
  if (!routing.recording)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the session keeps no record of what ran; create it with "
                "record");
  int64_t position = session.position;
  if (first < 0 || count < 0 || first > position || count > position - first ||
      (count && !result))
    return fail(error, QTALE_INVALID_ARGUMENT,
                "%lld tokens from position %lld%s; the session holds %lld",
                (long long)count, (long long)first,
                result ? "" : " and a null pointer", (long long)position);
  const T *from = (routing.*record).data() + first * routing.units;
  for (int64_t token = 0; token < count; ++token)
    for (int64_t unit = 0; unit < routing.units; ++unit)
      result[unit * count + token] = from[token * routing.units + unit];
  return QTALE_OK;
}

int32_t qtale::rt::copyKept(const qtale_session &session, int64_t first,
                            int64_t count, uint8_t *kept, qtale_error *error) {
  return copyRecord(session, &Routing::kept, first, count, kept, error);
}

int32_t qtale::rt::copyProbability(const qtale_session &session, int64_t first,
                                   int64_t count, float *probability,
                                   qtale_error *error) {
  return copyRecord(session, &Routing::probability, first, count, probability,
                    error);
}
