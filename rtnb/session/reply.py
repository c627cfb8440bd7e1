"""One turn of a session as its caller sees it: words, sound, events, cost, and how it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rtnb.errors import ResponseFailed, RtnbError
from rtnb.protocol import conversation as c
from rtnb.transport.handle import Stream

if TYPE_CHECKING:
    from rtnb.audio import Clip
    from rtnb.money.costs import Cost, Usage
    from rtnb.session.session import Session
    from rtnb.session.tools import ToolCall
    from rtnb.timeline.timeline import Timeline

__all__ = ["Approval", "Delta", "Finished", "Reply"]


@dataclass(frozen=True)
class Delta:
    """One piece of a reply as it comes; `str(piece)` is its words.

    Attributes:
        text: New words; "" for a piece of sound.
        audio: New sound. None for words.
        whole: All words so far.
    """

    text: str = ""
    audio: Clip | None = None
    whole: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Approval:
    """The question whether an MCP server's tool may be called.

    Attributes:
        id: The server's id of the question.
        server_label: Which MCP server.
        name: Which tool.
        arguments: With what, as JSON the model wrote.
    """

    id: str
    server_label: str
    name: str
    arguments: str

    def __str__(self) -> str:
        return f"{self.server_label}.{self.name}({self.arguments})"


@dataclass(frozen=True)
class Finished:
    """The last update of a reply."""

    reply: Reply


_Listener = Callable[[Any], object]


class Reply(Stream["Reply", Delta]):
    """What the model answers to one turn; it has started already.

    `await reply`, `reply.wait()`, `for piece in reply` and `async for piece in reply` all work, in notebooks and in
    scripts. A turn may take several responses where tools are called in between; the reply spans them all.

    Attributes:
        session: The session it belongs to.
        responses: Its responses, in order.
        tool_calls: The functions that were called, in order, with what they gave.
        approvals: Calls of MCP tools that wait to be approved with `session.approve()`.
        progress: `(seconds sent, seconds in all)` of the person's sound; the second is None while unknown.
        warnings: Plain sentences about what was odd but stopped nothing.
    """

    shown_by: ClassVar[Callable[[Reply], dict[str, Any]] | None] = None
    """What shows a reply in a notebook stands above it, and puts itself here (`rtnb.ui.reply_card.live`)."""

    def __init__(self, session: Session, label: str = "") -> None:
        super().__init__()
        self.session = session
        self.responses: list[c.Response] = []
        self.tool_calls: list[ToolCall] = []
        self.approvals: list[Approval] = []
        self.progress: tuple[float, float | None] = (0.0, 0.0)
        self.warnings: list[str] = []
        self._label = label
        self._items: dict[str, c.Turn | None] = {}  # the person's items of this turn by id, and what became of them
        self._place: asyncio.Future[None]  # done when it is its turn to send
        self._begun = False  # whether anything of it was sent
        self._begin = 0  # where its events begin in the log
        self._end: int | None = None
        self._asked_at: float | None = None
        self._asked: str | None = None  # the event_id of its last response.create
        self._tool_rounds: list[tuple[float, float]] = []  # when the functions of each response ran
        self._cancelled = False
        self._updates: list[Any] = []
        self._listeners: list[_Listener] = []
        self._lock = threading.Lock()

    # --- what it says

    def _turns(self) -> list[c.Turn]:
        return [turn for response in self.responses for turn in response.turns]

    @property
    def text(self) -> str:
        """The answer's words: what was written, or the transcript of what was spoken; "" until some came."""
        return "\n".join(t.words for t in self._turns() if t.type == "message" and t.words)

    @property
    def audio(self) -> Clip | None:
        """The answer's sound so far, mono, 24 kHz. None where there is none."""
        from rtnb.audio import Clip

        pcm = b"".join(chunk for turn in self._turns() for chunk in turn._pcm)
        if len(pcm) < 2:
            return None
        return Clip.from_pcm(pcm[: len(pcm) // 2 * 2], rate_hz=c.RATE_HZ, name="answer")

    @property
    def transcript(self) -> str | None:
        """What the server heard of the person, where transcription is on. None otherwise, or not yet."""
        found = [turn for turn in self._items.values() if turn is not None]
        words = [turn.transcript for turn in found if turn.spoken and turn.transcript]
        return " ".join(words) or None

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every server event of this turn, sound included, in the order of arrival."""
        entries = self.session.log[self._begin : self._end]
        return [entry.event for entry in entries if entry.direction == "received"]

    @property
    def usage(self) -> Usage:
        """The tokens of this turn as the server counted them; all zero until it is done."""
        from rtnb.money.costs import Usage

        total = Usage()
        for response in self.responses:
            if response.usage:
                total = total + Usage.from_event(response.usage)
        return total

    @property
    def cost(self) -> Cost:
        """What this turn cost in US dollars, transcription of the person's sound included."""
        return self.session._cost_of(self.responses, filter(None, self._items.values()))

    @property
    def status(self) -> str:
        """`"sending"`, `"in_progress"`, `"completed"`, `"cancelled"`, `"incomplete"` or `"failed"`."""
        if self.done and isinstance(self.error, RtnbError) and not isinstance(self.error, ResponseFailed):
            return "failed"
        if self._cancelled and self.done:
            return "cancelled"
        if not self.responses:
            return "cancelled" if self.done else "sending"
        return self.responses[-1].status if self.done else "in_progress"

    @property
    def status_details(self) -> dict[str, Any] | None:
        """The server's words on a status other than completed. None where it gave none."""
        return self.responses[-1].status_details if self.responses else None

    @property
    def source(self) -> str:
        """Who answered: `"openai"`, `"practice"`, `"replay"` or the host's name."""
        return self.session.source

    @property
    def model(self) -> str:
        """The model that answered."""
        return self.session.model

    @property
    def seconds_to_first_sound(self) -> float | None:
        """Seconds from the end of sending to the first sound of the answer. None until there is one.

        Functions that are called before the first sound are part of it; see `seconds_in_tools`.
        """
        first_at = self._first_sound_at()
        return None if first_at is None or self._asked_at is None else max(0.0, first_at - self._asked_at)

    @property
    def seconds_in_tools(self) -> float:
        """Seconds that functions took before the first sound of the answer; all of theirs until there is one."""
        first_at = self._first_sound_at()
        return sum(end - begin for begin, end in self._tool_rounds if first_at is None or end <= first_at)

    def _first_sound_at(self) -> float | None:
        return min((r.first_sound_at for r in self.responses if r.first_sound_at is not None), default=None)

    # --- what one can do with it

    def cancel(self) -> None:
        """Stop it: sending, or the response under way. What came stays; the status becomes `cancelled`."""
        self._cancelled = True
        self.session._cancel_reply(self)

    def save(self, path: str | Path) -> Path:
        """Save the answer's sound, its format told by the ending; `.txt` and `.md` save the words.

        Returns:
            The path written.

        Raises:
            AudioError: If there is no sound yet, or the format cannot be written.
        """
        from rtnb.errors import AudioError

        path = Path(path)
        if path.suffix.lower() in (".txt", ".md"):
            path.write_text(self.text + "\n", encoding="utf-8")
            return path
        if (audio := self.audio) is None:
            raise AudioError(
                "The answer has no sound. Ask with modalities='audio', or save its words to a .txt file.",
                name=str(path),
                problem="no sound",
            )
        return audio.save(path)

    def timeline(self) -> Timeline:
        """Draw this turn over time: person, model, tools and socket; click plays, `.save("turn.html")` keeps it."""
        from rtnb.timeline.timeline import Timeline

        return Timeline.of_reply(self)

    def subscribe(self, listener: _Listener) -> Callable[[], None]:
        """Hear of every update of this turn: first what came already, then what comes, last `Finished`.

        Args:
            listener: Called with each update on the I/O thread (what came already: at once, on the caller's); it
                must return quickly, and an exception it raises is put into the log of warnings, nothing else.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            for update in self._updates:
                listener(update)
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def _feed_to(self, put: Callable[[Delta | None], object]) -> Callable[[], None]:
        def hear(update: Any) -> None:
            piece = _piece_of(update)
            if piece is not None or isinstance(update, Finished):
                put(piece)

        return self.subscribe(hear)

    def __repr__(self) -> str:
        audio_ms = sum(turn.audio_ms for turn in self._turns())
        sound = f", {audio_ms / 1000:.1f} s of sound" if audio_ms else ""
        text = self.text
        words = f": {text if len(text) <= 80 else text[:79] + '…'}" if text else ""
        return f"Reply({self.status}{sound}, {self.source}){words}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return Reply.shown_by(self) if Reply.shown_by is not None else {"text/plain": repr(self)}

    # --- for the session, on the I/O thread

    def _took(self, item_id: str) -> None:
        """Take note that the server made an item of something of this turn."""
        self._items[item_id] = self.session.conversation.turn(item_id)

    def _tell(self, update: Any) -> None:
        with self._lock:
            self._updates.append(update)
            listeners = list(self._listeners)
        for listener in listeners:
            self.session._call(listener, update)

    def _close(self, error: BaseException | None) -> None:
        if self.done:
            return
        self._end = len(self.session.log)
        self._finish(self) if error is None else self._fail(error)
        self._tell(Finished(self))


def _piece_of(update: Any) -> Delta | None:
    if isinstance(update, c.TextDelta):
        return Delta(text=update.piece, whole=update.whole)
    if isinstance(update, c.AudioDelta) and len(update.pcm) >= 2:
        from rtnb.audio import Clip

        return Delta(audio=Clip.from_pcm(update.pcm[: len(update.pcm) // 2 * 2], rate_hz=c.RATE_HZ, name="piece"))
    return None
