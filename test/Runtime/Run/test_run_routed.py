"""qtale-run on a routed model: what may be set, and what --stats tells of what ran."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from run_program import FOLDER, QTALE_RUN, SHOWN, TEXT, execute, run

# Of the fake writer: BOS and the text are read; layer 0 has no router.
READ = [1, *(3 + byte for byte in TEXT)]
P = [[(position + unit) % 4 / 4 for position in range(len(READ))] for unit in range(2)]


def routed(*words: object, units: int = 1):
    return execute(QTALE_RUN, FOLDER / f"routed{units}.so", *words)


def decide(threshold: float, units: int, budget: int = 1 << 30) -> list[list[int]]:
    """Rows of layer 1."""
    rows = [[1] * len(READ) for _ in range(units)]
    for position in range(1, len(READ)):
        left = budget
        for unit in range(units):
            rows[unit][position] = int(P[unit][position] >= threshold and left > 0)
            left -= rows[unit][position]
    return rows


def check_stats(path, kept: list[list[int]]):
    units = len(kept)
    stats = json.loads(path.read_text())
    ones = [1] * len(READ)
    assert stats["tokens"] == READ
    assert "".join(stats["text"]) == SHOWN
    assert len(stats["text"]) == len(READ)
    assert stats["text"][1:4] == ["H", "", "\u00e9"]  # with the byte that completes it
    assert stats["units"] == units
    assert stats["kept"] == [ones] * units + kept
    assert stats["probability"] == [ones] * units + P[:units]
    decided = [value for row in kept for value in row[1:]]
    assert stats["ratio"] == pytest.approx(sum(decided) / len(decided), abs=1e-6)
    assert stats["ms_per_token"] > 0
    assert stats["kv_bytes"] == 0  # it has no caches
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("units", [1, 2])
def test_stats(tmp_path, units):
    for words, kept in {
        (): decide(0.5, units),
        ("--threshold=0",): decide(0, units),
        ("--threshold", 0.75): decide(0.75, units),
        ("--threshold=2",): decide(2, units),
        ("--budget", 1): decide(0.5, units, 1),
        ("--budget=0",): decide(2, units),
    }.items():
        done = routed("--prompt", "", *words, f"--stats={tmp_path}/s.json", units=units)
        assert (done.code, done.out) == (0, SHOWN + "\n")
        check_stats(tmp_path / "s.json", kept)


def test_ratio(tmp_path):
    # Between the table's 0.5 (threshold 0.5) and 1 (threshold 0).
    for ratio, threshold in ((0.5, 0.5), (0.75, 0.25), (1, 0)):
        done = routed("--prompt", "", f"--ratio={ratio}", f"--stats={tmp_path}/s.json")
        assert done.code == 0
        check_stats(tmp_path / "s.json", decide(threshold, 1))


def test_a_table_without_a_file():
    done = routed("--prompt", "", "--stats")
    assert done.out == SHOWN + "\n"
    # Positions 1 to 26, 13 of them with (position mod 4) / 4 >= 0.5.
    assert "layer      runs\n    0    always\n    1       50%\n" in done.err
    assert "ratio 50% of 26 tokens after the first 1, KV caches 0.0 KiB" in done.err
    assert re.search(r"[\d.]+ ms per token\n", done.err)
    done = routed("--prompt", "", "--stats", "--threshold=0.75", units=2)
    assert "layer attention       FFN\n    0    always    always\n" in done.err
    assert "    1       23%       27%\n" in done.err
    assert "ratio 25% of 26 tokens" in done.err


def test_a_single_token_decides_nothing(tmp_path):
    done = routed("--prompt", "", "--steps=1", "--stats")
    assert "    1         -\n" in done.err
    routed("--prompt", "", "--steps=1", f"--stats={tmp_path}/s.json")
    assert json.loads((tmp_path / "s.json").read_text())["ratio"] is None


def test_bench_takes_a_threshold():
    assert routed("--bench", "--steps=2", "--threshold=2").code == 0


def test_info_tells_of_the_calibration():
    info = json.loads(routed("--info", "--json").out)
    assert (info["calibrated"], info["ratio_span"]) == (True, [0.5, 1])
    assert json.loads(routed("--info", "--json", units=2).out)["calibrated"] is False
    assert "calibrated" not in json.loads(run("--info", "--json").out)


@pytest.mark.parametrize(
    "option", ["--threshold=0.5", "--ratio=0.5", "--budget=3", "--stats", "--stats=x.json"]
)
def test_routing_needs_a_router(option, tmp_path):
    done = run("--prompt", "", option, cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "no router" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threshold=-0.5"], "--threshold must be a number of at least 0"),
        (["--threshold=nan"], "--threshold must be a number of at least 0"),
        (["--ratio=0"], "--ratio must be a number above 0 and at most 1"),
        (["--ratio=1.5"], "--ratio must be a number above 0 and at most 1"),
        (["--ratio=nan"], "--ratio must be a number above 0 and at most 1"),
        (["--budget=-1"], "--budget must be a whole number"),
        (["--budget=some"], "--budget must be a whole number"),
        (["--ratio=0.5", "--threshold=0.5"], "give one of them"),
        (["--stats="], "--stats= has no value"),
    ],
)
def test_wrong_usage(words, message):
    done = routed("--prompt", "", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_what_goes_with_text_only():
    for words, message in (
        (["--bench", "--stats"], "--stats goes with --prompt or --ids"),
        (["--info", "--ratio=0.5"], "--ratio goes with --prompt, --ids or --bench"),
        (["--input=x=x.npy", "--budget=1"], "--budget goes with"),
    ):
        done = routed(*words)
        assert (done.code, done.out) == (2, "")
        assert message in done.err


@pytest.mark.parametrize(
    ("units", "ratio", "message"),
    [
        (1, 0.4, "spans 0.5 to 1; give one inside"),
        (2, 0.6, "no calibration table, which tells the thresholds for a ratio; make it with: "
         "qtale calibrate"),
    ],
)  # fmt: skip
def test_ratios_beyond_the_table(units, ratio, message):
    done = routed("--prompt", "", f"--ratio={ratio}", units=units)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_stats_that_cannot_be_written(tmp_path):
    """Said before the model works."""
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "absent/s.json", "No such file or directory"),
    ):
        done = routed("--prompt", "", f"--stats={path}")
        assert (done.code, done.out) == (1, "")
        assert message in done.err
        assert str(path) in done.err


def test_stats_through_a_pipe_and_a_link(tmp_path):
    """Neither becomes a file."""
    routed("--prompt", "", f"--stats={tmp_path}/s.json")
    keys = json.loads((tmp_path / "s.json").read_text()).keys()
    pipe, target, link = tmp_path / "pipe", tmp_path / "target", tmp_path / "link"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        done = routed("--prompt", "", f"--stats={pipe}")
        text = reader.stdout.read()
    assert (done.code, pipe.is_fifo()) == (0, True)
    assert json.loads(text).keys() == keys
    target.write_text("earlier")
    link.symlink_to(target)
    routed("--prompt", "", f"--stats={link}")
    assert link.is_symlink()
    assert json.loads(target.read_text()).keys() == keys
    done = routed("--prompt", "", "--stats=/dev/full")
    assert done.code == 1
    assert "cannot write '/dev/full': No space left" in done.err
    assert {p.name for p in tmp_path.iterdir()} == {"s.json", "pipe", "target", "link"}


def test_a_failure_leaves_the_earlier_stats(tmp_path):
    path = tmp_path / "s.json"
    path.write_text("earlier")
    done = routed("--ids", "0", f"--stats={path}")  # its logits are NaN
    assert done.code == 1
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_that_went_away_is_no_reason_to_write(tmp_path):
    words = [QTALE_RUN, FOLDER / "routed1.so", "--prompt", "", f"--stats={tmp_path}/s.json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert not list(tmp_path.iterdir())
