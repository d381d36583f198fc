/* failing_writes.c - preloaded into a program: one of its writes fails.
 *
 *   QTALE_FAIL_AT=N   the N-th call (from 1) that makes or fills a file gets
 *                     ENOSPC, and so do all after it: the disk is full
 *   QTALE_CALLS=FILE  how many such calls there were, written at exit
 *
 * Pipes and terminals are left alone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static int fails(void) {
  static long at = -1;
  if (at < 0) {
    const char *text = getenv("QTALE_FAIL_AT");
    at = text ? atol(text) : 0;
  }
  long call = atomic_fetch_add(&calls, 1) + 1;
  if (!at || call < at)
    return 0;
  errno = ENOSPC;
  return 1;
}

static int is_file(int descriptor) {
  struct stat status;
  return !fstat(descriptor, &status) && S_ISREG(status.st_mode);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int descriptor, const void *bytes, size_t count) {
  if (is_file(descriptor) && fails())
    return -1;
  return NEXT(write)(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t at) {
  return fails() ? -1 : NEXT(pwrite)(descriptor, bytes, count, at);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t at) {
  return fails() ? -1 : NEXT(pwrite64)(descriptor, bytes, count, at);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  if (is_file(descriptor) && fails())
    return -1;
  return NEXT(writev)(descriptor, parts, count);
}

int ftruncate(int descriptor, off_t size) {
  return fails() ? -1 : NEXT(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) {
  return fails() ? -1 : NEXT(ftruncate64)(descriptor, size);
}

int rename(const char *from, const char *to) {
  return fails() ? -1 : NEXT(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
  return fails() ? -1 : NEXT(mkdir)(path, mode);
}

static int open_file(int (*next)(const char *, int, ...), const char *path,
                     int flags, mode_t mode) {
  if (flags & O_CREAT && fails())
    return -1;
  return next(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(NEXT(open), path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(NEXT(open64), path, flags, mode);
}

__attribute__((destructor)) static void report(void) {
  const char *path = getenv("QTALE_CALLS");
  long count = calls;
  FILE *file = path ? fopen(path, "we") : NULL;
  if (!file)
    return;
  setenv("QTALE_FAIL_AT", "0", 1);
  fprintf(file, "%ld\n", count);
  fclose(file);
}
