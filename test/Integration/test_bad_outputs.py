"""Where an output can't be written it is said, and nothing is half written."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from programs import QTALE_COMPILE, QTALE_RUN, contents, did_not_crash, execute, refuses, succeeds

KINDS = [["--emit=lib"], ["--emit=lib", "--bundle"], ["--emit=exe", "--bundle"], ["--emit=obj"]]


@pytest.mark.parametrize("option", ["--emit=lib", "--emit=exe", "--emit=obj", "--emit=packed"])
def test_folders_that_cannot_be(stories_onnx: Path, tmp_path: Path, option: str):
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    for output, reason in (
        ("file/m.so", "Not a directory"),
        ("nowhere/m.so", "No such file"),
        ("taken", "older" if option == "--emit=packed" else "it is a folder"),
    ):
        path = tmp_path / output
        said = refuses(QTALE_COMPILE, stories_onnx, "-o", path, option, folder=tmp_path)
        assert str(path) in said
        if output != "taken" or option != "--emit=packed":
            assert reason in said


def test_weights_that_cannot_be(stories_onnx: Path, tmp_path: Path):
    """The other file's place is taken."""
    (tmp_path / "m.safetensors").mkdir()
    said = refuses(QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so", folder=tmp_path)
    assert f"{tmp_path / 'm.safetensors'}': it is a folder" in said


def test_unwritable_folder(stories_onnx: Path, tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        # Root may write everywhere; nobody may not, and must reach the model and the folder.
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        if execute("test", "-x", QTALE_COMPILE, **user).code:
            pytest.skip(f"{QTALE_COMPILE} is closed to other users")
        for part in (stories_onnx, *stories_onnx.parents, *folder.parents):
            if tmp_path.parents[1] in (part, *part.parents):
                part.chmod(part.stat().st_mode | 0o555)
    for options in (*KINDS, ["--emit=packed"]):
        words = (QTALE_COMPILE, stories_onnx, "-o", folder / "m.so", *options)
        said = refuses(*words, folder=tmp_path, **user)
        assert str(folder / "m.so") in said
        assert "Permission denied" in said


@pytest.mark.parametrize(
    ("option", "size"),
    [
        ("--emit=lib", 1_000),
        ("--emit=lib", 600_000),
        ("--emit=obj", 100_000),
        ("--bundle", 1_200_000),
        ("--emit=kernels", 1_000),
        ("--emit=kernels", 100_000),
    ],
)
def test_limit_of_a_files_size(stories_onnx: Path, tmp_path: Path, option: str, size: int):
    """Limits below what a file needs; an older artifact stays as it was."""
    (tmp_path / "m.so").write_text("older")
    said = refuses(
        QTALE_COMPILE,
        stories_onnx,
        "-o",
        tmp_path / "m.so",
        option,
        folder=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    assert "File too large" in said or "linking failed" in said
    assert (tmp_path / "m.so").read_text() == "older"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """small_disk(size) -> a folder with so much space."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(size: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a small file system can't be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for path in mounted:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    ("options", "size"),
    [(KINDS[0], "64K"), (KINDS[0], "1200K"), (KINDS[1], "1200K"), (KINDS[2], "400K")],
)
def test_full_disk(
    stories_onnx: Path, small_disk: Callable[[str], Path], options: list[str], size: str
):
    folder = small_disk(size)
    said = refuses(QTALE_COMPILE, stories_onnx, "-o", folder / "m.so", *options, folder=folder)
    assert "No space left on device" in said
    assert str(folder / "m.") in said


def test_full_scratch(stories_onnx: Path, small_disk: Callable[[str], Path], tmp_path: Path):
    """Objects wait in TMPDIR."""
    scratch, output = small_disk("64K"), tmp_path / "out"
    output.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    words = (QTALE_COMPILE, stories_onnx, "-o", output / "m.so")
    said = refuses(*words, folder=tmp_path, env=environment)
    assert "No space left on device" in said
    assert str(scratch) in said
    environment["TMPDIR"] = str(tmp_path / "nowhere")
    assert "TMPDIR" in refuses(*words, folder=tmp_path, env=environment)


def test_scratch_is_cleaned_up(stories_onnx: Path, tmp_path: Path):
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    (tmp_path / "scratch").mkdir()
    succeeds(QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so", env=environment)
    assert not list((tmp_path / "scratch").iterdir())
    assert set(contents(tmp_path)) == {"m.so", "m.safetensors", "scratch"}


def test_output_over_what_is_compiled(stories_onnx: Path, tmp_path: Path):
    """The model, its weights, its tokenizer, by whatever name."""
    folder = tmp_path / "model"
    shutil.copytree(stories_onnx.parent, folder)
    model = folder / "model.onnx"
    (tmp_path / "link").symlink_to(folder)
    for output in (model, folder / "model.onnx.data", folder / "tokenizer.json"):
        for options in (["--emit=lib"], ["--emit=packed"], ["--bundle"]):
            words = (QTALE_COMPILE, model, *options, "-o")
            said = refuses(*words, output, folder=folder)
            assert f"{output}: would be overwritten" in said
            refuses(*words, tmp_path / "link" / output.name, folder=folder)
    succeeds(QTALE_COMPILE, model, "--emit=llvm", "-o", folder / "m.mlir")
    assert "would be overwritten" in refuses(
        QTALE_COMPILE, folder / "m.mlir", "-o", folder / "m.mlir", folder=folder
    )


def test_weights_over_what_is_compiled(stories_onnx: Path, tmp_path: Path):
    """m.so's weights are m.safetensors: a source of that name is kept."""
    model = onnx.load(stories_onnx, load_external_data=True)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.safetensors")
    said = refuses(QTALE_COMPILE, tmp_path / "m.onnx", "-o", tmp_path / "m.so", folder=tmp_path)
    assert f"{tmp_path / 'm.safetensors'}: would be overwritten" in said
    succeeds(QTALE_COMPILE, tmp_path / "m.onnx", "-o", tmp_path / "m.so", "--bundle")
    succeeds(QTALE_RUN, tmp_path / "m.so", "--verify")


def test_an_interrupted_compile_leaves_no_file(stories_onnx: Path, tmp_path: Path):
    """Ctrl-C: outputs that were begun are gone."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
    )
    while not list(scratch.iterdir()) and process.poll() is None:
        pass
    assert len(list(tmp_path.iterdir())) == 3, "outputs are begun before"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    assert not [path for path in scratch.rglob("*") if path.is_file()]


def test_run_outputs(compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path):
    """qtale-run under a limit: a failed write is told."""
    artifact = compiled(stories_onnx)
    with (tmp_path / "text").open("wb") as text:
        done = subprocess.run(
            [QTALE_RUN, artifact, "--prompt", "", "--steps", "200"],
            stdout=text,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
        )
    assert done.returncode == 1
    assert b"File too large" in done.stderr


def test_did_not_crash_itself():
    """The judge can say no."""
    done = execute("sh", "-c", "kill -SEGV $$")
    with pytest.raises(AssertionError):
        did_not_crash(done)
