//===- ProtoMutator.cpp - Other models that still are ModelProtos ---------===//

#include "ProtoMutator.h"

#include "TextMutator.h"
#include "onnx/onnx_pb.h"

#include <google/protobuf/message.h>

using namespace fuzz;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);

namespace {

/// A field of a message, and which of its elements; 0 where it is not repeated.
struct Place {
  Message *message;
  const FieldDescriptor *field;
  int index;
};

/// All that is set below `message`.
void collect(Message &message, std::vector<Place> &places) {
  const Reflection &reflection = *message.GetReflection();
  std::vector<const FieldDescriptor *> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor *field : fields) {
    int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    // Of long data, a little.
    for (int i = 0; i < std::min(count, 64); ++i) {
      places.push_back({&message, field, i});
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
        continue;
      collect(field->is_repeated()
                  ? *reflection.MutableRepeatedMessage(&message, field, i)
                  : *reflection.MutableMessage(&message, field),
              places);
    }
  }
}

/// Reads a scalar, or writes it, whether its field is repeated or not.
#define QTALE_SCALAR(NAME, TYPE)                                               \
  TYPE get##NAME(const Place &at) {                                            \
    const Reflection &r = *at.message->GetReflection();                        \
    return at.field->is_repeated()                                             \
               ? r.GetRepeated##NAME(*at.message, at.field, at.index)          \
               : r.Get##NAME(*at.message, at.field);                           \
  }                                                                            \
  void set##NAME(const Place &at, TYPE value) {                                \
    const Reflection &r = *at.message->GetReflection();                        \
    if (at.field->is_repeated())                                               \
      r.SetRepeated##NAME(at.message, at.field, at.index, value);              \
    else                                                                       \
      r.Set##NAME(at.message, at.field, value);                                \
  }
QTALE_SCALAR(Int32, int32_t)
QTALE_SCALAR(Int64, int64_t)
QTALE_SCALAR(Float, float)
QTALE_SCALAR(String, std::string)
QTALE_SCALAR(EnumValue, int)
#undef QTALE_SCALAR

std::string mutateBytes(std::string bytes, Random &random) {
  size_t size = bytes.size();
  bytes.resize(size + 16);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(bytes.data()), size,
                                bytes.size()));
  return bytes;
}

/// Another value, or that of `other`, a place of the same field's type.
void change(const Place &at, const Place &other, Random &random) {
  bool copy = below(random, 3) != 0;
  switch (at.field->cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    // data_type among them: numbers of elements' types.
    return setInt32(at, copy ? getInt32(other) : int32_t(below(random, 27)));
  case FieldDescriptor::CPPTYPE_INT64:
    return setInt64(at, copy ? getInt64(other) : awkwardNumber(random));
  case FieldDescriptor::CPPTYPE_FLOAT:
    return setFloat(at, copy ? getFloat(other) : float(awkwardNumber(random)));
  case FieldDescriptor::CPPTYPE_STRING:
    return setString(at, copy ? getString(other)
                              : mutateBytes(getString(at), random));
  case FieldDescriptor::CPPTYPE_ENUM: {
    const auto *values = at.field->enum_type();
    int any = values->value(below(random, values->value_count()))->number();
    return setEnumValue(at, copy ? getEnumValue(other) : any);
  }
  case FieldDescriptor::CPPTYPE_MESSAGE: {
    const Reflection &r = *at.message->GetReflection();
    const Reflection &o = *other.message->GetReflection();
    const Message &from =
        other.field->is_repeated()
            ? o.GetRepeatedMessage(*other.message, other.field, other.index)
            : o.GetMessage(*other.message, other.field);
    // A copy first: one can lie within the other.
    std::unique_ptr<Message> value(from.New());
    value->CopyFrom(from);
    Message &to =
        at.field->is_repeated()
            ? *r.MutableRepeatedMessage(at.message, at.field, at.index)
            : *r.MutableMessage(at.message, at.field);
    to.CopyFrom(*value);
    return;
  }
  default:
    return;
  }
}

void remove(const Place &at) {
  const Reflection &r = *at.message->GetReflection();
  if (!at.field->is_repeated())
    return r.ClearField(at.message, at.field);
  for (int i = at.index; i + 1 < r.FieldSize(*at.message, at.field); ++i)
    r.SwapElements(at.message, at.field, i, i + 1);
  r.RemoveLast(at.message, at.field);
}

/// One more element, a copy of `at`'s.
void repeat(const Place &at, Random &random) {
  const Reflection &r = *at.message->GetReflection();
  switch (at.field->cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT64:
    return r.AddInt64(at.message, at.field, getInt64(at));
  case FieldDescriptor::CPPTYPE_FLOAT:
    return r.AddFloat(at.message, at.field, getFloat(at));
  case FieldDescriptor::CPPTYPE_STRING:
    return r.AddString(at.message, at.field, getString(at));
  case FieldDescriptor::CPPTYPE_MESSAGE: {
    std::unique_ptr<Message> value(
        r.GetRepeatedMessage(*at.message, at.field, at.index).New());
    value->CopyFrom(r.GetRepeatedMessage(*at.message, at.field, at.index));
    r.AddMessage(at.message, at.field)->CopyFrom(*value);
    return;
  }
  default:
    return;
  }
}

void mutate(onnx::ModelProto &model, Random &random) {
  std::vector<Place> places;
  collect(model, places);
  if (places.empty())
    return;
  Place at = places[below(random, places.size())];
  const Reflection &r = *at.message->GetReflection();
  switch (below(random, 8)) {
  case 0:
    return remove(at);
  case 1:
    if (at.field->is_repeated())
      return repeat(at, random);
    [[fallthrough]];
  case 2:
    if (at.field->is_repeated())
      return r.SwapElements(at.message, at.field, at.index,
                            below(random, r.FieldSize(*at.message, at.field)));
    [[fallthrough]];
  default:
    std::vector<Place> alike;
    for (const Place &other : places)
      if (other.field->cpp_type() == at.field->cpp_type() &&
          other.field->message_type() == at.field->message_type() &&
          other.field->type() == at.field->type())
        alike.push_back(other);
    return change(at, alike[below(random, alike.size())], random);
  }
}

} // namespace

size_t fuzz::mutateProtoInput(uint8_t *data, size_t size, size_t capacity,
                              unsigned seed) {
  Random random(seed);
  onnx::ModelProto model;
  if (below(random, 8) == 0 || !model.ParseFromArray(data, size))
    return LLVMFuzzerMutate(data, size, capacity);
  for (size_t edits = 1 + below(random, 3); edits; --edits)
    mutate(model, random);
  std::string bytes = model.SerializeAsString();
  if (bytes.empty() || bytes.size() > capacity)
    return LLVMFuzzerMutate(data, size, capacity);
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}
