"""Decode any recording, a block at a time, to what a Realtime model takes: 16-bit mono at one rate.

One path for every format and length: the file is recognised by its content (`formats`), decoded by the FFmpeg that
PyAV carries (nothing on PATH is used), mixed down, resampled band-limited by soxr. `Clip.read` joins the blocks;
a session sends them as they come.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

import numpy as np

from rtnb.audio.formats import Shape, shape_of, wav_header
from rtnb.audio.pcm import RATE_HZ
from rtnb.audio.resample import Resampler, channels_of, check_rate, finite, is_rate, to_float
from rtnb.audio.source import Source, fail, open_source, recognise, words_of
from rtnb.errors import RtnbWarning

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
        missing_seconds: How much had been cut off the end, known once the iteration ends; 0.0 where nothing is
            missing, None where the end is missing and nothing says how much.
    """

    _container: Any = None
    _file: BinaryIO | None = None
    _got_seconds = 0.0
    _bad_packets = 0
    _last_error = ""
    _only: int | None = None  # the one channel to use where all together cancel

    def __init__(self, source: Source | Sampled, *, rate_hz: int | None = RATE_HZ, name: str | None = None) -> None:
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
        try:
            self._probe(rate_hz)
        except BaseException:
            self.close()
            raise
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
        container, self._container = self._container, None
        file, self._file = self._file, None
        if container is not None:
            with suppress(Exception):
                container.close()
        if file is not None and self._owned:
            file.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _probe(self, rate_hz: int | None) -> None:
        assert self._file is not None
        demuxer = recognise(self._file, self.name)
        self._shape: Shape = shape_of(self._file, demuxer)
        if demuxer == "rifx":
            self._probe_rifx(rate_hz)
            return
        self._open(demuxer, self._options(self._file, demuxer))
        self._choose_track()
        if demuxer == "wav" or self.recorded_hz:
            self._check_rate(self.recorded_hz)
        self.rate_hz = rate_hz or self.recorded_hz or RATE_HZ
        self.seconds = self._declared()

    def _options(self, file: BinaryIO, demuxer: str) -> dict[str, str]:
        """Return FFmpeg's options for a container."""
        if demuxer in ("mpegts", "mpeg", "flv", "avi", "asf"):
            return {"probesize": "2000000", "analyzeduration": "2000000"}  # no header: streams show up as they come
        options = {"probesize": "16384", "analyzeduration": "0"}
        if demuxer == "wav":
            wav = wav_header(file)
            if wav.rate_hz is None or wav.present_bytes == 0:
                raise fail(self.name, "it ends before any sound" if wav.rate_hz else "it ends within its header")
            if not 0 < (wav.channels or 0) <= 64:
                raise fail(self.name, f"its header says {wav.channels} channels")
            self._check_rate(wav.rate_hz)
            if wav.length_is_wrong:
                options["ignore_length"] = "1"
            options["max_size"] = "32768"  # larger packets than the default 4 kB: a third less work
        return options

    def _open(self, demuxer: str, options: dict[str, str]) -> None:
        import av

        assert self._file is not None
        self._file.seek(0)
        try:
            # Before 19, PyAV raised on a tag that is not UTF-8 unless asked not to; 19 keeps it and has no such option.
            lenient: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
            self._container = av.open(self._file, "r", format=demuxer, options=options, **lenient)
        except Exception as error:
            broken = f"it begins like a {demuxer} file but is damaged or cut off ({words_of(error)})"
            raise fail(self.name, self._shape.fault or broken) from error

    def _choose_track(self) -> None:
        streams = self._container.streams
        if not streams.audio:
            raise fail(self.name, self._shape.fault or "there is no sound in it")
        self._track = (streams.best("audio") if hasattr(streams, "best") else None) or streams.audio[0]
        if (context := self._track.codec_context) is None:
            raise fail(self.name, "its kind of compression is unknown")
        with suppress(Exception):
            context.thread_count = 1
        with suppress(Exception):
            for other in streams:
                if other.index != self._track.index:
                    other.discard = "all"
        self.recorded_hz = int(context.sample_rate or 0)
        self.channels = int(getattr(context, "channels", 0) or 0)

    def _check_rate(self, rate_hz: int) -> None:
        if not is_rate(rate_hz):
            raise fail(self.name, f"its header says {rate_hz} samples per second")

    def _probe_rifx(self, rate_hz: int | None) -> None:
        """Open a big-endian wav, whose samples FFmpeg takes for little-endian ones, with libsndfile."""
        import soundfile

        assert self._file is not None
        self._file.seek(0)
        try:
            self._container = soundfile.SoundFile(self._file)
        except soundfile.LibsndfileError as error:
            raise fail(self.name, f"it begins like a wav file but is damaged ({words_of(error)})") from error
        self.recorded_hz, self.channels = self._container.samplerate, self._container.channels
        self._check_rate(self.recorded_hz)
        self.rate_hz = rate_hz or self.recorded_hz
        self.seconds = self._container.frames / self.recorded_hz
        self._frames = self._rifx_frames  # type: ignore[method-assign]

    def _rifx_frames(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        while len(part := self._container.read(self.recorded_hz // 10, dtype="float32", always_2d=True)):
            self._got_seconds += len(part) / self.recorded_hz
            yield self.recorded_hz, self._mix([finite(part.T)])
        if not self._got_seconds:
            raise fail(self.name, "there is no sound in it")

    def _declared(self) -> float | None:
        """Return the duration that the file states. None where it states none, or one that cannot be."""
        track, seconds = self._track, (self._container.duration or 0) / 1_000_000
        if track.duration and track.time_base:
            seconds = float(track.duration * track.time_base)
        return seconds if 0 < seconds < 400_000 else None

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
        yield from self._regrouped(Resampler(self.recorded_hz or RATE_HZ, self.rate_hz), self._frames())
        self._warn(self._got_seconds, self._bad_packets, self._last_error)

    def _frames(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        import av

        foreign = (av.FFmpegError, ValueError, EOFError)
        packets = iter(self._container.demux(self._track))
        held: list[npt.NDArray[np.float32]] = []
        held_hz, count = 0, 0
        while self._container is not None:
            packet = None
            try:
                if (packet := next(packets, None)) is None:
                    break
                frames = packet.decode()
            except foreign as error:
                if packet is None or packet.size:  # the empty last packet only flushes
                    self._bad_packets, self._last_error = self._bad_packets + 1, words_of(error)
                if packet is None:
                    break
                continue
            for frame in filter(attrgetter("samples"), frames):
                rate_hz, channels = frame.sample_rate, channels_of(frame)
                self._check_rate(rate_hz)
                self._got_seconds += frame.samples / rate_hz
                # Frames are as short as 20 ms; mixing and resampling cost least on a tenth of a second at once.
                full = count >= held_hz * _FIRST_SECONDS
                if held and (full or rate_hz != held_hz or len(channels) != len(held[0])):
                    yield held_hz, self._mix(held)
                    held, count = [], 0
                held.append(channels)
                held_hz, count = rate_hz, count + frame.samples
        if held:
            yield held_hz, self._mix(held)
        if not self._got_seconds:
            damaged = f"its sound is damaged: {self._last_error}" if self._last_error else "there is no sound in it"
            raise fail(self.name, self._shape.fault or damaged)

    def _mix(self, parts: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Average the channels, which can neither lose one nor clip: shapes `(channels, n)` to one of `(n,)`."""
        channels = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        if len(channels) == 1:
            return channels[0]
        if self._only is None:
            share = np.full(len(channels), 1 / len(channels), np.float32)
            products = channels @ channels.T / channels.shape[1]
            power = products.diagonal()
            if share @ products @ share > 1e-4 * power.mean() or power.mean() < 1e-6:
                return share @ channels
            # One channel is the other upside down, as a wrongly wired microphone records it: together they are
            # silence, and a model would be sent nothing.
            self._only = int(power.argmax())
            only = f"so only channel {self._only + 1} is used. Record in mono to be sure."
            sentence = f"The file {self.name} has channels that cancel each other, {only}"
            warnings.warn(sentence, RtnbWarning, stacklevel=2)
        return channels[min(self._only, len(channels) - 1)]

    def _warn(self, got: float, bad: int, words: str) -> None:
        """Warn of what is missing, now that all there is has been decoded."""
        shape, declared = self._shape, self.seconds
        missing: float | None = 0.0
        if shape.missing is not None:
            missing = got * shape.missing / (1 - shape.missing) if shape.missing < 1 else 0.0
        elif shape.certain_end and declared:
            missing = declared - got
        elif shape.fault:
            missing = None
        if missing is not None and missing < max(0.1, 0.002 * got):
            missing = 0.0
        self.missing_seconds = missing
        if missing is None:
            said = f"{shape.fault}, and nothing says how much; {got:.1f} s were read"
        elif missing:
            said = f"the last {missing:.1f} of {got + missing:.1f} s are missing; {got:.1f} s were read"
        elif bad:
            said = f"{bad} damaged piece{'s' * (bad > 1)} had to be left out ({words}); {got:.1f} s were read"
        else:
            return
        sentence = f"The file {self.name} is not whole: {said}. Copy or download it again if you need the rest."
        warnings.warn(sentence, RtnbWarning, stacklevel=2)


def open_stream(source: Source | Sampled, *, rate_hz: int = RATE_HZ, name: str | None = None) -> Stream:
    """Open a recording of any length for reading a block at a time.

    Args:
        source: A path, the bytes of a file, a binary file object (read from its beginning), or a `Clip`.
        rate_hz: Samples per second of the blocks, 1,000–768,000.
        name: What to call it in messages. None takes the file's name.

    Returns:
        A `Stream`: an iterator of PCM blocks with `.seconds`, `.name` and `.close()`.

    Raises:
        AudioError: The source cannot be read as audio; at once or on the first `next()`.
    """
    return Stream(source, rate_hz=rate_hz, name=name)
