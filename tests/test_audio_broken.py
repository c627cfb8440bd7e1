"""Bad days: whatever is put in, out comes sound, or one error that names the file, what was wrong and what to do."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_audio_formats import chunk, encoded, tone, wav, written

from rtnb.audio import Clip, open_stream, samples
from rtnb.audio.formats import sniff
from rtnb.errors import AudioError, InputError, RtnbWarning

SOUND = np.rint(tone(24_000) * 32_767).astype("<i2")


def refused(source, tmp_path=None, name="speech.wav") -> AudioError:
    """The error that reading `source` ends in, after checking what every such error must have."""
    if isinstance(source, bytes):
        path = tmp_path / name
        path.write_bytes(source)
        source = path
    with pytest.raises(AudioError) as caught:
        Clip.read(source)
    error = caught.value
    assert str(error).startswith("The file ")
    assert error.name in str(error)
    assert error.problem in str(error)
    assert str(error).endswith(".")
    return error


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b"  \n<html lang=en>" + b"x" * 3000, "a web page"),
        ("Grüße an alle".encode(), "plain text"),
        (b'{"error": {"message": "not found"}}', "JSON"),
        (b'<?xml version="1.0"?><a/>', "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "Git LFS"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"PK\x03\x04" + b"\x14\0" * 50, "zip"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "picture"),
        (b"MThd\0\0\0\x06\0\x01", "MIDI"),
        (b"\0" * 5_000, "nothing but zeros"),
        (b"\0" * 500_000, "nothing but zeros"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + b"\0" * 50, "RIFF file without sound"),
    ],
)
def test_a_file_that_is_something_else_is_called_what_it_is(tmp_path, data, problem):
    error = refused(data, tmp_path)
    assert problem in error.problem
    assert "wav, flac, mp3" in str(error)
    assert "speech.wav" in str(error)


def test_random_bytes_are_never_taken_for_sound(tmp_path):
    rng = np.random.default_rng(7)
    for _ in range(200):
        error = refused(rng.bytes(int(rng.integers(1, 20_000))), tmp_path)
        assert "Clip.from_pcm" in str(error) or "text" in error.problem or "damaged" in error.problem


def test_a_folder_a_missing_path_an_address_and_a_device(tmp_path):
    assert "it is a folder" in refused(tmp_path).problem
    missing = refused(tmp_path / "gone.wav")
    assert "there is no file at" in missing.problem
    assert isinstance(missing.__cause__, FileNotFoundError)
    assert "address" in refused("https://example.com/a.wav").problem
    if os.path.exists("/dev/zero"):
        assert "device" in refused("/dev/zero").problem
    assert "cannot be opened" in refused("a\0b.wav").problem or "no file" in refused("a\0b.wav").problem


@pytest.mark.parametrize("path", ["", "  ", "\n", Path()])
def test_a_path_that_is_empty_is_told_so(path):
    problem = refused(path).problem
    assert ("it is a folder" if isinstance(path, Path) else "its path is empty") in problem


def test_a_thing_that_is_no_recording_is_told_what_to_use():
    for thing in (3, None, [1, 2], np.zeros(3)):
        with pytest.raises(AudioError, match=r"Clip\.from_array"):
            Clip.read(thing)


def test_a_file_opened_as_text(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("RIFF")
    with path.open() as file, pytest.raises(AudioError, match=r'"rb"'):
        Clip.read(file)


def test_a_closed_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(written("WAV", "PCM_16"))
    with path.open("rb") as file:
        pass
    with pytest.raises(AudioError, match="cannot be read"):
        Clip.read(file)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"rate_hz": 0}, "0 samples per second"),
        ({"rate_hz": 4_000_000_000 // 2}, "samples per second"),
        ({"channels": 65_535}, "65535 channels"),
        ({"channels": 0}, "0 channels"),
        ({"tag": 0x7777}, "compression"),
    ],
)
def test_a_wav_whose_header_makes_no_sense(tmp_path, header, problem):
    data = bytearray(wav(SOUND))
    for field, value in header.items():
        at, how = {"tag": (20, "<H"), "channels": (22, "<H"), "rate_hz": (24, "<I")}[field]
        data[at : at + struct.calcsize(how)] = struct.pack(how, value)
    assert problem in refused(bytes(data), tmp_path).problem


@pytest.mark.parametrize("count", [3, 11, 12, 13, 20, 30, 43, 44])
def test_a_wav_that_ends_before_any_sound(tmp_path, count):
    refused(wav(SOUND)[:count], tmp_path)


def test_a_wav_with_an_empty_data_chunk(tmp_path):
    assert "before any sound" in refused(wav(SOUND[:0]), tmp_path).problem
    assert "header" in refused(b"RIFF\x10\0\0\0WAVE" + chunk(b"data", b"\1\2\3\4"), tmp_path).problem


def test_an_m4a_cut_off_before_its_moov_atom(tmp_path):
    data = encoded("ipod", "aac")
    assert "no moov atom" in refused(data[: len(data) // 2], tmp_path, "memo.m4a").problem


def test_a_film_without_sound(tmp_path):
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(film.encode(None))
    assert "no sound in it" in refused(out.getvalue(), tmp_path, "film.mp4").problem


# -- cut in the middle ------------------------------------------------------------------------------------------------

CUTTABLE = {
    "wav": lambda: written("WAV", "PCM_16"),
    "wav 24": lambda: written("WAV", "PCM_24", 48_000, 2),
    "rifx": lambda: written("WAV", "PCM_16", endian="BIG"),
    "rf64": lambda: written("RF64", "PCM_16"),
    "adpcm": lambda: written("WAV", "IMA_ADPCM"),
    "aiff": lambda: written("AIFF", "PCM_16"),
    "au": lambda: written("AU", "PCM_16"),
    "caf": lambda: written("CAF", "PCM_16"),
    "w64": lambda: written("W64", "PCM_16"),
    "flac": lambda: written("FLAC", "PCM_16"),
    "mp3": lambda: written("MP3", None),
    "m4a": lambda: encoded("mp4", "aac", movflags="faststart"),
    "webm": lambda: encoded("webm", "libopus"),
}


@pytest.mark.parametrize("kind", CUTTABLE)
def test_a_file_cut_in_the_middle_gives_what_it_holds_and_says_how_much_is_missing(kind):
    data = CUTTABLE[kind]()
    whole = Clip.read(data)
    with pytest.warns(RtnbWarning, match=r"the last [\d.]+ of 1\.\d s are missing") as told:
        part = Clip.read(data[: len(data) * 6 // 10], name="memo")
    assert len(told) == 1
    assert "memo" in str(told[0].message)
    assert 0.3 < part.seconds < 1.2
    # What is there is the beginning of the whole (but for the last bit, which a lossy codec may round off).
    same = len(part) - 2_400
    assert np.abs(part.array[:same].astype(int) - whole.array[:same]).max() < 1_500


@pytest.mark.parametrize("codec", ["libopus", "libvorbis"])
def test_an_ogg_cut_in_the_middle_says_that_nothing_says_how_much(codec):
    clip = samples()["talk"]
    out = io.BytesIO()
    if codec == "libopus":
        data = clip.encode("opus")
    else:
        with soundfile.SoundFile(out, "w", 24_000, 1, "VORBIS", format="OGG") as file:
            file.write(clip.array)
        data = out.getvalue()
    with pytest.warns(RtnbWarning, match="its end is missing, and nothing says how much"):
        part = Clip.read(data[: len(data) // 2])
    assert 5 < part.seconds < 17


def test_a_whole_file_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in CUTTABLE.values():
            Clip.read(make())


def test_how_much_is_missing_is_a_number_a_program_can_read():
    data = written("WAV", "PCM_16")
    stream = open_stream(data[: 44 + 24_000])
    with pytest.warns(RtnbWarning):
        list(stream)
    assert abs(stream.missing_seconds - 1.0) < 0.01


def test_damage_in_the_middle_leaves_the_rest():
    data = bytearray(encoded("adts", "aac"))
    third = len(data) // 3
    data[third : third + 400] = b"\x55" * 400
    with pytest.warns(RtnbWarning, match="left out|missing"):
        clip = Clip.read(bytes(data))
    assert clip.seconds > 0.9


# -- fuzzed -----------------------------------------------------------------------------------------------------------


def survives(data: bytes) -> None:
    """Reading ends in a clip with sound in it or in `AudioError`; nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RtnbWarning)
        clip = None
        with contextlib.suppress(AudioError):
            clip = Clip.read(data)
    assert clip is None or len(clip) > 0


SEEDS = [make() for make in CUTTABLE.values()]
SEEDS += [encoded("adts", "aac"), encoded("ipod", "aac"), written("OGG", "VORBIS"), samples()[0].encode("opus")]
SEEDS += [encoded("webm", "libopus", live="1"), encoded("mp4", "aac", movflags="frag_keyframe+empty_moov")]
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(st.binary(max_size=3_000))
def test_any_bytes(data):
    survives(data)


MAGIC = [b"RIFF\0\1\0\0WAVE", b"OggS", b"fLaC\0\0\0\x22", b"\x1a\x45\xdf\xa3", b"\0\0\0\x20ftypM4A "]
MAGIC += [b"FORM\0\0\1\0AIFF", b".snd\0\0\0\x18", b"caff\0\1\0\0", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80"]
MAGIC += [b"ID3\x04\0\0", b"RIFX\0\1\0\0WAVE"]


@FUZZ
@given(st.sampled_from(MAGIC), st.binary(max_size=2_000))
def test_any_bytes_after_a_true_beginning(magic, data):
    survives(magic + data)


@FUZZ
@given(
    st.sampled_from(range(len(SEEDS))),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12),
    st.floats(0.02, 1),
)
def test_true_files_with_bytes_overwritten_and_the_end_cut_off(seed, hits, kept):
    data = bytearray(SEEDS[seed])
    for where, what in hits:
        # Squared, so that headers are hit as often as the sound.
        at = int(where**3 * (len(data) - len(what)))
        data[at : at + len(what)] = what
    survives(bytes(data[: int(len(data) * kept)]))


@FUZZ
@given(st.binary(max_size=400))
def test_sniffing_never_raises(data):
    sniff(io.BytesIO(data))


def test_a_rate_that_is_none():
    for rate_hz in (0, -24_000, 999, 10_000_000):
        with pytest.raises(AudioError, match="sample rate"):
            Clip.read(written("WAV", "PCM_16"), rate_hz=rate_hz)
        with pytest.raises(AudioError, match="sample rate"):
            Clip.from_pcm(b"\0\0", rate_hz=rate_hz)


def test_an_error_of_reading_is_also_a_value_error():
    with pytest.raises(ValueError, match="empty"):
        Clip.read(b"")
    assert issubclass(InputError, ValueError)
