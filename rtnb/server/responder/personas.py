"""Roles that instructions ask for: how each greets, which words open its answers, and its one habit."""

import re
from functools import cache

from rtnb.server.nlu.lexicon import read

_SHEETS = read(__file__, "personas_", "en", "zh")


@cache
def _pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a role's words in all languages."""
    each = [f"{sheet['words']['leads']}(?:{'|'.join(sheet[name]['role'])})(?![a-z])" for sheet in _SHEETS.values()]
    each += [pattern for sheet in _SHEETS.values() for pattern in sheet[name].get("does", ())]
    return re.compile("|".join(each), re.IGNORECASE)


def persona(instructions: str) -> str | None:
    """Return the role that instructions ask for; None for none."""
    names = (name for name in _SHEETS["en"] if name != "words")
    return next((name for name in names if _pattern(name).search(instructions[:4000])), None)


def greeting(name: str, language: str) -> str:
    """Return what a role says to a greeting, in English where a language lacks it."""
    return str(_SHEETS.get(language, _SHEETS["en"])[name]["greeting"])


def asked_last(text: str, language: str) -> int:
    """Return the index of the question of the quiz that a text puts last; -1 for none."""
    lines = _SHEETS.get(language, _SHEETS["en"])["quiz_master"]["habit"]["quizzes"]
    last = max(range(len(lines)), key=lambda index: text.rfind(lines[index][0]))
    return last if lines[last][0] in text else -1


def question(text: str, language: str) -> str:
    """Return the question of the quiz that comes after the one that a text puts last."""
    lines = _SHEETS.get(language, _SHEETS["en"])["quiz_master"]["habit"]["quizzes"]
    return str(lines[(asked_last(text, language) + 1) % len(lines)][0])


def in_role(name: str, language: str, said: list[str], text: str, before: str, nth: int) -> list[str]:
    """Say an answer as a role does.

    Args:
        name: The role.
        language: Language of the answer.
        said: Sentences of the answer; none where the user only told something.
        text: What the user said.
        before: The answer before this one; "" for none.
        nth: How many answers there were before.
    """
    sheet = _SHEETS.get(language, _SHEETS["en"])
    role, words = sheet[name], sheet["words"]
    ((habit, lines),) = role["habit"].items()
    if habit == "corrects":
        better = text
        for mistake, right in _SHEETS["en"][name]["habit"][habit] + lines:
            better = re.sub(mistake, right, better, flags=re.IGNORECASE)
        return [words["better"].format(x=better)] if better != text else said or [words["faultless"]]
    if habit == "quizzes":
        asked = asked_last(before, language)
        if not said and asked >= 0:
            verdict = "right" if re.search(lines[asked][1], text, re.IGNORECASE) else "wrong"
            return [words[verdict].format(x=lines[asked][2]), question(before, language)]
        return [*said, lines[max(asked, 0)][0]]
    ending = [] if said and said[-1].rstrip().endswith(("?", "？")) else [lines[nth % len(lines)]]
    return [role["tone"][nth % len(role["tone"])], *said, *ending]
