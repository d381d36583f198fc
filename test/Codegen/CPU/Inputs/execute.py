"""Compiles the entries of a module and runs them, without the runtime.

imported/unrouted .mlir  --qtale-opt, mlir-translate-->  LLVM IR
  --intrinsics.scalar-->  any machine runs it  --clang-->  a library, called here
"""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from intrinsics import scalar

HERE = Path(__file__).parent
LEVELS = ["x86-64-v2", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+vnni"]
LEVELS += ["armv8-a", "armv8.2-a+dotprod", "armv8.6-a+i8mm"]
MAX_RANK = 8


def tool(*command: str | Path, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[:4000]}\n{text or ''}")
    return done.stdout


def level_module(text: str) -> str:
    """The level's module, the only one in the printed one."""
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("  module @"))
    end = next(i for i, line in enumerate(lines) if i > begin and line == "  }")
    return "\n".join(["module {", *lines[begin + 1 : end], "}"])


def compile_main(module: str, level: str, *passes: str) -> ctypes.CDLL:
    """A library with the module's entries, for a level that need not be this machine's."""
    flags = [*passes, f"--qtale-to-kernels=cpu={level}", "--qtale-to-llvm"]
    lowered = tool("qtale-opt", *flags, text=module)
    ir = scalar(tool("mlir-translate", "--mlir-to-llvmir", text=level_module(lowered)))
    folder = Path(tempfile.mkdtemp(prefix="qtale-"))
    source = folder / "module.ll"
    source.write_text(ir)
    library = folder / "module.so"
    include = f"-I{HERE.parents[3] / 'include'}"
    options = ["-O0", "-shared", "-fPIC", "-Wno-override-module", include, "-pthread"]
    tool("clang", *options, source, HERE / "team.c", "-lm", "-o", library)
    return ctypes.CDLL(str(library))


def descriptor(array: np.ndarray | None = None) -> np.ndarray:
    """A memref: allocated, aligned, offset, sizes, strides; empty for a result."""
    words = np.zeros(3 + 2 * MAX_RANK, np.int64)
    if array is not None:
        strides = [stride // array.itemsize for stride in array.strides]
        words[: 3 + 2 * array.ndim] = [array.ctypes.data] * 2 + [0, *array.shape, *strides]
    return words


def read(words: np.ndarray, rank: int, dtype: type) -> np.ndarray:
    _, pointer, offset = (int(word) for word in words[:3])
    shape = tuple(int(size) for size in words[3 : 3 + rank])
    item = np.dtype(dtype).itemsize
    strides = tuple(int(stride) * item for stride in words[3 + rank : 3 + 2 * rank])
    if 0 in shape:
        return np.zeros(shape, dtype)
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    raw = (ctypes.c_uint8 * (last + item)).from_address(pointer + offset * item)
    view = np.ndarray(shape, dtype, buffer=raw, strides=strides)
    return view.copy()


def run(
    library: ctypes.CDLL,
    inputs: list[np.ndarray],
    results: list[tuple[int, type]],
    weights: bytes = b"",
    threads: int = 1,
    arena_bytes: int = 1 << 20,
    entry: str = "main",
    kv: ctypes.Array | None = None,
    record: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[int, list[np.ndarray]]:
    """(code, results), each result known by its rank and dtype.

    `record` is filled with flags and probabilities, [units, rows] both.
    """
    arena = np.full(arena_bytes + 64, 0xAA, np.uint8)
    start = arena.ctypes.data + -arena.ctypes.data % 64
    packed = np.frombuffer(weights + bytes(64), np.uint8)
    descriptors = [descriptor(array) for array in inputs] + [descriptor() for _ in results]
    pointers = (ctypes.c_void_p * len(descriptors))(*(d.ctypes.data for d in descriptors))
    library.run_team.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    library.run_team.argtypes += [ctypes.c_uint64, *[ctypes.c_void_p] * 4, ctypes.c_int64]
    address = ctypes.cast(library[entry], ctypes.c_void_p)
    recorded = (None, None, 0)
    if record:
        recorded = (record[0].ctypes.data, record[1].ctypes.data, record[0].shape[1])
    team = (threads, start, arena_bytes, packed.ctypes.data, kv, *recorded)
    code = library.run_team(address, pointers, *team)
    if code:
        return code, []
    made = descriptors[len(inputs) :]
    return code, [read(d, *result) for d, result in zip(made, results, strict=True)]


PORT = '{qtale.name = "p", qtale.dtype = "float32"}'


class Main:
    """A library with one entry, @main, whose types and body are given."""

    def __init__(
        self, arguments: list[str], results: list[str], body: str, declarations: list[str] = ()
    ) -> None:
        listed = ", ".join(f"%a{i}: {type_} {PORT}" for i, type_ in enumerate(arguments))
        made = ", ".join(f"{type_} {PORT}" for type_ in results)
        text = "\n".join([*declarations, f"func.func @main({listed}) -> ({made}) {{", body, "}"])
        self.kinds = [kind(type_) for type_ in results]
        self.library = compile_main(text, "x86-64-v3")

    def __call__(
        self,
        inputs: list[np.ndarray],
        weights: bytes = b"",
        threads: int = 2,
        record: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        code, values = run(self.library, inputs, self.kinds, weights, threads, record=record)
        assert code == 0
        return values


def kind(type_: str) -> tuple[int, type]:
    """(rank, dtype) of "tensor<?x64xf32>"."""
    *sizes, element = type_.removeprefix("tensor<").removesuffix(">").split("x")
    return len(sizes), {"f32": np.float32, "i32": np.int32, "i1": np.bool_}[element]


def execute(
    arguments: list[str],
    results: list[str],
    body: str,
    declarations: list[str],
    inputs: list[np.ndarray],
    weights: bytes,
) -> list[np.ndarray]:
    return Main(arguments, results, body, declarations)(inputs, weights)
