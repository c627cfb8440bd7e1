"""Automatic speech recognition by the best engine that is installed; none of them downloads anything.

Recognisers are heavy, so one is loaded once, when first needed or by `warm_up`, and shared by every session. What is
recognised in a recording depends on its samples alone: not on how they come, nor on how busy the machine is.
"""

import contextlib
import difflib
import functools
import importlib.util
import itertools
import os
import re
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import PriorityQueue
from typing import Any, NamedTuple

import numpy as np
import soxr

from rtnb.audio.pcm import RATE_HZ, byte_count, silence
from rtnb.audio.resample import to_int16
from rtnb.server.engines import vad
from rtnb.server.engines.moonshine import Moonshine, Word
from rtnb.server.engines.unsuitable import suitable
from rtnb.server.protocol.effects import Transcript, Unintelligible
from rtnb.texts.distances import edit_distances

_LONGEST_SECONDS = 12.0  # what a recogniser gets at once
_LONGEST_FRAMES = int(_LONGEST_SECONDS * 1000 / vad.FRAME_MS)
_PIECES_IN_A_ROW = 4

# Mean probabilities of a piece's words, from the model in `moonshine`: from the first on it is English, below the
# second no words are right. Between them the piece is recognised again, a little slower, and the surer words count,
# where they reach the first, or both means and half the share of words that stay reach the third. Measured over short
# sentences: of 240 English ones, in five synthesised voices, 193 are right, 31 wrong in a word or more and 16 left out,
# none of which was right; of 240 Chinese, French, German, Spanish and Italian ones, 12 are taken for English.
_SURE, _UNSURE, _SURE_OF_TWO = 0.8, 0.4, 1.6


# ── The recognisers, behind one shape ────────────────────────────────────────────────────────────────────────────


class _Recogniser(NamedTuple):
    """Loaded engine.

    Attributes:
        name: What `engine` reports, for example `"moonshine-voice tiny-en"`.
        transcribe: Samples at 16 kHz (float32, -1 to 1) and a language code or None, to words.
        only_english: True where it knows no other language, and finds English words in any speech.
    """

    name: str
    transcribe: Callable[[vad.Samples, str | None], list[Word]]
    only_english: bool = True


def _words(text: str) -> list[Word]:
    return [*map(Word, text.split())]


def _faster_whisper() -> _Recogniser | None:
    """Load Whisper, if the package is installed and a model lies in its local cache: none is ever downloaded."""
    whisper = importlib.import_module("faster_whisper")
    wanted = os.environ.get("RTNB_WHISPER_MODEL")
    for size in [wanted] if wanted else ["small", "small.en", "base", "base.en", "tiny", "tiny.en"]:
        with contextlib.suppress(Exception):  # not in the cache, or broken: whatever it raises, there are other engines
            model = whisper.WhisperModel(size, device="cpu", compute_type="int8", local_files_only=True)
            break
    else:
        return None
    english = size.endswith(".en")

    def transcribe(samples: vad.Samples, language: str | None) -> list[Word]:
        spoken = "en" if english else (language or None)
        segments, _ = model.transcribe(samples, language=spoken, beam_size=1, without_timestamps=True)
        return _words(" ".join(segment.text.strip() for segment in segments))

    return _Recogniser(f"faster-whisper {Path(size).name}", transcribe, only_english=english)


def moonshine_model() -> Path | None:
    """Return the folder of the tiny English model, which Moonshine's wheel carries (moonshine-voice up to 0.1.0)."""
    spec = importlib.util.find_spec("moonshine_voice") if vad.installed("moonshine_voice") else None
    model = Path((spec and spec.origin) or "").parent / "assets" / "tiny-en"
    return model if model.is_dir() else None


def _moonshine() -> _Recogniser | None:
    model = moonshine_model()
    recognise = Moonshine(model).recognise if model else None
    return recognise and _Recogniser("moonshine-voice tiny-en", lambda samples, _: recognise(samples))


def _pocketsphinx() -> _Recogniser | None:
    """Load CMU's recogniser, for machines that moonshine has no wheel for."""
    decoder_of = importlib.import_module("pocketsphinx").Decoder

    def transcribe(samples: vad.Samples, language: str | None) -> list[Word]:
        # A decoder adapts to what it has heard and carries that into the next utterance, so each gets a fresh one.
        decoder = decoder_of(samprate=vad.RATE_HZ, loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(to_int16(samples).tobytes(), full_utt=True)
        decoder.end_utt()
        hypothesis = decoder.hyp()
        return _words(str(hypothesis.hypstr) if hypothesis else "")

    return _Recogniser("pocketsphinx en-us", transcribe)


_lock = threading.Lock()  # guards loading


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads that recognise: one a core, for all sessions."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="rtnb-practice-asr")


_numbers = itertools.count()
_waiting: PriorityQueue[tuple[Any, ...]] = PriorityQueue()


def _recognise_in_turn(turn: tuple[int, int], samples: vad.Samples, language: str | None) -> Future[list[Word] | None]:
    """Recognise a piece when no piece of an earlier turn waits any more."""
    words: Future[list[Word] | None] = Future()
    # Weakly: what belongs to a session that has ended, or to audio that was cleared, is skipped.
    _waiting.put((turn, next(_numbers), weakref.ref(words), samples, language))
    _pool().submit(_recognise_next)
    return words


def _recognise_next() -> None:
    *_, held, samples, language = _waiting.get_nowait()
    if (words := held()) is None:
        return
    try:
        words.set_result(_recognise(samples, language))
    except Exception as error:
        words.set_exception(error)


@functools.cache
def _load(model: str | None) -> _Recogniser | None:
    loaders = {"faster_whisper": _faster_whisper, "moonshine_voice": _moonshine, "pocketsphinx": _pocketsphinx}
    for module, load in loaders.items():
        with contextlib.suppress(Exception):  # a wheel that does not load on this machine is as good as none
            if vad.installed(module) and (found := load()) is not None:
                return found
    return None


def _recogniser() -> _Recogniser | None:
    with _lock:
        return _load(os.environ.get("RTNB_WHISPER_MODEL"))


def engine() -> str | None:
    """Say which recogniser is used here, loading it if need be.

    Returns:
        Its name and model, followed by `", no silero"` where pauses are found by loudness only; for example
        `"moonshine-voice tiny-en"`. None where no recogniser is installed, and then `transcribe` finds no words.
    """
    if (found := _recogniser()) is None:
        return None
    return found.name if vad.detector_name() == "silero" else f"{found.name}, no silero"


def warm_up() -> None:
    """Load the engines and run each once, so that the first question does not wait for it (about half a second)."""
    vad.Vad().feed(silence(0.25))
    if found := _recogniser():
        found.transcribe(np.zeros(vad.RATE_HZ // 2, np.float32), None)


# ── Pieces ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _recognise(samples: vad.Samples, language: str | None) -> list[Word] | None:
    """Recognise one piece of speech; None where it is in a language that the recogniser does not know."""
    if (found := _recogniser()) is None:
        return []

    def words_of(samples: vad.Samples) -> list[Word]:
        # Recognisers learned from speech with silence around it: without, "Hello" at the very start is taken for
        # "Allow". Half a second of it was chosen by the word error rate over 80 synthesised sentences.
        return found.transcribe(np.pad(samples, vad.RATE_HZ // 2), language)

    words = words_of(samples)
    if not any(re.search(r"\w", word.text) for word in words):
        return []
    if found.only_english:
        return _english(words, language, lambda: words_of(soxr.resample(samples, 20, 21)))
    return suitable(words)


def _english(words: list[Word], language: str | None, slower: Callable[[], list[Word]]) -> list[Word] | None:
    """Return the words of a piece that were probably said, or None where they are unsure, and so no English.

    Args:
        words: What the recogniser found.
        language: The language that the client has named, or None.
        slower: Recognises the piece again, a little slower.
    """
    sure = _mean(words)
    if language is not None and not language.casefold().startswith("en"):
        understood = len(words) > 2 and _SURE <= sure < 1.0
    elif not _UNSURE <= sure < _SURE:
        understood = sure >= _SURE
    else:
        first, again = words, slower()
        words = max(first, again, key=_mean)
        bare, bare_again = ([bare_word(word.text) for word in each] for each in (first, again))
        stays = difflib.SequenceMatcher(None, bare, bare_again, autojunk=False).ratio()
        alike = sure + _mean(again) + stays / 2 >= _SURE_OF_TWO
        understood = alike or _mean(words) >= _SURE or (len(bare) == 1 and bare == bare_again)
    return suitable(words) if understood else None


def _mean(words: Sequence[Word]) -> float:
    return float(np.mean([word.probability for word in words] or [0.0]))


def transcript(words: Sequence[Word]) -> Transcript:
    """Return words as one text, with how likely each of them is right."""
    return Transcript(" ".join(word.text for word in words), confidence=tuple(word.probability for word in words))


def bare_word(word: str) -> str:
    """Return a word as it is compared: without marks and case."""
    return re.sub(r"[^\w']", "", word).casefold()


# ── Recordings ───────────────────────────────────────────────────────────────────────────────────────────────────


def recognise(pcm: bytes, *, rate_hz: int = RATE_HZ, language: str | None = None) -> list[Word]:
    """Recognise what is said in a recording.

    Silence and noise are left out before a recogniser gets them, because each of them invents a word there.
    Safe to call from several threads. The default engine knows English only.

    Args:
        pcm: s16le mono of any length; a last half sample is ignored.
        rate_hz: Its sample rate.
        language: ISO 639-1 code of what is spoken, for an engine that knows several. None lets it find out.

    Returns:
        The words; none where nothing was said or no recogniser is installed (see `engine`).

    Raises:
        Unintelligible: Most of what is said is in a language that the recogniser does not know.
    """
    recogniser = StreamingRecogniser(language=language, rate_hz=rate_hz, interval_seconds=float("inf"))
    recogniser.feed(pcm)
    return recogniser.end()


def transcribe(pcm: bytes, *, rate_hz: int = RATE_HZ, language: str | None = None) -> str:
    """Return what `recognise` finds as one text; "" also where nothing was understood."""
    try:
        return transcript(recognise(pcm, rate_hz=rate_hz, language=language)).text
    except Unintelligible:
        return ""


class _Piece(NamedTuple):
    """One stretch of speech: (first frame, frame after the last), and its words when they are recognised."""

    frames: tuple[int, int]
    words: Future[list[Word] | None]


class StreamingRecogniser:
    """Recognition while the audio is still coming in.

    It is cut into pieces at its pauses, each of which is recognised once, as soon as nothing can be added to it, on
    threads that all sessions share: when a recording ends, only its last piece is left to do.

    Where words so far are wanted, they are given out once two passes in a row over the piece under way agree on them,
    and every partial transcript begins with the one before it. How many passes there are depends on how busy the
    machine is. The final transcript does not: where it differs from the partial ones in a word, it is right.

    Args:
        language: As for `transcribe`.
        interval_seconds: At least this much new audio between two passes; infinity where no words so far are wanted.
        rate_hz: Sample rate of the audio.
    """

    def __init__(self, *, language: str | None = None, interval_seconds: float = 0.5, rate_hz: int = RATE_HZ) -> None:
        self._language, self._detect, self._stream = language, vad.detector(), vad.SampleStream(rate_hz=rate_hz)
        self._cutter, self._number = vad.Pieces(_LONGEST_FRAMES), next(_numbers)
        self._samples = np.zeros(0, np.float32)  # of the frames from `_from` on
        self._from = self._judged = 0  # frames
        self._detected: deque[float] = deque()  # what another has found out about the frames to come
        self._settled: list[_Piece] = []
        self._under_way: _Piece | None = None  # the piece that still grows, as it was recognised last
        self._words: list[str] = []  # given out, never to change
        self._given_pieces = 0  # the settled pieces whose words have been given out
        self._piece: list[str] = []  # those of the words that belong to the piece not yet settled
        self._guess: list[str] = []  # the last pass over this piece
        self._interval = self._wait = interval_seconds
        self._new_seconds = 0.0

    @property
    def text(self) -> str:
        """Return the newest partial transcript."""
        return " ".join(self._words)

    def feed(self, pcm: bytes, probabilities: Sequence[float] = ()) -> str | None:
        """Take more audio, and recognise again if enough has come.

        Args:
            pcm: s16le mono at `rate_hz`, of any length.
            probabilities: Of speech, one for each frame that this audio completes, where they are known already. The
                first frame of all may have begun before the audio.

        Returns:
            The newest partial transcript where it has grown, else None. Where words so far are wanted, recognition
            happens inside this call (up to a few tenths of a second), so it belongs in a worker thread.
        """
        if probabilities and not self._judged and not self._detected:
            pcm = bytes(max(0, len(probabilities) * byte_count(vad.FRAME_MS / 1000) - len(pcm))) + pcm
        self._detected.extend(probabilities)
        self._take(pcm, last=False)
        if self._new_seconds < self._wait or _recogniser() is None:
            return None
        self._new_seconds = 0.0
        before, started = len(self._words), time.monotonic()
        self._give_out_settled()
        if piece := self._ask_under_way():
            self._give_out(piece, all_of_it=False)
        # Passes over a growing piece must not take the whole machine: at most a quarter of the time goes to them.
        self._wait = max(self._interval, 4 * (time.monotonic() - started))
        return self.text if len(self._words) > before else None

    def so_far(self) -> Callable[[], Transcript]:
        """Begin to recognise all that has come; return what waits for its words."""
        pieces = [*self._settled, *filter(None, [self._ask_under_way()])]
        return lambda: transcript(_words_of(pieces))

    def finish(self) -> Transcript:
        """Recognise what is left and end.

        Returns:
            The whole transcript; its text is "" where nothing was said.

        Raises:
            Unintelligible: As for `recognise`.
        """
        return transcript(self.end())

    def end(self) -> list[Word]:
        """Do as `finish`, and return the words one by one."""
        self._take(b"", last=True)
        self._settled += filter(None, [self._ask_under_way()])
        if self._interval < float("inf"):
            self._give_out_settled()
        return _words_of(self._settled)

    # ------------------------------------------------------------------ pieces

    def _take(self, pcm: bytes, last: bool) -> None:
        samples = self._stream.feed(pcm, last=last)
        self._new_seconds += len(samples) / vad.RATE_HZ
        self._samples = np.concatenate([self._samples, samples])
        if last:  # the last frame is filled up with silence
            self._samples = np.pad(self._samples, (0, -len(self._samples) % vad.FRAME_SAMPLES))
        for frame in vad.whole_frames(self._samples[(self._judged - self._from) * vad.FRAME_SAMPLES :]):
            self._judged += 1
            known = self._detected.popleft() if self._detected else self._detect(frame)
            if frames := self._cutter.feed(known):
                self._settled.append(self._ask(frames))
        spare = max(0, self._cutter.needed_from - self._from)
        self._samples, self._from = self._samples[spare * vad.FRAME_SAMPLES :], self._from + spare

    def _ask(self, frames: tuple[int, int]) -> _Piece:
        if self._under_way is not None and self._under_way.frames == frames:
            return self._under_way
        first, last = ((frame - self._from) * vad.FRAME_SAMPLES for frame in frames)
        # Of those who stop at once the first to begin is the first to be answered; who floods waits behind the others.
        turn = (len(self._settled) // _PIECES_IN_A_ROW, self._number)
        return _Piece(frames, _recognise_in_turn(turn, self._samples[first:last], self._language))

    def _ask_under_way(self) -> _Piece | None:
        frames = self._cutter.under_way
        self._under_way = None if frames is None else self._ask(frames)
        return self._under_way

    # ------------------------------------------------------------------ words so far

    def _give_out_settled(self) -> None:
        for piece in self._settled[self._given_pieces :]:
            recognised = self._give_out(piece, all_of_it=True)
            # Earlier passes reached beyond this piece: words of theirs that were given out belong to the next.
            self._piece, self._guess = _after(recognised, self._piece), []
        self._given_pieces = len(self._settled)

    def _give_out(self, piece: _Piece, *, all_of_it: bool) -> list[str]:
        """Add the words of a piece that may be given out now; return all of them."""
        recognised = [word.text for word in piece.words.result() or []]
        tail = _after(self._piece, recognised)
        if not all_of_it:
            before = _after(self._piece, self._guess)
            # The last word is still being spoken.
            agreed = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(tail[:-1], before, strict=False))
            tail = [word for word, _ in agreed]
        self._words += tail
        self._piece += tail
        self._guess = recognised
        return recognised


def _words_of(pieces: Iterable[_Piece]) -> list[Word]:
    """Wait for the words of pieces.

    Raises:
        Unintelligible: As for `recognise`.
    """
    found = [(last - first, recognised.result()) for (first, last), recognised in pieces]
    understood, foreign = (
        sum(size for size, words in found if test(words)) for test in (bool, lambda words: words is None)
    )
    if foreign > understood:
        raise Unintelligible
    return [word for _, words in found for word in words or ()]


def _after(given_out: Sequence[str], recognised: Sequence[str]) -> list[str]:
    """Return the words of `recognised` that follow those already given out, even where the two differ in a word."""
    # Edit distances of all of `given_out` to each beginning of `recognised`: matching any later run of words, as
    # `difflib` does, would jump ahead to words that are said twice.
    costs = edit_distances([*map(bare_word, given_out)], [*map(bare_word, recognised)])
    return list(recognised[min(range(len(costs)), key=lambda at: (costs[at], abs(at - len(given_out)))) :])
