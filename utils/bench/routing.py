"""What skipping saves: time and memory of routed layers against dense ones.

    python utils/bench/routing.py [--work FOLDER] [--json FILE] [--threads 2]

Two models of the shape of Llama 3.2 1B in int4, random, one with routers (mlp2, hidden size 128) in
every layer, nothing forced to run, cache policy evict. Their vocabulary is cut to 256 tokens, so
that what is timed are the layers, the routers included.

    thresholds   quantiles of the p that were measured, layer by layer, on a text of random tokens
    ratio        the share that really ran, on another such text
    time         of dense and of all ratios in turn, several times: the median of the paired ratios
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


class Contestant:
    """The dense model, or the routed one at some ratio."""

    def __init__(self, artifact: qtale.Artifact, threads: int, thresholds: np.ndarray | None):
        self.artifact = artifact
        self.threads = threads
        self.thresholds = thresholds

    def session(self, rows: int) -> qtale.Session:
        routed = self.thresholds is not None
        session = self.artifact.session(threads=self.threads, max_rows=rows, record=routed)
        if routed:
            session.threshold = self.thresholds
        return session

    def ratio(self, session: qtale.Session, first: int) -> float:
        """The share that ran from position `first` on."""
        return 1.0 if self.thresholds is None else float(session.kept[:, first:].mean())

    def measure(self, text: np.ndarray, prefill: int, decode: int) -> dict[str, dict[str, float]]:
        """Seconds, ratio and cache bytes, of a prefill, of decoding behind it, and of a batch."""
        with self.session(prefill) as session:
            begin = time.perf_counter()
            session.step(text[:prefill])
            seconds = time.perf_counter() - begin
            result = {
                "prefill": {
                    "seconds": seconds,
                    "ratio": self.ratio(session, 0),
                    "kv_bytes": session.kv_bytes,
                }
            }
            begin = time.perf_counter()
            for token in text[prefill : prefill + decode]:
                session.step(token)
            result["decode"] = {
                "seconds": (time.perf_counter() - begin) / decode,
                "ratio": self.ratio(session, prefill),
                "kv_bytes": session.kv_bytes,
            }
        result["batch"] = self.measure_batch(text, decode // 2)
        return result

    def measure_batch(self, text: np.ndarray, steps: int) -> dict[str, float]:
        """Decoding BATCH sequences, each a text of its own."""
        sessions = [self.session(64) for _ in range(BATCH)]
        texts = [text[i * 64 :] for i in range(BATCH)]
        self.artifact.step(
            [(s, t[:16]) for s, t in zip(sessions, texts, strict=True)], logits="none"
        )
        begin = time.perf_counter()
        for step in range(16, 16 + steps):
            self.artifact.step([(s, t[step]) for s, t in zip(sessions, texts, strict=True)])
        seconds = (time.perf_counter() - begin) / steps
        result = {
            "seconds": seconds,
            "ratio": float(np.mean([self.ratio(s, 16) for s in sessions])),
            "kv_bytes": sum(s.kv_bytes for s in sessions),
            "layers_read": 1.0,
        }
        if self.thresholds is not None:
            # A layer's weights are read where any sequence runs it.
            kept = np.stack([s.kept[:, 16:] for s in sessions])
            result["layers_read"] = float(kept.any(axis=0).mean())
        for session in sessions:
            session.close()
        return result


def summarize(runs: list[dict], dense: list[dict], kind: str) -> dict[str, float]:
    """Medians; time and memory as a share of the dense model's of the same round."""
    pairs = [(run[kind], other[kind]) for run, other in zip(runs, dense, strict=True)]
    summary = {
        "ms": 1e3 * float(np.median([run["seconds"] for run, _ in pairs])),
        "ratio": pairs[0][0]["ratio"],
        "time": float(np.median([run["seconds"] / other["seconds"] for run, other in pairs])),
        "memory": float(pairs[0][0]["kv_bytes"] / pairs[0][1]["kv_bytes"]),
    }
    if "layers_read" in pairs[0][0]:
        summary["layers_read"] = pairs[0][0]["layers_read"]
    return summary


def report(results: dict) -> None:
    for kind in ("decode", "prefill", "batch"):
        title = {"batch": f"decode of {BATCH} sequences", "prefill": "prefill of 512"}.get(
            kind, "decode of one sequence"
        )
        print(
            f"\n{title}\n   asked     ran      ms    time  memory"
            + " " * (kind == "batch") * 2
            + ("layers read" if kind == "batch" else "")
        )
        for name, row in results[kind].items():
            extra = f"   {row['layers_read']:.3f}" if kind == "batch" else ""
            print(
                f"{name:>8}   {row['ratio']:.3f} {row['ms']:7.1f}   {row['time']:.3f}   "
                f"{row['memory']:.3f}{extra}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, help="a folder that keeps the models")
    parser.add_argument("--json", type=Path, help="where the results go too")
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
        contestants = {"dense": Contestant(models["dense"], arguments.threads, None)}
        for ratio in RATIOS:
            contestants[str(ratio)] = Contestant(
                models["routed"], arguments.threads, thresholds[ratio]
            )

        rates, runs = [], {name: [] for name in contestants}
        for index in range(arguments.rounds):
            print(f"round {index + 1} of {arguments.rounds}", file=sys.stderr)
            rates.append(bandwidth(arguments.threads))
            for name, contestant in contestants.items():
                runs[name].append(contestant.measure(text, arguments.prefill, arguments.decode))

        results: dict = {
            kind: {name: summarize(list_, runs["dense"], kind) for name, list_ in runs.items()}
            for kind in ("decode", "prefill", "batch")
        }
        weights = (folder / "dense.safetensors").stat().st_size
        rate = float(np.median([weights / run["decode"]["seconds"] for run in runs["dense"]])) / 1e9
        results["bandwidth"] = {
            "machine": float(np.median(rates)),
            "dense": rate,
            "share": float(
                np.median(
                    [
                        weights / run["decode"]["seconds"] / 1e9 / r
                        for run, r in zip(runs["dense"], rates, strict=True)
                    ]
                )
            ),
        }
        routers = (folder / "routed.safetensors").stat().st_size - weights
        results["router_bytes"] = routers / weights
        results["threads"] = arguments.threads
        report(results)
        b = results["bandwidth"]
        print(
            f"\ndense decode reads {b['dense']:.1f} GB/s of the machine's {b['machine']:.1f} "
            f"({b['share']:.0%}); routers are {100 * results['router_bytes']:.2f} % of the bytes"
        )
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
