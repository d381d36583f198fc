"""Compiling for AArch64 on another machine; what comes out runs in an emulator.

model.onnx ─ qtale-compile ─┬─ --target=aarch64-linux-gnu ─▶ qemu-aarch64 ─┐
                            └─ this machine's ────────────────────────────┴─ the same bits
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import QTALE_COMPILE, QTALE_RUN, ROOT, STORY, TELL, execute, refuses, succeeds

import qtale
from qtale.exporter import export

TRIPLE = "aarch64-linux-gnu"
ROUTED = ROOT / "test/models/routed-tiny"
LIBRARIES = Path("/usr") / TRIPLE
LEVELS = ["armv8.6-a+i8mm", "armv8.2-a+dotprod", "armv8-a"]
#: What an emulated CPU chooses: one with everything, and two that were sold.
CPUS = {"max": LEVELS[0], "neoverse-n1": LEVELS[1], "cortex-a53": LEVELS[2]}
WEIGHTS = ["keep", "int4"]
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
CLANG = shutil.which("clang-22") or shutil.which("clang")

pytestmark = [
    pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine is AArch64"),
    pytest.mark.skipif(not QEMU, reason="no qemu-aarch64 (Debian: qemu-user-static)"),
    pytest.mark.skipif(
        not LIBRARIES.exists(), reason=f"no {LIBRARIES} (Debian: libc6-dev-arm64-cross)"
    ),
]


def emulated(*words: object, cpu: str = "max") -> list[object]:
    """The emulator keeps a record of each page that is reserved, so 4 GB are all there is."""
    return [QEMU, "-cpu", cpu, "-R", "4G", "-L", LIBRARIES, *words]


def with_level(level: str) -> dict[str, str]:
    return {**os.environ, "QTALE_CPU": level}


@pytest.fixture(scope="module")
def programs(stories_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """programs(weights) -> stories260K as a program of AArch64, made once."""
    folder = tmp_path_factory.mktemp("programs")

    def program(weights: str) -> Path:
        output = folder / weights / "story"
        if not output.exists():
            output.parent.mkdir()
            options = [f"--weights={weights}", f"--target={TRIPLE}", "--emit=exe"]
            succeeds(QTALE_COMPILE, stories_onnx, "-o", output, *options)
        return output

    return program


@pytest.fixture(scope="module")
def step_bits(
    build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Inputs/logits.c for both machines."""
    if not CLANG:
        pytest.skip("no clang")
    source, folder = ROOT / "test/Integration/Inputs/logits.c", tmp_path_factory.mktemp("logits")
    cross = [CLANG, f"--target={TRIPLE}", "-fuse-ld=lld", f"-I{ROOT / 'include'}"]
    subprocess.run([*cross, source, "-o", folder / "aarch64", "-ldl"], check=True)
    return {"host": build(source, folder / "host", "-ldl"), "aarch64": folder / "aarch64"}


@pytest.fixture(scope="module")
def sessions_only(stories_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K without @main, which is by far the largest part of its code."""
    stage = tmp_path_factory.mktemp("step") / "m.mlir"
    succeeds(QTALE_COMPILE, stories_onnx, "--emit=imported", "-o", stage)
    text = stage.read_text()
    begin, end = text.index("  func.func @main("), text.index("  func.func @step(")
    assert begin < end
    stage.write_text(text[:begin] + text[end:])
    return stage


def logits(*command: object, ids: np.ndarray, env: dict[str, str] | None = None) -> np.ndarray:
    """The bytes that logits.c writes: a prefill of 24 tokens, then one after the other."""
    done = subprocess.run(
        [str(word) for word in (*command, *ids.tolist())], capture_output=True, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, np.uint8)


# -- What is told ------------------------------------------------------------


@pytest.mark.parametrize("weights", WEIGHTS)
def test_story(
    programs: Callable[[str], Path],
    compiled: Callable[..., Path],
    stories_onnx: Path,
    weights: str,
):
    """The published one, or what this machine tells with the same integers."""
    expected = STORY
    if weights != "keep":
        expected = succeeds(QTALE_RUN, compiled(stories_onnx, weights=weights), *TELL)
    assert succeeds(*emulated(programs(weights)), *TELL) == expected
    succeeds(*emulated(programs(weights)), "--verify")


def test_bundle(stories_onnx: Path, tmp_path: Path):
    """One file, moved, finds its weights in itself."""
    options = [f"--target={TRIPLE}", "--cpu=armv8-a", "--emit=exe", "--bundle"]
    succeeds(QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m", *options)
    (tmp_path / "m").rename(tmp_path / "story")
    assert [path.name for path in tmp_path.iterdir()] == ["story"]
    assert succeeds(*emulated(tmp_path / "story"), *TELL, cwd="/") == STORY


def test_object_in_a_c_program(stories_onnx: Path, tmp_path: Path):
    """--emit=obj, linked by a C compiler."""
    if not CLANG:
        pytest.skip("no clang")
    options = [f"--target={TRIPLE}", "--cpu=armv8-a", "--emit=obj"]
    succeeds(QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.o", *options)
    (tmp_path / "host.c").write_text(
        '#include "qtale/Runtime/qtale.h"\n'
        "#include <stdio.h>\n"
        "int main(int argc, char **argv) {\n"
        "  qtale_model *model;\n"
        "  qtale_error error;\n"
        "  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);\n"
        "  if (argc != 2 || api->model_open(argv[1], NULL, &model, &error))\n"
        "    return 1;\n"
        '  return printf("%d\\n", (int)api->model_vocab(model)) < 0;\n'
        "}\n"
    )
    command = [CLANG, f"--target={TRIPLE}", "-fuse-ld=lld", f"-I{ROOT / 'include'}"]
    files = [tmp_path / "host.c", tmp_path / "m.o", "-lm", "-o", tmp_path / "host"]
    subprocess.run([*command, *files], check=True)
    assert succeeds(*emulated(tmp_path / "host", tmp_path / "m.safetensors")) == "512\n"


# -- The same bits -----------------------------------------------------------


@pytest.mark.parametrize("weights", ["keep", "int8", "int4"])
def test_logits(
    step_bits: dict[str, Path],
    compiled: Callable[..., Path],
    sessions_only: Path,
    weights: str,
):
    """Of a session, on every level: this machine's."""
    ids = np.array([1, *np.random.default_rng(7).integers(3, 512, 39)])
    here = compiled(sessions_only, weights=weights)
    there = compiled(sessions_only, weights=weights, target=TRIPLE, cpu=",".join(LEVELS))
    assert there.with_suffix(".safetensors").read_bytes() == (
        here.with_suffix(".safetensors").read_bytes()
    )
    expected = logits(step_bits["host"], here, 24, -1, ids=ids)
    assert len(expected) == 4 * 512 * len(ids)
    for level in LEVELS:
        command = emulated(step_bits["aarch64"], there, 24, -1)
        got = logits(*command, ids=ids, env=with_level(level))
        np.testing.assert_array_equal(got, expected, err_msg=level)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_function(
    programs: Callable[[str], Path],
    compiled: Callable[..., Path],
    stories_onnx: Path,
    tmp_path: Path,
    weights: str,
):
    """@main, through files."""
    ids = np.random.default_rng(3).integers(3, 512, (2, 9))
    with qtale.load(compiled(stories_onnx, weights=weights)) as here:
        inputs = {}
        for name, dtype, shape in here.inputs:
            sizes = [{0: 2, 1: size, 2: 0, 3: size}[axis] for axis, size in enumerate(shape)]
            inputs[name] = np.zeros(sizes, dtype) if "past" in name else None
        inputs["input_ids"], inputs["attention_mask"] = ids, np.ones(ids.shape, np.int64)
        assert all(value is not None for value in inputs.values())
        expected = here.run(inputs)
    words = []
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
        words += ["--input", f"{name}={tmp_path / name}.npy"]
    succeeds(*emulated(programs(weights)), *words, "--output-dir", tmp_path / "out")
    for name, value in expected.items():
        got = np.load(tmp_path / "out" / f"{name}.npy")
        np.testing.assert_array_equal(got.view(np.uint32), value.view(np.uint32), err_msg=name)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_routed_golden(
    step_bits: dict[str, Path],
    compiled: Callable[..., Path],
    routed_onnx: Path,
    threshold: float,
):
    """Decisions and logits of the float64 golden, and this machine's bits."""
    with np.load(ROUTED / "golden.npz") as golden:
        ids, expected = golden["input_ids"], golden[f"logits_{threshold}"]
        kept = golden[f"keep_{threshold}"]
    there = compiled(routed_onnx, target=TRIPLE, cpu="armv8-a")
    bits = logits(*emulated(step_bits["aarch64"], there, 24, threshold), ids=ids)
    size = 4 * expected.size
    got = bits[:size].view(np.float32).reshape(expected.shape)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    np.testing.assert_array_equal(bits[size:].view(bool), kept.ravel())
    assert 0 < kept.mean() < 1
    here = logits(step_bits["host"], compiled(routed_onnx), 24, threshold, ids=ids)
    np.testing.assert_array_equal(bits, here)


@pytest.fixture(scope="module")
def routed_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(ROUTED, tmp_path_factory.mktemp("routed") / "model.onnx")


# -- Levels ------------------------------------------------------------------


@pytest.mark.parametrize("cpu", CPUS)
def test_level_that_is_chosen(programs: Callable[[str], Path], cpu: str):
    """The best that the CPU has; a better one is refused by name, a lesser one taken."""
    run, best = emulated(programs("int4"), cpu=cpu), LEVELS.index(CPUS[cpu])
    info = json.loads(succeeds(*run, "--info", "--json"))
    assert (info["levels"], info["cpu"]) == (LEVELS, CPUS[cpu])
    for i, level in enumerate(LEVELS):
        command = (*run, "--info", "--json")
        if i >= best:
            assert json.loads(succeeds(*command, env=with_level(level)))["cpu"] == level
            continue
        said = refuses(*command, folder=programs("int4").parent, env=with_level(level))
        assert f"this machine can't run CPU level {level} needs " in said
        assert ("dotprod" in said) == (cpu == "cortex-a53")
        assert ("i8mm" in said) == (level == LEVELS[0])


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("x86-64-v3", "CPU level 'x86-64-v3' is of x86_64, but code is made for aarch64"),
        ("native", "name one of its levels"),
    ],
)
def test_level_of_another_architecture(
    stories_onnx: Path, tmp_path: Path, level: str, message: str
):
    words = (QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.so", f"--target={TRIPLE}")
    assert message in refuses(*words, f"--cpu={level}", folder=tmp_path)


# -- The target --------------------------------------------------------------


def test_spellings(stories_onnx: Path, tmp_path: Path):
    """A target has one name, whatever its triple's spelling; a printed stage remembers it."""
    printed = []
    for name in (TRIPLE, "aarch64-unknown-linux-gnu", "arm64-linux-gnu", "aarch64-linux"):
        words = (QTALE_COMPILE, stories_onnx, "--emit=quantized", f"--target={name}")
        printed.append(succeeds(*words))
    assert f'llvm.target_triple = "{TRIPLE}"' in printed[0]
    assert printed.count(printed[0]) == 4
    stage = tmp_path / "m.mlir"
    stage.write_text(printed[0])
    words = (QTALE_COMPILE, stage, "-o", tmp_path / "m.so", "--target=x86_64-linux-gnu")
    assert "--target can't be changed any more" in refuses(*words, folder=tmp_path)


def test_stage_goes_on(stories_onnx: Path, tmp_path: Path):
    """A printed stage compiles on to the same bytes, for the same machine."""
    whole, stage, rest = (tmp_path / name / "m" for name in ("whole", "stage", "rest"))
    for path in (whole, stage, rest):
        path.parent.mkdir()
    options = [f"--target={TRIPLE}", "--cpu=armv8.2-a+dotprod", "--weights=int8"]
    succeeds(QTALE_COMPILE, stories_onnx, "-o", whole, *options)
    printed = stage.with_suffix(".mlir")
    succeeds(QTALE_COMPILE, stories_onnx, "-o", printed, "--emit=packed", *options)
    succeeds(QTALE_COMPILE, printed, "-o", rest)
    assert rest.read_bytes() == whole.read_bytes()


def test_wrong_machine(compiled: Callable[..., Path], sessions_only: Path):
    """This machine's qtale-run says whose the artifact is."""
    artifact = compiled(sessions_only, weights="int4", target=TRIPLE, cpu=",".join(LEVELS))
    said = refuses(QTALE_RUN, artifact, *TELL, folder=artifact.parent)
    assert "was compiled for AArch64" in said


def test_built_without_it(stories_onnx: Path, tmp_path: Path):
    """A compiler that has no runtime for the target says what to do."""
    tool = tmp_path / "bin/qtale-compile"
    tool.parent.mkdir()
    shutil.copy(QTALE_COMPILE, tool)
    words = (tool, stories_onnx, "-o", tmp_path / "m.so", f"--target={TRIPLE}", "--cpu=armv8-a")
    said = refuses(*words, folder=tmp_path)
    assert f"built without a runtime for {TRIPLE}" in said
    assert "libstdc++-12-dev-arm64-cross" in said
    assert "configure and build qtale again" in said


def test_result_needs_only_libc(programs: Callable[[str], Path]):
    if not shutil.which("readelf"):
        pytest.skip("no readelf")
    dynamic = execute("readelf", "-dW", programs("keep")).out
    needed = {line.split("[")[1][:-1] for line in dynamic.splitlines() if "NEEDED" in line}
    assert needed <= {"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1"}
