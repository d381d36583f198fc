"""The routed models with golden outputs: test/models/routed-*."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODELS = Path(__file__).resolve().parents[1] / "models"
NAMES = ("tiny", "linear", "gate", "copy", "split")
THRESHOLDS = (0.0, 0.3, 0.5, 0.7, 1.1)


@dataclass(frozen=True)
class Golden:
    """What the model must give at a threshold."""

    ids: np.ndarray
    #: float32 [tokens, vocab]
    logits: np.ndarray
    #: bool and float32 [layers, tokens] or [layers, 2, tokens]
    kept: np.ndarray
    probability: np.ndarray


def checkpoint(name: str) -> Path:
    return MODELS / f"routed-{name}"


def golden(name: str, threshold: float) -> Golden:
    with np.load(checkpoint(name) / "golden.npz") as file:
        parts = ("logits", "keep", "prob")
        return Golden(file["input_ids"], *(file[f"{part}_{threshold}"] for part in parts))
