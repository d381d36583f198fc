"""A text in the making: tokens in, logits out; or a prompt in, text out."""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from qtale import capi
from qtale.errors import Error
from qtale.handle import Handle
from qtale.sampling import Sampler

if TYPE_CHECKING:
    from qtale.artifact import Artifact

#: Token ids: one, or several.
Tokens = int | Sequence[int] | np.ndarray


def as_tokens(tokens: Tokens) -> np.ndarray:
    """Contiguous int32 [count]."""
    array = np.atleast_1d(np.asarray(tokens))
    if array.size == 0:
        array = array.astype(np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise Error("INVALID_ARGUMENT", "tokens must be integers in one dimension")
    bounds = np.iinfo(np.int32)
    if array.size and not bounds.min <= int(array.min()) <= int(array.max()) <= bounds.max:
        raise Error("INVALID_ARGUMENT", "a token lies outside the vocabulary")
    return np.ascontiguousarray(array, np.int32)


def step_sessions(
    artifact: Artifact, items: Sequence[tuple[Session, Tokens]], logits: str
) -> list[np.ndarray | None]:
    """One pass for all items, in C."""
    if logits not in capi.LOGITS:
        raise Error(
            "INVALID_ARGUMENT", f'logits must be "last", "all" or "none", but is {logits!r}'
        )
    arrays = [as_tokens(tokens) for _, tokens in items]
    rows = {"last": lambda n: 1, "all": lambda n: n}.get(logits)
    results = [None if rows is None else _empty(rows(len(a)), artifact.vocab) for a in arrays]
    steps = (capi.Step * len(items))()
    error = capi.ErrorStruct()
    with ExitStack() as stack:
        stack.enter_context(artifact.handle.use())
        for step, (session, _), array, result in zip(steps, items, arrays, results, strict=True):
            if session.artifact is not artifact:
                raise Error("INVALID_ARGUMENT", "a session belongs to another artifact")
            step.session = stack.enter_context(session.handle.use())
            step.tokens = array.ctypes.data
            step.count = len(array)
            step.wanted = capi.LOGITS[logits]
            step.logits = None if result is None else result.ctypes.data
        capi.check(artifact.api.step(steps, len(items), error), error)
    return results


def _empty(rows: int, vocab: int) -> np.ndarray:
    try:
        return np.empty((rows, vocab), np.float32)
    except MemoryError as error:
        raise Error(
            "OUT_OF_MEMORY", f"no memory for the logits of {rows} tokens; step in chunks"
        ) from error


class Session:
    """Made by Artifact.session(). One thread at a time; a second one gets BUSY."""

    def __init__(self, artifact: Artifact, pointer: ctypes.c_void_p):
        self.artifact = artifact
        self.handle = Handle(
            "session", pointer, artifact.api.session_destroy, parent=artifact.handle
        )

    def step(self, tokens: Tokens, logits: str = "last") -> np.ndarray | None:
        """Appends tokens. logits: "last" float32 [1, vocab], "all" [count, vocab], "none" None.

        Where it fails, the session is as before.
        """
        return step_sessions(self.artifact, [(self, tokens)], logits)[0]

    def generate(
        self,
        prompt: str | Sequence[int] | np.ndarray,
        steps: int,
        temperature: float = 0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[int] = (),
    ) -> Iterator[str]:
        """Yields the text of up to `steps` new tokens, piece by piece; the prompt is not repeated.

        prompt: text (BOS goes before it where the session is empty), or ids, taken as they are.
        temperature 0 takes the most probable token; otherwise as qtale.sampling says.
        Ends before a token of `stop` or an end-of-sequence token, or where the context is full.
        The session then holds the prompt and all tokens whose text was given, as far as they fit.
        """
        sampler = Sampler(temperature, top_k, top_p, seed)
        ends = {*self.artifact.eos, *stop}
        tokens = self._prompt(prompt) if isinstance(prompt, str) else as_tokens(prompt).tolist()
        return self._generate(tokens, steps, sampler, ends)

    def _prompt(self, text: str) -> list[int]:
        ids = self.artifact.tokenizer.encode(text)
        if self.position == 0 and self.artifact.bos is not None:
            return [self.artifact.bos, *ids]
        return ids

    def _generate(
        self, tokens: list[int], steps: int, sampler: Sampler, ends: set[int]
    ) -> Iterator[str]:
        # A character may be spread over tokens: it is held back until it is whole.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pending = tokens
        try:
            for index in range(steps):
                if index and self.position >= self.artifact.context:
                    break
                step, pending = pending, []
                logits = self.step(step)
                assert logits is not None  # "last"
                token = sampler(logits[0])
                if token in ends:
                    break
                pending, previous = [token], step[-1]
                text = decoder.decode(self.artifact.tokenizer.decode_bytes([token], previous))
                if text:
                    yield text
            rest = decoder.decode(b"", final=True)
            if rest:
                yield rest
        finally:
            # What was given out belongs to the text, also where nobody asks for more.
            if pending and self.position < self.artifact.context:
                self.step(pending, logits="none")

    # -- Its content ---------------------------------------------------------

    @property
    def position(self) -> int:
        """Tokens held."""
        with self.handle.use() as session:
            return self.artifact.api.session_position(session)

    @property
    def kv_bytes(self) -> int:
        """Memory of its caches."""
        with self.handle.use() as session:
            return self.artifact.api.session_kv_bytes(session)

    def reset(self) -> None:
        """As new."""
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            capi.check(self.artifact.api.session_reset(session, error), error)

    def truncate(self, length: int) -> None:
        """Forgets all from position `length` on."""
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            capi.check(self.artifact.api.session_truncate(session, length, error), error)

    def fork(self) -> Session:
        """A second session with the same content; both go on independently."""
        twin, error = ctypes.c_void_p(), capi.ErrorStruct()
        with self.handle.use() as session:
            capi.check(self.artifact.api.session_fork(session, twin, error), error)
        return self.artifact.adopt(twin)

    # -- Its end -------------------------------------------------------------

    def close(self) -> None:
        """Frees its caches. Sessions still open are closed with their artifact."""
        self.handle.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if "handle" in self.__dict__:
            self.handle.close()

    def __repr__(self) -> str:
        state = "closed" if self.handle.closed else f"{self.position} tokens"
        return f"<qtale.Session of {self.artifact.path}: {state}>"
