"""Random graphs of standard operators: compiled, run, and compared with onnxruntime.

Every graph is run for the sizes it was drawn with, then for others: a graph whose dimensions are
symbols must be right for 0, for 1 and for more, and must report what does not fit.

    QTALE_RANDOM_GRAPHS   how many graphs (100)
    QTALE_RANDOM_SEED     other graphs (0: those of the suite)

What may happen to a graph: it agrees; the compiler refuses it, with the operator's name and a
reason; the judge itself refuses the sizes. What may not: a crash, another result, an error where
the judge has a result. A failure is shrunk, and its model printed as ONNX text.
"""

from __future__ import annotations

import collections
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from isolated import Crash, run_isolated
from onnx.reference import ReferenceEvaluator
from operators import OPERATORS
from random_graph import Discarded, Graph, session

from qtale.compiler import find_tool

COUNT = int(os.environ.get("QTALE_RANDOM_GRAPHS", "100"))
SEED = int(os.environ.get("QTALE_RANDOM_SEED", "0"))

#: Refusals in the compiler's own words: a message of MLIR's is a mistake of ours.
REFUSAL = re.compile(
    r"not supported|is refused: |: needs |leaves them open|must have|doesn't fit|known"
)

#: Of no number there is no mean; and where there is nothing to sum, the judge leaves the results of
#: these products as the memory was.
NOT_OF_NOTHING = ("ReduceMean", "MatMulInteger", "QLinearMatMul", "Einsum")

#: What differs between refusals for one reason.
NAMES = re.compile(r"m\.onnx: |'\w+ of 'v\d+'': |\d+")

#: Of a few nodes. The judge's casts around float16 keep some results in float32, unrounded.
PRECISION = {"float16": 2**-7, "float32": 1e-5, "float64": 1e-9}

#: What became of the graphs, for the report at the end.
OUTCOMES: collections.Counter[str] = collections.Counter()


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    # Half of them of the newest opsets, which have the operators of language models.
    graph = Graph(draw, draw(st.sampled_from((*range(14, 25), *[23, 24] * 4))))
    usable = sorted(name for name, (since, _) in OPERATORS.items() if since <= graph.opset)
    for _ in range(draw(st.integers(1, 15))):
        name = draw(st.sampled_from(usable))
        try:
            OPERATORS[name][1](graph)
        except Discarded:
            OUTCOMES["nodes that onnxruntime can't run, or leave the range"] += 1
    return graph


def other_sizes(graph: Graph) -> list[dict[str, np.ndarray]]:
    """Inputs of the sizes drawn, and of others; indices stay, and may then be out of range."""
    feeds = [{i.value.name: i.value.array for i in graph.inputs}]
    if graph.sizes:
        least = int(any(node.op_type in NOT_OF_NOTHING for node in graph.nodes))
        sizes = {symbol: max(graph.size(), least) for symbol in graph.sizes}
        feed = {}
        for i in graph.inputs:
            shape = tuple(sizes.get(d, d) for d in i.dims)
            old = i.value.array.reshape(-1)
            feed[i.value.name] = np.resize(old, shape) if old.size else np.ones(shape, old.dtype)
        feeds.append(feed)
    return feeds


def compile_graph(model: onnx.ModelProto, folder: Path) -> str | None:
    """None, or the message of a refusal."""
    onnx.save(model, folder / "m.onnx")
    (folder / "m.so").unlink(missing_ok=True)
    done = subprocess.run(
        [find_tool("qtale-compile"), folder / "m.onnx", "-o", folder / "m.so", "--cpu=native"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 0:
        return None
    assert done.returncode == 1, f"qtale-compile ended with {done.returncode}: {done.stderr}"
    assert "error:" in done.stderr, done.stderr
    return done.stderr


def agree(got: np.ndarray, wanted: np.ndarray, scale: float) -> None:
    assert got.dtype == wanted.dtype, f"{got.dtype}, but should be {wanted.dtype}"
    assert got.shape == wanted.shape, f"{got.shape}, but should be {wanted.shape}"
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
        return
    relative = PRECISION[wanted.dtype.name]
    np.testing.assert_allclose(got, wanted, rtol=relative, atol=relative * scale)


def joins(graph: Graph, feed: dict[str, np.ndarray]) -> bool:
    """Whether the shapes of all Concats fit, as NumPy sees it."""
    try:
        ReferenceEvaluator(graph.model()).run(None, feed)
    except Exception as error:  # it has its own limits
        return "all the input array dimensions" not in str(error)
    return True


def is_laxity(message: str, graph: Graph, feed: dict[str, np.ndarray]) -> bool:
    """Whether only the judge goes on: it leaves out pieces without elements, of any shape; it
    repeats 1 along a letter of Einsum that other operands have more of, and the input of PRelu
    along the slope; and where a dimension that is computed turns out to be 0, its Reshape
    copies another one, which ours refuses."""
    empty = any(array.size == 0 for array in feed.values())
    slopes = any(node.op_type == "PRelu" for node in graph.nodes)
    return (
        ("Concat: inputs differ along another axis" in message and not joins(graph, feed))
        or "Einsum: axes of one letter must be equal" in message
        or (slopes and "differs from its declaration" in message)
        or (empty and "Reshape: a computed dimension of 0 copies another one" in message)
    )


def text_of(model: onnx.ModelProto) -> str:
    return onnx.printer.to_text(model)


@pytest.fixture(scope="module", autouse=True)
def report():
    yield
    for outcome, count in OUTCOMES.most_common():
        print(f"{count:6} {outcome}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@seed(SEED)
@settings(
    max_examples=COUNT,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(graph=graphs())
def test_agrees_with_onnxruntime(folder: Path, graph: Graph):
    if not graph.results:
        return
    model = graph.model()
    try:
        judge = session(model)
    except Exception:
        OUTCOMES["graphs that onnxruntime refuses"] += 1
        return
    refusal = compile_graph(model, folder)
    if refusal is not None:
        message = NAMES.sub("", refusal.splitlines()[0].split("error:")[-1]).strip()
        named = any(re.search(rf"\b{node.op_type}\b", refusal) for node in model.graph.node)
        reasoned = REFUSAL.search(refusal) and "' op " not in refusal
        if not (named and reasoned):
            pytest.fail(f"refused without a reason: {refusal}\n{text_of(model)}")
        OUTCOMES[f"refused: {message}"] += 1
        return
    scales = {v.name: v.scale for v in graph.results}
    for turn, feed in enumerate(other_sizes(graph)):
        try:
            wanted = judge.run(None, feed)
        except Exception:
            OUTCOMES["sizes that onnxruntime refuses"] += 1
            wanted = None
        try:
            got = run_isolated(folder / "m.so", feed)
        except Crash as crash:
            pytest.fail(f"{crash}\n{text_of(model)}")
        if wanted is None:
            continue
        if isinstance(got, str):
            if is_laxity(got, graph, feed):
                OUTCOMES["sizes that only onnxruntime accepts"] += 1
                continue
            pytest.fail(f"an error where onnxruntime has a result: {got}\n{text_of(model)}")
        for value, result in zip(model.graph.output, wanted, strict=True):
            # The scale is that of the sizes drawn; others have their own results only.
            numbers = result.astype(float)
            size = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0))
            try:
                agree(got[value.name], result, max(scales[value.name], size))
            except AssertionError as difference:
                sizes = {name: array.shape for name, array in feed.items()}
                pytest.fail(
                    f"'{value.name}', sizes {'drawn' if turn == 0 else sizes}: {difference}\n"
                    f"{text_of(model)}"
                )
    OUTCOMES["graphs that agree"] += 1
