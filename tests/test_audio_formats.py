"""Clip.read takes whatever a person has. Every file here is made on the spot, and each must give the same tone back."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import warnings
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from rtnb.audio import Clip, open_stream
from rtnb.errors import RtnbWarning

TONE_HZ = 440
SECONDS = 1.5


def tone(rate_hz: int, *, seconds: float = SECONDS, hz: float = TONE_HZ, level: float = 0.4) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def written(container: str, subtype: str | None, rate_hz: int = 24_000, channels: int = 1, endian=None) -> bytes:
    """The tone as a file by libsndfile, which knows nothing of FFmpeg."""
    out = io.BytesIO()
    sound = np.repeat(tone(rate_hz)[:, None], channels, 1)
    soundfile.write(out, sound, rate_hz, format=container, subtype=subtype, endian=endian)
    return out.getvalue()


def encoded(muxer: str, codec: str, rate_hz: int = 48_000, *, layout: str = "mono", video: bool = False, **options):
    """The tone as a file by FFmpeg, with a picture beside it if wanted."""
    out = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115 (some muxers want a real file)
    out.close()
    with av.open(out.name, "w", format=muxer, options=options) as container:
        film = None
        if video:
            film = container.add_stream("mpeg4", rate=10)
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream(codec, rate=rate_hz, layout=layout)
        if codec in ("wmav2", "mp2"):
            track.bit_rate = 64_000
        convert = av.AudioResampler(format=track.codec_context.format, layout=layout, rate=rate_hz)
        sound = np.rint(tone(rate_hz) * 32_767).astype(np.int16)
        # FFmpeg would make stereo of mono 3 dB quieter; both channels are given as they should be.
        given = "stereo" if layout == "stereo" else "mono"
        planes = np.repeat(sound[None], 2 if given == "stereo" else 1, 0)
        frame = av.AudioFrame.from_ndarray(planes, format="s16p", layout=given)
        frame.sample_rate, frame.pts = rate_hz, 0
        if film is not None:
            for _ in range(15):
                container.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
            container.mux(film.encode(None))
        for part in convert.resample(frame):
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    data = Path(out.name).read_bytes()
    Path(out.name).unlink()
    return data


def chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def wav(
    samples: np.ndarray, *, rate_hz=24_000, channels=1, tag=1, size=None, riff=b"RIFF", tail=b"", before=b""
) -> bytes:
    """A wav by hand, so that its header can say what it likes."""
    data = samples.tobytes()
    width = samples.dtype.itemsize
    head = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * channels * width, channels * width, width * 8)
    body = b"WAVE" + before + chunk(b"fmt ", head)
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data + tail
    return riff + struct.pack("<I", len(body) if size is None else 0xFFFF_FFFF) + body


def hears_the_tone(clip: Clip, *, seconds: float = SECONDS, level: float = 0.4, slack: float = 0.08) -> None:
    """The clip is the tone: its length, its pitch, its level, and little else."""
    assert clip.rate_hz == 24_000
    assert abs(clip.seconds - seconds) < slack, clip
    middle = clip.array[4_000:-4_000].astype(float) / 32_768
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 16))
    assert abs(spectrum.argmax() * 24_000 / (1 << 16) - TONE_HZ) < 2
    assert abs(np.sqrt(2 * np.mean(middle**2)) - level) < 0.1 * level
    away = np.abs(np.fft.rfftfreq(1 << 16, 1 / 24_000) - TONE_HZ) > 60
    assert np.sum(spectrum[away] ** 2) < 0.02 * np.sum(spectrum**2)


SNDFILE = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ALAW"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAVEX", "PCM_16"),
    ("WAVEX", "FLOAT"),
    ("RF64", "PCM_16"),
    ("RF64", "PCM_24"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("FLAC", "PCM_S8"),
    ("MP3", None),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("AIFF", "PCM_16"),
    ("AIFF", "PCM_24"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("AU", "ULAW"),
    ("CAF", "PCM_16"),
    ("CAF", "FLOAT"),
    ("CAF", "ALAC_16"),
]


@pytest.mark.parametrize(("container", "subtype"), SNDFILE)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_from_libsndfile(container, subtype, channels):
    hears_the_tone(Clip.read(written(container, subtype, channels=channels)))


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_a_wav_at_any_rate(rate_hz):
    clip = Clip.read(written("WAV", "PCM_16", rate_hz))
    hears_the_tone(clip, slack=0.001)
    assert clip.recorded_hz == rate_hz


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_a_wav_of_either_byte_order(endian):
    hears_the_tone(Clip.read(written("WAV", "PCM_16", endian=endian)))


FFMPEG = [
    ("ipod", "aac", {}),
    ("ipod", "alac", {}),
    ("mp4", "aac", {"movflags": "faststart"}),
    ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ("mp4", "aac", {"video": True}),
    ("mov", "pcm_s16le", {"video": True}),
    ("matroska", "libopus", {"video": True}),
    ("avi", "libmp3lame", {"video": True}),
    ("mpegts", "aac", {"video": True}),
    ("adts", "aac", {}),
    ("webm", "libopus", {}),
    ("webm", "libopus", {"live": "1"}),
    ("matroska", "flac", {}),
    ("asf", "wmav2", {"rate_hz": 44_100, "layout": "stereo"}),
    ("mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
    ("mp2", "mp2", {}),
    ("wav", "g726", {"rate_hz": 8_000}),
]


@pytest.mark.parametrize(("muxer", "codec", "how"), FFMPEG, ids=lambda value: str(value))
def test_a_file_from_ffmpeg(muxer, codec, how):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        data = encoded(muxer, codec, **how)
    if codec == "g726":  # four bits a sample: hear that it is the tone, not how clean it is
        assert abs(Clip.read(data).seconds - SECONDS) < 0.1
    else:
        hears_the_tone(Clip.read(data), slack=0.12)


def test_webm_from_a_browser_has_no_duration_and_is_read_to_its_end():
    stream = open_stream(encoded("webm", "libopus", live="1"))
    assert stream.seconds is None
    assert abs(sum(map(len, stream)) / 48_000 - SECONDS) < 0.05
    assert stream.missing_seconds == 0.0


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000, 0x8000_0000])
def test_a_streamed_wav_whose_header_was_never_corrected(size):
    sound = np.rint(tone(24_000) * 32_767).astype("<i2")
    stream = open_stream(wav(sound, size=size))
    assert stream.seconds is None or abs(stream.seconds - SECONDS) < 0.1
    pcm = b"".join(stream)
    assert pcm == sound.tobytes()


def test_a_wav_whose_header_stopped_counting_is_read_to_its_end():
    sound = np.rint(tone(24_000) * 32_767).astype("<i2")
    assert Clip.read(wav(sound, size=8_000)).pcm == sound.tobytes()


def test_notes_after_the_sound_are_not_taken_for_sound():
    sound = np.rint(tone(24_000) * 32_767).astype("<i2")
    data = wav(sound, tail=chunk(b"LIST", b"INFOISFT\x04\0\0\0me!\0"), before=chunk(b"bext", b"x" * 601))
    assert Clip.read(data).pcm == sound.tobytes()


def test_24_khz_16_bit_mono_comes_through_bit_by_bit():
    noise = np.random.default_rng(3).integers(-32_768, 32_767, 30_000, endpoint=True).astype("<i2")
    assert np.array_equal(Clip.read(wav(noise)).array, noise)
    out = io.BytesIO()
    soundfile.write(out, noise, 24_000, format="FLAC", subtype="PCM_16")
    assert np.array_equal(Clip.read(out.getvalue()).array, noise)


def test_a_tag_with_a_cover_picture_before_an_mp3_is_stepped_over():
    size = 100_000
    tag = b"ID3\x04\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + b"\xff" * size
    hears_the_tone(Clip.read(tag + encoded("mp3", "libmp3lame", id3v2_version="0")), slack=0.12)


def test_zeros_before_an_mp3_are_stepped_over():
    hears_the_tone(Clip.read(b"\0" * 500 + encoded("mp3", "libmp3lame", id3v2_version="0")), slack=0.12)


# -- channels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [2, 6, 8])
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_voice_in_any_one_channel_is_heard(channels, which):
    sound = np.zeros((36_000, channels), np.float32)
    sound[:, 0 if which == "first" else -1] = tone(24_000)
    out = io.BytesIO()
    soundfile.write(out, sound, 24_000, format="WAVEX", subtype="PCM_16")
    with pytest.warns(RtnbWarning, match="few carry the audio") if channels > 2 else contextlib.nullcontext():
        clip = Clip.read(out.getvalue())
    hears_the_tone(clip, level=0.4 if channels > 2 else 0.2)  # one of two is 6 dB quieter, which does no harm


def test_the_channels_of_compressed_surround_are_mixed_too():
    with pytest.warns(RtnbWarning, match="has 6 channels of which few carry the audio"):
        clip = Clip.read(encoded("ipod", "aac", layout="5.1"))
    assert clip.seconds > 1.4
    assert np.abs(clip.array).max() > 1_000


def test_full_scale_in_every_channel_does_not_clip():
    sound = np.repeat(tone(24_000, level=0.99)[:, None], 6, 1)
    out = io.BytesIO()
    soundfile.write(out, sound, 24_000, format="WAVEX", subtype="PCM_16")
    hears_the_tone(Clip.read(out.getvalue()), level=0.99)


def test_channels_that_cancel_each_other_are_told_and_one_of_them_is_taken():
    sound = np.stack([tone(24_000), -tone(24_000)], 1)
    out = io.BytesIO()
    soundfile.write(out, sound, 24_000, format="WAV", subtype="PCM_16")
    with pytest.warns(RtnbWarning, match="cancel"):
        clip = Clip.read(out.getvalue())
    hears_the_tone(clip)


# -- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 48_000, 96_000])
def test_what_24_khz_cannot_carry_is_gone_and_not_folded_back(rate_hz):
    """A loud tone above 12 kHz leaves nothing audible: every alias is at -80 dB or below."""
    for hz in (14_000, 15_500):
        out = io.BytesIO()
        soundfile.write(out, tone(rate_hz, hz=hz, level=0.9), rate_hz, format="WAV", subtype="FLOAT")
        clip = Clip.read(out.getvalue())
        middle = clip.array[2_000:-2_000].astype(float) / 32_768
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) / (len(middle) / 4)
        assert 20 * np.log10(max(spectrum.max() / 0.9, 1e-9)) < -80


@pytest.mark.parametrize("hz", [100, 1_000, 5_000, 10_000])
def test_what_24_khz_can_carry_stays_as_loud_as_it_was(hz):
    clip = Clip.read(written_tone(48_000, hz))
    middle = clip.array[2_000:-2_000].astype(float) / 32_768
    assert abs(20 * np.log10(np.sqrt(2 * np.mean(middle**2)) / 0.4)) < 0.1


def written_tone(rate_hz: int, hz: float) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(rate_hz, hz=hz), rate_hz, format="WAV", subtype="FLOAT")
    return out.getvalue()


def test_blocks_are_resampled_without_a_seam():
    """A clean tone stays clean over every block's edge: a click would show as a jump in its second difference."""
    pcm = np.frombuffer(b"".join(open_stream(written_tone(44_100, 440))), "<i2").astype(float)
    bend = np.abs(np.diff(pcm, 2))[1_000:-1_000]
    assert bend.max() < 1.2 * np.median(np.sort(bend)[-200:])
    assert bend.max() < 0.4 * 32_768 * (2 * np.pi * 440 / 24_000) ** 2 * 1.1


def test_the_own_rate_is_kept_when_asked():
    clip = Clip.read(written("WAV", "PCM_16", 44_100), rate_hz=None)
    assert (clip.rate_hz, clip.recorded_hz, clip.seconds) == (44_100, 44_100, SECONDS)


# -- where it comes from ----------------------------------------------------------------------------------------------


def test_the_content_decides_and_not_the_ending(tmp_path):
    path = tmp_path / "speech.wav"
    path.write_bytes(encoded("ipod", "aac"))
    clip = Clip.read(path)
    hears_the_tone(clip)
    assert repr(clip) == "Clip(speech.wav, 1.5 s)"


def test_paths_bytes_and_file_objects_give_the_same(tmp_path):
    data = written("FLAC", "PCM_16")
    path = tmp_path / "a.flac"
    path.write_bytes(data)
    with path.open("rb") as file:
        file.seek(100)  # somebody has looked at its beginning already
        from_file = Clip.read(file)
        assert not file.closed
    clips = [Clip.read(path), Clip.read(str(path)), Clip.read(data), Clip.read(bytearray(data)), from_file]
    clips += [Clip.read(memoryview(data)), Clip.read(io.BytesIO(data))]
    assert all(clip == clips[0] for clip in clips)
    assert [clip.name for clip in clips[:3]] == ["a.flac", "a.flac", "(bytes)"]
    assert Clip.read(data, name="mine").name == "mine"


def test_a_file_object_that_cannot_go_back_is_read_too():
    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.rest = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, into):
            return self.rest.readinto(into)

    hears_the_tone(Clip.read(io.BufferedReader(Pipe(encoded("ipod", "aac")))))


def test_no_ffmpeg_is_needed_on_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for data in (encoded("ipod", "aac"), encoded("webm", "libopus"), written("MP3", None), written("OGG", "VORBIS")):
        hears_the_tone(Clip.read(data))


def test_a_stdlib_wav(tmp_path):
    path = tmp_path / "stdlib.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(np.repeat((tone(48_000) * 32_767).astype("<i2"), 2).tobytes())
    hears_the_tone(Clip.read(path))


def test_recordings_put_one_behind_the_other_are_all_read():
    """An internet radio's ogg is a chain of ogg streams; two mp3s copied into one file are one mp3."""
    out = io.BytesIO()
    soundfile.write(out, tone(24_000), 24_000, format="OGG", subtype="OPUS")
    hears_the_tone(Clip.read(out.getvalue() * 2), seconds=2 * SECONDS)
    mp3 = encoded("mp3", "libmp3lame", id3v2_version="0", write_xing="0")
    assert Clip.read(mp3 * 2).seconds > 2.9


@pytest.mark.parametrize(("container", "mark", "width"), [("AU", b".snd", 4), ("CAF", b"data", 8)])
def test_a_streamed_au_or_caf_of_unknown_length_is_read_to_its_end(container, mark, width):
    data = bytearray(written(container, "PCM_16"))
    at = data.index(mark) + (8 if container == "AU" else 4)
    data[at : at + width] = b"\xff" * width
    hears_the_tone(Clip.read(bytes(data)), slack=0.001)


def test_floats_that_are_no_numbers_do_not_ruin_the_rest():
    sound = tone(48_000)
    sound[1_000:1_010] = [np.nan, np.inf, -np.inf, np.nan, 9.0, -9.0, 0, 0, 0, 0]
    clip = Clip.read(wav(sound.astype("<f4"), rate_hz=48_000, tag=3))
    hears_the_tone(clip[0.1:], seconds=SECONDS - 0.1)
