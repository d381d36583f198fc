// An artifact written by hand, for the bindings: its answers can be told in
// advance.
//
//   run       y = by x, total = sum of x (int64), h passes through (bfloat16)
//   session   logits[t] = position of the token in the text, for the token
//             that follows (t = token + 1), 0 for all others; vocabulary 16
//   tokenizer 'a' is 3, 'b' is 4, ... ; 14 and 15 are the halves of "é"
//   routing   with -DUNITS=1 or 2: 3 layers, the first without routers; the
//             first 2 positions run everything. The p of the first routed unit
//             is token / 16; of each other the same where the one before it
//             ran, and 1 - token / 16 where it did not. A ratio takes the first
//             entry of the calibration table that is not below it.

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 16, CONTEXT = 32 };

#ifdef UNITS
enum { LAYERS = 3, ALWAYS = 2, ALL = LAYERS * UNITS };
#else
enum { ALL = 1 };
#endif

struct qtale_model {
  _Atomic int sessions; // made and ended by several threads
};

struct qtale_session {
  qtale_model *model;
  int64_t position;
  int32_t record;
  float thresholds[ALL];
  int64_t budget;
  uint8_t kept[ALL][CONTEXT];
  float probability[ALL][CONTEXT];
};

static int32_t fail(qtale_error *error, int32_t code, const char *message) {
  error->code = code;
  snprintf(error->message, sizeof error->message, "%s", message);
  return code;
}

static int32_t model_open(const char *weights, const qtale_model_options *o,
                          qtale_model **model, qtale_error *error) {
  if (weights)
    return fail(error, QTALE_NOT_FOUND, weights);
  *model = calloc(1, sizeof **model);
  return QTALE_OK;
}

static void model_close(qtale_model *model) {
  if (model->sessions) // the bindings must not let this happen
    abort();
  free(model);
}

#ifdef UNITS
static const uint8_t routed[ALL] = {
    [UNITS] = 1, [UNITS + 1] = 1, [ALL - 2] = 1, [ALL - 1] = 1};
static const float defaults[ALL] = {[0 ... ALL - 1] = 0.5f};

static struct {
  qtale_calibration head;
  float thresholds[QTALE_CALIBRATION_ENTRIES][ALL];
} table = {{"qtale routing calibration table",
            QTALE_CALIBRATION_ENTRIES,
            0,
            ALL,
            0,
            {0}},
           {{0}}};

static const qtale_routing *model_routing(const qtale_model *model) {
  static qtale_routing routing;
  // What the file holds, not what the C compiler sees here.
  volatile const qtale_calibration *now = &table.head;
  qtale_routing all = {LAYERS, UNITS, routed, ALWAYS, defaults, 0, 0};
  routing = all;
  if (now->count) {
    routing.lowest_ratio = now->ratios[0];
    routing.highest_ratio = now->ratios[now->count - 1];
  }
  return &routing;
}

static int32_t set_threshold(qtale_session *session, const float *thresholds,
                             int64_t count, qtale_error *error) {
  for (int64_t i = 0; i < count; ++i)
    if (!(thresholds[i] >= 0))
      return fail(error, QTALE_INVALID_ARGUMENT, "a threshold is below 0");
  for (int64_t i = 0; i < ALL; ++i)
    session->thresholds[i] = thresholds[i * count / ALL];
  return QTALE_OK;
}

static int32_t threshold(const qtale_session *session, float *thresholds,
                         int64_t count, qtale_error *error) {
  if (count != ALL)
    return fail(error, QTALE_INVALID_ARGUMENT, "another count");
  memcpy(thresholds, session->thresholds, sizeof session->thresholds);
  return QTALE_OK;
}

static int32_t set_ratio(qtale_session *session, double ratio,
                         qtale_error *error) {
  volatile const qtale_calibration *now = &table.head;
  for (uint32_t i = 0; i < now->count; ++i)
    if (now->ratios[i] >= ratio - 1e-6)
      return set_threshold(session, table.thresholds[i], ALL, error);
  return fail(error, QTALE_INVALID_ARGUMENT, "no such ratio in the table");
}

static int32_t set_budget(qtale_session *session, int64_t units,
                          qtale_error *error) {
  session->budget = units;
  return QTALE_OK;
}

static int32_t check_record(const qtale_session *session, int64_t first,
                            int64_t count, qtale_error *error) {
  if (!session->record)
    return fail(error, QTALE_INVALID_ARGUMENT, "made without record");
  if (first < 0 || count < 0 || first + count > session->position)
    return fail(error, QTALE_INVALID_ARGUMENT, "no such positions");
  return QTALE_OK;
}

static int32_t kept(const qtale_session *session, int64_t first, int64_t count,
                    uint8_t *kept, qtale_error *error) {
  for (int64_t unit = 0; unit < ALL; ++unit)
    memcpy(kept + unit * count, session->kept[unit] + first, count);
  return check_record(session, first, count, error);
}

static int32_t probability(const qtale_session *session, int64_t first,
                           int64_t count, float *probability,
                           qtale_error *error) {
  for (int64_t unit = 0; unit < ALL; ++unit)
    memcpy(probability + unit * count, session->probability[unit] + first,
           count * sizeof *probability);
  return check_record(session, first, count, error);
}

static void route(qtale_session *session, int64_t at, int32_t token) {
  int64_t budget = session->budget;
  int below = 1;
  for (int64_t unit = 0; unit < ALL; ++unit) {
    float p = !routed[unit] ? 1 : below ? token / 16.0f : 1 - token / 16.0f;
    int must = !routed[unit] || at < ALWAYS;
    below = must || (p >= session->thresholds[unit] && budget);
    if (!must && below && budget > 0)
      --budget;
    session->kept[unit][at] = below;
    session->probability[unit][at] = p;
  }
}
#else
static const qtale_routing *model_routing(const qtale_model *model) {
  return NULL;
}
#endif

static const char *model_info(const qtale_model *model) {
  return "{\"version\": \"fake\", \"levels\": []}";
}

static int32_t model_verify(const qtale_model *model, qtale_error *error) {
  return fail(error, QTALE_CORRUPT, "tensor w differs");
}

static const qtale_tensor inputs[] = {{"x", QTALE_FLOAT32, 2, {-1, 4}, 0},
                                      {"h", QTALE_BFLOAT16, 1, {-1}, 0},
                                      {"by", QTALE_FLOAT32, 0, {0}, 0}};
static const qtale_tensor outputs[] = {{"y", QTALE_FLOAT32, 2, {-1, 4}, 0},
                                       {"total", QTALE_INT64, 0, {0}, 0},
                                       {"h_out", QTALE_BFLOAT16, 1, {-1}, 0}};

static int64_t num_inputs(const qtale_model *model) { return 3; }
static int64_t num_outputs(const qtale_model *model) { return 3; }

static int32_t input(const qtale_model *model, int64_t i, qtale_tensor *t,
                     qtale_error *error) {
  *t = inputs[i];
  return QTALE_OK;
}

static int32_t output(const qtale_model *model, int64_t i, qtale_tensor *t,
                      qtale_error *error) {
  *t = outputs[i];
  return QTALE_OK;
}

static int64_t vocab(const qtale_model *model) { return VOCAB; }
static int64_t context(const qtale_model *model) { return CONTEXT; }
static int64_t bos(const qtale_model *model) { return 1; }

static int64_t eos(const qtale_model *model, const int64_t **ids) {
  static const int64_t all[] = {2, 12};
  *ids = all;
  return 2;
}

static const qtale_tensor *find(const qtale_tensor *all, int64_t count,
                                const char *name) {
  for (int64_t i = 0; i < count; ++i)
    if (!strcmp(all[i].name, name))
      return &all[i];
  return NULL;
}

static int32_t run(const qtale_model *model, const qtale_pool *pool,
                   const qtale_tensor *in, int64_t num_in, qtale_tensor *out,
                   int64_t num_out, qtale_error *error) {
  const qtale_tensor *x = find(in, num_in, "x"), *h = find(in, num_in, "h"),
                     *by = find(in, num_in, "by");
  if (!x || !h || !by)
    return fail(error, QTALE_NOT_FOUND, "an input is missing");
  if (x->dtype != QTALE_FLOAT32 || h->dtype != QTALE_BFLOAT16)
    return fail(error, QTALE_INVALID_ARGUMENT, "an input has another type");
  if (x->rank != 2 || h->rank != 1 || by->rank != 0)
    return fail(error, QTALE_INVALID_ARGUMENT, "an input has another rank");
  int64_t count = x->dims[0] * x->dims[1];
  for (int64_t i = 0; i < num_out; ++i) {
    const qtale_tensor *port = find(outputs, 3, out[i].name);
    if (!port)
      return fail(error, QTALE_NOT_FOUND, "no such output");
    out[i].dtype = port->dtype;
    out[i].rank = port->rank;
    if (!strcmp(port->name, "y")) {
      memcpy(out[i].dims, x->dims, sizeof x->dims);
      float *y = out[i].data = malloc(count * 4 + 1);
      for (int64_t k = 0; k < count; ++k)
        y[k] = *(float *)by->data * ((float *)x->data)[k];
    } else if (!strcmp(port->name, "total")) {
      int64_t *total = out[i].data = calloc(1, 8);
      for (int64_t k = 0; k < count; ++k)
        *total += ((float *)x->data)[k];
    } else {
      out[i].dims[0] = h->dims[0];
      out[i].data = malloc(h->dims[0] * 2 + 1);
      memcpy(out[i].data, h->data, h->dims[0] * 2);
    }
  }
  return QTALE_OK;
}

static void release(qtale_tensor *tensor) { free(tensor->data); }

static int32_t session_create(const qtale_model *model,
                              const qtale_session_options *options,
                              qtale_session **session, qtale_error *error) {
  if (options->max_rows != 512)
    return fail(error, QTALE_UNSUPPORTED, "max_rows is 512 here");
  *session = calloc(1, sizeof **session);
  (*session)->model = (qtale_model *)model;
  (*session)->record = options->record;
#ifdef UNITS
  memcpy((*session)->thresholds, defaults, sizeof defaults);
  (*session)->budget = -1;
#endif
  ++(*session)->model->sessions;
  return QTALE_OK;
}

static void session_destroy(qtale_session *session) {
  --session->model->sessions;
  free(session);
}

static int32_t truncate_to(qtale_session *session, int64_t length,
                           qtale_error *error) {
  if (length < 0 || length > session->position)
    return fail(error, QTALE_INVALID_ARGUMENT, "longer than the text");
  session->position = length;
  return QTALE_OK;
}

static int32_t reset(qtale_session *session, qtale_error *error) {
  return truncate_to(session, 0, error);
}

static int32_t fork_session(const qtale_session *session, qtale_session **twin,
                            qtale_error *error) {
  *twin = malloc(sizeof **twin);
  **twin = *session;
  ++session->model->sessions;
  return QTALE_OK;
}

static int64_t position(const qtale_session *session) {
  return session->position;
}

static uint64_t kv_bytes(const qtale_session *session) {
  return 100 * session->position;
}

static int32_t step(const qtale_step *steps, int64_t count,
                    qtale_error *error) {
  for (int64_t i = 0; i < count; ++i) {
    if (steps[i].count < 1)
      return fail(error, QTALE_INVALID_ARGUMENT, "no token");
    if (steps[i].session->position + steps[i].count > CONTEXT)
      return fail(error, QTALE_LIMIT, "beyond the context of 32");
    for (int64_t k = 0; k < steps[i].count; ++k)
      if (steps[i].tokens[k] < 0 || steps[i].tokens[k] >= VOCAB)
        return fail(error, QTALE_INVALID_ARGUMENT, "no such token");
  }
  for (int64_t i = 0; i < count; ++i) {
    const qtale_step *s = &steps[i];
    int64_t first = s->wanted == QTALE_LOGITS_LAST  ? s->count - 1
                    : s->wanted == QTALE_LOGITS_ALL ? 0
                                                    : s->count;
#ifdef UNITS
    for (int64_t k = 0; k < s->count; ++k)
      route(s->session, s->session->position + k, s->tokens[k]);
#endif
    for (int64_t k = first; k < s->count; ++k) {
      float *row = s->logits + (k - first) * VOCAB;
      memset(row, 0, VOCAB * sizeof *row);
      row[(s->tokens[k] + 1) % VOCAB] = s->session->position + k + 1;
    }
    s->session->position += s->count;
  }
  return QTALE_OK;
}

static int32_t tokenize(const qtale_model *model, const char *text,
                        size_t length, int32_t *ids, size_t capacity,
                        size_t *count, qtale_error *error) {
  // Three tokens for a 'z', so that the first guess of a capacity fails.
  *count = 0;
  for (size_t i = 0; i < length; ++i)
    for (int copies = text[i] == 'z' ? 30 : 1; copies; --copies, ++*count)
      if (*count < capacity)
        ids[*count] = text[i] == 'z' ? 3 : text[i] - 'a' + 3;
  return *count > capacity ? fail(error, QTALE_LIMIT, "more") : QTALE_OK;
}

static int32_t detokenize(const qtale_model *model, int32_t previous,
                          const int32_t *ids, size_t count, char *text,
                          size_t capacity, size_t *length, qtale_error *error) {
  *length = 0;
  for (size_t i = 0; i < count; previous = ids[i++]) {
    if (ids[i] < 3)
      continue;
    // After BOS a letter is written large.
    char c = ids[i] == 14   ? '\xc3'
             : ids[i] == 15 ? '\xa9'
                            : (previous == 1 ? 'A' : 'a') + ids[i] - 3;
    for (int copies = ids[i] == 13 ? 50 : 1; copies; --copies, ++*length)
      if (*length < capacity)
        text[*length] = c;
  }
  return *length > capacity ? fail(error, QTALE_LIMIT, "more") : QTALE_OK;
}

static int32_t pool_create(int64_t threads, qtale_pool **pool,
                           qtale_error *error) {
  return fail(error, QTALE_UNSUPPORTED, "no pool");
}
static void pool_destroy(qtale_pool *pool) {}

#ifndef VERSION // of an artifact that was compiled earlier
#define VERSION QTALE_API_VERSION
#endif

static const qtale_api api = {
    VERSION,
    model_open,
    model_close,
    model_info,
    model_verify,
    num_inputs,
    num_outputs,
    input,
    output,
    vocab,
    context,
    bos,
    eos,
    run,
    release,
    session_create,
    session_destroy,
    reset,
    truncate_to,
    fork_session,
    position,
    kv_bytes,
    step,
    tokenize,
    detokenize,
    pool_create,
    pool_destroy,
    model_routing,
#ifdef UNITS
    set_threshold,
    threshold,
    set_ratio,
    set_budget,
    kept,
    probability,
#endif
};

const qtale_api *qtale_get_api(uint32_t version) {
  return version == VERSION ? &api : NULL;
}
