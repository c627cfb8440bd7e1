"""One turn of a session: its state while it is taken, and the reply, which is what its caller sees of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rtnb.audio import Clip, pcm
from rtnb.audio.clip import from_wire
from rtnb.errors import AudioError, InputError, ResponseFailed, RtnbError
from rtnb.money import Cost, Usage
from rtnb.money.bill import Bill, transcription_model
from rtnb.money.meter import Reservation
from rtnb.protocol.event_table import ReceivedEvents
from rtnb.protocol.items import Response, SoFar, Turn
from rtnb.protocol.log import Log
from rtnb.protocol.updates import AudioDelta, Frozen, TextDelta
from rtnb.session.tools import ToolCall
from rtnb.session.updates import Finished, Listener, Listeners
from rtnb.texts.arguments import checks_call
from rtnb.texts.files import save_file
from rtnb.texts.language import Warnings, say
from rtnb.texts.shortening import shortened
from rtnb.timeline.timeline import Timeline
from rtnb.transport import connection_errors
from rtnb.transport.handle import Stream, settle


class Delta(Frozen):
    """Piece of a reply as it comes; `str(piece)` is its words.

    Attributes:
        text: New words; "" for a piece of audio.
        audio: New audio. None for words.
        so_far: All words so far, for `whole`.
        phase: What the model means it as, `"commentary"` or `"final_answer"` (2.x models). None where it does not say.

    Examples:
        >>> reply = rtnb.ask("Repeat after me: yes", practice=True, show=False)
        >>> pieces = [*reply]
        >>> [(piece.text, piece.whole) for piece in pieces if piece.text]
        [('yes', 'yes'), ('.', 'yes.')]
        >>> sum(piece.audio.seconds for piece in pieces if piece.audio) == reply.audio.seconds
        True
    """

    text: str = ""
    audio: Clip | None = None
    so_far: SoFar | str = field(default="", repr=False)
    phase: str | None = None

    @property
    def whole(self) -> str:
        """All words so far."""
        return str(self.so_far)

    @classmethod
    def of(cls, update: Any) -> Delta | None:
        """Return the piece that an update brings. None for one that brings neither words nor audio."""
        if isinstance(update, TextDelta):
            return cls(text=update.piece, so_far=update.so_far, phase=update.phase)
        if isinstance(update, AudioDelta) and update.pcm:
            return cls(audio=from_wire(update.pcm, "piece"), phase=update.phase)
        return None

    def __str__(self) -> str:
        return self.text


class Approval(Frozen):
    """Question whether an MCP server's tool may be called.

    Attributes:
        id: The server's id of the question.
        server_label: Which MCP server.
        name: Which tool.
        arguments: With what, as JSON the model wrote.

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, show=False).wait()
        >>> reply.approvals  # an MCP server's tools wait here for `session.approve`
        []
    """

    id: str
    server_label: str
    name: str
    arguments: str

    def __str__(self) -> str:
        return f"{self.server_label}.{self.name}({self.arguments})"


# The turn whose function, or answer to an approval, the present code is part of.
_caller: contextvars.ContextVar[TurnState | None] = contextvars.ContextVar("rtnb_caller", default=None)


@dataclass(eq=False)
class TurnState:
    """State of one turn, written on the I/O thread; its reply is a view of it.

    Attributes:
        reservation: The money set aside for its next response.
        settings: What its responses are asked for with, as the API's `response.create` takes it.
        progress: `(seconds sent, seconds in all)` of the user's audio; the second is None while unknown.
        beside: Whether it waits for no other turn: an out-of-band response, or functions that no caller asked for.
        unasked: Whether it answers what the model called in a response that no caller asked for.
        responses: Its responses, in order.
        tool_calls: The functions that were called, in order.
        tool_rounds: When the functions of each response began and ended, on the log's clock.
        approvals: Calls of MCP tools that wait to be approved.
        warnings: Sentences about what was odd but stopped nothing.
        items: The user's items of this turn by id, and their turns.
        updates: Its listeners; a new one is called with all earlier updates first.
        future: Done when the turn is over.
        log_begin: Where its events begin in the log.
        log_end: Where they end. None until it is over.
        asked_at: When its answer was asked for first, on the log's clock.
        asked_id: The `event_id` of its last `response.create`.
        cancelled: Whether its caller cancelled it.
        waiting: Whether it waits for code of its caller: functions, or what answers an approval.
        steering: What happens in the session while it is taken.
        place: Done when it is this turn's time to send.
        task: What takes it.
        reply: What its caller has of it.
    """

    reservation: Reservation
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: tuple[float, float | None] = (0.0, 0.0)
    beside: bool = False
    unasked: bool = False
    responses: list[Response] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_rounds: list[tuple[float, float]] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    warnings: list[str] = field(default_factory=Warnings)
    items: dict[str, Turn | None] = field(default_factory=dict)
    updates: Listeners = field(default_factory=lambda: Listeners(keep=True))
    future: concurrent.futures.Future[Reply] = field(default_factory=concurrent.futures.Future)
    log_begin: int = 0
    log_end: int | None = None
    asked_at: float | None = None
    asked_id: str | None = None
    cancelled: bool = False
    waiting: bool = False
    steering: asyncio.Queue[Any] = field(init=False, repr=False)
    place: asyncio.Future[None] = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    reply: Reply = field(init=False)

    @property
    def turns(self) -> list[Turn]:
        """Items of its responses."""
        return [turn for response in self.responses for turn in response.turns]

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Take note that the code in here, and what it starts, is called by this turn, which waits for it."""
        token, self.waiting = _caller.set(self), not self.unasked  # others go on beside those of an unasked one
        try:
            yield
        finally:
            _caller.reset(token)
            self.waiting = False

    def end(self, error: BaseException | None, log_end: int) -> None:
        """Take note that it is over."""
        self.reservation.release()
        if self.future.done():
            return
        error = connection_errors.of_reply(error, self.reply)
        self.log_end = log_end
        settle(self.future, self.reply, error)
        self.updates.tell(Finished(self.reply))


@checks_call
class Reply(Stream["Reply", Delta]):
    """Answer of the model to one turn; it has started already.

    `await reply`, `reply.wait()`, `for piece in reply` and `async for piece in reply` all work, in notebooks and in
    scripts. A turn may take several responses where tools are called in between; the reply spans them all.

    Attributes:
        session: The session it belongs to.
        source: Who answered: `"openai"`, `"practice"`, `"replay"` or the host's name.
        model: The model that answered.
        responses: Its responses, in order.
        tool_calls: The functions that were called, in order, with what they returned.
        approvals: Calls of MCP tools that wait to be approved with `session.approve()`.
        warnings: Plain sentences about what was odd but stopped nothing.

    Examples:
        >>> reply = rtnb.ask("Repeat after me: one two three", practice=True, show=False)
        >>> "".join(piece.text for piece in reply if piece.text)
        'one two three.'
        >>> reply.status, reply.audio.rate_hz, reply.cost.usd > 0
        ('completed', 24000, True)
    """

    shown_by: ClassVar[Callable[[Reply], dict[str, Any]] | None] = None
    """What shows a reply in a notebook stands above it, and puts itself here (`rtnb.ui.reply_card.live`)."""

    shown_live: ClassVar[Callable[[Reply], object] | None] = None
    """What shows a reply while it comes, likewise."""

    def __init__(self, session: Any, turn: TurnState, cancel: Callable[[], None]) -> None:
        super().__init__(turn.future)
        self.session = session
        self.source: str = session.source
        self.model: str = session.model
        self.responses = turn.responses
        self.tool_calls = turn.tool_calls
        self.approvals = turn.approvals
        self.warnings = turn.warnings
        self._turn, self._cancel, turn.reply = turn, cancel, self

    @property
    def progress(self) -> tuple[float, float | None]:
        """`(seconds sent, seconds in all)` of your audio; the second is None while unknown."""
        return self._turn.progress

    def _check_waiting(self, *, blocks: bool = False) -> None:
        super()._check_waiting(blocks=blocks)
        caller = None if self.done or self._turn.beside else _caller.get()
        if caller is not None and caller.waiting and caller.reply.session is self.session:
            circle = "Your function waits for an answer of its own session, which waits for your function."
            raise InputError(f"{circle} Ask with side(), or another session, or do not wait: it comes next.")

    # --- what it says

    @property
    def text(self) -> str:
        """Words of the answer: what was written, or the transcript of what was spoken; "" until some came."""
        return self._so_far("text", "\n".join(t.words for t in self._turn.turns if t.type == "message" and t.words))

    @property
    def audio(self) -> Clip | None:
        """Audio of the answer so far, mono, 24 kHz. None where there is none."""
        audio = pcm.whole_samples(b"".join(turn.pcm for turn in self._turn.turns))
        return self._so_far("audio", from_wire(audio, "answer") if audio else None)

    @property
    def transcript(self) -> str | None:
        """Words of the user, where transcription is on. None otherwise, or not yet."""
        return " ".join(t.transcript for t in self._turn.items.values() if t and t.spoken and t.transcript) or None

    @property
    def awaits_transcript(self) -> bool:
        """True while transcription is on, and the server has not said all words of the user nor that it cannot."""
        talk, said = self.session.conversation, [t for t in self._turn.items.values() if t and t.spoken]
        is_on = transcription_model(talk.session or self.session.settings) is not None
        return is_on and not all(turn.transcript_ended for turn in said)

    @property
    def events(self) -> ReceivedEvents:
        """Every server event of this turn as a dict, audio included, in the order of arrival."""
        return ReceivedEvents([entry for entry in self.log if entry.direction == "received"])

    @property
    def log(self) -> Log:
        """Events of this turn both ways, each with its time, in order."""
        return self.session.log[self._turn.log_begin : self._turn.log_end]

    @property
    def usage(self) -> Usage:
        """Tokens of this turn as the server counted them; all zero until it is done."""
        return self.bill.usage

    @property
    def bill(self) -> Bill:
        """Answers of this turn with their tokens and cents, and the transcription of the user's audio."""
        talk, items = self.session.conversation, set(self._turn.items.values())
        transcribed = [(turn, usage) for turn, usage in talk.transcribed if turn in items]
        transcriber = transcription_model(talk.session or self.session.settings)
        return Bill.of(self.model, self.responses, transcribed, transcriber)

    @property
    def cost(self) -> Cost:
        """Cost of this turn in US dollars, transcription of the user's audio included."""
        return self.bill.cost

    @property
    def status(self) -> str:
        """`"sending"`, `"in_progress"`, `"completed"`, `"cancelled"`, `"incomplete"` or `"failed"`."""
        if not self.done:
            return "in_progress" if self.responses else "sending"
        if isinstance(self.error, RtnbError) and not isinstance(self.error, ResponseFailed):
            return "failed"
        return "cancelled" if self._turn.cancelled or not self.responses else self.responses[-1].status

    @property
    def status_details(self) -> dict[str, Any] | None:
        """Words of the server on a status other than completed. None where it gave none."""
        return self.responses[-1].status_details if self.responses else None

    @property
    def seconds_to_first_sound(self) -> float | None:
        """Time from the end of sending to the first audio of the answer. None until there is some.

        Functions that are called before the first audio are part of it; see `seconds_in_tools`.
        """
        first_at = self._first_sound_at()
        return None if first_at is None or self._turn.asked_at is None else max(0.0, first_at - self._turn.asked_at)

    @property
    def seconds_in_tools(self) -> float:
        """Time that functions took before the first audio of the answer; all of theirs until there is some."""
        first_at = self._first_sound_at()
        return sum(end - begin for begin, end in self._turn.tool_rounds if first_at is None or end <= first_at)

    def _first_sound_at(self) -> float | None:
        return min((r.first_sound_at for r in self.responses if r.first_sound_at is not None), default=None)

    # --- what one can do with it

    def cancel(self) -> None:
        """Stop it: sending, or the response under way. What came stays; the status becomes `cancelled`."""
        if not self.done:
            self._turn.cancelled = True
            self._cancel()

    def save(self, path: str | Path) -> Path:
        """Save the answer's audio in the format of the ending; `.txt` and `.md` save the words.

        Returns:
            The path written.

        Raises:
            AudioError: If there is no audio, or the format cannot be written.
            InputError: If nothing has come yet, or the words cannot be written there.
        """
        if Path(path).suffix.lower() in (".txt", ".md"):
            return save_file(path, self._to_save("text", self.text) + "\n")
        if (audio := self._to_save("audio", self.audio)) is None:
            sentence = "The answer has no sound. Ask with modalities='audio', or save its words to a .txt file."
            raise AudioError(sentence, name=str(path), problem="no sound")
        return audio.save(path)

    def timeline(self) -> Timeline:
        """Draw this turn over time: user, model, tools and socket; click plays, `.save("turn.html")` keeps it."""
        title, session, turn = f"{self.model}, {self.source}", self.session, self._turn
        return Timeline.read(title, session.log, session.conversation, turn.log_begin, turn.log_end)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a function with every update of this turn: what came already, what comes, last `Finished`.

        Args:
            listener: Called with each update on the I/O thread (what came already: at once, on the caller's); it
                must return quickly, and what it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        return self._turn.updates.subscribe(listener)

    def _feed_to(self, put: Callable[[Delta | None], object]) -> Callable[[], None]:
        def take(update: Any) -> None:
            if (piece := Delta.of(update)) is not None or isinstance(update, Finished):
                put(piece)

        return self.subscribe(take)

    def __repr__(self) -> str:
        audio_ms = sum(turn.audio_ms for turn in self._turn.turns)
        sound = say(", {seconds} s of sound", seconds=f"{audio_ms / 1000:.1f}") if audio_ms else ""
        words = f": {shortened(text)}" if (text := self.text) else ""
        return f"Reply({self.status}{sound}, {self.source}){words}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return Reply.shown_by(self) if Reply.shown_by is not None else {"text/plain": repr(self)}
