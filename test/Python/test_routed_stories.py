"""The trained routed model, from checkpoint to calibrated artifact, against the reference."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale.checkpoint import open_checkpoint
from qtale.cli import main
from qtale.exporter import export
from qtale.exporter.tokenizer import convert_llama2c_tokenizer
from qtale.perplexity import perplexity
from qtale.reference import Reference, negative_log_likelihood

FOLDER = Path(__file__).resolve().parents[1] / "models/stories260K-routed"
TEXT = FOLDER / "stories.txt"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(FOLDER)


@pytest.fixture(scope="module")
def artifact(compiled: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = export(FOLDER, tmp_path_factory.mktemp("routed") / "model.onnx")
    return compiled(model, kv="f32")


@pytest.fixture(scope="module")
def tokens(artifact: Path) -> np.ndarray:
    """The first 900 of stories.txt."""
    with qtale.load(artifact) as a:
        ids = a.tokenizer.encode(TEXT.read_text())
        assert a.bos == 1
    return np.array([1, *ids[:899]])


def test_files(stories: Path):
    """Small enough for a repository; the tokenizer is the dense model's."""
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2 << 20
    assert TEXT.stat().st_size <= 20_000
    text = (FOLDER / "tokenizer.json").read_text()
    assert text == convert_llama2c_tokenizer(stories / "tok512.bin", 512)
    routing = open_checkpoint(FOLDER).config.routing
    assert (routing.first_routed_layer, routing.always_execute_tokens) == (1, 2)


def test_perplexity(artifact: Path, tokens: np.ndarray, reference: Reference):
    """Of two windows, 512 and 388 tokens; and what ran."""
    runs = [reference.run(window, 0.5) for window in (tokens[:512], tokens[512:])]
    losses = [
        negative_log_likelihood(run.logits, window)
        for run, window in zip(runs, (tokens[:512], tokens[512:]), strict=True)
    ]
    # The last token of a window is not run: it predicts nothing.
    kept = np.concatenate([run.kept[1:, 2:-1] for run in runs], -1)
    with qtale.load(artifact) as a:
        result = perplexity(a, tokens, threshold=0.5)
    assert result.nll == pytest.approx(np.concatenate(losses).mean(), rel=1e-4)
    assert result.ratio == pytest.approx(kept.mean(), abs=1e-3)
    assert result.ratio == pytest.approx(0.6, abs=0.06)  # what it was trained to


def test_story(artifact: Path, reference: Reference):
    """The likeliest tokens, one by one, where each skips layers of its own."""
    with qtale.load(artifact) as a:
        story = "".join(a.session(threshold=0.5).generate("Once upon a time", 30))
        ids = [1, *a.tokenizer.encode("Once upon a time")]
        prompt = len(ids)
        for _ in range(30):
            ids.append(int(reference.run(ids, 0.5).logits[-1].argmax()))
        assert story == a.tokenizer.decode(ids[prompt:], previous=ids[prompt - 1])


def test_calibrated(
    artifact: Path,
    tokens: np.ndarray,
    reference: Reference,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    """The share that was asked for runs; also by the reference, at the table's thresholds."""
    for file in (artifact, artifact.with_suffix(".safetensors")):
        shutil.copy(file, tmp_path)
    path, ids = tmp_path / artifact.name, tmp_path / "ids.npy"
    np.save(ids, tokens)
    assert main(["calibrate", str(path), "--ids", str(ids)]) == 0
    lines = [list(map(float, line.split())) for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(lines) == 8
    for ratio, ran, _ in lines:
        assert ran == pytest.approx(ratio, abs=2e-3)
    # Skipping costs: the more runs, the better it predicts.
    worse = [perplexity for _, _, perplexity in lines]
    assert worse == sorted(worse, reverse=True)
    with qtale.load(path) as a:
        for ratio, ran, said in (lines[1], lines[3], lines[5]):
            thresholds = a.session(ratio=ratio).threshold
            runs = [reference.run(window, thresholds) for window in (tokens[:512], tokens[512:])]
            kept = np.concatenate([run.kept[1:, 2:] for run in runs], -1)
            assert kept.mean() == pytest.approx(ran, abs=2e-3)
            # Each unit on its own, not only all together.
            np.testing.assert_allclose(kept.mean(1), ratio, atol=5e-3)
            windows = (tokens[:512], tokens[512:])
            losses = np.concatenate(
                [negative_log_likelihood(r.logits, w) for r, w in zip(runs, windows, strict=True)]
            )
            assert np.exp(losses.mean()) == pytest.approx(said, rel=1e-3)
        between = perplexity(a, tokens, ratio=0.65)
        assert 0.6 < between.ratio < 0.7


def test_program(artifact: Path, tokens: np.ndarray, tmp_path: Path):
    """A program of its own takes the table of the library, and then a ratio."""
    model = export(FOLDER, tmp_path / "onnx" / "model.onnx")
    program = qtale.compile(model, tmp_path / "program", emit="exe", kv="f32")
    ids = tmp_path / "ids.npy"
    np.save(ids, tokens)
    for file in (artifact, artifact.with_suffix(".safetensors")):
        shutil.copy(file, tmp_path)
    library = tmp_path / artifact.name
    assert main(["calibrate", str(library), "--ids", str(ids), "--also", str(program)]) == 0
    command = [program, "--prompt", "Once upon a time", "--steps", "80", "--ratio", "0.6"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with qtale.load(library) as a:
        expected = "".join(a.session(ratio=0.6).generate("Once upon a time", 80))
        other = "".join(a.session(ratio=1.0).generate("Once upon a time", 80))
    assert said.rstrip("\n") == expected.rstrip("\n") != other.rstrip("\n")
