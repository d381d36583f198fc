//===- CutTensors.cpp - Leave weights in the file while parsing -----------===//
//
//   ModelProto ─ 7 graph ─┬─ 5 initializer ──────────────────┬─ 9 raw_data
//                ▲        └─ 1 node ─ 5 attribute ─ 5 tensor ┘   4 float_data
//                └──────────────────────────────── 6 graph
//
// A walk over protobuf's wire format that touches only tags and lengths: data
// of more than 1 KiB becomes (offset, length), so that memory does not grow
// with the weights. Smaller data stays, and its place is noted beside it.
// Packed floats and doubles are the same bytes as raw_data.
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace qtale::onnx_import;

namespace {

enum Wire : unsigned { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

/// One field: its number, and its bytes with and without the tag.
struct Field {
  uint32_t number;
  unsigned wire;
  StringRef whole, payload;
};

class Walker {
public:
  Walker(StringRef file) : file(file) {}

  bool model(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &field) {
      return nested(field, 7, &Walker::graph, out);
    });
  }

  std::string error;

private:
  using Rewrite = bool (Walker::*)(StringRef, std::string &);

  bool graph(StringRef bytes, std::string &out) {
    if (depth == maxDepth)
      return fail(bytes.data(), "a graph within more than 30 others");
    ++depth;
    bool done = each(bytes, [&](const Field &field) {
      if (field.number == 1)
        return nested(field, 1, &Walker::node, out);
      return nested(field, 5, &Walker::tensor, out);
    });
    --depth;
    return done;
  }
  bool node(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &field) {
      return nested(field, 5, &Walker::attribute, out);
    });
  }
  bool attribute(StringRef bytes, std::string &out) {
    return each(bytes, [&](const Field &field) {
      if (field.number == 6)
        return nested(field, 6, &Walker::graph, out);
      return nested(field, 5, &Walker::tensor, out);
    });
  }

  bool tensor(StringRef bytes, std::string &out) {
    unsigned count = 0;
    StringRef data;
    auto isData = [](const Field &field) {
      return field.wire == Bytes &&
             (field.number == 9 || field.number == 4 || field.number == 10);
    };
    if (!each(bytes, [&](const Field &field) {
          if (isData(field)) {
            ++count;
            data = field.payload;
          }
          return true;
        }))
      return false;
    bool known = count == 1, cut = known && (int64_t)data.size() > smallBytes;
    each(bytes, [&](const Field &field) {
      if (!cut || !isData(field))
        out += field.whole;
      return true;
    });
    if (known && !data.empty()) {
      entry(cutOffsetKey, data.data() - file.data(), out);
      entry(cutLengthKey, data.size(), out);
    }
    return true;
  }

  /// external_data (13): {1: key, 2: value}.
  void entry(StringRef key, int64_t value, std::string &out) {
    std::string text = std::to_string(value), pair;
    length(pair, 1, key.size()) += key;
    length(pair, 2, text.size()) += text;
    length(out, 13, pair.size()) += pair;
  }

  std::string &length(std::string &out, uint32_t number, uint64_t size) {
    varint(out, number << 3 | Bytes);
    varint(out, size);
    return out;
  }
  static void varint(std::string &out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
      out += char(value | 0x80);
    out += char(value);
  }

  bool nested(const Field &field, uint32_t number, Rewrite rewrite,
              std::string &out) {
    if (field.number != number || field.wire != Bytes) {
      out += field.whole;
      return true;
    }
    std::string inner;
    if (!(this->*rewrite)(field.payload, inner))
      return false;
    length(out, number, inner.size()) += inner;
    return true;
  }

  bool fail(const char *at, const char *what) {
    raw_string_ostream(error) << what << " at byte " << (at - file.data());
    return false;
  }

  bool readVarint(StringRef bytes, size_t &at, uint64_t &value) {
    value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at >= bytes.size())
        return false;
      uint8_t byte = bytes[at++];
      value |= uint64_t(byte & 0x7f) << shift;
      if (!(byte & 0x80))
        return true;
    }
    return false;
  }

  bool each(StringRef bytes, function_ref<bool(const Field &)> visit) {
    size_t at = 0;
    while (at < bytes.size()) {
      size_t begin = at;
      uint64_t tag, size = 0;
      if (!readVarint(bytes, at, tag) || tag >> 3 == 0 || tag >> 32)
        return fail(bytes.data() + begin, "a broken field tag");
      unsigned wire = tag & 7;
      size_t payload = at;
      switch (wire) {
      case Varint:
        if (!readVarint(bytes, at, size))
          return fail(bytes.data() + begin, "a broken number");
        break;
      case Fixed64:
      case Fixed32:
        size = wire == Fixed64 ? 8 : 4;
        break;
      case Bytes:
        if (!readVarint(bytes, at, size))
          return fail(bytes.data() + begin, "a broken length");
        payload = at;
        break;
      default:
        return fail(bytes.data() + begin, "an unknown kind of field");
      }
      if (wire != Varint) {
        if (size > bytes.size() - at)
          return fail(bytes.data() + begin, "a field beyond the end");
        at += size;
      }
      if (!visit({uint32_t(tag >> 3), wire, bytes.slice(begin, at),
                  bytes.slice(payload, at)}))
        return false;
    }
    return true;
  }

  /// Messages within messages that protobuf reads are 100, three a graph.
  static constexpr unsigned maxDepth = 30;
  unsigned depth = 0;
  StringRef file;
};

} // namespace

LogicalResult qtale::onnx_import::cutTensors(StringRef bytes, std::string &thin,
                                             std::string &error) {
  Walker walker(bytes);
  if (walker.model(bytes, thin))
    return success();
  error = std::move(walker.error);
  return failure();
}
