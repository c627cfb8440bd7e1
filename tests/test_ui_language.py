"""The texts of widgets and cards."""

import json
import re
from importlib.resources import files

import pytest

from rtnb.errors import InputError
from rtnb.ui import language as texts_of
from rtnb.ui.language import language, text

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    language("auto")
    yield
    language("auto")


def test_both_languages_say_the_same_things_with_the_same_braces():
    everything = json.loads((files("rtnb") / "ui" / "texts.json").read_text("utf-8"))
    english, chinese = everything["en"], everything["zh"]
    assert english.keys() == chinese.keys()
    for key in english:
        assert set(re.findall(r"\{\w+\}", english[key])) == set(re.findall(r"\{\w+\}", chinese[key])), key
    # A sentence that was only copied would stay English.
    assert all(re.search(r"[一-鿿]", words) for words in chinese.values())


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh:en"}, "zh"),
    ],
)
def test_python_follows_the_environment(monkeypatch, variables, expected):
    monkeypatch.setattr(texts_of.locale, "getlocale", lambda: (None, None))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_what_is_chosen_wins_until_it_is_taken_back(monkeypatch):
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert language("zh-Hans") == "zh"
    assert texts_of.chosen() == "zh"
    assert text("live.download") == "下载"
    assert language("auto") == "en"
    assert texts_of.chosen() == ""  # the browser decides
    assert text("live.download") == "Download"


def test_a_language_without_texts_is_refused_and_changes_nothing():
    language("zh")
    with pytest.raises(InputError, match=r"^Your language 'fr' .* Take one of: en, zh, auto\.$") as caught:
        language("fr")
    assert caught.value.name == "fr"
    assert language() == "zh"


def test_a_page_gets_only_the_texts_it_asked_for():
    given = texts_of.texts("player")
    assert set(given) == {"en", "zh"}
    assert all(key.startswith("player.") for key in given["en"])
    assert "player.stop" in given["zh"]


def test_a_text_nobody_wrote_is_a_mistake_in_the_code():
    with pytest.raises(KeyError):
        text("live.nonsense")
