// RUN: qtale-opt %s --qtale-mark-operations | FileCheck %s
//
// Each part of a location is looked into once, though it is there 8^12 times.

// CHECK: module attributes {qtale.operations = [{operation = "kernel"}]}
func.func private @kernel(!qtale.context)
func.func @main(%context: !qtale.context) {
  call @kernel(%context) : (!qtale.context) -> () loc(#m)
  return
}

#a = loc("model.onnx":1:1)
#b = loc(fused<"1">[fused<"0">[#a], fused<"1">[#a], fused<"2">[#a], fused<"3">[#a], fused<"4">[#a], fused<"5">[#a], fused<"6">[#a], fused<"7">[#a]])
#c = loc(fused<"2">[fused<"0">[#b], fused<"1">[#b], fused<"2">[#b], fused<"3">[#b], fused<"4">[#b], fused<"5">[#b], fused<"6">[#b], fused<"7">[#b]])
#d = loc(fused<"3">[fused<"0">[#c], fused<"1">[#c], fused<"2">[#c], fused<"3">[#c], fused<"4">[#c], fused<"5">[#c], fused<"6">[#c], fused<"7">[#c]])
#e = loc(fused<"4">[fused<"0">[#d], fused<"1">[#d], fused<"2">[#d], fused<"3">[#d], fused<"4">[#d], fused<"5">[#d], fused<"6">[#d], fused<"7">[#d]])
#f = loc(fused<"5">[fused<"0">[#e], fused<"1">[#e], fused<"2">[#e], fused<"3">[#e], fused<"4">[#e], fused<"5">[#e], fused<"6">[#e], fused<"7">[#e]])
#g = loc(fused<"6">[fused<"0">[#f], fused<"1">[#f], fused<"2">[#f], fused<"3">[#f], fused<"4">[#f], fused<"5">[#f], fused<"6">[#f], fused<"7">[#f]])
#h = loc(fused<"7">[fused<"0">[#g], fused<"1">[#g], fused<"2">[#g], fused<"3">[#g], fused<"4">[#g], fused<"5">[#g], fused<"6">[#g], fused<"7">[#g]])
#i = loc(fused<"8">[fused<"0">[#h], fused<"1">[#h], fused<"2">[#h], fused<"3">[#h], fused<"4">[#h], fused<"5">[#h], fused<"6">[#h], fused<"7">[#h]])
#j = loc(fused<"9">[fused<"0">[#i], fused<"1">[#i], fused<"2">[#i], fused<"3">[#i], fused<"4">[#i], fused<"5">[#i], fused<"6">[#i], fused<"7">[#i]])
#k = loc(fused<"10">[fused<"0">[#j], fused<"1">[#j], fused<"2">[#j], fused<"3">[#j], fused<"4">[#j], fused<"5">[#j], fused<"6">[#j], fused<"7">[#j]])
#l = loc(fused<"11">[fused<"0">[#k], fused<"1">[#k], fused<"2">[#k], fused<"3">[#k], fused<"4">[#k], fused<"5">[#k], fused<"6">[#k], fused<"7">[#k]])
#m = loc(fused<"12">[fused<"0">[#l], fused<"1">[#l], fused<"2">[#l], fused<"3">[#l], fused<"4">[#l], fused<"5">[#l], fused<"6">[#l], fused<"7">[#l]])
