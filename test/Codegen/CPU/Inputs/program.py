"""The text of a module with one entry, put together verb by verb, and its weights."""

from packed import declare


def rows_type(k: int, group: int) -> str:
    """Rows of k int8 activations, padded to whole groups."""
    return f"tensor<?x{k}xf32, #qtale.int_rows<pad = {group}>>"


class Program:
    """A module's @main: what it takes, what it does and what it gives."""

    def __init__(self, dtype: str = "float32") -> None:
        self.port = f'{{qtale.name = "p", qtale.dtype = "{dtype}"}}'
        self.weights = b""
        self.declarations: list[str] = []
        self.lines: list[str] = ["%c0 = arith.constant 0 : index"]
        self.arguments: list[str] = []
        self.results: list[tuple[str, str]] = []

    def weight(self, shape: tuple[int, int], data: bytes, element: str, scheme: str = "") -> str:
        """Declares a packed weight; its type. Its value is `%w<number>`."""
        name = f"w{len(self.declarations)}"
        text, type_ = declare(name, shape, element, scheme)
        self.declarations.append(text)
        self.lines.append(f"%{name} = qtale.param @{name} : {type_}")
        self.weights += data + bytes(-len(data) % 64)
        return type_

    def argument(self, name: str, type_: str) -> None:
        self.arguments.append(f"{name}: {type_} {self.port}")

    def result(self, name: str, type_: str) -> None:
        self.results.append((name, type_))

    def __str__(self) -> str:
        types = ", ".join(type_ for _, type_ in self.results)
        given = ", ".join(f"{type_} {self.port}" for _, type_ in self.results)
        names = ", ".join(name for name, _ in self.results)
        body = "\n    ".join([*self.lines, f"return {names} : {types}"])
        head = f"func.func @main({', '.join(self.arguments)}) -> ({given})"
        return "\n".join([*self.declarations, f"{head} {{\n    {body}\n}}"])
