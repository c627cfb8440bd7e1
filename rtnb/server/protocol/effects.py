"""Effects of the protocol's state machine, and the values that engines answer with: no behaviour."""

import random
from typing import Any, NamedTuple

from rtnb.server.protocol.requests import Request


class Send(NamedTuple):
    """Server event, due at `at` (seconds on the clock the machine is given)."""

    at: float
    event: dict[str, Any]


class Close(NamedTuple):
    """Close the socket with this code and reason."""

    at: float
    code: int
    reason: str


class Transcribe(NamedTuple):
    """Transcribe a whole recording (s16le 24 kHz mono); answered by `transcribed(job, Transcript)`.

    Attributes:
        speakers: Whether it is asked who said what.
    """

    job: str
    pcm: bytes
    language: str | None = None
    speakers: bool = False


class Part(NamedTuple):
    """Words that one speaker said in one go.

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


class Transcript(NamedTuple):
    """Words of a recording.

    Attributes:
        text: All words.
        parts: Who said what, in order, where that was asked for.
        confidence: For each word of `text` between spaces, how likely it is right (0–1), where that is known.
    """

    text: str
    parts: tuple[Part, ...] = ()
    confidence: tuple[float, ...] = ()


class Unintelligible(Exception):
    """Somebody speaks, in a language that the ASR does not know."""


class TranscribeStream(NamedTuple):
    """Feed a streaming ASR. Answered by `partly_transcribed(job, text)`, and at its end by `transcribed`.

    Attributes:
        last: End it.
        language: As for `Transcribe`, with a job's first audio.
        probabilities: Of speech, one for each 32 ms frame that the audio completes, where they are known already.
        quiet: With a job's first audio: no words so far are wanted.
        pause: Nothing is said just now: answer `transcribed_so_far(job, text)`, too.
    """

    job: str
    pcm: bytes
    last: bool = False
    language: str | None = None
    probabilities: tuple[float, ...] = ()
    quiet: bool = False
    pause: bool = False


class Detect(NamedTuple):
    """Look for speech in the next audio; answered by `detected(probabilities)`, in order."""

    pcm: bytes
    first: bool = False


class Respond(NamedTuple):
    """Find an answer; answered by `responded(job, piece)`: each `Text`, `Call` or `Cut`, then None."""

    job: str
    request: Request


class Speak(NamedTuple):
    """Speak a sentence; answered by `spoke(job, pcm)`: s16le 24 kHz in pieces, then None."""

    job: str
    text: str
    voice: str
    speed: float = 1.0
    language: str | None = None
    gain: float = 1.0


class Stop(NamedTuple):
    """Drop a job: nobody waits for it any more."""

    job: str


Effect = Send | Close | Transcribe | TranscribeStream | Detect | Respond | Speak | Stop


# One character for each byte value, at a tenth of the cost of choosing them one by one: every event has an id. Eight
# characters are a little likelier than the rest, which harms nobody.
_CHARACTERS = (b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" * 5)[:256]


class Ids:
    """Ids and padding of the recorded forms.

    Args:
        source: Where their characters come from.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def new(self, prefix: str) -> str:
        """Return `event_`, `sess_`, `conv_`, `resp_`, `item_` + 21 characters, or `call_` + 16 (recorded)."""
        return f"{prefix}_{self._letters(16 if prefix == 'call' else 21)}"

    def padding(self, delta: str) -> str:
        """Return the `obfuscation` of a delta: together a multiple of 16 characters (recorded for deltas up to 16)."""
        return self._letters(-len(delta) % 16)

    def _letters(self, count: int) -> str:
        return self._source.randbytes(count).translate(_CHARACTERS).decode("ascii")
