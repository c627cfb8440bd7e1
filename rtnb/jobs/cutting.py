"""Cut audio at its pauses while it comes."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from rtnb.audio import pcm
from rtnb.jobs.subtitles import Segment

_FRAME_SECONDS = 0.02
_FRAME_BYTES = pcm.byte_count(_FRAME_SECONDS)
_QUIET_LEVEL = 0.0018  # -55 dB of full scale: a quiet room


class Cutter:
    """Cutter of audio at its pauses while it comes; speech passes and silence is left out.

    The longer a stretch is already, the shorter a pause is enough to end it, so that sentences stay whole and a speech
    without a pause is still cut.

    Args:
        least_seconds: No stretch ends before it is this long.
    """

    def __init__(self, least_seconds: float = 0.0) -> None:
        self._least_seconds = least_seconds
        self._rest = b""
        self._at = 0  # frames seen
        # 0.3 s are kept from before speech is noticed: soft beginnings of words.
        self._lead: deque[bytes] = deque(maxlen=15)
        self._levels: deque[float] = deque(maxlen=250)  # loudness of the last five seconds
        self._room: float | None = None  # how loud the room is; None until that is known
        self._begun: int | None = None  # the frame in which the stretch begins
        self._spoken = 0  # the last frame in which somebody spoke
        self._sounded = 0  # the last frame that was louder than the room

    def feed(self, data: bytes) -> Iterator[bytes | Segment]:
        """Take audio; yield what is to be sent, and a `Segment` without words where a stretch is over."""
        data = self._rest + data
        size = len(data) // _FRAME_BYTES * _FRAME_BYTES
        self._rest = data[size:]
        if not size:
            return
        samples = np.frombuffer(data[:size], "<i2").astype(np.float32).reshape(-1, _FRAME_BYTES // 2) / 32_768
        levels = np.sqrt((samples**2).mean(axis=1)).tolist()
        sending: list[bytes] = []
        for number, level in enumerate(levels):
            frame = data[number * _FRAME_BYTES : (number + 1) * _FRAME_BYTES]
            room = self._measure_room(level)
            # Speech is three times as loud as the room. What has -30 dB is sent in any case, for losing words is worse
            # than paying for noise.
            speaks = level > max(_QUIET_LEVEL, min(3.0 * room, 0.03))
            # A short pause is as quiet as the room: soft consonants, louder than that, are parts of words.
            if level > max(_QUIET_LEVEL, 1.25 * room):
                self._sounded = self._at
            if speaks:
                self._spoken = self._at
            if self._begun is not None:
                sending.append(frame)
                if self._enough(self._begun):
                    yield b"".join(sending)
                    sending = []
                    yield self._cut(self._begun)
            else:
                self._lead.append(frame)
                if speaks:
                    self._begun = self._at - len(self._lead) + 1
                    sending += self._lead
                    self._lead.clear()
            self._at += 1
        if sending:
            yield b"".join(sending)

    def end(self) -> Iterator[bytes | Segment]:
        """End the audio; yield the rest of what is to be sent."""
        if self._begun is not None:
            yield pcm.whole_samples(self._rest) + bytes(_FRAME_BYTES * 5)  # a commit takes 100 ms at least
            self._at -= 1
            yield self._cut(self._begun)

    def _measure_room(self, level: float) -> float:
        """Return the loudness of the room: what the quiet tenth of the last five seconds does not go below."""
        self._levels.append(level)
        # Of the first half second nothing is known yet: only what is loud by itself counts.
        if len(self._levels) >= 25 and (self._at % 10 == 0 or self._room is None):
            self._room = float(np.quantile(self._levels, 0.1))
        return self._room or 0.0

    def _enough(self, begun: int) -> bool:
        """Return whether the pause is long enough to end the stretch, which need be the shorter the longer it is."""
        length = (self._at - begun) * _FRAME_SECONDS - self._least_seconds
        # The closure before a consonant, as in "o'clock", lasts up to 0.1 s.
        wanted = 0.7 if length < 5 else 0.35 if length < 12 else 0.2 if length < 20 else 0.12
        silent = (self._at - (self._spoken if wanted > 0.2 else self._sounded)) * _FRAME_SECONDS
        return length >= 0 and (silent >= wanted or length > 28)

    def _cut(self, begun: int) -> Segment:
        self._begun = None
        end = min(self._spoken + 1 + round(0.1 / _FRAME_SECONDS), self._at + 1)
        return Segment(begun * _FRAME_SECONDS, end * _FRAME_SECONDS, "")
