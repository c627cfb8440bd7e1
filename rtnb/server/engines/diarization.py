"""Diarization, for the transcription model that tells speakers apart (gpt-4o-transcribe-diarize).

Moonshine's library tells voices apart (its models are part of the wheel); the words of each stretch then come from the
recogniser that transcribes everything else. Where it is not installed all words are one speaker's, which is what a
listener who cannot tell voices apart would say.
"""

import functools
import importlib
import threading
from typing import Any

from rtnb.audio.pcm import BYTES_PER_SAMPLE, RATE_HZ, seconds, whole_samples
from rtnb.server.engines import asr, vad
from rtnb.server.protocol.effects import Part

_MARGIN_SECONDS = 0.3
_lock = threading.Lock()  # guards loading, and one recording at a time: it uses every core it is given


def diarize(pcm: bytes, *, language: str | None = None) -> list[Part]:
    """Say who said what in a recording.

    It takes about as many seconds of a processor's time as the recording has, so it belongs in a worker thread. Voices
    are told apart by comparison: of a recording in which each says only a few words, all may seem to be one's.

    Args:
        pcm: s16le 24 kHz mono.
        language: As for `asr.recognise`.

    Returns:
        What was said, in order; stretches without a word are left out. Speakers are A, B, … in the order in which they
        first speak.

    Raises:
        Unintelligible: All of it is in a language that the recogniser does not know.
    """
    labels: dict[int, str] = {}
    parts: list[Part] = []
    duration_seconds = seconds(len(whole_samples(pcm)))
    stretches = _stretches(pcm, duration_seconds)
    befores = [0.0, *(end_seconds for _, end_seconds, _ in stretches)]
    afters = [*(start_seconds for start_seconds, _, _ in stretches[1:]), duration_seconds]
    for (start_seconds, end_seconds, voice), before, after in zip(stretches, befores, afters, strict=False):
        # Soft consonants begin before a voice can be recognised, so words get some margin, but no speech of another.
        first = max(start_seconds - _MARGIN_SECONDS, min(start_seconds, (before + start_seconds) / 2))
        last = min(end_seconds + _MARGIN_SECONDS, max(end_seconds, (end_seconds + after) / 2))
        said = pcm[int(first * RATE_HZ) * BYTES_PER_SAMPLE : int(last * RATE_HZ) * BYTES_PER_SAMPLE]
        if text := asr.transcribe(said, language=language):
            label = labels.setdefault(voice, _label(len(labels)))
            parts.append(Part(round(start_seconds, 3), round(end_seconds, 3), label, text))
    if not parts:
        asr.recognise(pcm, language=language)  # raises where somebody speaks all the same
    return parts


def _label(number: int) -> str:
    """Return A to Z, then AA, AB, …"""
    return (_label(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


@functools.cache
def _load() -> Any:
    """Load Moonshine's library; None where it or its model is missing."""
    if (model := asr.moonshine_model()) is None:
        return None
    # A threshold of 0 makes its own detector call everything speech, so that one recording comes back as one line.
    options = {"vad_threshold": "0", "vad_max_segment_duration": "60", "skip_transcription": "true"}
    # How often it looks at the voices anew, in seconds: the same result as its default at half the work.
    options |= dict.fromkeys(("diarization_analyze_cadence", "diarization_cluster_cadence"), "2")
    library = importlib.import_module("moonshine_voice.transcriber")
    return library.Transcriber(str(model), library.ModelArch.TINY, options=options | {"identify_speakers": "true"})


def _stretches(pcm: bytes, duration_seconds: float) -> list[tuple[float, float, int]]:
    """Find where one voice speaks, in order: (start, end, voice)."""
    with _lock:
        if (model := _load()) is None:
            return [(0.0, duration_seconds, 0)]
        lines = model.transcribe_without_streaming(vad.SampleStream().feed(pcm, last=True).tolist(), vad.RATE_HZ).lines
    spans = [span for line in lines for span in line.speaker_spans or ()]
    return [
        (max(0.0, span.start_time), min(duration_seconds, span.start_time + span.duration), span.speaker_index)
        for span in sorted(spans, key=lambda span: span.start_time)
    ]
