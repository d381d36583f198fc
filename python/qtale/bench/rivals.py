"""The rivals by name: what they need, and how one is opened; their packages are imported then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command's options name the rivals, and need no more
    from qtale.bench.engine import Engine, Scheme
    from qtale.bench.models import Models


class NotMeasuredError(Exception):
    """Why a rival can't be."""


@dataclass(frozen=True)
class Rival:
    #: Modules, and the command that brings them.
    needs: tuple[str, ...]
    #: Models, scheme, threads, tokens of a text.
    open: Callable[[Models, Scheme, int, int], Engine]


def _onnxruntime(models: Models, scheme: Scheme, threads: int, context: int) -> Engine:
    from qtale.bench.onnxruntime_engine import OnnxRuntime
    from qtale.bench.onnxruntime_model import write_onnxruntime_model

    checkpoint = models.checkpoint()
    folder = models.made(
        f"onnxruntime-int{scheme.bits}-{scheme.group}",
        lambda path: write_onnxruntime_model(checkpoint, path, scheme),
    )
    return OnnxRuntime(folder, threads, context)


def _llama_cpp(models: Models, scheme: Scheme, threads: int, context: int) -> Engine:
    if scheme.group != 32:
        raise NotMeasuredError(f"its blocks are of 32, not {scheme.group}")
    from qtale.bench.llama_cpp_engine import LlamaCpp
    from qtale.bench.llama_cpp_model import write_llama_cpp_model

    checkpoint = models.checkpoint()
    path = models.made(
        f"llama.cpp-int{scheme.bits}-{scheme.group}.gguf",
        lambda path: write_llama_cpp_model(checkpoint, path, scheme),
    )
    return LlamaCpp(path, threads, context)


RIVALS = {
    "onnxruntime": Rival(("onnxruntime",), _onnxruntime),
    "llama.cpp": Rival(("llama_cpp", "gguf"), _llama_cpp),
}


def open_rival(name: str, models: Models, scheme: Scheme, threads: int, context: int) -> Engine:
    rival = RIVALS[name]
    for module in rival.needs:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise NotMeasuredError("not installed (pip install 'qtale[bench]')") from error
        except Exception as error:  # libraries inside packages fail in many ways
            raise NotMeasuredError(f"{module} can't be imported: {error}") from error
    return rival.open(models, scheme, threads, context)
