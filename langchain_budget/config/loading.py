"""Which shape a configuration has, and what it says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from langchain_budget.config.fields import (
    Strict,
    keys_of,
    listed,
    shown,
    unknown_keys,
    validated,
)
from langchain_budget.config.metering import MeteringConfig
from langchain_budget.config.pool_fields import METERS
from langchain_budget.config.pools import PoolConfig
from langchain_budget.config.sources import Source, named, plain, read_file
from langchain_budget.config.tiers import TierConfig, sections_of
from langchain_budget.core.faults import InvalidConfig

Loaded = PoolConfig | MeteringConfig | TierConfig

_SHAPES: Final[tuple[type[Loaded], ...]] = (TierConfig, MeteringConfig, PoolConfig)
_LIMITS: Final = "limits"


def load(source: Source) -> Loaded:
    """
    Read and check a configuration; nothing is opened yet.

    Args:
        source: The path of a file in YAML or JSON; a mapping; or an object that has
            the keys of a tier as attributes.

    Returns:
        What has an `open()`: a `PoolConfig`, `MeteringConfig` or `TierConfig`, by
        the keys that there are.

    Raises:
        InvalidConfig: It cannot be read, has an unknown key, a value of the wrong
            type, keys of two shapes, or says something that cannot be kept. The
            problems are named, each with where it is.

    >>> config = load({"name": "acme", "limits": ["$10", "$2 per day"]})
    >>> print(config.open().pool.balance().available)
    $10.00
    """
    name = named(source)
    given = _values(source)
    shape = _shape_of(given, name)
    return validated(shape, given, name, {METERS: _meters(given)})


def _meters(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Units of the user's own; what is no list of names is told in its place."""
    meters = given.get(METERS)
    many = meters if isinstance(meters, list | tuple) else ()
    return tuple(each for each in many if isinstance(each, str))


def _values(source: Source) -> Mapping[str, Any]:
    if isinstance(source, str | os.PathLike):
        given = read_file(source)
    elif isinstance(source, Mapping):
        given = plain(source, named(source))
    else:
        given = sections_of(source)
    if not isinstance(given, Mapping):
        known = listed(dict.fromkeys(key for each in _SHAPES for key in keys_of(each)))
        problem = f"{shown(given)}: give keys with values, of {known}"
        raise InvalidConfig(named(source), [problem])
    return given


def _shape_of(given: Mapping[str, Any], source: str) -> type[Loaded]:
    """The one shape whose own keys are there."""
    found = [each for each in _SHAPES if _own_keys(each, given) & given.keys()]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidConfig(source, [_mixed(found, given)])
    known = dict.fromkeys(key for each in _SHAPES for key in keys_of(each))
    unknown = [str(key) for key in given]
    problem = unknown_keys(unknown, known) if unknown else "it says nothing"
    raise InvalidConfig(source, [problem])


def _own_keys(shape: type[Strict], given: Mapping[str, Any]) -> frozenset[str]:
    """The keys by which a shape is known: `limits` are texts, or a mapping."""
    own = frozenset(keys_of(shape))
    metered = isinstance(given.get(_LIMITS), Mapping)
    foreign = PoolConfig if metered else MeteringConfig
    return own - {_LIMITS} if shape is foreign else own


def _mixed(found: list[type[Loaded]], given: Mapping[str, Any]) -> str:
    keys = "; ".join(
        f"{listed(sorted(_own_keys(each, given) & given.keys()))} ({each.__name__})"
        for each in found
    )
    return f"these keys belong to different shapes, give those of one: {keys}"
