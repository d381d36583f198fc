"""Routing in the ONNX graph: everything is computed, and what was skipped is thrown away.

    x --> Router --> p --> Keep(threshold) --> keep ----+--------------+
    |                                                   | evict, copy  |
    +--> f, standard operators, Attention's mask or K, V as told       v
    |                             +--> executed ---------------------> Route --> y
    +--> (adapter) ------------------> skipped ---------------------->

    executed   f(x)    scale_kept: x + p (f(x) - x)
    skipped    x       with an adapter: x + (1 - p) adapter(x)
    evict      the mask is EvictMask's: only kept tokens are seen; the cache remembers which were
    compute    the mask is CausalMask's, K and V come from all rows
    copy       K and V are CopyRows's: a skipped token's are the layer below's

So any runtime gives the routed model's results; a compiler sees from the functions what it may
leave out. The outputs `kept` and `probability` stack what each unit decided, 1 without a router.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from qtale.exporter.nodes import NodeBuilder, node_path


@dataclass(frozen=True)
class Decision:
    """What a unit's router said."""

    #: bool and float [batch_size, sequence_length]
    keep: str
    probability: str
    layer: int
    #: Where the unit's nodes stand.
    path: str


class Routing:
    """Adds what a routed model has besides a dense one's layers."""

    def __init__(self, build: NodeBuilder):
        assert build.config.routing is not None
        self.build = build
        self.layers = build.config.num_layers
        self.config = build.config.routing
        self._decisions: dict[tuple[int, int], Decision] = {}
        #: Of each layer so far, the Attention's K and V.
        self._cached: list[tuple[str, str]] = []

    # -- A unit --------------------------------------------------------------

    def decide(self, x: str, layer: int, unit: int) -> Decision:
        """The router of a unit whose input is x."""
        router = self.config.routers[unit]
        name = f"model.layers.{layer}.{router}"
        path = node_path(name)
        probability = self._router(x, name, path)
        keep = self.build.call(
            "Keep",
            f"{path}/Keep",
            [probability, "threshold", "position_ids"],
            index=layer * self.config.units + unit,
            always_execute_tokens=self.config.always_execute_tokens,
        )
        decision = Decision(keep, probability, layer, path)
        self._decisions[layer, unit] = decision
        return decision

    def _router(self, x: str, name: str, path: str) -> str:
        build, epsilon = self.build, self.config.router_norm_eps
        if self.config.router == "linear":
            weights = [
                build.matrix(f"{name}.fc", f"{name}.fc"),
                build.bias(f"{name}.fc", f"{name}.fc"),
            ]
            return build.call("RouterLinear", f"{path}/RouterLinear", [x, *weights])
        norm = build.weight(f"{name}.norm.weight", f"{name}.norm.weight")
        if self.config.router == "gate":
            weights = [norm, *(build.matrix(f"{name}.{m}", f"{name}.{m}") for m in ("down", "up"))]
            return build.call("RouterGate", f"{path}/RouterGate", [x, *weights], epsilon=epsilon)
        first, second = (
            [build.matrix(f"{name}.{m}", f"{name}.{m}"), build.bias(f"{name}.{m}", f"{name}.{m}")]
            for m in ("fc1", "fc2")
        )
        weights = [*first, norm, *second]
        return build.call("RouterMlp2", f"{path}/RouterMlp2", [x, *weights], epsilon=epsilon)

    def leave(self, decision: Decision, x: str, executed: str) -> str:
        """The unit's output, from its input and from f(x)."""
        build, path = self.build, decision.path
        skipped = x
        if self.config.scale_kept or self.config.adapter_size:
            axis = build.constant("routing/axis_2", np.array([2], np.int64))
            p = build.node("Unsqueeze", f"{path}/Unsqueeze", [decision.probability, axis])
        if self.config.scale_kept:
            change = build.node("Sub", f"{path}/scale/Sub", [executed, x])
            scaled = build.node("Mul", f"{path}/scale/Mul", [p, change])
            executed = build.node("Add", f"{path}/scale/Add", [x, scaled])
        if self.config.adapter_size:
            adapter = f"model.layers.{decision.layer}.adapter"
            y = build.swiglu(build.norm(x, f"{adapter}.norm"), adapter)
            one = build.constant("routing/one", np.array(1, np.float32))
            rest = build.node("Sub", f"{path}/adapter/Sub", [one, p])
            scaled = build.node("Mul", f"{path}/adapter/Mul", [rest, y])
            skipped = build.node("Add", f"{path}/adapter/Add", [x, scaled])
        return build.call("Route", f"{path}/Route", [decision.keep, executed, skipped])

    # -- Its attention -------------------------------------------------------

    def evicts(self, layer: int) -> bool:
        """Whether the layer has a cache of who was kept."""
        return self.config.kv_policy == "evict" and self.config.routes(layer)

    def mask(self, decision: Decision | None, mask: str) -> str:
        """The Attention's mask."""
        if decision is None or not self.evicts(decision.layer):
            return mask
        layer = decision.layer
        name = f"/model/layers.{layer}/attn/EvictMask"
        return self.build.call(
            "EvictMask",
            name,
            [mask, f"past_key_values.{layer}.kept", decision.keep],
            [f"{name}/output_0", f"present.{layer}.kept"],
        )

    def cached(self, decision: Decision | None, k: str, v: str) -> tuple[str, str]:
        """The Attention's K and V, from the layer's own; called for each layer in order."""
        if decision is not None and self.config.kv_policy == "copy":
            path = f"/model/layers.{decision.layer}/attn"
            k, v = (
                self.build.call("CopyRows", f"{path}/{part}_copy/CopyRows", [keep, own, below])
                for keep, part, own, below in zip(
                    [decision.keep] * 2, "kv", (k, v), self._cached[-1], strict=True
                )
            )
        self._cached.append((k, v))
        return k, v

    # -- The model's edges ---------------------------------------------------

    @property
    def _units_shape(self) -> list[int]:
        return [self.layers] if self.config.units == 1 else [self.layers, self.config.units]

    def kept_cache(self, prefix: str, layer: int, length: str) -> list[onnx.ValueInfoProto]:
        if not self.evicts(layer):
            return []
        name, kind = f"{prefix}.{layer}.kept", onnx.TensorProto.BOOL
        return [helper.make_tensor_value_info(name, kind, ["batch_size", length])]

    def inputs(self) -> list[onnx.ValueInfoProto]:
        kind = onnx.TensorProto.FLOAT
        return [helper.make_tensor_value_info("threshold", kind, self._units_shape)]

    def outputs(self) -> list[onnx.ValueInfoProto]:
        shape = [*self._units_shape, "batch_size", "sequence_length"]
        return [
            helper.make_tensor_value_info("kept", onnx.TensorProto.BOOL, shape),
            helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, shape),
        ]

    def report(self) -> None:
        """The outputs' nodes, after all layers."""
        shape = self.build.node("Shape", "/routing/Shape", ["input_ids"])
        self._stack("kept", {at: d.keep for at, d in self._decisions.items()}, shape, True)
        probabilities = {at: d.probability for at, d in self._decisions.items()}
        self._stack("probability", probabilities, shape, np.float32(1))

    def _stack(
        self, output: str, values: dict[tuple[int, int], str], shape: str, otherwise: object
    ) -> None:
        """[B, S] of each unit -> [layers, B, S], or [layers, units, B, S]."""
        build, path, units = self.build, f"/routing/{output}", self.config.units
        # A new axis for each of the result's first ones.
        axes = build.constant("routing/axes", np.arange(len(self._units_shape), dtype=np.int64))
        filler = ""
        if len(values) < self.layers * units:
            value = onnx.numpy_helper.from_array(np.array([otherwise]))
            filler = build.node("ConstantOfShape", f"{path}/ConstantOfShape", [shape], value=value)
            filler = build.node("Unsqueeze", f"{path}/Unsqueeze", [filler, axes])
        rows = []
        for layer in range(self.layers):
            at = f"{path}/layers.{layer}"
            own = [
                build.node("Unsqueeze", f"{at}/units.{u}/Unsqueeze", [values[layer, u], axes])
                if (layer, u) in values
                else filler
                for u in range(units)
            ]
            rows.append(own[0] if units == 1 else build.node("Concat", f"{at}/Concat", own, axis=1))
        build.node("Concat", f"{path}/Concat", rows, [output], axis=0)
