"""Decode any recording, a block at a time, to what a Realtime model takes: 16-bit mono at one rate.

One path for every format and length: the file is recognised by its content (`formats`), decoded by the FFmpeg that
PyAV carries (nothing on PATH is used), mixed down, resampled band-limited by soxr. `Clip.read` joins the blocks;
a session sends them as they come.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from rtnb.audio.decode import Block, Decoder
from rtnb.audio.mix import Mixer
from rtnb.audio.part import Part
from rtnb.audio.pcm import RATE_HZ
from rtnb.audio.resample import Resampler, check_rate, to_float
from rtnb.audio.source import Source, open_source
from rtnb.errors import AudioError, RtnbWarning
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate


@checks_call
@dataclass(frozen=True, eq=False, repr=False)
class Sampled:
    """Audio already decoded, as it can be sent, measured and drawn; a `Clip` is one.

    Attributes:
        array: The samples, `int16`, shape `(n,)`.
        rate_hz: Samples per second.
        name: What to call it.
        recorded_hz: Samples per second of the recording it was read from. None where that is not known.
    """

    array: npt.NDArray[np.int16]
    rate_hz: int = RATE_HZ
    name: str = "clip"
    recorded_hz: int | None = None

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.array) / self.rate_hz

    def peaks(self, count: int = 96) -> list[float]:
        """Return the loudest sample in each of `count` equal stretches, 0.0–1.0; a waveform is drawn from them."""
        if not len(self.array):
            return [0.0] * count
        edges = np.linspace(0, len(self.array), count + 1).astype(int)[:-1]
        loudest = np.maximum.reduceat(np.abs(self.array.astype(np.int32)), np.minimum(edges, len(self.array) - 1))
        return [float(peak) / 32_768 for peak in loudest]


class Stream(Iterator[bytes], AbstractContextManager["Stream"]):
    """Recording that decodes itself as it is iterated, never holding more than a block.

    Iterating yields `bytes`: signed 16-bit little-endian mono PCM at `rate_hz`. The first block is about 0.1 s long,
    later ones about 0.5 s and never over 1 s.

    Attributes:
        name: The file's name, or what to call it.
        seconds: How long the recording says it is; an estimate. None where it does not say (live webm).
        rate_hz: Samples per second of the blocks.
        recorded_hz: Samples per second of the recording itself.
        channels: How many channels it has; they are averaged, none is dropped.
        missing_seconds: How much is missing, cut off the end or damaged, known once the iteration ends; 0.0 where
            nothing is, None where the end is missing and nothing says how much.
    """

    _decoder: Decoder | None = None
    _file: BinaryIO | None = None
    _got_seconds = 0.0

    def __init__(self, source: Source | Sampled, rate_hz: int | None, name: str | None, track: int | None) -> None:
        if rate_hz is not None:
            check_rate(rate_hz, name or "")
        self.missing_seconds: float | None = 0.0
        self.seconds: float | None
        if isinstance(source, Sampled):
            self.name = name or source.name
            self.recorded_hz, self.channels = source.rate_hz, 1
            self.rate_hz = rate_hz or source.rate_hz
            self.seconds = source.seconds
            step = source.rate_hz // 10
            parts = (source.array[start : start + step] for start in range(0, len(source.array), step))
            self._blocks = self._resampled((source.rate_hz, to_float(part)) for part in parts)
            return
        file, owned, self.name = open_source(source, name)
        self._file = file if owned else None
        self._told, self._missing, self._errors = set[str](), list[tuple[float | None, str]](), list[AudioError]()
        self._track = track
        try:
            self._decoder = self._opened(Part(file))
        except BaseException:
            self.close()
            raise
        assert self._decoder is not None, "an error has been raised"
        self.seconds, self.recorded_hz = self._decoder.seconds, self._decoder.rate_hz
        self.channels = self._decoder.channels
        self.rate_hz = rate_hz or self.recorded_hz or RATE_HZ
        self._blocks = self._decoded()

    def __repr__(self) -> str:
        length = say("unknown length") if self.seconds is None else f"{self.seconds:.1f} s"
        return f"Stream({self.name}, {length})"

    def __next__(self) -> bytes:
        return next(self._blocks)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Further iteration ends at once. Closing twice does nothing."""
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()
        if self._file is not None:
            self._file.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _resampled(self, parts: Iterator[Block]) -> Iterator[bytes]:
        """Resample mono parts and gather them into blocks."""
        resample = Resampler(self.recorded_hz or RATE_HZ, self.rate_hz)
        held, wanted, longest = bytearray(), 2 * int(self.rate_hz * 0.1), 2 * self.rate_hz
        for from_hz, part in chain(parts, [(0, np.zeros(0, np.float32))]):
            if from_hz != resample.from_hz:  # the rate changes on the way: HE-AAC, chained ogg
                held += resample.flush().astype("<i2", copy=False).tobytes()
                resample = Resampler(from_hz or self.rate_hz, self.rate_hz)
            held += resample(part).astype("<i2", copy=False).tobytes()
            if len(held) >= (wanted if from_hz else 1):
                yield from (bytes(held[start : start + longest]) for start in range(0, len(held), longest))
                held, wanted = bytearray(), 2 * int(self.rate_hz * 0.5)

    def _decoded(self) -> Iterator[bytes]:
        with self:
            yield from self._resampled(self._mixed())
        seconds = [missing for missing, _ in self._missing if missing is not None]
        self.missing_seconds = sum(seconds) if len(seconds) == len(self._missing) else None
        if said := [words for _, words in self._missing if words]:
            said.append(f"{self._got_seconds:.1f} s were read. Copy or download it again if you need the rest.")
            self._tell(say("is not whole: {sentence}", sentence=translate("; ".join(said))))

    def _mixed(self) -> Iterator[Block]:
        """Decode and mix one recording of the file after another."""
        mix = Mixer(self._tell)
        while (decoder := self._decoder) is not None:
            try:
                for from_hz, channels in decoder.blocks():
                    yield from_hz, mix(channels)
                self._missing.append(decoder.missing())
            except AudioError as error:
                self._leave_out(error)
            decoder.close()
            self._got_seconds += decoder.got_seconds
            self._decoder = self._opened(decoder.part.find_next())

    def _opened(self, part: Part | None) -> Decoder | None:
        """Open the first recording from here on that can be opened. Return None where none follows.

        Raises:
            AudioError: Nothing in the file can be read.
        """
        while part is not None and len(self._errors) < 8:
            try:
                return Decoder(part, self.name, self._tell, self._track)
            except AudioError as error:
                self._leave_out(error)
            part = part.find_next()
        if self._errors and not self._got_seconds:
            raise self._errors[0]
        return None

    def _leave_out(self, error: AudioError) -> None:
        which = "what follows" if self._got_seconds else "its beginning"
        self._missing.append((None, f"{which} cannot be read ({error.problem})"))
        self._errors.append(error)

    def _tell(self, sentence: str) -> None:
        """Warn of something, once."""
        if sentence not in self._told:
            self._told.add(sentence)
            words = translate(sentence)
            warnings.warn(say("The file {name} {sentence}", name=self.name, sentence=words), RtnbWarning, stacklevel=2)


def open_stream(
    source: Source | Sampled, *, rate_hz: int = RATE_HZ, name: str | None = None, track: int | None = None
) -> Stream:
    """Open a recording of any length for reading a block at a time.

    Args:
        source: A path, the bytes of a file, a binary file object (read from its beginning), or a `Clip`.
        rate_hz: Samples per second of the blocks, 1,000–768,000.
        name: What to call it in messages. None takes the file's name.
        track: Which audio track of a film to take, counted from 0. None takes the first that is not silent.

    Returns:
        A `Stream`: an iterator of PCM blocks with `.seconds`, `.name` and `.close()`.

    Raises:
        AudioError: The source cannot be read as audio; at once or on the first `next()`.
    """
    return Stream(source, rate_hz, name, track)
