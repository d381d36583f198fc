//===- FakeModule.cpp - A model small enough to know by heart -------------===//

#include "FakeModule.h"

#include <cstring>

static int32_t multiplier(const qtale_context *context) {
  int32_t value;
  memcpy(&value, context->weights, sizeof(value));
  return value;
}

static int32_t *ints(void *memref) {
  return static_cast<int32_t *>(static_cast<qtale_memref *>(memref)->aligned);
}

static int32_t step(qtale_context *context, void *const *args) {
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  const int32_t *tokens = ints(args[0]), *sequences = ints(args[1]);
  const int32_t *positions = ints(args[2]), *wanted = ints(args[3]);
  int64_t rows = memrefs[0]->sizes[0], logitRows = memrefs[3]->sizes[0];
  if (context->arena_bytes < uint64_t(logitRows) * fake::vocab * sizeof(float))
    return QTALE_LIMIT;

  qtale_rt_mark(context, 0, rows);
  for (int64_t row; (row = qtale_rt_next_chunk(context)) < rows;) {
    int64_t block = positions[row] / 16, slot = positions[row] % 16;
    void *const *const *caches[] = {context->kv[0], context->kv[1]};
    static_cast<int32_t *>(caches[0][sequences[row]][block])[slot] =
        tokens[row];
    static_cast<int64_t *>(caches[1][sequences[row]][block])[slot] =
        positions[row];
  }
  qtale_rt_barrier(context);
  for (int64_t row = 0; row < rows; ++row)
    if (tokens[row] == fake::poison)
      return QTALE_UNSUPPORTED;

  qtale_rt_mark(context, 1, logitRows);
  float *logits = reinterpret_cast<float *>(context->arena);
  for (int64_t i; (i = qtale_rt_next_chunk(context)) < logitRows;) {
    int64_t row = wanted[i], sum = 0;
    for (int64_t at = 0; at <= positions[row]; ++at) {
      auto *token =
          static_cast<const int32_t *>(context->kv[0][sequences[row]][at / 16]);
      auto *position =
          static_cast<const int64_t *>(context->kv[1][sequences[row]][at / 16]);
      sum += token[at % 16] * (position[at % 16] + 1);
    }
    for (int64_t v = 0; v < fake::vocab; ++v)
      logits[i * fake::vocab + v] = multiplier(context) * (v + 1) * sum;
  }
  qtale_rt_barrier(context);
  qtale_rt_mark(context, -1, 0);
  if (context->thread == 0)
    *memrefs[4] = {logits, logits, 0, {logitRows, fake::vocab, fake::vocab, 1}};
  return QTALE_OK;
}

static uint64_t stepScratch(int64_t, int64_t logitRows) {
  return logitRows * fake::vocab * sizeof(float);
}

static int32_t run(qtale_context *context, void *const *args) {
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  const qtale_memref &x = *memrefs[0], &y = *memrefs[1];
  int32_t mode = *ints(args[2]);
  int64_t rows = x.sizes[0];
  if (y.sizes[0] != rows)
    return QTALE_INVALID_ARGUMENT;
  if (mode == fake::TooMuchScratch)
    return QTALE_LIMIT;

  qtale_rt_mark(context, 2, rows);
  float *sum = reinterpret_cast<float *>(context->arena);
  for (int64_t row; (row = qtale_rt_next_chunk(context)) < rows;)
    for (int64_t i = row * 3; i < row * 3 + 3; ++i)
      sum[i] = static_cast<float *>(x.aligned)[i] +
               static_cast<float *>(y.aligned)[i];
  qtale_rt_barrier(context);
  qtale_rt_mark(context, -1, 0);
  if (context->thread)
    return QTALE_OK;
  *memrefs[3] = {sum, sum, 0, {rows, 3, 3, 1}};
  *memrefs[4] = {x.allocated, x.aligned, 0, {3, rows, 1, 3}};
  auto *count = reinterpret_cast<int64_t *>(sum + (rows * 3 + 1) / 2 * 2);
  *count = rows;
  // From an offset, so that offsets are seen to be honoured.
  *memrefs[5] = {count - 1, count - 1, 1, {}};
  if (mode == fake::HugeOutput)
    memrefs[3]->sizes[0] = int64_t(1) << 50;
  return QTALE_OK;
}

static const int64_t wide[] = {-1, 3}, tall[] = {3, -1};
static const qtale_port inputs[] = {{"x", QTALE_FLOAT32, 2, wide},
                                    {"y", QTALE_FLOAT32, 2, wide},
                                    {"mode", QTALE_INT32, 0, nullptr}};
static const qtale_port outputs[] = {{"sum", QTALE_FLOAT32, 2, wide},
                                     {"turned", QTALE_FLOAT32, 2, tall},
                                     {"rows", QTALE_INT64, 0, nullptr}};
/// SHA-256 of the first 320 bytes of Inputs/fake.safetensors.
static const uint8_t headerHash[] = {
    0x6f, 0x9b, 0xa7, 0xda, 0xf8, 0xbb, 0xf6, 0x3f, 0x00, 0xa0, 0xe3,
    0xec, 0x1c, 0x1f, 0xe2, 0xf6, 0xe2, 0xa1, 0x7e, 0x42, 0x56, 0xd9,
    0xf5, 0x9f, 0x86, 0xc6, 0x19, 0xab, 0x21, 0x2d, 0xad, 0xe6};
static const int64_t eos[] = {2, 30};

/// What its marks count: an operation of each kind.
static const char names[] = "append\0/layers.1/kv\0head\0add";
static const qtale_marked marked[] = {
    {0, 7, 1, 0, 4, 0}, {20, 24, -1, 128, 0, 32}, {25, 24, -1, 0, 0, 0}};

const qtale_level fake::level = {"generic",   "", run,    step,
                                 stepScratch, 3,  marked, names};

#define FAKE_MODULE                                                            \
  {1,                                                                          \
   &fake::level,                                                               \
   3,                                                                          \
   inputs,                                                                     \
   3,                                                                          \
   outputs,                                                                    \
   "{\"version\": 1}",                                                         \
   "fake.safetensors",                                                         \
   448,                                                                        \
   320,                                                                        \
   headerHash,                                                                 \
   nullptr,                                                                    \
   0,                                                                          \
   2,                                                                          \
   fake::blockBytes,                                                           \
   fake::vocab,                                                                \
   fake::context,                                                              \
   1,                                                                          \
   2,                                                                          \
   eos,                                                                        \
   nullptr,                                                                    \
   0,                                                                          \
   0,                                                                          \
   nullptr,                                                                    \
   0,                                                                          \
   nullptr,                                                                    \
   nullptr}
const qtale_module fake::module = FAKE_MODULE;
extern "C" const qtale_module qtale_module_descriptor = FAKE_MODULE;

float fake::logit(const int32_t *tokens, int64_t count, int64_t v) {
  float sum = 0; // exact: all values stay below 2^24
  for (int64_t i = 0; i < count; ++i)
    sum += tokens[i] * float(i + 1);
  return 3 * (v + 1) * sum;
}
