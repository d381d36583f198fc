"""Packs matrices as `#qtale.packed` describes, independently of lib/Target."""

from dataclasses import dataclass

import numpy as np

TILE = 16


def declare(name: str, shape: tuple[int, int], element: str, scheme: str = "") -> tuple[str, str]:
    """(declaration, type) of a packed weight."""
    n, k = shape
    logical = f"tensor<{n}x{k}xf32>"
    recipe = f'#qtale.source<file = "w", offset = 0, bytes = {4 * n * k}, type = {logical}>'
    if scheme:
        recipe = f"#qtale.quantize<{recipe}, {scheme}>"
    elif element != "f32":
        recipe = f"#qtale.cast<{recipe}, {element}>"
    type_ = f"tensor<{n}x{k}x{element}, #qtale.packed<{scheme or element}>>"
    return f"qtale.weight @{name} : {type_} = #qtale.pack<{recipe}>", type_


def pack_float(values: np.ndarray) -> bytes:
    n, k = values.shape
    tiles = np.zeros((n + -n % TILE, k), values.dtype)
    tiles[:n] = values
    return tiles.reshape(-1, TILE, k).transpose(0, 2, 1).tobytes()


@dataclass
class IntMatrix:
    """[n, k] of `bits`, values as they are stored (unsigned), a scale for each group."""

    q: np.ndarray
    scales: np.ndarray  # [n, groups], float16 or float32
    zeros: np.ndarray  # [n, groups]
    bits: int
    group: int
    asymmetric: bool

    @property
    def scheme(self) -> str:
        asymmetric = ", asymmetric = true" if self.asymmetric else ""
        scales = ", scales = f32" if self.scales.dtype == np.float32 else ""
        return f"#qtale.int<bits = {self.bits}, group = {self.group}{asymmetric}{scales}>"

    @property
    def values(self) -> np.ndarray:
        """(q - zero) * scale, exact in float64."""
        k = self.q.shape[1]
        wide = [np.repeat(a, self.group, axis=1)[:, :k] for a in (self.zeros, self.scales)]
        return (self.q.astype(np.float64) - wide[0]) * wide[1].astype(np.float64)

    def pack(self) -> bytes:
        """Padded as the weights file pads tensors."""
        n, k = self.q.shape
        groups = self.scales.shape[1]
        # What lies beyond the last k meets activations that are zero: any value will do.
        q = np.full((n + -n % TILE, groups * self.group), (1 << self.bits) - 1, np.uint8)
        q[:n, :k] = self.q
        scales = np.zeros((len(q), groups), self.scales.dtype)
        zeros = np.zeros((len(q), groups), np.uint8)
        scales[:n], zeros[:n] = self.scales, self.zeros
        data = b""
        for first in range(0, len(q), TILE):
            rows = slice(first, first + TILE)
            for g in range(groups):
                data += scales[rows, g].tobytes()
                if self.asymmetric:
                    data += zeros[rows, g].tobytes()
                blocks = range(g * self.group, (g + 1) * self.group, 32)
                data += b"".join(self._block(q[rows, k : k + 32]) for k in blocks)
        return data + bytes(-len(data) % 64)

    def _block(self, block: np.ndarray) -> bytes:
        # [row, vector, i] -> [vector, row, i]
        if self.bits == 8:
            return block.reshape(TILE, 8, 4).transpose(1, 0, 2).tobytes()
        halves = block.reshape(TILE, 2, 4, 4)
        both = halves[:, 0] | halves[:, 1] << 4
        return both.transpose(1, 0, 2).tobytes()


def int_matrix(
    random: np.random.Generator,
    n: int,
    k: int,
    bits: int,
    group: int,
    asymmetric: bool,
    scales: type = np.float16,
) -> IntMatrix:
    """Scales are powers of two, so that products with integers are exact."""
    groups = -(-k // group)
    top = (1 << bits) - 1
    # Rows 0 to 2 hold the extremes, the others anything.
    q = random.integers(0, top + 1, (n, k), np.uint8)
    q[0], q[1 % n] = top, 0
    q[2 % n] = np.where(random.random(k) < 0.5, 0, top)
    scales = random.choice(np.array([1, 0.5, -0.5], scales), (n, groups))
    zeros = random.integers(0, top + 1, (n, groups), np.uint8)
    if not asymmetric:
        zeros[:] = 1 << (bits - 1)
    return IntMatrix(q, scales, zeros, bits, group, asymmetric)
