"""Channels that cancel each other, and samples of another range or kind than they should be: mended and told."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
import soundfile
from test_audio_formats import chunk, encoded, hears_the_tone, tone, wav, written

import rtnb
from rtnb.audio import Clip, open_stream
from rtnb.errors import AudioError, RtnbWarning

RATE_HZ = 24_000


def as_file(sound: np.ndarray, subtype: str = "PCM_16", container: str = "WAV", endian: str | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, sound.T, RATE_HZ, format=container, subtype=subtype, endian=endian)
    return out.getvalue()


def from_file(sound: np.ndarray) -> Clip:
    return Clip.read(as_file(sound))


def from_array(sound: np.ndarray) -> Clip:
    return Clip.from_array(sound, rate_hz=RATE_HZ)


def from_pcm(sound: np.ndarray) -> Clip:
    return Clip.from_pcm(np.rint(sound.T * 32_767).astype("<i2").tobytes(), rate_hz=RATE_HZ, channels=len(sound))


WAYS = pytest.mark.parametrize("made", [from_file, from_array, from_pcm])


def level(clip: Clip, start: float, stop: float) -> float:
    return float(np.sqrt(np.mean(np.square(clip[start:stop].array / 32_768))))


@WAYS
@pytest.mark.parametrize("share", [1, 0.98, 0.8, 0.5])
def test_a_voice_upside_down_on_the_other_channel_keeps_its_level(made, share):
    with pytest.warns(RtnbWarning, match="cancel each other") as told:
        clip = made(np.stack([tone(RATE_HZ), -share * tone(RATE_HZ)]))
    assert len(told) == 1
    hears_the_tone(clip, level=0.4 * (1 + share) / 2)


@WAYS
def test_hum_upside_down_before_two_speakers_loses_neither(made):
    voice = tone(RATE_HZ, seconds=1)
    hum = 0.003 * np.sin(2 * np.pi * 50 * np.arange(4_800) / RATE_HZ)
    quiet = np.zeros_like(voice)
    with warnings.catch_warnings():  # told or not, by whether a block holds the hum alone
        warnings.simplefilter("ignore", RtnbWarning)
        clip = made(np.stack([np.concatenate([hum, voice, quiet]), np.concatenate([-hum, quiet, voice])]))
    assert level(clip, 0.3, 1.1) == pytest.approx(level(clip, 1.3, 2.1), rel=0.05)
    assert level(clip, 0.3, 1.1) > 0.13


@WAYS
def test_a_voice_that_is_turned_over_only_later_is_kept(made):
    voice, other = tone(RATE_HZ, seconds=1), tone(RATE_HZ, seconds=1, hz=880)
    with pytest.warns(RtnbWarning, match="cancel"):
        clip = made(np.stack([np.concatenate([voice, other, voice]), np.concatenate([voice, -other, voice])]))
    assert min(level(clip, at, at + 0.1) for at in np.arange(0, 2.9, 0.1)) > 0.1  # a block is up to 0.34 s


@WAYS
def test_two_speakers_on_two_channels_are_averaged_without_a_word(made):
    voice, quiet = tone(RATE_HZ, seconds=1), np.zeros(RATE_HZ, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = made(np.stack([np.concatenate([voice, quiet]), np.concatenate([quiet, voice])]))
    assert level(clip, 0.1, 0.9) == pytest.approx(level(clip, 1.1, 1.9), rel=0.01)


@WAYS
def test_a_voice_on_one_of_eight_channels_is_as_loud_as_it_was(made):
    sound = np.random.default_rng(1).normal(0, 0.0005, (8, 36_000)).astype(np.float32)
    sound[5] += tone(RATE_HZ)
    with pytest.warns(RtnbWarning, match="8 channels of which few carry the audio") as told:
        clip = made(sound)
    assert len(told) == 1
    hears_the_tone(clip)


def test_all_channels_after_one_do_not_clip():
    sound = np.zeros((8, 48_000), np.float32)
    sound[0, :24_000] = tone(RATE_HZ, seconds=1, level=0.9)
    sound[:, 24_000:] = tone(RATE_HZ, seconds=1, level=0.9)
    with pytest.warns(RtnbWarning, match="few carry"):
        clip = from_file(sound)
    assert float((np.abs(clip[1.1:].array.astype(int)) > 32_700).mean()) < 0.01


# -- another range ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("container", ["WAV", "AIFF", "CAF", "RIFX"])
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_numbers_written_as_floats_are_scaled_and_told(bits, container, channels):
    sound = np.rint(np.stack([tone(RATE_HZ)] * channels) * 2 ** (bits - 1))
    rifx = container == "RIFX"
    data = as_file(sound, "FLOAT", "WAV" if rifx else container, "BIG" if rifx else None)
    with pytest.warns(RtnbWarning, match="another range") as told:
        clip = Clip.read(data)
    assert len(told) == 1
    hears_the_tone(clip)


def test_a_quiet_beginning_does_not_hide_the_range():
    noise = np.random.default_rng(0).integers(-2, 3, 2 * RATE_HZ)
    with pytest.warns(RtnbWarning, match="another range"):
        clip = Clip.read(as_file(np.concatenate([noise, tone(RATE_HZ) * 32_768]), "FLOAT"))
    assert np.abs(clip[:1.9].array).max() < 10
    assert 0.25 < level(clip, 2.2, 3.2) < 0.3


@pytest.mark.parametrize("peak", [1.0, 2.0, 3.5])
def test_a_loud_recording_of_floats_is_left_as_it_is(peak):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clips = [Clip.read(as_file(tone(RATE_HZ, level=peak), "FLOAT")), from_array(tone(RATE_HZ, level=peak))]
    for clip in clips:
        quiet = np.abs(tone(RATE_HZ, level=peak)) < 0.9
        assert np.abs(clip.array - tone(RATE_HZ, level=peak) * 32_768)[quiet].max() < 1


@pytest.mark.parametrize("bits", [16, 24])
def test_32_bit_samples_that_hold_narrower_numbers_are_made_louder(bits):
    numbers = np.rint(tone(RATE_HZ) * 2 ** (bits - 1)).astype(np.int32)
    with pytest.warns(RtnbWarning, match="another range"):
        hears_the_tone(Clip.read(wav(numbers)))
    with pytest.warns(RtnbWarning, match=f"holds {bits}-bit numbers"):
        hears_the_tone(from_array(numbers))


@pytest.mark.parametrize("level_db", [0, -30, -60])
def test_true_32_bit_samples_are_left_as_they_are(level_db):
    numbers = np.rint(tone(RATE_HZ) * 10 ** (level_db / 20) * 2**23).astype(np.int32) * 256
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(from_array(numbers).array - Clip.read(wav(numbers)).array).max() <= 1


@pytest.mark.parametrize(("bits", "room"), [(24, 32), (20, 32), (20, 24), (12, 16)])
@pytest.mark.parametrize("extensible", [True, False])
@pytest.mark.parametrize("channels", [1, 2])
def test_fewer_bits_than_their_container_has(bits, room, extensible, channels):
    numbers = np.rint(tone(RATE_HZ) * 2 ** (bits - 1)).astype("<i4") << (room - bits)
    data = np.repeat(numbers, channels).view(np.uint8).reshape(-1, 4)[:, : room // 8].tobytes()
    width = room // 8 * channels
    form = struct.pack("<HHIIHH", 1, channels, RATE_HZ, RATE_HZ * width, width, bits)
    if extensible:
        guid = bytes.fromhex("0100000000001000800000aa00389b71")
        form = struct.pack("<HHIIHH", 0xFFFE, channels, RATE_HZ, RATE_HZ * width, width, room)
        form += struct.pack("<HHI", 22, bits, 0) + guid
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", data)
    hears_the_tone(Clip.read(b"RIFF" + struct.pack("<I", len(body)) + body))


FILES = {
    "mp3 behind a long tag": lambda: (
        b"ID3\4\0\0\0\6\0\0" + b"\xff" * (6 << 14) + encoded("mp3", "libmp3lame", id3v2_version="0")
    ),
    "mp3": lambda: encoded("mp3", "libmp3lame"),
    "mp3 without a tag": lambda: encoded("mp3", "libmp3lame", write_xing="0", id3v2_version="0"),
    "aac": lambda: encoded("adts", "aac"),
    "wav": lambda: written("WAV", "PCM_16"),
    "rifx": lambda: written("WAV", "PCM_16", endian="BIG"),
    "flac": lambda: written("FLAC", "PCM_16"),
    "ogg": lambda: encoded("ogg", "libopus"),
    "m4a": lambda: encoded("ipod", "aac"),
    "webm": lambda: encoded("webm", "libopus"),
    "aiff": lambda: written("AIFF", "PCM_16"),
    "caf": lambda: written("CAF", "PCM_16"),
    "au": lambda: written("AU", "PCM_16"),
    "wma": lambda: encoded("asf", "wmav2", 44_100, layout="stereo"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_bytes_of_a_file_are_no_bare_samples(kind):
    data = FILES[kind]()
    for given in (data, bytearray(data), memoryview(data)):
        with pytest.raises(AudioError, match=r"whole file .*not bare samples\. Use Clip\.read"):
            Clip.from_pcm(given, rate_hz=RATE_HZ)
    for dtype in (np.int16, np.uint8):
        with pytest.raises(AudioError, match="whole file"):
            from_array(np.frombuffer(data[: len(data) & ~1], dtype))


def test_the_bytes_of_a_file_are_not_appended():
    with rtnb.connect(practice=True) as chat:
        for kind in ("mp3", "wav", "ogg"):
            with pytest.raises(AudioError, match=r"Use Clip\.read"):
                chat.append(FILES[kind]())


def test_bare_samples_are_never_taken_for_a_file():
    rng = np.random.default_rng(5)
    for scale in (1, 3, 30, 3_000, 30_000):
        for _ in range(300):
            samples = np.clip(rng.normal(0, scale, 480), -32_768, 32_767).astype("<i2")
            assert len(Clip.from_pcm(samples.tobytes(), rate_hz=RATE_HZ)) == 480


@pytest.mark.parametrize("rate_hz", [1, 999, 10_000_000])
def test_a_rate_that_cannot_be_is_refused(rate_hz):
    data = bytearray(written("WAV", "PCM_16"))
    data[24:28] = struct.pack("<I", rate_hz)
    with pytest.raises(AudioError, match=f"{rate_hz} samples per second"):
        Clip.read(bytes(data))
    data = bytearray(written("AU", "PCM_16"))
    data[16:20] = struct.pack(">I", rate_hz)
    with pytest.raises(AudioError, match=f"{rate_hz} samples per second"):
        Clip.read(bytes(data))


@pytest.mark.parametrize(("kind", "at", "order"), [("WAV", 22, "<H"), ("AU", 20, ">I"), ("AIFF", 20, ">H")])
def test_255_channels_are_refused(kind, at, order):
    data = bytearray(written(kind, "PCM_16"))
    data[at : at + struct.calcsize(order)] = struct.pack(order, 255)
    with pytest.raises(AudioError):
        list(open_stream(bytes(data)))
