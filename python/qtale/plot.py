"""What ran, as a picture: tokens to the right, layers upwards.

             ratio 0.58   1.3 ms per token   KV 40 KiB
    layer 2  ■ ■ □ ■ □ □   50%
    layer 1  ■ ■ ■ □ ■ □   67%
    layer 0  ■ ■ ■ ■ ■ ■  100%
             Once upon a time …

Drawn by matplotlib from what `qtale generate --stats=FILE.json` wrote.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qtale.errors import UserError
from qtale.exporter.output import OutputFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: More tokens than this, or more rows, have no names beside them.
_NAMED_TOKENS, _NAMED_ROWS = 160, 80
_LONGEST_NAME = 14
_SKIPPED, _KEPT = "#e6ebf0", "#1f4e79"

FORMATS = (".png", ".svg")


@dataclass(frozen=True)
class Statistics:
    """Of one text; None where the file does not say."""

    text: list[str]
    #: bool [rows, tokens]: a row for each layer, or for each of its units.
    kept: np.ndarray
    #: Of a layer: 1, or 2 for its attention and its FFN.
    units: int
    ratio: float | None
    ms_per_token: float | None
    kv_bytes: float | None


def read_statistics(path: Path) -> Statistics:
    """Reads and checks --stats' JSON."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one, too
        raise UserError(f"{path}: not JSON: {error}") from error
    if not isinstance(raw, dict) or "kept" not in raw:
        raise UserError(f'{path}: has no "kept"; give the file of qtale generate --stats=FILE.json')
    try:
        kept = np.array(raw["kept"], np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f'{path}: the rows of "kept" must hold as many numbers each') from error
    if kept.ndim != 2 or not kept.size or not np.isin(kept, (0, 1)).all():
        raise UserError(f'{path}: "kept" must hold 0 or 1 for each layer and token')
    units = raw.get("units", 1)
    if units not in (1, 2) or len(kept) % units:
        raise UserError(f'{path}: "units" must be 1 or 2 and divide the rows of "kept"')
    # Without a tokenizer there are only ids.
    text = raw.get("text") or raw.get("tokens")
    if not isinstance(text, list) or len(text) != kept.shape[1]:
        raise UserError(f'{path}: "text" and "kept" must have the same tokens')
    values = [_number(raw, key, path) for key in ("ratio", "ms_per_token", "kv_bytes")]
    return Statistics([str(item) for item in text], kept.astype(bool), units, *values)


def _number(raw: dict, key: str, path: Path) -> float | None:
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f'{path}: "{key}" must be a number, but is {value!r}')
    return float(value)


def plot(statistics: Statistics, output: Path) -> None:
    """Writes a .png or .svg, by the name."""
    save(lambda: _draw(statistics), output)


def need_matplotlib() -> None:
    """A UserError where it is missing: before what takes long, too."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError(
            "drawing needs matplotlib, which is not installed: pip install 'qtale[plot]'"
        ) from error


def save(draw: Callable[[], Figure], output: Path) -> None:
    """Writes what `draw` makes; nothing imports matplotlib before."""
    if output.suffix not in FORMATS:
        raise UserError(f"{output}: the name must end in {' or '.join(FORMATS)}")
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # No date and no random ids: the same statistics are the same picture.
    settings = {"svg.hashsalt": "qtale", "svg.fonttype": "none"}
    with rc_context(settings), warnings.catch_warnings(), OutputFiles(output.parent) as files:
        # A script that the font lacks is a box, not an error.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = draw()
        FigureCanvasAgg(figure)
        kind = output.suffix[1:]
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(files.path(output.name), format=kind, dpi=150, metadata=metadata)


def _draw(statistics: Statistics):
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    rows, tokens = statistics.kept.shape
    size = (min(40, max(5, 0.19 * tokens)) + 2.6, min(30, max(1.6, 0.24 * rows)) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        statistics.kept,
        cmap=ListedColormap([_SKIPPED, _KEPT]),
        vmin=0,
        vmax=1,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
    )
    _name_tokens(axes, statistics.text)
    _name_rows(axes, statistics)
    # Thin lines between the cells, where cells are large enough.
    if tokens <= _NAMED_TOKENS and rows <= _NAMED_ROWS:
        axes.set_xticks(np.arange(tokens + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(_facts(statistics), loc="left", fontsize=10)
    return figure


def _name_tokens(axes, text: list[str]) -> None:
    if len(text) > _NAMED_TOKENS:
        axes.set_xlabel("token")
        return
    axes.set_xticks(range(len(text)), [_name(t) for t in text], rotation=90, fontsize=8)
    for label in axes.get_xticklabels():
        label.set_parse_math(False)


def _name(text: str) -> str:
    """Of a token, in one short line."""
    shown = text.replace("\n", "↵").strip()
    shown = "".join(c if c.isprintable() else "\ufffd" for c in shown)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def _name_rows(axes, statistics: Statistics) -> None:
    rows = len(statistics.kept)
    if rows > _NAMED_ROWS:
        axes.set_ylabel("layer" if statistics.units == 1 else "unit")
        return
    parts = [""] if statistics.units == 1 else [" attention", " FFN"]
    names = [
        f"layer {row // statistics.units}{parts[row % statistics.units]}" for row in range(rows)
    ]
    axes.set_yticks(range(rows), names, fontsize=8)
    for row, share in enumerate(statistics.kept.mean(1)):
        axes.annotate(
            f"{share:.0%}",
            (1, row),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def _facts(statistics: Statistics) -> str:
    lines = []
    if statistics.ratio is not None:
        lines.append(f"ratio {statistics.ratio:.3g}")
    if statistics.ms_per_token is not None:
        lines.append(f"{statistics.ms_per_token:.3g} ms per token")
    if statistics.kv_bytes is not None:
        lines.append(f"KV {statistics.kv_bytes / 1024:.3g} KiB")
    return "   ".join(lines)
