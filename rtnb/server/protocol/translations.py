"""A translation session (`/v1/realtime/translations`): sound in, translated sound and words out, without turns.

Events and fields as in the SDK's `realtime_translation_*` types. The state machine is of the same make as `Script`.
The practice brain is asked to translate like for any other wish, and says so where it cannot.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pybase64

from rtnb.protocol.event_types import CLIENT_EVENTS
from rtnb.server.protocol import api_errors
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.audio import BYTES_PER_MS
from rtnb.server.protocol.client_events import read_append
from rtnb.server.protocol.effects import Close, Detect, Ids, Output, Respond, Send, Speak, Transcribe, Transcript
from rtnb.server.protocol.requests import Request, Text
from rtnb.server.protocol.schema import anything, choice, nullable, number, record, string
from rtnb.server.protocol.script import Options, event_id_of, read_frame
from rtnb.server.protocol.turn_detection import Started, Stopped, Turns

__all__ = ["TranslationScript"]

_FRAME_MS = 200  # SDK docstring: translation consumes 200 ms frames, and elapsed_ms advances by them
_FRAME_BYTES = _FRAME_MS * BYTES_PER_MS
_UNFILLED_MS = 96
_PAUSE = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 200, "silence_duration_ms": 400}
_SESSION = record(
    {
        "audio": record(
            {
                "input": record(
                    {
                        "transcription": nullable(record({"model": string()}, required=("model",))),
                        "noise_reduction": nullable(
                            record({"type": choice("near_field", "far_field"), "strength": number(0, 10)})
                        ),
                    }
                ),
                "output": record({"language": nullable(string())}),
            }
        ),
    }
)
_EVENT_FIELDS = {"type": anything, "event_id": nullable(string(512))}


class TranslationScript:
    """One translation session. Arguments and methods as `Script`'s."""

    def __init__(
        self, ids: Ids, *, now: float, unix_seconds: float, model_name: str, options: Options | None = None
    ) -> None:
        self.ids = ids
        self.now = now
        self.options = options or Options()
        self.session: dict[str, Any] = {
            "id": ids.new("sess"),
            "type": "translation",
            "model": model_name,
            "expires_at": int(unix_seconds + self.options.session_seconds),
            "audio": {
                "input": {"transcription": None, "noise_reduction": None},
                "output": {"language": None},
            },
        }
        self.closed = False
        self._expires_at = now + self.options.session_seconds
        self._outputs: list[Output] = []
        self._jobs = (f"job{number}" for number in itertools.count(1))
        self._pcm = bytearray()  # from the start of what may still be needed
        self._dropped = 0
        self._turns: Turns | None = None
        self._hearing: dict[str, int] = {}  # job → where its utterance ends, ms
        self._thinking: dict[str, int] = {}
        self._speaking: dict[str, int] = {}
        self._unsaid: list[tuple[str, int]] = []
        self._sound = bytearray()
        self._closing = False

    # ------------------------------------------------------------------ what the world gives

    @property
    def due(self) -> float | None:
        """When `advance` must be called next."""
        return None if self.closed else self._expires_at

    def open(self, now: float) -> list[Output]:
        """The socket is open: the first event."""
        self.now = now
        self._send("session.created", session=copy.deepcopy(self.session))
        return self._given()

    def advance(self, now: float) -> list[Output]:
        """Time has passed."""
        self.now = max(self.now, now)
        if now >= self._expires_at and not self.closed:
            minutes = self.options.session_seconds / 60
            text = f"Your session hit the maximum duration of {minutes:g} minutes."
            self._refuse(ApiError(text, code="session_expired"), None)
            self._outputs.append(Close(self.now, 1001, text))
            self.closed = True
        return self._given()

    def receive(self, frame: str | bytes, now: float) -> list[Output]:
        """A frame came from the client."""
        self.now = max(self.now, now)
        event = None
        if not self.closed:
            try:
                event = read_frame(frame)
                self._act(event)
            except ApiError as problem:
                self._refuse(problem, event_id_of(event))
        return self._given()

    def detected(self, probabilities: list[float], now: float) -> list[Output]:
        """The detector's judgement of the next frames."""
        self.now = max(self.now, now)
        for probability in probabilities:
            assert self._turns is not None
            happened = self._turns.feed(probability, _PAUSE)
            if isinstance(happened, Stopped):
                self._hear(happened.audio_start_ms, happened.audio_end_ms)
            elif not isinstance(happened, Started) and not self._turns.speaking:
                self._forget(self._turns.now_ms - 600)
        if self._closing:
            self._flush()
        return self._given()

    def heard(self, job: str, heard: Transcript | BaseException, now: float) -> list[Output]:
        """The recogniser has finished an utterance."""
        self.now = max(self.now, now)
        end_ms = self._hearing.pop(job, None)
        if end_ms is not None and isinstance(heard, Transcript) and (text := heard.text):
            elapsed_ms = end_ms // _FRAME_MS * _FRAME_MS
            if self.session["audio"]["input"]["transcription"] is not None:
                for token in counting.split_tokens(text + " "):
                    self._send("session.input_transcript.delta", delta=token, elapsed_ms=elapsed_ms)
            self._translate(text, elapsed_ms)
        self._finish_if_idle()
        return self._given()

    def partly_heard(self, job: str, text: str, now: float) -> list[Output]:
        """Nothing here listens by halves."""
        return self._given()

    def thought(self, job: str, piece: Any, now: float) -> list[Output]:
        """The brain's next sentence; None at its end."""
        self.now = max(self.now, now)
        if job in self._thinking:
            elapsed_ms = self._thinking[job]
            if isinstance(piece, Text):
                self._unsaid.append((piece.text, elapsed_ms))
                self._speak_next()
            elif piece is None or isinstance(piece, BaseException):
                del self._thinking[job]
        self._finish_if_idle()
        return self._given()

    def spoke(self, job: str, pcm: bytes | BaseException | None, now: float) -> list[Output]:
        """The voice's next piece; None at its end."""
        self.now = max(self.now, now)
        if job in self._speaking:
            elapsed_ms = self._speaking[job]
            if isinstance(pcm, bytes):
                self._sound += pcm
                self._sound_out(elapsed_ms, last=False)
            else:
                del self._speaking[job]
                self._sound_out(elapsed_ms, last=True)
                self._speak_next()
        self._finish_if_idle()
        return self._given()

    # ------------------------------------------------------------------ client events

    def _act(self, event: Any) -> None:
        if not isinstance(event, dict):
            raise ApiError("Invalid event: expected a JSON object.", code="invalid_event")
        kind = event.get("type")
        if kind == "session.input_audio_buffer.append":
            self._append(read_append(event, lambda audio: pybase64.b64decode(audio, validate=True)))
        elif kind == "session.update":
            record({**_EVENT_FIELDS, "session": anything}, ("session",))(event, "")
            self._update(event["session"])
        elif kind == "session.close":
            record(_EVENT_FIELDS)(event, "")
            self._close()
        elif kind is None:
            raise api_errors.missing("type")
        else:
            raise api_errors.invalid_value(kind, CLIENT_EVENTS, "type")

    def _append(self, sound: bytes) -> None:
        if len(self._pcm) + len(sound) > self.options.buffer_bytes:
            message = "Error appending to input audio buffer: too much audio at once."  # ours
            raise ApiError(message, code="input_audio_buffer_full", param="audio")
        first = self._turns is None
        if self._turns is None:
            self._turns = Turns()
        self._pcm += sound
        self._outputs.append(Detect(sound, first=first))

    def _update(self, patch: Any) -> None:
        checked = _SESSION(patch, "session")
        sound = checked.get("audio", {})
        merged = copy.deepcopy(self.session)
        merged["audio"]["input"] |= sound.get("input", {})
        merged["audio"]["output"] |= sound.get("output", {})
        self.session = merged
        self._send("session.updated", session=copy.deepcopy(merged))

    def _close(self) -> None:
        """SDK docstring: flushes pending input and emits any remaining output before closing."""
        self._closing = True
        self._flush()

    def _judged(self) -> bool:
        """Whether the detector has heard all that came; its last frames may stay unfilled."""
        came_ms = (self._dropped + len(self._pcm)) // BYTES_PER_MS
        return self._turns is None or self._turns.now_ms >= came_ms - _UNFILLED_MS

    def _flush(self) -> None:
        if not self._judged():
            return
        if self._turns is not None and self._turns.speaking:
            assert self._turns.start_ms is not None
            start_ms = self._turns.start_ms
            self._turns.ignore_until(self._turns.frame)
            self._hear(start_ms, (self._dropped + len(self._pcm)) // BYTES_PER_MS)
        self._finish_if_idle()

    # ------------------------------------------------------------------ heard, translated, said

    def _hear(self, start_ms: int, end_ms: int) -> None:
        job = next(self._jobs)
        self._hearing[job] = end_ms
        start = max(0, start_ms * BYTES_PER_MS - self._dropped)
        sound = bytes(self._pcm[start : end_ms * BYTES_PER_MS - self._dropped])
        self._outputs.append(Transcribe(job, sound))
        self._forget(end_ms)

    def _forget(self, until_ms: int) -> None:
        count = max(0, min(until_ms * BYTES_PER_MS - self._dropped, len(self._pcm)))
        del self._pcm[:count]
        self._dropped += count

    def _translate(self, text: str, elapsed_ms: int) -> None:
        job = next(self._jobs)
        self._thinking[job] = elapsed_ms
        language = self.session["audio"]["output"]["language"] or "en"
        item = {
            "id": self.ids.new("item"),
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": text}],
        }
        wish = f"Translate what the user says into the language with the code {language}. Say nothing else."
        self._outputs.append(Respond(job, Request(wish, [item], tool_choice="none")))

    def _speak_next(self) -> None:
        if self._speaking or not self._unsaid:
            return
        text, elapsed_ms = self._unsaid.pop(0)
        for token in counting.split_tokens(text + " "):
            self._send("session.output_transcript.delta", delta=token, elapsed_ms=elapsed_ms)
        job = next(self._jobs)
        self._speaking[job] = elapsed_ms
        language = self.session["audio"]["output"]["language"]
        self._outputs.append(Speak(job, text, "marin", language=language))

    def _sound_out(self, elapsed_ms: int, *, last: bool) -> None:
        while len(self._sound) >= _FRAME_BYTES or (last and self._sound):
            piece = bytes(self._sound[:_FRAME_BYTES])
            del self._sound[:_FRAME_BYTES]
            self._send(
                "session.output_audio.delta",
                delta=pybase64.b64encode(piece).decode("ascii"),
                sample_rate=24_000,
                channels=1,
                format="pcm16",
                elapsed_ms=elapsed_ms,
            )

    def _finish_if_idle(self) -> None:
        busy = not self._judged() or self._hearing or self._thinking or self._speaking or self._unsaid
        if self._closing and not busy and not self.closed:
            self._send("session.closed")
            self._outputs.append(Close(self.now, 1000, ""))
            self.closed = True

    # ------------------------------------------------------------------ out

    def _send(self, type: str, **fields: Any) -> None:
        self._outputs.append(Send(self.now, {"type": type, "event_id": self.ids.new("event"), **fields}))

    def _refuse(self, problem: ApiError, event_id: str | None) -> None:
        self._send("error", error=problem.error(event_id))

    def _given(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs
