"""qtale: language models, compiled ahead of time."""

from __future__ import annotations

from qtale.errors import Error

__version__ = "0.1.0"

__all__ = ["Error"]
