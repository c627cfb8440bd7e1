"""Realtime and transcription sessions: client events in, server events with their times out."""

import copy
from typing import Any

from rtnb.server.protocol import settings
from rtnb.server.protocol.effects import Ids, Transcript
from rtnb.server.protocol.input_buffer import InputAudioBuffer
from rtnb.server.protocol.item_events import ItemEvents
from rtnb.server.protocol.items import Conversation
from rtnb.server.protocol.responses import Responses
from rtnb.server.protocol.session import Options, Session
from rtnb.server.protocol.transcripts import Transcripts

# What an ephemeral secret's settings cannot bring: these belong to the session itself.
_OWN_FIELDS = {"id", "object", "type", "expires_at", "model"}


class RealtimeSession(Session):
    """Realtime or transcription session.

    Args:
        ids: Source of ids and padding.
        now: The time, in seconds on any clock that all later times are on too.
        unix_seconds: The time of day, for `expires_at`.
        kind: `"realtime"` or `"transcription"`.
        model: The model of a realtime session.
        options: Differences of this session from the ordinary.
        preset: Settings that an ephemeral secret brought with it (a checked `session` object), or None.

    Attributes:
        detected: Takes the VAD's probabilities of speech for the next frames.
        partly_transcribed: Takes a streaming ASR's words so far on a job.
        transcribed_so_far: Takes the words before a pause.
        responded: Takes the responder's next piece for a job; None at its end.
        spoke: Takes the TTS's next piece of s16le 24 kHz for a job; None at its end.
    """

    def __init__(
        self,
        ids: Ids,
        *,
        now: float,
        unix_seconds: float,
        kind: str = "realtime",
        model: settings.Model | None = None,
        options: Options,
        preset: dict[str, Any] | None = None,
    ) -> None:
        self.model = model or settings.MODELS["gpt-realtime-2.1-mini"]
        self.conversation = Conversation(ids.new("conv"))
        expires_at = int(unix_seconds + options.session_seconds)
        shown_model = self.model if kind == "realtime" else None
        session_object = settings.defaults(kind, session_id=ids.new("sess"), expires_at=expires_at, model=shown_model)
        if preset is not None:
            session_object |= {name: copy.deepcopy(preset[name]) for name in preset.keys() - _OWN_FIELDS}
        super().__init__(ids, now, options, session_object)
        self._transcripts = Transcripts(self)
        self._items = items = ItemEvents(self, self._transcripts)
        self._responses = responses = Responses(self, items, lambda at: self._input.reply_ends_playing(at))
        self._input = InputAudioBuffer(self, self._transcripts, items, responses)
        self.detected, self.transcribed_so_far = self._input.detected, self._input.transcribed_so_far
        self.partly_transcribed = self._transcripts.partly_transcribed
        self.responded = self.spoke = responses.take
        parts = {"input_audio_buffer": self._input, "conversation.item": items, "response": responses}
        self.parts = {"session": self, **parts}

    # ------------------------------------------------------------------ answers of engines

    def transcribed(self, job: str, transcript: Transcript | BaseException) -> None:
        """Take the ASR's last word on a job."""
        self._transcripts.transcribed(job, transcript)
        self._responses.resume()
        if self._responses.active is None:
            self.send_held()

    # ------------------------------------------------------------------ client events

    def update(self, event: dict[str, Any]) -> None:
        """Change the settings.

        Raises:
            ApiError: For the first thing wrong in them.
        """
        before = self.settings
        model = self.model if before["type"] == "realtime" else None
        locked = self._responses.voice_used
        self.settings, silent = settings.update(before, event["session"], model=model, voice_locked=locked)
        self._responses.silent |= silent
        self._input.settings_changed()
        if any(before.get(name) != self.settings.get(name) for name in ("instructions", "tools")):
            self.conversation.cached_tokens = 0  # another beginning: nothing of the context is cached any more
        self.send_settings("session.updated")
        for tool in self.settings.get("tools", ()):
            if tool["type"] == "mcp" and tool not in before["tools"]:
                self._items.list_mcp_tools(tool)
