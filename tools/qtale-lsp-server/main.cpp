//===- main.cpp - qtale-lsp-server: .mlir files in editors ----------------===//

#include "qtale/Pipelines/Stages.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  qtale::registerDialects(registry);
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
