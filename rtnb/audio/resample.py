"""Samples as numbers: a decoder's frames to floats, floats to 16 bits, one rate to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Resampler", "channels_of", "finite", "to_int16"]


class Resampler:
    """Turns float blocks at one rate into int16 blocks at another, without a seam between the blocks."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self._stream = None
        if from_hz != to_hz:
            import soxr

            # Band-limited: what the new rate cannot carry is removed rather than folded back (aliases below -98 dB).
            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def __call__(self, block: npt.NDArray[np.float32], *, last: bool = False) -> npt.NDArray[np.int16]:
        """Take a block of mono floats, shape `(n,)`; `last` brings out what the filter still holds."""
        if self._stream is not None:
            block = self._stream.resample_chunk(np.ascontiguousarray(block), last=last)
        return to_int16(block)


def to_int16(block: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Round float samples in [-1.0, 1.0] to 16 bits; what lies outside is clipped."""
    scaled = block * block.dtype.type(32_768)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32_768, 32_767, out=scaled)
    whole: npt.NDArray[np.int16] = scaled.astype(np.int16)
    return whole


def finite(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Float samples without infinities and NaN, which float recordings may hold and one of which ruins a filter."""
    return block if np.isfinite(block).all() else np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)


_SCALE = {"u8": 1 / 128, "s16": 1 / 32_768, "s32": 1 / 2_147_483_648, "s64": 1 / 2**63, "flt": 1.0, "dbl": 1.0}


def channels_of(frame: Any) -> npt.NDArray[np.float32]:
    """A frame's channels as float samples in [-1.0, 1.0] (floats may go beyond), shape `(channels, n)`."""
    kind = frame.format.name
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, _count(frame)).T
    if kind.startswith("u8"):
        raw = raw.astype(np.float32) - 128
    floats = np.asarray(raw * _SCALE[kind.removesuffix("p")], np.float32)
    return finite(floats) if kind[0] in "fd" else floats


def _count(frame: Any) -> int:
    layout = frame.layout
    return int(getattr(layout, "nb_channels", 0) or len(layout.channels))
