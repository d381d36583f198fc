"""Instructions of CPUs as scalar LLVM IR, so that any machine runs any level.

call @llvm.x86.avx2.pmadd.ub.sw(…)  →  call @scalar.llvm.x86.avx2.pmadd.ub.sw(…)
"""

import re


class Lanes:
    """Writes a function that computes its result lane by lane."""

    def __init__(self, name: str, lanes: int, bits: int, arguments: list[tuple[int, int]]) -> None:
        self.result = f"<{lanes} x i{bits}>"
        self.types = [f"<{count} x i{width}>" for count, width in arguments]
        listed = ", ".join(f"{type_} %a{i}" for i, type_ in enumerate(self.types))
        self.lines = [f"define {self.result} @scalar.{name}({listed}) {{"]
        self.values = 0
        self.vector = "poison"

    def emit(self, text: str) -> str:
        self.values += 1
        self.lines.append(f"  %v{self.values} = {text}")
        return f"%v{self.values}"

    def read(self, argument: int, lane: int, extend: str, bits: int) -> str:
        """A lane of an argument, widened: `extend` is sext, zext or nothing."""
        type_ = self.types[argument]
        value = self.emit(f"extractelement {type_} %a{argument}, i64 {lane}")
        if not extend:
            return value
        return self.emit(f"{extend} {type_.split()[-1][:-1]} {value} to i{bits}")

    def write(self, lane: int, value: str, bits: int) -> None:
        operands = f"{self.result} {self.vector}, i{bits} {value}, i64 {lane}"
        self.vector = self.emit(f"insertelement {operands}")

    def finish(self) -> str:
        return "\n".join([*self.lines, f"  ret {self.result} {self.vector}", "}", ""])


def fours(name: str, lanes: int, first: str) -> str:
    """32-bit sums of four products of bytes, `first` (sext or zext) by signed; nothing
    saturates: vpdpbusd, sdot, usdot."""
    f = Lanes(name, lanes, 32, [(lanes, 32), (4 * lanes, 8), (4 * lanes, 8)])
    for lane in range(lanes):
        total = f.read(0, lane, "", 32)
        for k in range(4 * lane, 4 * lane + 4):
            product = f.emit(f"mul i32 {f.read(1, k, first, 32)}, {f.read(2, k, 'sext', 32)}")
            total = f.emit(f"add i32 {total}, {product}")
        f.write(lane, total, 32)
    return f.finish()


def pmaddubsw() -> str:
    """16-bit sums of two products, unsigned by signed: the sum saturates."""
    f = Lanes("llvm.x86.avx2.pmadd.ub.sw", 16, 16, [(32, 8), (32, 8)])
    for lane in range(16):
        products = [
            f.emit(f"mul i16 {f.read(0, k, 'zext', 16)}, {f.read(1, k, 'sext', 16)}")
            for k in (2 * lane, 2 * lane + 1)
        ]
        operands = ", ".join(f"i16 {product}" for product in products)
        f.write(lane, f.emit(f"call i16 @llvm.sadd.sat.i16({operands})"), 16)
    return f.finish()


def pmaddwd() -> str:
    """32-bit sums of two products of 16-bit numbers."""
    f = Lanes("llvm.x86.avx2.pmadd.wd", 8, 32, [(16, 16), (16, 16)])
    for lane in range(8):
        products = [
            f.emit(f"mul i32 {f.read(0, k, 'sext', 32)}, {f.read(1, k, 'sext', 32)}")
            for k in (2 * lane, 2 * lane + 1)
        ]
        f.write(lane, f.emit(f"add i32 {products[0]}, {products[1]}"), 32)
    return f.finish()


def addp(lanes: int, bits: int) -> str:
    """Sums of two neighbours, wrapping: of the first argument, then of the second."""
    f = Lanes(f"llvm.aarch64.neon.addp.v{lanes}i{bits}", lanes, bits, [(lanes, bits)] * 2)
    for lane in range(lanes):
        first = 2 * lane % lanes
        pair = [f.read(lane // (lanes // 2), k, "", bits) for k in (first, first + 1)]
        f.write(lane, f.emit(f"add i{bits} {pair[0]}, {pair[1]}"), bits)
    return f.finish()


def saddlp() -> str:
    """32-bit sums of two neighbours of 16 bits."""
    f = Lanes("llvm.aarch64.neon.saddlp.v4i32.v8i16", 4, 32, [(8, 16)])
    for lane in range(4):
        pair = [f.read(0, k, "sext", 32) for k in (2 * lane, 2 * lane + 1)]
        f.write(lane, f.emit(f"add i32 {pair[0]}, {pair[1]}"), 32)
    return f.finish()


DEFINITIONS = [
    fours("llvm.x86.avx512.vpdpbusd.256", 8, "zext"),
    fours("llvm.x86.avx512.vpdpbusd.512", 16, "zext"),
    pmaddubsw(),
    pmaddwd(),
    fours("llvm.aarch64.neon.sdot.v4i32.v16i8", 4, "sext"),
    fours("llvm.aarch64.neon.usdot.v4i32.v16i8", 4, "zext"),
    addp(8, 16),
    addp(4, 32),
    saddlp(),
]


def scalar(ir: str) -> str:
    """The module with every instruction of an instruction set defined in it."""
    ir = re.sub(r"^declare .*@llvm\.(x86|aarch64)\..*\n", "", ir, flags=re.M)
    ir = re.sub(r"@(llvm\.(?:x86|aarch64)\.)", r"@scalar.\1", ir)
    used = set(re.findall(r"@(scalar\.[\w.]+)", ir))
    for definition in DEFINITIONS:
        name = re.search(r"@(scalar\.[\w.]+)", definition)[1]
        if name in used:
            ir += "\n" + definition
            used.remove(name)
    if used:
        raise SystemExit(f"intrinsics.py: no scalar definition of {', '.join(sorted(used))}")
    return ir + "\ndeclare i16 @llvm.sadd.sat.i16(i16, i16)\n"
