"""The page on engines of one's own, in both languages: its lines are taken, and it says what was run and what not."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

import rtnb
from rtnb import cli
from rtnb.server import local_models

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PAGES = {"en": NOTEBOOKS / "ENGINES.md", "zh": NOTEBOOKS / "zh" / "ENGINES.md"}


@cache
def page(language: str) -> str:
    return PAGES[language].read_text("utf-8")


def blocks(language: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page(language), re.DOTALL)


def test_both_languages_have_the_same_lines() -> None:
    for kind in ("sh", "python"):
        assert blocks("en", kind) == blocks("zh", kind)
        assert blocks("en", kind)
    in_text = [sorted(set(re.findall(r"`([\w.=\-/]+)`", page(language)))) for language in PAGES]
    assert in_text[0] == in_text[1]


def test_the_command_is_understood() -> None:
    commands = [line for block in blocks("en", "sh") for line in block.splitlines() if line.startswith("rtnb ")]
    assert commands
    for command in commands:
        cli._parser(words := shlex.split(command)[1:]).parse_args(words)  # ends the test where a word is off


def test_its_calls_are_taken() -> None:
    named = {"practice": rtnb.practice, "ask": rtnb.ask, "connect": rtnb.connect}
    found = set()
    for block in [*blocks("en", "python"), *re.findall(r"`(rtnb\.\w+\([^`…]+\))`", page("en"))]:
        code = "\n".join(line for line in block.splitlines() if not line.startswith("%"))
        for node in ast.walk(ast.parse(code.replace("await ", ""))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in named:
                called = inspect.signature(named[node.func.attr])
                called.bind(*node.args, **{str(keyword.arg): None for keyword in node.keywords})
                found |= {keyword.arg for keyword in node.keywords}
    assert {"llm", "asr", "tts", "brain_model"} <= found


@pytest.mark.parametrize("language", PAGES)
def test_ports_and_variables_are_those_of_the_code(language: str) -> None:
    ports = re.findall(r"(Ollama|LM Studio|llama\.cpp|vLLM)\s?[(（](\d+)[)）]", page(language))
    assert {name: int(port) for name, port in ports} == local_models._PORTS
    code = "".join(path.read_text("utf-8") for path in (NOTEBOOKS.parent / "rtnb/server").rglob("*.py"))
    variables = set(re.findall(r"\b(?:RTNB|HF)_[A-Z_]+\b", page(language)))
    assert variables == {"RTNB_WHISPER_MODEL", "RTNB_VOICES", "RTNB_BRAIN_KEY", "HF_ENDPOINT"}
    assert all(variable in code for variable in variables)


@pytest.mark.parametrize("language", PAGES)
def test_it_says_what_was_not_run_and_is_linked(language: str) -> None:
    mark = {"en": "not run with the real", "zh": "未与真实"}[language]
    assert page(language).count(f"*{mark}") == 4
    folder = PAGES[language].parent
    for other in ("README.md", "TEACHING.md"):
        assert "](ENGINES.md)" in (folder / other).read_text("utf-8")
        assert f"]({other}" in page(language)
    headings = re.findall(r"^## (.+)$", page(language), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert re.findall(r"\]\(#([^)]+)\)", page(language)) == anchors
    for name, anchor in re.findall(r"\]\((TEACHING\.md)#([^)]+)\)", page(language)):
        text = (folder / name).read_text("utf-8")
        assert anchor in [heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)]
