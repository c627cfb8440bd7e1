"""What the ears hear of the user's items: for the brain always, as transcription events where they were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtnb.practice import usage as counting
from rtnb.practice.items import Item
from rtnb.practice.outputs import Hear, Listen, Stop
from rtnb.practice.stage import Stage

__all__ = ["Transcripts"]

# SDK: gpt-realtime-whisper gives deltas while the user speaks (recorded: before speech_stopped).
_STREAMING = ("gpt-realtime-whisper", "gpt-live-transcribe")
_BILLED_BY_DURATION = ("whisper-1", "gpt-realtime-whisper", "gpt-live-transcribe")


@dataclass
class _Hearing:
    """Recogniser work for one item; with a streaming model it begins before the item exists."""

    item_id: str
    item: Item | None = None
    sent: str = ""


class Transcripts:
    """Keeps the recogniser's work and items together.

    Args:
        stage: The session it belongs to.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._hearings: dict[str, _Hearing] = {}
        self._streaming: str | None = None  # the job that hears what is being appended

    @property
    def streams(self) -> bool:
        """Whether the session's transcription model hears while the user speaks."""
        asked = self._asked
        return asked is not None and asked["model"] in _STREAMING

    @property
    def asked(self) -> bool:
        """Whether transcription events were asked for."""
        return self._asked is not None

    @property
    def streaming_item_id(self) -> str | None:
        """The id of the item being heard before it is committed."""
        return None if self._streaming is None else self._hearings[self._streaming].item_id

    @property
    def language(self) -> str | None:
        """The language the client announced."""
        asked = self._asked
        return (asked["language"] or next(iter(asked.get("languages") or ()), None)) if asked else None

    @property
    def _asked(self) -> dict[str, Any] | None:
        asked: dict[str, Any] | None = self._stage.session["audio"]["input"]["transcription"]
        return asked

    def begin(self, pcm: bytes, item_id: str | None = None) -> None:
        """Begin to hear an item that will be committed later."""
        job = self._stage.new_job()
        self._hearings[job] = _Hearing(item_id or self._stage.ids.new("item"))
        self._streaming = job
        self._stage.want(Listen(job, pcm, language=self.language))

    def feed(self, pcm: bytes) -> bool:
        """More of it; gives whether anybody listens."""
        if self._streaming is not None and pcm:
            self._stage.want(Listen(self._streaming, pcm))
        return self._streaming is not None

    def drop(self) -> None:
        """What was being heard will not be committed."""
        if self._streaming is not None:
            self._stage.want(Stop(self._streaming))
            del self._hearings[self._streaming]
            self._streaming = None

    def hear(self, item: Item) -> None:
        """Hear a committed item to its end."""
        item.awaiting = True
        if self._streaming is not None and self._hearings[self._streaming].item_id == item.id:
            self._hearings[self._streaming].item = item
            self._stage.want(Listen(self._streaming, b"", last=True))
            self._streaming = None
            return
        job = self._stage.new_job()
        self._hearings[job] = _Hearing(item.id, item)
        self._stage.want(Hear(job, bytes(item.sound), self.language))

    def partly_heard(self, job: str, text: str) -> None:
        """A streaming recogniser's words so far."""
        hearing = self._hearings.get(job)
        # A delta can only add: words that the recogniser takes back wait for the final transcript.
        if hearing is not None and self.asked and text.startswith(hearing.sent):
            self._deltas(hearing, text[len(hearing.sent) :])

    def heard(self, job: str, text: str | BaseException) -> None:
        """The recogniser's last word on a job."""
        hearing = self._hearings.pop(job, None)
        if job == self._streaming:
            self._streaming = None  # it broke before the item was committed, which will be heard as a whole
        if hearing is None or hearing.item is None:
            return
        item = hearing.item
        item.awaiting = False
        item.heard = text if isinstance(text, str) else ""
        if self.asked and item.id in self._stage.conversation:
            if isinstance(text, str):
                self._completed(hearing, item, text)
            else:
                self._failed(item)
        self._stage.item_heard(item)

    def _deltas(self, hearing: _Hearing, text: str) -> None:
        for token in counting.split_tokens(text):
            hearing.sent += token
            self._stage.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=hearing.item_id,
                content_index=0,
                delta=token,
                obfuscation=self._stage.ids.padding(token),
            )

    def _completed(self, hearing: _Hearing, item: Item, text: str) -> None:
        if text.startswith(hearing.sent):
            self._deltas(hearing, text[len(hearing.sent) :])
        self._stage.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item.id,
            content_index=0,
            transcript=text,
            usage=self._usage(item, text),
        )

    def _failed(self, item: Item) -> None:
        # The sentence is recorded; type and code are those of the docs' example.
        message = f"Input transcription failed for item '{item.id}'."
        error = {"type": "transcription_error", "code": "audio_unintelligible", "message": message, "param": None}
        self._stage.send(
            "conversation.item.input_audio_transcription.failed", item_id=item.id, content_index=0, error=error
        )

    def _usage(self, item: Item, text: str) -> dict[str, Any]:
        asked = self._asked
        assert asked is not None
        if asked["model"] in _BILLED_BY_DURATION:
            # Recorded: 2796 ms of speech → 3; an idle turn in which nothing was said → 0.
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
