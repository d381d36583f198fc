"""What sessions of compiled routed models refuse, and that they go on as before."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import qtale
from goldens import checkpoint, golden
from qtale.compiler import find_tool
from qtale.exporter import export
from qtale.testing import TINY, write_random_checkpoint
from routed_artifacts import compile_step, relative_error, require_compiler

ROUTING = {
    "router": "mlp2",
    "router_hidden_size": 10,
    "router_norm_eps": 1e-5,
    "first_routed_layer": 1,
    "always_execute_tokens": 2,
    "threshold": 0.5,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """routed-tiny."""
    require_compiler()
    folder = tmp_path_factory.mktemp("tiny")
    return compile_step(export(checkpoint("tiny"), folder / "model.onnx"), folder / "m.so")


@pytest.fixture(scope="module")
def a(path: Path) -> Iterator[qtale.Artifact]:
    with qtale.load(path) as artifact:
        yield artifact


@pytest.fixture
def s(a: qtale.Artifact) -> Iterator[qtale.Session]:
    """In the middle of the golden text; afterwards it goes on as if nothing had been."""
    expected = golden("tiny", 0.5)
    session = a.session(record=True)
    session.step(expected.ids[:20], logits="none")
    kv_bytes = session.kv_bytes
    yield session
    assert (session.position, session.kv_bytes) == (20, kv_bytes)
    logits = session.step(expected.ids[20:], logits="all")
    assert relative_error(logits, expected.logits[20:]) <= 1e-4
    np.testing.assert_array_equal(session.kept, expected.kept)


def refused(code: str, message: str, call, *arguments, **options) -> None:
    with pytest.raises(qtale.Error) as caught:
        call(*arguments, **options)
    assert caught.value.code == code
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, -np.inf, np.nan, [0.5] * 5 + [-1], [0.5] * 5 + [np.nan]])
def test_threshold(a: qtale.Artifact, s: qtale.Session, value: object):
    """Negative, or not a number; all of a call's thresholds are refused, or none."""
    refused("INVALID_ARGUMENT", "give 0 (everything runs) or more", setattr, s, "threshold", value)
    refused("INVALID_ARGUMENT", "give 0 (everything runs) or more", a.session, threshold=value)


def test_thresholds_of_another_shape(s: qtale.Session):
    for value in ([0.5] * 5, [[0.5, 0.5]] * 6, []):
        refused("INVALID_ARGUMENT", "have the shape [6]", setattr, s, "threshold", value)


@pytest.mark.parametrize("ratio", [0, -0.5, 1.01, np.nan, np.inf])
def test_ratio(a: qtale.Artifact, s: qtale.Session, ratio: float):
    refused("INVALID_ARGUMENT", "above 0 and at most 1", setattr, s, "ratio", ratio)
    refused("INVALID_ARGUMENT", "above 0 and at most 1", a.session, ratio=ratio)


def test_ratio_without_a_table(a: qtale.Artifact, s: qtale.Session):
    refused("UNSUPPORTED", "qtale calibrate", setattr, s, "ratio", 0.6)
    refused("UNSUPPORTED", "qtale calibrate", a.session, ratio=0.6)


@pytest.mark.parametrize("budget", [-1, 1.5, np.nan, "all", 1 << 63])
def test_budget(s: qtale.Session, budget: object):
    refused("INVALID_ARGUMENT", "budget must be an integer", setattr, s, "budget", budget)


def test_no_record(a: qtale.Artifact):
    s = a.session()
    s.step([1, 2, 3])
    for name in ("kept", "probability"):
        refused("INVALID_ARGUMENT", "create it with record", getattr, s, name)


def test_step(a: qtale.Artifact, s: qtale.Session):
    """A bad token, or too many of them, beside a session that is fine."""
    t = a.session()
    for tokens, code, message in (
        ([3, 256], "INVALID_ARGUMENT", "the ids 0 to 255"),
        ([3] * 500, "LIMIT", "beyond the model's context of 512"),
    ):
        refused(code, message, a.step, [(t, [1, 2]), (s, tokens)])
    refused("INVALID_ARGUMENT", "same session", a.step, [(s, [1]), (s, [2])])
    assert (t.position, t.kv_bytes) == (0, 0)


def test_sessions_of_different_models(a: qtale.Artifact, s: qtale.Session, path: Path):
    """Also where both are the same model, loaded twice."""
    with qtale.load(path) as other:
        t = other.session()
        refused("INVALID_ARGUMENT", "another artifact", a.step, [(s, [1]), (t, [1])])
        assert t.position == 0


def test_command(path: Path):
    """Exit code 1 or 2, one message, nothing on stdout."""
    for words, code, message in (
        (["--threshold", "-1"], 2, "threshold"),
        (["--threshold", "nan"], 2, "threshold"),
        (["--ratio", "0"], 2, "ratio"),
        (["--ratio", "1.5"], 2, "ratio"),
        (["--ratio", "0.6"], 1, "qtale calibrate"),
        (["--ratio", "0.6", "--threshold", "0.5"], 2, "--ratio"),
    ):
        command = [find_tool("qtale-run"), path, "--ids", "1,2,3", "--steps", "2", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, ""), (words, done)
        assert message in done.stderr


# -- Probabilities that are no numbers -----------------------------------------


@pytest.mark.parametrize(
    ("unit", "broken", "name"),
    [
        ("block", "model.layers.2.router.fc2.bias", "layer 2 (block)"),
        ("block", "model.layers.1.router.norm.weight", "layer 1 (block)"),
        ("attention_ffn", "model.layers.2.router_attention.fc2.bias", "layer 2 (attention)"),
        ("attention_ffn", "model.layers.1.router_ffn.fc1.bias", "layer 1 (FFN)"),
    ],
)
def test_nan_probability(tmp_path: Path, unit: str, broken: str, name: str):
    """The first router that gives one is named, with the position; the step has not been."""
    require_compiler()
    config = TINY | {"qtale": ROUTING | {"unit": unit}}
    folder = write_random_checkpoint(tmp_path / "checkpoint", config)
    tensors = load_file(folder / "model.safetensors")
    tensors[broken].flat[1] = np.nan
    save_file(tensors, folder / "model.safetensors")
    model = compile_step(export(folder, tmp_path / "model.onnx"), tmp_path / "m.so")
    with qtale.load(model) as artifact:
        s, t = artifact.session(record=True, max_rows=4), artifact.session()
        refused("CORRUPT", f"{name} gave a probability that is not a number", s.step, [5, 6, 7])
        refused("CORRUPT", "at position 0 of item 0", artifact.step, [(s, [5] * 9), (t, [1])])
        for session in (s, t):
            assert (session.position, session.kv_bytes) == (0, 0)
        assert s.kept.shape[-1] == 0
