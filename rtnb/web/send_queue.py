"""Send queue of one connection: frames go out when they are due, and a slow reader keeps nobody waiting."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable, Sequence
from logging import getLogger
from typing import NamedTuple

from websockets.exceptions import ConnectionClosed

from rtnb.web.connection import Connection

# How much may wait for a slow reader before its connection is dropped: about 17 minutes of speech.
_BACKLOG_BYTES = 64 * 1024 * 1024

_log = getLogger("rtnb.web")


class Frame(NamedTuple):
    """Text message, to go out at `at` (seconds on the loop's clock).

    Attributes:
        text: The message, or a function that makes it when it is due; where that returns None nothing goes out.
    """

    at: float
    text: bytes | Callable[[], bytes | None]

    @property
    def size(self) -> int:
        """Bytes it takes while it waits."""
        return len(self.text) if isinstance(self.text, bytes) else 0


class CloseFrame(NamedTuple):
    """End of the connection, with a code and a reason."""

    at: float
    code: int
    reason: str


class Drop(NamedTuple):
    """End of the connection without a closing handshake."""

    at: float


Outgoing = Frame | CloseFrame | Drop


class SendQueue:
    """Sends frames by one connection in the order in which they are due, without making the caller wait.

    Args:
        connection: The connection.
        on_send: Called with each text as it goes out.
    """

    def __init__(self, connection: Connection, *, on_send: Callable[[bytes], None] = lambda text: None) -> None:
        self._connection, self._on_send = connection, on_send
        self._waiting: list[tuple[float, int, Outgoing]] = []  # a heap
        self._count = itertools.count()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    def send(self, frames: Sequence[Outgoing]) -> None:
        """Send frames: at once where all are due and the client keeps up, else each when it is due."""
        if not self._waiting and self._connection.keeps_up:
            now = self._loop.time()
            texts = [f.text for f in frames if isinstance(f, Frame) and isinstance(f.text, bytes) and f.at <= now]
            if len(texts) == len(frames):
                for text in texts:
                    self._on_send(text)
                self._connection.send_together(texts)
                return
        for frame in frames:
            heapq.heappush(self._waiting, (frame.at, next(self._count), frame))
            self._bytes += frame.size if isinstance(frame, Frame) else 0
        self._more.set()
        if self._bytes > _BACKLOG_BYTES:
            _log.warning("A client has not read %d MB: its socket is dropped.", self._bytes >> 20)
            self._waiting.clear()
            self._bytes = 0
            self._connection.transport.abort()

    async def finish(self) -> None:
        """Send no more: the connection has ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                wait = self._waiting[0][0] - self._loop.time() if self._waiting else None
                if wait is None or wait > 0:
                    self._more.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._more.wait()
                    continue
                frame = heapq.heappop(self._waiting)[2]
                if isinstance(frame, Drop):
                    return self._connection.transport.abort()
                if isinstance(frame, CloseFrame):
                    return await self._connection.close(frame.code, frame.reason[:120])
                self._bytes -= frame.size
                if (text := frame.text if isinstance(frame.text, bytes) else frame.text()) is not None:
                    self._on_send(text)
                    await self._connection.send(text, text=True)
