"""However tokens are cut into steps, batched and spread over threads: the same bits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_RUN, STORY, TELL, succeeds

import qtale

SEEDS = range(6)


@pytest.fixture(scope="module", params=["keep", "int8", "int4"])
def a(request, compiled: Callable[..., Path], stories_onnx: Path) -> Iterator[qtale.Artifact]:
    with qtale.load(compiled(stories_onnx, weights=request.param)) as artifact:
        yield artifact


def random_ids(random: np.random.Generator, longest: int = 120) -> list[int]:
    return random.integers(0, 512, random.integers(1, longest)).tolist()


def pieces(random: np.random.Generator, ids: list[int]) -> list[list[int]]:
    """Cut at random places."""
    cuts = np.flatnonzero(random.random(len(ids) - 1) < random.choice([0.02, 0.1, 0.5])) + 1
    return [part.tolist() for part in np.split(np.array(ids), cuts)]


def same(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("seed", SEEDS)
def test_threads_chunks_and_pieces(a: qtale.Artifact, seed: int):
    random = np.random.default_rng(seed)
    ids = random_ids(random)
    expected = a.session(threads=1).step(ids, logits="all")
    for options in (
        {"threads": 2},
        {"threads": 3},
        {"threads": 8},
        {"threads": 1, "max_rows": 5},
        {"threads": 3, "max_rows": 1},
    ):
        s = a.session(**options)
        same(s.step(ids, logits="all"), expected)
        s.reset()
        parts = [s.step(part, logits="all") for part in pieces(random, ids)]
        same(np.concatenate(parts), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_batches(a: qtale.Artifact, seed: int):
    """Up to five sequences of their own lengths, some of them beginning later."""
    random = np.random.default_rng(100 + seed)
    texts = [random_ids(random, 60) for _ in range(random.integers(2, 6))]
    expected = [a.session(threads=1).step(ids, logits="all") for ids in texts]
    options = {"threads": int(random.integers(1, 4)), "max_rows": int(random.choice([5, 17, 512]))}
    sessions = [a.session(**options) for _ in texts]
    rest = [pieces(random, ids) for ids in texts]
    got: list[list[np.ndarray]] = [[] for _ in texts]
    while any(rest):
        chosen = [i for i, parts in enumerate(rest) if parts and random.random() < 0.7]
        if not chosen:
            continue
        results = a.step([(sessions[i], rest[i].pop(0)) for i in chosen], logits="all")
        for i, result in zip(chosen, results, strict=True):
            got[i].append(result)
    for parts, rows in zip(got, expected, strict=True):
        same(np.concatenate(parts), rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_forks_and_truncation(a: qtale.Artifact, seed: int):
    """A session that took detours is one that went straight."""
    random = np.random.default_rng(200 + seed)
    ids = random_ids(random)
    expected = a.session().step(ids, logits="all")
    s, at = a.session(max_rows=7), 0
    while at < len(ids):
        count = int(random.integers(1, 20))
        same(s.step(ids[at : at + count], logits="all"), expected[at : at + count])
        at = s.position
        other = s.fork()
        other.step(random_ids(random, 20), logits="none")
        if random.random() < 0.3:
            other.truncate(at)
            s, other = other, s
        if random.random() < 0.3:
            at = int(random.integers(0, at + 1))
            s.truncate(at)


def test_two_sessions_at_once(a: qtale.Artifact):
    """Each in its own thread, with threads of its own or not."""
    random = np.random.default_rng(3)
    texts = [random.integers(0, 512, 150).tolist() for _ in range(2)]
    expected = [a.session(threads=1).step(ids, logits="all") for ids in texts]
    got: list[list[np.ndarray]] = [[], []]

    def work(i: int, threads: int) -> None:
        s = a.session(threads=threads, max_rows=16)
        got[i].append(s.step(texts[i][:50], logits="all"))
        got[i].extend(s.step(token) for token in texts[i][50:])

    workers = [threading.Thread(target=work, args=(i, i + 1)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for parts, rows in zip(got, expected, strict=True):
        same(np.concatenate(parts), rows)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_of_the_command(compiled: Callable[..., Path], stories_onnx: Path, threads: int):
    artifact = compiled(stories_onnx)
    assert succeeds(QTALE_RUN, artifact, *TELL, "--threads", threads) == STORY
