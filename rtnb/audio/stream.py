"""Decode any recording, a block at a time, to what a Realtime model takes: 16-bit mono at one rate.

One path for every format and length: the file is recognised by its content (`formats`), decoded by the FFmpeg that
PyAV carries (nothing on PATH is used), mixed down, resampled band-limited by soxr. `Clip.read` joins the blocks;
a session sends them as they come.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

import numpy as np

from rtnb.audio.decode import Decoder
from rtnb.audio.mix import Mixer
from rtnb.audio.part import Part
from rtnb.audio.pcm import RATE_HZ
from rtnb.audio.resample import Resampler, check_rate, to_float
from rtnb.audio.source import Source, open_source
from rtnb.errors import AudioError, RtnbWarning

if TYPE_CHECKING:
    import numpy.typing as npt

_FIRST_SECONDS = 0.1
_BLOCK_SECONDS = 0.5


@runtime_checkable
class Sampled(Protocol):
    """Audio already decoded; a `Clip` is one."""

    name: str
    rate_hz: int

    @property
    def array(self) -> npt.NDArray[np.int16]:
        """Samples, shape `(n,)`."""


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

    def __init__(
        self,
        source: Source | Sampled,
        *,
        rate_hz: int | None = RATE_HZ,
        name: str | None = None,
        track: int | None = None,
    ) -> None:
        if rate_hz is not None:
            check_rate(rate_hz, name or "")
        self.missing_seconds: float | None = 0.0
        self.seconds: float | None
        if isinstance(source, Sampled):
            self.name = name or source.name
            self.recorded_hz, self.channels = source.rate_hz, 1
            self.rate_hz = rate_hz or source.rate_hz
            self.seconds = len(source.array) / source.rate_hz
            self._blocks = self._sampled(source)
            return
        self._file, self._owned, self.name = open_source(source, name)
        self._told, self._missing = set[str](), list[tuple[float | None, str]]()
        try:
            self._decoder = decoder = Decoder(Part(self._file), self.name, self._tell, track)
        except BaseException:
            self.close()
            raise
        self.seconds, self.recorded_hz, self.channels = decoder.seconds, decoder.rate_hz, decoder.channels
        self.rate_hz = rate_hz or self.recorded_hz or RATE_HZ
        self._blocks = self._decoded()

    def __repr__(self) -> str:
        length = "unknown length" if self.seconds is None else f"{self.seconds:.1f} s"
        return f"Stream({self.name}, {length})"

    def __next__(self) -> bytes:
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Further iteration ends at once. Closing twice does nothing."""
        decoder, self._decoder = self._decoder, None
        file, self._file = self._file, None
        if decoder is not None:
            decoder.close()
        if file is not None and self._owned:
            file.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _sampled(self, source: Sampled) -> Iterator[bytes]:
        from_hz, step = source.rate_hz, source.rate_hz // 10
        starts = range(0, len(source.array), step)
        parts = ((from_hz, to_float(source.array[start : start + step])) for start in starts)
        yield from self._regrouped(Resampler(from_hz, self.rate_hz), parts)

    def _regrouped(self, resample: Resampler, parts: Iterator[tuple[int, npt.NDArray[np.float32]]]) -> Iterator[bytes]:
        """Resample decoded parts and gather them into blocks."""
        held: list[npt.NDArray[np.int16]] = []
        wanted = int(self.rate_hz * _FIRST_SECONDS)

        def blocks(samples: npt.NDArray[np.int16], least: int) -> Iterator[bytes]:
            nonlocal wanted
            held.append(samples)
            if sum(map(len, held)) < least:
                return
            whole = np.concatenate(held)
            held.clear()
            wanted = int(self.rate_hz * _BLOCK_SECONDS)
            for start in range(0, len(whole), self.rate_hz):
                yield whole[start : start + self.rate_hz].astype("<i2", copy=False).tobytes()

        for from_hz, part in parts:
            if from_hz != resample.from_hz:  # the rate changes on the way: HE-AAC, chained ogg
                held.append(resample.flush())
                resample = Resampler(from_hz, self.rate_hz)
            yield from blocks(resample(part), wanted)
        yield from blocks(resample.flush(), 1)

    def _decoded(self) -> Iterator[bytes]:
        yield from self._regrouped(Resampler(self.recorded_hz or RATE_HZ, self.rate_hz), self._mixed())
        seconds = [missing for missing, _ in self._missing if missing is not None]
        self.missing_seconds = sum(seconds) if len(seconds) == len(self._missing) else None
        if said := [words for _, words in self._missing if words]:
            said.append(f"{self._got_seconds:.1f} s were read. Copy or download it again if you need the rest.")
            self._tell("is not whole: " + "; ".join(said))

    def _mixed(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Decode and mix one recording of the file after another."""
        mix = Mixer(self._tell)
        try:
            while (decoder := self._decoder) is not None:
                for from_hz, channels in decoder.blocks():
                    yield from_hz, mix(channels)
                self._got_seconds += decoder.got_seconds
                self._missing.append(decoder.missing())
                self._decoder = decoder.following()
        except AudioError as error:
            if not self._got_seconds:
                raise
            self._missing.append((None, f"what follows cannot be read ({error.problem})"))

    def _tell(self, sentence: str) -> None:
        """Warn of something, once."""
        if sentence not in self._told:
            self._told.add(sentence)
            warnings.warn(f"The file {self.name} {sentence}", RtnbWarning, stacklevel=2)


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
    return Stream(source, rate_hz=rate_hz, name=name, track=track)
