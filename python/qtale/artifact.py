"""Compiled models in Python.

with qtale.load("stories.so") as a:
    a.run({"input_ids": ..., ...})          the graph as a function, NumPy in and out
    for text in a.session().generate("Once", steps=50): ...
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from qtale import capi
from qtale.errors import Error
from qtale.handle import Handle
from qtale.profiling import Profile
from qtale.routing import Routing
from qtale.session import Session, Tokens, as_tokens, step_sessions

Child = TypeVar("Child", Session, Profile)


def load(path: str | os.PathLike, weights: str | os.PathLike | None = None) -> Artifact:
    """Opens an artifact; `weights` where its file does not lie beside it."""
    return Artifact(path, weights)


class Tokenizer:
    """The tokenizer that travels in the artifact."""

    def __init__(self, artifact: Artifact):
        self._artifact = artifact

    def encode(self, text: str) -> list[int]:
        """Ids of the text, without BOS."""
        try:
            raw = text.encode()
        except UnicodeEncodeError as problem:
            message = f"the text is no valid Unicode: {problem}"
            raise Error("INVALID_ARGUMENT", message) from problem
        capacity = len(raw) + 8
        while True:
            ids = np.empty(capacity, np.int32)
            count = ctypes.c_size_t()
            error = capi.ErrorStruct()
            with self._artifact.handle.use() as model:
                code = self._artifact.api.tokenize(
                    model, raw, len(raw), ids.ctypes.data, capacity, count, error
                )
            if code == capi.LIMIT and count.value > capacity:
                capacity = count.value
                continue
            capi.check(code, error)
            return ids[: count.value].tolist()

    def decode(self, ids: Tokens, previous: int = -1) -> str:
        """Text of the ids; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids, previous).decode("utf-8", "replace")

    def decode_bytes(self, ids: Tokens, previous: int = -1) -> bytes:
        """Bytes of the ids. previous: the token before them (-1: they are the beginning)."""
        array = as_tokens(ids)
        previous = capi.integer("previous", previous, bits=32)
        capacity = 16 * len(array) + 16
        while True:
            text = ctypes.create_string_buffer(capacity)
            length = ctypes.c_size_t()
            error = capi.ErrorStruct()
            with self._artifact.handle.use() as model:
                code = self._artifact.api.detokenize(
                    model,
                    previous,
                    array.ctypes.data,
                    len(array),
                    ctypes.addressof(text),
                    capacity,
                    length,
                    error,
                )
            if code == capi.LIMIT and length.value > capacity:
                capacity = length.value
                continue
            capi.check(code, error)
            return text.raw[: length.value]


class Artifact:
    """A loaded model. May be used from several threads; closing waits for nobody (BUSY)."""

    def __init__(self, path: str | os.PathLike, weights: str | os.PathLike | None = None):
        self.path = Path(path)
        self._children: weakref.WeakSet[Session | Profile] = weakref.WeakSet()
        # Reentrant: the garbage collector may end others while it is held.
        self._lock = threading.RLock()
        self._library = capi.Library(self.path)
        self.api = self._library.api
        pointer, error = ctypes.c_void_p(), capi.ErrorStruct()
        options = capi.ModelOptions()
        code = self.api.model_open(
            None if weights is None else os.fsencode(weights), options, pointer, error
        )
        if code != capi.OK:
            self._library.close()
            capi.check(code, error)
        self.handle = Handle("artifact", pointer, partial(_free, self._library))

    # -- What it is ----------------------------------------------------------

    @cached_property
    def info(self) -> dict:
        """As `qtale-run --info --json`."""
        with self.handle.use() as model:
            return json.loads(self.api.model_info(model))

    @property
    def inputs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """(name, dtype, shape) of each; -1 is dynamic."""
        return self._ports(self.api.model_num_inputs, self.api.model_input)

    @property
    def outputs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """(name, dtype, shape) of each; -1 is dynamic."""
        return self._ports(self.api.model_num_outputs, self.api.model_output)

    @property
    def vocab(self) -> int:
        """Tokens; 0 where the model has no session."""
        with self.handle.use() as model:
            return self.api.model_vocab(model)

    @property
    def context(self) -> int:
        """Positions of a session are below this."""
        with self.handle.use() as model:
            return self.api.model_context(model)

    @property
    def bos(self) -> int | None:
        """The token before a text: what its tokenizer puts there (docs/Tokenizers.md)."""
        with self.handle.use() as model:
            bos = self.api.model_bos(model)
        return None if bos < 0 else bos

    @property
    def eos(self) -> tuple[int, ...]:
        """The tokens that end a text."""
        ids = ctypes.POINTER(ctypes.c_int64)()
        with self.handle.use() as model:
            count = self.api.model_eos(model, ids)
            return tuple(ids[index] for index in range(count))

    @cached_property
    def routing(self) -> Routing | None:
        """What may be skipped; None where every token runs everything."""
        with self.handle.use() as model:
            pointer = self.api.model_routing(model)
            return Routing.read(pointer.contents) if pointer else None

    @property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer(self)

    def _ports(self, count, describe) -> list[tuple[str, str, tuple[int, ...]]]:
        ports = []
        with self.handle.use() as model:
            for index in range(count(model)):
                tensor, error = capi.Tensor(), capi.ErrorStruct()
                capi.check(describe(model, index, tensor, error), error)
                shape = tuple(tensor.dims[: tensor.rank])
                ports.append((tensor.name.decode(), capi.DTYPE_NAMES[tensor.dtype], shape))
        return ports

    # -- What it does --------------------------------------------------------

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] | None = None,
        profile: Profile | None = None,
    ) -> dict[str, np.ndarray]:
        """Calls the graph as a function; `outputs` names those wanted (all).

        What its operations take is added to `profile`, where one is given.
        bfloat16, and the types of 8 bits or less that NumPy lacks, are ml_dtypes'; an input may
        also be uint16, or uint8, with the same bits.
        """
        wanted = [name for name, _, _ in self.outputs] if outputs is None else list(outputs)
        # Not ascontiguousarray, which makes scalars rank 1.
        arrays = {name: np.asarray(value, order="C") for name, value in inputs.items()}
        dtypes = {name: dtype for name, dtype, _ in self.inputs}
        given = (capi.Tensor * len(arrays))(
            *(_tensor(name, array, dtypes.get(name)) for name, array in arrays.items())
        )
        results = (capi.Tensor * len(wanted))(*(capi.Tensor(name=n.encode()) for n in wanted))
        error = capi.ErrorStruct()
        tensors = (None, given, len(arrays), results, len(wanted), error)
        with self.handle.use() as model:
            if profile is None:
                code = self.api.run(model, *tensors)
            else:
                with profile.use(self) as pointer:
                    code = self.api.profile_run(pointer, *tensors)
            capi.check(code, error)
            try:
                return {name: _array(result) for name, result in zip(wanted, results, strict=True)}
            finally:
                for result in results:
                    self.api.release(result)

    def session(
        self,
        threads: int | None = None,
        threshold: float | Sequence | np.ndarray | None = None,
        ratio: float | None = None,
        record: bool = False,
        max_rows: int = 512,
    ) -> Session:
        """A new text. threads: all cores; max_rows: tokens of one pass, more run in chunks.

        Of routed models: threshold and ratio as Session's, of which one may be given (the model's
        own threshold); record keeps what ran for Session.kept and Session.probability.
        """
        threads = None if threads is None else capi.integer("threads", threads)
        if threads is not None and threads < 1:
            raise Error("INVALID_ARGUMENT", f"threads must be at least 1, but is {threads}")
        if threshold is not None and ratio is not None:
            raise Error(
                "INVALID_ARGUMENT", "a session takes a threshold or a ratio, which sets thresholds"
            )
        options = capi.SessionOptions(
            threads=threads or 0,
            max_rows=capi.integer("max_rows", max_rows),
            record=bool(record),
        )
        pointer, error = ctypes.c_void_p(), capi.ErrorStruct()
        with self.handle.use() as model:
            capi.check(self.api.session_create(model, options, pointer, error), error)
            session = self.adopt(Session(self, pointer))
        try:
            if threshold is not None:
                session.threshold = threshold
            if ratio is not None:
                session.ratio = ratio
        except BaseException:
            session.close()
            raise
        return session

    def adopt(self, child: Child) -> Child:
        """Closes it when this artifact is closed."""
        with self._lock:
            self._children.add(child)
        return child

    def profile(self, events: int = 0) -> Profile:
        """Measures what each operation takes: set it as Session.profile, or give it to run.

        events: how many calls of operations it keeps one by one, the last ones.
        """
        if self.api.version < capi.API_VERSION:
            raise Error(
                "UNSUPPORTED",
                f"{self.path}: was compiled by a version of qtale without profiles; compile it "
                "again",
            )
        events = capi.integer("events", events)
        pointer, error = ctypes.c_void_p(), capi.ErrorStruct()
        with self.handle.use() as model:
            capi.check(self.api.profile_create(model, events, pointer, error), error)
            return self.adopt(Profile(self, pointer))

    def step(
        self, items: Sequence[tuple[Session, Tokens]], logits: str = "last"
    ) -> list[np.ndarray | None]:
        """One pass over the weights for several sessions; results as of one step each."""
        return step_sessions(self, items, logits)

    def verify(self) -> None:
        """Hashes the weights file; raises (CORRUPT) where a byte differs."""
        error = capi.ErrorStruct()
        with self.handle.use() as model:
            capi.check(self.api.model_verify(model, error), error)

    # -- Its end -------------------------------------------------------------

    def close(self) -> None:
        """Closes its sessions and profiles, and unloads it."""
        with self._lock:
            children = [*self._children]
        for child in children:
            child.close()
        self.handle.close()

    def __enter__(self) -> Artifact:
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
        return f"<qtale.Artifact {self.path}{' (closed)' if self.handle.closed else ''}>"


def _free(library: capi.Library, pointer: int) -> None:
    library.api.model_close(pointer)
    library.close()


def _tensor(name: str, array: np.ndarray, expected: str | None) -> capi.Tensor:
    """Points to the array's memory; the array must outlive it."""
    bits = expected in capi.ML_DTYPES and array.dtype == capi.bits_dtype(expected)
    dtype = capi.DTYPES.get(expected if bits else array.dtype.name)
    if dtype is None or not array.dtype.isnative:
        raise Error("INVALID_ARGUMENT", f"input {name}: arrays of {array.dtype} are not supported")
    if array.ndim > capi.MAX_RANK:
        raise Error("INVALID_ARGUMENT", f"input {name}: has rank {array.ndim}, beyond 8")
    dims = (ctypes.c_int64 * capi.MAX_RANK)(*array.shape)
    return capi.Tensor(name.encode(), dtype, array.ndim, dims, array.ctypes.data)


def _array(tensor: capi.Tensor) -> np.ndarray:
    """A copy of C's memory."""
    shape = tuple(tensor.dims[: tensor.rank])
    array = np.empty(shape, capi.numpy_dtype(capi.DTYPE_NAMES[tensor.dtype]))
    if array.nbytes:
        ctypes.memmove(array.ctypes.data, tensor.data, array.nbytes)
    return array
