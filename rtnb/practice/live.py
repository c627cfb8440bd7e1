"""A live session: one state machine, the sockets that see it, its timer and its engine work, all on one loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from rtnb.practice.engines import Workers
from rtnb.practice.outputs import Close, Output, Send

__all__ = ["Live", "Outlet"]

_log = logging.getLogger("rtnb.practice")
_BACKLOG_BYTES = 64 * 1024 * 1024  # about 17 minutes of speech that a client has not read


class Outlet:
    """What goes out by one socket, in order, without ever making the session wait for a slow reader."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self._frames: deque[str | bytes | Close] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def send(self, frame: str | bytes | Close) -> None:
        """Put a text frame (as str or UTF-8 bytes) or a close in the queue."""
        self._frames.append(frame)
        self._bytes += 0 if isinstance(frame, Close) else len(frame)
        self._more.set()
        if self._bytes > _BACKLOG_BYTES:
            _log.warning("a client has not read %d MB; its socket is dropped", self._bytes >> 20)
            self.drop()

    def drop(self) -> None:
        """End the socket without a closing handshake."""
        self._frames.clear()
        self.connection.transport.abort()

    async def finish(self) -> None:
        """Wait until everything has gone out or the socket has ended."""
        self._more.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                while self._frames:
                    frame = self._frames.popleft()
                    if isinstance(frame, Close):
                        await self.connection.close(frame.code, frame.reason[:123])
                        return
                    self._bytes -= len(frame)
                    await self.connection.send(frame, text=True)
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            return


class Live:
    """Drives one state machine.

    Args:
        script: The state machine (`Script` or anything with its methods).
        workers: Makes the workers, given where answers go.
        send: Called with every `Send` and `Close` that is due.
    """

    def __init__(
        self,
        script: Any,
        workers: Callable[[Callable[..., None]], Workers],
        send: Callable[[Send | Close], None],
    ) -> None:
        self.script = script
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._workers = workers(self._answer_from_thread)
        self.outlets: list[Outlet] = []
        self.over = False

    def begin(self) -> None:
        """The socket is open."""
        self._absorb(self.script.open(self._loop.time()))

    def take(self, frame: str | bytes) -> None:
        """A frame has come from a client."""
        self._absorb(self.script.receive(frame, self._loop.time()))

    def end(self) -> None:
        """The session is over: nothing is due and nobody waits for an engine."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self._workers.close()

    def _answer_from_thread(self, method: str, *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(self._answer, method, *args)
        except RuntimeError:  # the loop has been closed with the server
            self.over = True

    def _answer(self, method: str, *args: Any) -> None:
        if not self.over:
            self._absorb(getattr(self.script, method)(*args, self._loop.time()))

    def _advance(self) -> None:
        self._timer = None
        self._absorb(self.script.advance(self._loop.time()))

    def _absorb(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send | Close):
                self._send(output)
            else:
                self._workers.submit(output)
        due = self.script.due
        if self._timer is not None and (due is None or due != self._timer.when()):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and not self.over:
            self._timer = self._loop.call_at(due, self._advance)


def encode(event: dict[str, Any]) -> bytes:
    """An event as its text frame."""
    return orjson.dumps(event)
