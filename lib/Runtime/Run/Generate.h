//===- Generate.h - Text from a session -----------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_GENERATE_H
#define QTALE_LIB_RUNTIME_RUN_GENERATE_H

#include "Artifact.h"

namespace qtale::run {

/// --prompt and --ids: writes what the model goes on with.
int generate(const Artifact &artifact, const Options &options);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_GENERATE_H
