"""`cmake --install` gives a tree that works elsewhere, in an empty environment.

The Python package is none of its parts: pip installs that.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import BUILD, ROOT, STORY, TELL, succeeds

CLEAN = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed, then moved."""
    cmake = shutil.which("cmake") or ROOT / ".venv/bin/cmake"
    if not Path(cmake).exists():
        pytest.skip("no cmake")
    folder = tmp_path_factory.mktemp("install")
    succeeds(cmake, "--install", BUILD, "--prefix", folder / "made")
    return (folder / "made").rename(folder / "moved")


def test_tree(prefix: Path):
    programs = {path.name for path in (prefix / "bin").iterdir()}
    assert programs == {"qtale-compile", "qtale-run", "qtale-opt", "qtale-lsp-server"}
    assert (prefix / "include/qtale/Runtime/qtale.h").exists()
    targets = list(prefix.glob("lib/qtale/*"))
    assert f"{platform.machine()}-linux-gnu" in [path.name for path in targets]
    for target in targets:
        assert sorted(path.name for path in target.iterdir()) == ["run.o", "runtime.o"]


def test_compiles_and_runs(prefix: Path, stories_onnx: Path, tmp_path: Path):
    binaries = prefix / "bin"
    compile = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", binaries / "qtale-compile", stories_onnx]
    succeeds(*compile, "-o", tmp_path / "m.so", cwd=tmp_path)
    assert succeeds(binaries / "qtale-run", "m.so", *TELL, cwd=tmp_path, env=CLEAN) == STORY
    succeeds(*compile, "-o", tmp_path / "m", "--emit=exe", "--bundle")
    assert succeeds(tmp_path / "m", *TELL, env=CLEAN) == STORY
    text = succeeds(*compile, "--emit=packed")
    (tmp_path / "packed.mlir").write_text(text)
    succeeds(binaries / "qtale-opt", tmp_path / "packed.mlir", env=CLEAN)


def test_header(build: Callable[..., Path], prefix: Path, tmp_path: Path):
    """The installed header is enough for C, and for C++."""
    example = ROOT / "docs/examples/generate.c"
    text = example.read_text().replace('"qtale/Runtime/qtale.h"', "<qtale/Runtime/qtale.h>")
    (tmp_path / "generate.c").write_text(text)
    build(tmp_path / "generate.c", tmp_path / "generate", "-nostdinc++", "-I", prefix / "include")
