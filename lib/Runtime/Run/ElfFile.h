//===- ElfFile.h - Looks at a library before the loader does ----*- C++ -*-===//

#ifndef QTALE_LIB_RUNTIME_RUN_ELFFILE_H
#define QTALE_LIB_RUNTIME_RUN_ELFFILE_H

#include <cstdint>
#include <cstdio>
#include <string>

namespace qtale::run {

/// What is wrong with a file of `size` bytes as a library for this machine, or
/// nothing. Says nothing about what the loader tells by itself.
std::string findElfProblem(std::FILE *file, uint64_t size);

} // namespace qtale::run

#endif // QTALE_LIB_RUNTIME_RUN_ELFFILE_H
