"""Artifacts, weights and requests that are at fault: told by name, with the right exit code."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_COMPILE, QTALE_RUN, refuses, succeeds

import qtale


@pytest.fixture
def artifact(compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    for path in compiled(stories_onnx).parent.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path / "m.so"


def refused(artifact: Path, *words: object, code: int = 1) -> str:
    words = words or ("--prompt", "")
    return refuses(QTALE_RUN, artifact, *words, folder=artifact.parent, code=code)


def refused_everywhere(artifact: Path, code: str) -> str:
    """By qtale-run and, with this code, by the Python bindings."""
    with pytest.raises(qtale.Error) as caught:
        qtale.load(artifact)
    assert caught.value.code == code
    assert str(artifact.parent) in str(caught.value)
    return refused(artifact)


# -- Weights -----------------------------------------------------------------


def test_cut_weights(artifact: Path):
    weights = artifact.with_name("m.safetensors")
    whole = weights.read_bytes()
    for size in (0, 7, 8, 1000, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:size])
        said = refused_everywhere(artifact, "CORRUPT")
        assert f"m.safetensors: the weights have {size} bytes, this artifact's have" in said


def test_weights_of_another_compile(
    artifact: Path, compiled: Callable[..., Path], stories_onnx: Path
):
    """Of another size, or of the same: then the header tells."""
    weights = artifact.with_name("m.safetensors")
    shutil.copy(compiled(stories_onnx, weights="int4").with_name("m.safetensors"), weights)
    assert "compile again" in refused_everywhere(artifact, "CORRUPT")
    shutil.copy(compiled(stories_onnx).with_name("m.safetensors"), weights)
    content = bytearray(weights.read_bytes())
    assert content.count(b'"F32"')
    weights.write_bytes(content.replace(b'"F32"', b'"I32"', 1))
    assert "m.safetensors" in refused_everywhere(artifact, "CORRUPT")


def test_altered_weights(artifact: Path):
    """Opening is quick and does not look; --verify names the tensor."""
    weights = artifact.with_name("m.safetensors")
    content = bytearray(weights.read_bytes())
    length = struct.unpack_from("<Q", content)[0]
    tensors = json.loads(content[8 : 8 + length])
    name = sorted(key for key in tensors if key != "__metadata__")[5]
    begin, end = tensors[name]["data_offsets"]
    for at in (begin, (begin + end) // 2, end - 1):
        content[8 + length + at] ^= 0x10
        weights.write_bytes(content)
        assert f"tensor '{name}'" in refused(artifact, "--verify")
        content[8 + length + at] ^= 0x10
    weights.write_bytes(content)
    succeeds(QTALE_RUN, artifact, "--verify")


def test_missing_weights(artifact: Path):
    artifact.with_name("m.safetensors").unlink()
    assert "can't open the weights" in refused_everywhere(artifact, "NOT_FOUND")
    artifact.with_name("m.safetensors").mkdir()
    assert "m.safetensors: not a file" in refused(artifact)


def test_cut_bundle(compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path):
    """Cut in its weights, the code still loads; then the weights are what is missing."""
    whole = compiled(stories_onnx, bundle=True).read_bytes()
    path = tmp_path / "m.so"
    offset, length = struct.unpack_from("<QQ", whole, len(whole) - 24)
    for size in (offset, offset + 8, offset + length // 2, len(whole) - 32, len(whole) - 1):
        path.write_bytes(whole[:size])
        said = refused(path)
        assert str(tmp_path) in said
        assert "weights" in said or "bundle" in said
    for size in (0, 63, 64, 1000, offset // 2):
        path.write_bytes(whole[:size])
        assert str(path) in refused_everywhere(path, "CORRUPT")


# -- Code --------------------------------------------------------------------


def test_cut_library(artifact: Path):
    whole = artifact.read_bytes()
    for size in (*range(0, len(whole), len(whole) // 20), 63, 64, 65, 1000, len(whole) - 1):
        artifact.write_bytes(whole[:size])
        said = refused_everywhere(artifact, "CORRUPT")
        assert ("is cut short" if size >= 64 else "is no artifact") in said


def test_another_processor(artifact: Path):
    content = bytearray(artifact.read_bytes())
    machine = struct.unpack_from("<H", content, 18)[0]
    for other, name in ((62, "x86-64"), (183, "AArch64"), (243, "another processor")):
        if other == machine:
            continue
        struct.pack_into("<H", content, 18, other)
        artifact.write_bytes(content)
        assert f"was compiled for {name}" in refused_everywhere(artifact, "UNSUPPORTED")


def test_what_is_no_artifact(artifact: Path, stories_onnx: Path):
    artifact.write_bytes(b"")
    assert "is no artifact" in refused_everywhere(artifact, "CORRUPT")
    artifact.write_bytes(b"MZ" + bytes(1000))
    assert "is no artifact" in refused_everywhere(artifact, "CORRUPT")
    artifact.unlink()
    assert "No such file" in refused_everywhere(artifact, "NOT_FOUND")
    artifact.mkdir()
    assert "is a folder" in refused_everywhere(artifact, "IO")
    assert "compile it with: qtale-compile" in refused(stories_onnx)


# -- Requests ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--ids", "1,512"], 1, "is 512; the model's vocabulary has the ids 0 to 511"),
        (["--ids", "1,-1"], 2, "--ids must be"),
        (["--ids", ",".join(["3"] * 513)], 1, "has 513 tokens, but the model's context holds 512"),
        (["--prompt", "Once upon a time " * 300], 1, "context holds 512"),
        (["--ids", "nowhere.npy"], 1, "nowhere.npy"),
        (["--prompt", "", "--threshold", "0.5"], 1, "no router"),
        (["--input", "x=nowhere.npy"], 1, "nowhere.npy"),
        (["--frobnicate"], 2, "--frobnicate"),
        (["--prompt", "", "--threads", "-3"], 2, "--threads"),
    ],
)
def test_requests(artifact: Path, words: list[str], code: int, message: str):
    assert message in refused(artifact, *words, code=code)


def test_arrays_that_do_not_fit(artifact: Path, tmp_path: Path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    with qtale.load(artifact) as a:
        names = [(name, dtype, shape) for name, dtype, shape in a.inputs]
    words: list[str] = []
    for name, dtype, shape in names:
        dims = [
            0 if name.startswith("past") and at == 2 else max(d, 1) for at, d in enumerate(shape)
        ]
        np.save(inputs / f"{name}.npy", np.zeros(dims, dtype))
        words += ["--input", f"{name}={inputs / name}.npy"]
    succeeds(QTALE_RUN, artifact, *words)
    # Indices out of range are clamped: the value is unspecified, memory is safe.
    for token in (512, -513, 1 << 62, -(1 << 63)):
        np.save(inputs / "input_ids.npy", np.full((1, 1), token))
        succeeds(QTALE_RUN, artifact, *words)
    np.save(inputs / "input_ids.npy", np.zeros((1, 1), np.float32))
    assert "input_ids" in refused(artifact, *words)
    np.save(inputs / "input_ids.npy", np.zeros((1, 1, 1), np.int64))
    assert "input_ids" in refused(artifact, *words)
    np.save(inputs / "input_ids.npy", np.zeros((3, 1), np.int64))
    assert refused(artifact, *words)
    assert "logits" not in refused(artifact, *words[:-2])


def test_busy(artifact: Path):
    """While one thread works in a session, another is told so, and nothing changes."""
    ids = np.random.default_rng(5).integers(0, 512, 500)
    with qtale.load(artifact) as a:
        expected = a.session(threads=1).step(ids)
        s, got, codes = a.session(threads=1), [], []

        def work() -> None:
            while not got:
                try:
                    got.append(s.step(ids))
                except qtale.Error as error:  # the other was first
                    codes.append(error.code)

        worker = threading.Thread(target=work)
        worker.start()
        while worker.is_alive():
            try:
                s.fork()
            except qtale.Error as error:
                codes.append(error.code)
        worker.join()
        assert set(codes) == {"BUSY"}
        np.testing.assert_array_equal(got[0], expected)
        assert s.position == 500


# -- Printed stages ----------------------------------------------------------


@pytest.fixture(scope="module")
def packed(stories_onnx: Path) -> str:
    return succeeds(QTALE_COMPILE, stories_onnx, "--emit=packed", cwd=stories_onnx.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('qtale.stage = "packed"', 'qtale.stage = "wrapped"', "no stage in qtale.stage"),
        ('qtale.stage = "packed"', "qtale.stage = 3", "no stage in qtale.stage"),
        ("qtale.options = ", "qtale.wishes = ", "no qtale.options"),
        ("qtale.options = {", "qtale.options = 3, qtale.wishes = {", "no qtale.options"),
        ('levels = ["', 'levels = ["x', "there is no CPU level 'x"),
        ('weights = "keep"', 'weights = "int3"', "int3"),
        ('kv = "f32"', 'kv = "f31"', "f31"),
        ('levels = ["', 'levels = ["armv8-a", "', "is of aarch64"),
        ("group = 32", "group = 33", "33"),
        ("group = 32 : i64", "group = true", "option group"),
        ("asymmetric = false", "asymmetric = 0", "option asymmetric"),
        ('kv = "f32"', "kv = 32", "option kv"),
    ],
)
def test_stages(packed: str, stories_onnx: Path, tmp_path: Path, old: str, new: str, message: str):
    assert packed.count(old) == 1
    for path in stories_onnx.parent.iterdir():
        (tmp_path / path.name).symlink_to(path)
    stage = tmp_path / "m.mlir"
    stage.write_text(packed.replace(old, new))
    said = refuses(QTALE_COMPILE, stage, "-o", tmp_path / "m.so", folder=tmp_path)
    assert "m.mlir" in said
    assert message in said
    assert len(said) < 500, "not the whole module"
