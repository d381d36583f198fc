//===- Main.cpp - The main of a program made by --emit=exe ----------------===//

#include "Messages.h"
#include "Run.h"

int main(int argc, char **argv) {
  if (argc > 0)
    qtale::run::setProgramName(argv[0]);
  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
  if (!api)
    return qtale::run::error("this program was linked with two versions of the "
                             "runtime; compile the model again");
  return qtale::run::main(argc, argv, api);
}
