//===- Bandwidth.h - How fast this machine reads memory -------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_BANDWIDTH_H
#define QTALE_LIB_RUNTIME_RUN_BANDWIDTH_H

#include "qtale/Runtime/qtale.h"

namespace qtale::run {

/// Bytes per second that the pool's threads read from memory together; 0 where
/// there is no memory to measure with.
double measureReadBandwidth(const qtale_pool &pool);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_BANDWIDTH_H
