//===- Routing.cpp - What a session lets run, and what ran ----------------===//
//
//   ratio ──table──▶ thresholds ─┐
//                        budget ─┼─▶ step ─▶ kept, probability ─▶ record
//
//   table   ratio      0.4    0.6    1.0          ratio 0.5: halfway between,
//           unit 0     0.9    0.5    0.0          0.7 for unit 0
//           unit 1     0.7    0.6    0.0          and 0.65 for unit 1
//
//===----------------------------------------------------------------------===//

#include "Routing.h"

#include "Error.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

using namespace qtale::rt;

Routing::Routing(const qtale_module &module, bool recording)
    : units(countUnits(module)),
      thresholds(module.thresholds, module.thresholds + units),
      recording(recording) {}

void Routing::reserve(int64_t tokens) {
  size_t wanted = recording ? tokens * units : 0;
  if (wanted <= kept.capacity() && wanted <= probability.capacity())
    return;
  // Token by token, the cost stays in proportion to the tokens.
  wanted = std::max(wanted, 2 * kept.size());
  kept.reserve(wanted);
  probability.reserve(wanted);
}

void Routing::append(const uint8_t *ofUnits, const float *probabilities,
                     int64_t stride) {
  for (int64_t unit = 0; unit < units; ++unit) {
    kept.push_back(ofUnits[unit * stride]);
    probability.push_back(probabilities[unit * stride]);
  }
}

void Routing::shrink(int64_t length) {
  size_t held = std::min<size_t>(kept.size(), length * units);
  kept.resize(held);
  probability.resize(held);
}

//===----------------------------------------------------------------------===//
// The calibration table
//===----------------------------------------------------------------------===//

/// Of entry `index`: [units].
static const float *thresholdsOf(const qtale_calibration &table,
                                 uint32_t index) {
  return reinterpret_cast<const float *>(&table + 1) + index * table.units;
}

/// Whether ratios ascend within (0, 1], and thresholds can be thresholds.
static bool isSound(const qtale_calibration &table, int64_t units) {
  if (table.count > table.capacity ||
      table.capacity != QTALE_CALIBRATION_ENTRIES || table.units != units)
    return false;
  float below = 0;
  for (uint32_t i = 0; i < table.count; ++i) {
    float ratio = table.ratios[i];
    if (!(ratio > below && ratio <= 1))
      return false;
    below = ratio;
    const float *thresholds = thresholdsOf(table, i);
    for (int64_t unit = 0; unit < units; ++unit)
      if (!(thresholds[unit] >= 0 && thresholds[unit] <= FLT_MAX))
        return false;
  }
  return true;
}

qtale_routing qtale::rt::describeRouting(const qtale_module &module) {
  qtale_routing routing = {module.layers,
                           module.units,
                           module.routed,
                           module.always_execute,
                           module.thresholds,
                           0,
                           0};
  const qtale_calibration *table = module.calibration;
  if (table && table->count && isSound(*table, countUnits(module))) {
    routing.lowest_ratio = table->ratios[0];
    routing.highest_ratio = table->ratios[table->count - 1];
  }
  return routing;
}

int32_t qtale::rt::thresholdsForRatio(const qtale_module &module, double given,
                                      std::vector<float> &thresholds,
                                      qtale_error *error) {
  if (!(given > 0 && given <= 1))
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the ratio is %g; give the share of the routed units that "
                "should run, above 0 and at most 1",
                given);
  const qtale_calibration *table = module.calibration;
  if (!table || !table->count)
    return fail(error, QTALE_UNSUPPORTED,
                "the model has no calibration table, which tells the "
                "thresholds for a ratio; make it with: qtale calibrate "
                "ARTIFACT --text FILE (or set thresholds)");
  if (!isSound(*table, countUnits(module)))
    return fail(error, QTALE_CORRUPT,
                "the model's calibration table is damaged; make it again with: "
                "qtale calibrate ARTIFACT --text FILE");
  // In the table's precision, so that its first and last entry are inside.
  float ratio = given;
  const float *ratios = table->ratios, *end = ratios + table->count;
  if (ratio < ratios[0] || ratio > end[-1])
    return fail(error, QTALE_INVALID_ARGUMENT,
                "the ratio %g is outside the model's calibration table, which "
                "spans %g to %g; give one inside, or make a wider table with: "
                "qtale calibrate ARTIFACT --text FILE",
                given, ratios[0], end[-1]);
  uint32_t above = std::lower_bound(ratios, end, ratio) - ratios;
  uint32_t below = ratios[above] == ratio ? above : above - 1;
  double share = above == below ? 0
                                : (double(ratio) - ratios[below]) /
                                      (double(ratios[above]) - ratios[below]);
  const float *low = thresholdsOf(*table, below);
  const float *high = thresholdsOf(*table, above);
  for (size_t unit = 0; unit < thresholds.size(); ++unit)
    thresholds[unit] = low[unit] + share * (double(high[unit]) - low[unit]);
  return QTALE_OK;
}

int32_t qtale::rt::checkProbabilities(const qtale_module &module,
                                      const std::vector<float> &probability,
                                      int64_t rows, const int32_t *sequences,
                                      const int32_t *positions,
                                      qtale_error *error) {
  for (int64_t unit = 0; unit < countUnits(module); ++unit)
    for (int64_t row = 0; module.routed[unit] && row < rows; ++row)
      if (std::isnan(probability[unit * rows + row])) {
        const char *names[] = {"attention", "FFN"};
        const char *name =
            module.units == 1 ? "block" : names[unit % module.units];
        return fail(error, QTALE_CORRUPT,
                    "the router of layer %lld (%s) gave a probability that is "
                    "not a number, at position %d of item %d of the step; its "
                    "weights may be damaged (verify tells); the sessions are "
                    "as before",
                    (long long)(unit / module.units), name, positions[row],
                    sequences[row]);
      }
  return QTALE_OK;
}
