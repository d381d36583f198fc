//===- QTaleRoutingOps.td - Layers that run for some rows -----------------===//
//
//   decide      router  keep  record
//   run         route  yield
//   gather      compact  gather_rows  scatter_rows
//   remember    kv_reserve  kv_copy
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_ROUTINGOPS_TD
#define QTALE_ROUTINGOPS_TD

include "qtale/Dialect/QTale/IR/QTaleOpBase.td"

def QTale_RouterKind : I32EnumAttr<"RouterKind", "how a router computes its probability", [
    I32EnumAttrCase<"MLP2", 0, "mlp2">,
    I32EnumAttrCase<"Linear", 1, "linear">,
    I32EnumAttrCase<"Gate", 2, "gate">]> {
  let cppNamespace = "::qtale";
  let genSpecializedAttr = 0;
}
def QTale_RouterKindAttr : EnumAttr<QTale_Dialect, QTale_RouterKind, "router_kind">;

def QTale_RouterOp : QTale_Op<"router", [Pure]> {
  let summary = "the probability that a row runs through a unit";
  let description = [{
    `rms(x) = x / sqrt(mean(x^2) + epsilon)`; p of a row x of D values:

    | kind     | weights                   | p |
    |----------|---------------------------|---|
    | `mlp2`   | fc1 [R, D], b1 [R], norm [R], fc2 [2, R], b2 [2] | `softmax(fc2 · silu(norm ⊙ rms(fc1 · x + b1)) + b2)[1]` |
    | `linear` | fc [1, D], bias [1]       | `sigmoid(fc · x + bias)` |
    | `gate`   | norm [D], down [R, D], up [1, R] | `sigmoid(up · tanh(down · (norm ⊙ rms(x))))` |

    Constraints:
    - (C1) the kind's number of weights.
    - (C2) weights have the kind's shapes, for one R.
    - (C3) the result has a value for each row.

    ```mlir
    %p = qtale.router mlp2(%x, %fc1, %b1, %norm, %fc2, %b2) {epsilon = 1.0e-5 : f32}
      : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32xf32>, tensor<32xf32>, tensor<2x32xf32>, tensor<2xf32> -> tensor<?xf32>
    ```
  }];
  let arguments = (ins QTale_RouterKindAttr:$kind, 2DTensorOf<[F32]>:$input,
                       Variadic<RankedTensorOf<[AnyFloat]>>:$weights, F32Attr:$epsilon);
  let results = (outs 1DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $kind `(` $input `,` $weights `)` attr-dict `:` type($input) `,` type($weights) `->` type($result)
  }];
  let extraClassDeclaration = [{
    /// The operand that is a large matrix, whose format passes may choose: fc1
    /// or down; null for `linear`.
    ::mlir::OpOperand *getMatrix();
  }];
  let hasVerifier = 1;
}

def QTale_KeepOp : QTale_Op<"keep", [Pure]> {
  let summary = "which rows run through a unit, and what is left of their budgets";
  let description = [{
    `always[r] = positions[r] < always`; row r of sequence `s = sequences[r]`:

    - `keep[r] = always[r] or (probability[r] >= thresholds[s, unit] and budgets[r] > 0)`
    - `left[r] = budgets[r] - (keep[r] and not always[r])`

    Constraints:
    - (C1) as many probabilities, budgets, sequences, positions and results.
    - (C2) unit is a column of the thresholds.

    ```mlir
    %keep, %left = qtale.keep %p, %thresholds, %budgets, %seq, %pos {unit = 3, always = 2}
      : tensor<?xf32>, tensor<?x5xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi1>, tensor<?xi32>
    ```
  }];
  let arguments = (ins 1DTensorOf<[F32]>:$probability, 2DTensorOf<[F32]>:$thresholds,
                       QTale_RowIndices:$budgets, QTale_RowIndices:$sequences,
                       QTale_RowIndices:$positions, I64Attr:$unit, I64Attr:$always);
  let results = (outs QTale_RowFlags:$keep, QTale_RowIndices:$left);
  let assemblyFormat = [{
    $probability `,` $thresholds `,` $budgets `,` $sequences `,` $positions attr-dict
    `:` type($probability) `,` type($thresholds) `,` type($budgets) `,` type($sequences) `,` type($positions)
    `->` type($keep) `,` type($left)
  }];
  let hasVerifier = 1;
}

def QTale_RouteOp : QTale_Op<"route", [RecursiveMemoryEffects]> {
  let summary = "a unit that only some rows run through";
  let description = [{
    The first region computes on the rows that `keep` marks, gathered: its
    arguments are those rows of the inputs. Its results go back to their rows.
    The other rows are those of the first inputs, or what the second region
    makes of them.

    A region that no row runs is not entered: nothing of it is read.

    Constraints:
    - (C1) each region's arguments are the inputs, for some number of rows.
    - (C2) each region yields the results, for some number of rows.
    - (C3) without a second region the results have the first inputs' types.
    - (C4) inputs, flags and results have as many rows.

    ```mlir
    %y = qtale.route %x, %seq : tensor<?x64xf32>, tensor<?xi32> if %keep : tensor<?xi1> -> tensor<?x64xf32> {
    ^bb0(%rows: tensor<?x64xf32>, %s: tensor<?xi32>):
      %h = qtale.rms_norm %rows, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
      qtale.yield %h : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<QTale_Rows>:$inputs, QTale_RowFlags:$keep);
  let results = (outs Variadic<QTale_Rows>:$results);
  let regions = (region SizedRegion<1>:$kept, MaxSizedRegion<1>:$skipped);
  let assemblyFormat = [{
    ($inputs^ `:` type($inputs))? `if` $keep `:` type($keep) (`->` type($results)^)? attr-dict-with-keyword
    $kept (`else` $skipped^)?
  }];
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def QTale_KVReserveOp : QTale_Op<"kv_reserve"> {
  let summary = "slots for the rows that a layer keeps";
  let description = [{
    In the order of the rows: `slots[r]` is the number of entries that sequence
    `sequences[r]` has in the cache, and where `keep[r]` it gets one more, for
    `positions[r]`.

    Constraints:
    - (C1) the cache is ragged.
    - (C2) as many flags, sequences, positions and slots.

    ```mlir
    %slots = qtale.kv_reserve %cache, %keep, %seq, %pos
      : !qtale.kv_cache<4x8xf32, ragged>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32> -> tensor<?xi32>
    ```
  }];
  let arguments = (ins Arg<QTale_KVCacheType, "", [MemRead<QTale_CacheResource>, MemWrite<QTale_CacheResource>]>:$cache,
                       QTale_RowFlags:$keep, QTale_RowIndices:$sequences, QTale_RowIndices:$positions);
  let results = (outs QTale_RowIndices:$slots);
  let assemblyFormat = [{
    $cache `,` $keep `,` $sequences `,` $positions attr-dict
    `:` type($cache) `,` type($keep) `,` type($sequences) `,` type($positions) `->` type($slots)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def QTale_KVCopyOp : QTale_Op<"kv_copy"> {
  let summary = "entries of the layer below, for rows that skip a layer";
  let description = [{
    Where `keep[r]` is false, slot `slots[r]` of sequence `sequences[r]` becomes
    a copy of the same slot of `below`.

    Constraints:
    - (C1) the caches have one type, which is not ragged.
    - (C2) as many flags, sequences and slots.

    ```mlir
    qtale.kv_copy %cache, %below, %keep, %seq, %pos
      : !qtale.kv_cache<4x8xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi1>, tensor<?xi32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Arg<QTale_KVCacheType, "", [MemWrite<QTale_CacheResource>]>:$cache,
                       Arg<QTale_KVCacheType, "", [MemRead<QTale_CacheResource>]>:$below,
                       QTale_RowFlags:$keep, QTale_RowIndices:$sequences, QTale_RowIndices:$slots);
  let assemblyFormat = [{
    $cache `,` $below `,` $keep `,` $sequences `,` $slots attr-dict
    `:` type($cache) `,` type($below) `,` type($keep) `,` type($sequences) `,` type($slots)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def QTale_GatherRowsOp : QTale_Op<"gather_rows", [Pure]> {
  let summary = "y[i] = x[rows[i]]";
  let description = [{
    Constraints:
    - (C1) result and input differ in the number of rows only; the result has as
      many as `rows`.

    ```mlir
    %y = qtale.gather_rows %x, %rows : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins QTale_Rows:$input, QTale_RowIndices:$rows);
  let results = (outs QTale_Rows:$result);
  let assemblyFormat = "$input `,` $rows attr-dict `:` type($input) `,` type($rows) `->` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "::mlir::Value":$rows)>];
  let hasVerifier = 1;
}

def QTale_ScatterRowsOp : QTale_Op<"scatter_rows", [Pure, AllTypesMatch<["base", "result"]>]> {
  let summary = "y = base, but y[rows[i]] = values[i]";
  let description = [{
    Constraints:
    - (C1) values and base differ in the number of rows only; there are as many
      values as `rows`.

    ```mlir
    %y = qtale.scatter_rows %values, %rows, %x : tensor<?x64xf32>, tensor<?xi32>, tensor<?x64xf32>
    ```
  }];
  let arguments = (ins QTale_Rows:$values, QTale_RowIndices:$rows, QTale_Rows:$base);
  let results = (outs QTale_Rows:$result);
  let assemblyFormat = "$values `,` $rows `,` $base attr-dict `:` type($values) `,` type($rows) `,` type($base)";
  let hasVerifier = 1;
}

def QTale_CompactOp : QTale_Op<"compact", [Pure]> {
  let summary = "the numbers of the marked rows, and how many there are";
  let description = [{
    `rows` begins with the r for which `keep[r]` (with `skipped`: not `keep[r]`),
    ascending; the rest is anything. `count` is how many.

    Constraints:
    - (C1) as many rows as flags.
    - (C2) the count is one number.

    ```mlir
    %rows, %count = qtale.compact %keep : tensor<?xi1> -> tensor<?xi32>, tensor<1xi32>
    ```
  }];
  let arguments = (ins QTale_RowFlags:$keep, UnitAttr:$skipped);
  let results = (outs QTale_RowIndices:$rows, StaticShapeTensorOf<[I32]>:$count);
  let assemblyFormat = "$keep attr-dict `:` type($keep) `->` type($rows) `,` type($count)";
  let hasVerifier = 1;
}

def QTale_RecordOp : QTale_Op<"record"> {
  let summary = "tells the runtime what a router decided";
  let description = [{
    Constraints:
    - (C1) as many probabilities as flags.

    ```mlir
    qtale.record %p, %keep {unit = 3} : tensor<?xf32>, tensor<?xi1>
    ```
  }];
  let arguments = (ins Arg<1DTensorOf<[F32]>, "", [MemWrite<QTale_RecordResource>]>:$probability,
                       QTale_RowFlags:$keep, I64Attr:$unit);
  let assemblyFormat = "$probability `,` $keep attr-dict `:` type($probability) `,` type($keep)";
  let hasVerifier = 1;
}

#endif // QTALE_ROUTINGOPS_TD
