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

#endif // QTALE_OPBASE_TD
