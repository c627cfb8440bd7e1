"""What goes in and out of the protocol's state machine besides client events: plain values, no behaviour."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from rtnb.server.protocol.requests import Request

__all__ = [
    "Close",
    "Detect",
    "Ids",
    "Output",
    "Part",
    "Respond",
    "Send",
    "Speak",
    "Stop",
    "Transcribe",
    "TranscribeStream",
    "Transcript",
]


@dataclass(frozen=True)
class Send:
    """A server event, due at `at` (seconds on the clock the machine is given)."""

    at: float
    event: dict[str, Any]


@dataclass(frozen=True)
class Close:
    """End the socket with this code and reason."""

    at: float
    code: int
    reason: str


@dataclass(frozen=True)
class Transcribe:
    """Recognise a whole recording (s16le 24 kHz mono); the answer comes back by `heard(job, Heard)`.

    Attributes:
        wants: What is asked for besides the words: nothing, `"speakers"` (who said what), or `"sureness"`.
    """

    job: str
    pcm: bytes
    language: str | None = None
    wants: Literal["words", "speakers", "sureness"] = "words"


@dataclass(frozen=True)
class Part:
    """What one speaker said in one go.

    Attributes:
        start_seconds: Where it begins in the recording.
        end_seconds: Where it ends.
        speaker: A label that is the same wherever the same voice speaks: A, B, …
        text: The words.
    """

    start_seconds: float
    end_seconds: float
    speaker: str
    text: str


@dataclass(frozen=True)
class Transcript:
    """What a recogniser made of a recording.

    Attributes:
        text: All words.
        parts: Who said what, in order, where that was asked for.
        sureness: For each word of `text` between spaces, how likely it is right (0–1), where that was asked for.
    """

    text: str
    parts: tuple[Part, ...] = ()
    sureness: tuple[float, ...] = ()


@dataclass(frozen=True)
class TranscribeStream:
    """Feed a streaming recogniser; `last` ends it. Answers: `partly_heard(job, text)`, then `heard(job, Heard)`."""

    job: str
    pcm: bytes
    last: bool = False
    language: str | None = None


@dataclass(frozen=True)
class Detect:
    """Judge the next sound for speech; the answer comes back by `detected(probabilities)`, in order."""

    pcm: bytes
    first: bool = False


@dataclass(frozen=True)
class Respond:
    """Find an answer; it comes back by `thought(job, piece)`: `Say`s and `Call`s, then None."""

    job: str
    request: Request


@dataclass(frozen=True)
class Speak:
    """Say a sentence; s16le 24 kHz pieces come back by `spoke(job, pcm)`, then None."""

    job: str
    text: str
    voice: str
    speed: float = 1.0
    language: str | None = None


@dataclass(frozen=True)
class Stop:
    """Nobody waits for this job any more."""

    job: str


Output = Send | Close | Transcribe | TranscribeStream | Detect | Respond | Speak | Stop


_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# For each byte a character, at a tenth of the cost of choosing them one by one; every event has an id. That eight of
# them are a little likelier than the rest harms nobody.
_CHARACTERS = bytes(_BASE62[byte % 62] for byte in range(256))


class Ids:
    """Ids and padding of the recorded forms, from a random source that is given."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def new(self, prefix: str) -> str:
        """`event_`, `sess_`, `conv_`, `resp_`, `item_` + 21 characters; `call_` + 16 (recorded)."""
        length = 16 if prefix == "call" else 21
        return f"{prefix}_{self._letters(length)}"

    def padding(self, delta: str) -> str:
        """The `obfuscation` of a delta: together a multiple of 16 characters (recorded for deltas up to 16)."""
        return self._letters(-len(delta) % 16)

    def _letters(self, count: int) -> str:
        return self._source.randbytes(count).translate(_CHARACTERS).decode("ascii")
