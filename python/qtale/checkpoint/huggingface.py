"""Hugging Face folders of the Llama family.

config.json                    the mathematics; read by hf_config.py
model.safetensors, or model.safetensors.index.json and the shards that it names
tokenizer.json                 taken as it is
generation_config.json         beginning and end of sequence; config.json's otherwise
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from safetensors import SafetensorError, safe_open

from qtale.checkpoint.hf_config import parse_config, token_ids
from qtale.checkpoint.model import Checkpoint, LlamaConfig, StoredTensor
from qtale.errors import UserError

_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_INDEX = "model.safetensors.index.json"


def open_huggingface(folder: Path) -> Checkpoint:
    """Reads the configuration and the files' headers; tensors stay on disk."""
    path = folder / "config.json"
    if not path.exists():
        raise UserError(f"{folder}: has no config.json; is it a Hugging Face model's folder?")
    raw = read_json(path)
    generation = folder / "generation_config.json"
    tokens = {**raw, **read_json(generation)} if generation.exists() else raw
    source = generation if generation.exists() else path
    bos = token_ids(tokens, "bos_token_id", source)
    eos = token_ids(tokens, "eos_token_id", source)
    config = parse_config(raw, path, bos[0] if bos else None, eos)

    tensors: dict[str, StoredTensor] = {}
    for file, names in _files(folder).items():
        header = _header(file)
        for name in header if names is None else names:
            if name not in header:
                raise UserError(f"{folder / _INDEX}: {name} should be in {file.name}, but is not")
            tensors[name] = header[name]
    tokenizer = folder / "tokenizer.json"
    return Checkpoint(
        folder,
        config,
        _select(folder, config, tensors),
        tokenizer if tokenizer.exists() else f"{folder} has no tokenizer.json",
    )


def read_json(path: Path) -> dict:
    """The object in a JSON file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: should hold a JSON object")
    return value


def _files(folder: Path) -> dict[Path, list[str] | None]:
    """The safetensors files, each with the names to take from it (None: all)."""
    index = folder / _INDEX
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise UserError(f"{index}: has no weight_map")
        files: dict[Path, list[str] | None] = {}
        for name, file in weight_map.items():
            if not isinstance(file, str) or Path(file).name != file:
                raise UserError(f"{index}: {name} lies in {file!r}, which is no name of a file")
            files.setdefault(folder / file, []).append(name)  # type: ignore[union-attr]
        for file in files:
            if not file.exists():
                raise UserError(f"{file}: missing, but {index.name} names it; download it too")
        return files
    single = folder / "model.safetensors"
    if single.exists():
        return {single: None}
    if any(folder.glob("*.bin")) or any(folder.glob("*.pth")):
        raise UserError(f"{folder}: has PyTorch files only; convert them to safetensors")
    raise UserError(f"{folder}: has neither model.safetensors nor {_INDEX}")


def _header(path: Path) -> dict[str, StoredTensor]:
    """Where each tensor of a safetensors file lies."""
    try:
        with safe_open(path, framework="numpy"):
            pass  # checks the header: offsets without holes or overlap, the file's size
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file: {error}") from error
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype = _DTYPES.get(entry["dtype"], entry["dtype"])
        begin, _ = entry["data_offsets"]
        tensors[name] = StoredTensor(path, 8 + length + begin, dtype, tuple(entry["shape"]))
    return tensors


def _why(name: str) -> str:
    """What asks for a tensor that is not there, where a key other than the sizes does."""
    layer, _, part = name.removeprefix("model.layers.").partition(".")
    if part.startswith("router"):
        return (
            f'; the "qtale" block of config.json gives layer {layer} such a router (its keys '
            "router, unit and first_routed_layer must fit the tensors)"
        )
    if part.startswith("adapter"):
        return '; adapter_size in the "qtale" block of config.json asks for it'
    return ""


def _select(
    folder: Path, config: LlamaConfig, tensors: dict[str, StoredTensor]
) -> dict[str, StoredTensor]:
    """The tensors of the model, checked; one that nothing would use is refused."""
    if config.num_layers > len(tensors):
        raise UserError(
            f"{folder}: config.json asks for {config.num_layers} layers, but the files hold only "
            f"{len(tensors)} tensors"
        )
    selected = {}
    for name, shape in config.shapes().items():
        tensor = tensors.pop(name, None)
        if tensor is None:
            raise UserError(f"{folder}: the tensor {name} {list(shape)} is missing{_why(name)}")
        if tensor.shape != shape:
            raise UserError(
                f"{tensor.file}: {name} has shape {list(tensor.shape)}, but config.json asks for "
                f"{list(shape)}"
            )
        if tensor.dtype not in _DTYPES.values():
            raise UserError(
                f"{tensor.file}: {name} is stored as {tensor.dtype}; F32, F16 and BF16 are read"
            )
        selected[name] = tensor
    # A tied head may be stored all the same; frequencies are computed.
    unused = [
        name
        for name in tensors
        if not (name.endswith("rotary_emb.inv_freq") or (config.tied and name == "lm_head.weight"))
    ]
    if unused:
        more = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
        raise UserError(
            f"{folder}: the tensor {unused[0]}{more} belongs to no model that config.json "
            "describes; leaving it out would change the results"
        )
    return selected
