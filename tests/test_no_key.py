"""With no key the practice server answers: said once a kernel, in the reader's language; then by the card's chip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rtnb
from rtnb import cli
from rtnb.ui.reply_card import live

SAID = {"en": "No API key found", "zh": "没有找到 API 密钥"}
QUESTION = 'rtnb.samples()["question"]'
PLACES = {
    "ask": 'rtnb.ask("Hello.", modalities="text", show=False).wait()',
    "connect": "rtnb.connect().wait().close()",
    "side": "chat = rtnb.connect().wait(); chat.side('One word.').wait(); chat.close()",
    "transcribe": f"rtnb.transcribe({QUESTION}).wait()",
    "translate": f'rtnb.translate({QUESTION}, to="es").wait()',
    "map": f'rtnb.map([{QUESTION}], "Summarize").wait()',
    "call": "rtnb.call(show=False)",
}


@pytest.fixture(params=SAID)
def language(request):
    rtnb.language(request.param)
    yield request.param
    rtnb.language("auto")


def run(place):
    exec(PLACES[place], {"rtnb": rtnb})


@pytest.mark.parametrize("place", PLACES)
def test_each_place_says_it_once_in_the_readers_language(place, language, capsys):
    run(place)
    run(place)
    said = capsys.readouterr().out
    assert {name: said.count(words) for name, words in SAID.items()} == dict.fromkeys(SAID, 0) | {language: 1}
    assert "OPENAI_API_KEY" in said


def test_it_is_said_once_whatever_comes_first_and_in_the_language_of_the_environment():
    for lang, said in {"C.UTF-8": SAID["en"], "zh_CN.UTF-8": SAID["zh"]}.items():
        code = "\n".join(["import rtnb", *PLACES.values()])
        path = os.pathsep.join([str(Path(rtnb.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "LC_ALL": lang, "LANGUAGE": "", "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
        )
        assert [done.stdout.count(words) for words in SAID.values()].count(1) == 1
        assert done.stdout.count(said) == 1


@pytest.mark.parametrize("place", ["estimate", "prices", "asked for"])
def test_it_is_not_said_where_nobody_answers_or_the_practice_server_was_asked_for(place, capsys):
    {
        "estimate": lambda: rtnb.estimate(seconds_in=60),
        "prices": rtnb.prices,
        "asked for": lambda: rtnb.ask("Hello.", practice=True, modalities="text", show=False).wait(),
    }[place]()
    assert capsys.readouterr().out == ""


def test_the_command_line_says_it_once_too(tmp_path, language, capsys):
    question = rtnb.samples()["question"].save(tmp_path / "q.wav")
    for _ in range(2):
        assert cli.main(["demo", str(question), "--out", str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out.count(SAID[language]) == 1


def test_the_card_says_who_answered_by_its_chip_and_once(language):
    reply = rtnb.ask("Hello.", practice=True, modalities="text", show=False).wait()
    page = re.sub(r"<style>.*?</style>", "", live.card(reply), flags=re.DOTALL)
    who = {"en": "practice server", "zh": "练习服务器"}[language]
    assert f'<span class="chip">{who}</span>' in page
    words = re.sub(r"<[^>]*>", " ", page.replace(reply.text, ""))
    assert words.count(who) == 1
    for word in ("language model", "语言模型", *SAID.values()):
        assert word not in words
