"""What a shape takes: of work for a token, and of memory and disk to be measured.

multiplications   one for each weight of a matrix, but for what only the last row needs:
                  in the last layer all behind its keys and values, and the head
memory            weights and caches of each engine, as measured of each
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import qtale
from qtale.bench.engine import Scheme
from qtale.bench.machine import memory_available
from qtale.checkpoint.hf_config import LlamaConfig, parse_config
from qtale.errors import UserError

#: Times its weights that an engine holds, mapped and rearranged; bytes of a cached number.
_HELD = {"qtale": (1, 2), "onnxruntime": (2, 4), "llama.cpp": (2, 2)}
#: Bytes for all else: what the read bandwidth is measured with, scratch, the interpreter.
_BESIDES = 2 << 30
#: Bytes of a weight in the checkpoint.
_STORED = 2


class Sizes:
    """Of one shape, as config.json says it."""

    def __init__(self, name: str, config: dict, scheme: Scheme):
        self._name = name
        self._config: LlamaConfig = parse_config(
            {"model_type": "llama", **config}, Path(name), None, ()
        )
        self._matrices = {
            key: shape[0] * shape[1]
            for key, shape in self._config.shapes().items()
            if len(shape) == 2
        }
        bits = scheme.bits + 16 / scheme.group
        self._weights = int(sum(self._matrices.values()) * bits / 8)

    def macs(self, tokens: int) -> int:
        """Multiplications with weights that a prefill of so many tokens takes."""
        last = f"model.layers.{self._config.num_layers - 1}."
        all_rows = once = 0
        for name, size in self._matrices.items():
            if name.startswith("model.embed_tokens"):
                once += size if self._config.tied else 0
            elif name.startswith("lm_head") or (
                name.startswith(last) and "k_proj" not in name and "v_proj" not in name
            ):
                once += size
            else:
                all_rows += size
        return tokens * all_rows + once

    def check_memory(self, engines: Sequence[str], context: int) -> None:
        """A UserError where there is too little to hold all engines at once."""
        c = self._config
        cached = 2 * context * c.num_layers * c.num_kv_heads * c.head_dim
        held = (_HELD[name] for name in engines)
        wanted = _BESIDES + sum(weights * self._weights + size * cached for weights, size in held)
        available = memory_available()
        if available is not None and available < wanted:
            raise UserError(
                f"{self._name}: {' and '.join(engines)} need {_gb(wanted)} of memory together, but "
                f"{_gb(available)} are free; choose a smaller --shape or --context, or fewer "
                "--rivals"
            )

    def check_disk(self, engines: Sequence[str], folder: Path) -> None:
        """A UserError where the models don't fit; those that are there already count."""
        parameters = sum(self._matrices.values())
        wanted = _STORED * parameters + len(engines) * self._weights
        there = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        place = next(path for path in (folder, *folder.resolve().parents) if path.exists())
        free = shutil.disk_usage(place).free
        if free < wanted - there:
            raise UserError(
                f"{folder}: the models of {self._name} need {_gb(wanted - there)} of disk, but "
                f"{_gb(free)} are free; name a larger place by --work"
            )


def bytes_per_token(artifact: Path) -> int:
    """Of the weights that decoding a token reads, as the artifact's own profile counts them."""
    model = qtale.load(artifact)
    session = model.session(threads=1)
    session.step([0])
    session.profile = profile = model.profile()
    session.step([0])
    return sum(operation.bytes for operation in profile.operations)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
