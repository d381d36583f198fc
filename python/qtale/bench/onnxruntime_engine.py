"""onnxruntime as an engine: caches stay in place, bound as past and present at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from qtale.errors import UserError


class OnnxRuntime:
    version = onnxruntime.__version__

    def __init__(self, folder: Path, threads: int, context: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Its threads spin within a run, but not on into another engine's turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                folder / "model.onnx", options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's have no base of their own
            raise UserError(
                f"{folder}: onnxruntime {self.version} does not load it (delete the folder to have "
                f"it written anew, or choose --rivals without onnxruntime): {error}"
            ) from error
        self._binding = self._session.io_binding()
        for port in self._session.get_inputs():
            if port.name.startswith("past."):
                _, heads, _, size = port.shape
                cache = _value(np.zeros((1, heads, context, size), np.float32))
                self._binding.bind_ortvalue_input(port.name, cache)
                self._binding.bind_ortvalue_output(port.name.replace("past", "present"), cache)
        self._logits = np.empty(self._session.get_outputs()[0].shape, np.float32)
        self._binding.bind_ortvalue_output("logits", _value(self._logits))
        self.position = 0

    def truncate(self, length: int) -> None:
        # What lies beyond in the caches is written before it is read.
        self.position = length

    def step(self, tokens: np.ndarray) -> np.ndarray:
        self.position += len(tokens)
        for name, array in (
            ("input_ids", tokens.astype(np.int64)[None]),
            ("seqlens_k", np.array([self.position - 1], np.int32)),
            ("total_sequence_length", np.array(self.position, np.int32)),
        ):
            self._binding.bind_ortvalue_input(name, _value(array))
        self._session.run_with_iobinding(self._binding)
        return self._logits[0, 0]

    def close(self) -> None:
        del self._binding, self._session


def _value(array: np.ndarray) -> onnxruntime.OrtValue:
    """Of the array's own memory, which it keeps alive."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
