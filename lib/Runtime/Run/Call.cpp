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
#include "Values.h"
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

/// The dtype of the model's input; 0: it has none of this name.
static int32_t inputDtype(const Artifact &artifact, const std::string &name) {
  const qtale_api *api = artifact.api;
  for (int64_t i = 0; i < api->model_num_inputs(artifact.model); ++i) {
    qtale_tensor input = {};
    qtale_error failure;
    if (api->model_input(artifact.model, i, &input, &failure) == QTALE_OK &&
        name == input.name)
      return input.dtype;
  }
  return 0;
}

static int readInputs(const Artifact &artifact, const Options &options,
                      std::vector<Npy> &arrays) {
  for (const auto &[name, file] : options.inputs) {
    Npy array;
    std::string wrong = readNpy(file, array, inputDtype(artifact, name));
    if (!wrong.empty())
      return error("--input %s: %s", name.c_str(), wrong.c_str());
    array.tensor.name = name.c_str();
    arrays.push_back(std::move(array));
  }
  return kDone;
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
  if (int code = readInputs(artifact, options, arrays))
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
