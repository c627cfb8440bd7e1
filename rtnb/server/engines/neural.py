"""Text to speech by Piper and Kokoro, where they are installed and have a model on disk.

Both sound better than espeak-ng and cost more to run. Models lie in the directory that the environment variable
RTNB_VOICES names; none is ever downloaded.
"""

import functools
import importlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtnb.audio import pcm
from rtnb.audio.resample import to_int16
from rtnb.server.engines.espeak import Audio, place


def _folder() -> Path:
    named = os.environ.get("RTNB_VOICES")
    if not named or not Path(named).is_dir():
        raise FileNotFoundError("RTNB_VOICES names no folder")
    return Path(named)


class Piper:
    """Voices of Piper: each `*.onnx` with its `*.onnx.json`, one or many speakers in each.

    Raises:
        ImportError: If Piper is not installed.
        FileNotFoundError: If there is no voice of its.
    """

    def __init__(self) -> None:
        folder = _folder()
        self._piper = importlib.import_module("piper")
        self._speakers: dict[str, list[tuple[Path, int | None]]] = {}  # language → (model, speaker)
        self._rates: dict[Path, int] = {}
        self._load = functools.cache(self._piper.PiperVoice.load)
        self._lock = threading.Lock()
        for model in (one for one in sorted(folder.rglob("*.onnx")) if Path(f"{one}.json").is_file()):
            about = json.loads(Path(f"{model}.json").read_text("utf-8"))
            # Other ways from letters to sounds fetch a model (pinyin) or need a package of their own (Hebrew, Japanese,
            # Thai).
            if about.get("phoneme_type", "espeak") not in ("espeak", "text"):
                continue
            language = str(about["espeak"]["voice"]).split("-")[0].replace("cmn", "zh")
            count = int(about.get("num_speakers", 1))
            self._rates[model] = int(about["audio"]["sample_rate"])
            speakers = [(model, speaker if count > 1 else None) for speaker in range(count)]
            self._speakers.setdefault(language, []).extend(speakers)
        if not self._speakers:
            raise FileNotFoundError("no Piper voice in RTNB_VOICES")
        self.name = f"piper ({', '.join(sorted(model.stem for model in self._rates))})"

    def speaks(self, language: str) -> bool:
        """Return whether there is a voice for this language."""
        return language in self._speakers

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[Audio]:
        """Speak one sentence; see `espeak.Espeak.synthesise`."""
        speakers = self._speakers[language]
        model, speaker = speakers[place(voice) % len(speakers)]
        with self._lock:
            loaded = self._load(str(model))
        length = (loaded.config.length_scale or 1.0) / speed
        config = self._piper.SynthesisConfig(speaker_id=speaker, length_scale=length)
        # Double brackets would be phonemes to Piper; a text has none.
        for chunk in loaded.synthesize(text.replace("[[", "[ [").replace("]]", "] ]"), syn_config=config):
            yield chunk.audio_int16_bytes, self._rates[model]
        if more:
            yield pcm.silence(0.2, self._rates[model]), self._rates[model]  # Piper leaves no pause behind a sentence


# Which of Kokoro's own voices stands for which of the API's; where it has none of these, some other.
_KOKORO = {"alloy": "af_alloy", "ash": "am_adam", "ballad": "bm_george", "coral": "af_bella", "echo": "am_echo"}
_KOKORO |= {"sage": "af_sarah", "shimmer": "af_sky", "verse": "am_puck", "marin": "af_heart", "cedar": "am_michael"}
# What Kokoro calls a language. Its voices begin with the letter of theirs, the English ones with that of America.
_KOKORO_LANGUAGES = {"en": "en-us", "es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}


class Kokoro:
    """Voices of Kokoro through kokoro-onnx: one `kokoro*.onnx` and one `voices*.bin`.

    Raises:
        ImportError: If kokoro-onnx is not installed.
        FileNotFoundError: If its model is not there.
    """

    def __init__(self) -> None:
        folder = _folder()
        library = importlib.import_module("kokoro_onnx")
        model, voices = (min(folder.rglob(name), default=None) for name in ("kokoro*.onnx", "voices*.bin"))
        if model is None or voices is None:
            raise FileNotFoundError("no Kokoro model in RTNB_VOICES")
        self._loaded = library.Kokoro(str(model), str(voices))
        self._voices = list(self._loaded.get_voices())
        self._lock = threading.Lock()
        self.name = f"kokoro ({model.stem})"

    def _of(self, language: str) -> list[str]:
        letter = "a" if language == "en" else language[:1]
        return [name for name in self._voices if language in _KOKORO_LANGUAGES and name.startswith(letter)]

    def speaks(self, language: str) -> bool:
        """Return whether there is a voice for this language."""
        return bool(self._of(language))

    def synthesise(self, text: str, voice: str, speed: float, language: str, more: bool) -> Iterator[Audio]:
        """Speak one sentence; see `espeak.Espeak.synthesise`."""
        own = self._of(language)
        wanted = _KOKORO.get(voice, "")
        name = wanted if language == "en" and wanted in self._voices else own[place(voice) % len(own)]
        with self._lock:
            try:
                lang = _KOKORO_LANGUAGES[language]
                samples, _ = self._loaded.create(text, voice=name, speed=max(speed, 0.5), lang=lang)
            except ValueError:  # nothing in it that has a sound in this language
                return
        yield to_int16(np.asarray(samples)).astype("<i2").tobytes(), pcm.RATE_HZ
