//===- Routing.h - What a session lets run, and what ran ------------------===//

#ifndef QTALE_LIB_RUNTIME_ROUTING_H
#define QTALE_LIB_RUNTIME_ROUTING_H

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <cstdint>
#include <vector>

namespace qtale::rt {

/// Of all layers; 0 where the model is not routed.
inline int64_t countUnits(const qtale_module &module) {
  return module.layers * module.units;
}

/// As the caller sees it.
qtale_routing describeRouting(const qtale_module &module);

/// Of one session.
struct Routing {
  Routing(const qtale_module &module, bool recording);

  /// Room for the decisions about so many tokens: then append can't throw.
  void reserve(int64_t tokens);
  /// The next token's decisions: one of each unit, `stride` apart.
  void append(const uint8_t *ofUnits, const float *probabilities,
              int64_t stride);
  /// Forgets those about the tokens from `length` on.
  void shrink(int64_t length);

  int64_t units;
  std::vector<float> thresholds; // [units]
  int32_t budget = INT32_MAX;
  bool recording;
  std::vector<uint8_t> kept; // [tokens, units], if recording
  std::vector<float> probability;
};

/// Thresholds for a ratio, from the model's calibration table.
int32_t thresholdsForRatio(const qtale_module &module, double ratio,
                           std::vector<float> &thresholds, qtale_error *error);

/// Refuses probabilities, [units, rows], that are not numbers.
int32_t checkProbabilities(const qtale_module &module,
                           const std::vector<float> &probability, int64_t rows,
                           const int32_t *sequences, const int32_t *positions,
                           qtale_error *error);

// The calls of the same names (RoutingCalls.cpp).
int32_t setThreshold(qtale_session &session, const float *thresholds,
                     int64_t count, qtale_error *error);
int32_t getThreshold(const qtale_session &session, float *thresholds,
                     int64_t count, qtale_error *error);
int32_t setRatio(qtale_session &session, double ratio, qtale_error *error);
int32_t setBudget(qtale_session &session, int64_t units, qtale_error *error);
int32_t copyKept(const qtale_session &session, int64_t first, int64_t count,
                 uint8_t *kept, qtale_error *error);
int32_t copyProbability(const qtale_session &session, int64_t first,
                        int64_t count, float *probability, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_ROUTING_H
