//===- Cpu.h - What the machine can do ------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_CPU_H
#define QTALE_LIB_RUNTIME_CPU_H

#include "qtale/Runtime/ModuleABI.h"
#include "qtale/Runtime/qtale.h"

#include <string>

namespace qtale::rt {

/// The features in a comma-separated list that this CPU, or the system on it,
/// lacks; a name that is not known counts as lacking.
std::string missingFeatures(const char *features);

/// Chooses the level called `wanted`, or the first that runs here where it is
/// null or empty.
int32_t selectLevel(const qtale_module &module, const char *wanted,
                    const qtale_level *&level, qtale_error *error);

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_CPU_H
