//===- Run.h - The body of qtale-run --------------------------------------===//
//
//   qtale-run model.so --prompt …    tools/qtale-run: loads the artifact
//   ./model --prompt …               Main.cpp: the model is in the program
//
// Free of LLVM, and only a user of the C interface: it goes into programs that
// are compiled with --emit=exe.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_LIB_RUNTIME_RUN_RUN_H
#define QTALE_LIB_RUNTIME_RUN_RUN_H

#include "qtale/Runtime/qtale.h"

namespace qtale::run {

/// The exit code. `embedded`: the model in this program; null: argv[1] names
/// an artifact.
int main(int argc, char **argv, const qtale_api *embedded);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_RUN_H
