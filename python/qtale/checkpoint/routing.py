"""The `"qtale"` block of config.json: which parts of a model a token may skip.

    layer           0      1 (first_routed_layer)    2
    unit "block"    [ ]    router -> [ ]             router -> [ ]      a layer is one unit
    "attention_ffn" [ ]    router_attention -> [ ],  ...                its two halves are two
                           router_ffn -> [ ]

A unit's router gives each token a probability p. keep = position < always_execute_tokens or
p >= threshold. A kept token's row is f(x), with scale_kept x + p (f(x) - x); a skipped one's is x,
with an adapter x + (1 - p) adapter(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtale.checkpoint.keys import Keys
from qtale.errors import UserError

#: Kinds of routers, and what a probability is.
ROUTERS = (
    "mlp2",  # softmax(fc2 silu(norm * rms(fc1 x + b1)) + b2)[1]
    "linear",  # sigmoid(fc x + b)
    "gate",  # sigmoid(up tanh(down (norm * rms(x))))
)

#: The routers of a layer, by unit; each decides about the part that follows.
UNITS = {"block": ("router",), "attention_ffn": ("router_attention", "router_ffn")}

#: What a token that skips attention leaves in the layer's cache.
KV_POLICIES = (
    "evict",  # nothing
    "compute",  # the key and value of its own row
    "copy",  # those of the layer below, which may be copies too
)

_KEYS = (
    "router",
    "router_hidden_size",
    "router_norm_eps",
    "unit",
    "first_routed_layer",
    "always_execute_tokens",
    "kv_policy",
    "scale_kept",
    "adapter_size",
    "threshold",
)


@dataclass(frozen=True)
class RoutingConfig:
    """The mathematics of skipping."""

    router: str
    first_routed_layer: int
    always_execute_tokens: int
    threshold: float
    #: Of mlp2 and gate; 0 and 0.0 for linear, which has neither.
    router_hidden_size: int = 0
    router_norm_eps: float = 0.0
    unit: str = "block"
    kv_policy: str = "evict"
    scale_kept: bool = False
    adapter_size: int = 0

    @property
    def routers(self) -> tuple[str, ...]:
        """The names of a routed layer's routers, one for each of its units."""
        return UNITS[self.unit]

    @property
    def units(self) -> int:
        """Units of a layer."""
        return len(self.routers)

    def routes(self, layer: int) -> bool:
        """Whether the layer has routers."""
        return layer >= self.first_routed_layer

    def shapes(self, layer: int, width: int) -> dict[str, tuple[int, ...]]:
        """The tensors that routing adds to a layer of rows of `width` values."""
        if not self.routes(layer):
            return {}
        d, r, a = width, self.router_hidden_size, self.adapter_size
        own: dict[str, tuple[int, ...]] = {
            "mlp2": {
                "fc1.weight": (r, d),
                "fc1.bias": (r,),
                "norm.weight": (r,),
                "fc2.weight": (2, r),
                "fc2.bias": (2,),
            },
            "linear": {"fc.weight": (1, d), "fc.bias": (1,)},
            "gate": {"norm.weight": (d,), "down.weight": (r, d), "up.weight": (1, r)},
        }[self.router]
        p = f"model.layers.{layer}."
        shapes = {f"{p}{router}.{name}": own[name] for router in self.routers for name in own}
        if a:
            shapes[f"{p}adapter.norm.weight"] = (d,)
            shapes[f"{p}adapter.gate_proj.weight"] = (a, d)
            shapes[f"{p}adapter.up_proj.weight"] = (a, d)
            shapes[f"{p}adapter.down_proj.weight"] = (d, a)
        return shapes


def parse_routing(raw: object, path: Path, layers: int) -> RoutingConfig:
    """The routing that the block describes; a UserError names the key at fault."""
    if not isinstance(raw, dict):
        raise UserError(f'{path}: "qtale" must be an object, but is {raw!r}')
    for key in raw:
        if key not in _KEYS:
            raise UserError(
                f"{path}: qtale.{key} is not known; remove it (there are {', '.join(_KEYS)})"
            )
    read = Keys(raw, path, "qtale.")
    router = read.choice("router", ROUTERS)
    narrow = router != "linear"
    # Checked where they stand without being used, too.
    hidden = read.integer("router_hidden_size", None if narrow else 1)
    eps = read.number("router_norm_eps", None if narrow else 1.0)
    config = RoutingConfig(
        router=router,
        first_routed_layer=read.integer("first_routed_layer", least=0),
        always_execute_tokens=read.integer("always_execute_tokens", least=0),
        threshold=read.number("threshold", zero=True),
        router_hidden_size=hidden if narrow else 0,
        router_norm_eps=eps if narrow else 0.0,
        unit=read.choice("unit", tuple(UNITS), "block"),
        kv_policy=read.choice("kv_policy", KV_POLICIES, "evict"),
        scale_kept=read.flag("scale_kept"),
        adapter_size=read.integer("adapter_size", 0, least=0),
    )
    if config.first_routed_layer >= layers:
        raise read.refuse(
            "first_routed_layer",
            f"is {config.first_routed_layer}, but the model's layers are 0 to {layers - 1}; "
            'remove the block "qtale" from a model without routers',
        )
    if config.kv_policy == "copy" and config.first_routed_layer == 0:
        raise read.refuse(
            "kv_policy",
            "is copy, but layer 0 has none below it to copy from; first_routed_layer must be at "
            "least 1",
        )
    if config.adapter_size and config.unit != "block":
        raise read.refuse(
            "adapter_size",
            f"is {config.adapter_size}, but only the unit block has adapters; set it to 0",
        )
    return config
