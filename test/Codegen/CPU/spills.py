# RUN: %python %s
#
# Decode kernels keep what they change in registers: their inner loops write no vector
# to the stack; with group 32, where scales change with each block, they don't read any.
# Loops for several rows at once are listed (lit -a), not judged. So are x86-64-v2,
# which has no FMA, calls one, and saves its registers around it; armv8-a, which has no
# dot product; and on AArch64, with four registers for a tile, all but the
# symmetric group 32.

from assembly import is_built, matmul_loops
from execute import LEVELS

LISTED = ("x86-64-v2", "armv8-a")
SIMPLE = [("--weights=int4",), ("--weights=int8",)]
SCHEMES = [
    ("--weights=int4",),
    ("--weights=int4", "--asymmetric"),
    ("--weights=int4", "--group=64"),
    ("--weights=int4", "--group=128", "--asymmetric"),
    ("--weights=int8",),
    ("--weights=int8", "--group=64", "--asymmetric"),
]

wrong = []
for level in LEVELS:
    if not is_built(level):
        print(f"{level}: not built")
        continue
    for scheme in SCHEMES:
        name = f"{level} {' '.join(scheme)}"
        found = matmul_loops(level, *scheme)
        listed = (
            f"{rows}: {loop.spills} + {loop.invariants} of {len(loop.instructions)}"
            for rows, loop in found
        )
        print(f"{name:58} rows: spills + invariants of instructions  {', '.join(listed)}")
        if level in LISTED or (level.startswith("arm") and scheme not in SIMPLE):
            continue
        one = [loop for rows, loop in found if rows == 1]
        may_read = "--group=" in name
        if any(loop.spills or (loop.invariants and not may_read) for loop in one):
            wrong.append(name)
assert not wrong, f"spills in decode: {wrong}"
