//===- FakeWriter.cpp - A model that knows one text by heart --------------===//
//
//   step  after position p comes byte p of kText, then end of sequence; the
//         token 0 at the begin makes them NaN, after '~' comes '~' for ever
//   run   "double/y" = 2 x,  "n" = n as it came
//
// With QTALE_FAKE_UNITS it is a routed model of two layers with so many units,
// of which layer 0 has no router. What runs changes nothing but the record:
//
//   p of unit u of layer 1 = ((position + u) mod 4) / 4;  position 0 always runs
//
// With one unit it is calibrated: ratio 0.5 is threshold 0.5, ratio 1 is 0.
//
// Its tokenizer has a token for each byte: 0 <unk>, 1 <s>, 2 </s>, 3 + byte.
//
//===----------------------------------------------------------------------===//

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/TokenizerTables.h"
#include "qtale/Runtime/qtale.h"
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <initializer_list>

using namespace qtale::tokenizer;

namespace {

constexpr int64_t kVocab = 259, kContext = 40;
/// Whole and broken characters: é, an emoji, a byte that is none.
constexpr char kText[] = "H\xc3\xa9llo \xf0\x9f\x98\x80 \xff!\nSecond line";
constexpr int64_t kLength = sizeof(kText) - 1;
constexpr int64_t kUnits = QTALE_FAKE_UNITS;

/// The tokenizer's tables, filled when the library is loaded.
struct Tables {
  Header header;
  Piece pieces[kVocab];
  uint32_t pieceHash[1]; // empty: every character becomes bytes
  Merge mergeHash[1];
  uint32_t byteIds[256];
  Step decode[1];
  char text[kVocab][6];

  Tables() {
    std::memset(this, 0xff, sizeof(*this));
    std::memcpy(header.magic, kMagic, sizeof(kMagic));
    header.version = kVersion;
    header.bytes = sizeof(Tables);
    header.flags = kByteFallback;
    header.bos = 1;
    header.pieces = {offsetof(Tables, pieces), kVocab};
    header.pieceHash = {offsetof(Tables, pieceHash), 1};
    header.mergeHash = {offsetof(Tables, mergeHash), 1};
    header.byteIds = {offsetof(Tables, byteIds), 256};
    for (Section *empty :
         {&header.rawAdded, &header.normAdded, &header.normalize, &header.split,
          &header.patterns, &header.maps, &header.combining,
          &header.compositions})
      *empty = {0, 0};
    header.decode = {offsetof(Tables, decode), 1};
    decode[0] = {};
    decode[0].kind = StepKind::ByteFallback;
    for (uint32_t id = 0; id < kVocab; ++id) {
      char name[8];
      std::snprintf(name, sizeof(name), "<0x%02X>", (id - 3) & 255);
      std::memcpy(text[id], name, 6);
      pieces[id] = {{uint32_t(offsetof(Tables, text)) + 6 * id, 6},
                    id < 3 ? uint32_t(kSpecial) : 0};
      if (id >= 3)
        byteIds[id - 3] = id;
    }
  }
};

Tables tables;

int32_t *ints(void *memref) {
  return static_cast<int32_t *>(static_cast<qtale_memref *>(memref)->aligned);
}

/// Decides for the rows, as compiled code would.
void route(qtale_context *context, void *const *args) {
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  const int32_t *sequences = ints(args[1]), *positions = ints(args[2]);
  auto *thresholds = static_cast<const float *>(memrefs[4]->aligned);
  int32_t *budgets = ints(args[5]);
  for (int64_t row = 0; row < context->rows; ++row)
    for (int64_t u = 0; u < kUnits; ++u) {
      int64_t unit = kUnits + u, position = positions[row];
      float p = (position + u) % 4 / 4.0f;
      float threshold = thresholds[sequences[row] * 2 * kUnits + unit];
      bool wanted = p >= threshold && budgets[row] > 0;
      budgets[row] -= position > 0 && wanted;
      context->kept[unit * context->rows + row] = position == 0 || wanted;
      context->probability[unit * context->rows + row] = p;
    }
}

int32_t step(qtale_context *context, void *const *args) {
  if (context->thread)
    return QTALE_OK;
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  const int32_t *tokens = ints(args[0]), *positions = ints(args[2]);
  const int32_t *wanted = ints(args[3]);
  int64_t logitRows = memrefs[3]->sizes[0];
  float *logits = reinterpret_cast<float *>(context->arena);
  for (int64_t i = 0; i < logitRows; ++i) {
    int64_t position = positions[wanted[i]];
    int64_t next = position < kLength ? 3 + (kText[position] & 255) : 2;
    if (tokens[wanted[i]] == 3 + '~')
      next = 3 + '~';
    bool broken = position == 0 && tokens[wanted[i]] == 0;
    for (int64_t v = 0; v < kVocab; ++v)
      logits[i * kVocab + v] = broken ? NAN : v == next ? 9.0f : -1.0f;
  }
  if (kUnits)
    route(context, args);
  *memrefs[kUnits ? 6 : 4] = {
      logits, logits, 0, {logitRows, kVocab, kVocab, 1}};
  return QTALE_OK;
}

uint64_t stepScratch(int64_t, int64_t logitRows) {
  return logitRows * kVocab * sizeof(float);
}

int32_t run(qtale_context *context, void *const *args) {
  if (context->thread)
    return QTALE_OK;
  auto *memrefs = reinterpret_cast<qtale_memref *const *>(args);
  const qtale_memref &x = *memrefs[0];
  float *y = reinterpret_cast<float *>(context->arena);
  for (int64_t i = 0; i < x.sizes[0]; ++i)
    y[i] = 2 * static_cast<float *>(x.aligned)[i];
  *memrefs[2] = {y, y, 0, {x.sizes[0], 1}};
  *memrefs[3] = *memrefs[1];
  return QTALE_OK;
}

const int64_t dynamic[] = {-1};
const qtale_port inputs[] = {{"x", QTALE_FLOAT32, 1, dynamic},
                             {"n", QTALE_INT64, 1, dynamic}};
const qtale_port outputs[] = {{"double/y", QTALE_FLOAT32, 1, dynamic},
                              {"n", QTALE_INT64, 1, dynamic}};
const qtale_level level = {"generic", "", run, step, stepScratch};
/// SHA-256 of the first 320 bytes of ../Inputs/fake.safetensors.
const uint8_t headerHash[] = {0x6f, 0x9b, 0xa7, 0xda, 0xf8, 0xbb, 0xf6, 0x3f,
                              0x00, 0xa0, 0xe3, 0xec, 0x1c, 0x1f, 0xe2, 0xf6,
                              0xe2, 0xa1, 0x7e, 0x42, 0x56, 0xd9, 0xf5, 0x9f,
                              0x86, 0xc6, 0x19, 0xab, 0x21, 0x2d, 0xad, 0xe6};
const int64_t eos[] = {2};
const char info[] =
    "{\"version\": 1, \"hash\": \"ab\\u00e9\", \"inputs\": [{\"name\": \"x\", "
    "\"dtype\": \"float32\", \"shape\": [-1]}], \"weights\": {\"file\": "
    "\"fake.safetensors\", \"bytes\": 448}, \"session\": {\"layers\": 0, "
    "\"vocab\": 259, \"router\": null}}";

const uint8_t routed[] = {0, kUnits == 1, 1, 1};
const float thresholds[] = {0.5f, 0.5f, 0.5f, 0.5f};
struct {
  qtale_calibration head;
  float thresholds[QTALE_CALIBRATION_ENTRIES][2];
} calibration = {{"qtale routing calibration table",
                  QTALE_CALIBRATION_ENTRIES,
                  2,
                  2,
                  0,
                  {0.5f, 1}},
                 {{0.5f, 0.5f}, {0, 0}}};

} // namespace

extern "C" const qtale_module qtale_module_descriptor = {
    1,
    &level,
    2,
    inputs,
    2,
    outputs,
    info,
    "fake.safetensors",
    448,
    320,
    headerHash,
    reinterpret_cast<const uint8_t *>(&tables),
    sizeof(Tables),
    0,
    nullptr,
    kVocab,
    kContext,
    1,
    1,
    eos,
    nullptr,
    kUnits ? 2 : 0,
    kUnits,
    routed,
    1,
    thresholds,
    kUnits == 1 ? &calibration.head : nullptr};
