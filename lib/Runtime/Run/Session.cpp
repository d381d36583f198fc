//===- Session.cpp - A session of the run command -------------------------===//

#include "Session.h"
#include "Messages.h"

using namespace qtale::run;

Session::~Session() {
  if (handle)
    artifact.api->session_destroy(handle);
}

/// How much of a routed model runs.
int32_t Session::setRouting(const Options &options, qtale_error *failure) {
  const qtale_api *api = artifact.api;
  int32_t code = QTALE_OK;
  if (options.threshold) {
    float threshold = static_cast<float>(*options.threshold);
    code = api->session_set_threshold(handle, &threshold, 1, failure);
  }
  if (code == QTALE_OK && options.ratio)
    code = api->session_set_ratio(handle, *options.ratio, failure);
  if (code == QTALE_OK && options.budget)
    code = api->session_set_budget(handle, *options.budget, failure);
  return code;
}

int Session::create(const Options &given) {
  if (artifact.api->model_vocab(artifact.model) <= 0)
    return error("this model has no session (it is a function, not a language "
                 "model that steps); call it with --input NAME=FILE.npy, or "
                 "see --info");
  qtale_session_options options = {};
  options.threads = given.threads;
  options.record = given.stats;
  qtale_error failure;
  if (artifact.api->session_create(artifact.model, &options, &handle,
                                   &failure) != QTALE_OK ||
      setRouting(given, &failure) != QTALE_OK)
    return error("%s", failure.message);
  return kDone;
}

int Session::step(const std::vector<int32_t> &tokens,
                  std::vector<float> *logits, Section *section) {
  qtale_step step = {};
  step.session = handle;
  step.tokens = tokens.data();
  step.count = static_cast<int64_t>(tokens.size());
  step.wanted = logits ? QTALE_LOGITS_LAST : QTALE_LOGITS_NONE;
  if (logits) {
    logits->resize(artifact.api->model_vocab(artifact.model));
    step.logits = logits->data();
  }
  qtale_error failure;
  double begin = now();
  int32_t code =
      section ? artifact.api->profile_step(section->profile, &step, 1, &failure)
              : artifact.api->step(&step, 1, &failure);
  if (code != QTALE_OK)
    return error("%s", failure.message);
  if (section) {
    section->seconds += now() - begin;
    section->tokens += step.count;
    ++section->steps;
  }
  return kDone;
}
