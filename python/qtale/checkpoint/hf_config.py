"""`config.json` of the Llama family: every key is understood, or refused by name.

supported   read below
harmless    changes nothing when a trained model runs (dropout, dtypes, names, ...)
neutral     an unknown key whose value switches it off: null, false, 0, "", [] or {}
else        refused: it might change the mathematics
"""

from __future__ import annotations

from pathlib import Path

from qtale.checkpoint.keys import Keys
from qtale.checkpoint.model import LlamaConfig, Rotary
from qtale.checkpoint.routing import parse_routing
from qtale.errors import UserError

MODEL_TYPES = ("llama", "mistral", "qwen2")

_SUPPORTED = {
    "attention_bias",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "qtale",  # routing.py
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vocab_size",
}

_HARMLESS = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "chunk_size_feed_forward",
    "dtype",
    "id2label",
    "initializer_range",
    "is_decoder",
    "label2id",
    "name_or_path",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "pretraining_tp",  # splits matmuls, which gives the same sums
    "problem_type",
    "return_dict",
    "torch_dtype",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
}

_SCALING_KEYS = {
    "default": set(),
    "linear": {"factor"},
    "llama3": {
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    },
}


def parse_config(raw: dict, path: Path, bos: int | None, eos: tuple[int, ...]) -> LlamaConfig:
    """The model that config.json describes; a UserError names a key that is not implemented."""
    kind = raw.get("model_type")
    if kind not in MODEL_TYPES:
        raise UserError(
            f"{path}: model_type {kind!r} is not supported; {', '.join(MODEL_TYPES)} are"
        )
    for key, value in raw.items():
        known = key in _SUPPORTED or key in _HARMLESS
        if not known and value not in (None, False, "", [], {}):
            raise UserError(
                f"{path}: the key {key} ({value!r}) is not implemented and might change the results"
            )
    if any(not str(name).endswith("ForCausalLM") for name in raw.get("architectures") or []):
        raise UserError(f"{path}: architectures {raw['architectures']} is no causal language model")

    read = Keys(raw, path)
    heads = read.integer("num_attention_heads")
    layers = read.integer("num_hidden_layers")
    hidden = read.integer("hidden_size")
    # The families differ in what a missing key means; only Llama's meaning needs no constant.
    kv_heads = read.integer("num_key_value_heads", heads if kind == "llama" else None)
    head_dim = read.integer("head_dim", hidden // heads)
    context = read.integer("max_position_embeddings")
    if raw.get("head_dim") is None and hidden % heads:
        raise UserError(f"{path}: hidden_size {hidden} is no multiple of the {heads} heads")
    if head_dim % 2:
        raise UserError(f"{path}: head_dim must be even, but is {head_dim}")
    if heads % kv_heads:
        raise UserError(f"{path}: {heads} heads are no multiple of {kv_heads} key/value heads")
    read.only("hidden_act", "silu", default="silu")
    read.only("partial_rotary_factor", 1, default=1)
    _refuse_windows(raw, path, kind, context)

    vocab = read.integer("vocab_size")
    for name, ids in (("bos_token_id", (bos,)), ("eos_token_id", eos)):
        if any(token is not None and token >= vocab for token in ids):
            raise UserError(f"{path}: {name} {ids} lies outside the vocabulary of {vocab}")

    attention_bias = read.flag("attention_bias")
    routing = raw.get("qtale")
    return LlamaConfig(
        hidden_size=hidden,
        intermediate_size=read.integer("intermediate_size"),
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=vocab,
        context=context,
        norm_eps=read.number("rms_norm_eps", 1e-6),
        rotary=_rotary(raw, path, read),
        tied=read.flag("tie_word_embeddings"),
        # Qwen2 has them always, and only there.
        qkv_bias=attention_bias or kind == "qwen2",
        output_bias=attention_bias,
        mlp_bias=read.flag("mlp_bias"),
        bos=bos,
        eos=eos,
        routing=None if routing is None else parse_routing(routing, path, layers),
    )


def token_ids(raw: dict, key: str, path: Path) -> tuple[int, ...]:
    """A token id, a list of them, or none."""
    value = raw.get(key)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, int) or item < 0:
            raise UserError(f"{path}: {key} must be token ids, but is {value!r}")
    return tuple(ids)


def _refuse_windows(raw: dict, path: Path, kind: str, context: int) -> None:
    """Sliding windows, unless they are switched off or as long as the context."""
    window = raw.get("sliding_window", 4096 if kind == "mistral" else None)
    used = raw.get("use_sliding_window", kind != "qwen2")
    if used and window is not None and window < context:
        raise UserError(
            f"{path}: sliding_window = {window} is not implemented (set it to null where texts "
            "stay shorter)"
        )
    types = raw.get("layer_types") or []
    other = next((name for name in types if name != "full_attention"), None)
    if other is not None and not (other == "sliding_attention" and (window or context) >= context):
        raise UserError(f"{path}: layer_types has {other!r}, which is not implemented")


def _rotary(raw: dict, path: Path, read: Keys) -> Rotary:
    """From rope_theta and rope_scaling, or from rope_parameters, which holds both."""
    key = "rope_scaling" if raw.get("rope_scaling") else "rope_parameters"
    scaling = raw.get(key) or {}
    if not isinstance(scaling, dict):
        raise UserError(f"{path}: {key} must be an object, but is {scaling!r}")
    scaling = dict(scaling)
    theta = Keys(scaling, path).number("rope_theta", read.number("rope_theta", 10000.0))
    scaling.pop("rope_theta", None)
    Keys(scaling, path).only("partial_rotary_factor", 1, default=1)
    scaling.pop("partial_rotary_factor", None)
    legacy = scaling.pop("type", None)
    kind = scaling.pop("rope_type", legacy) or "default"
    if kind not in _SCALING_KEYS:
        raise UserError(
            f"{path}: {key} of type {kind!r} is not implemented; {', '.join(_SCALING_KEYS)} are"
        )
    for name in scaling:
        if name not in _SCALING_KEYS[kind] and scaling[name] is not None:
            raise UserError(f"{path}: {key} has the key {name}, which {kind} does not know")
    if kind == "default":
        return Rotary(theta)
    values = Keys(scaling, path)
    numbers = {name: values.number(name) for name in sorted(_SCALING_KEYS[kind])}
    if kind == "llama3" and not numbers["low_freq_factor"] < numbers["high_freq_factor"]:
        raise UserError(f"{path}: {key}: low_freq_factor must be below high_freq_factor")
    return Rotary(theta, scaling={"rope_type": kind, **numbers})
