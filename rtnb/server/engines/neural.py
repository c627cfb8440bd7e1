"""Piper and Kokoro as the practice server's voice, where somebody has installed them and has a model on disk.

Both sound better than espeak-ng and cost more to run. Models lie in the directory that the environment variable
RTNB_VOICES names; none is ever downloaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Kokoro", "Piper"]

_NAMES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


# Other ways from letters to sounds fetch a model (pinyin) or need a package of their own (Hebrew, Japanese, Thai).
_AT_HAND = ("espeak", "text")


def _place(voice: str) -> int:
    """Which of several voices a name gets: the API's in their order, any other always the same."""
    return _NAMES.index(voice) if voice in _NAMES else sum(voice.encode())


def _folder() -> Path:
    named = os.environ.get("RTNB_VOICES")
    if not named or not Path(named).is_dir():
        raise FileNotFoundError("RTNB_VOICES names no folder")
    return Path(named)


class Piper:
    """Piper's voices: each `*.onnx` with its `*.onnx.json`, one or many speakers in each.

    Raises:
        ImportError: If Piper is not installed.
        FileNotFoundError: If there is no voice of its.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("piper") is None:
            raise ImportError("piper is not installed")
        self._speakers: dict[str, list[tuple[Path, int | None]]] = {}  # language → (model, speaker)
        self._rates: dict[Path, int] = {}
        self._loaded: dict[Path, Any] = {}
        self._lock = threading.Lock()
        for model in sorted(_folder().rglob("*.onnx")):
            description = Path(f"{model}.json")
            if not description.is_file():
                continue
            told = json.loads(description.read_text("utf-8"))
            if told.get("phoneme_type", "espeak") not in _AT_HAND:
                continue
            language = str(told["espeak"]["voice"]).split("-")[0].replace("cmn", "zh")
            count = int(told.get("num_speakers", 1))
            self._rates[model] = int(told["audio"]["sample_rate"])
            speakers = [(model, speaker if count > 1 else None) for speaker in range(count)]
            self._speakers.setdefault(language, []).extend(speakers)
        if not self._speakers:
            raise FileNotFoundError("no Piper voice in RTNB_VOICES")
        self.name = f"piper ({', '.join(sorted(model.stem for model in self._rates))})"

    def speaks(self, language: str) -> bool:
        """Whether there is a voice for this language."""
        return language in self._speakers

    def _chosen(self, voice: str, language: str) -> tuple[Path, int | None]:
        speakers = self._speakers[language]
        return speakers[_place(voice) % len(speakers)]

    def rate_hz(self, voice: str, language: str) -> int:
        """Sample rate of what `synthesise` gives for this voice."""
        return self._rates[self._chosen(voice, language)[0]]

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[bytes]:
        """Speak one sentence; see `espeak.Espeak.synthesise`."""
        piper = importlib.import_module("piper")
        model, speaker = self._chosen(voice, language)
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = piper.PiperVoice.load(str(model))
            loaded = self._loaded[model]
        natural = loaded.config.length_scale or 1.0
        manner = piper.SynthesisConfig(speaker_id=speaker, length_scale=natural / speed)
        # Double brackets would be phonemes to Piper; a text has none.
        for chunk in loaded.synthesize(text.replace("[[", "[ [").replace("]]", "] ]"), syn_config=manner):
            yield chunk.audio_int16_bytes
        if more:
            yield bytes(2 * (self._rates[model] // 5))  # Piper leaves no pause behind a sentence


# Which of Kokoro's own voices stands for which of the API's; where it has none of these, some other.
_KOKORO = {
    "alloy": "af_alloy",
    "ash": "am_adam",
    "ballad": "bm_george",
    "coral": "af_bella",
    "echo": "am_echo",
    "sage": "af_sarah",
    "shimmer": "af_sky",
    "verse": "am_puck",
    "marin": "af_heart",
    "cedar": "am_michael",
}
# The first letter of a Kokoro voice is its language.
_KOKORO_LANGUAGES = {
    "en": ("a", "en-us"),
    "es": ("e", "es"),
    "fr": ("f", "fr-fr"),
    "hi": ("h", "hi"),
    "it": ("i", "it"),
    "pt": ("p", "pt-br"),
}


class Kokoro:
    """Kokoro's voices through kokoro-onnx: one `kokoro*.onnx` and one `voices*.bin`.

    Raises:
        ImportError: If kokoro-onnx is not installed.
        FileNotFoundError: If its model is not there.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("kokoro_onnx") is None:
            raise ImportError("kokoro-onnx is not installed")
        folder = _folder()
        model = next(iter(sorted(folder.rglob("kokoro*.onnx"))), None)
        voices = next(iter(sorted(folder.rglob("voices*.bin"))), None)
        if model is None or voices is None:
            raise FileNotFoundError("no Kokoro model in RTNB_VOICES")
        self._loaded = importlib.import_module("kokoro_onnx").Kokoro(str(model), str(voices))
        self._voices = list(self._loaded.get_voices())
        self._lock = threading.Lock()
        self.name = f"kokoro ({model.stem})"

    def _of(self, language: str) -> list[str]:
        letter, _ = _KOKORO_LANGUAGES.get(language, ("?", ""))
        return [name for name in self._voices if name.startswith(letter)]

    def speaks(self, language: str) -> bool:
        """Whether there is a voice for this language."""
        return bool(self._of(language))

    def rate_hz(self, voice: str, language: str) -> int:
        """Sample rate of what `synthesise` gives for this voice."""
        return 24_000

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[bytes]:
        """Speak one sentence; see `espeak.Espeak.synthesise`."""
        own = self._of(language)
        wanted = _KOKORO.get(voice, "")
        name = wanted if language == "en" and wanted in self._voices else own[_place(voice) % len(own)]
        with self._lock:
            try:
                samples, _ = self._loaded.create(
                    text, voice=name, speed=max(speed, 0.5), lang=_KOKORO_LANGUAGES[language][1]
                )
            except ValueError:  # nothing in it that has a sound in this language
                return
        yield (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
