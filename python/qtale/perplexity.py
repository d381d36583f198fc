"""Perplexity: exp of the mean negative log-likelihood, in nats.

    tokens   [-------- context --------][-------- context --------][----]
    scored    .xxxxxxxxxxxxxxxxxxxxxxxxx .xxxxxxxxxxxxxxxxxxxxxxxxx .xxx

The text is cut into windows of `context` tokens without overlap; in each, every token but the first
is predicted from those before it in the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qtale.artifact import Artifact
from qtale.errors import UserError
from qtale.reference import negative_log_likelihood

#: Bytes of logits that are held at once.
LOGITS_BYTES = 64 << 20


@dataclass(frozen=True)
class Result:
    perplexity: float
    #: Mean negative log-likelihood, nats per token.
    nll: float
    #: Tokens that were predicted.
    tokens: int
    windows: int
    context: int
    #: Share of (token, routed unit) pairs that ran; None where everything does.
    ratio: float | None = None


def check_tokens(artifact: Artifact, tokens: np.ndarray, context: int) -> None:
    """Refuses ids that are none of the model's, and windows that it does not take."""
    if not 2 <= context <= artifact.context:
        raise UserError(f"a window must hold 2 to {artifact.context} tokens, but has {context}")
    if len(tokens) < 2:
        raise UserError(f"a text of {len(tokens)} tokens has nothing to predict; give a longer one")
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < artifact.vocab:
        raise UserError(
            f"token ids from {tokens.min()} to {tokens.max()} do not fit the model's vocabulary of "
            f"{artifact.vocab}"
        )


def perplexity(
    artifact: Artifact,
    tokens: np.ndarray,
    context: int | None = None,
    threads: int | None = None,
    threshold: float | None = None,
    ratio: float | None = None,
    progress: Callable[[int, int], None] = lambda step, total: None,
) -> Result:
    """tokens: int [count]; progress takes (tokens just done, all tokens).

    threshold or ratio, of a routed model: as a session's.
    """
    context = artifact.context if context is None else context
    check_tokens(artifact, tokens, context)
    routing = artifact.routing
    kept: list[np.ndarray] = []
    rows = max(1, min(512, LOGITS_BYTES // (4 * artifact.vocab)))
    total, count, windows = 0.0, 0, 0
    with artifact.session(
        threads=threads, threshold=threshold, ratio=ratio, record=routing is not None
    ) as session:
        for begin in range(0, len(tokens), context):
            window = tokens[begin : begin + context]
            session.reset()
            # The last token of a window predicts nothing.
            for at in range(0, len(window) - 1, rows):
                step = window[at : min(at + rows, len(window) - 1)]
                logits = session.step(step, logits="all")
                assert logits is not None  # "all"
                losses = negative_log_likelihood(logits, window[at : at + len(step) + 1])
                total += float(losses.sum())
                count += len(step)
                progress(len(step), len(tokens))
            if routing is not None:
                kept.append(session.kept)
            windows += len(window) > 1
    mean = total / count
    ran = None if routing is None else routing.ratio(*kept)
    return Result(math.exp(min(mean, 700)), mean, count, windows, context, ran)
