"""
Small faults, each with the test that must fail when it is planted.

A text stands exactly once in its file; `python dev.py mutants` puts the other in its
place, in a copy, and runs the test there.
"""

from typing import Final

from tests.mutants.books import BOOKS
from tests.mutants.hooks import HOOKS
from tests.mutants.mutant import Mutant
from tests.mutants.sharing import SHARING
from tests.mutants.stores import STORES

MUTANTS: Final[tuple[Mutant, ...]] = (*BOOKS, *STORES, *HOOKS, *SHARING)
