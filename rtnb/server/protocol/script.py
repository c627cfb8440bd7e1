"""The protocol as a pure state machine: client events in, server events with their times out.

It owns no socket, clock or source of chance: times and ids are given to it. What it wants of ears, brain and voice it
asks for in its outputs (`Hear`, `Think`, `Speak` …), and the answers are given back to it by the methods named after
them. `due` says when `advance` must be called next.
"""

from __future__ import annotations

import copy
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pybase64

from rtnb.server.protocol import settings
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.api_errors import ApiError, above_maximum
from rtnb.server.protocol.audio import BYTES_PER_MS
from rtnb.server.protocol.client_events import read_append, read_event
from rtnb.server.protocol.effects import Close, Ids, Output, Send, Stop, Transcript
from rtnb.server.protocol.input_buffer import InputAudioBuffer
from rtnb.server.protocol.items import Conversation, Item, read_item
from rtnb.server.protocol.requests import Answer
from rtnb.server.protocol.responses import Plan, Response
from rtnb.server.protocol.schema import anything, record, string, too_deep
from rtnb.server.protocol.transcripts import Transcripts

__all__ = ["Options", "Script"]

_RATE_LIMITS_AFTER = 0.030  # recorded: 29–46 ms after response.done
_TOKEN_LIMIT = 15_000_000  # recorded
_NUDGE = (
    "The user has been silent for some time. Listen to the recording that follows: if they spoke, answer them; "
    "if not, take up the last topic again or ask whether they are still there."
)
"""What the system says at the idle timeout (the real server's own words are longer and say the same)."""


@dataclass(frozen=True)
class Options:
    """How a server, or one session on it, differs from the ordinary.

    Attributes:
        pace: Sound goes out this many times faster than it plays (recorded: about 12). 0 sends all at once.
        session_seconds: How long a session may last.
        buffer_bytes: The most sound, as s16le 24 kHz, that a session may hold in buffer and items together.
        item_count: The most items a conversation may hold.
        rate_limits_after: Seconds from `response.done` to `rate_limits.updated`; None never sends it.
        failure: The error object that responses fail with, or None.
        failing: Which responses fail, counted from 1; None means all of them.
        odd_last_chunk: Cut the last audio delta in the middle of a sample.
    """

    pace: float = 12.0
    session_seconds: float = 3600.0
    buffer_bytes: int = 400 * 1024 * 1024
    item_count: int = 20_000
    rate_limits_after: float | None = _RATE_LIMITS_AFTER
    failure: dict[str, Any] | None = None
    failing: int | None = None
    odd_last_chunk: bool = False


@dataclass(order=True)
class _Timer:
    at: float
    turn: int
    act: Callable[[], None] = field(compare=False)


class Script:
    """One session.

    Args:
        ids: Where ids and padding come from.
        now: The time, in seconds on any clock that all later times are on too.
        unix_seconds: The time of day, for `expires_at`.
        kind: `"realtime"` or `"transcription"`.
        model: The model of a realtime session.
        options: How this session differs from the ordinary.
        preset: Settings that an ephemeral secret brought with it (a checked `session` object), or None.
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
        preset: dict[str, Any] | None = None,
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
        if preset is not None:
            self.session |= {name: copy.deepcopy(preset[name]) for name in preset.keys() - _OWN_FIELDS}
        self.closed = False
        self._silent: dict[str, Any] = {}
        self._outputs: list[Output] = []
        self._timers: list[_Timer] = []
        self._timer_turns = itertools.count()
        self._jobs: dict[str, Response] = {}
        self._job_numbers = itertools.count(1)
        self._transcripts = Transcripts(self)
        self._floor = InputAudioBuffer(self, self._transcripts)
        self._active: Response | None = None
        self._beside: dict[str, Response] = {}
        self._answer_wanted = False
        self._voice_used = False
        self._responses = 0
        self._tokens_left = _TOKEN_LIMIT
        self._read_before = 0
        self._item_bytes = 0
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
        self._catch_up(now)
        return self._given()

    def receive(self, frame: str | bytes, now: float) -> list[Output]:
        """A frame came from the client: text, or (refused) binary."""
        try:
            event = read_frame(frame)
        except ApiError as problem:
            return self.refuse(problem, None, now)
        return self.handle(event, now)

    def handle(self, event: Any, now: float) -> list[Output]:
        """A client event, already parsed."""
        self._catch_up(now)
        if not self.closed:
            try:
                self._act(event)
            except ApiError as problem:
                self._refuse(problem, event_id_of(event))
        return self._given()

    def refuse(self, problem: ApiError, event_id: str | None, now: float) -> list[Output]:
        """Something came that is no client event."""
        self._catch_up(now)
        if not self.closed:
            self._refuse(problem, event_id)
        return self._given()

    def detected(self, probabilities: list[float], now: float) -> list[Output]:
        """The detector's judgement of the next frames."""
        self._catch_up(now)
        if not self.closed:
            self._floor.detected(probabilities)
        return self._given()

    def heard(self, job: str, heard: Transcript | BaseException, now: float) -> list[Output]:
        """The recogniser has finished a job."""
        self._catch_up(now)
        if not self.closed and not self._floor.heard(job, heard):
            self._transcripts.heard(job, heard)
        return self._given()

    def partly_heard(self, job: str, text: str, now: float) -> list[Output]:
        """A streaming recogniser's words so far."""
        self._catch_up(now)
        if not self.closed:
            self._transcripts.partly_heard(job, text)
        return self._given()

    def thought(self, job: str, piece: Answer | BaseException | None, now: float) -> list[Output]:
        """The brain's next piece; None at its end."""
        return self._answer(job, piece, now)

    def spoke(self, job: str, pcm: bytes | BaseException | None, now: float) -> list[Output]:
        """The voice's next piece of s16le 24 kHz; None at its end."""
        return self._answer(job, pcm, now)

    def _answer(self, job: str, piece: Any, now: float) -> list[Output]:
        self._catch_up(now)
        response = self._jobs.get(job)
        if response is not None and not self.closed:
            if piece is None or isinstance(piece, BaseException):
                del self._jobs[job]
            self._drive(response, lambda: response.take(job, piece))
        return self._given()

    def _catch_up(self, now: float) -> None:
        while self._timers and self._timers[0].at <= now and not self.closed:
            timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.at)
            timer.act()
        self.now = max(self.now, now)

    # ------------------------------------------------------------------ what its parts need (Stage)

    def send(self, type: str, **fields: Any) -> None:
        """Send a server event that is due now."""
        self._outputs.append(Send(self.now, {"type": type, "event_id": self.ids.new("event"), **fields}))

    def want(self, output: Output) -> None:
        """Ask something of the world."""
        if isinstance(output, Stop):
            self._jobs.pop(output.job, None)
        self._outputs.append(output)

    def new_job(self) -> str:
        """A name for a piece of engine work."""
        return f"job{next(self._job_numbers)}"

    def job_for(self, owner: Response) -> str:
        """A new job whose answers go to a response."""
        job = self.new_job()
        self._jobs[job] = owner
        return job

    def commit(self, sound: bytes, item_id: str | None) -> None:
        """Make sound the user's next item."""
        shown = {
            "id": item_id or self.ids.new("item"),
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        item = Item(shown, sound=sound)
        previous = self.conversation.add(item)
        self.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item.id)
        self._announce(item, previous)
        self._item_bytes += len(item.sound)
        self._transcripts.hear(item)

    def nudge(self) -> None:
        """Add the system's message of the idle timeout."""
        shown = {
            "id": self.ids.new("item"),
            "type": "message",
            "status": "completed",
            "role": "system",
            "content": [{"type": "input_text", "text": _NUDGE}],
        }
        item = Item(shown)
        self._announce(item, self.conversation.add(item))

    def interrupt(self) -> None:
        """The user speaks: the response under way ends, if turn detection says so."""
        vad = self.session["audio"]["input"]["turn_detection"]
        if self._active is not None and vad.get("interrupt_response"):
            self._answer_wanted = False
            self._active.cancel("turn_detected")

    def answer_turn(self) -> None:
        """The user has finished: answer, if turn detection says so."""
        vad = self.session["audio"]["input"]["turn_detection"]
        if not vad.get("create_response"):
            return
        if self._active is not None:
            # Unconfirmed: with interrupt_response false we answer when the response under way has ended.
            self._answer_wanted = True
        else:
            self.respond({})

    def item_heard(self, item: Item) -> None:
        """The recogniser has finished with an item: responses that waited for it go on."""
        for response in [self._active, *self._beside.values()]:
            if response is not None and response.waits_until is None:
                self._drive(response, response.step)

    def respond(self, wanted: dict[str, Any]) -> None:
        """Begin a response with these overrides; into the conversation only where none is under way."""
        if self._active is not None and wanted.get("conversation") != "none":
            return
        response = Response(self, self._plan(wanted))
        if response.in_conversation:
            self._active = response
        else:
            self._beside[response.id] = response
        self._drive(response, response.step)

    def ended(self, response: Response) -> None:
        """A response has sent its `response.done`."""
        if response.usage is not None:
            spent = counting.total(response.usage)
            self._tokens_left = max(0, self._tokens_left - spent)
            if response.in_conversation and response.status != "failed":
                self._read_before = spent + 4
        if self.options.rate_limits_after is not None:
            self._at(self.now + self.options.rate_limits_after, self._rate_limits)
        if response.sound_seconds:
            self._voice_used = True
        if response is not self._active:
            self._beside.pop(response.id, None)
            return
        self._active = None
        self._count_sound()
        self._floor.reply_ends_playing(self.now + response.sound_seconds)
        if self._answer_wanted:
            self._answer_wanted = False
            self._at(self.now, lambda: self.respond({}))

    # ------------------------------------------------------------------ client events

    def _act(self, event: Any) -> None:
        if isinstance(event, dict) and event.get("type") == "input_audio_buffer.append":
            self._append(event)
            return
        name, checked = read_event(event, session_type=self.kind)
        getattr(self, "_on_" + name.replace(".", "_"))(checked)

    def _append(self, event: dict[str, Any]) -> None:
        sound = read_append(event, _decode)
        if self._item_bytes + self._floor.held_bytes + len(sound) > self.options.buffer_bytes:
            # No cap is documented: code and wording are ours.
            limit_ms = self.options.buffer_bytes // BYTES_PER_MS
            message = f"Error appending to input audio buffer: a session holds at most {limit_ms}ms of audio."
            raise ApiError(message, code="input_audio_buffer_full", param="audio")
        self._floor.append(sound)

    def _on_session_update(self, event: dict[str, Any]) -> None:
        model = self.model if self.kind == "realtime" else None
        before = self.session
        self.session, silent = settings.update(before, event["session"], model=model, voice_locked=self._voice_used)
        self._silent |= silent
        self._floor.settings_changed()
        if any(before.get(name) != self.session.get(name) for name in ("instructions", "tools")):
            self._read_before = 0  # another beginning: nothing of the context is cached any more
        self.send("session.updated", session=copy.deepcopy(self.session))
        for tool in self.session.get("tools", ()):
            if tool["type"] == "mcp" and tool not in before["tools"]:
                self._list_mcp_tools(tool)

    def _on_input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        self._floor.commit()

    def _on_input_audio_buffer_clear(self, event: dict[str, Any]) -> None:
        self._floor.clear()
        self.send("input_audio_buffer.cleared")

    def _on_conversation_item_create(self, event: dict[str, Any]) -> None:
        if len(self.conversation) >= self.options.item_count:
            message = f"Error adding item: a conversation holds at most {self.options.item_count} items."
            raise ApiError(message, code="conversation_full", param="item")  # no cap is documented: ours
        item = read_item(event["item"], new_id=self.ids.new("item"), new_call_id=self.ids.new("call"))
        if item.shown["type"] == "function_call_output":
            self._check_call_id(item.shown["call_id"])
        if self._item_bytes + len(item.sound) > self.options.buffer_bytes:
            raise ApiError("Error adding item: too much audio in this session.", code="conversation_full", param="item")
        self.conversation.check_room(item)
        previous = self.conversation.add(item, event.get("previous_item_id"))
        self._announce(item, previous)
        self._item_bytes += len(item.sound)
        if item.sound and item.heard is None:
            self._transcripts.hear(item)

    def _check_call_id(self, call_id: str) -> None:
        if not any(item.shown.get("call_id") == call_id for item in self.conversation):
            message = f"Tool call ID '{call_id}' not found in conversation."  # reported
            raise ApiError(message, code="invalid_tool_call_id", param="item.call_id")

    def _on_conversation_item_retrieve(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_retrieve_invalid_item_id", "retrieving")
        shown = copy.deepcopy(item.shown)
        for part in shown.get("content", ()):
            if part["type"] in ("input_audio", "output_audio"):
                part["audio"] = pybase64.b64encode(item.sound).decode("ascii")
                if part["type"] == "input_audio" and self._transcripts.asked:
                    part["transcript"] = item.heard
        self.send("conversation.item.retrieved", item=shown)

    def _on_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_truncate_invalid_item_id", "truncating")
        end_ms = event["audio_end_ms"]
        if not item.is_assistant_sound:
            # The sentence is reported, the code is not known.
            raise ApiError("Only model output audio messages can be truncated", code="invalid_value", param="item_id")
        if event["content_index"] != 0:
            raise above_maximum("content_index", 0, event["content_index"])
        held_ms = int(item.sound_ms)
        if end_ms > held_ms:
            message = f"Audio content of {held_ms}ms is already shorter than {end_ms}ms"  # reported
            raise ApiError(message, code="invalid_value", param="audio_end_ms")
        item.truncated_ms = end_ms
        if isinstance(item.sound, bytes):  # else it is still being said, and cut at its end
            item.sound = item.sound[: end_ms * BYTES_PER_MS]
        for part in item.shown["content"]:
            part["transcript"] = ""  # SDK docstring: the server's transcript of it is removed
        self._count_sound()
        self.send(
            "conversation.item.truncated",
            item_id=item.id,
            content_index=event["content_index"],
            audio_end_ms=end_ms,
        )

    def _on_conversation_item_delete(self, event: dict[str, Any]) -> None:
        item = self._item(event["item_id"], "item_delete_invalid_item_id", "deleting")
        self.conversation.remove(item.id)
        self._count_sound()
        self._read_before = 0
        self.send("conversation.item.deleted", item_id=item.id)

    def _on_response_create(self, event: dict[str, Any]) -> None:
        wanted = event.get("response") or {}
        if wanted.get("conversation") != "none" and self._active is not None:
            message = (
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise ApiError(message, code="conversation_already_has_active_response")
        self.respond(wanted)

    def _on_response_cancel(self, event: dict[str, Any]) -> None:
        wanted = event.get("response_id")
        response = self._active
        if wanted is not None and (response is None or wanted != response.id):
            response = self._beside.get(wanted)
        if response is None:
            raise ApiError("Cancellation failed: no active response found", code="response_cancel_not_active")
        response.cancel("client_cancelled")

    # ------------------------------------------------------------------ items

    def _item(self, item_id: str, code: str, doing: str) -> Item:
        item = self.conversation.get(item_id)
        if item is None:  # the codes are reported, the wording is not confirmed
            message = f"Error {doing} item: the item with id '{item_id}' does not exist."
            raise ApiError(message, code=code, param="item_id")
        return item

    def _announce(self, item: Item, previous: str | None) -> None:
        for step in ("added", "done"):
            self.send(f"conversation.item.{step}", previous_item_id=previous, item=copy.deepcopy(item.shown))

    def _count_sound(self) -> None:
        self._item_bytes = sum(len(item.sound) for item in self.conversation)

    def _list_mcp_tools(self, tool: dict[str, Any]) -> None:
        """This server reaches nobody else's: it tells that listing an MCP server's tools failed (order unconfirmed)."""
        shown = {
            "id": self.ids.new("item"),
            "type": "mcp_list_tools",
            "server_label": tool["server_label"],
            "tools": [],
        }
        item = Item(shown)
        self.send("mcp_list_tools.in_progress", item_id=item.id)
        self._announce(item, self.conversation.add(item))
        self.send("mcp_list_tools.failed", item_id=item.id)

    # ------------------------------------------------------------------ responses

    def _plan(self, wanted: dict[str, Any]) -> Plan:
        session = self.session
        sound = session["audio"]["output"]
        asked = wanted.get("audio", {}).get("output", {})
        if self._voice_used and asked.get("voice", sound["voice"]) != sound["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise ApiError(message, code="cannot_update_voice", param="response.audio.output.voice")

        def chosen(name: str) -> Any:
            return session[name] if wanted.get(name) is None else wanted[name]

        instructions, tools = chosen("instructions"), chosen("tools")
        parallel = wanted.get("parallel_tool_calls")
        if parallel is None:
            parallel = self._silent.get("parallel_tool_calls")
        context = self._context(wanted.get("input"))
        self._responses += 1
        failing = self.options.failing in (None, self._responses)
        return Plan(
            instructions=instructions,
            modalities=chosen("output_modalities"),
            tools=tools,
            tool_choice=chosen("tool_choice"),
            max_output_tokens=chosen("max_output_tokens"),
            format=asked.get("format") or sound["format"],
            voice=asked.get("voice") or sound["voice"],
            speed=sound["speed"],
            metadata=wanted.get("metadata"),
            context=context,
            truncation=session["truncation"],
            conversation_id=None if wanted.get("conversation") == "none" else self.conversation_id,
            one_call=parallel is False,
            effort=(wanted.get("reasoning") or self._silent.get("reasoning") or {}).get("effort"),
            cacheable=0 if wanted.get("input") is not None else self._read_before,
            failure=self.options.failure if failing else None,
            odd_last_chunk=self.options.odd_last_chunk,
            asked=wanted.get("instructions") or "",
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
                    raise ApiError(message, code="invalid_value", param=f"{path}.id")
            else:
                item = read_item(value, new_id=self.ids.new("item"), new_call_id=self.ids.new("call"), path=path)
            context.append(item)
        for item in context:
            if item.sound and item.shown.get("role") == "user" and item.heard is None and not item.awaiting:
                self._transcripts.hear(item)
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
        self._refuse(ApiError(text, code="session_expired"), None)
        self._outputs.append(Close(self.now, 1001, text))
        self.closed = True

    def _refuse(self, problem: ApiError, event_id: str | None) -> None:
        self.send("error", error=problem.error(event_id))

    def _at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._timers, _Timer(at, next(self._timer_turns), act))

    def _given(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs


# What an ephemeral secret's settings cannot bring: these belong to the session itself.
_OWN_FIELDS = {"id", "object", "type", "expires_at", "model"}


def read_frame(frame: str | bytes) -> Any:
    """A text frame's JSON value.

    Raises:
        Problem: A binary frame, or not JSON.
    """
    if isinstance(frame, bytes | bytearray):
        message = "Expected a text WebSocket message; binary frames are not supported."
        raise ApiError(message, code="invalid_event")
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        message = f"Invalid event: failed to parse JSON value. {str(error)[:200]}"
        raise ApiError(message, code="invalid_json") from error
    if too_deep(value):
        raise ApiError("Invalid event: failed to parse JSON value. It is nested too deeply.", code="invalid_json")
    return value


def event_id_of(event: Any) -> str | None:
    """The client's own id of an event, for `error.event_id`."""
    event_id = event.get("event_id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) else None


def _decode(audio: str) -> bytes:
    return pybase64.b64decode(audio, validate=True)
