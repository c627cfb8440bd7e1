"""Live session: one state machine, the sockets that see it, its timer and its engine work, all on one loop."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rtnb.server.engines.workers import Workers
from rtnb.server.protocol.effects import Close, Effect, Send
from rtnb.web.connection import TURN_SECONDS

_SENT = (Send, Close)  # as a tuple: `Send | Close` would be made anew for every event


class ServerSession:
    """Driver of one state machine.

    Args:
        script: The state machine: `RealtimeSession`, `BetaSession` or `TranslationSession`.
        workers: Makes the workers, given the function that their answers go to.

    Attributes:
        senders: What sends outputs of the state machine to one client each.
    """

    def __init__(self, script: Any, workers: Callable[[Callable[..., None]], Workers]) -> None:
        self.script = script
        self.senders: list[Callable[[list[Send | Close]], None]] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._answers: deque[tuple[str, tuple[Any, ...]]] = deque()  # of engines, not yet passed to the machine
        self._workers = workers(self._answer_from_thread)
        self._woken = self._over = False

    def begin(self) -> None:
        """Open the session: its socket is open."""
        self._absorb(self.script.open(self._loop.time()))

    def take(self, frame: str | bytes) -> None:
        """Take a frame from a client."""
        if not self._over:
            self._absorb(self.script.receive(frame, self._loop.time()))

    def end(self) -> None:
        """End the session: nothing is due and nobody waits for an engine."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._workers.close()

    def _answer_from_thread(self, method: str, *args: Any) -> None:
        self._answers.append((method, args))
        # A voice makes its pieces much faster than they are spoken: the loop is woken once for all that have come.
        if self._over or self._woken:
            return
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._take_answers)
        except RuntimeError:  # the loop has been closed with the server
            self._over = True

    def _take_answers(self) -> None:
        self._woken = False  # first: what comes while these are taken wakes the loop again, or is taken with them
        turn_ends = time.perf_counter() + TURN_SECONDS
        while self._answers and not self._over:
            method, args = self._answers.popleft()
            self._absorb(self.script.take(self._loop.time(), getattr(self.script, method), *args))
            if self._answers and time.perf_counter() > turn_ends:
                self._loop.call_soon(self._take_answers)
                return

    def _advance(self) -> None:
        self._timer = self._due = None
        self._absorb(self.script.take(self._loop.time()))

    def _absorb(self, outputs: list[Effect]) -> None:
        if sent := [output for output in outputs if isinstance(output, _SENT)]:
            for send in self.senders:
                send(sent)
        for output in outputs:
            if not isinstance(output, _SENT):
                self._workers.submit(output)
        due = self.script.due
        if due == self._due or self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        if due is not None:
            # uvloop counts in whole milliseconds: woken within the one before, it would turn until it is time.
            self._timer = self._loop.call_at(math.ceil(due * 1000) / 1000, self._advance)
