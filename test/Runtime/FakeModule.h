//===- FakeModule.h - A model small enough to know by heart ---------------===//
//
//   step:  logits[v] = 3 * (v + 1) * sum over i <= position of
//                      token[i] * (i + 1)             every token is remembered
//   run:   sum = x + y,  turned = transpose(x),  rows = number of rows
//
// Its code is written by hand against ModuleABI.h; the 3 comes from its weights
// file, whose hashes were made with Python's hashlib.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TEST_RUNTIME_FAKEMODULE_H
#define QTALE_TEST_RUNTIME_FAKEMODULE_H

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

namespace fake {

constexpr int64_t vocab = 32, context = 100;
/// A step with this token fails after it has written to the caches.
constexpr int32_t poison = 31;
/// Of one block of the two caches: int32 tokens, int64 positions.
constexpr uint64_t blockBytes[] = {16 * 4, 16 * 8};

/// What run's input `mode` asks for.
enum Mode : int32_t { Add = 0, TooMuchScratch = 1, HugeOutput = 2 };

/// The module; also in the process as qtale_module_descriptor.
extern const qtale_module module;
/// One level that needs nothing.
extern const qtale_level level;

/// What the step above gives for entry `v` after `count` tokens.
float logit(const int32_t *tokens, int64_t count, int64_t v);

} // namespace fake

#endif // QTALE_TEST_RUNTIME_FAKEMODULE_H
