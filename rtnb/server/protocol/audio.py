"""Sound on the wire: 16-bit PCM at 24 kHz and the two G.711 laws at 8 kHz, both ways; and the input buffer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

__all__ = ["BYTES_PER_MS", "Decoder", "Encoder", "InputBuffer", "bytes_per_ms"]

BYTES_PER_MS = 48  # s16le mono at 24 kHz


def bytes_per_ms(format: dict[str, Any]) -> int:
    """48 for PCM, 8 for G.711."""
    return BYTES_PER_MS if format["type"] == "audio/pcm" else 8


@cache
def _loudness(law: str) -> np.ndarray:
    """The 256 values a G.711 byte stands for (ITU-T G.711), as int16."""
    code = np.arange(256)
    if law == "audio/pcmu":
        code = ~code & 0xFF
        size = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = code ^ 0x55
    power = (code >> 4) & 7
    size = ((code & 0x0F) << 4) + np.where(power, 0x108, 8)
    size = size << np.maximum(power - 1, 0)
    return np.where(code & 0x80, size, -size).astype(np.int16)


@cache
def _code(law: str) -> np.ndarray:
    """For each of the 65,536 sample values the byte that comes nearest."""
    values = _loudness(law).astype(np.int32)
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(middles, np.arange(-32_768, 32_768))].astype(np.uint8)


class Decoder:
    """Bytes as the client sends them in, s16le 24 kHz mono out. Keeps half a sample for the next piece."""

    def __init__(self, format: dict[str, Any]) -> None:
        self._law = format["type"]
        self._half = b""
        self._resampler = None if self._law == "audio/pcm" else _resampler(8_000, 24_000)

    def feed(self, sound: bytes, *, last: bool = False) -> bytes:
        """Decode the next piece; `last` gives out what the resampler still holds."""
        if self._resampler is None:
            if not self._half and not len(sound) % 2:
                return sound
            sound = self._half + sound
            cut = len(sound) // 2 * 2
            self._half = sound[cut:]
            return sound[:cut]
        samples = _loudness(self._law)[np.frombuffer(sound, np.uint8)]
        return bytes(self._resampler.resample_chunk(samples, last=last).tobytes())


class Encoder:
    """s16le 24 kHz mono in, bytes of the session's output format out."""

    def __init__(self, format: dict[str, Any]) -> None:
        self._law = format["type"]
        self._resampler = None if self._law == "audio/pcm" else _resampler(24_000, 8_000)

    def feed(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Encode the next piece; `last` gives out what the resampler still holds."""
        if self._resampler is None:
            return pcm
        samples = self._resampler.resample_chunk(np.frombuffer(pcm, np.int16), last=last)
        return _code(self._law)[samples.astype(np.int32) + 32_768].tobytes()


def _resampler(from_hz: int, to_hz: int) -> Any:
    import soxr

    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")


class InputBuffer:
    """What the client has appended and nobody has committed, with positions from the session's first byte.

    Positions and lengths are bytes of s16le 24 kHz mono, whatever the format the client sends.
    """

    def __init__(self, format: dict[str, Any]) -> None:
        self._format = format
        self._decoder = Decoder(format)
        self._pcm = bytearray()
        self._dropped = 0  # bytes that were here once
        self._ms = 0.0

    def __len__(self) -> int:
        return len(self._pcm)

    @property
    def end(self) -> int:
        """The position after the last byte appended."""
        return self._dropped + len(self._pcm)

    @property
    def ms(self) -> float:
        """How much sound is here, by the bytes the client sent (a resampler holds a little of it back)."""
        return self._ms

    def use(self, format: dict[str, Any]) -> None:
        """Read what comes from now on as this format."""
        if format != self._format:
            self._format = format
            self._decoder = Decoder(format)

    def append(self, sound: bytes) -> bytes:
        """Take the next bytes; gives them as s16le 24 kHz."""
        pcm = self._decoder.feed(sound)
        self._pcm += pcm
        self._ms += len(sound) / bytes_per_ms(self._format)
        return pcm

    def all(self) -> bytes:
        """A copy of everything that is here."""
        return bytes(self._pcm)

    def between(self, start: int, end: int) -> bytes:
        """A copy of the sound between two positions, as far as it is still here."""
        return bytes(memoryview(self._pcm)[max(0, start - self._dropped) : max(0, end - self._dropped)])

    def take(self, start: int, end: int) -> bytes:
        """Hand over the sound between two positions and forget everything up to the second."""
        taken = self.between(start, end)
        self.keep_from(end)
        return taken

    def take_all(self) -> bytes:
        """Hand over everything, with what the resampler held back."""
        self._pcm += self._decoder.feed(b"", last=True)
        taken = bytes(self._pcm)
        self.clear()
        return taken

    def keep_from(self, position: int) -> None:
        """Forget what lies before a position."""
        count = max(0, min(position - self._dropped, len(self._pcm)))
        del self._pcm[:count]
        self._dropped += count
        self._ms = max(0.0, self._ms - count / BYTES_PER_MS)

    def clear(self) -> None:
        """Forget everything that was appended."""
        self._decoder = Decoder(self._format)
        self._dropped += len(self._pcm)
        self._pcm = bytearray()
        self._ms = 0.0
