//===- FakeRouted.h - A routed model small enough to know by heart --------===//
//
//   3 layers of attention and FFN; layer 0 has no router; positions 0 and 1
//   always run
//
//   p of unit u for token t    ((7 t + 3 u) mod 16) / 16
//   cache c                    the tokens for which layer c's attention ran
//   logits[c], c < 3           sum over i of (i + 1) * entry i of cache c, of
//                              those that the row attends to
//   logits[3 + u]              whether unit u ran
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TEST_RUNTIME_FAKEROUTED_H
#define QTALE_TEST_RUNTIME_FAKEROUTED_H

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

namespace fake {

constexpr int64_t routedLayers = 3, routedUnits = 6, always = 2;
/// Of one block of each cache: int32 tokens.
constexpr uint64_t routedBlockBytes = 16 * 4;
/// The FFN router of layer 1 gives NaN for this token.
constexpr int32_t nanToken = 30;

inline bool isRouted(int64_t unit) { return unit >= 2; }
inline float probability(int32_t token, int64_t unit) {
  return isRouted(unit) ? (7 * token + 3 * unit) % 16 / 16.0f : 1;
}

/// The step fails with `poison`, as fake::module's.
extern const qtale_module routedModule;

} // namespace fake

#endif // QTALE_TEST_RUNTIME_FAKEROUTED_H
