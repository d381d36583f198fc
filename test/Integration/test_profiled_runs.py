"""qtale-run --profile: tables on stderr, a trace in a file, and the same text as without."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_RUN, ROOT, TELL, execute, refuses, succeeds

import qtale

#: Name, calls, ms, %, MB, GB/s, share of the read bandwidth, GMAC/s.
ROW = re.compile(r"(\S+)" + r" +(-|[\d.]+%?)" * 7)


@pytest.fixture(scope="module")
def artifact(compiled: Callable[..., Path], stories_onnx: Path) -> Path:
    return compiled(stories_onnx, weights="int4")


def tables(said: str) -> dict[str, dict[str, dict[str, list[float]]]]:
    """{"decode": {"operation": {"matmul": [calls, ms, …]}, "layer": …}}; a dash is 0."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    section: dict[str, dict[str, list[float]]] = {}
    for line in said.splitlines():
        if title := re.match(r"(prompt|decode|call): \d+ steps?", line):
            section = found.setdefault(title[1], {})
        elif heading := re.match(r"(operation|layer) +calls", line):
            rows = section.setdefault(heading[1], {})
        elif section and (row := ROW.fullmatch(line.strip())):
            rows[row[1]] = [
                0 if cell == "-" else float(cell.rstrip("%")) for cell in row.groups()[1:]
            ]
    return found


def test_tables(artifact: Path):
    done = execute(QTALE_RUN, artifact, *TELL, "--threads", "2", "--profile")
    assert done.code == 0, done.err
    found = tables(done.err)
    assert set(found) == {"prompt", "decode"}
    for section in found.values():
        rows = section["operation"]
        assert {"matmul", "attention", "embedding", "outside", "whole"} <= set(rows)
        assert sum(row[2] for name, row in rows.items() if name != "whole") == pytest.approx(
            100, abs=1
        )
        assert rows["whole"][2] == 100
        assert sum(row[0] for row in section["layer"].values()) == rows["whole"][0]
        assert {"none", "0", "4"} <= set(section["layer"])
    # 199 decoded tokens; five layers of at least one matmul each and the head.
    assert found["decode"]["operation"]["attention"][0] == 5 * 199
    assert found["decode"]["operation"]["matmul"][0] % 199 == 0
    assert re.search(r"This machine now reads [\d.]+ GB/s of memory with 2 threads\.", done.err)


def test_trace(artifact: Path, tmp_path: Path):
    file = tmp_path / "trace.json"
    plain = execute(QTALE_RUN, artifact, *TELL)
    done = execute(QTALE_RUN, artifact, *TELL, f"--profile={file}")
    assert (done.code, done.out) == (0, plain.out)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    events = [e for e in json.loads(file.read_text())["traceEvents"] if e["ph"] == "X"]
    assert {event["cat"] for event in events} == {"prompt", "decode"}
    assert events[0]["ts"] == 0
    for event, following in itertools.pairwise(events):
        # Written to the nanosecond.
        assert event["ts"] + event["dur"] <= following["ts"] + 0.0015
        assert (event["pid"], event["tid"]) == (following["pid"], following["tid"])
    matmul = next(event for event in events if event["name"] == "matmul")
    assert matmul["args"].keys() >= {"node", "layer", "bytes", "GB/s", "GMAC/s"}
    assert matmul["args"]["node"].startswith("/model/layers.0/")


def test_function_call(artifact: Path, tmp_path: Path):
    words: list[object] = []
    with qtale.load(artifact) as a:
        for name, dtype, shape in a.inputs:
            dims = [1, *[4 if dim < 0 else dim for dim in shape[1:]]]
            if len(shape) > 2:
                dims[2] = 0  # nothing is past
            np.save(tmp_path / f"{name}.npy", np.ones(dims, dtype))
            words += ["--input", f"{name}={tmp_path / name}.npy"]
    done = execute(QTALE_RUN, artifact, *words, f"--profile={tmp_path / 'call.json'}")
    assert done.code == 0, done.err
    found = tables(done.err)
    assert set(found) == {"call"}
    assert found["call"]["operation"]["matmul"][4] > 0
    assert json.loads((tmp_path / "call.json").read_text())["traceEvents"]


def test_refused_before_the_model_works(artifact: Path, tmp_path: Path):
    for place, why in (("nowhere/t.json", "No such file"), ("", "is a folder")):
        said = refuses(QTALE_RUN, artifact, *TELL, f"--profile={tmp_path / place}", folder=tmp_path)
        assert why in said
        assert str(tmp_path / place) in said


@pytest.mark.parametrize("words", [("--info",), ("--bench",), ("--verify",)])
def test_wrong_company(artifact: Path, tmp_path: Path, words: tuple[str, ...]):
    said = refuses(QTALE_RUN, artifact, *words, "--profile", folder=tmp_path, code=2)
    assert "--profile goes with --prompt, --ids or --input" in said


def test_earlier_artifacts(build: Callable[..., Path], tmp_path: Path):
    source = ROOT / "test/Python/fake_model.c"
    old = build(source, tmp_path / "old.so", "-DVERSION=2", "-shared", "-fPIC")
    assert succeeds(QTALE_RUN, old, "--info")
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    words = (QTALE_RUN, old, "--input", f"x={tmp_path / 'x.npy'}", "--profile")
    assert "without profiles; compile it again" in refuses(*words, folder=tmp_path)


def test_an_empty_name(artifact: Path, tmp_path: Path):
    said = refuses(QTALE_RUN, artifact, *TELL, "--profile=", folder=tmp_path, code=2)
    assert "--profile= has no value" in said
