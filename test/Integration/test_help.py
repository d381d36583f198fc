"""--help of every command: exit code 0, on stdout, and it knows every option."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest
from programs import QTALE_COMPILE, QTALE_OPT, QTALE_RUN, execute, refuses

QTALE = [sys.executable, "-m", "qtale.cli"]

COMPILE = (
    "--weights --group --asymmetric --activations --kv --cpu --target --emit --bundle --tokenizer"
    " --print-operators"
    " -o keep f32 f16 bf16 int8 int4 float lib exe obj native 32 64 128"
    " imported quantized packed unrouted kernels llvm"
)
RUN = (
    "--prompt --ids --input --output-dir --steps --stop --temperature --top-k --top-p --seed"
    " --threads --threshold --ratio --budget --output --info --json --verify --bench --stats"
    " --profile --weights text ids"
)
COMMANDS = {
    "qtale-compile": ([QTALE_COMPILE], COMPILE),
    "qtale-run": ([QTALE_RUN], RUN),
    "qtale": (QTALE, "export compile generate eval --version"),
    "export": (
        [*QTALE, "export"],
        "CHECKPOINT -o --tokenizer model.onnx.data generation_config.json",
    ),
    "compile": ([*QTALE, "compile"], COMPILE),
    "generate": ([*QTALE, "generate"], RUN),
    "eval": ([*QTALE, "eval"], "ARTIFACT --text --ids --context --json"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, tmp_path: Path):
    words, options = COMMANDS[command]
    done = execute(*words, "--help", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    said = set(re.findall(r"-{0,2}[\w.]+(?:-\w+)*", done.out))
    assert [option for option in options.split() if option not in said] == []
    assert "Traceback" not in done.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_options(command: str, tmp_path: Path):
    """2, with the option's name."""
    words, _ = COMMANDS[command]
    done = execute(*words, "--frobnicate", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "--frobnicate" in done.err or "COMMAND" in done.err or "required" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--target=x86_64-apple-darwin", "targets are x86_64-linux-gnu and aarch64-linux-gnu"),
        ("--target=riscv64-linux-gnu", "targets are x86_64-linux-gnu and aarch64-linux-gnu"),
        ("--target=aarch64-linux-musl", "targets are x86_64-linux-gnu and aarch64-linux-gnu"),
        ("--weights=int3", "int3"),
        ("--group=48", "48"),
        ("--group=many", "many"),
        ("--emit=asm", "asm"),
    ],
)
def test_unknown_values(stories_onnx: Path, tmp_path: Path, option: str, message: str):
    words = (QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so", option)
    assert message in refuses(*words, folder=tmp_path, code=2)


@pytest.mark.parametrize(
    ("level", "message"),
    [("z80", "no CPU level 'z80'"), ("armv8-a", "is of aarch64"), ("x86-64-v2", "is of x86_64")],
)
def test_levels_of_nowhere(stories_onnx: Path, tmp_path: Path, level: str, message: str):
    if message.endswith(platform.machine()):
        pytest.skip("this machine's own")
    words = (QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so", f"--cpu={level}")
    assert message in refuses(*words, folder=tmp_path)


@pytest.mark.parametrize("command", ["qtale-compile", "qtale"])
def test_version(command: str):
    words, _ = COMMANDS[command]
    done = execute(*words, "--version")
    assert done.code == 0
    assert re.search(r"\d+\.\d+\.\d+", done.out)


def test_opt_lists_the_passes():
    done = execute(QTALE_OPT, "--help")
    assert done.code == 0
    for name in ("qtale-quantize-weights", "qtale-pack-weights", "qtale-verify-stage"):
        assert f"--{name}" in done.out
