// A model at the stage llvm, small enough to be written by hand:
//   @main: y = x + w, 16 values
//   @step: the logits of a row say "the next token is this one plus 1, mod 16"
// Struct fields by offset: lib/Target and the runtime share ModuleABI.h.
module attributes {
  qtale.inputs = [{name = "x", dtype = "float32", shape = array<i64: 16>}],
  qtale.outputs = [{name = "y", dtype = "float32", shape = array<i64: 16>}],
  qtale.caches = [!qtale.kv_cache<4x8xf32>],
  qtale.vocab = 16 : i64, qtale.context = 32 : i64, qtale.bos = 1 : i64, qtale.eos = array<i64: 9>
} {
  qtale.weight @w : tensor<16xf32> =
    #qtale.source<file = "w.data", offset = 0, bytes = 64, type = tensor<16xf32>> {offset = 0 : i64}

  module @LEVEL attributes {qtale.cpu = "", qtale.features = "", qtale.requires = ""} {
    llvm.func @qtale_rt_barrier(!llvm.ptr)

    llvm.func @address(%memref: !llvm.ptr) -> !llvm.ptr {
      %aligned_p = llvm.getelementptr %memref[8] : (!llvm.ptr) -> !llvm.ptr, i8
      %offset_p = llvm.getelementptr %memref[16] : (!llvm.ptr) -> !llvm.ptr, i8
      %aligned = llvm.load %aligned_p : !llvm.ptr -> !llvm.ptr
      %offset = llvm.load %offset_p : !llvm.ptr -> i64
      %first = llvm.getelementptr %aligned[%offset] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.return %first : !llvm.ptr
    }

    llvm.func @argument(%args: !llvm.ptr, %index: i64) -> !llvm.ptr {
      %p = llvm.getelementptr %args[%index] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.ptr
      %memref = llvm.load %p : !llvm.ptr -> !llvm.ptr
      llvm.return %memref : !llvm.ptr
    }

    llvm.func @put(%memref: !llvm.ptr, %field: i64, %value: i64) {
      %p = llvm.getelementptr %memref[%field] : (!llvm.ptr, i64) -> !llvm.ptr, i64
      llvm.store %value, %p : i64, !llvm.ptr
      llvm.return
    }

    llvm.func @main(%context: !llvm.ptr, %args: !llvm.ptr) -> i32 {
      %zero = llvm.mlir.constant(0 : i64) : i64
      %one = llvm.mlir.constant(1 : i64) : i64
      %n = llvm.mlir.constant(16 : i64) : i64
      %ok = llvm.mlir.constant(0 : i32) : i32
      %limit = llvm.mlir.constant(8 : i32) : i32
      %bytes_p = llvm.getelementptr %context[8] : (!llvm.ptr) -> !llvm.ptr, i8
      %bytes = llvm.load %bytes_p : !llvm.ptr -> i64
      %needed = llvm.mlir.constant(64 : i64) : i64
      %small = llvm.icmp "ult" %bytes, %needed : i64
      llvm.cond_br %small, ^end(%limit : i32), ^enough
    ^enough:
      %thread_p = llvm.getelementptr %context[32] : (!llvm.ptr) -> !llvm.ptr, i8
      %thread = llvm.load %thread_p : !llvm.ptr -> i64
      %first = llvm.icmp "eq" %thread, %zero : i64
      llvm.cond_br %first, ^compute, ^wait
    ^compute:
      %x = llvm.call @argument(%args, %zero) : (!llvm.ptr, i64) -> !llvm.ptr
      %y = llvm.call @argument(%args, %one) : (!llvm.ptr, i64) -> !llvm.ptr
      %in = llvm.call @address(%x) : (!llvm.ptr) -> !llvm.ptr
      %weights_p = llvm.getelementptr %context[16] : (!llvm.ptr) -> !llvm.ptr, i8
      %weights = llvm.load %weights_p : !llvm.ptr -> !llvm.ptr
      %arena = llvm.load %context : !llvm.ptr -> !llvm.ptr
      %a = llvm.load %in {alignment = 4 : i64} : !llvm.ptr -> vector<16xf32>
      %b = llvm.load %weights {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
      %sum = llvm.fadd %a, %b : vector<16xf32>
      llvm.store %sum, %arena : vector<16xf32>, !llvm.ptr
      %aligned_p = llvm.getelementptr %y[8] : (!llvm.ptr) -> !llvm.ptr, i8
      llvm.store %arena, %y : !llvm.ptr, !llvm.ptr
      llvm.store %arena, %aligned_p : !llvm.ptr, !llvm.ptr
      %offset = llvm.mlir.constant(2 : i64) : i64
      %size = llvm.mlir.constant(3 : i64) : i64
      %stride = llvm.mlir.constant(4 : i64) : i64
      llvm.call @put(%y, %offset, %zero) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%y, %size, %n) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%y, %stride, %one) : (!llvm.ptr, i64, i64) -> ()
      llvm.br ^wait
    ^wait:
      llvm.call @qtale_rt_barrier(%context) : (!llvm.ptr) -> ()
      llvm.br ^end(%ok : i32)
    ^end(%code: i32):
      llvm.return %code : i32
    }

    llvm.func @step_scratch(%rows: i64, %logit_rows: i64) -> i64 {
      %bytes = llvm.mlir.constant(64 : i64) : i64
      %scratch = llvm.mul %logit_rows, %bytes : i64
      llvm.return %scratch : i64
    }

    llvm.func @step(%context: !llvm.ptr, %args: !llvm.ptr) -> i32 {
      %zero = llvm.mlir.constant(0 : i64) : i64
      %one = llvm.mlir.constant(1 : i64) : i64
      %three = llvm.mlir.constant(3 : i64) : i64
      %four = llvm.mlir.constant(4 : i64) : i64
      %n = llvm.mlir.constant(16 : i64) : i64
      %ok = llvm.mlir.constant(0 : i32) : i32
      %one32 = llvm.mlir.constant(1 : i32) : i32
      %mask = llvm.mlir.constant(15 : i32) : i32
      %iota = llvm.mlir.constant(dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]> : vector<16xi32>) : vector<16xi32>
      %yes = llvm.mlir.constant(dense<1.0> : vector<16xf32>) : vector<16xf32>
      %no = llvm.mlir.constant(dense<0.0> : vector<16xf32>) : vector<16xf32>
      %none = llvm.mlir.undef : vector<16xi32>
      %zero32 = llvm.mlir.constant(0 : i32) : i32
      %thread_p = llvm.getelementptr %context[32] : (!llvm.ptr) -> !llvm.ptr, i8
      %thread = llvm.load %thread_p : !llvm.ptr -> i64
      %first = llvm.icmp "eq" %thread, %zero : i64
      llvm.cond_br %first, ^compute, ^wait
    ^compute:
      %tokens_m = llvm.call @argument(%args, %zero) : (!llvm.ptr, i64) -> !llvm.ptr
      %rows_m = llvm.call @argument(%args, %three) : (!llvm.ptr, i64) -> !llvm.ptr
      %logits = llvm.call @argument(%args, %four) : (!llvm.ptr, i64) -> !llvm.ptr
      %tokens = llvm.call @address(%tokens_m) : (!llvm.ptr) -> !llvm.ptr
      %rows = llvm.call @address(%rows_m) : (!llvm.ptr) -> !llvm.ptr
      %count_p = llvm.getelementptr %rows_m[24] : (!llvm.ptr) -> !llvm.ptr, i8
      %count = llvm.load %count_p : !llvm.ptr -> i64
      %arena = llvm.load %context : !llvm.ptr -> !llvm.ptr
      %aligned_p = llvm.getelementptr %logits[8] : (!llvm.ptr) -> !llvm.ptr, i8
      llvm.store %arena, %logits : !llvm.ptr, !llvm.ptr
      llvm.store %arena, %aligned_p : !llvm.ptr, !llvm.ptr
      %two = llvm.mlir.constant(2 : i64) : i64
      %five = llvm.mlir.constant(5 : i64) : i64
      %six = llvm.mlir.constant(6 : i64) : i64
      llvm.call @put(%logits, %two, %zero) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%logits, %three, %count) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%logits, %four, %n) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%logits, %five, %n) : (!llvm.ptr, i64, i64) -> ()
      llvm.call @put(%logits, %six, %one) : (!llvm.ptr, i64, i64) -> ()
      llvm.br ^loop(%zero : i64)
    ^loop(%i: i64):
      %more = llvm.icmp "slt" %i, %count : i64
      llvm.cond_br %more, ^row, ^wait
    ^row:
      %row_p = llvm.getelementptr %rows[%i] : (!llvm.ptr, i64) -> !llvm.ptr, i32
      %row = llvm.load %row_p : !llvm.ptr -> i32
      %token_p = llvm.getelementptr %tokens[%row] : (!llvm.ptr, i32) -> !llvm.ptr, i32
      %token = llvm.load %token_p : !llvm.ptr -> i32
      %plus = llvm.add %token, %one32 : i32
      %next = llvm.and %plus, %mask : i32
      %lane = llvm.insertelement %next, %none[%zero32 : i32] : vector<16xi32>
      %splat = llvm.shufflevector %lane, %none [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] : vector<16xi32>
      %hit = llvm.icmp "eq" %iota, %splat : vector<16xi32>
      %values = llvm.select %hit, %yes, %no : vector<16xi1>, vector<16xf32>
      %at = llvm.mul %i, %n : i64
      %out = llvm.getelementptr %arena[%at] : (!llvm.ptr, i64) -> !llvm.ptr, f32
      llvm.store %values, %out : vector<16xf32>, !llvm.ptr
      %after = llvm.add %i, %one : i64
      llvm.br ^loop(%after : i64)
    ^wait:
      llvm.call @qtale_rt_barrier(%context) : (!llvm.ptr) -> ()
      llvm.return %ok : i32
    }
  }
}
