"""Money and tokens are counted, never measured: no float near them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "langchain_budget"
EXACT = [*PACKAGE.glob("core/**/*.py"), *PACKAGE.glob("pricing/**/*.py")]
# Points in time, spans of time, and shares of an amount may be fractions.
FRACTIONS = (
    *("at", "during", "end", "now", "ratio", "seconds", "share", "start"),
    "timestamp",
)


@pytest.mark.parametrize("source", EXACT, ids=lambda path: path.stem)
def test_only_times_and_shares_are_floats(tree: ast.Module) -> None:
    inexact = [
        f"{name}, line {annotation.lineno}"
        for name, annotation in annotated(tree)
        if mentions_float(annotation) and not may_be_fraction(name)
    ]

    assert not inexact


@pytest.mark.parametrize(
    "code",
    [
        "cost: float",
        "def cost() -> float: ...",
        "def pay(cost: float): ...",
        "def pay(*costs: 'float | None'): ...",
        "costs: dict[str, float]",
    ],
)
def test_a_float_is_found_wherever_it_hides(code: str) -> None:
    assert any(mentions_float(each) for _, each in annotated(ast.parse(code)))


def annotated(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign():
                yield ast.unparse(node.target), node.annotation
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                yield name, annotation
            case ast.FunctionDef(name=name, returns=ast.expr() as returns):
                yield name, returns


def mentions_float(annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id="float"):
                return True
            case ast.Constant(value=str(text)) if "float" in text:
                return True
    return False


def may_be_fraction(name: str) -> bool:
    return name.rpartition("_")[2] in FRACTIONS
