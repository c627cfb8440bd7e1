"""Engines behind one shape: what transcribes, responds and speaks, with what is installed here or without anything."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from rtnb.audio.pcm import RATE_HZ, byte_count
from rtnb.server.engines import vad
from rtnb.server.engines.not_understood import not_understood
from rtnb.server.protocol.effects import Part, Speak, Transcribe, Transcript
from rtnb.server.protocol.requests import Answer, Request, Responder, Text


class StreamTranscriber(Protocol):
    """Streaming recognition of one utterance. What gives out words so far has them as `text`, too."""

    def feed(self, pcm: bytes, probabilities: Sequence[float] = ()) -> str | None:
        """Return the words so far, or None where there is nothing new.

        Args:
            pcm: s16le 24 kHz mono.
            probabilities: Of speech, for the 32 ms frames that it completes, as far as they are known already.
        """

    def so_far(self) -> Callable[[], str]:
        """Return what waits for all the words so far."""

    def finish(self) -> str:
        """Return all the words."""


class _Whole:
    """Recognition of one utterance as a whole: `transcribe` as in `Engines`, and its language."""

    def __init__(self, transcribe: Callable[[bytes, str | None], str], language: str | None) -> None:
        self._transcribe, self._language, self._pcm = transcribe, language, bytearray()

    def feed(self, pcm: bytes, probabilities: Sequence[float] = ()) -> None:
        self._pcm += pcm

    def so_far(self) -> Callable[[], str]:
        return partial(self._transcribe, bytes(self._pcm), self._language)

    def finish(self) -> str:
        return self.so_far()()


class Detector(Protocol):
    """Speech probabilities of one session's audio."""

    def feed(self, pcm: bytes) -> list[float]:
        """Return one probability per finished 32 ms frame."""


@dataclass(frozen=True)
class Engines:
    """Engines of a server.

    Attributes:
        transcribe: A whole recording (s16le 24 kHz mono) and a language or None → its words.
        diarize: The same → who said what.
        confidence: A recording, its words and a language or None → how likely each word is right, 0–1.
        transcribe_stream: A language or None → a new `StreamTranscriber` that returns words so far.
        transcribe_beside: The same where words so far are not wanted. None: `transcribe`, when all is there.
        vad: → a new `Detector`.
        respond: A `Request` → `Text`s and `Call`s.
        speak: What to say → pieces of s16le 24 kHz mono.
        names: What each is, for users: `"ears"`, `"voice"` and `"brain"`; "" where one is missing.
        warm_up: Loads what takes long to load, so that the first answer does not wait for it.
    """

    transcribe: Callable[[bytes, str | None], str]
    transcribe_stream: Callable[[str | None], StreamTranscriber]
    vad: Callable[[], Detector]
    respond: Responder
    speak: Callable[[Speak], Iterable[bytes]]
    names: Mapping[str, str]
    warm_up: Callable[[], None] = lambda: None
    transcribe_beside: Callable[[str | None], StreamTranscriber] | None = None
    diarize: Callable[[bytes, str | None], Sequence[Part]] = lambda pcm, language: ()
    confidence: Callable[[bytes, str, str | None], Sequence[float]] = lambda pcm, text, _: [0.5] * len(text.split())

    def stream(self, language: str | None, quiet: bool) -> StreamTranscriber:
        """Return what transcribes a new utterance; `quiet` where no words so far are wanted."""
        make = (self.transcribe_beside or partial(_Whole, self.transcribe)) if quiet else self.transcribe_stream
        return make(language)

    def answer(self, request: Request) -> Iterator[Answer]:
        """Answer a request, or say that what the user said was not understood."""
        return iter(said) if (said := not_understood(request)) else self.respond(request)

    def transcript(self, asked: Transcribe) -> Transcript:
        """Transcribe a recording, and find out what else is asked for."""
        if asked.wants == "speakers":
            parts = tuple(self.diarize(asked.pcm, asked.language))
            return Transcript(" ".join(part.text for part in parts), parts)
        text = self.transcribe(asked.pcm, asked.language)
        sure = self.confidence(asked.pcm, text, asked.language) if asked.wants == "confidence" else ()
        return Transcript(text, confidence=tuple(sure))


def installed(respond: Responder | None = None) -> Engines:
    """Make the engines of this package, with whatever recogniser and voice are installed here.

    Args:
        respond: What responds instead of the package's own rules, or None.
    """
    # Not at the top: a server without engines starts without their half a second.
    from rtnb.server.engines import asr, diarization, tts
    from rtnb.server.responder.responder import think

    def warm_up() -> None:
        asr.warm_up()
        tts.warm_up()
        if respond is None:
            list(think(Request(asked="Which question is this?")))  # looked for among all that is known

    return Engines(
        transcribe=lambda pcm, language: asr.joined(asr.recognise(pcm, language=language)),
        transcribe_stream=lambda language: asr.StreamingRecogniser(language=language),
        transcribe_beside=lambda language: asr.StreamingRecogniser(language=language, interval_seconds=float("inf")),
        vad=vad.Vad,
        respond=respond or think,
        speak=lambda wanted: tts.speak(
            wanted.text, voice=wanted.voice, speed=wanted.speed, language=wanted.language, gain=wanted.gain
        ),
        names={"ears": asr.engine() or "", "voice": tts.engine() or ""},
        warm_up=warm_up,
        diarize=lambda pcm, language: diarization.diarize(pcm, language=language),
        confidence=lambda pcm, text, language: [word.probability for word in asr.recognise(pcm, language=language)],
    )


# ---------------------------------------------------------------------- without engines

_FRAME_BYTES = byte_count(vad.FRAME_MS / 1000)


class _Loudness:
    """Detector for canned speech only: how loud a frame is."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pcm: bytes) -> list[float]:
        pcm = self._rest + pcm
        cut = len(pcm) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = pcm[cut:]
        frames = np.frombuffer(pcm[:cut], "<i2").reshape(-1, _FRAME_BYTES // 2)[:, ::16]
        return np.minimum(1.0, np.abs(frames.astype(int)).max(axis=1) / 4_000).tolist()


_at = np.arange(RATE_HZ)
_HUM = 6_000 * np.sin(_at * 0.03) * np.sin(_at * 0.0011) ** 2 + 900 * np.sin(_at * 0.21)  # a second of it


def canned(text: str = "This is canned speech, said without any engine.") -> Engines:
    """Make engines that do no work: no words are found, the answer is `text`, its audio a hum of a reading's length."""

    def speak(wanted: Speak) -> Iterator[bytes]:
        words = len(re.findall(r"\w+", wanted.text)) or 1
        second = _HUM.astype("<i2").tobytes()
        size = int(words / 2.5 / wanted.speed * len(second)) // 2 * 2
        for at in range(0, size, len(second)):
            yield second[: size - at]

    return Engines(
        transcribe=lambda pcm, language: "",
        transcribe_stream=lambda language: _Whole(lambda pcm, _: "", language),
        vad=_Loudness,
        respond=lambda asked: iter([Text(text)]),
        speak=speak,
        names={"ears": "", "voice": "canned"},
    )
