"""Checkpoints as they are published: a llama2.c `.bin`, or a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

from qtale.checkpoint.huggingface import open_huggingface
from qtale.checkpoint.llama2c import open_llama2c
from qtale.checkpoint.model import Checkpoint, LlamaConfig, Rotary, StoredTensor
from qtale.checkpoint.routing import RoutingConfig
from qtale.errors import UserError

__all__ = [
    "Checkpoint",
    "LlamaConfig",
    "Rotary",
    "RoutingConfig",
    "StoredTensor",
    "open_checkpoint",
]


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Opens a checkpoint by its kind; a UserError says what was expected."""
    path = Path(path)
    if path.is_dir():
        return open_huggingface(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.suffix == ".bin":
        return open_llama2c(path)
    raise UserError(
        f"{path}: not a checkpoint; give a llama2.c .bin file, or a folder that holds "
        "config.json and *.safetensors"
    )
