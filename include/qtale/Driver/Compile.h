//===- Compile.h - The body of qtale-compile ------------------------------===//

#ifndef QTALE_DRIVER_COMPILE_H
#define QTALE_DRIVER_COMPILE_H

namespace qtale {

/// Returns the exit code: 0 done, 1 the model or a file was at fault, 2 wrong
/// usage.
int compileMain(int argc, char **argv);

} // namespace qtale

#endif // QTALE_DRIVER_COMPILE_H
