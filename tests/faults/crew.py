"""Other processes, which say where they are and wait there until told to go on.

They are forked from a process that has nothing but its imports done, so each starts in
a few milliseconds and shares nothing with the others.
"""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from signal import SIGCONT, SIGSTOP
from types import TracebackType
from typing import Any, Self

from tests.server_process import PATIENCE

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "tests.faults.warm"])


class Post:
    """A worker's end of the line."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def say(self, word: Any) -> None:
        self._line.send(word)

    def at(self, place: str) -> None:
        """Say so, and wait there."""
        self.say(place)
        self._line.recv()


class Worker:
    """A process that does its *duty*: a function that is given a `Post` and *args*."""

    def __init__(self, duty: Callable[..., None], *args: Any) -> None:
        self._line, theirs = FORKS.Pipe()
        self._process = FORKS.Process(
            target=_work, args=(duty, theirs, *args), daemon=True
        )
        self._process.start()
        theirs.close()
        self._place = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._line.close()

    def hear(self) -> Any:
        """Wait for the next word."""
        if not self._line.poll(PATIENCE):
            raise TimeoutError("the worker says nothing")
        return self._line.recv()

    def reach(self, place: str) -> None:
        """Wait until it is there; it goes on from wherever it waits."""
        while self._place != place:
            self.go_on()
            self._place = self.hear()

    def go_on(self) -> None:
        """Let it go on from where it waits, if it does."""
        if self._place:
            self._line.send("go on")
        self._place = ""

    def pause(self) -> None:
        os.kill(self._pid, SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, SIGCONT)

    def kill(self) -> None:
        """End it as a crash does, and wait until it is gone."""
        self._process.kill()
        self._process.join(PATIENCE)

    def ends(self) -> int | None:
        """Wait for its end; its exit code."""
        self._process.join(PATIENCE)
        return self._process.exitcode

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid


class Crew(ExitStack):
    """Workers that end with the test."""

    def hire(self, duty: Callable[..., None], *args: Any) -> Worker:
        return self.enter_context(Worker(duty, *args))


def _work(duty: Callable[..., None], line: Connection, *args: Any) -> None:
    duty(Post(line), *args)
