"""The bindings against an artifact written by hand (fake_model.c), whose answers are known."""

from __future__ import annotations

import contextlib
import gc
import math
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale import capi
from qtale.handle import Handle

HEADER = Path(__file__).resolve().parents[2] / "include/qtale/Runtime/qtale.h"


@pytest.fixture
def a(fake: Path):
    with qtale.load(fake) as artifact:
        yield artifact


def code_of(call, *arguments, **options) -> tuple[str, str]:
    with pytest.raises(qtale.Error) as caught:
        call(*arguments, **options)
    return caught.value.code, str(caught.value)


# -- The interface -----------------------------------------------------------


def test_layout_is_the_header(build: Callable[..., Path], tmp_path: Path):
    """Names, order, sizes and offsets of every struct, as a C compiler sees them."""
    structs = {
        "qtale_error": capi.ErrorStruct,
        "qtale_tensor": capi.Tensor,
        "qtale_step": capi.Step,
        "qtale_session_options": capi.SessionOptions,
        "qtale_model_options": capi.ModelOptions,
        "qtale_routing": capi.Routing,
        "qtale_operation": capi.Operation,
        "qtale_event": capi.Event,
        "qtale_api": capi.Api,
    }
    lines, expected = [], {}
    for name, struct in structs.items():
        expected[name] = str(capi.ctypes.sizeof(struct))
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in struct._fields_:
            expected[f"{name}.{field}"] = str(getattr(struct, field).offset)
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    for table, prefix in ((capi.DTYPES, "QTALE_"), (capi.LOGITS, "QTALE_LOGITS_")):
        for name, number in table.items():
            expected[prefix + name.upper()] = str(number)
            lines.append(f'printf("{prefix}{name.upper()} %d\\n", (int){prefix}{name.upper()});')
    for number, name in capi.CODES.items():
        expected[f"QTALE_{name}"] = str(number)
        lines.append(f'printf("QTALE_{name} %d\\n", QTALE_{name});')
    source = tmp_path / "layout.c"
    source.write_text(
        '#include "qtale/Runtime/qtale.h"\n#include <stdio.h>\n'
        f"int main(void) {{ {' '.join(lines)} return 0; }}\n"
    )
    program = build(source, tmp_path / "layout")
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert dict(line.split() for line in printed.splitlines()) == expected
    assert f"#define QTALE_API_VERSION {capi.API_VERSION}\n" in HEADER.read_text()


def test_every_function_of_the_header(tmp_path: Path):
    text = HEADER.read_text()
    table = text[text.index("typedef struct qtale_api") :]
    assert re.findall(r"\(\*(\w+)\)\(", table) == [
        name for name, *_ in capi.Api._fields_ if name != "version"
    ]


# -- A function --------------------------------------------------------------


def test_description(a: qtale.Artifact):
    assert a.info == {"version": "fake", "levels": []}
    assert a.inputs == [
        ("x", "float32", (-1, 4)),
        ("h", "bfloat16", (-1,)),
        ("by", "float32", ()),
    ]
    assert a.outputs[1] == ("total", "int64", ())
    assert (a.vocab, a.context, a.bos, a.eos) == (16, 32, 1, (2, 12))
    assert code_of(a.verify) == ("CORRUPT", "tensor w differs")


def test_run(a: qtale.Artifact):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    # Not contiguous: the bindings make it so.
    x = np.arange(24, dtype=np.float32).reshape(4, 6).T[:3]
    h, by = np.array([1.5, -2], ml_dtypes.bfloat16), np.array(3, np.float32)
    result = a.run({"x": x, "h": h, "by": np.float32(3)})
    assert list(result) == ["y", "total", "h_out"]
    np.testing.assert_array_equal(result["y"], 3 * x)
    assert result["total"] == x.sum()
    assert result["total"].shape == ()
    np.testing.assert_array_equal(result["h_out"], h)
    bits = a.run({"x": x, "h": h.view(np.uint16), "by": by}, ["h_out"])
    assert list(bits) == ["h_out"]
    np.testing.assert_array_equal(bits["h_out"], h)
    assert a.run({"x": x[:0], "h": h, "by": by}, ["y"])["y"].shape == (0, 4)


def test_run_errors(a: qtale.Artifact):
    x = np.zeros((1, 4), np.float32)
    assert code_of(a.run, {"x": x}) == ("NOT_FOUND", "an input is missing")
    h = np.zeros(1, np.int16)
    by = np.float32(1)
    assert code_of(a.run, {"x": x, "h": h, "by": by})[0] == "INVALID_ARGUMENT"  # C's message
    for bad in (np.array(["text"]), np.zeros(2, ">f4"), np.zeros((1,) * 9, np.float32)):
        code, message = code_of(a.run, {"x": bad, "h": h})
        assert code == "INVALID_ARGUMENT"
        assert "input x" in message


# -- Sessions ----------------------------------------------------------------


def test_step(a: qtale.Artifact):
    """Logits of each kind: the position stands at token + 1."""
    s = a.session()
    expected = np.zeros((3, 16), np.float32)
    expected[[0, 1, 2], [4, 5, 10]] = [1, 2, 3]
    np.testing.assert_array_equal(s.step([3, 4, 9], logits="all"), expected)
    assert s.step(np.array([5], np.int64)).shape == (1, 16)
    assert s.step(7)[0, 8] == 5
    assert s.step((1, 2), logits="none") is None
    assert (s.position, s.kv_bytes) == (7, 700)


def test_step_of_several(a: qtale.Artifact):
    s, t = a.session(), a.session()
    s.step([1, 1], logits="none")
    first, second = a.step([(s, [3]), (t, [4, 5])], logits="all")
    assert (first[0, 4], second[0, 5], second[1, 6]) == (3, 1, 2)
    assert a.step([(s, [3]), (t, [4])], logits="none") == [None, None]


def test_content(a: qtale.Artifact):
    s = a.session(threads=1)
    s.step([3] * 10)
    t = s.fork()
    s.truncate(4)
    t.step([3])
    assert (s.position, t.position) == (4, 11)
    s.reset()
    assert s.position == 0
    assert code_of(t.truncate, 12)[0] == "INVALID_ARGUMENT"


def test_step_errors(a: qtale.Artifact, fake: Path):
    s = a.session()
    s.step([3, 4])
    for tokens in ([], [16], [-1], [1 << 40], [1.5], [[1, 2]], ["a"]):
        assert code_of(s.step, tokens)[0] == "INVALID_ARGUMENT"
    assert code_of(s.step, [3] * 31) == ("LIMIT", "beyond the context of 32")
    assert code_of(s.step, [3], logits="some")[0] == "INVALID_ARGUMENT"
    assert s.position == 2
    assert code_of(a.session, max_rows=7) == ("UNSUPPORTED", "max_rows is 512 here")
    assert code_of(a.session, threads=0)[0] == "INVALID_ARGUMENT"
    with qtale.load(fake) as other:
        assert code_of(other.step, [(s, [3])])[0] == "INVALID_ARGUMENT"


# -- Text --------------------------------------------------------------------


def test_tokenizer(a: qtale.Artifact):
    assert a.tokenizer.encode("abz") == [3, 4] + [3] * 30  # more tokens than bytes
    assert a.tokenizer.encode("") == []
    assert a.tokenizer.decode([3, 4, 14, 15]) == "abé"
    assert a.tokenizer.decode([3], previous=1) == "A"
    assert a.tokenizer.decode([13] * 3) == "k" * 150  # more than the first guess
    assert a.tokenizer.decode([14]) == "\ufffd"
    assert code_of(a.tokenizer.encode, "\ud800")[0] == "INVALID_ARGUMENT"


def test_generate(a: qtale.Artifact):
    """Every token is followed by the next one; the text is what was asked for, and no more."""
    s = a.session()
    assert list(s.generate("c", steps=3)) == ["d", "e", "f"]
    # BOS, the prompt and three tokens: the last one was given out, so it belongs to the text.
    assert s.position == 5
    assert list(s.generate("i", steps=9)) == []  # 'i' is 11; 12 ends the text
    assert s.position == 6
    assert "".join(a.session().generate([3], steps=9, stop=[7])) == "bcd"
    assert list(a.session().generate("", steps=9)) == []  # BOS alone is followed by 2: the end


def test_generate_holds_back_half_characters(a: qtale.Artifact):
    assert list(a.session().generate([13], steps=2)) == ["é"]
    assert list(a.session().generate([13], steps=1)) == ["\ufffd"]


def test_generate_abandoned(a: qtale.Artifact):
    s = a.session()
    text = s.generate([3], steps=9)
    assert [next(text), next(text)] == ["b", "c"]
    text.close()
    assert s.position == 3


def test_generate_fills_the_context(a: qtale.Artifact):
    s = a.session()
    assert list(s.generate([3] * 31, steps=9)) == ["b", "c"]  # the last one needs no position
    assert s.position == 32
    assert code_of(list, s.generate("a", steps=1))[0] == "LIMIT"
    assert code_of(list, a.session().generate([3] * 33, steps=1))[0] == "LIMIT"


def test_sampling():
    """Frequencies follow the softmax; top_k and top_p cut it; a seed repeats."""
    from qtale.sampling import Sampler

    logits = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))
    assert Sampler()(logits) == 1
    assert Sampler()(np.zeros(4, np.float32)) == 0
    # SplitMix64 of seed 0 begins with 0xe220a8397b1dcdaf, as its authors' program prints.
    assert Sampler(seed=0)._uniform() == (0xE220A8397B1DCDAF >> 11) / 2**53
    odd = np.array([np.nan, -np.inf, 3, np.nan], np.float32)
    assert {Sampler()(odd), Sampler(1)(odd)} == {2}
    for nothing in (np.full(3, np.nan), np.full(3, -np.inf)):
        assert code_of(Sampler(), nothing)[0] == "CORRUPT"

    def shares(**options) -> np.ndarray:
        sampler = Sampler(temperature=1, seed=3, **options)
        return np.bincount([sampler(logits) for _ in range(4000)], minlength=4) / 4000

    np.testing.assert_allclose(shares(), [0.1, 0.4, 0.2, 0.3], atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [0, 4 / 7, 0, 3 / 7], atol=0.03)
    np.testing.assert_allclose(shares(top_p=0.7001), [0, 4 / 9, 2 / 9, 3 / 9], atol=0.03)
    np.testing.assert_allclose(shares(top_p=0.3), [0, 1, 0, 0])
    one, two = Sampler(2, seed=5), Sampler(2, seed=5)
    assert [one(logits) for _ in range(20)] == [two(logits) for _ in range(20)]
    for name, value in (
        ("temperature", -1),
        ("temperature", math.nan),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 2),
        ("seed", -1),
        ("seed", 1 << 64),
    ):
        code, message = code_of(Sampler, **{name: value})
        assert code == "INVALID_ARGUMENT"
        assert message.startswith(name)


# -- Loading and closing -----------------------------------------------------


def test_close_in_any_order(fake: Path):
    """The fake aborts where a model is closed before its sessions."""
    a = qtale.load(fake)
    s = a.session()
    t = s.fork()
    s.close()
    s.close()
    a.close()
    assert code_of(t.step, [3]) == ("INVALID_ARGUMENT", "the artifact is closed")
    assert code_of(lambda: t.position) == ("INVALID_ARGUMENT", "the session is closed")
    assert "closed" in repr(a)
    assert "closed" in repr(t)
    b = qtale.load(fake)
    cycle = [b, b.session()]
    cycle.append(cycle)
    del b, cycle
    gc.collect()


def test_close_while_in_use(fake: Path):
    a = qtale.load(fake)
    s = a.session()
    with s.handle.use():
        thread = threading.Thread(target=lambda: codes.append(code_of(s.close)[0]))
        codes: list[str] = []
        thread.start()
        thread.join()
        assert codes == ["BUSY"]
    s.close()
    a.close()


def test_close_while_a_session_is_made(fake: Path):
    """Another thread closes between C's answer and the moment when the artifact knows of it."""

    def close() -> None:
        thread = threading.Thread(target=lambda: codes.append(code_of(a.close)[0]))
        thread.start()
        thread.join()

    def adopt(child):
        close()
        return qtale.Artifact.adopt(a, child)

    a, codes = qtale.load(fake), []
    s = a.session()
    a.adopt = adopt
    made = [a.session(), a.session().fork()]
    assert codes == ["BUSY"] * 3
    assert s.handle.closed
    del a.adopt
    a.close()
    assert all(child.handle.closed for child in made)
    with pytest.raises(qtale.Error, match="the artifact is closed"):
        Handle("session", capi.ctypes.c_void_p(1), lambda pointer: None, parent=a.handle)


def test_close_while_others_make_sessions(fake: Path):
    """The fake aborts where a model is closed before its sessions."""

    def work() -> None:
        while not a.handle.closed:
            try:
                some = [a.session() for _ in range(5)]
                [s.fork().step([3]) for s in some]
            except qtale.Error as error:
                codes.add(error.code)

    a, codes = qtale.load(fake), set()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not a.handle.closed:
        with contextlib.suppress(qtale.Error):
            a.close()
    for thread in threads:
        thread.join()
    assert codes <= {"BUSY", "INVALID_ARGUMENT"}


def test_integers_beyond_what_c_takes(a: qtale.Artifact):
    """ctypes would cut off their upper bits."""
    s = a.session()
    s.step([3, 4, 5])
    for name, call in (
        ("length", lambda value: s.truncate(value)),
        ("threads", lambda value: a.session(threads=value)),
        ("max_rows", lambda value: a.session(max_rows=value)),
        ("events", lambda value: a.profile(events=value)),
        ("previous", lambda value: a.tokenizer.decode([3], previous=value)),
    ):
        for value in (2**64 + 1, -(2**64), 2**63, 1.5, None if name == "length" else "1"):
            code, message = code_of(call, value)
            assert code == "INVALID_ARGUMENT"
            assert message.startswith(f"{name} must be an integer of ")
    assert code_of(a.tokenizer.decode, [3], previous=2**32 + 1)[0] == "INVALID_ARGUMENT"
    assert s.position == 3
    s.truncate(np.int64(1))
    assert s.position == 1


def test_two_in_one_process(a: qtale.Artifact, fake: Path, tmp_path: Path):
    copy = tmp_path / "copy.so"
    shutil.copy(fake, copy)
    with qtale.load(copy) as b, qtale.load(fake) as c:
        sessions = [x.session() for x in (a, b, c)]
        for s in sessions:
            s.step([3])
    assert a.session().step([3])[0, 4] == 1


def test_replaced_file(fake: Path, tmp_path: Path):
    """The system's loader would silently go on with the old code."""
    path = tmp_path / "model.so"
    shutil.copy(fake, path)
    old = qtale.load(path)
    new = tmp_path / "new.so"
    shutil.copy(fake, new)
    new.replace(path)
    code, message = code_of(qtale.load, path)
    assert code == "BUSY"
    assert "close the earlier artifact" in message
    old.close()
    qtale.load(path).close()


def test_load_errors(build: Callable[..., Path], fake: Path, tmp_path: Path):
    path = tmp_path / "model.so"
    assert code_of(qtale.load, path)[0] == "NOT_FOUND"
    assert code_of(qtale.load, tmp_path)[0] == "IO"
    assert code_of(qtale.load, fake, weights="/no/weights") == ("NOT_FOUND", "/no/weights")
    whole = fake.read_bytes()
    for size in (0, 10, 64, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        code, message = code_of(qtale.load, path)
        assert code == "CORRUPT"
        assert str(path) in message
    for source, code in (
        ("int nothing;", "CORRUPT"),
        ("void *qtale_get_api(unsigned v) { return 0; }", "UNSUPPORTED"),
    ):
        (tmp_path / "other.c").write_text(source)
        build(tmp_path / "other.c", path, "-shared", "-fPIC")
        assert code_of(qtale.load, path)[0] == code
        path.unlink()
