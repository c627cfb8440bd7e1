"""The socket and what is on it: one writer, one reader, the log, and who waits for which answer.

Runs on the I/O thread. It knows events but no turns: those are the session's.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket

from rtnb.errors import RtnbError, mask_record, mask_secrets
from rtnb.protocol import beta, client_events, error_events, frames
from rtnb.protocol.conversation import Conversation, Other, Response, Update
from rtnb.protocol.log import Log
from rtnb.transport import connection_errors
from rtnb.transport.endpoint import Address

# One append or delta may be 15 MiB of sound, 20 MiB as base64 (docs); `websockets` would stop at 1 MiB.
_MAX_FRAME_BYTES = 64 << 20
# How much of a frame that cannot be read is kept in the log.
_KEPT_BYTES = 10_000
# How long a server may owe an answer after an error that names no event, or an event that cannot be read.
_SILENCE_SECONDS = 3.0

_log = logging.getLogger("rtnb")
# Below the package's own, so that who sets its level sets this one's; it logs whole handshakes at DEBUG.
_socket_log = logging.getLogger("websockets.client.rtnb")
_socket_log.addFilter(mask_record)
_KNOWS_PROXIES = "proxy" in inspect.signature(open_socket).parameters  # from websockets 15 on


class _Socket(ClientConnection):
    """A socket that holds the key for the moment of the handshake only, and follows no redirect."""

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


@dataclass
class _Expectation:
    """A client event whose answer somebody waits for."""

    answers: Callable[[dict[str, Any]], bool]
    future: asyncio.Future[dict[str, Any]]
    doing: str

    def fail(self, error: BaseException) -> None:
        """Tell who waits that the answer is this error."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # somebody may have stopped waiting


class Connection:
    """One client socket at a time, with everything that goes over it kept in the log.

    Args:
        where: Whom to connect to.
        tell: Called with every update, on the I/O thread.
        unread: Called with the type of an event that cannot be read, the id of its response ("" where it has none),
            and why.
        silent: Called with an answer that got no end, and a sentence that may say why.
        verbose: Whether to print every event.

    Attributes:
        conversation: The state folded from the events.
        log: Every event both ways.
        unsent_bytes: Appended sound that waits for the socket.
    """

    def __init__(
        self,
        where: Address,
        tell: Callable[[Update], None],
        unread: Callable[[str, str, str], None],
        silent: Callable[[Response, str], None],
        *,
        verbose: bool = False,
    ) -> None:
        self.log = Log()
        self.conversation = Conversation(self.log.heard.read)
        self.unsent_bytes = 0
        self._where = where
        self._tell = tell
        self._unread = unread
        self._silent = silent
        self._heard_at = 0.0  # when the last frame came
        self._verbose = verbose
        # What is printed from the I/O thread belongs to the cell that opened the session.
        self._context = contextvars.copy_context()
        self._born = time.perf_counter()
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()  # frames, and the sound bytes in them
        self._room = asyncio.Event()
        self._expected: dict[str, _Expectation] = {}
        self._lost = 0  # how often frames were dropped because their socket had gone

    @property
    def seconds(self) -> float:
        """The log's clock: seconds since the connection was asked for."""
        return time.perf_counter() - self._born

    async def run(self) -> tuple[int | None, str]:
        """Connect and receive until the socket ends.

        Returns:
            The close code (None where there was none) and the server's words.

        Raises:
            KeyRefused: If the server does not accept the key.
            ConnectionFailed: If no session came about.
        """
        ended = await self._live()
        if isinstance(ended, BaseException):
            raise ended
        return ended

    async def _live(self) -> tuple[int | None, str] | BaseException:
        """Connect and receive; what is to be raised is given back, off the frames that hold the key or quote it."""
        proxy: dict[str, Any] = {"proxy": None if self._where.local else True} if _KNOWS_PROXIES else {}
        try:
            socket = await open_socket(
                self._where.reveal(),
                compression=None,  # deflate costs about ten times the rest on base64 audio
                max_size=_MAX_FRAME_BYTES,
                max_queue=256,
                open_timeout=connection_errors.OPEN_TIMEOUT_SECONDS,
                ping_interval=20,
                ping_timeout=20,
                close_timeout=3,
                logger=_socket_log,
                create_connection=functools.partial(_Socket, self._where),  # type: ignore[arg-type]
                **proxy,
            )
        except asyncio.CancelledError:
            return asyncio.CancelledError()
        except RtnbError as refused:
            refused.__cause__ = refused.__context__ = None
            return refused.with_traceback(None)
        except Exception as broken:
            return connection_errors.unreachable(broken, self._where.url)
        self._socket = socket
        writing = asyncio.ensure_future(self._write(socket))
        complaint: dict[str, Any] | None = None
        try:
            while True:
                event = self._receive(await socket.recv(decode=False))
                if event is not None and event["type"] == "error" and not self.conversation.session:
                    complaint = event
        except websockets.ConnectionClosed:
            code, reason = socket.protocol.close_code, socket.protocol.close_reason or ""
            if complaint is not None:
                return connection_errors.in_session(complaint, code, reason, self._where.url)
            return code, mask_secrets(reason)
        finally:
            self._socket = None
            writing.cancel()
            with contextlib.suppress(Exception):
                await socket.close()

    def renew(self) -> None:
        """Get ready for another socket: what waited for the old one is dropped, for nothing may be sent twice."""
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
            self._outgoing.task_done()
            self._lost += 1
        self.unsent_bytes = 0
        self._room.set()
        self.conversation.renew()

    async def close(self) -> None:
        """Say goodbye (1000) and wait for the server's."""
        if self._socket is not None:
            await self._socket.close()

    # --- out

    async def _write(self, socket: ClientConnection) -> None:
        """The one writer, so that events go out in the order they were given."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                frame, sound_bytes = await self._outgoing.get()
                try:
                    await socket.send(frame, text=True)
                except websockets.ConnectionClosed:
                    self._lost += 1
                    raise
                finally:
                    self.unsent_bytes -= sound_bytes
                    self._outgoing.task_done()
                    self._room.set()

    def put(self, event: dict[str, Any]) -> None:
        """Send an event. What is in the log and what is on the wire are the same, in the same order."""
        self.conversation.sent(event)
        entry = self.log.sent(event, self.seconds)
        if event["type"] == "input_audio_buffer.append":
            self.conversation.appended(entry.sound_bytes)
        if self._verbose:
            self._print("→", entry.brief)
        on_wire = beta.to_beta(event) if self._where.provider.beta_names else event
        self._outgoing.put_nowait((frames.dumps(on_wire), 0))

    def append(self, pcm: bytes) -> None:
        """Send sound."""
        event_id = client_events.new_event_id()
        self.unsent_bytes += len(pcm)
        entry = self.log.appended(event_id, pcm, self.seconds)
        self.conversation.appended(len(pcm))
        if self._verbose:
            self._print("→", entry.brief)
        self._outgoing.put_nowait((client_events.append_frame(event_id, pcm), len(pcm)))

    async def drained(self, at_most_bytes: int = 0) -> None:
        """Wait until no more than this many bytes of sound wait for the socket."""
        while self.unsent_bytes > at_most_bytes:
            self._room.clear()
            await self._room.wait()

    async def flushed(self) -> None:
        """Wait until everything given so far is on the wire.

        Raises:
            ConnectionFailed: If the socket went before it was.
        """
        lost = self._lost
        await self._outgoing.join()
        if self._lost != lost:
            raise connection_errors.ended(None, "", self._where.url)

    def expect(
        self, event: dict[str, Any], answers: Callable[[dict[str, Any]], bool], doing: str
    ) -> asyncio.Future[dict[str, Any]]:
        """Send an event now; the future is the event that answers it.

        Args:
            event: The client event, with an `event_id`.
            answers: Tells whether a server event is the answer.
            doing: What is being asked, for "The server refused …".

        Returns:
            A future that fails with `ServerError` if an `error` names the event.
        """
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._expected[event["event_id"]] = _Expectation(answers, future, doing)
        future.add_done_callback(lambda _: self._expected.pop(event["event_id"], None))
        self.put(event)
        return future

    def fail_expected(self, error: BaseException) -> None:
        """Tell everybody who waits that no answer will come."""
        for expectation in list(self._expected.values()):
            expectation.fail(error)

    # --- in

    def _receive(self, frame: bytes) -> dict[str, Any] | None:
        """Log one frame, fold it, and tell. None for one that cannot be read, which is logged and told as such."""
        at = self._heard_at = self.seconds
        try:
            event = frames.loads(frame)
        except ValueError as error:
            text = frame[:_KEPT_BYTES].decode("utf-8", "replace")
            self.log.received({"type": "rtnb.malformed", "bytes": len(frame), "text": text}, at)
            self._unread(*frames.type_of(frame), str(error))
            return None
        entry = self.log.received(event, at)
        if self._verbose:
            self._print("←", entry.brief)
        try:
            updates = self.conversation.apply(entry.silent, at, entry.sound or None)
            for update in updates:
                self._tell(update)
            self._settle(updates[0].event, usual=isinstance(event.get("error"), dict))
        except Exception as error:  # whatever form a server gives it, the next event is read all the same
            _log.debug("rtnb: an event could not be read", exc_info=True)
            self._unread(*frames.type_of(frame), f"{type(error).__name__}: {error}")
            self._tell(Other(event, at))  # some of it may have been taken over
            return None
        return updates[0].event

    def _settle(self, event: dict[str, Any], *, usual: bool) -> None:
        """Hand an event to whoever waits for it, the first who asked first; `usual`: an error in the API's form."""
        if event["type"] == "error":
            named = event["error"].get("event_id")
            if (expectation := self._expected.get(named or "")) is not None:
                expectation.fail(error_events.error_from(event, expectation.doing))
            elif not named:  # the API names the event where it can; other servers never do
                said = f"The server said “{event['error'].get('message') or 'error'}” and nothing after it."
                self.doubt(lambda doing: error_events.error_from(event, doing), said, usual=usual)
            return
        for expectation in self._expected.values():
            if not expectation.future.done() and expectation.answers(event):
                expectation.future.set_result(event)
                return

    def doubt(self, why: Callable[[str], RtnbError], said: str, *, usual: bool = False) -> None:
        """Let nobody wait for ever for what an odd event may have meant: give up where nothing comes after it.

        Args:
            why: Makes the error from what was being done, for "The server refused …".
            said: What happened, as a sentence.
            usual: Whether it is an error in the API's own form, after which a slow server may still answer.
        """
        waiting = list(self._expected.values()), self.conversation.active_response()
        self._give_up(_SILENCE_SECONDS * (5 if usual else 1), why, said, *waiting)

    def _give_up(
        self,
        seconds: float,
        why: Callable[[str], RtnbError],
        said: str,
        expected: Sequence[_Expectation],
        answer: Response | None,
    ) -> None:
        left = seconds - (self.seconds - self._heard_at)
        expected = [expectation for expectation in expected if not expectation.future.done()]
        if left > 0 and (expected or (answer is not None and answer.active)):
            loop = asyncio.get_running_loop()
            loop.call_later(left, self._give_up, seconds, why, said, expected, answer)
            return
        for expectation in expected:
            expectation.fail(why(expectation.doing))
        if answer is not None and answer.active:
            self._silent(answer, said)

    def say(self, sentence: str) -> None:
        """Print a sentence into the cell that opened the session."""
        with contextlib.suppress(Exception):  # a front end that is gone must not end the session
            self._context.run(print, mask_secrets(sentence), flush=True)

    def _print(self, arrow: str, event: Mapping[str, Any]) -> None:
        shown = frames.dumps({k: v for k, v in event.items() if k not in ("type", "event_id", "obfuscation")}).decode()
        if len(shown) > 160:
            shown = shown[:159] + "…"
        self.say(f"{self.seconds:7.3f} s {arrow} {event['type']} {shown}")
