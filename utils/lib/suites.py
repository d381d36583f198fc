"""Runs the test suites, and sums up what they report.

    lint    clang-format, ruff, generated pages    a check each
    cpp     GoogleTest programs, as CMake names them
    lit     lit + FileCheck: build/test
    onnx    ONNX's backend node tests, counted (utils/conformance)
    python  pytest
    fuzz    fuzz targets: their corpora, then a bounded number of mutations

With --asan or --tsan, of a build with sanitizers: lib/sanitizers.py.

Each writes JUnit XML, which is read for what passed, failed or was skipped, and
why. Nothing is taken from an exit code alone: a suite that reports no test, a
program that dies, a test that never ends count as failures. A suite's own output
is shown when something in it failed. The quick ones come first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import fuzzing
import sanitizers
import seeds

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
REPORTS = BUILD / "reports"
BIN = ROOT / ".venv/bin"
#: Of a build with sanitizers, what they are told.
ENVIRONMENT: dict[str, str] = {}
#: Seconds after which a suite is ended: far beyond what it needs.
LIMIT = 40 * 60
#: Lines of a failing suite's output that are shown; the log has all.
SHOWN = 400


@dataclass
class Result:
    """What one run of one program reported."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    output: str = ""


def execute(name: str, command: list[str | Path], **environment: str) -> tuple[int, str]:
    """Runs a program in the project's root, its output into a log, and times it out."""
    log = REPORTS / f"{name}.log"
    try:
        with log.open("wb") as file:
            code = subprocess.run(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT, **environment},
                timeout=LIMIT,
                check=False,
            ).returncode
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        code = 124
    return code, log.read_text(errors="replace")


def check(name: str, command: list[str | Path], **environment: str) -> Result:
    """A program whose exit code is its only verdict."""
    code, output = execute(name, command, **environment)
    return Result(passed=1) if code == 0 else Result(failed=[name], output=output)


def report(name: str, command: list[str | Path], xml: Path) -> Result:
    """A program that writes JUnit XML."""
    xml.unlink(missing_ok=True)
    code, output = execute(name, command)
    result = Result(output=output)
    try:
        cases = list(ElementTree.parse(xml).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        cases = []
    for case in cases:
        title = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed.append(title)
        elif skip is not None:
            reason = (skip.get("message") or skip.text or "no reason given").strip()
            result.skipped.append(f"{title}: {' '.join(reason.split())}")
        elif case.get("status") == "notrun":
            result.skipped.append(f"{title}: disabled")
        else:
            result.passed += 1
    if code == 124:
        result.failed.append(f"{name}: did not end within {LIMIT // 60} minutes")
    elif code != 0 and not result.failed:
        result.failed.append(f"{name}: ended with {code}, after {len(cases)} tests")
    elif not cases:
        result.failed.append(f"{name}: ran no test")
    return result


def sources() -> list[Path]:
    """C and C++ of the project, in folders that hold nothing else."""
    found = []
    for folder in ("include", "lib", "tools", "test", "docs", "utils"):
        for suffix in ("*.h", "*.c", "*.cpp"):
            found += (ROOT / folder).rglob(suffix)
    return sorted(found)


def lint() -> Iterator[Result]:
    yield check("clang-format", ["clang-format-22", "--dry-run", "--Werror", *sources()])
    yield check("ruff", [BIN / "ruff", "check", "--no-cache", "."])
    yield check("generated pages", [BIN / "python", "utils/docs", "--check"])


def cpp() -> Iterator[Result]:
    """GoogleTest programs are those that CMake's add_test names."""
    code, text = execute("ctest", [BIN / "ctest", "--test-dir", BUILD, "--show-only=json-v1"])
    tests = json.loads(text)["tests"] if code == 0 else []
    if not tests:
        yield Result(failed=["cpp: CMake names no test"], output=text)
    for test in tests:
        if sanitizers.FOLDERS["thread"] == BUILD and test["name"] not in RUNTIME_TESTS:
            continue
        xml = REPORTS / f"{test['name']}.xml"
        command = [*test.get("command", [test["name"]]), f"--gtest_output=xml:{xml}"]
        yield report(test["name"], command, xml)


def lit() -> Iterator[Result]:
    xml = REPORTS / "lit.xml"
    command = [BIN / "lit", "-v", "-q", f"--xunit-xml-output={xml}", BUILD / "test"]
    yield report("lit", command, xml)


def onnx() -> Iterator[Result]:
    """Cases count as passed; those that are refused, as expected, in one line."""
    counted = REPORTS / "onnx.json"
    counted.unlink(missing_ok=True)
    code, output = execute("onnx", [BIN / "python", "utils/conformance"])
    result = Result(output=output)
    try:
        verdicts = json.loads(counted.read_text())
    except (OSError, ValueError):
        verdicts = []
    kinds = [verdict["kind"] for verdict in verdicts]
    result.passed = kinds.count("passed")
    if refused := kinds.count("unsupported"):
        result.skipped.append(f"{refused} cases that are refused: build/reports/onnx.md")
    if code or not verdicts:
        result.failed += re.findall(r"^FAILED ([^:\n]+)", output, re.MULTILINE)
        result.failed = result.failed or [f"onnx: ended with {code}"]
    yield result


def python() -> Iterator[Result]:
    xml = REPORTS / "pytest.xml"
    command = [BIN / "python", "-m", "pytest", "-rs", f"--junitxml={xml}"]
    yield report("pytest", command + (SANITIZED_PYTHON if ENVIRONMENT else []), xml)


def fuzz() -> Iterator[Result]:
    """The same mutations each time: what is new to find is utils/fuzz's."""
    seeds.ensure(fuzzing.FUZZ / "seeds", ROOT / "build")
    for target in fuzzing.TARGETS:
        program = BUILD / f"bin/qtale-fuzz-{target}"
        if not program.exists():
            yield Result(skipped=[f"{target}: the compiler of this build has no libFuzzer"])
            continue
        with fuzzing.memory_folder() as temporary, TemporaryDirectory() as new:
            bounds = ["-seed=1", "-keep_seed=1", "-runs=2000", "-max_total_time=10"]
            bounds += [*fuzzing.LIMITS, f"-artifact_prefix={REPORTS}/{target}-"]
            command = [program, *bounds, *fuzzing.dictionary(target), new]
            command += fuzzing.corpora(target)
            yield check(f"fuzz-{target}", command, TMPDIR=temporary)


SUITES: dict[str, Callable[[], Iterator[Result]]] = {
    "lint": lint,
    "cpp": cpp,
    "lit": lit,
    "onnx": onnx,
    "python": python,
    "fuzz": fuzz,
}
#: GoogleTest programs without MLIR, whose own threads ThreadSanitizer can follow.
RUNTIME_TESTS = ("qtale-runtime-tests", "qtale-run-tests")
#: Tests in Python that drive the programs, and limit neither memory nor time: a program
#: with AddressSanitizer reserves terabytes of addresses and takes three times as long.
SANITIZED_PYTHON = [
    "test/Target",
    "test/Tokenizer",
    "test/Runtime/Run",
    "test/Integration/test_bad_artifacts.py",
    "test/Integration/test_bad_models.py",
    "test/Integration/test_damaged_stages.py",
    "test/Integration/test_sessions.py",
    "test/Integration/test_stages.py",
]
#: What a build with sanitizers runs, and builds for it; nothing: all.
SANITIZED = {
    "--asan": ("address", ("cpp", "lit", "python", "fuzz"), ()),
    "--tsan": ("thread", ("cpp",), RUNTIME_TESTS),
}


def use(option: str) -> tuple[str, ...]:
    """Builds with sanitizers, and runs from there on what that folder holds. Its suites."""
    global BUILD, REPORTS
    kind, suites, targets = SANITIZED[option]
    command = ["utils/setup", f"--sanitize={kind}", *targets]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(code)
    BUILD = sanitizers.FOLDERS[kind]
    REPORTS = BUILD / "reports"
    ENVIRONMENT.update(sanitizers.environment(kind), QTALE_BUILD=str(BUILD))
    for tool in ("qtale-compile", "qtale-run"):
        ENVIRONMENT[tool.upper().replace("-", "_")] = str(BUILD / "bin" / tool)
    return suites


def run_suite(name: str) -> Result:
    began, total = time.monotonic(), Result()
    for result in SUITES[name]():
        total.passed += result.passed
        total.failed += result.failed
        total.skipped += result.skipped
        if result.failed:
            lines = result.output.rstrip().splitlines()
            if len(lines) > SHOWN:
                lines = [f"… (all of it: {REPORTS})", *lines[-SHOWN:]]
            print("\n".join(f"  | {line}" for line in lines))
    seconds = time.monotonic() - began
    print(f"{name}: {counts(total)} ({seconds:.0f} s)", flush=True)
    return total


def counts(result: Result) -> str:
    text = f"{result.passed} passed, {len(result.failed)} failed"
    return text + (f", {len(result.skipped)} skipped" if result.skipped else "")


def main(names: list[str]) -> int:
    suites = tuple(SUITES)
    if names and names[0] in SANITIZED:
        suites = use(names.pop(0))
    unknown = [name for name in names if name not in suites]
    if unknown:
        print(f"utils/check: no suite '{unknown[0]}'; suites are {', '.join(suites)}")
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    total = Result()
    for name in names or suites:
        result = run_suite(name)
        total.passed += result.passed
        total.failed += [f"{name}: {failure}" for failure in result.failed]
        total.skipped += [f"{name}: {skip}" for skip in result.skipped]
    for title, items in (("Skipped", total.skipped), ("Failed", total.failed)):
        if items:
            print(f"\n{title}:", *items, sep="\n  ")
    print(f"\n{counts(total)}")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
