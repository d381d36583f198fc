"""A "qtale" block that says too little, too much, or something impossible is refused by its key."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from qtale.errors import UserError
from qtale.exporter import export
from qtale.testing import TINY, write_random_checkpoint

ROUTING = {
    "router": "mlp2",
    "router_hidden_size": 10,
    "router_norm_eps": 1e-5,
    "unit": "block",
    "first_routed_layer": 1,
    "always_execute_tokens": 2,
    "kv_policy": "evict",
    "scale_kept": False,
    "adapter_size": 0,
    "threshold": 0.5,
}
ROUTER = "model.layers.1.router"
PARTS = ("fc1.weight", "fc1.bias", "norm.weight", "fc2.weight", "fc2.bias")

BLOCKS = {
    "router": ({"router": "moe"}, "qtale.router must be one of mlp2, linear, gate, but is 'moe'"),
    "router_missing": ({"router": None}, "the key qtale.router is missing"),
    "router_list": ({"router": ["mlp2"]}, "qtale.router must be one of"),
    "unit": ({"unit": "head"}, "qtale.unit must be one of block, attention_ffn"),
    "kv_policy": ({"kv_policy": "drop"}, "qtale.kv_policy must be one of evict, compute, copy"),
    "hidden_missing": ({"router_hidden_size": None}, "qtale.router_hidden_size is missing"),
    "hidden_zero": ({"router_hidden_size": 0}, "qtale.router_hidden_size must be a positive"),
    "eps_missing": ({"router_norm_eps": None}, "qtale.router_norm_eps is missing"),
    "eps": ({"router_norm_eps": 0}, "qtale.router_norm_eps must be a positive number"),
    "eps_of_linear": ({"router": "linear", "router_norm_eps": "1"}, "qtale.router_norm_eps must"),
    "first_missing": ({"first_routed_layer": None}, "qtale.first_routed_layer is missing"),
    "first_negative": ({"first_routed_layer": -1}, "qtale.first_routed_layer must be an integer"),
    "first_after_all": ({"first_routed_layer": 3}, "first_routed_layer is 3, but the model's"),
    "first_true": ({"first_routed_layer": True}, "qtale.first_routed_layer must be an integer"),
    "always_missing": ({"always_execute_tokens": None}, "always_execute_tokens is missing"),
    "always_negative": ({"always_execute_tokens": -1}, "qtale.always_execute_tokens must be an"),
    "always_fraction": ({"always_execute_tokens": 1.5}, "qtale.always_execute_tokens must be an"),
    "scale": ({"scale_kept": 1}, "qtale.scale_kept must be true or false"),
    "adapter_negative": ({"adapter_size": -3}, "qtale.adapter_size must be an integer"),
    "adapter_of_halves": (
        {"unit": "attention_ffn", "adapter_size": 4},
        "only the unit block has adapters; set it to 0",
    ),
    "copy_from_nothing": (
        {"kv_policy": "copy", "first_routed_layer": 0},
        "first_routed_layer must be at least 1",
    ),
    "threshold_missing": ({"threshold": None}, "qtale.threshold is missing"),
    "threshold_negative": ({"threshold": -0.1}, "qtale.threshold must be a number of at least 0"),
    "threshold_nan": ({"threshold": float("nan")}, "qtale.threshold must be a number of at least"),
    "threshold_infinite": ({"threshold": float("inf")}, "qtale.threshold must be a number of at"),
    "threshold_beyond_floats": ({"threshold": 10**400}, "qtale.threshold must be a number of at"),
    "threshold_text": ({"threshold": "0.5"}, "qtale.threshold must be a number of at least 0"),
    "adapter_without_tensors": (
        {"adapter_size": 4},
        'is missing; adapter_size in the "qtale" block',
    ),
    "unknown_key": ({"top_k": 3}, "qtale.top_k is not known; remove it"),
}

#: Changes of the tensors: a new shape, or None to drop it.
TENSORS = {
    "missing": ({f"{ROUTER}.fc1.weight": None}, f"{ROUTER}.fc1.weight [10, 48] is missing"),
    "first_routed_layer_too_low": (
        {f"{ROUTER}.{name}": None for name in PARTS},
        "gives layer 1 such a router (its keys router, unit and first_routed_layer must fit",
    ),
    "bias_missing": ({f"{ROUTER}.fc2.bias": None}, f"{ROUTER}.fc2.bias [2] is missing"),
    "shape": (
        {f"{ROUTER}.fc1.weight": (48, 10)},
        f"{ROUTER}.fc1.weight has shape [48, 10], but config.json asks for [10, 48]",
    ),
    "one_class": ({f"{ROUTER}.fc2.weight": (1, 10)}, "config.json asks for [2, 10]"),
    "of_an_unrouted_layer": (
        {"model.layers.0.router.norm.weight": (10,)},
        "model.layers.0.router.norm.weight belongs to no model",
    ),
    "adapter_unasked": (
        {"model.layers.1.adapter.norm.weight": (48,)},
        "model.layers.1.adapter.norm.weight belongs to no model",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_random_checkpoint(tmp_path / "checkpoint", TINY | {"qtale": ROUTING})


def refused(folder: Path, tmp_path: Path, message: str) -> None:
    with pytest.raises(UserError) as caught:
        export(folder, tmp_path / "out/model.onnx")
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("changes", "message"), BLOCKS.values(), ids=BLOCKS)
def test_block(folder: Path, tmp_path: Path, changes: dict, message: str):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"qtale": ROUTING | changes}))
    refused(folder, tmp_path, message)


@pytest.mark.parametrize("block", [[], "mlp2", 3, True])
def test_block_is_no_object(folder: Path, tmp_path: Path, block: object):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"qtale": block}))
    refused(folder, tmp_path, '"qtale" must be an object')


@pytest.mark.parametrize(("changes", "message"), TENSORS.values(), ids=TENSORS)
def test_tensors(folder: Path, tmp_path: Path, changes: dict, message: str):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name, shape in changes.items():
        if shape is None:
            del tensors[name]
        else:
            tensors[name] = np.zeros(shape, np.float32)
    save_file(tensors, path)
    refused(folder, tmp_path, message)


def test_null_means_dense(tmp_path: Path):
    folder = write_random_checkpoint(tmp_path / "checkpoint", TINY | {"qtale": None})
    assert export(folder, tmp_path / "model.onnx").exists()


def test_defaults(tmp_path: Path):
    """What has a default need not be written; keys of the other routers may stand there."""
    optional = ("unit", "kv_policy", "scale_kept", "adapter_size")
    short = {key: value for key, value in ROUTING.items() if key not in optional}
    for name, block in {"mlp2": short, "linear": ROUTING | {"router": "linear"}}.items():
        folder = write_random_checkpoint(tmp_path / name, TINY | {"qtale": block})
        assert export(folder, tmp_path / f"out/{name}.onnx").exists()
