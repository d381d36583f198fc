"""A Llama model as onnxruntime runs it best: the operators of onnxruntime-genai's int4 CPU models.

    ids ─ GatherBlockQuantized ─ x
    layer   x ─ norm ─ MatMulNBits(q|k|v) ─ GroupQueryAttention (rotates, caches) ─ MatMulNBits
              ─ SkipSimplifiedLayerNormalization ─ MatMulNBits(gate), MatMulNBits(up) ─ silu ·
              ─ MatMulNBits(down)
    logits of the last row ─ MatMulNBits(head)

Inputs input_ids int64 [1, S], seqlens_k int32 [1], total_sequence_length int32 []; caches
past.N.key and .value float32 [1, kv_heads, C, head_dim], which may be bound to present.N.* too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from qtale.bench.engine import Scheme
from qtale.bench.quantized import onnx_bytes, quantized_tiles
from qtale.checkpoint import open_checkpoint

#: Tokens of a text at most: rows of the rotary tables.
CONTEXT = 4096
_MICROSOFT = "com.microsoft"
_DATA = "model.onnx.data"
_ALIGNMENT = 4096  # external data is mapped
_ACCURACY = 4  # int8 activations, as ours


def write_onnxruntime_model(checkpoint: Path, folder: Path, scheme: Scheme) -> None:
    """Writes folder/model.onnx and its data."""
    folder.mkdir()
    with (folder / _DATA).open("wb") as data:
        model = _Builder(checkpoint, scheme, data).model()
    (folder / "model.onnx").write_bytes(model.SerializeToString())


class _Builder:
    def __init__(self, checkpoint: Path, scheme: Scheme, data: BinaryIO):
        self._checkpoint = open_checkpoint(checkpoint)
        self._config = self._checkpoint.config
        self._scheme = scheme
        self._data = data
        self._nodes: list = []
        self._initializers: list[TensorProto] = []

    def model(self) -> ModelProto:
        c = self._config
        cache = [1, c.num_kv_heads, "C", c.head_dim]
        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "S"]),
            helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, [1]),
            helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
        ]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, c.vocab_size])]
        for layer in range(c.num_layers):
            for part in ("key", "value"):
                for ports, tense in ((inputs, "past"), (outputs, "present")):
                    name = f"{tense}.{layer}.{part}"
                    ports.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, cache))
        self._body()
        graph = helper.make_graph(
            self._nodes, "llama", inputs, outputs, initializer=self._initializers
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _body(self) -> None:
        c = self._config
        angles = np.outer(np.arange(CONTEXT), c.rotary.frequencies(c.head_dim))
        self._constant("cos_cache", np.cos(angles).astype(np.float32))
        self._constant("sin_cache", np.sin(angles).astype(np.float32))
        x = self._embedding()
        (normed,) = self._node(
            "SimplifiedLayerNormalization",
            [x, self._norm("model.layers.0.input_layernorm")],
            epsilon=c.norm_eps,
            axis=-1,
            stash_type=1,
        )
        for layer in range(c.num_layers):
            p = f"model.layers.{layer}."
            y = self._attention(p + "self_attn.", layer, normed)
            normed, x = self._add_and_norm(x, y, p + "post_attention_layernorm")
            y = self._ffn(p + "mlp.", normed)
            last = layer + 1 == c.num_layers
            following = "model.norm" if last else f"model.layers.{layer + 1}.input_layernorm"
            normed, x = self._add_and_norm(x, y, following)
        end = self._constant("end", np.array([-1], np.int64))
        (row,) = self._node("Gather", [normed, end], axis=1)
        head = "model.embed_tokens" if c.tied else "lm_head"
        self._matmul(row, [head], outputs=["logits"])

    def _embedding(self) -> str:
        integers, scales = self._quantized(["model.embed_tokens"], "embedding", flat=True)
        return self._node(
            "GatherBlockQuantized",
            [integers, "input_ids", scales],
            domain=_MICROSOFT,
            bits=self._scheme.bits,
            block_size=self._scheme.group,
            gather_axis=0,
            quantize_axis=1,
        )[0]

    def _attention(self, p: str, layer: int, x: str) -> str:
        c = self._config
        qkv = self._matmul(x, [p + "q_proj", p + "k_proj", p + "v_proj"])
        past = [f"past.{layer}.key", f"past.{layer}.value"]
        lengths = ["seqlens_k", "total_sequence_length"]
        (y, _, _) = self._node(
            "GroupQueryAttention",
            [qkv, "", "", *past, *lengths, "cos_cache", "sin_cache"],
            outputs=[p + "out", f"present.{layer}.key", f"present.{layer}.value"],
            domain=_MICROSOFT,
            num_heads=c.num_heads,
            kv_num_heads=c.num_kv_heads,
            do_rotary=1,
            rotary_interleaved=int(c.rotary.interleaved),
        )
        return self._matmul(y, [p + "o_proj"])

    def _ffn(self, p: str, x: str) -> str:
        gate = self._matmul(x, [p + "gate_proj"])
        up = self._matmul(x, [p + "up_proj"])
        (sigmoid,) = self._node("Sigmoid", [gate])
        (silu,) = self._node("Mul", [gate, sigmoid])
        (product,) = self._node("Mul", [silu, up])
        return self._matmul(product, [p + "down_proj"])

    def _add_and_norm(self, x: str, y: str, norm: str) -> tuple[str, str]:
        """norm(x + y), x + y."""
        outputs = [f"{norm}.out", "", "", f"{norm}.sum"]
        self._node(
            "SkipSimplifiedLayerNormalization",
            [x, y, self._norm(norm)],
            outputs=outputs,
            domain=_MICROSOFT,
            epsilon=self._config.norm_eps,
        )
        return outputs[0], outputs[3]

    def _matmul(self, x: str, names: Sequence[str], outputs: Sequence[str] = ()) -> str:
        """x times several weights, one under the other, and their biases."""
        integers, scales = self._quantized(names, "+".join(names))
        tensors = [self._checkpoint[f"{name}.weight"] for name in names]
        (y,) = self._node(
            "MatMulNBits",
            [x, integers, scales],
            outputs=outputs,
            domain=_MICROSOFT,
            N=sum(tensor.shape[0] for tensor in tensors),
            K=tensors[0].shape[1],
            bits=self._scheme.bits,
            block_size=self._scheme.group,
            accuracy_level=_ACCURACY,
        )
        biases = [f"{name}.bias" for name in names if f"{name}.bias" in self._checkpoint]
        if not biases:
            return y
        values = np.concatenate([self._checkpoint[name].read() for name in biases])
        return self._node("Add", [y, self._constant("+".join(biases), values)])[0]

    def _norm(self, name: str) -> str:
        return self._constant(f"{name}.weight", self._checkpoint[f"{name}.weight"].read())

    def _node(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str] = (),
        domain: str = "",
        **attributes,
    ) -> list[str]:
        outputs = list(outputs) or [f"{kind}.{len(self._nodes)}"]
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs

    def _constant(self, name: str, values: np.ndarray) -> str:
        self._initializers.append(numpy_helper.from_array(values, name))
        return name

    def _quantized(self, names: Sequence[str], title: str, flat: bool = False) -> tuple[str, str]:
        """Names of the integers, uint8 [N, groups, bytes] (flat: [N, K bytes]), and scales."""
        scales, rows = [], 0
        begin = self._align()
        for name in names:
            for _, values, tile in quantized_tiles(
                self._checkpoint[f"{name}.weight"], self._scheme
            ):
                packed = onnx_bytes(values, self._scheme.bits)
                self._data.write(packed.tobytes())
                scales.append(tile.astype(np.float32))
                rows += len(values)
        groups, size = packed.shape[1:]
        shape = [rows, groups * size] if flat else [rows, groups, size]
        integers = self._external(f"{title}.integers", TensorProto.UINT8, shape, begin)
        begin = self._align()
        self._data.write(np.concatenate(scales).tobytes())
        shape = [rows, groups]
        return integers, self._external(f"{title}.scales", TensorProto.FLOAT, shape, begin)

    def _align(self) -> int:
        self._data.write(bytes(-self._data.tell() % _ALIGNMENT))
        return self._data.tell()

    def _external(self, name: str, kind: int, shape: Sequence[int], begin: int) -> str:
        tensor = TensorProto(name=name, data_type=kind, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": _DATA, "offset": begin, "length": self._data.tell() - begin}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        self._initializers.append(tensor)
        return name
