"""The external data file of an ONNX model, written piece by piece.

    plan    each tensor gets its place (4096-byte aligned); the file's size is known at once
    write   tiles of at most 16 MiB go from the checkpoint to their place

       [out, in] in the checkpoint            [in, out] in the file
       +----------+                           +--+--+--+
       | tile 0   |  read in one piece        |  |  |  |  a tile becomes a
       | tile 1   |  ------------------->     |0 |1 |2 |  column strip: one
       | tile 2   |  transpose                |  |  |  |  write per row
       +----------+                           +--+--+--+

So memory does not grow with the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from qtale.checkpoint import StoredTensor

ALIGNMENT = 4096
#: Tensors below this many bytes stand inside model.onnx.
INLINE_BYTES = 1024

_ONNX_TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float16": onnx.TensorProto.FLOAT16,
    "bfloat16": onnx.TensorProto.BFLOAT16,
}

#: Yields (first row, rows) pieces.
Tiles = Callable[[], Iterator[tuple[int, np.ndarray]]]


@dataclass
class _Planned:
    offset: int
    row_bytes: int
    #: Bytes of one element, where the pieces are to be transposed.
    transpose: int | None
    columns: int
    tiles: Tiles


class DataFile:
    """Plans the tensors of a model and writes them."""

    def __init__(self, location: str):
        self.location = location
        self.size = 0
        #: Bytes of the tensors, without what lies between them.
        self.payload = 0
        self._planned: list[_Planned] = []

    def add(self, name: str, tensor: StoredTensor, transpose: bool = False) -> onnx.TensorProto:
        """A stored tensor, in its storage type; `transpose` for [out, in] -> [in, out]."""
        shape = tensor.shape[::-1] if transpose else tensor.shape
        return self._plan(name, tensor.dtype, shape, tensor.nbytes, tensor.tiles, transpose)

    def add_computed(self, name: str, shape: tuple[int, int], tiles: Tiles) -> onnx.TensorProto:
        """A float32 table whose rows are computed while it is written."""
        return self._plan(name, "float32", shape, shape[0] * shape[1] * 4, tiles, False)

    def _plan(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        nbytes: int,
        tiles: Tiles,
        transpose: bool,
    ) -> onnx.TensorProto:
        proto = onnx.TensorProto(name=name, data_type=_ONNX_TYPES[dtype], dims=shape)
        if nbytes < INLINE_BYTES:
            values = np.concatenate([rows for _, rows in tiles()])
            proto.raw_data = np.ascontiguousarray(values.T if transpose else values).tobytes()
            return proto
        offset = -(-self.size // ALIGNMENT) * ALIGNMENT
        self._planned.append(
            _Planned(
                offset=offset,
                row_bytes=nbytes // shape[0],
                transpose=nbytes // int(np.prod(shape)) if transpose else None,
                columns=shape[-1],
                tiles=tiles,
            )
        )
        self.size = offset + nbytes
        self.payload += nbytes
        proto.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (
            ("location", self.location),
            ("offset", offset),
            ("length", nbytes),
        ):
            proto.external_data.add(key=key, value=str(value))
        return proto

    def write(self, fd: int, progress: Callable[[int], None]) -> None:
        """Writes all tensors; `progress` takes the bytes of each piece."""
        if self.size:
            # A full disk is found now, not after minutes.
            os.posix_fallocate(fd, 0, self.size)
        for planned in self._planned:
            for begin, rows in planned.tiles():
                if planned.transpose is None:
                    _write_all(fd, rows, planned.offset + begin * planned.row_bytes)
                else:
                    at = planned.offset + begin * planned.transpose
                    for index, row in enumerate(np.ascontiguousarray(rows.T)):
                        _write_all(fd, row, at + index * planned.columns * planned.transpose)
                progress(rows.nbytes)


def _write_all(fd: int, values: np.ndarray, offset: int) -> None:
    view = values.reshape(-1).view(np.uint8).data
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
