"""A server for tests, as a process of its own that never outlives them.

A shell holds a pipe from us and ends the server once that pipe is closed, whatever
became of us.
"""

import os
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from signal import Signals
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic
from typing import ClassVar, Self

import psutil

PATIENCE = 30.0  # seconds; nothing here takes one of them on an idle machine
# Its arguments: the server's process id, the signal that ends it, its directory.
WATCH = """
read -r _
kill -s "$2" "$1"
kill -s CONT "$1"
rm -rf "$3" || rm -rf "$3"  # it may write while it ends
"""


class Server(ABC):
    """A process that can be killed, paused and started again on the same port."""

    _goodbye: ClassVar[str]  # the signal that ends it in a hurry
    _user: str | None = None

    def __init__(self) -> None:
        self.port = next(PORTS)
        self._directory = TemporaryDirectory(
            prefix="langchain-budget-", ignore_cleanup_errors=True
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def empty(self) -> None:
        """Forget all data and hang up on everybody; quicker than a new server."""

    @abstractmethod
    def _command(self) -> list[str | Path]: ...

    @property
    def directory(self) -> Path:
        return Path(self._directory.name)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was never started"
        return self._process.pid

    def start(self) -> None:
        """Start it, or continue it, and wait until it takes connections."""
        if self.running:
            self.continue_process()
            return
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                start_new_session=True,  # Ctrl-C is for the tests, which then close it
            )
        self._watch = self._watch_over(self._process.pid)
        wait_until(self._ready)

    def kill(self) -> None:
        """End it and its children as a crash would, and wait until they are gone."""
        processes = self._signal("SIGSTOP")  # so that it has no more children
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self._reap()
        wait_until(lambda: all(map(_ended, processes)))

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop_process(self) -> None:
        """Pause it: it keeps its connections and answers nobody."""
        self._signal("SIGSTOP")

    def continue_process(self) -> None:
        self._signal("SIGCONT")

    def close(self) -> None:
        """End it and leave nothing."""
        if self.running:
            self.continue_process()
            self._process.send_signal(Signals[f"SIG{self._goodbye}"])
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self.kill()
        self._directory.cleanup()

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    def _watch_over(self, pid: int) -> subprocess.Popen[bytes]:
        words = ["sh", "-c", WATCH, "watch", str(pid), self._goodbye, self.directory]
        return subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)

    def _ready(self) -> bool:
        said = self._log.read_text(errors="replace")
        if not self.running:
            raise RuntimeError(f"the server ended at once:\n{said}")
        return "ready to accept connections" in said.lower()

    def _signal(self, name: str) -> list[psutil.Process]:
        """Signal it and its children, itself first; who they are."""
        if not self.running:
            return []
        server = psutil.Process(self.pid)
        server.send_signal(Signals[name])
        children = server.children(recursive=True)
        for each in children:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(Signals[name])
        return [server, *children]

    def _reap(self) -> None:
        if self._process is None:
            return
        self._process.wait(PATIENCE)
        with self._watch:  # first, so that it never signals whoever is next of that id
            self._watch.kill()


def wait_until(happened: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Look again and again, but not for ever."""
    deadline = monotonic() + seconds
    while not happened():
        if monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {seconds} seconds")
        Event().wait(0.002)


def _ended(process: psutil.Process) -> bool:
    try:
        return process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True


def _free_ports() -> Iterator[int]:
    """Find ports that no system gives to clients, so they stay free over a restart."""
    for number in count(os.getpid() * 37):
        port = 10_000 + number % 20_000
        if _free(port):
            yield port


def _free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


PORTS = _free_ports()
