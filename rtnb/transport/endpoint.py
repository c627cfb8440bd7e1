"""Addresses to connect to: the one seam between OpenAI, other servers, the practice server and a replay."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlencode, urlunsplit

from rtnb import models
from rtnb.errors import keep_secret, mask_secrets
from rtnb.web import urls

OPENAI = "wss://api.openai.com/v1/realtime"
BASE_VARIABLE = "OPENAI_BASE_URL"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Address:
    """One server, ready to connect to.

    Attributes:
        url: The WebSocket address with its query, without anything secret.
        provider: What kind of server it is, and what it lacks.
        source: Who answers, in a word: `"openai"`, `"practice"`, `"replay"`, or the host's name.
        headers: Makes the headers that carry the key, at the handshake and nowhere else.
        reveal: Returns the whole address, for the handshake alone.
        local: Whether the server is on this machine, where no proxy may come between.
        sideband: Whether it joins a live call, where the server sends no `session.created` (recorded).
    """

    url: str
    provider: models.Provider
    source: str
    headers: Callable[[], dict[str, str]] = field(repr=False)
    reveal: Callable[[], str] = field(repr=False)
    local: bool = False
    sideband: bool = False


def parse(url: str | None, what: str = "url") -> SplitResult:
    """Take a user's address apart, which the user calls `what`; None and "" mean OpenAI's.

    Raises:
        InputError: If it is not one a socket can be opened to.
    """
    example = f"{OPENAI} or ws://localhost:8000/v1/realtime"
    return urls.parse(OPENAI if url is None or url == "" else url, ("ws", "wss", "http", "https"), example, what=what)


def base() -> str:
    """Return the base of OpenAI's API, or what OPENAI_BASE_URL names in its place, as OpenAI's own packages do.

    Only the environment is asked: a `.env` that came with a folder must not lead a key away.
    """
    return os.environ.get(BASE_VARIABLE, "").strip() or OPENAI


def below(base: str, beside: str = "") -> str:
    """Return the address of a kind of session below the base of an API, such as `https://HOST/v1`.

    Args:
        base: The base, as OPENAI_BASE_URL has it.
        beside: The rest of the address, after `/realtime`.

    Raises:
        InputError: If it is not one a socket can be opened to.
    """
    parts, (path, _, query) = parse(base, BASE_VARIABLE), beside.partition("?")
    above = (parts.path.rstrip("/") or "/v1").removesuffix("/realtime")
    query = "&".join(filter(None, (parts.query, query)))
    return urlunsplit((parts.scheme, parts.netloc, f"{above}/realtime{path}", query, ""))


def resolve(
    url: str | None,
    model: str | None,
    *,
    key: str | Callable[[], str] = "",
    source: str | None = None,
    provider: str | None = None,
) -> Address:
    """Complete an address.

    Args:
        url: A WebSocket or HTTP address, with or without `/realtime` and `?model=`. None means OpenAI's.
        model: The model to ask for. None leaves the address as it is.
        key: The key, best as a function that gives it; "" sends none.
        source: Who answers, in a word. None: read from the address.
        provider: The kind of server by its name in `models.toml`. None: read from the address.

    Raises:
        InputError: If the address is not one a socket can be opened to.
    """
    reveal = key = keep_secret(key) if isinstance(key, str) else key
    parts = parse(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    kind = models.provider_of(parts.geturl(), provider)
    path = parts.path.rstrip("/") or kind.path
    if path.endswith("/v1"):
        path += "/realtime"
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in query}
    # A transcription session and a joined call name no model in the address; the server refuses one (docs).
    if model and not names & {kind.model_parameter, "call_id"} and ("intent", "transcription") not in query:
        query.append((kind.model_parameter, model))
    full = urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))
    name = source or (kind.name if kind.listed else parts.hostname or "")
    # Read from the plain parts: a key made of words ("localhost") is masked in the address.
    local, sideband = parts.hostname in LOCAL_HOSTS, "call_id" in names
    return Address(mask_secrets(full), kind, name, lambda: kind.headers(reveal()), lambda: full, local, sideband)
