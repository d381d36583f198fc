//===- Cores.h - How many threads make sense ------------------------------===//

#ifndef QTALE_LIB_RUNTIME_CORES_H
#define QTALE_LIB_RUNTIME_CORES_H

#include <cstdint>

namespace qtale::rt {

/// Cores that this process may run on.
int64_t availableCores();

/// The same, or fewer where a container grants less time than that.
int64_t defaultThreads();

} // namespace qtale::rt

#endif // QTALE_LIB_RUNTIME_CORES_H
