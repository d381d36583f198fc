"""qtale-run calls a model as a function: NumPy files in, NumPy files out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from run_program import ARTIFACT, QTALE_RUN, run

X = np.array([1.5, -2.0, 3.25], np.float32)
N = np.array([4, -5], np.int64)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def inputs(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "n.npy", N)
    return ["--input", f"x={tmp_path / 'x.npy'}", "--input", f"n={tmp_path / 'n.npy'}"]


def test_outputs_are_numpy_files(inputs, tmp_path):
    folder = tmp_path / "made/on/the/way"
    done = run(*inputs, "--output-dir", folder)
    assert (done.code, done.out) == (0, ""), done.err
    assert files(folder) == ["double_y.npy", "n.npy"]
    doubled = np.load(folder / "double_y.npy")
    assert doubled.dtype == np.float32
    np.testing.assert_array_equal(doubled, 2 * X)
    np.testing.assert_array_equal(np.load(folder / "n.npy"), N)
    # A second time over the same files, with another number of threads.
    assert run(*inputs, "--output-dir", folder, "--threads", 3).code == 0
    assert files(folder) == ["double_y.npy", "n.npy"]


def test_without_a_folder_outputs_are_summed_up(inputs):
    done = run(*inputs)
    assert done.out.splitlines() == [
        "double/y  float32 [3]  min -4  max 6.5  mean 1.83333",
        "n  int64 [2]  min -5  max 4  mean -0.5",
    ]


def test_nan_and_nothing_are_told(inputs, tmp_path):
    np.save(tmp_path / "x.npy", np.array([np.nan, 1], np.float32))
    np.save(tmp_path / "n.npy", np.zeros(0, np.int64))
    assert run(*inputs).out.splitlines() == [
        "double/y  float32 [2]  min 2  max 2  mean 2  NaN 1",
        "n  int64 [0]",
    ]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, np.float64), "'x' is float64, but the model takes float32"),
        (np.zeros((3, 1), np.float32), "'x' has rank 2"),
        (np.zeros(3, ">f4"), "big-endian"),
        (np.zeros(3, np.complex64), "dtype <c8"),
        (np.asfortranarray(np.zeros((2, 3), np.float32)), "Fortran order"),
        (np.zeros(2, [("a", "<f4")]), "records"),
    ],
)
def test_wrong_arrays(inputs, tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    folder = tmp_path / "out"
    done = run(*inputs, "--output-dir", folder)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert not folder.exists()


def test_wrong_names(inputs, tmp_path):
    assert "no input 'z'" in run(*inputs, "--input", f"z={tmp_path / 'x.npy'}").err
    assert "'n' is missing" in run(*inputs[:2]).err
    assert "cannot open" in run("--input", f"x={tmp_path / 'absent.npy'}").err


def test_folders_that_cannot_be(inputs, tmp_path):
    (tmp_path / "file").write_text("here")
    for folder, message in [
        (tmp_path / "file", "is a file, not a folder"),
        (tmp_path / "file/below", "cannot make the folder"),
        ("/proc/nothing", "cannot make the folder"),
    ]:
        done = run(*inputs, "--output-dir", folder)
        assert done.code == 1
        assert message in done.err


def test_a_full_disk_leaves_nothing(inputs, tmp_path):
    """A limit on the size of files stands for the disk; the second file is beyond it."""
    np.save(tmp_path / "n.npy", np.zeros(200_000, np.int64))
    folder = tmp_path / "out"
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh"]
        + [str(word) for word in [QTALE_RUN, ARTIFACT, *inputs, "--output-dir", folder]],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not folder.exists()
