"""Prints the innermost loops that multiply integers, of a matmul compiled for a CPU level.

    assembly.py LEVEL [--weights=int4] [--group=32] [--asymmetric] …

    2 rows, 96 instructions, 0 spills, 1 invariants read:    for 2 rows at a time
      vpmaddubsw %ymm5, %ymm0, %ymm0
      …

A spill is an access to a place on the stack that the loop itself writes a vector to.
Others are read like any memory: what the loop does not change. The loop that adds to
the fewest sums is that of one row: decode.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

N, K = 200, 384
TRIPLES = {"x86-64": "x86_64-linux-gnu", "armv8": "aarch64-linux-gnu"}

MODULE = f"""module attributes {{qtale.stage = "imported"}} {{
  qtale.weight @w : tensor<{N}x{K}xf32> = #qtale.source<file = "w.bin", offset = 0,
    bytes = {4 * N * K}, type = tensor<{N}x{K}xf32>>
  func.func @main(%x: tensor<?x{K}xf32> {{qtale.name = "x", qtale.dtype = "float32"}})
      -> (tensor<?x{N}xf32> {{qtale.name = "y", qtale.dtype = "float32"}}) {{
    %w = qtale.param @w : tensor<{N}x{K}xf32>
    %y = qtale.matmul %x, %w : tensor<?x{K}xf32>, tensor<{N}x{K}xf32> -> tensor<?x{N}xf32>
    return %y : tensor<?x{N}xf32>
  }}
}}
"""

#: What multiplies integers; what adds a row's block to its sums, without FMA by a
#: call; what vectors and the stack look like.
PRODUCT = re.compile(r"vpdpbusd|p?maddubsw|pmaddwd|[us]u?dot|[us]u?mmla|smull|smlal|saddlp|sadalp")
ROW = re.compile(r"vfmadd|fmla|call")
VECTOR = re.compile(r"%[xyz]mm\d|\b[qdv]\d+\b")
STACK = re.compile(r"\S*\(%r[sb]p\)|\[(?:sp|x29)\b[^]]*\]")


def is_store(instruction: str) -> bool:
    """x86 names the destination last, AArch64 has instructions of its own."""
    return bool(re.search(r"\(%r[sb]p\)$", instruction)) or instruction.startswith("st")


@dataclass
class Loop:
    instructions: list[str]

    @property
    def spills(self) -> int:
        slots = [(text, STACK.search(text)) for text in self.instructions if VECTOR.search(text)]
        stored = {slot[0] for text, slot in slots if slot and is_store(text)}
        return sum(slot is not None and slot[0] in stored for _, slot in slots)

    @property
    def invariants(self) -> int:
        return self.count(VECTOR, STACK) - self.spills

    def count(self, *patterns: re.Pattern[str]) -> int:
        return sum(all(p.search(text) for p in patterns) for text in self.instructions)


def triple(level: str) -> str:
    return next(triple for name, triple in TRIPLES.items() if level.startswith(name))


def is_built(level: str) -> bool:
    """Whether this build of qtale-compile makes files for the level's machine."""
    tools = Path(shutil.which("qtale-compile") or "").parent
    return (tools.parent / "lib/qtale" / triple(level)).is_dir()


def disassemble(level: str, options: list[str]) -> list[tuple[int, str]]:
    """(address, instruction) of the matmul."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.mlir").write_text(MODULE)
        (folder / "w.bin").write_bytes(bytes(4 * N * K))
        command = ["qtale-compile", folder / "m.mlir", f"--cpu={level}", "--emit=obj", *options]
        target = f"--target={triple(level)}"
        subprocess.run([*command, target, "-o", folder / "m.o"], check=True)
        dump = ["llvm-objdump", "-d", "--no-show-raw-insn", "--section=.text.matmul"]
        text = subprocess.run([*dump, folder / "m.o"], check=True, capture_output=True, text=True)
    lines = re.findall(r"^ *([0-9a-f]+): *\t(.*)$", text.stdout, re.M)
    return [(int(at, 16), " ".join(what.split())) for at, what in lines]


def innermost_loops(code: list[tuple[int, str]]) -> list[Loop]:
    """What lies between a branch back and where it goes, without a loop in it."""
    place = {at: i for i, (at, _) in enumerate(code)}
    ranges = []
    for i, (at, text) in enumerate(code):
        branch = re.match(r"(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z)\b.*?\b0x([0-9a-f]+)", text)
        if branch and int(branch[1], 16) <= at and int(branch[1], 16) in place:
            ranges.append((place[int(branch[1], 16)], i + 1))
    inner = [
        (a, b)
        for a, b in ranges
        if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in ranges)
    ]
    return [Loop([text for _, text in code[a:b]]) for a, b in sorted(set(inner))]


def matmul_loops(level: str, *options: str) -> list[tuple[int, Loop]]:
    """(rows, a loop for so many rows), few rows first."""
    loops = innermost_loops(disassemble(level, list(options)))
    loops = [loop for loop in loops if loop.count(PRODUCT) and loop.count(ROW)]
    least = min(loop.count(ROW) for loop in loops)
    return sorted(((loop.count(ROW) // least, loop) for loop in loops), key=lambda pair: pair[0])


if __name__ == "__main__":
    for rows, loop in matmul_loops(*sys.argv[1:]):
        counts = f"{len(loop.instructions)} instructions, {loop.spills} spills"
        print(f"{rows} rows, {counts}, {loop.invariants} invariants read:")
        print("\n".join(f"  {text}" for text in loop.instructions))
