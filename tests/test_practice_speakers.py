"""Who said what, and how sure the ears are of each word: the real engines on the recordings that ship with rtnb."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rtnb.audio import samples
from rtnb.server.engines import asr, diarization
from rtnb.server.engines.confidence import confidence

RATE_HZ = 24_000


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * RATE_HZ) * 2)


def conversation(*names: str) -> bytes:
    """Recordings one after the other, half a second between them."""
    return silence(0.5).join(samples()[name].pcm for name in names)


@pytest.fixture
def moonshine() -> None:
    if "moonshine" not in (asr.engine() or ""):
        pytest.skip("moonshine-voice, which tells voices apart, is not installed")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diarization, "_load", functools.cache(diarization._load.__wrapped__))


@pytest.mark.slow
def test_two_people_are_told_apart_and_each_keeps_a_letter(moonshine: None) -> None:
    names = [f"dialogue-{number}" for number in range(1, 7)]
    parts = diarization.diarize(conversation(*names))
    assert [part.speaker for part in parts] == ["A", "B", "A", "B", "A", "B"]
    for part, words in zip(parts, ("bicycle", "what is wrong", "brakes", "today", "how much", "dollars"), strict=True):
        assert words in part.text.casefold()
    begins = 0.0
    for part, name in zip(parts, names, strict=True):
        ends = begins + samples()[name].seconds
        assert begins - 0.3 < part.start_seconds < part.end_seconds < ends + 0.3
        begins = ends + 0.5


def test_in_silence_nobody_speaks(moonshine: None) -> None:
    assert diarization.diarize(silence(0.5)) == []
    assert diarization.diarize(b"") == []


def test_who_cannot_tell_voices_apart_hears_one_speaker(unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asr, "load_moonshine", lambda **options: None)
    monkeypatch.setattr(asr, "transcribe", lambda pcm, **how: "hello and good morning")
    (part,) = diarization.diarize(silence(2))
    assert (part.speaker, part.start_seconds, part.end_seconds) == ("A", 0.0, 2.0)
    assert part.text == "hello and good morning"


def test_more_speakers_than_letters() -> None:
    assert [diarization._label(number) for number in (0, 1, 25, 26, 27, 52)] == ["A", "B", "Z", "AA", "AB", "BA"]


def test_a_word_that_every_hearing_has_is_surer_than_one_that_only_one_has() -> None:
    hearings = iter(["a loose wheel", "the loose veal, today"])
    sure = confidence(silence(0.1), "The loose wheel", transcribe=lambda pcm, **how: next(hearings))
    assert sure == [3 / 5, 4 / 5, 3 / 5]


def test_hearing_again_hears_the_same_recording_a_little_changed() -> None:
    heard: list[tuple[int, int]] = []

    def hear(pcm: bytes, *, rate_hz: int, language: str | None) -> str:
        assert language == "en"
        heard.append((len(pcm), rate_hz))
        return ""

    pcm = samples()["question"].pcm
    assert confidence(pcm, "one two", language="en", transcribe=hear) == [2 / 5] * 2
    assert heard == [(len(pcm), round(RATE_HZ / 1.04)), (len(pcm), RATE_HZ)]
    assert confidence(b"", "", language="en", transcribe=hear) == []


def test_a_clear_recording_is_surer_than_a_noisy_one() -> None:
    if asr.engine() is None:
        pytest.skip("no recogniser is installed")
    clear = samples()["order"].pcm
    loud = np.frombuffer(clear, "<i2").astype(float)
    noise = np.random.default_rng(1).standard_normal(len(loud)) * np.sqrt(np.mean(loud**2)) * 1.2
    noisy = np.clip(loud + noise, -32_768, 32_767).astype("<i2").tobytes()
    sure = {pcm: confidence(pcm, asr.transcribe(pcm)) for pcm in (clear, noisy)}
    assert np.mean(sure[clear]) > 0.7
    assert not sure[noisy] or np.mean(sure[noisy]) < np.mean(sure[clear])
