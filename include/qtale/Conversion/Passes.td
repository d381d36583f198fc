//===- Passes.td - Tensors to buffers to LLVM -----------------------------===//
//
// In the order of the pipeline.
//
//===----------------------------------------------------------------------===//

#ifndef QTALE_CONVERSION_PASSES_TD
#define QTALE_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerRoutes : Pass<"qtale-lower-routes", "::mlir::func::FuncOp"> {
  let summary = "Turn routes into compaction, branch, body, scatter";
  let description = [{
    Before: %y = qtale.route %x if %keep { ^bb0(%rows): … qtale.yield %h }
    After:  %rows, %count = qtale.compact %keep
            %y = scf.if %any { gather_rows; …; scatter_rows into %x } else { %x }

    Every keep is recorded (`qtale.record`).

    Ensures: no qtale.route is left; no operation of a body stands outside of
    its branch.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"numRoutes", "num-routes", "Routes lowered">];
}

def EnterLevels : Pass<"qtale-enter-levels", "::mlir::ModuleOp"> {
  let summary = "Make a module for each CPU level, and place the weights";
  let description = [{
    Before: module { qtale.weight @w …  func @main(%x)  func @step(%tokens, …) }
    After:  module attributes {qtale.inputs = …, qtale.caches = …} {
              qtale.weight @w … {offset = 0}
              module @"x86-64-v3" { func @main(%context, %x)  func @step(%context, %tokens, …) }
            }

    What the runtime has to know of the entries (names, shapes, caches) becomes
    attributes of the outer module; levels share its weights.
  }];
  let options = [ListOption<"levels", "levels", "std::string", "names of CPU levels, the best first">];
  let dependentDialects = ["::qtale::QTaleDialect"];
}

def MaterializeCopies : Pass<"qtale-materialize-copies", "::mlir::func::FuncOp"> {
  let summary = "Turn memref.copy into parallel loops";
  let description = "Bufferization leaves copies; as linalg.generic they are shared by the team like any other loop.";
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def LowerExpandShape : Pass<"qtale-lower-expand-shape", "::mlir::func::FuncOp"> {
  let summary = "Turn memref.expand_shape into a view with strides";
  let description = [{
    Before: memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64]
    After:  memref.reinterpret_cast %base to sizes: [%b, %s, 64], strides: […]

    Upstream's expand-strided-metadata can't expand a group with two dynamic
    dimensions (it crashes), though the operation names both.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
}

def PlanArena : Pass<"qtale-plan-arena", "::mlir::ModuleOp"> {
  let summary = "Map every allocation of an entry to one arena";
  let description = [{
    Before: %b = memref.alloc(%rows) : memref<?x64xf32>
    After:  %b = qtale.arena %context, %offset[%rows] : memref<?x64xf32>

    Buffers whose lives don't overlap and whose dynamic sizes agree share a
    slot. Slots lie one behind the other; an entry that needs more than the
    arena has returns QTALE_LIMIT. For `@step` the bytes become a function,
    `@step_scratch(rows, logit_rows)`.

    In `@step` buffers may be made in branches, for a part of the rows (at most
    as many: `arith.minui`); they get a place for all.

    In `@main` sizes are known when they have been computed. A branch's own slots
    begin where those around it end, and are checked in the branch; where it
    yields what it made, its end is one more result, from which the entry goes on.
    Turns of a loop begin at one place.

    Requires: allocations stand in `scf.if` and `scf.for` only, and none of a
    loop's turn is needed after it. Ensures: no memref.alloc is left.
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numAllocs", "num-allocs", "Allocations mapped">,
                    Statistic<"numSlots", "num-slots", "Slots they share">];
}

def CarryReductions : Pass<"qtale-carry-reductions", "::mlir::func::FuncOp"> {
  let summary = "Keep sums and other reductions in registers while a loop runs";
  let description = [{
    Before: scf.for %k = … {
              %s = memref.load %sum[%i]
              memref.store (addf %s, …), %sum[%i]
            }
    After:  %first = memref.load %sum[%i]
            %last = scf.for %k = … iter_args(%s = %first) { scf.yield (addf %s, …) }
            memref.store %last, %sum[%i]

    Within parallel loops, where the buffer is an allocation that nothing else in
    the loop touches. The order of a reduction does not change.
  }];
  let statistics = [Statistic<"numReductions", "num-reductions", "Reductions that loops carry">];
}

def ShareWork : Pass<"qtale-share-work", "::mlir::func::FuncOp"> {
  let summary = "Let one thread do what may be done once";
  let description = [{
    Every thread of the team executes an entry. Parallel loops divide their
    iterations; arithmetic is repeated by all; whatever else writes memory is
    done by thread 0 between barriers, neighbours in one block.

    Requires: the function takes the context first.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

def OutlineLoops : Pass<"qtale-outline-loops", "::mlir::ModuleOp"> {
  let summary = "Make functions of an entry's parallel loops, equal ones shared";
  let description = [{
    Before: scf.parallel (%i) = … { memref.load %a[%c5, %i] … }
            scf.parallel (%i) = … { memref.load %b[%c6, %i] … }
    After:  call @loop(%context, %a, %c5)
            call @loop(%context, %b, %c6)

    So neither code nor LLVM's time grows with the number of layers. Constants
    and views of buffers are made again within the function; whatever else a
    loop uses is an argument, and so are numbers in which loops differ that are
    otherwise equal: floats, and indices of loads and stores.

    Requires: entries take the context first. From here on, a loop of one
    iteration must not be folded away: its barrier follows from it.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numLoops", "num-loops", "Loops that became calls">,
                    Statistic<"numFunctions", "num-functions", "Functions they share">];
}

def MarkOperations : Pass<"qtale-mark-operations", "::mlir::ModuleOp"> {
  let summary = "Mark where the operations of an entry begin, and describe them";
  let description = [{
    Before: call @matmul_3(%context, %x, %w, %y) loc("/layers.2/q_proj/MatMul")
    After:  qtale.mark %context, 17, %rows
            call @matmul_3(%context, %x, %w, %y)

    A profile's clock runs from mark to mark; the entry's end has one, too. The
    module's attribute `qtale.operations` has for each number

        {operation = "matmul", node = "/layers.2/q_proj/MatMul", layer = 2,
         bytes = 2304, macs = 4096}

    bytes: of the weights that it reads whole; row_bytes: for each row, where
    it looks rows up; macs: multiplications and additions for each row.
    Neighbouring loops of one node share a mark.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numMarks", "num-marks", "Operations marked">];
}

def LowerParallel : Pass<"qtale-lower-parallel", "::mlir::func::FuncOp"> {
  let summary = "Divide parallel loops among the team";
  let description = [{
    Before: scf.forall (%i) in (%n) { body }
    After:  scf.while { %i = qtale.next_chunk; %i < %n } do { body }
            qtale.barrier

    `scf.parallel` likewise, with several of its iterations in a chunk. Inner
    parallel loops become sequential.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect"];
}

def EntryArguments : Pass<"qtale-entry-arguments", "::mlir::func::FuncOp"> {
  let summary = "Pass an entry's buffers as the runtime does";
  let description = [{
    Before: func @main(%context, %x: memref<?x8xf32>) -> memref<?xf32>
    After:  func @main(%context, %arguments: !llvm.ptr) -> i32

    `arguments` points to descriptors: inputs, then results (ModuleABI.h).
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect"];
}

def LowerAsserts : Pass<"qtale-lower-asserts", "::mlir::ModuleOp"> {
  let summary = "Return an error code where an assertion fails";
  let description = [{
    Before: cf.assert %ok, "…" {qtale.code = 8 : i32}
    After:  cf.cond_br %ok, ^next, ^fail    ^fail: context.message = "…"; return %code

    All threads take the same branch. Without the attribute the code is
    QTALE_INVALID_ARGUMENT.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect", "::mlir::arith::ArithDialect"];
}

def ApproximateMath : Pass<"qtale-approximate-math", "::mlir::func::FuncOp"> {
  let summary = "Expand exp, tanh, erf, sin, cos, log into polynomials";
  let description = [{
    The same on every CPU, unlike the C library's; docs/Numerics.md states the
    errors. Multiplications and additions fuse only where `math.fma` says so.
  }];
}

def KernelsToLLVM : Pass<"qtale-kernels-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Convert a level's module to the LLVM dialect";
  let description = [{
    Functions, control flow, vectors, buffers and the operations of the qtale
    dialect that touch the context (layout: ModuleABI.h).

    Ensures: only the LLVM dialect is left.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // QTALE_CONVERSION_PASSES_TD
