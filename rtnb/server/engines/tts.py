"""Text to speech: text in, audio out, as it is made.

espeak-ng (see `espeak`) speaks nearly every language, and so fast that the first audio of an answer is there within
milliseconds. Piper or Kokoro (see `neural`), which sound better, go before it where they are installed and have a
model for the language.
"""

import contextlib
import functools
import itertools
import os
import re
import threading
import unicodedata
from collections.abc import Iterator

import numpy as np

from rtnb.audio.pcm import RATE_HZ
from rtnb.audio.resample import Resampler, to_float
from rtnb.server import languages
from rtnb.server.engines.espeak import VOICES, Audio, Espeak
from rtnb.server.engines.neural import Kokoro, Piper

__all__ = ["VOICES", "engine", "speak", "warm_up"]


_Engine = Kokoro | Piper | Espeak
_lock = threading.Lock()


@functools.cache
def _load(folder: str | None) -> list[_Engine]:
    found: list[_Engine] = []
    for make in (Kokoro, Piper, Espeak):
        with contextlib.suppress(Exception):  # not installed, without a model, or a library that does not load here
            found.append(make())
    return found


def _engines() -> list[_Engine]:
    """Load what can speak here, the best first."""
    with _lock:
        return _load(os.environ.get("RTNB_VOICES"))


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
# Unicode categories without a sound, and what stands in their place.
_UNSPOKEN = {"Cf": ""} | dict.fromkeys(("Cc", "Cs", "Co", "Cn", "So", "Sk", "Zl", "Zp"), " ")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|Prof|St|e\.g|i\.e|vs|No|[A-Z])\.$")


def _readable(text: str) -> str:
    """Leave out what has no sound: control characters (some of which command espeak-ng), emoji, halves of pairs."""
    # Variation selectors go without a trace, as format characters do: they stand inside of words.
    text = re.sub("[\ufe00-\ufe0f]", "", unicodedata.normalize("NFC", text))
    return "".join(one if one == "\n" else _UNSPOKEN.get(unicodedata.category(one), one) for one in text)


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
            cut = max(window.rfind(mark) for mark in (", ", "，", "、")) + 1 or max(window.rfind(" "), 0) or _PIECE
            yield sentence[:cut].strip()
            sentence = sentence[cut:].strip()
        if any(character.isalnum() for character in sentence):
            yield sentence
    if any(character.isalnum() for character in held):
        yield held


def speak(
    text: str, *, voice: str = "marin", speed: float = 1.0, language: str | None = None, gain: float = 1.0
) -> Iterator[bytes]:
    """Speak a text.

    Args:
        text: Anything; what has no sound (emoji, control characters) is left out, markup is read as it stands.
        voice: One of the API's names (see `VOICES`); any other name gets one of their timbres, always the same.
        speed: 0.25 to 1.5 (OpenAI docs: `audio.output.speed`); values outside are clamped.
        language: ISO 639-1 code. None finds it out from the text, sentence by sentence.
        gain: Factor for the samples, which are cut where they become too large.

    Yields:
        s16le mono at 24 kHz, about a sentence at a time, the first as soon as it is made. Nothing at all where the
        text holds nothing that can be spoken or no engine is installed (see `engine`). Threads take turns.
    """
    spoken = _synthesised(text, voice, min(max(speed, 0.25), 1.5), language)
    for rate_hz, same_rate in itertools.groupby(spoken, key=lambda audio: audio[1]):
        resampler = Resampler(rate_hz, RATE_HZ)  # without a seam as long as the rate stays the same
        for audio in itertools.chain(same_rate, [None]):
            samples = resampler(to_float(np.frombuffer(audio[0], "<i2"))) if audio else resampler.flush()
            if len(samples):
                yield np.clip(samples * gain, -32_768, 32_767).astype("<i2").tobytes()


def _synthesised(text: str, voice: str, speed: float, language: str | None) -> Iterator[Audio]:
    """Speak a text sentence by sentence, each part by the best engine for its language."""
    engines = _engines()
    overall = language or languages.guess(text)
    pieces = [*_pieces(text)] if engines else []
    for number, piece in enumerate(pieces, 1):
        of_piece = language or languages.guess(piece, default=overall)
        parts = [part for part in languages.runs(piece, of_piece) if any(map(str.isalnum, part[1]))]
        for index, (spoken, part) in enumerate(parts, 1):
            speaker = next((one for one in engines if one.speaks(spoken)), None)
            more = number < len(pieces) and index == len(parts)
            yield from speaker.synthesise(part, voice, speed, spoken, more) if speaker else ()
