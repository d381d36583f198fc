//===- main.cpp - qtale-run: runs a compiled model ------------------------===//

#include "../../lib/Runtime/Run/Run.h"

int main(int argc, char **argv) {
  return qtale::run::main(argc, argv, nullptr);
}
