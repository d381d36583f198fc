"""Compiled routed models for tests, and what their sessions must hold.

    model.onnx ─ imported.mlir ─ cut out @main ─ m.so

A model's @main is by far the largest part of its code, and sessions don't use it: where only they
are tested, it is left out, and compiling takes a second instead of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale.checkpoint.model import LlamaConfig
from qtale.compiler import find_tool

_SLOTS = 16  # of a block of a cache


def require_compiler() -> None:
    """Skips where there is no compiler."""
    try:
        find_tool("qtale-compile")
    except qtale.Error:
        pytest.skip("qtale-compile is not built")


def compile_step(model: Path, output: Path, **options) -> Path:
    """Compiles the model's @step alone, for this machine. options: qtale-compile's."""
    imported = qtale.compile(model, output.with_suffix(".mlir"), emit="imported")
    text = imported.read_text()
    begin, end = text.index("  func.func @main("), text.index("  func.func @step(")
    assert begin < end
    imported.write_text(text[:begin] + text[end:])
    return qtale.compile(imported, output, **{"cpu": "native"} | options)


def kv_bytes(config: LlamaConfig, stored: Sequence[np.ndarray], length: int) -> int:
    """Of a session's f32 caches of `length` tokens.

    stored: of each layer, the positions that its cache would hold of a longer text. Caches of
    layers that forget skipped tokens hold an int32 position beside each key and value.
    """
    routing, total = config.routing, 0
    for layer, positions in enumerate(stored):
        slot = 2 * 4 * config.num_kv_heads * config.head_dim
        if routing and routing.routes(layer) and routing.kv_policy == "evict":
            slot += 4
        blocks = -(-np.count_nonzero(positions < length) // _SLOTS)
        total += int(blocks) * _SLOTS * slot
    return total


def assert_holds(session: qtale.Session, config: LlamaConfig, stored: list[np.ndarray]) -> None:
    """Takes the session's tokens off one by one: a block goes exactly where its first entry does.

    The session is empty afterwards.
    """
    for length in range(session.position, -1, -1):
        session.truncate(length)
        assert session.kv_bytes == kv_bytes(config, stored, length)


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, as a share of the largest value."""
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())
