//===- Call.h - The model as a function -----------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_CALL_H
#define QTALE_LIB_RUNTIME_RUN_CALL_H

#include "Artifact.h"

namespace qtale::run {

/// --input: .npy files in; .npy files out, or a summary.
int call(const Artifact &artifact, const Options &options);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_CALL_H
