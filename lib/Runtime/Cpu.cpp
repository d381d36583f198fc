//===- Cpu.cpp - What the machine can do ----------------------------------===//
//
//   "avx2,fma,f16c"  --- each name: a CPUID bit, and registers that the
//                        system saves --->  what is missing
//
// Names are LLVM's.
//
//===----------------------------------------------------------------------===//

#include "Cpu.h"

#include "Error.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

using namespace qtale::rt;

#if defined(__x86_64__)

namespace {

enum Register { EAX, EBX, ECX, EDX };

/// Registers that the system must save for a feature to be usable (XCR0).
enum State : uint64_t {
  Always = 0,
  Ymm = 0x6,  // SSE and AVX
  Zmm = 0xE6, // and AVX-512's masks, upper halves, upper registers
};

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  State state;
};

} // namespace

static constexpr Feature known[] = {
    {"sse3", 1, 0, ECX, 0, Always},
    {"pclmul", 1, 0, ECX, 1, Always},
    {"ssse3", 1, 0, ECX, 9, Always},
    {"fma", 1, 0, ECX, 12, Ymm},
    {"cx16", 1, 0, ECX, 13, Always},
    {"sse4.1", 1, 0, ECX, 19, Always},
    {"sse4.2", 1, 0, ECX, 20, Always},
    {"movbe", 1, 0, ECX, 22, Always},
    {"popcnt", 1, 0, ECX, 23, Always},
    {"avx", 1, 0, ECX, 28, Ymm},
    {"f16c", 1, 0, ECX, 29, Ymm},
    {"sse", 1, 0, EDX, 25, Always},
    {"sse2", 1, 0, EDX, 26, Always},
    {"bmi", 7, 0, EBX, 3, Always},
    {"avx2", 7, 0, EBX, 5, Ymm},
    {"bmi2", 7, 0, EBX, 8, Always},
    {"avx512f", 7, 0, EBX, 16, Zmm},
    {"avx512dq", 7, 0, EBX, 17, Zmm},
    {"avx512ifma", 7, 0, EBX, 21, Zmm},
    {"avx512cd", 7, 0, EBX, 28, Zmm},
    {"avx512bw", 7, 0, EBX, 30, Zmm},
    {"avx512vl", 7, 0, EBX, 31, Zmm},
    {"avx512vbmi", 7, 0, ECX, 1, Zmm},
    {"avx512vbmi2", 7, 0, ECX, 6, Zmm},
    {"gfni", 7, 0, ECX, 8, Always},
    {"avx512vnni", 7, 0, ECX, 11, Zmm},
    {"avx512bitalg", 7, 0, ECX, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, ECX, 14, Zmm},
    {"avx512fp16", 7, 0, EDX, 23, Zmm},
    {"avxvnni", 7, 1, EAX, 4, Ymm},
    {"avx512bf16", 7, 1, EAX, 5, Zmm},
    {"avxifma", 7, 1, EAX, 23, Ymm},
    {"avxvnniint8", 7, 1, EDX, 4, Ymm},
    {"avxvnniint16", 7, 1, EDX, 10, Ymm},
    {"sahf", 0x80000001, 0, ECX, 0, Always},
    {"lzcnt", 0x80000001, 0, ECX, 5, Always},
};

/// The registers that the system saves: XCR0, where it may be read.
static uint64_t savedState() {
  uint32_t a, b, c, d;
  constexpr uint32_t osxsave = 1u << 27;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
    return 0;
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return uint64_t(d) << 32 | a;
}

static bool hasFeature(std::string_view name) {
  for (const Feature &feature : known) {
    if (name != feature.name)
      continue;
    uint32_t regs[4];
    if (!__get_cpuid_count(feature.leaf, feature.subleaf, &regs[EAX],
                           &regs[EBX], &regs[ECX], &regs[EDX]))
      return false;
    // A subleaf beyond the last answers with another's bits.
    if (feature.subleaf) {
      uint32_t last, b, c, d;
      __cpuid_count(feature.leaf, 0, last, b, c, d);
      if (feature.subleaf > last)
        return false;
    }
    return (regs[feature.reg] >> feature.bit & 1) &&
           (savedState() & feature.state) == feature.state;
  }
  return false;
}

#elif defined(__aarch64__)

static bool hasFeature(std::string_view name) {
  struct Feature {
    const char *name;
    unsigned long type, mask; // bits of the kernel's interface
  };
  static constexpr Feature known[] = {
      {"fp-armv8", AT_HWCAP, 1ul << 0},  {"neon", AT_HWCAP, 1ul << 1},
      {"crc", AT_HWCAP, 1ul << 7},       {"lse", AT_HWCAP, 1ul << 8},
      {"fullfp16", AT_HWCAP, 1ul << 10}, {"rdm", AT_HWCAP, 1ul << 12},
      {"dotprod", AT_HWCAP, 1ul << 20},  {"fp16fml", AT_HWCAP, 1ul << 23},
      {"sve", AT_HWCAP, 1ul << 22},      {"sve2", AT_HWCAP2, 1ul << 1},
      {"i8mm", AT_HWCAP2, 1ul << 13},    {"bf16", AT_HWCAP2, 1ul << 14},
  };
  for (const Feature &feature : known)
    if (name == feature.name)
      return getauxval(feature.type) & feature.mask;
  return false;
}

#else
#error "no CPU features are known for this architecture"
#endif

std::string qtale::rt::missingFeatures(const char *features) {
  std::string missing;
  std::string_view rest = features ? features : "";
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name.empty() || hasFeature(name))
      continue;
    if (!missing.empty())
      missing += ", ";
    missing += name;
  }
  return missing;
}

static std::string levelNames(const qtale_module &module) {
  std::string names;
  for (uint64_t i = 0; i < module.num_levels; ++i)
    names += (i ? ", " : "") + std::string(module.levels[i].name);
  return names;
}

int32_t qtale::rt::selectLevel(const qtale_module &module, const char *wanted,
                               const qtale_level *&level, qtale_error *error) {
  bool any = !wanted || !*wanted;
  std::string reasons;
  for (uint64_t i = 0; i < module.num_levels; ++i) {
    const qtale_level &candidate = module.levels[i];
    if (!any && strcmp(candidate.name, wanted))
      continue;
    std::string missing = missingFeatures(candidate.features);
    if (missing.empty()) {
      level = &candidate;
      return QTALE_OK;
    }
    if (!reasons.empty())
      reasons += "; ";
    reasons += std::string(candidate.name) + " needs " + missing;
  }
  if (any)
    return fail(error, QTALE_UNSUPPORTED,
                "this machine runs no CPU level of this artifact (%s); compile "
                "with --cpu for this machine",
                reasons.c_str());
  if (reasons.empty())
    return fail(error, QTALE_NOT_FOUND,
                "CPU level '%s' is not in this artifact, which has: %s", wanted,
                levelNames(module).c_str());
  return fail(error, QTALE_UNSUPPORTED,
              "this machine can't run CPU level %s; name no level (option or "
              "QTALE_CPU) to have the best one chosen",
              reasons.c_str());
}
