// RUN: qtale-opt %s --qtale-mark-operations --split-input-file --verify-diagnostics
//
// Views of themselves, which are of no weight: in a block that is not reached, and
// in a module, which has no order.

func.func private @kernel(memref<?xi8>)
// expected-error@+1 {{@main must be one block that ends in func.return}}
func.func @main(%context: !qtale.context) {
  return
^never:
  %v = memref.cast %v : memref<?xi8> to memref<?xi8>
  call @kernel(%v) : (memref<?xi8>) -> ()
  cf.br ^never
}

// -----

func.func @main(%context: !qtale.context) {
  // expected-error@+1 {{regions of an entry must be one block that runs in order; use scf.if and scf.for}}
  builtin.module {
    func.func private @kernel(memref<?xi8>)
    %v = memref.cast %v : memref<?xi8> to memref<?xi8>
    func.call @kernel(%v) : (memref<?xi8>) -> ()
  }
  return
}
