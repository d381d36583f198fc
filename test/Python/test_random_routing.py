"""Random routed models: whatever is combined, onnxruntime and the reference agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_model import OnnxModel
from qtale.exporter import export
from qtale.reference import Reference
from qtale.testing import (
    TINY,
    main,
    random_routed_config,
    separating_thresholds,
    widest_gap_threshold,
    write_random_checkpoint,
)

MODELS = 24


def test_configurations_are_diverse():
    """The generator reaches every choice, and pairs of them."""
    configs = [random_routed_config(np.random.default_rng(seed)) for seed in range(300)]
    routings = [config["qtale"] for config in configs]
    kinds = {(r["router"], r["unit"], r["kv_policy"], r["scale_kept"]) for r in routings}
    assert len(kinds) == 3 * 2 * 3 * 2
    assert {bool(r["adapter_size"]) for r in routings if r["unit"] == "block"} == {False, True}
    assert {c["num_attention_heads"] // c["num_key_value_heads"] for c in configs} == {1, 2, 3}
    assert configs[7] == random_routed_config(np.random.default_rng(7))


@pytest.mark.parametrize("seed", range(MODELS))
def test_onnx_equals_reference(tmp_path: Path, seed: int):
    """Two texts, one of them padded, in one batch: a prefill, then a few steps."""
    rng = np.random.default_rng(seed)
    config = random_routed_config(rng)
    folder = write_random_checkpoint(tmp_path / "checkpoint", config, seed=seed)
    reference = Reference(folder)
    texts = [rng.integers(0, config["vocab_size"], count) for count in (14, 20)]
    thresholds = separating_thresholds(reference, texts)
    expected = [reference.run(text, thresholds) for text in texts]
    kept = np.concatenate([run.kept.ravel() for run in expected])
    assert kept.any()
    assert not kept.all()

    model = OnnxModel(export(folder, tmp_path / "model.onnx"))
    width = max(map(len, texts))
    ids = np.array([np.pad(text, (width - len(text), 0)) for text in texts])
    mask = np.array([[0] * (width - len(text)) + [1] * len(text) for text in texts])
    cache, begin = model.empty_cache(len(texts)), 0
    for end in (15, 16, 18, 20):
        step = model.step(ids[:, begin:end], mask[:, :end], cache, thresholds)
        cache = step.cache
        for row, (text, run) in enumerate(zip(texts, expected, strict=True)):
            padding = width - len(text)
            own = slice(max(begin - padding, 0), end - padding)
            got = slice(max(padding - begin, 0), None)
            assert (step.kept[..., row, got] == run.kept[..., own]).all()
            error = np.abs(step.logits[row, got] - run.logits[own]).max()
            assert error <= 1e-4 * np.abs(run.logits).max()
        begin = end


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Sizes and routing from the command line; an impossible one is one message."""
    sizes = "--layers 2 --hidden 32 --ffn 48 --heads 4 --kv-heads 2 --head-dim 8 --vocab 50"
    routing = "--router gate --router-hidden 6 --unit attention_ffn --first-routed 1 --scale-kept"

    def command(arguments: str) -> int:
        words = f"testing {tmp_path / 'model'} {sizes} {arguments}".split()
        monkeypatch.setattr("sys.argv", words)
        return main()

    assert command(f"{routing} --kv-policy copy --threshold 0.25") == 0
    config = Reference(tmp_path / "model").config
    assert (config.num_layers, config.hidden_size, config.routing.threshold) == (2, 32, 0.25)
    assert (config.routing.kv_policy, config.routing.scale_kept) == ("copy", True)
    assert command("--router mlp2 --first-routed 2") == 1
    assert "first_routed_layer is 2" in capsys.readouterr().err
    assert command("") == 0
    assert Reference(tmp_path / "model").config.routing is None


@pytest.mark.parametrize("router", ["mlp2", "linear", "gate"])
def test_probabilities_spread(tmp_path: Path, router: str):
    """In every unit, also of the first layers, whose rows are small."""
    routing = {"router": router, "router_hidden_size": 64, "router_norm_eps": 1e-5}
    routing |= {"first_routed_layer": 0, "always_execute_tokens": 2, "threshold": 0.5}
    config = TINY | {"hidden_size": 384, "intermediate_size": 768, "qtale": routing}
    reference = Reference(write_random_checkpoint(tmp_path, config))
    p = reference.run(np.arange(90)).probability
    logit = np.log(p / (1 - p))
    assert ((logit.std(axis=1) > 0.9) & (logit.std(axis=1) < 2.2)).all()
    assert 0.2 < (p > 0.5).mean() < 0.8


def test_widest_gap():
    """A fifth of the values lies on either side at least, however wide the gaps are there."""
    p = np.array([[0.1, 0.12, 0.2, 0.3], [0.31, 0.7, 0.72, 0.8], [0.85, 0.9, 0.0, 1.0]])
    assert widest_gap_threshold(p) == pytest.approx(0.505, abs=1e-7)
    tails = np.array([0.0, 0.45, 0.46, 0.47, 0.5, 0.51, 0.52, 0.53, 0.54, 1.0])
    assert widest_gap_threshold(tails) == pytest.approx(0.485, abs=1e-7)
    assert widest_gap_threshold(np.array([0.4])) == pytest.approx(0.7)
    assert widest_gap_threshold(np.array([])) == 0.5


def test_separating_thresholds_keep_their_distance(tmp_path: Path):
    routing = {"router": "linear", "first_routed_layer": 1, "always_execute_tokens": 1}
    folder = write_random_checkpoint(tmp_path, TINY | {"qtale": {**routing, "threshold": 0.5}})
    reference, text = Reference(folder), np.random.default_rng(0).integers(0, 97, 20)
    thresholds = separating_thresholds(reference, [text])
    p = reference.run(text, thresholds).probability[1:, 1:]
    assert np.abs(p - thresholds[1:, None]).min() > 0.01
    assert (p < thresholds[1:, None]).any(axis=1).all()
    assert (p > thresholds[1:, None]).any(axis=1).all()
    with pytest.raises(ValueError, match="dense"):
        separating_thresholds(Reference(write_random_checkpoint(tmp_path / "d", TINY)), [text])
