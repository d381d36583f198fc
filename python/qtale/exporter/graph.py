"""The ONNX graph of a Llama model: standard operators of opset 23.

    input_ids, attention_mask -> ai.qtale::CausalMask -> position_ids, mask
    x = embedding[input_ids]
    per layer   h = rms_norm(x);  q, k, v = h Wq, h Wk, h Wv;  q, k = rotary(q, k)
                x = x + attention(q, k, v, mask, past) Wo
                h = rms_norm(x);  x = x + (silu(h Wgate) * (h Wup)) Wdown
    logits = rms_norm(x) Whead

Routed models have their units' routers around the layer, or around each of its halves: routing.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

import qtale
from qtale.checkpoint import Checkpoint
from qtale.exporter.data import DataFile
from qtale.exporter.nodes import DOMAIN, NodeBuilder
from qtale.exporter.routing import Decision, Routing

OPSET = 23
IR_VERSION = 11
#: Rows of a rotary table that are computed at once.
TABLE_ROWS = 16384


def build_model(checkpoint: Checkpoint, data: DataFile) -> onnx.ModelProto:
    """The model; its large tensors are planned in `data`, not read."""
    return _Model(NodeBuilder(checkpoint, data)).build()


class _Model:
    def __init__(self, build: NodeBuilder):
        self.nodes = build
        self.config = build.config
        self.routing = Routing(build) if build.config.routing else None

    # -- Pieces --------------------------------------------------------------

    def rotary_tables(self) -> None:
        """cos_cache and sin_cache [context, head_dim / 2], computed in float64."""
        frequencies = self.config.rotary.frequencies(self.config.head_dim)
        context = self.config.context
        for name, wave in (("cos_cache", np.cos), ("sin_cache", np.sin)):

            def tiles(wave=wave) -> Iterator[tuple[int, np.ndarray]]:
                for begin in range(0, context, TABLE_ROWS):
                    position = np.arange(begin, min(begin + TABLE_ROWS, context))
                    yield begin, wave(np.outer(position, frequencies)).astype(np.float32)

            self.nodes.initializers.append(
                self.nodes.data.add_computed(name, (context, self.config.head_dim // 2), tiles)
            )

    def attention(self, h: str, layer: int, decision: Decision | None) -> str:
        """h [B, S, D], normalized; the decision of the unit that this is a part of."""
        config, build, source = self.config, self.nodes, f"model.layers.{layer}.self_attn"
        name, path = f"model.layers.{layer}.attn", f"/model/layers.{layer}/attn"
        q, k, v = (build.linear(h, f"{source}.{p}_proj", f"{name}.{p}_proj") for p in "qkv")
        q, k = (
            build.node(
                "RotaryEmbedding",
                f"{path}/{p}_rotary/RotaryEmbedding",
                [value, "cos_cache", "sin_cache", "position_ids"],
                num_heads=heads,
                interleaved=int(config.rotary.interleaved),
            )
            for p, value, heads in (("q", q, config.num_heads), ("k", k, config.num_kv_heads))
        )
        mask = "attention_mask/causal"
        if self.routing:
            mask = self.routing.mask(decision, mask)
            k, v = self.routing.cached(decision, k, v)
        past = [f"past_key_values.{layer}.{p}" for p in ("key", "value")]
        y = build.node(
            "Attention",
            f"{path}/Attention",
            [q, k, v, mask, *past],
            [f"{path}/Attention/output_0", f"present.{layer}.key", f"present.{layer}.value"],
            q_num_heads=config.num_heads,
            kv_num_heads=config.num_kv_heads,
            scale=1 / math.sqrt(config.head_dim),
        )
        return build.linear(y, f"{source}.o_proj", f"{name}.o_proj")

    # -- A layer -------------------------------------------------------------

    def attention_half(self, x: str, layer: int, decision: Decision | None) -> str:
        h = self.nodes.norm(x, f"model.layers.{layer}.input_layernorm")
        y = self.attention(h, layer, decision)
        return self.nodes.node("Add", f"/model/layers.{layer}/attn/residual/Add", [x, y])

    def ffn_half(self, x: str, layer: int, decision: Decision | None) -> str:
        h = self.nodes.norm(x, f"model.layers.{layer}.post_attention_layernorm")
        y = self.nodes.swiglu(h, f"model.layers.{layer}.mlp")
        return self.nodes.node("Add", f"/model/layers.{layer}/mlp/residual/Add", [x, y])

    def block(self, x: str, layer: int, decision: Decision | None) -> str:
        return self.ffn_half(self.attention_half(x, layer, decision), layer, decision)

    def layer(self, x: str, layer: int) -> str:
        routing = self.routing
        if routing is None or not routing.config.routes(layer):
            return self.block(x, layer, None)
        units = {1: [self.block], 2: [self.attention_half, self.ffn_half]}[routing.config.units]
        for unit, execute in enumerate(units):
            decision = routing.decide(x, layer, unit)
            x = routing.leave(decision, x, execute(x, layer, decision))
        return x

    # -- The model -----------------------------------------------------------

    def head(self, x: str, embedding: str) -> None:
        build = self.nodes
        if self.config.tied:
            # One weight, seen from both sides.
            weight = build.node("Transpose", "/lm_head/Transpose", [embedding], perm=[1, 0])
        else:
            weight = build.matrix("lm_head", "lm_head")
        build.node("MatMul", "/lm_head/MatMul", [x, weight], ["logits"])

    def build(self) -> onnx.ModelProto:
        config, build = self.config, self.nodes
        build.call(
            "CausalMask",
            "/model/CausalMask",
            ["input_ids", "attention_mask"],
            ["position_ids", "attention_mask/causal"],
        )
        self.rotary_tables()
        embedding = build.weight("model.embed_tokens.weight", "model.embed_tokens.weight")
        x = build.node("Gather", "/model/embed_tokens/Gather", [embedding, "input_ids"])
        for layer in range(config.num_layers):
            x = self.layer(x, layer)
        self.head(build.norm(x, "model.norm"), embedding)
        if self.routing:
            self.routing.report()

        graph = helper.make_graph(
            build.nodes, "qtale", self.inputs(), self.outputs(), build.initializers
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            functions=list(build.functions.values()),
            ir_version=IR_VERSION,
            producer_name="qtale",
            producer_version=qtale.__version__,
        )
        properties = {"qtale.context": str(config.context)}
        if config.routing:
            threshold = np.format_float_positional(config.routing.threshold, trim="0")
            properties["qtale.threshold"] = threshold
        helper.set_model_props(model, properties)
        return model

    # -- Its edges -----------------------------------------------------------

    def caches(self, prefix: str, length: str) -> list[onnx.ValueInfoProto]:
        config, caches = self.config, []
        for layer in range(config.num_layers):
            caches += [
                helper.make_tensor_value_info(
                    f"{prefix}.{layer}.{part}",
                    onnx.TensorProto.FLOAT,
                    ["batch_size", config.num_kv_heads, length, config.head_dim],
                )
                for part in ("key", "value")
            ]
            if self.routing:
                caches += self.routing.kept_cache(prefix, layer, length)
        return caches

    def inputs(self) -> list[onnx.ValueInfoProto]:
        int64 = onnx.TensorProto.INT64
        return [
            helper.make_tensor_value_info("input_ids", int64, ["batch_size", "sequence_length"]),
            helper.make_tensor_value_info(
                "attention_mask", int64, ["batch_size", "total_sequence_length"]
            ),
            *(self.routing.inputs() if self.routing else []),
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
            *(self.routing.outputs() if self.routing else []),
        ]
