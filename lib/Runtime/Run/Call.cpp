//===- Call.cpp - The model as a function ---------------------------------===//
//
//   x.npy, mask.npy  --run-->  all outputs  -->  DIR/logits.npy …
//                                           -->  or a line about each
//
//===----------------------------------------------------------------------===//

#include "Call.h"
#include "Messages.h"
#include "Npy.h"
#include "OutputDir.h"
#include "Profiler.h"
#include <cmath>

using namespace qtale::run;

namespace {

/// Outputs and the pool, given back at the end of the call.
struct Resources {
  const qtale_api *api;
  qtale_pool *pool = nullptr;
  std::vector<qtale_tensor> outputs;
  bool filled = false;

  ~Resources() {
    for (qtale_tensor &output : outputs)
      if (filled)
        api->release(&output);
    if (pool)
      api->pool_destroy(pool);
  }
};

} // namespace

static int readInputs(const Options &options, std::vector<Npy> &arrays) {
  for (const auto &[name, file] : options.inputs) {
    Npy array;
    std::string wrong = readNpy(file, array);
    if (!wrong.empty())
      return error("--input %s: %s", name.c_str(), wrong.c_str());
    array.tensor.name = name.c_str();
    arrays.push_back(std::move(array));
  }
  return kDone;
}

static float halfToFloat(uint16_t half) {
  int exponent = half >> 10 & 31, fraction = half & 1023;
  float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                    : exponent ? std::ldexp(1024.0f + fraction, exponent - 25)
                               : std::ldexp(float(fraction), -24);
  return half & 0x8000 ? -magnitude : magnitude;
}

/// An element as a number that can be shown.
static double valueAt(const qtale_tensor &tensor, uint64_t i) {
  switch (tensor.dtype) {
  case QTALE_INT8:
    return static_cast<const int8_t *>(tensor.data)[i];
  case QTALE_INT16:
    return static_cast<const int16_t *>(tensor.data)[i];
  case QTALE_UINT16:
    return static_cast<const uint16_t *>(tensor.data)[i];
  case QTALE_INT32:
    return static_cast<const int32_t *>(tensor.data)[i];
  case QTALE_UINT32:
    return static_cast<const uint32_t *>(tensor.data)[i];
  case QTALE_INT64:
    return double(static_cast<const int64_t *>(tensor.data)[i]);
  case QTALE_UINT64:
    return double(static_cast<const uint64_t *>(tensor.data)[i]);
  case QTALE_FLOAT16:
    return halfToFloat(static_cast<const uint16_t *>(tensor.data)[i]);
  case QTALE_BFLOAT16: {
    union {
      uint32_t bits;
      float value;
    } wide{uint32_t(static_cast<const uint16_t *>(tensor.data)[i]) << 16};
    return wide.value;
  }
  case QTALE_FLOAT32:
    return static_cast<const float *>(tensor.data)[i];
  case QTALE_FLOAT64:
    return static_cast<const double *>(tensor.data)[i];
  default: // bool, uint8
    return static_cast<const uint8_t *>(tensor.data)[i];
  }
}

/// "logits  float32 [1, 3, 512]  min -3.1  max 8.2  mean 0.4  NaN 2"
static std::string summary(const qtale_tensor &tensor) {
  uint64_t count, nans = 0;
  countElements(tensor, count);
  double low = INFINITY, high = -INFINITY, sum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    double value = valueAt(tensor, i);
    if (std::isnan(value)) {
      ++nans;
      continue;
    }
    low = value < low ? value : low;
    high = value > high ? value : high;
    sum += value;
  }
  std::string line = std::string(tensor.name) + "  " + dtypeName(tensor.dtype) +
                     " " + shapeText(tensor);
  char numbers[128] = "";
  if (count > nans)
    std::snprintf(numbers, sizeof(numbers), "  min %g  max %g  mean %g", low,
                  high, sum / double(count - nans));
  line += numbers;
  if (nans)
    line += "  NaN " + std::to_string(nans);
  return line + "\n";
}

int qtale::run::call(const Artifact &artifact, const Options &options) {
  std::vector<Npy> arrays;
  if (int code = readInputs(options, arrays))
    return code;
  // The folder comes first: a wrong one should not cost the model's time.
  OutputDir folder;
  if (!options.outputDir.empty())
    if (int code = folder.open(options.outputDir))
      return code;
  Profiler profiler(artifact, options);
  if (int code = profiler.open({"call"}))
    return code;

  const qtale_api *api = artifact.api;
  Resources resources{api, nullptr, {}};
  qtale_error failure;
  std::vector<qtale_tensor> inputs;
  for (const Npy &array : arrays)
    inputs.push_back(array.tensor);
  for (int64_t i = 0; i < api->model_num_outputs(artifact.model); ++i) {
    qtale_tensor output = {};
    if (api->model_output(artifact.model, i, &output, &failure) != QTALE_OK)
      return error("%s", failure.message);
    resources.outputs.push_back(output);
  }
  if (api->pool_create(options.threads, &resources.pool, &failure) != QTALE_OK)
    return error("%s", failure.message);
  int64_t numInputs = inputs.size(), numOutputs = resources.outputs.size();
  qtale_tensor *outputs = resources.outputs.data();
  Section *section = profiler.section(0);
  double begin = now();
  int32_t code =
      section
          ? api->profile_run(section->profile, resources.pool, inputs.data(),
                             numInputs, outputs, numOutputs, &failure)
          : api->run(artifact.model, resources.pool, inputs.data(), numInputs,
                     outputs, numOutputs, &failure);
  if (code != QTALE_OK)
    return error("%s", failure.message);
  resources.filled = true;
  if (section) {
    section->seconds = now() - begin;
    section->steps = 1;
  }

  if (options.outputDir.empty()) {
    std::string lines;
    for (const qtale_tensor &output : resources.outputs)
      lines += summary(output);
    return print(lines) ? profiler.report() : kFailed;
  }
  for (const qtale_tensor &output : resources.outputs)
    if (int code = folder.add(output))
      return code;
  if (int failed = folder.commit())
    return failed;
  return profiler.report();
}
