"""Compiles for a level as it is where this machine runs it, emulated where not.

LLVM IR of a level  ─ has the instructions ─▶  clang -O1 -march=…  ─▶  a library
                    ─ lacks them ────────────▶  execute.compile_main: in scalars
"""

import ctypes
import tempfile
from functools import cache
from pathlib import Path

from execute import HERE, compile_main, level_module, tool

_V4 = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
_V3 = ["avx2", "fma", "f16c", "bmi2"]
#: What /proc/cpuinfo names, and what clang is told.
_NEEDS = {
    "x86-64-v2": (["sse4_2", "popcnt"], ["-march=x86-64-v2"]),
    "x86-64-v3": (_V3, ["-march=x86-64-v3"]),
    "x86-64-v3+avxvnni": ([*_V3, "avx_vnni"], ["-march=x86-64-v3", "-mavxvnni"]),
    "x86-64-v4": ([*_V3, *_V4], ["-march=x86-64-v4"]),
    "x86-64-v4+vnni": ([*_V3, *_V4, "avx512_vnni"], ["-march=x86-64-v4", "-mavx512vnni"]),
    "armv8-a": (["asimd"], ["-march=armv8-a"]),
    "armv8.2-a+dotprod": (["asimd", "asimddp"], ["-march=armv8.2-a+dotprod"]),
    "armv8.6-a+i8mm": (["asimd", "asimddp", "i8mm"], ["-march=armv8.6-a"]),
}


@cache
def _features() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    listed = (line.split(":")[1] for line in lines if line.startswith(("flags", "Features")))
    return set(next(listed, "").split())


def runs(level: str) -> bool:
    return _features().issuperset(_NEEDS[level][0])


def compile_level(module: str, level: str) -> ctypes.CDLL:
    if not runs(level):
        return compile_main(module, level)
    lowered = tool("qtale-opt", f"--qtale-to-kernels=cpu={level}", "--qtale-to-llvm", text=module)
    folder = Path(tempfile.mkdtemp(prefix="qtale-"))
    source = folder / "module.ll"
    source.write_text(tool("mlir-translate", "--mlir-to-llvmir", text=level_module(lowered)))
    include = f"-I{HERE.parents[3] / 'include'}"
    options = ["-O1", "-shared", "-fPIC", "-Wno-override-module", include, "-pthread"]
    library = folder / "module.so"
    tool("clang", *options, *_NEEDS[level][1], source, HERE / "team.c", "-lm", "-o", library)
    return ctypes.CDLL(str(library))
