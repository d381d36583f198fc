//===- Model.cpp - A compiled model, opened -------------------------------===//
//
//   descriptor ─▶ a level that this CPU runs ─▶ its weights, mapped ─▶ model
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include "Cpu.h"
#include "Error.h"

#include <cstdlib>
#include <cstring>

using namespace qtale::rt;

/// In [0, 1], with a point in every locale.
static std::string shortNumber(float value) {
  char digits[16];
  int scaled = int(value * 10000 + 0.5f);
  snprintf(digits, sizeof(digits), "%d.%04d", scaled / 10000, scaled % 10000);
  return digits;
}

/// The compiler's JSON, and what only the runtime knows: the levels in the
/// artifact, and the one in use; whether a routed model was calibrated since.
static std::string completeInfo(const qtale_module &module,
                                const qtale_level &level,
                                const qtale_routing &routing) {
  std::string levels;
  for (uint64_t i = 0; i < module.num_levels; ++i)
    levels += (i ? ", \"" : "\"") + std::string(module.levels[i].name) + '"';
  std::string routed;
  if (module.units && routing.highest_ratio == 0)
    routed = ", \"calibrated\": false";
  else if (module.units)
    routed = ", \"calibrated\": true, \"ratio_span\": [" +
             shortNumber(routing.lowest_ratio) + ", " +
             shortNumber(routing.highest_ratio) + ']';
  std::string info = module.info;
  size_t brace = info.rfind('}');
  bool empty = info.find('"') == info.npos;
  info.insert(brace, std::string(empty ? "" : ", ") + "\"levels\": [" + levels +
                         "], \"cpu\": \"" + level.name + '"' + routed);
  return info;
}

int32_t qtale::rt::openModel(const qtale_module &module,
                             const std::string &artifact, const char *weights,
                             const qtale_model_options *options,
                             qtale_model **result, qtale_error *error) {
  if (!result)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "model_open needs a place for the model, but got null");
  *result = nullptr;
  auto model = std::make_unique<qtale_model>();
  model->module = &module;

  const char *cpu =
      options && options->cpu ? options->cpu : getenv("QTALE_CPU");
  if (int32_t code = selectLevel(module, cpu, model->level, error))
    return code;
  if (module.weights_file) {
    int32_t code = model->weights.open(module, artifact, weights, error);
    if (code)
      return code;
  }
  model->routing = describeRouting(module);
  model->info = completeInfo(module, *model->level, model->routing);
  *result = model.release();
  return QTALE_OK;
}

int32_t qtale::rt::describePort(const qtale_port *ports, uint64_t count,
                                int64_t index, const char *what,
                                qtale_tensor *tensor, qtale_error *error) {
  if (!tensor)
    return fail(error, QTALE_INVALID_ARGUMENT,
                "%s %lld has nowhere to go: the tensor is null", what,
                (long long)index);
  if (index < 0 || uint64_t(index) >= count)
    return fail(error, QTALE_NOT_FOUND, "%s %lld of %llu does not exist", what,
                (long long)index, (unsigned long long)count);
  const qtale_port &port = ports[index];
  *tensor = qtale_tensor();
  tensor->name = port.name;
  tensor->dtype = port.dtype;
  tensor->rank = port.rank;
  if (port.rank)
    memcpy(tensor->dims, port.dims, port.rank * sizeof(int64_t));
  return QTALE_OK;
}
