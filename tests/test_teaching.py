"""The teacher's guide, in both languages: its plans add up, its commands and snippets work, its answers are right."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
import urllib.request
from functools import cache
from pathlib import Path

import pytest

import rtnb
from rtnb import cli, models
from rtnb.course import notebooks, sources
from rtnb.course.check import numbers

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
GUIDES = {"en": NOTEBOOKS / "TEACHING.md", "zh": NOTEBOOKS / "zh" / "TEACHING.md"}
LANGUAGES = list(GUIDES)
PROJECT = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text("utf-8"))["project"]


@cache
def guide(language):
    return GUIDES[language].read_text("utf-8")


def tables(language):
    """The rows of every table, without its head, each row as a list of cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", guide(language), re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        found.append(rows[2:])
    return found


def ninety(language):
    return next(rows for rows in tables(language) if rows[0][0] == "0")


def half_day(language):
    return next(rows for rows in tables(language) if rows[0][0] == "0:00")


def eight(language):
    return next(rows for rows in tables(language) if rows[0][2].startswith("8 · "))


def nine(language):
    return next(rows for rows in tables(language) if rows[0][2].startswith("9 · "))


def minute(text):
    hours, _, minutes = text.rpartition(":")
    return int(hours or 0) * 60 + int(minutes)


@cache
def sections(number, language):
    """The headings of a notebook, with the numbers that its code cells have after Run all."""
    (path,) = (NOTEBOOKS / "source").glob(f"{number:02}_*.md")
    found, count = [], 0
    for cell in sources.read(path).cells:
        if cell.kind == "code":
            count += 1
            found[-1][1].append(count)
        else:
            text = re.sub(r"```.*?```", "", cell.texts[language], flags=re.DOTALL)
            found += [(heading, []) for heading in re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)]
    return found


def named(text):
    """What a row of a plan names: a notebook's number, a section's heading, and its cells."""
    for part in re.split(r"[;；] ?", text):
        if match := re.match(r"(\d) · (?=\*)", part):
            for heading, first, last in re.findall(r"\*([^*]+)\*(?: \[(\d+)(?:–(\d+))?\])?", part):
                yield int(match[1]), heading, list(range(int(first), int(last or first) + 1)) if first else []


# --- the plans -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("plan", "long"), [(ninety, 90), (half_day, 240), (eight, 60), (nine, 60)])
def test_the_minutes_add_up(plan, long, language):
    at = 0
    for start, minutes, what, *_ in plan(language):
        assert minute(start) == at, what
        at += int(minutes)
    assert at == long


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("plan", "least"), [(ninety, 11), (half_day, 11), (eight, 9), (nine, 9)])
def test_the_sections_and_cells_it_names_are_there(plan, least, language):
    count = 0
    for _, _, what, *_ in plan(language):
        for number, heading, cells in named(what):
            # A heading in full, or as far as its dot: “Step 3” for “Step 3 · PCM16, chunks, base64”.
            known = {part: where for name, where in sections(number, language) for part in (name, name.split(" · ")[0])}
            assert heading in known, what
            assert known[heading] == cells, f"{what}: {heading}"
            count += 1
        for exercise in re.findall(r"\b(\d)\.(\d)\b", what):
            assert "0" + ".".join(exercise) in numbers(), what
    assert count >= least


def test_both_languages_have_the_same_plan():
    for plan in (ninety, half_day, eight, nine):
        for english, chinese in zip(plan("en"), plan("zh"), strict=True):
            assert english[:2] == chinese[:2]
            places = [[(number, cells) for number, _, cells in named(row[2])] for row in (english, chinese)]
            assert places[0] == places[1], english[2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_hour_of_the_half_day_is_that_of_the_ninety_minutes(language):
    first = half_day(language)[0]
    words = {"en": r"from 0 to (\d+)", "zh": r"0 到 (\d+)"}
    until = int(re.search(words[language], first[2])[1])
    rows = [row for row in ninety(language) if int(row[0]) < until and row[2] not in ("break", "休息")]
    assert sum(int(row[1]) for row in rows) == int(first[1])


# What thirty people need: the words of a section, read aloud or in silence; one minute a cell, for the slowest decides
# when the next one comes; one more where a guess is written first.
WORDS_A_MINUTE = 150


def needed(row):
    """The minutes that thirty people need for the sections and cells a row names, from the notebooks' own counts."""
    minutes = 0.0
    for number, heading, cells in named(row[2]):
        (path,) = (NOTEBOOKS / "source").glob(f"{number:02}_*.md")
        inside = count = 0
        for cell in sources.read(path).cells:
            text = re.sub(r"```.*?```", "", cell.texts["en"], flags=re.DOTALL)
            if cell.kind == "code":
                count += 1
                minutes += (1 + text.startswith("guess = None")) * (count in cells)
                continue
            for part in re.split(r"^(?=#{1,3} )", text, flags=re.MULTILINE):
                if head := re.match(r"#{1,3} (.+)", part):
                    inside = heading in (head[1], head[1].split(" · ")[0])
                minutes += inside * len(part.split()) / WORDS_A_MINUTE
    return minutes


@pytest.mark.parametrize(("plan", "found"), [(ninety, 35), (eight, 30), (nine, 35)])
def test_the_minutes_are_enough_for_thirty_people(plan, found):
    for row in plan("en"):
        assert float(row[1]) >= needed(row), f"{row[2]}: {needed(row):.1f}"
    assert sum(map(needed, plan("en"))) > found, "that the words and cells were found"


@pytest.mark.parametrize("plan", [eight, nine])
def test_the_lessons_of_an_hour_leave_out_no_cell_but_those_of_the_exercises(plan):
    rows = [place for row in plan("en") for place in named(row[2])]
    number = rows[0][0]
    left = [cell for heading, cells in sections(number, "en") for cell in cells if heading == "Exercises"]
    every = [cell for _, cells in sections(number, "en") for cell in cells]
    assert [cell for _, _, cells in rows for cell in cells] == [cell for cell in every if cell not in left]


def test_in_ninety_minutes_they_do_the_first_notebook_two_cells_of_the_second_and_the_call():
    done = [
        (number, heading, cell) for row in ninety("en") for number, heading, cells in named(row[2]) for cell in cells
    ]
    assert {number for number, _, _ in done} == {1, 2, 3}
    assert [cell for number, _, cell in done if number == 1] == list(range(1, 23)), "in order, none left out"
    assert [(heading, cell) for number, heading, cell in done if number == 2 and heading != "Set up"] == [
        ("Two letters", 3),
        ("Instructions", 11),
    ]
    assert [heading for number, heading, _ in done if number == 3 and heading != "Set up"] == ["The call"]


@pytest.mark.parametrize(("language", "call", "install"), [("en", "The call", "install"), ("zh", "通话", "安装")])
def test_the_call_has_time_for_all_and_those_who_come_without_have_time_to_install(language, call, install):
    (row,) = [row for row in ninety(language) if f"*{call}*" in row[2]]
    parts = re.findall(r"(?:(\d+) × )?(\d+) (?:min|分钟)[:：]", row[3])
    assert len(parts) == 3
    assert sum(int(times or 1) * int(minutes) for times, minutes in parts) == int(row[1]) == 18
    first = ninety(language)[0]
    assert first[2].startswith(install)
    assert "`rtnb doctor`" in first[4]
    assert int(first[1]) - needed(first) >= 8


@pytest.mark.parametrize(("language", "late"), [("en", "**Behind schedule?**"), ("zh", "**时间不够？**")])
def test_who_is_late_leaves_out_no_step_from_six_to_eight_and_not_the_call(language, late):
    (said,) = [block for block in guide(language).split("\n\n") if block.startswith(late)]
    rows = ninety(language)
    out = re.findall(r"\*([^*]+)\*", said.removeprefix(late))
    assert len(out) == 3
    saved = re.findall(r"[(（](\d+)", said)
    homes = [next(row for row in rows if f"*{heading}*" in row[2]) for heading in (out[0], out[2])]
    assert saved[1:] == [row[1] for row in homes]
    assert saved[0] == next(row[1] for row in rows if "1.1" in row[2])
    kept = {"en": "Steps 6 to 8 stay", "zh": "第 6 到第 8 步要留着"}[language]
    assert kept in said


# --- commands --------------------------------------------------------------------------------------------------------


def commands(language):
    """Every command of the guide: in its blocks, and in a line's code."""
    text = guide(language)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line.strip() for line in lines if re.match(r"\s*(?:rtnb|python -m rtnb\S*|pip) ", line)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_commands_are_understood(language, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = set()
    for command in commands(language):
        words = shlex.split(command)
        if words[0] == "rtnb":
            cli._parser(words[1:]).parse_args(words[1:])  # ends the test where a word is off
            found.add(words[1])
        elif words[0] == "python":
            notebooks.main([*words[3:], "--folder", str(NOTEBOOKS)])
            assert "--costs" not in words or "× 30" in capsys.readouterr().out
            for kind in ("--nbgrader", "--otter"):
                assert kind not in words or (tmp_path / words[words.index(kind) + 1]).is_dir()
            found.add("course")
        else:
            assert words[1] in ("install", "wheel"), command
            asked, _, rest = words[-3 if words[-2] == "-w" else -1].partition("[")
            extras = set(filter(None, rest.rstrip("]").split(",")))
            assert extras <= set(PROJECT["optional-dependencies"])
            # The wheel by its name, the checkout, or what an extra takes; rtnb by its name only from the stick.
            assert asked in (f"rtnb-{rtnb.__version__}-py3-none-any.whl", ".", "rtnb", "uvloop"), command
            assert asked != "rtnb" or "--no-index" in words
            assert any(text.startswith("uvloop") for text in PROJECT["optional-dependencies"]["crowd"])
            found.add("pip")
    assert found == {"demo", "doctor", "notebooks", "practice", "prices", "course", "pip"}


def test_both_languages_have_the_same_commands():
    # Chinese pip users also meet a mirror.
    extra = [line for line in commands("zh") if "-i " in line]
    assert sorted(set(commands("en"))) == sorted(set(commands("zh")) - set(extra))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_says_of_python_and_of_the_model_holds(language):
    text = guide(language)
    assert re.search(r"Python (3\.\d+)", text)[1] == PROJECT["requires-python"].removeprefix(">=")
    assert models.DEFAULT in text
    for name in re.findall(r"gpt-[\w.-]*\w", text):
        assert models.get(name).shutdown is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_python_in_it_is_python_and_its_names_exist(language):
    text = guide(language)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = re.findall(r"`((?:rtnb\.|await )[^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert len(blocks) == 2
    assert len(lines) >= 5
    for snippet in [*blocks, *lines]:
        tree = compile(snippet, "guide", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("rtnb."):
                thing = rtnb
                for part in ast.unparse(node).split(".")[1:]:
                    thing = getattr(thing, part)


def sent_by_curl(language):
    """What each curl of a guide sends, by the path it is sent to."""
    found = re.findall(r"curl -s https://api\.openai\.com(\S+) [^{]*-d '(\{.*?\})'\n", guide(language), re.DOTALL)
    return {path: json.loads(body) for path, body in found}


def test_the_limit_of_a_project_is_set_as_openais_own_client_sets_it():
    openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
    httpx2 = pytest.importorskip("httpx2", reason="the openai SDK is not installed")
    sent, requests = [], []
    transport = httpx2.MockTransport(lambda request: requests.append(request) or httpx2.Response(200, json={}))
    with openai.OpenAI(admin_api_key="a", http_client=httpx2.Client(transport=transport)) as client:
        for language in LANGUAGES:
            sent.append(body := sent_by_curl(language)["/v1/organization/projects/$PROJECT_ID/spend_limit"])
            client.admin.organization.projects.spend_limit.update("$PROJECT_ID", **body)
    for request, body in zip(requests, sent, strict=True):
        assert request.method == "POST"
        assert request.url.path == "/v1/organization/projects/$PROJECT_ID/spend_limit"
        assert json.loads(request.content) == body


def test_the_secret_that_its_curl_makes_opens_a_session():
    for language in LANGUAGES:
        wanted = sent_by_curl(language)["/v1/realtime/client_secrets"]
        server = rtnb.practice()
        request = urllib.request.Request(
            server.url.replace("ws:", "http:") + "/client_secrets",
            json.dumps(wanted).encode(),
            {"Authorization": "Bearer practice", "Content-Type": "application/json"},
        )
        near = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with near.open(request, timeout=10) as response:
            made = json.load(response)
        assert made["value"].startswith("ek_")
        assert made["session"]["model"] == wanted["session"]["model"]
        reply = rtnb.ask("Count to three.", url=server.url, key=made["value"], provider="practice", modalities="text")
        assert reply.wait(30).text == "1, 2, 3."
        # “Two hours at most”: one second more is refused.
        wanted["expires_after"]["seconds"] += 1
        assert wanted["expires_after"]["seconds"] == 2 * 60 * 60 + 1
        request.data = json.dumps(wanted).encode()
        with pytest.raises(urllib.error.HTTPError, match="400"):
            near.open(request, timeout=10)


# --- plan B ----------------------------------------------------------------------------------------------------------


def test_one_practice_server_serves_the_class_by_its_address_and_key(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (line,) = [line for line in commands("en") if "--host" in line]
    words = shlex.split(line.replace("8765", str(port)))
    assert words[0] == "rtnb"
    process = subprocess.Popen(
        [sys.executable, "-m", "rtnb.cli", *words[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for printed in process.stdout:
            if str(port) in printed:
                break
        for language in LANGUAGES:
            snippet = next(b for b in re.findall(r"```python\n(.*?)```", guide(language), re.DOTALL) if "TEACHERS" in b)
            there = snippet.replace("TEACHERS-ADDRESS:8765", f"127.0.0.1:{port}")
            reply = eval(there.strip().removesuffix(")") + ', modalities="text", show=False)', {"rtnb": rtnb})
            assert reply.wait(60).text
            assert reply.status == "completed"
            refused = eval(there.replace("our-class", "guessed"), {"rtnb": rtnb})
            with pytest.raises(rtnb.RtnbError, match="key"):
                refused.wait(30)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lesson_of_the_evening_before_is_played_back_by_the_snippet_of_plan_b(language, tmp_path, monkeypatch):
    """Cell 8 of notebook 2 as it stands, kept as the guide says, and played back by the guide's own lines."""
    monkeypatch.chdir(tmp_path)
    notebook = sources.compose(sources.read(next((NOTEBOOKS / "source").glob("02_*.md"))), language)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert '`bikes.save("lesson.rtnb")`' in guide(language)
    snippet = next(b for b in re.findall(r"```python\n(.*?)```", guide(language), re.DOTALL) if "replay=" in b)
    # One argument more than the notebook's own cell, and no other difference.
    assert snippet.strip() == cells[7].removesuffix("\nbikes.turns").replace("(**", '(replay="lesson.rtnb", **')
    names = {"rtnb": rtnb}
    talk(cells[6], names)  # the dialogue
    talk(cells[7], names)
    answers = [turn.words for turn in names["bikes"].turns if turn.role == "assistant"]
    names["bikes"].save("lesson.rtnb")
    talk(snippet, names)
    assert names["bikes"].source == "replay"
    assert [turn.words for turn in names["bikes"].turns if turn.role == "assistant"] == answers


def talk(source, names):
    """Run a cell, its top-level await included, on the practice server."""
    made = eval(compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if made is not None:
        rtnb.run(made)


# --- failures and answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_messages_it_quotes_are_those_of_the_code(language):
    package = NOTEBOOKS.parent / "rtnb"
    code = "\n".join(path.read_text("utf-8") for path in (*package.rglob("*.py"), package / "texts" / "zh.toml"))
    said = {"en": "No API key found", "zh": "没有找到 API 密钥"}[language]
    (rows,) = [rows for rows in tables(language) if len(rows) == 5 and said in rows[0][0]]
    quoted = [text for row in rows for text in re.findall(r"\*(.+?)\*", row[0])]
    assert len(quoted) == 2
    for text in quoted:
        pattern = ".{0,60}".join(re.escape(part.rstrip(".").strip()) for part in text.split("…"))
        assert re.search(pattern, code), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answers_are_those_of_the_solutions(language):
    rows = {number: answer for number, _, answer in next(rows for rows in tables(language) if rows[0][0] == "1.1")}
    assert "7.1–7.3" in rows
    single = [number for number in rows if number != "7.1–7.3"]
    assert ["0" + number for number in single] == [number for number in numbers() if number[:2] != "07"]
    for number in single:
        text = (NOTEBOOKS / "solutions" / f"0{number[0]}.md").read_text("utf-8")
        (solution,) = re.findall(rf"## {number}\n.*?```python\n(.*?)```", text, re.DOTALL)
        for code in re.findall(r"`([^`]+)`", rows[number]):
            pattern = "(?s:.*?)".join(re.escape(part) for part in code.split("…"))
            assert re.search(pattern, solution), f"{number}: {code}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_linked_and_links_within_itself(language):
    folder = GUIDES[language].parent
    assert "](TEACHING.md)" in (folder / "README.md").read_text("utf-8")
    other = GUIDES["zh" if language == "en" else "en"]
    assert f"]({os.path.relpath(other, folder)})" in guide(language).replace("\\", "/")
    headings = re.findall(r"^## (.+)$", guide(language), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    listed = re.findall(r"\]\(#([^)]+)\)", guide(language))
    assert listed[: len(anchors)] == anchors
    assert set(listed) == set(anchors)
