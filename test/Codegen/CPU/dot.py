# RUN: %python %s
#
# One qtale.dot on each level, its instructions replaced by their scalar
# definitions: exact sums at the extremes, where 16 bits or a sign would not do.

import ctypes
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from execute import LEVELS, tool
from intrinsics import scalar

random = np.random.default_rng(3)

WRAPPER = """
define void @run{bits}(ptr %w, i32 %x, ptr %acc) {{
  %weights = load <64 x i8>, ptr %w, align 1
  %sums = load <16 x i32>, ptr %acc, align 1
  %result = call <16 x i32> @dot{bits}(<64 x i8> %weights, i32 %x, <16 x i32> %sums)
  store <16 x i32> %result, ptr %acc, align 1
  ret void
}}
"""


def module(level: str) -> str:
    functions = [
        f"""func.func @dot{bits}(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>)
            -> vector<16xi32> {{
          %s = qtale.dot %w, %x, %acc {{bits = {bits}}} : vector<64xi8>, vector<16xi32>
          return %s : vector<16xi32>
        }}"""
        for bits in (4, 8)
    ]
    return "\n".join([f'module @"{level}" {{', *functions, "}"])


def compile_dot(level: str) -> ctypes.CDLL:
    passes = ["--qtale-lower-dot", "--convert-vector-to-llvm", "--qtale-kernels-to-llvm"]
    lowered = tool("qtale-opt", *passes, "--reconcile-unrealized-casts", text=module(level))
    ir = tool("mlir-translate", "--mlir-to-llvmir", text=lowered)
    ir = scalar(ir + "".join(WRAPPER.format(bits=bits) for bits in (4, 8)))
    folder = Path(tempfile.mkdtemp(prefix="qtale-"))
    (folder / "dot.ll").write_text(ir)
    command = ["clang", "-O1", "-shared", "-fPIC", "-Wno-override-module"]
    subprocess.run([*command, folder / "dot.ll", "-o", folder / "dot.so"], check=True)
    return ctypes.CDLL(str(folder / "dot.so"))


def check(library: ctypes.CDLL, bits: int, w: np.ndarray, x: np.ndarray, what: str) -> None:
    acc = random.integers(-(10**6), 10**6, 16).astype(np.int32)
    expected = acc + (w.reshape(16, 4).astype(np.int64) * x.astype(np.int64)).sum(1)
    word = ctypes.c_int32(int(x.view(np.int32)[0]))
    library[f"run{bits}"](ctypes.c_void_p(w.ctypes.data), word, ctypes.c_void_p(acc.ctypes.data))
    np.testing.assert_array_equal(acc, expected, err_msg=f"{what}, {bits} bits, {w}, {x}")


for level in LEVELS:
    library = compile_dot(level)
    for bits in (4, 8):
        top = (1 << bits) - 1
        for value in (0, 1, top // 2 + 1, top):
            for signs in ([1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1], [-1, -1, 1, 1]):
                x = (127 * np.array(signs)).astype(np.int8)
                check(library, bits, np.full(64, value, np.uint8), x, level)
        for _ in range(200):
            w = random.integers(0, top + 1, 64, np.uint8)
            check(library, bits, w, random.integers(-127, 128, 4).astype(np.int8), level)
