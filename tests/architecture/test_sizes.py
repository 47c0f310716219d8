"""Small functions, small modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

MOST_LINES_OF_A_FUNCTION = 40
MOST_LINES_OF_A_MODULE = 300

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_functions_are_short(tree: ast.Module) -> None:
    too_long = {
        f"{each.name}, line {each.lineno}": lines
        for each in functions(tree)
        if (lines := lines_of_body(each)) > MOST_LINES_OF_A_FUNCTION
    }

    assert not too_long


def test_modules_are_short(source: Path, tree: ast.Module) -> None:
    lines = len(source.read_text(encoding="utf-8").splitlines())

    assert lines - lines_of_docstring(tree) <= MOST_LINES_OF_A_MODULE


def functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def lines_of_body(function: Function) -> int:
    lines = extent(function.body[0], function.body[-1])
    return lines - lines_of_docstring(function)


def lines_of_docstring(node: ast.Module | Function) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return extent(node.body[0], node.body[0])


def extent(first: ast.stmt, last: ast.stmt) -> int:
    return (last.end_lineno or last.lineno) - first.lineno + 1
