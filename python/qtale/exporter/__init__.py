"""From a checkpoint to ONNX: `export(checkpoint, "folder/model.onnx")`.

model.onnx              the graph; no tensor of 1 KiB or more stands in it
model.onnx.data         the weights, streamed
tokenizer.json          as published, or converted from llama2.c's
generation_config.json  beginning and end of sequence
tokenizer_config.json, chat_template.jinja    as published, where there are: for `--chat`
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from qtale import chat
from qtale.checkpoint import Checkpoint, open_checkpoint
from qtale.errors import UserError
from qtale.exporter.data import DataFile
from qtale.exporter.graph import build_model
from qtale.exporter.output import OutputFiles, describe
from qtale.exporter.tokenizer import convert_llama2c_tokenizer

__all__ = ["export"]


def export(
    checkpoint: str | Path,
    output: str | Path,
    tokenizer: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] = lambda message: None,
) -> Path:
    """Writes `output` and the files beside it; returns its path.

    progress takes (bytes of this piece, bytes of all); note takes remarks for the user.
    """
    output = Path(output)
    if output.suffix != ".onnx":
        raise UserError(f"{output}: the output's name must end in .onnx")
    source = open_checkpoint(checkpoint)
    text = _tokenizer_text(source, Path(tokenizer) if tokenizer else None, note)
    data = DataFile(f"{output.name}.data")
    model = build_model(source, data)

    with OutputFiles(output.parent) as files:
        path = files.path(data.location)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            data.write(fd, lambda size: progress and progress(size, data.payload))
        finally:
            os.close(fd)
        beside = {"tokenizer.json": text, "generation_config.json": _generation_config(source)}
        beside |= {name: _published(source.path / name) for name in chat.FILES}
        for name, content in beside.items():
            # A model exported into its checkpoint's folder leaves what was published there.
            published = source.path / name
            inside = published.exists() and published.parent.samefile(output.parent)
            if content is not None and not inside:
                files.path(name).write_text(content, encoding="utf-8")
        files.path(output.name).write_bytes(model.SerializeToString(deterministic=True))
    return output


def _published(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _generation_config(source: Checkpoint) -> str:
    config: dict[str, int | list[int]] = {}
    if source.config.bos is not None:
        config["bos_token_id"] = source.config.bos
    if source.config.eos:
        eos = list(source.config.eos)
        config["eos_token_id"] = eos if len(eos) > 1 else eos[0]
    return json.dumps(config, indent=2) + "\n"


def _tokenizer_text(
    source: Checkpoint, given: Path | None, note: Callable[[str], None]
) -> str | None:
    path = given or source.tokenizer
    if isinstance(path, str):
        note(f"{path}; the model is written without a tokenizer (give one with --tokenizer)")
        return None
    try:
        if path.suffix == ".bin":
            return convert_llama2c_tokenizer(path, source.config.vocab_size)
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        return text
    except OSError as error:
        raise UserError(describe(error, path)) from error
    except ValueError as error:
        raise UserError(f"{path}: not a tokenizer.json: {error}") from error
