//===- TextMutator.h - Other texts of the same kind -----------------------===//
//
//   %0 = qtale.matmul %x, @w : …   ─▶   %0 = qtale.matmul %1, @w : …
//
// Changed bytes seldom parse. These edits keep what a text is made of: lines,
// words, numbers, groups in brackets; each is replaced by another of its kind.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TEST_FUZZ_TEXTMUTATOR_H
#define QTALE_TEST_FUZZ_TEXTMUTATOR_H

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace fuzz {

using Random = std::minstd_rand;

/// Below `count`, which is not 0.
inline size_t below(Random &random, size_t count) { return random() % count; }

/// Sizes and indices at which arithmetic goes wrong.
int64_t awkwardNumber(Random &random);

/// One edit.
void mutateText(std::string &text, Random &random);

/// What LLVMFuzzerCustomMutator does for a target that reads text: now and then
/// bytes, as libFuzzer changes them, else one to three of the edits above.
size_t mutateTextInput(uint8_t *data, size_t size, size_t capacity,
                       unsigned seed);

} // namespace fuzz

#endif // QTALE_TEST_FUZZ_TEXTMUTATOR_H
