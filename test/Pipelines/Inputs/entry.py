"""A function @main, written out, compiled and executed by one thread and by three."""

import numpy as np
from execute import compile_main, run

THREADS = (1, 3)
f32 = np.float32


def execute(arguments: str, body: str, inputs: list, ranks: list, dtype: type = f32) -> list:
    """[(code, results)], one for each number of threads; ports are spelled $."""
    text = f"#scalar = affine_map<() -> ()>\nfunc.func @main({arguments} {{\n{body}\n}}"
    port = '{qtale.name = "port", qtale.dtype = "float32"}'
    module = text.replace("$", port)
    library = compile_main(module, "x86-64-v3", "--linalg-generalize-named-ops")
    results = [(rank, dtype) for rank in ranks]
    return [run(library, inputs, results, threads=threads) for threads in THREADS]


def check(what: str, executed: list, *expected: np.ndarray) -> None:
    for threads, (code, results) in zip(THREADS, executed, strict=True):
        assert code == 0, f"{what}, {threads} threads: code {code}"
        for result, reference in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, reference, rtol=2e-6, err_msg=what)
