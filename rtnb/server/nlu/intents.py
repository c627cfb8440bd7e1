"""Intent of a request, the words that have it, and the text they are about."""

import re
from collections.abc import Sequence
from functools import cache

from rtnb.server.languages import guess, together
from rtnb.server.nlu.lexicon import FILES, INTENTS, LETTERS, cue, having, source
from rtnb.server.nlu.text_extraction import beside, content, quoted, sentences

# Words given to be worked on: what stands behind a colon or between quotation marks.
_QUOTATION = re.compile(r"[“\"「《][^”\"」》]*[”\"」》]")
_GIVEN = re.compile(rf"(?s)(?<!\d)[:：](?!\d).*|{_QUOTATION.pattern}")
# Languages whose harmless words are listed.
GATED = ("en", "zh")
# Where a sentence ends, its mark left with it: what tells something asks for nothing.
_PARTS = re.compile(r"(?<=[.!?。！？])\s*")


def brief(text: str) -> str:
    """Return what of a text is read as a request: its first and last sentences, none of them endless.

    The rules are regular expressions, some of which take the square of a sentence's length and more; nobody may
    stop the server with a sentence of 50,000 words.
    """
    if len(text) <= 400:
        return text
    parts = [part[:400] for part in sentences(text)]
    return " ".join(parts if len(parts) <= 12 else [*parts[:6], *parts[-6:]])


def intent_of(text: str) -> str | None:
    """Return the intent of a text; None where no rule knows it, or where it only tells something."""
    parts = [part for part in _PARTS.split(text[:600]) if not cue("statement").search(_QUOTATION.sub("…", part))]
    return next((name for name in INTENTS if _has(name, parts)), None)


def _has(name: str, parts: list[str]) -> bool:
    """Return whether sentences have an intent, with hardly a word beside it that means something else."""
    if (most := FILES["en"]["intents"][name].get("beside")) is None:
        return bool(INTENTS[name].search(together(parts)))
    given = _GIVEN if name in having("polite") else _QUOTATION  # “谢谢”的拼音
    fitting = [part for part in parts if INTENTS[name].search(given.sub(" ", part))]
    if any(guess(part) not in GATED for part in fitting):
        return True
    own = (cue("accounted").sub(" ", _GIVEN.sub(" ", part)) for part in fitting)
    return any(len(beside(part, _known(name))) <= most for part in own)


@cache
def _known(name: str) -> str:
    """Return the words that go with an intent, in all languages."""
    entries = [file["intents"][name] for file in FILES.values() if name in file.get("intents", {})]
    examples = (example for entry in entries for example in entry["examples"])
    return " ".join([source(name, "intents"), *examples, *(entry.get("more", "") for entry in entries)])


def is_command(text: str) -> bool:
    """Return whether a text asks for something to be done, more than politeness."""
    return intent_of(text) not in (None, *having("polite"))


def is_question(text: str) -> bool:
    """Return whether a text asks something, in one of a few languages."""
    return bool(re.search(r"[?？]\s*$", text) or cue("question").search(text))


def without_lead(text: str) -> str:
    """Return a text without a greeting, thanks or an aside before what it asks; all of it where it asks nothing."""
    rest = cue("lead").sub("", text[:400], count=1) + text[400:]
    return rest if is_command(rest) or is_question(rest) or cue("bidding").search(rest) else text


def command_and_rest(text: str) -> tuple[str, str]:
    """Divide a text into the request and what it is about: "Summarise this: …", "… Now count the words." """
    text = text[:20_000]
    lead = re.match(rf"(?s)(.{{1,120}}?[^\d:：])[:：]\s*(\S.{{12,}}|[{LETTERS}].{{5,}})$", text)
    if lead and intent_of(lead[1]):
        return lead[1], lead[2].strip(" \"'“”")
    longest = max(quoted(text), key=len, default="")
    least = 3 if re.match(rf"[{LETTERS}]", longest) else 12
    if len(longest) > least and intent_of(outside := text.replace(longest, " ")):
        return outside, longest
    parts = sentences(text)
    commands = [part for part in parts if is_command(part)]
    rest = [part for part in parts if part not in commands and len(content(part)) >= 2]
    return (together(commands), together(rest)) if commands and rest else (text, "")


def unconditional(text: str) -> list[str]:
    """List the sentences of a text that hold always: without those that begin "if the user …"."""
    return [sentence for sentence in sentences(text) if not cue("condition").search(sentence)]


def standing(instructions: Sequence[str]) -> tuple[str, str] | None:
    """Return what the instructions ask of every answer, whatever the user says: the intent and its sentence."""
    said = (sentence for text in instructions for sentence in unconditional(text))
    commands = (sentence for sentence in said if cue("imperative").search(sentence))
    found = ((name, sentence) for sentence in commands for name in having("standing") if INTENTS[name].search(sentence))
    return next(found, None)
