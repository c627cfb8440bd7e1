"""Convert samples: a decoder's frames to floats, floats to 16 bits and back, one rate to another.

What range and type samples are of is found from their numbers where they say it wrongly or not at all.
"""

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import AudioError

_SCALE = {"u8": 1 / 128, "s16": 1 / 32_768, "s32": 1 / 2_147_483_648, "s64": 1 / 2**63, "flt": 1.0, "dbl": 1.0}


def is_rate(rate_hz: float) -> bool:
    """Return whether samples may come at this rate: 1,000–768,000 per second."""
    return 1_000 <= rate_hz <= 768_000


def check_rate(rate_hz: int, name: str = "") -> int:
    """Return a rate that a caller gave.

    Args:
        rate_hz: Samples per second.
        name: What the recording is called.

    Raises:
        AudioError: It is no rate.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, Real) or not is_rate(float(rate_hz)):
        sentence = f"Your rate_hz={rate_hz!r} is no sample rate. Give samples per second, for example {RATE_HZ}."
        raise AudioError(sentence, name=name, problem="rate_hz")
    return int(rate_hz)


class Resampler:
    """Resampler of float blocks at one rate to int16 blocks at another, without a seam between the blocks."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self._stream = None
        if from_hz != to_hz:
            import soxr

            # Band-limited: what the new rate cannot carry is removed rather than folded back (aliases below -98 dB).
            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def __call__(self, block: npt.NDArray[np.float32], *, last: bool = False) -> npt.NDArray[np.int16]:
        """Resample a block of mono floats, shape `(n,)`; `last` returns what the filter still holds, too."""
        if self._stream is not None:
            block = self._stream.resample_chunk(np.ascontiguousarray(block), last=last)
        return to_int16(block)

    def flush(self) -> npt.NDArray[np.int16]:
        """Return what the filter still holds."""
        return self(np.zeros(0, np.float32), last=True)


def resampled(array: npt.NDArray[np.int16], from_hz: int, to_hz: int) -> Iterator[npt.NDArray[np.int16]]:
    """Resample mono samples, shape `(n,)`, ten seconds at a time, so that an hour is not copied at once."""
    resample, step = Resampler(from_hz, to_hz), from_hz * 10
    for start in range(0, len(array), step):
        yield resample(to_float(array[start : start + step]))
    yield resample.flush()


def to_float(block: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Return 16-bit samples as floats in [-1.0, 1.0)."""
    return block.astype(np.float32) / np.float32(32_768)


def to_int16(block: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Round float samples in [-1.0, 1.0] to 16 bits; what lies outside is clipped."""
    scaled = block * block.dtype.type(32_768)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32_768, 32_767, out=scaled)
    return scaled.astype(np.int16)


def finite(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return float samples without infinities and NaN, which recordings may hold and one of which ruins a filter."""
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)


def scale_of(samples: npt.NDArray[Any]) -> float:
    """Return what samples must be multiplied by to be in the range that their type means: 1.0 where they are.

    Floats beyond ±4 are taken for whole numbers of 8, 16, 24 or 32 bits, unless they are one in a thousand or fewer
    (±2 is what a loud recording may have). 32-bit numbers that are none over 16 or 24 bits are taken for those.

    Args:
        samples: Floats or `int32`, any shape.
    """
    if samples.dtype.kind == "f":
        loud = np.abs(finite(samples))
        if np.count_nonzero(loud > 4) <= loud.size / 1000:
            return 1.0
        peak = float(loud[loud <= 2.0**31].max(initial=0.0))
        return 1 / next(top for top in (2.0**4, 2.0**7, 2.0**15, 2.0**23, 2.0**31) if peak <= top)
    peak = float(np.abs(samples.astype(np.int64)).max(initial=0))
    if not (samples & 255).any():  # 24 bits at the upper end, as they should be
        return 1.0
    return 2.0**16 if 2**9 <= peak <= 2**15 else 2.0**8 if 2**17 <= peak <= 2**23 else 1.0


def another_type(raw: bytes) -> str:
    """Return what samples of one channel are that are surely not 16-bit little-endian ones; "" where they may be.

    Nothing but their numbers tells what type bytes are of. So only what no sound looks like is found.

    Args:
        raw: The bytes, 480 or more; the first megabyte is looked into.
    """
    raw = raw[: min(len(raw), 1 << 20) // 8 * 8]
    words = np.frombuffer(raw, "<i2").astype(np.float64)
    # Audio is like its next sample; or it is a high tone, whose every other sample may look like half a float, and
    # which is upside down within a few samples.
    plain = _likeness(words) > 0.5 or any(_likeness(words, lag) < -0.5 for lag in range(1, 9))
    if not plain and any(_are_floats(raw, kind) for kind in ("<f4", ">f4", "<f8", ">f8")):
        return "floats"
    low, high = words.reshape(-1, 2).T
    noise = 12_000 < np.median(np.abs(low)) < 20_500 and abs(_likeness(low)) < 0.3
    wide = (noise or not low.any()) and _likeness(high - high.mean()) > 0.8
    narrow = high.any() and np.array_equal(high, -1.0 * (low < 0))  # 16 bits in more room
    return "32-bit numbers" if (wide or narrow) and np.unique([low, high]).size >= 10 else ""


def _are_floats(raw: bytes, kind: str) -> bool:
    """Return whether bytes are floats: nearly all are of sizes that audio has, and none would be one sample later."""
    sizes = _sizes(raw, kind)
    usual = sizes.sum() > 0.85 and sizes.max() < 0.8 * sizes.sum()
    return bool(usual and _sizes(raw[2:], kind).sum() < 0.5)


def _sizes(raw: bytes, kind: str) -> npt.NDArray[np.float64]:
    """Return which part of the floats that bytes would be has each power of two that audio has, from -23 to 16."""
    values = np.frombuffer(raw[: len(raw) // 8 * 8], kind)
    powers = np.frexp(values[np.isfinite(values) & (values != 0)])[1]
    return np.bincount(powers[(powers > -24) & (powers < 17)] + 23) / max(int(np.count_nonzero(values)), 100)


def _likeness(words: npt.NDArray[np.float64], lag: int = 1) -> float:
    """Return how like those `lag` later words are: 0.0 for noise, nearly 1.0 for speech and its neighbours."""
    return float(words[lag:] @ words[:-lag]) / (float(words @ words) or 1.0)


def channels_of(frame: Any) -> npt.NDArray[np.float32]:
    """Return a decoder's frame as float samples in [-1.0, 1.0] (floats may go beyond), shape `(channels, n)`."""
    kind, raw = frame.format.name, frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, int(getattr(frame.layout, "nb_channels", 0) or len(frame.layout.channels))).T
    if kind.startswith("u8"):
        raw = raw.astype(np.float32) - 128
    floats = np.asarray(raw * _SCALE[kind.removesuffix("p")], np.float32)
    return finite(floats) if kind[0] in "fd" else floats
