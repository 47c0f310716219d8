"""From a file, a mapping or an object with attributes to plain values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # its types are another distribution

from langchain_budget.core.faults import InvalidConfig

Source = str | os.PathLike[str] | Mapping[str, Any] | object
"""A file in YAML or JSON, what would be read from one, or an object that has it."""

STORE: Final = "LANGCHAIN_BUDGET_STORE"
"""The environment variable that names a store where nobody else does."""

MOST_VALUES: Final = 100_000
"""Values in a file; aliases of aliases could make any number of them."""

_FLOAT: Final = "tag:yaml.org,2002:float"


def store_from_environment() -> str | None:
    """What `LANGCHAIN_BUDGET_STORE` says; `None` where it is empty or not set."""
    return os.environ.get(STORE) or None


def named(source: Source) -> str:
    """What errors call *source*."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "configuration"


def read_file(path: str | os.PathLike[str]) -> Any:
    """
    The values in a file of YAML, of which JSON is a part.

    Numbers with a fraction are `Decimal`, exactly as they are written.

    Raises:
        InvalidConfig: It cannot be read, is no YAML, or says something twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(named(path), [f"cannot be read: {error}"]) from error
    return read_text(text, named(path))


def read_text(text: str, source: str) -> Any:
    """Likewise, of a text that errors call *source*."""
    try:
        return _Reader(text).read()
    except (yaml.YAMLError, RecursionError, _Odd) as error:
        raise InvalidConfig(source, [" ".join(str(error).split())]) from error


def plain(given: Mapping[Any, Any], source: str) -> dict[Any, Any]:
    """
    A mapping as a file would have it, whatever kinds of mappings it is made of.

    Raises:
        InvalidConfig: It contains itself.
    """
    try:
        return {key: _plain(value) for key, value in given.items()}
    except RecursionError as error:
        raise InvalidConfig(source, ["it contains itself"]) from error


def _plain(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {key: _plain(value) for key, value in given.items()}
    return [*map(_plain, given)] if isinstance(given, list | tuple) else given


class _Odd(ValueError):
    """YAML that is valid, and surely not meant."""

    def __init__(self, what: str, node: Any) -> None:
        super().__init__(f"line {node.start_mark.line + 1}: {what}")


class _Reader:
    """Turns the nodes of a text into values; says no to what is surely not meant."""

    def __init__(self, text: str) -> None:
        self._loader = yaml.SafeLoader(text)
        self._values = 0

    def read(self) -> Any:
        """The value of the whole text, `None` if there is none."""
        try:
            node = self._loader.get_single_node()
            return None if node is None else self._value(node, ())
        finally:
            self._loader.dispose()

    def _value(self, node: Any, within: tuple[Any, ...]) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            raise _Odd(f"more than {MOST_VALUES:,} values", node)
        if any(node is each for each in within):
            raise _Odd("this contains itself", node)
        within = (*within, node)
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, within))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, within) for each in node.value]
        return _number(node) if node.tag == _FLOAT else self._scalar(node)

    def _scalar(self, node: Any) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # a day that is none, a number without end
            said = f"{node.value[:40]!r} cannot be read: {str(error).partition(';')[0]}"
            raise _Odd(said, node) from None

    def _pairs(self, node: Any, within: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
        seen: dict[Any, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Odd("a key is a text, not a list or a mapping", key)
            said = self._scalar(key)
            if said in seen:
                raise _Odd(f"{said!r} stands in line {seen[said]} already", key)
            seen[said] = key.start_mark.line + 1
            yield said, self._value(value, within)


def _number(node: Any) -> Decimal:
    text = node.value.replace("_", "").lower().replace(".inf", "inf")
    try:
        return Decimal(text.replace(".nan", "nan"))
    except InvalidOperation:
        raise _Odd(f"{node.value!r} is no number", node) from None
