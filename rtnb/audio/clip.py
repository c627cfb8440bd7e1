"""`Clip`: a piece of audio as a value. Read it from anything, cut it, join it, save it, hear it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtnb import html
from rtnb.audio.check import Check, check
from rtnb.audio.download import download
from rtnb.audio.encode import encode, kind_of
from rtnb.audio.given import Samples, flat
from rtnb.audio.mix import mix_array
from rtnb.audio.pcm import BYTES_PER_SAMPLE, RATE_HZ
from rtnb.audio.resample import check_rate, finite, resampled, scale_of, to_float, to_int16
from rtnb.audio.source import Source, bare_samples, refuse_file
from rtnb.audio.stream import Sampled, open_stream
from rtnb.errors import AudioError, InputError, RtnbWarning
from rtnb.texts.arguments import checks_call
from rtnb.texts.files import save_file
from rtnb.texts.language import say


@checks_call
@dataclass(frozen=True, eq=False, repr=False)
class Clip(Sampled):
    """Piece of audio: 16-bit mono samples at one rate.

    Make one with `Clip.read`, `Clip.from_pcm`, `Clip.from_array` or `Clip.silence`. A clip never changes; every
    operation returns a new one.

    Attributes:
        array: The samples, `int16`, shape `(n,)`, read-only.
        rate_hz: Samples per second, 1,000–768,000.
        name: What to call it, usually the file's name.
        recorded_hz: Samples per second of the recording it was read from. None where that is not known.

    Examples:
        >>> question = rtnb.samples()["question"]
        >>> question + rtnb.Clip.silence(0.5)
        Clip(question, 2.4 s)
        >>> question[0.25:0.75].seconds
        0.5
    """

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray) or self.array.dtype != np.int16 or self.array.ndim != 1:
            raise InputError("Your array is not int16 of shape (n,). Use Clip.from_array(array, rate_hz=…).")
        view = self.array.view()
        view.flags.writeable = False
        object.__setattr__(self, "array", view)
        object.__setattr__(self, "rate_hz", check_rate(self.rate_hz))

    # -- making one -----------------------------------------------------------------------------------------------

    @classmethod
    def read(
        cls, source: Source | Any, *, name: str | None = None, rate_hz: int | None = RATE_HZ, track: int | None = None
    ) -> Clip:
        """Read a recording of any common kind; its content decides, not the ending of its name.

        wav of every kind, flac, mp3, ogg, opus, m4a, aac, webm, mp4 and other video with sound, aiff, au, caf, wma
        and amr are read without ffmpeg being installed. Channels are averaged. Resampling is band-limited.

        Args:
            source: A path (also as `file://…`), the bytes of a file, a data URI, or a binary file object (read from
                its beginning and left open). Samples with their rate: `(rate, array)` or `(array, rate)`, a
                `pydub.AudioSegment`, an `IPython.display.Audio`, a dict of Hugging Face (`{"array", "sampling_rate"}`).
                One uploaded file: as Colab's `files.upload()`, `ipywidgets` and `marimo` return it.
            name: What to call it. None takes the file's name.
            rate_hz: Samples per second of the clip. None keeps the recording's own.
            track: Which audio track to take of several, counted from 0. None takes the first that is not silent.

        Returns:
            The clip; of recordings joined in one file, all of them. What is missing or cannot be certain (an end that
            is cut off, the choice of a track, channels that cancel each other, samples out of range) an `RtnbWarning`
            says.

        Raises:
            AudioError: The source is missing, empty, damaged or no audio; the message says which, and what can be
                read.
        """
        if len(parts := list(flat(source))) != 1:
            several = f"Your {type(source).__name__} holds {len(parts)} recordings. Read them one by one."
            raise AudioError(several, name=name or "", problem="not one recording")
        source, its_name = parts[0]
        if isinstance(source, Samples):
            source = cls.from_array(source.array, rate_hz=check_rate(source.rate_hz), name=name)
        if isinstance(source, Clip):
            return source if rate_hz in (None, source.rate_hz) else source.resample(rate_hz or RATE_HZ)
        with open_stream(source, rate_hz=rate_hz, name=name or its_name, track=track) as stream:  # type: ignore[arg-type]
            array = np.frombuffer(b"".join(stream), "<i2").astype(np.int16, copy=False)
            return cls(array, stream.rate_hz, stream.name, stream.recorded_hz or None)

    @classmethod
    def from_pcm(
        cls, pcm: bytes | bytearray | memoryview, *, rate_hz: int, channels: int = 1, name: str | None = None
    ) -> Clip:
        """Take headerless samples: signed 16-bit little-endian, as the Realtime API sends and takes them.

        Args:
            pcm: The samples; channels interleaved. A last half sample is dropped.
            rate_hz: Samples per second and channel, 1,000–768,000. Bare samples do not say, so you must.
            channels: How many channels are interleaved, 1–64; they are averaged.
            name: What to call it. None means "clip".

        Raises:
            AudioError: The bytes are a whole file with a header, samples of another type (floats, 32 bits) or no
                bytes, or `rate_hz` or `channels` makes no sense.
        """
        if not 1 <= channels <= 64:
            raise AudioError(f"Your channels={channels} cannot be. Give 1 or 2.", problem="channels")
        if (data := bare_samples(pcm, channels)) is None:
            raise _not_sound(f"it is a {type(pcm).__name__}, and pcm means bytes of 16-bit samples")
        array = np.frombuffer(data, "<i2", len(data) // 2 // channels * channels).astype(np.int16, copy=False)
        if channels > 1:
            array = to_int16(mix_array(to_float(array.reshape(-1, channels).T), check_rate(rate_hz)))
        return cls(array, rate_hz, name or "clip")

    @classmethod
    def from_array(cls, array: npt.ArrayLike, *, rate_hz: int, name: str | None = None) -> Clip:
        """Take samples from an array.

        Args:
            array: Shape `(n,)`, `(n, channels)` or `(channels, n)` (the shorter side is the channels, which are
                averaged). Floats in [-1.0, 1.0] (a little beyond is clipped), or `int16`, `int32`, `uint8` over their
                whole range; of either byte order.
            rate_hz: Samples per second, 1,000–768,000.
            name: What to call it. None means "clip".

        Raises:
            AudioError: The array has another type or shape, or its floats are not in [-1.0, 1.0].
        """
        try:
            given = np.asarray(array)
            given = (given if given.size else given.ravel()).astype(given.dtype.newbyteorder("="), copy=False)
        except (TypeError, ValueError) as error:
            raise _not_sound(f"it is a {type(array).__name__} that makes no array") from error
        if given.ndim == 2:
            given = given.T if given.shape[0] > given.shape[1] else given
            if given.shape[0] > 64:
                raise _not_sound(f"its shape {np.shape(array)} would mean {given.shape[0]} channels")
        elif given.ndim != 1:
            raise _not_sound(f"its shape is {given.shape}")
        if given.dtype in (np.int16, np.uint8):
            refuse_file(given.ravel()[:16_384].tobytes(), name or "clip")
        if given.dtype == np.int16 and given.ndim == 1:
            return cls(given.copy(), rate_hz, name or "clip")
        if given.dtype in (np.int16, np.int32, np.uint8):
            half = 2.0 ** (np.iinfo(given.dtype).bits - 1)
            floats = given / half - (1.0 if given.dtype == np.uint8 else 0.0)  # which swings around the middle
            if given.dtype == np.int32 and (scale := scale_of(given)) != 1:
                sentence = f"Your array is int32 but holds {32 - np.log2(scale):.0f}-bit numbers: it is made louder."
                warnings.warn(sentence, RtnbWarning, stacklevel=2)
                floats *= scale
        elif given.dtype.kind == "f":
            floats = finite(given.astype(np.float64))
            if (peak := float(np.abs(floats).max(initial=0.0))) > 4:
                raise _not_sound(f"it has floats up to {peak:.6g}, and they mean -1.0 to 1.0 (divide, or pass int16)")
        else:
            raise _not_sound(f"its type is {given.dtype}")
        return cls(to_int16(mix_array(np.atleast_2d(floats), check_rate(rate_hz))), rate_hz, name or "clip")

    @classmethod
    def silence(cls, seconds: float, *, rate_hz: int = RATE_HZ) -> Clip:
        """Make a pause of `seconds` (0 to 86,400)."""
        if not 0 <= seconds <= 86_400:
            raise InputError(f"Your seconds={seconds} is no length. Give 0 to 86,400, which is a day.")
        return cls(np.zeros(round(seconds * check_rate(rate_hz)), np.int16), rate_hz, "silence")

    # -- looking at it --------------------------------------------------------------------------------------------

    @property
    def pcm(self) -> bytes:
        """Samples as signed 16-bit little-endian bytes, as the Realtime API takes them at 24 kHz."""
        return self.array.astype("<i2", copy=False).tobytes()

    def __len__(self) -> int:
        return len(self.array)

    __iter__ = None  # `for x in clip` would mean seconds by the look of clip[1.5:3.0] and samples by len(clip)

    def __repr__(self) -> str:
        return f"Clip({self.name}, {self.seconds:.1f} s)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Clip):
            return NotImplemented
        return self.rate_hz == other.rate_hz and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.rate_hz, len(self.array), self.array[:256].tobytes()))

    def _repr_html_(self) -> str:
        return self.player() if len(self) else html.notice(f"{self.name}: an empty clip, 0 s", "info")

    def player(self, label: str | None = None, *, compact: bool = False) -> str:
        """Return a player as HTML, with the audio in it; of more than five minutes, with the first one.

        Args:
            label: What it says that it plays. None means the clip's name.
            compact: Whether it is one line, for places with many.
        """
        label, shown, note = label or self.name, self, ""
        if self.seconds > 300:  # an hour takes 15 s to compress and 11 MB of a notebook
            shown, compact = self[:60], False
            note = say("Only its first minute is here. clip[60:120] is the next one; clip.save(…) writes all of it.")
        sound, peaks = shown.encode("opus"), shown.peaks()
        return html.player(sound, peaks, self.seconds, label, compact=compact, note=note)

    def check(self) -> Check:
        """Say what the model will hear: level, clipping, silence, length, a rate that looks wrong."""
        return check(self)

    # -- making another from it -----------------------------------------------------------------------------------

    def resample(self, rate_hz: int) -> Clip:
        """Return the same audio at another rate, band-limited (aliases below -98 dB).

        Args:
            rate_hz: Samples per second, 1,000–768,000.
        """
        if check_rate(rate_hz) == self.rate_hz:
            return self
        array = np.concatenate(list(resampled(self.array, self.rate_hz, rate_hz)))
        return Clip(array, rate_hz, self.name, self.recorded_hz or self.rate_hz)

    def __getitem__(self, key: slice) -> Clip:
        edges = (key.start, key.stop, 0) if isinstance(key, slice) and key.step is None else ()
        if not edges or not all(edge is None or (isinstance(edge, Real) and edge - edge == 0) for edge in edges):
            raise InputError("Your index is not a stretch of time. Slice a clip in seconds: clip[1.5:3.0].")
        at = slice(*(None if edge is None else round(edge * self.rate_hz) for edge in (key.start, key.stop)))
        return Clip(self.array[at], self.rate_hz, self.name, self.recorded_hz)

    def __add__(self, other: Clip) -> Clip:
        return join([self, other]) if isinstance(other, Clip) else NotImplemented

    # -- giving it away -------------------------------------------------------------------------------------------

    def encode(self, format: str = "opus") -> bytes:
        """Encode the clip as the bytes of a file.

        Args:
            format: "opus" (ogg with Opus at 22 kbit/s: one minute is 170 kB), "wav", "flac", "mp3", "ogg" (the same
                as "opus"), "m4a", "aac", "webm", "aiff", "au" or "caf".

        Raises:
            AudioError: `format` is another.
        """
        return encode(self.array, self.rate_hz, kind_of(format))

    def save(self, path: str | Path) -> Path:
        """Write the clip to a file, in the format its ending names.

        Args:
            path: Where to. Folders on the way are made. The ending is one of .wav, .flac, .mp3, .ogg, .oga, .opus,
                .m4a, .mp4, .aac, .webm, .aiff, .aif, .au, .caf.

        Returns:
            The path written.

        Raises:
            AudioError: The ending names no format, or the place cannot be written to.
        """
        target = Path(path).expanduser()
        data = self.encode(kind_of(target.suffix))
        try:
            return save_file(target, data)
        except InputError as error:
            raise AudioError(str(error), name=str(target), problem=error.problem) from None

    def download(self, name: str | None = None) -> None:
        """Offer the clip as a download: Colab's own in Colab, the browser's elsewhere.

        Args:
            name: The file's name, whose ending decides the format. None means the clip's name with `.mp3`: it plays
                everywhere, and the notebook, which stores what it offers, stays small.

        Raises:
            AudioError: The ending names no format.
        """
        name = Path(name or f"{Path(self.name).stem or 'clip'}.mp3").name
        download(self.encode(kind_of(Path(name).suffix)), name)

    def to_pydub(self) -> Any:
        """Return the clip as a `pydub.AudioSegment`."""
        with warnings.catch_warnings():
            # pydub warns on import that ffmpeg is missing, which nothing here needs, and of its own old syntax.
            warnings.simplefilter("ignore")
            from pydub import AudioSegment

        return AudioSegment(data=self.pcm, sample_width=BYTES_PER_SAMPLE, frame_rate=self.rate_hz, channels=1)


def from_wire(pcm: bytes, name: str) -> Clip:
    """Take samples known to be what the Realtime API sends: nothing about them is guessed or checked.

    Args:
        pcm: Signed 16-bit little-endian mono at 24 kHz; a last half sample is dropped.
        name: What to call it.
    """
    return Clip(np.frombuffer(pcm, "<i2", len(pcm) // BYTES_PER_SAMPLE).astype(np.int16, copy=False), RATE_HZ, name)


def _not_sound(problem: str) -> AudioError:
    remedy = "Give floats from -1.0 to 1.0 or int16, with shape (n,) or (n, channels)."
    return AudioError(f"Your array is no sound: {problem}. {remedy}", name="array", problem=problem)


@checks_call
def join(clips: Iterable[Clip], *, gap_seconds: float = 0.0, name: str | None = None) -> Clip:
    """Put clips one after another.

    Args:
        clips: At least one. Clips at another rate than the first are resampled to the first one's.
        gap_seconds: Silence between two clips, 0 to 86,400.
        name: What to call the result. None takes the first clip's name.

    Raises:
        InputError: There is no clip, one is no `Clip`, or the gap is negative.

    Examples:
        >>> rtnb.join(rtnb.samples().dialogue, gap_seconds=0.5, name="talk")
        Clip(talk, ... s)
    """
    all_clips = list(clips)
    if not all_clips or not all(isinstance(clip, Clip) for clip in all_clips):
        raise InputError("Your list to join is empty or holds something that is no Clip. Give clips: join([a, b]).")
    first = all_clips[0]
    gap = Clip.silence(gap_seconds, rate_hz=first.rate_hz).array
    parts = [first.array]
    for clip in all_clips[1:]:
        parts += [gap, clip.resample(first.rate_hz).array]
    return Clip(np.concatenate(parts), first.rate_hz, name or first.name, first.recorded_hz)
