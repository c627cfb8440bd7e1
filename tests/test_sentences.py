"""Errors, warnings and notices in Chinese: each is found by its template, whoever put it together."""

import re
from string import Formatter

import pytest
from sentences import sentences

import rtnb
from rtnb.errors import InputError, RtnbWarning
from rtnb.texts import language as texts
from rtnb.texts.language import Warnings, translate

SENTENCES = {
    "Your file {name} has {count} tracks.": "你的文件 {name} 有 {count} 条音轨。",
    "Give a number.": "请给出数字。",
    "{name} and {name} are one.": "{name} 是同一个。",
    "The place {name} is taken: {problem}": "位置 {name} 已被占用：{problem}",
}


@pytest.fixture
def chinese(monkeypatch):
    """Chinese with these sentences alone."""
    rtnb.language("zh")
    monkeypatch.setattr(texts, "sentences", lambda code, *areas: SENTENCES)
    texts._templates.cache_clear()
    yield
    texts._templates.cache_clear()
    rtnb.language("auto")


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("Give a number.", "请给出数字。"),
        ("Your file a.wav has 3 tracks.", "你的文件 a.wav 有 3 条音轨。"),
        ("Your file a has b.wav has 3 tracks.", "你的文件 a has b.wav 有 3 条音轨。"),
        ("Your file a.wav has 3 tracks. Give a number.", "你的文件 a.wav 有 3 条音轨。请给出数字。"),
        ("x and x are one.", "x 是同一个。"),
        ("x and y are one.", "x and y are one."),
        ("The place p is taken: Give a number.", "位置 p 已被占用：请给出数字。"),
        ("The server said no. Give a number.", "The server said no. 请给出数字。"),
        ("Nobody wrote this. Nor this.", "Nobody wrote this. Nor this."),
        ("", ""),
    ],
)
def test_a_finished_sentence_is_known_by_its_template(chinese, english, expected):
    assert translate(english) == expected


def test_errors_and_warnings_are_in_the_language_of_the_user(chinese):
    assert str(InputError("Your file a.wav has 3 tracks.")) == "你的文件 a.wav 有 3 条音轨。"
    assert str(RtnbWarning("Give a number.")) == "请给出数字。"


def test_what_was_odd_is_kept_once(chinese):
    kept = Warnings()
    for _ in range(2):
        kept.append("Give a number.")
    assert kept == ["请给出数字。"]


def test_in_english_all_stays_as_it_is():
    assert translate("Your file a.wav has 3 tracks.") == "Your file a.wav has 3 tracks."


def test_every_sentence_of_the_code_has_its_chinese():
    known = texts.sentences("zh")
    assert {text: place for text, place in sentences() if text not in known} == {}


@pytest.mark.parametrize("english", [one for one in texts.sentences("zh") if re.search(r"\{\w+[}!:]", one)])
def test_chinese_has_the_same_braces(english):
    def names(text):
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}

    assert names(texts.sentences("zh")[english]) == names(english)
    assert all(name.isidentifier() for name in names(english))


@pytest.fixture
def full():
    """Chinese with all its sentences."""
    rtnb.language("zh")
    yield
    rtnb.language("auto")


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        # A part of a sentence that begins with a value is not looked for in the midst of another.
        (
            "Nobody wrote this: $0 is spent, $2 more is needed, and more; raise it.",
            "Nobody wrote this: $0 is spent, $2 more is needed, and more; raise it.",
        ),
        ("The server complains: Download quota is gone.", "服务器提示：Download quota is gone."),
        (
            "The server complains: Remove the slash. The file x is gone.",
            "服务器提示：Remove the slash. The file x is gone.",
        ),
        ("Nobody wrote this. Nor this. Choose another place.", "Nobody wrote this. Nor this. 请换一个位置。"),
        (
            "Name its arguments: a=, b=. Or make one with Image.read().",
            "请写明参数名：a=, b=。也可以用 Image.read() 创建。",
        ),
    ],
)
def test_what_others_wrote_stays_as_it_is(full, english, expected):
    assert translate(english) == expected


def test_what_is_said_is_not_translated_again(full):
    said = texts.say(
        "The server could not answer: {said} {remedy}", said="Download it. The file x is gone.", remedy="再试。"
    )
    assert translate(said) == "服务器无法回答：Download it. The file x is gone. 再试。"
