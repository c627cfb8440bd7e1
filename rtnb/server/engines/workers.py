"""Engine work beside the loop: requests of the state machine in, answers out, never blocking."""

import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rtnb.audio import pcm as pcm_arithmetic
from rtnb.server.engines.engines import Detector, Engines, StreamTranscriber
from rtnb.server.protocol.effects import Detect, Respond, Speak, Stop, Transcribe, TranscribeStream, Transcript

_PIECE_BYTES = pcm_arithmetic.byte_count(4)

# The state machine's method that takes the answer to each kind of work.
_METHODS = {Transcribe: "transcribed", TranscribeStream: "transcribed", Respond: "responded", Speak: "spoke"}


@functools.cache
def _waiting_pool() -> ThreadPoolExecutor:
    """Return the threads that wait for words, of all servers: those that answer and speak do not wait with them."""
    return ThreadPoolExecutor(32, thread_name_prefix="rtnb-practice-ears")


class Workers:
    """Runs one session's requests on shared threads and brings the answers back.

    Audio to detect speech in and to transcribe as a stream is taken strictly in order; the rest runs as threads are
    free.

    Args:
        engines: What does the work.
        pool: The threads, shared between sessions.
        answer: Called from a worker thread with the state machine's method and its arguments, e.g.
            `answer("transcribed", job, text)`. Must be quick and safe to call from any thread.
    """

    def __init__(self, engines: Engines, pool: ThreadPoolExecutor, answer: Callable[..., None]) -> None:
        self._engines, self._pool, self._answer = engines, pool, answer
        self._stopped: set[str] = set()
        self._running: set[str] = set()
        self._hang_up: dict[str, Callable[[], None]] = {}  # ends a response that waits for another server
        self._streams: dict[str, StreamTranscriber] = {}
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
            pool = _waiting_pool() if isinstance(asked, Transcribe) else None
            if isinstance(asked, Respond):
                # A responder that waits for another server has threads of its own: the others do not wait with it.
                pool = getattr(self._engines.respond, "pool", None)
            self._start(self._work, asked, pool=pool)

    def close(self) -> None:
        """Give up everything that is under way."""
        with self._lock:
            self._queue.clear()
        self._streams.clear()
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
                if self._detector is None or asked.first:
                    self._detector = self._engines.vad()
                if probabilities := self._detector.feed(asked.pcm):
                    self._answer("detected", probabilities)
            elif isinstance(asked, TranscribeStream):
                self._transcribe(asked)
            else:
                self._streams.pop(asked.job, None)
        except Exception as error:
            if isinstance(asked, TranscribeStream):
                self._streams.pop(asked.job, None)
                self._answer("transcribed", asked.job, error)
        self._start(self._in_order)

    def _transcribe(self, asked: TranscribeStream) -> None:
        stream = self._streams.get(asked.job)
        if stream is None:
            stream = self._streams[asked.job] = self._engines.transcribe(asked.language, asked.quiet)
        known = (asked.probabilities,) if asked.probabilities else ()
        if asked.pcm and (partial := stream.feed(asked.pcm, *known)) and not asked.last:
            self._answer("partly_transcribed", asked.job, partial)
        if asked.last:
            self._streams.pop(asked.job, None)
            self._start(self._tell, "transcribed", asked.job, stream.finish, stream, pool=_waiting_pool())
        elif asked.pause:
            self._start(self._tell, "transcribed_so_far", asked.job, stream.so_far(), pool=_waiting_pool())

    def _tell(
        self, method: str, job: str, words: Callable[[], Transcript], ended: StreamTranscriber | None = None
    ) -> None:
        """Wait for words and answer them."""
        try:
            transcript = words()
            if given_out := getattr(ended, "text", ""):  # the last words so far, which the whole may correct
                self._answer("partly_transcribed", job, given_out)
            self._answer(method, job, transcript)
        except Exception as error:
            self._answer(method, job, error)

    def _work(self, asked: Transcribe | Respond | Speak) -> None:
        method = _METHODS[type(asked)]
        try:
            if isinstance(asked, Transcribe):
                if asked.job not in self._stopped:
                    self._answer(method, asked.job, self._engines.transcript(asked))
                return
            engines = self._engines
            pieces = engines.answer(asked.request) if isinstance(asked, Respond) else engines.speak(asked)
            if hang_up := getattr(pieces, "abandon", None):
                self._hang_up[asked.job] = hang_up
                if asked.job in self._stopped:
                    hang_up()
            for piece in itertools.chain(pieces, [None]):
                if asked.job in self._stopped:
                    break
                self._answer(method, asked.job, piece)
        except Exception as error:
            self._answer(method, asked.job, error)
        finally:
            self._hang_up.pop(asked.job, None)
            self._running.discard(asked.job)
            self._stopped.discard(asked.job)


def _in_pieces(asked: Detect | TranscribeStream | Stop) -> Iterator[Detect | TranscribeStream | Stop]:
    """Cut a flood of audio into pieces of a few seconds, so that no session keeps a thread for long."""
    if isinstance(asked, Stop) or len(asked.pcm) <= _PIECE_BYTES:
        yield asked
        return
    for at in range(0, len(asked.pcm), _PIECE_BYTES):
        first, pcm = at == 0, asked.pcm[at : at + _PIECE_BYTES]
        if isinstance(asked, Detect):
            yield Detect(pcm, first and asked.first)
        else:
            speech = asked.probabilities if first else ()
            yield TranscribeStream(asked.job, pcm, False, asked.language, speech, asked.quiet)
