"""Who said what, and how sure the ears are of each word: the real engines on the recordings that ship with rtnb."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rtnb.audio import samples
from rtnb.server.engines import asr, diarization
from rtnb.server.engines.engines import installed
from rtnb.server.engines.moonshine import Word
from rtnb.server.protocol.effects import Transcribe, Unintelligible

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
    monkeypatch.setattr(asr, "moonshine_model", lambda: None)
    monkeypatch.setattr(asr, "transcribe", lambda pcm, **how: "hello and good morning")
    (part,) = diarization.diarize(silence(2))
    assert (part.speaker, part.start_seconds, part.end_seconds) == ("A", 0.0, 2.0)
    assert part.text == "hello and good morning"


def test_where_nothing_is_understood_nobody_is_said_to_be_silent(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asr, "moonshine_model", lambda: None)

    def foreign(pcm: bytes, **how: object) -> list[Word]:
        raise Unintelligible

    monkeypatch.setattr(asr, "recognise", foreign)
    with pytest.raises(Unintelligible):
        installed().transcript(Transcribe("a", silence(2), "zh", speakers=True))


def test_more_speakers_than_letters() -> None:
    assert [diarization._label(number) for number in (0, 1, 25, 26, 27, 52)] == ["A", "B", "Z", "AA", "AB", "BA"]


def test_each_word_has_the_recognisers_own_probability(moonshine: None) -> None:
    transcript = installed().transcript(Transcribe("a", samples()["question"].pcm, "en"))
    assert transcript.text == "What is the capital of Norway?"
    assert len(transcript.confidence) == 6
    assert all(0.9 < sure < 1.0 for sure in transcript.confidence)
    assert installed().transcript(Transcribe("b", b"", "en")).confidence == ()


def test_a_clear_recording_is_surer_than_a_noisy_one() -> None:
    if asr.engine() is None:
        pytest.skip("no recogniser is installed")
    clear = samples()["order"].pcm
    loud = np.frombuffer(clear, "<i2").astype(float)
    noise = np.random.default_rng(1).standard_normal(len(loud)) * np.sqrt(np.mean(loud**2)) * 1.2
    noisy = np.clip(loud + noise, -32_768, 32_767).astype("<i2").tobytes()
    clear_words = asr.recognise(clear)
    try:
        noisy_words = asr.recognise(noisy)
    except Unintelligible:
        noisy_words = []

    def sure(words: list[Word]) -> float:
        return float(np.mean([word.probability for word in words]))

    assert sure(clear_words) > 0.7
    assert not noisy_words or sure(noisy_words) < sure(clear_words)


def test_confidences_come_with_the_words_of_one_recognition(monkeypatch: pytest.MonkeyPatch) -> None:
    recognised: list[int] = []

    def transcribe(samples: np.ndarray, language: str | None) -> list[Word]:
        recognised.append(samples.size)
        return [Word("Hello", 0.9), Word("there.", 0.8)]

    monkeypatch.setattr(asr, "_recogniser", lambda: asr._Recogniser("counting", transcribe, only_english=False))
    engines, pcm = installed(), samples()["question"].pcm
    assert engines.transcript(Transcribe("a", pcm, "en")).confidence == (0.9, 0.8)
    beside = engines.transcribe("en", True)
    beside.feed(pcm)
    assert beside.finish().confidence == (0.9, 0.8)
    assert len(recognised) == 2
