"""Samples that are appended: bare ones in plain forms, never a file that would be noise."""

import array
import base64
from pathlib import Path

import numpy as np
import pytest

import rtnb
from rtnb.audio import Clip, samples
from rtnb.errors import AudioError, InputError
from rtnb.session.parts import pcm_of

QUESTION = samples()["question"]
FLOATS = QUESTION.array / 32_768
STEREO = np.stack([FLOATS, FLOATS], axis=1)
URI = "data:audio/wav;base64," + base64.b64encode(QUESTION.encode("wav")).decode()


@pytest.mark.parametrize(
    "piece",
    [
        QUESTION.pcm,
        bytearray(QUESTION.pcm),
        memoryview(QUESTION.pcm),
        QUESTION.array,
        array.array("h", QUESTION.array.tolist()),
        QUESTION,
        QUESTION.resample(48_000),
        (24_000, FLOATS),
    ],
    ids=lambda piece: type(piece).__name__,
)
def test_samples_are_appended_in_plain_forms(piece):
    assert abs(len(pcm_of(piece)) - len(QUESTION.pcm)) <= 4


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "flac", "m4a", "webm", "aiff", "au", "caf", "aac"])
def test_a_file_is_no_bare_samples(form):
    data = QUESTION.encode(form)
    with pytest.raises(AudioError, match=r"whole file.*Use Clip\.read"):
        pcm_of(data)
    with pytest.raises(AudioError, match=r"whole file.*Use Clip\.read"):
        Clip.from_pcm(data, rate_hz=24_000)


@pytest.mark.parametrize("piece", ["a.wav", URI, FLOATS, [0.5, 0.5], None, 5, Path("a.wav"), STEREO])
def test_what_is_no_samples_is_not_appended(piece):
    with pytest.raises(InputError, match=r"Clip\.from_array"):
        pcm_of(piece)


def test_samples_are_never_taken_for_a_file():
    rng = np.random.default_rng(3)
    for scale in (3, 300, 9_000):
        noise = (rng.normal(size=200_000) * scale).astype("<i2").tobytes()
        for start in range(0, len(noise), 1_000):
            pcm_of(noise[start : start + 1_000])
    for clip in samples():
        pcm = clip.pcm
        for start in range(0, len(pcm), 480):
            pcm_of(pcm[start : start + 480])


def test_audio_longer_than_one_event_may_be_goes_out_in_several():
    with rtnb.connect(practice=True).wait(60) as chat:
        chat.append(bytes(20 * 1024 * 1024))
        assert chat.commit().wait(60)["type"] == "input_audio_buffer.committed"
        assert not [entry for entry in chat.log if entry.type == "error"]
