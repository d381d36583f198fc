"""llama.cpp as an engine, by the C functions that llama-cpp-python hands on.

Its class Llama would add a tokenizer, and copies of all logits, to what is timed.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import llama_cpp
import numpy as np

from qtale.errors import UserError


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: object) -> None:
    """Loading prints hundreds of lines."""


class LlamaCpp:
    version = version("llama-cpp-python")

    def __init__(self, path: Path, threads: int, context: int):
        llama_cpp.llama_log_set(_silent, None)
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        if not self._model:
            raise UserError(
                f"{path}: llama.cpp does not load it; delete it to have it written anew"
            )
        session = llama_cpp.llama_context_default_params()
        session.n_ctx = context
        session.n_threads = session.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, session)
        if not self._context:
            raise UserError(f"{path}: llama.cpp makes no context of {context} tokens")
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocab = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._batch = llama_cpp.llama_n_batch(self._context)
        self.position = 0

    def truncate(self, length: int) -> None:
        memory = llama_cpp.llama_get_memory(self._context)
        if not llama_cpp.llama_memory_seq_rm(memory, 0, length, -1):
            raise UserError(f"llama.cpp does not forget the tokens from {length} on")
        self.position = length

    def step(self, tokens: np.ndarray) -> np.ndarray:
        for begin in range(0, len(tokens), self._batch):
            part = tokens[begin : begin + self._batch].tolist()
            # The batch points into the array, which has to outlive it.
            array = (llama_cpp.llama_token * len(part))(*part)
            batch = llama_cpp.llama_batch_get_one(array, len(part))
            code = llama_cpp.llama_decode(self._context, batch)
            if code:
                raise UserError(f"llama.cpp: llama_decode gave {code}")
            self.position += len(part)
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (self._vocab,))

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)
