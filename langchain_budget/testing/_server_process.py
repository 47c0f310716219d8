"""A scripted server that speaks OpenAI's and Anthropic's protocols, in its own process.

Standard library only. Its argument, JSON, sets it up; its port is the first line on
standard output, and it ends when its standard input does.
"""

import json
import os
import select
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Happening
from threading import Thread
from typing import Any

from langchain_budget.testing._anthropic import ANTHROPIC
from langchain_budget.testing._chat import CHAT
from langchain_budget.testing._desk import Desk, Order
from langchain_budget.testing._dialect import Dialect, Event
from langchain_budget.testing._responses import RESPONSES
from langchain_budget.testing._script import Body, Rule

DIALECTS = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": ANTHROPIC,
    "/v1/responses": RESPONSES,
}
CONTROLS = ("/_hold", "/_release", "/_fail", "/_wait_held")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"
    dialect = CHAT

    def handle(self) -> None:
        with suppress(OSError):  # a client may always hang up
            super().handle()

    def do_GET(self) -> None:
        desk = self.server.desk
        if self.path == "/v1/models":
            model = {"id": self.server.model, "object": "model", "owned_by": "script"}
            self._reply({"object": "list", "data": [model]})
        elif self.path == "/_log":
            self._reply([served._asdict() for served in desk.log()])
        else:
            self._error(404)

    def do_POST(self) -> None:
        desk = self.server.desk
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        if path in DIALECTS:
            self._answer(DIALECTS[path], body)
        elif path in CONTROLS:
            self._reply(getattr(desk, path.removeprefix("/_"))(**body))
        else:
            self._error(404)

    def _answer(self, dialect: Dialect, body: Body) -> None:
        self.dialect = dialect
        asked = dialect.chat(body)
        if asked is None:
            self._error(400)
            return
        headers = self.headers
        agent = headers.get("x-agent") or asked.get("user") or ""
        self._complete(self.server.desk.take(asked, agent, headers.get("x-fault")))

    def log_message(self, *_: object) -> None:
        pass

    def _complete(self, order: Order) -> None:
        fault = order.fault
        self.server.desk.wait(0)
        if order.stream and not fault.refuses and not fault.lose_reply:
            self._stream(order)
            return
        answered = not (fault.lose_reply or self._gone())
        self.server.desk.close(order.served(None, answered=answered))
        self.close_connection = not answered
        if answered:
            self._whole(order)

    def _whole(self, order: Order) -> None:
        if order.fault.refuses:
            self._error(order.fault.status)
        else:
            self._reply(self.dialect.whole(order))

    def _stream(self, order: Order) -> None:
        sent = self._send_parts(order)
        whole = order.fault.cut_after is None and sent == len(order.answer.parts)
        self.server.desk.close(order.served(sent, answered=whole))
        self.close_connection = not whole
        if whole:
            self._send(self.dialect.ending(order))
            if self.dialect.done:
                self._write(self.dialect.done)
            self._write(b"")
        elif order.fault.with_error:
            self._send([self.dialect.error(500)])

    def _send_parts(self, order: Order) -> int:
        """Send them until the client is gone or the line is cut; how many went out."""
        self._start_stream()
        self._send(self.dialect.opening(order))
        for sent in range(len(order.answer.parts)):
            if self._stopped(order, sent):
                return sent
            self._send(self.dialect.part(order, sent))
        return len(order.answer.parts)

    def _start_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        with suppress(OSError):
            self.end_headers()

    def _stopped(self, order: Order, sent: int) -> bool:
        self.server.desk.wait(sent)
        return sent == order.fault.cut_after or self._gone()

    def _send(self, events: Iterable[Event]) -> None:
        for event in events:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            self._write(f"{kind}data: {json.dumps(event)}\n\n".encode())

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # a client that is gone is noticed by the next part
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _reply(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int) -> None:
        self._reply(self.dialect.error(status), status)

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def __init__(self, seed: int, model: str, rules: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = model
        self.desk = Desk(seed, [Rule.of(**rule) for rule in rules])


def main() -> None:
    settings = json.loads(sys.argv[1])
    seconds = settings.pop("max_seconds")
    server = Server(**settings)
    ended = Happening()
    Thread(target=server.serve_forever, daemon=True).start()
    Thread(target=_end_with_input, args=[ended], daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    ended.wait(seconds)


def _end_with_input(ended: Happening) -> None:
    os.read(0, 1)  # nothing ever comes: it waits for the other end to close
    ended.set()
