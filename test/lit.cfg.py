# How lit finds and runs tests: `lit build/test`, after CMake has configured.
#
#   build/test/lit.site.cfg.py  --paths-->  this file  -->  test/**.{mlir,onnxtxt,test}
#
# Substitutions: %python (lit's own), %source (the project). Features: the
# host's architecture, "x86_64" or "aarch64"; "target-<triple>" of each machine
# that this build compiles for.

import os
import sys

import lit.formats
import lit.util

config.name = "qtale"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".onnxtxt", ".test"]
config.test_source_root = os.path.join(config.qtale_source, "test")
config.test_exec_root = os.path.join(config.qtale_build, "test")

# Pytest and GoogleTest drive those below the first line.
config.excludes = ["Inputs", "models"]
config.excludes += ["Conformance", "Differential", "Fuzz", "Integration", "Python", "Runtime"]
config.excludes += ["Target", "Tokenizer"]

path = [os.path.join(config.qtale_build, "bin"), config.llvm_tools, os.environ["PATH"]]
config.environment["PATH"] = os.pathsep.join(path)
# FileCheck then shows its input where a check fails.
config.environment["FILECHECK_OPTS"] = "--dump-input=fail"

config.substitutions.append(("%python", f'"{sys.executable}"'))
config.substitutions.append(("%source", config.qtale_source))

names = {"AMD64": "x86_64", "arm64": "aarch64"}
config.available_features.add(names.get(config.host_arch, config.host_arch))
built = os.path.join(config.qtale_build, "lib/qtale")
for triple in os.listdir(built) if os.path.isdir(built) else []:
    config.available_features.add(f"target-{triple}")
