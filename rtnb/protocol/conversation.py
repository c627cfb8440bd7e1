"""The fold: one server event in, updates out. No I/O, no clock, no thread of its own.

`Conversation.turns` is the one place where the state of a talk lives; everything shown is a view of it or of the
updates. Events may come in any order the server likes: input transcription interleaves anywhere with a response
(recorded), `rate_limits.updated` comes after `response.done` or not at all (recorded), and unknown events and fields
change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from rtnb import html
from rtnb.protocol import client_events

if TYPE_CHECKING:
    from rtnb.audio import Clip

__all__ = [
    "AudioDelta",
    "AudioDone",
    "Committed",
    "Conversation",
    "Deleted",
    "Errored",
    "InputTranscript",
    "InputTranscriptFailed",
    "ItemAdded",
    "ItemDone",
    "Other",
    "RateLimits",
    "Response",
    "ResponseEnded",
    "ResponseStarted",
    "Retrieved",
    "SessionStarted",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TextDelta",
    "TimeoutTriggered",
    "ToolCalled",
    "Truncated",
    "Turn",
    "Turns",
    "Update",
]

RATE_HZ = 24_000
BYTES_PER_MS = RATE_HZ * 2 // 1000
TRANSLATION_ITEMS = {"user": "original", "assistant": "translation"}
"""A translation session has no items; its two sides are kept as one turn each, under these ids."""


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Turn:
    """One item of the conversation: what somebody said, typed, called or answered.

    Attributes:
        item_id: The server's id for it.
        role: `"user"`, `"assistant"`, `"system"`, or `"tool"` for a function call's answer and for MCP items.
        type: The item's type: `"message"`, `"function_call"`, `"function_call_output"`, …
        text: What was typed; "" if nothing.
        transcript: What was spoken, as words. None while nobody has transcribed it.
        status: `"in_progress"`, `"completed"` or `"incomplete"`.
        response_id: The response it belongs to. None for what the person sent.
        truncated_ms: To how many milliseconds its sound was cut, because the person spoke over it. None if never.
        in_conversation: False for what an out-of-band response said.
        item: The item as the server last sent it.
    """

    item_id: str
    role: str = "user"
    type: str = "message"
    text: str = ""
    transcript: str | None = None
    status: str = "in_progress"
    response_id: str | None = None
    truncated_ms: int | None = None
    in_conversation: bool = True
    item: dict[str, Any] = field(default_factory=dict)
    spoken: bool = False
    _pcm: list[bytes] = field(default_factory=list, repr=False)
    _pcm_bytes: int = 0
    _odd: bytes = field(default=b"", repr=False)
    _heard: Callable[[], bytes] | None = field(default=None, repr=False)

    @property
    def words(self) -> str:
        """What was said or typed, as text."""
        if self.type == "function_call":
            return f"{self.item.get('name', '')}({self.item.get('arguments', '')})"
        if self.type == "function_call_output":
            return str(self.item.get("output", ""))
        if self.type in ("mcp_call", "mcp_approval_request"):
            call = f"{self.item.get('server_label', '')}.{self.item.get('name', '')}({self.item.get('arguments', '')})"
            told = self.item.get("output") or (self.item.get("error") or {}).get("message")
            return f"{call} → {told}" if told else call + ("?" if self.type == "mcp_approval_request" else "")
        if self.type == "mcp_approval_response":
            return "yes" if self.item.get("approve") else "no"
        if self.type == "mcp_list_tools":
            names = ", ".join(tool.get("name", "") for tool in self.item.get("tools") or ())
            return f"{self.item.get('server_label', '')}: {names}"
        return " ".join(part for part in (self.text, self.transcript) if part)

    @property
    def audio_ms(self) -> float:
        """How much sound of this turn the server has sent, in milliseconds."""
        return self._pcm_bytes / BYTES_PER_MS

    @property
    def pcm(self) -> bytes:
        """All audio of this turn that the server has sent, as it came."""
        return b"".join(self._pcm)

    @property
    def audio(self) -> Clip | None:
        """The turn's sound, mono, 24 kHz. None if it has none. A truncated answer is given as far as it was heard."""
        pcm = self.pcm
        if self._heard is not None:
            pcm = self._heard()
        elif self.truncated_ms is not None:
            pcm = pcm[: self.truncated_ms * BYTES_PER_MS]
        if not pcm:
            return None
        from rtnb.audio import Clip

        return Clip.from_pcm(pcm[: len(pcm) // 2 * 2], rate_hz=RATE_HZ, name=self.role)

    def __repr__(self) -> str:
        words = self.words
        if not words:
            words = "(sound, not transcribed)" if self.spoken else "(nothing yet)"
        return f"{self.role}: {words}"


class Turns(list[Turn]):
    """Turns in the order of the conversation; in a notebook a table of who, words and a player for each."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "(no turns yet)"

    def _repr_html_(self) -> str:
        rows = []
        for turn in self:
            audio = turn.audio
            player = audio._repr_html_() if audio is not None else ""
            words = escape(repr(turn).partition(": ")[2])
            rows.append(
                "<tr style='vertical-align:top'>"
                f"<th scope='row' style='text-align:left'>{escape(turn.role)}</th>"
                f"<td style='text-align:left;white-space:pre-wrap'>{words}</td><td>{player}</td></tr>"
            )
        left = "style='text-align:left'"
        head = f"<tr><th {left}>who</th><th {left}>words</th><th style='text-align:left;width:20rem'>sound</th></tr>"
        return html.root(f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>")


@dataclass(eq=False)
class Response:
    """One response of the model, from `response.created` to `response.done`.

    Attributes:
        id: The server's id for it.
        status: `"in_progress"`, `"completed"`, `"cancelled"`, `"incomplete"` or `"failed"`.
        status_details: The server's words on a status other than completed. None otherwise.
        output: Its items as the server sent them last.
        usage: Its tokens as the server counted them. None until it is done.
        metadata: What was sent along with `response.create`, echoed. None if nothing was.
        conversation_id: None for an out-of-band response.
        turns: Its items, in the order they were added.
        started_at: When `response.created` came, in seconds on the log's clock. The next two likewise.
        first_sound_at: When the first sound came. None without sound.
        ended_at: When `response.done` came. None before.
    """

    id: str
    status: str = "in_progress"
    status_details: dict[str, Any] | None = None
    output: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    conversation_id: str | None = None
    turns: list[Turn] = field(default_factory=list)
    started_at: float | None = None
    first_sound_at: float | None = None
    ended_at: float | None = None

    @property
    def active(self) -> bool:
        """Whether it still runs."""
        return self.status == "in_progress"

    def end(self, status: str, reason: str) -> None:
        """Take note that it is over without a `response.done`."""
        self.status, self.status_details = status, {"type": status, "reason": reason}

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of functions in its output; one `call_id` is one call, however often it stands there."""
        calls: dict[str | int, dict[str, Any]] = {}
        for item in self.output:
            if item.get("type") == "function_call":
                calls.setdefault(item.get("call_id") or id(item), item)
        return list(calls.values())

    @property
    def item_ids(self) -> list[str]:
        """The ids of its items, in the order they were added."""
        return [turn.item_id for turn in self.turns]


# --- updates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    """What one server event changed.

    Attributes:
        event: The event, by its present-day name.
        at_seconds: When it came, on the log's clock.
    """

    event: dict[str, Any]
    at_seconds: float


@dataclass(frozen=True)
class SessionStarted(Update):
    """The session exists; `session` holds the server's defaults."""

    session: dict[str, Any]


@dataclass(frozen=True)
class SessionUpdated(Update):
    """A `session.update` was accepted; `session` is the whole effective configuration."""

    session: dict[str, Any]


@dataclass(frozen=True)
class Committed(Update):
    """The person's sound so far became the item `item_id`, which follows after `previous_item_id`."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True)
class ItemAdded(Update):
    """An item joined the conversation, or, out of band, a response."""

    turn: Turn


@dataclass(frozen=True)
class ItemDone(Update):
    """An item is complete."""

    turn: Turn


@dataclass(frozen=True)
class SpeechStarted(Update):
    """The server hears the person begin, `audio_start_ms` after the first sound ever appended."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True)
class SpeechStopped(Update):
    """The server hears the person end, `audio_end_ms` after the first sound ever appended."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True)
class TimeoutTriggered(Update):
    """Nobody spoke for the session's `idle_timeout_ms`."""

    item_id: str


@dataclass(frozen=True)
class InputTranscript(Update):
    """Words of the person: `piece` is new, `whole` is all so far, `final` says no more will come."""

    item_id: str
    piece: str
    whole: str
    final: bool


@dataclass(frozen=True)
class InputTranscriptFailed(Update):
    """The person's words could not be transcribed; the answer is not affected."""

    item_id: str
    error: dict[str, Any]


@dataclass(frozen=True)
class ResponseStarted(Update):
    """The model begins to answer."""

    response: Response


@dataclass(frozen=True)
class TextDelta(Update):
    """Words of the model: `piece` is new, `whole` is all of this item so far."""

    response_id: str
    item_id: str
    piece: str
    whole: str
    spoken: bool


@dataclass(frozen=True)
class AudioDelta(Update):
    """Sound of the model: whole samples of s16le mono 24 kHz that begin `start_ms` into its item.

    Its `event` has the base64 left out; the log has it.
    """

    response_id: str
    item_id: str
    pcm: bytes
    start_ms: float


@dataclass(frozen=True)
class AudioDone(Update):
    """No more sound of this item will come."""

    response_id: str
    item_id: str


@dataclass(frozen=True)
class ToolCalled(Update):
    """The model calls a function; `arguments` is JSON as the model wrote it."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ResponseEnded(Update):
    """The model's answer is over, whatever its status."""

    response: Response


@dataclass(frozen=True)
class Truncated(Update):
    """An answer was cut to what was heard of it."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True)
class Deleted(Update):
    """An item left the conversation."""

    item_id: str


@dataclass(frozen=True)
class Retrieved(Update):
    """An item as the server has it."""

    item: dict[str, Any]


@dataclass(frozen=True)
class RateLimits(Update):
    """How much the account may still use, as `name`, `limit`, `remaining`, `reset_seconds`."""

    limits: list[dict[str, Any]]


@dataclass(frozen=True)
class Errored(Update):
    """The server complains of something; never fatal by itself."""

    error: dict[str, Any]


@dataclass(frozen=True)
class Other(Update):
    """An event that changes nothing here."""


# --- the fold ---------------------------------------------------------------------------------------------------------


class Conversation:
    """The state of one talk, folded from its events.

    Args:
        heard: Gives the bytes of the person's sound between two offsets from the first byte ever appended; None if
            nobody kept them.

    Attributes:
        session: The session's configuration as the server last told it.
        turns: The items in the order of the conversation.
        responses: Every response by its id, in the order they began.
        rate_limits: What `rate_limits.updated` said last; empty until then.
        rate_limits_at: When it did, on the log's clock. None until then.
        transcribed: `(turn, usage)` for every transcription of the person's sound, which is billed apart.
    """

    def __init__(self, heard: Callable[[int, int], bytes] | None = None) -> None:
        self.session: dict[str, Any] = {}
        self.turns = Turns()
        self.responses: dict[str, Response] = {}
        self.rate_limits: list[dict[str, Any]] = []
        self.rate_limits_at: float | None = None
        self.transcribed: list[tuple[Turn, dict[str, Any]]] = []
        # Ids are a server session's own: the next session may give the same ones to other items.
        self._items: dict[str, Turn] = {}
        self._responses: dict[str, Response] = {}
        self._parts: dict[tuple[str, bool], dict[int, str]] = {}  # (item, spoken) → words by content index
        self._heard = heard
        self._appended = 0  # bytes ever appended
        self._buffer_from = 0  # where the input buffer begins
        self._commits: list[int] = []  # where each commit we sent ends
        self._clears: list[int] = []
        self._speech: dict[str, list[int | None]] = {}  # item id → [start ms, end ms]
        self._called: set[tuple[str, str]] = set()  # (response id, call id)
        self._origin = 0  # bytes appended before the present server session: its offsets count from here
        self._seeds: list[Turn] = []  # turns given to the server again, whose items it will announce
        self._seeded: set[Turn] = set()  # and those it has announced
        self._renames = False  # whether it gives them ids of its own

    @property
    def transcription_usage(self) -> list[tuple[str, dict[str, Any]]]:
        """`(item_id, usage)` for every transcription of the person's sound."""
        return [(turn.item_id, usage) for turn, usage in self.transcribed]

    def renew(self) -> None:
        """Begin a new server session: turns stay, what the old one left open is closed."""
        self.session = {}
        self._origin = self._buffer_from = self._appended
        for response in self._responses.values():
            if response.active:
                response.end("incomplete", "connection_lost")
        for turn in self._items.values():
            if turn.status == "in_progress":
                turn.status = "incomplete"
        for known in (self._commits, self._clears, self._speech, self._parts, self._items):
            known.clear()
        for ids in (self._responses, self._seeded, self._called):
            ids.clear()
        self.end_seeding()

    def seeding(self, turn: Turn) -> None:
        """Take note that `turn` is given to the server again: the item it announces next of this kind is that turn."""
        self._seeds.append(turn)

    def end_seeding(self) -> None:
        """Take note that no turn is given to the server again any more: what it announces now is new."""
        self._seeds.clear()
        self._renames = False

    # What we send matters only for knowing which sound became which item.

    def appended(self, size: int) -> None:
        """Take note that `size` bytes of sound were appended."""
        self._appended += size

    def sent(self, event: Mapping[str, Any]) -> None:
        """Take note of a client event."""
        if event["type"] == "input_audio_buffer.commit":
            self._commits.append(self._appended)
        elif event["type"] == "input_audio_buffer.clear":
            self._clears.append(self._appended)

    def turn(self, item_id: str) -> Turn | None:
        """Return the turn with this id, also one that is out of band. None if there is none."""
        found = self._items.get(item_id)
        return found or next((turn for turn in reversed(self.turns) if turn.item_id == item_id), None)

    def response(self, response_id: str) -> Response | None:
        """Return the response to which the present server session gave this id. None if there is none."""
        return self._responses.get(response_id)

    def active_response(self) -> Response | None:
        """Give the response that is writing to the conversation now. None if none is."""
        for response in reversed(self.responses.values()):
            if response.active and response.conversation_id is not None:
                return response
        return None

    def apply(self, event: dict[str, Any], at_seconds: float = 0.0, pcm: bytes | None = None) -> list[Update]:
        """Fold one server event.

        Args:
            event: The event as it came; Beta names are understood.
            at_seconds: When it came.
            pcm: The sound of an audio delta where it was decoded already; its base64 may then be left out.

        Returns:
            What changed, in order; never empty.
        """
        event = client_events.to_ga(event)
        updates: list[Update] = []
        response_id = event.get("response_id")
        if event["type"] == "response.done":
            response_id = (event.get("response") or {}).get("id") or response_id
        if response_id and response_id not in self._responses:
            # A server that speaks the protocol in part, and never said `response.created`.
            response = self._response(response_id)
            response.started_at = at_seconds
            updates.append(ResponseStarted(event, at_seconds, response))
        if event["type"] == "response.output_audio.delta":
            return [*updates, self._sound(event, at_seconds, pcm)]
        if event["type"] == "session.output_audio.delta":
            return [self._translated_sound(event, at_seconds, pcm)]
        fold = _FOLDS.get(event["type"])
        updates += list(fold(self, event, at_seconds)) if fold else []
        return updates or [Other(event, at_seconds)]

    # session

    def _session(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        self.session = event.get("session") or {}
        yield (SessionStarted if event["type"] == "session.created" else SessionUpdated)(event, at, self.session)

    def _limits(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        self.rate_limits, self.rate_limits_at = event.get("rate_limits") or [], at
        yield RateLimits(event, at, self.rate_limits)

    def _error(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        yield Errored(event, at, event["error"])

    # the person's sound

    def _speech_started(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, start_ms = event.get("item_id") or "", int(event.get("audio_start_ms") or 0)
        self._speech[item_id] = [start_ms, None]
        yield SpeechStarted(event, at, item_id, start_ms)

    def _speech_stopped(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, end_ms = event.get("item_id") or "", int(event.get("audio_end_ms") or 0)
        self._speech.setdefault(item_id, [0, None])[1] = end_ms
        yield SpeechStopped(event, at, item_id, end_ms)

    def _timeout(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id = event.get("item_id") or ""
        self._speech[item_id] = [event.get("audio_start_ms"), event.get("audio_end_ms")]
        yield TimeoutTriggered(event, at, item_id)

    def _committed(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, previous = event.get("item_id") or "", event.get("previous_item_id")
        turn = self._item({"id": item_id, "type": "message", "role": "user"}, previous)
        turn.spoken = True
        speech = self._speech.pop(item_id, None)
        if speech is not None and speech[1] is not None:
            start, end = ((ms or 0) * BYTES_PER_MS + self._origin for ms in speech)
        else:
            start = self._buffer_from
            if speech is not None and speech[0] is not None:
                start = speech[0] * BYTES_PER_MS + self._origin
            end = self._commits.pop(0) if self._commits else self._appended
        self._buffer_from = end
        if self._heard is not None:
            heard = self._heard
            turn._heard = lambda: heard(start, end)
        yield Committed(event, at, item_id, previous)

    def _cleared(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        self._buffer_from = self._clears.pop(0) if self._clears else self._appended
        return ()

    def _transcript_delta(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, piece = event.get("item_id") or "", event.get("delta") or ""
        turn = self._own(item_id) or self._item({"id": item_id, "type": "message", "role": "user"}, None)
        turn.spoken = True
        turn.transcript = (turn.transcript or "") + piece
        yield InputTranscript(event, at, item_id, piece, turn.transcript, False)

    def _transcript_completed(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, whole = event.get("item_id") or "", event.get("transcript") or ""
        turn = self._own(item_id) or self._item({"id": item_id, "type": "message", "role": "user"}, None)
        before = turn.transcript or ""
        turn.spoken, turn.transcript = True, whole
        if event.get("usage"):
            self.transcribed.append((turn, event["usage"]))
        yield InputTranscript(event, at, item_id, whole[len(before) :] if whole.startswith(before) else "", whole, True)

    def _transcript_failed(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        yield InputTranscriptFailed(event, at, event.get("item_id") or "", event.get("error") or {})

    # items

    def _item(
        self,
        item: Mapping[str, Any],
        previous: str | None,
        *,
        in_conversation: bool = True,
        response_id: str | None = None,
    ) -> Turn:
        """Find the turn of an item or make it, and take over what the item says."""
        item_id = item.get("id") or ""
        turn = self._own(item_id)
        if turn is None:
            role = "assistant" if response_id else "user"
            turn = self._items[item_id] = Turn(item_id, role, in_conversation=in_conversation)
            if in_conversation:
                self._place(turn, previous)
        elif in_conversation and not turn.in_conversation:
            # A response announces its item before the conversation does (recorded): only now we know it belongs.
            turn.in_conversation = True
            self._place(turn, previous)
        turn.type = item.get("type") or turn.type
        turn.role = item.get("role") or {"function_call": "assistant", "message": turn.role}.get(turn.type, "tool")
        turn.status = item.get("status") or turn.status
        turn.response_id = response_id or turn.response_id
        turn.item = {**turn.item, **item}
        self._read_content(turn, item.get("content") or ())
        return turn

    def _announced(self, event: Mapping[str, Any]) -> Turn:
        item = event.get("item") or {}
        seeds = self._seeds if event["type"] == "conversation.item.added" else []
        return self._seed_of(item, seeds) or self._item(item, event.get("previous_item_id"))

    def _seed_of(self, item: Mapping[str, Any], seeds: list[Turn]) -> Turn | None:
        """The earlier turn this item is a copy of; it keeps its own words and sound. None for a new one.

        We give the item its old id, which OpenAI's server takes over (recorded); servers that make one up are followed.
        """
        item_id, role, known = item.get("id") or "", item.get("role"), self._items.get(item.get("id") or "")
        seed = next((seed for seed in seeds if seed.item_id == item_id and not self._renames), None)
        if seed is None and known is not None:
            said = Turn(item_id)
            self._read_content(said, item.get("content") or ())
            return known if known in self._seeded and known.words.startswith(said.words) else None
        if seed is None:
            if not seeds or not item_id or (role and role != seeds[0].role):
                return None
            seed, self._renames = seeds[0], True
        seeds.remove(seed)
        self._seeded.add(seed)
        self._items[item_id] = seed
        seed.item_id = item_id
        return seed

    def _own(self, item_id: str) -> Turn | None:
        """The turn of an item that this server session made; it may use the id of one it was given once more."""
        turn = self._items.get(item_id)
        return None if turn in self._seeded else turn

    def _place(self, turn: Turn, previous: str | None) -> None:
        if previous is not None:
            for index in range(len(self.turns) - 1, -1, -1):
                if self.turns[index].item_id == previous:
                    self.turns.insert(index + 1, turn)
                    return
        self.turns.append(turn)

    def _read_content(self, turn: Turn, content: Iterable[Mapping[str, Any]]) -> None:
        texts, transcripts = [], []
        for part in content if isinstance(content, list | tuple) else ():
            part = part if isinstance(part, dict) else {"text": part}
            if part.get("text"):
                texts.append(str(part["text"]))
            if part.get("transcript"):
                transcripts.append(str(part["transcript"]))
            if str(part.get("type", "")).endswith("audio"):
                turn.spoken = True
        if texts:
            turn.text = "\n".join(texts)
        # A user item's transcript stays null in later item events although it was transcribed (recorded).
        if transcripts:
            turn.transcript = "\n".join(transcripts)

    def _item_added(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        yield ItemAdded(event, at, self._announced(event))

    def _item_done(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn = self._announced(event)
        if turn not in self._seeded:
            yield from self._untold(event, at, turn)
        yield ItemDone(event, at, turn)

    def _truncated(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id, end_ms = event.get("item_id") or "", int(event.get("audio_end_ms") or 0)
        turn = self._items.get(item_id)
        if turn is not None:
            turn.truncated_ms = end_ms
        yield Truncated(event, at, item_id, end_ms)

    def _deleted(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        item_id = event.get("item_id") or ""
        turn = self._items.pop(item_id, None)
        if turn is not None and turn in self.turns:
            self.turns.remove(turn)
        yield Deleted(event, at, item_id)

    def _retrieved(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        yield Retrieved(event, at, event.get("item") or {})

    # responses

    def _response(self, response_id: str) -> Response:
        response = self._responses.get(response_id)
        if response is None:
            response = self._responses[response_id] = Response(response_id, conversation_id="default")
            again = response_id in self.responses  # an earlier server session's
            self.responses[f"{response_id} ({len(self.responses)})" if again else response_id] = response
        return response

    def _take_over(self, event: Mapping[str, Any]) -> Response:
        data = event.get("response") or {}
        response = self._response(data.get("id") or event.get("response_id") or "")
        response.status = data.get("status") or response.status
        if details := data.get("status_details"):
            details = details if isinstance(details, dict) else {"error": details}
            if not isinstance(error := details.get("error") or {}, dict):
                details = {**details, "error": {"message": str(error)}}
            response.status_details = details
        output, usage = data.get("output"), data.get("usage")
        if isinstance(output, list) and output:
            response.output = [item for item in output if isinstance(item, dict)]
        if isinstance(usage, dict):
            response.usage = usage or response.usage
        response.metadata = data.get("metadata") or response.metadata
        response.conversation_id = data.get("conversation_id", response.conversation_id)
        return response

    def _response_created(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        response = self._take_over(event)
        response.started_at = at
        yield ResponseStarted(event, at, response)

    def _response_done(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        response = self._take_over(event)
        if response.active:  # some servers leave the status out
            response.status = "completed"
        response.ended_at = at
        in_talk = response.conversation_id is not None
        for turn in response.turns:
            # Servers that speak the protocol in part never say `conversation.item.added` for their own items.
            if in_talk and not turn.in_conversation:
                turn.in_conversation = True
                self._place(turn, None)
        for number, item in enumerate(response.output):
            # What no event before brought is taken from here; some servers bring all words here, and no ids.
            there = response.turns[number] if number < len(response.turns) and not item.get("id") else None
            known, said = self._own(item.get("id") or "") or there, Turn("")
            self._read_content(said, item.get("content") or ())
            if known is None and said.words and said.words in [turn.words for turn in response.turns]:
                continue  # under another id than before
            if known is None or said.words.startswith(known.words):
                item_id = known.item_id if known is not None else item.get("id") or f"{response.id}_{number}"
                turn = self._item({**item, "id": item_id}, None, in_conversation=in_talk, response_id=response.id)
                yield from self._untold(event, at, turn)
            if item.get("type") == "function_call":
                yield from self._call(event, at, response.id, item.get("id") or "", item)
        yield ResponseEnded(event, at, response)

    def _output_item(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        response_id, item = event.get("response_id") or "", event.get("item") or {}
        known = item.get("id") in self._items and self._items[item["id"]].in_conversation
        turn = self._item(item, None, in_conversation=known, response_id=response_id)
        response = self._response(response_id)
        if turn not in response.turns:
            response.turns.append(turn)
        out_of_band = response.conversation_id is None
        if event["type"].endswith("done"):
            yield from self._untold(event, at, turn)
            if out_of_band:
                yield ItemDone(event, at, turn)
        elif out_of_band:
            yield ItemAdded(event, at, turn)

    def _spoken_turn(self, event: Mapping[str, Any]) -> Turn:
        """The turn a delta belongs to; servers that leave out the events before it still get one."""
        item_id, response_id = event.get("item_id") or "", event.get("response_id") or ""
        turn, response = self._own(item_id), self._response(response_id)
        if turn is None:
            item = {"id": item_id, "type": "message", "role": "assistant"}
            talk = response.conversation_id is not None
            turn = self._item(item, None, in_conversation=talk, response_id=response_id)
        if turn not in response.turns:
            response.turns.append(turn)
        turn.response_id = turn.response_id or response_id
        return turn

    def _words(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn, spoken = self._spoken_turn(event), "transcript" in event["type"]
        index = event.get("content_index") or 0
        before = self._parts.setdefault((turn.item_id, spoken), {}).get(index, "")
        if event["type"].endswith("done"):
            whole = event.get("transcript" if spoken else "text")
            return self._final_words(event, at, turn, spoken, index, before if whole is None else whole)
        piece = event.get("delta") or ""
        return self._new_words(event, at, turn, spoken, index, piece, before + piece)

    def _part_done(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn, part = self._spoken_turn(event), event.get("part") or {}
        for spoken, words in ((False, part.get("text")), (True, part.get("transcript"))):
            if words:
                yield from self._final_words(event, at, turn, spoken, event.get("content_index") or 0, words)

    def _final_words(
        self, event: dict[str, Any], at: float, turn: Turn, spoken: bool, index: int, whole: str
    ) -> Iterable[Update]:
        before = self._parts.setdefault((turn.item_id, spoken), {}).get(index, "")
        piece = whole[len(before) :] if whole.startswith(before) else ""
        return self._new_words(event, at, turn, spoken, index, piece, whole)

    def _new_words(
        self, event: dict[str, Any], at: float, turn: Turn, spoken: bool, index: int, piece: str, whole: str
    ) -> Iterable[Update]:
        parts = self._parts[turn.item_id, spoken]
        parts[index] = whole
        joined = whole if len(parts) == 1 else "\n".join(parts.values())
        if spoken:
            turn.transcript, turn.spoken = joined, True
        else:
            turn.text = joined
        if piece:
            yield TextDelta(event, at, turn.response_id or "", turn.item_id, piece, joined, spoken)

    def _untold(self, event: dict[str, Any], at: float, turn: Turn) -> Iterable[Update]:
        """Tell the words of an answer that only a final object brought, and no delta before."""
        if turn.response_id is None or turn.type != "message":
            return
        response = self._response(turn.response_id)
        if turn not in response.turns:
            response.turns.append(turn)
        for spoken, words in ((False, turn.text), (True, turn.transcript or "")):
            told = "\n".join(self._parts.get((turn.item_id, spoken), {}).values())
            if words != told and words.startswith(told):
                self._parts[turn.item_id, spoken] = {0: words}
                yield TextDelta(event, at, response.id, turn.item_id, words[len(told) :], words, spoken)

    def _sound(self, event: dict[str, Any], at: float, pcm: bytes | None) -> Update:
        turn = self._spoken_turn(event)
        if pcm is None:
            pcm = client_events.decode_audio(event.get("delta") or "")
        start_ms = (turn._pcm_bytes - len(turn._odd)) / BYTES_PER_MS
        turn.spoken = True
        turn._pcm.append(pcm)
        turn._pcm_bytes += len(pcm)
        # Deltas may end in the middle of a sample; whoever plays them as they come wants whole ones.
        pcm = turn._odd + pcm
        turn._odd, pcm = pcm[len(pcm) // 2 * 2 :], pcm[: len(pcm) // 2 * 2]
        response = self._response(turn.response_id or "")
        if response.first_sound_at is None:
            response.first_sound_at = at
        return AudioDelta(event, at, response.id, turn.item_id, pcm, start_ms)

    # translation sessions

    def _side(self, role: str) -> Turn:
        turn = self._item({"id": TRANSLATION_ITEMS[role], "type": "message", "role": role}, None)
        turn.spoken = True
        return turn

    def _translated_sound(self, event: dict[str, Any], at: float, pcm: bytes | None) -> Update:
        turn = self._side("assistant")
        pcm = client_events.decode_audio(event.get("delta") or "") if pcm is None else pcm
        start_ms = turn._pcm_bytes / BYTES_PER_MS
        turn._pcm.append(pcm)
        turn._pcm_bytes += len(pcm)
        return AudioDelta(event, at, "", turn.item_id, pcm, start_ms)

    def _translated_words(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn, piece = self._side("assistant"), event.get("delta") or ""
        turn.transcript = (turn.transcript or "") + piece
        yield TextDelta(event, at, "", turn.item_id, piece, turn.transcript, True)

    def _original_words(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn, piece = self._side("user"), event.get("delta") or ""
        turn.transcript = (turn.transcript or "") + piece
        yield InputTranscript(event, at, turn.item_id, piece, turn.transcript, False)

    def _sound_done(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        yield AudioDone(event, at, event.get("response_id") or "", event.get("item_id") or "")

    def _call_done(self, event: dict[str, Any], at: float) -> Iterable[Update]:
        turn = self._items.get(event.get("item_id") or "")
        # The Beta interface left the name out; the item has it.
        told = {k: v for k, v in event.items() if k in ("name", "call_id", "arguments")}
        item = {**(turn.item if turn else {}), **told}
        if turn is not None:
            turn.item = {**turn.item, **item}
        if item.get("name"):
            yield from self._call(event, at, event.get("response_id") or "", event.get("item_id") or "", item)

    def _call(
        self, event: dict[str, Any], at: float, response_id: str, item_id: str, item: Mapping[str, Any]
    ) -> Iterable[Update]:
        """Tell of a call once, whether `…arguments.done` or only `response.done` brought it."""
        call_id = item.get("call_id") or item_id
        if (response_id, call_id) in self._called:
            return
        self._called.add((response_id, call_id))
        yield ToolCalled(
            event, at, response_id, item_id, call_id, item.get("name") or "", item.get("arguments") or "{}"
        )


_Fold = Callable[[Conversation, dict[str, Any], float], Iterable[Update]]
_FOLDS: dict[str, _Fold] = {
    "session.created": Conversation._session,
    "session.updated": Conversation._session,
    "transcription_session.created": Conversation._session,
    "transcription_session.updated": Conversation._session,
    "session.output_transcript.delta": Conversation._translated_words,
    "session.input_transcript.delta": Conversation._original_words,
    "rate_limits.updated": Conversation._limits,
    "error": Conversation._error,
    "input_audio_buffer.speech_started": Conversation._speech_started,
    "input_audio_buffer.speech_stopped": Conversation._speech_stopped,
    "input_audio_buffer.timeout_triggered": Conversation._timeout,
    "input_audio_buffer.committed": Conversation._committed,
    "input_audio_buffer.cleared": Conversation._cleared,
    "conversation.item.input_audio_transcription.delta": Conversation._transcript_delta,
    "conversation.item.input_audio_transcription.completed": Conversation._transcript_completed,
    "conversation.item.input_audio_transcription.failed": Conversation._transcript_failed,
    "conversation.item.added": Conversation._item_added,
    "conversation.item.done": Conversation._item_done,
    "conversation.item.truncated": Conversation._truncated,
    "conversation.item.deleted": Conversation._deleted,
    "conversation.item.retrieved": Conversation._retrieved,
    "response.created": Conversation._response_created,
    "response.done": Conversation._response_done,
    "response.output_item.added": Conversation._output_item,
    "response.output_item.done": Conversation._output_item,
    "response.output_text.delta": Conversation._words,
    "response.output_text.done": Conversation._words,
    "response.output_audio_transcript.delta": Conversation._words,
    "response.output_audio_transcript.done": Conversation._words,
    "response.output_audio.done": Conversation._sound_done,
    "response.content_part.done": Conversation._part_done,
    "response.function_call_arguments.done": Conversation._call_done,
}
