//===- OutOfMemory.h - What ends a compile that gets no memory ------------===//

#ifndef QTALE_LIB_DRIVER_OUTOFMEMORY_H
#define QTALE_LIB_DRIVER_OUTOFMEMORY_H

namespace qtale {

/// From now on a failed allocation, here or in LLVM, and a thread that the
/// system refuses, end the program with a message and exit code 1; outputs that
/// were begun are removed, as after Ctrl-C.
void endCleanlyOutOfMemory();

} // namespace qtale

#endif // QTALE_LIB_DRIVER_OUTOFMEMORY_H
