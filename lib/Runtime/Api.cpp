//===- Api.cpp - The one symbol of an artifact ----------------------------===//
//
//   qtale_get_api ─▶ table ─▶ guard: null handles, exceptions ─▶ the runtime
//
// Behind the table stands C++ that throws where memory runs out; nothing of it
// leaves this file.
//
//===----------------------------------------------------------------------===//

#include "ArtifactPath.h"
#include "Error.h"
#include "Model.h"
#include "Profile.h"
#include "Session.h"
#include "Tokenizer.h"

#include <cstdlib>
#include <exception>

using namespace qtale::rt;

/// The only exceptions of the runtime are the standard library's, for want of
/// memory (bad_alloc, length_error) or of a system resource.
template <typename Body> static int32_t guarded(qtale_error *error, Body body) {
  try {
    return body();
  } catch (const std::exception &) {
    return fail(error, QTALE_OUT_OF_MEMORY,
                "memory ran out; nothing has changed. Free some, or use fewer "
                "or shorter sessions");
  }
}

static int32_t missing(qtale_error *error, const char *what) {
  return fail(error, QTALE_INVALID_ARGUMENT, "%s is a null pointer", what);
}

static int32_t modelOpen(const char *weights,
                         const qtale_model_options *options,
                         qtale_model **model, qtale_error *error) {
  if (!model)
    return missing(error, "the place for the model");
  *model = nullptr;
  return guarded(error, [&] {
    const void *code = reinterpret_cast<const void *>(&qtale_get_api);
    return openModel(qtale_module_descriptor, pathOfCode(code), weights,
                     options, model, error);
  });
}

static void modelClose(qtale_model *model) { delete model; }

static const char *modelInfo(const qtale_model *model) {
  return model ? model->info.c_str() : nullptr;
}

static int32_t modelVerify(const qtale_model *model, qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return guarded(error, [&] { return model->weights.verify(error); });
}

static int64_t modelNumInputs(const qtale_model *model) {
  return model ? model->module->num_inputs : 0;
}

static int64_t modelNumOutputs(const qtale_model *model) {
  return model ? model->module->num_outputs : 0;
}

static int32_t modelInput(const qtale_model *model, int64_t index,
                          qtale_tensor *tensor, qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return describePort(model->module->inputs, model->module->num_inputs, index,
                      "input", tensor, error);
}

static int32_t modelOutput(const qtale_model *model, int64_t index,
                           qtale_tensor *tensor, qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return describePort(model->module->outputs, model->module->num_outputs, index,
                      "output", tensor, error);
}

static int64_t modelVocab(const qtale_model *model) {
  return model && model->level->step ? model->module->vocab : 0;
}

static int64_t modelContext(const qtale_model *model) {
  return model && model->level->step ? model->module->context : 0;
}

static int64_t modelBos(const qtale_model *model) {
  return model ? model->module->bos : -1;
}

static int64_t modelEos(const qtale_model *model, const int64_t **ids) {
  if (ids)
    *ids = model ? model->module->eos : nullptr;
  return model ? model->module->num_eos : 0;
}

static int32_t run(const qtale_model *model, const qtale_pool *pool,
                   const qtale_tensor *inputs, int64_t numInputs,
                   qtale_tensor *outputs, int64_t numOutputs,
                   qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return guarded(error, [&] {
    return runModel(*model, pool, inputs, numInputs, outputs, numOutputs,
                    nullptr, error);
  });
}

static void release(qtale_tensor *tensor) {
  if (!tensor)
    return;
  free(tensor->data);
  tensor->data = nullptr;
}

static int32_t sessionCreate(const qtale_model *model,
                             const qtale_session_options *options,
                             qtale_session **session, qtale_error *error) {
  if (!model || !session)
    return missing(error, model ? "the place for the session" : "the model");
  *session = nullptr;
  return guarded(
      error, [&] { return createSession(*model, options, session, error); });
}

static void sessionDestroy(qtale_session *session) { delete session; }

static int32_t sessionTruncate(qtale_session *session, int64_t length,
                               qtale_error *error) {
  if (!session)
    return missing(error, "the session");
  return truncateSession(*session, length, error);
}

static int32_t sessionReset(qtale_session *session, qtale_error *error) {
  return sessionTruncate(session, 0, error);
}

static int32_t sessionFork(const qtale_session *session, qtale_session **twin,
                           qtale_error *error) {
  if (!session || !twin)
    return missing(error, session ? "the place for the fork" : "the session");
  *twin = nullptr;
  return guarded(error, [&] { return forkSession(*session, twin, error); });
}

static int64_t sessionPosition(const qtale_session *session) {
  return session ? session->position.load() : 0;
}

static uint64_t sessionKvBytes(const qtale_session *session) {
  return session ? session->kvBytes.load() : 0;
}

static int32_t step(const qtale_step *items, int64_t count,
                    qtale_error *error) {
  return guarded(error,
                 [&] { return stepSessions(items, count, nullptr, error); });
}

static int32_t tokenizeText(const qtale_model *model, const char *text,
                            size_t length, int32_t *ids, size_t capacity,
                            size_t *count, qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return guarded(error, [&] {
    return tokenize(model->module->tokenizer, model->module->tokenizer_bytes,
                    text, length, ids, capacity, count, error);
  });
}

static int32_t detokenizeIds(const qtale_model *model, int32_t previous,
                             const int32_t *ids, size_t count, char *text,
                             size_t capacity, size_t *length,
                             qtale_error *error) {
  if (!model)
    return missing(error, "the model");
  return guarded(error, [&] {
    return detokenize(model->module->tokenizer, model->module->tokenizer_bytes,
                      previous, ids, count, text, capacity, length, error);
  });
}

static int32_t poolCreate(int64_t threads, qtale_pool **pool,
                          qtale_error *error) {
  if (!pool)
    return missing(error, "the place for the pool");
  *pool = nullptr;
  return guarded(error, [&] {
    std::unique_ptr<Pool> made;
    int32_t code = Pool::create(threads, made, error);
    *pool = made.release();
    return code;
  });
}

static void poolDestroy(qtale_pool *pool) { delete static_cast<Pool *>(pool); }

static const qtale_routing *modelRouting(const qtale_model *model) {
  return model && model->module->units ? &model->routing : nullptr;
}

static int32_t profileCreate(const qtale_model *model, int64_t events,
                             qtale_profile **profile, qtale_error *error) {
  if (!model || !profile)
    return missing(error, model ? "the place for the profile" : "the model");
  *profile = nullptr;
  return guarded(error,
                 [&] { return createProfile(*model, events, profile, error); });
}

static void profileDestroy(qtale_profile *profile) { delete profile; }

static int32_t profileRun(qtale_profile *profile, const qtale_pool *pool,
                          const qtale_tensor *inputs, int64_t numInputs,
                          qtale_tensor *outputs, int64_t numOutputs,
                          qtale_error *error) {
  if (!profile)
    return missing(error, "the profile");
  return guarded(error, [&] {
    ProfileHold hold;
    if (int32_t code = hold.take(*profile, error))
      return code;
    return runModel(profile->model, pool, inputs, numInputs, outputs,
                    numOutputs, profile, error);
  });
}

static int32_t profileStep(qtale_profile *profile, const qtale_step *items,
                           int64_t count, qtale_error *error) {
  if (!profile)
    return missing(error, "the profile");
  return guarded(error, [&] {
    ProfileHold hold;
    if (int32_t code = hold.take(*profile, error))
      return code;
    return stepSessions(items, count, profile, error);
  });
}

static int64_t profileOperations(const qtale_profile *profile,
                                 qtale_operation *operations,
                                 int64_t capacity) {
  return profile ? profile->copyOperations(operations, capacity) : 0;
}

static int64_t profileEvents(const qtale_profile *profile, qtale_event *events,
                             int64_t capacity) {
  return profile ? profile->copyEvents(events, capacity) : 0;
}

/// A call about the routing of a session, which can't throw.
template <auto call, typename Session, typename... Arguments>
static int32_t ofSession(Session *session, Arguments... arguments,
                         qtale_error *error) {
  return session ? call(*session, arguments..., error)
                 : missing(error, "the session");
}

/// In the order of qtale_api.
static constexpr qtale_api api = {
    QTALE_API_VERSION,
    modelOpen,
    modelClose,
    modelInfo,
    modelVerify,
    modelNumInputs,
    modelNumOutputs,
    modelInput,
    modelOutput,
    modelVocab,
    modelContext,
    modelBos,
    modelEos,
    run,
    release,
    sessionCreate,
    sessionDestroy,
    sessionReset,
    sessionTruncate,
    sessionFork,
    sessionPosition,
    sessionKvBytes,
    step,
    tokenizeText,
    detokenizeIds,
    poolCreate,
    poolDestroy,
    modelRouting,
    ofSession<setThreshold, qtale_session, const float *, int64_t>,
    ofSession<getThreshold, const qtale_session, float *, int64_t>,
    ofSession<setRatio, qtale_session, double>,
    ofSession<setBudget, qtale_session, int64_t>,
    ofSession<copyKept, const qtale_session, int64_t, int64_t, uint8_t *>,
    ofSession<copyProbability, const qtale_session, int64_t, int64_t, float *>,
    profileCreate,
    profileDestroy,
    profileRun,
    profileStep,
    profileOperations,
    profileEvents,
};

const qtale_api *qtale_get_api(uint32_t version) {
  return version == QTALE_API_VERSION ? &api : nullptr;
}
