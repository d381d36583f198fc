//===- Bench.h - How fast a model is here ---------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_BENCH_H
#define QTALE_LIB_RUNTIME_RUN_BENCH_H

#include "Artifact.h"

namespace qtale::run {

/// --bench: medians of load, prompt and decode, as a table or JSON.
int bench(const Artifact &artifact, const Options &options);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_BENCH_H
