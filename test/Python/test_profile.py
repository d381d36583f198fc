"""What operations take: times within the wall's, bytes of the file, products of the graph."""

from __future__ import annotations

import itertools
import json
import re
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

import qtale
from goldens import checkpoint
from qtale.exporter import export
from qtale.profiling import Operation, Profile
from routed_artifacts import compile_step, require_compiler

IDS = (np.arange(100) * 7 % 512).tolist()


@pytest.fixture(scope="module", params=["keep", "int4"])
def path(request: pytest.FixtureRequest, compiled: Callable[..., Path], stories_onnx: Path) -> Path:
    return compiled(stories_onnx, weights=request.param)


@pytest.fixture
def a(path: Path) -> Iterator[qtale.Artifact]:
    with qtale.load(path) as artifact:
        yield artifact


def layer_of(name: str) -> int | None:
    found = re.search(r"layers\.(\d+)\.", name.replace("/", "."))
    return int(found[1]) if found else None


def matrices(path: Path) -> dict[int | None, int]:
    """Bytes of packed matrices by layer, as the weights file's header has them."""
    raw = path.with_suffix(".safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    sizes: dict[int | None, int] = defaultdict(int)
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "U8":
            begin, end = tensor["data_offsets"]
            sizes[layer_of(name)] += end - begin
    return sizes


def products(model: Path) -> dict[int | None, int]:
    """Multiplications and additions of a row with the graph's matrices, by layer."""
    graph = onnx.load(model, load_external_data=False).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes |= {  # a head tied to the embedding
        node.output[0]: shapes[node.input[0]]
        for node in graph.node
        if node.op_type in ("Transpose", "Identity") and node.input[0] in shapes
    }
    macs: dict[int | None, int] = defaultdict(int)
    for node in graph.node:
        if node.op_type == "MatMul":
            macs[layer_of(node.name)] += int(np.prod(shapes[node.input[1]]))
    return macs


def by_layer(profile: Profile, value: Callable[[Operation], int]) -> dict[int | None, int]:
    """Of matmuls, one or several in an operation."""
    sums: dict[int | None, int] = defaultdict(int)
    for operation in profile.operations:
        if operation.operation.endswith("matmul") and operation.calls:
            sums[operation.layer] += value(operation)
    return sums


def test_time_is_within_the_wall(a: qtale.Artifact):
    shares = []
    for _ in range(5):
        s = a.session(threads=1)
        s.profile = a.profile()
        begin = time.monotonic()
        s.step(IDS)
        wall = time.monotonic() - begin
        measured = sum(operation.seconds for operation in s.profile.operations)
        assert measured <= wall
        shares.append(measured / wall)
    assert max(shares) >= 0.6


@pytest.mark.parametrize("threads", [1, 2])
def test_every_matrix_is_read_once_a_step(
    a: qtale.Artifact, path: Path, stories_onnx: Path, threads: int
):
    s = a.session(threads=threads)
    s.step(IDS[:9])
    s.profile = p = a.profile()
    s.step([5])
    assert by_layer(p, lambda operation: operation.bytes) == matrices(path)
    assert by_layer(p, lambda operation: operation.macs) == products(stories_onnx)
    # From here on nothing is added.
    s.profile = None
    s.step([6])
    assert by_layer(p, lambda operation: operation.macs) == products(stories_onnx)


def test_rows(a: qtale.Artifact, path: Path, stories_onnx: Path):
    """A prompt reads matrices once, multiplies each row, and looks a row up for each token."""
    s = a.session(max_rows=512)
    s.profile = p = a.profile()
    s.step(IDS, logits="all")
    assert by_layer(p, lambda operation: operation.bytes) == matrices(path)
    expected = {layer: len(IDS) * macs for layer, macs in products(stories_onnx).items()}
    assert by_layer(p, lambda operation: operation.macs) == expected
    (embedding,) = [o for o in p.operations if o.operation == "embedding" and o.calls]
    assert embedding.bytes == len(IDS) * matrices(path)[None] // a.vocab
    # Without logits the head reads nothing.
    s.profile = p = a.profile()
    s.step(IDS, logits="none")
    assert by_layer(p, lambda operation: operation.bytes)[None] == 0


def test_a_function(a: qtale.Artifact, path: Path, stories_onnx: Path):
    p = a.profile()
    shapes = {name: [3 if dim < 0 else dim for dim in shape] for name, _, shape in a.inputs}
    inputs = {
        name: np.ones([1, *shape[1:]], dtype)
        if len(shape) == 2
        else np.zeros([1, *shape[1:]], dtype)
        for (name, dtype, _), shape in zip(a.inputs, shapes.values(), strict=True)
    }
    inputs["attention_mask"] = np.ones([1, 6], np.int64)
    expected = a.run(inputs)
    got = a.run(inputs, profile=p)
    np.testing.assert_array_equal(got["logits"], expected["logits"])
    assert by_layer(p, lambda operation: operation.bytes) == matrices(path)
    expected_macs = {layer: 3 * macs for layer, macs in products(stories_onnx).items()}
    assert by_layer(p, lambda operation: operation.macs) == expected_macs


def test_events(a: qtale.Artifact):
    s = a.session(threads=2)
    s.profile = p = a.profile(events=1000)
    begin = time.monotonic()
    for token in IDS[:3]:
        s.step([token])
    events = p.events
    assert begin <= events[0].begin
    assert events[-1].begin + events[-1].seconds <= time.monotonic()
    for event, following in itertools.pairwise(events):
        assert event.begin + event.seconds <= following.begin + 1e-9
    for index, operation in enumerate(p.operations):
        own = [event for event in events if event.operation == index]
        assert len(own) == operation.calls
        assert sum(event.bytes for event in own) == operation.bytes
        assert sum(event.seconds for event in own) == pytest.approx(operation.seconds)
    few = s.profile = a.profile(events=4)
    s.step([1])
    assert [event.operation for event in few.events] == [event.operation for event in events[-4:]]


def test_refusals(a: qtale.Artifact, path: Path):
    s, p = a.session(), a.profile()
    with pytest.raises(qtale.Error, match="-1 events"):
        a.profile(events=-1)
    with qtale.load(path) as other:
        s.profile = other.profile()
        with pytest.raises(qtale.Error, match="another artifact"):
            s.step([1])
    p.close()
    s.profile = p
    with pytest.raises(qtale.Error, match="the profile is closed"):
        s.step([1])


def test_earlier_artifacts(build: Callable[..., Path], tmp_path: Path):
    """They run, and say why there is no profile; of version 1 none is taken."""
    source = Path(__file__).parent / "fake_model.c"
    flags = ("-shared", "-fPIC")
    with qtale.load(build(source, tmp_path / "2.so", "-DVERSION=2", *flags)) as a:
        assert a.session().step([3]).argmax() == 4
        with pytest.raises(qtale.Error, match="without profiles; compile it again"):
            a.profile()
    with pytest.raises(qtale.Error, match="another version of qtale"):
        qtale.load(build(source, tmp_path / "1.so", "-DVERSION=1", *flags))


def test_skipped_layers_are_not_called(tmp_path: Path):
    require_compiler()
    model = export(checkpoint("tiny"), tmp_path / "model.onnx")
    with qtale.load(compile_step(model, tmp_path / "m.so")) as a:
        assert a.routing is not None
        s = a.session(threshold=1.1)  # only what must run
        s.step(list(range(1, 9)))
        s.profile = p = a.profile()
        s.step([3])
        ran = s.profile.operations
        runs = {o.layer for o in ran if o.operation == "attention" and o.calls}
        assert runs == set(np.flatnonzero(~a.routing.routed).tolist())
        # The routers of all others were asked.
        asked = {o.layer for o in ran if o.operation == "router" and o.calls}
        assert asked == set(np.flatnonzero(a.routing.routed).tolist())
        assert len({o.layer for o in p.operations if o.operation == "attention"}) == len(
            a.routing.routed
        )
