"""What was measured, as a picture: a line of panels for each number of threads.

prefill, tokens/s     decode, tokens/s     ms per row
128  ███ █ █          128  ██ █ ██ ┆       ╲
512  ███ █ █          2048 ██ █ █  ┆        ╲____     ┆ the machine's limit
"""

from __future__ import annotations

from collections.abc import Callable

from qtale.bench.report import change, threads_text

_COLOURS = {"qtale": "#1f4e79", "onnxruntime": "#8aa4b8", "llama.cpp": "#d0a24c"}
_BAR = 0.26


def draw(result: dict):
    """A matplotlib figure."""
    from matplotlib.figure import Figure

    parts = result["threads"]
    panels = [name for name in _PANELS if name in parts[0]]
    figure = Figure(figsize=(1 + 4.2 * len(panels), 0.9 + 3 * len(parts)), layout="constrained")
    machine = result["machine"]
    figure.suptitle(f"{result['shape']}, {result['scheme']}: {machine['cpu']}", fontsize=11)
    grid = figure.subplots(len(parts), len(panels), squeeze=False)
    for part, line in zip(parts, grid, strict=True):
        for name, axes in zip(panels, line, strict=True):
            _PANELS[name](axes, part)
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel(threads_text(part["threads"]), fontsize=11)
    handles: dict = {}
    for axes in grid.ravel():
        handles |= {label: h for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
    )
    return figure


def _prefill(axes, part: dict) -> None:
    rows = part["prefill"]
    _bars(axes, rows, [f"{row['prompt']}" for row in rows])
    limits = [
        row["integer_peak_gmac_s"]
        and row["prompt"] * row["integer_peak_gmac_s"] * 1e9 / row["macs"]
        for row in rows
    ]
    _limits(axes, limits)
    axes.set_title("prefill by length, tokens/s", fontsize=10)


def _decode(axes, part: dict) -> None:
    rows = part["decode"]
    _bars(axes, rows, [f"{row['context']}" for row in rows])
    limits = [
        row["bandwidth_gb_s"] * 1e9 / (row["weight_bytes"] + row["cache_bytes"]) for row in rows
    ]
    _limits(axes, limits)
    axes.set_title("decode by context, tokens/s", fontsize=10)


def _loaded(axes, part: dict) -> None:
    """What is left under load of the quiet speed, and of the slowest tenth of the steps."""
    rows = [
        {"engines": {n: {"tokens_per_s": 100 * e[key]} for n, e in row["engines"].items()}}
        for row in part["loaded"]
        for key in ("share", "worst_decile_share")
    ]
    labels = [
        f"{row['context']}\n{text}" for row in part["loaded"] for text in ("speed", "worst decile")
    ]
    _bars(axes, rows, labels, "{:.0f}%")
    _limits(
        axes, [100 * row["fair_share"] for row in part["loaded"] for _ in range(2)], "fair share"
    )
    axes.set_title(
        f"decode beside {part['loaded'][0]['processes']} busy processes,\n% of the quiet speed",
        fontsize=10,
    )


def _rows(axes, part: dict) -> None:
    rows = part["rows"]
    for kind, style in (("batch", "o-"), ("chunk", "s--")):
        x, y = zip(*((row["rows"], row["ms_per_row"]) for row in rows[kind]), strict=True)
        step = rows[f"{kind}_largest_step"]
        label = (
            f"{kind}: largest step {change(step)} ({step['from']}→{step['to']})" if step else kind
        )
        axes.plot(x, y, style, color=_COLOURS["qtale"], markersize=3.5, linewidth=1, label=label)
    axes.legend(frameon=False, fontsize=8)
    axes.set_ylim(bottom=0)
    counts = [row["rows"] for row in rows["batch"]]
    axes.set_xticks([n for n in counts if n in (counts[0], counts[-1]) or n % 2 == 0])
    axes.set_xlabel("rows of a step", fontsize=9)
    axes.set_title("qtale's steps, ms per row", fontsize=10)
    # Named here: the step differs from line to line.
    for line in axes.lines:
        line.set_label("_")


_PANELS: dict[str, Callable] = {
    "prefill": _prefill,
    "decode": _decode,
    "loaded": _loaded,
    "rows": _rows,
}


def _bars(axes, rows: list[dict], labels: list[str], form: str = "{:.1f}") -> None:
    names = [name for name in _COLOURS if name in rows[0]["engines"]]
    for index, name in enumerate(names):
        at = [row + (index - (len(names) - 1) / 2) * _BAR for row in range(len(rows))]
        values = [row["engines"][name]["tokens_per_s"] for row in rows]
        bars = axes.bar(at, values, 0.9 * _BAR, color=_COLOURS[name], label=name)
        texts = axes.bar_label(bars, [form.format(v) for v in values], fontsize=7, padding=1)
        for text in texts:
            # A limit may pass behind it.
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.8})
    axes.set_xticks(range(len(rows)), labels, fontsize=9)
    axes.margins(y=0.12)


def _limits(axes, limits: list[float | None], label: str = "the machine's limit") -> None:
    for index, limit in enumerate(limits):
        if limit:
            axes.hlines(
                limit,
                index - 0.45,
                index + 0.45,
                "0.35",
                linestyles="dashed",
                linewidth=1,
                label=label,
            )
