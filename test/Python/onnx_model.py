"""Runs exported models in onnxruntime, the independent judge of the exporter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

Cache = dict[str, np.ndarray]


@dataclass
class Step:
    """What a forward pass gave."""

    #: [B, S, vocab]
    logits: np.ndarray
    #: Of the tokens so far, these included.
    cache: Cache
    #: bool and float32 [layers, B, S] or [layers, 2, B, S]; None in dense models
    kept: np.ndarray | None = None
    probability: np.ndarray | None = None


class OnnxModel:
    """One forward pass at a time; the caller keeps the cache."""

    def __init__(self, path: Path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.inputs = {value.name: value for value in self.session.get_inputs()}

    def empty_cache(self, batch: int = 1) -> Cache:
        types = {"tensor(float)": np.float32, "tensor(bool)": bool}
        return {
            name: np.zeros(
                [{"batch_size": batch, "past_sequence_length": 0}.get(n, n) for n in value.shape],
                types[value.type],
            )
            for name, value in self.inputs.items()
            if name.startswith("past")
        }

    def step(
        self,
        ids: np.ndarray,
        mask: np.ndarray,
        cache: Cache,
        threshold: float | np.ndarray | None = None,
    ) -> Step:
        """ids [B, S], mask [B, P + S]; threshold, of routed models: for all units, or for each."""
        feeds = {
            "input_ids": np.asarray(ids, np.int64),
            "attention_mask": np.asarray(mask, np.int64),
            **cache,
        }
        if threshold is not None:
            units = self.inputs["threshold"].shape
            feeds["threshold"] = np.broadcast_to(np.float32(threshold), units)
        named = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        after = {
            name.replace("present", "past_key_values"): value
            for name, value in named.items()
            if name.startswith("present")
        }
        return Step(named["logits"], after, named.get("kept"), named.get("probability"))

    def run(self, ids: np.ndarray, mask: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        """A step of a dense model: the logits, and the cache after it."""
        step = self.step(ids, mask, cache)
        return step.logits, step.cache

    def logits(self, ids: list[int]) -> np.ndarray:
        """[len(ids), vocab] of one text, by a dense model."""
        return self.run(np.array([ids]), np.ones((1, len(ids))), self.empty_cache())[0][0]

    def text(self, ids: np.ndarray, sizes: list[int], threshold: float | np.ndarray) -> Step:
        """One text by a routed model, in steps of these sizes; without the batch's axis."""
        cache, steps, done = self.empty_cache(), [], 0
        for size in sizes:
            tokens = ids[None, done : done + size]
            done += size
            steps.append(self.step(tokens, np.ones((1, done)), cache, threshold))
            cache = steps[-1].cache
        return Step(
            np.concatenate([step.logits[0] for step in steps]),
            cache,
            np.concatenate([step.kept[..., 0, :] for step in steps], axis=-1),
            np.concatenate([step.probability[..., 0, :] for step in steps], axis=-1),
        )
