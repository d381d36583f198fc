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
from qtale.profiling import Profile
from qtale.routing import Routing
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
        profile = items[0][0].profile if items else None
        if profile is None:
            code = artifact.api.step(steps, len(items), error)
        else:
            pointer = stack.enter_context(profile.use(artifact))
            code = artifact.api.profile_step(pointer, steps, len(items), error)
        capi.check(code, error)
    return results


def _empty(rows: int, vocab: int) -> np.ndarray:
    try:
        return np.empty((rows, vocab), np.float32)
    except MemoryError as error:
        raise Error(
            "OUT_OF_MEMORY", f"no memory for the logits of {rows} tokens; step in chunks"
        ) from error


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise Error("INVALID_ARGUMENT", f"{name} must be a number, but is {value!r}")
    return float(value)


class Session:
    """Made by Artifact.session(). One thread at a time; a second one gets BUSY."""

    def __init__(self, artifact: Artifact, pointer: ctypes.c_void_p):
        self.artifact = artifact
        self.handle = Handle(
            "session", pointer, artifact.api.session_destroy, parent=artifact.handle
        )
        self._ratio: float | None = None
        self._budget: int | None = None
        #: What operations take is added to it, in steps whose first session this is; None: nowhere.
        self.profile: Profile | None = None

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
        length, error = capi.integer("length", length), capi.ErrorStruct()
        with self.handle.use() as session:
            capi.check(self.artifact.api.session_truncate(session, length, error), error)

    def fork(self) -> Session:
        """A second session with the same content; both go on independently."""
        twin, error = ctypes.c_void_p(), capi.ErrorStruct()
        with self.artifact.handle.use(), self.handle.use() as session:
            capi.check(self.artifact.api.session_fork(session, twin, error), error)
            fork = self.artifact.adopt(Session(self.artifact, twin))
        fork._ratio, fork._budget = self._ratio, self._budget
        return fork

    # -- What runs (routed models); set, it holds from the next step on --------

    @property
    def threshold(self) -> np.ndarray:
        """A unit runs where its probability reaches this: float32 [layers] or [layers, 2].

        Set to a number for all, [layers], or [layers, 2] (attention, FFN). 0 runs everything, above
        1 only the positions that always run.
        """
        values = np.empty(self._routing.shape, np.float32)
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            code = self.artifact.api.session_threshold(
                session, values.ctypes.data, values.size, error
            )
        capi.check(code, error)
        return values

    @threshold.setter
    def threshold(self, value: float | Sequence | np.ndarray) -> None:
        values = self._routing.as_thresholds(value)
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            code = self.artifact.api.session_set_threshold(
                session, values.ctypes.data, values.size, error
            )
        capi.check(code, error)
        self._ratio = None

    @property
    def ratio(self) -> float | None:
        """The share of (token, unit) pairs that shall run; None where thresholds decide.

        Set by the model's calibration table (`qtale calibrate`). What really ran, with record:
        `artifact.routing.ratio(session.kept)`.
        """
        _ = self._routing
        return self._ratio

    @ratio.setter
    def ratio(self, value: float) -> None:
        _ = self._routing
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            code = self.artifact.api.session_set_ratio(session, _number("ratio", value), error)
        capi.check(code, error)
        self._ratio = float(value)

    @property
    def budget(self) -> int | None:
        """At most so many routed units run for a token, the first that want to; None: all."""
        _ = self._routing
        return self._budget

    @budget.setter
    def budget(self, value: int | None) -> None:
        _ = self._routing
        if value is not None and not (
            isinstance(value, (int, np.integer)) and 0 <= value < 1 << 63
        ):
            raise Error(
                "INVALID_ARGUMENT", f"budget must be an integer >= 0, or None, but is {value!r}"
            )
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            code = self.artifact.api.session_set_budget(
                session, -1 if value is None else int(value), error
            )
        capi.check(code, error)
        self._budget = None if value is None else int(value)

    @property
    def kept(self) -> np.ndarray:
        """What ran for each token held: bool [layers, tokens] or [layers, 2, tokens].

        True where there is no router. Needs a session with record=True.
        """
        return self._recorded(self.artifact.api.session_kept, bool)

    @property
    def probability(self) -> np.ndarray:
        """The routers' probabilities, float32 of kept's shape; 1 where there is no router."""
        return self._recorded(self.artifact.api.session_probability, np.float32)

    def _recorded(self, call, dtype: type) -> np.ndarray:
        shape = self._routing.shape
        error = capi.ErrorStruct()
        with self.handle.use() as session:
            count = self.artifact.api.session_position(session)
            values = np.empty((*shape, count), dtype)
            capi.check(call(session, 0, count, values.ctypes.data, error), error)
        return values

    @property
    def _routing(self) -> Routing:
        routing = self.artifact.routing
        if routing is None:
            raise Error(
                "UNSUPPORTED", f"{self.artifact.path}: the model has no routers; everything runs"
            )
        return routing

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
