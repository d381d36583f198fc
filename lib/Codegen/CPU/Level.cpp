//===- Level.cpp - CPU levels that code is made for -----------------------===//

#include "qtale/Codegen/CPU/Level.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace qtale;

// LLVM gets the features that the runtime checks, and no more: an architecture's
// version ("+v8.6a") would let it use instructions that nobody asked for.
//
// A vector of 16 f32 is one register of AVX-512, two of AVX2, four of SSE and
// NEON; with 32, 16, 16 and 32 registers, these blocks do not spill.
static const Level levels[] = {
    {"x86-64-v2", "x86_64", "x86-64-v2", "", "sse4.2,popcnt", {2, 1}, 1},
    {"x86-64-v3", "x86_64", "x86-64-v3", "", "avx2,fma,f16c,bmi2", {4, 1}, 2},
    {"x86-64-v3+avxvnni",
     "x86_64",
     "x86-64-v3",
     "+avxvnni",
     "avx2,fma,f16c,bmi2,avxvnni",
     {4, 1},
     2},
    {"x86-64-v4",
     "x86_64",
     "x86-64-v4",
     "",
     "avx2,fma,f16c,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl",
     {4, 4},
     4},
    {"x86-64-v4+vnni",
     "x86_64",
     "x86-64-v4",
     "+avx512vnni",
     "avx2,fma,f16c,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,"
     "avx512vnni",
     {4, 4},
     4},
    {"armv8-a", "aarch64", "generic", "", "neon", {4, 1}, 2, true},
    {"armv8.2-a+dotprod",
     "aarch64",
     "generic",
     "+dotprod",
     "neon,dotprod",
     {4, 1},
     2,
     true},
    {"armv8.6-a+i8mm",
     "aarch64",
     "generic",
     "+dotprod,+i8mm",
     "neon,dotprod,i8mm",
     {4, 1},
     2},
};

llvm::ArrayRef<Level> qtale::getLevels() { return levels; }

const Level *qtale::getLevel(llvm::StringRef name) {
  for (const Level &level : levels)
    if (level.name == name)
      return &level;
  return nullptr;
}

const Level *qtale::getHostLevel() {
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  const Level *best = nullptr;
  for (const Level &level : levels) {
    if (triple.getArchName() != level.architecture)
      continue;
    llvm::SmallVector<llvm::StringRef> required;
    level.required.split(required, ',');
    if (llvm::all_of(required, [&](llvm::StringRef feature) {
          return host.lookup(feature);
        }))
      best = &level;
  }
  return best;
}

const Level *qtale::getLevel(mlir::ModuleOp module) {
  return getLevel(module.getSymName().value_or(""));
}
