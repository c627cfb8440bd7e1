"""Input audio buffer and turn detection: from appended bytes to committed items."""

from typing import Any

from rtnb.audio.pcm import BYTES_PER_MS
from rtnb.protocol import error_events
from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.audio import PcmBuffer
from rtnb.server.protocol.effects import Detect, Transcript, Unintelligible
from rtnb.server.protocol.item_events import ItemEvents
from rtnb.server.protocol.responses import Responses
from rtnb.server.protocol.session import Session
from rtnb.server.protocol.transcripts import Transcripts
from rtnb.server.protocol.turn_detection import FRAME_BYTES, FRAME_MS, Pause, Started, Stopped, Turns, sounds_finished

# Fed in seconds where nobody waits for words so far: a hop to another thread for each append would cost more.
_FEED_BYTES = 1000 * BYTES_PER_MS


class InputAudioBuffer:
    """User's side of a conversation.

    Args:
        session: The session that it belongs to.
        transcripts: The session's transcription.
        items: Where committed audio becomes an item.
        responses: What the user interrupts, and what answers.
    """

    def __init__(self, session: Session, transcripts: Transcripts, items: ItemEvents, responses: Responses) -> None:
        self._session, self._transcripts, self._items, self._responses = session, transcripts, items, responses
        self._buffer = PcmBuffer(self._session.audio_input["format"])
        self._turns: Turns | None = None
        self._speech_item: str | None = None
        self._idle_from_ms: int | None = None
        self._reply_played_at: float | None = None
        self._fed = 0  # the position up to which the ASR has been fed with this turn
        self._probabilities: list[float] = []  # of speech, in the frames judged last

    def settings_changed(self) -> None:
        """Adapt to an update of the session."""
        self._buffer.use(self._session.audio_input["format"])
        if self._session.audio_input["turn_detection"] is None:
            self._turns = self._speech_item = None
            self._transcripts.drop()

    def reply_ends_playing(self, at: float) -> None:
        """Start the idle timer when the reply has been played (SDK docstring)."""
        self._reply_played_at = at
        self._idle_from_ms = None

    # ------------------------------------------------------------------ client events

    def append(self, event: dict[str, Any]) -> None:
        """Append audio in the session's input format.

        Raises:
            ApiError: There is too much of it.
        """
        limit, encoded = self._session.options.buffer_bytes, event["audio"]
        if self._session.conversation.audio_bytes + len(self._buffer) + len(encoded) > limit:
            # No cap is documented: code and wording are ours.
            limit_ms = limit // BYTES_PER_MS
            message = f"Error appending to input audio buffer: a session holds at most {limit_ms}ms of audio."
            raise ApiError(message, code="input_audio_buffer_full", param="audio")
        pcm = self._buffer.append(encoded)
        if self._session.audio_input["turn_detection"] is not None:
            self._detect(pcm)
            return
        if len(self._buffer) == len(pcm) and self._transcripts.works_beside:
            self._transcripts.begin(self._buffer.between(0, self._buffer.end))
            self._fed = self._buffer.end
        elif self._transcripts.streams or self._buffer.end - self._fed >= _FEED_BYTES:
            self._feed(self._buffer.end)

    def commit(self, event: dict[str, Any]) -> None:
        """Make an item of everything appended. SDK docstring: no speech_stopped when it comes during speech.

        Raises:
            ApiError: There is less than 100 ms of it.
        """
        if message := error_events.commit_refusal(self._buffer.ms):
            raise ApiError(message, code=error_events.COMMIT_EMPTY)
        streaming = self._transcripts.streaming
        item_id = self._speech_item or (None if streaming is None else streaming.item_id)
        self._feed(self._buffer.end)
        audio = self._buffer.take_all()
        self._forget_turn()
        self._items.commit(audio, item_id)

    def clear(self, event: dict[str, Any]) -> None:
        """Forget everything appended."""
        self._buffer.clear()
        self._forget_turn()
        self._transcripts.drop()
        self._session.send("input_audio_buffer.cleared")

    # ------------------------------------------------------------------ answers of engines

    def detected(self, probabilities: list[float]) -> None:
        """Take the probabilities of speech for the next frames."""
        detection, turns = self._session.audio_input["turn_detection"], self._turns
        if detection is None or turns is None:
            return
        for probability in probabilities:
            self._probabilities.append(probability)
            happened = turns.feed(probability, detection)
            if isinstance(happened, Started):
                self._started(happened, turns)
            elif isinstance(happened, Stopped):
                self._stopped(happened)
            elif isinstance(happened, Pause):
                self._feed(turns.now_ms * BYTES_PER_MS)
                self._transcripts.pause()
            elif not turns.speaking:
                self._look_at_idle(turns)
        if turns.speaking:
            if self._transcripts.streams or turns.now_ms * BYTES_PER_MS - self._fed >= _FEED_BYTES:
                self._feed(turns.now_ms * BYTES_PER_MS)
        elif self._idle_from_ms is None:
            # Between turns keep only what the next turn's padding may reach back for (300 ms with semantic detection,
            # which has no setting for it), and four frames more.
            kept_ms = turns.now_ms - detection.get("prefix_padding_ms", 300) - 4 * FRAME_MS
            self._buffer.keep_from(kept_ms * BYTES_PER_MS)
            kept_frames = turns.frame - max(0, kept_ms) // FRAME_MS
            del self._probabilities[: max(0, len(self._probabilities) - kept_frames)]

    def transcribed_so_far(self, job: str, transcript: Transcript | BaseException) -> None:
        """Take the words before a pause: semantic detection ends the turn where they are a finished thought.

        What was not understood is one too; where the ASR broke, the item will be transcribed as a whole.
        """
        if self._transcripts.streaming is None or self._transcripts.streaming.name != job:
            return
        if not isinstance(transcript, Transcript | Unintelligible):
            self._transcripts.drop()
        finished = not isinstance(transcript, Transcript) or sounds_finished(transcript.text)
        semantic = (self._session.audio_input["turn_detection"] or {}).get("type") == "semantic_vad"
        if semantic and finished and self._turns is not None and (stopped := self._turns.finish()):
            self._stopped(stopped)

    # ------------------------------------------------------------------ turns

    def _feed(self, end: int) -> None:
        """Feed the ASR up to a position: what was appended after the end of the turn is not of it."""
        if self._transcripts.streaming is not None and end > self._fed:
            self._transcripts.feed(self._buffer.between(self._fed, end), self._known(self._fed, end))
            self._fed = end

    def _known(self, start: int, end: int) -> tuple[float, ...]:
        """Return the probabilities of the frames that the audio up to `end` completes, as far as they are judged."""
        if self._turns is None:
            return ()
        first_kept = self._turns.frame - len(self._probabilities)
        first, last = (position // FRAME_BYTES - first_kept for position in (start, end))
        return tuple(self._probabilities[max(0, first) : max(0, last)])

    def _detect(self, pcm: bytes) -> None:
        first = self._turns is None
        if self._turns is None:
            # The grid of frames counts from the first byte ever appended, also where detection starts later.
            start = self._buffer.end - len(pcm)
            frame = -(-start // FRAME_BYTES)
            self._turns, self._probabilities = Turns(frame), []
            pcm = pcm[frame * FRAME_BYTES - start :]
        if pcm or first:
            self._session.ask(Detect(pcm, first=first))

    def _started(self, started: Started, turns: Turns) -> None:
        self._speech_item = self._session.ids.new("item")
        self._idle_from_ms = self._reply_played_at = None
        start_ms = started.audio_start_ms
        self._session.send("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._speech_item)
        if self._transcripts.works_beside:
            start, self._fed = start_ms * BYTES_PER_MS, turns.now_ms * BYTES_PER_MS
            known = self._known(start, self._fed)
            self._transcripts.begin(self._buffer.between(start, self._fed), self._speech_item, known)
        self._responses.interrupt()

    def _stopped(self, stopped: Stopped) -> None:
        item_id, self._speech_item = self._speech_item, None
        end_ms = stopped.audio_end_ms
        self._session.send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item_id)
        self._feed(end_ms * BYTES_PER_MS)
        self._items.commit(self._buffer.take(stopped.audio_start_ms * BYTES_PER_MS, end_ms * BYTES_PER_MS), item_id)
        self._responses.answer_turn()

    def _look_at_idle(self, turns: Turns) -> None:
        """Prompt the model once enough silent audio has come after the last reply was played."""
        limit_ms = self._session.audio_input["turn_detection"].get("idle_timeout_ms")
        if not limit_ms or self._reply_played_at is None or self._session.now < self._reply_played_at:
            return
        if self._idle_from_ms is None:
            self._idle_from_ms = turns.now_ms - FRAME_MS
        start_ms, end_ms = self._idle_from_ms, turns.now_ms
        if end_ms - start_ms < limit_ms:
            return
        self._idle_from_ms = self._reply_played_at = None
        item_id = self._session.ids.new("item")
        silence = {"audio_start_ms": start_ms, "audio_end_ms": end_ms}
        self._session.send("input_audio_buffer.timeout_triggered", **silence, item_id=item_id)
        self._items.add_idle_prompt()
        self._items.commit(self._buffer.take(start_ms * BYTES_PER_MS, end_ms * BYTES_PER_MS), item_id)
        self._responses.begin({})

    def _forget_turn(self) -> None:
        if self._turns is not None:
            self._turns.ignore_until(-(-self._buffer.end // FRAME_BYTES))
        self._speech_item = self._idle_from_ms = None
