//===- main.cpp - qtale-compile: a model becomes native code --------------===//

#include "qtale/Driver/Compile.h"

int main(int argc, char **argv) { return qtale::compileMain(argc, argv); }
