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

#: What weights may be: `bits`, and the bytes at both ends; and the least activation.
KINDS = {
    "four": ("bits = 4", 0, 15, -127),
    "eight": ("bits = 8", 0, 255, -127),
    "signed": ("bits = 8, signed_weights", -128, 127, -127),
    "full_four": ("bits = 4, full_input", 0, 15, -128),
    "full_eight": ("bits = 8, full_input", 0, 255, -128),
    "full_signed": ("bits = 8, signed_weights, full_input", -128, 127, -128),
}

WRAPPER = """
define void @run_{kind}(ptr %w, i32 %x, ptr %acc) {{
  %weights = load <64 x i8>, ptr %w, align 1
  %sums = load <16 x i32>, ptr %acc, align 1
  %result = call <16 x i32> @dot_{kind}(<64 x i8> %weights, i32 %x, <16 x i32> %sums)
  store <16 x i32> %result, ptr %acc, align 1
  ret void
}}
"""


def module(level: str) -> str:
    functions = [
        f"""func.func @dot_{kind}(%w: vector<64xi8>, %x: i32, %acc: vector<16xi32>)
            -> vector<16xi32> {{
          %s = qtale.dot %w, %x, %acc {{{attributes}}} : vector<64xi8>, vector<16xi32>
          return %s : vector<16xi32>
        }}"""
        for kind, (attributes, *_) in KINDS.items()
    ]
    return "\n".join([f'module @"{level}" {{', *functions, "}"])


def compile_dot(level: str) -> ctypes.CDLL:
    passes = ["--qtale-lower-dot", "--convert-vector-to-llvm", "--qtale-kernels-to-llvm"]
    lowered = tool("qtale-opt", *passes, "--reconcile-unrealized-casts", text=module(level))
    ir = tool("mlir-translate", "--mlir-to-llvmir", text=lowered)
    ir = scalar(ir + "".join(WRAPPER.format(kind=kind) for kind in KINDS))
    folder = Path(tempfile.mkdtemp(prefix="qtale-"))
    (folder / "dot.ll").write_text(ir)
    command = ["clang", "-O1", "-shared", "-fPIC", "-Wno-override-module"]
    subprocess.run([*command, folder / "dot.ll", "-o", folder / "dot.so"], check=True)
    return ctypes.CDLL(str(folder / "dot.so"))


def check(library: ctypes.CDLL, kind: str, w: np.ndarray, x: np.ndarray, what: str) -> None:
    acc = random.integers(-(10**6), 10**6, 16).astype(np.int32)
    expected = acc + (w.reshape(16, 4).astype(np.int64) * x.astype(np.int64)).sum(1)
    word = ctypes.c_int32(int(x.view(np.int32)[0]))
    packed = w.astype(np.uint8)
    pointers = (ctypes.c_void_p(packed.ctypes.data), word, ctypes.c_void_p(acc.ctypes.data))
    library[f"run_{kind}"](*pointers)
    np.testing.assert_array_equal(acc, expected, err_msg=f"{what}, {kind}, {w}, {x}")


for level in LEVELS:
    library = compile_dot(level)
    for kind, (_, low, top, least) in KINDS.items():
        for value in (low, 0, 1, top // 2 + 1, top):
            for signs in ([1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1], [-1, -1, 1, 1]):
                x = np.where(np.array(signs) < 0, least, 127).astype(np.int8)
                check(library, kind, np.full(64, value), x, level)
        for _ in range(200):
            w = random.integers(low, top + 1, 64)
            check(library, kind, w, random.integers(least, 128, 4).astype(np.int8), level)
