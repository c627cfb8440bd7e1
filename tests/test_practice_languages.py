"""The responder's files of words and templates, one for each language: every example of an intent has that intent."""

from __future__ import annotations

import pytest

from rtnb.server.responder.intents import intent_of
from rtnb.server.responder.lexicon import FILES, INTENTS, TEMPLATES


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
