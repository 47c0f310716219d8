"""What a class offers: little, and the same whether awaited or not."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

MOST_METHODS_OF_A_CLASS = 11

Method = Callable[..., Any]


def test_classes_have_few_public_methods(classes: list[type]) -> None:
    """
    A method and its awaitable twin are one; those of a base count there.

    The port of a store is what it is, and tests are as many as they are.
    """
    too_many = {}
    for each in classes:
        names = our_methods(each).keys() & vars(each).keys()
        names -= {name for base in each.__mro__[1:] for name in vars(base)}
        names = {name for name in names if not name.startswith("test_")}
        alone = names - {f"a{name}" for name in names} - {"close"}
        if len(alone) > MOST_METHODS_OF_A_CLASS:
            too_many[each.__qualname__] = sorted(alone)

    assert not too_many


def test_twins_can_be_awaited(classes: list[type]) -> None:
    blocking = [
        twin.__qualname__ for _, twin in twins(classes) if not is_awaitable(twin)
    ]

    assert not blocking


def test_twins_take_and_give_the_same(classes: list[type]) -> None:
    unequal = [
        twin.__qualname__ for one, twin in twins(classes) if shape(one) != shape(twin)
    ]

    assert not unequal


def twins(classes: list[type]) -> Iterator[tuple[Method, Method]]:
    for methods in map(our_methods, classes):
        for name, method in methods.items():
            if f"a{name}" in methods:
                yield method, methods[f"a{name}"]


def our_methods(cls: type) -> dict[str, Method]:
    """List the public methods that are not an answer to a framework's base class."""
    theirs = {name for base in cls.__mro__ if not is_ours(base) for name in vars(base)}
    return {
        name: method
        for name, method in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_") and name not in theirs
    }


def is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "langchain_budget"


def is_awaitable(method: Method) -> bool:
    function = inspect.unwrap(method)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def shape(method: Method) -> inspect.Signature:
    """
    Tell what *method* takes and gives.

    What an iterator or a context manager gives has another name when awaited.
    """
    signature = inspect.signature(method)
    function = inspect.unwrap(method)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return signature.replace(return_annotation=None)
    return signature
