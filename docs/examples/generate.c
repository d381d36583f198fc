//===- generate.c - A language model from C -------------------------------===//
//
//   text ─tokenize─▶ ids ─step─▶ logits ─largest─▶ id ─detokenize─▶ text
//                         ▲                        │
//                         └────────────────────────┘
//
//   cc -std=c11 -I<prefix>/include generate.c -o generate
//   ./generate ./model.so "Once upon a time" 200
//
//===----------------------------------------------------------------------===//

#include "qtale/Runtime/qtale.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static qtale_error error;

// Ends the program where a call failed; the message says what to do.
static void check(int32_t code) {
  if (code == QTALE_OK)
    return;
  fprintf(stderr, "generate: %s\n", error.message);
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory) {
    fprintf(stderr, "generate: out of memory\n");
    exit(1);
  }
  return memory;
}

static const qtale_api *load(const char *path) {
  const qtale_api *(*get_api)(uint32_t) = NULL;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *symbol = library ? dlsym(library, "qtale_get_api") : NULL;
  if (!symbol) {
    fprintf(stderr, "generate: %s\n", dlerror());
    exit(1);
  }
  memcpy(&get_api, &symbol, sizeof(symbol));
  const qtale_api *api = get_api(QTALE_API_VERSION);
  if (!api) {
    fprintf(stderr, "generate: %s does not speak version %d\n", path,
            QTALE_API_VERSION);
    exit(1);
  }
  return api;
}

// The prompt's ids, with BOS in front where the model has one.
static int32_t *encode(const qtale_api *api, const qtale_model *model,
                       const char *text, int64_t *count) {
  size_t length = strlen(text), needed = 0;
  int64_t bos = api->model_bos(model);
  // With no room the call only counts; QTALE_LIMIT is then no failure.
  int32_t code = api->tokenize(model, text, length, NULL, 0, &needed, &error);
  if (code != QTALE_LIMIT)
    check(code);
  int32_t *ids = allocate((needed + 1) * sizeof(int32_t));
  size_t first = 0;
  if (bos >= 0)
    ids[first++] = (int32_t)bos;
  check(
      api->tokenize(model, text, length, ids + first, needed, &needed, &error));
  *count = (int64_t)(first + needed);
  return ids;
}

static void print(const qtale_api *api, const qtale_model *model,
                  int32_t previous, int32_t id) {
  char text[1024];
  size_t length = 0;
  check(api->detokenize(model, previous, &id, 1, text, sizeof(text), &length,
                        &error));
  fwrite(text, 1, length, stdout);
  fflush(stdout);
}

static int is_end(const qtale_api *api, const qtale_model *model, int32_t id) {
  const int64_t *ends;
  int64_t count = api->model_eos(model, &ends);
  for (int64_t i = 0; i < count; ++i)
    if (ends[i] == id)
      return 1;
  return 0;
}

static int32_t largest(const float *logits, int64_t count) {
  int32_t best = 0;
  for (int64_t i = 1; i < count; ++i)
    if (logits[i] > logits[best])
      best = (int32_t)i;
  return best;
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: generate ARTIFACT PROMPT [STEPS]\n");
    return 2;
  }
  long steps = argc == 4 ? strtol(argv[3], NULL, 10) : 100;

  const qtale_api *api = load(argv[1]);
  qtale_model *model;
  check(api->model_open(NULL, NULL, &model, &error));
  qtale_session *session;
  check(api->session_create(model, NULL, &session, &error));

  int64_t count, vocab = api->model_vocab(model);
  int32_t *ids = encode(api, model, argv[2], &count);
  if (count == 0) {
    fprintf(stderr, "generate: this model has no BOS; give a prompt\n");
    return 1;
  }
  float *logits = allocate((size_t)vocab * sizeof(float));
  qtale_step step = {session, ids, count, QTALE_LOGITS_LAST, logits};
  int32_t previous = ids[count - 1];
  for (long i = 0; i < steps; ++i) {
    if (api->session_position(session) == api->model_context(model))
      break;
    check(api->step(&step, 1, &error));
    int32_t next = largest(logits, vocab);
    if (is_end(api, model, next))
      break;
    print(api, model, previous, next);
    previous = next;
    step.tokens = &previous;
    step.count = 1;
  }
  printf("\n");

  free(logits);
  free(ids);
  api->session_destroy(session);
  api->model_close(model);
  return 0;
}
