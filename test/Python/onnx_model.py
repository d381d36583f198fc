"""Runs exported models in onnxruntime, the independent judge of the exporter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime


class OnnxModel:
    """One forward pass at a time; the caller keeps the cache."""

    def __init__(self, path: Path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def empty_cache(self, batch: int = 1) -> dict[str, np.ndarray]:
        return {
            value.name: np.zeros((batch, value.shape[1], 0, value.shape[3]), np.float32)
            for value in self.session.get_inputs()
            if value.name.startswith("past")
        }

    def run(
        self, ids: np.ndarray, mask: np.ndarray, cache: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """ids [B, S], mask [B, P + S] -> logits [B, S, vocab], the cache of P + S tokens."""
        values = self.session.run(
            None,
            {
                "input_ids": np.asarray(ids, np.int64),
                "attention_mask": np.asarray(mask, np.int64),
                **cache,
            },
        )
        named = dict(zip(self.outputs, values, strict=True))
        logits = named.pop("logits")
        return logits, {k.replace("present", "past_key_values"): v for k, v in named.items()}

    def logits(self, ids: list[int]) -> np.ndarray:
        """[len(ids), vocab] of one text."""
        return self.run(np.array([ids]), np.ones((1, len(ids))), self.empty_cache())[0][0]
