"""Transcription of the user's items: for the responder always, as transcription events where they were asked for."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

from rtnb import models
from rtnb.server.protocol import usage as counting
from rtnb.server.protocol.effects import Stop, Transcribe, TranscribeStream, Transcript, Unintelligible
from rtnb.server.protocol.items import Item
from rtnb.server.protocol.session import Session
from rtnb.texts.language import sentences, translate

# OpenAI docs (speech to text): log probabilities come from these alone.
_WITH_LOGPROBS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@dataclass
class _Job:
    """ASR work for one item; it may begin before the item exists.

    Attributes:
        name: What the ASR's effects and answers call it.
        item: None until it is committed.
        sent: What its deltas have sent so far.
        language: What it was told to expect.
    """

    name: str
    item_id: str
    item: Item | None = None
    sent: str = ""
    language: str | None = None


class Transcripts:
    """Keeps the ASR's work and items together.

    Args:
        session: The session that it belongs to.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: dict[str, _Job] = {}
        self.streaming: _Job | None = None  # transcribes what is being appended

    @property
    def asked(self) -> dict[str, Any]:
        """Transcription settings of the session; empty where no transcription events were asked for."""
        return self._session.audio_input["transcription"] or {}

    @property
    def streams(self) -> bool:
        """True where the session's transcription model sends deltas while the user speaks."""
        return bool(models.get(self.asked.get("model", "")).streams)

    @property
    def language(self) -> str | None:
        """Language that the client announced. None for none, and where it may be one of several."""
        among: list[str] = self.asked.get("languages") or []
        return self.asked.get("language") or (among[0] if len(among) == 1 else None)

    @property
    def works_beside(self) -> bool:
        """True where audio is transcribed while it is appended: it is not asked who says what."""
        return self.asked.get("model") != "gpt-4o-transcribe-diarize"

    @property
    def _includes_logprobs(self) -> bool:
        included = self._session.settings.get("include") or ()
        return "item.input_audio_transcription.logprobs" in included and self.asked["model"].startswith(_WITH_LOGPROBS)

    # ------------------------------------------------------------------ asking the ASR

    def begin(self, pcm: bytes, item_id: str | None = None, probabilities: tuple[float, ...] = ()) -> None:
        """Begin to transcribe an item that will be committed later; `probabilities` of speech, as far as known."""
        self.drop()
        self.streaming = self._new_job(item_id or self._session.ids.new("item"))
        how = (False, self.language, probabilities, not self.streams)
        self._session.ask(TranscribeStream(self.streaming.name, pcm, *how))

    def feed(self, pcm: bytes, probabilities: tuple[float, ...] = ()) -> None:
        """Add audio to what is being transcribed, if anything is."""
        if self.streaming is not None and pcm:
            self._session.ask(TranscribeStream(self.streaming.name, pcm, probabilities=probabilities))

    def pause(self) -> None:
        """Ask for the words so far while nothing is said: they may be all, and then they are there at once."""
        if self.streaming is not None:
            self._session.ask(TranscribeStream(self.streaming.name, b"", pause=True))

    def drop(self) -> None:
        """Forget what is being transcribed: it will not be committed."""
        if self.streaming is not None:
            self._session.ask(Stop(self.streaming.name))
            del self._jobs[self.streaming.name]
        self.streaming = None

    def transcribe(self, item: Item) -> None:
        """Transcribe a committed item to its end."""
        item.transcribing = True
        if self.streaming and (self.streaming.language != self.language or not self.works_beside):
            self.drop()  # the settings have changed since it began
        if self.streaming is not None and self.streaming.item_id == item.id:
            streaming, self.streaming = self.streaming, None
            streaming.item = item
            self._session.ask(TranscribeStream(streaming.name, b"", last=True))
        else:
            job = self._new_job(item.id, item)
            self._session.ask(Transcribe(job.name, bytes(item.audio), self.language, not self.works_beside))

    def _new_job(self, item_id: str, item: Item | None = None) -> _Job:
        job = _Job(self._session.new_job(), item_id, item, language=self.language)
        self._jobs[job.name] = job
        return job

    # ------------------------------------------------------------------ answers of the ASR

    def partly_transcribed(self, job: str, text: str) -> None:
        """Take a streaming ASR's words so far."""
        work = self._jobs.get(job)
        # A delta can only add: words that the ASR takes back wait for the final transcript.
        if work is not None and self.streams and text.startswith(work.sent):
            self._send_deltas(work, counting.split_tokens(text[len(work.sent) :]))

    def transcribed(self, job: str, transcript: Transcript | BaseException) -> None:
        """Take the ASR's last word on a job."""
        work = self._jobs.pop(job, None)
        if work is self.streaming:
            self.streaming = None  # it broke before the item was committed, which will be transcribed as a whole
        if work is None or work.item is None:
            return
        item = work.item
        item.transcribing = False
        item.transcript = transcript.text if isinstance(transcript, Transcript) else ""
        item.unintelligible = isinstance(transcript, Unintelligible)
        if not self.asked or item.id not in self._session.conversation.items:
            return
        if isinstance(transcript, Transcript):
            self._complete(work, item, transcript)
            return
        # The sentence is recorded; type and code are those of the docs' example.
        message = f"Input transcription failed for item '{item.id}'."
        if item.unintelligible:
            ours = "It was unclear, or not English: the practice server's recogniser knows English only."
            chinese = (self.language or "").startswith("zh")
            message += f" {sentences('zh', 'practice')[ours] if chinese else translate(ours)}"
        error = {"type": "transcription_error", "code": "audio_unintelligible", "message": message, "param": None}
        self._send("failed", item.id, error=error)

    def _send(self, step: str, item_id: str, **fields: Any) -> None:
        type = f"conversation.item.input_audio_transcription.{step}"
        # Recorded: streaming models complete it in the middle of the answer, after its first audio.
        send = self._session.hold if self.streams and step == "completed" else self._session.send
        send(type, item_id=item_id, content_index=0, **fields)

    def _send_deltas(self, work: _Job, tokens: list[str], logprobs: list[dict[str, Any]] | None = None) -> None:
        for number, token in enumerate(tokens):
            work.sent += token
            logprob = {} if logprobs is None else {"logprobs": [logprobs[number]]}
            self._send("delta", work.item_id, delta=token, **logprob, obfuscation=self._session.ids.padding(token))

    def _complete(self, work: _Job, item: Item, transcript: Transcript) -> None:
        text = transcript.text
        logprobs = _logprobs(text, transcript.confidence) if self._includes_logprobs and transcript.confidence else None
        if transcript.parts:
            self._send_segments(work, transcript)
        elif text.startswith(work.sent):
            self._send_deltas(work, counting.split_tokens(text[len(work.sent) :]), logprobs)
        more = {} if logprobs is None else {"logprobs": logprobs}
        self._send("completed", item.id, transcript=text, usage=self._usage(item, text), **more)

    def _send_segments(self, work: _Job, transcript: Transcript) -> None:
        """Send who said what. Not recorded; fields as in the SDK, each after its own deltas as over HTTP (docs)."""
        for number, part in enumerate(transcript.parts):
            self._send_deltas(work, counting.split_tokens((" " if number else "") + part.text))
            said = {"text": part.text, "id": self._session.ids.new("seg"), "speaker": part.speaker}
            self._send("segment", work.item_id, **said, start=part.start_seconds, end=part.end_seconds)

    def _usage(self, item: Item, text: str) -> dict[str, Any]:
        prices = models.get(self.asked["model"]).prices
        if prices is not None and prices.per_minute_usd is not None:
            # Recorded: 2796 ms of speech → 3; an idle turn in which nothing was said → 0.
            return {"type": "duration", "seconds": round(item.audio_ms / 1000) if text else 0}
        audio_tokens = counting.user_audio_tokens(item.audio_ms)
        text_tokens = len(counting.split_tokens(text)) + 1
        read = {"input_tokens": audio_tokens, "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens}}
        return {"type": "tokens", "total_tokens": audio_tokens + text_tokens, **read, "output_tokens": text_tokens}


def _logprobs(text: str, confidence: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return one entry a token, as the SDK has them; the tokens of a word share its probability."""
    tokens = counting.split_tokens(text)
    words = [*itertools.accumulate((int(token[0].isspace()) for token in tokens[1:]), initial=0)]
    found = []
    for token, word in zip(tokens, words, strict=False):  # without a token there is still a first word
        logprob = math.log(confidence[min(word, len(confidence) - 1)]) / words.count(word)
        found.append({"token": token, "logprob": round(logprob, 6), "bytes": list(token.encode())})
    return found
