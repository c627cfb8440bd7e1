"""PCM arithmetic: 16-bit little-endian mono, its rate, bytes, samples and milliseconds.

The Realtime API takes and sends PCM at 24 kHz unless a session says otherwise (OpenAI's reference, `audio/pcm`).
"""

import numpy as np

RATE_HZ = 24_000
BYTES_PER_SAMPLE = 2
BYTES_PER_MS = RATE_HZ * BYTES_PER_SAMPLE // 1000


def byte_count(duration_seconds: float, rate_hz: int = RATE_HZ) -> int:
    """Return how many bytes a duration takes, in whole samples."""
    return round(duration_seconds * rate_hz) * BYTES_PER_SAMPLE


def seconds(size_bytes: int, rate_hz: int = RATE_HZ) -> float:
    """Return how many seconds so many bytes last."""
    return size_bytes / (BYTES_PER_SAMPLE * rate_hz)


def milliseconds(size_bytes: int, rate_hz: int = RATE_HZ) -> float:
    """Return how many milliseconds so many bytes last."""
    return size_bytes * 1000 / (BYTES_PER_SAMPLE * rate_hz)


def silence(duration_seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """Return silence of a duration."""
    return bytes(byte_count(duration_seconds, rate_hz))


def quieter(audio: bytes, times: int) -> bytes:
    """Return audio at a fraction of its amplitude."""
    return (np.frombuffer(audio, "<i2") // times).astype("<i2").tobytes()


def whole_samples(pcm: bytes) -> bytes:
    """Return the bytes without half a sample at their end."""
    return pcm[: len(pcm) - len(pcm) % BYTES_PER_SAMPLE]
