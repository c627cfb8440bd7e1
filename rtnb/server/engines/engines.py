"""Engines behind one shape: what transcribes, responds and speaks, with what is installed here or without anything."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

    def so_far(self) -> Callable[[], Transcript]:
        """Return what waits for all the words so far."""

    def finish(self) -> Transcript:
        """Return all the words."""


class Detector(Protocol):
    """Speech probabilities of one session's audio."""

    def feed(self, pcm: bytes) -> list[float]:
        """Return one probability per finished 32 ms frame."""


@dataclass(frozen=True)
class Engines:
    """Engines of a server.

    Attributes:
        transcribe: A language or None, and whether no words so far are wanted → a new `StreamTranscriber`.
        diarize: A whole recording (s16le 24 kHz mono) and a language or None → who said what.
        vad: → a new `Detector`.
        respond: A `Request` → `Text`s and `Call`s.
        speak: What to say → pieces of s16le 24 kHz mono.
        names: What each is, for users: `"ears"`, `"voice"` and `"brain"`; "" where one is missing.
        warm_up: Loads what takes long to load, so that the first answer does not wait for it.
    """

    transcribe: Callable[[str | None, bool], StreamTranscriber]
    vad: Callable[[], Detector]
    respond: Responder
    speak: Callable[[Speak], Iterable[bytes]]
    names: Mapping[str, str]
    warm_up: Callable[[], None] = lambda: None
    diarize: Callable[[bytes, str | None], Sequence[Part]] = lambda pcm, language: ()

    def answer(self, request: Request) -> Iterator[Answer]:
        """Answer a request, or say that what the user said was not understood."""
        return iter(said) if (said := not_understood(request)) else self.respond(request)

    def transcript(self, asked: Transcribe) -> Transcript:
        """Transcribe a recording, and find out who said what where that is asked."""
        if not asked.speakers:
            stream = self.transcribe(asked.language, True)
            stream.feed(asked.pcm)
            return stream.finish()
        parts = tuple(self.diarize(asked.pcm, asked.language))
        return Transcript(" ".join(part.text for part in parts), parts)


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
        transcribe=lambda language, quiet: asr.StreamingRecogniser(
            language=language, interval_seconds=float("inf") if quiet else 0.5
        ),
        vad=vad.Vad,
        respond=respond or think,
        speak=lambda wanted: tts.speak(
            wanted.text, voice=wanted.voice, speed=wanted.speed, language=wanted.language, gain=wanted.gain
        ),
        names={"ears": asr.engine() or "", "voice": tts.engine() or ""},
        warm_up=warm_up,
        diarize=lambda pcm, language: diarization.diarize(pcm, language=language),
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


class _Canned:
    """Transcriber that does not listen."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript

    def feed(self, pcm: bytes, probabilities: Sequence[float] = ()) -> None:
        pass

    def so_far(self) -> Callable[[], Transcript]:
        return self.finish

    def finish(self) -> Transcript:
        return self._transcript


_ANSWER, _NOTHING = "This is canned speech, said without any engine.", Transcript("")


def canned(text: str = _ANSWER, transcript: Transcript = _NOTHING) -> Engines:
    """Make engines that do no work: what is said is `transcript`, the answer `text`, its audio a hum of that length."""

    def speak(wanted: Speak) -> Iterator[bytes]:
        words = len(re.findall(r"\w+", wanted.text)) or 1
        second = _HUM.astype("<i2").tobytes()
        size = int(words / 2.5 / wanted.speed * len(second)) // 2 * 2
        for at in range(0, size, len(second)):
            yield second[: size - at]

    return Engines(
        transcribe=lambda language, quiet: _Canned(transcript),
        vad=_Loudness,
        respond=lambda asked: iter([Text(text)]),
        speak=speak,
        names={"ears": "", "voice": "canned"},
    )
