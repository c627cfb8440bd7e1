"""Audio of answers on its way from the server to the page.

The first seconds of an answer go to the page at once. The rest follows at four times the speed at which it is played:
on a slow network, "the user speaks, be silent" must not queue behind a minute of audio.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rtnb.audio import pcm as arithmetic

_AHEAD_SECONDS = 3.0
_AHEAD_SPEED = 4.0
_TICK_SECONDS = 0.05
_JOINED_BYTES = 48_000


@dataclass
class Played:
    """Playback of one answer, as far as it is known here.

    Attributes:
        sent_bytes: PCM that went to the page.
        cut: Whether no more of it goes to the page.
        played_ms: Milliseconds that were played before it was cut. None where it was not cut, or the page has not said.
    """

    sent_bytes: int = 0
    cut: bool = False
    played_ms: int | None = None


class AnswerAudio:
    """Queue of audio for the page that never runs far ahead of playback; lives on the I/O thread.

    Args:
        send: Sends one piece: `send(item_id, pcm)`; `pcm` is None where the item is complete.

    Attributes:
        answers: What is known of each answer with audio, by item id.
    """

    def __init__(self, send: Callable[[str, bytes | None], None]) -> None:
        self.answers: dict[str, Played] = {}
        self._send = send
        self._waiting: deque[tuple[str, bytes | None]] = deque()
        self._credit_seconds = _AHEAD_SECONDS
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def push(self, item_id: str, pcm: bytes | None) -> None:
        """Take the next audio of an answer, or None at its end; it goes out now, or when it is its time."""
        if not self.answers.setdefault(item_id, Played()).cut:
            self._waiting.append((item_id, pcm))
            if self._timer is None:
                self._flush()

    def end(self, item_id: str) -> None:
        """Say that an answer's audio is complete; nothing happens where it has none."""
        if item_id in self.answers:
            self.push(item_id, None)

    def hold_back(self) -> None:
        """Send no more of the audio that came so far, nor of what still comes of these answers."""
        self.drop()
        for answer in self.answers.values():
            answer.cut = True

    def drop(self) -> None:
        """Forget what has not gone out."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        """Send the first piece alone and at once; what comes in a burst behind it is joined, a message a tick.

        A burst sent piece by piece would keep this thread busy while the one that writes the socket waits for the
        interpreter, and the first audio with it (measured: twice as late).
        """
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._credit_seconds = min(_AHEAD_SECONDS, self._credit_seconds + (now - self._at) * _AHEAD_SPEED)
        self._at = now
        seconds = 0.0
        while self._waiting and (self._waiting[0][1] is None or (not seconds and self._credit_seconds > 0)):
            item_id, pcm = self._waiting.popleft()
            answer = self.answers.setdefault(item_id, Played())
            piece = None if pcm is None else self._joined(item_id, pcm)
            self._send(item_id, piece)
            if piece is not None:
                answer.sent_bytes += len(piece)
                seconds = arithmetic.seconds(len(piece))
                self._credit_seconds -= seconds
        if self._waiting or seconds:
            # Long before the page has played what was sent, for a slow page takes up to 50 ms longer over the second
            # message than over the first; with no credit, when there is some again.
            pause = max(min(_TICK_SECONDS, seconds / 5), -self._credit_seconds / _AHEAD_SPEED, 0.005)
            self._timer = loop.call_later(pause, self._flush)

    def _joined(self, item_id: str, pcm: bytes) -> bytes:
        """Join a piece with what waits behind it of the same item, as far as the credit goes."""
        most = min(_JOINED_BYTES, arithmetic.byte_count(self._credit_seconds))
        joined = bytearray(pcm)
        while self._waiting and len(joined) < most and self._waiting[0][0] == item_id and (more := self._waiting[0][1]):
            self._waiting.popleft()
            joined += more
        return bytes(joined)
