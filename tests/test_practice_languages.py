"""The responder's files of words and templates, one for each language: every example of an intent has that intent."""

from __future__ import annotations

import pytest

import rtnb
from rtnb.server.nlu.intents import intent_of
from rtnb.server.nlu.lexicon import FILES, INTENTS, TEMPLATES


def test_every_language_has_templates_with_the_same_blanks() -> None:
    for language, templates in TEMPLATES.items():
        for key, text in templates.items():
            blanks = {part.split("}")[0] for part in text.split("{")[1:]}
            assert blanks == {part.split("}")[0] for part in TEMPLATES["en"][key].split("{")[1:]}, (language, key)


EXAMPLES = [
    pytest.param(intent, example, id=f"{language} {intent} {number}")
    for language, file in FILES.items()
    for intent, entry in file.get("intents", {}).items()
    for number, example in enumerate(entry["examples"])
]


@pytest.mark.parametrize(("intent", "example"), EXAMPLES)
def test_the_examples_of_an_intent_have_it(intent: str, example: str) -> None:
    assert intent_of(example) == intent


def test_every_intent_of_every_language_has_two_examples_and_is_one_of_english() -> None:
    for language, file in FILES.items():
        for intent, entry in file.get("intents", {}).items():
            assert intent in INTENTS, (language, intent)
            assert len(entry["examples"]) == 2, (language, intent)


@pytest.mark.parametrize(
    ("instructions", "begin", "end"),
    [
        ("每个回答都以“当然”开头。", "当然。", ""),
        ("回答的开头要说“好的”。", "好的。", ""),
        ("每个回答都用“谢谢”来结尾。", "", "谢谢。"),
    ],
)
def test_chinese_instructions_say_how_an_answer_begins_and_ends(instructions: str, begin: str, end: str) -> None:
    reply = rtnb.ask("打个招呼。", instructions=instructions, practice=True, modalities="text", show=False)
    assert reply.wait(60).text.startswith(begin)
    assert reply.text.endswith(end)


def test_a_result_that_is_a_chinese_sentence_is_said_as_it_is() -> None:
    def weather(city: str) -> str:
        """查询一个城市的天气。"""
        return f"今天 {city} 有雨，3 度"

    reply = rtnb.ask("Oslo 的天气怎么样？", tools=[weather], practice=True, modalities="text", show=False)
    assert reply.wait(60).text.endswith("今天 Oslo 有雨，3 度。")
