//===- main.cpp - qtale-opt: one pass or pipeline at a time ---------------===//

#include "qtale/Pipelines/Stages.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  qtale::registerDialects(registry);
  qtale::registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "qtale optimizer driver\n", registry));
}
