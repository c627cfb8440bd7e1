"""Days and times of day in a text, as they are given in it."""

from __future__ import annotations

import re

from rtnb.server.responder.lexicon import cue, patterns


def dates(text: str) -> list[str]:
    """List the days of a text: "2026-03-01", "tomorrow", "next Friday", "March 3rd", "the 5th of May", "3/4/2026"."""
    spans: list[tuple[int, int]] = []
    for match in (match for pattern in patterns("dates") for match in re.finditer(pattern, text, re.IGNORECASE)):
        if not any(start < match.end() and match.start() < end for start, end in spans):
            spans.append(match.span())
    return [text[start:end] for start, end in sorted(spans)]


def times(text: str) -> list[str]:
    """List the times of day of a text: "5 pm", "17:30", "noon", "half past nine", "seven o'clock"."""
    matches = [match for pattern in patterns("times") for match in re.finditer(pattern, text, re.IGNORECASE)]
    found = [(match.start(), match[0]) for match in matches]
    found = found or [(match.start(1), match[1]) for match in cue("bare_hour").finditer(text)]
    return [time.strip() for _, time in sorted(found)]
