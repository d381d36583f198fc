//===- QTaleAttributes.td - Schemes, storage formats, recipes -------------===//

#ifndef QTALE_ATTRIBUTES_TD
#define QTALE_ATTRIBUTES_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "mlir/IR/TensorEncoding.td"
include "qtale/Dialect/QTale/IR/QTaleDialect.td"

class QTale_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<QTale_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Storage formats: encodings of tensor types
//===----------------------------------------------------------------------===//

def QTale_IntAttr : QTale_Attr<"Int", "int"> {
  let summary = "scheme: integers with a scale for each group along K";
  let description = [{
    A weight `[N, K]` as integers of `bits` bits; each row has, for each `group`
    consecutive k, a scale of type `scales` (and with `asymmetric` an integer
    zero point): `w = (q - zero_point) * scale`. Equations: docs/Numerics.md.

    Constraints:
    - (C1) `bits` is 4 or 8.
    - (C2) `group` is 32, 64 or 128.
    - (C3) `scales` is f16 or f32.
  }];
  let parameters = (ins "int64_t":$bits, "int64_t":$group,
                        DefaultValuedParameter<"bool", "false">:$asymmetric,
                        DefaultValuedParameter<"::mlir::Type", "::mlir::Float16Type::get($_ctxt)">:$scales);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getScaleBytes() const { return getScales().getIntOrFloatBitWidth() / 8; }
    /// What symmetric schemes add to store values unsigned.
    int64_t getBias() const { return int64_t(1) << (getBits() - 1); }
  }];
}

def QTale_PackedAttr : QTale_Attr<"Packed", "packed", [
    DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "a weight in the order that kernels read";
  let description = [{
    `tensor<NxKxf32, #qtale.packed<#qtale.int<bits = 4, group = 32>>>`,
    `#qtale.packed<f16>` or `#qtale.packed<ui8>`. Rows come in tiles of 16 (the last padded with zeros),
    a lane of a vector for each.

    Float: `[N/16][K][16]` elements.

    Integers: a tile holds its groups of K, the last one padded, one behind the
    other, so that decoding reads one ascending stream, which is what processors
    prefetch best. A group holds
    - scales: 16 floats of the scheme's `scales`;
    - zero points, if asymmetric: 16 bytes;
    - values, for each 32 k: 4-bit: 4 vectors of 64 bytes, byte `4 * row + i` of
      vector j has `k = 4 j + i` in its low half and `k = 16 + 4 j + i` in its
      high half; 8-bit: 8 vectors, byte `4 * row + i` of vector j is `k = 4 j + i`.
      Stored unsigned: symmetric schemes add 8 or 128.

    Bytes (i8, ui8), for products in integers: a tile holds 16 int32, the sums of
    its rows' bytes, then for each 4 k, the last ones padded with zeros, a vector
    as above. Stored unsigned: i8 is 128 more.

    Constraints:
    - (C1) the format is `#qtale.int`, f32, f16, bf16, i8 or ui8.
    - (C2) the tensor's elements are floats; or they are i8 or ui8, as the format.
    - (C3) the tensor is a matrix of known dimensions.
  }];
  let parameters = (ins "::mlir::Attribute":$format);
  let assemblyFormat = "`<` $format `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Rows of a tile: lanes of a vector.
    static constexpr int64_t tileRows = 16;
    /// The scheme, or null where the format is a type.
    IntAttr getScheme() const { return ::llvm::dyn_cast<IntAttr>(getFormat()); }
    /// The float type, or null where the format is a scheme or bytes.
    ::mlir::FloatType getFloat() const;
    /// The type of plain bytes, or null.
    ::mlir::IntegerType getBytesType() const;
    /// Bytes of the sums that a tile of plain bytes begins with.
    static constexpr int64_t sumBytes = 4 * tileRows;
    /// Bytes of one tile of weights with `k` inputs, all groups included.
    int64_t getTileBytes(int64_t k) const;
    /// Bytes of a group in a tile. Its scales come first, then (integers only)
    /// zero points and values.
    int64_t getGroupBytes() const;
    int64_t getZerosOffset() const { return getScheme().getScaleBytes() * tileRows; }
    int64_t getValuesOffset() const;
    /// Bytes of a whole weight [n, k].
    int64_t getBytes(int64_t n, int64_t k) const;
  }];
}

def QTale_IntRowsAttr : QTale_Attr<"IntRows", "int_rows", [
    DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "activations as int8 with a scale for each block of 32";
  let description = [{
    Encoding of `tensor<?xKxf32, #qtale.int_rows<pad = 64>>`, made by
    `quantize_rows` and by verbs that write it themselves. K is padded with zeros to Kp, a multiple of `pad` (the
    group of the weights it meets). A row holds Kp int8 values, Kp/32 float32
    scales, Kp/32 int32 sums of values.

    Constraints:
    - (C1) `pad` is 32, 64 or 128.
    - (C2) the tensor is a matrix of f32.
  }];
  let parameters = (ins "int64_t":$pad);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static constexpr int64_t block = 32;
    int64_t getPaddedK(int64_t k) const { return (k + getPad() - 1) / getPad() * getPad(); }
    /// Bytes of a row: values, scales, sums.
    int64_t getRowBytes(int64_t k) const { return getPaddedK(k) / block * (block + 8); }
  }];
}

//===----------------------------------------------------------------------===//
// Recipes: how a weight's bytes come from files
//===----------------------------------------------------------------------===//

def QTale_RecipeAttrInterface : AttrInterface<"RecipeAttrInterface"> {
  let cppNamespace = "::qtale";
  let description = [{
    An expression over bytes in files that gives a tensor; evaluated by pull when
    the artifact is written. It has less than 2^16 recipes in it, each counted as
    often as it is named, and less than 2^9 within each other.
  }];
  let methods = [
    InterfaceMethod<"The tensor that the recipe gives.", "::mlir::RankedTensorType", "getTensorType">,
  ];
}

class QTale_Recipe<string name, string attrMnemonic>
    : QTale_Attr<name, attrMnemonic, [DeclareAttrInterfaceMethods<QTale_RecipeAttrInterface>]> {
  let genVerifyDecl = 1;
}

def QTale_SourceAttr : QTale_Recipe<"Source", "source"> {
  let summary = "bytes of a file, little-endian, row-major";
  let description = [{
    Two 4-bit elements share a byte, low half first (as in ONNX). `file` is
    relative to the file that holds this text.

    Constraints:
    - (C1) `type` is static, of f64, f32, f16, bf16, i64, i32, i16, i8, ui8, ui4, i4 or i1 (a byte), and below 2^47 bytes.
    - (C2) `bytes` is what `type` needs; `offset` is not negative.
  }];
  let parameters = (ins "::mlir::StringAttr":$file, "int64_t":$offset, "int64_t":$bytes,
                        "::mlir::RankedTensorType":$type);
  let assemblyFormat = "`<` struct(params) `>`";
}

def QTale_TransposeAttr : QTale_Recipe<"Transpose", "transpose"> {
  let summary = "axes permuted: axis i of the result is axis perm[i] of the input";
  let description = [{
    Constraints:
    - (C1) `perm` is a permutation of the input's axes.
    - (C2) the input is neither quantized nor packed.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input, "::mlir::DenseI64ArrayAttr":$perm);
  let assemblyFormat = "`<` $input `,` $perm `>`";
}

def QTale_ReshapeAttr : QTale_Recipe<"Reshape", "reshape"> {
  let summary = "the same elements in row-major order, another shape";
  let description = [{
    Constraints:
    - (C1) as many elements, same element type, no encoding.
    - (C2) the input is neither quantized nor packed.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input, "::mlir::RankedTensorType":$type);
  let assemblyFormat = "`<` $input `,` $type `>`";
}

def QTale_SliceAttr : QTale_Recipe<"Slice", "slice"> {
  let summary = "elements [begin, begin + size) of one axis";
  let description = [{
    Constraints:
    - (C1) the slice lies within the axis.
    - (C2) the input is neither quantized nor packed.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input, "int64_t":$axis, "int64_t":$begin, "int64_t":$size);
  let assemblyFormat = "`<` $input `,` struct($axis, $begin, $size) `>`";
}

def QTale_ConcatAttr : QTale_Recipe<"Concat", "concat"> {
  let summary = "inputs one after the other along an axis";
  let description = [{
    Constraints:
    - (C1) equal shapes but for the axis, equal element types.
    - (C2) the inputs are neither quantized nor packed.
    - (C3) the result is below 2^47 bytes.
  }];
  let parameters = (ins "::mlir::ArrayAttr":$inputs, "int64_t":$axis);
  let assemblyFormat = "`<` $inputs `,` struct($axis) `>`";
}

def QTale_CastAttr : QTale_Recipe<"Cast", "cast"> {
  let summary = "elements converted, round to nearest even";
  let description = [{
    Constraints:
    - (C1) both element types are floats; or bytes, i8, are made of shorter
      unsigned integers.
    - (C2) the input is neither quantized nor packed.
    - (C3) the result is below 2^47 bytes.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input, "::mlir::Type":$elementType);
  let assemblyFormat = "`<` $input `,` $elementType `>`";
}

def QTale_DequantizeAttr : QTale_Recipe<"Dequantize", "dequantize"> {
  let summary = "(input - zero) * scale, ONNX's DequantizeLinear";
  let description = [{
    `scale` is one number (per tensor, `block = 0`), a vector along `axis` (`block = 0`), or of
    the input's shape with `axis` divided by `block`, rounded up. The result has
    the scale's element type.

    Constraints:
    - (C1) the input's elements are integers or floats of at most 8 bits, the
      scale's floats, and zero points have the scale's shape and the input's
      element type.
    - (C2) the scale's shape is one of the three.
    - (C3) none of them is quantized or packed.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input,
                        "::qtale::RecipeAttrInterface":$scale,
                        OptionalParameter<"::qtale::RecipeAttrInterface">:$zero,
                        "int64_t":$axis, "int64_t":$block);
  let assemblyFormat = "`<` $input `,` $scale (`zero` `=` $zero^)? `,` struct($axis, $block) `>`";
}

def QTale_QuantizeAttr : QTale_Recipe<"Quantize", "quantize"> {
  let summary = "a float matrix [N, K] in a scheme";
  let description = "Constraints: (C1) the input is a matrix of floats, in no scheme yet.";
  let parameters = (ins "::qtale::RecipeAttrInterface":$input, "::qtale::IntAttr":$scheme);
  let assemblyFormat = "`<` $input `,` $scheme `>`";
}

def QTale_IntegersAttr : QTale_Recipe<"Integers", "integers"> {
  let summary = "a matrix [N, K] in a scheme, with integers and scales that a model brings along";
  let description = [{
    `w[n, k] = (values[n, k] - zero[n, k / block]) * scale[n, k / block]`, or, where
    `block` is 0, with one scale for each row or one for all. Each group of the
    scheme gets the scale that it lies under. Signed values and zero points are
    moved up by half their range when they are packed, since schemes are unsigned.

    Constraints:
    - (C1) `values` is a matrix of i4, ui4, i8 or ui8, as the scheme's `bits` say.
    - (C2) `scale` is a matrix of f32, f16 or bf16: [N, K / block, rounded up], or
      [N, 1] or [1, 1] where `block` is 0. The scheme's `scales` hold it exactly.
    - (C3) `block` is 0 or a multiple of the scheme's group.
    - (C4) `zero` has the values' element type and the scale's shape.
    - (C5) the scheme is asymmetric where there are zero points or where values
      are unsigned, and there only.
    - (C6) none of them is quantized or packed.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$values,
                        "::qtale::RecipeAttrInterface":$scale,
                        OptionalParameter<"::qtale::RecipeAttrInterface">:$zero,
                        "int64_t":$block, "::qtale::IntAttr":$scheme);
  let assemblyFormat = "`<` $values `,` $scale (`zero` `=` $zero^)? `,` struct($block) `,` $scheme `>`";
}

def QTale_PackAttr : QTale_Recipe<"Pack", "pack"> {
  let summary = "a matrix [N, K] in the order that kernels read";
  let description = [{
    Constraints:
    - (C1) the input is a matrix, in a scheme or of f32, f16, bf16, i8 or ui8.
  }];
  let parameters = (ins "::qtale::RecipeAttrInterface":$input);
  let assemblyFormat = "`<` $input `>`";
}

#endif // QTALE_ATTRIBUTES_TD
