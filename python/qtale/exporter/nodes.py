"""The pieces that a graph is made of: nodes, weights, calls of ai.qtale's functions.

Node and weight names are onnxruntime-genai's. Weights are written [in, out], in the checkpoint's
storage type; a Cast follows where that is not float32, so that everything is computed in float32.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import onnx
from onnx import helper, numpy_helper

from qtale.checkpoint import Checkpoint
from qtale.exporter.data import DataFile

DOMAIN = "ai.qtale"


def load_function(name: str) -> onnx.FunctionProto:
    """The body of a function in the domain ai.qtale."""
    text = resources.files("qtale").joinpath(f"functions/{name}.onnxtxt").read_text()
    return onnx.parser.parse_function(text)


def node_path(name: str) -> str:
    """The nodes' prefix of a weight's: model.layers.0.mlp -> /model/layers.0/mlp."""
    return "/" + name.replace(".", "/").replace("/layers/", "/layers.")


class NodeBuilder:
    """Collects nodes in order, their weights, and the functions that they call."""

    def __init__(self, checkpoint: Checkpoint, data: DataFile):
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.data = data
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.functions: dict[str, onnx.FunctionProto] = {}

    def node(
        self, op: str, name: str, inputs: list[str], outputs: list[str] | None = None, **attributes
    ) -> str:
        """Adds a node; returns its first output, which is named after it unless `outputs` are."""
        outputs = outputs or [f"{name}/output_0"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        return outputs[0]

    def call(
        self,
        function: str,
        name: str,
        inputs: list[str],
        outputs: list[str] | None = None,
        **attributes,
    ) -> str:
        """A node that calls a function of ai.qtale, which becomes a part of the model."""
        if function not in self.functions:
            self.functions[function] = load_function(function)
        return self.node(function, name, inputs, outputs, domain=DOMAIN, **attributes)

    def constant(self, name: str, value: np.ndarray) -> str:
        """A small tensor; however often it is asked for, it stands there once."""
        if all(tensor.name != name for tensor in self.initializers):
            self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, source: str, name: str, transpose: bool = False) -> str:
        """A tensor of the checkpoint as float32."""
        tensor = self.checkpoint[source]
        self.initializers.append(self.data.add(name, tensor, transpose))
        if tensor.dtype == "float32":
            return name
        return self.node("Cast", f"/{name}/Cast", [name], to=onnx.TensorProto.FLOAT)

    def matrix(self, source: str, name: str) -> str:
        """W of x W, [in, out]."""
        return self.weight(f"{source}.weight", f"{name}.MatMul.weight", transpose=True)

    def bias(self, source: str, name: str) -> str:
        return self.weight(f"{source}.bias", f"{name}.Add.bias")

    def linear(self, x: str, source: str, name: str) -> str:
        """x W (+ b): `name` as in model.layers.0.attn.q_proj."""
        path = node_path(name)
        y = self.node("MatMul", f"{path}/MatMul", [x, self.matrix(source, name)])
        if f"{source}.bias" in self.checkpoint:
            y = self.node("Add", f"{path}/Add", [y, self.bias(source, name)])
        return y

    def norm(self, x: str, name: str) -> str:
        """rms_norm(x) with the weights `name`.weight."""
        weight = self.weight(f"{name}.weight", f"{name}.weight")
        return self.node(
            "RMSNormalization",
            f"{node_path(name)}/RMSNorm",
            [x, weight],
            axis=-1,
            epsilon=self.config.norm_eps,
        )

    def swiglu(self, x: str, name: str) -> str:
        """(silu(x Wgate) * (x Wup)) Wdown: `name` as in model.layers.0.mlp."""
        path = node_path(name)
        gate = self.linear(x, f"{name}.gate_proj", f"{name}.gate_proj")
        up = self.linear(x, f"{name}.up_proj", f"{name}.up_proj")
        sigmoid = self.node("Sigmoid", f"{path}/act_fn/Sigmoid", [gate])
        silu = self.node("Mul", f"{path}/act_fn/Mul", [gate, sigmoid])
        hidden = self.node("Mul", f"{path}/Mul", [silu, up])
        return self.linear(hidden, f"{name}.down_proj", f"{name}.down_proj")
