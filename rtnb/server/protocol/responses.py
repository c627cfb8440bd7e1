"""One response, from `response.created` to its one `response.done`, in the recorded order.

A response is written as a generator, so that it reads in the order in which its events go out. It yields a time to
be woken at, or None to wait for an engine. Cancelling closes the generator and ends what is open.
"""

from __future__ import annotations

import copy
import json
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pybase64

from rtnb.server import languages
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.audio import BYTES_PER_MS, Encoder, bytes_per_ms
from rtnb.server.protocol.context import SessionContext
from rtnb.server.protocol.effects import Respond, Speak, Stop
from rtnb.server.protocol.items import Item
from rtnb.server.protocol.requests import Answer, Call, Cut, Request
from rtnb.server.protocol.settings import Model

__all__ = ["Plan", "Response"]

_Steps = Generator[float | None, None, None]
_Awaited = Generator[float | None, None, Any]

# Derived from recordings: about 250 ms a delta on gpt-realtime, about 400 ms on gpt-realtime-2.1-mini.
_DELTA_MS = {False: 250, True: 400}
_TOKENS_BEFORE_SOUND = 3  # recorded: the transcript starts first, usually by three tokens
_TOKENS_BETWEEN_SOUND = 3
_GAP_SECONDS = 0.1  # a loop that wakes a little late must not slow the stream down
_TOKEN_SECONDS = 0.084  # at the speed of playback; recorded: 5 tokens in 36 ms at about 12 times that
# Where all goes out at once, whoever says very much lets the others speak in between.
_TOKENS_AT_ONCE = 250
_MOMENT_SECONDS = 0.001
_REASONING_TOKENS = {"minimal": 4, "low": 16, "medium": 48, "high": 128, "xhigh": 256}


@dataclass(frozen=True)
class Plan:
    """What a response was asked to be: the session's settings with the overrides of `response.create`.

    Attributes:
        context: The items it answers to, oldest first.
        conversation_id: None for an out-of-band response.
        truncation: The session's `truncation`: what to do when the context is full.
        one_call: At most one function call (`parallel_tool_calls` false).
        effort: Reasoning effort that was asked for, or None.
        cacheable: How many tokens of its input an earlier response has read already.
        failure: An error to fail with at once (`{"type", "code", "message"}`), or None.
        odd_last_chunk: Whether the last audio delta is cut in the middle of a sample.
        asked: The instructions that its own `response.create` brought, or "".
    """

    instructions: str
    modalities: list[str]
    tools: list[dict[str, Any]]
    tool_choice: Any
    max_output_tokens: int | str
    format: dict[str, Any]
    voice: Any
    speed: float
    metadata: dict[str, str] | None
    context: list[Item]
    conversation_id: str | None
    truncation: Any = "auto"
    one_call: bool = False
    effort: str | None = None
    cacheable: int = 0
    failure: dict[str, Any] | None = None
    odd_last_chunk: bool = False
    asked: str = ""

    @property
    def spoken(self) -> bool:
        """Whether it answers in sound."""
        return self.modalities == ["audio"]


class _Incomplete(Exception):
    """The response ends before its end; its one argument is the reason that `status_details` give."""


class _EngineFailed(Exception):
    """An engine could not do its work."""


@dataclass
class _Message:
    """The message item being written."""

    item: Item
    index: int
    text: str = ""
    owed: deque[str] = field(default_factory=deque)  # transcript tokens that wait for sound to go before them
    encoder: Encoder | None = None
    sound: bytearray = field(default_factory=bytearray)  # as the voice gave it, s16le 24 kHz
    unsent: bytearray = field(default_factory=bytearray)  # encoded sound short of a whole delta
    sent: int = 0  # bytes of encoded sound gone out


class Response:
    """A response under way.

    Args:
        stage: The session it runs in.
        plan: What it was asked to be.
    """

    def __init__(self, stage: SessionContext, plan: Plan) -> None:
        self.id = stage.ids.new("resp")
        self.plan = plan
        self.status = "in_progress"
        self.waits_until: float | None = None
        self.usage: dict[str, Any] | None = None
        self.read = counting.Count()
        self.sound_seconds = 0.0
        self._stage = stage
        self._context = plan.context
        self._details: dict[str, Any] | None = None
        self._output: list[Item] = []
        self._message: _Message | None = None
        self._call: Item | None = None
        self._calls = 0
        self._thoughts: deque[Answer | BaseException | None] = deque()
        self._sounds: deque[bytes | BaseException | None] = deque()
        self._jobs: dict[str, deque[Any]] = {}
        self._text_tokens = 0
        self._audio_bytes = 0
        self._next_sound_at = 0.0
        self._steps = self._perform()

    @property
    def in_conversation(self) -> bool:
        """Whether its items go into the default conversation."""
        return self.plan.conversation_id is not None

    # ------------------------------------------------------------------ driven by the session

    def step(self) -> None:
        """Go on as far as it can get now."""
        if self.status != "in_progress":
            return
        try:
            self.waits_until = next(self._steps)
        except StopIteration:
            self.waits_until = None

    def take(self, job: str, piece: Any) -> None:
        """An engine's answer for one of its jobs."""
        box = self._jobs.get(job)
        if box is not None and self.status == "in_progress":
            box.append(piece)
            if piece is None or isinstance(piece, BaseException):
                del self._jobs[job]
            if self.waits_until is None:
                self.step()

    def cancel(self, reason: str) -> None:
        """End it here: `client_cancelled` or `turn_detected`.

        The exact tail is not recorded; this is the order of the docs' example and of third-party traces: the open
        parts' done events, items `incomplete`, then `response.done` with the tokens made so far.
        """
        if self.status == "in_progress":
            self._steps.close()
            self._finish("cancelled", {"type": "cancelled", "reason": reason})

    def shown(self) -> dict[str, Any]:
        """The response object as events show it."""
        plan = self.plan
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": self._details,
            "output": [copy.deepcopy(item.shown) for item in self._output],
            "conversation_id": plan.conversation_id,
            "output_modalities": list(plan.modalities),
            "max_output_tokens": plan.max_output_tokens,
            "audio": {"output": {"format": dict(plan.format), "voice": plan.voice}},
            "usage": self.usage,
            "metadata": plan.metadata,
        }

    # ------------------------------------------------------------------ the order of events

    def _perform(self) -> _Steps:
        stage, plan = self._stage, self.plan
        stage.send("response.created", response=self.shown())
        if plan.failure is not None:
            yield stage.now
            self._finish("failed", {"type": "failed", "error": plan.failure})
            return
        while any(item.awaiting for item in plan.context):
            yield None  # the ears are at work
        try:
            self._context, self.read = counting.fit(
                plan.instructions, plan.tools, plan.context, stage.model.context_tokens, plan.truncation
            )
            yield from self._answer()
        except _Incomplete as cut:
            self._finish("incomplete", {"type": "incomplete", "reason": str(cut)})
        except counting.ContextFull as full:
            error: dict[str, Any] = {
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
                "message": str(full),
            }
            self._finish("failed", {"type": "failed", "error": error})
        except _EngineFailed as failed:
            error = {"type": "server_error", "code": None, "message": str(failed)}
            self._finish("failed", {"type": "failed", "error": error})
        else:
            self._finish("completed", None)

    def _answer(self) -> _Steps:
        self._think()
        piece = yield from self._next(self._thoughts)
        while piece is not None:
            if isinstance(piece, Cut):
                if self._message is not None:
                    yield from self._rest_of_sound(self._message)
                raise _Incomplete(piece.reason)
            if isinstance(piece, Call):
                if not (self.plan.one_call and self._calls):
                    yield from self._write_call(piece)
                piece = yield from self._next(self._thoughts)
                continue
            # 2.x marks what it says before a call as commentary (recorded), so where a call may follow we look ahead
            # before we open a message.
            following = None
            looked = self._message is None and self._may_call()
            if looked:
                following = yield from self._next(self._thoughts)
                if isinstance(following, Call) and not self._stage.model.second_generation:
                    piece = following  # recorded: 1.x calls without a word
                    continue
            if self._message is None:
                self._open_message("commentary" if isinstance(following, Call) else "final_answer")
            yield from (self._speak(piece.text) if self.plan.spoken else self._write(piece.text))
            piece = following if looked else (yield from self._next(self._thoughts))
        if self._message is not None:
            yield from self._rest_of_sound(self._message)
            self._end_message(self._message, "completed")

    def _think(self) -> None:
        stage, plan = self._stage, self.plan
        items = []
        for item in self._context:
            shown = copy.deepcopy(item.shown)
            for part in shown.get("content", ()):
                if part["type"] == "input_audio":
                    part["transcript"] = item.heard or part["transcript"] or ""
                elif item.truncated_ms is not None:
                    part["transcript"] = ""
            items.append(shown)
        job = stage.job_for(self)
        self._jobs[job] = self._thoughts
        # What the client says the user speaks.
        language = (stage.session["audio"]["input"]["transcription"] or {}).get("language")
        aside = not self.in_conversation
        request = Request(
            plan.instructions, items, plan.tools, plan.tool_choice, plan.modalities, language, plan.asked, aside
        )
        stage.want(Respond(job, request))

    def _may_call(self) -> bool:
        return bool(self.plan.tools) and self.plan.tool_choice != "none"

    def _next(self, box: deque[Any]) -> _Awaited:
        while not box:
            yield None
        piece = box.popleft()
        if isinstance(piece, BaseException):
            raise _EngineFailed(str(piece) or type(piece).__name__) from piece
        return piece

    # ------------------------------------------------------------------ words and sound

    def _open_message(self, phase: str) -> None:
        shown: dict[str, Any] = {
            "id": self._stage.ids.new("item"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if self._stage.model.second_generation:
            shown["phase"] = phase
        item = Item(shown)
        self._message = _Message(item, self._add(item))
        if self.plan.spoken:
            item.sound = self._message.sound
        part = {"type": "audio", "transcript": ""} if self.plan.spoken else {"type": "text", "text": ""}
        self._part_event("response.content_part.added", self._message, part=part)

    def _part_event(self, type: str, message: _Message, **fields: Any) -> None:
        self._stage.send(
            type,
            response_id=self.id,
            item_id=message.item.id,
            output_index=message.index,
            content_index=0,
            **fields,
        )

    def _write(self, text: str) -> _Steps:
        message = self._message
        assert message is not None
        for token in counting.split_tokens(languages.gap(message.text, text) + text):
            self._spend(1)
            message.text += token
            self._part_event("response.output_text.delta", message, delta=token, obfuscation=self._padding(token))
            yield from self._after_token()

    def _speak(self, text: str) -> _Steps:
        message = self._message
        assert message is not None
        stage = self._stage
        job = stage.job_for(self)
        self._sounds.clear()
        self._jobs[job] = self._sounds
        voice = self.plan.voice if isinstance(self.plan.voice, str) else self.plan.voice["id"]
        stage.want(Speak(job, text, voice, self.plan.speed))
        message.owed.extend(counting.split_tokens(languages.gap(message.text, text) + text))
        self._transcribe(message, _TOKENS_BEFORE_SOUND)
        if message.encoder is None:
            message.encoder = Encoder(self.plan.format)
        while (pcm := (yield from self._next(self._sounds))) is not None:
            message.sound += pcm
            message.unsent += message.encoder.feed(pcm)
            whole = _DELTA_MS[stage.model.second_generation] * bytes_per_ms(self.plan.format)
            while len(message.unsent) > whole:  # something is always left for the last delta
                piece = bytes(message.unsent[:whole])
                del message.unsent[:whole]
                yield from self._sound(message, piece)
                self._transcribe(message, _TOKENS_BETWEEN_SOUND)
        self._transcribe(message, len(message.owed))

    def _rest_of_sound(self, message: _Message) -> _Steps:
        if message.encoder is None:
            return
        message.unsent += message.encoder.feed(b"", last=True)
        rest = bytes(message.unsent)
        message.unsent.clear()
        if self.plan.odd_last_chunk and len(rest) > 2:
            yield from self._sound(message, rest[:-1])
            rest = rest[-1:]
        if rest:
            yield from self._sound(message, rest)

    def _sound(self, message: _Message, piece: bytes) -> _Steps:
        stage = self._stage
        if stage.pace:
            if self._next_sound_at > stage.now:
                yield self._next_sound_at
            if self._next_sound_at < stage.now - _GAP_SECONDS:
                self._next_sound_at = stage.now  # the voice was late: go on from here
            self._next_sound_at += len(piece) / bytes_per_ms(self.plan.format) / 1000 / stage.pace
        allowed = self._allowed_sound()
        cut = piece[:allowed]
        if cut:
            message.sent += len(cut)
            self._audio_bytes += len(cut)
            delta = pybase64.b64encode(cut).decode("ascii")
            self._part_event("response.output_audio.delta", message, delta=delta)
        if len(cut) < len(piece):
            raise _Incomplete("max_output_tokens")

    def _transcribe(self, message: _Message, count: int) -> None:
        for _ in range(min(count, len(message.owed))):
            self._spend(1)
            token = message.owed.popleft()
            message.text += token
            self._part_event(
                "response.output_audio_transcript.delta", message, delta=token, obfuscation=self._padding(token)
            )

    def _end_message(self, message: _Message, status: str) -> None:
        self._message = None
        shown = message.item.shown
        if self.plan.spoken:
            # What the client has not been sent is not in the item: it cannot play it, nor truncate there.
            heard_ms = message.sent / bytes_per_ms(self.plan.format)
            kept_ms = heard_ms if message.item.truncated_ms is None else message.item.truncated_ms
            message.item.sound = bytes(message.sound[: int(kept_ms * BYTES_PER_MS) // 2 * 2])
            self.sound_seconds += heard_ms / 1000
            self._part_event("response.output_audio.done", message)
            self._part_event("response.output_audio_transcript.done", message, transcript=message.text)
            part = {"type": "audio", "transcript": message.text}
            kept = message.text if message.item.truncated_ms is None else ""
            shown["content"] = [{"type": "output_audio", "transcript": kept}]
        else:
            self._part_event("response.output_text.done", message, text=message.text)
            part = {"type": "text", "text": message.text}
            shown["content"] = [{"type": "output_text", "text": message.text}]
        self._part_event("response.content_part.done", message, part=part)
        self._end_item(message.item, message.index, status)

    # ------------------------------------------------------------------ function calls

    def _write_call(self, called: Call) -> _Steps:
        stage = self._stage
        if self._message is not None:
            yield from self._rest_of_sound(self._message)
        call_id = stage.ids.new("call")
        item = Item(
            {
                "id": stage.ids.new("item"),
                "type": "function_call",
                "status": "in_progress",
                "name": called.name,
                "call_id": call_id,
                "arguments": "",
            }
        )
        index = self._add(item)
        self._call = item
        self._calls += 1
        where = {"response_id": self.id, "item_id": item.id, "output_index": index, "call_id": call_id}
        written = ""
        for token in counting.split_tokens(_arguments(called.arguments, stage.model)):
            self._spend(1)
            written += token
            item.shown["arguments"] = written
            stage.send("response.function_call_arguments.delta", **where, delta=token, obfuscation=self._padding(token))
            yield from self._after_token()
        # Recorded on 2.1: what was said beside the call ends after the call's last delta.
        if self._message is not None:
            self._end_message(self._message, "completed")
        stage.send("response.function_call_arguments.done", **where, name=called.name, arguments=written)
        self._call = None
        self._end_item(item, index, "completed")

    # ------------------------------------------------------------------ items, tokens, the end

    def _add(self, item: Item) -> int:
        self._output.append(item)
        index = len(self._output) - 1
        self._stage.send(
            "response.output_item.added", response_id=self.id, output_index=index, item=copy.deepcopy(item.shown)
        )
        if self.in_conversation:
            previous = self._stage.conversation.add(item)
            self._stage.send("conversation.item.added", previous_item_id=previous, item=copy.deepcopy(item.shown))
        return index

    def _end_item(self, item: Item, index: int, status: str) -> None:
        item.shown["status"] = status
        conversation = self._stage.conversation
        if self.in_conversation and item.id in conversation:
            previous = conversation.previous_of(item.id)
            # Recorded quirk: null when the item before is the first of the conversation, though `added` named it.
            if previous is not None and conversation.previous_of(previous) is None:
                previous = None
            self._stage.send("conversation.item.done", previous_item_id=previous, item=copy.deepcopy(item.shown))
        self._stage.send(
            "response.output_item.done", response_id=self.id, output_index=index, item=copy.deepcopy(item.shown)
        )

    def _padding(self, token: str) -> str:
        return self._stage.ids.padding(token)

    @property
    def _audio_tokens(self) -> int:
        return counting.assistant_audio_tokens(self._audio_bytes / bytes_per_ms(self.plan.format))

    def _after_token(self) -> _Steps:
        stage = self._stage
        if stage.pace:
            yield stage.now + _TOKEN_SECONDS / stage.pace
        elif self._text_tokens % _TOKENS_AT_ONCE == 0:
            yield stage.now + _MOMENT_SECONDS

    def _spend(self, tokens: int) -> None:
        limit = self.plan.max_output_tokens
        if isinstance(limit, int) and self._text_tokens + self._audio_tokens + tokens > limit:
            raise _Incomplete("max_output_tokens")
        self._text_tokens += tokens

    def _allowed_sound(self) -> int | None:
        """How many bytes of sound may still go out; None for any number."""
        limit = self.plan.max_output_tokens
        if not isinstance(limit, int):
            return None
        left = max(0, limit - self._text_tokens)
        return max(0, left * 50 * bytes_per_ms(self.plan.format) - self._audio_bytes)

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        for job in self._jobs:
            self._stage.want(Stop(job))
        self._jobs.clear()
        if self._message is not None:
            self._end_message(self._message, "incomplete")
        if self._call is not None:
            self._end_item(self._call, self._output.index(self._call), "incomplete")
            self._call = None
        self.status = status
        self._details = details
        self.waits_until = None
        self.usage = self._usage()
        self._stage.send("response.done", response=self.shown())
        self._stage.ended(self)

    def _usage(self) -> dict[str, Any]:
        reasoning = None
        if self.plan.failure is not None:  # reported: a response refused for quota has a usage of zeros
            return counting.usage(counting.Count(), text_out=0, audio_out=0, reasoning=None, cacheable=0)
        # Recorded: 2.x tells its reasoning tokens, but not in every text answer.
        if self._stage.model.second_generation and (self.plan.spoken or self.plan.effort) and self._output:
            reasoning = _REASONING_TOKENS[self.plan.effort or "low"] + self.read.total % 8
        text_out = self._text_tokens + (2 if self._text_tokens else 0) + (reasoning or 0)
        return counting.usage(
            self.read,
            text_out=text_out,
            audio_out=self._audio_tokens,
            reasoning=reasoning,
            cacheable=self.plan.cacheable,
        )


def _arguments(arguments: Mapping[str, Any], model: Model) -> str:
    if model.second_generation:
        return json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    # Recorded on gpt-realtime: valid JSON in odd whitespace, which a client must not choke on.
    inner = ",".join(f"\n  {json.dumps(name)}: {json.dumps(value)}" for name, value in arguments.items())
    return f"{{  {inner} \n}} \n" if inner else "{}"
