"""What a planted fault is."""

from pathlib import Path
from typing import Final, NamedTuple

PACKAGE: Final = "langchain_budget"
CONFORMANCE: Final = "tests/stores/test_conformance.py::TestStores::"
RIVALS: Final = "tests/pool/test_rivals.py::"


class Mutant(NamedTuple):
    """One fault: what it does, where, and the test that must fail when it is there."""

    name: str
    path: str
    """In the package."""
    old: str
    """Stands there exactly once."""
    new: str
    test: str
    only: str = ""
    """Which of the test's parameters, as pytest's `-k` takes it."""

    def source(self, root: Path) -> Path:
        """Where the fault is planted in the checkout at *root*."""
        return root / PACKAGE / self.path

    def plant(self, root: Path) -> None:
        """Plant it in the checkout at *root*."""
        source = self.source(root)
        text = source.read_text(encoding="utf-8")
        source.write_text(text.replace(self.old, self.new, 1), encoding="utf-8")
