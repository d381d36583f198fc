"""include/qtale/Runtime/qtale.h in ctypes: an artifact's table of functions.

    api = Library(path).api         the struct of function pointers; calls release the GIL
    check(code, error)              raises qtale.Error where a call did not succeed

The order and types of fields are the header's; a test compares them.
"""

from __future__ import annotations

import _ctypes
import ctypes
import platform
import struct
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import ClassVar

import numpy as np

from qtale.errors import Error

API_VERSION = 3
#: Artifacts of this version lack the end of the table, which is about profiles.
OLDEST_VERSION = 2
MAX_RANK = 8

OK = 0
CODES = {
    1: "INVALID_ARGUMENT",
    2: "NOT_FOUND",
    3: "CORRUPT",
    4: "UNSUPPORTED",
    5: "OUT_OF_MEMORY",
    6: "IO",
    7: "BUSY",
    8: "LIMIT",
}
LIMIT = 8

LOGITS = {"none": 0, "last": 1, "all": 2}

#: qtale_dtype by the name that Artifact.inputs shows.
DTYPES = {
    "bool": 1,
    "int8": 2,
    "uint8": 3,
    "int16": 4,
    "uint16": 5,
    "int32": 6,
    "uint32": 7,
    "int64": 8,
    "uint64": 9,
    "float16": 10,
    "bfloat16": 11,
    "float32": 12,
    "float64": 13,
    "float8_e4m3fn": 14,
    "float8_e4m3fnuz": 15,
    "float8_e5m2": 16,
    "float8_e5m2fnuz": 17,
    "float8_e8m0fnu": 18,
    "float6_e2m3fn": 19,
    "float6_e3m2fn": 20,
    "float4_e2m1fn": 21,
    "int4": 22,
    "uint4": 23,
    "int2": 24,
    "uint2": 25,
}
DTYPE_NAMES = {number: name for name, number in DTYPES.items()}


#: Types that NumPy lacks: ml_dtypes has them under the same names.
ML_DTYPES = ("bfloat16", *(name for name, number in DTYPES.items() if number > 13))


def bits_dtype(name: str) -> np.dtype:
    """The unsigned integer that holds the bits of a type that NumPy lacks."""
    return np.dtype(np.uint16 if name == "bfloat16" else np.uint8)


def numpy_dtype(name: str) -> np.dtype:
    """Types that NumPy lacks are ml_dtypes' where that has them, otherwise their bits."""
    if name not in ML_DTYPES:
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return bits_dtype(name)
    known = getattr(ml_dtypes, name, None)
    return bits_dtype(name) if known is None else np.dtype(known)


class ErrorStruct(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", c_char * 512)]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("dims", c_int64 * MAX_RANK),
        ("data", c_void_p),
    ]


class Step(ctypes.Structure):
    _fields_ = [
        ("session", c_void_p),
        ("tokens", c_void_p),
        ("count", c_int64),
        ("wanted", c_int32),
        ("logits", c_void_p),
    ]


class SessionOptions(ctypes.Structure):
    _fields_ = [
        ("pool", c_void_p),
        ("threads", c_int64),
        ("max_rows", c_int64),
        ("record", c_int32),
    ]


class ModelOptions(ctypes.Structure):
    _fields_ = [("cpu", c_char_p)]


class Routing(ctypes.Structure):
    _fields_ = [
        ("layers", c_int64),
        ("units", c_int64),
        ("routed", POINTER(c_uint8)),
        ("always_execute", c_int64),
        ("thresholds", POINTER(c_float)),
        ("lowest_ratio", c_float),
        ("highest_ratio", c_float),
    ]


class Operation(ctypes.Structure):
    _fields_ = [
        ("operation", c_char_p),
        ("node", c_char_p),
        ("layer", c_int64),
        ("calls", c_int64),
        ("nanoseconds", c_uint64),
        ("bytes", c_uint64),
        ("macs", c_uint64),
    ]


class Event(ctypes.Structure):
    _fields_ = [
        ("operation", c_int64),
        ("begin", c_uint64),
        ("nanoseconds", c_uint64),
        ("bytes", c_uint64),
        ("macs", c_uint64),
    ]


_Error = POINTER(ErrorStruct)
_Place = POINTER(c_void_p)
_Sizes = POINTER(c_size_t)


class Api(ctypes.Structure):
    _fields_ = [
        ("version", c_uint32),
        (
            "model_open",
            CFUNCTYPE(c_int32, c_char_p, POINTER(ModelOptions), _Place, _Error),
        ),
        ("model_close", CFUNCTYPE(None, c_void_p)),
        ("model_info", CFUNCTYPE(c_char_p, c_void_p)),
        ("model_verify", CFUNCTYPE(c_int32, c_void_p, _Error)),
        ("model_num_inputs", CFUNCTYPE(c_int64, c_void_p)),
        ("model_num_outputs", CFUNCTYPE(c_int64, c_void_p)),
        ("model_input", CFUNCTYPE(c_int32, c_void_p, c_int64, POINTER(Tensor), _Error)),
        ("model_output", CFUNCTYPE(c_int32, c_void_p, c_int64, POINTER(Tensor), _Error)),
        ("model_vocab", CFUNCTYPE(c_int64, c_void_p)),
        ("model_context", CFUNCTYPE(c_int64, c_void_p)),
        ("model_bos", CFUNCTYPE(c_int64, c_void_p)),
        ("model_eos", CFUNCTYPE(c_int64, c_void_p, POINTER(POINTER(c_int64)))),
        (
            "run",
            CFUNCTYPE(
                c_int32,
                c_void_p,
                c_void_p,
                POINTER(Tensor),
                c_int64,
                POINTER(Tensor),
                c_int64,
                _Error,
            ),
        ),
        ("release", CFUNCTYPE(None, POINTER(Tensor))),
        (
            "session_create",
            CFUNCTYPE(c_int32, c_void_p, POINTER(SessionOptions), _Place, _Error),
        ),
        ("session_destroy", CFUNCTYPE(None, c_void_p)),
        ("session_reset", CFUNCTYPE(c_int32, c_void_p, _Error)),
        ("session_truncate", CFUNCTYPE(c_int32, c_void_p, c_int64, _Error)),
        ("session_fork", CFUNCTYPE(c_int32, c_void_p, _Place, _Error)),
        ("session_position", CFUNCTYPE(c_int64, c_void_p)),
        ("session_kv_bytes", CFUNCTYPE(c_uint64, c_void_p)),
        ("step", CFUNCTYPE(c_int32, POINTER(Step), c_int64, _Error)),
        (
            "tokenize",
            CFUNCTYPE(c_int32, c_void_p, c_char_p, c_size_t, c_void_p, c_size_t, _Sizes, _Error),
        ),
        (
            "detokenize",
            CFUNCTYPE(
                c_int32,
                c_void_p,
                c_int32,
                c_void_p,
                c_size_t,
                c_void_p,
                c_size_t,
                _Sizes,
                _Error,
            ),
        ),
        ("pool_create", CFUNCTYPE(c_int32, c_int64, _Place, _Error)),
        ("pool_destroy", CFUNCTYPE(None, c_void_p)),
        ("model_routing", CFUNCTYPE(POINTER(Routing), c_void_p)),
        (
            "session_set_threshold",
            CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int64, _Error),
        ),
        ("session_threshold", CFUNCTYPE(c_int32, c_void_p, c_void_p, c_int64, _Error)),
        ("session_set_ratio", CFUNCTYPE(c_int32, c_void_p, c_double, _Error)),
        ("session_set_budget", CFUNCTYPE(c_int32, c_void_p, c_int64, _Error)),
        (
            "session_kept",
            CFUNCTYPE(c_int32, c_void_p, c_int64, c_int64, c_void_p, _Error),
        ),
        (
            "session_probability",
            CFUNCTYPE(c_int32, c_void_p, c_int64, c_int64, c_void_p, _Error),
        ),
        ("profile_create", CFUNCTYPE(c_int32, c_void_p, c_int64, _Place, _Error)),
        ("profile_destroy", CFUNCTYPE(None, c_void_p)),
        (
            "profile_run",
            CFUNCTYPE(
                c_int32,
                c_void_p,
                c_void_p,
                POINTER(Tensor),
                c_int64,
                POINTER(Tensor),
                c_int64,
                _Error,
            ),
        ),
        ("profile_step", CFUNCTYPE(c_int32, c_void_p, POINTER(Step), c_int64, _Error)),
        (
            "profile_operations",
            CFUNCTYPE(c_int64, c_void_p, POINTER(Operation), c_int64),
        ),
        ("profile_events", CFUNCTYPE(c_int64, c_void_p, POINTER(Event), c_int64)),
    ]


def integer(name: str, value: object, bits: int = 64) -> int:
    """For a call that takes so many bits: ctypes would cut off all others."""
    if not isinstance(value, (int, np.integer)) or not -1 << bits - 1 <= value < 1 << bits - 1:
        raise Error(
            "INVALID_ARGUMENT", f"{name} must be an integer of {bits} bits, but is {value!r}"
        )
    return int(value)


def check(code: int, error: ErrorStruct) -> None:
    """Raises what a call answered, unless it succeeded."""
    if code != OK:
        message = error.message.decode("utf-8", "replace")
        raise Error(CODES.get(code, str(code)), message)


class Library:
    """An artifact's code in this process."""

    #: Device and inode of the file behind each open handle, and how often it is open.
    _open: ClassVar[dict[int, tuple[tuple[int, int], int]]] = {}

    def __init__(self, path: Path):
        _check_elf(path)
        try:
            # An absolute path: otherwise the loader searches its own folders.
            self._library = ctypes.CDLL(str(path.resolve()))
        except OSError as error:
            raise Error("CORRUPT", f"{path}: cannot be loaded: {error}") from error
        self._handle = self._library._handle
        status = path.stat()
        file = (status.st_dev, status.st_ino)
        known, count = Library._open.get(self._handle, (file, 0))
        Library._open[self._handle] = (known, count + 1)
        try:
            if known != file:
                # The loader goes by the name, and would run the old code.
                raise Error(
                    "BUSY",
                    f"{path}: was replaced while it is loaded; close the earlier artifact first",
                )
            self.api = self._get_api(path)
        except BaseException:
            self.close()
            raise

    def _get_api(self, path: Path) -> Api:
        try:
            get_api = self._library.qtale_get_api
        except AttributeError as error:
            raise Error("CORRUPT", f"{path}: a shared library, but no qtale artifact") from error
        get_api.restype = POINTER(Api)
        get_api.argtypes = [c_uint32]
        table = get_api(API_VERSION) or get_api(OLDEST_VERSION)
        if not table:
            raise Error(
                "UNSUPPORTED",
                f"{path}: was compiled by another version of qtale (this one speaks interface "
                f"{API_VERSION}); compile it again",
            )
        return table.contents

    def close(self) -> None:
        """Unloads the code; nothing of it may be in use."""
        file, count = Library._open.pop(self._handle)
        if count > 1:
            Library._open[self._handle] = (file, count - 1)
        _ctypes.dlclose(self._handle)


#: Processors as ELF headers name them.
_MACHINES = {"x86_64": 62, "aarch64": 183}


def _check_elf(path: Path) -> None:
    """Refuses what would kill the process while it is loaded: a file cut short.

    The loader calls a library for another processor missing; so that is told here too.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError as error:
        raise Error("NOT_FOUND", f"{path}: no such file") from error
    except OSError as error:
        raise Error("IO", f"{path}: {error.strerror}") from error
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        raise Error("CORRUPT", f"{path}: not a compiled model (no 64-bit ELF file)")
    machine = struct.unpack_from("<H", head, 18)[0]
    if machine != _MACHINES.get(platform.machine(), machine):
        raise Error(
            "UNSUPPORTED", f"{path}: was compiled for another processor than this machine's"
        )
    program, section = struct.unpack_from("<QQ", head, 32)
    program_size, programs, section_size, sections = struct.unpack_from("<4H", head, 54)
    end = max(program + program_size * programs, section + section_size * sections)
    if end <= size and program_size >= 56:
        with path.open("rb") as file:
            file.seek(program)
            table = file.read(program_size * programs)
        for index in range(programs):
            offset, _, _, length = struct.unpack_from("<4Q", table, index * program_size + 8)
            end = max(end, offset + length)
    if end > size:
        raise Error("CORRUPT", f"{path}: is cut short ({size} of at least {end} bytes)")
