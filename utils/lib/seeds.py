"""What fuzzing starts from: models, stages and files of the tests.

    test/**/*.onnxtxt ──────────────────▶ onnx-text ─ parsed ─▶ onnx
    ONNX's own node tests, two an operator ───────────────────▶ onnx
    test/**/*.mlir, a section each, with its passes ──────────▶ dialect
    stages of test/Import/Onnx, as qtale-compile prints them ─▶ dialect
    test/models/**/tokenizer.json ────────────────────────────▶ tokenizer-json
    fake.safetensors, a bundle, a library, arrays ────────────▶ artifact

What fuzzing found stands in test/Fuzz/corpus/TARGET and is added to these.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
TEST = ROOT / "test"
#: Larger inputs would take longer than they are worth.
LARGEST = 48 << 10


def sections(path: Path) -> Iterator[str]:
    """The models of one test file, without what lit and FileCheck read of it."""
    text = path.read_text()
    parts = re.split(r"^(?://|#)---.*\n", text, flags=re.M)
    for part in parts[1:] or parts:
        for section in re.split(r"^// -----.*\n", part, flags=re.M):
            lines = [line for line in section.splitlines() if not re.match(r"\s*(#|//)", line)]
            if any(line.strip() for line in lines):
                yield "\n".join(lines) + "\n"


def onnx_texts() -> Iterator[str]:
    functions = "".join(
        path.read_text() for path in sorted((ROOT / "python/qtale/functions").glob("*.onnxtxt"))
    )
    for path in sorted(TEST.rglob("*.onnxtxt")):
        for text in sections(path):
            # Routed models call them; lit puts them behind.
            yield text + functions if "ai.qtale" in text and "<domain" not in text else text


def onnx_models(texts: list[str]) -> Iterator[bytes]:
    for text in texts:
        try:
            yield onnx.parser.parse_model(text).SerializeToString()
        except onnx.parser.ParseError:
            continue  # a test of refusals
    from onnx.backend.test.case.node import collect_testcases

    seen: dict[str, int] = {}
    for case in collect_testcases(None):
        kinds = {node.op_type for node in case.model.graph.node}
        if any(seen.get(kind, 0) < 2 for kind in kinds):
            yield case.model.SerializeToString()
        for kind in kinds:
            seen[kind] = seen.get(kind, 0) + 1


def pipeline(run: str) -> str:
    """The passes of a RUN line, as MLIR writes pipelines; empty where there are none."""
    if match := re.search(r'--pass-pipeline="([^"]*)"', run):
        return match[1]
    passes = []
    for name, options in re.findall(r'--((?:qtale-|canonicalize|cse)[\w-]*)(?:="([^"]*)")?', run):
        passes.append(name + (f"{{{options}}}" if options else ""))
    return ",".join(passes)


def dialect_tests() -> Iterator[str]:
    for path in sorted(TEST.rglob("*.mlir")):
        runs = re.findall(r"// RUN: (?:not )?qtale-opt (.*)", path.read_text())
        pipelines = {pipeline(run) for run in runs} or {""}
        for text in sections(path):
            for passes in sorted(pipelines):
                yield f"// {passes}\n{text}" if passes else text


def stages(texts: list[str], compiler: Path) -> Iterator[str]:
    """The models of the tests, printed at each stage."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "w.bin").write_bytes(bytes(64 << 10))
        model = Path(folder) / "m.onnxtxt"
        for i, text in enumerate(texts):
            model.write_text(text)
            for stage in ("imported", "quantized", "packed", "unrouted", "kernels"):
                weights = "int4" if i % 2 else "keep"
                done = subprocess.run(
                    [compiler, model, f"--emit={stage}", "--cpu=x86-64-v3", f"--weights={weights}"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    break  # a test of refusals
                yield done.stdout


def artifact_files(build: Path) -> Iterator[bytes]:
    weights = (TEST / "Runtime/Inputs/fake.safetensors").read_bytes()
    yield weights
    first = 4096
    yield bytes(first) + weights + b"QTALEWTS" + struct.pack("<3Q", first, len(weights), 1)
    yield weights[8:].split(b"}}")[0] + b"}}"
    for dtype in ("bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"):
        for shape in ((), (3,), (2, 0, 3)):
            file = io.BytesIO()
            np.save(file, np.zeros(shape, dtype))
            yield file.getvalue()
    yield b'{"hash": "12", "levels": ["a", "b"], "session": {"layers": 5, "kv": "f32"}, "x": null}'
    library = build / "test/Runtime/fake.so"
    if library.exists():
        yield library.read_bytes()[:4096]


def call_bytes() -> Iterator[bytes]:
    """Sequences of calls: a session, steps, what else there is."""
    rng = np.random.default_rng(1)
    for length in (16, 64, 256):
        for _ in range(8):
            yield rng.integers(0, 128, length, dtype=np.uint8).tobytes()


def damages() -> Iterator[bytes]:
    for text in ("Once upon a time", "<s> 1234 </s>", "\u4f60\u597d \U0001f600", "a" * 300):
        yield b"\0" + text.encode()
        yield b"\2\x10\0\0\xff\x40\0\0\0" + text.encode()


def dictionaries() -> dict[str, list[str]]:
    """Words that a language is made of, as the tests write them."""
    mlir = "\n".join(path.read_text() for path in TEST.rglob("*.mlir"))
    words = set(re.findall(r"#?!?\b(?:qtale|llvm|scf|vector|memref|linalg|arith)\.[\w.]+", mlir))
    kinds = [schema.name for schema in onnx.defs.get_all_schemas()]
    elements = ["float", "int64", "float16", "bfloat16", "int4", "uint8", "bool", "double"]
    return {
        "dialect": sorted(words),
        "onnx-text": sorted({*kinds, *elements}),
        "tokenizer-json": sorted(
            {"BPE", "ByteFallback", "Metaspace", "ByteLevel", "Replace", "Prepend", "Strip"}
            | {"Fuse", "Sequence", "Split", "Regex", "NFC", "NFKC", "Lowercase", "Isolated"}
        ),
    }


def write(folder: Path, inputs: Iterator[str | bytes]) -> None:
    folder.mkdir(parents=True)
    for i, data in enumerate(inputs):
        data = data.encode() if isinstance(data, str) else data
        if len(data) <= LARGEST:
            (folder / f"seed{i:04}").write_bytes(data)


def key(build: Path) -> str:
    """Changes with what seeds are made from."""
    state = hashlib.sha256(onnx.__version__.encode())
    for path in sorted([*TEST.rglob("*.mlir"), *TEST.rglob("*.onnxtxt"), Path(__file__)]):
        state.update(path.read_bytes())
    state.update(bytes((build / "bin/qtale-compile").exists()))
    return state.hexdigest()


def ensure(folder: Path, build: Path) -> None:
    """Writes folder/TARGET/* and folder/TARGET.dict, where they are not of today."""
    stamp, today = folder / "made-from", key(build)
    if not stamp.exists() or stamp.read_text() != today:
        make(folder, build)
        stamp.write_text(today)


def make(folder: Path, build: Path) -> None:
    """All of them, whole or not at all."""
    whole = folder.with_name(f"{folder.name}.{os.getpid()}")
    texts = list(onnx_texts())
    write(whole / "onnx-text", iter(texts))
    write(whole / "onnx", onnx_models(texts))
    compiler = build / "bin/qtale-compile"
    printed = stages(texts, compiler) if compiler.exists() else iter(())
    write(whole / "dialect", (*dialect_tests(), *printed))
    tokenizers = sorted(TEST.glob("models/*/tokenizer.json"))
    write(whole / "tokenizer-json", (path.read_bytes() for path in tokenizers))
    write(whole / "tokenizer-tables", damages())
    write(whole / "artifact", artifact_files(build))
    write(whole / "c-api", call_bytes())
    for target, words in dictionaries().items():
        (whole / f"{target}.dict").write_text("".join(f'"{word}"\n' for word in words))
    shutil.rmtree(folder, ignore_errors=True)
    try:
        whole.rename(folder)
    except OSError:  # another run was faster
        shutil.rmtree(whole)
