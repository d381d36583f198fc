//===- Values.h - Elements as numbers that can be shown -------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_VALUES_H
#define QTALE_LIB_RUNTIME_RUN_VALUES_H

#include "qtale/Runtime/qtale.h"

namespace qtale::run {

/// Element `i` of a tensor with data.
double valueAt(const qtale_tensor &tensor, uint64_t i);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_VALUES_H
