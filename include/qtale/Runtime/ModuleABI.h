//===- ModuleABI.h - What compiled code and its runtime say to each other -===//
//
//   compiled code  --- qtale_module_descriptor --->  runtime
//        ^                                              |
//        |<--- entry(context of this thread, args) -----|      every thread of
//        |---- next_chunk, barrier, kv_reserve, mark -->|      the team enters
//
// Both sides lie in one artifact and are linked together, so this header is
// internal and has no compatibility rules; the public interface is qtale.h.
// Compiled code refers to these structs by field offset
// (lib/Target/Descriptor.cpp, lib/Conversion/KernelsToLLVM): plain C, 64 bits.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_RUNTIME_MODULEABI_H
#define QTALE_RUNTIME_MODULEABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Tokens in a block of a KV cache.
#define QTALE_KV_BLOCK 16

/// Entries of a calibration table.
#define QTALE_CALIBRATION_ENTRIES 16

/// What a thread knows while it executes an entry. Each thread of the team has
/// its own; all fields but `thread` and `profile` are equal.
typedef struct qtale_context {
  uint8_t *arena;         /* scratch of this call, 64-byte aligned */
  uint64_t arena_bytes;   /* an entry that needs more returns QTALE_LIMIT */
  const uint8_t *weights; /* first byte of the weights file's data section */
  void *const *const *const *kv; /* kv[cache][sequence][slot / 16]: a block */
  int64_t thread;                /* 0 .. threads - 1 */
  int64_t threads;
  void *team;          /* the runtime's own */
  const char *message; /* why the entry failed, where it says so */
  /* What ran in this pass, written by compiled code for routed units; null in
     models without routing. Both are [layers * units, rows]. */
  uint8_t *kept; /* 0 or 1 */
  float *probability;
  int64_t rows;
  void *profile; /* the runtime's own, on thread 0 of a call that is profiled */
} qtale_context;

/// A ranked memref as MLIR lays it out: `sizes` holds rank sizes, then rank
/// strides (in elements). Only 2 * rank of the last field exist.
typedef struct qtale_memref {
  void *allocated;
  void *aligned;
  int64_t offset;
  int64_t sizes[16];
} qtale_memref;

/// An entry, entered by every thread of a team. `args` holds pointers to
/// memref descriptors: the inputs, then the results, which thread 0 fills (they
/// lie in the arena, in an input or in the weights). Returns a qtale_code, the
/// same on all threads.
///
/// `step` takes tokens, sequences, positions (int32 [rows] each), the rows
/// whose logits are wanted (int32 [logit rows]), and returns logits
/// (float [logit rows, vocab]).
///
/// In a routed model thresholds (float [sequences, layers * units]) and budgets
/// (int32 [rows]: how many routed units may still run for this row, counted
/// down by compiled code; INT32_MAX: no limit) stand between rows and logits. A
/// unit runs for a row where
///
///     position < always_execute or (p >= threshold and budget > 0)
///
/// and takes one of the budget where the position is not below always_execute.
typedef int32_t (*qtale_entry)(qtale_context *context, void *const *args);

/// Arena bytes that a step of so many rows needs.
typedef uint64_t (*qtale_scratch)(int64_t rows, int64_t logit_rows);

/// What a profile tells of an operation. Texts are offsets in the level's
/// `names`, each with its NUL.
typedef struct qtale_marked {
  uint32_t operation; /* "matmul" */
  uint32_t node;      /* the model's name for it; "": none */
  int64_t layer;      /* -1: none */
  uint64_t bytes;     /* of weights, read whole where there is a row */
  uint64_t row_bytes; /* looked up for each row */
  uint64_t macs;      /* multiplications and additions, for each row */
} qtale_marked;

/// The same code for one CPU level.
typedef struct qtale_level {
  const char *name;     /* as in --cpu, "x86-64-v3" */
  const char *features; /* what the CPU must have: "avx2,fma,f16c" */
  qtale_entry main;
  qtale_entry step; /* null: the model has no session */
  qtale_scratch step_scratch;
  uint64_t num_marked;
  const qtale_marked *marked; /* what qtale_rt_mark counts */
  const char *names;
} qtale_level;

/// An input or output of `main`.
typedef struct qtale_port {
  const char *name;
  int32_t dtype; /* qtale_dtype */
  int32_t rank;
  const int64_t *dims; /* -1: dynamic */
} qtale_port;

/// Thresholds by the ratio that they lead to. It lies in the artifact's writable
/// data, where `qtale calibrate` finds it in the file by the magic followed by
/// the capacity, and fills it in place. Behind it stand
/// float thresholds[capacity][units].
typedef struct qtale_calibration {
  char magic[32];    /* "qtale routing calibration table" and its NUL */
  uint32_t capacity; /* QTALE_CALIBRATION_ENTRIES */
  uint32_t count;    /* entries filled; 0: the model is not calibrated */
  uint32_t units;    /* layers * units: thresholds of an entry */
  uint32_t reserved; /* 0 */
  float ratios[QTALE_CALIBRATION_ENTRIES]; /* ascending */
} qtale_calibration;

/// One per model, written by the compiler.
///
/// A *unit* is what a router decides about: a layer's block, or its attention
/// and its FFN. Units are numbered layer * units + unit, over all layers.
typedef struct qtale_module {
  uint64_t num_levels;
  const qtale_level *levels; /* the best first */
  uint64_t num_inputs;
  const qtale_port *inputs;
  uint64_t num_outputs;
  const qtale_port *outputs;
  const char *info;           /* JSON of --info, but for "levels" */
  const char *weights_file;   /* its name beside the artifact; null: none */
  uint64_t weights_bytes;     /* size of the whole file */
  uint64_t weights_header;    /* bytes before the data section */
  const uint8_t *header_hash; /* SHA-256 of these bytes, 32 bytes */
  const uint8_t *tokenizer;   /* flat tables (TokenizerTables.h), or null */
  uint64_t tokenizer_bytes;
  /* the session */
  int64_t num_caches;
  const uint64_t *kv_block_bytes; /* of one block, for each cache */
  int64_t vocab;
  int64_t context; /* positions below this */
  int64_t bos;     /* -1: none */
  uint64_t num_eos;
  const int64_t *eos;
  /* routing */
  const uint8_t *kv_ragged; /* per cache, 1: its slots are counted by rows that
                               ran, and made by kv_reserve; 0: by positions */
  int64_t layers;
  int64_t units;           /* of a layer, 1 or 2; 0: not routed */
  const uint8_t *routed;   /* [layers * units], 1 where there is a router */
  int64_t always_execute;  /* positions below this always run */
  const float *thresholds; /* [layers * units], the defaults */
  const qtale_calibration *calibration; /* null in models without routing */
} qtale_module;

/// In the artifact, hidden.
extern const qtale_module qtale_module_descriptor;

/// The next chunk of the parallel loop that this thread is in: 0, 1, 2, … over
/// all threads of the team, each number once until the next barrier.
int64_t qtale_rt_next_chunk(qtale_context *context);

/// Waits for the whole team; the chunk counter starts at 0 again. What any
/// thread wrote before is seen by all after.
void qtale_rt_barrier(qtale_context *context);

/// Operation `marked` of the level begins, with so many rows; -1: the last one
/// has ended. Does nothing unless `context->profile` is set.
void qtale_rt_mark(qtale_context *context, int64_t marked, int64_t rows);

/// Makes places for the kept rows in a ragged cache. Called by one thread; the
/// others wait at the barrier after it. For each row in order, slots[row] is the
/// number of entries that its sequence has in this cache so far, including those
/// made earlier in this call; where keep[row], one with that position is added.
/// `context->kv` stays valid and leads to the new blocks. Returns QTALE_OK or
/// QTALE_OUT_OF_MEMORY.
int32_t qtale_rt_kv_reserve(qtale_context *context, int64_t cache,
                            const uint8_t *keep, const int32_t *sequences,
                            const int32_t *positions, int64_t rows,
                            int32_t *slots);

#ifdef __cplusplus
}
#endif

#endif // QTALE_RUNTIME_MODULEABI_H
