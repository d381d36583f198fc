//===- ProtoMutator.h - Other models that still are ModelProtos -----------===//
//
//   node { op_type: "Add" input: "x" … }  ─▶  node { op_type: "Add" input: "w" … }
//
// By protobuf's reflection: a field of some message in the model is removed,
// doubled, exchanged with its neighbour, or takes the value that the same field
// has elsewhere.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_TEST_FUZZ_PROTOMUTATOR_H
#define QTALE_TEST_FUZZ_PROTOMUTATOR_H

#include <cstddef>
#include <cstdint>

namespace fuzz {

/// What LLVMFuzzerCustomMutator does for a target that reads a ModelProto: now
/// and then bytes, as libFuzzer changes them, else edits of its fields.
size_t mutateProtoInput(uint8_t *data, size_t size, size_t capacity,
                        unsigned seed);

} // namespace fuzz

#endif // QTALE_TEST_FUZZ_PROTOMUTATOR_H
