//===- QTaleOps.td - Operations of the qtale dialect ----------------------===//
//
//   weights     weight  param
//   verbs       embedding  quantize_rows  rms_norm  layer_norm  rope
//               kv_append  attention                        (tensors of rows)
//   products    QTaleMatmulOps.td
//   routing     QTaleRoutingOps.td
//   kernels     launch  weight_address  kv_block  reserve_slots  unit_record  dot
//   entries     arena  arena_limit  load_argument  store_result
//   team        thread  next_chunk  barrier
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_OPS_TD
#define QTALE_OPS_TD

include "qtale/Dialect/QTale/IR/QTaleOpBase.td"

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

def QTale_WeightOp : QTale_Op<"weight", [Symbol]> {
  let summary = "a parameter of the model";
  let description = [{
    Declares a weight. Its value is what `recipe` gives; the bytes stay in the
    files that the recipe names until the artifact is written. `offset` is its
    place in the weights file's data section, assigned on entering `kernels`.

    Constraints:
    - (C1) the type is static.
    - (C2) the recipe gives a tensor of the weight's type.
    - (C3) `offset`, where present, is a multiple of 64, not negative.

    ```mlir
    qtale.weight @head : tensor<512x64xf32> =
      #qtale.source<file = "model.onnx.data", offset = 0, bytes = 131072, type = tensor<512x64xf32>>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type,
                       QTale_RecipeAttrInterface:$recipe,
                       OptionalAttr<I64Attr>:$offset);
  let assemblyFormat = "$sym_name `:` $type `=` $recipe attr-dict";
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
    /// Bytes in the weights file.
    int64_t getBytes();
  }];
}

def QTale_ParamOp : QTale_Op<"param", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight as a tensor";
  let description = [{
    Constraints:
    - (C1) `weight` names a `qtale.weight`.
    - (C2) the result has the weight's type.

    ```mlir
    %w = qtale.param @head : tensor<512x64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Verbs
//===----------------------------------------------------------------------===//

def QTale_EmbeddingOp : QTale_Op<"embedding", [Pure]> {
  let summary = "rows of a table: y[r, :] = table[ids[r], :]";
  let description = [{
    An id outside the table is clamped into it; the runtime refuses such tokens
    before a step.

    Constraints:
    - (C1) as many result rows as ids; result columns are the table's.

    ```mlir
    %x = qtale.embedding %ids, %table : tensor<?xi32>, tensor<512x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins 1DTensorOf<[I32, I64]>:$ids, 2DTensorOf<[AnyFloat]>:$table);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` type($ids) `,` type($table) `->` type($result)";
  let hasVerifier = 1;
}

def QTale_QuantizeRowsOp : QTale_Op<"quantize_rows", [Pure]> {
  let summary = "activations as int8, a scale for each row and block of 32";
  let description = [{
    For each row and each block of 32 columns: `scale = absmax / 127`,
    `q = clamp(round_even(x / scale), -127, 127)`, 0 where scale is 0.

    Constraints:
    - (C1) the result has the input's shape and the encoding `#qtale.int_rows`.

    ```mlir
    %q = qtale.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xf32, #qtale.int_rows<pad = 32>>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def QTale_RMSNormOp : QTale_Op<"rms_norm", [Pure]> {
  let summary = "y = x / sqrt(mean(x^2) + epsilon) * scale, row by row";
  let description = [{
    The result may be int8 activations: those of `quantize_rows`, bit for bit.

    Constraints:
    - (C1) scale has a value for each column.
    - (C2) the result has the input's shape, as floats or as `#qtale.int_rows`.

    ```mlir
    %y = qtale.rms_norm %x, %g {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, 1DTensorOf<[F32]>:$scale, F32Attr:$epsilon);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $scale attr-dict `:` type($input) `,` type($scale)
    custom<RowsAs>(ref(type($input)), type($result))
  }];
  let hasVerifier = 1;
}

def QTale_LayerNormOp : QTale_Op<"layer_norm", [Pure]> {
  let summary = "y = (x - mean(x)) / sqrt(var(x) + epsilon) * scale + bias, row by row";
  let description = [{
    The result may be int8 activations: those of `quantize_rows`, bit for bit.

    Constraints:
    - (C1) scale and bias have a value for each column.
    - (C2) the result has the input's shape, as floats or as `#qtale.int_rows`.

    ```mlir
    %y = qtale.layer_norm %x, %g, %b {epsilon = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, 1DTensorOf<[F32]>:$scale,
                       Optional<1DTensorOf<[F32]>>:$bias, F32Attr:$epsilon);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $scale (`,` $bias^)? attr-dict `:` type($input) `,` type($scale) (`,` type($bias)^)?
    custom<RowsAs>(ref(type($input)), type($result))
  }];
  let hasVerifier = 1;
}

def QTale_RopeOp : QTale_Op<"rope", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "rotary position embedding of heads";
  let description = [{
    A row holds `heads` heads of D values; pair i of a head is turned by the
    angle whose cosine and sine are `cos[position, i]`, `sin[position, i]`,
    i < C. Pairs are (2i, 2i+1) where `interleaved`, otherwise (i, i + C).
    Values beyond the first 2C of a head pass (partial rotation).

    Constraints:
    - (C1) heads divides the columns; cos and sin are [P, C] with 2C <= D.
    - (C2) as many positions as rows.

    ```mlir
    %q = qtale.rope %x, %cos, %sin, %pos {heads = 8, interleaved}
      : tensor<?x64xf32>, tensor<512x4xf32>, tensor<512x4xf32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$input, 2DTensorOf<[F32]>:$cos, 2DTensorOf<[F32]>:$sin,
                       1DTensorOf<[I32, I64]>:$positions, I64Attr:$heads, UnitAttr:$interleaved);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $input `,` $cos `,` $sin `,` $positions attr-dict
    `:` type($input) `,` type($cos) `,` type($sin) `,` type($positions)
  }];
  let hasVerifier = 1;
}

def QTale_KVAppendOp : QTale_Op<"kv_append"> {
  let summary = "stores keys and values of rows in their sequences' slots";
  let description = [{
    Row r goes to slot `slots[r]` of sequence `sequences[r]`, rounded to the
    cache's element type.

    Constraints:
    - (C1) keys and values have heads * head_dim columns of the cache.
    - (C2) as many rows, sequences and slots.

    ```mlir
    qtale.kv_append %cache, %k, %v, %seq, %pos
      : !qtale.kv_cache<4x8xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?xi32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins Arg<QTale_KVCacheType, "", [MemWrite<QTale_CacheResource>]>:$cache,
                       2DTensorOf<[F32]>:$keys, 2DTensorOf<[F32]>:$values,
                       QTale_RowIndices:$sequences, QTale_RowIndices:$slots);
  let assemblyFormat = [{
    $cache `,` $keys `,` $values `,` $sequences `,` $slots attr-dict
    `:` type($cache) `,` type($keys) `,` type($values) `,` type($sequences) `,` type($slots)
  }];
  let hasVerifier = 1;
}

def QTale_AttentionOp : QTale_Op<"attention"> {
  let summary = "attention of rows to what their sequences have stored";
  let description = [{
    Row r attends to the slots 0 .. `slots[r]` of sequence `sequences[r]`, its
    own the last. Query head h reads key/value head `h * heads(cache) / heads`.
    `score = softcap(scale * q · k)`, `softcap(s) = cap * tanh(s / cap)` where
    given; `y = softmax(score) · v`. The result may be int8
    activations: those of `quantize_rows`, bit for bit.

    Constraints:
    - (C1) heads is a multiple of the cache's heads; q has heads * head_dim columns.
    - (C2) as many rows, sequences and slots.
    - (C3) the result has the query's shape, as floats or as `#qtale.int_rows`
      without padding; then head_dim is a multiple of 32.
    - (C4) at most 256 heads share one of the cache.

    ```mlir
    %y = qtale.attention %q, %cache, %seq, %pos {heads = 8, scale = 0.35355339 : f32}
      : tensor<?x64xf32>, !qtale.kv_cache<4x8xf32>, tensor<?xi32>, tensor<?xi32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$query,
                       Arg<QTale_KVCacheType, "", [MemRead<QTale_CacheResource>]>:$cache,
                       QTale_RowIndices:$sequences, QTale_RowIndices:$slots,
                       I64Attr:$heads, F32Attr:$scale, OptionalAttr<F32Attr>:$softcap);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $query `,` $cache `,` $sequences `,` $slots attr-dict
    `:` type($query) `,` type($cache) `,` type($sequences) `,` type($slots)
    custom<RowsAs>(ref(type($query)), type($result))
  }];
  let extraClassDeclaration = [{
    /// Heads that share one of the cache, at most: kernels spell them out.
    static constexpr int64_t maxShared = 256;
  }];
  let hasVerifier = 1;
}

include "qtale/Dialect/QTale/IR/QTaleMatmulOps.td"
include "qtale/Dialect/QTale/IR/QTaleRoutingOps.td"

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

def QTale_LaunchOp : QTale_Op<"launch", [
    AttrSizedOperandSegments, DestinationStyleOpInterface,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "a kernel, on tensors: bufferizes to a call";
  let description = [{
    `kernel` is a function of (context and handles…, inputs…, outputs…), all
    tensors as buffers. It reads the inputs and overwrites the outputs; with
    `update` it leaves parts of them as they are.

    Constraints:
    - (C1) `kernel` names a function with as many arguments.
    - (C2) it takes the handles, and a buffer for each tensor.

    ```mlir
    %y = qtale.launch @rms_norm_64(%context : !qtale.context) ins(%x : tensor<?x64xf32>) outs(%init : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$handles,
                       Variadic<AnyRankedTensor>:$inputs, Variadic<AnyRankedTensor>:$outputs,
                       UnitAttr:$update);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `(` ($handles^ `:` type($handles))? `)` (`ins` `(` $inputs^ `:` type($inputs) `)`)?
    (`outs` `(` $outputs^ `:` type($outputs) `)`)? attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
  }];
}

def QTale_WeightAddressOp : QTale_Op<"weight_address", [Pure]> {
  let summary = "a weight's bytes in the mapped weights file";
  let description = [{
    ```mlir
    %w = qtale.weight_address %context, 4096 : memref<18432xi8>
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, I64Attr:$offset);
  let results = (outs QTale_StaticBuffer:$result);
  let assemblyFormat = "$context `,` $offset attr-dict `:` type($result)";
}

def QTale_KVBlockOp : QTale_Op<"kv_block"> {
  let summary = "a block of 16 slots of a cache";
  let description = [{
    `keys` is [heads, head_dim, 16], `values` [heads, 16, head_dim]; a cache of
    i8 has two more results, the scales of keys and of values, [heads, 16].

    ```mlir
    %k, %v = qtale.kv_block %context, %cache, %sequence, %block : memref<4x8x16xf32>, memref<4x16x8xf32>
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, Index:$cache, Index:$sequence, Index:$block);
  let results = (outs QTale_StaticBuffer:$keys, QTale_StaticBuffer:$values,
                      Variadic<QTale_StaticBuffer>:$scales);
  let assemblyFormat = [{
    $context `,` $cache `,` $sequence `,` $block attr-dict
    `:` type($keys) `,` type($values) (`,` type($scales)^)?
  }];
}

def QTale_ReserveSlotsOp : QTale_Op<"reserve_slots"> {
  let summary = "kv_reserve on buffers, by the runtime; gives its qtale_code";
  let description = [{
    One thread of the team calls it.

    ```mlir
    %code = qtale.reserve_slots %context, %cache, %keep, %seq, %pos, %slots
      : memref<?xi1>, memref<?xi32>, memref<?xi32>, memref<?xi32>
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, Index:$cache,
                       QTale_RowBuffer:$keep, QTale_RowBuffer:$sequences,
                       QTale_RowBuffer:$positions, QTale_RowBuffer:$slots);
  let results = (outs I32:$code);
  let assemblyFormat = [{
    $context `,` $cache `,` $keep `,` $sequences `,` $positions `,` $slots attr-dict
    `:` type($keep) `,` type($sequences) `,` type($positions) `,` type($slots)
  }];
}

def QTale_UnitRecordOp : QTale_Op<"unit_record", [Pure]> {
  let summary = "where the runtime wants a unit's decisions: a flag and a probability for each row";
  let description = [{
    ```mlir
    %kept, %p = qtale.unit_record %context, %unit : memref<?xi8>, memref<?xf32>
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, Index:$unit);
  let results = (outs QTale_BufferOf<I8, 1>:$kept, QTale_BufferOf<F32, 1>:$probability);
  let assemblyFormat = "$context `,` $unit attr-dict `:` type($kept) `,` type($probability)";
}

def QTale_ArenaOp : QTale_Op<"arena", [Pure]> {
  let summary = "a buffer in this call's scratch memory";
  let description = [{
    `offset` is in bytes, a multiple of 64; `sizes` are the dynamic dimensions.

    Constraints:
    - (C1) a size for each dynamic dimension.

    ```mlir
    %b = qtale.arena %context, %offset[%rows] : memref<?x64xf32>
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, Index:$offset, Variadic<Index>:$sizes);
  let results = (outs QTale_Buffer:$result);
  let assemblyFormat = "$context `,` $offset `[` $sizes `]` attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def QTale_ArenaLimitOp : QTale_Op<"arena_limit", [Pure]> {
  let summary = "bytes of this call's scratch memory";
  let arguments = (ins QTale_ContextType:$context);
  let results = (outs Index:$result);
  let assemblyFormat = "$context attr-dict";
}

def QTale_LoadArgumentOp : QTale_Op<"load_argument", [Pure]> {
  let summary = "argument of an entry, from the runtime's descriptors";
  let arguments = (ins AnyType:$arguments, I64Attr:$index);
  let results = (outs QTale_Buffer:$result);
  let assemblyFormat = "$arguments `,` $index attr-dict `:` type($arguments) `,` type($result)";
}

def QTale_StoreResultOp : QTale_Op<"store_result"> {
  let summary = "result of an entry, to the runtime's descriptors";
  let arguments = (ins AnyType:$arguments, I64Attr:$index, AnyMemRef:$value);
  let assemblyFormat = "$arguments `,` $index `,` $value attr-dict `:` type($arguments) `,` type($value)";
}

def QTale_ThreadOp : QTale_Op<"thread", [Pure]> {
  let summary = "number of this thread in its team, 0 … threads - 1";
  let arguments = (ins QTale_ContextType:$context);
  let results = (outs Index:$result);
  let assemblyFormat = "$context attr-dict";
}

def QTale_ThreadsOp : QTale_Op<"threads", [Pure]> {
  let summary = "how many threads the team has";
  let arguments = (ins QTale_ContextType:$context);
  let results = (outs Index:$result);
  let assemblyFormat = "$context attr-dict";
}

def QTale_NextChunkOp : QTale_Op<"next_chunk"> {
  let summary = "the next chunk of the parallel loop that the team is in";
  let arguments = (ins QTale_ContextType:$context);
  let results = (outs Index:$result);
  let assemblyFormat = "$context attr-dict";
}

def QTale_BarrierOp : QTale_Op<"barrier"> {
  let summary = "waits for all threads of the team";
  let arguments = (ins QTale_ContextType:$context);
  let assemblyFormat = "$context attr-dict";
}

def QTale_MarkOp : QTale_Op<"mark"> {
  let summary = "where an entry begins its next operation, for whoever profiles it";
  let description = [{
    `number` counts the level's attribute `qtale.operations`; -1 ends the last
    operation. `rows` is how many rows the operation's weights are applied to.

    ```mlir
    qtale.mark %context, 12, %rows
    ```
  }];
  let arguments = (ins QTale_ContextType:$context, I64Attr:$number, Index:$rows);
  let assemblyFormat = "$context `,` $number `,` $rows attr-dict";
}

def QTale_DotOp : QTale_Op<"dot", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "acc[i] + sum over j < 4 of w[4 i + j] * x[j], x signed";
  let description = [{
    One step of an integer kernel: 16 rows by 4 k. Weights are unsigned bytes of
    at most `bits` bits, or signed bytes with `signed_weights`, for instruction
    sets that have no product of unsigned and signed bytes; activations lie in
    ±127, or with `full_input` may be -128; the sum is exact. Each instruction set has its own lowering
    (lib/Codegen/CPU).

    ```mlir
    %s = qtale.dot %w, %x, %acc {bits = 4} : vector<64xi8>, vector<16xi32>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[64], [I8]>:$weights, I32:$input,
                       VectorOfLengthAndType<[16], [I32]>:$acc, I64Attr:$bits,
                       UnitAttr:$signed_weights, UnitAttr:$full_input);
  let results = (outs VectorOfLengthAndType<[16], [I32]>:$result);
  let assemblyFormat = "$weights `,` $input `,` $acc attr-dict `:` type($weights) `,` type($acc)";
}

#endif // QTALE_OPS_TD
