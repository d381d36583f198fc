"""Runs the test suites, and sums up what they report.

    lint    clang-format, ruff, generated pages    a check each
    cpp     GoogleTest programs, as CMake names them
    lit     lit + FileCheck: build/test
    python  pytest

Each writes JUnit XML, which is read for what passed, failed or was skipped, and
why. Nothing is taken from an exit code alone: a suite that reports no test, a
program that dies, a test that never ends count as failures. A suite's own output
is shown when something in it failed. The quick ones come first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
REPORTS = BUILD / "reports"
BIN = ROOT / ".venv/bin"
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
                env={**os.environ, **environment},
                timeout=LIMIT,
                check=False,
            ).returncode
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        code = 124
    return code, log.read_text(errors="replace")


def check(name: str, command: list[str | Path]) -> Result:
    """A program whose exit code is its only verdict."""
    code, output = execute(name, command)
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
    code, text = execute(
        "ctest", [BIN / "ctest", "--test-dir", "build", "--show-only=json-v1"]
    )
    tests = json.loads(text)["tests"] if code == 0 else []
    if not tests:
        yield Result(failed=["cpp: CMake names no test"], output=text)
    for test in tests:
        xml = REPORTS / f"{test['name']}.xml"
        command = [*test.get("command", [test["name"]]), f"--gtest_output=xml:{xml}"]
        yield report(test["name"], command, xml)


def lit() -> Iterator[Result]:
    xml = REPORTS / "lit.xml"
    yield report("lit", [BIN / "lit", "-v", "-q", f"--xunit-xml-output={xml}", "build/test"], xml)


def python() -> Iterator[Result]:
    xml = REPORTS / "pytest.xml"
    yield report("pytest", [BIN / "python", "-m", "pytest", "-rs", f"--junitxml={xml}"], xml)


SUITES: dict[str, Callable[[], Iterator[Result]]] = {
    "lint": lint,
    "cpp": cpp,
    "lit": lit,
    "python": python,
}


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
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"utils/check: no suite '{unknown[0]}'; suites are {', '.join(SUITES)}")
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    total = Result()
    for name in names or SUITES:
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
