"""A scripted server that speaks OpenAI's chat completions, as a process of its own.

Standard library only. Its argument, JSON, sets it up; its port is the first line on
standard output, and it ends when its standard input does.
"""

import json
import os
import select
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from langchain_budget.testing._desk import Desk, Order
from langchain_budget.testing._script import Rule


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

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
        match self.path:
            case "/v1/chat/completions" if body.get("messages"):
                headers = self.headers
                agent = headers.get("x-agent") or body.get("user") or ""
                self._complete(desk.take(body, agent, headers.get("x-fault")))
            case "/_hold" | "/_release" | "/_fail" | "/_wait_held":
                self._reply(getattr(desk, self.path.removeprefix("/_"))(**body))
            case "/v1/chat/completions":
                self._error(400)
            case _:
                self._error(404)

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
            return
        said = order.answer
        message = {"role": "assistant", **said.message()}
        choice = {"index": 0, "message": message, "finish_reason": said.finish}
        usage = {"usage": said.usage()} if order.with_usage else {}
        self._reply({**_head(order, ""), "choices": [choice], **usage})

    def _stream(self, order: Order) -> None:
        sent = self._send_parts(order)
        whole = order.fault.cut_after is None and sent == len(order.answer.parts)
        self.server.desk.close(order.served(sent, answered=whole))
        self.close_connection = not whole
        if whole:
            self._end_stream(order)

    def _send_parts(self, order: Order) -> int:
        """Send them until the client is gone or the line is cut; how many went out."""
        self._start_stream()
        for sent, part in enumerate(order.answer.parts):
            if self._stopped(order, sent):
                return sent
            self._send_choice(order, {"role": "assistant", **part.delta}, None)
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

    def _end_stream(self, order: Order) -> None:
        self._send_choice(order, {}, order.answer.finish)
        if order.with_usage:
            usage = order.answer.usage()
            self._send({**_head(order, ".chunk"), "choices": [], "usage": usage})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _send_choice(
        self, order: Order, delta: Mapping[str, Any], finish: str | None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._send({**_head(order, ".chunk"), "choices": [choice]})

    def _send(self, event: Mapping[str, Any]) -> None:
        self._write(f"data: {json.dumps(event)}\n\n".encode())

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
        error = {"message": f"scripted {status}", "type": "scripted", "code": None}
        self._reply({"error": error}, status)

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


def _head(order: Order, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{order.answer.name}",
        "object": f"chat.completion{kind}",
        "created": 0,
        "model": order.model,
    }


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
    ended = Event()
    Thread(target=server.serve_forever, daemon=True).start()
    Thread(target=_end_with_input, args=[ended], daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    ended.wait(seconds)


def _end_with_input(ended: Event) -> None:
    os.read(0, 1)  # nothing ever comes: it waits for the other end to close
    ended.set()
