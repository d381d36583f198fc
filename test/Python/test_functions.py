"""ai.qtale's functions: their text, run by onnxruntime, against what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from goldens import checkpoint
from qtale.exporter import export
from qtale.exporter.nodes import DOMAIN, load_function

TYPES = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}
B, S, D, R = 3, 5, 12, 7


def call(name: str, inputs: dict[str, np.ndarray], outputs: dict[str, str], **attributes):
    """The function's results for these inputs; outputs: each one's type and rank, as "b2"."""

    def value(name: str, kind: str, rank: int) -> onnx.ValueInfoProto:
        shape = [f"{name}_{i}" for i in range(rank)]
        return helper.make_tensor_value_info(name, TYPES[kind], shape)

    node = helper.make_node(name, list(inputs), list(outputs), domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        name,
        [value(key, x.dtype.kind, x.ndim) for key, x in inputs.items()],
        [value(key, kind[0], int(kind[1])) for key, kind in outputs.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 23), helper.make_opsetid(DOMAIN, 1)],
        functions=[load_function(name)],
        ir_version=11,
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results = session.run(None, inputs)
    return results[0] if len(results) == 1 else results


@pytest.fixture
def normal() -> Callable[..., np.ndarray]:
    generator = np.random.default_rng(0)
    return lambda *shape: generator.standard_normal(shape).astype(np.float32)


@pytest.fixture
def bits() -> Callable[..., np.ndarray]:
    generator = np.random.default_rng(1)
    return lambda *shape: generator.integers(0, 2, shape).astype(bool)


def rms(x: np.ndarray, epsilon: float) -> np.ndarray:
    return x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + epsilon)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# -- Masks and positions -----------------------------------------------------


@pytest.mark.parametrize(("batch", "past", "step"), [(1, 0, 1), (1, 0, 5), (3, 4, 1), (4, 3, 6)])
def test_causal_mask(batch: int, past: int, step: int):
    """Key by key, for any padding: in front, within, and all of a row."""
    mask = np.random.default_rng(past).integers(0, 2, (batch, past + step))
    mask[-1] = 0
    inputs = {"ids": np.zeros((batch, step), np.int64), "mask": mask}
    position, seen = call("CausalMask", inputs, {"position": "i2", "seen": "b4"})
    for b in range(batch):
        for q in range(step):
            assert position[b, q] == max(mask[b, : past + q + 1].sum() - 1, 0)
            for k in range(past + step):
                expected = k == past + q or (k < past + q and mask[b, k] == 1)
                assert seen[b, 0, q, k] == expected


@pytest.mark.parametrize(("batch", "past", "step"), [(1, 0, 1), (1, 0, 5), (3, 4, 1), (4, 3, 6)])
def test_evict_mask(bits: Callable[..., np.ndarray], batch: int, past: int, step: int):
    """Key by key, for any mask: what the mask and the layer both have, and the token itself."""
    mask, before, keep = bits(batch, 1, step, past + step), bits(batch, past), bits(batch, step)
    keep[-1] = False
    inputs = {"mask": mask, "before": before, "keep": keep}
    visible, kept = call("EvictMask", inputs, {"visible": "b4", "kept": "b2"})
    assert (kept == np.concatenate([before, keep], axis=1)).all()
    for b in range(batch):
        for q in range(step):
            for k in range(past + step):
                expected = k == past + q or (mask[b, 0, q, k] and kept[b, k])
                assert visible[b, 0, q, k] == expected


# -- Routers -----------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_router_mlp2(normal: Callable[..., np.ndarray], epsilon: float):
    shapes = {"x": (B, S, D), "fc1": (D, R), "b1": (R,), "norm": (R,), "fc2": (R, 2), "b2": (2,)}
    inputs = {name: normal(*shape) for name, shape in shapes.items()}
    x, fc1, b1, norm, fc2, b2 = inputs.values()
    h = rms(x @ fc1 + b1, epsilon) * norm
    e = np.exp(h * sigmoid(h) @ fc2 + b2)
    got = call("RouterMlp2", inputs, {"p": "f2"}, epsilon=epsilon)
    np.testing.assert_allclose(got, e[..., 1] / e.sum(-1), atol=1e-6)


def test_router_linear(normal: Callable[..., np.ndarray]):
    inputs = {"x": normal(B, S, D), "fc": normal(D, 1), "bias": normal(1)}
    x, fc, bias = inputs.values()
    got = call("RouterLinear", inputs, {"p": "f2"})
    np.testing.assert_allclose(got, sigmoid(x @ fc[:, 0] + bias), atol=1e-6)


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_router_gate(normal: Callable[..., np.ndarray], epsilon: float):
    shapes = {"x": (B, S, D), "norm": (D,), "down": (D, R), "up": (R, 1)}
    inputs = {name: normal(*shape) for name, shape in shapes.items()}
    x, norm, down, up = inputs.values()
    expected = sigmoid(np.tanh(rms(x, epsilon) * norm @ down) @ up[:, 0])
    got = call("RouterGate", inputs, {"p": "f2"}, epsilon=epsilon)
    np.testing.assert_allclose(got, expected, atol=1e-6)


# -- Decisions ---------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (4, 2)])
@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("always", [0, 2])
def test_keep(shape: tuple[int, ...], index: int, always: int):
    """The unit's own threshold decides, equality keeps; early positions need none."""
    p = np.array([[0.25, 0.75, 0.5, 0.5, np.nan], [0.0, 1.0, 0.75, 0.25, 0.5]], np.float32)
    position = np.array([[0, 1, 2, 3, 4], [3, 2, 1, 0, 7]])
    threshold = np.full(shape, 2, np.float32)
    threshold.flat[index] = 0.5
    inputs = {"p": p, "threshold": threshold, "position": position}
    got = call("Keep", inputs, {"keep": "b2"}, index=index, always_execute_tokens=always)
    assert (got == ((position < always) | (p >= 0.5))).all()


@pytest.mark.parametrize("name", ["Route", "CopyRows"])
def test_choice_of_rows(
    name: str, normal: Callable[..., np.ndarray], bits: Callable[..., np.ndarray]
):
    keep, a, b = bits(B, S), normal(B, S, D), normal(B, S, D)
    a[~keep] = np.nan  # what is not chosen does not leak
    got = call(name, {"keep": keep, "a": a, "b": b}, {"y": "f3"})
    for row in np.ndindex(B, S):
        assert (got[row] == (a if keep[row] else b)[row]).all()


# -- In models ---------------------------------------------------------------


def test_exported_bodies_are_the_texts(stories_onnx: Path, tmp_path: Path):
    """The compiler knows a function by its body, so the exporter must not change it."""
    evict = {"CausalMask", "RouterMlp2", "Keep", "EvictMask", "Route"}
    expected = {
        "tiny": evict,
        "split": evict,
        "linear": {"CausalMask", "RouterLinear", "Keep", "Route"},
        "gate": {"CausalMask", "RouterGate", "Keep", "Route"},
        "copy": {"CausalMask", "RouterMlp2", "Keep", "CopyRows", "Route"},
    }
    paths = {stories_onnx: {"CausalMask"}} | {
        export(checkpoint(name), tmp_path / name / "model.onnx"): functions
        for name, functions in expected.items()
    }
    for path, functions in paths.items():
        model = onnx.load(path, load_external_data=False)
        assert sorted(f.name for f in model.functions) == sorted(functions)
        assert all(f == load_function(f.name) for f in model.functions)
