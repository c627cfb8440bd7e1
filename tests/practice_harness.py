"""Harness of a practice session: no sockets, no clock, engines that answer at once or when they are released."""

from __future__ import annotations

import base64
import json
import random
from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

from rtnb.server.engines.engines import canned
from rtnb.server.protocol import settings
from rtnb.server.protocol.effects import (
    Close,
    Detect,
    Ids,
    Part,
    Respond,
    Send,
    Speak,
    Stop,
    Transcribe,
    TranscribeStream,
    Transcript,
)
from rtnb.server.protocol.realtime import RealtimeSession
from rtnb.server.protocol.requests import Answer, Text
from rtnb.server.protocol.session import Options

MINI = "gpt-realtime-2.1-mini"
FIRST = "gpt-realtime"
SPEECH = next(iter(canned().speak(Speak("", "one two three four five", "marin"))))  # 1 s that its VAD takes for speech
SILENCE = bytes(48_000)


_Effect = TypeVar("_Effect")


def b64(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


class Harness:
    """Client and engines of one session.

    Args:
        model: The model asked for.
        transcript: Words that the ASR finds in any audio, or an exception that it raises.
        partials: Words so far that a streaming ASR returns, one for each piece of audio.
        answers: Pieces of every answer of the responder.
        speech: Audio of any sentence, or an exception that the TTS raises.
        holds: Effects that are answered only when `release` is called: "transcribe", "respond", "speak" …
    """

    def __init__(
        self,
        model: str = MINI,
        *,
        kind: str = "realtime",
        transcript: str | BaseException = "hello there",
        partials: Iterable[str] = (),
        answers: Iterable[Answer | BaseException] = (Text("Nice to meet you."),),
        speech: bytes | BaseException = SPEECH,
        holds: Iterable[str] = (),
        options: Options | None = None,
        session: Any = None,
    ) -> None:
        self.now = 100.0
        self.transcript, self.answers, self.speech = transcript, list(answers), speech
        self.partials = list(partials)
        self.holds = set(holds)
        self.held: deque[Any] = deque()
        self.effects: list[Any] = []
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.closed: Close | None = None
        self._detector = canned().vad()
        self.session = session or RealtimeSession(
            Ids(random.Random(1)),
            now=self.now,
            unix_seconds=1_800_000_000,
            kind=kind,
            model=settings.MODELS.get(model),
            options=options or Options(pace=0),
        )
        self._take(self.session.open(self.now))

    # ------------------------------------------------------------------ the client

    def send(self, type: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a client event; return the server events that it causes at once."""
        return self.frame(json.dumps({"type": type, **fields}))

    def frame(self, frame: str | bytes) -> list[dict[str, Any]]:
        start = len(self.events)
        self._take(self.session.receive(frame, self.now))
        return self.events[start:]

    def append(self, audio: bytes, *, chunk: int = 9_600) -> list[dict[str, Any]]:
        start = len(self.events)
        for at in range(0, len(audio), chunk):
            self.send("input_audio_buffer.append", audio=b64(audio[at : at + chunk]))
        return self.events[start:]

    def update(self, **session: Any) -> list[dict[str, Any]]:
        return self.send("session.update", session={"type": "realtime", **session})

    def push_to_talk(self) -> Harness:
        self.update(audio={"input": {"turn_detection": None}})
        return self

    def say(self, text: str, **item: Any) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        return self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **item}
        )

    # ------------------------------------------------------------------ time and engines

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Let time pass; return what came meanwhile."""
        start, until = len(self.events), self.now + seconds
        while self.session.due is not None and self.session.due <= until:
            self.now = max(self.now, self.session.due)
            self._take(self.session.take(self.now))
        self.now = until
        return self.events[start:]

    def release(self, *engines: str) -> list[dict[str, Any]]:
        """Let engines that were held answer (all of them where none is named)."""
        start = len(self.events)
        self.holds -= set(engines or self.holds)
        waiting, self.held = list(self.held), deque()
        self._take(waiting)
        return self.events[start:]

    def _take(self, outputs: Iterable[Any]) -> None:
        queue = deque(outputs)
        while queue:
            output = queue.popleft()
            if isinstance(output, Send):
                assert output.at <= self.now
                self.events.append(json.loads(json.dumps(output.event)))
                self.times.append(output.at)
            elif isinstance(output, Close):
                self.closed = output
            else:
                name = type(output).__name__.lower()
                self.effects.append(output)
                if name in self.holds and not isinstance(output, Stop):
                    self.held.append(output)
                else:
                    # Whatever the answer brings about goes out before what was already in the queue came in.
                    queue.extend(self._answers(output))

    def _answers(self, asked: Any) -> list[Any]:
        session, now = self.session, self.now
        if isinstance(asked, Detect):
            if asked.first:
                self._detector = canned().vad()
            return list(session.take(now, session.detected, self._detector.feed(asked.pcm)))
        if isinstance(asked, Transcribe):
            return list(session.take(now, session.transcribed, asked.job, self._heard(asked.speakers)))
        if isinstance(asked, TranscribeStream):
            if asked.last:
                return list(session.take(now, session.transcribed, asked.job, self._heard()))
            if asked.pause:
                return list(session.take(now, session.transcribed_so_far, asked.job, self._heard()))
            partly = session.partly_transcribed
            return list(session.take(now, partly, asked.job, self.partials.pop(0))) if self.partials else []
        if isinstance(asked, Respond):
            pieces = [*self.answers, None]
            return [output for piece in pieces for output in session.take(now, session.responded, asked.job, piece)]
        if isinstance(asked, Speak):
            if isinstance(self.speech, BaseException):
                return list(session.take(now, session.spoke, asked.job, self.speech))
            first = list(session.take(now, session.spoke, asked.job, self.speech))
            return first + list(session.take(now, session.spoke, asked.job, None))
        assert isinstance(asked, Stop)
        return []

    def _heard(self, speakers: bool = False) -> Transcript | BaseException:
        if isinstance(self.transcript, BaseException):
            return self.transcript
        words = self.transcript.split()
        if speakers:  # every word is another's
            parts = [Part(at * 0.5, at * 0.5 + 0.4, "AB"[at % 2], word) for at, word in enumerate(words)]
            return Transcript(self.transcript, tuple(parts))
        return Transcript(self.transcript, confidence=(0.5,) * len(words))

    # ------------------------------------------------------------------ what came out

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type]

    def last(self, type: str) -> dict[str, Any]:
        return self.of(type)[-1]

    def effect(self, kind: type[_Effect]) -> _Effect:
        """Return the first effect of that kind which the machine asked for."""
        return next(effect for effect in self.effects if isinstance(effect, kind))

    def error(self) -> dict[str, Any]:
        return self.last("error")["error"]


def squeezed(events: Iterable[dict[str, Any]]) -> list[str]:
    """Types, with runs of the same one said once."""
    types: list[str] = []
    for event in events:
        if types[-1:] != [event["type"]]:
            types.append(event["type"])
    return types
