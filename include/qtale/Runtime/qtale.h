//===- qtale.h - The C interface of a compiled model ----------------------===//
//
// An artifact exports one symbol, `qtale_get_api`. From it:
//
//   const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
//   qtale_model *model;      api->model_open(NULL, NULL, &model, &error);
//   qtale_session *session;  api->session_create(model, NULL, &session, &error);
//   qtale_step step = {session, tokens, count, QTALE_LOGITS_LAST, logits};
//   api->step(&step, 1, &error);
//
// Every call returns a code and, where it is not QTALE_OK, fills *error (which
// may be null). Nothing aborts, nothing is global. Different sessions may be
// used from different threads at once; one session by one thread at a time
// (a second one gets QTALE_BUSY).
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_RUNTIME_QTALE_H
#define QTALE_RUNTIME_QTALE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Raised when the table below changes in a way that old callers notice.
#define QTALE_API_VERSION 3

typedef enum qtale_code {
  QTALE_OK = 0,
  QTALE_INVALID_ARGUMENT = 1, /* the caller's: shape, dtype, token, count */
  QTALE_NOT_FOUND = 2,        /* no such file, input or output */
  QTALE_CORRUPT = 3,          /* a file of another compile, or altered */
  QTALE_UNSUPPORTED = 4,      /* this model or machine can't do that */
  QTALE_OUT_OF_MEMORY = 5,
  QTALE_IO = 6,
  QTALE_BUSY = 7,  /* the session is in use by another thread */
  QTALE_LIMIT = 8, /* beyond the context or another fixed bound */
} qtale_code;

typedef struct qtale_error {
  int32_t code;
  char message[512];
} qtale_error;

/// Element types. The numbers are part of the interface.
typedef enum qtale_dtype {
  QTALE_BOOL = 1, /* one byte, 0 or 1 */
  QTALE_INT8 = 2,
  QTALE_UINT8 = 3,
  QTALE_INT16 = 4,
  QTALE_UINT16 = 5,
  QTALE_INT32 = 6,
  QTALE_UINT32 = 7,
  QTALE_INT64 = 8,
  QTALE_UINT64 = 9,
  QTALE_FLOAT16 = 10,
  QTALE_BFLOAT16 = 11,
  QTALE_FLOAT32 = 12,
  QTALE_FLOAT64 = 13,
  /* Shorter than a CPU's numbers, called as ml_dtypes calls them: a byte each,
     the element's bits at its low end. What other bits an input has there is
     ignored; an output has zeros. */
  QTALE_FLOAT8_E4M3FN = 14,
  QTALE_FLOAT8_E4M3FNUZ = 15,
  QTALE_FLOAT8_E5M2 = 16,
  QTALE_FLOAT8_E5M2FNUZ = 17,
  QTALE_FLOAT8_E8M0FNU = 18,
  QTALE_FLOAT6_E2M3FN = 19,
  QTALE_FLOAT6_E3M2FN = 20,
  QTALE_FLOAT4_E2M1FN = 21,
  QTALE_INT4 = 22,
  QTALE_UINT4 = 23,
  QTALE_INT2 = 24,
  QTALE_UINT2 = 25,
} qtale_dtype;

#define QTALE_MAX_RANK 8

/// A dense row-major array.
typedef struct qtale_tensor {
  const char *name;
  int32_t dtype; /* qtale_dtype */
  int32_t rank;
  int64_t dims[QTALE_MAX_RANK]; /* -1: dynamic (model_input, model_output) */
  void *data;
} qtale_tensor;

typedef struct qtale_model qtale_model;
typedef struct qtale_session qtale_session;
typedef struct qtale_profile qtale_profile;

/// Threads that execute calls: the default pool, or the host's own.
/// `run` executes task(argument, i) for i in 0 .. threads - 1, all at the same
/// time (they wait for each other), and returns when all have.
typedef struct qtale_pool {
  void *state;
  int64_t threads;
  void (*run)(void *state, void (*task)(void *argument, int64_t thread),
              void *argument);
} qtale_pool;

typedef enum qtale_logits {
  QTALE_LOGITS_NONE = 0,
  QTALE_LOGITS_LAST = 1, /* float [vocab] */
  QTALE_LOGITS_ALL = 2,  /* float [count, vocab] */
} qtale_logits;

/// Tokens of one session in a step.
typedef struct qtale_step {
  qtale_session *session;
  const int32_t *tokens;
  int64_t count;  /* >= 1 */
  int32_t wanted; /* qtale_logits */
  float *logits;  /* the caller's buffer; null with QTALE_LOGITS_NONE */
} qtale_step;

/// Zero means the default, here and in later additions.
typedef struct qtale_session_options {
  const qtale_pool *pool; /* null: one of `threads` threads of its own */
  int64_t threads;        /* default: the cores; one for small steps */
  int64_t max_rows; /* rows of one pass; longer steps run in chunks; 512 */
  int32_t record;   /* 1: keep what ran (session_kept, session_probability) */
} qtale_session_options;

typedef struct qtale_model_options {
  const char *cpu; /* a level by name; default: $QTALE_CPU, or the best */
} qtale_model_options;

/// How a routed model is made. A *unit* is what a router decides about: a
/// layer's block (units = 1), or its attention, then its FFN (units = 2). Units
/// are numbered layer * units + unit, over all layers.
typedef struct qtale_routing {
  int64_t layers;
  int64_t units;           /* of a layer */
  const uint8_t *routed;   /* [layers * units], 1 where there is a router */
  int64_t always_execute;  /* tokens at positions below it run everything */
  const float *thresholds; /* [layers * units]: a new session's */
  float lowest_ratio;      /* session_set_ratio takes lowest to highest; */
  float highest_ratio;     /* both 0: the model is not calibrated */
} qtale_routing;

/// What an operation of a model took, over all calls that were profiled.
typedef struct qtale_operation {
  const char *operation; /* "matmul", "attention", …; "loop": elementwise */
  const char *node;      /* the model's name for it; "": none */
  int64_t layer;         /* by the node's name; -1: none */
  int64_t calls;
  uint64_t nanoseconds;
  uint64_t
      bytes;     /* of weights: whole matrices; rows, where they're looked up */
  uint64_t macs; /* multiplications and additions of rows and weights */
} qtale_operation;

/// One call of an operation.
typedef struct qtale_event {
  int64_t operation; /* index among profile_operations */
  uint64_t begin;    /* ns of CLOCK_MONOTONIC */
  uint64_t nanoseconds, bytes, macs;
} qtale_event;

typedef struct qtale_api {
  uint32_t version;

  /// Maps the weights. `weights` is a path; null: the file beside the artifact,
  /// or the bundle itself. Refuses a file of another size, model or compile.
  int32_t (*model_open)(const char *weights, const qtale_model_options *,
                        qtale_model **, qtale_error *);
  /// Sessions must be destroyed before.
  void (*model_close)(qtale_model *);
  /// JSON, as `qtale-run --info --json`; lives as long as the model.
  const char *(*model_info)(const qtale_model *);
  /// Hashes every tensor of the weights file; QTALE_CORRUPT names the first
  /// that differs.
  int32_t (*model_verify)(const qtale_model *, qtale_error *);

  int64_t (*model_num_inputs)(const qtale_model *);
  int64_t (*model_num_outputs)(const qtale_model *);
  /// Name, dtype, rank and dims of input or output `index`; data is null.
  int32_t (*model_input)(const qtale_model *, int64_t index, qtale_tensor *,
                         qtale_error *);
  int32_t (*model_output)(const qtale_model *, int64_t index, qtale_tensor *,
                          qtale_error *);
  int64_t (*model_vocab)(const qtale_model *);   /* 0: no session */
  int64_t (*model_context)(const qtale_model *); /* positions below this */
  int64_t (*model_bos)(const qtale_model *);     /* -1: none before a text */
  /// The end-of-sequence ids; returns how many.
  int64_t (*model_eos)(const qtale_model *, const int64_t **ids);

  /// Calls the graph as a function. `inputs`: every input of the model once, in
  /// any order, by name. `outputs`: those wanted, by name; dtype, rank, dims
  /// and data are filled in, data with memory that `release` frees. `pool`
  /// null: one of every core, which the model makes on first use.
  int32_t (*run)(const qtale_model *, const qtale_pool *,
                 const qtale_tensor *inputs, int64_t num_inputs,
                 qtale_tensor *outputs, int64_t num_outputs, qtale_error *);
  void (*release)(qtale_tensor *);

  int32_t (*session_create)(const qtale_model *, const qtale_session_options *,
                            qtale_session **, qtale_error *);
  void (*session_destroy)(qtale_session *);
  /// As new.
  int32_t (*session_reset)(qtale_session *, qtale_error *);
  /// Forgets all from position `length` on.
  int32_t (*session_truncate)(qtale_session *, int64_t length, qtale_error *);
  /// A second session with the same content; both go on independently. They
  /// share a pool, and memory until one of them writes.
  int32_t (*session_fork)(const qtale_session *, qtale_session **,
                          qtale_error *);
  int64_t (*session_position)(const qtale_session *);
  uint64_t (*session_kv_bytes)(const qtale_session *);

  /// One pass over the weights for the tokens of any number of sessions of one
  /// model, each session at most once. The results are those of one step a
  /// session. Executed on the first session's pool. Where it fails, every
  /// session is as before.
  int32_t (*step)(const qtale_step *, int64_t count, qtale_error *);

  /// Bytes (UTF-8) to ids, without BOS. Writes at most `capacity`; *count is
  /// what the whole text needs (QTALE_LIMIT where it is more).
  int32_t (*tokenize)(const qtale_model *, const char *text, size_t length,
                      int32_t *ids, size_t capacity, size_t *count,
                      qtale_error *);
  /// Ids to bytes; special tokens (BOS, EOS) give nothing. The text of a token
  /// can depend on the one before: give the whole sequence, or use `previous`
  /// (-1: the first). *length is what the whole needs.
  int32_t (*detokenize)(const qtale_model *, int32_t previous,
                        const int32_t *ids, size_t count, char *text,
                        size_t capacity, size_t *length, qtale_error *);

  /// The default pool: threads that spin briefly, then sleep.
  int32_t (*pool_create)(int64_t threads, qtale_pool **, qtale_error *);
  void (*pool_destroy)(qtale_pool *);

  /* Routed models. What is set holds from the next step on, for the tokens read
     then; forks take it over, reset and truncate leave it. In other models
     these calls give QTALE_UNSUPPORTED. */

  /// Null: not routed. Lives as long as the model.
  const qtale_routing *(*model_routing)(const qtale_model *);
  /// A routed unit runs where its probability reaches the threshold: 0 runs
  /// everything, above 1 only what must run. `count`: 1 for all units; layers,
  /// for all units of each; layers * units. Ignored where there is no router.
  int32_t (*session_set_threshold)(qtale_session *, const float *thresholds,
                                   int64_t count, qtale_error *);
  /// The thresholds in use; count must be layers * units.
  int32_t (*session_threshold)(const qtale_session *, float *thresholds,
                               int64_t count, qtale_error *);
  /// Sets the thresholds that make about this share of the routed units run, by
  /// the model's calibration table (`qtale calibrate`).
  int32_t (*session_set_ratio)(qtale_session *, double ratio, qtale_error *);
  /// At most so many routed units run for a token, the first that want to;
  /// tokens that always run are not limited. -1: no limit.
  int32_t (*session_set_budget)(qtale_session *, int64_t units, qtale_error *);
  /// What ran for the tokens at positions first .. first + count - 1: 0 or 1,
  /// [layers * units, count]; 1 where there is no router. The session must have
  /// been created with `record`.
  int32_t (*session_kept)(const qtale_session *, int64_t first, int64_t count,
                          uint8_t *kept, qtale_error *);
  /// Likewise the routers' probabilities; 1 where there is no router.
  int32_t (*session_probability)(const qtale_session *, int64_t first,
                                 int64_t count, float *probability,
                                 qtale_error *);

  /* Profiles: what each operation takes. It is measured on one thread, from the
     beginning of an operation to that of the next, so that waiting for the
     other threads is counted where it happens. */

  /// For calls of this model, one at a time (QTALE_BUSY). `events`: how many
  /// calls of operations are kept one by one, the last ones. The model must
  /// outlive it.
  int32_t (*profile_create)(const qtale_model *, int64_t events,
                            qtale_profile **, qtale_error *);
  void (*profile_destroy)(qtale_profile *);
  /// `run` and `step`, which add what they take.
  int32_t (*profile_run)(qtale_profile *, const qtale_pool *,
                         const qtale_tensor *inputs, int64_t num_inputs,
                         qtale_tensor *outputs, int64_t num_outputs,
                         qtale_error *);
  int32_t (*profile_step)(qtale_profile *, const qtale_step *, int64_t count,
                          qtale_error *);
  /// All operations of the model, also those without calls, in the order of the
  /// code; at most `capacity` are written. Returns how many there are. Texts
  /// live as long as the model. Not while a call adds to the profile.
  int64_t (*profile_operations)(const qtale_profile *, qtale_operation *,
                                int64_t capacity);
  /// Likewise the events that were kept, in the order of time.
  int64_t (*profile_events)(const qtale_profile *, qtale_event *,
                            int64_t capacity);
} qtale_api;

/// Null where this artifact does not speak `version`.
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const qtale_api *qtale_get_api(uint32_t version);

#ifdef __cplusplus
}
#endif

#endif // QTALE_RUNTIME_QTALE_H
