// The instruction sets that kernels are written for, and which of them to use here.
#pragma once

#include <string>
#include <vector>

namespace asam {

// Two ladders on one floor: neon and up on aarch64; avx2 and up on x86-64, where each one includes those
// before it, but that no processor with AVX-512 need have avxvnni, nor is it asked for there: see Versions in
// ops/dispatch.h. The first is ordered below avx2, so that isa >= Isa::avx2 holds on the second ladder alone.
enum class Isa {
  portable,    // the baseline of the compiler
  neon,        // Advanced SIMD, which every aarch64 processor has
  neondot,     // the above and FEAT_DotProd: Cortex-A76 and later, Neoverse, Apple M
  avx2,        // AVX2, FMA and F16C
  avxvnni,     // the above and AVX-VNNI: Intel's processors without AVX-512 since Alder Lake
  avx512f,     // AVX-512 F, BW, DQ and VL
  avx512vnni,  // the above and AVX512_VNNI
};

const char* isa_name(Isa isa);

// "portable", "avx2", ... -> Isa; std::invalid_argument for any other name.
Isa isa_from_name(const std::string& name);

// What this processor and operating system run, best last; never empty.
const std::vector<Isa>& supported_isas();

// The best supported one, or the one named by ASAM_FORCE_ISA. Read once a process. std::invalid_argument
// where that name is unknown or the processor lacks it.
Isa active_isa();

}  // namespace asam
