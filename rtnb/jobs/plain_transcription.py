"""Transcription by servers that only transcribe, with events of their own, one stretch of speech at a time.

vLLM is such a server (vllm/entrypoints/openai/realtime/connection.py): the model stands beside `type` in
`session.update`; a commit begins a stretch, its audio follows, and a commit with `final` ends it; then
`transcription.delta` brings pieces of the words and `transcription.done` all of them. No event names an item, so the
next stretch begins when the words of the one before are there.
"""

from typing import Any

import numpy as np

from rtnb.audio import pcm
from rtnb.audio.resample import Resampler, to_float
from rtnb.jobs.subtitles import Segment
from rtnb.jobs.transcription import Transcription
from rtnb.protocol.error_events import reason_in
from rtnb.protocol.updates import Errored
from rtnb.session.parts import Recording
from rtnb.session.session import Session


class PlainTranscription(Transcription):
    """Transcription whose server answers with `transcription.delta` and `transcription.done`."""

    def __init__(self, session: Session, recording: Recording | None, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resample: Resampler | None = None  # of the stretch under way
        self._partial = ""
        self._outcome: tuple[str, str | None] | None = None  # its words, or why there are none
        super().__init__(session, recording)

    @property
    def partial(self) -> str:
        """Words that may still change: those of the stretch under way."""
        return self._partial

    async def _send(self, piece: bytes | Segment) -> None:
        if self._resample is None:
            self._resample = Resampler(pcm.RATE_HZ, self._rate_hz)
            self._outcome = None
            self.session.send({"type": "input_audio_buffer.commit"})
        if isinstance(piece, bytes):
            await self._append(self._resample(to_float(np.frombuffer(piece, "<i2"))).tobytes())
            return
        await self._append(self._resample.flush().tobytes())
        self._resample = None
        self._cuts.append(piece)
        self.session.send({"type": "input_audio_buffer.commit", "final": True})
        await self._until(lambda: self._outcome is not None)
        self._partial = ""
        self._settle(len(self._cuts) - 1, *(self._outcome or ("", None)))

    def _take(self, update: Any) -> None:
        if isinstance(update, Errored):
            self._outcome = ("", reason_in(update.error))
        elif update.event["type"] == "transcription.delta":
            self._partial += update.event.get("delta") or ""
        elif update.event["type"] == "transcription.done":
            self._outcome = (update.event.get("text") or self._partial, None)
        self._news.set()
