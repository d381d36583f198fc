"""Weights of a checkpoint as the rivals store them: the integers and scales of qtale.quantization.

nibbles of a group    onnxruntime   q1 q0 │ q3 q2 │ …      neighbours share a byte
                      llama.cpp     q16 q0 │ q17 q1 │ …    the halves of 32 do
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qtale.bench.engine import Scheme
from qtale.checkpoint import StoredTensor
from qtale.checkpoint.model import widen
from qtale.quantization import quantize


def quantized_tiles(
    tensor: StoredTensor, scheme: Scheme
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields (first row, int32 [rows, groups, group], float16 [rows, groups])."""
    for begin, rows in tensor.tiles():
        quantized = quantize(widen(rows), scheme.bits, scheme.group)
        yield begin, quantized.values, quantized.scales


def onnx_bytes(values: np.ndarray, bits: int) -> np.ndarray:
    """uint8 [rows, groups, group * bits / 8]: MatMulNBits' B, whose zero is half of the range."""
    unsigned = (values + (1 << (bits - 1))).astype(np.uint8)
    if bits == 8:
        return unsigned
    return unsigned[..., 0::2] | unsigned[..., 1::2] << 4


def ggml_bytes(values: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """uint8 [rows, groups * (2 + 4 bits)]: blocks of Q4_0 or Q8_0, a scale and 32 integers."""
    if bits == 8:
        integers = values.astype(np.int8).view(np.uint8)
    else:
        unsigned = (values + 8).astype(np.uint8)
        integers = unsigned[..., :16] | unsigned[..., 16:] << 4
    head = np.ascontiguousarray(scales)[..., None].view(np.uint8)
    return np.concatenate([head, integers], axis=-1).reshape(len(values), -1)
