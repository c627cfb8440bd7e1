"""Who said what, for the transcription model that tells speakers apart (gpt-4o-transcribe-diarize).

Moonshine's library tells voices apart (its models are part of the wheel); the words of each stretch then come from the
same ears that hear everything else. Where it is not installed all words are one speaker's, which is what a listener
who cannot tell voices apart would say.
"""

from __future__ import annotations

import threading
from typing import Any

from rtnb.server.engines import asr
from rtnb.server.protocol.effects import Part

__all__ = ["tell_apart"]

_RATE_HZ = 16_000
_CADENCE_SECONDS = "2"  # how often it looks at the voices anew: the same result as its default at half the work
_ROOM_SECONDS = 0.3
_lock = threading.Lock()  # guards loading, and one recording at a time: it uses every core it is given
_loaded: Any = None


def tell_apart(pcm: bytes, *, rate_hz: int = 24_000, language: str | None = None) -> list[Part]:
    """Say who said what in a recording.

    It takes about as many seconds of a processor's time as the recording has, so it belongs in a worker thread. Voices
    are told apart by comparison: of a recording in which each says only a few words, all may seem to be one's.

    Args:
        pcm: s16le mono.
        rate_hz: Its sample rate.
        language: As for `ears.hear`.

    Returns:
        What was said, in order; stretches without a word are left out. Speakers are A, B, … in the order in which they
        first speak.
    """
    labels: dict[int, str] = {}
    parts: list[Part] = []
    stretches = _stretches(pcm, rate_hz)
    seconds = len(pcm) // 2 / rate_hz
    for number, (start_seconds, end_seconds, voice) in enumerate(stretches):
        # Soft consonants begin before a voice can be told, so words get some room, but none of another's speech.
        before = stretches[number - 1][1] if number else 0.0
        after = stretches[number + 1][0] if number + 1 < len(stretches) else seconds
        first = max(start_seconds - _ROOM_SECONDS, min(start_seconds, (before + start_seconds) / 2))
        last = min(end_seconds + _ROOM_SECONDS, max(end_seconds, (end_seconds + after) / 2))
        said = pcm[int(first * rate_hz) * 2 : int(last * rate_hz) * 2]
        text = asr.hear(said, rate_hz=rate_hz, language=language)
        if not text:
            continue
        label = labels.setdefault(voice, _label(len(labels)))
        parts.append(Part(round(start_seconds, 3), round(end_seconds, 3), label, text))
    return parts


def _label(number: int) -> str:
    """A to Z, then AA, AB, …"""
    letters = ""
    while number >= 0:
        letters = chr(ord("A") + number % 26) + letters
        number = number // 26 - 1
    return letters


def _stretches(pcm: bytes, rate_hz: int) -> list[tuple[float, float, int]]:
    """(start, end, voice): where one voice speaks, in order."""
    seconds = len(pcm) // 2 / rate_hz
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = (
                asr.load_moonshine(
                    identify_speakers="true",
                    skip_transcription="true",
                    diarization_analyze_cadence=_CADENCE_SECONDS,
                    diarization_cluster_cadence=_CADENCE_SECONDS,
                )
                or "none"
            )
        if _loaded == "none":
            return [(0.0, seconds, 0)]
        samples = asr.samples_of(pcm, rate_hz)
        lines = _loaded.transcribe_without_streaming(samples.tolist(), _RATE_HZ).lines
    spans = [span for line in lines for span in line.speaker_spans or ()]
    return [
        (max(0.0, span.start_time), min(seconds, span.start_time + span.duration), span.speaker_index)
        for span in sorted(spans, key=lambda span: span.start_time)
    ]
