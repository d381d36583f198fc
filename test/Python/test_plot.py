"""`qtale plot`: what the picture shows, looked up in its pixels, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from qtale.cli import main

matplotlib = pytest.importorskip("matplotlib")

KEPT = [[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [1, 1, 0, 0, 1]]
STATISTICS = {
    "tokens": [1, 5, 6, 7, 8],
    "text": ["", " Once", " upon", " $a$", "\n"],
    "kept": KEPT,
    "ratio": 0.5,
    "ms_per_token": 1.25,
    "kv_bytes": 3072,
}


def write(path: Path, **changes) -> Path:
    path.write_text(json.dumps({**STATISTICS, **changes}))
    return path


def cells(picture: Path, rows: int) -> np.ndarray:
    """bool [rows, tokens]: which cells are dark, from the colours at their middles."""
    from matplotlib import image

    pixels = image.imread(picture)[..., :3]
    coloured = (np.abs(pixels - [0x1F / 255, 0x4E / 255, 0x79 / 255]) < 0.01).all(-1)
    light = (np.abs(pixels - [0xE6 / 255, 0xEB / 255, 0xF0 / 255]) < 0.01).all(-1)
    either = coloured | light
    y, x = np.flatnonzero(either.mean(1) > 0.3), np.flatnonzero(either.mean(0) > 0.3)
    height, width = (y[-1] + 1 - y[0]) / rows, (x[-1] + 1 - x[0]) / len(KEPT[0])
    # The first row is at the bottom.
    middles = [int(y[-1] + 1 - (row + 0.5) * height) for row in range(rows)]
    across = [int(x[0] + (token + 0.5) * width) for token in range(len(KEPT[0]))]
    assert either[np.ix_(middles, across)].all()
    return coloured[np.ix_(middles, across)]


def test_cells(tmp_path: Path):
    picture = tmp_path / "new" / "ran.png"
    assert main(["plot", str(write(tmp_path / "s.json")), "-o", str(picture)]) == 0
    np.testing.assert_array_equal(cells(picture, 3), KEPT)
    units = write(tmp_path / "units.json", kept=[*KEPT, KEPT[0]], units=2)
    assert main(["plot", str(units), "-o", str(picture)]) == 0
    np.testing.assert_array_equal(cells(picture, 4), [*KEPT, KEPT[0]])


def test_words(tmp_path: Path):
    """In an SVG the words are words. The same statistics give the same file."""
    picture = tmp_path / "ran.svg"
    statistics = write(tmp_path / "s.json")
    assert main(["plot", str(statistics), "-o", str(picture)]) == 0
    first = picture.read_text()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", first)
    for word in ("Once", "upon", "$a$", "↵", "layer 0", "layer 2", "100%", "60%"):
        assert word in words
    assert any("ratio 0.5 " in w and "1.25 ms per token" in w and "KV 3 KiB" in w for w in words)
    assert main(["plot", str(statistics), "-o", str(picture)]) == 0
    assert picture.read_text() == first
    units = write(statistics, kept=KEPT[:2], units=2, text=[], ratio=None, kv_bytes=None)
    assert main(["plot", str(units), "-o", str(picture)]) == 0
    assert "layer 0 attention" in picture.read_text()
    assert ">8</text>" in picture.read_text()  # the last token's id
    assert "ratio" not in picture.read_text()


def test_large(tmp_path: Path):
    """Too many tokens and layers for names; still drawn."""
    large = write(tmp_path / "s.json", kept=[[1, 0] * 90] * 81, text=["Once"] * 180)
    picture = tmp_path / "ran.svg"
    assert main(["plot", str(large), "-o", str(picture)]) == 0
    assert "Once" not in picture.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kept": []}, '"kept" must hold 0 or 1'),
        ({"kept": [[0, 2, 1, 1, 1]]}, '"kept" must hold 0 or 1'),
        ({"kept": [[0, 1], [1]]}, "as many numbers each"),
        ({"kept": "all"}, "as many numbers each"),
        ({"kept": [[[0, 1]]]}, '"kept" must hold 0 or 1'),
        ({"units": 2}, '"units" must be 1 or 2'),
        ({"units": 3}, '"units" must be 1 or 2'),
        ({"text": ["a"]}, "must have the same tokens"),
        ({"ratio": "half"}, '"ratio" must be a number'),
    ],
)
def test_refusals(tmp_path: Path, changes: dict, message: str, capsys: pytest.CaptureFixture[str]):
    statistics = write(tmp_path / "s.json", **changes)
    assert main(["plot", str(statistics), "-o", str(tmp_path / "ran.png")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "ran.png").exists()


def test_other_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    statistics, picture = write(tmp_path / "s.json"), tmp_path / "ran.png"
    assert main(["plot", str(statistics), "-o", str(tmp_path / "ran.gif")]) == 2
    assert "must end in .png or .svg" in capsys.readouterr().err
    for text, message in (("{", "not JSON"), ("[]", 'has no "kept"'), ("{}", 'has no "kept"')):
        (tmp_path / "bad.json").write_text(text)
        assert main(["plot", str(tmp_path / "bad.json"), "-o", str(picture)]) == 1
        assert message in capsys.readouterr().err
    assert main(["plot", str(tmp_path / "none.json"), "-o", str(picture)]) == 1
    assert "No such file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["plot", str(statistics), "-o", str(picture)]) == 1
    assert "pip install 'qtale[plot]'" in capsys.readouterr().err
    assert not picture.exists()
