"""Models that are at fault are refused: by name, with exit code 1, and nothing is written."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from programs import QTALE_COMPILE, did_not_crash, execute, refuses, succeeds


@pytest.fixture
def model(stories_onnx: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(stories_onnx.parent, tmp_path / "model")
    return tmp_path / "model/model.onnx"


def refused(model: Path, tmp_path: Path, *options: str) -> str:
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    words = (QTALE_COMPILE, model, "-o", output / "m.so", *options)
    said = refuses(*words, folder=tmp_path)
    assert said.startswith("qtale-compile: error: "), said
    assert model.name in said
    return said


# -- The file ----------------------------------------------------------------


def test_truncated(model: Path, tmp_path: Path):
    whole = model.read_bytes()
    for part in range(20):
        model.write_bytes(whole[: len(whole) * part // 20])
        assert "empty" in refused(model, tmp_path) or part > 0


@pytest.mark.parametrize("seeds", [range(at, at + 10) for at in range(0, 50, 10)])
def test_flipped_bytes(model: Path, tmp_path: Path, seeds: range):
    """Read, or refused. Where it can be read, it also compiles to the stage llvm or is refused."""
    whole = model.read_bytes()
    for seed in seeds:
        damaged, choose = bytearray(whole), random.Random(seed)
        for _ in range(choose.choice([1, 1, 3, 9])):
            damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        model.write_bytes(damaged)
        done = execute(QTALE_COMPILE, model, "--emit=llvm", "-o", tmp_path / "m.mlir")
        did_not_crash(done)
        assert (tmp_path / "m.mlir").exists() == (done.code == 0), (seed, done)
        (tmp_path / "m.mlir").unlink(missing_ok=True)


def test_external_data(model: Path, tmp_path: Path):
    data = model.with_name("model.onnx.data")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert "has only" in refused(model, tmp_path)
    data.write_bytes(b"")
    assert "model.onnx.data" in refused(model, tmp_path)
    data.unlink()
    said = refused(model, tmp_path)
    assert "initializer" in said
    assert f"{data}': No such file" in said
    data.mkdir()
    assert "model.onnx.data" in refused(model, tmp_path)


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../secret", "inner/../../secret", "linked", "away/secret", "", ".", "inner"],
)
def test_data_outside_the_folder(tmp_path: Path, location: str):
    """A model from elsewhere can't have files read that are not its own."""
    (tmp_path / "secret").write_bytes(bytes(64 * 4))
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "away").symlink_to(tmp_path)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    said = refused(save(folder / "m.onnx", *matmul(tensor)), tmp_path)
    assert "'w'" in said
    assert location in said
    # By its own name it is read, also where the whole folder is a link.
    tensor.external_data[0].value = "data"
    (folder / "data").write_bytes(bytes(64 * 4))
    save(folder / "m.onnx", *matmul(tensor))
    (tmp_path / "link").symlink_to(folder)
    succeeds(QTALE_COMPILE, tmp_path / "link/m.onnx", "-o", tmp_path / "m.so", "--cpu=native")


def test_data_that_goes_while_it_is_used(model: Path, tmp_path: Path):
    """A printed stage names files that are looked at again when it is compiled on."""
    stage = tmp_path / "m.mlir"
    assert execute(QTALE_COMPILE, model, "--emit=llvm", "-o", stage).code == 0
    data = model.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:100_000])
    said = refuses(QTALE_COMPILE, stage, "-o", tmp_path / "m.so", folder=tmp_path)
    assert "model.onnx.data" in said


# -- The graph ---------------------------------------------------------------

Nodes = list[onnx.NodeProto]


def save(path: Path, nodes: Nodes, tensors: list[onnx.TensorProto]) -> Path:
    graph = helper.make_graph(
        nodes,
        "damaged",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def matmul(weight: np.ndarray | onnx.TensorProto) -> tuple[Nodes, list[onnx.TensorProto]]:
    tensor = (
        weight if isinstance(weight, onnx.TensorProto) else numpy_helper.from_array(weight, "w")
    )
    return [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], [tensor]


def test_dims_that_are_not_the_datas(tmp_path: Path):
    tensor = numpy_helper.from_array(np.ones((64, 32), np.float32), "w")
    for dims in ([64, 33], [64, 16], [64, -32], [1 << 40, 1 << 40], [1 << 62, 4]):
        del tensor.dims[:]
        tensor.dims.extend(dims)
        said = refused(save(tmp_path / "dims.onnx", *matmul(tensor)), tmp_path)
        assert "'w'" in said or "name: w" in said, said


def test_shapes_that_do_not_fit(tmp_path: Path):
    path = save(tmp_path / "shapes.onnx", *matmul(np.ones((63, 32), np.float32)))
    assert "product" in refused(path, tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weights", ["int4", "int8"])
def test_weights_that_are_no_numbers(tmp_path: Path, weights: str, bad: float):
    """Integers can't hold them, so they are named: the tensor and its node."""
    weight = np.ones((64, 256), np.float32)
    weight[13, 7] = bad
    path = save(tmp_path / "nan.onnx", *matmul(weight))
    said = refused(path, tmp_path, f"--weights={weights}")
    assert "@w" in said
    assert "product" in said
    assert "NaN" in said or "infinit" in said or "finite" in said


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("columns", [4, 256], ids=["small", "large"])
def test_scales_that_are_no_numbers(tmp_path: Path, columns: int, bad: float):
    scales = np.ones((2, columns), np.float32)
    scales[1, 3] = bad
    tensors = [
        numpy_helper.from_array(np.ones((64, columns), np.int8), "w"),
        numpy_helper.from_array(scales, "scales"),
    ]
    nodes = [
        helper.make_node(
            "DequantizeLinear", ["w", "scales"], ["f"], name="unpack", axis=0, block_size=32
        ),
        helper.make_node("MatMul", ["x", "f"], ["y"], name="product"),
    ]
    said = refused(save(tmp_path / "scales.onnx", nodes, tensors), tmp_path)
    assert "'unpack'" in said
    assert "scale" in said


def test_results_that_no_memory_holds(tmp_path: Path):
    """2^80 elements from a file of some bytes: said once, though each CPU level finds it."""
    text = """<ir_version: 10, opset_import: ["" : 21]>
    outer (float[1099511627776, 1] x, float[1, 1099511627776] z)
        => (float[1099511627776, 1099511627776] y) { y = Mul (x, z) }"""
    model = tmp_path / "outer.onnx"
    onnx.save(onnx.parser.parse_model(text), model)
    said = refused(model, tmp_path)
    assert said.count("which no memory holds") == 1
    assert "outer.onnx: 'Mul of 'y''" in said


def test_all_unsupported_operators_at_once(tmp_path: Path):
    kinds = ["Det", "GRU", "LSTM", "NonZero", "StringNormalizer"]
    nodes = [
        helper.make_node(kind, ["x"], [f"t{i}"], name=f"node{i}") for i, kind in enumerate(kinds)
    ]
    nodes[2].input.extend(["x", "x"])
    nodes += [helper.make_node("GRU", ["x"], ["y"], name="last")]
    said = refused(save(tmp_path / "operators.onnx", nodes, []), tmp_path)
    assert said.count("error: ") == 1
    for i, kind in enumerate(kinds):
        assert f"ai.onnx::{kind}" in said
        assert f"'node{i}'" in said
    assert "GRU (2 nodes): 'node1', 'last'" in said


# -- What stands beside it ----------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: b"", "not JSON"),
        (lambda whole: whole[: len(whole) // 2], "not JSON"),
        (lambda whole: b"[]", "must be a JSON object"),
        (lambda whole: b"\xff" + whole, "JSON"),
        (lambda whole: whole.replace(b'"BPE"', b'"Unigram"'), '"Unigram"'),
        (lambda whole: whole.replace(b'"vocab"', b'"words"'), "vocab"),
    ],
    ids=["empty", "cut", "list", "not_utf8", "unigram", "no_vocabulary"],
)
def test_broken_tokenizer(
    model: Path, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
):
    path = model.with_name("tokenizer.json")
    path.write_bytes(damage(path.read_bytes()))
    said = refused(model, tmp_path)
    assert "tokenizer.json" in said
    assert message in said


def test_broken_generation_config(model: Path, tmp_path: Path):
    texts = ["{", "[]", '{"eos_token_id": "two"}', '{"eos_token_id": [2, -3]}', "[" * 200_000]
    for text in texts:
        model.with_name("generation_config.json").write_text(text)
        said = refuses(QTALE_COMPILE, model, "-o", tmp_path / "m.so", folder=tmp_path)
        assert "generation_config.json" in said
