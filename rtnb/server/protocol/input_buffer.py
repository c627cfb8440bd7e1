"""Who has the floor: the input buffer and its turn detection, from appended bytes to committed items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.audio import BYTES_PER_MS, InputBuffer
from rtnb.server.protocol.context import SessionContext
from rtnb.server.protocol.effects import Detect, Transcript
from rtnb.server.protocol.transcripts import Transcripts
from rtnb.server.protocol.turn_detection import FRAME_BYTES, FRAME_MS, Pause, Started, Stopped, Turns, sounds_finished

__all__ = ["InputAudioBuffer"]

_COMMIT_MINIMUM_MS = 100
_PREFIX_MS = 300  # what semantic detection, which has no setting for it, keeps before speech
_SLACK_MS = 4 * FRAME_MS
# A turn is heard again at each of its pauses, which must not cost more and more.
_HEARD_AHEAD_MS = 15_000


class InputAudioBuffer:
    """The user's side of a conversation.

    Args:
        stage: The session it belongs to.
        transcripts: The session's ears.
    """

    def __init__(self, stage: SessionContext, transcripts: Transcripts) -> None:
        self._stage = stage
        self._transcripts = transcripts
        heard = stage.session["audio"]["input"]
        self._vad: dict[str, Any] | None = heard["turn_detection"]
        self._buffer = InputBuffer(heard["format"])
        self._turns: Turns | None = None
        self._speech_item: str | None = None
        self._idle_from_ms: int | None = None
        self._reply_played_at: float | None = None
        self._fed = 0  # the position up to which the words of this turn are being heard

    @property
    def held_bytes(self) -> int:
        """How much sound waits to be committed, as s16le 24 kHz."""
        return len(self._buffer)

    def settings_changed(self) -> None:
        """The session has been updated."""
        heard = self._stage.session["audio"]["input"]
        self._vad = heard["turn_detection"]
        self._buffer.use(heard["format"])
        if self._vad is None:
            self._turns = None
            self._speech_item = None
            self._transcripts.forget_ahead()
            self._transcripts.drop()

    def reply_ends_playing(self, at: float) -> None:
        """SDK docstring: the idle timer starts when the reply has been played."""
        self._reply_played_at = at
        self._idle_from_ms = None

    # ------------------------------------------------------------------ client events

    def append(self, sound: bytes) -> None:
        """More sound, in the session's input format."""
        pcm = self._buffer.append(sound)
        if self._vad is not None:
            self._detect(pcm)
            return
        if not self._transcripts.feed(pcm) and self._transcripts.streams:
            self._transcripts.begin(self._buffer.all())
        self._fed = self._buffer.end

    def commit(self) -> None:
        """Everything appended becomes an item. SDK docstring: no speech_stopped when it comes during speech.

        Raises:
            Problem: There is less than 100 ms of it.
        """
        ms = self._buffer.ms
        if ms < _COMMIT_MINIMUM_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {ms:.2f}ms of audio."
            )
            raise ApiError(message, code="input_audio_buffer_commit_empty")
        item_id = self._speech_item or self._transcripts.streaming_item_id
        self._feed(self._buffer.end)
        sound = self._buffer.take_all()
        self._forget_turn()
        self._stage.commit(sound, item_id)

    def clear(self) -> None:
        """Everything appended is forgotten."""
        self._buffer.clear()
        self._forget_turn()
        self._transcripts.drop()

    # ------------------------------------------------------------------ the detector's answers

    def detected(self, probabilities: list[float]) -> None:
        """Judge the next frames."""
        for probability in probabilities:
            vad = self._vad
            if vad is None or self._turns is None:
                return
            happened = self._turns.feed(probability, vad)
            if isinstance(happened, Started):
                self._started(happened)
            elif isinstance(happened, Stopped):
                self._stopped(happened)
            elif isinstance(happened, Pause):
                self._hear_ahead(happened, vad)
            elif not self._turns.speaking:
                self._look_at_idle(vad, self._turns)
        if self._turns is not None and self._turns.speaking:
            self._feed(self._turns.now_ms * BYTES_PER_MS)
        self._trim()

    def _feed(self, end: int) -> None:
        """Let the words of this turn be heard up to a position: what was appended beyond its end is not of it."""
        if self._transcripts.streaming_item_id is not None:
            self._transcripts.feed(self._buffer.between(self._fed, end))
            self._fed = end

    def heard(self, job: str, heard: Transcript | BaseException) -> bool:
        """The words before a pause; gives whether the job was about them."""
        if not self._transcripts.heard_ahead(job, heard):
            return False
        turns, vad = self._turns, self._vad
        semantic = vad is not None and vad["type"] == "semantic_vad"
        # A pause that was over before its words came is not what they are about.
        if semantic and turns is not None and turns.paused_ms is not None and isinstance(heard, Transcript):
            stopped = turns.finish() if sounds_finished(heard.text) else None
            if stopped is not None:
                self._stopped(stopped)
        return True

    def _detect(self, pcm: bytes) -> None:
        first = self._turns is None
        if self._turns is None:
            # The grid of frames counts from the first byte ever appended, also where detection starts later.
            start = self._buffer.end - len(pcm)
            frame = -(-start // FRAME_BYTES)
            self._turns = Turns(frame)
            pcm = pcm[frame * FRAME_BYTES - start :]
        if pcm or first:
            self._stage.want(Detect(pcm, first=first))

    def _started(self, started: Started) -> None:
        self._speech_item = self._stage.ids.new("item")
        self._idle_from_ms = None
        self._reply_played_at = None
        self._stage.send(
            "input_audio_buffer.speech_started", audio_start_ms=started.audio_start_ms, item_id=self._speech_item
        )
        if self._transcripts.streams and self._turns is not None:
            self._fed = self._turns.now_ms * BYTES_PER_MS
            spoken = self._buffer.between(started.audio_start_ms * BYTES_PER_MS, self._fed)
            self._transcripts.begin(spoken, self._speech_item)
        self._stage.interrupt()

    def _stopped(self, stopped: Stopped) -> None:
        item_id, self._speech_item = self._speech_item, None
        self._stage.send("input_audio_buffer.speech_stopped", audio_end_ms=stopped.audio_end_ms, item_id=item_id)
        start, end = stopped.audio_start_ms * BYTES_PER_MS, stopped.audio_end_ms * BYTES_PER_MS
        self._feed(end)
        if stopped.paused_ms is None:
            self._transcripts.forget_ahead()
        self._stage.commit(self._buffer.take(start, end), item_id)
        self._stage.answer_turn()

    def _hear_ahead(self, pause: Pause, vad: Mapping[str, Any]) -> None:
        """Hear the words so far while the silence lasts: they tell whether the speaker has finished, and save time."""
        assert self._speech_item is not None
        self._transcripts.forget_ahead()
        long = pause.audio_end_ms - pause.audio_start_ms > _HEARD_AHEAD_MS
        if vad["type"] == "server_vad" and (long or not self._transcripts.can_hear_ahead):
            return
        sound = self._buffer.between(pause.audio_start_ms * BYTES_PER_MS, pause.audio_end_ms * BYTES_PER_MS)
        self._transcripts.hear_ahead(sound, self._speech_item)

    def _look_at_idle(self, vad: Mapping[str, Any], turns: Turns) -> None:
        """The idle timeout counts the sound that flows in once the last reply has been played."""
        limit_ms = vad.get("idle_timeout_ms")
        played = self._reply_played_at is not None and self._stage.now >= self._reply_played_at
        if not limit_ms or not played:
            return
        if self._idle_from_ms is None:
            self._idle_from_ms = turns.now_ms - FRAME_MS
        start_ms, end_ms = self._idle_from_ms, turns.now_ms
        if end_ms - start_ms < limit_ms:
            return
        self._idle_from_ms = None
        self._reply_played_at = None
        item_id = self._stage.ids.new("item")
        self._stage.send(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id
        )
        self._stage.nudge()
        self._stage.commit(self._buffer.take(start_ms * BYTES_PER_MS, end_ms * BYTES_PER_MS), item_id)
        self._stage.respond({})

    def _forget_turn(self) -> None:
        if self._turns is not None:
            self._turns.ignore_until(-(-self._buffer.end // FRAME_BYTES))
        self._speech_item = None
        self._idle_from_ms = None
        self._transcripts.forget_ahead()

    def _trim(self) -> None:
        """Between turns keep only what the next turn's padding may reach back for."""
        turns, vad = self._turns, self._vad
        if turns is None or vad is None or turns.speaking or self._idle_from_ms is not None:
            return
        kept_ms = turns.now_ms - vad.get("prefix_padding_ms", _PREFIX_MS) - _SLACK_MS
        self._buffer.keep_from(kept_ms * BYTES_PER_MS)
