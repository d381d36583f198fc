//===- QTaleTypes.td - Types: caches and the context of a call ------------===//

#ifndef QTALE_TYPES_TD
#define QTALE_TYPES_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "qtale/Dialect/QTale/IR/QTaleDialect.td"

class QTale_Type<string name, string typeMnemonic> : TypeDef<QTale_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def QTale_KVCacheType : QTale_Type<"KVCache", "kv_cache"> {
  let summary = "handle of a layer's keys and values, of all sequences";
  let description = [{
    `!qtale.kv_cache<4x8xf32>`: 4 key/value heads of 8 values each, stored as
    f32, f16 or i8. A handle, never a tensor: `kv_append` writes and `attention`
    reads it, so no cache is ever copied. Storage is in blocks of 16 slots, of
    every sequence its own: per head keys `[head_dim][16]`, then values
    `[16][head_dim]`, so that scores of 16 slots fill a vector.

    With i8 a float32 scale for each slot and head follows: `[head][16]` for
    keys, then for values; `x = q * scale`, `scale = absmax / 127`.

    In a cache a slot is a position; in a `ragged` one
    (`!qtale.kv_cache<4x8xf32, ragged>`) it is a number in order of appearance,
    which `kv_reserve` gives: tokens that skip the layer have none.

    Constraints:
    - (C1) at least one head and one value, and at most 2^20 values in all.
    - (C2) elements are f32, f16 or i8.
  }];
  let parameters = (ins "int64_t":$heads, "int64_t":$headDim, "::mlir::Type":$elementType,
                        "bool":$ragged);
  let skipDefaultBuilders = 1;
  let builders = [
    TypeBuilder<(ins "int64_t":$heads, "int64_t":$headDim, "::mlir::Type":$elementType,
                     CArg<"bool", "false">:$ragged), [{
      return $_get($_ctxt, heads, headDim, elementType, ragged);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Slots in a block (QTALE_KV_BLOCK).
    static constexpr int64_t blockSlots = 16;
    /// Values of a slot, at most: heads * head_dim.
    static constexpr int64_t maxValues = 1 << 20;
    static bool fits(int64_t heads, int64_t headDim) {
      return heads >= 1 && headDim >= 1 && heads <= maxValues / headDim;
    }
    /// Bytes of a block: keys and values of 16 slots.
    int64_t getBlockBytes() const;
    /// The same cache with values of another type.
    KVCacheType withElementType(::mlir::Type elementType) const;
  }];
}

def QTale_ContextType : QTale_Type<"Context", "context"> {
  let summary = "what a thread knows while it executes an entry";
  let description = "The `qtale_context` of `ModuleABI.h`, first argument of all code from `kernels` on.";
}

#endif // QTALE_TYPES_TD
