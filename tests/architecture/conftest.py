"""What the house rules are about: every module of the package."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "langchain_budget"
SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(params=SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def tree(source: Path) -> ast.Module:
    return ast.parse(source.read_text(encoding="utf-8"))


@pytest.fixture
def module(source: Path) -> ModuleType:
    parts = source.relative_to(ROOT).with_suffix("").parts
    return importlib.import_module(".".join(parts).removesuffix(".__init__"))


@pytest.fixture
def classes(module: ModuleType) -> list[type]:
    """The classes that *module* itself defines."""
    found = [each for each in vars(module).values() if isinstance(each, type)]
    return [each for each in found if each.__module__ == module.__name__]
