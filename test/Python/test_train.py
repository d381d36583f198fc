"""Training, with PyTorch (the extra `train`): its routed model against the reference."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from goldens import checkpoint as routed_checkpoint
from qtale.checkpoint import open_checkpoint
from qtale.checkpoint.routing import RoutingConfig
from qtale.reference import Reference
from qtale.testing import TINY, write_random_checkpoint

torch = pytest.importorskip("torch")

from qtale.train import gates, routers  # noqa: E402
from qtale.train.model import Llama  # noqa: E402
from qtale.train.publish import decode_stories, publish, round_weights, tokenizer_text  # noqa: E402
from qtale.train.stories import write_stories  # noqa: E402

# Tiny models: threads would only wait for each other.
torch.set_num_threads(1)

ROUTING = RoutingConfig("mlp2", 1, 2, 0.5, router_hidden_size=8, router_norm_eps=1e-5)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A random checkpoint with a short context, so that texts are short."""
    return write_random_checkpoint(tmp_path / "tiny", TINY | {"max_position_embeddings": 24})


@pytest.mark.parametrize("kind", ["llama2c", "huggingface"])
def test_model_is_the_reference(kind: str, stories: Path, tiny: Path, tmp_path: Path):
    """What was trained is what is published: rotary pairs turned, keys of skipped tokens unseen."""
    source = stories / "stories260K.bin" if kind == "llama2c" else tiny
    checkpoint = open_checkpoint(source)
    model = Llama(checkpoint)
    model.add_routers(ROUTING, torch.Generator().manual_seed(1))
    round_weights(model)
    publish(model, checkpoint, tmp_path / "routed", "{}", "")
    ids = np.random.default_rng(0).integers(3, 90, 24)
    gate = gates.Fixed(ROUTING, 0.6)
    logits = model.logits(torch.from_numpy(ids)[None], gate)[0].numpy()
    expected = Reference(tmp_path / "routed").run(ids, 0.6)
    decided = expected.kept[1:, 2:]
    assert 0.1 < decided.mean() < 0.9
    assert gate.ratio == pytest.approx(decided.mean())
    assert np.abs(logits - expected.logits).max() < 1e-4 * np.abs(expected.logits).max()
    dense = model.logits(torch.from_numpy(ids)[None])[0].numpy()
    expected = Reference(tmp_path / "routed").run(ids, 0).logits
    assert np.abs(dense - expected).max() < 1e-4 * np.abs(expected).max()


def test_stories(tiny: Path):
    """The next token is drawn from what the model predicts for the whole text so far."""
    model = Llama(open_checkpoint(tiny))
    texts = write_stories(model, 8, seed=3, batch=8)
    assert texts.shape == (8, 24)
    assert (texts[:, 0] == 1).all()
    assert torch.equal(texts, write_stories(model, 8, seed=3, batch=8))
    assert not torch.equal(texts, write_stories(model, 8, seed=4, batch=8))
    generator = torch.Generator().manual_seed(3)
    for at in range(23):
        p = torch.softmax(model.logits(texts[:, : at + 1])[:, -1], -1)
        assert torch.equal(torch.multinomial(p, 1, generator=generator)[:, 0], texts[:, at + 1])


def test_gates():
    """What runs, whose gradient is a soft one's, and which share it was."""
    z = (torch.arange(-10, 11)[None] / 10).requires_grad_()
    g = gates.Fixed(ROUTING)(1, z)
    assert g.tolist()[0] == pytest.approx([0.0] * 10 + [1.0] * 11)
    g.sum().backward()
    soft = torch.sigmoid(z.detach())
    np.testing.assert_allclose(z.grad, soft * (1 - soft), rtol=1e-5)
    share = gates.Share(ROUTING, 0.3)
    share(1, torch.randn(4, 250))
    assert share.ratio == pytest.approx(0.3, abs=0.01)
    everything = gates.Share(ROUTING, 1)
    everything(1, z)
    assert everything.ratio == 1
    drawn = gates.Random(ROUTING, 0.7, torch.Generator().manual_seed(0))
    drawn(1, torch.zeros(10, 500))
    assert drawn.ratio == pytest.approx(0.7, abs=0.03)


def test_training_learns(tiny: Path):
    """The share comes to the wanted one, and predictions under skipping come nearer the dense."""
    checkpoint = open_checkpoint(tiny)
    dense, model = Llama(checkpoint), Llama(checkpoint)
    texts = write_stories(dense, 32, seed=0)
    model.add_routers(ROUTING, torch.Generator().manual_seed(0))
    before = routers.perplexity(model, texts, gates.Share(ROUTING, 0.5))
    routers.train(model, dense, texts, routers.Plan(ratio=0.5, steps=60))
    round_weights(model)
    gate = gates.Fixed(ROUTING)
    routers.perplexity(model, texts, gate)
    assert gate.ratio == pytest.approx(0.5, abs=0.1)
    assert routers.perplexity(model, texts, gates.Share(ROUTING, 0.5)) < before


def test_decoded_stories(stories: Path):
    """Whole ones only, up to a limit."""
    tokenizer = tokenizer_text(open_checkpoint(stories / "stories260K.bin"))
    # 403 is "Once", 407 " upon", 261 " a".
    texts = torch.tensor([[1, 403, 407, 1, 261, 261, 1, 403]])
    assert decode_stories(texts, tokenizer, 1, 100) == "Once upon\na a\n"
    assert decode_stories(texts, tokenizer, 1, 12) == "Once upon\n"


def test_command(
    stories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["routers", *map(str, words)])
        code = routers.main()
        return code, *capsys.readouterr()

    output = tmp_path / "routed"
    few = ["--steps", "1", "--batch", "1", "--texts", "1", "--held-out", "1"]
    code, out, _ = run(stories / "stories260K.bin", "-o", output, *few)
    assert code == 0
    assert re.search(r"\| 0.6 \| \d+\.\d{3} \| \d+\.\d{3} \|", out)
    names = ["config.json", "model.safetensors", "stories.txt", "tokenizer.json"]
    assert sorted(p.name for p in output.iterdir()) == names
    assert open_checkpoint(output).config.routing.router_hidden_size == 32
    for words, message in (
        (["--ratio", "0"], "--ratio must be above 0 and at most 1"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--learning-rate", "nan"], "--learning-rate must be a number of at least 0"),
        (["--seed", "-1"], "--seed must be from 0"),
        (["--first-routed-layer", "5"], "--first-routed-layer must be from 0 to 4"),
    ):
        code, _, err = run(stories / "stories260K.bin", "-o", output, *words)
        assert (code, message in err) == (1, True)
    code, _, err = run(routed_checkpoint("tiny"), "-o", output)
    assert (code, "has routers already" in err) == (1, True)
