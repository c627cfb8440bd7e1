"""Events both ways over a transport: the log, the fold, and who waits for which answer.

Runs on the I/O thread. It knows events but no turns: those are the session's. Few events name the one that they answer,
so each question says which event it waits for, and the first that was asked is answered first; an `error` names the
event that it refuses.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from rtnb.errors import RtnbError, ServerError, mask_kept, mask_secrets
from rtnb.protocol import beta, client_events, error_events, frames
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.entry import Entry
from rtnb.protocol.frames import Event
from rtnb.protocol.items import Response
from rtnb.protocol.log import Log, take_audio
from rtnb.protocol.updates import Odd, Other, ResponseEnded, Update
from rtnb.texts.language import say, translate
from rtnb.texts.shortening import shortened
from rtnb.transport import connection_errors
from rtnb.transport.endpoint import Address
from rtnb.transport.websocket import End, OpenTransport, Transport

# How long a server may owe an answer after an error that names no event, or an event that cannot be read.
_SILENCE_SECONDS = 3.0

# How the types of events begin that show that a server is at work; "ping" and `rate_limits.updated` show nothing.
_AT_WORK = ("session.", "transcription", "response.", "conversation.", "input_audio_buffer.")
_WAIT = "Try again, or wait longer with timeout=."

NO_ANSWER = "no_answer"
"""Code of the error for what a server owed and never sent."""

_log = logging.getLogger("rtnb")
T = TypeVar("T")


class _Expectation(NamedTuple):
    """Client event whose answer is waited for."""

    answers: Callable[[Event], bool]
    future: asyncio.Future[Event]
    doing: str

    def fail(self, error: BaseException) -> None:
        """Fail with this error where no answer came before."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # nobody may be waiting any more


class Channel:
    """One transport at a time, with every event that goes over it kept in the log and folded.

    Args:
        where: The server.
        open_transport: Opens a transport to it.
        before: Called with each client event before it is sent, and with the size of its audio where that is not in
            it; it may write into it, and what it raises refuses it.
        tell: Called with every update, on the I/O thread.
        unread: Called with the type of an event that cannot be read, the id of its response ("" where it has none),
            and why.
        silent: Called with an answer that got no end, and a sentence that may say why.
        verbose: Whether to print every event.
        timeout: Seconds for which a server that owes something may send nothing. None: as long as it likes.

    Attributes:
        conversation: The state folded from the events.
        log: Every event both ways.
        provider: The kind of server, and what it lacks.
        timeout: As given.
        received_at: When the last frame came, on the log's clock.
    """

    def __init__(
        self,
        where: Address,
        open_transport: OpenTransport,
        before: Callable[[Event, int], None],
        tell: Callable[[Update], None],
        unread: Callable[[str, str, str], None],
        silent: Callable[[Response, str], None],
        verbose: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.log = Log()
        self.conversation = Conversation(self.log.heard.read, self.log.spoken)
        self.provider = where.provider
        self._where, self._open, self._verbose = where, open_transport, verbose
        self._before, self._tell, self._unread, self._silent = before, tell, unread, silent
        self.received_at = 0.0
        self.timeout = timeout
        self._worked_at: dict[str, float] = {}  # response id ("" for none) → when its last event came
        # What is printed from the I/O thread belongs to the cell that opened the session.
        self._context = contextvars.copy_context()
        self._born = time.perf_counter()
        self._transport: Transport | None = None
        self._expected: dict[str, _Expectation] = {}
        self._looks: dict[Callable[[], None], asyncio.TimerHandle] = {}  # what looks whether something owed has come
        self._last_error = (0.0, "")  # when the server said it, and what

    @property
    def seconds(self) -> float:
        """Time since the channel was asked for, on the log's clock."""
        return time.perf_counter() - self._born

    @property
    def unsent_bytes(self) -> int:
        """Bytes of audio that wait to be sent."""
        return 0 if self._transport is None else self._transport.unsent_bytes

    async def open(self) -> None:
        """Open a transport to the server.

        Raises:
            KeyRefused: If the server does not accept the key.
            ConnectionFailed: If none can be opened.
        """
        self._transport = await self._open()

    async def receive(self) -> End | RtnbError:
        """Receive until the transport ends.

        Returns:
            The end. Where no session came about, the error it means, `KeyRefused` or `ConnectionFailed`: returned and
            not raised, for the frames of this function quote what the server said, which may quote the key.
        """
        assert self._transport is not None
        transport, complaint = self._transport, None
        try:
            while not isinstance(frame := await transport.receive(), End):
                for event in map(self._take, frames.split(frame)):
                    if event is not None and event["type"] == "error" and not self.conversation.session:
                        complaint = event
        finally:
            try:
                await transport.close()
            finally:
                self._transport = None
        if complaint is not None:
            return connection_errors.in_session(complaint, frame.code, frame.reason, self._where.url)
        return frame

    def forget(self) -> None:
        """Wait for nothing any more: else a minute of ended sessions stays in memory."""
        while self._looks:
            self._looks.popitem()[1].cancel()

    async def close(self) -> None:
        """Say goodbye and wait for the server's."""
        if self._transport is not None:
            await self._transport.close()

    # --- out

    def put(self, event: Event, pcm: bytes | None = None) -> None:
        """Send an event; during a break it is lost. The log has what is sent, in the same order.

        Args:
            event: The event.
            pcm: The audio of an `input_audio_buffer.append` that has none in it. None for none.

        Raises:
            BudgetExceeded: If the session's budget does not cover it.
        """
        if self._transport is None:
            return
        self._before(event, len(pcm or b""))
        self.conversation.sent(event)
        at, event_id = self.seconds, event["event_id"]
        entry = self.log.sent(event, at) if pcm is None else self.log.appended(event_id, pcm, at)
        if event["type"] == "input_audio_buffer.append":
            self.conversation.appended(entry.sound_bytes)
        self._show("→", entry)
        on_wire = beta.to_beta(event) if self.provider.beta_names else event
        frame = frames.dumps(on_wire) if pcm is None else client_events.append_frame(event_id, pcm)
        self._transport.send(frame, len(pcm or b""))

    def append(self, pcm: bytes) -> None:
        """Send audio; during a break it is lost.

        Raises:
            BudgetExceeded: If the session's budget does not cover it.
        """
        self.put({"type": "input_audio_buffer.append", "event_id": client_events.new_event_id()}, pcm)

    async def drained(self, at_most_bytes: int = 0) -> None:
        """Wait until no more than this many bytes of audio wait to be sent.

        Raises:
            ServerError: If the server takes nothing any more.
        """
        if self._transport is not None:
            await self.owed(self._transport.drained(at_most_bytes), "{silence}, and takes no more audio. " + _WAIT)

    async def flushed(self) -> None:
        """Wait until everything given so far is sent.

        Raises:
            ConnectionFailed: If the transport ended before it was.
            ServerError: If the server takes nothing any more.
        """
        taken = "{silence}, and takes nothing any more. " + _WAIT
        if self._transport is None or not await self.owed(self._transport.flushed(), taken):
            raise connection_errors.ended(None, "", url=self._where.url)

    def expect(self, event: Event, answers: Callable[[Event], bool], doing: str) -> asyncio.Future[Event]:
        """Send an event now; return a future of the event that answers it.

        Args:
            event: The client event, with an `event_id`.
            answers: Returns whether a server event is the answer.
            doing: What is being asked, for "The server refused …".

        Returns:
            A future that fails with `ServerError` if an `error` names the event, or nothing answers it in time.

        Raises:
            BudgetExceeded: If the session's budget does not cover it.
        """
        self.put(event)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._expected[event["event_id"]] = expectation = _Expectation(answers, future, doing)
        future.add_done_callback(lambda _: self._expected.pop(event["event_id"], None))
        if self._transport is None:
            expectation.fail(connection_errors.ended(None, "", url=self._where.url))
        missing = "{silence}, not even that it refused {doing}. " + _WAIT
        expected, event_id = self._expected, event["event_id"]  # by its id: what was asked must not be held for so long
        error = lambda silence: ServerError(missing.format(silence=silence, doing=doing), code=NO_ANSWER)  # noqa: E731
        self.limit(lambda: event_id not in expected, lambda silence: expected[event_id].fail(error(silence)))
        return future

    def limit(
        self,
        is_over: Callable[[], bool],
        give_up: Callable[[str], object],
        response_id: str = "",
        seconds: float | None = None,
    ) -> None:
        """Call a function where the server owes something and sends nothing for too long.

        Args:
            is_over: Returns whether nothing is owed any more.
            give_up: Called with the beginning of a sentence, "The server sent nothing for 60 s".
            response_id: The response of which something is owed; events of other responses do not count then.
            seconds: How long is too long. None: the timeout of the session.
        """
        if (limit := self.timeout if seconds is None else seconds) is None:
            return
        began = at_work = self.seconds
        sent, waits = 0, False

        def look() -> None:
            nonlocal at_work, sent, waits
            self._looks.pop(look, None)
            if is_over():
                return
            taken = 0 if self._transport is None else self._transport.sent_frames
            if (waits or self.unsent_bytes) and taken != sent:  # a long recording on its way, which the server takes
                at_work = self.seconds
            sent, waits = taken, bool(self.unsent_bytes)
            worked = [self._worked_at.get(of, 0.0) for of in ({"", response_id} if response_id else self._worked_at)]
            left = limit - (self.seconds - max(at_work, *worked, 0.0))
            if left > 0:
                self._looks[look] = asyncio.get_running_loop().call_later(left, look)
            else:
                said_at, said = self._last_error
                silence = self.silence(limit, "The server ")
                give_up(f"{silence} after it had said “{said}”" if said_at >= began and said else silence)

        look()

    def silence(self, seconds: float, subject: str = "") -> str:
        """Return what a server did that has not sent what it owes for so long: "sent nothing for 60 s"."""
        if self.received_at > max(self.seconds - seconds, self._last_error[0]):  # limits and pings, say
            return f"{subject}sent nothing of the answer for {seconds:g} s"
        return f"{subject}sent nothing for {seconds:g} s"

    async def owed(self, waiting: Awaitable[T], missing: str) -> T:
        """Wait for something that the server owes, until it has sent nothing for too long.

        Args:
            waiting: What waits for it.
            missing: A sentence, its beginning in braces: `{silence}` becomes "The server sent nothing for 60 s".

        Raises:
            ServerError: If it does not come.
        """
        task, silent = asyncio.ensure_future(waiting), asyncio.get_running_loop().create_future()
        self.limit(lambda: task.done() or silent.done(), silent.set_result)
        try:
            await asyncio.wait({task, silent}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ServerError(missing.format(silence=silent.result()), code=NO_ANSWER)
            return task.result()
        finally:
            task.cancel()
            silent.cancel()

    def fail_expected(self, error: BaseException) -> None:
        """Let every question that waits fail: no answer will come."""
        for expectation in list(self._expected.values()):
            expectation.fail(error)

    # --- in

    def _take(self, frame: bytes) -> Event | None:
        """Log one frame, fold it, and pass on its updates. Return None for one that cannot be read."""
        at = self.received_at = self.seconds
        odd: list[str] = []
        try:
            event = frames.loads(frame, odd.append)
            pcm = take_audio(event)
            if b'"error"' in (line := frames.dumps(event)):  # that is where a server quotes a key
                event = frames.loads(mask_kept(line.decode(), words=False))
        except (TypeError, ValueError) as error:
            text = mask_kept(frame[:100_000].decode("utf-8", "replace"), words=False)
            self.log.received({"type": "rtnb.malformed", "bytes": len(frame), "text": text}, at)
            self._unread(*frames.type_of(frame), str(error))
            return None
        self._show("←", self.log.received(event, at, pcm))
        try:
            updates = self.conversation.apply(event, at, pcm or None)
            folded = updates[0].event
            updates += [Odd.of(folded, at, sentence) for sentence in odd]
            if event["type"].startswith(_AT_WORK):
                self._worked_at[folded.get("response_id") or ""] = at
            for update in updates:
                self._tell(update)
            if self._expected or folded["type"] == "error":
                for said in {id(update.event): update.event for update in updates}.values():
                    self._settle(said, usual=isinstance(event.get("error"), dict))
        except Exception as error:  # whatever form a server gives it, the next event is read all the same
            _log.debug("rtnb: an event could not be read", exc_info=True)
            self._unread(*frames.type_of(frame), f"{type(error).__name__}: {error}")
            self._tell(Other(event, at))  # some of it may have been taken over
            return None
        return folded

    def _settle(self, event: Event, *, usual: bool) -> None:
        """Hand an event to the first question that waits for it; `usual`: an error in the API's form."""
        if event["type"] == "error":
            self._last_error = self.seconds, error_events.reason_in(event["error"])
            named = event["error"].get("event_id")
            if (expectation := self._expected.get(named or "")) is not None:
                expectation.fail(error_events.error_from(event, expectation.doing))
            elif not named:  # the API names the event where it can; other servers never do
                said = say("The server said “{said}” and nothing after it.", said=self._last_error[1])
                self.doubt(lambda doing: error_events.error_from(event, doing), said, usual=usual)
            return
        for expectation in self._expected.values():
            if not expectation.future.done() and expectation.answers(event):
                expectation.future.set_result(event)
                return

    def doubt(self, why: Callable[[str], RtnbError], said: str, *, usual: bool = False) -> None:
        """Let nothing wait for ever for what an odd event may have meant: give up where nothing comes after it.

        Args:
            why: Makes the error from what was being done, for "The server refused …".
            said: What happened, as a sentence.
            usual: Whether it is an error in the API's own form, after which a slow server may still answer.
        """
        seconds, answer = _SILENCE_SECONDS * (5 if usual else 1), self.conversation.active_response()
        for one in self._expected.values():
            self.limit(one.future.done, lambda _, one=one: one.fail(why(one.doing)), seconds=seconds)  # type: ignore[misc]
        if answer is not None:
            self.limit(lambda: not answer.active, lambda _: self._silent(answer, said), seconds=seconds)

    def tell_ended(self, response: Response) -> None:
        """Report the end of a response of which the server says none."""
        self._tell(ResponseEnded({"type": "rtnb.no_end", "response_id": response.id}, self.seconds, response))

    def say(self, sentence: str) -> None:
        """Print a sentence into the cell that opened the session."""
        with contextlib.suppress(Exception):  # a front end that is gone must not end the session
            self._context.run(print, mask_secrets(translate(sentence)), flush=True)

    def _show(self, arrow: str, entry: Entry) -> None:
        if not self._verbose:
            return
        event = entry.brief
        shown = frames.dumps({k: v for k, v in event.items() if k not in ("type", "event_id", "obfuscation")}).decode()
        self.say(f"{self.seconds:7.3f} s {arrow} {event['type']} {shortened(shown, 160)}")
