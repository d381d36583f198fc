"""A step allocates cache blocks and nothing else: calls of malloc and mmap are counted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qtale.exporter import export
from routed_artifacts import compile_step

BLOCK = 16  # slots
FOLDER = Path(__file__).resolve().parent
ROUTED = FOLDER.parent / "models/stories260K-routed"


@pytest.fixture(scope="module")
def counter(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(
        FOLDER / "allocations.c", tmp_path_factory.mktemp("c") / "allocations", "-rdynamic", "-ldl"
    )


def steps(counter: Path, artifact: Path, *arguments: object) -> list[tuple[int, ...]]:
    """(position, tokens, calls, bytes, bytes of new blocks) of each step."""
    command = [counter, artifact, artifact.with_suffix(".safetensors"), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("chunk", [1, 5, 40])
@pytest.mark.parametrize("threads", [1, 2])
def test_dense(
    counter: Path, compiled: Callable[..., Path], stories_onnx: Path, threads: int, chunk: int
):
    """A block of each of five layers where a position begins one; 40 rows are two passes."""
    artifact = compiled(stories_onnx, weights="int4")
    count = 200 // chunk
    warm = steps(counter, artifact, threads, chunk, count)[1:]
    assert len(warm) == count - 1
    for position, tokens, calls, size, held in warm:
        blocks = -(-(position + tokens) // BLOCK) - -(-position // BLOCK)
        assert calls == 5 * blocks
        # A block has 64 bytes more, which say who owns it.
        assert size == held + 64 * calls
    assert any(calls == 0 for _, _, calls, _, _ in warm) or chunk > BLOCK


@pytest.fixture(scope="module")
def routed(compiled: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routed")
    return compile_step(export(ROUTED, folder / "model.onnx"), folder / "m.so", weights="int4")


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_routed(counter: Path, routed: Path, threshold: float):
    """Ragged caches grow while the step runs."""
    warm = steps(counter, routed, 2, 1, 100, threshold)[1:]
    assert all(size == held + 64 * calls for _, _, calls, size, held in warm)
    assert sum(calls == 0 for _, _, calls, _, _ in warm) > 50
    assert sum(calls > 0 for _, _, calls, _, _ in warm) >= 6
