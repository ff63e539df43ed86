"""How large the pieces of the code are: files, functions, parameters, classes, comments, tests.

    python -m benchmarks.shape [--tree DIR] [--against DIR]

Prints a table and, as the last line, one JSON object: the figures of the whole, and under `packages` those of each
package; with `--against`, those of the other checkout under `against`. What is counted:

- `files`, `loc`: the `.py` files of `icm`, `search`, `consistency` and `benchmarks`, and all their lines.
- `classes_per_kloc`: class statements, nested ones too, for each 1,000 lines.
- `function_p50`, `function_p90`: lines of a function or method from `def` to its end, without decorators and without
  the lines of its docstring. Nested functions count on their own too, and as lines of the function around them.
- `params_max`: most parameters of one function or method, without `self` and `cls`; `*args` is one.
- `comment_share`: lines that hold nothing but a comment, as a share of all lines. Comments that speak to a tool
  (`# noqa`, `# type:`, `# pyright:`, `# fmt:`) do not count.
- `test_to_code`: lines of `.py` files in `tests` for each line of code. Only of the whole.
- `modules_in_root`: `.py` files directly in `icm`, without `__init__.py` and `__main__.py`. Only of the whole.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

PACKAGES: Final = ("icm", "search", "consistency", "benchmarks")
TESTS: Final = "tests"

_TO_A_TOOL: Final = re.compile(r"#\s*(noqa|type:|pyright:|fmt:)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shape_of(tree: Path) -> dict[str, Any]:
    """Return the figures of a checkout, the whole and each package.

    Raises:
        FileNotFoundError: The checkout has none of the packages.
        SyntaxError: A file is no Python.
    """
    # An older checkout may lack a package and is still worth comparing.
    by_package = {package: _python_files(tree / package) for package in PACKAGES if (tree / package).is_dir()}
    files = [path for paths in by_package.values() for path in paths]
    if not files:
        raise FileNotFoundError(f"{tree} holds no Python file of {', '.join(PACKAGES)}; name a checkout with --tree")
    whole = _measure(files)
    test_lines = sum(_num_lines(path.read_text(encoding="utf-8")) for path in _python_files(tree / TESTS))
    root_modules = [path for path in (tree / "icm").glob("*.py") if path.stem not in ("__init__", "__main__")]
    return {
        **whole,
        "test_to_code": round(test_lines / whole["loc"], 3),
        "modules_in_root": len(root_modules),
        "packages": {package: _measure(paths) for package, paths in by_package.items()},
    }


def _python_files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def _measure(paths: Iterable[Path]) -> dict[str, Any]:
    """Return the figures that a package and the whole have alike."""
    sources = [path.read_text(encoding="utf-8") for path in paths]
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    functions = [node for node in nodes if isinstance(node, Function)]
    loc = sum(map(_num_lines, sources))
    # An empty package has no lines to divide by and no function to take a median of.
    lengths = [_length(function) for function in functions] or [0]
    return {
        "files": len(sources),
        "loc": loc,
        "classes_per_kloc": round(1000 * sum(isinstance(node, ast.ClassDef) for node in nodes) / max(loc, 1), 2),
        "function_p50": float(np.percentile(lengths, 50)),
        "function_p90": float(np.percentile(lengths, 90)),
        "params_max": max(map(_num_params, functions), default=0),
        "comment_share": round(sum(map(_num_comment_lines, sources)) / max(loc, 1), 4),
    }


def _num_lines(source: str) -> int:
    return len(source.splitlines())


def _length(function: Function) -> int:
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        assert first.end_lineno is not None
        length -= first.end_lineno - first.lineno + 1
    return length


def _num_params(function: Function) -> int:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    is_bound = bool(positional) and positional[0].arg in ("self", "cls")
    return len(positional) - is_bound + len(arguments.kwonlyargs) + len(starred)


def _num_comment_lines(source: str) -> int:
    # The tokenizer, not a search for '#': a line of a string may begin with one.
    return sum(
        token.type == tokenize.COMMENT
        and token.line.lstrip().startswith("#")
        and _TO_A_TOOL.match(token.string) is None
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
    )


def _table(shapes: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    """Return one row for each package of each checkout, the whole last."""
    columns = [name for name in shapes[0][1] if name != "packages"]
    table = Table("", *(column.replace("_", " ") for column in columns))
    for title, shape in shapes:
        rows = {**shape["packages"], "all": shape}
        for package, figures in rows.items():
            cells = [f"{figures[column]:g}" if column in figures else "" for column in columns]
            table.add_row(f"{package} {title}".strip(), *cells, end_section=package == "all")
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the checkout, beside another one where that is asked for, and print both."""
    parser = argparse.ArgumentParser(description="How large the pieces of the code are.")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="checkout to measure")
    parser.add_argument("--against", type=Path, help="checkout to show beside it, for before and after")
    given = parser.parse_args(arguments)
    shape = shape_of(given.tree)
    result, shapes = shape, [("", shape)]
    if given.against is not None:
        other = shape_of(given.against)
        result, shapes = {**shape, "against": other}, [("before", other), ("after", shape)]
    Console(highlight=False, width=160).print(_table(shapes))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
