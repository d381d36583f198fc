//===- Model.h - A compiled model, opened ---------------------------------===//

#ifndef QTALE_LIB_RUNTIME_MODEL_H
#define QTALE_LIB_RUNTIME_MODEL_H

#include "Pool.h"
#include "Routing.h"
#include "WeightsFile.h"
#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <memory>
#include <mutex>
#include <string>

/// The code for this machine and its weights. Nothing changes after opening but
/// the pool, made by the first `run` that brings none.
struct qtale_model {
  const qtale_module *module = nullptr;
  const qtale_level *level = nullptr;
  std::string info;
  qtale_routing routing = {};
  qtale::rt::WeightsFile weights;

  mutable std::mutex poolLock;
  mutable std::unique_ptr<qtale::rt::Pool> pool;
};

namespace qtale::rt {

/// Opens `module`, whose code lies in the file `artifact`.
int32_t openModel(const qtale_module &module, const std::string &artifact,
                  const char *weights, const qtale_model_options *options,
                  qtale_model **result, qtale_error *error);

/// Port `index` of `count`, as the caller sees it.
int32_t describePort(const qtale_port *ports, uint64_t count, int64_t index,
                     const char *what, qtale_tensor *tensor,
                     qtale_error *error);

/// Calls the graph as a function (Run.cpp). `profile` may be null.
int32_t runModel(const qtale_model &model, const qtale_pool *pool,
                 const qtale_tensor *inputs, int64_t numInputs,
                 qtale_tensor *outputs, int64_t numOutputs,
                 qtale_profile *profile, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_MODEL_H
