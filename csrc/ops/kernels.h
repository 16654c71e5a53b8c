// One instruction set's version of every operation that the executors call.
#pragma once

#include "core/isa.h"
#include "ops/add_rows_bf16.h"
#include "ops/attention.h"
#include "ops/bf16.h"
#include "ops/dot_rows.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/layer_norm_bf16.h"
#include "ops/matmul.h"
#include "ops/matmul_bf16.h"
#include "ops/matmul_int8.h"
#include "ops/quantise_row.h"
#include "ops/relative_attention.h"

namespace asam {

struct Kernels {
  MatmulFn matmul;
  LayerNormFn layer_norm;
  GeluFn gelu;
  AttendFn attend;
  DotRowsFn dot_rows;
  MatmulBf16Fn matmul_bf16;
  MatmulInt8Fn matmul_int8;
  QuantiseRowFn quantise_row;
  LayerNormBf16Fn layer_norm_bf16;
  AddRowsBf16Fn add_rows_bf16;
  ToBf16Fn to_bf16;
  RelativeAttendFn relative_attend;

  static Kernels of(Isa isa) {
    return {.matmul = matmul_for(isa),
            .layer_norm = layer_norm_for(isa),
            .gelu = gelu_for(isa),
            .attend = attend_for(isa),
            .dot_rows = dot_rows_for(isa),
            .matmul_bf16 = matmul_bf16_for(isa),
            .matmul_int8 = matmul_int8_for(isa),
            .quantise_row = quantise_row_for(isa),
            .layer_norm_bf16 = layer_norm_bf16_for(isa),
            .add_rows_bf16 = add_rows_bf16_for(isa),
            .to_bf16 = to_bf16_for(isa),
            .relative_attend = relative_attend_for(isa)};
  }
  // The readable scalar versions.
  static Kernels reference() {
    return {.matmul = matmul_ref,
            .layer_norm = layer_norm_ref,
            .gelu = gelu_ref,
            .attend = attend_ref,
            .dot_rows = dot_rows_ref,
            .matmul_bf16 = matmul_bf16_ref,
            .matmul_int8 = matmul_int8_ref,
            .quantise_row = quantise_row_ref,
            .layer_norm_bf16 = layer_norm_bf16_ref,
            .add_rows_bf16 = add_rows_bf16_ref,
            .to_bf16 = to_bf16_ref,
            .relative_attend = relative_attend_ref};
  }
};

}  // namespace asam
