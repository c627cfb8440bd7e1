"""The protocol as a pure state machine: client events in, server events with their times out.

It owns no socket, clock or source of chance: times and ids are given to it. What it wants of ears, brain and voice it
asks for in its outputs (`Hear`, `Think`, `Speak` …), and the answers are given back to it by the methods named after
them. `due` says when `advance` must be called next.
"""

from __future__ import annotations

import base64
import binascii
import copy
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from rtnb.practice import problems, settings
from rtnb.practice import usage as counting
from rtnb.practice.checks import (
    Check,
    anything,
    array,
    boolean,
    choice,
    integer,
    nullable,
    record,
    string,
)
from rtnb.practice.items import Conversation, Item, read_item
from rtnb.practice.outputs import Called, Close, Detect, Hear, Ids, Listen, Output, Said, Send, Stop
from rtnb.practice.problems import Problem
from rtnb.practice.responses import Plan, Response
from rtnb.practice.sound import BYTES_PER_MS, InputBuffer
from rtnb.practice.turns import FRAME_BYTES, FRAME_MS, Pause, Started, Stopped, Turns, sounds_finished

__all__ = ["Options", "Script"]

CLIENT_EVENTS = (
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)
"""The server's own list, in its own order (recorded in an `invalid_value` error, September 2026)."""

_APPEND_MAXIMUM = 15 * 1024 * 1024  # SDK docstring: 15 MiB per append event
_COMMIT_MINIMUM_MS = 100
_RATE_LIMITS_AFTER = 0.030  # recorded: 29–46 ms after response.done
_TOKEN_LIMIT = 15_000_000  # recorded
_STREAMING_EARS = ("gpt-realtime-whisper", "gpt-live-transcribe")
_BILLED_BY_DURATION = ("whisper-1", "gpt-realtime-whisper", "gpt-live-transcribe")
_IDLE_PROMPT = (
    "The user has been silent for some time. Listen to the recording that follows: if they spoke, answer them; "
    "if not, take up the last topic again or ask whether they are still there."
)


@dataclass(frozen=True)
class Options:
    """How this server differs from the ordinary.

    Attributes:
        pace: Sound goes out this many times faster than it plays (recorded: about 12). 0 sends all at once.
        session_seconds: How long a session may last.
        buffer_bytes: The most sound, as s16le 24 kHz, that a session may hold in buffer and items together.
        rate_limits_after: Seconds from `response.done` to `rate_limits.updated`; None never sends it.
        fail_response: An error object each response fails with, or None.
        odd_last_chunk: Cut the last audio delta in the middle of a sample.
    """

    pace: float = 12.0
    session_seconds: float = 3600.0
    buffer_bytes: int = 400 * 1024 * 1024
    rate_limits_after: float | None = _RATE_LIMITS_AFTER
    fail_response: dict[str, Any] | None = None
    odd_last_chunk: bool = False


@dataclass
class _Hearing:
    """Recogniser work for one item; the item exists from the commit on."""

    item_id: str
    sent: str = ""
    item: Item | None = None
    streaming: bool = False


@dataclass(order=True)
class _Timer:
    at: float
    turn: int
    act: Callable[[], None] = field(compare=False)


def _metadata(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise problems.wrong_type(path, "an object", value)
    if len(value) > 16:
        raise problems.too_long(path, 16, len(value), noun="object")
    for name, text in value.items():
        if len(name) > 64:
            raise problems.too_long(f"{path}.{name[:20]}", 64, len(name))
        string(512)(text, f"{path}.{name}")
    return value


_RESPONSE = record(
    {
        "audio": record({"output": record({"format": settings.FORMAT, "voice": settings.VOICE})}),
        "conversation": nullable(choice("auto", "none")),
        "input": nullable(array(anything)),
        "instructions": nullable(string()),
        "max_output_tokens": nullable(settings.MAX_OUTPUT_TOKENS),
        "metadata": nullable(_metadata),
        "output_modalities": nullable(settings.MODALITIES),
        "parallel_tool_calls": nullable(boolean),
        "prompt": nullable(anything),
        "reasoning": nullable(record({"effort": choice("minimal", "low", "medium", "high", "xhigh")})),
        "tool_choice": nullable(settings.TOOL_CHOICE),
        "tools": nullable(array(settings.TOOL, 128)),
    }
)


def _event(fields: Mapping[str, Check], *required: str) -> Check:
    return record({"type": anything, "event_id": nullable(string(512)), **fields}, required=required)


_SHAPES: Mapping[str, Check] = {
    "session.update": _event({"session": anything}, "session"),
    "input_audio_buffer.append": _event({"audio": string()}, "audio"),
    "input_audio_buffer.commit": _event({}),
    "input_audio_buffer.clear": _event({}),
    "conversation.item.create": _event({"previous_item_id": nullable(string()), "item": anything}, "item"),
    "conversation.item.truncate": _event(
        {"item_id": string(), "content_index": integer(0), "audio_end_ms": integer(0)},
        "item_id",
        "content_index",
        "audio_end_ms",
    ),
    "conversation.item.delete": _event({"item_id": string()}, "item_id"),
    "conversation.item.retrieve": _event({"item_id": string()}, "item_id"),
    "response.create": _event({"response": nullable(_RESPONSE)}),
    "response.cancel": _event({"response_id": nullable(string())}),
}


class Script:
    """One session.

    Args:
        ids: Where ids and padding come from.
        now: The time, in seconds on any clock that all later times are on too.
        unix_seconds: The time of day, for `expires_at`.
        kind: `"realtime"` or `"transcription"`.
        model: The model of a realtime session.
        options: How this server differs from the ordinary.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        now: float,
        unix_seconds: float,
        kind: str = "realtime",
        model: settings.Model | None = None,
        options: Options | None = None,
    ) -> None:
        self.ids = ids
        self.now = now
        self.kind = kind
        self.model = model or settings.MODELS["gpt-realtime-2.1-mini"]
        self.options = options or Options()
        self.pace = self.options.pace
        self.conversation = Conversation()
        self.conversation_id = ids.new("conv")
        self.session = settings.defaults(
            kind,
            session_id=ids.new("sess"),
            expires_at=int(unix_seconds + self.options.session_seconds),
            model=self.model if kind == "realtime" else None,
        )
        self.closed = False
        self._silent: dict[str, Any] = {}
        self._buffer = InputBuffer(self.session["audio"]["input"]["format"])
        self._outputs: list[Output] = []
        self._timers: list[_Timer] = []
        self._turn = itertools.count()
        self._jobs: dict[str, Response] = {}
        self._job_numbers = itertools.count(1)
        self._hearings: dict[str, _Hearing] = {}
        self._active: Response | None = None
        self._beside: dict[str, Response] = {}
        self._answer_wanted = False
        self._voice_used = False
        self._tokens_left = _TOKEN_LIMIT
        self._read_before = 0
        self._held = 0  # bytes of sound in items
        self._turns: Turns | None = None
        self._speech_item: str | None = None
        self._pause_jobs: dict[str, int] = {}
        self._listening: str | None = None
        self._idle_from_ms: int | None = None
        self._idle_armed_at: float | None = None
        self._at(now + self.options.session_seconds, self._expire)

    # ------------------------------------------------------------------ what the world gives

    def open(self, now: float) -> list[Output]:
        """The socket is open: the first event."""
        self.now = now
        self.send("session.created", session=copy.deepcopy(self.session))
        return self._given()

    @property
    def due(self) -> float | None:
        """When `advance` must be called next; None for not before the next input."""
        return self._timers[0].at if self._timers and not self.closed else None

    def advance(self, now: float) -> list[Output]:
        """Time has passed."""
        while self._timers and self._timers[0].at <= now and not self.closed:
            timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.at)
            timer.act()
        self.now = max(self.now, now)
        return self._given()

    def receive(self, frame: str | bytes, now: float) -> list[Output]:
        """A frame came from the client: text, or (refused) binary."""
        self.advance_to(now)
        if isinstance(frame, bytes | bytearray):
            message = "Expected a text WebSocket message; binary frames are not supported."
            self._refuse(Problem(message, code="invalid_event"), None)
            return self._given()
        try:
            event = orjson.loads(frame)
        except orjson.JSONDecodeError as error:
            message = f"Invalid event: failed to parse JSON value. {str(error)[:200]}"
            self._refuse(Problem(message, code="invalid_json"), None)
            return self._given()
        return self.handle(event, now)

    def handle(self, event: Any, now: float) -> list[Output]:
        """A client event, already parsed."""
        self.advance_to(now)
        if self.closed:
            return self._given()
        event_id = event.get("event_id") if isinstance(event, dict) else None
        try:
            self._act(event)
        except Problem as problem:
            self._refuse(problem, event_id if isinstance(event_id, str) else None)
        return self._given()

    def advance_to(self, now: float) -> None:
        """Do what was due before `now`, keeping its outputs for whatever comes next."""
        if self._timers and self._timers[0].at <= now:
            self._outputs = self.advance(now)
        self.now = max(self.now, now)

    def detected(self, probabilities: list[float], now: float) -> list[Output]:
        """The detector's judgement of the next frames."""
        self.advance_to(now)
        for probability in probabilities:
            vad = self.session["audio"]["input"]["turn_detection"]
            if vad is None or self._turns is None or self.closed:
                break
            happened = self._turns.feed(probability, vad)
            if isinstance(happened, Started):
                self._speech_started(happened, vad)
            elif isinstance(happened, Stopped):
                self._speech_stopped(happened, vad)
            elif isinstance(happened, Pause):
                self._ask_whether_finished(happened)
            elif not self._turns.speaking:
                self._look_at_idle(vad)
        self._trim()
        return self._given()

    def heard(self, job: str, text: str | BaseException, now: float) -> list[Output]:
        """The recogniser has finished a job."""
        self.advance_to(now)
        if job in self._pause_jobs:
            asked_at = self._pause_jobs.pop(job)
            if isinstance(text, str) and sounds_finished(text) and self._turns and self._turns.start_ms == asked_at:
                self._turns.finish()
            return self._given()
        hearing = self._hearings.pop(job, None)
        if hearing is not None and hearing.item is not None:
            self._words_heard(hearing, hearing.item, text)
        return self._given()

    def partly_heard(self, job: str, text: str, now: float) -> list[Output]:
        """A streaming recogniser's words so far."""
        self.advance_to(now)
        hearing = self._hearings.get(job)
        # Deltas can only be added to: words the recogniser takes back wait for the final transcript.
        if hearing is not None and text.startswith(hearing.sent) and len(text) > len(hearing.sent):
            self._transcript_deltas(hearing, text[len(hearing.sent) :])
        return self._given()

    def thought(self, job: str, piece: Said | Called | BaseException | None, now: float) -> list[Output]:
        """The brain's next piece; None at its end."""
        return self._answer(job, piece, now)

    def spoke(self, job: str, pcm: bytes | BaseException | None, now: float) -> list[Output]:
        """The voice's next piece of s16le 24 kHz; None at its end."""
        return self._answer(job, pcm, now)

    def _answer(self, job: str, piece: Any, now: float) -> list[Output]:
        self.advance_to(now)
        response = self._jobs.get(job)
        if response is not None and not self.closed:
            if piece is None or isinstance(piece, BaseException):
                del self._jobs[job]
            self._drive(response, lambda: response.take(job, piece))
        return self._given()

    # ------------------------------------------------------------------ what responses need (Stage)

    def send(self, type: str, **fields: Any) -> None:
        """Send a server event that is due now."""
        self._outputs.append(Send(self.now, {"type": type, "event_id": self.ids.new("event"), **fields}))

    def want(self, output: Output) -> None:
        """Ask something of the world."""
        if isinstance(output, Stop):
            self._jobs.pop(output.job, None)
        self._outputs.append(output)

    def job(self, owner: Response) -> str:
        """A new job whose answers go to a response."""
        job = f"job{next(self._job_numbers)}"
        self._jobs[job] = owner
        return job

    def ended(self, response: Response) -> None:
        """A response has sent its `response.done`."""
        if response.usage is not None:
            spent = counting.total(response.usage)
            self._tokens_left = max(0, self._tokens_left - spent)
            if response.in_conversation and response.status != "failed":
                self._read_before = spent + 4
        if self.options.rate_limits_after is not None and self.kind == "realtime":
            self._at(self.now + self.options.rate_limits_after, self._rate_limits)
        if response.plan.spoken and response.sound_seconds:
            self._voice_used = True
        if response is not self._active:
            self._beside.pop(response.id, None)
            return
        self._active = None
        self._hold_sound()
        # SDK docstring: the idle timer starts when the reply has been played.
        self._idle_armed_at = self.now + response.sound_seconds
        self._idle_from_ms = None
        if self._answer_wanted:
            self._answer_wanted = False
            self._at(self.now, lambda: self._respond({}))

    # ------------------------------------------------------------------ client events

    def _act(self, event: Any) -> None:
        if not isinstance(event, dict):
            raise Problem("Invalid event: expected a JSON object.", code="invalid_event")
        kind = event.get("type")
        if kind is None:
            raise problems.missing("type")
        shape = _SHAPES.get(kind) if isinstance(kind, str) else None
        if shape is None:
            raise problems.invalid_value(kind, CLIENT_EVENTS, "type")
        if kind == "input_audio_buffer.append":
            self._append(event, shape)
            return
        checked = shape(event, "")
        if self.kind == "transcription" and kind.startswith("response."):
            message = f"'{kind}' is not supported in transcription sessions."  # unconfirmed wording
            raise Problem(message, code="invalid_event", param="type")
        getattr(self, "_on_" + kind.replace(".", "_"))(checked)

    def _on_session_update(self, event: dict[str, Any]) -> None:
        model = self.model if self.kind == "realtime" else None
        self.session, silent = settings.update(
            self.session, event["session"], model=model, voice_locked=self._voice_used
        )
        self._silent |= silent
        heard = self.session["audio"]["input"]
        self._buffer.use(heard["format"])
        if heard["turn_detection"] is None:
            self._turns = None
            self._speech_item = None
        patched = event["session"]
        if "instructions" in patched or "tools" in patched:
            self._read_before = 0  # another beginning: nothing of the context is cached any more
        self.send("session.updated", session=copy.deepcopy(self.session))

    def _append(self, event: dict[str, Any], shape: Check) -> None:
        sound = self._decoded(event, shape)
        pcm = self._buffer.append(sound)
        vad = self.session["audio"]["input"]["turn_detection"]
        if vad is not None:
            self._detect(pcm)
        if self._listening is not None and pcm:
            self._outputs.append(Listen(self._listening, pcm))
        elif vad is None and self._streams() and pcm:
            self._listen(self._buffer.between(0, self._buffer.end))

    def _decoded(self, event: dict[str, Any], shape: Check) -> bytes:
        audio = event.get("audio")
        if not isinstance(audio, str) or len(event) > 2:
            shape(event, "")
        assert isinstance(audio, str)
        what = "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz)"
        if len(audio) > _APPEND_MAXIMUM // 3 * 4 + 4:
            raise problems.too_long("audio", _APPEND_MAXIMUM // 3 * 4, len(audio))
        try:
            sound = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Problem(f"{what} but got an invalid value.", code="invalid_value", param="audio") from error
        if not sound:
            raise Problem(f"{what} but got empty bytes.", code="invalid_value", param="audio")
        if self._held + len(self._buffer) + len(sound) > self.options.buffer_bytes:
            # No cap is documented; the code is the one of the API's other buffer error, the wording ours.
            limit_ms = self.options.buffer_bytes // BYTES_PER_MS
            message = f"Error appending to input audio buffer: buffer too large. It holds at most {limit_ms}ms of audio."
            raise Problem(message, code="input_audio_buffer_full", param="audio")
        return sound

    def _on_input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        ms = self._buffer.fresh_ms
        if ms < _COMMIT_MINIMUM_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {ms:.2f}ms of audio."
            )
            raise Problem(message, code="input_audio_buffer_commit_empty")
        # SDK docstring: no speech_stopped follows when the client commits during speech.
        item_id = self._speech_item
        sound = self._buffer.take()
        self._forget_turn()
        self._commit(sound, item_id)

    def _on_input_audio_buffer_clear(self, event: dict[str, Any]) -> None:
        self._buffer.clear()
        self._forget_turn()
        if self._listening is not None:
            self._outputs.append(Stop(self._listening))
            self._hearings.pop(self._listening, None)
            self._listening = None
        self.send("input_audio_buffer.cleared")

    def _on_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = read_item(event["item"], new_id=self.ids.new("item"), new_call_id=self.ids.new("call"))
        previous = self.conversation.add(item, event.get("previous_item_id"))
        self._announce(item, previous)
        if item.sound and item.heard is None:
            self._hear(item)
        self._hold_sound()

    def _on_conversation_item_retrieve(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_retrieve_invalid_item_id", "retrieving")
        shown = copy.deepcopy(item.shown)
        for part in shown.get("content", ()):
            if part["type"] in ("input_audio", "output_audio"):
                part["audio"] = base64.b64encode(item.sound).decode("ascii")
                if part["type"] == "input_audio" and part["transcript"] is None and self._transcribes():
                    part["transcript"] = item.heard
        self.send("conversation.item.retrieved", item=shown)

    def _on_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_truncate_invalid_item_id", "truncating")
        if not item.is_assistant_sound or item.shown["status"] == "in_progress":
            # The code is not known; the sentence is reported.
            raise Problem("Only model output audio messages can be truncated", code="invalid_value", param="item_id")
        if event["content_index"] != 0:
            raise problems.above_maximum("content_index", 0, event["content_index"])
        held_ms = int(item.sound_ms)
        if event["audio_end_ms"] > held_ms:
            message = f"Audio content of {held_ms}ms is already shorter than {event['audio_end_ms']}ms"
            raise Problem(message, code="invalid_value", param="audio_end_ms")
        item.truncated_ms = event["audio_end_ms"]
        del item.sound[event["audio_end_ms"] * BYTES_PER_MS :]
        for part in item.shown["content"]:
            part["transcript"] = ""  # SDK docstring: the server's transcript is removed
        self._hold_sound()
        self.send(
            "conversation.item.truncated",
            item_id=item.id,
            content_index=event["content_index"],
            audio_end_ms=event["audio_end_ms"],
        )

    def _on_conversation_item_delete(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_delete_invalid_item_id", "deleting")
        self.conversation.remove(item.id)
        self._hold_sound()
        self._read_before = 0
        self.send("conversation.item.deleted", item_id=item.id)

    def _on_response_create(self, event: dict[str, Any]) -> None:
        wanted = event.get("response") or {}
        if wanted.get("conversation") != "none" and self._active is not None:
            message = (
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Problem(message, code="conversation_already_has_active_response")
        self._respond(wanted)

    def _on_response_cancel(self, event: dict[str, Any]) -> None:
        wanted = event.get("response_id")
        if wanted is None or (self._active is not None and wanted == self._active.id):
            response = self._active
        else:
            response = self._beside.get(wanted)
        if response is None:
            raise Problem("Cancellation failed: no active response found", code="response_cancel_not_active")
        response.cancel("client_cancelled")

    # ------------------------------------------------------------------ items

    def _item(self, item_id: str, code: str, doing: str) -> Item:
        item = self.conversation.get(item_id)
        if item is None:  # the code is reported, the wording is not confirmed
            message = f"Error {doing} item: the item with id '{item_id}' does not exist."
            raise Problem(message, code=code, param="item_id")
        return item

    def _announce(self, item: Item, previous: str | None) -> None:
        for step in ("added", "done"):
            self.send(f"conversation.item.{step}", previous_item_id=previous, item=copy.deepcopy(item.shown))

    def _hold_sound(self) -> None:
        self._held = sum(len(item.sound) for item in self.conversation)

    def _commit(self, sound: bytes, item_id: str | None) -> Item:
        item_id = item_id or (self._listening and self._hearings[self._listening].item_id) or self.ids.new("item")
        content = [{"type": "input_audio", "transcript": None}]
        shown = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}
        item = Item(shown, sound=bytearray(sound))
        previous = self.conversation.add(item)
        self.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        self._announce(item, previous)
        self._hold_sound()
        self._hear(item)
        return item

    # ------------------------------------------------------------------ ears

    def _transcribes(self) -> bool:
        return self.session["audio"]["input"]["transcription"] is not None

    def _streams(self) -> bool:
        asked = self.session["audio"]["input"]["transcription"]
        return asked is not None and asked["model"] in _STREAMING_EARS

    def _language(self) -> str | None:
        asked = self.session["audio"]["input"]["transcription"]
        return asked["language"] if asked else None

    def _listen(self, pcm: bytes) -> None:
        """Start streaming recognition for the item that these bytes will become."""
        job = f"job{next(self._job_numbers)}"
        item_id = self._speech_item or self.ids.new("item")
        self._hearings[job] = _Hearing(item_id, streaming=True)
        self._listening = job
        self._outputs.append(Listen(job, pcm, language=self._language()))

    def _hear(self, item: Item) -> None:
        item.awaiting = True
        if self._listening is not None and self._hearings[self._listening].item_id == item.id:
            job = self._listening
            self._listening = None
            self._hearings[job].item = item
            self._outputs.append(Listen(job, b"", last=True))
            return
        job = f"job{next(self._job_numbers)}"
        self._hearings[job] = _Hearing(item.id, item=item)
        self._outputs.append(Hear(job, bytes(item.sound), self._language()))

    def _words_heard(self, hearing: _Hearing, item: Item, text: str | BaseException) -> None:
        item.awaiting = False
        item.heard = text if isinstance(text, str) else ""
        if self._transcribes():
            if isinstance(text, str):
                self._transcript(hearing, item, text)
            else:
                error = {
                    "type": "server_error",
                    "code": None,
                    "message": f"Input transcription failed for item '{item.id}'.",
                    "param": None,
                }
                self.send(
                    "conversation.item.input_audio_transcription.failed",
                    item_id=item.id,
                    content_index=0,
                    error=error,
                )
        for response in [self._active, *self._beside.values()]:
            if response is not None and response.waits_until is None:
                self._drive(response, response.step)

    def _transcript_deltas(self, hearing: _Hearing, text: str) -> None:
        for token in counting.split_tokens(text):
            hearing.sent += token
            self.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=hearing.item_id,
                content_index=0,
                delta=token,
                obfuscation=self.ids.padding(token),
            )

    def _transcript(self, hearing: _Hearing, item: Item, text: str) -> None:
        if text.startswith(hearing.sent):
            self._transcript_deltas(hearing, text[len(hearing.sent) :])
        self.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item.id,
            content_index=0,
            transcript=text,
            usage=self._transcript_usage(item, text),
        )

    def _transcript_usage(self, item: Item, text: str) -> dict[str, Any]:
        if self.session["audio"]["input"]["transcription"]["model"] in _BILLED_BY_DURATION:
            # Recorded: 2796 ms of speech → 3; a silent idle turn → 0.
            return {"type": "duration", "seconds": round(item.sound_ms / 1000) if text else 0}
        sound = counting.user_audio_tokens(item.sound_ms)
        written = len(counting.split_tokens(text)) + 1
        return {
            "type": "tokens",
            "total_tokens": sound + written,
            "input_tokens": sound,
            "input_token_details": {"text_tokens": 0, "audio_tokens": sound},
            "output_tokens": written,
        }

    # ------------------------------------------------------------------ turn taking

    def _detect(self, pcm: bytes) -> None:
        first = self._turns is None
        if self._turns is None:
            # The grid of frames counts from the first byte ever appended, also where detection starts later.
            start = self._buffer.end - len(pcm)
            frame = -(-start // FRAME_BYTES)
            self._turns = Turns(frame)
            pcm = pcm[frame * FRAME_BYTES - start :]
        if pcm or first:
            self._outputs.append(Detect(pcm, first=first))

    def _forget_turn(self) -> None:
        if self._turns is not None:
            self._turns.ignore_until(-(-self._buffer.end // FRAME_BYTES))
        self._speech_item = None
        self._idle_from_ms = None

    def _trim(self) -> None:
        """Between turns keep only what the next turn's padding may reach back for."""
        if self._turns is not None and not self._turns.speaking and self._idle_from_ms is None:
            vad = self.session["audio"]["input"]["turn_detection"] or {}
            kept_ms = self._turns.now_ms - vad.get("prefix_padding_ms", 300) - 4 * FRAME_MS
            self._buffer.keep_from(kept_ms * BYTES_PER_MS)

    def _speech_started(self, started: Started, vad: Mapping[str, Any]) -> None:
        self._speech_item = self.ids.new("item")
        self._idle_from_ms = None
        self._idle_armed_at = None
        self.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=started.audio_start_ms,
            item_id=self._speech_item,
        )
        if self._streams():
            self._listen(self._buffer.between(started.audio_start_ms * BYTES_PER_MS, self._buffer.end))
        if self._active is not None and vad.get("interrupt_response"):
            self._answer_wanted = False
            self._active.cancel("turn_detected")

    def _speech_stopped(self, stopped: Stopped, vad: Mapping[str, Any]) -> None:
        item_id = self._speech_item
        self._speech_item = None
        self.send("input_audio_buffer.speech_stopped", audio_end_ms=stopped.audio_end_ms, item_id=item_id)
        start, end = stopped.audio_start_ms * BYTES_PER_MS, stopped.audio_end_ms * BYTES_PER_MS
        self._commit(self._buffer.take(start, end), item_id)
        self._answer_turn(vad)

    def _answer_turn(self, vad: Mapping[str, Any]) -> None:
        if not vad.get("create_response"):
            return
        if self._active is not None:
            self._answer_wanted = True  # unconfirmed: with interrupt_response false the answer follows the one running
        else:
            self._respond({})

    def _ask_whether_finished(self, pause: Pause) -> None:
        job = f"job{next(self._job_numbers)}"
        self._pause_jobs[job] = pause.audio_start_ms
        sound = self._buffer.between(pause.audio_start_ms * BYTES_PER_MS, pause.audio_end_ms * BYTES_PER_MS)
        self._outputs.append(Hear(job, sound, self._language()))

    def _look_at_idle(self, vad: Mapping[str, Any]) -> None:
        """The idle timeout counts sound that flows in once the last reply has been played."""
        assert self._turns is not None
        limit_ms = vad.get("idle_timeout_ms")
        played = self._idle_armed_at is not None and self.now >= self._idle_armed_at
        if not limit_ms or not played or self._active is not None:
            return
        if self._idle_from_ms is None:
            self._idle_from_ms = self._turns.now_ms - FRAME_MS
        start_ms, end_ms = self._idle_from_ms, self._turns.now_ms
        if end_ms - start_ms < limit_ms:
            return
        self._idle_from_ms = None
        self._idle_armed_at = None
        item_id = self.ids.new("item")
        self.send(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id
        )
        shown = {
            "id": self.ids.new("item"),
            "type": "message",
            "status": "completed",
            "role": "system",
            "content": [{"type": "input_text", "text": _IDLE_PROMPT}],
        }
        nudge = Item(shown)
        self._announce(nudge, self.conversation.add(nudge))
        self._commit(self._buffer.take(start_ms * BYTES_PER_MS, end_ms * BYTES_PER_MS), item_id)
        self._respond({})

    # ------------------------------------------------------------------ responses

    def _respond(self, wanted: dict[str, Any]) -> None:
        if self._active is not None and wanted.get("conversation") != "none":
            return
        response = Response(self, self._plan(wanted))
        if response.in_conversation:
            self._active = response
        else:
            self._beside[response.id] = response
        self._drive(response, response.step)

    def _plan(self, wanted: dict[str, Any]) -> Plan:
        session = self.session
        sound = session["audio"]["output"]
        asked = wanted.get("audio", {}).get("output", {})
        if self._voice_used and asked.get("voice", sound["voice"]) != sound["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Problem(message, code="cannot_update_voice", param="response.audio.output.voice")
        effort = (wanted.get("reasoning") or self._silent.get("reasoning") or {}).get("effort")
        aside = wanted.get("conversation") == "none"

        def chosen(name: str) -> Any:
            return session[name] if wanted.get(name) is None else wanted[name]

        context = self._context(wanted.get("input"))
        return Plan(
            instructions=chosen("instructions"),
            modalities=chosen("output_modalities"),
            tools=chosen("tools"),
            tool_choice=chosen("tool_choice"),
            max_output_tokens=chosen("max_output_tokens"),
            format=asked.get("format") or sound["format"],
            voice=asked.get("voice") or sound["voice"],
            speed=sound["speed"],
            metadata=wanted.get("metadata"),
            context=context,
            conversation_id=None if aside else self.conversation_id,
            effort=effort,
            cacheable=0 if wanted.get("input") is not None else self._read_before,
            failure=self.options.fail_response,
            odd_last_chunk=self.options.odd_last_chunk,
        )

    def _context(self, given: list[Any] | None) -> list[Item]:
        if given is None:
            return list(self.conversation)
        context = []
        for index, value in enumerate(given):
            path = f"response.input[{index}]"
            if isinstance(value, dict) and value.get("type") == "item_reference":
                checked = record({"type": anything, "id": string()}, required=("id",))(value, path)
                item = self.conversation.get(checked["id"])
                if item is None:
                    message = f"Item with id '{checked['id']}' does not exist."  # unconfirmed wording
                    raise Problem(message, code="invalid_value", param=f"{path}.id")
                context.append(item)
            else:
                new_ids = {"new_id": self.ids.new("item"), "new_call_id": self.ids.new("call")}
                item = read_item(value, **new_ids, path=path)
                context.append(item)
        for item in context:
            if item.sound and item.heard is None and not item.awaiting:
                self._hear(item)
        return context

    def _drive(self, response: Response, act: Callable[[], None]) -> None:
        """Let a response go on, and wake it when it wants to be woken."""
        before = response.waits_until
        act()
        at = response.waits_until
        if at is not None and at != before:
            self._at(at, lambda: self._wake(response, at))

    def _wake(self, response: Response, at: float) -> None:
        if response.waits_until == at:
            response.waits_until = None
            self._drive(response, response.step)

    def _rate_limits(self) -> None:
        used = _TOKEN_LIMIT - self._tokens_left
        tokens = {
            "name": "tokens",
            "limit": _TOKEN_LIMIT,
            "remaining": self._tokens_left,
            "reset_seconds": round(used * 60 / _TOKEN_LIMIT, 3),
        }
        self.send("rate_limits.updated", rate_limits=[tokens])

    # ------------------------------------------------------------------ the end

    def _expire(self) -> None:
        minutes = self.options.session_seconds / 60
        text = f"Your session hit the maximum duration of {minutes:g} minutes."
        self._refuse(Problem(text, code="session_expired"), None)
        self._outputs.append(Close(self.now, 1001, text))
        self.closed = True

    def _refuse(self, problem: Problem, event_id: str | None) -> None:
        self.send("error", error=problem.error(event_id))

    def _at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, _Timer(at, next(self._turn), act))

    def _given(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs
