"""The pages beside the teacher's guide, in both languages: the questions, the rubric, the handout."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import rtnb
from rtnb.course import sources
from rtnb.session.reply import Reply

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
FOLDERS = {"en": NOTEBOOKS, "zh": NOTEBOOKS / "zh"}
LANGUAGES = list(FOLDERS)
ASKED = sorted(path.name for path in (NOTEBOOKS / "questions").glob("*.md"))
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def questions(name, language):
    """Each question of a page: its words, and its choices with what is said of each."""
    text = (FOLDERS[language] / "questions" / name).read_text("utf-8")
    for part in re.split(r"^## \d\n", text, flags=re.MULTILINE)[1:]:
        fold = r"<details><summary>([A-Z]) · (.+?)</summary>\n\n([✓✗]) (.+?)\n</details>"
        yield part.partition("<details>")[0].strip(), re.findall(fold, part)


@pytest.mark.parametrize("name", ASKED)
def test_eight_questions_whose_every_choice_explains_itself(name):
    english, chinese = (list(questions(name, language)) for language in LANGUAGES)
    assert len(english) == len(chinese) == 8
    for (one, choices), (other, theirs) in zip(english, chinese, strict=True):
        assert one.endswith(("?", ".", "…"))
        assert CHINESE.search(other)
        assert not CHINESE.search(one + str(choices))
        assert [(letter, mark) for letter, _, mark, _ in choices] == [(letter, mark) for letter, _, mark, _ in theirs]
        assert [letter for letter, *_ in choices] == ["A", "B", "C"]
        assert sorted(mark for _, _, mark, _ in choices) == ["✓", "✗", "✗"], one
        for _, choice, _, why in choices:
            assert len(why) > 10
            assert why != choice
        for _, _, _, why in theirs:
            assert CHINESE.search(why)
    # Who always chooses the same letter does not pass.
    rights = [letter for _, choices in english for letter, _, mark, _ in choices if mark == "✓"]
    assert max(map(rights.count, "ABC")) <= 4


def test_every_notebook_has_its_questions_and_the_guide_leads_to_them():
    assert [f"{path.stem[:2]}.md" for path in sources.paths(NOTEBOOKS)] == ASKED
    for folder in FOLDERS.values():
        guide = (folder / "TEACHING.md").read_text("utf-8")
        for page in (*(f"questions/{name}" for name in ASKED), "RUBRIC.md", "HANDOUT.md"):
            assert f"]({page})" in guide, page
            for link in re.findall(r"\]\(([^)#]+)", (folder / page).read_text("utf-8")):
                assert ((folder / page).parent / link).exists(), f"{page}: {link}"


def rubric(language):
    text = (FOLDERS[language] / "RUBRIC.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| **")]
    return text, rows


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rubric_has_a_description_for_each_point_of_each_exercise(language):
    text, rows = rubric(language)
    assert {re.search(r"7\.\d", row[0])[0] for row in rows} == {"7.1", "7.2", "7.3"}
    for criterion, *levels in rows:
        assert len(levels) == 4 == len(set(levels)), criterion
        assert all(levels)
    assert ("**15 points.**" if language == "en" else "**满分 15 分。**") in text
    assert len(rows) * 3 == 15


def handout(language):
    return (FOLDERS[language] / "HANDOUT.md").read_text("utf-8")


def test_the_handout_is_one_page():
    for language in LANGUAGES:
        assert len(handout(language).splitlines()) <= 45
    assert len(handout("en").split()) <= 420


def test_both_handouts_have_the_same_code():
    english, chinese = (re.findall(r"```.*?```|`[^`]+`", handout(language), re.DOTALL) for language in LANGUAGES)
    assert english == chinese


def test_the_code_of_the_handout_is_python_and_its_names_and_events_exist():
    text = handout("en")
    lines = re.findall(r"`([^`\n]*(?:rtnb\.|await |reply\.)[^`\n]*)`", text)
    assert len(lines) >= 12
    for line in lines:
        whole = line + " pass" * line.endswith(":")
        tree = compile(whole.replace("…", "..."), "handout", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "rtnb":
                assert callable(getattr(rtnb, node.attr))
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "reply":
                assert hasattr(Reply, node.attr), node.attr
