"""Stretches of speech with their words, and subtitles made of them."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from rtnb.texts.shortening import clock


@dataclass(frozen=True)
class Segment:
    """Stretch of speech and its words.

    Attributes:
        start_seconds: Its beginning in the recording.
        end_seconds: Its end.
        text: The words; "" where nothing was understood.
        speaker: A label of the speaker, where the model tells speakers apart; it holds within a stretch of about a
            minute, for the server compares voices only there. None otherwise.
        error: Why there are no words. None where there are.

    Examples:
        >>> words = rtnb.transcribe(rtnb.samples()["question"], practice=True).wait()
        >>> words.segments[0].text, words.segments[0].start_seconds
        ('What is the capital of Norway?', 0.0)
    """

    start_seconds: float
    end_seconds: float
    text: str
    speaker: str | None = None
    error: str | None = None

    @property
    def start(self) -> float:
        """Short name of `start_seconds`."""
        return self.start_seconds

    @property
    def end(self) -> float:
        """Short name of `end_seconds`."""
        return self.end_seconds

    def __str__(self) -> str:
        return self.text


def srt(segments: Sequence[Segment]) -> str:
    """Write subtitles as SubRip, cut to readable lengths."""
    return "\n".join(f"{number}\n{_times(cue, ',')}\n{cue.text}\n" for number, cue in enumerate(cues(segments), 1))


def vtt(segments: Sequence[Segment]) -> str:
    """Write subtitles as WebVTT, cut to readable lengths."""
    return "\n".join(["WEBVTT\n", *(f"{_times(cue, '.')}\n{_vtt_text(cue)}\n" for cue in cues(segments))])


def _times(cue: Segment, point: Literal[",", "."]) -> str:
    return f"{_clock(cue.start_seconds, point)} --> {_clock(cue.end_seconds, point)}"


def _clock(seconds: float, point: Literal[",", "."]) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


def short_clock(seconds: float) -> str:
    """Write a time as minutes and seconds, or hours, minutes and seconds."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{clock(rest):0>5}" if hours else clock(rest)


_CUE_LETTERS = 84  # two lines of 42, what subtitle guides allow


def cues(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Yield segments cut to what fits on a screen, their time divided by letters."""
    for segment in segments:
        if not segment.text:
            continue
        count = math.ceil(len(segment.text) / _CUE_LETTERS)
        pieces = [segment.text]
        if count > 1:  # at spaces; scripts without spaces at the length
            letters = min(math.ceil(len(segment.text) / count) + 8, _CUE_LETTERS)
            pieces = textwrap.wrap(segment.text, letters, break_on_hyphens=False) or pieces
        letters = sum(map(len, pieces))
        start = segment.start_seconds
        for piece in pieces:
            end = start + (segment.end_seconds - segment.start_seconds) * len(piece) / letters
            yield replace(segment, start_seconds=start, end_seconds=end, text=piece)
            start = end


def _vtt_text(cue: Segment) -> str:
    text = escape(cue.text, quote=False)
    return f"<v {cue.speaker}>{text}" if cue.speaker else text
