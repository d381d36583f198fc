//===- Run.cpp - The graph as a function ----------------------------------===//
//
//   caller's tensors ─ match names, check ─▶ memrefs ─▶ main ─▶ memrefs in the
//   arena ─ copy those wanted ─▶ caller's tensors
//
// Dynamic dimensions are known only while the code runs, so its scratch is a
// wide reservation of addresses, given back after the call.
//
//===----------------------------------------------------------------------===//

#include "Arena.h"
#include "Cores.h"
#include "Error.h"
#include "Model.h"
#include "Team.h"

#include <cstdlib>
#include <cstring>
#include <new>

using namespace qtale::rt;

static uint64_t dtypeBytes(int32_t dtype) {
  switch (dtype) {
  case QTALE_INT16:
  case QTALE_UINT16:
  case QTALE_FLOAT16:
  case QTALE_BFLOAT16:
    return 2;
  case QTALE_INT32:
  case QTALE_UINT32:
  case QTALE_FLOAT32:
    return 4;
  case QTALE_INT64:
  case QTALE_UINT64:
  case QTALE_FLOAT64:
    return 8;
  default: // bool, the 8-bit integers, and all that is shorter
    return 1;
  }
}

static const char *dtypeName(int32_t dtype) {
  static const char *const names[] = {
      "bool",
      "int8",
      "uint8",
      "int16",
      "uint16",
      "int32",
      "uint32",
      "int64",
      "uint64",
      "float16",
      "bfloat16",
      "float32",
      "float64",
      "float8_e4m3fn",
      "float8_e4m3fnuz",
      "float8_e5m2",
      "float8_e5m2fnuz",
      "float8_e8m0fnu",
      "float6_e2m3fn",
      "float6_e3m2fn",
      "float4_e2m1fn",
      "int4",
      "uint4",
      "int2",
      "uint2",
  };
  static_assert(sizeof(names) / sizeof(*names) == QTALE_UINT2);
  return dtype >= QTALE_BOOL && dtype <= QTALE_UINT2 ? names[dtype - QTALE_BOOL]
                                                     : "an unknown dtype";
}

/// "[2, ?, 64]"
static std::string shapeText(const int64_t *dims, int32_t rank) {
  std::string text = "[";
  for (int32_t i = 0; i < rank; ++i) {
    text += i ? ", " : "";
    text += dims[i] == -1 ? "?" : std::to_string(dims[i]);
  }
  return text + "]";
}

/// "'tokens', 'mask'"
static std::string portNames(const qtale_port *ports, uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i)
    text += (i ? ", '" : "'") + std::string(ports[i].name) + "'";
  return text.empty() ? "none" : text;
}

/// The port called `name`, or null.
static const qtale_port *findPort(const qtale_port *ports, uint64_t count,
                                  const char *name) {
  for (uint64_t i = 0; name && i < count; ++i)
    if (!strcmp(ports[i].name, name))
      return &ports[i];
  return nullptr;
}

/// Whether `tensor` may stand for `port`.
static int32_t checkInput(const qtale_port &port, const qtale_tensor &tensor,
                          qtale_error *error) {
  if (tensor.dtype != port.dtype)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "input '%s' is %s, but the model takes %s", port.name,
                dtypeName(tensor.dtype), dtypeName(port.dtype));
  bool fits = tensor.rank == port.rank;
  uint64_t bytes = dtypeBytes(port.dtype);
  bool huge = false;
  for (int32_t i = 0; fits && i < port.rank; ++i) {
    int64_t given = tensor.dims[i];
    fits = given >= 0 && (port.dims[i] == -1 || port.dims[i] == given);
    huge |= fits && __builtin_mul_overflow(bytes, uint64_t(given), &bytes);
  }
  if (!fits) {
    int32_t shown = tensor.rank < 0                ? 0
                    : tensor.rank > QTALE_MAX_RANK ? QTALE_MAX_RANK
                                                   : tensor.rank;
    return fail(error, QTALE_INVALID_ARGUMENT,
                "input '%s' has rank %d and shape %s, but the model takes %s",
                port.name, tensor.rank, shapeText(tensor.dims, shown).c_str(),
                shapeText(port.dims, port.rank).c_str());
  }
  if (huge || bytes > INT64_MAX)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "input '%s' of shape %s is larger than memory can be",
                port.name, shapeText(tensor.dims, tensor.rank).c_str());
  if (!tensor.data && bytes)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "input '%s' of shape %s has no data: its pointer is null",
                port.name, shapeText(tensor.dims, tensor.rank).c_str());
  return QTALE_OK;
}

static qtale_memref denseMemref(const qtale_tensor &tensor) {
  qtale_memref memref = {};
  memref.allocated = memref.aligned = tensor.data;
  int64_t stride = 1;
  for (int32_t i = tensor.rank - 1; i >= 0; --i) {
    memref.sizes[i] = tensor.dims[i];
    memref.sizes[tensor.rank + i] = stride;
    stride *= tensor.dims[i];
  }
  return memref;
}

/// Copies dimension `dim` and those inside it, densely, to `to`.
static void copyStrided(const qtale_memref &memref, int32_t rank, int32_t dim,
                        const uint8_t *from, uint64_t element, uint8_t *&to) {
  if (dim == rank) {
    memcpy(to, from, element);
    to += element;
    return;
  }
  int64_t size = memref.sizes[dim], stride = memref.sizes[rank + dim];
  if (dim == rank - 1 && stride == 1) {
    memcpy(to, from, size * element);
    to += size * element;
    return;
  }
  for (int64_t i = 0; i < size; ++i)
    copyStrided(memref, rank, dim + 1, from + i * stride * int64_t(element),
                element, to);
}

/// Gives `tensor` memory of its own with what `memref` shows.
static void copyOut(const qtale_port &port, const qtale_memref &memref,
                    qtale_tensor &tensor) {
  uint64_t element = dtypeBytes(port.dtype), bytes = element;
  tensor.dtype = port.dtype;
  tensor.rank = port.rank;
  for (int32_t i = 0; i < port.rank; ++i) {
    tensor.dims[i] = memref.sizes[i];
    bytes *= memref.sizes[i];
  }
  tensor.data = malloc(bytes ? bytes : 1);
  if (!tensor.data)
    throw std::bad_alloc();
  if (!bytes)
    return;
  const uint8_t *from = static_cast<const uint8_t *>(memref.aligned);
  uint8_t *to = static_cast<uint8_t *>(tensor.data);
  copyStrided(memref, port.rank, 0, from + memref.offset * int64_t(element),
              element, to);
}

namespace {

/// Frees the outputs already made, unless all were.
struct Outputs {
  qtale_tensor *tensors;
  int64_t count;
  bool complete = false;

  Outputs(qtale_tensor *tensors, int64_t count)
      : tensors(tensors), count(count) {
    for (int64_t i = 0; i < count; ++i)
      tensors[i].data = nullptr;
  }
  ~Outputs() {
    for (int64_t i = 0; !complete && i < count; ++i) {
      free(tensors[i].data);
      tensors[i].data = nullptr;
    }
  }
};

} // namespace

/// One memref for each input of the model, in its order.
static int32_t matchInputs(const qtale_module &module,
                           const qtale_tensor *inputs, int64_t count,
                           std::vector<qtale_memref> &memrefs,
                           qtale_error *error) {
  std::vector<bool> given(module.num_inputs);
  for (int64_t i = 0; i < count; ++i) {
    const qtale_port *port =
        findPort(module.inputs, module.num_inputs, inputs[i].name);
    if (!port)
      return fail(error, QTALE_NOT_FOUND,
                  "the model has no input '%s'; its inputs: %s",
                  inputs[i].name ? inputs[i].name : "(null)",
                  portNames(module.inputs, module.num_inputs).c_str());
    size_t index = port - module.inputs;
    if (given[index])
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "input '%s' is given twice; give each once", port->name);
    given[index] = true;
    if (int32_t code = checkInput(*port, inputs[i], error))
      return code;
    memrefs[index] = denseMemref(inputs[i]);
  }
  for (uint64_t i = 0; i < module.num_inputs; ++i)
    if (!given[i])
      return fail(error, QTALE_INVALID_ARGUMENT,
                  "input '%s' is missing; the model takes: %s",
                  module.inputs[i].name,
                  portNames(module.inputs, module.num_inputs).c_str());
  return QTALE_OK;
}

/// The caller's pool, or the model's.
static int32_t choosePool(const qtale_model &model, const qtale_pool *given,
                          qtale_pool &pool, qtale_error *error) {
  if (given) {
    pool = *given;
    return checkPool(pool, error);
  }
  std::lock_guard<std::mutex> lock(model.poolLock);
  if (!model.pool)
    if (int32_t code = Pool::create(0, model.pool, error))
      return code;
  pool = *model.pool;
  return QTALE_OK;
}

static int32_t explain(int32_t code, const char *message, const Arena &arena,
                       qtale_error *error) {
  if (message)
    return fail(error, code, "%s", message);
  switch (code) {
  case QTALE_INVALID_ARGUMENT:
    return fail(error, code,
                "input shapes do not fit together: dimensions that the model "
                "says are equal differ");
  case QTALE_LIMIT:
    return fail(error, code,
                "the call needs more than the %llu bytes of scratch memory "
                "that could be reserved; give smaller inputs, or raise the "
                "process's limit (ulimit -v)",
                (unsigned long long)arena.bytes());
  default:
    return fail(error, code, "the compiled code failed with code %d", code);
  }
}

int32_t qtale::rt::runModel(const qtale_model &model, const qtale_pool *given,
                            const qtale_tensor *inputs, int64_t numInputs,
                            qtale_tensor *outputs, int64_t numOutputs,
                            qtale_profile *profile, qtale_error *error) {
  const qtale_module &module = *model.module;
  if (numInputs < 0 || numOutputs < 0 || (numInputs && !inputs) ||
      (numOutputs && !outputs))
    return fail(error, QTALE_INVALID_ARGUMENT,
                "run got %lld inputs and %lld outputs with a null array or a "
                "negative count",
                (long long)numInputs, (long long)numOutputs);
  Outputs made(outputs, numOutputs);
  std::vector<const qtale_port *> wanted;
  for (int64_t i = 0; i < numOutputs; ++i) {
    wanted.push_back(
        findPort(module.outputs, module.num_outputs, outputs[i].name));
    if (!wanted.back())
      return fail(error, QTALE_NOT_FOUND,
                  "the model has no output '%s'; its outputs: %s",
                  outputs[i].name ? outputs[i].name : "(null)",
                  portNames(module.outputs, module.num_outputs).c_str());
  }

  std::vector<qtale_memref> memrefs(module.num_inputs + module.num_outputs);
  if (int32_t code = matchInputs(module, inputs, numInputs, memrefs, error))
    return code;
  std::vector<void *> args;
  for (qtale_memref &memref : memrefs)
    args.push_back(&memref);

  qtale_pool pool;
  if (int32_t code = choosePool(model, given, pool, error))
    return code;
  Arena arena;
  if (!arena.reserveMost())
    return fail(error, QTALE_OUT_OF_MEMORY,
                "no address space is left for scratch memory; raise the "
                "process's limit (ulimit -v)");
  qtale_context context = {};
  context.arena = arena.data();
  context.arena_bytes = arena.bytes();
  context.weights = model.weights.data();
  context.profile = profile;
  Team team(pool, pool.threads <= availableCores());
  if (int32_t code = team.execute(model.level->main, context, args.data()))
    return explain(code, team.message(), arena, error);

  for (int64_t i = 0; i < numOutputs; ++i)
    copyOut(*wanted[i],
            memrefs[module.num_inputs + (wanted[i] - module.outputs)],
            outputs[i]);
  made.complete = true;
  return QTALE_OK;
}
