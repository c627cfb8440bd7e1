"""Turn detection: from speech probabilities, one per 32 ms frame, to where a turn starts and ends.

The arithmetic is derived from recordings (12 of 12 offsets): frames of 32 ms counted from the first byte ever
appended; `audio_start_ms` is the start of the first speech frame less `prefix_padding_ms`, never below 0;
`audio_end_ms` is the end of the frame in which the silence was long enough, so it includes that silence.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

FRAME_MS = 32
FRAME_BYTES = FRAME_MS * 48
_FRAMES_TO_START = 2  # a single frame is a click
# When to transcribe the turn so far, while the silence that may end it still lasts: once the ASR's margin behind the
# last word is complete, so that these are the words of the whole turn, too.
_PAUSE_MS = 160
# SDK docstring: the longest wait of each eagerness.
_SEMANTIC_LONGEST_MS = {"low": 8_000, "medium": 4_000, "auto": 4_000, "high": 2_000}


class Started(NamedTuple):
    """Speech began. `audio_start_ms` includes the prefix padding."""

    audio_start_ms: int


class Pause(NamedTuple):
    """Pause that may end the turn: time to transcribe it so far. `audio_end_ms` includes the pause."""

    audio_start_ms: int
    audio_end_ms: int


class Stopped(NamedTuple):
    """Speech ended. `audio_end_ms` includes the silence that ended it.

    Attributes:
        paused_ms: The `audio_end_ms` of the `Pause` after which nothing more was said. None where there was none.
    """

    audio_start_ms: int
    audio_end_ms: int
    paused_ms: int | None = None


class Turns:
    """Counts frames and finds where turns start and end.

    Args:
        first_frame: The frame of the first probability that will come.
    """

    def __init__(self, first_frame: int = 0) -> None:
        self.frame = first_frame
        self.start_ms: int | None = None
        self.paused_ms: int | None = None  # the end of the pause that still lasts
        self._earliest_ms = 0
        self._loud = self._quiet = 0
        self._ignored_until = first_frame

    @property
    def speaking(self) -> bool:
        """True while a turn is under way."""
        return self.start_ms is not None

    @property
    def now_ms(self) -> int:
        """End of the last frame judged."""
        return self.frame * FRAME_MS

    def ignore_until(self, frame: int) -> None:
        """Forget the turn under way and what comes before `frame`: the client has committed or cleared it."""
        self.start_ms = self.paused_ms = None
        self._loud = self._quiet = 0
        self._ignored_until = max(self._ignored_until, frame)
        self._earliest_ms = self._ignored_until * FRAME_MS

    def finish(self) -> Stopped | None:
        """End the turn if its pause still lasts: the words so far are a finished thought (semantic detection)."""
        # A pause that was over before its words came is not what they are about.
        return None if self.start_ms is None or self.paused_ms is None else self._stop(self.start_ms)

    def feed(self, probability: float, settings: Mapping[str, Any]) -> Started | Pause | Stopped | None:
        """Judge one frame.

        Args:
            probability: That the frame holds speech, 0–1.
            settings: The session's `turn_detection` object.

        Returns:
            What happened with this frame, or None.
        """
        index = self.frame
        self.frame += 1
        if index < self._ignored_until:
            return None
        threshold = settings.get("threshold", 0.5)
        if not self.speaking:
            self._loud = self._loud + 1 if probability >= threshold else 0
            if self._loud < _FRAMES_TO_START:
                return None
            prefix_ms = settings.get("prefix_padding_ms", 300)
            self.start_ms = max(self._earliest_ms, (index - _FRAMES_TO_START + 1) * FRAME_MS - prefix_ms, 0)
            return Started(self.start_ms)
        # As the detector's authors advise: speech ends a little below the threshold it starts at.
        if probability >= threshold - 0.15:
            self._quiet = 0
            self.paused_ms = None
            return None
        self._quiet += 1
        return self._after_quiet(settings)

    def _after_quiet(self, settings: Mapping[str, Any]) -> Pause | Stopped | None:
        assert self.start_ms is not None
        quiet_ms = self._quiet * FRAME_MS
        if settings["type"] == "server_vad":
            longest_ms = settings["silence_duration_ms"]
            # Where the turn ends almost at once there is nothing to gain by transcribing ahead.
            pause_ms = _PAUSE_MS if longest_ms >= 2 * _PAUSE_MS else None
        else:
            # The second: when to ask whether the words so far are a finished thought.
            longest_ms, pause_ms = _SEMANTIC_LONGEST_MS[settings["eagerness"]], 320
        if quiet_ms >= longest_ms:
            return self._stop(self.start_ms)
        if quiet_ms != pause_ms:
            return None
        self.paused_ms = self.now_ms
        return Pause(self.start_ms, self.now_ms)

    def _stop(self, start_ms: int) -> Stopped:
        paused_ms = self.paused_ms
        self.start_ms = self.paused_ms = None
        self._loud = self._quiet = 0
        # The next turn's padding must not reach back into this one.
        self._earliest_ms = self.now_ms
        return Stopped(start_ms, self.now_ms, paused_ms)


# What people say when they mean to go on.
_UNFINISHED = re.compile(
    r"(?:\b(?:um+|uh+|er+|hmm+|and|or|but|so|because|if|when|the|a|an|my|your|to|of|in|on|at|for|with|from|is|are|"
    r"was|were|i|we|they|that|which|who|like|then|well)|[,…\-])\W*$",
    re.IGNORECASE,
)


def sounds_finished(text: str) -> bool:
    """Return whether the words are a finished thought: some words, and the last one does not ask for more."""
    return bool(text.strip()) and not _UNFINISHED.search(text.strip().rstrip("."))
