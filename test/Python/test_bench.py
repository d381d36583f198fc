"""`qtale bench`: rivals compute the same model; what is reported follows from what was timed.

That onnxruntime's and llama.cpp's models are Llama and Qwen2 is judged by the NumPy reference, on
weights that were quantized and dequantized.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from qtale.bench import bandwidth, machine, rivals, shapes
from qtale.bench.engine import Scheme
from qtale.bench.measure import Measurement, Plan, agreement
from qtale.bench.models import Models
from qtale.bench.quantized import ggml_bytes, onnx_bytes
from qtale.bench.report import draw
from qtale.bench.rivals import NotMeasuredError, open_rival
from qtale.cli import main
from qtale.compiler import find_tool
from qtale.errors import Error, UserError
from qtale.plot import save
from qtale.quantization import quantize
from qtale.reference import Reference
from qtale.reference import Scheme as ReferenceScheme
from qtale.testing import TINY

SMALL = TINY | {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_attention_heads": 4,
    "head_dim": 32,
    "rope_scaling": shapes.LLAMA_1B["rope_scaling"] | {"original_max_position_embeddings": 64},
}
QWEN = SMALL | {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "tie_word_embeddings": True,
    "rope_scaling": None,
}
CONFIGS = {"llama": SMALL, "qwen2": QWEN}
TOKENS = np.random.default_rng(3).integers(0, 97, 40, np.int32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "llama-3.2-1b", SMALL)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("rival", rivals.RIVALS)
def test_rival_is_the_model(rival: str, config: str, bits: int, tmp_path: Path):
    for module in rivals.RIVALS[rival].needs:
        pytest.importorskip(module)
    models = Models(tmp_path / "m", CONFIGS[config], lambda text: None)
    engine = open_rival(rival, models, Scheme(bits), 1, len(TOKENS))
    for _ in range(2):  # as well after a reset
        engine.reset()
        got = [engine.step(TOKENS[:30]).copy()]
        got += [engine.step(TOKENS[at : at + 1]).copy() for at in range(30, 40)]
    engine.close()
    reference = Reference(models.checkpoint(), ReferenceScheme(weights=f"int{bits}"))
    expected = reference.logits(TOKENS)[29:]
    for ours, theirs in zip(expected, got, strict=True):
        # int8 activations, and a float16 cache in llama.cpp.
        assert agreement(ours, theirs) > 0.998


def test_stored_integers():
    """Of one group by hand: nibbles, zero in the middle of the range, the scale's two bytes."""
    w = np.zeros((1, 32), np.float32)
    w[0, [0, 1, 16, 31]] = [7, -7, 3, 1]
    quantized = quantize(w, 4)
    packed = onnx_bytes(quantized.values, 4)[0, 0]
    assert packed[[0, 1, 8, 15]].tolist() == [0x1F, 0x88, 0x8B, 0x98]
    block = ggml_bytes(quantized.values, quantized.scales, 4)[0]
    assert block[:2].tobytes() == np.float16(1).tobytes()
    assert block[2:5].tolist() == [0xBF, 0x81, 0x88]
    assert block[17] == 0x98


class Others:
    """Says how busy others were, one number a round."""

    def __init__(self, shares: list[float]):
        self._shares = shares

    def so_far(self) -> float:
        return self._shares.pop(0)


@pytest.mark.parametrize(
    ("shares", "kept"),
    [
        ([0.5, 0.02, 0.3, 0.01, 0.0], [0.01, 0.02]),
        ([0.9, 0.8, 0.7, 0.2, 0.5, 0.6, 0.02, 0.8, 0.0], [0.02, 0.2]),
    ],
)
def test_quiet_rounds_count(shares: list[float], kept: list[float]):
    """Until there are two; after eight the quietest are taken."""
    others = Others(list(shares))
    engines = {"a": Clockwork("a", 0, [])}
    measurement = Measurement(engines, TOKENS, Plan(2, 1, 2), lambda: 5.0, lambda: others)
    measurement.run()
    assert [r.others for r in measurement.rounds] == kept
    assert others.so_far() == shares[-1]


def test_others_share(monkeypatch: pytest.MonkeyPatch):
    """Of two processors in 2 s: 2.2 s of work, the host's included, of which 1.5 s are ours."""
    lines = ["cpu 100 0 10 1000 7 0 0 0 0 0\n", "cpu 280 10 20 1150 57 0 0 20 0 0\ncpu0 1\n"]
    own = [os.times_result((0, 0, 0, 0, 0)), os.times_result((1, 0.5, 9, 9, 9))]
    clock = [4.0, 6.0]
    monkeypatch.setattr(machine, "_read", lambda path: lines.pop(0))
    monkeypatch.setattr(machine.os, "times", lambda: own.pop(0))
    monkeypatch.setattr(machine.os, "sysconf", {"SC_CLK_TCK": 100}.get)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.time, "monotonic", lambda: clock.pop(0))
    assert machine.OthersShare().so_far() == pytest.approx((2.2 - 1.5) / 4)


class Clockwork:
    """An engine that takes a given time for a row; all write down their calls in one list."""

    version = "1"

    def __init__(self, name: str, seconds: float, calls: list[tuple[str, int]]):
        self._name, self._seconds, self._calls = name, seconds, calls

    def reset(self) -> None:
        self._calls.append((self._name, 0))

    def step(self, tokens: np.ndarray) -> np.ndarray:
        self._calls.append((self._name, len(tokens)))
        time.sleep(self._seconds * len(tokens))
        return np.ones(4, np.float32)

    def close(self) -> None: ...


def split(items: list, mark: object) -> list[list]:
    parts = [[]]
    for item in items:
        if item == mark:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def test_engines_take_turns():
    calls = []
    engines = {"a": Clockwork("a", 0.001, calls), "b": Clockwork("b", 0.004, calls)}
    measurement = Measurement(
        engines, TOKENS, Plan(8, 3, 2), lambda: calls.append("round") or 5.0, lambda: Others([0])
    )
    measurement.run()
    assert calls[0] == "round"
    first, second, third = (
        " ".join(f"{n}{c}" for n, c in part) for part in split(calls[1:], "round")
    )
    assert first == "a0 a8 b0 b8 a1 b1 b1 a1"
    assert second == "a0 a8 b0 b8 a1 b1 b1 a1 a1 b1"
    assert third == "b0 b8 a0 a8 b1 a1 a1 b1 b1 a1"
    for times_of_rows, rows in (("prefill", 8), ("decode", 1)):
        a, b = (getattr(measurement.times(name), times_of_rows) for name in "ab")
        assert (a >= 0.001 * rows).all()
        assert (b >= 0.004 * rows).all()


@pytest.fixture
def compiler() -> None:
    try:
        find_tool("qtale-compile")
    except Error as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("small", "compiler")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """A second run uses the models again; what is not installed is said so."""
    monkeypatch.setattr(bandwidth, "_BYTES", 1 << 20)
    missing = rivals.Rival(("no_such_module",), rivals.RIVALS["llama.cpp"].open)
    monkeypatch.setitem(rivals.RIVALS, "llama.cpp", missing)
    command = ["bench", "--work", str(tmp_path), "--prompt=5", "--decode=3", "--rounds=2"]
    command += ["--threads=1", f"--json={tmp_path / 'b.json'}"]
    assert main(command) == 0
    first = capsys.readouterr()
    assert "llama.cpp                not measured: not installed" in first.out
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["scheme"] == "int4/32"
    assert len(result["bandwidths_gb_s"]) == 2
    ours = result["engines"]["qtale"]
    assert ours["prefill_tokens_per_s"] == pytest.approx(5e3 / ours["prefill_ms"])
    expected = result["bytes_per_token"] / ours["decode_ms"] / 1e6 / result["bandwidth_gb_s"]
    assert ours["share_of_limit"] == pytest.approx(expected)
    # 3 layers and the head in int4, 4.5 bits each; the embedding is not read, norms are few.
    weights = 3 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 128 * 192) + 97 * 128
    assert result["bytes_per_token"] == pytest.approx(weights * 4.5 / 8, rel=0.1)
    if find_spec("onnxruntime"):
        assert result["engines"]["onnxruntime"]["agreement"] > 0.998
        assert result["engines"]["onnxruntime"]["decode_ratio"] > 0

    assert main([*command, "--rivals=none"]) == 0
    second = capsys.readouterr()
    assert "writing" in first.err
    assert "writing" not in second.err
    assert "compiling" not in second.err
    assert list(json.loads((tmp_path / "b.json").read_text())["engines"]) == ["qtale"]


def test_broken_rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package that can't be imported, and a model that is none."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_rival.py").write_text("raise OSError('libgomp.so.1 is missing')")
    broken = rivals.Rival(("broken_rival",), rivals.RIVALS["llama.cpp"].open)
    monkeypatch.setitem(rivals.RIVALS, "llama.cpp", broken)
    models = Models(tmp_path, SMALL, lambda text: None)
    with pytest.raises(NotMeasuredError, match=r"broken_rival can't be .*: libgomp.so.1 is miss"):
        open_rival("llama.cpp", models, Scheme(), 1, 8)

    pytest.importorskip("onnxruntime")
    folder = tmp_path / "onnxruntime-int4-32"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"onnxruntime-int4-32: onnxruntime .* does not load it"):
        open_rival("onnxruntime", models, Scheme(), 1, 8)


@pytest.mark.usefixtures("small")
def test_llama_cpp_has_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(
        rivals.RIVALS, "llama.cpp", rivals.Rival((), rivals.RIVALS["llama.cpp"].open)
    )
    models = Models(tmp_path, SMALL, lambda text: None)
    with pytest.raises(NotMeasuredError, match="blocks are of 32, not 64"):
        open_rival("llama.cpp", models, Scheme(4, 64), 1, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape=gpt-5"], "invalid choice: 'gpt-5'"),
        (["--rivals=onnxruntime,tea"], "'tea' is none of onnxruntime, llama.cpp; or: none"),
        (["--rounds=0"], "'0' must be a number from 1 on"),
        (["--weights=int3"], "invalid choice: 'int3'"),
    ],
)
def test_wrong_usage(options: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shape=tinyllama-1.1b", "--prompt=2047", "--decode=2"], "at most 2048 tokens"),
        (["--prompt=4096"], "at most 4096 tokens"),
        (["--threads=99999"], "--threads 99999: there are"),
        (["--plot=p.jpg"], "must end in .png or .svg"),
    ],
)
def test_refused(options: list[str], message: str, capsys: pytest.CaptureFixture):
    assert main(["bench", *options]) == 2
    assert message in capsys.readouterr().err


def test_no_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Said before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", "--plot=p.svg", "--work=no-such-folder"]) == 1
    assert "matplotlib, which is not installed" in capsys.readouterr().err
    assert not Path("no-such-folder").exists()


def test_picture(tmp_path: Path):
    """Bars are as long as the figures say; the line stands at the limit."""
    pytest.importorskip("matplotlib")
    engines = {
        name: {"decode_tokens_per_s": speed, "prefill_tokens_per_s": 10 * speed}
        for name, speed in (("qtale", 30.0), ("onnxruntime", 20.0))
    }
    figure = draw(
        {
            "shape": "s",
            "scheme": "int4/32",
            "threads": 2,
            "prompt": 128,
            "bandwidth_gb_s": 40.0,
            "bytes_per_token": 10**9,
            "engines": engines | {"llama.cpp": {"not_measured": "not installed"}},
        }
    )
    decode, prefill = figure.axes
    assert [bar.get_width() for bar in decode.patches] == [30, 20]
    assert [bar.get_width() for bar in prefill.patches] == [300, 200]
    assert list(decode.lines[0].get_xdata()) == [40, 40]
    save(lambda: figure, tmp_path / "b.svg")
    assert "llama" not in (tmp_path / "b.svg").read_text()
