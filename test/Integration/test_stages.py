"""Every stage that --emit prints parses again, and compiles on to the same bytes.

    model.onnx ─────────────────────────────▶ m.so, m.safetensors
        └─ --emit=STAGE ▶ other/m.mlir ─────▶ the same, byte for byte
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from programs import QTALE_COMPILE, QTALE_OPT, contents, execute, refuses, succeeds

STAGES = ["imported", "quantized", "packed", "unrouted", "kernels", "llvm"]


@pytest.fixture(scope="module", params=["keep", "int4"])
def printed(request, stories_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the artifact, and STAGE/m.mlir of each stage."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "artifact").mkdir()
    options = [stories_onnx, f"--weights={request.param}"]
    succeeds(QTALE_COMPILE, *options, "-o", folder / "artifact/m.so")
    for stage in STAGES:
        (folder / stage).mkdir()
        succeeds(QTALE_COMPILE, *options, f"--emit={stage}", "-o", folder / stage / "m.mlir")
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_parses_and_prints_as_itself(printed: Path, stage: str):
    path = printed / stage / "m.mlir"
    assert succeeds(QTALE_OPT, "--mlir-print-debuginfo", path).strip() == path.read_text().strip()
    # On the way to itself nothing is left to do.
    again = succeeds(QTALE_COMPILE, path, f"--emit={stage}", cwd=path.parent)
    assert again.strip() == path.read_text().strip()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_compiles_on_to_the_same_bytes(printed: Path, tmp_path: Path, stage: str):
    succeeds(QTALE_COMPILE, printed / stage / "m.mlir", "-o", tmp_path / "m.so", cwd="/")
    assert contents(tmp_path) == contents(printed / "artifact")


def test_stages_lead_to_the_next(printed: Path, tmp_path: Path):
    """Step by step, each from another folder, is all at once."""
    source = printed / "imported/m.mlir"
    for stage in STAGES[1:]:
        (tmp_path / stage).mkdir()
        output = tmp_path / stage / "m.mlir"
        succeeds(QTALE_COMPILE, source, f"--emit={stage}", "-o", output)
        source = output
        # Printed without names of nodes, whose numbers follow the order of parsing, and from
        # one folder, since paths of weights are relative to it.
        texts = []
        for path in (output, printed / stage / "m.mlir"):
            succeeds(QTALE_COMPILE, path, f"--emit={stage}", "-o", tmp_path / "m.mlir")
            texts.append(succeeds(QTALE_OPT, tmp_path / "m.mlir"))
        assert texts[0] == texts[1]


def test_a_model_moves_with_its_stage(stories_onnx: Path, tmp_path: Path):
    """Nothing names the place where it was printed."""
    shutil.copytree(stories_onnx.parent, tmp_path / "a")
    succeeds(QTALE_COMPILE, tmp_path / "a/model.onnx", "--emit=packed", "-o", tmp_path / "a/m.mlir")
    assert str(tmp_path) not in (tmp_path / "a/m.mlir").read_text()
    shutil.move(tmp_path / "a", tmp_path / "b")
    succeeds(QTALE_COMPILE, tmp_path / "b/m.mlir", "-o", tmp_path / "b/m.so", "--emit=obj")


# A library's bytes are compared above.
@pytest.mark.parametrize("options", [["--emit=exe", "--bundle"], ["--emit=obj"]])
def test_two_compiles_give_equal_bytes(stories_onnx: Path, tmp_path: Path, options: list[str]):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        succeeds(QTALE_COMPILE, stories_onnx, "-o", tmp_path / name / "m.so", *options)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--weights=int8", "--weights"),
        ("--group=128", "--group"),
        ("--asymmetric", "--asymmetric"),
        ("--activations=int8", "--activations"),
        ("--kv=f16", "--kv"),
        ("--cpu=x86-64-v2", "--cpu"),
        ("--emit=imported", "beyond 'imported'"),
    ],
)
def test_options_that_contradict_a_stage(printed: Path, tmp_path: Path, option: str, name: str):
    if printed.name.startswith("int4"):
        option = option.replace("activations=int8", "activations=float").replace("f16", "f32")
    stage = printed / "packed/m.mlir"
    said = refuses(QTALE_COMPILE, stage, "-o", tmp_path / "m.so", option, folder=tmp_path)
    assert str(stage.name) in said
    assert "is at stage 'packed'" in said
    assert name in said


def test_options_that_agree_with_a_stage(printed: Path, tmp_path: Path):
    weights = "int4" if printed.name.startswith("int4") else "keep"
    stage = printed / "packed/m.mlir"
    done = execute(QTALE_COMPILE, stage, f"--weights={weights}", "--group=32", "--emit=unrouted")
    assert (done.code, done.err) == (0, "")
