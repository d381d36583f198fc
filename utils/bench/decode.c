/*===- decode.c - Decoding, side by side -----------------------------------===*\
|*
|*   decode MODEL.so CHECKPOINT.bin
|*
|*   round:   rival  200 tokens │ qtale  200 tokens        alternating, so that
|*   round:   qtale  200 tokens │ rival  200 tokens        both meet the same
|*   …                                                     machine
|*
|* One thread each, greedy, from BOS (1). The texts must be equal, token by
|* token. What is compared is the median of a side's rounds.
|*
\*===----------------------------------------------------------------------===*/

#define _POSIX_C_SOURCE 199309L
#include "qtale/Runtime/qtale.h"
#include "rival.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { tokens = 200, rounds = 21, bos = 1 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int32_t likeliest(const float *logits, int64_t count) {
  int32_t best = 0;
  for (int32_t i = 1; i < count; ++i)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Seconds for all tokens, which go to `text`. */
static double time_rival(rival *r, int32_t *text) {
  double begin = now();
  int32_t token = bos;
  for (int i = 0; i < tokens; ++i)
    text[i] = token = likeliest(rival_step(r, token, i), rival_vocab(r));
  return now() - begin;
}

/* The same; negative where a call failed. */
static double time_qtale(const qtale_api *api, qtale_session *session,
                         int64_t vocab, float *logits, int32_t *text,
                         qtale_error *error) {
  double begin = now();
  int32_t token = bos;
  if (api->session_reset(session, error) != QTALE_OK)
    return -1;
  for (int i = 0; i < tokens; ++i) {
    qtale_step step = {session, &token, 1, QTALE_LOGITS_LAST, logits};
    if (api->step(&step, 1, error) != QTALE_OK)
      return -1;
    text[i] = token = likeliest(logits, vocab);
  }
  return now() - begin;
}

static void report(const char *name, double *seconds) {
  qsort(seconds, rounds, sizeof *seconds, by_size);
  printf("%-8s %9.0f tok/s  (%.0f to %.0f)\n", name,
         tokens / seconds[rounds / 2], tokens / seconds[rounds - 1],
         tokens / seconds[0]);
}

static int compare(const qtale_api *api, rival *r) {
  static double ours[rounds], theirs[rounds];
  static int32_t our_text[tokens], their_text[tokens];
  qtale_error error = {0};
  qtale_model *model = NULL;
  qtale_session *session = NULL;
  qtale_session_options options = {0};
  options.threads = 1;
  float *logits = malloc(rival_vocab(r) * sizeof(float));
  int code = 1;

  if (!logits || api->model_open(NULL, NULL, &model, &error) != QTALE_OK ||
      api->session_create(model, &options, &session, &error) != QTALE_OK) {
    fprintf(stderr, "decode: %s\n", error.message);
  } else if (api->model_vocab(model) != rival_vocab(r) ||
             rival_context(r) < tokens) {
    fprintf(stderr, "decode: not the same model, or a context too short\n");
  } else {
    code = 0;
    /* The first round, uncounted, brings weights into memory. */
    for (int i = -1; i < rounds && !code; ++i) {
      double a = 0, b = 0;
      for (int turn = 0; turn < 2; ++turn)
        if ((i + turn) % 2)
          a = time_qtale(api, session, rival_vocab(r), logits, our_text,
                         &error);
        else
          b = time_rival(r, their_text);
      if (a < 0) {
        fprintf(stderr, "decode: %s\n", error.message);
        code = 1;
      } else if (memcmp(our_text, their_text, sizeof our_text)) {
        fprintf(stderr, "decode: the texts differ\n");
        code = 1;
      } else if (i >= 0) {
        ours[i] = a;
        theirs[i] = b;
      }
    }
    if (!code) {
      report("qtale", ours);
      report("scalar C", theirs);
      printf("ratio    %9.2f         median of %d rounds, %d tokens each, one "
             "thread\n",
             theirs[rounds / 2] / ours[rounds / 2], rounds, tokens);
    }
  }
  free(logits);
  api->session_destroy(session);
  api->model_close(model);
  return code;
}

int main(int argc, char **argv) {
  if (argc != 3)
    return fprintf(stderr, "usage: decode MODEL.so CHECKPOINT.bin\n"), 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  const qtale_api *(*get_api)(uint32_t) = NULL;
  if (library)
    *(void **)&get_api = dlsym(library, "qtale_get_api");
  const qtale_api *api = get_api ? get_api(QTALE_API_VERSION) : NULL;
  if (!api)
    return fprintf(stderr, "%s: no artifact\n", argv[1]), 1;
  rival *r = rival_open(argv[2]);
  if (!r)
    return 1;
  int code = compare(api, r);
  rival_close(r);
  return code;
}
