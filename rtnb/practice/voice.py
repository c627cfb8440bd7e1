"""The practice server's voice: text in, speech out, as it is made.

espeak-ng speaks about a hundred languages from 10 MB, faster than 100 × real time, so the first sound of an answer is
there within milliseconds. Piper or Kokoro, which sound better, are used where they are installed and a model of
theirs lies in the directory that RTNB_VOICES names; nothing is ever downloaded.

espeak-ng is free software under GPL-3, and rtnb is not: that is why it comes in by the extra `practice` only, as a
library of its own which this file loads at run time, and why nothing else in rtnb needs it.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import re
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rtnb.practice import languages

__all__ = ["VOICES", "Voice", "engine", "speak", "warm_up"]

RATE_HZ = 24_000


@dataclass(frozen=True, slots=True)
class Voice:
    """How one of the API's voices is spoken by espeak-ng.

    Attributes:
        variant: espeak-ng's voice variant, the timbre.
        accent: espeak-ng's English, for example `"en-us"`; other languages take their own voice with this timbre.
        pitch: 0 to 99, espeak-ng's scale; 50 is the variant's own.
        range: 0 to 99, how much the pitch moves; 50 is the variant's own.
        words_per_minute: At speed 1.
    """

    variant: str
    accent: str = "en-us"
    pitch: int = 50
    range: int = 50
    words_per_minute: int = 160


# The API's ten voices (OpenAI docs: voice options). Which timbre stands for which was chosen by ear of a recogniser:
# of some 100 variants and accents these ten differ from each other and have the lowest word error rates.
VOICES: dict[str, Voice] = {
    "alloy": Voice("f2", pitch=45),
    "ash": Voice("m3", pitch=45),
    "ballad": Voice("m1", "en-gb", pitch=52),
    "coral": Voice("f4", pitch=55),
    "echo": Voice("m7", pitch=50),
    "sage": Voice("f1", pitch=50),
    "shimmer": Voice("f3", pitch=60),
    "verse": Voice("m4", pitch=55),
    "marin": Voice("f5", pitch=50),
    "cedar": Voice("m8", pitch=40),
}

# ISO 639-1 codes that espeak-ng calls otherwise.
_ESPEAK = {"zh": "cmn", "no": "nb", "en": "en-us", "pt": "pt-br", "vi": "vi", "zh-hk": "yue", "fr": "fr-fr"}


class _Engine(Protocol):
    name: str
    rate_hz: int

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[bytes]:
        """Speak one sentence as s16le at `rate_hz`; `more` says that another follows."""
        ...


# ── espeak-ng ─────────────────────────────────────────────────────────────────────────────────────────────

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: sound goes to the callback, within the call, and to no device
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: an error must not end the process
_UTF8, _ENDPAUSE = 1, 0x1000  # espeakCHARS_UTF8, espeakENDPAUSE
_RATE, _PITCH, _RANGE, _WORDGAP = 1, 3, 4, 7  # espeak_PARAMETER
_SLOWEST_WPM, _FASTEST_WPM = 80, 450  # espeakRATE's limits


class _Espeak:
    """espeak-ng through its C library, which keeps everything in globals: one voice at a time, under a lock."""

    name = "espeak-ng"

    def __init__(self) -> None:
        loader = importlib.import_module("espeakng_loader")
        self._lib = ctypes.CDLL(loader.get_library_path())
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self.rate_hz = int(
            self._lib.espeak_Initialize(_SYNCHRONOUS, 100, _short(loader.get_data_path()), _DONT_EXIT)
        )
        if self.rate_hz <= 0:
            raise OSError("espeak-ng cannot read its voices")
        self._lock = threading.Lock()
        self._sound: list[bytes] = []
        self._callback = _CALLBACK(self._collect)  # kept, or it would be freed while C still calls it
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._sound.append(ctypes.string_at(samples, count * 2))
        return 0

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[bytes]:
        manner = VOICES.get(voice) or _unknown(voice)
        tongue = manner.accent if language == "en" else _ESPEAK.get(language, language)
        words_per_minute = round(manner.words_per_minute * speed)
        data = text.encode()
        with self._lock:
            for name in (f"{tongue}+{manner.variant}", f"{manner.accent}+{manner.variant}", "en-us"):
                if self._lib.espeak_SetVoiceByName(name.encode()) == 0:
                    break
            self._lib.espeak_SetParameter(_RATE, min(max(words_per_minute, _SLOWEST_WPM), _FASTEST_WPM), 0)
            self._lib.espeak_SetParameter(_PITCH, manner.pitch, 0)
            self._lib.espeak_SetParameter(_RANGE, manner.range, 0)
            self._sound = []
            # No SSML and no [[phonemes]]: what looks like markup is read out as the text it is.
            self._lib.espeak_Synth(
                data, len(data) + 1, 0, 1, 0, _UTF8 | (_ENDPAUSE if more else 0), None, None
            )
            sound, self._sound = b"".join(self._sound), []
        if words_per_minute < _SLOWEST_WPM and sound:
            sound = _stretch(sound, self.rate_hz, words_per_minute / _SLOWEST_WPM)
        yield sound


def _short(path: str) -> bytes:
    """A path espeak-ng can take: it has room for 160 bytes, and a deep virtual environment has more."""
    if len(os.fsencode(path)) < 120:
        return os.fsencode(path)
    link = Path(tempfile.mkdtemp(prefix="rtnb-")) / "espeak-ng-data"
    link.symlink_to(path)
    return os.fsencode(link)


def _unknown(voice: str) -> Voice:
    """A voice of another name, or a custom one: some timbre, always the same for the same name."""
    return list(VOICES.values())[sum(voice.encode()) % len(VOICES)]


def _stretch(pcm: bytes, rate_hz: int, tempo: float) -> bytes:
    """Slow speech down without lowering it, for speeds below what espeak-ng can do."""
    import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="s16", layout="mono")
    tempo_filter = graph.add("atempo", f"{max(tempo, 0.5):.4f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo_filter)
    tempo_filter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    graph.push(frame)
    graph.push(None)
    slow: list[bytes] = []
    while True:
        try:
            slow.append(graph.pull().to_ndarray().astype("<i2").tobytes())
        except (av.error.EOFError, av.error.BlockingIOError):
            return b"".join(slow)


# ── One engine for all ────────────────────────────────────────────────────────────────────────────────────

_lock = threading.Lock()
_loaded: _Engine | None = None
_tried = False


def _engine() -> _Engine | None:
    global _loaded, _tried
    with _lock:
        if not _tried:
            for load in (_Espeak,):
                try:
                    _loaded = load()
                    break
                except Exception:  # not installed, or a library that does not load on this machine
                    _loaded = None
            _tried = True
        return _loaded


def engine() -> str | None:
    """Say which synthesiser speaks here, loading it if need be; None where none is installed."""
    found = _engine()
    return None if found is None else found.name


def warm_up() -> None:
    """Load the engine, so that the first answer does not wait for it."""
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


def speak(
    text: str, *, voice: str = "marin", speed: float = 1.0, language: str | None = None
) -> Iterator[bytes]:
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
    found = _engine()
    if found is None:
        return
    import soxr

    speed = min(max(speed, 0.25), 1.5)
    resample = (
        soxr.ResampleStream(found.rate_hz, RATE_HZ, 1, dtype="int16") if found.rate_hz != RATE_HZ else None
    )
    overall = language or languages.guess(text)
    pieces = _pieces(text)
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        tongue = language or languages.guess(piece, default=overall)
        parts = [part for part in languages.runs(piece, tongue) if any(map(str.isalnum, part[1]))]
        for index, (spoken, part) in enumerate(parts):
            more = following is not None and index == len(parts) - 1
            for sound in found.synthesise(part, voice, speed, spoken, more):
                if resample is not None:
                    sound = resample.resample_chunk(np.frombuffer(sound, "<i2")).tobytes()
                if sound:
                    yield sound
        piece = following
    if resample is not None:
        rest = resample.resample_chunk(np.zeros(0, np.int16), last=True).tobytes()
        if rest:
            yield rest
