"""Ears, brain and voice at work beside the loop: requests of the state machine in, answers out, never blocking."""

from __future__ import annotations

import itertools
import math
import re
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from rtnb.server.protocol.effects import Detect, Part, Respond, Speak, Stop, Transcribe, TranscribeStream, Transcript
from rtnb.server.protocol.requests import Responder, Text

_PIECE_BYTES = 4 * 48_000

__all__ = ["Engines", "Workers", "canned", "installed"]


class Listener(Protocol):
    """Streaming recognition of one utterance."""

    def feed(self, pcm: bytes) -> str | None:
        """The words so far, or None where nothing new was heard."""

    def finish(self) -> str:
        """All the words."""


class Detector(Protocol):
    """Speech probabilities of one session's sound."""

    def feed(self, pcm: bytes) -> list[float]:
        """One probability per finished 32 ms frame."""


@dataclass(frozen=True)
class Engines:
    """What hears, thinks and speaks.

    Attributes:
        hear: A whole recording (s16le 24 kHz mono) and a language or None → its words.
        tell_apart: The same → who said what.
        weigh: A recording, its words and a language or None → how sure each word is, 0–1.
        listen: A language or None → a new `Listener`.
        detector: → a new `Detector`.
        think: A `thoughts.Request` → `Say`s and `Call`s.
        speak: What to say → pieces of s16le 24 kHz mono.
        names: What each is, for people; "" where one is missing.
        warm_up: Loads what takes long to load, so that the first answer does not wait for it.
    """

    hear: Callable[[bytes, str | None], str]
    listen: Callable[[str | None], Listener]
    detector: Callable[[], Detector]
    think: Responder
    speak: Callable[[Speak], Iterable[bytes]]
    names: Mapping[str, str]
    warm_up: Callable[[], None] = lambda: None
    tell_apart: Callable[[bytes, str | None], Sequence[Part]] = lambda pcm, language: ()
    weigh: Callable[[bytes, str, str | None], Sequence[float]] = lambda pcm, text, language: [0.5] * len(text.split())

    def heard(self, asked: Transcribe) -> Transcript:
        """Hear a recording, and find out what else is asked for."""
        if asked.wants == "speakers":
            parts = tuple(self.tell_apart(asked.pcm, asked.language))
            return Transcript(" ".join(part.text for part in parts), parts)
        text = self.hear(asked.pcm, asked.language)
        sure = self.weigh(asked.pcm, text, asked.language) if asked.wants == "confidence" else ()
        return Transcript(text, confidence=tuple(sure))


def installed(brain: Responder | None = None) -> Engines:
    """The engines of this package, with whatever recogniser and voice are installed here.

    Args:
        brain: What thinks instead of the package's own rules, or None.
    """
    from rtnb.server.engines import asr, confidence, diarization, tts
    from rtnb.server.responder.responder import think

    def warm_up() -> None:
        asr.warm_up()
        tts.warm_up()

    return Engines(
        hear=lambda pcm, language: asr.hear(pcm, language=language),
        listen=lambda language: asr.Listener(language=language),
        detector=asr.Vad,
        think=brain or think,
        speak=lambda wanted: tts.speak(wanted.text, voice=wanted.voice, speed=wanted.speed, language=wanted.language),
        names={"ears": asr.engine() or "", "voice": tts.engine() or ""},
        warm_up=warm_up,
        tell_apart=lambda pcm, language: diarization.tell_apart(pcm, language=language),
        weigh=lambda pcm, text, language: confidence.weigh(pcm, text, language=language),
    )


# ---------------------------------------------------------------------- without engines


class _Loudness:
    """A detector for canned speech only: how loud a frame is."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pcm: bytes) -> list[float]:
        pcm = self._rest + pcm
        cut = len(pcm) // 1536 * 1536
        self._rest = pcm[cut:]
        frames = (array("h", pcm[at : at + 1536]) for at in range(0, cut, 1536))
        return [min(1.0, max(map(abs, frame[::16])) / 4_000) for frame in frames]


class _Silent:
    """A listener that hears nothing."""

    def feed(self, pcm: bytes) -> str | None:
        return None

    def finish(self) -> str:
        return ""


_CANNED_SECOND: list[bytes] = []


def _canned_second() -> bytes:
    if not _CANNED_SECOND:
        wave = (
            int(6_000 * math.sin(at * 0.03) * math.sin(at * 0.0011) ** 2 + 900 * math.sin(at * 0.21))
            for at in range(24_000)
        )
        _CANNED_SECOND.append(array("h", wave).tobytes())
    return _CANNED_SECOND[0]


def canned(text: str = "This is canned speech, said without any engine.") -> Engines:
    """Engines that do no work: nothing is heard, the answer is `text`, its sound a hum of a reading's length."""

    def speak(wanted: Speak) -> Iterator[bytes]:
        words = len(re.findall(r"\w+", wanted.text)) or 1
        size = int(words / 2.5 / wanted.speed * 48_000) // 2 * 2
        for at in range(0, size, 48_000):
            yield _canned_second()[: min(48_000, size - at)]

    return Engines(
        hear=lambda pcm, language: "",
        listen=lambda language: _Silent(),
        detector=_Loudness,
        think=lambda asked: iter([Text(text)]),
        speak=speak,
        names={"ears": "", "voice": "canned"},
    )


# ---------------------------------------------------------------------- workers


class Workers:
    """Runs one session's requests on shared threads and brings the answers back.

    Sound to detect and to listen to is taken strictly in order; the rest runs as threads are free.

    Args:
        engines: What does the work.
        pool: The threads, shared between sessions.
        answer: Called from a worker thread with the state machine's method and its arguments, e.g.
            `answer("transcribed", job, text)`. Must be quick and safe to call from any thread.
    """

    def __init__(self, engines: Engines, pool: ThreadPoolExecutor, answer: Callable[..., None]) -> None:
        self._engines = engines
        self._pool = pool
        self._answer = answer
        self._stopped: set[str] = set()
        self._running: set[str] = set()
        self._hang_up: dict[str, Callable[[], None]] = {}  # ends a thought that waits for another server
        self._listeners: dict[str, Listener] = {}
        self._detector: Detector | None = None
        self._queue: deque[Detect | TranscribeStream | Stop] = deque()
        self._working = False
        self._lock = threading.Lock()

    def submit(self, asked: Transcribe | TranscribeStream | Detect | Respond | Speak | Stop) -> None:
        """Begin a piece of work (or give one up). Never blocks."""
        if isinstance(asked, Stop) and asked.job in self._running:
            self._stopped.add(asked.job)
            self._hang_up.get(asked.job, lambda: None)()
        elif isinstance(asked, Detect | TranscribeStream | Stop):
            with self._lock:
                self._queue.extend(_in_pieces(asked))
                if self._working:
                    return
                self._working = True
            self._start(self._in_order)
        else:
            self._running.add(asked.job)
            # A brain that waits for another server has threads of its own: hearing and speaking do not wait with it.
            pool = getattr(self._engines.think, "pool", None) if isinstance(asked, Respond) else None
            self._start(self._work, asked, pool=pool)

    def close(self) -> None:
        """Give up everything that is under way."""
        with self._lock:
            self._queue.clear()
        self._stopped |= self._running
        for hang_up in list(self._hang_up.values()):
            hang_up()

    def _start(self, act: Callable[..., None], *args: Any, pool: ThreadPoolExecutor | None = None) -> None:
        try:
            (pool or self._pool).submit(act, *args)
        except RuntimeError:  # the pool has been shut down with the server
            self._running.clear()

    def _in_order(self) -> None:
        """Do the first of the queue, and line up again behind the other sessions for the rest."""
        with self._lock:
            if not self._queue:
                self._working = False
                return
            asked = self._queue.popleft()
        try:
            if isinstance(asked, Detect):
                self._judge(asked)
            elif isinstance(asked, TranscribeStream):
                self._listen(asked)
            else:
                self._listeners.pop(asked.job, None)
        except Exception as error:
            if isinstance(asked, TranscribeStream):
                self._listeners.pop(asked.job, None)
                self._answer("transcribed", asked.job, error)
        self._start(self._in_order)

    def _judge(self, asked: Detect) -> None:
        if self._detector is None or asked.first:
            self._detector = self._engines.detector()
        probabilities = self._detector.feed(asked.pcm)
        if probabilities:
            self._answer("detected", probabilities)

    def _listen(self, asked: TranscribeStream) -> None:
        listener = self._listeners.get(asked.job)
        if listener is None:
            listener = self._listeners[asked.job] = self._engines.listen(asked.language)
        partial = listener.feed(asked.pcm) if asked.pcm else None
        if asked.last:
            del self._listeners[asked.job]
            whole = listener.finish()
            if words := getattr(listener, "text", ""):  # the last of the words so far, which `whole` may correct
                self._answer("partly_transcribed", asked.job, words)
            self._answer("transcribed", asked.job, Transcript(whole))
        elif partial:
            self._answer("partly_transcribed", asked.job, partial)

    def _work(self, asked: Transcribe | Respond | Speak) -> None:
        engines = self._engines
        try:
            if isinstance(asked, Transcribe):
                if asked.job not in self._stopped:
                    self._answer("transcribed", asked.job, engines.heard(asked))
                return
            name = "responded" if isinstance(asked, Respond) else "spoke"
            pieces = engines.think(asked.request) if isinstance(asked, Respond) else engines.speak(asked)
            if hang_up := getattr(pieces, "abandon", None):
                self._hang_up[asked.job] = hang_up
                if asked.job in self._stopped:
                    hang_up()
            for piece in itertools.chain(pieces, [None]):
                if asked.job in self._stopped:
                    break
                self._answer(name, asked.job, piece)
        except Exception as error:
            name = {Transcribe: "transcribed", Respond: "responded", Speak: "spoke"}[type(asked)]
            self._answer(name, asked.job, error)
        finally:
            self._hang_up.pop(asked.job, None)
            self._running.discard(asked.job)
            self._stopped.discard(asked.job)


def _in_pieces(asked: Detect | TranscribeStream | Stop) -> Iterator[Detect | TranscribeStream | Stop]:
    """A flood of sound in pieces of a few seconds, so that no session keeps a thread for long."""
    if isinstance(asked, Stop) or len(asked.pcm) <= _PIECE_BYTES:
        yield asked
        return
    for at in range(0, len(asked.pcm), _PIECE_BYTES):
        piece = asked.pcm[at : at + _PIECE_BYTES]
        if isinstance(asked, Detect):
            yield Detect(piece, first=asked.first and at == 0)
        else:
            yield TranscribeStream(
                asked.job, piece, last=asked.last and at + _PIECE_BYTES >= len(asked.pcm), language=asked.language
            )
