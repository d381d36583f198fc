"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale.cli import main
from qtale.reference import negative_log_likelihood


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def qtale_command(*arguments: str | Path, **environment: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "qtale.cli", *arguments],
        env=os.environ | {key: str(value) for key, value in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )


# -- compile, generate -------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "variable"), [("compile", "QTALE_COMPILE"), ("generate", "QTALE_RUN")]
)
def test_tools_get_the_words_and_give_the_code(tmp_path: Path, command: str, variable: str):
    tool = program(tmp_path / "tool", 'printf "%s|" "$@"; echo said >&2; exit 7')
    done = qtale_command(command, "--help", "a b", "-o", "", **{variable: tool})
    assert (done.returncode, done.stdout, done.stderr) == (7, "--help|a b|-o||", "said\n")
    done = qtale_command(command, "x", **{variable: tmp_path / "missing"})
    assert done.returncode == 1
    assert done.stderr == f"qtale: error: {variable}={tmp_path / 'missing'}: no such program\n"


def test_compile_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Options have the command's names; what the compiler says is the error's text."""
    said = tmp_path / "said"
    tool = program(tmp_path / "tool", f'printf "%s\\n" "$@" > {said}')
    monkeypatch.setenv("QTALE_COMPILE", str(tool))
    result = qtale.compile(
        Path("m.onnx"),
        "m.so",
        weights="int4",
        group=64,
        asymmetric=True,
        bundle=False,
        tokenizer=None,
        cpu=["x86-64-v3", "x86-64-v4"],
    )
    assert result == Path("m.so")
    assert said.read_text().splitlines() == [
        "m.onnx",
        "-o",
        "m.so",
        "--weights=int4",
        "--group=64",
        "--asymmetric",
        "--cpu=x86-64-v3,x86-64-v4",
    ]
    for code, expected in ((1, "COMPILE"), (2, "INVALID_ARGUMENT")):
        program(tool, f"echo 'm.onnx: node n: not supported' >&2; exit {code}")
        with pytest.raises(qtale.Error, match="node n: not supported") as caught:
            qtale.compile("m.onnx", "m.so")
        assert caught.value.code == expected


# -- eval --------------------------------------------------------------------


def fake_nll(ids: list[int], context: int) -> list[float]:
    """fake_model.c: logits are 0 but for token + 1, which has its position + 1."""
    losses = []
    for begin in range(0, len(ids), context):
        window = ids[begin : begin + context]
        for at in range(len(window) - 1):
            right = at + 1 if window[at + 1] == window[at] + 1 else 0
            losses.append(math.log(15 + math.exp(at + 1)) - right)
    return losses


@pytest.mark.parametrize("context", [None, 4, 5, 32])
def test_eval_ids(
    fake: Path, tmp_path: Path, context: int | None, capsys: pytest.CaptureFixture[str]
):
    ids = np.random.default_rng(0).integers(3, 12, 41)
    ids[10:20] = np.arange(3, 13)
    np.save(tmp_path / "ids.npy", ids)
    arguments = ["eval", str(fake), "--ids", str(tmp_path / "ids.npy")]
    if context:
        arguments += ["--context", str(context)]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    losses = fake_nll(ids.tolist(), context or 32)
    assert result["tokens"] == len(losses)
    assert result["context"] == (context or 32)
    assert result["nll"] == pytest.approx(np.mean(losses))
    assert result["perplexity"] == pytest.approx(math.exp(np.mean(losses)))
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"perplexity {result['perplexity']:.4f}\n"


def test_eval_in_pieces(fake: Path, monkeypatch: pytest.MonkeyPatch):
    """Large vocabularies are evaluated a few rows at a time, with the same result."""
    from qtale import perplexity

    ids = np.arange(3, 12).repeat(3)
    with qtale.load(fake) as artifact:
        whole = perplexity.perplexity(artifact, ids)
        monkeypatch.setattr(perplexity, "LOGITS_BYTES", 16 * 4 * 3)
        pieces = perplexity.perplexity(artifact, ids)
    assert pieces.nll == pytest.approx(whole.nll, rel=1e-12)
    assert (pieces.tokens, pieces.windows) == (whole.tokens, whole.windows)


def test_eval_text(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """BOS goes before the text."""
    (tmp_path / "text").write_text("abcabd")
    assert main(["eval", str(fake), "--text", str(tmp_path / "text"), "--json"]) == 0
    losses = fake_nll([1, 3, 4, 5, 3, 4, 6], 32)
    assert json.loads(capsys.readouterr().out)["nll"] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.5])
def test_eval_at_a_threshold(
    fake_routed: Path, tmp_path: Path, threshold: float, capsys: pytest.CaptureFixture[str]
):
    """What ran is told: by fake_model.c's rule, of tokens from position 2 on."""
    ids = np.random.default_rng(0).integers(0, 16, 40)
    np.save(tmp_path / "ids.npy", ids)
    arguments = ["eval", str(fake_routed), "--ids", str(tmp_path / "ids.npy")]
    assert main([*arguments, "--threshold", str(threshold), "--json"]) == 0
    with qtale.load(fake_routed) as artifact:
        routers = int(artifact.routing.routed.sum())
    # Two windows, of 32 and 8 tokens; the last token of each predicts nothing, and is not run.
    read = np.concatenate((ids[2:31], ids[34:39]))
    ran, below = [], np.ones(len(read), bool)
    for _ in range(routers):
        below = np.where(below, read / 16, 1 - read / 16) >= threshold
        ran.append(below)
    out = capsys.readouterr()
    assert json.loads(out.out)["ratio"] == pytest.approx(np.mean(ran))
    assert f"{100 * np.mean(ran):.1f}% of what routers decide about ran" in out.err
    assert main(arguments) == 0
    assert main([*arguments, "--threshold", "-1"]) == 1


def test_eval_of_dense_models_has_no_ratio(
    fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    np.save(tmp_path / "ids.npy", np.arange(3, 12))
    arguments = ["eval", str(fake), "--ids", str(tmp_path / "ids.npy")]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ratio"] is None
    for option in ("--ratio", "--threshold"):
        assert main([*arguments, option, "0.5"]) == 1
        assert "has no routers" in capsys.readouterr().err


def test_negative_log_likelihood():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1, 1, 1]])
    np.testing.assert_allclose(np.exp(-negative_log_likelihood(logits + 3, [0, 1, 2])), [0.25, 0.8])


def test_eval_errors(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def answer(*arguments: str | Path) -> str:
        assert main(["eval", *map(str, arguments)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("qtale: error: ")
        return err

    text = tmp_path / "text"
    text.write_text("")
    assert "nothing to predict" in answer(fake, "--text", text)
    text.write_text("abc")
    assert "2 to 32 tokens, but has 33" in answer(fake, "--text", text, "--context", "33")
    assert "2 to 32 tokens, but has 1" in answer(fake, "--text", text, "--context", "1")
    assert "not a .npy file" in answer(fake, "--ids", text)
    assert "No such file" in answer(fake, "--ids", tmp_path / "none.npy")
    assert "no such file" in answer(tmp_path / "none.so", "--text", text)
    text.write_bytes(b"\xff")
    assert "not UTF-8" in answer(fake, "--text", text)
    np.save(tmp_path / "ids.npy", np.zeros((2, 2), np.int64))
    assert "shape [N]" in answer(fake, "--ids", tmp_path / "ids.npy")
    for ids in ([3, 16], [-1, 3]):
        np.save(tmp_path / "ids.npy", np.array(ids))
        assert "vocabulary of 16" in answer(fake, "--ids", tmp_path / "ids.npy")


# -- all ---------------------------------------------------------------------


def test_only_training_imports_torch():
    package = Path(qtale.__file__).parent
    found = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) torch\b", path.read_text(), re.MULTILINE)
    }
    assert found == {"train"}


@pytest.mark.parametrize("command", [[], ["export"], ["eval"], ["calibrate"], ["plot"]])
def test_help(command: list[str]):
    done = qtale_command(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: qtale")
    assert done.stderr == ""


def test_wrong_usage():
    for words in (
        [],
        ["nonsense"],
        ["eval", "m.so"],
        ["eval", "m.so", "--text", "a", "--ids", "b"],
        ["eval", "m.so", "--text", "a", "--ratio", "0.5", "--threshold", "0.5"],
        ["calibrate", "m.so"],
        ["plot", "s.json"],
    ):
        done = qtale_command(*words)
        assert done.returncode == 2
        assert "usage:" in done.stderr
        assert "Traceback" not in done.stderr


def test_progress_only_on_a_terminal(stories: Path, tmp_path: Path):
    """A bar on standard error where it is a terminal; nothing in a file."""
    command = [sys.executable, "-m", "qtale.cli", "export", str(stories / "stories260K.bin"), "-o"]
    done = subprocess.run(
        [*command, tmp_path / "a.onnx"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    master, slave = pty.openpty()
    subprocess.run([*command, tmp_path / "b.onnx"], stderr=slave, check=True)
    os.close(slave)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    assert "100% of 1.0 MiB" in shown


def test_closed_pipe(fake: Path, tmp_path: Path):
    """`qtale eval ... | true` is no error of ours."""
    (tmp_path / "text").write_text("abc")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "qtale.cli", "eval", fake, "--text", tmp_path / "text"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
