"""Artifacts of a model written by hand at the stage llvm: what they hold, and that they run."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from weights_module import program

MODEL = (Path(__file__).parent / "model.mlir").read_text()
LEVELS = {
    "x86_64": [("x86-64-v3", "+avx2,+fma", "avx2,fma"), ("x86-64-v2", "+sse4.2", "")],
    "aarch64": [("armv8.2-a+dotprod", "+dotprod", "dotprod"), ("armv8-a", "", "")],
}[platform.machine()]
W = np.arange(16, dtype=np.float32) / 2


class Folder:
    def __init__(self, path: Path, module: str | None = None):
        self.path = path
        head, level = MODEL.split("  module @LEVEL", 1)
        level = level.rsplit("}", 1)[0]
        nested = ""
        for name, features, required in LEVELS:
            text = level.replace('qtale.features = ""', f'qtale.features = "{features}"')
            text = text.replace('qtale.requires = ""', f'qtale.requires = "{required}"')
            nested += f'  module @"{name}"{text}'
        path.mkdir(exist_ok=True)
        (path / "m.mlir").write_text(module or f"{head}{nested}}}")
        (path / "w.data").write_bytes(W.tobytes())

    def edit(self, old: str, new: str) -> None:
        text = (self.path / "m.mlir").read_text()
        assert old in text
        (self.path / "m.mlir").write_text(text.replace(old, new))

    def compile(
        self, kind: str, output: str, *options: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program()), kind, *options, str(self.path / "m.mlir"), str(self.path / output)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )

    def make(self, kind: str, output: str, *options: str) -> Path:
        done = self.compile(kind, output, *options)
        assert done.returncode == 0, done.stderr
        return self.path / output

    def refuse(self, kind: str = "lib", output: str = "m.so", **environment: str) -> str:
        """The diagnostics; nothing may be left behind."""
        before = set(self.path.rglob("*"))
        done = self.compile(kind, output, **environment)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert len(done.stderr) < 1000, "not the whole module"
        assert set(self.path.rglob("*")) == before
        return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "model")


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def qtale_run() -> Path:
    return program().parent / "qtale-run"


GENERATE = ("--ids", "3", "--steps", "4", "--output=ids")


def test_library_generates(folder: Folder):
    artifact = folder.make("lib", "m.so")
    assert (folder.path / "m.safetensors").exists()
    assert run(qtale_run(), artifact, *GENERATE) == "4,5,6,7"
    assert (
        "as they were compiled"
        in subprocess.run(
            [qtale_run(), artifact, "--verify"], capture_output=True, text=True, check=True
        ).stderr
    )


def test_end_of_sequence(folder: Folder):
    artifact = folder.make("lib", "m.so")
    assert run(qtale_run(), artifact, "--ids", "6", "--steps", "9", "--output=ids") == "7,8"


def test_library_computes(folder: Folder):
    artifact = folder.make("lib", "m.so")
    x = np.linspace(-1, 1, 16, dtype=np.float32)
    np.save(folder.path / "x.npy", x)
    out = folder.path / "out"
    run(qtale_run(), artifact, "--input", f"x={folder.path / 'x.npy'}", "--output-dir", out)
    np.testing.assert_array_equal(np.load(out / "y.npy"), x + W)


def test_levels(folder: Folder):
    artifact = folder.make("lib", "m.so")
    for name, _, required in LEVELS:
        if not required:
            text = run(qtale_run(), artifact, *GENERATE, QTALE_CPU=name)
            assert text == "4,5,6,7"
    info = json.loads(run(qtale_run(), artifact, "--info", "--json"))
    assert info["levels"] == [name for name, _, _ in LEVELS]


def test_info(folder: Folder):
    artifact = folder.make("lib", "m.so")
    info = json.loads(run(qtale_run(), artifact, "--info", "--json"))
    assert info["inputs"] == [{"name": "x", "dtype": "float32", "shape": [16]}]
    assert info["outputs"] == [{"name": "y", "dtype": "float32", "shape": [16]}]
    size = (folder.path / "m.safetensors").stat().st_size
    assert info["weights"] == {"file": "m.safetensors", "bytes": size}
    assert info["session"]["vocab"] == 16
    assert info["session"]["context"] == 32
    assert info["session"]["kv"] == "f32"
    assert len(info["hash"]) == 64


@pytest.mark.parametrize(("kind", "name"), [("lib", "m.so"), ("exe", "m")])
def test_bundle_stands_alone(folder: Folder, tmp_path: Path, kind: str, name: str):
    artifact = folder.make(kind, name, "--bundle")
    assert {path.name for path in folder.path.iterdir()} == {"m.mlir", "w.data", name}
    moved = tmp_path / "elsewhere"
    shutil.move(artifact, moved)
    shutil.rmtree(folder.path)
    command = [moved] if kind == "exe" else [qtale_run(), moved]
    assert run(*command, *GENERATE) == "4,5,6,7"


def test_program(folder: Folder):
    artifact = folder.make("exe", "m")
    assert (folder.path / "m.safetensors").exists()
    assert run(artifact, *GENERATE) == "4,5,6,7"


def test_object_links_into_a_program(folder: Folder):
    compiler = shutil.which("cc") or shutil.which("clang-22")
    if not compiler:
        pytest.skip("no C compiler")
    artifact = folder.make("obj", "m.o")
    source = folder.path / "host.c"
    source.write_text(
        "#include <qtale/Runtime/qtale.h>\n"
        "#include <stdio.h>\n"
        "int runtime; int qtale_module_descriptor; /* meet nothing in the object */\n"
        "int main(int argc, char **argv) {\n"
        "  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);\n"
        "  qtale_model *model; qtale_error error;\n"
        "  if (api->model_open(argv[1], 0, &model, &error)) return puts(error.message), 1;\n"
        '  printf("%d\\n", (int)api->model_vocab(model));\n'
        "  api->model_close(model);\n"
        "  return 0;\n"
        "}\n"
    )
    include = Path(__file__).resolve().parents[2] / "include"
    host = folder.path / "host"
    run(compiler, "-I", include, source, artifact, "-lm", "-o", host)
    assert run(host, folder.path / "m.safetensors") == "16"


def symbols(path: Path) -> list[str]:
    """Names that a library defines for others."""
    text = run("readelf", "--dyn-syms", "-W", path)
    rows = [line.split() for line in text.splitlines() if ":" in line]
    return [row[7] for row in rows if len(row) > 7 and row[6] != "UND" and row[4] == "GLOBAL"]


@pytest.mark.skipif(not shutil.which("readelf"), reason="no readelf")
def test_library_exports_one_symbol(folder: Folder):
    artifact = folder.make("lib", "m.so")
    assert symbols(artifact) == ["qtale_get_api"]
    dynamic = run("readelf", "-dW", artifact)
    needed = [line.split("[")[1][:-1] for line in dynamic.splitlines() if "NEEDED" in line]
    assert all(name.startswith(("libc.", "libm.", "ld-linux")) for name in needed)
    segments = run("readelf", "-lW", artifact)
    stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack


@pytest.mark.parametrize(("kind", "name"), [("lib", "m.so"), ("exe", "m"), ("obj", "m.o")])
def test_equal_bytes_from_any_folder(folder: Folder, tmp_path: Path, kind: str, name: str):
    other = Folder(tmp_path / "another folder")
    assert folder.make(kind, name).read_bytes() == other.make(kind, name).read_bytes()


# What users can get wrong.


def test_no_linker(folder: Folder):
    assert "QTALE_LLD is '/nowhere/ld.lld'" in folder.refuse(QTALE_LLD="/nowhere/ld.lld")


def test_failing_linker(folder: Folder):
    assert "linking failed" in folder.refuse(QTALE_LLD=shutil.which("false") or "/bin/false")


def test_no_runtime(folder: Folder):
    text = folder.refuse(QTALE_RUNTIME_DIR="/nowhere")
    assert "the runtime for" in text
    assert "QTALE_RUNTIME_DIR" in text


def test_no_code(tmp_path: Path):
    assert "has not reached the stage llvm" in Folder(tmp_path / "m", "module {}").refuse()


def test_unknown_cpu(folder: Folder):
    folder.edit('qtale.cpu = ""', 'qtale.cpu = "pentium-9"')
    assert "LLVM knows no CPU 'pentium-9'" in folder.refuse()


def test_unknown_target(folder: Folder):
    folder.edit("module attributes {\n", 'module attributes {llvm.target_triple = "avr",\n')
    assert "can't be made" in folder.refuse()


def test_other_target_names_its_runtime(folder: Folder):
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    folder.edit(
        "module attributes {\n", f'module attributes {{llvm.target_triple = "{other}-linux-gnu",\n'
    )
    for _, features, _ in LEVELS:
        if features:
            folder.edit(f'qtale.features = "{features}"', 'qtale.features = ""')
    text = folder.refuse(QTALE_RUNTIME_DIR=str(folder.path))
    assert f"the runtime for {other}-linux-gnu was not found" in text


def test_no_entry(folder: Folder):
    folder.edit("@main", "@other")
    folder.edit("@step(", "@another(")
    assert "has neither @main nor @step" in folder.refuse()


def test_missing_tokenizer(folder: Folder):
    folder.edit("module attributes {\n", 'module attributes {qtale.tokenizer = "t.json",\n')
    assert "t.json" in folder.refuse()


def test_missing_session_attribute(folder: Folder):
    folder.edit("qtale.vocab = 16 : i64, ", "")
    assert "qtale.vocab" in folder.refuse()


def test_unknown_dtype(folder: Folder):
    folder.edit('name = "y", dtype = "float32"', 'name = "y", dtype = "complex"')
    assert "NumPy's" in folder.refuse()


def test_output_is_folder(folder: Folder):
    (folder.path / "m.so").mkdir()
    assert "it is a folder" in folder.refuse()


def test_output_in_missing_folder(folder: Folder):
    assert "No such file or directory" in folder.refuse(output="gone/m.so")


def test_output_named_like_weights(folder: Folder):
    assert "choose another output" in folder.refuse(output="m.safetensors")


def test_object_bundle(folder: Folder):
    done = folder.compile("obj", "m.o", "--bundle")
    assert done.returncode == 1
    assert "--bundle is for libraries and programs" in done.stderr


def test_old_artifact_survives_failure(folder: Folder):
    artifact = folder.make("lib", "m.so")
    old = artifact.read_bytes()
    folder.edit("qtale.vocab = 16 : i64, ", "")
    folder.refuse()
    assert artifact.read_bytes() == old
    assert run(qtale_run(), artifact, *GENERATE) == "4,5,6,7"
