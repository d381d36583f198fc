"""What skipping saves: time and memory of routed layers against dense ones.

    python utils/bench/routing.py [--work FOLDER] [--json FILE] [--plot FILE.svg]

Two models of the shape of Llama 3.2 1B in int4, random, one with routers (mlp2, hidden size 128) in
every layer, nothing forced to run, cache policy evict. Their vocabulary is cut to 256 tokens, so
that what is timed are the layers, the routers included.

    thresholds   quantiles of the p that were measured, layer by layer, on a text of random tokens
    ratio        the share that really ran, on another such text
    time         the dense and the routed model step by step in turn, the whole several times:
                 of each step the median, then the ratio of the sums
    memory       of the caches, from the session

`--dtype`, `--layers` and the rest make other shapes. Not a test: it needs a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import qtale
from qtale.calibration import calibrate
from qtale.exporter import export
from qtale.testing import LLAMA_1B, write_random_checkpoint

RATIOS = (1.0, 0.8, 0.6, 0.5, 0.3)
BATCH = 8


def build(folder: Path, arguments: argparse.Namespace) -> dict[str, qtale.Artifact]:
    """The dense and the routed model; artifacts that are there already are used again."""
    config = LLAMA_1B | {
        "num_hidden_layers": arguments.layers,
        "vocab_size": arguments.vocab,
        "max_position_embeddings": 4096,
    }
    routers = {
        "router": "mlp2",
        "router_hidden_size": arguments.router_hidden,
        "router_norm_eps": 1e-5,
        "first_routed_layer": 0,
        "always_execute_tokens": 0,
        "kv_policy": "evict",
        "threshold": 0.5,
    }
    artifacts = {}
    for name, extra in (("dense", {}), ("routed", {"qtale": routers})):
        path = folder / f"{name}.so"
        if not path.exists():
            print(f"{name}: writing, exporting, compiling", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as work:
                checkpoint = write_random_checkpoint(Path(work) / "ck", config | extra, "float16")
                model = export(checkpoint, Path(work) / "onnx" / "model.onnx")
                qtale.compile(model, path, weights=arguments.weights)
        artifacts[name] = qtale.load(path)
    return artifacts


def bandwidth(threads: int) -> float:
    """GB/s that this machine reads."""
    source = Path(__file__).with_name("bandwidth.c")
    with tempfile.TemporaryDirectory() as work:
        program = Path(work) / "bandwidth"
        command = ["clang-22", "-O3", "-march=native", "-pthread", source, "-o", program]
        subprocess.run(command, check=True)
        return float(
            subprocess.run([program, str(threads)], capture_output=True, check=True).stdout
        )


class Pair:
    """The dense model and the routed one at some ratio, side by side."""

    def __init__(self, models: dict[str, qtale.Artifact], threads: int, thresholds: np.ndarray):
        self.models = [models["dense"], models["routed"]]
        self.threads = threads
        self.thresholds = thresholds

    def sessions(self, rows: int) -> list[qtale.Session]:
        dense, routed = self.models
        sessions = [
            dense.session(threads=self.threads, max_rows=rows),
            routed.session(threads=self.threads, max_rows=rows, record=True),
        ]
        sessions[1].threshold = self.thresholds
        return sessions

    def one(self, text: np.ndarray, prefill: int, decode: int, rounds: int) -> dict[str, dict]:
        """A prefill, and decoding behind it."""
        sessions = self.sessions(prefill)
        first = np.empty((2, rounds, 1))
        later = np.empty((2, rounds, decode))
        for index in range(rounds):
            for side, session in enumerate(sessions):
                session.reset()
                first[side, index] = timed(session.step, text[:prefill])
            bytes_first = [session.kv_bytes for session in sessions]
            for position in range(decode):
                for side, session in enumerate(sessions):
                    later[side, index, position] = timed(session.step, text[prefill + position])
        kept = sessions[1].kept
        result = {
            "prefill": summary(first, kept[:, :prefill].mean(), bytes_first),
            "decode": summary(
                later, kept[:, prefill:].mean(), [session.kv_bytes for session in sessions]
            ),
        }
        for session in sessions:
            session.close()
        return result

    def batch(self, text: np.ndarray, steps: int, rounds: int) -> dict:
        """Decoding BATCH sequences, each a text of its own."""
        start = 16
        texts = [text[i * 64 :] for i in range(BATCH)]
        sides = list(zip(*[self.sessions(64) for _ in range(BATCH)], strict=True))
        seconds = np.empty((2, rounds, steps))

        def step(side: int, begin: int, end: int, logits: str) -> float:
            items = [(s, t[begin:end]) for s, t in zip(sides[side], texts, strict=True)]
            return timed(self.models[side].step, items, logits)

        for index in range(rounds):
            for side in (0, 1):
                for session in sides[side]:
                    session.reset()
                step(side, 0, start, "none")
            for position in range(steps):
                for side in (0, 1):
                    at = start + position
                    seconds[side, index, position] = step(side, at, at + 1, "last")
        kept = np.stack([session.kept[:, start:] for session in sides[1]])
        result = summary(
            seconds, kept.mean(), [sum(s.kv_bytes for s in sessions) for sessions in sides]
        )
        # A layer's weights are read where any sequence runs it.
        result["layers_read"] = float(kept.any(axis=0).mean())
        for session in (*sides[0], *sides[1]):
            session.close()
        return result


def timed(call: Callable, *arguments) -> float:
    begin = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begin


def summary(seconds: np.ndarray, ratio: float, kv_bytes: list[int]) -> dict[str, float]:
    """seconds [dense or routed, rounds, steps]."""
    dense, routed = np.median(seconds, axis=1).sum(axis=1) / seconds.shape[2]
    return {
        "ratio": float(ratio),
        "dense_ms": 1e3 * dense,
        "ms": 1e3 * routed,
        "time": routed / dense,
        "memory": kv_bytes[1] / kv_bytes[0],
    }


def report(results: dict) -> None:
    titles = {
        "decode": "decode of one sequence",
        "prefill": f"prefill of {results['prefill_tokens']}",
        "batch": f"decode of {BATCH} sequences",
    }
    for kind, title in titles.items():
        print(f"\n{title}\nasked    ran   dense ms      ms    time  memory  layers read")
        for name, row in results[kind].items():
            print(
                f"{name:>5}  {row['ratio']:.3f} {row['dense_ms']:10.2f} {row['ms']:7.2f}   "
                f"{row['time']:.3f}   {row['memory']:.3f}  "
                + (f"{row['layers_read']:11.3f}" if "layers_read" in row else "")
            )
    b = results["bandwidth"]
    print(
        f"\ndense decode reads {b['dense']:.1f} GB/s of the machine's {b['machine']:.1f} "
        f"({b['dense'] / b['machine']:.0%}); routers are {100 * results['router_bytes']:.2f} % of "
        "the bytes"
    )


def plot(results: dict, output: Path) -> None:
    """Time over the ratio that ran, and what it would be if skipping cost nothing."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot([0, 1], [0, 1], color="0.8", label="the ratio")
    for kind, label in (
        ("decode", "decode"),
        ("prefill", f"prefill of {results['prefill_tokens']}"),
        ("batch", f"decode, batch of {BATCH}"),
    ):
        rows = results[kind].values()
        axes.plot([r["ratio"] for r in rows], [r["time"] for r in rows], "o-", label=label)
    axes.set(xlabel="layers that ran", ylabel="time, of the dense model's", xlim=(0, 1.02), ylim=0)
    axes.legend(frameon=False)
    figure.savefig(output, bbox_inches="tight", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, help="a folder that keeps the models")
    parser.add_argument("--json", type=Path, help="where the results go too")
    parser.add_argument("--plot", type=Path, help="a picture of them (.svg, .png)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--vocab", type=int, default=256)
    parser.add_argument("--router-hidden", type=int, default=128)
    parser.add_argument("--weights", default="int4")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        models = build(folder, arguments)
        generator = np.random.default_rng(1)
        length = arguments.prefill + arguments.decode
        measured, text = generator.integers(3, arguments.vocab, (2, max(length, 64 * BATCH + 64)))
        print("calibrating", file=sys.stderr)
        table = calibrate(models["routed"], measured[:512], RATIOS[1:], threads=arguments.threads)
        thresholds = {1.0: np.zeros(arguments.layers, np.float32)}
        thresholds |= dict(zip(RATIOS[1:], table.thresholds, strict=True))
        results: dict = {
            "threads": arguments.threads,
            "prefill_tokens": arguments.prefill,
            "decode": {},
            "prefill": {},
            "batch": {},
        }
        weights, both = (
            (folder / f"{name}.safetensors").stat().st_size for name in ("dense", "routed")
        )
        results["router_bytes"] = (both - weights) / weights
        rates, dense_rates = [], []
        for ratio in RATIOS:
            print(f"ratio {ratio}", file=sys.stderr)
            pair = Pair(models, arguments.threads, thresholds[ratio])
            rates.append(bandwidth(arguments.threads))
            one = pair.one(text, arguments.prefill, arguments.decode, arguments.rounds)
            one["batch"] = pair.batch(text, arguments.decode // 2, arguments.rounds)
            for kind, row in one.items():
                results[kind][str(ratio)] = row
            dense_rates.append(weights / one["decode"]["dense_ms"] / 1e6)
        results["bandwidth"] = {
            "machine": float(np.median(rates)),
            "dense": float(np.median(dense_rates)),
        }
        report(results)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
        if arguments.plot:
            plot(results, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
