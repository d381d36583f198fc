"""Finding and calling the programs that CMake builds: qtale-compile and qtale-run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from qtale.errors import Error


def find_tool(name: str) -> Path:
    """In this order: $QTALE_COMPILE or $QTALE_RUN, the package, the build folder, PATH."""
    variable = name.upper().replace("-", "_")
    named = os.environ.get(variable)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise Error("NOT_FOUND", f"{variable}={named}: no such program")
        return Path(named)
    package = Path(__file__).resolve().parent
    places = [package / "bin", package.parents[1] / "build/bin", Path(sys.executable).parent]
    for place in places:
        if os.access(place / name, os.X_OK):
            return place / name
    found = shutil.which(name)
    if found:
        return Path(found)
    raise Error(
        "NOT_FOUND",
        f"{name} was not found; build it (cmake --build build), or name it in {variable}",
    )


def compile(model: str | os.PathLike, output: str | os.PathLike, **options) -> Path:
    """Compiles a model; options are qtale-compile's, with underscores.

    qtale.compile("m.onnx", "m.so", weights="int4", group=64, asymmetric=True, bundle=True)
    """
    command: list[str | os.PathLike] = [find_tool("qtale-compile"), model, "-o", output]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None or value is False:
            continue
        if value is True:
            command.append(flag)
        elif isinstance(value, (list, tuple)):
            command.append(f"{flag}={','.join(map(str, value))}")
        else:
            command.append(f"{flag}={os.fspath(value) if isinstance(value, Path) else value}")
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise Error("NOT_FOUND", f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        message = done.stderr.decode("utf-8", "replace").strip()
        code = "INVALID_ARGUMENT" if done.returncode == 2 else "COMPILE"
        raise Error(code, message or f"{command[0]} ended with {done.returncode}")
    return Path(output)
