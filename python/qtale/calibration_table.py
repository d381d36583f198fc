"""The calibration table in an artifact's file: found by its magic, filled in place.

    magic | capacity | count | units | 0 | ratios [capacity] | thresholds [capacity, units]
    32 B    uint32                         float32, ascending   float32

It is qtale_calibration of ModuleABI.h, in the code's writable data. A loaded artifact keeps the
file that it was loaded from: the new table is in a copy, which takes the file's name.
"""

from __future__ import annotations

import mmap
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qtale.errors import UserError
from qtale.exporter.output import OutputFiles

CAPACITY = 16
_MAGIC = b"qtale routing calibration table\0"
_HEAD = struct.Struct(f"<32s4I{CAPACITY}f")


def write_table(path: Path, ratios: Sequence[float], thresholds: np.ndarray) -> None:
    """ratios: ascending, at most CAPACITY; thresholds float32 [ratios, units]."""
    count, units = thresholds.shape
    # A link is followed: the file that it leads to is the artifact.
    path = path.resolve()
    offset = _find(path, units)
    head = _HEAD.pack(_MAGIC, CAPACITY, count, units, 0, *ratios, *[0.0] * (CAPACITY - count))
    body = np.zeros((CAPACITY, units), "<f4")
    body[:count] = thresholds
    with OutputFiles(path.parent) as files:
        copy = files.path(path.name)
        shutil.copyfile(path, copy)
        shutil.copymode(path, copy)
        with copy.open("r+b") as file:
            file.seek(offset)
            file.write(head + body.tobytes())


def check_table(path: Path, units: int) -> None:
    """Whether the artifact has room for a table of a model of so many units; a UserError if not."""
    _find(path, units)


def _find(path: Path, units: int) -> int:
    """Where the table lies."""
    begin = _MAGIC + struct.pack("<I", CAPACITY)
    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"{path}: is no artifact; give a file that qtale-compile wrote")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        offset = data.find(begin)
        if offset < 0:
            raise UserError(f"{path}: has no place for a calibration table; compile it again")
        if data.find(begin, offset + 1) >= 0:
            raise UserError(f"{path}: has several calibration tables, so none can be chosen")
        room = len(data) - offset - _HEAD.size
        if room < 0 or room < 4 * CAPACITY * _HEAD.unpack_from(data, offset)[3]:
            raise UserError(f"{path}: its calibration table is damaged; compile it again")
        if (other := _HEAD.unpack_from(data, offset)[3]) != units:
            raise UserError(
                f"{path}: is of another model: it has {other} units, not {units}; give artifacts "
                "of one model"
            )
        return offset
