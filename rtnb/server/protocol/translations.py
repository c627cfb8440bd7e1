"""Translation sessions (`/v1/realtime/translations`): audio in, translated audio and words out, without turns.

Events and fields as in the SDK's `realtime_translation_*` types. The responder is asked to translate like for any
other request, and says so where it cannot.
"""

from collections import deque
from typing import Any

from rtnb.audio.pcm import BYTES_PER_MS, RATE_HZ
from rtnb.protocol import frames
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.audio import PcmBuffer
from rtnb.server.protocol.effects import Detect, Ids, Respond, Speak, Transcribe, Transcript, Unintelligible
from rtnb.server.protocol.items import message
from rtnb.server.protocol.requests import Answer, Request, Text
from rtnb.server.protocol.session import Options, Session
from rtnb.server.protocol.shapes import SESSIONS
from rtnb.server.protocol.turn_detection import Started, Stopped, Turns

TRANSLATING_MODEL = "gpt-realtime-translate"
"""The one model of these sessions."""
_FRAME_MS = 200  # SDK docstring: translation consumes 200 ms frames, and elapsed_ms advances by them
_FRAME_BYTES = _FRAME_MS * BYTES_PER_MS
_AUDIO_FORM = {"sample_rate": RATE_HZ, "channels": 1, "format": "pcm16"}
_PAUSE = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 200, "silence_duration_ms": 400}


class TranslationSession(Session):
    """Translation session. Arguments and methods as `RealtimeSession`'s."""

    def __init__(self, ids: Ids, *, now: float, unix_seconds: float, options: Options) -> None:
        settings: dict[str, Any] = {
            "id": ids.new("sess"),
            "type": "translation",
            "model": TRANSLATING_MODEL,
            "expires_at": int(unix_seconds + options.session_seconds),
            "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": None}},
        }
        super().__init__(ids, now, options, settings)
        self._buffer = PcmBuffer({"type": "audio/pcm"})
        self._turns = Turns()
        self._jobs: dict[str, int] = {}  # job → the `elapsed_ms` of its utterance
        self._speaking = False
        self._unspoken: deque[tuple[str, int]] = deque()
        self._audio = bytearray()
        self._closing = False
        self.parts = {"session": self, "session.input_audio_buffer": self}

    # ------------------------------------------------------------------ answers of engines

    def detected(self, probabilities: list[float]) -> None:
        """Take the VAD's probabilities of speech for the next frames."""
        for probability in probabilities:
            happened = self._turns.feed(probability, _PAUSE)
            if isinstance(happened, Stopped):
                self._transcribe(happened.audio_start_ms, happened.audio_end_ms)
            elif not isinstance(happened, Started) and not self._turns.speaking:
                # More than the padding that speech may reach back for.
                self._buffer.keep_from((self._turns.now_ms - 600) * BYTES_PER_MS)
        if self._closing:
            self._flush()

    def transcribed(self, job: str, transcript: Transcript | BaseException) -> None:
        """Take the ASR's words of an utterance."""
        elapsed_ms = self._jobs.pop(job, None)
        text = transcript.text if isinstance(transcript, Transcript) else ""
        if elapsed_ms is not None and (text or isinstance(transcript, Unintelligible)):
            if text and self.audio_input["transcription"] is not None:
                self._send_words("session.input_transcript.delta", text, elapsed_ms)
            language = self.settings["audio"]["output"]["language"] or "en"
            unclear = {"type": "input_audio", "transcript": "", "unintelligible": True}
            item = message(self.ids.new("item"), "user", {"type": "input_text", "text": text} if text else unclear)
            wish = f"Translate what the user says into the language with the code {language}. Say nothing else."
            request = Request(wish, [item.shown], tool_choice="none", prompt_language=None if text else language)
            self.ask(Respond(self._new_job(elapsed_ms), request))
        self._close_if_idle()

    def responded(self, job: str, piece: Answer | BaseException | None) -> None:
        """Take the next sentence of a translation; None at its end."""
        if isinstance(piece, Text) and job in self._jobs:
            self._unspoken.append((piece.text, self._jobs[job]))
            self._speak_next()
        elif piece is None or isinstance(piece, BaseException):
            self._jobs.pop(job, None)
        self._close_if_idle()

    def spoke(self, job: str, pcm: bytes | BaseException | None) -> None:
        """Take the TTS's next piece; None at its end."""
        elapsed_ms = self._jobs.get(job)
        if elapsed_ms is not None and isinstance(pcm, bytes):
            self._audio += pcm
            self._send_audio(elapsed_ms)
        elif elapsed_ms is not None:
            del self._jobs[job]
            self._speaking = False
            self._send_audio(elapsed_ms, last=True)
            self._speak_next()
        self._close_if_idle()

    # ------------------------------------------------------------------ client events

    def append(self, event: dict[str, Any]) -> None:
        """Append audio.

        Raises:
            ApiError: There is too much of it.
        """
        audio = event["audio"]
        if len(self._buffer) + len(audio) > self.options.buffer_bytes:
            text = "Error appending to input audio buffer: too much audio at once."  # ours
            raise ApiError(text, code="input_audio_buffer_full", param="audio")
        first = self._buffer.end == 0
        self.ask(Detect(self._buffer.append(audio), first=first))

    def update(self, event: dict[str, Any]) -> None:
        """Change the settings.

        Raises:
            ApiError: For the first thing wrong in them.
        """
        for side, values in SESSIONS["translation"](event["session"], "session").get("audio", {}).items():
            self.settings["audio"][side] |= values
        self.send_settings("session.updated")

    def close(self, event: dict[str, Any]) -> None:
        """End the session, with what is left to say."""
        self._closing = True  # SDK docstring: flushes pending input and emits any remaining output before closing
        self._flush()

    def _flush(self) -> None:
        if self._waits_for_vad:
            return
        if (start_ms := self._turns.start_ms) is not None:
            self._turns.ignore_until(self._turns.frame)
            self._transcribe(start_ms, self._buffer.end // BYTES_PER_MS)
        self._close_if_idle()

    @property
    def _waits_for_vad(self) -> bool:
        """True until the VAD has judged all that came; its last frames may stay unfilled."""
        return self._turns.now_ms < self._buffer.end // BYTES_PER_MS - 96

    # ------------------------------------------------------------------ transcribe and speak

    def _transcribe(self, start_ms: int, end_ms: int) -> None:
        audio = self._buffer.take(start_ms * BYTES_PER_MS, end_ms * BYTES_PER_MS)
        self.ask(Transcribe(self._new_job(end_ms // _FRAME_MS * _FRAME_MS), audio))

    def _speak_next(self) -> None:
        if self._speaking or not self._unspoken:
            return
        text, elapsed_ms = self._unspoken.popleft()
        self._send_words("session.output_transcript.delta", text, elapsed_ms)
        self._speaking = True
        self.ask(Speak(self._new_job(elapsed_ms), text, "marin", language=self.settings["audio"]["output"]["language"]))

    def _new_job(self, elapsed_ms: int) -> str:
        job = self.new_job()
        self._jobs[job] = elapsed_ms
        return job

    def _send_words(self, type: str, text: str, elapsed_ms: int) -> None:
        for token in counting.split_tokens(text + " "):
            self.send(type, delta=token, elapsed_ms=elapsed_ms)

    def _send_audio(self, elapsed_ms: int, *, last: bool = False) -> None:
        while len(self._audio) >= _FRAME_BYTES or (last and self._audio):
            delta = frames.encode_audio(bytes(self._audio[:_FRAME_BYTES]))
            del self._audio[:_FRAME_BYTES]
            self.send("session.output_audio.delta", delta=delta, **_AUDIO_FORM, elapsed_ms=elapsed_ms)

    def _close_if_idle(self) -> None:
        if self._closing and not (self._waits_for_vad or self._jobs or self._unspoken):
            self.send("session.closed")
            self.end(1000, "")
