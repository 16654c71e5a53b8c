// One operation's versions by instruction set. A new one is a file x_<isa>.cc and a line here: callers hold
// function pointers and do not change.
#pragma once

#include "core/isa.h"

namespace asam {

template <class Fn>
struct Versions {
  Fn portable;
  Fn avx2 = nullptr;
  Fn avx512f = nullptr;
  Fn avx512vnni = nullptr;
  Fn avxvnni = nullptr;
  Fn neon = nullptr;
  Fn neondot = nullptr;

  // The version for the instruction set, or the best below it on its ladder. That of avxvnni is for itself
  // alone: a processor with AVX-512 need not have it.
  constexpr Fn pick(Isa isa) const {
    if (isa >= Isa::avx512vnni && avx512vnni) return avx512vnni;
    if (isa >= Isa::avx512f && avx512f) return avx512f;
    if (isa == Isa::avxvnni && avxvnni) return avxvnni;
    if (isa >= Isa::avx2 && avx2) return avx2;
    if (isa >= Isa::neondot && neondot) return neondot;
    if (isa >= Isa::neon && neon) return neon;
    return portable;
  }
};

}  // namespace asam
