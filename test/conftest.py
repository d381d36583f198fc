"""What tests of several folders share: models, exported models, artifacts; each made once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import qtale
from qtale.compiler import find_tool
from qtale.exporter import export

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def build() -> Callable[..., Path]:
    """build(source, output, *options) -> output: compiles C. Skips where no compiler is."""
    compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("clang-22")
    if compiler is None:
        pytest.skip("no C compiler was found")

    def build(source: str | Path, output: Path, *options: str | Path) -> Path:
        command = [compiler, f"-I{ROOT / 'include'}", "-o", output, source, *options]
        subprocess.run(command, check=True)
        return output

    return build


@pytest.fixture(scope="session")
def fake(build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact written by hand: fake_model.c."""
    output = tmp_path_factory.mktemp("fake") / "fake.so"
    return build(ROOT / "test/Python/fake_model.c", output, "-shared", "-fPIC")


@pytest.fixture(scope="session", params=[1, 2], ids=["block", "attention_ffn"])
def fake_routed(
    request: pytest.FixtureRequest,
    build: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """fake_model.c with routers, one or two in a layer."""
    output = tmp_path_factory.mktemp("fake") / "fake.so"
    flags = ("-shared", "-fPIC", f"-DUNITS={request.param}")
    return build(ROOT / "test/Python/fake_model.c", output, *flags)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """compiled(model, **options) -> artifact, made once. Skips where there is no compiler.

    For this machine's CPU level, unless `cpu` says otherwise: others take time and are not run.
    """
    try:
        find_tool("qtale-compile")
    except qtale.Error:
        pytest.skip("qtale-compile is not built")
    made: dict[tuple, Path] = {}

    def compiled(model: Path, **options) -> Path:
        options = {"cpu": "native"} | options
        key = (model, *sorted(options.items()))
        if key not in made:
            made[key] = qtale.compile(
                model, tmp_path_factory.mktemp("artifact") / "m.so", **options
            )
        return made[key]

    return compiled


@pytest.fixture(scope="session")
def stories() -> Path:
    """The folder of the trained stories260K model (llama2.c format)."""
    return ROOT / "test/models/stories260K"


@pytest.fixture(scope="session")
def stories_onnx(stories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K, exported."""
    return export(stories / "stories260K.bin", tmp_path_factory.mktemp("stories") / "model.onnx")
