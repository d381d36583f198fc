/* logits ARTIFACT COUNT THRESHOLD TOKEN...

   Writes the logits of every token to stdout, float32 [tokens, vocab]: the first
   COUNT tokens are one step, each of the others is one. THRESHOLD is of routed
   models; a negative one leaves the model's own. Then a byte for each layer or
   unit and token: did it run? */

#include "qtale/Runtime/qtale.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static qtale_error error;

static void check(int32_t code) {
  if (code == QTALE_OK)
    return;
  fprintf(stderr, "logits: %s\n", error.message);
  exit(1);
}

int main(int argc, char **argv) {
  static int32_t tokens[512];
  int64_t count = 0;
  for (int i = 4; i < argc && count < 512; ++i)
    tokens[count++] = (int32_t)strtol(argv[i], NULL, 10);
  void *library = count ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  const qtale_api *(*get_api)(uint32_t) = NULL;
  if (library)
    *(void **)&get_api = dlsym(library, "qtale_get_api");
  if (!get_api)
    return fprintf(stderr, "logits: %s\n", dlerror()), 2;
  const qtale_api *api = get_api(QTALE_API_VERSION);

  qtale_model *model;
  qtale_session *session;
  check(api->model_open(NULL, NULL, &model, &error));
  qtale_session_options options = {0};
  options.record = api->model_routing(model) != NULL;
  check(api->session_create(model, &options, &session, &error));
  float threshold = strtof(argv[3], NULL);
  if (threshold >= 0)
    check(api->session_set_threshold(session, &threshold, 1, &error));

  int64_t vocab = api->model_vocab(model), first = strtol(argv[2], NULL, 10);
  float *logits = malloc((size_t)(count * vocab) * sizeof(float));
  for (int64_t at = 0; at < count;) {
    int64_t size = at ? 1 : first;
    qtale_step step = {session, tokens + at, size, QTALE_LOGITS_ALL,
                       logits + at * vocab};
    check(api->step(&step, 1, &error));
    at += size;
  }
  fwrite(logits, sizeof(float), (size_t)(count * vocab), stdout);
  if (options.record) {
    const qtale_routing *routing = api->model_routing(model);
    size_t bytes = (size_t)(routing->layers * routing->units * count);
    uint8_t *kept = malloc(bytes);
    check(api->session_kept(session, 0, count, kept, &error));
    fwrite(kept, 1, bytes, stdout);
    free(kept);
  }
  free(logits);
  api->session_destroy(session);
  api->model_close(model);
  return 0;
}
