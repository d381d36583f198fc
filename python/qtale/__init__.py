"""qtale: language models, compiled ahead of time.

qtale.compile("model.onnx", "model.so", weights="int4")
a = qtale.load("model.so")
for text in a.session().generate("Once upon a time", steps=100):
    print(text, end="", flush=True)
"""

from __future__ import annotations

from qtale.artifact import Artifact, Tokenizer, load
from qtale.compiler import compile
from qtale.errors import Error
from qtale.session import Session

__version__ = "0.1.0"

__all__ = ["Artifact", "Error", "Session", "Tokenizer", "compile", "load"]
