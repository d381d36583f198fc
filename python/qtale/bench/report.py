"""What was measured, as a table and as a picture."""

from __future__ import annotations

from qtale.bench.measure import QUIET


def table(result: dict) -> str:
    """Ratios are of paired times: above 1, qtale is faster."""
    lines = [
        f"{result['shape']}, {result['scheme']}, {result['threads']} threads, "
        f"prompt of {result['prompt']}, {result['decode']} tokens, {result['rounds']} rounds",
        f"{result['machine']['cpu']}, {result['machine']['cores']} cores, "
        f"which read {result['bandwidth_gb_s']:.1f} GB/s",
        "",
        f"{'':24} decode tok/s  ratio   prefill tok/s  ratio   agreement",
    ]
    for name, row in result["engines"].items():
        if "not_measured" in row:
            lines.append(f"{name:24} not measured: {row['not_measured']}")
            continue
        speeds = row["decode_tokens_per_s"], row["prefill_tokens_per_s"]
        if name == "qtale":
            ratios, tail = ("", ""), ""
        else:
            ratios = tuple(f"{row[key]:.2f}" for key in ("decode_ratio", "prefill_ratio"))
            tail = f"{row['agreement']:.4f}"
        lines.append(
            f"{name + ' ' + row['version']:24} {speeds[0]:12.1f} {ratios[0]:>6}  "
            f"{speeds[1]:14.1f} {ratios[1]:>6}      {tail}".rstrip()
        )
    ours = result["engines"]["qtale"]
    lines += [
        "",
        f"qtale's decode reads {result['bytes_per_token'] / 1e6:.0f} MB for a token, "
        f"{ours['read_gb_s']:.1f} GB/s: {ours['share_of_limit']:.0%} of the limit",
    ]
    others = result["machine"]["others_share"]
    if others > QUIET:
        lines.append(
            f"THE MACHINE WAS NOT QUIET: others took up to {others:.0%} of its processors' time, "
            "which slows engines unequally; measure again"
        )
    return "\n".join(lines)


def draw(result: dict):
    """A matplotlib figure: bars for each engine, and decode's limit."""
    from matplotlib.figure import Figure

    rows = {n: row for n, row in result["engines"].items() if "not_measured" not in row}
    figure = Figure(figsize=(7, 1.6 + 0.4 * len(rows)), layout="constrained")
    figure.suptitle(f"{result['shape']}, {result['scheme']}, {result['threads']} threads")
    titles = {"decode": "decode, tokens/s", "prefill": f"prefill of {result['prompt']}, tokens/s"}
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        colours = ["#1f4e79" if name == "qtale" else "#a9b8c6" for name in rows]
        values = [row[f"{kind}_tokens_per_s"] for row in rows.values()]
        axes.bar_label(axes.barh(list(rows), values, color=colours), fmt=" %.1f")
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.2)
        if kind == "decode":
            limit = result["bandwidth_gb_s"] * 1e9 / result["bytes_per_token"]
            axes.axvline(limit, color="0.4", linestyle="--", label="at the read bandwidth")
    axes.invert_yaxis()
    figure.legend(frameon=False, fontsize=8, loc="outside lower left")
    return figure
