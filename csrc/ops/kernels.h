// One instruction set's version of every operation that the executors call.
#pragma once

#include "core/isa.h"
#include "ops/attention.h"
#include "ops/depthwise.h"
#include "ops/dot_rows.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/matmul.h"
#include "ops/matmul_int16.h"
#include "ops/matmul_int8.h"
#include "ops/quantise_int16.h"
#include "ops/quantise_int8.h"
#include "ops/relative_attention.h"

namespace asam {

struct Kernels {
  MatmulFn matmul;
  LayerNormFn layer_norm;
  GeluFn gelu;
  AttendFn attend;
  AttendPartFn attend_part;
  DotRowsFn dot_rows;
  DepthwiseFn depthwise;
  MatmulInt8Fn matmul_int8;
  MatmulInt16Fn matmul_int16;
  QuantiseInt16Fn quantise_int16;
  QuantiseInt8Fn quantise_int8;
  RelativeAttendFn relative_attend;
  RelativeAttendFn relative_attend_int16;

  static Kernels of(Isa isa) {
    return {.matmul = matmul_for(isa),
            .layer_norm = layer_norm_for(isa),
            .gelu = gelu_for(isa),
            .attend = attend_for(isa),
            .attend_part = attend_part_for(isa),
            .dot_rows = dot_rows_for(isa),
            .depthwise = depthwise_for(isa),
            .matmul_int8 = matmul_int8_for(isa),
            .matmul_int16 = matmul_int16_for(isa),
            .quantise_int16 = quantise_int16_for(isa),
            .quantise_int8 = quantise_int8_for(isa),
            .relative_attend = relative_attend_for(isa),
            .relative_attend_int16 = relative_attend_int16_for(isa)};
  }
  // The readable scalar versions.
  static Kernels reference() {
    return {.matmul = matmul_ref,
            .layer_norm = layer_norm_ref,
            .gelu = gelu_ref,
            .attend = attend_ref,
            .attend_part = attend_part_ref,
            .dot_rows = dot_rows_ref,
            .depthwise = depthwise_ref,
            .matmul_int8 = matmul_int8_ref,
            .matmul_int16 = matmul_int16_ref,
            .quantise_int16 = quantise_int16_ref,
            .quantise_int8 = quantise_int8_ref,
            .relative_attend = relative_attend_ref,
            .relative_attend_int16 = relative_attend_ref};
  }
};

}  // namespace asam
