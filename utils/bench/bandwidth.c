/* Reads 1 GiB with so many threads, again and again; prints the best GB/s.
 *
 *   bandwidth THREADS [SECONDS]
 *
 * Each thread sums a part of its own: what a matrix times a vector could reach
 * at most, if it had nothing to compute. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LANES = 8 };
typedef uint64_t vector __attribute__((vector_size(8 * LANES)));

static const size_t total = (size_t)1 << 30;
static char *memory;
static int threads;
static pthread_barrier_t gate;
static double seconds = 1;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static uint64_t readAll(const vector *from, size_t count) {
  vector sums[4];
  memset(sums, 0, sizeof sums);
  for (size_t i = 0; i + 4 <= count; i += 4)
    for (int j = 0; j < 4; ++j)
      sums[j] += from[i + j];
  vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return sum[0];
}

static void *work(void *argument) {
  size_t share = total / threads, index = (size_t)argument;
  const vector *from = (const vector *)(memory + share * index);
  memset((char *)from, 1, share);
  volatile uint64_t sink;
  static double best, start, end;
  for (;;) {
    pthread_barrier_wait(&gate);
    if (index == 0) {
      start = now();
      end = end ? end : start + seconds;
    }
    pthread_barrier_wait(&gate);
    sink = readAll(from, share / sizeof(vector));
    pthread_barrier_wait(&gate);
    if (index == 0) {
      double rate = total / (now() - start) / 1e9;
      best = rate > best ? rate : best;
      if (now() > end) {
        printf("%.2f\n", best);
        exit(0);
      }
    }
  }
  (void)sink;
  return NULL;
}

int main(int count, char **values) {
  threads = count > 1 ? atoi(values[1]) : 0;
  if (threads < 1 || threads > 256) {
    fprintf(stderr, "usage: bandwidth THREADS [SECONDS]\n");
    return 2;
  }
  if (count > 2)
    seconds = atof(values[2]);
  memory = aligned_alloc(1 << 21, total);
  if (!memory) {
    fprintf(stderr, "bandwidth: no memory\n");
    return 1;
  }
  pthread_barrier_init(&gate, NULL, threads);
  pthread_t thread;
  for (int i = 1; i < threads; ++i)
    pthread_create(&thread, NULL, work, (void *)(size_t)i);
  work(NULL);
}
