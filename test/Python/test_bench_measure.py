"""What `qtale bench` times, which rounds count, and what it makes of the times."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from qtale.bench import limits, machine, measure, shapes, sizes
from qtale.bench.engine import Scheme
from qtale.bench.limits import IntegerPeak
from qtale.bench.load import Load, fair_share
from qtale.bench.measure import Round, Rounds, quiet_rounds
from qtale.bench.parts import Decode, Loaded, Prefill, Rows
from qtale.bench.rivals import NotMeasuredError
from qtale.bench.sizes import Sizes
from qtale.bench.summary import loaded as summary_of_load
from qtale.bench.summary import rows as summary_of_rows
from qtale.errors import UserError

TOKENS = np.random.default_rng(3).integers(0, 97, 40, np.int32)


class Others:
    """Says how busy others were, one number a round."""

    def __init__(self, shares: list[float]):
        self._shares = shares

    def so_far(self) -> float:
        return self._shares.pop(0)

    def left(self) -> int:
        return len(self._shares)


@pytest.mark.parametrize(
    ("shares", "kept"),
    [
        ([0.5, 0.02, 0.3, 0.01, 0.0], [0.01, 0.02]),
        ([0.9, 0.8, 0.7, 0.2, 0.5, 0.02, 0.8, 0.0], [0.02, 0.2]),
    ],
)
def test_quiet_rounds_count(shares: list[float], kept: list[float]):
    """Until there are two; after six the quietest are taken."""
    others = Others(list(shares))
    rounds = quiet_rounds(lambda index: Round(), 2, lambda: others)
    assert [r.others for r in rounds.rounds] == kept
    assert rounds.others == kept[1]
    assert others.left() == (1 if kept[1] == 0.02 else 2)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch):
    """All rounds that are wanted, however long they take; no more of them after a while."""
    monkeypatch.setattr(measure, "_PATIENCE_SECONDS", 0.05)

    def slow(index: int) -> Round:
        time.sleep(0.02)
        return Round()

    others = Others([0.5] * 20)
    rounds = quiet_rounds(slow, 5, lambda: others)
    assert len(rounds.rounds) == 5
    assert others.left() == 15


def test_others_share(monkeypatch: pytest.MonkeyPatch):
    """Of two processors in 2 s: 2.2 s of work, the host's too; 1.5 s ours or our children's."""
    lines = ["cpu 100 0 10 1000 7 0 0 0 0 0\n", "cpu 280 10 20 1150 57 0 0 20 0 0\ncpu0 1\n"]
    own = [os.times_result((0, 0, 0, 0, 0)), os.times_result((0.6, 0.4, 0.3, 0.2, 9))]
    clock = [4.0, 6.0]
    monkeypatch.setattr(machine, "_read", lambda path: lines.pop(0))
    monkeypatch.setattr(machine.os, "times", lambda: own.pop(0))
    monkeypatch.setattr(machine.os, "sysconf", {"SC_CLK_TCK": 100}.get)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine.time, "monotonic", lambda: clock.pop(0))
    assert machine.OthersShare().so_far() == pytest.approx((2.2 - 1.5) / 4)


class Clockwork:
    """An engine that takes a given time for a row; all write down their calls in one list."""

    version = "1"

    def __init__(self, name: str, seconds: float, calls: list[str]):
        self._name, self._seconds, self._calls = name, seconds, calls
        self.position = 0

    def truncate(self, length: int) -> None:
        assert length < self.position
        self.position = length
        self._calls.append(f"{self._name}<{length}")

    def step(self, tokens: np.ndarray) -> np.ndarray:
        # All engines hold a beginning of the same text.
        assert (tokens == TOKENS[self.position :][: len(tokens)]).all()
        self.position += len(tokens)
        self._calls.append(f"{self._name}{len(tokens)}")
        time.sleep(self._seconds * len(tokens))
        return np.full(4, self.position, np.float32)

    def close(self) -> None: ...


def clockworks() -> tuple[dict[str, Clockwork], list[str]]:
    calls: list[str] = []
    return {n: Clockwork(n, 0.001 * s, calls) for n, s in (("a", 1), ("b", 4))}, calls


def called(calls: list[str]) -> str:
    text = " ".join(calls)
    calls.clear()
    return text


def test_prefill_takes_turns():
    engines, calls = clockworks()
    part = Prefill(engines, TOKENS, 8, lambda: calls.append("limit") or 5.0)
    part.warm()
    assert called(calls) == "a8 b8"
    rounds = Rounds([part.round(0), part.round(1)])
    assert called(calls) == "limit a<0 a8 b<0 b8 limit b<0 b8 a<0 a8"
    assert rounds.limit == 5
    assert (rounds.seconds("a") >= 0.008).all()
    assert (rounds.seconds("b") >= 0.032).all()


def test_decode_fills_once_and_rewinds():
    engines, calls = clockworks()
    first = Decode(engines, TOKENS, 4, 6, lambda: None)
    first.warm()
    assert called(calls) == "a4 a1 b4 b1"
    first.round(0)
    assert called(calls) == "a<4 b<4 a1 a1 a1 a1 b1 b1 b1 b1 b1 b1 a1 a1"
    first.round(1)
    assert called(calls) == "a<4 b<4 b1 b1 b1 b1 a1 a1 a1 a1 a1 a1 b1 b1"
    assert first.logits["a"][0] == 10
    # What is held already is not filled again.
    Decode(engines, TOKENS, 20, 2, lambda: None).warm()
    assert called(calls) == "a10 a1 b10 b1"


def test_load_is_beside_the_second_half():
    """Each engine's tokens follow each other; both states are timed alike."""
    engines, calls = clockworks()
    part = Loaded(1, engines, TOKENS, 4, 2)
    part.warm()
    called(calls)
    rounds = Rounds([part.round(0)])
    assert called(calls) == "a<4 a1 a1 b<4 b1 b1 a<4 a1 a1 b<4 b1 b1"
    assert sorted(rounds.rounds[0].seconds) == [
        (name, state) for name in "ab" for state in ("loaded", "quiet")
    ]


def test_load_runs_and_ends():
    """Its processes take time while they run, which counts as ours afterwards."""
    before = os.times()
    load = Load(2)
    with load:
        processes = list(load._running)
        time.sleep(0.3)
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
    assert os.times().children_user - before.children_user > 0.05


@pytest.mark.parametrize(
    ("threads", "processes", "share"), [(2, 2, 0.5), (1, 1, 1), (2, 1, 2 / 3), (1, 3, 0.5)]
)
def test_fair_share_of_two_processors(threads: int, processes: int, share: float):
    assert fair_share(threads, processes, 2) == pytest.approx(share)


def test_summary_of_load():
    """Most steps are as ever, two wait: 40% of the speed, a tenth of the worst decile's."""
    quiet, slow = [0.01] * 11, [0.01] * 9 + [0.1, 0.085]
    seconds = {
        ("qtale", "quiet"): quiet,
        ("qtale", "loaded"): slow,
        ("r", "quiet"): quiet,
        ("r", "loaded"): [0.05] * 11,
    }
    logits = {"qtale": np.ones(3), "r": np.ones(3)}
    result = summary_of_load(Rounds([Round(seconds)]), logits, 128, 2, 0.5)
    ours, theirs = result["engines"]["qtale"], result["engines"]["r"]
    assert ours["quiet"]["tokens_per_s"] == pytest.approx(100)
    assert ours["loaded"]["ms"] == pytest.approx(10)
    assert ours["loaded"]["tokens_per_s"] == pytest.approx(40)
    assert ours["share"] == pytest.approx(0.4)
    assert ours["worst_decile_share"] == pytest.approx(10 / 85)
    assert theirs["share"] == pytest.approx(0.2)
    assert theirs["ratio"] == pytest.approx(2)


def test_largest_step_of_rows():
    """Of the time per row, by pairs: the second round ran at half the speed, which is no step."""
    times = {1: 0.010, 2: 0.012, 3: 0.0198, 4: 0.020}
    rounds = [
        Round({(kind, n): [k * t] for kind in ("batch", "chunk") for n, t in times.items()})
        for k in (1, 2)
    ]
    result = summary_of_rows(Rounds(rounds), tuple(times), 7)
    assert [row["ms_per_row"] for row in result["batch"]] == pytest.approx([15, 9, 9.9, 7.5])
    step = result["chunk_largest_step"]
    assert (step["from"], step["to"]) == (2, 3)
    assert step["ratio"] == pytest.approx(1.1)


class FakeBatch:
    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def step_batch(self, tokens: np.ndarray) -> None:
        self.calls.append(("batch", len(tokens)))

    def step_chunk(self, tokens: np.ndarray) -> None:
        self.calls.append(("chunk", len(tokens)))

    def rewind(self) -> None:
        self.calls.append("rewind")


def test_rows_take_turns():
    """Every call starts from the same text; neighbours are next to each other, both ways round."""
    batch = FakeBatch()
    result = Rows(batch, TOKENS, (1, 2, 3), 2).round(0)
    assert batch.calls[1::2] == ["rewind"] * 12
    first, second = batch.calls[0:12:2], batch.calls[12::2]
    assert first[::-1] == [(kind, n) for kind in ("batch", "chunk") for n in (1, 2, 3)]
    assert second == [*first[::-1][1:], ("batch", 1)]
    assert {len(times) for times in result.seconds.values()} == {2}


def test_integer_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Beyond what one scalar multiplication a cycle gives, or a reason why there is none."""
    try:
        unit = IntegerPeak(tmp_path)
    except NotMeasuredError as error:
        assert "no C compiler" in str(error) or "no multiply-add" in str(error)  # noqa: PT017
    else:
        assert unit.measure(1) > 6
    monkeypatch.setattr(limits, "_COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(NotMeasuredError, match="no C compiler: install one, or name it in CC"):
        IntegerPeak(tmp_path)


def test_multiplications_of_a_prefill():
    """By hand: 3 layers of q, k, v, o and the FFN's three; of the last, only k and v for all."""
    config = {
        "hidden_size": 128,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 97,
        "max_position_embeddings": 128,
    }
    attention = 2 * 128 * 128
    keys = 2 * 128 * 64
    ffn = 3 * 128 * 192
    head = 97 * 128
    all_rows = 2 * (attention + ffn) + 3 * keys
    for tied in (False, True):
        shape = Sizes("s", config | {"tie_word_embeddings": tied}, Scheme())
        assert shape.macs(5) == 5 * all_rows + attention + ffn + head


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    free = type("Usage", (), {"free": 10**8})
    monkeypatch.setattr(sizes.shutil, "disk_usage", lambda place: free)
    shape = Sizes("tinyllama-1.1b", shapes.SHAPES["tinyllama-1.1b"], Scheme())
    with pytest.raises(UserError, match=r"0\.1 GB are free; name a larger place by --work"):
        shape.check_disk(["qtale"], tmp_path / "not" / "there")


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("", "", 3 << 20), ("max", "7", 3 << 20), ("2000000", "500000", 1500000), ("5", "9", 0)],
)
def test_memory_available(limit: str, used: str, expected: int, monkeypatch: pytest.MonkeyPatch):
    files = {
        "/proc/meminfo": "MemTotal:  9999 kB\nMemAvailable:   3072 kB\n",
        "/sys/fs/cgroup/memory.max": limit,
        "/sys/fs/cgroup/memory.current": used,
    }
    monkeypatch.setattr(machine, "_read", files.get)
    assert machine.memory_available() == expected
