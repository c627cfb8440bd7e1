"""Make texts fit for a `repr`, a table or an error."""


def shortened(text: str, letters: int = 80) -> str:
    """Return a text of at most so many letters: a longer one's beginning and "…"."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def in_one_line(text: str, letters: int) -> str:
    """Return a text in one line, shortened."""
    return shortened(" ".join(text.split()), letters)


def with_full_stop(text: str) -> str:
    """Return a text that another sentence may follow: what servers say often ends without a full stop."""
    return text if text.rstrip()[-1:] in (*".!?…。！？]", "") else text.rstrip() + "."


def clock(seconds: float) -> str:
    """Return a length as minutes and seconds, such as `"61:05"`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def printable(text: object) -> str:
    """Return a text that any output takes: a file's name that is no UTF-8 has half surrogate pairs in Python."""
    return str(text).encode(errors="backslashreplace").decode()
