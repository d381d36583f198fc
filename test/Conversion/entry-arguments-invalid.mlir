// RUN: qtale-opt %s --pass-pipeline="builtin.module(func.func(qtale-entry-arguments))" --split-input-file --verify-diagnostics
//
// Entries that the runtime could not call: it hands over buffers, and gets them at
// one place.

// expected-error@+1 {{argument 2 of @main must be a buffer, but is 'index'}}
func.func @main(%context: !qtale.context, %x: memref<4xf32>, %n: index) {
  return
}

// -----

// expected-error@+1 {{argument 1 of @main must be a buffer, but is 'memref<*xf32>'}}
func.func @main(%context: !qtale.context, %x: memref<*xf32>) {
  return
}

// -----

// expected-error@+1 {{result 0 of @main must be a buffer, but is 'f32'}}
func.func @main(%context: !qtale.context, %x: memref<f32>) -> f32 {
  %y = memref.load %x[] : memref<f32>
  return %y : f32
}

// -----

// expected-error@+1 {{@main must be one block that ends in func.return}}
func.func @main(%context: !qtale.context, %x: memref<4xf32>) -> memref<4xf32> {
  cf.br ^next
^next:
  return %x : memref<4xf32>
}
