// RUN: qtale-opt %s --qtale-kernels-to-llvm --split-input-file --verify-diagnostics
//
// Functions of what LLVM has not.

// expected-error@+1 {{failed to legalize operation 'func.func'}}
func.func private @tensor(tensor<4xf32>) attributes {no_inline}

// -----

// expected-error@+1 {{failed to legalize operation 'func.func'}}
func.func @cache(%context: !qtale.context, %kv: !qtale.kv_cache<4x8xf32>) {
  return
}
