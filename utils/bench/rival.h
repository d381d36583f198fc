/*===- rival.h - A Llama model in plain scalar C ---------------------------===*/

#ifndef QTALE_UTILS_BENCH_RIVAL_H
#define QTALE_UTILS_BENCH_RIVAL_H

typedef struct rival rival;

/* Reads a llama2.c checkpoint ("version 0"). Null, with a message on stderr,
   where that fails. */
rival *rival_open(const char *path);
void rival_close(rival *r);

int rival_vocab(const rival *r);
int rival_context(const rival *r);

/* Logits [vocab] after `token` at `position`; earlier positions are remembered.
   The array belongs to the model. */
const float *rival_step(rival *r, int token, int position);

#endif
