"""A clock that stands still until it is told to move."""

from threading import RLock


class StillClock:
    """Seconds that pass only when a test says so.

    Call it to read it; `advance` it to let time pass.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._lock = RLock()
        self._seconds = seconds

    def __call__(self) -> float:
        with self._lock:
            return self._seconds

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; time never runs backwards."""
        if seconds < 0:
            raise ValueError(f"a clock cannot be advanced by {seconds} seconds")
        with self._lock:
            self._seconds += seconds
