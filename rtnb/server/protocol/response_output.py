"""Output of one response: its settings, its items, the assistant's message as it is written, and its tokens."""

import copy
from collections import Counter, deque
from collections.abc import Callable, Generator
from typing import Any

from rtnb.audio.pcm import BYTES_PER_MS, whole_samples
from rtnb.protocol import frames
from rtnb.server import languages
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.api_errors import Ended
from rtnb.server.protocol.audio import Encoder, bytes_per_ms
from rtnb.server.protocol.items import Item
from rtnb.server.protocol.session import Session

# Steps of a response: each yields the time to go on at, or None to wait for an engine.
Steps = Generator[float | None, None, None]


class Plan:
    """Settings of one response.

    Args:
        session: The session that it runs in.
        wanted: What its `response.create` overrides.
        silent: Settings of the session that the API does not echo.
        context: The items it answers to, oldest first.
        number: Which response of the session it is, counted from 1.

    Attributes:
        spoken: True where it answers in audio.
        in_conversation: False for an out-of-band response.
        truncation: The session's `truncation`: what to do when the context is full.
        one_call: At most one function call (`parallel_tool_calls` false).
        effort: Reasoning effort that was asked for, or None.
        cacheable: Tokens of its input that an earlier response has read already.
        failure: An error to fail with at once (`{"type", "code", "message"}`), or None.
        asked: The instructions that its own `response.create` brought, or "".
    """

    def __init__(
        self, session: Session, wanted: dict[str, Any], silent: dict[str, Any], context: list[Item], number: int
    ) -> None:
        given = session.settings | silent | {name: value for name, value in wanted.items() if value is not None}
        output = session.settings["audio"]["output"] | wanted.get("audio", {}).get("output", {})
        self.instructions: str = given["instructions"]
        self.modalities: list[str] = given["output_modalities"]
        self.spoken = self.modalities == ["audio"]
        self.tools: list[dict[str, Any]] = given["tools"]
        self.tool_choice = given["tool_choice"]
        self.max_output_tokens: int | str = given["max_output_tokens"]
        self.format: dict[str, Any] = output["format"]
        self.voice = output["voice"]
        self.speed: float = output["speed"]
        self.metadata = wanted.get("metadata")
        self.context = context
        self.in_conversation = wanted.get("conversation") != "none"
        self.truncation = given["truncation"]
        self.one_call = given.get("parallel_tool_calls") is False
        self.effort = (wanted.get("reasoning") or silent.get("reasoning") or {}).get("effort")
        self.cacheable = 0 if wanted.get("input") is not None else session.conversation.cached_tokens
        self.failure = session.options.failure if session.options.failing in (None, number) else None
        self.asked: str = wanted.get("instructions") or ""


class ResponseOutput:
    """Items that a response has written, and what they have taken.

    Args:
        session: The session that the response runs in.
        response_id: `resp_…`.
        plan: Settings of the response.

    Attributes:
        items: The items in order.
        audio_seconds: Length of the audio of all messages that have ended.
    """

    def __init__(self, session: Session, response_id: str, plan: Plan) -> None:
        self.items: list[Item] = []
        self.audio_seconds = 0.0
        self._session, self._response_id, self._plan = session, response_id, plan
        self._conversation = session.conversation if plan.in_conversation else None
        self._text_tokens = self._audio_bytes = 0
        self._next_audio_at = 0.0

    def send(self, type: str, **fields: Any) -> None:
        """Send an event of this response."""
        self._session.send(type, response_id=self._response_id, **fields)

    def add(self, item: Item) -> int:
        """Announce an item and return its index in the output."""
        index = len(self.items)
        self.items.append(item)
        self.send("response.output_item.added", output_index=index, item=copy.deepcopy(item.shown))
        if self._conversation is not None:
            previous = self._conversation.add(item)
            self._session.send("conversation.item.added", previous_item_id=previous, item=copy.deepcopy(item.shown))
        return index

    def end(self, item: Item, status: str) -> None:
        """Announce that an item is done: `completed` or `incomplete`."""
        item.shown["status"] = status
        if self._conversation is not None and item.id in self._conversation.items:
            order = [*self._conversation.items]
            index = order.index(item.id)
            # Recorded quirk: null also when the item before is the first of the conversation, though `added` named it.
            previous = order[index - 1] if index > 1 else None
            self._session.send("conversation.item.done", previous_item_id=previous, item=copy.deepcopy(item.shown))
        self.send("response.output_item.done", output_index=self.items.index(item), item=copy.deepcopy(item.shown))

    # ------------------------------------------------------------------ tokens

    def send_token(self, type: str, token: str, **fields: Any) -> None:
        """Send a text delta with its padding.

        Raises:
            Ended: `max_output_tokens` leaves no room for it.
        """
        limit = self._plan.max_output_tokens
        if isinstance(limit, int) and self._text_tokens + self._audio_tokens >= limit:
            raise Ended("incomplete", {"reason": "max_output_tokens"})
        self._text_tokens += 1
        self.send(type, **fields, delta=token, obfuscation=self._session.ids.padding(token))

    def after_token(self) -> Steps:
        """Wait after a token as long as the pace asks for."""
        if self._session.options.pace:
            # At the speed of playback; recorded: 5 tokens in 36 ms at about 12 times that.
            yield self._session.now + 0.084 / self._session.options.pace
        elif self._text_tokens % 250 == 0:  # all goes out at once: other sessions act in between
            yield self._session.now + 0.001

    def pace_audio(self, piece: bytes) -> Steps:
        """Wait until a piece of audio is due."""
        pace = self._session.options.pace
        if not pace:
            return
        if self._next_audio_at > self._session.now:
            yield self._next_audio_at
        # A loop that wakes a little late must not slow the stream down.
        if self._next_audio_at < self._session.now - 0.1:
            self._next_audio_at = self._session.now  # the TTS was late: go on from here
        self._next_audio_at += len(piece) / bytes_per_ms(self._plan.format) / 1000 / pace

    def count_audio(self, piece: bytes) -> bytes:
        """Count audio as sent, and return as much of it as `max_output_tokens` allows."""
        limit = self._plan.max_output_tokens
        if isinstance(limit, int):
            left_ms = max(0, limit - self._text_tokens) * counting.ASSISTANT_TOKEN_MS
            piece = piece[: max(0, left_ms * bytes_per_ms(self._plan.format) - self._audio_bytes)]
        self._audio_bytes += len(piece)
        return piece

    @property
    def _audio_tokens(self) -> int:
        return counting.assistant_audio_tokens(self._audio_bytes / bytes_per_ms(self._plan.format))

    def usage(self, read: Counter[str]) -> dict[str, Any]:
        """Return the `usage` object of a response that has read so many tokens."""
        plan, reasoning = self._plan, None
        newer = self._session.model.second_generation
        # Recorded: 2.x reports its reasoning tokens, but not in a text answer where there are functions.
        if newer and (plan.spoken or plan.effort or not plan.tools) and self.items:
            reasoning = counting.REASONING_TOKENS[plan.effort or "low"] + read.total() % 8
        # Recorded: 2 more than the tokens of a text on 1.x and 4 on 2.x, and 10 for a call beside its arguments.
        calls = sum(item.shown["type"] == "function_call" for item in self.items)
        hidden = ((4 if newer else 2) if self._text_tokens else 0) + 10 * calls + (reasoning or 0)
        if isinstance(plan.max_output_tokens, int):  # reasoning is part of the output tokens (recorded)
            hidden = max(0, min(hidden, plan.max_output_tokens - self._text_tokens - self._audio_tokens))
            reasoning = reasoning if reasoning is None else min(reasoning, hidden)
        return counting.usage(read, self._text_tokens + hidden, self._audio_tokens, reasoning, plan.cacheable)


class Message:
    """Assistant's message that a response is writing.

    Args:
        session: The session that the response runs in.
        output: The response's output.
        plan: Settings of the response.
        phase: `"commentary"` or `"final_answer"` (2.x only).
    """

    def __init__(self, session: Session, output: ResponseOutput, plan: Plan, phase: str) -> None:
        fields = {"id": session.ids.new("item"), "type": "message", "status": "in_progress", "role": "assistant"}
        self._item = Item({**fields, "content": [], **({"phase": phase} if session.model.second_generation else {})})
        self._session, self._output, self._plan = session, output, plan
        self._text = ""
        self._owed: deque[str] = deque()  # transcript tokens that wait for audio to go before them
        self._encoder: Encoder | None = None
        self._audio = bytearray()  # as the TTS returned it, s16le 24 kHz
        self._unsent = bytearray()  # encoded audio short of a whole delta
        self._sent_bytes = 0  # encoded audio that has been sent
        self._place = {"item_id": self._item.id, "output_index": output.add(self._item), "content_index": 0}
        if plan.spoken:
            self._item.audio = self._audio
        self._kind, self._field = ("audio", "transcript") if plan.spoken else ("text", "text")  # of its part
        output.send("response.content_part.added", **self._place, part={"type": self._kind, self._field: ""})

    # ------------------------------------------------------------------ text

    def write(self, text: str) -> Steps:
        """Write a sentence."""
        for token in counting.split_tokens(languages.gap(self._text, text) + text):
            self._send_token("response.output_text.delta", token)
            self._session.send_held()
            yield from self._output.after_token()

    def _send_token(self, type: str, token: str) -> None:
        self._output.send_token(type, token, **self._place)
        self._text += token

    # ------------------------------------------------------------------ audio

    def speak(self, text: str, next_piece: Callable[[], Generator[float | None, None, bytes | None]]) -> Steps:
        """Speak a sentence: its transcript goes a little ahead of its audio, which is sent in whole deltas.

        Args:
            text: The sentence.
            next_piece: Waits for the next s16le 24 kHz of it, and returns None at its end.
        """
        self._owed.extend(counting.split_tokens(languages.gap(self._text, text) + text))
        self._send_transcript(3)  # recorded: the transcript starts first, usually by three tokens
        self._encoder = self._encoder or Encoder(self._plan.format)
        # Derived from recordings: about 250 ms a delta on gpt-realtime, about 400 ms on gpt-realtime-2.1-mini.
        whole = (400 if self._session.model.second_generation else 250) * bytes_per_ms(self._plan.format)
        while (pcm := (yield from next_piece())) is not None:
            self._audio += pcm
            self._unsent += self._encoder.feed(pcm)
            while len(self._unsent) > whole:  # something is always left for the last delta
                piece = bytes(self._unsent[:whole])
                del self._unsent[:whole]
                yield from self._send_audio(piece)
                self._send_transcript(3)
        self._send_transcript(len(self._owed))

    def end_audio(self) -> Steps:
        """Send what is left of the audio."""
        if self._encoder is None:
            return
        rest = bytes(self._unsent + self._encoder.feed(b"", last=True))
        if self._session.options.odd_last_chunk and len(rest) > 2:
            yield from self._send_audio(rest[:-1])
            rest = rest[-1:]
        if rest:
            yield from self._send_audio(rest)

    def _send_audio(self, piece: bytes) -> Steps:
        yield from self._output.pace_audio(piece)
        if self._sent_bytes:
            self._session.send_held()
        allowed = self._output.count_audio(piece)
        if allowed:
            self._sent_bytes += len(allowed)
            self._output.send("response.output_audio.delta", **self._place, delta=frames.encode_audio(allowed))
        if len(allowed) < len(piece):
            raise Ended("incomplete", {"reason": "max_output_tokens"})

    def _send_transcript(self, count: int) -> None:
        for _ in range(min(count, len(self._owed))):
            self._send_token("response.output_audio_transcript.delta", self._owed.popleft())

    # ------------------------------------------------------------------ the end

    def end(self, status: str) -> None:
        """End its part and the item."""
        item, send, text = self._item, self._output.send, self._text
        self._session.send_held()
        if self._plan.spoken:
            # What the client has not been sent is not in the item: it cannot play it, nor truncate there.
            sent_ms = self._sent_bytes / bytes_per_ms(self._plan.format)
            kept_ms = sent_ms if item.truncated_ms is None else item.truncated_ms
            item.audio = whole_samples(bytes(self._audio[: int(kept_ms * BYTES_PER_MS)]))
            self._output.audio_seconds += sent_ms / 1000
            send("response.output_audio.done", **self._place)
        done = "response.output_audio_transcript.done" if self._plan.spoken else "response.output_text.done"
        send(done, **self._place, **{self._field: text})
        kept = text if item.truncated_ms is None else ""
        item.shown["content"] = [{"type": f"output_{self._kind}", self._field: kept}]
        send("response.content_part.done", **self._place, part={"type": self._kind, self._field: text})
        self._output.end(item, status)
