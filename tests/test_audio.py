"""A clip as a value: made, cut, joined, resampled, saved, shown, checked; and streams of any length."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio_formats import encoded, hears_the_tone, tone, wav

import rtnb.audio
from rtnb.audio import RATE_HZ, Clip, join, open_stream, samples
from rtnb.errors import AudioError, InputError, RtnbWarning


def clip_of(seconds: float = 1.0, *, hz: float = 440, rate_hz: int = RATE_HZ, name: str = "tone") -> Clip:
    return Clip.from_array(tone(rate_hz, seconds=seconds, hz=hz), rate_hz=rate_hz, name=name)


def test_importing_it_is_light():
    heavy = "{'av', 'soundfile', 'soxr', 'pydub', 'ipywidgets', 'IPython'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, rtnb.audio; print({heavy})"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


# -- making -----------------------------------------------------------------------------------------------------------


def test_bare_samples_go_in_and_out_unchanged():
    pcm = np.arange(-500, 500, dtype="<i2").tobytes()
    clip = Clip.from_pcm(pcm, rate_hz=16_000, name="raw")
    assert (clip.pcm, clip.rate_hz, clip.name, len(clip)) == (pcm, 16_000, "raw", 1000)
    assert clip.seconds == 1000 / 16_000


def test_an_odd_last_byte_of_bare_samples_is_dropped():
    assert Clip.from_pcm(b"\1\0\2\0\3", rate_hz=24_000).pcm == b"\1\0\2\0"


def test_interleaved_channels_are_averaged():
    assert Clip.from_pcm(np.array([100, 300, -50, 50], "<i2").tobytes(), rate_hz=24_000, channels=2).array.tolist() == [
        200,
        0,
    ]


def test_bare_samples_that_are_a_whole_file_are_refused():
    with pytest.raises(AudioError, match=r"Clip\.read"):
        Clip.from_pcm(clip_of().encode("wav"), rate_hz=24_000)
    with pytest.raises(AudioError, match="channels=0"):
        Clip.from_pcm(b"", rate_hz=24_000, channels=0)


@pytest.mark.parametrize("shape", ["(n,)", "(n, 2)", "(2, n)"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "int32", "uint8"])
def test_arrays_of_every_usual_type_and_shape(kind, shape):
    sound = tone(24_000).astype(float)
    if kind == "uint8":
        sound = np.rint(sound * 127 + 128)
    elif kind.startswith("int"):
        sound = np.rint(sound * np.iinfo(kind).max)
    sound = sound.astype(kind)
    if shape != "(n,)":
        sound = np.stack([sound, sound], 1 if shape == "(n, 2)" else 0)
    hears_the_tone(Clip.from_array(sound, rate_hz=24_000))


def test_floats_a_little_too_loud_are_clipped_and_no_numbers_are_silent():
    clip = Clip.from_array([1.5, -1.5, 1.0, -1.0, 0.0, float("nan"), 0.5], rate_hz=24_000)
    assert clip.array.tolist() == [32767, -32768, 32767, -32768, 0, 0, 16384]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([0.0, 12_000.0]), "up to 12000"),
        (np.zeros((3, 4, 5)), "shape is"),
        (np.zeros((200, 300), np.int16), "200 channels"),
        (np.array(["a"]), "type is"),
        (np.zeros(5, complex), "type is"),
        (np.float64(3), "shape is"),
    ],
)
def test_an_array_that_is_no_sound(array, problem):
    with pytest.raises(AudioError, match=problem):
        Clip.from_array(array, rate_hz=24_000)


def test_a_clip_cannot_be_changed_behind_its_back():
    source = np.zeros(10, np.int16)
    clip = Clip.from_array(source, rate_hz=24_000)
    source[0] = 5
    assert clip.array[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        clip.array[0] = 1
    with pytest.raises(AttributeError):
        clip.name = "other"


def test_silence_and_its_limits():
    assert Clip.silence(0.5).pcm == b"\0" * 24_000
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError):
            Clip.silence(seconds)


def test_reading_a_clip_gives_the_clip():
    clip = clip_of()
    assert Clip.read(clip) is clip
    assert Clip.read(clip, rate_hz=16_000).rate_hz == 16_000


# -- cutting and joining ----------------------------------------------------------------------------------------------


def test_slices_are_in_seconds():
    clip = clip_of(4.0)
    assert clip[1.5:3.0].seconds == 1.5
    assert clip[1.5:3.0] == Clip(clip.array[36_000:72_000])
    assert clip[:1].seconds == 1.0
    assert clip[-0.5:].seconds == 0.5
    assert clip[3:99].seconds == 1.0
    assert clip[9:].seconds == 0.0
    assert clip[1:2].name == "tone"
    for wrong in (1, slice(0, 1, 2), "a"):
        with pytest.raises(InputError, match="seconds"):
            clip[wrong]
    with pytest.raises(TypeError):
        iter(clip)


def test_joining_puts_one_after_another_at_the_first_ones_rate():
    a, b = clip_of(1.0), clip_of(0.5, rate_hz=48_000)
    both = a + b
    assert (both.rate_hz, both.name) == (24_000, "tone")
    assert both.seconds == pytest.approx(1.5, abs=0.001)
    assert both[:1.0] == a
    gapped = join([a, a, a], gap_seconds=0.25, name="three")
    assert repr(gapped) == "Clip(three, 3.5 s)"
    assert not gapped[1.0:1.25].array.any()
    assert join([a]) == a


def test_joining_nothing_or_something_else_is_refused():
    for wrong in ([], [clip_of(), "a.wav"]):
        with pytest.raises(InputError, match="join"):
            join(wrong)
    with pytest.raises(InputError):
        join([clip_of(), clip_of()], gap_seconds=-1)
    with pytest.raises(TypeError):
        clip_of() + b"x"


def test_equal_clips_are_equal_and_can_be_kept_in_a_set():
    assert clip_of(name="a") == clip_of(name="b")
    assert clip_of() != clip_of(hz=441)
    assert clip_of() != "clip"
    assert len({clip_of(), clip_of(), clip_of(2.0)}) == 2


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_resampling_keeps_the_length_and_the_tone(rate_hz):
    there = clip_of(2.0).resample(rate_hz)
    assert there.rate_hz == rate_hz
    assert abs(there.seconds - 2.0) < 0.001
    hears_the_tone(there.resample(24_000), seconds=2.0)
    assert clip_of().resample(24_000).recorded_hz is None


def test_resampling_down_folds_nothing_back():
    low = clip_of(2.0, hz=6_000).resample(8_000)
    middle = low.array[1_000:-1_000].astype(float)
    assert 20 * np.log10(max(np.abs(middle).max(), 0.5) / (0.4 * 32_768)) < -76  # half a step of 16 bits
    assert np.abs(middle).max() <= 1


# -- giving away ------------------------------------------------------------------------------------------------------

ENDINGS = [".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".aiff", ".au", ".caf"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_saved_can_be_read_again(tmp_path, ending, monkeypatch):
    monkeypatch.setenv("PATH", "")
    path = clip_of(1.5).save(tmp_path / "new" / f"out{ending.upper()}")
    assert path.is_file()
    hears_the_tone(Clip.read(path), slack=0.09)


def test_what_is_saved_is_read_by_others_too(tmp_path):
    clip = clip_of(1.5)
    with wave.open(str(clip.save(tmp_path / "a.wav"))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(10**6) == clip.pcm
    for name in ("a.flac", "a.mp3", "a.ogg", "a.opus", "a.aiff", "a.au", "a.caf"):
        sound, rate_hz = soundfile.read(clip.save(tmp_path / name))
        assert abs(len(sound) / rate_hz - 1.5) < 0.06, name
    assert np.array_equal(soundfile.read(tmp_path / "a.flac", dtype="int16")[0], clip.array)


def test_an_odd_rate_is_saved_by_going_up_to_the_next_that_the_encoder_takes(tmp_path):
    clip = clip_of(1.5, rate_hz=11_000)
    for ending in (".opus", ".mp3", ".m4a", ".flac", ".wav"):
        hears_the_tone(Clip.read(clip.save(tmp_path / f"odd{ending}")), slack=0.1)


def test_a_long_clip_is_written_without_a_crash(tmp_path):
    """Some encoders crash the process when they are given more than two minutes at once."""
    clip = join([samples()["talk"]] * 12)
    assert clip.seconds > 240
    path = clip.save(tmp_path / "long.ogg")
    assert abs(Clip.read(path).seconds - clip.seconds) < 0.1


@pytest.mark.parametrize("name", ["out", "out.xyz", "out.", ".wav"])
def test_an_ending_that_names_no_format(tmp_path, name):
    with pytest.raises(AudioError, match=r"Use one of \.wav, \.flac"):
        clip_of().save(tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match="cannot be written"):
        clip_of().save(tmp_path / "file" / "out.wav")


def test_an_empty_clip_is_a_wav_and_nothing_else(tmp_path):
    empty = clip_of()[5:]
    assert not len(empty)
    assert empty.save(tmp_path / "a.wav").stat().st_size == 44
    with pytest.raises(AudioError, match="empty"):
        empty.encode("mp3")
    assert "empty clip" in empty._repr_html_()


def test_pydub_gets_the_same_samples():
    segment = clip_of().to_pydub()
    assert segment.raw_data == clip_of().pcm
    assert (segment.frame_rate, segment.channels, len(segment)) == (24_000, 1, 1000)


def test_in_colab_the_file_is_downloaded_by_colab(monkeypatch):
    import types

    got = []
    files = types.SimpleNamespace(download=lambda path: got.append((path, Path(path).read_bytes())))
    google, colab = types.ModuleType("google"), types.ModuleType("google.colab")
    google.colab, colab.files = colab, files
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    clip_of().download("answer.wav")
    [(path, data)] = got
    assert path.endswith("answer.wav")
    assert data == clip_of().encode("wav")


def test_elsewhere_the_page_offers_the_bytes(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    Clip.read(clip_of().encode("wav"), name='a"<b>.m4a').download()
    page = shown[0].data
    # The script, which a page may strip with all that is in it, makes the link.
    link = json.loads(re.search(r"Object\.assign\(a,({[^}]*})\)", page)[1])
    assert link["download"] == 'a"<b>.mp3'
    assert "<b>" not in page
    assert "Run this cell to download a&quot;&lt;b&gt;.mp3 (" in page
    kind, data = link["href"].split(";base64,")
    assert kind == "data:audio/mpeg"
    hears_the_tone(Clip.read(base64.b64decode(data)), seconds=1.0, slack=0.1)
    clip_of().download("../../etc/x.flac")
    assert '"download": "x.flac"' in shown[1].data
    with pytest.raises(AudioError):
        clip_of().download("x.exe")


# -- shown ------------------------------------------------------------------------------------------------------------


def test_a_minute_of_speech_adds_less_than_300_kb_to_a_notebook():
    minute = join([samples()["talk"]] * 3)[:60]
    page = minute._repr_html_()
    assert minute.seconds == 60
    assert len(page) < 300_000
    assert page.count("audio/ogg;base64,") == 1
    sound = base64.b64decode(re.search(r"audio/ogg;base64,([^\"]+)", page)[1])
    assert abs(Clip.read(sound).seconds - 60) < 0.1


def test_the_player_plays_at_the_clips_own_level():
    quiet = Clip.from_array(tone(24_000, level=0.05), rate_hz=24_000)
    assert np.abs(Clip.read(quiet.encode("opus")).array).max() < 0.1 * 32_768


def test_the_waveform_follows_the_sound():
    clip = join([Clip.silence(1), clip_of(1), Clip.silence(2)])
    peaks = clip.peaks(40)
    assert len(peaks) == 40
    assert peaks[:10] == [0.0] * 10
    assert all(abs(peak - 0.4) < 0.01 for peak in peaks[10:20])
    assert len(clip_of(0.001).peaks(96)) == 96


def test_a_label_cannot_break_out_of_the_page():
    assert "<script" not in Clip(clip_of().array, name="<script>x</script>")._repr_html_()


# -- samples ----------------------------------------------------------------------------------------------------------


def test_the_samples_are_spoken_short_and_small():
    from importlib.resources import files

    shipped = samples()
    assert len(shipped) == len(shipped.names) == len(shipped.texts) >= 8
    for name, clip in zip(shipped.names, shipped, strict=True):
        assert clip.name == name
        assert 1 < clip.seconds < 30
        assert clip.check().ok, clip.check()
        assert shipped.texts[name]
    folder = files("rtnb") / "audio" / "shipped"
    size = sum(file.stat().st_size for file in folder.iterdir() if file.name.endswith(".ogg"))
    assert size < 600_000


def test_samples_come_by_name_by_number_and_by_slice():
    assert samples()["question"] == samples()[0]
    assert samples()[-1].name == "dialogue-6"
    assert [clip.name for clip in samples()[:2]] == ["question", "talk"]
    assert samples().texts["question"] == "What is the capital of Norway?"
    with pytest.raises(InputError, match="question, talk"):
        samples()["nothing"]
    with pytest.raises(IndexError):
        samples()[99]


def test_the_dialogue_has_two_voices_that_take_turns():
    dialogue = samples().dialogue
    voices = [samples().voices[clip.name] for clip in dialogue]
    assert len(dialogue) >= 4
    assert len(set(voices)) == 2
    assert all(one != next_one for one, next_one in pairwise(voices))
    assert len(set(samples().voices.values())) >= 4


def test_a_talk_long_enough_to_summarise():
    assert 15 < samples()["talk"].seconds < 30
    assert len(samples().texts["talk"].split()) > 40


def test_the_table_of_samples_stays_small_and_has_a_player_each():
    page = samples()._repr_html_()
    assert page.count("<audio") == len(samples())
    assert len(page) < 300_000
    assert "What is the capital of Norway?" in page
    assert "What is the capital of Norway?" in repr(samples())


# -- check ------------------------------------------------------------------------------------------------------------


def speech() -> Clip:
    return samples()["talk"][:6]


def scaled(factor: float) -> Clip:
    return Clip.from_array(np.clip(speech().array / 32_768 * factor, -1, 1), rate_hz=24_000)


def problem_of(clip: Clip) -> str:
    found = clip.check()
    assert not found.ok
    assert all(problem.endswith(".") for problem in found.problems)
    assert found.problems[0] in repr(found)
    return " ".join(found.problems)


def test_good_speech_has_no_problems():
    found = speech().check()
    assert found.ok
    assert found.problems == ()
    assert 70 < found.pitch_hz < 150
    assert "sounds fine" in repr(found)
    page = found._repr_html_()
    assert "Sounds fine" in page
    assert '<img class="peaks"' in page


def test_each_way_to_spoil_it_is_named():
    assert "only silence" in problem_of(Clip.silence(2))
    assert ("level", "silence") in Clip.silence(2).check().facts()
    assert "next to nothing" in problem_of(scaled(0.0002))
    assert "very quiet" in problem_of(scaled(0.01))
    assert "clipped" in problem_of(scaled(8))
    assert "empty" in problem_of(clip_of()[9:])
    assert "tenth of a second" in problem_of(clip_of(0.05))
    assert "very short" in problem_of(clip_of(0.3))
    assert "Most of it is silence" in problem_of(join([Clip.silence(20), speech()[:3]]))
    assert "swing around zero" in problem_of(Clip.from_array(speech().array / 32_768 * 0.5 + 0.3, rate_hz=24_000))


def test_a_rate_that_is_wrong_is_heard():
    woman = samples()["dialogue-1"]
    assert "very high" in problem_of(Clip.from_pcm(woman.pcm, rate_hz=48_000))
    assert "very low" in problem_of(Clip.from_pcm(speech().pcm, rate_hz=12_000))
    noise = np.random.default_rng(0).normal(0, 0.2, 72_000)
    assert "noise" in problem_of(Clip.from_array(noise, rate_hz=24_000))


def test_bytes_in_the_wrong_order_sound_like_noise():
    assert "noise" in problem_of(Clip.from_array(speech().array.byteswap(), rate_hz=24_000))


def test_clean_sound_at_full_scale_is_not_called_clipped():
    assert Clip.from_array(speech().array / np.abs(speech().array).max(), rate_hz=24_000).check().clipped == 0


def test_the_rate_it_was_recorded_at_is_told():
    phone = Clip.read(speech().resample(8_000).encode("wav"))
    assert "(recorded at 8000 Hz)" in repr(phone.check())
    assert phone.check().bandwidth_hz < 4_200


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_gives_a_short_block_first_and_never_a_long_one():
    stream = open_stream(clip_of(20, rate_hz=48_000).encode("wav"), name="twenty")
    assert (stream.name, stream.seconds, stream.recorded_hz, stream.channels) == ("twenty", 20.0, 48_000, 1)
    assert repr(stream) == "Stream(twenty, 20.0 s)"
    blocks = list(stream)
    assert 0.08 <= len(blocks[0]) / 48_000 <= 0.5
    assert max(map(len, blocks)) <= 48_000
    assert all(len(block) % 2 == 0 and block for block in blocks)
    assert abs(sum(map(len, blocks)) / 48_000 - 20) < 0.001
    with pytest.raises(StopIteration):
        next(stream)


def test_a_stream_and_a_clip_are_the_same_samples():
    data = encoded("ipod", "aac")
    assert b"".join(open_stream(data)) == Clip.read(data).pcm
    clip = clip_of(3)
    assert b"".join(open_stream(clip)) == clip.pcm
    assert b"".join(open_stream(clip_of(3, rate_hz=44_100))) == clip_of(3, rate_hz=44_100).resample(24_000).pcm
    assert list(open_stream(clip[9:])) == []


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "opus", "m4a"])
def test_a_stream_says_about_how_long_it_will_be(kind):
    assert abs(open_stream(clip_of(5).encode(kind)).seconds - 5) < 0.1


def test_a_stream_that_is_left_early_lets_go_of_its_file(tmp_path):
    path = clip_of(30).save(tmp_path / "a.flac")
    stream = open_stream(path)
    next(stream)
    file = stream._file
    stream.close()
    stream.close()
    assert file.closed
    with open_stream(path) as again:
        next(again)
        file = again._file
    assert file.closed
    mine = io.BytesIO(path.read_bytes())
    list(open_stream(mine))
    assert not mine.closed


def test_a_stream_of_no_sound_is_refused_at_once():
    with pytest.raises(AudioError, match="empty"):
        open_stream(b"")


def test_blocks_are_decoded_as_they_are_asked_for(tmp_path):
    """The rest of the file is not read before its beginning has been given out."""

    class Watched(io.BytesIO):
        total = 0

        def read(self, count=-1):
            got = super().read(count)
            self.total += len(got)
            return got

    size = 24_000 * 2 * 120
    file = Watched(wav(np.zeros(size // 2, "<i2") + np.int16(5)))
    stream = open_stream(file)
    next(stream)
    assert file.total < size // 10
    assert sum(map(len, stream)) > size * 0.99


def test_a_stream_cut_off_warns_once_it_is_through():
    data = clip_of(4).encode("wav")
    stream = open_stream(data[: len(data) // 2], name="memo.wav")
    next(stream)
    with pytest.warns(RtnbWarning, match=r"memo\.wav is not whole: the last 2\.0 of 4\.0 s"):
        list(stream)
    assert stream.missing_seconds == pytest.approx(2.0, abs=0.01)


def test_the_public_names():
    assert {"Clip", "RATE_HZ", "join", "open_stream", "samples"} <= set(rtnb.audio.__all__)
