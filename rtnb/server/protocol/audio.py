"""Audio on the wire: 16-bit PCM at 24 kHz and the two G.711 laws at 8 kHz, both ways; and a buffer of PCM."""

import io
from functools import cache
from typing import Any

import numpy as np

from rtnb.audio.pcm import BYTES_PER_MS, RATE_HZ, whole_samples

_G711_RATE_HZ = 8_000


def bytes_per_ms(format: dict[str, Any]) -> int:
    """Return 48 for PCM, 8 for G.711."""
    return BYTES_PER_MS if format["type"] == "audio/pcm" else 8


@cache
def _loudness(law: str) -> np.ndarray:
    """Return the 256 values that a G.711 byte stands for (ITU-T G.711), as int16."""
    import soundfile

    every_byte, subtype = io.BytesIO(bytes(range(256))), {"audio/pcmu": "ULAW", "audio/pcma": "ALAW"}[law]
    raw = {"format": "RAW", "subtype": subtype, "samplerate": _G711_RATE_HZ, "channels": 1}
    return np.asarray(soundfile.read(every_byte, dtype="int16", **raw)[0])


@cache
def _code(law: str) -> np.ndarray:
    """Return for each of the 65,536 sample values the byte that comes nearest."""
    values = _loudness(law).astype(np.int32)
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(middles, np.arange(-32_768, 32_768))].astype(np.uint8)


class Decoder:
    """Decodes bytes as the client sends them to s16le 24 kHz mono. Keeps half a sample for the next piece."""

    def __init__(self, format: dict[str, Any]) -> None:
        self.format = format
        self._half = b""
        self._resampler = None if format["type"] == "audio/pcm" else _resampler(_G711_RATE_HZ, RATE_HZ)

    def feed(self, encoded: bytes, *, last: bool = False) -> bytes:
        """Decode the next piece; `last` returns what the resampler still holds, too."""
        if self._resampler is None:
            encoded = self._half + encoded
            whole = whole_samples(encoded)  # without a copy where no half sample is about: the ordinary case
            self._half = encoded[len(whole) :]
            return whole
        samples = _loudness(self.format["type"])[np.frombuffer(encoded, np.uint8)]
        return bytes(self._resampler.resample_chunk(samples, last=last).tobytes())


class Encoder:
    """Encodes s16le 24 kHz mono in the session's output format."""

    def __init__(self, format: dict[str, Any]) -> None:
        self._law = format["type"]
        self._resampler = None if self._law == "audio/pcm" else _resampler(RATE_HZ, _G711_RATE_HZ)

    def feed(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Encode the next piece; `last` returns what the resampler still holds, too."""
        if self._resampler is None:
            return pcm
        samples = self._resampler.resample_chunk(np.frombuffer(pcm, np.int16), last=last)
        return _code(self._law)[samples.astype(np.int32) + 32_768].tobytes()


def _resampler(from_hz: int, to_hz: int) -> Any:
    import soxr

    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")


class PcmBuffer:
    """Audio that was appended and not yet committed, with positions from the session's first byte.

    Positions and lengths are bytes of s16le 24 kHz mono, whatever format the client sends.

    Attributes:
        ms: Length of the audio, by the bytes that the client sent (a resampler holds a little of it back).
    """

    def __init__(self, format: dict[str, Any]) -> None:
        self._decoder = Decoder(format)
        self._pcm = bytearray()
        self._dropped = 0  # bytes that were here once
        self.ms = 0.0

    def __len__(self) -> int:
        return len(self._pcm)

    @property
    def end(self) -> int:
        """Position after the last byte appended."""
        return self._dropped + len(self._pcm)

    def use(self, format: dict[str, Any]) -> None:
        """Decode what comes from now on from this format."""
        if format != self._decoder.format:
            self._decoder = Decoder(format)

    def append(self, encoded: bytes) -> bytes:
        """Append the next bytes and return them as s16le 24 kHz."""
        pcm = self._decoder.feed(encoded)
        self._pcm += pcm
        self.ms += len(encoded) / bytes_per_ms(self._decoder.format)
        return pcm

    def between(self, start: int, end: int) -> bytes:
        """Return a copy of the audio between two positions, as far as it is still here."""
        return bytes(memoryview(self._pcm)[max(0, start - self._dropped) : max(0, end - self._dropped)])

    def take(self, start: int, end: int) -> bytes:
        """Return the audio between two positions and forget everything up to the second."""
        taken = self.between(start, end)
        self.keep_from(end)
        return taken

    def take_all(self) -> bytes:
        """Return everything, with what the resampler held back, and forget it."""
        self._pcm += self._decoder.feed(b"", last=True)
        taken = bytes(self._pcm)
        self.clear()
        return taken

    def keep_from(self, position: int) -> None:
        """Forget what lies before a position."""
        count = max(0, min(position - self._dropped, len(self._pcm)))
        del self._pcm[:count]
        self._dropped += count
        self.ms = max(0.0, self.ms - count / BYTES_PER_MS)

    def clear(self) -> None:
        """Forget everything that was appended."""
        self._decoder = Decoder(self._decoder.format)
        self._dropped += len(self._pcm)
        self._pcm = bytearray()
        self.ms = 0.0
