//===- ElfFile.cpp - Looks at a library before the loader does ------------===//
//
//   | header | program headers | segments … | section headers |
//                              every end ^  <= size of the file
//
// The loader maps what the headers describe without a look at the size; in a
// file that was cut short it dies of a signal. A library for another processor
// it only calls missing.
//
//===----------------------------------------------------------------------===//

#include "ElfFile.h"
#include <algorithm>
#include <cstring>
#include <elf.h>
#include <limits>

using namespace qtale::run;

#if defined(__x86_64__)
static constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
static constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "not a machine that artifacts are made for"
#endif

static const char *machineName(uint16_t machine) {
  switch (machine) {
  case EM_X86_64:
    return "x86-64";
  case EM_AARCH64:
    return "AArch64";
  default:
    return "another processor";
  }
}

/// offset + size; no header can make it small.
static uint64_t endOf(uint64_t offset, uint64_t size) {
  return offset + std::min(size, std::numeric_limits<uint64_t>::max() - offset);
}

std::string qtale::run::findElfProblem(std::FILE *file, uint64_t size) {
  Elf64_Ehdr header;
  std::rewind(file);
  if (std::fread(&header, 1, sizeof(header), file) != sizeof(header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB)
    return "is no artifact of qtale-compile";
  if (header.e_machine != kMachine)
    return std::string("was compiled for ") + machineName(header.e_machine) +
           ", but this machine is " + machineName(kMachine);

  uint64_t end = std::max(
      endOf(header.e_phoff, uint64_t(header.e_phentsize) * header.e_phnum),
      endOf(header.e_shoff, uint64_t(header.e_shentsize) * header.e_shnum));
  bool readable = end <= size && header.e_phentsize == sizeof(Elf64_Phdr) &&
                  std::fseek(file, long(header.e_phoff), SEEK_SET) == 0;
  for (int i = 0; readable && i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (std::fread(&segment, 1, sizeof(segment), file) != sizeof(segment))
      break;
    end = std::max(end, endOf(segment.p_offset, segment.p_filesz));
  }
  if (end > size)
    return "is cut short (" + std::to_string(size) + " of at least " +
           std::to_string(end) + " bytes); copy or compile it again";
  return "";
}
