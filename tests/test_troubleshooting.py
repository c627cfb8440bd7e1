"""The pages on troubles, tasks and the practice server: what they say comes out, comes out, in both languages."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import guide_pages
import pytest

import rtnb
from rtnb import cli
from rtnb.server.faults import FAULTS

PAGES = ("troubleshooting", "howto", "practice-server")
# What a page must lead to: a word of the heading below which it is dealt with.
TROUBLES = {
    "uploads over 1 MB": "1 MB",
    "transcript order": "below the answer",
    "microphone permission": "Microphone denied",
    "notebook size": "megabytes",
    "widgets not shown": "Error displaying widget",
    "key leaks": "My key stands",
    "runtime upgrades": "extra_headers",
    "echo": "answers itself",
    "running loops and nest_asyncio": "running event loop",
    "ffmpeg missing": "ffprobe",
    "sample rates": "too fast or too slow",
    "base64 padding": "Incorrect padding",
    "rate limits": "rate_limit_exceeded",
    "session limits": "session_expired",
    "1 MB frames": "1009 (message too big)",
    "proxies and certificates": "CERTIFICATE_VERIFY_FAILED",
    "Windows": "Windows",
    "Firefox and Safari": "Firefox or Safari",
    "VS Code": "VS Code",
    "Kaggle, SageMaker, Deepnote": "Kaggle, SageMaker, Deepnote",
    "costs": "costs more",
    "wrong language heard": "another language",
    "model gone": "not supported in realtime mode",
    "Beta gone": "beta_api_shape_disabled",
    "close codes": "code 1000",
    "answers cut short": "middle of a sentence",
    "silence answered": "input_audio_buffer_commit_empty",
    "two voices": "Two voices",
}
MARKS = {"en": ("**Cause.**", "**Remedy.**", "*Not reproduced"), "zh": ("**原因：**", "**办法：**", "*未能重现")}


def cases(language: str) -> list[tuple[str, str]]:
    """Page and heading of each section with Python in it; of the Chinese ones, those that say something else."""
    found = []
    for page in PAGES:
        english = guide_pages.sections(page, "en").values()
        for (heading, section), other in zip(guide_pages.sections(page, language).items(), english, strict=True):
            said, theirs = ([step.said for step in guide_pages.steps(text)] for text in (section, other))
            if said and (language == "en" or said != theirs):
                found.append((page, heading))
    return found


def check(page: str, language: str, heading: str) -> None:
    section = guide_pages.sections(page, language)[heading]
    for client in ("openai", "agents", "pydantic_ai"):
        if re.search(rf"^(from|import) {client}\b", section, re.MULTILINE):
            pytest.importorskip(client, reason=f"{client} is not installed")
    if "rtnb.run(" in section:  # nest_asyncio patches asyncio for good
        command = [sys.executable, guide_pages.__file__, page, language, heading]
        path = os.pathsep.join([str(Path(rtnb.__file__).parents[1]), *sys.path])
        env = os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=300)
        assert done.returncode == 0, done.stderr
        printed = json.loads(done.stdout.splitlines()[-1])
    else:
        rtnb.language(language)
        try:
            printed = guide_pages.run(section)
        finally:
            rtnb.language("auto")
    for step, came in zip(guide_pages.steps(section), printed, strict=True):
        assert step.said is None or guide_pages.fits(step.said, came), f"{step.code}\nsays\n{step.said}\nprints\n{came}"


@pytest.mark.parametrize(("page", "heading"), cases("en"))
def test_the_english_page_says_what_comes_out(page: str, heading: str) -> None:
    check(page, "en", heading)


@pytest.mark.parametrize(("page", "heading"), cases("zh"))
def test_the_chinese_page_says_what_comes_out(page: str, heading: str) -> None:
    check(page, "zh", heading)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_sections_and_the_same_code(page: str) -> None:
    english, chinese = (guide_pages.sections(page, language) for language in guide_pages.LANGUAGES)
    assert len(english) == len(chinese)
    for one, other in zip(english.items(), chinese.items(), strict=True):
        assert bare_code(one[1]) == bare_code(other[1]), (one[0], other[0])
        assert re.search("[\u4e00-\u9fff]", other[0] + other[1]), other[0]


def bare_code(section: str) -> list[str]:
    """Code without its comments."""
    code = "".join(guide_pages.blocks(section, "python")) + "".join(guide_pages.blocks(section, "sh"))
    return re.sub(r"  # .*", "", code).splitlines()


def test_every_trouble_has_its_entry() -> None:
    headings = re.findall(r"^### (.+)$", guide_pages.text("troubleshooting", "en"), re.MULTILINE)
    assert len(headings) == len(TROUBLES) == 28
    for trouble, words in TROUBLES.items():
        assert [heading for heading in headings if words in heading], trouble


@pytest.mark.parametrize("language", guide_pages.LANGUAGES)
def test_each_entry_has_its_cause_its_remedy_and_a_proof(language: str) -> None:
    cause, remedy, without = MARKS[language]
    sections = guide_pages.sections("troubleshooting", language)
    entries = {heading: section for heading, section in sections.items() if cause in section}
    reproduced = 0
    for heading, section in entries.items():
        assert remedy in section, heading
        proved = any(step.said for step in guide_pages.steps(section))
        assert proved or without in section, heading
        reproduced += proved and without not in section
    assert len(entries) == 28
    assert reproduced >= 15


@pytest.mark.parametrize("language", guide_pages.LANGUAGES)
def test_the_page_of_the_practice_server_names_every_fault_and_options_there_are(language: str) -> None:
    sections = list(guide_pages.sections("practice-server", language).values())
    tables = [re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for section in sections]
    faults, options = [set(re.findall(r"`(?:--)?([a-z_-]+)", " ".join(rows))) for rows in tables if rows]
    assert faults == {*FAULTS, "clinic"}
    known = {name.replace("_", "-") for name in inspect.signature(rtnb.practice).parameters}
    known |= {"model", "record", "engines", "no-engines", "allow-origin"}
    assert {option.replace("_", "-") for option in options} <= known


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_are_understood(page: str) -> None:
    for section in guide_pages.sections(page, "en").values():
        for line in "".join(guide_pages.blocks(section, "sh")).replace("\\\n", " ").splitlines():
            if line.startswith("rtnb "):
                cli._parser(words := shlex.split(line, comments=True)[1:]).parse_args(
                    words
                )  # ends the test where a word is off


@pytest.mark.parametrize("language", guide_pages.LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_somewhere(page: str, language: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", guide_pages.text(page, language)):
        assert (guide_pages.GUIDE / language / link).exists(), link
