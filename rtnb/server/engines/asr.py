"""Automatic speech recognition by the best engine that is installed; none of them downloads anything.

Recognisers are heavy, so one is loaded once, when first needed or by `warm_up`, and shared by every session.
"""

import contextlib
import functools
import importlib.util
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rtnb.audio.pcm import RATE_HZ, silence
from rtnb.audio.resample import to_int16
from rtnb.server.engines import vad

_LONGEST_SECONDS = 15.0  # what a recogniser gets at once; cut at the longest pause before it
_LONGEST_FRAMES = int(_LONGEST_SECONDS * 1000 / vad.FRAME_MS)


# ── The recognisers, behind one shape ────────────────────────────────────────────────────────────────────────────


class _Recogniser(NamedTuple):
    """Loaded engine.

    Attributes:
        name: What `engine` reports, for example `"moonshine-voice tiny-en"`.
        transcribe: Samples at 16 kHz (float32, -1 to 1) and a language code or None, to words.
    """

    name: str
    transcribe: Callable[[vad.Samples, str | None], str]


def _faster_whisper() -> _Recogniser | None:
    """Load Whisper, if the package is installed and a model lies in its local cache: none is ever downloaded."""
    whisper = importlib.import_module("faster_whisper")
    wanted = os.environ.get("RTNB_WHISPER_MODEL")
    for size in [wanted] if wanted else ["small", "small.en", "base", "base.en", "tiny", "tiny.en"]:
        try:
            model = whisper.WhisperModel(size, device="cpu", compute_type="int8", local_files_only=True)
        except Exception:  # not in the cache, or broken: whatever it raises, there are other engines
            continue

        def transcribe(samples: vad.Samples, language: str | None, model: Any = model, size: str = size) -> str:
            spoken = "en" if size.endswith(".en") else (language or None)
            segments, _ = model.transcribe(samples, language=spoken, beam_size=1, without_timestamps=True)
            return " ".join(segment.text.strip() for segment in segments)

        return _Recogniser(f"faster-whisper {Path(size).name}", transcribe)
    return None


def load_moonshine(**options: str) -> Any:
    """Load Moonshine with its tiny English model, which its wheel carries (moonshine-voice up to 0.1.0).

    Args:
        **options: Further options of the library's own.

    Returns:
        Its transcriber. None where the package or its model is missing.
    """
    spec = importlib.util.find_spec("moonshine_voice") if vad.installed("moonshine_voice") else None
    if spec is None or not (model := Path(spec.origin or "").parent / "assets" / "tiny-en").is_dir():
        return None
    transcriber = importlib.import_module("moonshine_voice.transcriber")
    # A threshold of 0 makes its own detector call everything speech, so that one piece comes back as one line. With
    # its default it cuts short phrases in the middle of a sentence and finds "You" in silence.
    whole = {"vad_threshold": "0", "vad_max_segment_duration": "60"}
    return transcriber.Transcriber(str(model), transcriber.ModelArch.TINY, options=whole | options)


def _moonshine() -> _Recogniser | None:
    if (loaded := load_moonshine()) is None:
        return None

    def transcribe(samples: vad.Samples, language: str | None) -> str:
        lines = loaded.transcribe_without_streaming(samples.tolist(), vad.RATE_HZ).lines
        return " ".join(line.text.strip() for line in lines)

    return _Recogniser("moonshine-voice tiny-en", transcribe)


def _pocketsphinx() -> _Recogniser | None:
    """Load CMU's recogniser, for machines that moonshine has no wheel for."""
    decoder_of = importlib.import_module("pocketsphinx").Decoder

    def transcribe(samples: vad.Samples, language: str | None) -> str:
        # A decoder adapts to what it has heard and carries that into the next utterance, so each gets a fresh one.
        decoder = decoder_of(samprate=vad.RATE_HZ, loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(to_int16(samples).tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""

    return _Recogniser("pocketsphinx en-us", transcribe)


_lock = threading.Lock()  # guards loading
_busy = threading.Lock()  # one recognition at a time: each engine already uses every core it is given


@functools.cache
def _load(model: str | None) -> _Recogniser | None:
    loaders = {"faster_whisper": _faster_whisper, "moonshine_voice": _moonshine, "pocketsphinx": _pocketsphinx}
    for module, load in loaders.items():
        with contextlib.suppress(Exception):  # a wheel that does not load on this machine is as good as none
            if vad.installed(module) and (found := load()) is not None:
                return found
    return None


def _recogniser() -> _Recogniser | None:
    with _lock:
        return _load(os.environ.get("RTNB_WHISPER_MODEL"))


def engine() -> str | None:
    """Say which recogniser is used here, loading it if need be.

    Returns:
        Its name and model, followed by `", no silero"` where pauses are found by loudness only; for example
        `"moonshine-voice tiny-en"`. None where no recogniser is installed, and then `transcribe` finds no words.
    """
    if (found := _recogniser()) is None:
        return None
    return found.name if vad.detector_name() == "silero" else f"{found.name}, no silero"


def warm_up() -> None:
    """Load the engines and run each once, so that the first question does not wait for it (about half a second)."""
    vad.Vad().feed(silence(0.25))
    if found := _recogniser():
        with _busy:
            found.transcribe(np.zeros(vad.RATE_HZ // 2, np.float32), None)


# ── Recordings ───────────────────────────────────────────────────────────────────────────────────────────────────


def _recognise(samples: vad.Samples, language: str | None) -> str:
    if (found := _recogniser()) is None or not len(samples):
        return ""
    # Recognisers learned from speech with silence around it: without, "Hello" at the very start is taken for "Allow".
    # Half a second of it was chosen by the word error rate over 80 synthesised sentences.
    with _busy:
        text = " ".join(found.transcribe(np.pad(samples, vad.RATE_HZ // 2), language).split())
    return text if re.search(r"\w", text) else ""


def _recognise_pieces(samples: vad.Samples, probabilities: Sequence[float], language: str | None) -> str:
    spans = vad.speech_pieces(probabilities, _LONGEST_FRAMES)
    pieces = (samples[first * vad.FRAME_SAMPLES : last * vad.FRAME_SAMPLES] for first, last in spans)
    return " ".join(filter(None, (_recognise(piece, language) for piece in pieces)))


def transcribe(pcm: bytes, *, rate_hz: int = RATE_HZ, language: str | None = None) -> str:
    """Recognise what is said in a recording.

    Silence and noise are left out before a recogniser gets them, because each of them invents a word there.
    Safe to call from several threads; they take turns. The default engine knows English only.

    Args:
        pcm: s16le mono of any length; a last half sample is ignored.
        rate_hz: Its sample rate.
        language: ISO 639-1 code of what is spoken, for an engine that knows several. None lets it find out.

    Returns:
        The words; "" where nothing was said or no recogniser is installed (see `engine`).
    """
    if _recogniser() is None:
        return ""
    samples = vad.samples_of(pcm, rate_hz)
    return _recognise_pieces(samples, vad.probabilities_of(samples), language)


def bare_word(word: str) -> str:
    """Return a word as it is compared: without marks and case."""
    return re.sub(r"[^\w']", "", word).casefold()


# ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


class StreamingRecogniser:
    """Recognition while the audio is still coming in.

    Words are given out once two passes in a row agree on them, and every partial transcript begins with the one
    before it. How many passes there are depends on how busy the machine is. The final transcript does not: it is
    of whole pieces, each recognised once when nothing can be added to it, and so equals what `transcribe` makes of the
    recording. Where it differs from the partial ones in a word, it is right.

    Args:
        language: As for `transcribe`.
        interval_seconds: At least this much new audio between two passes.
    """

    def __init__(self, *, language: str | None = None, interval_seconds: float = 0.5) -> None:
        self._language, self._detect, self._stream = language, vad.detector(), vad.SampleStream()
        self._samples = np.zeros(0, np.float32)  # of the piece not yet settled
        self._probabilities: list[float] = []  # of its frames
        self._words: list[str] = []  # given out, never to change
        self._piece: list[str] = []  # those of them that belong to the piece not yet settled
        self._settled: list[str] = []  # the words of the pieces already dropped, as they were recognised last
        self._guess: list[str] = []  # the last pass over this piece
        self._interval = self._wait = interval_seconds
        self._new_seconds = 0.0

    @property
    def text(self) -> str:
        """Return the newest partial transcript."""
        return " ".join(self._words)

    def _take(self, pcm: bytes, last: bool) -> None:
        samples = self._stream.feed(pcm, last=last)
        self._new_seconds += len(samples) / vad.RATE_HZ
        self._samples = np.concatenate([self._samples, samples])
        if last:  # the last frame is filled up with silence
            self._samples = np.pad(self._samples, (0, -len(self._samples) % vad.FRAME_SAMPLES))
        fresh = self._samples[len(self._probabilities) * vad.FRAME_SAMPLES :]
        self._probabilities += map(self._detect, vad.whole_frames(fresh))

    def _give_out(self, recognised: list[str], *, all_of_it: bool) -> None:
        """Add the words of this piece that may be given out now."""
        tail = _after(self._piece, recognised)
        if not all_of_it:
            before = _after(self._piece, self._guess)
            # The last word is still being spoken.
            agreed = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(tail[:-1], before, strict=False))
            tail = [word for word, _ in agreed]
        self._words += tail
        self._piece += tail
        self._guess = recognised

    def _settle(self, upto: int) -> None:
        """Recognise the first `upto` frames for the last time and drop them."""
        samples, self._samples = self._samples[: upto * vad.FRAME_SAMPLES], self._samples[upto * vad.FRAME_SAMPLES :]
        probabilities, self._probabilities = self._probabilities[:upto], self._probabilities[upto:]
        recognised = _recognise_pieces(samples, probabilities, self._language).split()
        self._settled += recognised
        self._give_out(recognised, all_of_it=True)
        # Earlier passes reached beyond this piece: words of theirs that were given out belong to the next.
        self._piece, self._guess = _after(recognised, self._piece), []

    def feed(self, pcm: bytes) -> str | None:
        """Take more audio, and recognise again if enough has come.

        Args:
            pcm: s16le mono at `rate_hz`, of any length.

        Returns:
            The newest partial transcript where it has grown, else None. Recognition happens inside this call (up to
            a few tenths of a second), so it belongs in a worker thread.
        """
        self._take(pcm, last=False)
        if self._new_seconds < self._wait or _recogniser() is None:
            return None
        self._new_seconds = 0.0
        before, started = len(self._words), time.monotonic()
        pieces = vad.speech_pieces(self._probabilities, _LONGEST_FRAMES)
        if len(pieces) > 1:
            self._settle(pieces[0][1])
        elif pieces:
            recognised = _recognise_pieces(self._samples, self._probabilities, self._language).split()
            self._give_out(recognised, all_of_it=False)
        else:  # nothing said yet: keep only the margin before a first word
            spare = max(0, len(self._probabilities) - 2 * vad.MARGIN_FRAMES)
            self._samples, self._probabilities = self._samples[spare * vad.FRAME_SAMPLES :], self._probabilities[spare:]
        # Passes over a growing piece must not take the whole machine: at most a quarter of the time goes to them.
        self._wait = max(self._interval, 4 * (time.monotonic() - started))
        return self.text if len(self._words) > before else None

    def finish(self) -> str:
        """Recognise what is left and end.

        Returns:
            The whole transcript; "" where nothing was said.
        """
        self._take(b"", last=True)
        if self._probabilities:
            self._settle(len(self._probabilities))
        return " ".join(self._settled)


def _after(given_out: Sequence[str], recognised: Sequence[str]) -> list[str]:
    """Return the words of `recognised` that follow those already given out, even where the two differ in a word."""
    # Edit distances of all of `given_out` to each beginning of `recognised`: matching any later run of words, as
    # `difflib` does, would jump ahead to words that are said twice.
    costs = list(range(len(recognised) + 1))
    for row, one in enumerate(map(bare_word, given_out), 1):
        above, costs[0] = costs[0], row
        for at, other in enumerate(map(bare_word, recognised), 1):
            above, costs[at] = costs[at], min(above + (one != other), costs[at] + 1, costs[at - 1] + 1)
    return list(recognised[min(range(len(costs)), key=lambda at: (costs[at], abs(at - len(given_out)))) :])
