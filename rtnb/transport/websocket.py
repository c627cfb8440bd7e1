"""One WebSocket to a server, as the transport that events go over.

Runs on the I/O thread. It knows frames but no events.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import websockets
from websockets.asyncio.client import ClientConnection, connect

from rtnb.errors import RtnbError, mask_record, mask_secrets
from rtnb.transport import connection_errors
from rtnb.transport.endpoint import Address

# Below the package's own, so that who sets its level sets this one's; it logs whole handshakes at DEBUG.
_socket_log = logging.getLogger("websockets.client.rtnb")
_socket_log.addFilter(mask_record)
_KNOWS_PROXIES = "proxy" in inspect.signature(connect).parameters  # from websockets 15 on


class End(NamedTuple):
    """End of a transport.

    Attributes:
        code: The close code. None where there was none.
        reason: The server's words; "" for none.
        ours: Whether it was this side that closed, because of what the server did.
    """

    code: int | None
    reason: str
    ours: bool = False


class Transport(Protocol):
    """Carrier of frames to a server and back, once it is open.

    Attributes:
        unsent_bytes: How many bytes of audio wait to be sent.
        sent_frames: How many frames the network has taken.
    """

    unsent_bytes: int
    sent_frames: int

    def send(self, frame: bytes, audio_bytes: int = 0) -> None:
        """Send a frame after those before it; never blocks."""

    async def receive(self) -> bytes | End:
        """Wait for the next frame, or the end."""

    async def drained(self, at_most_bytes: int = 0) -> None:
        """Wait until no more than this many bytes of audio wait to be sent."""

    async def flushed(self) -> bool:
        """Wait until every frame so far is sent. Return False where one was lost."""

    async def close(self) -> None:
        """Say goodbye and wait for the server's."""


OpenTransport = Callable[[], Awaitable[Transport]]
"""Opens a transport to the server of a session; called again for each new try."""


class _Socket(ClientConnection):
    """Socket that holds the key for the moment of the handshake only, and follows no redirect."""

    def __init__(self, where: Address, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._where = where

    async def handshake(self, additional_headers: Any = None, user_agent_header: str | None = None) -> None:
        try:
            return await super().handshake(self._where.headers(), user_agent_header)
        except websockets.InvalidStatus as answer:
            # `websockets` would go where a redirect points to, with the key; an error of ours it lets through.
            refused = connection_errors.at_handshake(answer, self._where.url)
        finally:
            self.request = None  # the headers are in it
        raise refused


async def open_websocket(where: Address, seconds: float | None = None) -> WebSocket:
    """Open a WebSocket.

    Args:
        where: The server.
        seconds: How long it may take, where that is less than the 15 s it may take at most. None: as long as that.

    Raises:
        KeyRefused: If the server does not accept the key.
        ConnectionFailed: If it cannot be opened.
    """
    opened = await _open(where, min(seconds or math.inf, connection_errors.OPEN_TIMEOUT_SECONDS))
    if isinstance(opened, BaseException):
        raise opened
    return opened


async def _open(where: Address, seconds: float) -> WebSocket | BaseException:
    """Open a WebSocket; return what is to be raised, off the frames that hold the key or quote it."""
    proxy: dict[str, Any] = {"proxy": None if where.local else True} if _KNOWS_PROXIES else {}
    try:
        socket = await connect(
            where.reveal(),
            compression=None,  # deflate costs about ten times the rest on base64 audio
            # One append or delta may be 15 MiB of audio, 20 MiB as base64 (docs); `websockets` would stop at 1 MiB.
            max_size=64 << 20,
            max_queue=256,
            open_timeout=seconds,
            ping_interval=connection_errors.PING_SECONDS,
            ping_timeout=connection_errors.PING_SECONDS,
            close_timeout=3,
            logger=_socket_log,
            create_connection=functools.partial(_Socket, where),  # type: ignore[arg-type]
            **proxy,
        )
    except asyncio.CancelledError:
        return asyncio.CancelledError()
    except RtnbError as refused:
        refused.__cause__ = refused.__context__ = None
        return refused.with_traceback(None)
    except Exception as broken:
        return connection_errors.unreachable(broken, where, seconds)
    return WebSocket(socket)


class WebSocket:
    """Open WebSocket with its one writer, so that frames go out in the order they were given.

    Attributes:
        unsent_bytes: How many bytes of audio wait to be sent.
        sent_frames: How many frames the network has taken.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.unsent_bytes = self.sent_frames = 0
        self._socket = socket
        self._outgoing: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()  # frames, and the audio bytes in them
        self._room = asyncio.Event()
        self._lost = 0  # how many frames were dropped because the socket had gone
        self._writing = asyncio.ensure_future(self._write())

    def send(self, frame: bytes, audio_bytes: int = 0) -> None:
        """Send a frame after those before it; never blocks."""
        self.unsent_bytes += audio_bytes
        self._outgoing.put_nowait((frame, audio_bytes))

    async def _write(self) -> None:
        while True:
            frame, audio_bytes = await self._outgoing.get()
            try:
                await self._socket.send(frame, text=True)
                self.sent_frames += 1
            except websockets.ConnectionClosed:
                self._lost += 1
            finally:
                self._taken(audio_bytes)

    def _taken(self, audio_bytes: int) -> None:
        self.unsent_bytes -= audio_bytes
        self._outgoing.task_done()
        self._room.set()

    async def receive(self) -> bytes | End:
        """Wait for the next frame, or the end."""
        try:
            return await self._socket.recv(decode=False)
        except websockets.ConnectionClosed:
            wire = self._socket.protocol
            if wire.close_sent is not None and not wire.close_rcvd_then_sent:
                return End(wire.close_sent.code, wire.close_sent.reason, ours=True)
            return End(wire.close_code, mask_secrets(wire.close_reason or ""))

    async def drained(self, at_most_bytes: int = 0) -> None:
        """Wait until no more than this many bytes of audio wait to be sent."""
        while self.unsent_bytes > at_most_bytes:
            self._room.clear()
            await self._room.wait()

    async def flushed(self) -> bool:
        """Wait until every frame so far is sent. Return False where one was lost."""
        lost = self._lost
        await self._outgoing.join()
        return self._lost == lost

    async def close(self) -> None:
        """Say goodbye (1000) and wait for the server's."""
        try:
            with contextlib.suppress(Exception):
                await self._socket.close()
        finally:  # also where the caller is cancelled in the middle
            self._writing.cancel()
            while not self._outgoing.empty():
                self._taken(self._outgoing.get_nowait()[1])
                self._lost += 1
