"""Adds routers to a dense checkpoint and trains them, on texts that the model itself writes.

    dense model ── writes ──▶ texts ──▶ routed copy ──▶ loss
         └──── its predictions ─────────────────────────┘

    loss = cross entropy with the dense model's predictions
           + weight * sum over layers of (share of tokens that ran - ratio)^2

Every other step decides by the threshold 0.5, and the second term moves p until the wanted share
of the tokens lies above it. The steps between run another share, drawn anew, of the tokens with the
largest p, so that the model also lives with the ratios that a session may set.
All weights learn, the routers faster.

    python -m qtale.train.routers stories260K.bin -o stories260K-routed --ratio 0.6
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from qtale.checkpoint import open_checkpoint
from qtale.checkpoint.routing import RoutingConfig
from qtale.cli.progress import Progress
from qtale.errors import UserError
from qtale.train import gates
from qtale.train.model import Gate, Llama
from qtale.train.publish import decode_stories, publish, round_weights, tokenizer_text
from qtale.train.stories import write_stories

#: Bytes of stories.txt.
_TEXT_BYTES = 20_000


@dataclass(frozen=True)
class Plan:
    ratio: float = 0.6
    #: Ratios of the steps between lie from here to 1.
    lowest_ratio: float = 0.4
    ratio_weight: float = 4.0
    steps: int = 1000
    batch: int = 8
    learning_rate: float = 1e-3
    router_learning_rate: float = 3e-3
    seed: int = 0


def train(
    model: Llama,
    dense: Llama,
    texts: Tensor,
    plan: Plan,
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Trains `model`, which has routers, in place. texts int64 [count, length]."""
    assert model.routing is not None
    generator = torch.Generator().manual_seed(plan.seed)
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, w in model.weights.items():
        groups[".router." in name].append(w.requires_grad_())
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[False], "lr": plan.learning_rate},
            {"params": groups[True], "lr": plan.router_learning_rate},
        ],
        betas=(0.9, 0.98),
        weight_decay=0,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan.steps))
    for step in range(plan.steps):
        rows = texts[torch.randint(len(texts), (plan.batch,), generator=generator)]
        between = plan.lowest_ratio + (1 - plan.lowest_ratio) * float(
            torch.rand((), generator=generator)
        )
        gate = gates.Share(model.routing, between) if step % 2 else gates.Fixed(model.routing)
        with torch.no_grad():
            wanted = torch.softmax(dense.logits(rows), -1)
        loss = F.cross_entropy(model.logits(rows, gate).flatten(0, 1), wanted.flatten(0, 1))
        if isinstance(gate, gates.Fixed):
            shares = torch.stack(gate.shares)
            loss = loss + plan.ratio_weight * ((shares - plan.ratio) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*groups[False], *groups[True]], 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            note(f"step {step}: loss {float(loss.detach()):.3f} at ratio {gate.ratio:.2f}")


def _rate(step: int, steps: int) -> float:
    """Warm up over 2%, then half a cosine."""
    warm = max(1, steps // 50)
    return min(1, (step + 1) / warm) * (1 + math.cos(math.pi * step / steps)) / 2


@torch.no_grad()
def perplexity(model: Llama, texts: Tensor, gate: Gate | None = None, batch: int = 16) -> float:
    """Of every token but the first."""
    losses = [
        F.cross_entropy(model.logits(rows, gate)[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
        * len(rows)
        for rows in texts.split(batch)
    ]
    return math.exp(float(torch.stack(losses).sum()) / len(texts))


def measure(model: Llama, dense: Llama, texts: Tensor, seed: int) -> str:
    """A table in Markdown."""
    routing = model.routing
    assert routing is not None
    lines = [f"dense: perplexity {perplexity(dense, texts):.3f}", ""]
    lines += ["| ratio | routed | random, same model |", "|---|---|---|"]
    for ratio in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        generator = torch.Generator().manual_seed(seed)
        values = [
            perplexity(model, texts, gate)
            for gate in (gates.Share(routing, ratio), gates.Random(routing, ratio, generator))
        ]
        lines.append(f"| {ratio} | {values[0]:.3f} | {values[1]:.3f} |")
    default = gates.Fixed(routing)
    value = perplexity(model, texts, default)
    lines += ["", f"threshold 0.5: ratio {default.ratio:.3f}, perplexity {value:.3f}"]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qtale.train.routers",
        description="Adds routers to a dense Llama checkpoint and trains them on its own texts.",
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a llama2.c .bin file, or a Hugging Face folder",
    )
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FOLDER", required=True, help="the folder to write"
    )
    plan = Plan()
    for option, default, text in (
        ("ratio", plan.ratio, "share of tokens above threshold 0.5, from above 0 to 1"),
        ("lowest-ratio", plan.lowest_ratio, "the model shall live with ratios from here to 1"),
        ("ratio-weight", plan.ratio_weight, "weight of the ratio's term"),
        ("steps", plan.steps, "training steps"),
        ("batch", plan.batch, "texts of a step"),
        ("learning-rate", plan.learning_rate, "of the model's weights"),
        ("router-learning-rate", plan.router_learning_rate, "of the routers' weights"),
        ("router-hidden-size", 32, "R of the routers"),
        ("first-routed-layer", 1, "layers below always run"),
        ("always-execute-tokens", 2, "positions below always run"),
        ("texts", 2048, "texts to train on"),
        ("held-out", 64, "texts to measure on"),
        ("seed", plan.seed, "of the texts, of their order, and of new weights"),
        ("threads", 1, "threads"),
    ):
        kind = type(default)
        parser.add_argument(
            f"--{option}",
            type=kind,
            default=default,
            metavar="N" if kind is int else "X",
            help=f"{text} (%(default)s)",
        )
    return parser


def _check(arguments: argparse.Namespace, dense: Llama) -> None:
    for name in ("ratio", "lowest_ratio"):
        if not 0 < getattr(arguments, name) <= 1:
            raise UserError(f"--{name.replace('_', '-')} must be above 0 and at most 1")
    for name in ("steps", "batch", "router_hidden_size", "texts", "held_out", "threads"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1")
    for name in ("ratio_weight", "learning_rate", "router_learning_rate"):
        if not 0 <= getattr(arguments, name) < math.inf:
            raise UserError(f"--{name.replace('_', '-')} must be a number of at least 0")
    # The held-out texts take the seed after it.
    if not 0 <= arguments.seed < (1 << 63) - 1:
        raise UserError("--seed must be from 0 to 2^63 - 2")
    layers, context = dense.config.num_layers, dense.config.context
    if not 0 <= arguments.first_routed_layer < layers:
        raise UserError(f"--first-routed-layer must be from 0 to {layers - 1}")
    if not 0 <= arguments.always_execute_tokens < context:
        raise UserError(f"--always-execute-tokens must be from 0 to {context - 1}")


def _run(arguments: argparse.Namespace) -> None:
    checkpoint = open_checkpoint(arguments.checkpoint)
    if checkpoint.config.routing:
        raise UserError(f"{arguments.checkpoint}: has routers already; give a dense checkpoint")
    tokenizer = tokenizer_text(checkpoint)
    dense, model = Llama(checkpoint), Llama(checkpoint)
    _check(arguments, dense)
    torch.set_num_threads(arguments.threads)
    seed, start = arguments.seed, time.monotonic()

    def note(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s: {text}", file=sys.stderr, flush=True)

    with Progress("Writing texts", "tokens") as bar:
        texts = write_stories(dense, arguments.texts, seed, progress=bar.advance)
        held_out = write_stories(dense, arguments.held_out, seed + 1)
    note(f"{texts.numel()} tokens written")
    routing = RoutingConfig(
        router="mlp2",
        first_routed_layer=arguments.first_routed_layer,
        always_execute_tokens=arguments.always_execute_tokens,
        threshold=0.5,
        router_hidden_size=arguments.router_hidden_size,
        router_norm_eps=1e-5,
    )
    model.add_routers(routing, torch.Generator().manual_seed(seed))
    fields = {name: getattr(arguments, name) for name in Plan.__dataclass_fields__}
    train(model, dense, texts, Plan(**fields), note)
    note("trained")
    round_weights(model)
    assert dense.config.bos is not None  # write_stories asked for it
    text = decode_stories(held_out, tokenizer, dense.config.bos, _TEXT_BYTES)
    publish(model, checkpoint, arguments.output, tokenizer, text)
    print(measure(model, dense, held_out, seed))


def main() -> int:
    try:
        _run(_parser().parse_args())
    except UserError as error:
        print(f"qtale.train.routers: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"qtale.train.routers: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
