"""The practice server's voice: text in, speech out, as it is made.

espeak-ng (see `espeak`) speaks nearly every language, and so fast that the first sound of an answer is there within
milliseconds. Piper or Kokoro (see `neural`), which sound better, go before it where they are installed and have a
model for the language.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from rtnb.server import languages
from rtnb.server.engines.espeak import VOICES, Espeak
from rtnb.server.engines.neural import Kokoro, Piper

__all__ = ["VOICES", "engine", "speak", "warm_up"]

RATE_HZ = 24_000


class _Engine(Protocol):
    name: str

    def speaks(self, language: str) -> bool: ...

    def rate_hz(self, voice: str, language: str) -> int: ...

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[bytes]: ...


_lock = threading.Lock()
_loaded: list[_Engine] | None = None


def _engines() -> list[_Engine]:
    """What can speak here, the best first."""
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = []
            for make in (Kokoro, Piper, Espeak):
                try:
                    _loaded.append(make())
                except Exception:  # not installed, without a model, or a library that does not load here
                    continue
        return _loaded


def engine() -> str | None:
    """Say which synthesiser speaks here, loading it if need be; None where none is installed."""
    return " + ".join(found.name for found in _engines()) or None


def warm_up() -> None:
    """Load the engines, so that the first answer does not wait for them."""
    for _ in speak("Hello."):
        pass


# ── Text ──────────────────────────────────────────────────────────────────────────────────────────────────

_PIECE = 240  # characters synthesised at once: a few seconds of speech, a few milliseconds of work
# Ends of sentences: Latin ones need a space behind, so that 3.5 and rtnb.ask stay whole; Chinese ones do not.
_END = re.compile(r"(?<=[.!?…;:])[\"'”’)\]]*\s+|(?<=[。！？；])\s*|\n+")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|Prof|St|e\.g|i\.e|vs|No|[A-Z])\.$")


def _readable(text: str) -> str:
    """Leave out what has no sound: control characters (some of which command espeak-ng), emoji, halves of pairs."""
    kept = (
        " "
        if (kind := unicodedata.category(character)) in ("Cc", "Cs", "Co", "Cn", "So", "Sk", "Zl", "Zp")
        and character != "\n"
        else ""
        if kind == "Cf" or "\ufe00" <= character <= "\ufe0f"
        else character
        for character in unicodedata.normalize("NFC", text)
    )
    return "".join(kept)


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into sentences, and what is longer than `_PIECE` at commas or spaces."""
    held = ""
    for sentence in _END.split(_readable(text)):
        sentence = " ".join(f"{held} {sentence}".split())
        if _ABBREVIATION.search(sentence):
            held = sentence
            continue
        held = ""
        while len(sentence) > _PIECE:
            window = sentence[:_PIECE]
            cut = max(window.rfind(mark) for mark in (", ", "，", "、")) + 1 or window.rfind(" ") or _PIECE
            cut = cut if cut > 0 else _PIECE
            yield sentence[:cut].strip()
            sentence = sentence[cut:].strip()
        if any(character.isalnum() for character in sentence):
            yield sentence
    if any(character.isalnum() for character in held):
        yield held


def speak(text: str, *, voice: str = "marin", speed: float = 1.0, language: str | None = None) -> Iterator[bytes]:
    """Speak a text.

    Args:
        text: Anything; what has no sound (emoji, control characters) is left out, markup is read as it stands.
        voice: One of the API's names (see `VOICES`); any other name gets one of their timbres, always the same.
        speed: 0.25 to 1.5 (OpenAI docs: `audio.output.speed`); values outside are clamped.
        language: ISO 639-1 code. None finds it out from the text, sentence by sentence.

    Yields:
        s16le mono at 24 kHz, about a sentence at a time, the first as soon as it is made. Nothing at all where the
        text holds nothing that can be spoken or no engine is installed (see `engine`). Threads take turns.
    """
    found = _engines()
    if not found:
        return
    speed = min(max(speed, 0.25), 1.5)
    overall = language or languages.guess(text)
    to_24k = _Resampler()
    pieces = _pieces(text)
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        tongue = language or languages.guess(piece, default=overall)
        parts = [part for part in languages.runs(piece, tongue) if any(map(str.isalnum, part[1]))]
        for index, (spoken, part) in enumerate(parts):
            speaker = next((one for one in found if one.speaks(spoken)), found[-1])
            if not speaker.speaks(spoken):
                continue
            more = following is not None and index == len(parts) - 1
            rate_hz = speaker.rate_hz(voice, spoken)
            for sound in speaker.synthesise(part, voice, speed, spoken, more):
                if resampled := to_24k(sound, rate_hz):
                    yield resampled
        piece = following
    if rest := to_24k.rest():
        yield rest


class _Resampler:
    """From whatever rate an engine has to 24 kHz, without a seam as long as the rate stays the same."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._rate_hz = 0

    def __call__(self, pcm: bytes, rate_hz: int) -> bytes:
        """Take some s16le and give what of it is ready."""
        before = self.rest() if rate_hz != self._rate_hz else b""
        if rate_hz == RATE_HZ:
            self._rate_hz = rate_hz
            return before + pcm
        if self._stream is None:
            import soxr

            # Floats, because soxr dithers integers.
            self._stream, self._rate_hz = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32"), rate_hz
        return before + self._resampled(np.frombuffer(pcm, "<i2").astype(np.float32), last=False)

    def _resampled(self, samples: np.ndarray, last: bool) -> bytes:
        found = self._stream.resample_chunk(samples, last=last)
        return bytes(np.clip(np.rint(found), -32_768, 32_767).astype("<i2").tobytes())

    def rest(self) -> bytes:
        """What is still inside."""
        found = b"" if self._stream is None else self._resampled(np.zeros(0, np.float32), last=True)
        self._stream, self._rate_hz = None, 0
        return found
