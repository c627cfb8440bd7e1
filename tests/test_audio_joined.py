"""Several recordings in one file, several tracks, damage and tags: all is read, or it is said what is not."""

from __future__ import annotations

import functools
import io
import struct
import tempfile
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from test_audio_formats import SECONDS, chunk, encoded, tone, wav, written

from rtnb.audio import Clip, open_stream, samples
from rtnb.errors import AudioError, RtnbWarning

PLAIN = {"write_xing": "0", "id3v2_version": "0"}
SAMPLES = np.rint(tone(24_000) * 32_767).astype("<i2")


def amr(voice: np.ndarray, muxer: str = "amr", **options: str) -> bytes:
    """Encode 8 kHz as AMR narrow-band."""
    out = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115 (3gp wants a real file)
    out.close()
    with av.open(out.name, "w", format=muxer) as container:
        track = container.add_stream("libopencore_amrnb", rate=8_000, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(np.rint(voice * 32_767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8_000, 0
        for part in av.AudioResampler(format="s16", layout="mono", rate=8_000, frame_size=160).resample(frame):
            container.mux(track.encode(part))
        container.mux(track.encode(None))
    data = Path(out.name).read_bytes()
    Path(out.name).unlink()
    return data


def level(clip: Clip, start: float, stop: float) -> float:
    """The RMS of a stretch, 1.0 at full scale."""
    return float(np.sqrt(np.mean(np.square(clip[start:stop].array / 32_768))))


KINDS = {
    "wav": lambda: written("WAV", "PCM_16"),
    "wav 24 bit, stereo, 48 kHz": lambda: written("WAV", "PCM_24", 48_000, 2),
    "rifx": lambda: written("WAV", "PCM_16", endian="BIG"),
    "streamed wav": lambda: wav(SAMPLES, size=0xFFFF_FFFF),
    "aiff": lambda: written("AIFF", "PCM_16"),
    "au": lambda: written("AU", "PCM_16"),
    "caf": lambda: written("CAF", "PCM_16"),
    "w64": lambda: written("W64", "PCM_16"),
    "flac": lambda: written("FLAC", "PCM_16"),
    "flac stereo 48 kHz": lambda: written("FLAC", "PCM_16", 48_000, 2),
    "opus": lambda: encoded("ogg", "libopus"),
    "vorbis": lambda: written("OGG", "VORBIS"),
    "ogg flac": lambda: encoded("ogg", "flac"),
    "mp3": lambda: encoded("mp3", "libmp3lame"),
    "mp3 24 kHz": lambda: encoded("mp3", "libmp3lame", 24_000),
    "mp3 without a tag": lambda: encoded("mp3", "libmp3lame", **PLAIN),
    "aac": lambda: encoded("adts", "aac"),
    "m4a": lambda: encoded("ipod", "aac"),
    "fragmented mp4": lambda: encoded("mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "webm": lambda: encoded("webm", "libopus"),
    "live webm": lambda: encoded("webm", "libopus", live="1"),
    "amr": lambda: amr(tone(8_000)),
    "wma": lambda: encoded("asf", "wmav2", 44_100, layout="stereo"),
    "flv": lambda: encoded("flv", "aac", 44_100),
    "mpeg ts": lambda: encoded("mpegts", "aac"),
}


@functools.cache
def made(kind: str) -> bytes:
    """A recording of the tone."""
    return KINDS[kind]()


PAIRS = [(kind, kind) for kind in KINDS]
PAIRS += [("wav", "wav 24 bit, stereo, 48 kHz"), ("wav 24 bit, stereo, 48 kHz", "wav"), ("streamed wav", "wav")]
PAIRS += [("flac", "flac stereo 48 kHz"), ("opus", "vorbis"), ("vorbis", "opus"), ("opus", "ogg flac")]
PAIRS += [("mp3", "mp3 24 kHz"), ("mp3 24 kHz", "mp3"), ("m4a", "fragmented mp4"), ("live webm", "webm")]
PAIRS += [("wav", "mp3"), ("mp3", "wav"), ("opus", "mp3"), ("aac", "flac")]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[" + ".join(pair) for pair in PAIRS])
def test_recordings_joined_end_to_end_are_all_read(first, second):
    stream = open_stream(made(first) + made(second))
    clip = Clip.from_pcm(b"".join(stream), rate_hz=24_000)
    assert abs(clip.seconds - 2 * SECONDS) < 0.2
    assert stream.missing_seconds == 0.0
    # Both are the tone, and nowhere between is a stretch of noise or silence.
    for start in np.arange(0.1, clip.seconds - 0.2, 0.1):
        assert 0.15 < level(clip, start, start + 0.1) < 0.35, start


OFTEN = ["wav", "streamed wav", "aiff", "au", "caf", "w64", "flac", "opus", "mp3", "mp3 without a tag", "aac"]
OFTEN += ["m4a", "fragmented mp4", "webm", "live webm", "amr", "wma", "mpeg ts"]


@pytest.mark.parametrize("first", OFTEN)
def test_any_two_kinds_joined_are_both_read(first):
    for second in OFTEN:
        stream = open_stream(made(first) + made(second))
        clip = Clip.from_pcm(b"".join(stream), rate_hz=24_000)
        assert abs(clip.seconds - 2 * SECONDS) < 0.2, second
        assert stream.missing_seconds == 0.0
        for start in np.arange(0.1, clip.seconds - 0.2, 0.1):
            assert 0.15 < level(clip, start, start + 0.1) < 0.35, (second, start)


@pytest.mark.parametrize("kept", [20, 60, 200])
@pytest.mark.parametrize("first", ["wav", "rifx", "aiff", "caf", "flac", "opus", "vorbis", "m4a", "webm", "wma"])
def test_one_that_is_cut_off_in_its_headers_is_told_and_the_next_is_read(first, kept):
    for second in (first, "wav", "opus", "mp3", "aac", "m4a"):
        with pytest.warns(RtnbWarning, match=r"is not whole: .* 1\.\d s were read"):
            clip = Clip.read(made(first)[:kept] + made(second))
        assert abs(clip.seconds - SECONDS) < 0.1
        assert level(clip, 0.2, 1.2) > 0.2


@pytest.mark.parametrize("second", ["flac", "opus", "mp3", "aac", "m4a", "webm"])
@pytest.mark.parametrize("first", ["wav", "rifx", "wav 24 bit, stereo, 48 kHz", "au", "m4a", "webm"])
def test_a_short_one_behind_one_that_is_cut_off_is_not_its_end(first, second):
    data = made(first)
    with pytest.warns(RtnbWarning, match="is not whole"):
        clip = Clip.read(data[: int(len(data) * 0.6)] + made(second))
    for start in np.arange(clip.seconds - 1.4, clip.seconds - 0.2, 0.1):
        assert 0.12 < level(clip, start, start + 0.1) < 0.37, start


def test_headers_of_another_kind_within_a_recording_are_part_of_it():
    flac = made("flac")
    foreign = b"riff" + wav(SAMPLES[:8]) + b"fLaC\0\0\0\x22" + bytes(40)
    block = b"\2" + len(foreign).to_bytes(3) + foreign
    assert Clip.read(flac[:42] + block + flac[42:]) == Clip.read(flac)
    for muxer, codec in [("matroska", "flac"), ("mov", "libmp3lame"), ("mp4", "libmp3lame"), ("wav", "libmp3lame")]:
        data = encoded(muxer, codec)
        assert abs(Clip.read(data).seconds - SECONDS) < 0.1
        assert abs(Clip.read(data + data).seconds - 2 * SECONDS) < 0.2


def test_nothing_that_can_be_read_is_the_error_of_the_first():
    with pytest.raises(AudioError, match="begins like a flac file"):
        Clip.read(made("flac")[:60] + made("opus")[:60])
    with pytest.raises(AudioError, match="no moov atom"):
        Clip.read(made("m4a")[:200] * 100)


def test_a_chain_of_three_is_read_whole():
    opus, vorbis = made("opus"), made("vorbis")
    assert abs(Clip.read(opus + vorbis + opus).seconds - 3 * SECONDS) < 0.1
    assert Clip.read(written("WAV", "PCM_16") * 3).seconds == 3 * SECONDS


CUTS = {"wav": 0.4, "rifx": 0.4, "aiff": 0.4, "au": 0.4, "caf": 0.4, "flac": 0.5, "mp3": 0.5, "webm": 0.5}


@pytest.mark.parametrize("kind", CUTS)
def test_one_that_is_cut_off_before_another_says_what_it_misses(kind):
    data = made(kind)
    stream = open_stream(data[: int(len(data) * CUTS[kind]) & ~1] + data)
    with pytest.warns(RtnbWarning, match=r"the last [\d.]+ of 1\.\d s are missing") as told:
        seconds = sum(map(len, stream)) / 48_000
    assert len(told) == 1
    assert abs(seconds + stream.missing_seconds - 2 * SECONDS) < 0.2


def test_what_follows_and_cannot_be_read_is_told():
    broken = written("FLAC", "PCM_16")[:60]
    stream = open_stream(written("FLAC", "PCM_16") + broken)
    with pytest.warns(RtnbWarning, match="what follows cannot be read"):
        list(stream)
    assert stream.missing_seconds is None


def test_every_data_chunk_of_a_wav_is_read():
    again = chunk(b"LIST", b"INFOISFT\4\0\0\0me!\0") + chunk(b"data", SAMPLES[::-1].tobytes())
    clip = Clip.read(wav(SAMPLES, tail=again))
    assert clip.pcm == SAMPLES.tobytes() + SAMPLES[::-1].tobytes()


# -- tracks -----------------------------------------------------------------------------------------------------------


def tracks(muxer: str, *sounds: np.ndarray) -> bytes:
    """A file with one audio track for each sound."""
    out = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115
    out.close()
    with av.open(out.name, "w", format=muxer) as container:
        packets = []
        for track, sound in [(container.add_stream("aac", rate=48_000, layout="mono"), sound) for sound in sounds]:
            frame = av.AudioFrame.from_ndarray(np.rint(sound * 32_767).astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts = 48_000, 0
            for part in av.AudioResampler("fltp", "mono", 48_000, 1024).resample(frame):
                packets += track.encode(part)
            packets += track.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    data = Path(out.name).read_bytes()
    Path(out.name).unlink()
    return data


@pytest.mark.parametrize("muxer", ["matroska", "mp4", "mpegts"])
def test_the_first_track_that_is_not_silent_is_read_and_the_choice_is_told(muxer):
    data = tracks(muxer, np.zeros(72_000), tone(48_000), tone(48_000, hz=880))
    with pytest.warns(RtnbWarning, match=r"has 3 audio tracks, of which track=1 is read") as told:
        clip = Clip.read(data, name="film")
    assert len(told) == 1
    assert level(clip, 0.2, 1.2) > 0.2


def test_a_track_is_chosen_by_its_number():
    data = tracks("mp4", tone(48_000), np.zeros(72_000))
    assert level(Clip.read(data, track=0), 0.2, 1.2) > 0.2
    assert not Clip.read(data, track=1).array.any()
    assert Clip.read(written("WAV", "PCM_16"), track=0).seconds == SECONDS
    for number in (2, -1):
        with pytest.raises(AudioError, match=f"There is no track={number}"):
            Clip.read(data, track=number)


def test_where_all_tracks_are_silent_the_first_is_read():
    with pytest.warns(RtnbWarning, match="track=0"):
        assert Clip.read(tracks("mp4", np.zeros(72_000), np.zeros(72_000))).seconds > 1.4


# -- damage, tags and ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["opus", "vorbis"])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.8, 0.999])
def test_an_ogg_with_one_flipped_bit_says_what_it_lost(codec, place):
    clip, out = samples()["talk"][:12.0], io.BytesIO()
    soundfile.write(out, clip.array, 24_000, format="OGG", subtype=codec.upper())
    data = bytearray(out.getvalue())
    data[int(len(data) * place)] ^= 4
    stream = open_stream(bytes(data))
    with pytest.warns(RtnbWarning, match=r"[\d.]+ of 1[12]\.\d s are missing"):
        seconds = sum(map(len, stream)) / 48_000
    assert abs(seconds + stream.missing_seconds - clip.seconds) < 0.1


def test_a_webm_with_damaged_blocks_says_what_it_lost():
    data = bytearray(made("webm"))
    third = len(data) // 3
    data[third : third + 400] = bytes(400)
    stream = open_stream(bytes(data))
    with pytest.warns(RtnbWarning, match=r"[\d.]+ of 1\.\d s are missing"):
        seconds = sum(map(len, stream)) / 48_000
    assert abs(seconds + stream.missing_seconds - SECONDS) < 0.1


def test_a_header_that_counts_too_many_frames_is_not_believed():
    data = bytearray(made("mp3"))
    at = data.index(b"Info" if b"Info" in data else b"Xing")
    data[at + 8 : at + 12] = b"\x7f\xff\xff\xff"
    stream = open_stream(bytes(data))
    assert abs(sum(map(len, stream)) / 48_000 - SECONDS) < 0.1
    assert stream.missing_seconds == 0.0


@pytest.mark.parametrize("muxer", ["amr", "3gp"])
def test_silence_that_amr_leaves_out_is_kept(muxer):
    voice = tone(8_000, seconds=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = Clip.read(amr(np.concatenate([voice, np.zeros(16_000), voice]), muxer, dtx="1"))
    assert abs(clip.seconds - 4.0) < 0.05
    assert level(clip, 0.2, 0.8) > 0.2
    assert level(clip, 1.5, 2.5) < 0.01
    assert level(clip, 3.3, 3.8) > 0.2


@pytest.mark.parametrize("before", [0, 4])
def test_a_transport_stream_of_a_camera_has_longer_packets(before):
    data = encoded("mpegts", "aac")
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    longer = b"".join(b"\0\1\2\3" + packet if before else packet + b"\5" * 16 for packet in packets)
    assert Clip.read(longer) == Clip.read(data)


def ape(items: bytes, *, header: bool = True) -> bytes:
    """An APEv2 tag."""
    flags = 0x8000_0000 if header else 0
    both = [
        b"APETAGEX" + struct.pack("<4I", 2000, len(items) + 32, 1, flags | top) + bytes(8) for top in (0x2000_0000, 0)
    ]
    return (both[0] if header else b"") + items + both[1]


ID3V1 = b"TAG" + b"A title".ljust(125, b"\0")
LYRICS = b"LYRICSBEGIN" + b"LYR00200" + b"la la la " * 22
LYRICS += b"%06dLYRICS200" % len(LYRICS)
TAGS = {
    "ID3v1": ID3V1,
    "APEv2": ape(b"x" * 300),
    "APEv2 without a header": ape(b"x" * 300, header=False),
    "APEv2 with a picture": ape(np.random.default_rng(1).bytes(100_000)),
    "APEv2, ID3v1": ape(b"x" * 300) + ID3V1,
    "Lyrics3": LYRICS,
    "Lyrics3, ID3v1": LYRICS + ID3V1,
    "ID3v2 at the end": b"ID3\4\0\0\0\0\2\0" + bytes(256),
    "zeros": bytes(5_000),
    "one byte": b"\0",
}


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("options", [{}, PLAIN], ids=["with Xing", "bare"])
def test_a_whole_mp3_with_a_tag_at_its_end_is_whole(tag, options):
    data = encoded("mp3", "libmp3lame", **options)
    stream = open_stream(data + TAGS[tag])
    assert abs(sum(map(len, stream)) / 48_000 - Clip.read(data).seconds) < 0.06
    assert stream.missing_seconds == 0.0


def test_a_tag_between_two_mp3s_is_stepped_over():
    data = encoded("mp3", "libmp3lame")
    assert abs(Clip.read(data + TAGS["APEv2, ID3v1"] + data).seconds - 2 * SECONDS) < 0.1


@pytest.mark.parametrize("kind", ["mp3 without a tag", "aac", "amr", "wma", "flv"])
def test_a_cut_that_nothing_measures_is_told_all_the_same(kind):
    data = made(kind)
    with pytest.warns(RtnbWarning, match="is not whole"):
        assert 0.5 < Clip.read(data[: len(data) * 6 // 10 + 1]).seconds < 1.3
