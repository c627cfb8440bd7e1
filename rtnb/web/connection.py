"""Connection of one client: websockets' own, with a faster way in and out and with the small HTTP beside it."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from rtnb.web.http import Opening, api_error, read_opening

_MOST_HALVES = 500  # each may have sent a quarter of a megabyte
TURN_SECONDS = 0.005  # of work for one client, before the others have theirs


class Inflating(ServerPerMessageDeflateFactory):
    """Agreement to permessage-deflate that unpacks what clients pack and packs nothing, which RFC 7692 leaves free.

    Packing costs about ten times the rest on base64 audio, and 256 KB for each connection.
    """

    def process_request_params(self, params: Any, accepted_extensions: Any) -> tuple[Any, PerMessageDeflate]:
        """Answer an offer, and return the extension."""
        answered, extension = super().process_request_params(params, accepted_extensions)
        extension.__dict__.pop("encoder", None)
        extension.encode = lambda frame: frame  # type: ignore[method-assign]
        return answered, extension


class Connection(ServerConnection):
    """Connection of websockets that also takes POST and OPTIONS requests, and passes messages on with less work.

    Attributes:
        opening: The first request, as it came; websockets is shown it as a GET. None until it is complete.
        halves: The connections whose request is not complete, the oldest first; of each server its own.
    """

    halves: ClassVar[dict["Connection", None]] = {}
    opening: Opening | None = None
    _head = b""
    _take: Callable[[str | bytes], None] | None = None
    _turn_ends = 0.0
    _queued = 0  # messages that websockets keeps for us, whole or not
    _failure: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection; where too many are half open, the one that has been so for longest goes."""
        super().connection_made(transport)
        self.halves[self] = None
        if len(self.halves) > _MOST_HALVES:
            oldest = next(iter(self.halves))
            del self.halves[oldest]
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.halves.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network."""
        if self.opening is not None:
            self._turn_ends = time.perf_counter() + TURN_SECONDS
            return super().data_received(data)
        self._head += data
        try:
            self.opening = read_opening(self._head)
        except ValueError as error:
            self.transport.write(api_error(HTTPStatus.BAD_REQUEST, str(error)).serialize())
            self.transport.close()
        if self.opening is not None:
            super().data_received(self.opening.as_get)

    # ------------------------------------------------------------------ messages in

    async def listen(self, take: Callable[[str | bytes], None]) -> None:
        """Pass every message to `take`, in order, until the connection ends.

        A whole text message goes there straight from the network: waking a task for it costs as much as most of them
        do. Any other, and whatever comes when this client has had its turn, waits in websockets' own queue, which
        stops reading from a client that floods.

        Raises:
            Exception: Whatever `take` raises.
        """
        self._take = take
        turn_ends = 0.0
        try:
            async for message in self:
                if self._failure is not None:
                    raise self._failure
                take(message)
                self._queued -= 1
                if time.perf_counter() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.perf_counter() + TURN_SECONDS
        except ConnectionClosed:
            return
        finally:
            self._take = None

    def process_event(self, event: Any) -> None:
        """Take a frame from the network (before that: the handshake's request)."""
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
            if self._taken_at_once(event):
                return
            self._queued += 1
        self.halves.pop(self, None)
        super().process_event(event)

    def _taken_at_once(self, frame: Frame) -> bool:
        whole_text = frame.opcode is Opcode.TEXT and frame.fin
        if not whole_text or self._queued or self._take is None or time.perf_counter() > self._turn_ends:
            return False
        try:
            self._take(str(frame.data, "utf-8"))
        except Exception as error:  # `listen` raises it, woken by the queue; to what is no text websockets answers
            self._failure = error
            return False
        return True

    # ------------------------------------------------------------------ messages out

    @property
    def keeps_up(self) -> bool:
        """Return whether the client reads what is sent: next to nothing waits for it in this process."""
        # 64 KiB: where the event loop too begins to hold writers back.
        return self.protocol.state is State.OPEN and self.transport.get_write_buffer_size() < 64 * 1024

    def send_together(self, texts: list[bytes]) -> None:
        """Send text messages at once, in one write and whether the client reads them or not.

        A system call each, and the machinery that waits for a slow reader, cost more than all else an event needs.

        Raises:
            websockets.exceptions.InvalidState: The connection is not open.
        """
        for text in texts:
            self.protocol.send_text(text)
        data = b"".join(self.protocol.data_to_send())
        if not self.transport.is_closing():
            self.transport.write(data)

    def send_data(self) -> None:
        """Send what websockets has to send; asyncio warns of every write to a connection that is lost already."""
        if self.transport.is_closing():
            self.protocol.data_to_send()
        else:
            super().send_data()
