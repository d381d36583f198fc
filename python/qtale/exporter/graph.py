"""The ONNX graph of a dense Llama model: standard operators of opset 23.

    input_ids, attention_mask -> ai.qtale::CausalMask -> position_ids, mask
    x = embedding[input_ids]
    per layer   h = rms_norm(x);  q, k, v = h Wq, h Wk, h Wv;  q, k = rotary(q, k)
                x = x + attention(q, k, v, mask, past) Wo
                h = rms_norm(x);  x = x + (silu(h Wgate) * (h Wup)) Wdown
    logits = rms_norm(x) Whead

Node and weight names are onnxruntime-genai's. Weights are written [in, out], in the checkpoint's
storage type; a Cast follows where that is not float32, so that everything is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import resources

import numpy as np
import onnx
from onnx import helper

import qtale
from qtale.checkpoint import Checkpoint
from qtale.exporter.data import DataFile

OPSET = 23
IR_VERSION = 11
DOMAIN = "ai.qtale"
#: Rows of a rotary table that are computed at once.
TABLE_ROWS = 16384


def load_function(name: str) -> onnx.FunctionProto:
    """The body of a function in the domain ai.qtale."""
    text = resources.files("qtale").joinpath(f"functions/{name}.onnxtxt").read_text()
    return onnx.parser.parse_function(text)


def build_model(checkpoint: Checkpoint, data: DataFile) -> onnx.ModelProto:
    """The model; its large tensors are planned in `data`, not read."""
    return _Builder(checkpoint, data).build()


class _Builder:
    def __init__(self, checkpoint: Checkpoint, data: DataFile):
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.data = data
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    # -- Pieces --------------------------------------------------------------

    def node(self, op: str, name: str, inputs: list[str], **attributes) -> str:
        """Adds a node with one output, named after it."""
        output = f"{name}/output_0"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def weight(self, source: str, name: str, transpose: bool = False) -> str:
        """A tensor of the checkpoint as float32."""
        tensor = self.checkpoint[source]
        self.initializers.append(self.data.add(name, tensor, transpose))
        if tensor.dtype == "float32":
            return name
        return self.node("Cast", f"/{name}/Cast", [name], to=onnx.TensorProto.FLOAT)

    def linear(self, x: str, source: str, name: str) -> str:
        """x W (+ b): `name` as in model.layers.0.attn.q_proj."""
        path = "/" + name.replace(".", "/").replace("/layers/", "/layers.")
        weight = self.weight(f"{source}.weight", f"{name}.MatMul.weight", transpose=True)
        y = self.node("MatMul", f"{path}/MatMul", [x, weight])
        if f"{source}.bias" in self.checkpoint:
            bias = self.weight(f"{source}.bias", f"{name}.Add.bias")
            y = self.node("Add", f"{path}/Add", [y, bias])
        return y

    def norm(self, x: str, source: str, name: str, path: str) -> str:
        weight = self.weight(source, name)
        return self.node(
            "RMSNormalization", path, [x, weight], axis=-1, epsilon=self.config.norm_eps
        )

    def rotary_tables(self) -> None:
        """cos_cache and sin_cache [context, head_dim / 2], computed in float64."""
        frequencies = self.config.rotary.frequencies(self.config.head_dim)
        context = self.config.context
        for name, wave in (("cos_cache", np.cos), ("sin_cache", np.sin)):

            def tiles(wave=wave) -> Iterator[tuple[int, np.ndarray]]:
                for begin in range(0, context, TABLE_ROWS):
                    position = np.arange(begin, min(begin + TABLE_ROWS, context))
                    yield begin, wave(np.outer(position, frequencies)).astype(np.float32)

            self.initializers.append(
                self.data.add_computed(name, (context, self.config.head_dim // 2), tiles)
            )

    # -- The model -----------------------------------------------------------

    def attention(self, x: str, layer: int) -> str:
        config, source = self.config, f"model.layers.{layer}.self_attn"
        name, path = f"model.layers.{layer}.attn", f"/model/layers.{layer}/attn"
        q, k, v = (self.linear(x, f"{source}.{p}_proj", f"{name}.{p}_proj") for p in "qkv")
        q, k = (
            self.node(
                "RotaryEmbedding",
                f"{path}/{p}_rotary/RotaryEmbedding",
                [value, "cos_cache", "sin_cache", "position_ids"],
                num_heads=heads,
                interleaved=int(config.rotary.interleaved),
            )
            for p, value, heads in (("q", q, config.num_heads), ("k", k, config.num_kv_heads))
        )
        past = [f"past_key_values.{layer}.{p}" for p in ("key", "value")]
        y = f"{path}/Attention/output_0"
        self.nodes.append(
            helper.make_node(
                "Attention",
                [q, k, v, "attention_mask/causal", *past],
                [y, f"present.{layer}.key", f"present.{layer}.value"],
                name=f"{path}/Attention",
                q_num_heads=config.num_heads,
                kv_num_heads=config.num_kv_heads,
                scale=1 / math.sqrt(config.head_dim),
            )
        )
        return self.linear(y, f"{source}.o_proj", f"{name}.o_proj")

    def mlp(self, x: str, layer: int) -> str:
        name, path = f"model.layers.{layer}.mlp", f"/model/layers.{layer}/mlp"
        gate = self.linear(x, f"{name}.gate_proj", f"{name}.gate_proj")
        up = self.linear(x, f"{name}.up_proj", f"{name}.up_proj")
        sigmoid = self.node("Sigmoid", f"{path}/act_fn/Sigmoid", [gate])
        silu = self.node("Mul", f"{path}/act_fn/Mul", [gate, sigmoid])
        hidden = self.node("Mul", f"{path}/Mul", [silu, up])
        return self.linear(hidden, f"{name}.down_proj", f"{name}.down_proj")

    def head(self, x: str, embedding: str) -> None:
        if self.config.tied:
            # One weight, seen from both sides.
            weight = self.node("Transpose", "/lm_head/Transpose", [embedding], perm=[1, 0])
        else:
            weight = self.weight("lm_head.weight", "lm_head.MatMul.weight", transpose=True)
        self.nodes.append(
            helper.make_node("MatMul", [x, weight], ["logits"], name="/lm_head/MatMul")
        )

    def build(self) -> onnx.ModelProto:
        config = self.config
        self.nodes.append(
            helper.make_node(
                "CausalMask",
                ["input_ids", "attention_mask"],
                ["position_ids", "attention_mask/causal"],
                name="/model/CausalMask",
                domain=DOMAIN,
            )
        )
        self.rotary_tables()
        embedding = self.weight("model.embed_tokens.weight", "model.embed_tokens.weight")
        x = self.node("Gather", "/model/embed_tokens/Gather", [embedding, "input_ids"])
        for layer in range(config.num_layers):
            name, path = f"model.layers.{layer}", f"/model/layers.{layer}"
            for unit, norm, apply in (
                ("attn", "input_layernorm", self.attention),
                ("mlp", "post_attention_layernorm", self.mlp),
            ):
                weight = f"{name}.{norm}.weight"
                y = apply(self.norm(x, weight, weight, f"{path}/{norm}/RMSNorm"), layer)
                x = self.node("Add", f"{path}/{unit}/residual/Add", [x, y])
        x = self.norm(x, "model.norm.weight", "model.norm.weight", "/model/norm/RMSNorm")
        self.head(x, embedding)

        graph = helper.make_graph(
            self.nodes, "qtale", self.inputs(), self.outputs(), self.initializers
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            functions=[load_function("CausalMask")],
            ir_version=IR_VERSION,
            producer_name="qtale",
            producer_version=qtale.__version__,
        )
        helper.set_model_props(model, {"qtale.context": str(config.context)})
        return model

    # -- Its edges -----------------------------------------------------------

    def caches(self, prefix: str, length: str) -> list[onnx.ValueInfoProto]:
        config = self.config
        return [
            helper.make_tensor_value_info(
                f"{prefix}.{layer}.{part}",
                onnx.TensorProto.FLOAT,
                ["batch_size", config.num_kv_heads, length, config.head_dim],
            )
            for layer in range(config.num_layers)
            for part in ("key", "value")
        ]

    def inputs(self) -> list[onnx.ValueInfoProto]:
        int64 = onnx.TensorProto.INT64
        return [
            helper.make_tensor_value_info("input_ids", int64, ["batch_size", "sequence_length"]),
            helper.make_tensor_value_info(
                "attention_mask", int64, ["batch_size", "total_sequence_length"]
            ),
            *self.caches("past_key_values", "past_sequence_length"),
        ]

    def outputs(self) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                "logits",
                onnx.TensorProto.FLOAT,
                ["batch_size", "sequence_length", self.config.vocab_size],
            ),
            *self.caches("present", "total_sequence_length"),
        ]
