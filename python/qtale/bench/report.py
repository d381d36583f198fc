"""What was measured, as tables: one for each number of threads.

2 threads: …      qtale 0.1          onnxruntime 1.32.0        llama.cpp 0.3.36
                  tok/s  of limit    tok/s  ratio  agreement   tok/s  ratio  agreement
prefill of 128    …
decode at 128     …
"""

from __future__ import annotations

from collections.abc import Iterator

from qtale.bench.measure import QUIET

_LABEL, _CELL = 16, 26


def table(result: dict) -> str:
    """Ratios are of paired times: above 1, qtale is faster."""
    machine = result["machine"]
    lines = [
        f"{result['shape']}, {result['scheme']}; {machine['cpu']}, {machine['cores']} cores; "
        f"measured in {result['seconds'] / 60:.1f} minutes"
    ]
    for name, row in result["engines"].items():
        if "not_measured" in row:
            lines.append(f"{name}: not measured: {row['not_measured']}")
    if isinstance(machine["integer_peak"], dict):
        why = machine["integer_peak"]["not_measured"]
        lines.append(f"integer peak: not measured: {why}")
    versions = {n: row["version"] for n, row in result["engines"].items() if "version" in row}
    for part in result["threads"]:
        lines += ["", _title(part, machine["integer_peak"])]
        if "prefill" in part or "decode" in part:
            lines += ["", *_speeds(part, versions)]
        for loaded in part.get("loaded", ()):
            lines += ["", *_loaded(loaded, versions)]
        if "rows" in part:
            lines += ["", *_rows(part["rows"])]
    if machine["others_share"] > QUIET:
        lines += [
            "",
            f"THE MACHINE WAS NOT QUIET: others took up to {machine['others_share']:.0%} of its "
            "processors' time, which slows engines unequally; measure again",
        ]
    return "\n".join(lines)


def threads_text(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _title(part: dict, instruction: str | dict | None) -> str:
    limits = []
    if part.get("bandwidth_gb_s"):
        limits.append(f"{part['bandwidth_gb_s']:.1f} GB/s read")
    if part.get("integer_peak_gmac_s"):
        limits.append(f"{part['integer_peak_gmac_s']:.0f} GMAC/s ({instruction})")
    title = threads_text(part["threads"]).upper()
    return f"{title}; the machine's limit: {', '.join(limits)}" if limits else title


def _line(label: str, cells: list[str]) -> str:
    return f"{label:{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _speeds(part: dict, versions: dict[str, str]) -> Iterator[str]:
    yield _line("", [f"{name} {version}" for name, version in versions.items()])
    head = [
        "tok/s  of limit" if name == "qtale" else "tok/s  ratio  agreement" for name in versions
    ]
    yield _line("", head)
    for kind, key, preposition in (("prefill", "prompt", "of"), ("decode", "context", "at")):
        for row in part.get(kind, ()):
            cells = [_speed(name, row["engines"][name]) for name in versions]
            yield _line(f"{kind} {preposition} {row[key]}", cells)


def _speed(name: str, row: dict) -> str:
    speed = f"{row['tokens_per_s']:.1f}"
    if name != "qtale":
        return f"{speed}  {row['ratio']:5.2f}  {row['agreement']:9.4f}"
    share = f"{row['share_of_limit']:.0%}" if "share_of_limit" in row else "-"
    return f"{speed}  {share:>8}"


def _loaded(loaded: dict, versions: dict[str, str]) -> Iterator[str]:
    yield (
        f"decode at {loaded['context']} beside {loaded['processes']} busy processes; "
        f"a fair share of the processors is {loaded['fair_share']:.0%}"
    )
    yield f"{'':24}{'tok/s':>16}{'':16}  {'ms of a step':>16}{'worst decile':>20}"
    yield (
        f"{'':24}{'quiet':>8}{'loaded':>8}{'share':>8}{'ratio':>8}  {'quiet':>8}{'loaded':>8}"
        f"{'quiet':>12}{'loaded':>8}"
    )
    for name, version in versions.items():
        row = loaded["engines"][name]
        quiet, busy = row["quiet"], row["loaded"]
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        yield (
            f"{name + ' ' + version:24}{quiet['tokens_per_s']:8.1f}{busy['tokens_per_s']:8.1f}"
            f"{row['share']:8.0%}{ratio:>8}  {quiet['ms']:8.1f}{busy['ms']:8.1f}"
            f"{quiet['worst_decile_ms']:12.1f}{busy['worst_decile_ms']:8.1f}"
        )


def _rows(rows: dict) -> Iterator[str]:
    yield f"qtale's steps of several rows, behind {rows['context']} tokens"
    yield f"{'rows':>6}{'batch ms':>12}{'ms/row':>10}{'chunk ms':>12}{'ms/row':>10}"
    for batch, chunk in zip(rows["batch"], rows["chunk"], strict=True):
        yield (
            f"{batch['rows']:6}{batch['ms']:12.2f}{batch['ms_per_row']:10.2f}"
            f"{chunk['ms']:12.2f}{chunk['ms_per_row']:10.2f}"
        )
    for kind in ("batch", "chunk"):
        step = rows[f"{kind}_largest_step"]
        if step:
            yield (
                f"{kind}: largest step up of the time per row {change(step)}, from "
                f"{step['from']} to {step['to']} rows{'' if step['ratio'] > 1 else ': it falls'}"
            )


def change(step: dict) -> str:
    return f"{step['ratio'] - 1:+.1%}"
