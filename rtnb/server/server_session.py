"""A live session: one state machine, the sockets that see it, its timer and its engine work, all on one loop."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed

from rtnb.server.engines.engines import Workers
from rtnb.server.event_writer import EventWriter
from rtnb.server.faults import Drop, FaultInjector, Frame
from rtnb.server.protocol.effects import Close, Effect, Send
from rtnb.web.connection import TURN_SECONDS, Connection

__all__ = ["SendQueue", "ServerSession"]

_log = logging.getLogger("rtnb.practice")
# How much may wait for a slow reader before its socket is dropped: about 17 minutes of speech.
_BACKLOG_BYTES = 64 * 1024 * 1024
_TOLD = (Send, Close)  # as a tuple: `Send | Close` would be made anew for every event


class SendQueue:
    """What goes out by one socket, in order, without ever making the session wait for a slow reader.

    Args:
        connection: The socket.
        line: Its faults.
        tape: Where what goes out is written down, or None.
    """

    def __init__(self, connection: Connection, line: FaultInjector, tape: EventWriter | None = None) -> None:
        self._connection = connection
        self._line = line
        self._tape = tape
        self._waiting: deque[Frame | Drop | Close] = deque()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def send(self, outputs: list[Send | Close]) -> None:
        """Send outputs of the state machine: at once where they are due and the client keeps up, else in their turn."""
        frames = [frame for output in outputs for frame in self._line.send(output)]
        if not self._waiting and self._connection.keeps_up:
            now = self._loop.time()
            texts = [frame.text for frame in frames if isinstance(frame, Frame) and frame.at <= now]
            if len(texts) == len(frames):
                self._write_down(texts)
                self._connection.send_together(texts)
                return
        self._waiting += frames
        self._bytes += sum(len(frame.text) for frame in frames if isinstance(frame, Frame))
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
                    frame = self._waiting[0]
                    wait = frame.at - self._loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    if isinstance(frame, Drop):
                        self._connection.transport.abort()
                        return
                    if isinstance(frame, Close):
                        await self._connection.close(frame.code, frame.reason[:120])
                        return
                    self._write_down([frame.text])
                    await self._connection.send(frame.text, text=True)
                    if self._waiting:  # else it has been dropped with all the rest
                        self._waiting.popleft()
                        self._bytes -= len(frame.text)
                self._more.clear()
                await self._more.wait()
        except ConnectionClosed:
            return

    def _write_down(self, texts: list[bytes]) -> None:
        if self._tape is not None:
            for text in texts:
                self._tape.write("server", text, self._loop.time())


class ServerSession:
    """Drives one state machine.

    Args:
        script: The state machine: `Script`, `BetaScript` or `TranslationScript`.
        workers: Makes the workers, given where answers go.
    """

    def __init__(self, script: Any, workers: Callable[[Callable[..., None]], Workers]) -> None:
        self.script = script
        self.outlets: list[SendQueue] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._answers: list[tuple[str, tuple[Any, ...]]] = []  # of engines, not yet given to the machine
        self._lock = threading.Lock()
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
        # A voice gives its pieces much faster than they are spoken: the loop is woken once for all that have come.
        with self._lock:
            self._answers.append((method, args))
            if len(self._answers) > 1:
                return
        try:
            self._loop.call_soon_threadsafe(self._take_answers)
        except RuntimeError:  # the loop has been closed with the server
            self._over = True

    def _take_answers(self) -> None:
        with self._lock:
            answers, self._answers = self._answers, []
        turn_ends = time.perf_counter() + TURN_SECONDS
        for done, (method, args) in enumerate(answers, 1):
            if self._over:
                return
            self._absorb(getattr(self.script, method)(*args, self._loop.time()))
            if time.perf_counter() > turn_ends and done < len(answers):
                with self._lock:
                    self._answers[:0] = answers[done:]
                self._loop.call_soon(self._take_answers)
                return

    def _advance(self) -> None:
        self._timer = self._due = None
        self._absorb(self.script.advance(self._loop.time()))

    def _absorb(self, outputs: list[Effect]) -> None:
        if outputs:
            told = [output for output in outputs if isinstance(output, _TOLD)]
            if told:
                for outlet in self.outlets:
                    outlet.send(told)
            for output in outputs:
                if not isinstance(output, _TOLD):
                    self._workers.submit(output)
        due = self.script.due
        if due == self._due or self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            # uvloop counts in whole milliseconds: woken within the one before, it would turn until it is time.
            self._timer = self._loop.call_at(math.ceil(due * 1000) / 1000, self._advance)
