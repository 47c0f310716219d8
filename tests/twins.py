"""The type of the fixture that calls a method, or awaits its twin."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol


class Do(Protocol):
    """Call a method, or await its twin, as the test is run."""

    def __call__(
        self, method: Callable[..., Any], *args: Any, **options: Any
    ) -> Awaitable[Any]: ...
