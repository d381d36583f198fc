"""Models that arrive quantized keep their integers.

stories260K, its matrices replaced by integers and DequantizeLinear in every form that exporters
write, a form for each layer. Expected: onnxruntime without optimizations (with them it quantizes
activations), and, to the bit, the same model with its weights dequantized by the compiler.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import qtale

IDS = [1, 403, 407, 261, 378, 432, 17, 99]
TYPES = {
    "int4": (TensorProto.INT4, -8, 7),
    "uint4": (TensorProto.UINT4, 0, 15),
    "int8": (TensorProto.INT8, -128, 127),
    "uint8": (TensorProto.UINT8, 0, 255),
}


@dataclass
class Form:
    """How a matrix is quantized, and the scheme that holds it where K = 64."""

    kind: str
    #: Along K; 0: a scale for each output; None: one scale.
    block: int | None
    zeros: bool
    scheme: str
    scales: int = TensorProto.FLOAT
    #: Integers [N, K] and a Transpose behind.
    transposed: bool = False
    #: Where K = 172, and the scheme is another one.
    down_scheme: str | None = None


FORMS = [
    Form("int4", 32, False, "int4/32 f32 scales"),
    Form("uint4", 32, True, "int4/32 asymmetric f32 scales"),
    Form("int8", 0, False, "int8/64 f32 scales", down_scheme="int8/32 f32 scales"),
    Form(
        "uint8",
        None,
        True,
        "int8/64 asymmetric f32 scales",
        down_scheme="int8/32 asymmetric f32 scales",
    ),
    Form("int4", 64, False, "int4/64", TensorProto.FLOAT16),
    Form("uint4", 32, False, "int4/32 asymmetric f32 scales"),
    Form(
        "int4",
        128,
        True,
        "int4/64 asymmetric",
        TensorProto.FLOAT16,
        transposed=True,
        down_scheme="int4/128 asymmetric",
    ),
    Form(
        "int8",
        0,
        True,
        "int8/64 asymmetric f32 scales",
        transposed=True,
        down_scheme="int8/32 asymmetric f32 scales",
    ),
    Form("uint8", 32, False, "int8/32 asymmetric", TensorProto.FLOAT16),
    Form("int8", None, False, "int8/64 f32 scales", down_scheme="int8/32 f32 scales"),
]


def tensor(name: str, kind: int, values: np.ndarray) -> TensorProto:
    """With raw data, as quantizers write it."""
    if kind in (TensorProto.INT4, TensorProto.UINT4):
        flat = np.pad(values.reshape(-1).astype(np.int16) & 15, (0, values.size % 2))
        raw = (flat[::2] | flat[1::2] << 4).astype(np.uint8)
    else:
        raw = values.astype(helper.tensor_dtype_to_np_dtype(kind))
    return helper.make_tensor(name, kind, values.shape, raw.tobytes(), raw=True)


def quantize(graph: onnx.GraphProto, name: str, w: np.ndarray, form: Form, table: bool) -> None:
    """Nodes that give `name`, about w [K, N]; a table is left as it is stored."""
    kind, low, high = TYPES[form.kind]
    k, n = w.shape
    block = form.block or k
    groups = np.pad(w, ((0, -k % block), (0, 0))).reshape(-1, block, n)
    axes = (0, 1, 2) if form.block is None else (1,)
    if form.zeros:
        below = np.minimum(groups.min(axes, keepdims=True), 0)
        above = np.maximum(groups.max(axes, keepdims=True), 0)
        scale = (above - below) / (high - low)
        zero = np.rint(low - below / scale)
    else:
        # Without zero points unsigned integers are positive: so are the weights, then.
        groups = np.abs(groups) if low == 0 else groups
        scale = np.abs(groups).max(axes, keepdims=True) / high
        zero = np.zeros_like(scale)
    scale = scale.astype(helper.tensor_dtype_to_np_dtype(form.scales))
    q = np.clip(np.rint(groups / scale.astype(np.float64)) + zero, low, high)
    q[0, :2, 0] = low, high  # the extremes, which symmetric quantizers avoid
    q = q.reshape(-1, n)[:k]
    scale, zero = (a.reshape(-1, a.shape[2]) for a in (scale, zero))
    axis = 0
    if form.transposed:
        q, scale, zero, axis = q.T, scale.T, zero.T, 1
    if not form.block:
        scale, zero = (a.reshape(() if form.block is None else -1) for a in (scale, zero))
        axis = 1 - axis
    graph.initializer.append(tensor(f"{name}.q", kind, q))
    graph.initializer.append(tensor(f"{name}.scale", form.scales, scale))
    inputs = [f"{name}.q", f"{name}.scale"]
    if form.zeros:
        graph.initializer.append(tensor(f"{name}.zero", kind, zero))
        inputs.append(f"{name}.zero")
    transposes = form.transposed and not table
    dequantized = f"{name}.float" if transposes else name
    attributes = {"axis": axis, "block_size": form.block or 0, "output_dtype": TensorProto.FLOAT}
    nodes = [helper.make_node("DequantizeLinear", inputs, [dequantized], **attributes)]
    if transposes:
        nodes.append(helper.make_node("Transpose", [dequantized], [name], perm=[1, 0]))
    for i, node in enumerate(nodes):
        graph.node.insert(i, node)


def quantized_model(path: Path, output: Path, forms: list[Form], table: Form) -> Path:
    """Layer i's matrices in forms[i]; the table [V, D], which the head shares, in `table`."""
    model = onnx.load(path)
    for weight in list(model.graph.initializer):
        is_table = weight.name == "model.embed_tokens.weight"
        if not is_table and not weight.name.endswith("MatMul.weight"):
            continue
        w = onnx.numpy_helper.to_array(weight)
        model.graph.initializer.remove(weight)
        if is_table:
            quantize(model.graph, weight.name, w.T, table, True)
        else:
            form = forms[int(weight.name.split(".")[2])]
            quantize(model.graph, weight.name, w, form, False)
    external = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save(model, output, **external)
    return output


def inputs(model: onnxruntime.InferenceSession | qtale.Artifact) -> dict[str, np.ndarray]:
    if isinstance(model, qtale.Artifact):
        shapes = {name: shape for name, _, shape in model.inputs}
    else:
        shapes = {value.name: value.shape for value in model.get_inputs()}
    values: dict[str, np.ndarray] = {
        name: np.zeros((1, shape[1], 0, shape[3]), np.float32)
        for name, shape in shapes.items()
        if name.startswith("past")
    }
    values["input_ids"] = np.array([IDS], np.int64)
    values["attention_mask"] = np.ones((1, len(IDS)), np.int64)
    return values


def expected_logits(path: Path) -> np.ndarray:
    """float32 [tokens, vocab]."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], inputs(session))[0][0]


@pytest.fixture(scope="session", params=[0, 5], ids=["first", "second"])
def model(
    request: pytest.FixtureRequest, stories_onnx: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Form]]:
    """A model, and the forms of its layers and its table."""
    forms = FORMS[request.param : request.param + 5]
    table = FORMS[1] if request.param else FORMS[2]
    output = tmp_path_factory.mktemp("quantized") / "model.onnx"
    table = dataclasses.replace(table, transposed=True)
    return quantized_model(stories_onnx, output, forms, table), [*forms, table]


def close(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


Compiled = Callable[..., Path]


def test_results(model: tuple[Path, list[Form]], compiled: Compiled):
    """Both entries, in one step and in several."""
    expected = expected_logits(model[0])
    artifact = qtale.load(compiled(model[0]))
    close(artifact.run(inputs(artifact))["logits"][0], expected)
    close(artifact.session().step(IDS, logits="all"), expected)
    session = artifact.session()
    close(np.concatenate([session.step([token], logits="all") for token in IDS]), expected)


def test_same_bits_as_dequantized(model: tuple[Path, list[Form]], compiled: Compiled):
    """A product with integers is the product with the floats that they stand for."""
    kept, floats = (qtale.load(compiled(model[0], weights=w)) for w in ("keep", "f32"))
    assert set(floats.info["schemes"]) == {"f32"}
    expected = floats.session().step(IDS, logits="all")
    np.testing.assert_array_equal(kept.session().step(IDS, logits="all"), expected)
    named = [a.run(inputs(a)) for a in (kept, floats)]
    for name, value in named[1].items():
        np.testing.assert_array_equal(named[0][name], value)


def test_schemes_and_size(model: tuple[Path, list[Form]], compiled: Compiled):
    """What --info tells; 172 inputs are groups of 32 where no block is larger."""
    path, forms = model
    expected: Counter[str] = Counter()
    for form in forms[:-1]:
        expected[form.scheme] += 6
        # down_proj has K = 172.
        expected[form.down_scheme or form.scheme] += 1
    expected[forms[-1].scheme] += 1
    info = qtale.load(compiled(path)).info
    assert info["schemes"] == expected
    floats = qtale.load(compiled(path, weights="f32")).info
    assert info["weights"]["bytes"] < 0.35 * floats["weights"]["bytes"]


@pytest.mark.parametrize("model", [0], indirect=True, ids=["first"])
def test_int8_activations(model: tuple[Path, list[Form]], compiled: Compiled):
    """Asked for, activations become int8; within what that costs."""
    expected = expected_logits(model[0])
    artifact = qtale.load(compiled(model[0], activations="int8"))
    got = artifact.session().step(IDS, logits="all")
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert 1e-4 < error < 0.1
