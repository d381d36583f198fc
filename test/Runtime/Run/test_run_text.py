"""qtale-run writes text: what it prints, where it ends, what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from run_program import ARTIFACT, CONTEXT, PROGRAM, QTALE_RUN, SHOWN, TEXT, execute, run

IDS = [3 + byte for byte in TEXT]


def test_empty_prompt_is_bos_alone():
    done = run("--prompt", "")
    assert (done.code, done.out) == (0, SHOWN + "\n")
    assert re.search(r"26 tokens \([\d.]+ tok/s decode\), prompt of 1 token in [\d.]+ ms", done.err)


def test_a_program_is_the_same_without_the_artifact():
    done = execute(PROGRAM, "--prompt", "")
    assert (done.code, done.out) == (0, SHOWN + "\n")
    assert "usage: writer [options]" in execute(PROGRAM, "--help").out


def test_the_prompt_moves_the_position_and_is_not_printed():
    # BOS and three bytes: the next is byte 3 of the text.
    assert run("--prompt", "abc").out == SHOWN[2:] + "\n"


def test_ids_are_taken_exactly(tmp_path):
    assert run("--ids", "1,100").out == SHOWN[1:] + "\n"
    for name, array in {
        "vector": np.array([1, 100], np.int64),
        "row": np.array([[1, 100]], np.int32),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        assert run("--ids", tmp_path / f"{name}.npy").out == SHOWN[1:] + "\n"


def test_output_ids():
    done = run("--prompt", "", "--output=ids", "--steps=5")
    assert done.out == ",".join(map(str, IDS[:5])) + "\n"


def test_steps_and_stop():
    assert run("--prompt", "", "--steps", "1").out == "H\n"
    assert run("--prompt", "", "--steps", "0").out == "\n"
    assert run("--prompt", "", "--stop", 3 + ord("!"), "--stop", 3 + ord("o")).out == "H\u00e9ll\n"


def test_half_a_character_at_the_end_is_replaced():
    assert run("--prompt", "", "--steps", "2").out == "H\ufffd\n"


def test_a_full_context_is_no_error():
    # The last token needs no place: BOS and 30 of the prompt leave room for 9, and one more.
    done = run("--prompt", "~" * 30)
    assert (done.code, done.out) == (0, "~" * (CONTEXT - 31 + 1) + "\n")
    assert f"the context of {CONTEXT} tokens is full" in done.err


def test_a_prompt_beyond_the_context_names_both():
    done = run("--prompt", "x" * CONTEXT)
    assert (done.code, done.out) == (1, "")
    assert f"the prompt has {CONTEXT + 1} tokens" in done.err
    assert f"holds {CONTEXT}" in done.err


def test_sampling_repeats_with_its_seed():
    words = ["--prompt", "", "--temperature", "4", "--output=ids"]
    first = run(*words, "--seed", 3)
    assert first.out == run(*words, "--seed", 3).out
    assert first.out != run(*words, "--seed", 5).out
    assert ", seed 3" in first.err
    # Without one, the seed is told, and gives the same again.
    unseeded = run(*words)
    seed = re.search(r"seed (\d+)", unseeded.err)[1]
    assert run(*words, "--seed", seed).out == unseeded.out
    assert run(*words, "--top-k", 1, "--seed", 5).out == ",".join(map(str, IDS)) + "\n"


def test_info():
    done = run("--info", "--json")
    info = json.loads(done.out)
    assert (info["hash"], info["levels"]) == ("ab\u00e9", ["generic"])
    table = run("--info").out
    assert "session  layers 0, vocab 259, router none\n" in table


def test_bench_measures():
    table = run("--bench", "--steps", 4)
    assert table.code == 0
    assert re.search(r"decode +4 tokens +[\d.]+ tok/s", table.out)
    numbers = json.loads(run("--bench", "--json").out)
    assert numbers["prompt_tokens"] == 20
    assert numbers["decode_tokens_per_second"] > 0


def test_verify(tmp_path):
    assert run("--verify").code == 0
    shutil.copy(ARTIFACT, tmp_path)
    weights = bytearray((ARTIFACT.parent / "fake.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "fake.safetensors").write_bytes(weights)
    done = execute(QTALE_RUN, tmp_path / "writer.so", "--verify", "--prompt", "")
    assert (done.code, done.out) == (1, "")
    original = ARTIFACT.parent / "fake.safetensors"
    again = execute(QTALE_RUN, tmp_path / "writer.so", "--verify", "--weights", original)
    assert again.code == 0


def test_logits_that_are_no_numbers():
    done = run("--ids", "0")
    assert done.code == 1
    assert "not numbers at position 0" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to do"),
        (["--prompt"], "--prompt needs a value"),
        (["--prompt", "a", "--ids", "1"], "give only one of"),
        (["--prompt", "a", "more"], "'more' is one word too many"),
        (["--speed"], "no option '--speed'"),
        (["--info=yes"], "--info takes no value"),
        (["--ids", "1,,2"], "--ids must be ids"),
        (["--ids", ""], "--ids must be ids"),
        (["--prompt", "", "--steps", "many"], "--steps must be a whole number"),
        (["--prompt", "", "--temperature", "nan"], "--temperature must be"),
        (["--prompt", "", "--top-p", "2"], "--top-p must be a number from 0 to 1"),
        (["--prompt", "", "--threads", "0"], "--threads must be"),
        (["--prompt", "", "--output=json"], "--output must be text or ids"),
        (["--prompt", "", "--json"], "--json goes with"),
        (["--prompt", "", "--output-dir", "x"], "--output-dir goes with --input"),
        (["--input", "x"], "--input must be NAME=FILE.npy"),
    ],
)
def test_wrong_usage(words, message):
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "--help" in done.err


def test_no_artifact():
    assert execute(QTALE_RUN).code == 2
    help_text = execute(QTALE_RUN, "--help")
    assert (help_text.code, help_text.err) == (0, "")
    assert "usage: qtale-run ARTIFACT" in help_text.out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.so", None, "cannot open"),
        ("model.onnx", b"x", "compile it with: qtale-compile"),
        ("stage.mlir", b"module {}", "compile it with: qtale-compile"),
        ("model.safetensors", b"x" * 100, "holds weights"),
        ("text.so", b"no library at all, but text", "is no artifact"),
        ("zeros.so", b"\x7fELF" + b"\0" * 60, "is no artifact"),
    ],
)
def test_what_is_no_artifact(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = execute(QTALE_RUN, tmp_path / name, "--prompt", "")
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert str(tmp_path / name) in done.err


def test_other_libraries_programs_and_folders(tmp_path):
    maps = Path("/proc/self/maps").read_text().splitlines()
    library = next(line.split()[-1] for line in maps if "/libc.so" in line or "/libc-" in line)
    for path, message in [
        (library, "but no artifact of qtale-compile"),
        (PROGRAM, "is run by itself"),
        (tmp_path, "is a folder"),
    ]:
        done = execute(QTALE_RUN, path, "--prompt", "")
        assert done.code == 1
        assert message in done.err


def test_a_name_without_a_slash_is_a_file_here():
    done = execute(QTALE_RUN, "writer.so", "--prompt", "", cwd=ARTIFACT.parent)
    assert (done.code, done.out) == (0, SHOWN + "\n")


@pytest.mark.parametrize("words", [["--prompt", ""], ["--info"], ["--help"], ["--bench"]])
def test_full_disk_and_closed_pipe(words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([QTALE_RUN, ARTIFACT, *words], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([QTALE_RUN, ARTIFACT, *words], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 1
    assert b"Broken pipe" in done.stderr
