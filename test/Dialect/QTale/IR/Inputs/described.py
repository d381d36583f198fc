"""Compares the descriptions in the dialect's .td files with its tests.

described.py examples FOLDER TESTS…       each op's example stands there
described.py constraints FOLDER TESTS…    each (C1) has a test @NAME_c1
"""

import re
import sys
from pathlib import Path


def definitions(folder: Path) -> dict[str, str]:
    """Mnemonic → text, of all ops and attributes."""
    found = {}
    for path in sorted(folder.glob("*.td")):
        for text in re.split(r"^def ", path.read_text(), flags=re.M)[1:]:
            if head := re.match(r'\w+ : QTale_(?:Op<|\w+<"\w+", )"(\w+)"', text):
                found[head[1]] = text
    return found


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def example_errors(folder: Path, tests: list[Path]) -> list[str]:
    errors = []
    text = "\n".join(test.read_text() for test in tests)
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
    tested = squeezed("\n".join(lines))
    for name, text in definitions(folder).items():
        if ": QTale_Op<" in text.partition("{")[0] and f"qtale.{name} " not in tested:
            errors.append(f"no test has qtale.{name}")
        for example in re.findall(r"```mlir\n(.*?)```", text, flags=re.S):
            if squeezed(example) not in tested:
                errors.append(f"no test has the example of '{name}':{example}")
    return errors


def constraint_errors(folder: Path, tests: list[Path]) -> list[str]:
    tested = "\n".join(test.read_text() for test in tests)
    found = definitions(folder)
    numbered = {
        f"{name}_c{number}" for name in found for number in re.findall(r"\(C(\d+)\)", found[name])
    }
    if not numbered:
        return ["no constraint was found"]
    named = set(re.findall(r"@(\w+_c\d+)\w*", tested))
    # A constraint may have several tests: @rope_c1, @rope_c1_tables.
    named = {re.match(r"\w+?_c\d+", name)[0] for name in named}
    return [f"no test @{name}" for name in sorted(numbered - named)] + [
        f"@{name} tests a constraint that is not described" for name in sorted(named - numbered)
    ]


def main() -> int:
    what, folder, *tests = sys.argv[1:]
    files = [Path(test) for test in tests]
    if what == "examples":
        errors = example_errors(Path(folder), files)
    else:
        errors = constraint_errors(Path(folder), files)
    for error in errors:
        print(f"described.py: {error}", file=sys.stderr)
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
