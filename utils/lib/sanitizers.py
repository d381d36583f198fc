"""Builds with sanitizers: their folders, and what the sanitizers are told.

    address  build-asan   AddressSanitizer, LeakSanitizer, UBSan
    thread   build-tsan   ThreadSanitizer
    fuzzer   build-fuzz   address, and coverage for libFuzzer

Only our own code is compiled so (utils/cmake/Sanitize.cmake). MLIR, LLVM, ONNX and
protobuf are not, and share memory with it; each setting that follows from this
says how.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "address": ROOT / "build-asan",
    "thread": ROOT / "build-tsan",
    "fuzzer": ROOT / "build-fuzz",
}

ADDRESS = {
    # LLVM's allocators mark what they have not given out yet. Half of their code is
    # in our objects (templates in headers) and marks; the other half is in libLLVM
    # and does not unmark.
    "allow_user_poisoning": "0",
    # Likewise containers that libMLIR fills and our code reads.
    "detect_container_overflow": "0",
    # The same inline variables stand in libMLIR and in our objects.
    "detect_odr_violation": "0",
    # Memory that runs out is an error that is handled, also here.
    "allocator_may_return_null": "1",
    "strict_string_checks": "1",
    "check_initialization_order": "1",
}
UNDEFINED = {"print_stacktrace": "1"}
THREAD = {"halt_on_error": "1", "second_deadlock_stack": "1"}


def settings(values: dict[str, str]) -> str:
    return ":".join(f"{key}={value}" for key, value in values.items())


def environment(kind: str) -> dict[str, str]:
    """What programs of such a build are run with."""
    if kind == "thread":
        return {"TSAN_OPTIONS": settings(THREAD)}
    return {"ASAN_OPTIONS": settings(ADDRESS), "UBSAN_OPTIONS": settings(UNDEFINED)}
