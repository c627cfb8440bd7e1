"""What the ears hear of the user's items: for the brain always, as transcription events where they were asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.context import SessionContext
from rtnb.server.protocol.effects import Stop, Transcribe, TranscribeStream, Transcript
from rtnb.server.protocol.items import Item

__all__ = ["Transcripts"]

# SDK: gpt-realtime-whisper gives deltas while the user speaks (recorded: before speech_stopped).
_STREAMING = ("gpt-realtime-whisper", "gpt-live-transcribe")
_BILLED_BY_DURATION = ("whisper-1", "gpt-realtime-whisper", "gpt-live-transcribe")
_SPEAKERS = "gpt-4o-transcribe-diarize"
_LOGPROBS = "item.input_audio_transcription.logprobs"
# OpenAI docs (speech to text): log probabilities come from these alone.
_WITH_LOGPROBS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@dataclass
class _Hearing:
    """Recogniser work for one item; with a streaming model it begins before the item exists."""

    item_id: str
    item: Item | None = None
    sent: str = ""


@dataclass
class _Ahead:
    """Words heard in a pause, of an item that may be committed in it.

    Attributes:
        heard: None while the recogniser is at work.
    """

    job: str
    item_id: str
    heard: Transcript | None = None


class Transcripts:
    """Keeps the recogniser's work and items together.

    Args:
        stage: The session it belongs to.
    """

    def __init__(self, stage: SessionContext) -> None:
        self._stage = stage
        self._hearings: dict[str, _Hearing] = {}
        self._streaming: str | None = None  # the job that hears what is being appended
        self._ahead: _Ahead | None = None

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
    def can_hear_ahead(self) -> bool:
        """Whether what is heard in a pause will do for the item: words are all that is wanted, and nobody streams."""
        return self._wants == "words" and not self.streams

    @property
    def _wants(self) -> Literal["words", "speakers", "sureness"]:
        asked = self._asked
        if asked is not None and asked["model"] == _SPEAKERS:
            return "speakers"
        if asked is None or _LOGPROBS not in (self._stage.session.get("include") or ()):
            return "words"
        return "sureness" if asked["model"].startswith(_WITH_LOGPROBS) else "words"

    @property
    def _asked(self) -> dict[str, Any] | None:
        asked: dict[str, Any] | None = self._stage.session["audio"]["input"]["transcription"]
        return asked

    def begin(self, pcm: bytes, item_id: str | None = None) -> None:
        """Begin to hear an item that will be committed later."""
        job = self._stage.new_job()
        self._hearings[job] = _Hearing(item_id or self._stage.ids.new("item"))
        self._streaming = job
        self._stage.want(TranscribeStream(job, pcm, language=self.language))

    def feed(self, pcm: bytes) -> bool:
        """More of it; gives whether anybody listens."""
        if self._streaming is not None and pcm:
            self._stage.want(TranscribeStream(self._streaming, pcm))
        return self._streaming is not None

    def drop(self) -> None:
        """What was being heard will not be committed."""
        if self._streaming is not None:
            self._stage.want(Stop(self._streaming))
            del self._hearings[self._streaming]
            self._streaming = None

    def hear_ahead(self, pcm: bytes, item_id: str) -> None:
        """Hear what was said before a pause; if the item ends in it, these are its words."""
        self._ahead = _Ahead(self._stage.new_job(), item_id)
        self._stage.want(Transcribe(self._ahead.job, pcm, self.language))

    def heard_ahead(self, job: str, heard: Transcript | BaseException) -> bool:
        """The recogniser's word on a pause; gives whether the job was that."""
        if self._ahead is None or self._ahead.job != job:
            return False
        if isinstance(heard, Transcript):
            self._ahead.heard = heard
        else:
            self._ahead = None  # the item will be heard as a whole
        return True

    def forget_ahead(self) -> None:
        """What was heard before a pause is not the whole item."""
        if self._ahead is not None and self._ahead.heard is None:
            self._stage.want(Stop(self._ahead.job))
        self._ahead = None

    def hear(self, item: Item) -> None:
        """Hear a committed item to its end."""
        item.awaiting = True
        if self._streaming is not None and self._hearings[self._streaming].item_id == item.id:
            self._hearings[self._streaming].item = item
            self._stage.want(TranscribeStream(self._streaming, b"", last=True))
            self._streaming = None
            return
        ahead = self._ahead
        if ahead is not None and ahead.item_id == item.id and self._wants == "words":
            self._ahead = None
            self._hearings[ahead.job] = _Hearing(item.id, item)
            if ahead.heard is not None:
                self.heard(ahead.job, ahead.heard)
            return
        job = self._stage.new_job()
        self._hearings[job] = _Hearing(item.id, item)
        self._stage.want(Transcribe(job, bytes(item.sound), self.language, self._wants))

    def partly_heard(self, job: str, text: str) -> None:
        """A streaming recogniser's words so far."""
        hearing = self._hearings.get(job)
        # A delta can only add: words that the recogniser takes back wait for the final transcript.
        if hearing is not None and self.asked and text.startswith(hearing.sent):
            self._deltas(hearing, counting.split_tokens(text[len(hearing.sent) :]))

    def heard(self, job: str, heard: Transcript | BaseException) -> None:
        """The recogniser's last word on a job."""
        hearing = self._hearings.pop(job, None)
        if job == self._streaming:
            self._streaming = None  # it broke before the item was committed, which will be heard as a whole
        if hearing is None or hearing.item is None:
            return
        item = hearing.item
        item.awaiting = False
        item.heard = heard.text if isinstance(heard, Transcript) else ""
        if self.asked and item.id in self._stage.conversation:
            if isinstance(heard, Transcript):
                self._completed(hearing, item, heard)
            else:
                self._failed(item)
        self._stage.item_heard(item)

    def _deltas(self, hearing: _Hearing, tokens: list[str], logprobs: list[dict[str, Any]] | None = None) -> None:
        for number, token in enumerate(tokens):
            hearing.sent += token
            self._stage.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=hearing.item_id,
                content_index=0,
                delta=token,
                **({} if logprobs is None else {"logprobs": [logprobs[number]]}),
                obfuscation=self._stage.ids.padding(token),
            )

    def _completed(self, hearing: _Hearing, item: Item, heard: Transcript) -> None:
        text = heard.text
        logprobs = _logprobs(text, heard.sureness) if heard.sureness else None
        if heard.parts:
            self._segments(hearing, heard)
        elif text.startswith(hearing.sent):
            self._deltas(hearing, counting.split_tokens(text[len(hearing.sent) :]), logprobs)
        self._stage.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=item.id,
            content_index=0,
            transcript=text,
            usage=self._usage(item, text),
            **({} if logprobs is None else {"logprobs": logprobs}),
        )

    def _segments(self, hearing: _Hearing, heard: Transcript) -> None:
        """Who said what. Not recorded; fields as in the SDK, each segment after its own deltas as over HTTP (docs)."""
        for number, part in enumerate(heard.parts):
            self._deltas(hearing, counting.split_tokens((" " if number else "") + part.text))
            self._stage.send(
                "conversation.item.input_audio_transcription.segment",
                item_id=hearing.item_id,
                content_index=0,
                text=part.text,
                id=self._stage.ids.new("seg"),
                speaker=part.speaker,
                start=part.start_seconds,
                end=part.end_seconds,
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


def _logprobs(text: str, sureness: tuple[float, ...]) -> list[dict[str, Any]]:
    """One entry a token, as the SDK has them; the tokens of a word share its probability."""
    tokens = counting.split_tokens(text)
    words: list[int] = []
    for token in tokens:
        begins = not words or token[0].isspace()
        words.append(words[-1] + begins if words else 0)
    found = []
    for token, word in zip(tokens, words, strict=True):
        logprob = math.log(sureness[min(word, len(sureness) - 1)]) / words.count(word)
        found.append({"token": token, "logprob": round(logprob, 6), "bytes": list(token.encode())})
    return found
