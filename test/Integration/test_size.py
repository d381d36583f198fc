"""What compiling makes and takes: code does not grow with depth, memory not with weights."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from programs import QTALE_COMPILE

import qtale
from qtale.exporter import export
from qtale.testing import TINY, write_random_checkpoint

LARGE = TINY | {"hidden_size": 1020, "intermediate_size": 2048, "vocab_size": 70000}
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def code(path: Path) -> dict[str, int]:
    """Bytes of each section of an object that is executed."""
    data = path.read_bytes()
    (at,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    # name, type, flags, address, offset, size
    headers = [struct.unpack_from("<IIQQQQ", data, at + i * size) for i in range(count)]
    strings = headers[names][4]

    def name(offset: int) -> str:
        begin = strings + offset
        return data[begin : data.index(b"\0", begin)].decode()

    return {name(h[0]): h[5] for h in headers if h[2] & 4}


def of_depth(folder: Path, layers: int, weights: str) -> dict[str, int]:
    changes = {"num_hidden_layers": layers}
    checkpoint = write_random_checkpoint(folder / "checkpoint", TINY | changes)
    model = export(checkpoint, folder / "model.onnx")
    options = {"weights": weights, "emit": "obj", "cpu": "native"}
    return code(qtale.compile(model, folder / "m.o", **options))


@pytest.mark.parametrize("weights", ["keep", "int4"])
def test_code_of_layers_is_shared(tmp_path: Path, weights: str):
    """All kernels are those of two layers; a layer more is the calls that it makes."""
    few, many = (of_depth(tmp_path / str(layers), layers, weights) for layers in (2, 8))
    entries = {name for name in few if name.startswith(".text.qtale.")}
    assert {name.split(".")[3] for name in entries} >= {"main", "step"}
    assert few.keys() == many.keys()
    for name in few.keys() - entries:
        assert few[name] == many[name], name
    for name in entries:
        assert many[name] < few[name] + 6 * 4096


def peak_mib(model: Path, output: Path) -> float:
    options = ["--weights=int4", "--cpu=native", "-o", output]
    command = [sys.executable, "-c", PEAK, QTALE_COMPILE, model, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def test_peak_memory(tmp_path: Path):
    """310 MB of weights, a head of 143 MB among them, on top of almost nothing."""
    models = []
    for name, shape in (("small", TINY), ("large", LARGE)):
        folder = write_random_checkpoint(tmp_path / name, shape, "float16")
        models.append(export(folder, folder / "model.onnx"))
    assert models[1].with_name("model.onnx.data").stat().st_size > 300e6
    small, large = (peak_mib(model, model.with_name("m.so")) for model in models)
    assert large - small < 120
