//===- QTaleOpBase.td - What the files of operations share ----------------===//

#ifndef QTALE_OPBASE_TD
#define QTALE_OPBASE_TD

include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "qtale/Dialect/QTale/IR/QTaleDialect.td"
include "qtale/Dialect/QTale/IR/QTaleTypes.td"
include "qtale/Dialect/QTale/IR/QTaleAttributes.td"

class QTale_Op<string mnemonic, list<Trait> traits = []>
    : Op<QTale_Dialect, mnemonic, traits>;

def QTale_CacheResource : Resource<"::qtale::CacheResource">;
def QTale_RecordResource : Resource<"::qtale::RecordResource">;

// A number for each row: its sequence, slot, position.
def QTale_RowIndices : 1DTensorOf<[I32]>;
// Whether a unit runs, for each row.
def QTale_RowFlags : 1DTensorOf<[I1]>;
// Rows of anything.
def QTale_Rows : RankedTensorOf<[AnyType], [HasAnyRankOfPred<[1, 2]>], "1D/2D tensor">;

// What the runtime hands over: numbers one behind the other.
def QTale_Buffer : ConfinedType<AnyMemRef, [
    CPred<"::llvm::cast<::mlir::MemRefType>($_self).getLayout().isIdentity()">,
    CPred<"!::llvm::cast<::mlir::MemRefType>($_self).getMemorySpace()">,
    CPred<"::llvm::cast<::mlir::MemRefType>($_self).getElementType().isIntOrIndexOrFloat()">],
    "buffer of numbers in row-major order">;
def QTale_StaticBuffer : ConfinedType<QTale_Buffer, [HasStaticShapePred,
    CPred<"::llvm::cast<::mlir::MemRefType>($_self).getElementType().isIntOrFloat()">],
    "buffer of numbers in row-major order, of known dimensions">;
class QTale_BufferOf<Type element, int rank> : ConfinedType<MemRefRankOf<[element], [rank]>, [
    CPred<"::llvm::cast<::mlir::MemRefType>($_self).getLayout().isIdentity()">],
    "buffer of " # element.summary # " for each row">;
// A number for each row; its stride is 1.
def QTale_RowBuffer : MemRefRankOf<[I1, I8, I32], [1]>;

def QTale_YieldOp : QTale_Op<"yield", [
    Pure, Terminator, ReturnLike, ParentOneOf<["RouteOp", "FusedMatmulOp"]>]> {
  let summary = "what leaves a region: rows of a route, a number of a function";
  let arguments = (ins Variadic<AnyTypeOf<[QTale_Rows, F32]>>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

#endif // QTALE_OPBASE_TD
