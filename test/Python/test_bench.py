"""`qtale bench`: rivals compute the same model; what is reported follows from what was timed.

That onnxruntime's and llama.cpp's models are Llama, Qwen2 and Phi-3 is judged by the NumPy
reference, on weights that were quantized and dequantized.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from qtale.bench import limits, machine, rivals, shapes, sizes
from qtale.bench.engine import Scheme
from qtale.bench.measure import agreement
from qtale.bench.models import Models
from qtale.bench.picture import draw
from qtale.bench.quantized import ggml_bytes, onnx_bytes
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
#: As Phi-3: as many key/value heads as heads, of a size that is no power of two.
PHI = SMALL | {
    "hidden_size": 192,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 96,
    "rope_scaling": None,
}
CONFIGS = {"llama": SMALL, "qwen2": QWEN, "phi3": PHI}
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
    for length in (0, 12):  # as well where some was forgotten
        engine.truncate(length)
        got = [engine.step(TOKENS[length:30]).copy()]
        got += [engine.step(TOKENS[at : at + 1]).copy() for at in range(30, 40)]
        assert engine.position == 40
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


@pytest.fixture
def compiler() -> None:
    try:
        find_tool("qtale-compile")
    except Error as error:
        pytest.skip(str(error))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little memory is read, and a busy machine is as good as a quiet one."""
    monkeypatch.setattr(limits, "_BYTES", 1 << 20)
    monkeypatch.setattr(machine.OthersShare, "so_far", lambda self: 0.0)


@pytest.mark.usefixtures("small", "compiler", "quick")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """A second run uses the models again; what is not installed is said so."""
    missing = rivals.Rival(("no_such_module",), rivals.RIVALS["llama.cpp"].open)
    monkeypatch.setitem(rivals.RIVALS, "llama.cpp", missing)
    command = ["bench", "--work", str(tmp_path), "--decode=3", "--rounds=2", "--threads=1"]
    command += [f"--json={tmp_path / 'b.json'}"]
    assert main([*command, "--prompt=5,9", "--context=6", "--rows=1-3"]) == 0
    first = capsys.readouterr()
    assert "llama.cpp: not measured: not installed" in first.out
    for text in ("prefill of 5 ", "prefill of 9 ", "decode at 6 ", "largest step up"):
        assert text in first.out
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["scheme"] == "int4/32"
    assert "not installed" in result["engines"]["llama.cpp"]["not_measured"]
    (part,) = result["threads"]
    assert part["threads"] == 1

    assert [row["prompt"] for row in part["prefill"]] == [5, 9]
    prefill = part["prefill"][1]
    ours = prefill["engines"]["qtale"]
    assert ours["tokens_per_s"] == pytest.approx(9e3 / ours["ms"])
    assert ours["gmac_s"] == pytest.approx(prefill["macs"] / ours["ms"] / 1e6)
    if prefill["integer_peak_gmac_s"]:
        expected = ours["gmac_s"] / prefill["integer_peak_gmac_s"]
        assert ours["share_of_limit"] == pytest.approx(expected)
    else:
        assert "integer peak: not measured" in first.out

    (decode,) = part["decode"]
    ours = decode["engines"]["qtale"]
    # 3 layers and the head in int4, 4.5 bits each; the embedding is not read, norms are few.
    weights = 3 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 128 * 192) + 97 * 128
    assert decode["weight_bytes"] == pytest.approx(weights * 4.5 / 8, rel=0.1)
    # float16 keys and values of at least 9 tokens, in blocks.
    assert decode["cache_bytes"] >= 9 * 3 * 2 * 64 * 2
    read = decode["weight_bytes"] + decode["cache_bytes"]
    expected = read / ours["ms"] / 1e6 / decode["bandwidth_gb_s"]
    assert ours["share_of_limit"] == pytest.approx(expected)

    assert [row["rows"] for row in part["rows"]["batch"]] == [1, 2, 3]
    assert part["rows"]["chunk"][2]["ms"] == pytest.approx(
        3 * part["rows"]["chunk"][2]["ms_per_row"]
    )
    if find_spec("onnxruntime"):
        for row in (prefill, decode):
            assert row["engines"]["onnxruntime"]["agreement"] > 0.998
            assert row["engines"]["onnxruntime"]["ratio"] > 0

    assert main([*command, "--rivals=none", "--context=4", "--load=1"]) == 0
    second = capsys.readouterr()
    assert "writing" in first.err
    assert "writing" not in second.err
    assert "compiling" not in second.err
    assert "decode at 4 beside 1 busy processes" in second.out
    result = json.loads((tmp_path / "b.json").read_text())
    assert list(result["engines"]) == ["qtale"]
    (part,) = result["threads"]
    assert set(part) == {"threads", "loaded"}
    ours = part["loaded"][0]["engines"]["qtale"]
    assert ours["loaded"]["worst_decile_ms"] >= ours["loaded"]["ms"]


@pytest.mark.usefixtures("small", "compiler", "quick")
def test_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without options: everything, as far as the shape's texts go; with one thread and with all."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    command = ["bench", "--work", str(tmp_path), "--rounds=1", "--rivals=none"]
    files = [f"--json={tmp_path / 'b.json'}", f"--plot={tmp_path / 'b.svg'}"]
    assert main([*command, *files]) == 0
    parts = json.loads((tmp_path / "b.json").read_text())["threads"]
    assert [part["threads"] for part in parts] == [1, 2]
    for part in parts:
        assert [row["prompt"] for row in part["prefill"]] == [128]
        assert [row["context"] for row in part["decode"]] == [128 - 16]
        assert [row["rows"] for row in part["rows"]["batch"]] == list(range(1, 17))
    picture = (tmp_path / "b.svg").read_text()
    assert "prefill by length" in picture
    assert "1 thread<" in picture
    assert "2 threads<" in picture


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
        (["--prompt=128,x"], "'x' must be a number from 1 on"),
        (["--rows=16-1"], "'16-1' must rise: 1-16"),
        (["--rows=1-99999"], "'1-99999' must have at most 1024 numbers"),
        (["--context="], "'' must be a number from 1 on"),
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
        (["--shape=tinyllama-1.1b", "--context=2047", "--decode=2"], "at most 2048 tokens"),
        (["--prompt=4097"], "at most 4096 tokens here, but --prompt"),
        (["--threads=1,99999"], "--threads 99999: there are"),
        (["--load=99999"], "8 for each processor"),
        (["--load=2", "--rows=1-2"], "--load is about decoding; measure --prompt and --rows in"),
        (["--plot=p.jpg"], "must end in .png or .svg"),
    ],
)
def test_refused(options: list[str], message: str, capsys: pytest.CaptureFixture):
    assert main(["bench", *options]) == 2
    assert message in capsys.readouterr().err


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Said before anything is written."""
    monkeypatch.setattr(sizes, "memory_available", lambda: 9 * 10**9)
    command = ["bench", "--shape=phi-3-mini", "--context=2048", "--work=no-such-folder"]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert "phi-3-mini: qtale and onnxruntime and llama.cpp need" in message
    assert "9.0 GB are free; choose a smaller --shape" in message
    assert not Path("no-such-folder").exists()


def test_no_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Said before anything is measured."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", "--plot=p.svg", "--work=no-such-folder"]) == 1
    assert "matplotlib, which is not installed" in capsys.readouterr().err
    assert not Path("no-such-folder").exists()


def test_picture(tmp_path: Path):
    """Bars are as high as the figures say; the lines stand at the limits."""
    pytest.importorskip("matplotlib")
    speeds = {"qtale": 30.0, "onnxruntime": 20.0}
    shares = {"qtale": 0.5, "onnxruntime": 0.25}
    prefill = {n: {"tokens_per_s": 10 * speed} for n, speed in speeds.items()}
    decode = {n: {"tokens_per_s": speed} for n, speed in speeds.items()}
    loaded = {n: {"share": share, "worst_decile_share": share / 5} for n, share in shares.items()}
    rows = [{"rows": n, "ms_per_row": 10 / n} for n in (1, 2)]
    step = {"from": 1, "to": 2, "ratio": 0.5}
    part = {
        "threads": 2,
        "prefill": [
            {"prompt": 128, "macs": 10**9, "integer_peak_gmac_s": 5.0, "engines": prefill},
            {"prompt": 256, "macs": 10**9, "integer_peak_gmac_s": None, "engines": prefill},
        ],
        "decode": [
            {
                "context": 128,
                "bandwidth_gb_s": 40.0,
                "weight_bytes": 9 * 10**8,
                "cache_bytes": 10**8,
                "engines": decode,
            }
        ],
        "loaded": [{"context": 128, "processes": 2, "fair_share": 0.5, "engines": loaded}],
        "rows": {
            "batch": rows,
            "chunk": rows,
            "batch_largest_step": step,
            "chunk_largest_step": step,
        },
    }
    result = {"shape": "s", "scheme": "int4/32", "machine": {"cpu": "c"}, "threads": [part]}
    figure = draw(result)
    panels = figure.axes
    heights = [[bar.get_height() for bar in axes.patches] for axes in panels[:3]]
    assert heights[0] == [300, 300, 200, 200]
    assert heights[1] == [30, 20]
    assert heights[2] == pytest.approx([50, 10, 25, 5])
    lines = [[c.get_segments()[0][0][1] for c in axes.collections] for axes in panels[:3]]
    assert lines == [[128 * 5], [40], [50, 50]]
    assert list(panels[3].lines[0].get_ydata()) == [10, 5]
    save(lambda: figure, tmp_path / "b.svg")
    text = (tmp_path / "b.svg").read_text()
    assert "llama.cpp" not in text
    assert "batch: largest step -50.0% (1→2)" in text
