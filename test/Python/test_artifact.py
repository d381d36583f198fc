"""Compiled models against onnxruntime, the reference and the published story."""

from __future__ import annotations

import math
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import qtale
from onnx_model import OnnxModel
from qtale.compiler import find_tool
from qtale.exporter import export
from qtale.perplexity import perplexity
from qtale.reference import Reference, Scheme, negative_log_likelihood
from qtale.sampling import Sampler
from qtale.testing import TINY, write_random_checkpoint


@pytest.fixture
def a(compiled: Callable[..., Path], stories_onnx: Path):
    with qtale.load(compiled(stories_onnx)) as artifact:
        yield artifact


@pytest.fixture(scope="module")
def oracle(stories_onnx: Path) -> OnnxModel:
    return OnnxModel(stories_onnx)


@pytest.fixture(scope="module")
def written(oracle: OnnxModel) -> np.ndarray:
    """1024 tokens that the model wrote in onnxruntime: four texts, drawn at temperature 1."""
    ids = []
    for seed in range(4):
        sampler, text, cache = Sampler(temperature=1, seed=seed), [1], oracle.empty_cache()
        while len(text) < 256:
            logits, cache = oracle.run(np.array([text[-1:]]), np.ones((1, len(text))), cache)
            text.append(sampler(logits[0, -1]))
        ids += text
    return np.array(ids)


def ids_of(count: int) -> list[int]:
    return [1, *np.random.default_rng(count).integers(3, 512, count - 1).tolist()]


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    """Within `tolerance` of the largest value."""
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()


# -- float32 -----------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bundle": True}], ids=["beside", "bundle"])
def test_story(compiled: Callable[..., Path], stories: Path, stories_onnx: Path, options: dict):
    """The published text, greedy, from an empty prompt."""
    with qtale.load(compiled(stories_onnx, **options)) as a:
        text = "".join(a.session().generate("", steps=200))
    assert text + "\n" == (stories / "expected-greedy-200.txt").read_text()


@pytest.mark.parametrize("count", [1, 7, 64])
def test_prefill(a: qtale.Artifact, oracle: OnnxModel, count: int):
    ids = ids_of(count)
    expected = oracle.logits(ids)
    assert_close(a.session().step(ids, logits="all"), expected)
    assert_close(a.session().step(ids), expected[-1:])


def test_decode(a: qtale.Artifact, oracle: OnnxModel):
    ids = ids_of(57)
    expected = oracle.logits(ids)
    s = a.session()
    s.step(ids[:7], logits="none")
    for at in range(7, 57):
        assert_close(s.step(ids[at]), expected[at : at + 1])
    assert s.position == 57


def test_function(a: qtale.Artifact, oracle: OnnxModel):
    """`run` is the graph: names, padding, past and present as in onnxruntime."""
    assert [name for name, _, _ in a.outputs] == oracle.outputs
    cache = oracle.empty_cache(2)
    ids = np.array([ids_of(5), ids_of(5)[::-1]])
    mask = np.array([[0, 0, 1, 1, 1], [1] * 5])
    for _ in range(3):
        inputs = {"input_ids": ids, "attention_mask": mask, **cache}
        got = a.run(inputs)
        logits, cache = oracle.run(ids, mask, cache)
        assert_close(got.pop("logits"), logits)
        for name, value in got.items():
            assert_close(value, cache[name.replace("present", "past_key_values")])
        ids = ids[:, :1]
        mask = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)


def test_sessions_are_independent(a: qtale.Artifact):
    """Forked, cut, batched, chunked: every way to the same text gives the same bits."""
    ids = ids_of(40)
    expected = a.session().step(ids, logits="all")
    s = a.session()
    s.step(ids[:30], logits="none")
    t, u = s.fork(), s.fork()
    t.truncate(20)
    first, second = a.step([(t, ids[20:]), (u, ids[30:])], logits="all")
    np.testing.assert_array_equal(first, expected[20:])
    np.testing.assert_array_equal(second, expected[30:])
    np.testing.assert_array_equal(s.step(ids[30:]), expected[-1:])
    s.reset()
    np.testing.assert_array_equal(s.step(ids, logits="all"), expected)
    chunks = a.session(threads=1, max_rows=3)
    np.testing.assert_array_equal(chunks.step(ids, logits="all"), expected)
    assert s.kv_bytes > 0


def test_failed_step_changes_nothing(a: qtale.Artifact):
    ids = ids_of(20)
    s, t = a.session(), a.session()
    s.step(ids)
    kept = s.position, s.kv_bytes
    for tokens, code in (
        ([3, 512], "INVALID_ARGUMENT"),
        ([-1], "INVALID_ARGUMENT"),
        ([3] * a.context, "LIMIT"),
    ):
        for items in ([(s, tokens)], [(t, [1]), (s, tokens)]):
            with pytest.raises(qtale.Error) as caught:
                a.step(items)
            assert caught.value.code == code
    assert ((s.position, s.kv_bytes), t.position) == (kept, 0)
    u = a.session()
    u.step(ids)
    np.testing.assert_array_equal(s.step([5]), u.step([5]))


def test_two_threads_in_one_session(a: qtale.Artifact):
    """Both go on, or one is told that the session is busy; nothing else happens."""
    s = a.session()
    codes: list[str] = []

    def work() -> None:
        for _ in range(20):
            try:
                s.step([3] * 5, logits="none")
            except qtale.Error as error:
                codes.append(error.code)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {"BUSY"}
    assert s.position == 5 * (40 - len(codes))


def test_tokenizer(a: qtale.Artifact, stories_onnx: Path):
    """As the tokenizers library reads the same file."""
    published = Tokenizer.from_file(str(stories_onnx.parent / "tokenizer.json"))
    for text in ("", "Once upon a time", "  naïve 世界\n\U0001f600 ", "a" * 1000):
        ids = published.encode(text, add_special_tokens=False).ids
        assert a.tokenizer.encode(text) == ids
        assert a.tokenizer.decode(ids) == published.decode(ids)


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.9, "seed": 7}, {"temperature": 1.5, "top_k": 9, "top_p": 0.8}],
    ids=["greedy", "temperature", "cut"],
)
def test_same_text_as_the_command(compiled: Callable[..., Path], stories_onnx: Path, options: dict):
    """Prompt, sampling and seed mean the same in Python and in qtale-run."""
    try:
        tool = find_tool("qtale-run")
    except qtale.Error:
        pytest.skip("qtale-run is not built")
    options = {"seed": 3, **options}
    path = compiled(stories_onnx)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = subprocess.run(
        [tool, path, "--prompt", "Once upon a time", "--steps", "80", *flags],
        capture_output=True,
        text=True,
        check=True,
    )
    with qtale.load(path) as a:
        text = "".join(a.session().generate("Once upon a time", steps=80, **options))
    assert done.stdout == text + "\n"


# -- integers ----------------------------------------------------------------


def emulated(checkpoint: Path, scheme: Scheme, ids: np.ndarray, window: int) -> float:
    model = Reference(checkpoint, scheme)
    losses = [
        negative_log_likelihood(model.logits(part), part)
        for part in np.split(ids, range(window, len(ids), window))
    ]
    return math.exp(np.concatenate(losses).mean())


def test_perplexity(
    compiled: Callable[..., Path], stories: Path, stories_onnx: Path, written: np.ndarray
):
    """f32 is exact, integers are what their definition gives, within 0.5%; int8 costs 1%."""
    checkpoint = stories / "stories260K.bin"

    def measured(**options) -> float:
        with qtale.load(compiled(stories_onnx, **options)) as artifact:
            return perplexity(artifact, written, context=256).perplexity

    exact = emulated(checkpoint, Scheme(), written, 256)
    assert measured() == pytest.approx(exact, rel=1e-4)
    for weights, options in [
        ("int8", {}),
        ("int8", {"group": 128, "asymmetric": True}),
        ("int4", {}),
        ("int4", {"group": 64}),
        ("int4", {"asymmetric": True}),
    ]:
        scheme = Scheme(weights, activations="int8", kv="f16", **options)
        expected = emulated(checkpoint, scheme, written, 256)
        result = measured(weights=weights, **options)
        assert result == pytest.approx(expected, rel=5e-3)
        assert weights == "int4" or result <= 1.01 * exact


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_quantized_logits(
    compiled: Callable[..., Path], stories: Path, stories_onnx: Path, weights: str
):
    """With float activations nothing is left to chance: logits are the emulation's."""
    options = {"weights": weights, "activations": "float", "kv": "f32"}
    ids = ids_of(40)
    with qtale.load(compiled(stories_onnx, **options)) as artifact:
        got = artifact.session().step(ids, logits="all")
    assert_close(got, Reference(stories / "stories260K.bin", Scheme(weights)).logits(ids))


def test_integer_cache(compiled: Callable[..., Path], stories: Path, stories_onnx: Path):
    """Keys and values in int8 are read back as the emulation rounds them."""
    ids = ids_of(40)
    with qtale.load(compiled(stories_onnx, kv="int8")) as artifact:
        got = artifact.session().step(ids, logits="all")
    expected = Reference(stories / "stories260K.bin", Scheme(kv="int8")).logits(ids)
    exact = Reference(stories / "stories260K.bin").logits(ids)
    assert_close(got, expected)
    assert np.abs(got - exact).max() > 100 * np.abs(got - expected).max()


# -- other models ------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True, "head_dim": 20, "num_key_value_heads": 1},
        {"attention_bias": True, "mlp_bias": True},
    ],
    ids=["untied", "tied_wide_heads", "biases"],
)
def test_random_model(compiled: Callable[..., Path], tmp_path: Path, changes: dict, dtype: str):
    """Shapes that are no multiples of anything, as stored, through both entries."""
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY | changes, dtype)
    path = export(folder, tmp_path / "model.onnx")
    ids = np.random.default_rng(2).integers(0, TINY["vocab_size"], 33)
    expected = Reference(folder).logits(ids)
    with qtale.load(compiled(path, kv="f32")) as artifact:
        assert_close(artifact.session().step(ids, logits="all"), expected)
        inputs = {
            "input_ids": ids[None],
            "attention_mask": np.ones((1, len(ids)), np.int64),
            **OnnxModel(path).empty_cache(),
        }
        assert_close(artifact.run(inputs)["logits"][0], expected)


def test_two_models_side_by_side(
    compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path, oracle: OnnxModel
):
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY)
    path = export(folder, tmp_path / "model.onnx")
    ids = ids_of(20)
    small = [token % TINY["vocab_size"] for token in ids]
    with qtale.load(compiled(stories_onnx)) as a, qtale.load(compiled(path)) as b:
        s, t = a.session(), b.session()
        for at, (one, two) in enumerate(zip(ids, small, strict=True)):
            x, y = s.step(one), t.step(two)
            assert (x.shape[1], y.shape[1]) == (512, TINY["vocab_size"])
            if at == 19:
                assert_close(x, oracle.logits(ids)[-1:])
                assert_close(y, Reference(folder).logits(small)[-1:])
