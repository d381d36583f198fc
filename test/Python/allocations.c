//===- allocations.c - What a step asks of the system ---------------------===//
//
//   malloc, mmap, …  ─▶  counted while `counting`  ─▶  libc
//
//   allocations MODEL.so WEIGHTS threads chunk steps [threshold]
//   prints for each step: position, tokens, calls, bytes, bytes of caches added
//
// The program's definitions stand in for libc's in every library that it loads.
//
//===----------------------------------------------------------------------===//

#define _GNU_SOURCE
#include "qtale/Runtime/qtale.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static atomic_int counting;
static atomic_long calls, bytes;

static void count(size_t size) {
  if (atomic_load(&counting)) {
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&bytes, size);
  }
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}
void *realloc(void *old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}
void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
void *mmap(void *at, size_t size, int protection, int flags, int file,
           off_t offset) {
  count(size);
  return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

static qtale_error error;

static void check(int32_t code) {
  if (code == QTALE_OK)
    return;
  fprintf(stderr, "allocations: %s\n", error.message);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 6)
    return 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "allocations: %s\n", dlerror());
    return 1;
  }
  const qtale_api *(*get_api)(uint32_t) = dlsym(library, "qtale_get_api");
  const qtale_api *api = get_api(QTALE_API_VERSION);
  if (!api) {
    fprintf(stderr, "allocations: %s has another version\n", argv[1]);
    return 1;
  }
  int64_t threads = atol(argv[3]), chunk = atol(argv[4]), steps = atol(argv[5]);

  qtale_model *model;
  check(api->model_open(argv[2], NULL, &model, &error));
  qtale_session_options options = {NULL, threads, 32, 0};
  qtale_session *session;
  check(api->session_create(model, &options, &session, &error));
  if (argc > 6) {
    const qtale_routing *routing = api->model_routing(model);
    int64_t units = routing->layers * routing->units;
    float thresholds[units];
    for (int64_t i = 0; i < units; ++i)
      thresholds[i] = atof(argv[6]);
    check(api->session_set_threshold(session, thresholds, units, &error));
  }

  int64_t vocab = api->model_vocab(model);
  int32_t tokens[chunk];
  float *logits = malloc(vocab * sizeof(float));
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t i = 0; i < chunk; ++i)
      tokens[i] = (7 * step + 31 * i + 3) % vocab;
    qtale_step one = {session, tokens, chunk, QTALE_LOGITS_LAST, logits};
    int64_t position = api->session_position(session);
    uint64_t before = api->session_kv_bytes(session);
    atomic_store(&calls, 0);
    atomic_store(&bytes, 0);
    atomic_store(&counting, 1);
    int32_t code = api->step(&one, 1, &error);
    atomic_store(&counting, 0);
    check(code);
    printf("%ld %ld %ld %ld %ld\n", (long)position, (long)chunk,
           atomic_load(&calls), atomic_load(&bytes),
           (long)(api->session_kv_bytes(session) - before));
  }
  api->session_destroy(session);
  api->model_close(model);
  free(logits);
  return 0;
}
