"""What the practice brain is asked for: whole words where words are asked for, requests in instructions, languages."""

from __future__ import annotations

from typing import Any

import pytest

from rtnb.practice import reading, settings
from rtnb.practice.brain import Call, Request, Say, think
from rtnb.practice.languages import together

DEFAULT = settings.defaults("realtime", session_id="s", expires_at=0, model=settings.MODELS["gpt-realtime"])[
    "instructions"
]
TALK = (
    "Good morning, everybody. Our town garden will open again on Monday. We need six people to plant apple trees, and"
    " two people to repair the water pipe. Please bring gloves and a warm jacket, because the morning will be cold."
    " Children are welcome after lunch. At four o'clock we will make soup together, and the soup is free for everyone"
    " who helped."
)


def typed(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def spoken(transcript: str, request: str = "") -> dict[str, Any]:
    asked = [{"type": "input_text", "text": request}] if request else []
    content = [*asked, {"type": "input_audio", "transcript": transcript}]
    return {"type": "message", "role": "user", "content": content}


def answered(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": text}]}


def say(*items: dict[str, Any], instructions: str = DEFAULT, **more: Any) -> str:
    request = Request(instructions, items=items, **more)
    return together(piece.text for piece in think(request) if isinstance(piece, Say))


def calls(*items: dict[str, Any], **more: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(piece.name, piece.arguments) for piece in think(Request(items=items, **more)) if isinstance(piece, Call)]


# ── Words that are asked for come whole ──

VERBATIM = [
    "Repeat it word by word",
    "Transcribe this",
    "Transcribe the recording, please.",
    "Give me the transcript.",
    "What was said?",
    "What exactly was said in the recording?",
    "What's being said here?",
    "What did they say?",
    "What did the speaker say?",
    "What is she saying?",
    "What did I say in this recording?",
    "Tell me word for word what they said",
    "Tell me what you heard.",
    "Write down every word.",
    "Write it out.",
    "Type out what you hear.",
    "Read it back to me.",
    "Read back what you heard.",
    "Say it again word for word.",
    "Say back what I said.",
    "Please repeat everything.",
    "Echo this.",
    "Quote the recording in full.",
    "Can you give me the exact words?",
    "Let me have the full text.",
    "Convert this audio to text",
    "Put this into writing.",
    "Verbatim, please.",
    "Speech to text, please.",
    "What's in this recording?",
    "这段录音里说了什么？",
    "他说了什么？",
    "她在说什么？",
    "你听到了什么？",
    "这段话说的是什么？",
    "录音的内容是什么？",
    "转写这段录音",
    "把语音转成文字",
    "给我文字稿",
    "逐字写下来",
    "把录音里的话写出来",
    "一字不差地重复一遍",
    "把每一句话都重复一遍",
    "请完整地重复",
    "请逐句重复",
    "请复述录音",
    "照着念一遍",
    "原话是什么？",
    "写出全文",
    "听写",
]


@pytest.mark.parametrize("instructions", [DEFAULT, "", "Be brief. Answer in one sentence.", "回答要简短。"])
@pytest.mark.parametrize("request_", VERBATIM)
def test_words_that_are_asked_for_come_whole(request_: str, instructions: str) -> None:
    assert TALK in say(spoken(TALK, request_), instructions=instructions)
    if "again" not in request_ and " I " not in request_:  # these ask for the answer, or for the question before
        later = say(spoken(TALK, "Summarize this"), answered("In short."), typed(request_), instructions=instructions)
        assert TALK in later


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("Repeat the first ten words", "Good morning, everybody. Our town garden will open again on."),
        ("Read me the first two sentences.", "Good morning, everybody. Our town garden will open again on Monday."),
        ("Transcribe the first three words", "Good morning, everybody."),
        ("Repeat the last two sentences", TALK[TALK.index("Children") :]),
        ("Transcribe this in at most ten words", "Good morning, everybody. Our town garden will open again on."),
        ("Repeat it in one sentence.", "Good morning, everybody."),
        ("复述第一句话", "Good morning, everybody."),
        ("重复最后两句", TALK[TALK.index("Children") :]),
        ("转写前三个词", "Good morning, everybody."),
    ],
)
def test_the_user_may_ask_for_less(request_: str, answer: str) -> None:
    assert say(spoken(TALK, request_)) == answer


def test_what_a_client_has_set_still_limits_what_is_not_verbatim() -> None:
    whole = say(spoken(TALK, "Summarize this"), answered("."), spoken(TALK, "Summarize this"))
    short = say(spoken(TALK, "Summarize this"), instructions="Answer in one sentence.")
    assert len(reading.sentences(short)) == 2, "it says once who it is"
    assert len(reading.sentences(whole)) > 1
    assert len(say(spoken(TALK, "Summarize this in three words")).split()) == 3
    assert say(spoken(TALK, "What did they say about the soup?")).count(".") == 2, "a question about a part of it"


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        ("How many sentences?", "6 sentences"),
        ("Count the sentences.", "6 sentences"),
        ("How many words?", "62 words"),
        ("一共有几句话？", "6句话"),
        ("有多少个单词？", "62个词"),
    ],
)
@pytest.mark.parametrize("instructions", [DEFAULT, "Answer in one sentence."])
def test_all_of_it_is_counted(request_: str, count: str, instructions: str) -> None:
    commas = TALK.replace("everybody. Our", "everybody, our").replace("cold. Children", "cold, children")
    commas = commas.replace("lunch. At", "lunch, at")
    for heard in (TALK, commas):  # small recognisers write commas where a sentence ends
        said = say(spoken("Hello."), answered("Hello."), spoken(heard, request_), instructions=instructions)
        assert count in said


@pytest.mark.parametrize(
    ("heard", "count"),
    [
        ("Hello, I think my bicycle is broken, can you help me?", 3),
        ("Of course, what is wrong with it.", 2),
        ("The front wheel is loose, and the brakes are very weak.", 1),
        ("If it rains, we will stay at home.", 1),
        ("I like apples, pears, and plums, please.", 1),
        ("今天很冷，我们去公园。明天见。", 2),
    ],
)
def test_a_comma_of_the_recogniser_may_end_a_sentence(heard: str, count: int) -> None:
    assert len(reading.spoken_sentences(heard)) == count
