//===- FakeRouted.cpp - A routed model small enough to know by heart ------===//

#include "FakeRouted.h"

#include "FakeModule.h"

#include <cmath>

static int32_t *ints(void *memref) {
  return static_cast<int32_t *>(static_cast<qtale_memref *>(memref)->aligned);
}

namespace {

/// What all threads see of a pass.
struct Pass {
  qtale_context *context;
  const int32_t *tokens, *sequences, *positions;
  const float *thresholds;
  int32_t *budgets, *slots; // slots: [cache, rows]
  int64_t rows;

  void decide(int64_t row) const;
  int32_t &entry(int64_t cache, int64_t row, int64_t slot) const;
  int64_t sum(int64_t cache, int64_t row) const;
};

} // namespace

void Pass::decide(int64_t row) const {
  for (int64_t unit = 0; unit < fake::routedUnits; ++unit) {
    if (!fake::isRouted(unit))
      continue;
    float p = fake::probability(tokens[row], unit);
    if (tokens[row] == fake::nanToken && unit == 3)
      p = NAN;
    float threshold = thresholds[sequences[row] * fake::routedUnits + unit];
    bool must = positions[row] < fake::always;
    bool keep = must || (p >= threshold && budgets[row] > 0);
    budgets[row] -= keep && !must;
    context->kept[unit * context->rows + row] = keep;
    context->probability[unit * context->rows + row] = p;
  }
}

int32_t &Pass::entry(int64_t cache, int64_t row, int64_t slot) const {
  return static_cast<int32_t *>(
      context->kv[cache][sequences[row]][slot / 16])[slot % 16];
}

int64_t Pass::sum(int64_t cache, int64_t row) const {
  bool own = context->kept[2 * cache * context->rows + row];
  int64_t sum = 0, end = slots[cache * rows + row] + own;
  for (int64_t slot = 0; slot < end; ++slot)
    sum += (slot + 1) * entry(cache, row, slot);
  return sum;
}

static int32_t step(qtale_context *context, void *const *args) {
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  int64_t rows = memrefs[0]->sizes[0], logitRows = memrefs[3]->sizes[0];
  // The arena: a code, slots, logits.
  int32_t *code = reinterpret_cast<int32_t *>(context->arena);
  int32_t *slots = code + 1;
  float *logits = reinterpret_cast<float *>(slots + 3 * rows);
  Pass pass = {context,
               ints(args[0]),
               ints(args[1]),
               ints(args[2]),
               static_cast<const float *>(memrefs[4]->aligned),
               ints(args[5]),
               slots,
               rows};
  if (memrefs[4]->sizes[1] != fake::routedUnits ||
      memrefs[5]->sizes[0] != rows || context->rows != rows)
    return QTALE_INVALID_ARGUMENT;

  for (int64_t row; (row = qtale_rt_next_chunk(context)) < rows;) {
    pass.decide(row);
    slots[row] = pass.positions[row]; // cache 0 is dense
  }
  qtale_rt_barrier(context);
  if (context->thread == 0) {
    *code = QTALE_OK;
    for (int64_t cache = 1; cache < 3 && !*code; ++cache)
      *code = qtale_rt_kv_reserve(
          context, cache, context->kept + 2 * cache * context->rows,
          pass.sequences, pass.positions, rows, slots + cache * rows);
  }
  qtale_rt_barrier(context);
  if (*code)
    return *code;
  for (int64_t row; (row = qtale_rt_next_chunk(context)) < rows;)
    for (int64_t cache = 0; cache < 3; ++cache)
      if (context->kept[2 * cache * context->rows + row])
        pass.entry(cache, row, slots[cache * rows + row]) = pass.tokens[row];
  qtale_rt_barrier(context);
  for (int64_t row = 0; row < rows; ++row)
    if (pass.tokens[row] == fake::poison)
      return QTALE_UNSUPPORTED;

  for (int64_t i; (i = qtale_rt_next_chunk(context)) < logitRows;) {
    int64_t row = ints(args[3])[i];
    float *own = logits + i * fake::vocab;
    for (int64_t v = 0; v < fake::vocab; ++v)
      own[v] = v < 3   ? pass.sum(v, row)
               : v < 9 ? context->kept[(v - 3) * context->rows + row]
                       : 0;
  }
  qtale_rt_barrier(context);
  if (context->thread == 0)
    *memrefs[6] = {logits, logits, 0, {logitRows, fake::vocab, fake::vocab, 1}};
  return QTALE_OK;
}

static uint64_t stepScratch(int64_t rows, int64_t logitRows) {
  return (1 + 3 * rows + logitRows * fake::vocab) * 4;
}

static const qtale_level level = {"generic", "", fake::level.main, step,
                                  stepScratch};
static const uint64_t blockBytes[] = {
    fake::routedBlockBytes, fake::routedBlockBytes, fake::routedBlockBytes};
static const uint8_t ragged[] = {0, 1, 1}, routed[] = {0, 0, 1, 1, 1, 1};
static const float thresholds[] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
/// As qtale-compile leaves it: without entries.
static struct {
  qtale_calibration head;
  float thresholds[QTALE_CALIBRATION_ENTRIES][fake::routedUnits];
} calibration = {{"qtale routing calibration table",
                  QTALE_CALIBRATION_ENTRIES,
                  0,
                  fake::routedUnits,
                  0,
                  {}},
                 {}};

static qtale_module makeModule() {
  qtale_module module = fake::module;
  module.levels = &level;
  module.num_caches = 3;
  module.kv_block_bytes = blockBytes;
  module.kv_ragged = ragged;
  module.layers = fake::routedLayers;
  module.units = 2;
  module.routed = routed;
  module.always_execute = fake::always;
  module.thresholds = thresholds;
  module.calibration = &calibration.head;
  return module;
}
const qtale_module fake::routedModule = makeModule();
