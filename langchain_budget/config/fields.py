"""What every shape of configuration is made of: strict models and exact numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from langchain_budget.core.accounts import ratio
from langchain_budget.core.amounts import LARGEST, nanos
from langchain_budget.core.faults import InvalidConfig, told

Flag = StrictBool

_EXACT: Final = Context(prec=60)

_Model = TypeVar("_Model", bound="Strict")


class Strict(BaseModel):
    """A mapping of known keys only; a misspelt one is told the nearest."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )

    @model_validator(mode="before")
    @classmethod
    def _has_known_keys(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            msg = f"{shown(given)}: give keys with values, of {listed(keys_of(cls))}"
            raise ValueError(msg)  # noqa: TRY004  # it is told by where it is
        unknown = [str(key) for key in given if key not in keys_of(cls)]
        if unknown:
            raise ValueError(unknown_keys(unknown, keys_of(cls)))
        return dict(given)


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a model knows, those included that mean the same."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        keys += map(str, choices)
    return tuple(keys)


def unknown_keys(unknown: Iterable[str], known: Iterable[str]) -> str:
    """
    What is said of keys that nobody knows.

    >>> unknown_keys(["tool_limit"], ["limits", "tool_limits"])
    "unknown key 'tool_limit': did you mean 'tool_limits'?"
    """
    known = tuple(known)
    return "; ".join(f"unknown key {key!r}: {_instead(key, known)}" for key in unknown)


def _instead(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {listed(known)}"


def listed(names: Iterable[str]) -> str:
    """Names in a row."""
    return ", ".join(names)


def shown(given: object) -> str:
    """What was given and of what type, without a wall of text."""
    return f"{told(given)[:60]} is a {type(given).__name__}"


def validated(
    model: type[_Model],
    given: object,
    source: str,
    context: Mapping[str, Any] | None = None,
) -> _Model:
    """
    *given* as a *model*; validators see the *context*.

    Raises:
        InvalidConfig: It is none; each problem says where it is.
    """
    try:
        return model.model_validate(given, context=context)
    except ValidationError as error:
        raise InvalidConfig(source, problems_of(error)) from None


def problems_of(error: ValidationError) -> list[str]:
    """Each with where it is: `accounts.web.priority: ...`."""
    found = []
    for each in error.errors(include_url=False):
        where = ".".join(str(part) for part in each["loc"])
        said = (each.get("ctx") or {}).get("error") or each["msg"]
        many = said.problems if isinstance(said, InvalidConfig) else (said,)
        found += [f"{where}: {one}" if where else str(one) for one in many]
    return found


def _whole(given: Any) -> int:
    if type(given) is not int or not 0 <= given <= LARGEST:
        msg = f"{shown(given)}: give a whole number, zero or more"
        raise ValueError(msg)
    return given


def exact(given: Any) -> Decimal:
    """
    A number, exactly as it is written: of a float, the shortest way to write it.

    Raises:
        ValueError: It is a bool, a text, negative, or not finite.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        msg = f"{shown(given)}: give a number, zero or more"
        raise ValueError(msg)  # noqa: TRY004  # it is told by where it is
    number = Decimal(repr(given) if isinstance(given, float) else given)
    if not number.is_finite() or number < 0:
        msg = f"{given!r}: give a finite number, zero or more"
        raise ValueError(msg)
    return number


def _nanos_of_cents(given: Any) -> int:
    """Nano-dollars of cents, exact; what is finer is rounded up."""
    return nanos(_EXACT.scaleb(exact(given), -2))


def dollars(given: Any) -> str | Decimal:
    """Dollars as a price takes them: a text, or a number as it is written."""
    return given if isinstance(given, str) else exact(given)


def _share(given: Any) -> int:
    if isinstance(given, str | int | float | Decimal):
        return ratio(given)
    msg = f"{shown(given)}: give a share such as 0.8 or '80%'"
    raise ValueError(msg)


Count = Annotated[int, BeforeValidator(_whole)]
"""A whole number, zero or more."""

Cents = Annotated[int, BeforeValidator(_nanos_of_cents)]
"""Given in cents, kept in nano-dollars."""

Number = Annotated[Decimal, BeforeValidator(exact)]
"""Zero or more, exact."""

Share = Annotated[int, BeforeValidator(_share)]
"""`0.8`, `"80%"` and `80` are the same: kept in millionths."""


def also(name: str, alias: str) -> Any:
    """A field of several values that goes by two names."""
    return Field(default=(), validation_alias=AliasChoices(name, alias))
