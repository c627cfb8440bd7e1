"""Life of a session: open, configure, receive, reconnect with the history, close.

One task on the I/O thread lives it from beginning to end, so that every way out goes through one place (`_live`), which
fails whatever still waits. A session counts as open only once the server has confirmed its configuration: before that,
audio would meet the server's defaults. After a break that may pass, the same task opens another transport; the turns
under way have failed by then, since nothing may be sent twice, and those that had not begun go on in the new session.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rtnb.errors import BudgetExceeded, ConnectionFailed, KeyRefused, RtnbError, ServerError, mask_secrets
from rtnb.money import Budget, limits
from rtnb.money.bill import transcription_model
from rtnb.money.meter import Meter
from rtnb.protocol import frames, server_events
from rtnb.protocol.items import Response, Turn
from rtnb.protocol.updates import Odd, Piece
from rtnb.session import exchanges, history, settings
from rtnb.session.call_queue import CallQueue
from rtnb.session.reply import Approval
from rtnb.session.router import Router, Unasked
from rtnb.session.tools import Toolbox
from rtnb.session.updates import Closed, Listeners, Reconnecting, warning_of
from rtnb.texts.language import Warnings
from rtnb.transport import connection_errors, endpoint, io_thread, live_calls
from rtnb.transport.channel import NO_ANSWER, Channel
from rtnb.transport.handle import Handle, settle
from rtnb.transport.websocket import End, OpenTransport

_log = logging.getLogger("rtnb")

# What the OpenAI SDK 3.54.0 counts as worth a new try.
_RECOVERABLE = {1001, 1005, 1006, 1011, 1012, 1013, 1015}
# What no new session mends; going on would be a loop of sessions that die at once (reported against LiveKit).
_HOPELESS = {"insufficient_quota", "invalid_api_key", "account_deactivated", "billing_hard_limit_reached"}
_HOPELESS |= {"project_spend_limit_exceeded"}
_TRIES = 5
# How long a server may take to say `session.created`, which some say only after the first `session.update`, or never.
_GREETING_SECONDS = 5.0
# A session that lasted this long counts as recovered: the next break has all its tries again.
_RECOVERED_SECONDS = 30.0
# What is odd goes on and on; more sentences than this nobody reads.
_MOST_WARNINGS = 50


@dataclass(eq=False, repr=False)
class Lifecycle:
    """Session as the modules of this package see it.

    Args:
        where: The server.
        open_transport: Opens a transport to it, at the beginning and after each break.
        model: The model that answers.
        settings: The session object to ask for.
        tools: The functions the model may call.
        budget: The budget it spends from. None for that of the whole kernel.
        decide: Asked whether an MCP tool may be called. None: the caller is asked.
        reconnect: Whether to go on in a new session when the connection drops.
        verbose: Whether to print every event.
        unasked: Holds what is called with a response that ended and belongs to no turn.
        timeout: Seconds for which a server that owes something may send nothing. None: as long as it likes.

    Attributes:
        settings: The session object that was asked for.
        channel: Where events go and come from, with the log and the conversation.
        provider: The kind of server, and what it lacks.
        queue: The order of calls, in which a turn has its place.
        router: To which turn a response belongs.
        listeners: Called with every update.
        meter: Checks and books what it spends.
        gate: Awaited before the answer to unasked calls is asked for. None: it is asked for at once.
        own_detection: The turn detection of a server that turned out to take no commit. None for all others.
        state: `"connecting"`, `"open"` or `"closed"`.
        warnings: Sentences about what was odd but stopped nothing.
        sent_raw: Ids of the last events that were sent as they are, of which nothing waits for a refusal.
        error: Why it ended. None while it runs and after an orderly end.
        closing: Whether its end is wanted, so that however the connection ends is no error.
        opened: Done when it is open for the first time; fails where it never is.
        ended: Done when the connection is closed for good.
    """

    where: endpoint.Address
    open_transport: OpenTransport
    model: str
    settings: dict[str, Any]
    tools: Toolbox
    budget: Budget | None
    decide: Callable[[Approval], Any] | None
    reconnect: bool
    verbose: bool
    unasked: Unasked
    timeout: float | None = None
    gate: Callable[[], Awaitable[object]] | None = None
    own_detection: dict[str, Any] | None = None
    state: Literal["connecting", "open", "closed"] = "connecting"
    warnings: list[str] = field(default_factory=Warnings)
    sent_raw: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))
    error: BaseException | None = None
    closing: bool = False
    opened: concurrent.futures.Future[None] = field(default_factory=concurrent.futures.Future)
    ended: concurrent.futures.Future[None] = field(default_factory=concurrent.futures.Future)
    listeners: Listeners = field(default_factory=Listeners)
    _refused: Exception | None = None

    def __post_init__(self) -> None:
        self.provider = self.where.provider
        self.settings = frames.plain(self.settings, "session")
        before: Callable[[dict[str, Any], int], None] = lambda *of: self.meter.before(*of)  # noqa: E731
        silent: Callable[[Response, str], None] = lambda *of: self.router.fail_silent(*of)  # noqa: E731
        called = (before, self._tell, self._unread, silent)
        self.channel = Channel(self.where, self.open_transport, *called, self.verbose, self.timeout)
        self.meter = Meter(self.budget, self.model, self.channel.put, self._write_cap, self.warn, self._stop)
        self.meter.know(transcription_model(self.settings))
        self.queue = CallQueue(self.channel, self._stop)
        self.router = Router(self.channel, self.queue, self.unasked)
        self._loop, self._process_id = io_thread.io_loop(), os.getpid()

    def start(self) -> None:
        """Begin to live, on the I/O thread."""
        self._life = self._loop.create_task(self._live())

    # --- from any thread

    def in_order(self, send: Callable[[], Awaitable[Any]], holder: object) -> Handle[Any]:
        """Send something in its place among the calls, and hold `holder`; the handle is what `send` returns."""
        sent: asyncio.Future[asyncio.Future[Any]] = self._loop.create_future()

        def place() -> None:
            try:
                sent.set_result(exchanges.unwatched(send()))  # nobody asks where the session ends in the same moment
            except Exception as error:
                sent.set_exception(error)

        async def answered() -> Any:
            return await (await sent)

        async def until_closed(_held: object = holder) -> Any:
            self.check_open()
            answer = exchanges.unwatched(answered())
            # The session may end before it was ever open.
            await asyncio.wait({answer, self._life}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                raise self.error or self._closed()
            return await answer

        self.call_soon(self.queue.add, place)
        return Handle(asyncio.run_coroutine_threadsafe(until_closed(), self._loop))

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the I/O thread, after those before it; refuse it in a forked child."""
        io_thread.check_process(self._process_id, "session")
        # From another thread the loop is woken by a byte in a socket, a system call that is not needed on its own.
        call = self._loop.call_soon if io_thread.on_io_thread() else self._loop.call_soon_threadsafe
        call(function, *args)

    def take_up(self, turns: Sequence[Turn]) -> Handle[None]:
        """Take up the talk of a session that is over, before anything else is called: it goes on here, in its turns."""
        self.channel.conversation.turns[:] = turns
        return self.in_order(lambda: history.give_history(self.channel, self.warn, mark=" …"), self)

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self.closing = True
        self.call_soon(self.hang_up)

    def forgotten(self) -> None:
        """Hang up, for nobody holds the session any more."""
        if os.getpid() == self._process_id and not self.closing:
            self.close()

    def end_with(self, error: BaseException) -> None:
        """Hang up because of an error; on the I/O thread."""
        self.error = error
        self.hang_up()

    # --- what turns ask for, on the I/O thread

    def hang_up(self) -> None:
        """Close the connection."""
        if self.state == "open":
            self._loop.create_task(self.channel.close())
        elif self.state == "connecting":
            # Not at once: a task cancelled before its first step would not even say that it is over.
            self._loop.call_soon(self._life.cancel)

    def turn_detection(self) -> dict[str, Any] | None:
        """Return the turn detection in force: the server's, or what was asked for where it does not say.

        None where the caller ends turns.
        """
        if self.own_detection is not None:
            return self.own_detection
        effective = self.channel.conversation.session or self.settings
        of_input = (effective.get("audio") or {}).get("input") or {}
        if "turn_detection" in of_input:
            return of_input["turn_detection"]
        return effective.get("turn_detection", self.settings["audio"]["input"]["turn_detection"])

    def warn(self, sentence: str) -> None:
        """Keep a sentence in the session's warnings, and print it."""
        self.warnings.append(sentence)
        self.channel.say(sentence)

    def update(self, wanted: dict[str, Any]) -> Awaitable[dict[str, Any]]:
        """Change the session now; return what waits for `session.updated`."""
        answer = exchanges.update(self.channel, self.model, wanted, self.warn)

        async def kept() -> dict[str, Any]:
            updated = await answer
            self.settings = settings.merge(self.settings, wanted)  # a new session after a break is to be like this one
            return updated

        return kept()

    def _write_cap(self) -> None:
        """Send the session's settings without a change that anybody asked for."""
        exchanges.unwatched(exchanges.update(self.channel, self.model, {"type": "realtime"}, self.warn))

    def check_open(self) -> None:
        """Raise what ended the session, where it is closed."""
        if self.state == "closed":
            raise self.error or self._closed("Your session is closed.")

    def _closed(self, what: str = "You closed the session before this was done.") -> ConnectionFailed:
        return ConnectionFailed(f"{what} Open a new one with rtnb.connect().", url=self.where.url)

    # --- its life

    async def _live(self) -> None:
        end, error = End(None, ""), None
        busy = lambda seconds: self.router.busy or self.channel.seconds - self.channel.received_at < seconds  # noqa: E731
        try:
            async with limits.slot(self.warn, busy):
                end, error = await self._live_on()
        except ConnectionFailed as refused:
            error = refused
        except asyncio.CancelledError:  # closed while it waited for a place
            pass
        error = self.error or error  # where it was we who hung up, this is why
        wanted = self.closing and self.opened.done() and not isinstance(error, KeyRefused)
        if self.where.sideband and self.meter.budget is not None and not wanted:  # nobody watches that call any more
            await asyncio.to_thread(live_calls.hang_up, self.where)
        self.error = None if wanted else error
        self.state = "closed"
        gone = error or self._closed()
        self.queue.close()
        settle(self.opened, error=gone)
        self.channel.fail_expected(gone)
        self.channel.forget()
        self.router.fail_all(gone)
        self.meter.renew()
        self._tell(Closed(end.code, end.reason, self.error))
        settle(self.ended)

    async def _live_on(self) -> tuple[End, BaseException | None]:
        """Connect and receive until the end, and again after a break that may pass."""
        tries = 0
        while True:
            begun = self.channel.seconds
            end, error = await self._connected()
            if self.state == "open" and self.channel.seconds - begun > _RECOVERED_SECONDS:
                tries = 0
            if not isinstance(error, ConnectionFailed) or tries >= _TRIES or not self._may_go_on(end.code):
                return end, error
            tries += 1
            self.state = "connecting"
            self.queue.pause()
            broken = connection_errors.goes_on(error)
            self.channel.fail_expected(broken)
            self.router.fail_all(broken, begun=True)
            self.channel.conversation.renew()
            self.meter.renew()
            seconds = min(8.0, 0.25 * 2**tries) * random.uniform(0.8, 1.2)
            self.warn(f"{str(error).partition('. ')[0]}. rtnb goes on in a new session, with the talk so far as text.")
            self._tell(Reconnecting(end.code, end.reason, seconds))
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                return end, None

    async def _connected(self) -> tuple[End, BaseException | None]:
        """Connect once and receive until the end; return it, and the error it means."""
        try:
            await self.channel.open()
            configuring = self._loop.create_task(self._configure())
            try:
                end = await self.channel.receive()
            finally:
                configuring.cancel()
            if not isinstance(end, End):
                raise end
            if self._refused is not None:
                raise self._refused
        except RtnbError as error:
            return End(error.code if isinstance(error, ConnectionFailed) else None, ""), error
        except Exception as error:
            _log.exception("rtnb: the session's own code failed")
            failed = f"rtnb failed while receiving: {type(error).__name__}: {error}. What came is kept."
            return End(None, ""), ConnectionFailed(failed, reason=str(error), url=self.where.url)
        if self.closing:
            return end, None
        return end, connection_errors.ended(*end, url=self.where.url, expired=self._reported("session_expired"))

    def _may_go_on(self, code: int | None) -> bool:
        """Return whether a new session may take over: it is wanted, there was one, and the reason may pass."""
        wanted = self.reconnect and not self.closing and not self.where.sideband and self.error is None
        # No code: a try to connect again came to nothing, which may pass as well.
        passes = code is None or code in _RECOVERABLE
        return wanted and self.opened.done() and passes and not self._reported(*_HOPELESS)

    def _reported(self, *codes: str) -> bool:
        """Return whether one of the last events is an `error` with one of these codes."""
        tail = self.channel.log[-5:]
        return any(e.type == "error" and server_events.read(e.event)[0]["error"].get("code") in codes for e in tail)

    async def _configure(self) -> None:
        """Wait for the session, configure it, give a new one the history, and let the calls go out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_GREETING_SECONDS, self.channel.timeout or _GREETING_SECONDS)):
                await self._greeted()
        try:
            await exchanges.update(self.channel, self.model, self.settings, self.warn)
            if not self._is_greeted():
                await self.channel.owed(self._greeted(), "{silence}, not even a greeting.")
            if self.opened.done():
                await history.give_history(self.channel, self.warn, self.router.unanswered)
        except ConnectionFailed:
            return  # the break is dealt with where the transport is read
        except Exception as refused:
            if getattr(refused, "code", None) == NO_ANSWER:
                refused = connection_errors.mute(str(refused), self.where.url)
            # Nothing of a refused configuration holds, answering voice detection included: not a session to talk in.
            self._refused = refused
            await self.channel.close()
            return
        self.state = "open"
        settle(self.opened)
        self.queue.open()
        if self.error is not None:  # nothing pays for what the server began at once
            self.hang_up()

    async def _greeted(self) -> None:
        """Wait until the server says which session this is."""
        async with self.listeners.queued() as updates:
            while not self._is_greeted():
                await updates.get()

    def _is_greeted(self) -> bool:
        return self.where.sideband or bool(self.channel.conversation.session)

    # --- what the channel calls

    def _tell(self, update: Any) -> None:
        if not isinstance(update, Piece):  # which costs nothing and is nothing odd
            self.meter.took(update)
            if sentence := warning_of(update, self.sent_raw):
                self._note(update, sentence)
        self.router.route(update)
        self.listeners.tell(update)

    def _note(self, update: Any, sentence: str) -> None:
        """Keep a sentence on a server event once in the session's warnings, and once in those of its turn."""
        sentence = mask_secrets(sentence)
        for warnings in (self.warnings, *(turn.warnings for turn in self.router.concerned(update))):
            if len(warnings) < _MOST_WARNINGS:
                warnings.append(sentence)

    def _stop(self, over: BudgetExceeded) -> None:
        """Close the session: nothing pays for what comes in, or for what the server begins by itself."""
        if self.error is None:
            self.meter.overspent = self.error = over
            if self.state == "open":
                self.hang_up()

    def _unread(self, type_: str, response_id: str, why: str) -> None:
        """Take note of an event that cannot be read, and let nothing wait for ever for what it may have been."""
        sentence = mask_secrets(f"The server sent an event that cannot be read ({type_ or 'without a type'}; {why}).")
        self._tell(Odd({"type": "rtnb.malformed"}, self.channel.seconds, response_id, "", sentence))
        unread = ServerError(f"{sentence} What came is kept; ask again.", code="unreadable_event")
        if self.state != "open" and type_.startswith(("session.", "transcription_session.")):
            self._refused = unread
            self._loop.create_task(self.channel.close())
            return
        talk = self.channel.conversation
        answer = talk.response(response_id) or talk.active_response()
        if type_ == "response.done" and answer is not None:
            self.router.fail_silent(answer, sentence)
        else:
            self.channel.doubt(lambda _: unread, sentence)
