// RUN: qtale-opt %s --qtale-outline-loops --verify-diagnostics
//
// A block that is not reached may have a view of itself, which no function can make
// again.

// expected-error@+1 {{@main must be one block that ends in func.return}}
func.func @main(%context: !qtale.context, %n: index, %f: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  return
^never:
  %v = memref.cast %v : memref<?xf32> to memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    memref.store %f, %v[%i] : memref<?xf32>
  }
  cf.br ^never
}
