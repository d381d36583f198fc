"""`qtale calibrate`, on an artifact written by hand whose p is known (fake_model.c).

The expected thresholds are made here from the p that the fake's rule gives: a share of them.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale.calibration import RATIOS
from qtale.cli import main

MAGIC = b"qtale routing calibration table\0"


@pytest.fixture
def artifact(fake_routed: Path, tmp_path: Path) -> Path:
    path = tmp_path / "m.so"
    shutil.copy(fake_routed, path)
    return path


@pytest.fixture
def ids(tmp_path: Path) -> tuple[Path, np.ndarray]:
    tokens = np.random.default_rng(5).integers(0, 16, 1000)
    path = tmp_path / "ids.npy"
    np.save(path, tokens)
    return path, tokens


def rerun(tokens: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and kept [routed units, tokens] by fake_model.c's rule, for tokens that may be skipped."""
    p, kept, below = [], [], np.ones(len(tokens), bool)
    for threshold in thresholds:
        p.append(np.where(below, tokens / 16, 1 - tokens / 16))
        below = p[-1] >= threshold
        kept.append(below)
    return np.array(p), np.array(kept)


def decided(tokens: np.ndarray) -> np.ndarray:
    """Without the first 2 of each window of 32, which always run."""
    return tokens[np.arange(len(tokens)) % 32 >= 2]


def table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """ratios, thresholds [count, units], as ModuleABI.h lays them out."""
    data = path.read_bytes()
    at = data.index(MAGIC + struct.pack("<I", 16))
    capacity, count, units, reserved = struct.unpack_from("<4I", data, at + 32)
    assert (capacity, reserved) == (16, 0)
    ratios = np.frombuffer(data, np.float32, 16, at + 48)
    assert (ratios[count:] == 0).all()
    thresholds = np.frombuffer(data, np.float32, 16 * units, at + 48 + 64).reshape(16, units)
    assert (thresholds[count:] == 0).all()
    return ratios[:count], thresholds[:count]


def test_thresholds(
    artifact: Path, ids: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
):
    path, tokens = ids
    tokens = decided(tokens)
    assert main(["calibrate", str(artifact), "--ids", str(path)]) == 0
    ratios, thresholds = table(artifact)
    np.testing.assert_array_equal(ratios, np.float32(RATIOS))
    assert list(RATIOS) == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    layers_of_router = thresholds.shape[1] // 3
    assert (thresholds[:, :layers_of_router] == 0).all()
    assert (thresholds[-1] == 0).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ratio", "ran", "perplexity"]
    for ratio, values, line in zip(RATIOS, thresholds, lines[1:], strict=True):
        p, kept = rerun(tokens, values[layers_of_router:])
        for unit, of_unit in enumerate(p):
            # The threshold lies where a share of the p that it decides about is above it; p comes
            # in 16 steps here, so it can be met to a step.
            above = (of_unit >= values[layers_of_router + unit]).mean()
            higher = (of_unit > of_unit[of_unit >= values[layers_of_router + unit]].min()).mean()
            assert higher < ratio + 1 / len(tokens)
            assert above >= ratio - 1 / len(tokens)
        shown = line.split()
        assert float(shown[0]) == ratio
        assert float(shown[1]) == pytest.approx(kept.mean(), abs=1e-3)


def test_perplexity_and_ratio_are_those_of_eval(
    artifact: Path, ids: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
):
    """The table is in the file: a ratio can be asked for now, and gives what the table said."""
    path, _ = ids
    evaluate = ["eval", str(artifact), "--ids", str(path), "--json", "--ratio", "0.6"]
    assert main(evaluate) == 1
    assert main(["calibrate", str(artifact), "--ids", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()[1 + RATIOS.index(0.6)].split()
    assert main(evaluate) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ratio"] == pytest.approx(float(said[1]), abs=1e-3)
    assert result["perplexity"] == pytest.approx(float(said[2]), abs=1e-4)
    with qtale.load(artifact) as a:
        assert a.routing.ratios == (pytest.approx(0.3), 1)
        s = a.session(ratio=0.6, record=True)
        assert s.ratio == 0.6
        np.testing.assert_array_equal(s.threshold.ravel(), table(artifact)[1][3])
        assert s.fork().ratio == 0.6
        s.threshold = 0.5
        assert s.ratio is None


def test_again(artifact: Path, ids: tuple[Path, np.ndarray], tmp_path: Path):
    """A table is replaced; nothing else of the file changes, nor its mode, nor what is loaded."""
    path, tokens = ids
    other = tmp_path / "other.npy"
    np.save(other, tokens // 2)
    artifact.chmod(0o750)
    before = artifact.read_bytes()
    with qtale.load(artifact) as loaded:
        assert main(["calibrate", str(artifact), "--ids", str(other), "--context", "8"]) == 0
        assert loaded.session(record=True).step([3])[0, 4] == 1
        assert loaded.routing.ratios is None
    first = table(artifact)[1]
    assert main(["calibrate", str(artifact), "--ids", str(path)]) == 0
    assert not np.array_equal(table(artifact)[1], first)
    after = artifact.read_bytes()
    at = before.index(MAGIC + struct.pack("<I", 16))
    size = 48 + 64 + 4 * first.shape[1] * 16
    assert (before[:at], before[at + size :]) == (after[:at], after[at + size :])
    assert artifact.stat().st_mode & 0o777 == 0o750
    assert [p.name for p in artifact.parent.iterdir() if p.name.startswith(".")] == []
    link = artifact.with_name("link.so")
    link.symlink_to(artifact.name)
    artifact.write_bytes(before)
    assert main(["calibrate", str(link), "--ids", str(path)]) == 0
    assert link.is_symlink()
    assert artifact.read_bytes() == after


def test_other_ratios(artifact: Path, ids: tuple[Path, np.ndarray], capsys):
    words = ["calibrate", str(artifact), "--ids", str(ids[0]), "--ratios"]
    sixteen = ",".join(str((i + 1) / 16) for i in range(16))
    for text in ("0.25,0.75", sixteen):
        assert main([*words, text]) == 0
        np.testing.assert_allclose(table(artifact)[0], [float(r) for r in text.split(",")])
    for text, message in (
        ("0.5,0.4", "must ascend"),
        ("0,1", "must ascend"),
        ("0.5,1.1", "must ascend"),
        ("nan", "must ascend"),
        ("half", "no list of numbers"),
        (f"0.01,{sixteen}", "more than 16"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*words, text])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_refusals(artifact: Path, fake: Path, ids: tuple[Path, np.ndarray], tmp_path: Path, capsys):
    path, tokens = ids

    def answer(*arguments: str | Path) -> str:
        assert main(["calibrate", *map(str, arguments)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("qtale: error: ")
        return err

    assert "has no routers" in answer(fake, "--ids", path)
    short = tmp_path / "short.npy"
    np.save(short, tokens[:100])
    assert "has 92 tokens that routers decide about" in answer(artifact, "--ids", short)
    np.save(short, tokens + 16)
    assert "vocabulary of 16" in answer(artifact, "--ids", short)
    assert "2 to 32 tokens, but has 33" in answer(artifact, "--ids", path, "--context", "33")
    assert "no such file" in answer(tmp_path / "none.so", "--ids", path)
    whole = artifact.read_bytes()
    for damaged, message in (
        (whole.replace(MAGIC, b"Q" + MAGIC[1:]), "has no place for a calibration table"),
        (whole + MAGIC + struct.pack("<I", 16), "several calibration tables"),
        (
            whole.replace(
                MAGIC + struct.pack("<3I", 16, 0, 3), MAGIC + struct.pack("<3I", 16, 0, 9)
            ).replace(MAGIC + struct.pack("<3I", 16, 0, 6), MAGIC + struct.pack("<3I", 16, 0, 9)),
            "of another model: it has 9 units",
        ),
    ):
        assert damaged != whole
        artifact.write_bytes(damaged)
        assert message in answer(artifact, "--ids", path)
        assert artifact.read_bytes() == damaged


def test_also(
    artifact: Path,
    ids: tuple[Path, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    """The table goes into other files of the model; one that can't take it is said at once."""
    path, _ = ids
    twin, other = tmp_path / "twin", tmp_path / "other"
    shutil.copy(artifact, twin)
    other.write_bytes(b"no artifact")
    before = artifact.read_bytes()
    command = ["calibrate", str(artifact), "--ids", str(path), "--also", str(twin), "--also"]
    for wrong, message in (
        (other, "has no place for a calibration table"),
        (tmp_path / "none", "is no artifact"),
    ):
        assert main([*command, str(wrong)]) == 1
        assert message in capsys.readouterr().err
        assert artifact.read_bytes() == twin.read_bytes() == before
    assert main(command[:-1]) == 0
    assert twin.read_bytes() == artifact.read_bytes() != before
