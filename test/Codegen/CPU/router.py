# RUN: %python %s
#
# Probabilities of all kinds of routers against their equations in float64: sizes that
# fill no vector, matrices in f32 and f16. A row's bits do not depend on the others.

import numpy as np
from execute import Main
from packed import declare, pack_float

f32 = np.float32
random = np.random.default_rng(3)
EPSILON = 1e-5


def rms(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(1, keepdims=True) + EPSILON)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def mlp2(x: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    fc1, b1, norm, fc2, b2 = weights
    h = norm * rms(x @ fc1.T + b1)
    logits = h * sigmoid(h) @ fc2.T + b2
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e[:, 1] / e.sum(1)


def linear(x: np.ndarray, fc: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return sigmoid(x @ fc[0] + bias[0])


def gate(x: np.ndarray, norm: np.ndarray, down: np.ndarray, up: np.ndarray) -> np.ndarray:
    return sigmoid(np.tanh((norm * rms(x)) @ down.T) @ up[0])


def weights_of(d: int, r: int) -> dict[str, list[np.ndarray]]:
    """Of each kind, in the order of its operands."""

    def matrix(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * (2 / shape[-1] ** 0.5)).astype(f32)

    def vector(size: int, mean: float = 0) -> np.ndarray:
        return (mean + 0.3 * random.standard_normal(size)).astype(f32)

    return {
        "mlp2": [matrix(r, d), vector(r), vector(r, mean=1), matrix(2, r), vector(2)],
        "linear": [matrix(1, d), vector(1)],
        "gate": [vector(d, mean=1), matrix(r, d), matrix(1, r)],
    }


EQUATIONS = {"mlp2": mlp2, "linear": linear, "gate": gate}
MATRIX = {"mlp2": 0, "gate": 1}


def aligned(data: bytes) -> bytes:
    """As the weights file aligns tensors."""
    return data + bytes(-len(data) % 64)


def router(d: int, weights: dict[str, list[np.ndarray]], element: str) -> tuple[Main, bytes]:
    """A program that gives the probabilities of all kinds for its rows."""
    declarations, lines, data = [], [], b""
    for kind, values in weights.items():
        names, types = [], []
        for i, value in enumerate(values):
            name = f"{kind}{i}"
            if i == MATRIX.get(kind):
                text, type_ = declare(name, value.shape, element)
                stored = value.astype(np.float16) if element == "f16" else value
                values[i] = stored.astype(f32)
                data += aligned(pack_float(stored))
            else:
                type_ = f"tensor<{'x'.join(map(str, value.shape))}xf32>"
                source = f'#qtale.source<file = "w", offset = 0, bytes = {value.nbytes}, '
                text = f"qtale.weight @{name} : {type_} = {source}type = {type_}>"
                data += aligned(value.tobytes())
            declarations.append(text)
            lines.append(f"%{name} = qtale.param @{name} : {type_}")
            names.append(f"%{name}")
            types.append(type_)
        epsilon = f"{{epsilon = {EPSILON:.1e} : f32}}"
        lines.append(
            f"%p_{kind} = qtale.router {kind}(%a0, {', '.join(names)}) {epsilon}"
            f" : tensor<?x{d}xf32>, {', '.join(types)} -> tensor<?xf32>"
        )
    results = ["tensor<?xf32>"] * len(weights)
    returned = ", ".join(f"%p_{kind}" for kind in weights)
    lines.append(f"return {returned} : {', '.join(results)}")
    return Main([f"tensor<?x{d}xf32>"], results, "\n".join(lines), declarations), data


def test(d: int, r: int, element: str) -> None:
    weights = weights_of(d, r)
    probabilities, data = router(d, weights, element)
    x = random.standard_normal((70, d), f32) * 2
    whole = probabilities([x], data, threads=3)
    for (kind, values), p in zip(weights.items(), whole, strict=True):
        exact = EQUATIONS[kind](x.astype(np.float64), *(v.astype(np.float64) for v in values))
        assert exact.std() > 0.05, kind
        np.testing.assert_allclose(p, exact, rtol=3e-6, err_msg=f"{kind} {d} {r} {element}")

    for first, count in [(0, 0), (0, 1), (69, 1), (3, 7), (1, 69)]:
        part = probabilities([x[first : first + count]], data)
        for p, q in zip(part, whole, strict=True):
            np.testing.assert_array_equal(p, q[first : first + count])

    # Nothing overflows into a number that is none; what is none shows.
    huge = np.concatenate([x[:2] * f32(1e15), -x[:2] * f32(1e15)])
    for p in probabilities([huge], data):
        assert ((p >= 0) & (p <= 1)).all()
    x[1, 2] = np.nan
    for p in probabilities([x[:3]], data):
        assert list(np.isnan(p)) == [False, True, False]


for shape in [(64, 32), (70, 37), (16, 16), (9, 5)]:
    test(*shape, "f32")
test(70, 37, "f16")
