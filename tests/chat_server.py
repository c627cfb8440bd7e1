"""A chat-completions server of a few lines, which says what it is told to, in the forms of those that people run."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = bytes | threading.Event | Callable[[], None]


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream; without a delta one that has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": choices}
    return b"data: " + json.dumps(body | more).encode() + b"\n\n"


def says(*pieces: str, finish: str = "stop") -> list[Step]:
    """A whole answer in these pieces."""
    return [*(chunk({"content": piece}) for piece in pieces), chunk({}, finish=finish), DONE]


DONE = b"data: [DONE]\n\n"


class Chat:
    """The server. It keeps what it was asked and answers each question with the next of `answers`, or the last again.

    An answer is a list of steps: bytes go out at once as one HTTP chunk; an event is waited for; a function is called.

    Attributes:
        asked: The bodies of the requests, each with its `path`.
        looked_up: The paths of GET requests.
        listed: What it says of its models: bytes, or anything that JSON can hold.
        headers: Their headers.
        hung_up: Set when a client has hung up in the middle of an answer.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.looked_up: list[str] = []
        self.listed: Any = {"object": "list", "data": [{"id": "small", "object": "model", "owned_by": "library"}]}
        self.headers: list[dict[str, str]] = []
        self.hung_up = threading.Event()
        self.questions = threading.Semaphore(0)
        self.answers: list[list[Step]] = []
        self.choose: Callable[[dict[str, Any]], list[Step]] | None = None
        self.status = 200
        self.kind = "text/event-stream"
        self.chunked = True
        self.ends = "well"  # or "cut", "reset": how the stream ends after its last step
        self._over = threading.Event()
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                chat._answer(self)

            def do_GET(self) -> None:
                chat.looked_up.append(self.path)
                body = chat.listed if isinstance(chat.listed, bytes) else json.dumps(chat.listed).encode()
                self.send_response(200 if self.path == "/v1/models" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *given: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *given: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, *steps: Step) -> None:
        """What to answer from now on."""
        self.answers = [list(steps)]

    def close(self) -> None:
        """Stop it, whoever still waits."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = {"path": handler.path, **json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))}
        self.asked.append(asked)
        self.headers.append(dict(handler.headers))
        steps = self.choose(asked) if self.choose else self.answers.pop(0) if self.answers[1:] else self.answers[0]
        self.questions.release()
        handler.close_connection = True
        begun = False
        for step in steps:
            if isinstance(step, bytes):
                if not begun:
                    self._begin(handler)
                begun = True
                sent = b"%x\r\n%b\r\n" % (len(step), step) if self.chunked else step
                try:
                    handler.wfile.write(sent)
                except OSError:
                    self.hung_up.set()
                    return
            elif isinstance(step, threading.Event):
                self._wait(handler, step)
            else:
                step()
        if not begun:
            self._begin(handler)
        if self.ends == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
        elif self.chunked and self.ends == "well":
            with contextlib.suppress(OSError):
                handler.wfile.write(b"0\r\n\r\n")

    def _begin(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(self.status)
        handler.send_header("Content-Type", self.kind)
        if self.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

    def _wait(self, handler: BaseHTTPRequestHandler, event: threading.Event) -> None:
        """Wait for the event, and notice a client that hangs up meanwhile."""
        handler.connection.settimeout(0.02)
        try:
            while not event.is_set() and not self._over.is_set():
                try:
                    if handler.connection.recv(1) == b"":
                        self.hung_up.set()
                        return
                except TimeoutError:
                    continue
                except OSError:
                    self.hung_up.set()
                    return
        finally:
            with contextlib.suppress(OSError):
                handler.connection.settimeout(None)


@contextlib.contextmanager
def chat_server() -> Iterator[Chat]:
    """A running server."""
    chat = Chat()
    try:
        yield chat
    finally:
        chat.close()
