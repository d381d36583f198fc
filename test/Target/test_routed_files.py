"""Artifacts of a routed model written by hand: what their descriptor says of the routing."""

from __future__ import annotations

import json
import struct
import subprocess

import pytest
from test_linked_files import GENERATE, Folder, qtale_run, run

ROUTING = (
    "qtale.routing = {layers = 3 : i64, units = 2 : i64, always = 2 : i64, threshold = 0.25 : f32,"
    ' routed = array<i8: 0, 0, 1, 1, 1, 1>, router = "mlp2", policy = "evict"}'
)
# qtale_calibration: magic, capacity, count, units, reserved, ratios [16], thresholds [16][units].
MAGIC = b"qtale routing calibration table\0" + struct.pack("<I", 16)


@pytest.fixture
def folder(tmp_path) -> Folder:
    folder = Folder(tmp_path / "model")
    folder.edit("  qtale.caches =", f"  {ROUTING},\n  qtale.caches =")
    folder.edit("kv_cache<4x8xf32>", "kv_cache<4x8xf32, ragged>")
    # Thresholds and budgets stand before a routed step's logits.
    folder.edit(
        "%logits = llvm.call @argument(%args, %four)",
        "%place = llvm.mlir.constant(6 : i64) : i64\n"
        "      %logits = llvm.call @argument(%args, %place)",
    )
    return folder


def fails(*command: object) -> str:
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def info(artifact) -> dict:
    return json.loads(run(qtale_run(), artifact, "--info", "--json"))


def test_info(folder: Folder):
    told = info(folder.make("lib", "m.so"))
    assert told["calibrated"] is False
    session = told["session"]
    assert session["layers"] == 3
    assert session["kv"] == "f32"
    assert session["kv_policy"] == "evict"
    assert session["router"] == "mlp2"
    assert session["units"] == 2
    assert session["first_routed_layer"] == 1
    assert session["always_execute_tokens"] == 2
    assert session["threshold"] == 0.25


def test_other_models_tell_that_they_have_no_router(tmp_path):
    told = info(Folder(tmp_path / "dense").make("lib", "m.so"))
    session = told["session"]
    assert session["layers"] == 1
    assert session["kv_policy"] is session["router"] is session["first_routed_layer"] is None
    assert "calibrated" not in told


def test_a_ragged_cache_grows_with_what_runs(folder: Folder):
    # This step reserves nothing in its cache; a dense one gets a block for all positions.
    artifact = folder.make("lib", "m.so")
    stats = folder.path / "s.json"
    words = (*GENERATE, f"--stats={stats}")
    assert run(qtale_run(), artifact, *words) == "4,5,6,7"
    assert json.loads(stats.read_text())["kv_bytes"] == 0
    folder.edit("kv_cache<4x8xf32, ragged>", "kv_cache<4x8xf32>")
    run(qtale_run(), folder.make("lib", "m.so"), *words)
    assert json.loads(stats.read_text())["kv_bytes"] == 16 * 4 * 8 * 2 * 4


@pytest.mark.parametrize("kind", ["lib", "exe"])
def test_the_calibration_is_filled_in_the_file(folder: Folder, kind: str):
    artifact = folder.make(kind, "m.so" if kind == "lib" else "m")
    program = (qtale_run(), artifact) if kind == "lib" else (artifact,)
    assert "qtale calibrate" in fails(*program, *GENERATE, "--ratio=0.5")
    content = artifact.read_bytes()
    assert content.count(MAGIC) == 1
    at = content.index(MAGIC) + len(MAGIC)
    assert struct.unpack_from("<III16f96f", content, at) == (0, 6, 0, *[0] * (16 + 96))

    filled = bytearray(content)
    struct.pack_into("<I", filled, at, 2)
    struct.pack_into("<2f", filled, at + 12, 0.5, 0.75)
    struct.pack_into("<12f", filled, at + 12 + 64, *[0.75] * 6, *[0.25] * 6)
    artifact.write_bytes(filled)
    told = json.loads(run(*program, "--info", "--json"))
    assert (told["calibrated"], told["ratio_span"]) == (True, [0.5, 0.75])
    assert run(*program, *GENERATE, "--ratio=0.6") == "4,5,6,7"
    assert "spans 0.5 to 0.75" in fails(*program, *GENERATE, "--ratio=0.8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("units = 2 : i64", "units = 3 : i64", "must be 1 or 2, but are 3"),
        ("layers = 3 : i64", "layers = 0 : i64", "at least 1 layer, and always of at least 0"),
        ("layers = 3 : i64", "layers = 4 : i64", "must have 8 entries (layers * units), but has 6"),
        ("always = 2 : i64", "always = -1 : i64", "has 3 and -1"),
        ("threshold = 0.25", "threshold = -0.25", "must be at least 0, but is -2.5"),
        ("0.25 : f32", "0x7FC00000 : f32", "must be at least 0, but is"),
        ('router = "mlp2"', "router = 2 : i64", "must be a dictionary of layers, units"),
        ('router = "mlp2", ', "", "must be a dictionary of layers, units"),
    ],
)
def test_odd_attributes(folder: Folder, old: str, new: str, message: str):
    folder.edit(old, new)
    assert message in folder.refuse()
