"""Models for tests and measurements: random, of any size, dense or routed.

    python -m qtale.testing FOLDER                     the shape of Llama 3.2 1B
    python -m qtale.testing FOLDER --layers 4 --hidden 256 --ffn 512 --heads 8 --kv-heads 2 \\
        --head-dim 32 --vocab 1000 --router mlp2 --router-hidden 64 --first-routed 1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qtale.checkpoint.routing import KV_POLICIES, ROUTERS, UNITS
from qtale.errors import UserError
from qtale.random_checkpoint import ITEM_BYTES, LLAMA_1B, TINY, write_random_checkpoint
from qtale.random_routing import (
    random_routed_config,
    separating_thresholds,
    widest_gap_threshold,
)

__all__ = [
    "LLAMA_1B",
    "TINY",
    "random_routed_config",
    "separating_thresholds",
    "widest_gap_threshold",
    "write_random_checkpoint",
]

_SIZES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "ffn": "intermediate_size",
    "heads": "num_attention_heads",
    "kv-heads": "num_key_value_heads",
    "head-dim": "head_dim",
    "vocab": "vocab_size",
    "context": "max_position_embeddings",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qtale.testing", description="Writes a random Llama checkpoint."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    for option, key in _SIZES.items():
        parser.add_argument(
            f"--{option}", dest=key, type=int, default=LLAMA_1B[key], help=f"{key} (%(default)s)"
        )
    parser.add_argument("--dtype", choices=ITEM_BYTES, default="float16", help="%(default)s")
    parser.add_argument("--shards", type=int, default=1, help="files (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")

    routing = parser.add_argument_group("routing", "only with --router")
    routing.add_argument("--router", choices=ROUTERS, help="none: every token runs every layer")
    routing.add_argument("--router-hidden", type=int, default=128, help="%(default)s")
    routing.add_argument(
        "--first-routed", type=int, default=1, help="the first layer with a router (%(default)s)"
    )
    routing.add_argument(
        "--always-execute", type=int, default=2, help="tokens that always run (%(default)s)"
    )
    routing.add_argument("--unit", choices=UNITS, default="block", help="%(default)s")
    routing.add_argument("--kv-policy", choices=KV_POLICIES, default="evict", help="%(default)s")
    routing.add_argument("--scale-kept", action="store_true", help="scale what runs by p")
    routing.add_argument("--adapter", type=int, default=0, help="its size (%(default)s: none)")
    routing.add_argument("--threshold", type=float, default=0.5, help="%(default)s")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    config = LLAMA_1B | {key: getattr(arguments, key) for key in _SIZES.values()}
    if arguments.router:
        config["qtale"] = {
            "router": arguments.router,
            "router_hidden_size": arguments.router_hidden,
            "router_norm_eps": config["rms_norm_eps"],
            "unit": arguments.unit,
            "first_routed_layer": arguments.first_routed,
            "always_execute_tokens": arguments.always_execute,
            "kv_policy": arguments.kv_policy,
            "scale_kept": arguments.scale_kept,
            "adapter_size": arguments.adapter,
            "threshold": arguments.threshold,
        }
    try:
        write_random_checkpoint(
            arguments.folder, config, arguments.dtype, arguments.shards, arguments.seed
        )
    except UserError as error:
        print(f"qtale.testing: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
