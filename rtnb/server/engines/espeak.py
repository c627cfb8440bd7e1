"""Text to speech by espeak-ng: about a hundred languages, 10 MB, more than 100 × real time.

espeak-ng is free software under GPL-3, and rtnb is not: that is why it comes in by the extra `practice` only, as a
library of its own which this file loads at run time, and why nothing else in rtnb needs it.
"""

import contextlib
import ctypes
import functools
import importlib
import itertools
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Audio = tuple[bytes, int]  # s16le mono and its sample rate


class Voice(NamedTuple):
    """Settings of espeak-ng for one of the API's voices.

    Attributes:
        variant: espeak-ng's voice variant, the timbre.
        accent: espeak-ng's English, `"en-us"` or `"en"`, the British one; other languages take their own voice
            with this timbre.
        pitch: 0 to 99, espeak-ng's scale; 50 is the variant's own.
        words_per_minute: At speed 1.
    """

    variant: str
    accent: str = "en-us"
    pitch: int = 50
    words_per_minute: int = 160


# The API's ten voices (OpenAI docs: voice options). Which timbre, pitch and pace stands for which was chosen by a
# recogniser: of 86 timbres these were recognised best, women's and men's voices apart, with word error rates of 0.07 to
# 0.18.
VOICES: dict[str, Voice] = {
    "alloy": Voice("f1", words_per_minute=170),
    "ash": Voice("Hugo", words_per_minute=150),
    "ballad": Voice("michel", words_per_minute=150),
    "coral": Voice("f2", pitch=35, words_per_minute=150),
    "echo": Voice("Diogo", words_per_minute=150),
    "sage": Voice("f5", words_per_minute=130),
    "shimmer": Voice("Annie", words_per_minute=150),
    "verse": Voice("Denis", pitch=65, words_per_minute=150),
    "marin": Voice("f2", "en", words_per_minute=130),
    "cedar": Voice("rob", pitch=65, words_per_minute=150),
}

# ISO 639-1 codes that espeak-ng calls otherwise.
_ESPEAK = {"zh": "cmn", "no": "nb", "en": "en-us", "pt": "pt-br", "zh-hk": "yue"}


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: audio goes to the callback, within the call, and to no device
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: an error must not end the process
_UTF8, _ENDPAUSE = 1, 0x1000  # espeakCHARS_UTF8, espeakENDPAUSE
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_SLOWEST_WPM, _FASTEST_WPM = 80, 450  # espeakRATE's limits


class _Library:
    """C library, once a process: it keeps its state and the callback in globals, so nothing of it may be freed."""

    def __init__(self) -> None:
        loader = importlib.import_module("espeakng_loader")
        self.c = ctypes.CDLL(loader.get_library_path())
        text, size, unsigned, pointer = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p
        self.c.espeak_Synth.argtypes = [text, size, unsigned, ctypes.c_int, unsigned, unsigned, pointer, pointer]
        self.rate_hz = int(self.c.espeak_Initialize(_SYNCHRONOUS, 100, _short(loader.get_data_path()), _DONT_EXIT))
        if self.rate_hz <= 0:
            raise OSError("espeak-ng cannot read its voices")
        self.lock = threading.Lock()
        self.audio: list[bytes] = []
        self._callback = _CALLBACK(self._collect)  # kept, or it would be freed while C still calls it
        self.c.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self.audio.append(ctypes.string_at(samples, count * 2))
        return 0


_library = functools.cache(_Library)


class Espeak:
    """espeak-ng through its C library: one voice at a time, under a lock.

    Raises:
        ImportError: If `espeakng_loader` is not installed.
        OSError: If its library or its voices cannot be loaded.
    """

    name = "espeak-ng"

    def __init__(self) -> None:
        self._library = _library()

    def speaks(self, language: str) -> bool:
        """Return True: it has a voice for every language rtnb detects, and an English one for the rest."""
        return True

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[Audio]:
        """Speak one sentence.

        Args:
            text: What to say, without control characters.
            voice: One of the API's names.
            speed: 0.25 to 1.5.
            language: ISO 639-1 code.
            more: Whether another sentence follows, so that a pause belongs behind this one.

        Yields:
            s16le mono, and its sample rate.
        """
        settings = [*VOICES.values()][place(voice) % len(VOICES)]
        spoken = settings.accent if language == "en" else _ESPEAK.get(language, language)
        words_per_minute = round(settings.words_per_minute * speed)
        data = text.encode()
        library, c = self._library, self._library.c
        with library.lock:
            for name in (f"{spoken}+{settings.variant}", f"{settings.accent}+{settings.variant}", "en-us"):
                if c.espeak_SetVoiceByName(name.encode()) == 0:
                    break
            c.espeak_SetParameter(_RATE, min(max(words_per_minute, _SLOWEST_WPM), _FASTEST_WPM), 0)
            c.espeak_SetParameter(_PITCH, settings.pitch, 0)
            library.audio = []
            # No SSML and no [[phonemes]]: what looks like markup is read out as the text it is.
            c.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | (_ENDPAUSE if more else 0), None, None)
            audio, library.audio = b"".join(library.audio), []
        if words_per_minute < _SLOWEST_WPM and audio:
            audio = _stretch(audio, library.rate_hz, words_per_minute / _SLOWEST_WPM)
        yield audio, library.rate_hz


def _short(path: str) -> bytes:
    """Make a path espeak-ng can take: it has room for 160 bytes, and a deep virtual environment has more."""
    if len(os.fsencode(path)) >= 120:
        target, path = path, str(Path(tempfile.mkdtemp(prefix="rtnb-")) / "espeak-ng-data")
        Path(path).symlink_to(target)
    return os.fsencode(path)


def place(voice: str) -> int:
    """Return which of several voices a name gets: the API's in their order, any other always the same."""
    return [*VOICES].index(voice) if voice in VOICES else sum(voice.encode())


def _stretch(pcm: bytes, rate_hz: int, tempo: float) -> bytes:
    """Slow speech down without lowering it, for speeds below what espeak-ng can do."""
    import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="s16", layout="mono")
    slower = [graph.add("atempo", f"{tempo**0.5:.4f}") for _ in range(2)]  # one filter halves at most
    for before, after in itertools.pairwise([source, *slower, graph.add("abuffersink")]):
        before.link_to(after)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    graph.push(frame)
    graph.push(None)
    slow: list[bytes] = []
    with contextlib.suppress(av.error.EOFError, av.error.BlockingIOError):
        while True:
            slow.append(graph.pull().to_ndarray().astype("<i2").tobytes())
    return b"".join(slow)
