"""Decode one recording: its container opened, one of its audio tracks chosen, its frames as float samples."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from rtnb.audio.formats import FRAMES, joint_after
from rtnb.audio.part import Part
from rtnb.audio.resample import channels_of, is_rate, scale_of
from rtnb.audio.shape import last_granule, shape_of, wav_header
from rtnb.audio.source import fail, recognise, words_of

Block = tuple[int, npt.NDArray[np.float32]]
"""A sample rate and samples of shape `(channels, n)`, or `(n,)` where they are mixed."""


class Decoder:
    """Decoder of one recording.

    Attributes:
        part: The recording itself.
        seconds: How long it says it is; an estimate. None where it does not say.
        rate_hz: Samples per second as its header says; 0 where it does not.
        channels: How many channels it has.
        got_seconds: How much has been decoded.
    """

    _container: Any = None
    _scale = 1.0

    def __init__(self, part: Part, name: str, tell: Callable[[str], None], track: int | None = None) -> None:
        """Open a recording.

        Args:
            part: The recording.
            name: What to call it in errors.
            tell: Takes what must be known of it, to follow on its name.
            track: Which of its audio tracks to decode, counted from 0. None takes the first that is not silent.

        Raises:
            AudioError: It cannot be read.
        """
        self.part, self._name, self._tell, self._number = part, name, tell, track
        self.got_seconds, self._lost_seconds = 0.0, 0.0
        self._bad_packets, self._no_frames, self._ends_badly, self._last_error = 0, 0, False, ""
        self._demuxer = recognise(part, name)
        self._shape = shape_of(part, self._demuxer)
        if self._shape.ends_in(part):
            part.end_at(self._shape.end)
        else:
            part.look_for_next(self._demuxer, joint_after(part, self._demuxer))
        headless = self._demuxer in ("mpegts", "mpeg", "flv", "avi", "asf")  # streams show up as they come
        probe, analyze = ("2000000", "2000000") if headless else ("16384", "0")
        self._options = {"probesize": probe, "analyzeduration": analyze}
        if self._demuxer in ("wav", "rifx"):
            self._compose_wav()
        self._choose_track()
        context = self._track.codec_context
        self.rate_hz, self.channels = int(context.sample_rate or 0), int(getattr(context, "channels", 0) or 0)
        self._check_header(self.rate_hz or 1_000, self.channels or 1)
        if context.name.startswith(("pcm_f", "pcm_s32")):
            self._survey("int32" if "s32" in context.name else "float32")
        of_track = float(self._track.duration * self._track.time_base) if self._track.duration else 0.0
        seconds = self._shape.seconds or of_track or (self._container.duration or 0) / 1_000_000
        self.seconds = seconds if 0 < seconds < 400_000 else None

    def close(self) -> None:
        """Let go of the container. Closing twice does nothing."""
        container, self._container = self._container, None
        with suppress(Exception):
            container.close()

    def _compose_wav(self) -> None:
        """Put a header before the audio that FFmpeg reads."""
        wav = wav_header(self.part)
        if not wav.form or not wav.present_bytes:
            raise fail(self._name, "it ends before any sound" if wav.form else "it ends within its header")
        _, channels, rate_hz, *_ = wav.numbers
        self._check_header(rate_hz, channels)
        self._demuxer, head = wav.plain()
        self.part.compose(head, wav.stretches)
        self._options["max_size"] = "32768"  # larger packets than the default 4 kB: a third less work
        if wav.streamed and self._demuxer == "wav":
            self._options |= {"ignore_length": "1"}
        if wav.streamed or self._shape.missing:  # a wav may hold the frames of an mp3
            self.part.look_for_next("mp3" if wav.numbers[0] in (0x50, 0x55) else self._demuxer, len(head) + 1)

    def _tracks(self) -> list[Any]:
        """Open the container, anew where it is open, and return its audio tracks that can be decoded."""
        import av

        self.close()
        self.part.seek(0)
        try:
            # Before 19, PyAV raised on a tag that is not UTF-8 unless asked not to; 19 keeps it and has no such option.
            lenient: Any = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
            self._container = av.open(self.part, "r", format=self._demuxer, options=dict(self._options), **lenient)
        except Exception as error:
            broken = f"it begins like a {self._demuxer} file but is damaged or cut off ({words_of(error)})"
            raise fail(self._name, self._shape.fault or broken) from error
        if not self._container.streams.audio:
            raise fail(self._name, self._shape.fault or "there is no sound in it")
        if tracks := [track for track in self._container.streams.audio if track.codec_context is not None]:
            return tracks
        raise fail(self._name, "its kind of compression is unknown")

    def _choose_track(self) -> None:
        tracks, number = self._tracks(), self._number
        if number is None and (count := len(tracks)) > 1:
            number = next(filter(self._has_sound, range(count)), 0)
            self._tell(f"has {count} audio tracks, of which track={number} is read, counted from 0.")
            tracks = self._tracks()
        if not 0 <= (number or 0) < len(tracks):
            has = f"its audio tracks, counted from 0, end with track={len(tracks) - 1}"
            raise fail(self._name, has, f"There is no track={number}: give another, or leave it out.")
        self._track, self._streams = tracks[number or 0], len(self._container.streams)
        with suppress(Exception):
            self._track.codec_context.thread_count = 1
            for other in self._container.streams:
                if other.index != self._track.index:
                    other.discard = "all"

    def _has_sound(self, number: int) -> bool:
        """Decode a track until it is not silent."""
        import av

        with suppress(av.FFmpegError, ValueError, EOFError, IndexError):
            track = self._tracks()[number]
            frames = self._container.decode(track)
            return any(np.abs(channels_of(frame)).max(initial=0.0) > 1e-3 for frame in frames)  # -60 dBFS
        return False

    def _survey(self, kind: str) -> None:
        """Look at samples from all over the recording: whether they are in the range that their type means."""
        import soundfile

        before = self.part.tell()
        self.part.seek(0)
        with suppress(soundfile.LibsndfileError), soundfile.SoundFile(self.part) as file:
            starts = range(0, file.frames, max(file.frames // 32, 4096))
            spots = [file.read(4096, dtype=kind).ravel() for start in starts if file.seek(start) == start]
            self._scale = scale_of(np.concatenate(spots))
        self.part.seek(before)  # where FFmpeg believes it is
        if self._scale != 1:
            self._tell(
                f"has samples of another range than their type means: multiplied by {self._scale:.3g}. Check it."
            )

    def _check_header(self, rate_hz: int, channels: int = 1) -> None:
        if not 0 < channels <= 64:
            raise fail(self._name, f"its header says {channels} channels")
        if not is_rate(rate_hz):
            raise fail(self._name, f"its header says {rate_hz} samples per second")

    def blocks(self) -> Iterator[Block]:
        """Decode it in blocks of about a tenth of a second.

        Raises:
            AudioError: There is no audio in it.
        """
        held: list[npt.NDArray[np.float32]] = []
        held_hz, count = 0, 0
        for rate_hz, channels in chain(self._frames(), [(0, np.zeros((0, 0), np.float32))]):
            # Frames are as short as 20 ms; mixing and resampling cost least on a tenth of a second at once.
            if held and (count >= held_hz * 0.1 or rate_hz != held_hz or len(channels) != len(held[0])):
                yield held_hz, np.concatenate(held, axis=1) if held[1:] else held[0]
                held, count = [], 0
            held.append(channels)
            held_hz, count = rate_hz, count + channels.shape[1]
        if not self.got_seconds:
            damaged = f"its sound is damaged: {self._last_error}" if self._last_error else "there is no sound in it"
            raise fail(self._name, self._shape.fault or damaged)

    def _frames(self) -> Iterator[Block]:
        import av

        packets = iter(self._container.demux(self._track))
        per_second = float(1 / self._track.time_base) if self._demuxer == "ogg" else 0.0
        self._due, last = 0.0, None
        while self._container is not None:
            packet: Any = None
            try:
                if (packet := next(packets, None)) is None:
                    break
                last = packet if packet.size else last
                frames = packet.decode()
            except (av.FFmpegError, ValueError, EOFError, IndexError) as error:
                if packet is None or packet.size:  # the empty last packet only flushes
                    yield from self._left_out(packet, words_of(error))
                if packet is None:
                    break
                continue
            for frame in filter(attrgetter("samples"), frames):
                rate_hz, channels = frame.sample_rate, channels_of(frame)
                self._check_header(rate_hz)
                self._bad_packets, self._no_frames, self._ends_badly = self._bad_packets + self._no_frames, 0, False
                self.got_seconds += frame.samples / rate_hz
                if per_second and frame.pts is not None:  # a page that is damaged is left out without a word
                    self._lose((frame.pts - self._due) / per_second)
                    self._due = frame.pts + frame.samples * per_second / rate_hz
                yield rate_hz, channels if self._scale == 1 else channels * np.float32(self._scale)
        if per_second and self._streams == 1:
            self._lose((last_granule(self.part) - self._due) / per_second)
        if last is not None and self._demuxer in FRAMES:
            self._ends_badly = FRAMES[self._demuxer](bytes(last), 0) > last.size

    def _lose(self, gap_seconds: float) -> None:
        # A longer gap between the times of two frames is not taken for damage: a live stream's clock was set.
        if 0.1 < gap_seconds < 600:
            self._lost_seconds += gap_seconds

    def _left_out(self, packet: Any, error: str) -> Iterator[Block]:
        """Count a packet that cannot be decoded, or yield the silence that it stands for in AMR."""
        context = self._track.codec_context
        if packet is not None and context.name.startswith("amr") and bytes(packet)[0] >> 3 & 15 >= 8:
            samples = round((packet.duration or 0) * (packet.time_base or 0) * context.sample_rate)
            samples = min(samples or context.sample_rate // 50, context.sample_rate)
            self.got_seconds += samples / context.sample_rate
            yield context.sample_rate, np.zeros((self.channels or 1, samples), np.float32)
        elif packet is not None and self._demuxer in FRAMES:  # what stands behind the frames of an mp3 may be a tag
            self._no_frames, self._last_error = self._no_frames + 1, error
        else:
            self._bad_packets, self._last_error, self._ends_badly = self._bad_packets + 1, error, True

    def missing(self) -> tuple[float | None, str]:
        """Return how many seconds are missing, now that it is decoded, and what is wrong, in a few words.

        The seconds are None where the end is missing and nothing says how much; the words are "" where it is whole.
        """
        got, missing = self.got_seconds, self._lost_seconds
        shape = shape_of(self.part, self._demuxer)  # only now it is known where it ends, if another recording follows
        # Beside a picture, the duration may be the picture's.
        certain_end = shape.certain_end or (self._demuxer == "matroska" and self._streams == 1)
        if shape.missing is not None:
            missing = got * shape.missing
        elif certain_end and self.seconds:
            missing = self.seconds - got
        elif shape.fault or self._ends_badly:
            return None, f"{shape.fault or 'its end is damaged'}, and nothing says how much"
        if missing >= max(0.1, 0.002 * got):
            lost = f"{missing:.1f} of {got + missing:.1f} s are missing"
            return missing, lost if missing < 2 * self._lost_seconds else f"the last {lost}"
        bad = self._bad_packets
        pieces = "1 damaged piece" if bad == 1 else f"{bad} damaged pieces"
        return 0.0, f"{pieces} had to be left out ({self._last_error})" * bool(bad)
