"""Text of a chat model, which comes a few letters at a time, cut into sentences to be spoken or written one by one."""

import re

# The end of a sentence within what has come so far; the mark must be followed by something, or "3." of "3.5" would
# be spoken as a sentence.
_SENTENCE = re.compile(r"(?s)(.{2,}?(?:(?<!\bMr)(?<!\bDr)(?<!\bMrs)(?<!\bMs)[.!?…][\"'”’)*]*(?=\s)|[。！？]|\n))")
_LONGEST = 400  # characters held back while waiting for the end of a sentence


class Sentences:
    """Collector of pieces of text that returns whole sentences.

    What a model reasons between `<think>` and `</think>` is left out: some servers put it into the answer.

    Args:
        aloud: Whether they are to be spoken: then Markdown goes, which no voice should read out. What is to be read
            keeps its lines, each piece beginning with the line breaks before it.
    """

    def __init__(self, *, aloud: bool) -> None:
        self._aloud = aloud
        self._raw = ""  # what has come and may hold, or begin, a tag
        self._text = ""  # what is to be said and has not ended yet
        self._reasoning = False

    def feed(self, piece: str) -> list[str]:
        """Take a piece; return the sentences that have ended."""
        self._text += self._without_reasoning(piece)
        *cut, self._text = _SENTENCE.split(self._text)
        ready = cut[1::2]  # what ended; nothing stands between
        if len(self._text) > _LONGEST and (space := self._text.rfind(" ", 0, _LONGEST)) > 0:
            ready.append(self._text[:space])
            self._text = self._text[space:]
        return self._finished(ready)

    def rest(self) -> list[str]:
        """Return what is left, where no more comes."""
        last = self._text + ("" if self._reasoning else self._raw)
        self._raw = self._text = ""
        return self._finished([last])

    def _without_reasoning(self, piece: str) -> str:
        self._raw += piece
        said = ""
        while (tag := ("<think>", "</think>")[self._reasoning]) in self._raw:
            before, _, self._raw = self._raw.partition(tag)
            said += "" if self._reasoning else before
            self._reasoning = not self._reasoning
        # The beginning of a tag may be the end of what has come.
        held = next((size for size in range(len(tag) - 1, 0, -1) if self._raw.endswith(tag[:size])), 0)
        cut = len(self._raw) - held
        said += "" if self._reasoning else self._raw[:cut]
        self._raw = self._raw[cut:]
        return said

    def _finished(self, pieces: list[str]) -> list[str]:
        if self._aloud:
            return [spoken for piece in pieces if (spoken := _spoken(piece))]
        # A sentence's own line break belongs before the next one: the pieces are joined with a space between them.
        found: list[str] = []
        breaks = ""
        for piece in pieces:
            whole = breaks + piece
            body = whole.rstrip(" \t\n")
            breaks = "\n" * whole.count("\n", len(body))
            if body:
                found.append(body.removeprefix(" "))
        self._text = breaks + self._text
        return found


def _spoken(text: str) -> str:
    """Take out of a sentence the Markdown that chat models write and no voice should read out."""
    text = re.sub(r"(?m)^\s*(?:#{1,6}|[-*•]|>)\s+", "", text)
    text = re.sub(r"(?m)^\s*(?:```.*|[-*_]{3,}\s*)$", "", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    text = re.sub(r"\*\*(.+?)\*\*|__(.+?)__|`([^`]+)`", lambda m: m[1] or m[2] or m[3], text)
    text = re.sub(r"(?<![\w*])\*(\w[^*\n]*)\*(?![\w*])", r"\1", text)
    return re.sub(r"\s+", " ", text).strip()
