"""Items and responses of a conversation, as far as the server has said them: plain state, changed by the fold alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rtnb import html
from rtnb.audio.clip import Clip, from_wire
from rtnb.audio.formats import sniff
from rtnb.audio.pcm import BYTES_PER_MS, whole_samples
from rtnb.audio.shape import wav_header
from rtnb.protocol.entry import Spool
from rtnb.protocol.frames import Event, decode_odd_audio
from rtnb.texts.language import say, translate

TRANSLATION_ITEMS = {"user": "original", "assistant": "translation"}
"""A translation session has no items; its two sides are kept as one turn each, under these ids."""


class SoFar(NamedTuple):
    """Text as it was at one moment; `str()` of it is the text.

    Text grows at its end, and each delta of a long answer has all of it so far: they share one text, and a length each.

    Attributes:
        grown: List of one text, which goes on to grow.
        length: How much of it was there.
    """

    grown: list[str]
    length: int

    def __str__(self) -> str:
        return self.grown[0][: self.length]


@dataclass(eq=False)
class Turn:
    """Item of the conversation: what somebody said, typed, called or answered.

    Attributes:
        item_id: The server's id for it.
        role: `"user"`, `"assistant"`, `"system"`, or `"tool"` for a function call's answer and for MCP items.
        type: The item's type: `"message"`, `"function_call"`, `"function_call_output"`, …
        text: What was typed; "" if nothing.
        transcript: What was spoken, as words. None while nobody has transcribed it.
        status: `"in_progress"`, `"completed"` or `"incomplete"`.
        response_id: The response it belongs to. None for what the user sent.
        truncated_ms: To how many milliseconds its audio was cut, because the user spoke over it. None if never.
        in_conversation: False for what an out-of-band response said.
        phase: What the model means its words as, `"commentary"` or `"final_answer"` (2.x models). None where it does
            not say.
        transcript_ended: True once the user's words are all transcribed, or cannot be.
        item: The item as the server last sent it.
        spoken: True for what has or had audio.
        heard: Returns the user's audio of this turn. None for a turn of the model, or where nobody kept it.
        audio_bytes: Size of the audio that the server has sent for this turn.
        sounds: What holds the audio that the server has sent.
        first_id: Its id in the server session it is from; "" until it is given to another one, which may rename it.

    Examples:
        >>> reply = rtnb.ask(rtnb.samples()["question"], practice=True, modalities="text", show=False).wait()
        >>> turn = reply.session.turns[0]
        >>> turn.role, turn.type, turn.spoken, turn.audio.seconds
        ('user', 'message', True, 1.9...)
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
    phase: str | None = None
    transcript_ended: bool = False
    item: dict[str, Any] = field(default_factory=dict)
    spoken: bool = False
    heard: Callable[[], bytes] | None = field(default=None, repr=False)
    audio_bytes: int = 0
    first_id: str = ""
    sounds: Spool = field(default_factory=Spool, repr=False)
    _stretches: list[tuple[int, int]] = field(default_factory=list, repr=False)  # of `sounds`, that are its audio
    _half_sample: bytes = field(default=b"", repr=False)
    _compressed: bool = False
    # spoken or not → words by content index
    _parts: dict[bool, dict[int, str]] = field(default_factory=lambda: {False: {}, True: {}}, repr=False)
    _player: tuple[Any, str] = field(default=(None, ""), repr=False)  # what it was made of, and itself
    _grown: dict[bool, list[str]] = field(default_factory=dict, repr=False)  # spoken or not → its text

    @property
    def words(self) -> str:
        """Text of what was said or typed."""
        if self.type == "function_call":
            return f"{self.item.get('name', '')}({self.item.get('arguments', '')})"
        if self.type == "function_call_output":
            return str(self.item.get("output", ""))
        if self.type in ("mcp_call", "mcp_approval_request"):
            call = f"{self.item.get('server_label', '')}.{self.item.get('name', '')}({self.item.get('arguments', '')})"
            result = self.item.get("output") or (self.item.get("error") or {}).get("message")
            return f"{call} → {result}" if result else call + ("?" if self.type == "mcp_approval_request" else "")
        if self.type == "mcp_approval_response":
            return translate("yes" if self.item.get("approve") else "no")
        if self.type == "mcp_list_tools":
            names = ", ".join(tool.get("name") or "" for tool in self.item.get("tools") or ())
            return f"{self.item.get('server_label', '')}: {names}"
        return " ".join(part for part in (self.text, self.transcript) if part)

    @property
    def pcm(self) -> bytes:
        """Audio that the server has sent for this turn, s16le mono 24 kHz, also what was never played."""
        return b"".join(self.sounds.read(*stretch) for stretch in self._stretches)

    @property
    def audio_ms(self) -> float:
        """Length of the audio that the server has sent for this turn, in milliseconds."""
        return self.audio_bytes / BYTES_PER_MS

    @property
    def audio(self) -> Clip | None:
        """Audio of the turn, mono, 24 kHz; None if it has none. Of a truncated answer, what was played of it."""
        pcm = self.pcm if self.heard is None else self.heard()
        if self.heard is None and self.truncated_ms is not None:
            pcm = pcm[: self.truncated_ms * BYTES_PER_MS]
        if not pcm:
            return None
        return from_wire(pcm, self.role)

    def player(self) -> str:
        """Return a player of its audio as HTML; "" where it has none. It is made once, until the audio changes."""
        key = (self.heard, self.audio_bytes, self.truncated_ms, label := translate(self.role))
        if self._player[0] != key:
            self._player = key, audio.player(label, compact=True) if (audio := self.audio) else ""
        return self._player[1]

    def cut(self) -> tuple[str, str]:
        """Return about the words that were heard of it and those that were not, because the user spoke over it."""
        if self.truncated_ms is None or not self.audio_ms:
            return self.words, ""
        words = self.words.split()
        # Chinese and Japanese have no spaces: there, so many characters.
        units, between = (words, " ") if len(words) > 1 else (list(self.words), "")
        count = round(len(units) * self.truncated_ms / self.audio_ms)
        return between.join(units[:count]), between.join(units[count:])

    def told(self) -> str:
        """Return its words; of one that was spoken over those that were heard, and then where it was cut."""
        heard, unheard = self.cut()
        if not unheard:
            return heard
        seconds = f"{(self.truncated_ms or 0) / 1000:.1f}"
        return f"{heard} {say('(interrupted after {seconds} s; not heard: {words})', seconds=seconds, words=unheard)}"

    def __repr__(self) -> str:
        nothing = "(sound, not transcribed)" if self.spoken else "(nothing yet)"
        return f"{translate(self.role)}: {self.told() or translate(nothing)}"

    def take_item(self, item: Mapping[str, Any]) -> None:
        """Take over what the server says of the item."""
        self.type = item.get("type") or self.type
        self.role = item.get("role") or {"function_call": "assistant", "message": self.role}.get(self.type, "tool")
        self.status = item.get("status") or self.status
        self.phase = item.get("phase") or self.phase
        self.item = {**self.item, **item}
        self.take_content(item.get("content"))

    def take_content(self, content: Iterable[Mapping[str, Any]] | None) -> None:
        """Take over the words of an item's content; content without words changes nothing."""
        parts = content or ()
        self.spoken = self.spoken or any((part.get("type") or "").endswith("audio") for part in parts)
        self.text = "\n".join(part["text"] for part in parts if part.get("text")) or self.text
        # A user item's transcript stays null in later item events although it was transcribed (recorded).
        spoken = "\n".join(part["transcript"] for part in parts if part.get("transcript"))
        self.transcript = spoken or self.transcript

    def part(self, spoken: bool, index: int) -> str:
        """Return the words so far of one content part, as deltas and final events brought them."""
        return self._parts[spoken].get(index, "")

    def take_part(self, spoken: bool, index: int, words: str) -> tuple[str, str]:
        """Take over the words of one content part.

        Returns:
            What is new in the part ("" where its words do not go on from those before), and the words of all parts.
        """
        parts = self._parts[spoken]
        before = parts.get(index, "")
        new = words[len(before) :] if words.startswith(before) else ""
        parts[index] = words
        whole = words if len(parts) == 1 else "\n".join(parts.values())
        if spoken:
            self.transcript, self.spoken = whole, True
        else:
            self.text = whole
        return new, whole

    def so_far(self, spoken: bool, text: str) -> SoFar:
        """Return a text of this turn, spoken or typed, as it is now; where it has only grown nothing is copied."""
        grown = self._grown.setdefault(spoken, [""])
        if not text.startswith(grown[0]):
            grown = self._grown[spoken] = [""]
        grown[0] = text
        return SoFar(grown, len(text))

    def rest(self, spoken: bool) -> str:
        """Return the words that stand in the item and that no part has brought; they count as brought from now on."""
        words = (self.transcript or "") if spoken else self.text
        before = "\n".join(self._parts[spoken].values())
        if words == before or not words.startswith(before):
            return ""
        self._parts[spoken] = {0: words}
        return words[len(before) :]

    def samples_in(self, data: bytes) -> tuple[bytes, str]:
        """Take a header off one piece of the server's audio; return the samples, and a sentence on what was odd."""
        if self._compressed:
            return b"", ""
        if not data or (self.audio_bytes and data[:4] != b"RIFF"):  # nearly all
            return data, ""
        # As long as an MPEG frame may be: behind a shorter piece no second header proves the first.
        if (kind := sniff(io.BytesIO(data.ljust(8192, b"\0")))) is None:
            return data, ""
        if kind == "wav":
            samples = b"".join(data[start:end] for start, end in wav_header(io.BytesIO(data)).stretches)
            return samples, "The server sent its audio with the header of a WAV file, which was taken off."
        self._compressed = True
        return b"", f"The server sent its audio as {kind}, not as PCM: it is in the log only, and cannot be played."

    def rest_of_audio(self, content: Iterable[Mapping[str, Any]] | None) -> bytes:
        """Return the audio that stands in final content and that no delta has brought.

        Raises:
            ValueError: If it is not base64.
        """
        parts = [part["audio"] for part in content or () if isinstance(part.get("audio"), str)]
        whole, _ = self.samples_in(b"".join(map(decode_odd_audio, parts)))
        return whole[self.audio_bytes :] if len(whole) > self.audio_bytes and whole.startswith(self.pcm) else b""

    def add_audio(self, pcm: bytes, *, kept: bool = False) -> tuple[bytes, float]:
        """Take over one piece of the server's audio.

        Args:
            pcm: One delta, s16le mono 24 kHz. It may end in the middle of a sample; who plays it wants whole ones.
            kept: Whether it is the end of `sounds` already.

        Returns:
            The whole samples that are complete now, and where they begin, in milliseconds from the turn's beginning.
        """
        start_ms = (self.audio_bytes - len(self._half_sample)) / BYTES_PER_MS
        self.spoken = True
        start = self.sounds.size - len(pcm) if kept else self.sounds.write(pcm)
        if self._stretches and self._stretches[-1][1] == start:  # nearly all
            self._stretches[-1] = self._stretches[-1][0], start + len(pcm)
        else:
            self._stretches.append((start, start + len(pcm)))
        self.audio_bytes += len(pcm)
        pcm = self._half_sample + pcm
        whole = whole_samples(pcm)
        self._half_sample = pcm[len(whole) :]
        return whole, start_ms


class Turns(list[Turn]):
    """Turns in the order of the conversation; in a notebook a table of who, words and a player for each.

    Examples:
        >>> with rtnb.connect(practice=True, modalities="text", show=False) as chat:
        ...     reply = chat.ask("Repeat after me: yes").wait()
        >>> chat.turns
        user: Repeat after me: yes
        assistant: yes.
    """

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or translate("(no turns yet)")

    def _repr_html_(self) -> str:
        rows = []
        for turn in self:
            rows.append((translate(turn.role), repr(turn).partition(": ")[2], html.Safe(turn.player())))
        return html.table(("who", "words", "sound"), rows)


@dataclass(eq=False)
class Response:
    """Response of the model, from `response.created` to `response.done`.

    Attributes:
        id: The server's id for it, or one made up where it began without.
        status: `"in_progress"`, `"completed"`, `"cancelled"`, `"incomplete"` or `"failed"`.
        status_details: The server's words on a status other than completed. None otherwise.
        output: Its items as the server sent them last.
        usage: Its tokens as the server counted them. None until it is done.
        metadata: What was sent along with `response.create`, echoed. None if nothing was.
        conversation_id: None for an out-of-band response.
        turns: Its items, in the order they were added.
        started_at: When `response.created` came, in seconds on the log's clock. The next two likewise.
        first_sound_at: When the first audio came. None without audio.
        ended_at: When `response.done` came. None before.
        cut: Sentence on who cut it, where it was not the server or the caller; "" otherwise.
        server_id: The server's id for it; "" while it has said none.

    Examples:
        >>> reply = rtnb.ask("Hello", practice=True, modalities="text", show=False).wait()
        >>> response = reply.responses[0]
        >>> response.status, response.started_at < response.ended_at
        ('completed', True)
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
    cut: str = ""
    server_id: str = ""

    @property
    def active(self) -> bool:
        """True while it is in progress."""
        return self.status == "in_progress"

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Function calls in its output; one `call_id` is one call, however often it stands there."""
        calls: dict[str | int, dict[str, Any]] = {}
        for item in self.output:
            if item.get("type") == "function_call":
                calls.setdefault(item.get("call_id") or id(item), item)
        return list(calls.values())

    @property
    def empty(self) -> bool:
        """True while it has brought no words, no audio, and no item of another kind such as a function call."""
        others = any(item.get("type", "message") != "message" for item in self.output)
        return not others and not any(turn.words or turn.audio_bytes for turn in self.turns)

    @property
    def item_ids(self) -> list[str]:
        """Ids of its items, in the order they were added."""
        return [turn.item_id for turn in self.turns]

    def end(self, status: str, reason: str) -> None:
        """Take note that it is over without a `response.done`."""
        self.status, self.status_details = status, {"type": status, "reason": reason}

    def add(self, turn: Turn) -> None:
        """Take note that an item belongs to this response."""
        if turn not in self.turns:
            self.turns.append(turn)

    def take_over(self, said: Mapping[str, Any]) -> None:
        """Take over the `response` object of an event. Servers leave fields out, and one that is over stays so."""
        if (status := said.get("status")) and status != "in_progress":
            self.status = status
        self.status_details = said.get("status_details") or self.status_details
        self.output = said.get("output") or self.output
        self.usage = said.get("usage") or self.usage
        self.metadata = said.get("metadata") or self.metadata
        self.conversation_id = said.get("conversation_id", self.conversation_id)


def with_response_id(event: Event, known: Mapping[str, Response], unasked: Container[str]) -> tuple[Event, str]:
    """Return an event of a response with the id that the response has here as `response_id`, and the server's id.

    Servers leave ids out, in all events or in some: without one an event is of the response under way, and an id that
    no response began with is of one that began without an id.

    Args:
        event: The event. Where it begins a response without an id, one is made up.
        known: The responses so far, by their ids here and by the server's.
        unasked: Ids of those that began before one was asked for last: one that begins now is another.
    """
    said = (event.get("response") or {}).get("id") or event.get("response_id") or ""
    begins = event["type"] == "response.created"
    if (response := known.get(said)) is None:
        fit = [one for one in known.values() if not (said and one.server_id)]
        if said or begins:
            fit = [one for one in fit if one.active and one.conversation_id is not None and one.id not in unasked]
        response = next(iter(sorted(fit, key=lambda one: one.active)[-1:]), None)
    response_id = said or f"response_{len(known)}" if response is None else response.id
    return event if event.get("response_id") == response_id else {**event, "response_id": response_id}, said
