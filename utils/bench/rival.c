/*===- rival.c - A Llama model in plain scalar C ---------------------------===*\
|*
|*   x = embedding[token]
|*   each layer:  h = norm(x);  q, k, v = W h;  rotate q, k;  remember k, v
|*                x += Wo attention(q, remembered)
|*                h = norm(x);  x += W2 (silu(W1 h) * (W3 h))
|*   logits = embedding norm(x)
|*
|* What one writes without thinking of vectors or threads; what the compiler's
|* -O3 makes of it is its own.
|*
\*===----------------------------------------------------------------------===*/

#include "rival.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct rival {
  int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
  float *file; /* all weights, in the file's order */
  const float *embedding, *attention_norm, *wq, *wk, *wv, *wo;
  const float *ffn_norm, *w1, *w2, *w3, *final_norm, *head;
  float *memory; /* everything below */
  float *x, *h, *q, *y, *gate, *up, *scores, *logits;
  float *keys, *values; /* [layers][context][kv_dim] */
};

/* The next `count` floats of a block; without one they are only counted. */
typedef struct {
  float *block;
  int64_t used;
} floats;

static float *take(floats *from, int64_t count) {
  float *part = from->block ? from->block + from->used : NULL;
  from->used += count;
  return part;
}

static int64_t place_weights(rival *r, float *block, int shared) {
  floats at = {block, 0};
  int64_t d = r->dim, f = r->hidden, n = r->layers;
  int64_t kv = d / r->heads * r->kv_heads;
  r->embedding = take(&at, r->vocab * d);
  r->attention_norm = take(&at, n * d);
  r->wq = take(&at, n * d * d);
  r->wk = take(&at, n * kv * d);
  r->wv = take(&at, n * kv * d);
  r->wo = take(&at, n * d * d);
  r->ffn_norm = take(&at, n * d);
  r->w1 = take(&at, n * f * d);
  r->w2 = take(&at, n * d * f);
  r->w3 = take(&at, n * f * d);
  r->final_norm = take(&at, d);
  take(&at, (int64_t)r->context * d / r->heads); /* rotary tables, unused */
  r->head = shared ? r->embedding : take(&at, r->vocab * d);
  return at.used;
}

static int64_t place_memory(rival *r, float *block) {
  floats at = {block, 0};
  int64_t cache =
      (int64_t)r->layers * r->context * (r->dim / r->heads * r->kv_heads);
  r->x = take(&at, r->dim);
  r->h = take(&at, r->dim);
  r->q = take(&at, r->dim);
  r->y = take(&at, r->dim);
  r->gate = take(&at, r->hidden);
  r->up = take(&at, r->hidden);
  r->scores = take(&at, r->context);
  r->logits = take(&at, r->vocab);
  r->keys = take(&at, cache);
  r->values = take(&at, cache);
  return at.used;
}

rival *rival_open(const char *path) {
  rival *r = calloc(1, sizeof *r);
  FILE *file = fopen(path, "rb");
  const char *problem = "can't be read";
  if (r && file && fread(r, sizeof(int32_t), 7, file) == 7) {
    int shared = r->vocab > 0;
    r->vocab = abs(r->vocab);
    problem = "is no llama2.c checkpoint";
    if (r->dim > 0 && r->heads > 0 && r->dim % r->heads == 0 &&
        r->context > 0 && r->layers > 0) {
      size_t weights = place_weights(r, NULL, shared);
      r->file = malloc(weights * sizeof(float));
      r->memory = calloc(place_memory(r, NULL), sizeof(float));
      problem = "is too short, or memory is";
      if (r->file && r->memory &&
          fread(r->file, sizeof(float), weights, file) == weights) {
        place_weights(r, r->file, shared);
        place_memory(r, r->memory);
        fclose(file);
        return r;
      }
    }
  }
  fprintf(stderr, "%s: %s\n", path, problem);
  if (file)
    fclose(file);
  rival_close(r);
  return NULL;
}

void rival_close(rival *r) {
  if (!r)
    return;
  free(r->file);
  free(r->memory);
  free(r);
}

int rival_vocab(const rival *r) { return r->vocab; }
int rival_context(const rival *r) { return r->context; }

/* y[n] = W[n][k] x[k] */
static void matvec(float *y, const float *w, const float *x, int n, int k) {
  for (int i = 0; i < n; ++i) {
    float sum = 0.0f;
    for (int j = 0; j < k; ++j)
      sum += w[(int64_t)i * k + j] * x[j];
    y[i] = sum;
  }
}

static void rms_norm(float *y, const float *x, const float *scale, int n) {
  float squares = 0.0f;
  for (int i = 0; i < n; ++i)
    squares += x[i] * x[i];
  float factor = 1.0f / sqrtf(squares / n + 1e-5f);
  for (int i = 0; i < n; ++i)
    y[i] = x[i] * factor * scale[i];
}

/* Neighbouring pairs of each head turn by position / 10000^(2i / head_dim). */
static void rotate(float *x, int heads, int head_dim, int position) {
  for (int i = 0; i < head_dim; i += 2) {
    float angle = position * powf(10000.0f, -(float)i / head_dim);
    float c = cosf(angle), s = sinf(angle);
    for (int head = 0; head < heads; ++head) {
      float *pair = x + head * head_dim + i, a = pair[0], b = pair[1];
      pair[0] = a * c - b * s;
      pair[1] = b * c + a * s;
    }
  }
}

static void attend(rival *r, const float *keys, const float *values,
                   int position) {
  int head_dim = r->dim / r->heads, kv = head_dim * r->kv_heads;
  for (int head = 0; head < r->heads; ++head) {
    const float *q = r->q + head * head_dim;
    int column = head / (r->heads / r->kv_heads) * head_dim;
    float largest = -INFINITY, sum = 0.0f;
    for (int t = 0; t <= position; ++t) {
      float score = 0.0f;
      for (int d = 0; d < head_dim; ++d)
        score += q[d] * keys[t * kv + column + d];
      r->scores[t] = score / sqrtf((float)head_dim);
      largest = fmaxf(largest, r->scores[t]);
    }
    for (int t = 0; t <= position; ++t)
      sum += r->scores[t] = expf(r->scores[t] - largest);
    float *y = r->y + head * head_dim;
    for (int d = 0; d < head_dim; ++d)
      y[d] = 0.0f;
    for (int t = 0; t <= position; ++t)
      for (int d = 0; d < head_dim; ++d)
        y[d] += r->scores[t] / sum * values[t * kv + column + d];
  }
}

static void add(float *x, const float *y, int n) {
  for (int i = 0; i < n; ++i)
    x[i] += y[i];
}

const float *rival_step(rival *r, int token, int position) {
  int d = r->dim, f = r->hidden, head_dim = d / r->heads;
  int kv = head_dim * r->kv_heads;
  for (int i = 0; i < d; ++i)
    r->x[i] = r->embedding[(int64_t)token * d + i];

  for (int64_t l = 0; l < r->layers; ++l) {
    float *keys = r->keys + l * r->context * kv;
    float *values = r->values + l * r->context * kv;
    float *k = keys + (int64_t)position * kv;

    rms_norm(r->h, r->x, r->attention_norm + l * d, d);
    matvec(r->q, r->wq + l * d * d, r->h, d, d);
    matvec(k, r->wk + l * kv * d, r->h, kv, d);
    matvec(values + (int64_t)position * kv, r->wv + l * kv * d, r->h, kv, d);
    rotate(r->q, r->heads, head_dim, position);
    rotate(k, r->kv_heads, head_dim, position);
    attend(r, keys, values, position);
    matvec(r->h, r->wo + l * d * d, r->y, d, d);
    add(r->x, r->h, d);

    rms_norm(r->h, r->x, r->ffn_norm + l * d, d);
    matvec(r->gate, r->w1 + l * f * d, r->h, f, d);
    matvec(r->up, r->w3 + l * f * d, r->h, f, d);
    for (int i = 0; i < f; ++i)
      r->gate[i] = r->gate[i] / (1.0f + expf(-r->gate[i])) * r->up[i];
    matvec(r->h, r->w2 + l * d * f, r->gate, d, f);
    add(r->x, r->h, d);
  }

  rms_norm(r->h, r->x, r->final_norm, d);
  matvec(r->logits, r->head, r->h, r->vocab, d);
  return r->logits;
}
