"""The file around the weights: format, hashes, determinism, memory, refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from weights_module import Module

INT4 = "#qtale.packed<#qtale.int<bits = 4, group = 32>>"


def add_matrix(module: Module, name: str, w: np.ndarray, element: str = "f32") -> None:
    n, k = w.shape
    size = -(-n // 16) * -(-k // 32) * (32 + 256)  # scales, values
    recipe = f"#qtale.pack<#qtale.quantize<{module.source(w)}, <bits = 4, group = 32>>>"
    module.weight(name, f"tensor<{n}x{k}xf32, {INT4}>", recipe, size)


def add_vector(module: Module, name: str, w: np.ndarray) -> None:
    module.weight(name, f"tensor<{len(w)}xf32>", module.source(w), w.nbytes)


def test_format(module: Module, random: np.random.Generator):
    add_vector(module, "norm", random.standard_normal(48).astype(np.float32))
    add_matrix(module, "fc", random.standard_normal((40, 70)).astype(np.float32))
    add_vector(module, "odd", random.standard_normal(5).astype(np.float32))
    _, report = module.write()

    raw = module.output.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    data = 8 + length
    assert data % 64 == 0
    assert report["file"] == module.output.name
    assert report["bytes"] == len(raw) == data + module.offset
    assert report["header"] == data
    assert report["hash"] == hashlib.sha256(raw[:data]).hexdigest()

    header = json.loads(raw[8:data])
    metadata = header.pop("__metadata__")
    assert metadata["format"] == "qtale"
    assert metadata["qtale.fc"] == f"tensor<40x70xf32, {INT4}>"
    assert header["norm"]["dtype"] == "F32"
    assert header["norm"]["shape"] == [48]
    assert header["odd"] == {
        "dtype": "U8",
        "shape": [64],
        "data_offsets": [module.offset - 64, module.offset],
    }
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        assert begin % 64 == 0
        digest = hashlib.sha256(raw[data + begin : data + end]).hexdigest()
        assert metadata[f"sha256.{name}"] == digest
    with safe_open(module.output, "np") as file:
        assert set(file.keys()) == {"norm", "fc", "odd"}


def test_no_weights(module: Module):
    tensors, report = module.write()
    assert not tensors
    assert report["bytes"] == report["header"]


def test_equal_bytes(module: Module, random: np.random.Generator):
    for i in range(20):
        add_matrix(module, f"m{i}", random.standard_normal((100, 300)).astype(np.float32))
    module.write()
    first = module.output.read_bytes()
    module.write()
    assert module.output.read_bytes() == first


@pytest.mark.parametrize("transposed", [False, True])
def test_memory_stays_bounded(tmp_path: Path, transposed: bool):
    """A source of 1 GiB in f16; neither it nor the result may count as memory."""
    n, k = 65536, 8192
    with (tmp_path / "w.data").open("wb") as file:
        file.truncate(n * k * 2)  # zeros, without a disk's worth of them
    module = Module(tmp_path)
    module.data = bytearray()
    shape = (k, n) if transposed else (n, k)
    recipe = (
        f'#qtale.source<file = "w.data", offset = 0, bytes = {n * k * 2}, '
        f"type = tensor<{shape[0]}x{shape[1]}xf16>>"
    )
    if transposed:
        recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    recipe = f"#qtale.pack<#qtale.quantize<{recipe}, <bits = 4, group = 32>>>"
    module.weight("w", f"tensor<{n}x{k}xf32, {INT4}>", recipe, n * k // 32 * 18)
    done = module.run(keep_data=True)
    assert done.returncode == 0, done.stderr
    module.output.unlink()
    assert json.loads(done.stdout)["peak_kib"] < 128 << 10


# What users can get wrong.


def bad_value(module: Module, value: float, row: int) -> str:
    w = np.ones((40, 64), np.float32)
    w[row, 33] = value
    add_matrix(module, "fc", w)
    return module.refuse()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weight_not_finite(module: Module, value: float):
    text = bad_value(module, value, 21)
    assert "fc.onnx" in text
    assert "row 21, from column 32 on, is not a finite number" in text


def test_scale_overflow(module: Module):
    text = bad_value(module, 5e5, 3)
    assert "fc.onnx" in text
    assert "float16" in text


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_scale_not_finite(module: Module, scale: float):
    q = np.zeros((4, 4), np.int8)
    s = np.array([1, 1, scale, 1], np.float32)
    recipe = f"#qtale.dequantize<{module.source(q)}, {module.source(s)}, axis = 0, block = 0>"
    module.weight("w", "tensor<4x4xf32>", recipe, 64)
    text = module.refuse()
    assert "w.onnx" in text
    assert "scale" in text


def test_packed_float_overflow(module: Module):
    w = np.full((16, 16), 1e6, np.float32)
    recipe = f"#qtale.pack<#qtale.cast<{module.source(w)}, f16>>"
    module.weight("w", "tensor<16x16xf16, #qtale.packed<f16>>", recipe, 512)
    assert "is beyond the weights' type" in module.refuse()


def test_packed_float_infinity(module: Module):
    """What is infinite already stays so, as in masks."""
    w = np.zeros((16, 16), np.float32)
    w[3, 4:] = -np.inf
    recipe = f"#qtale.pack<#qtale.cast<{module.source(w)}, f16>>"
    module.weight("w", "tensor<16x16xf16, #qtale.packed<f16>>", recipe, 512)
    done = module.run()
    assert done.returncode == 0, done.stderr


def test_missing_source(module: Module):
    recipe = '#qtale.source<file = "gone.data", offset = 0, bytes = 256, type = tensor<8x8xf32>>'
    module.weight("w", "tensor<8x8xf32>", recipe, 256)
    text = module.refuse()
    assert "w.onnx" in text
    assert "gone.data': No such file" in text


def test_short_source(module: Module):
    recipe = '#qtale.source<file = "w.data", offset = 100, bytes = 256, type = tensor<8x8xf32>>'
    module.weight("w", "tensor<8x8xf32>", recipe, 256)
    text = module.refuse()
    assert "w.onnx" in text
    assert "256 bytes at offset 100" in text
    assert "the file has 3 bytes" in text


def test_folder_as_source(module: Module):
    (module.folder / "folder").mkdir()
    recipe = '#qtale.source<file = "folder", offset = 0, bytes = 4, type = tensor<1xf32>>'
    module.weight("w", "tensor<1xf32>", recipe, 4)
    assert "s a directory" in module.refuse().lower().replace("is a", "s a")


def test_unpacked_scheme(module: Module):
    w = np.zeros((16, 32), np.float32)
    scheme = "bits = 4, group = 32"
    recipe = f"#qtale.quantize<{module.source(w)}, <{scheme}>>"
    module.weight("w", f"tensor<16x32xf32, #qtale.int<{scheme}>>", recipe, 256)
    assert "not packed" in module.refuse()


def test_scheme_within_recipe(module: Module):
    w = np.zeros((16, 32), np.float32)
    recipe = f"#qtale.quantize<{module.source(w)}, <bits = 4, group = 32>>"
    recipe = f"#qtale.transpose<{recipe}, [1, 0]>"
    module.weight("w", "tensor<32x16xf32>", recipe, 2048)
    assert "must not be made of what is quantized or packed" in module.refuse()


def test_hole(module: Module):
    module.offset = 128
    add_vector(module, "w", np.zeros(4, np.float32))
    assert "must stand at offset 0 of the data section, but stands at 128" in module.refuse()


def test_unwritable_output(module: Module):
    add_vector(module, "w", np.zeros(4, np.float32))
    module.output.mkdir()
    done = module.run()
    assert done.returncode == 1
    assert "it is a folder" in done.stderr


def test_full_disk(module: Module, random: np.random.Generator):
    """A file-size limit stands in for the full disk: the same error path."""
    add_vector(module, "w", random.standard_normal(1 << 20).astype(np.float32))
    before = {"w.data", "m.mlir"}
    done = module.run(limit=1 << 20)
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "can't write" in done.stderr
    assert {path.name for path in module.folder.iterdir()} <= before


def test_reserved_name(module: Module):
    add_vector(module, "__metadata__", np.zeros(16, np.float32))
    assert "can't be stored under this name" in module.refuse()


def test_name_that_is_not_utf8(module: Module):
    add_vector(module, '"w\\FF"', np.zeros(16, np.float32))
    module.ops[0] = module.ops[0].replace(' loc(""w\\FF".onnx")', "")
    assert "can't be stored under this name" in module.refuse()


def test_weights_without_elements(module: Module):
    add_matrix(module, "fc", np.zeros((0, 64), np.float32))
    module.offset = 0
    add_vector(module, "norm", np.zeros(0, np.float32))
    tensors, _ = module.write()
    assert tensors["fc"].size == tensors["norm"].size == 0
