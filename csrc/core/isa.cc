#include "core/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "core/errors.h"

namespace asam {
namespace {

constexpr std::array<std::pair<Isa, const char*>, 7> kNames{{
    {Isa::portable, "portable"},
    {Isa::neon, "neon"},
    {Isa::neondot, "neondot"},
    {Isa::avx2, "avx2"},
    {Isa::avxvnni, "avxvnni"},
    {Isa::avx512f, "avx512f"},
    {Isa::avx512vnni, "avx512vnni"},
}};

#if defined(__x86_64__)
// Asked of the processor itself: not every Clang knows "f16c".
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

// Likewise.
bool has_avxvnni() {
  constexpr unsigned kBit = 1u << 4;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kBit) != 0;
}
#elif defined(__aarch64__)
bool has_dot_product() {
#if defined(__linux__)
  constexpr unsigned long kBit = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kBit) != 0;
#elif defined(__APPLE__)
  int has = 0;
  std::size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
#else
  return false;
#endif
}
#endif

std::vector<Isa> detect() {
  std::vector<Isa> found{Isa::portable};
#if defined(__x86_64__)
  // The compiler's check also asks the operating system whether it saves the wide registers.
  __builtin_cpu_init();
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())) {
    return found;
  }
  found.push_back(Isa::avx2);
  if (has_avxvnni()) found.push_back(Isa::avxvnni);
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))) {
    return found;
  }
  found.push_back(Isa::avx512f);
  if (__builtin_cpu_supports("avx512vnni")) found.push_back(Isa::avx512vnni);
#elif defined(__aarch64__)
  found.push_back(Isa::neon);
  if (has_dot_product()) found.push_back(Isa::neondot);
#endif
  return found;
}

std::string names_of(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(isa_name(isa));
  return text;
}

Isa choose() {
  const char* forced = std::getenv("ASAM_FORCE_ISA");
  const std::vector<Isa>& isas = supported_isas();
  if (forced == nullptr || *forced == '\0') return isas.back();
  constexpr const char* kRemedy = "; unset it, or correct it";
  Isa isa;
  try {
    isa = isa_from_name(forced);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(concat("the environment variable ASAM_FORCE_ISA: ", error.what(), kRemedy));
  }
  require(std::find(isas.begin(), isas.end(), isa) != isas.end(),
          "the environment variable ASAM_FORCE_ISA: '", forced,
          "' does not run on this processor, which has ", names_of(isas), kRemedy);
  return isa;
}

}  // namespace

const char* isa_name(Isa isa) {
  return kNames[static_cast<std::size_t>(isa)].second;
}

Isa isa_from_name(const std::string& name) {
  std::vector<Isa> known;
  for (const auto& [isa, text] : kNames) {
    if (name == text) return isa;
    known.push_back(isa);
  }
  throw std::invalid_argument(
      concat("unknown instruction set '", name, "'; expected one of ", names_of(known)));
}

const std::vector<Isa>& supported_isas() {
  static const std::vector<Isa> isas = detect();
  return isas;
}

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace asam
