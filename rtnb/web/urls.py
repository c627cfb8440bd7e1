"""Read an address that a user wrote, and say what is wrong with one that is none."""

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rtnb.errors import InputError, mask_secrets
from rtnb.texts.language import translate
from rtnb.texts.shortening import shortened


def parse(url: Any, schemes: Collection[str], example: str, *, what: str = "url") -> SplitResult:
    """Take an address apart.

    Args:
        url: What was given as one.
        schemes: What it may begin with.
        example: How one looks.
        what: What the user calls it.

    Raises:
        InputError: If no connection can be opened to it. The message shows no name, password or key in it.
    """
    text = url.strip() if isinstance(url, str) else ""
    problem = _problem(text, schemes) if isinstance(url, str) else f"it is of type {type(url).__name__}, not text"
    if not problem:
        return urlsplit(text)
    # Where the name and password end in a broken address nobody knows: at the last @, to be safe.
    shown = shortened(mask_secrets(re.sub(r"(?<=/).*@", "…@", text)), 100)
    named = f"{what} {shown!r}" if text else what
    kind = "not a WebSocket" if "ws" in schemes else "no http"
    raise InputError(f"Your {named} is {kind} address: {problem}. Give one like {example}.", url=shown)


def _problem(text: str, schemes: Collection[str]) -> str:
    """Return what keeps `text` from being an address; "" for nothing. No network is asked."""
    if not text.isprintable() or {" ", "\\"} & {*text}:
        return "it has a space, a backslash or an invisible character in it"
    wrong = "its host is neither a name nor an IP address"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        # Letters of any alphabet go to the name server in these (IDNA); IPv6 in its brackets is checked already.
        if ":" not in host and not re.fullmatch(r"[A-Za-z0-9._-]{0,253}", host.encode("idna").decode()):
            raise ValueError
        wrong = "its port is not a number from 1 to 65535"
        if parts.port == 0:
            raise ValueError
    except ValueError:
        return wrong
    if parts.scheme not in schemes or not host:
        known = f" {translate('or')} ".join(f"{scheme}://" for scheme in sorted(schemes))
        return f"it does not begin with {known} and a host"
    return ""
