"""A scripted model server in a process of its own, for real clients over HTTP."""

import json
import subprocess
import sys
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from langchain_budget.testing._calls import Total
from langchain_budget.testing._desk import Served
from langchain_budget.testing._script import Fault, Rule

# The process needs a few modules of this package. Standing in for their parents keeps
# the rest of it, and the framework, out: it starts in a tenth of a second.
BOOT = """
import sys, types
for name, path in {parents}:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from langchain_budget.testing._server_process import main
main()
"""


class ScriptedServer:
    """A model server with scripted answers and a log of the truth.

        with ScriptedServer(seed=7) as server:
            model = ChatOpenAI(base_url=server.base_url, api_key="unused", model="m")

    It speaks OpenAI's chat completions and Responses and, below `anthropic_url`,
    Anthropic's Messages; streamed and not, with tools, and all by the same script.

    The first of *rules* that fits a request says how it is answered; without one, a
    short sentence is made up. Usage is drawn from *seed* and the request alone: it is
    the same in whatever order requests arrive. A request's `x-agent` header (or its
    `user` field) labels it in the log; its `x-fault` header, a `Fault` as JSON, spoils
    the answer. The process ends with this one, and after *max_seconds* anyway.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        seed: int = 0,
        model: str = "scripted-1",
        max_seconds: int = 3600,
    ) -> None:
        self._settings = {
            "rules": [rule.as_json() for rule in rules],
            "seed": seed,
            "model": model,
            "max_seconds": max_seconds,
        }

    def __enter__(self) -> Self:
        self._process = _start(self._settings)
        self._port = int(cast("IO[str]", self._process.stdout).readline())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # closes its input, which ends it, and waits
            pass

    @property
    def base_url(self) -> str:
        """What a client of OpenAI needs: nothing else, and no key."""
        return f"{self.anthropic_url}/v1"

    @property
    def anthropic_url(self) -> str:
        """What a client of Anthropic needs: it adds the version itself."""
        return f"http://127.0.0.1:{self._port}"

    def log(self) -> tuple[Served, ...]:
        """What was done for each request so far, in the order in which they arrived.

        Waits for requests in progress, except held ones.
        """
        return tuple(Served(**served) for served in self._ask("GET", "/_log"))

    @property
    def total(self) -> Total:
        """Tokens and calls that a provider would bill: all but those with an error."""
        billed = [served for served in self.log() if served.billed]
        return Total(
            sum(served.prompt_tokens for served in billed),
            sum(served.completion_tokens for served in billed),
            len(billed),
        )

    def fail_next(self, fault: Fault, times: int = 1) -> None:
        """Spoil the answers to the next requests to arrive."""
        self._ask("POST", "/_fail", fault=fault._asdict(), times=times)

    def hold(self, after: int = 0) -> None:
        """Make answers wait before anything, or a stream after so many chunks."""
        self._ask("POST", "/_hold", after=after)

    def wait_held(self, requests: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until so many requests are held."""
        asked = {"requests": requests, "timeout": timeout}
        if not self._ask("POST", "/_wait_held", **asked):
            raise TimeoutError(
                f"fewer than {requests} requests were held within {timeout} s"
            )

    def release(self) -> None:
        """Let held answers go on, and later ones not wait."""
        self._ask("POST", "/_release")

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body))
            return json.load(connection.getresponse())
        finally:
            connection.close()


def _start(settings: dict[str, Any]) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    parents = [
        ("langchain_budget", str(here.parent)),
        ("langchain_budget.testing", str(here)),
    ]
    return subprocess.Popen(  # noqa: S603  # our own module, in this interpreter
        [
            sys.executable,
            "-I",
            "-c",
            BOOT.format(parents=parents),
            json.dumps(settings),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
