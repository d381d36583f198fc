"""If: branches chosen while a model runs, or when it is compiled, against onnxruntime."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import qtale
from qtale.compiler import find_tool

HEADER = '<ir_version: 10, opset_import: ["" : %d]>\n'


def write(folder: Path, text: str, opset: int = 21, weights: dict | None = None) -> Path:
    """A model of ONNX text; `weights` become initializers of the graphs that are named so."""
    model = onnx.parser.parse_model(HEADER % opset + text)
    for name, tensors in (weights or {}).items():
        graph = find(model.graph, name)
        for key, value in tensors.items():
            graph.initializer.append(onnx.numpy_helper.from_array(value, key))
    onnx.checker.check_model(model)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def find(graph: onnx.GraphProto, name: str) -> onnx.GraphProto | None:
    if graph.name == name:
        return graph
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return next((hit for hit in (find(g, name) for g in inner) if hit), None)


def compare(path: Path, runs: list[dict[str, np.ndarray]], **options) -> qtale.Artifact:
    """One artifact, run after run, so that what a run leaves behind would show."""
    ours = qtale.load(qtale.compile(path, path.with_suffix(".so"), cpu="native", **options))
    theirs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in theirs.get_outputs()]
    for feeds in runs:
        expected = dict(zip(names, theirs.run(None, feeds), strict=True))
        actual = ours.run(feeds)
        for name, value in expected.items():
            assert actual[name].shape == value.shape, name
            assert actual[name].dtype == value.dtype, name
            np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    return ours


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


TRUE, FALSE = np.array(True), np.array(False)

CAPTURES = """
captures (bool c, float[n, 4] x, float[n, 4] z) => (float[n, 4] y, float[n, 4] after, float sum)
{
  outer = Mul (x, x)
  y, unused = If (c) <
    then_branch = yes () => (float[n, 4] a, float[n, 4] a2) {
      s = Add (outer, z)
      a = Tanh (s)
      a2 = Neg (s)
    },
    else_branch = no () => (float[n, 4] b, float[n, 4] b2) {
      b = Sub (outer, x)
      b2 = Exp (outer)
    }
  >
  twice = Add (y, y)
  after = Add (twice, outer)
  sum = ReduceSum <keepdims: int = 0> (y)
}
"""


def test_branches_read_what_is_around_them(tmp_path: Path) -> None:
    path = write(tmp_path, CAPTURES)
    runs = [
        {"c": flag, "x": floats(n, 4), "z": floats(n, 4) + 1}
        for n in (3, 1, 0, 40)
        for flag in (TRUE, FALSE, TRUE)
    ]
    compare(path, runs)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_take_the_same_branch(tmp_path: Path, threads: int) -> None:
    path = write(tmp_path, CAPTURES)
    artifact = qtale.compile(path, tmp_path / "m.so", cpu="native")
    theirs = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for flag in (TRUE, FALSE):
        feeds = {"c": flag, "x": floats(257, 4), "z": floats(257, 4) + 1}
        command = [find_tool("qtale-run"), artifact, f"--threads={threads}"]
        for name, value in feeds.items():
            np.save(tmp_path / f"{name}.npy", value)
            command.append(f"--input={name}={tmp_path / name}.npy")
        subprocess.run([*command, f"--output-dir={tmp_path}"], check=True)
        actual = np.load(tmp_path / "y.npy")
        np.testing.assert_allclose(actual, theirs.run(["y"], feeds)[0], rtol=1e-5, atol=1e-6)


NESTED = """
nested (float[n] x, int64 k) => (float[m] y)
<int64 zero = {0}, int64 two = {2}>
{
  p = Greater (k, zero)
  q = Greater (k, two)
  y = If (p) <
    then_branch = outer_yes () => (float[m1] a) {
      d = Add (x, x)
      a = If (q) <
        then_branch = inner_yes () => (float[m2] aa) { aa = Concat <axis: int = 0> (d, x) },
        else_branch = inner_no () => (float[m3] ab) {
          e = Mul (d, x)
          ab = Concat <axis: int = 0> (d, e, x)
        }
      >
    },
    else_branch = outer_no () => (float[m4] b) { b = Neg (x) }
  >
}
"""


def test_nested_with_sizes_that_differ(tmp_path: Path) -> None:
    runs = [{"x": floats(n), "k": np.int64(k)} for n in (5, 0, 1) for k in (3, 1, 0, 9)]
    compare(write(tmp_path, NESTED), [{**r, "k": np.array(r["k"])} for r in runs])


LONG_ROPE = """
longrope (float[1, heads, seq, 8] x, int64[1, seq] position, int64[1] total)
    => (float[1, heads, seq, 8] y)
<int64[1] limit = {16}>
{
  longer = Greater (total, limit)
  cos, sin = If (longer) <
    then_branch = long () => (float[t1, 4] ct, float[t1, 4] st) { },
    else_branch = short () => (float[t2, 4] cs, float[t2, 4] ss) { }
  >
  y = RotaryEmbedding (x, cos, sin, position)
}
"""


def tables(rows: int, scale: float) -> list[np.ndarray]:
    angles = np.outer(np.arange(rows), scale ** np.arange(4)).astype(np.float32)
    return [np.cos(angles), np.sin(angles)]


def long_rope(folder: Path) -> Path:
    text = LONG_ROPE.replace("{ },", "{ ct = Identity (lc) st = Identity (ls) },").replace(
        "{ }\n", "{ cs = Identity (sc) ss = Identity (ss_) }\n"
    )
    model = onnx.parser.parse_model(HEADER % 23 + text)
    for name, keys, values in (
        ("long", ("lc", "ls"), tables(128, 0.1)),
        ("short", ("sc", "ss_"), tables(80, 0.3)),
    ):
        for key, value in zip(keys, values, strict=True):
            find(model.graph, name).initializer.append(onnx.numpy_helper.from_array(value, key))
    path = folder / "rope.onnx"
    onnx.save(model, path)
    return path


def rotated(x: np.ndarray, position: np.ndarray, rows: int, scale: float) -> np.ndarray:
    """RotaryEmbedding as its specification has it, in halves."""
    cos, sin = (table[position][:, None] for table in tables(rows, scale))
    a, b = x[..., :4], x[..., 4:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def test_tables_of_different_lengths(tmp_path: Path) -> None:
    """A long context's rotation tables, and a short one's: weights in branches."""
    path = long_rope(tmp_path)
    artifact = qtale.load(qtale.compile(path, tmp_path / "m.so", cpu="native"))
    x = floats(1, 2, 5, 8)
    for total, rows, scale in ((40, 128, 0.1), (9, 80, 0.3), (41, 128, 0.1)):
        position = np.arange(total - 5, total)[None]
        got = artifact.run({"x": x, "position": position, "total": np.array([total])})["y"]
        np.testing.assert_allclose(got, rotated(x, position, rows, scale), rtol=1e-5, atol=1e-6)


WEIGHTS = """
weights (bool[1] c, float[n, 32] x) => (float[n, 48] y)
{
  y = If (c) <
    then_branch = yes () => (float[n, 48] a) { a = MatMul (x, w) },
    else_branch = no () => (float[n, 48] b) {
      h = Gemm <transB: int = 1> (x, w)
      b = Add (h, bias)
    }
  >
}
"""


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("scheme", ["keep", "f16"])
def test_weights_in_branches(tmp_path: Path, external: bool, scheme: str) -> None:
    """Both branches have a `w`, each its own, over 1 KiB."""
    model = onnx.parser.parse_model(HEADER % 21 + WEIGHTS)
    bias = floats(48)
    for name, tensors in {
        "yes": {"w": floats(32, 48)},
        "no": {"w": floats(48, 32), "bias": bias},
    }.items():
        for key, value in tensors.items():
            # Exact in f16, so that both schemes give the same.
            value = np.round(value * 64).clip(-128, 127) / 64
            tensor = onnx.numpy_helper.from_array(value.astype(np.float32), key)
            find(model.graph, name).initializer.append(tensor)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=external, size_threshold=256, location="w.bin")
    runs = [{"c": np.array([f]), "x": floats(n, 32)} for n in (1, 7, 0) for f in (True, False)]
    compare(path, runs, weights=scheme)


def test_results_that_are_inputs_constants_and_weights(tmp_path: Path) -> None:
    """Yielding a buffer that others read, too, must not let anyone write to it."""
    text = """
    aliases (bool c, float[n] x) => (float[m] y, float[m] z, float[n] same)
    <float[3] k = {1, 2, 3}>
    {
      chosen = If (c) <
        then_branch = yes () => (float[p] a) { a = Identity (x) },
        else_branch = no () => (float[q] b) { b = Identity (k) }
      >
      y = Add (chosen, chosen)
      z = Neg (chosen)
      same = Identity (x)
    }
    """
    compare(
        write(tmp_path, text), [{"c": f, "x": floats(n)} for n in (3, 6) for f in (TRUE, FALSE)]
    )


def test_shape_arithmetic_goes_through(tmp_path: Path) -> None:
    """Integers that branches give decide the shape of what follows."""
    text = """
    shapes (bool c, float[n, 6] x) => (float[r, s] y)
    <int64[2] wide = {-1, 3}, int64[2] flat = {-1, 12}>
    {
      to = If (c) <
        then_branch = yes () => (int64[2] a) { a = Identity (wide) },
        else_branch = no () => (int64[2] b) { b = Identity (flat) }
      >
      y = Reshape (x, to)
    }
    """
    compare(
        write(tmp_path, text), [{"c": f, "x": floats(n, 6)} for n in (2, 4) for f in (TRUE, FALSE)]
    )


def test_only_the_branch_taken_is_executed(tmp_path: Path) -> None:
    """The other one would fail: its shapes don't fit, or its size has no place."""
    text = """
    untaken (bool c, float[n] x, int64[1] k) => (float[m] y)
    {
      y = If (c) <
        then_branch = yes () => (float[p] a) { r = Reshape (x, k) a = Neg (r) },
        else_branch = no () => (float[n] b) { b = Exp (x) }
      >
    }
    """
    path = write(tmp_path, text)
    artifact = qtale.load(qtale.compile(path, tmp_path / "m.so", cpu="native"))
    x = floats(6)
    for wrong in (5, 2**40, -7):
        np.testing.assert_allclose(
            artifact.run({"c": FALSE, "x": x, "k": np.array([wrong])})["y"], np.exp(x), rtol=1e-5
        )
        with pytest.raises(qtale.Error):
            artifact.run({"c": TRUE, "x": x, "k": np.array([wrong])})
    np.testing.assert_array_equal(artifact.run({"c": TRUE, "x": x, "k": np.array([6])})["y"], -x)


def test_a_size_of_a_branch_that_overflows(tmp_path: Path) -> None:
    text = """
    sizes (bool c, int64[1] k) => (float[m] y)
    {
      y = If (c) <
        then_branch = yes () => (float[p] a) { z = ConstantOfShape (k) a = Exp (z) },
        else_branch = no () => (float[1] b) { b = Cast <to: int = 1> (k) }
      >
    }
    """
    path = write(tmp_path, text)
    artifact = qtale.load(qtale.compile(path, tmp_path / "m.so", cpu="native"))
    for huge in (2**40, 2**62 + 1, 2**63 - 1):
        assert artifact.run({"c": FALSE, "k": np.array([huge])})["y"] == np.float32(huge)
        with pytest.raises(qtale.Error, match="scratch memory"):
            artifact.run({"c": TRUE, "k": np.array([huge])})
    np.testing.assert_array_equal(artifact.run({"c": TRUE, "k": np.array([5])})["y"], np.ones(5))


def test_buffers_of_branches_do_not_meet(tmp_path: Path) -> None:
    """Results of one If live while another is computed, whose buffers come after them."""
    text = """
    lives (bool c, bool d, float[n] x) => (float[p] y)
    {
      u = If (c) <
        then_branch = cy () => (float[p1] a) {
          a1 = Exp (x)
          a2 = Neg (a1)
          a = Concat <axis: int = 0> (a1, a2)
        },
        else_branch = cn () => (float[p2] b) { b = Tanh (x) }
      >
      v = If (d) <
        then_branch = dy () => (float[p3] e) {
          e1 = Concat <axis: int = 0> (x, u)
          e2 = Exp (e1)
          e = Add (e1, e2)
        },
        else_branch = dn () => (float[p4] f) {
          f1 = Neg (x)
          f = Concat <axis: int = 0> (f1, u, f1)
        }
      >
      w = Neg (v)
      s = ReduceSum <keepdims: int = 1> (v)
      us = Mul (u, s)
      y = Concat <axis: int = 0> (u, v, w, us)
    }
    """
    flags = [(c, d) for c in (TRUE, FALSE) for d in (TRUE, FALSE)]
    runs = [{"c": c, "d": d, "x": floats(n) / 4} for n in (5, 33) for c, d in flags]
    compare(write(tmp_path, text), runs)


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_older_opsets_are_converted_within_branches(tmp_path: Path, opset: int) -> None:
    squeeze = "<axes: ints = [0]> (u)" if opset < 13 else "(u, axis)"
    text = f"""
    old (bool c, float[n, 4] x) => (float[n, 4] y)
    <int64[1] axis = {{0}}>
    {{
      u = Unsqueeze {squeeze.replace("(u", "(x")}
      y = If (c) <
        then_branch = yes () => (float[n, 4] a) {{ a = Squeeze {squeeze} }},
        else_branch = no () => (float[n, 4] b) {{
          t = Squeeze {squeeze}
          b = Softmax <axis: int = 1> (t)
        }}
      >
    }}
    """
    compare(write(tmp_path, text, opset), [{"c": f, "x": floats(3, 4)} for f in (TRUE, FALSE)])


def nested(depth: int, aside: str = "") -> str:
    """Ifs within Ifs, as text; `aside` stands in each."""
    inner = "r0 = Neg (x)"
    for i in range(1, depth):
        inner = (
            f"r{i} = If (c) <{aside} then_branch = t{i} () => (float[n] r{i - 1}) {{ {inner} }}, "
            f"else_branch = e{i} () => (float[n] q{i}) {{ q{i} = Exp (x) }}>"
        )
    return f"deep (float[n] x, bool c) => (float[n] r{depth - 1}) {{ {inner} }}"


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of protobuf's."""
    size, rest = b"", len(payload)
    while rest >= 128:
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + payload


def test_deep_nesting(tmp_path: Path) -> None:
    """Thirty graphs within each other are compiled; thousands are refused, not recursed into."""
    path = tmp_path / "deep.onnxtxt"
    path.write_text(HEADER % 21 + nested(30))
    artifact = qtale.load(qtale.compile(path, tmp_path / "m.so", cpu="native"))
    for flag, expected in ((TRUE, -1.5), (FALSE, np.exp(np.float32(1.5)))):
        got = artifact.run({"c": flag, "x": np.array([1.5], np.float32)})
        np.testing.assert_allclose(got["r29"], [expected], rtol=1e-6)

    for text in (nested(3000), nested(3000, "# }}}}}}>>>>>>\n")):
        path.write_text(HEADER % 21 + text)
        with pytest.raises(qtale.Error, match="nested too deeply"):
            qtale.compile(path, tmp_path / "m.so")
    graph = b""
    for _ in range(3000):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(field(7, graph))
    with pytest.raises(qtale.Error, match="a graph within more than 30 others"):
        qtale.compile(path, tmp_path / "m.so")
