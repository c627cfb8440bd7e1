"""Facts of the practice server: what it knows of the course's own subject, in English and Chinese."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtnb import models
from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder import facts
from rtnb.server.responder.facts import FACTS, about_fact, fact
from rtnb.server.responder.responder import Request, Text, think

SHEETS = {
    code: tomllib.loads(Path(facts.__file__).with_name(f"facts_{code}.toml").read_text("utf-8"))
    for code in ("en", "zh")
}
ENTRIES = [(code, name, entry) for code, sheet in SHEETS.items() for name, entry in sheet.items() if name != "words"]
EXAMPLES = [(code, name, question) for code, name, entry in ENTRIES for question in entry["examples"]]


def say(*texts: str, instructions: str = INSTRUCTIONS, **more: Any) -> str:
    """Ask the responder, with a turn behind it, so that it does not introduce itself."""
    before = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "…"}]}
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]} for text in texts]
    said = think(Request(items=[before, *items], instructions=instructions, **more))
    return " ".join(piece.text for piece in said if isinstance(piece, Text))


def test_both_languages_know_the_same_facts_in_the_same_order() -> None:
    assert list(SHEETS["en"]) == list(SHEETS["zh"])
    assert len(FACTS) >= 40


@pytest.mark.parametrize(("code", "name", "question"), EXAMPLES)
def test_a_question_of_the_subject_is_answered_with_its_fact(code: str, name: str, question: str) -> None:
    assert fact(question) == name
    assert say(question) == about_fact(name, code)


@pytest.mark.parametrize(("code", "name", "entry"), ENTRIES)
def test_an_answer_is_short_enough_to_be_listened_to(code: str, name: str, entry: dict[str, Any]) -> None:
    said = about_fact(name, code)
    assert len(re.findall(r"[\u4e00-\u9fff]|[\w.\-]+", said) if code == "zh" else said.split()) <= (
        62 if code == "zh" else 36
    )
    assert "{" not in said
    assert said.endswith((".", "。"))


def test_figures_come_from_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "60 minutes" in say("How long can a session be?")
    assert "60分钟" in say("一次会话最长多久？")
    monkeypatch.setattr(models, "limits", lambda: replace(models.catalogue.limits(), session_minutes=95))
    assert "95 minutes" in say("How long can a session be?")
    assert "95分钟" in say("一次会话最长多久？")
    monkeypatch.setattr(
        models, "load", lambda: models.catalogue.load() | {"gpt-live-1": models.get("gpt-realtime-translate")}
    )
    assert "0.034" in say("How much is the Live API?")


@pytest.mark.parametrize(
    "text",
    [
        "My session with the dentist was long.",
        "How long is my session with the dentist?",
        "Give me a token of love.",
        "What is a token of love?",
        "What is the price of bread?",
        "How much is the ticket?",
        "Where is the Nile delta?",
        "Which event are you going to tonight?",
        "What's the speed limit in Germany?",
        "Where are my keys?",
        "Can I pay by card?",
        "Is the table free?",
        "Are you free tonight?",
        "Can you speak slower?",
        "Call my mother.",
        "What is the temperature in Paris?",
        "I like the voice of my teacher.",
        "What language is spoken in this recording?",
        "What is the transcript of this?",
        "Can you transcribe this recording?",
        "How do you translate apple into German?",
        "How many letters are in the word token?",
        "How do you spell WebSocket?",
        "Repeat after me: what is WebRTC?",
        "Tell me a story about a WebSocket.",
        "My friend said base64 is hard.",
        "Can you wait a moment?",
        "What did you learn?",
        "Can we stop here?",
        "How long is the recording?",
        "What is the speed of sound?",
        "Are you a free person?",
        "Did I do something wrong?",
        "Am I speaking clearly?",
        "How do I learn English fast?",
        "我和牙医的会话很长。",
        "面包的价格是多少？",
        "房间多少钱？",
        "这个事件是什么时候发生的？",
        "昨天发生了什么事件？",
        "电话号码是多少？",
        "这辆车的速度是多少？",
        "你还记得我说了什么吗？",
        "怎么停止打嗝？",
        "光的速度是多少？",
        "录音有多长？",
        "我上传了什么？",
        "可以说慢一点吗？",
        "这句话怎么翻译？",
        "请转写这段录音。",
        "请重复：WebRTC 是什么？",
        "拼写 token。",
    ],
)
def test_words_of_the_subject_in_another_sense_ask_for_no_fact(text: str) -> None:
    assert fact(text) is None


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("uh okay so what exactly is a token", "token"),
        ("why can't i just send the bytes", "base64"),
        ("my file has forty four thousand one hundred hertz is that a problem", "sample_rate"),
        ("it interrupts me all the time what can i do", "silence_duration"),
        ("how do you know that i have finished", "turn_detection"),
        ("what is web r t c used for", "webrtc"),
        ("what does v a d stand for", "vad"),
        ("What happens after an hour?", "session_length"),
        ("Is my voice sent to OpenAI?", "practice_real"),
        ("Does silence cost money?", "silence_cost"),
        ("我讲一分钟用掉多少 token", "tokens_per_minute"),
        ("为什么回答是一段一段来的", "delta"),
        ("它老是打断我怎么办", "silence_duration"),
        ("一个小时之后会怎么样", "session_length"),
        ("需要上网吗", "practice_free"),
        ("密钥要填在哪儿", "colab_secret"),
    ],
)
def test_a_question_is_known_in_other_words_and_as_a_recogniser_writes_it(question: str, name: str) -> None:
    assert fact(question) == name


def test_in_a_role_a_price_is_the_roles_own() -> None:
    shop = "You sell shoes. Be friendly."
    assert "gpt-realtime" not in say("What does it cost?", instructions=shop)
    assert "gpt-realtime" in say("What does a minute of the Realtime API cost?", instructions=shop)
    assert say("What is a token?", instructions=shop) == about_fact("token", "en")


def test_a_greeting_before_the_question_does_not_hide_it() -> None:
    assert say("Hello! Thanks for that. What is a delta?") == about_fact("delta", "en")
    assert say("你好，请问什么是会话？") == about_fact("session", "zh")


def test_a_fact_is_answered_in_the_language_of_the_talk() -> None:
    assert say("WebRTC 是什么？") == about_fact("webrtc", "zh")
    assert say("What is WebRTC? Answer in Chinese.") == about_fact("webrtc", "zh")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("“画蛇添足”是什么意思？", "多余"),
        ("用“虽然”造一个句子。", "虽然"),
        ("高兴的近义词有哪些", "开心"),
        ("星期四后面是星期几", "星期五"),
        ("我考试通过了，太开心了！", "高兴"),
        ("世界上有多少人口？", "八十亿"),
        ("为什么会下雨？", "云"),
    ],
)
def test_what_chinese_learners_ask_besides_is_known(question: str, part: str) -> None:
    assert part in say(question)


def test_a_word_inside_another_is_not_the_one_that_is_asked_about() -> None:
    assert "巨大" not in say("伟大的近义词是什么？")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("What does resilient mean?", "get well"),
        ("What does it mean to break the ice?", "at ease"),
        ("Use the word “although” in a sentence.", "Although"),
        ("Which word rhymes with light?", "night"),
        ("Name five animals.", "elephants"),
        ("Name two countries in Europe.", "France and Italy"),
        ("I got a new job!", "Congratulations"),
        ("My cat died.", "sorry"),
        ("How many letters are in the alphabet?", "26"),
        ("Can you whisper?", "louder"),
    ],
)
def test_what_english_learners_ask_besides_is_known(question: str, part: str) -> None:
    assert part in say(question)


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("熊猫吃什么", "竹子"),
        ("说五种动物", "大象"),
        ("“惭愧”是什么意思", "不好意思"),
        ("“的”“地”“得”怎么用", "名词"),
        ("今天是我的生日", "生日快乐"),
        ("帮我改句子：我昨天去了在公园", "去了公园"),
    ],
)
def test_more_of_what_chinese_learners_ask_is_known(question: str, part: str) -> None:
    assert part in say(question)


@pytest.mark.parametrize(
    ("question", "part", "never"),
    [
        ("What is the tallest mountain in Africa?", "Kilimanjaro", "Everest"),
        ("What is the highest mountain in the world?", "Everest", "cannot"),
        ("What is the largest lake in Italy?", "", "Superior"),
        ("What's the biggest city in Japan?", "Tokyo", "million"),
        ("what is the third letter of the alphabet", "C.", "A, B"),
        ("非洲最高的山是哪座？", "乞力马扎罗", "珠穆朗玛"),
        ("世界上最高的山是什么？", "珠穆朗玛", "回答不了"),
        ("二十五乘四再减十是多少", "90", "100"),
    ],
)
def test_a_place_or_a_rest_in_the_question_is_no_detail(question: str, part: str, never: str) -> None:
    said = say(question)
    assert part in said
    assert never not in said


@pytest.mark.parametrize(
    ("question", "never"),
    [
        ("How many teeth does a dog have?", "32"),
        ("How many planets have rings?", "eight planets"),
        ("What is the second highest mountain?", "Everest"),
        ("How far is the moon from the sun?", "384"),
        ("I am not tired.", "sorry"),
        ("Where is my phone?", "SIP"),
        ("我不累", "难过"),
        ("酒精的沸点是多少", "100"),
        ("月亮离太阳多远", "三十八万"),
    ],
)
def test_a_question_like_a_known_one_is_not_answered_with_its_fact(question: str, never: str) -> None:
    assert never not in say(question)
