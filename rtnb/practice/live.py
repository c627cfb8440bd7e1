"""A live session: one state machine, the sockets that see it, its timer and its engine work, all on one loop."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from rtnb.practice.engines import Workers
from rtnb.practice.faults import Drop, Frame, Line
from rtnb.practice.outputs import Close, Output, Send
from rtnb.practice.tape import Tape

__all__ = ["Live", "Outlet"]

_log = logging.getLogger("rtnb.practice")
# How much may wait for a slow reader before its socket is dropped: about 17 minutes of speech.
_BACKLOG_BYTES = 64 * 1024 * 1024


class Outlet:
    """What goes out by one socket, in order, without ever making the session wait for a slow reader.

    Args:
        connection: The socket.
        line: Its faults.
        tape: Where what goes out is written down, or None.
    """

    def __init__(self, connection: ServerConnection, line: Line, tape: Tape | None = None) -> None:
        self._connection = connection
        self._line = line
        self._tape = tape
        self._waiting: deque[Frame | Drop | Close] = deque()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def send(self, output: Send | Close) -> None:
        """Put an output of the state machine in the queue."""
        for frame in self._line.send(output):
            self._waiting.append(frame)
            if isinstance(frame, Frame):
                self._bytes += len(frame.text)
        self._more.set()
        if self._bytes > _BACKLOG_BYTES:
            _log.warning("A client has not read %d MB: its socket is dropped.", self._bytes >> 20)
            self._waiting.clear()
            self._bytes = 0
            self._connection.transport.abort()

    async def finish(self) -> None:
        """The socket has ended: send no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                while self._waiting:
                    frame = self._waiting.popleft()
                    wait = frame.at - self._loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    if isinstance(frame, Drop):
                        self._connection.transport.abort()
                        return
                    if isinstance(frame, Close):
                        await self._connection.close(frame.code, frame.reason[:120])
                        return
                    self._bytes -= len(frame.text)
                    if self._tape is not None:
                        self._tape.write("server", frame.text, self._loop.time())
                    await self._connection.send(frame.text, text=True)
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            return


class Live:
    """Drives one state machine.

    Args:
        script: The state machine: `Script`, `BetaScript` or `TranslationScript`.
        workers: Makes the workers, given where answers go.
    """

    def __init__(self, script: Any, workers: Callable[[Callable[..., None]], Workers]) -> None:
        self.script = script
        self.outlets: list[Outlet] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._workers = workers(self._answer_from_thread)
        self._over = False

    def begin(self) -> None:
        """The socket is open."""
        self._absorb(self.script.open(self._loop.time()))

    def take(self, frame: str | bytes) -> None:
        """A frame has come from a client."""
        if not self._over:
            self._absorb(self.script.receive(frame, self._loop.time()))

    def end(self) -> None:
        """The session is over: nothing is due and nobody waits for an engine."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._workers.close()

    def _answer_from_thread(self, method: str, *args: Any) -> None:
        if self._over:
            return
        try:
            self._loop.call_soon_threadsafe(self._answer, method, *args)
        except RuntimeError:  # the loop has been closed with the server
            self._over = True

    def _answer(self, method: str, *args: Any) -> None:
        if not self._over:
            self._absorb(getattr(self.script, method)(*args, self._loop.time()))

    def _advance(self) -> None:
        self._timer = None
        self._absorb(self.script.advance(self._loop.time()))

    def _absorb(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send | Close):
                for outlet in self.outlets:
                    outlet.send(output)
            else:
                self._workers.submit(output)
        due = self.script.due
        if self._timer is not None and (due is None or due != self._timer.when()):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and not self._over:
            self._timer = self._loop.call_at(due, self._advance)
