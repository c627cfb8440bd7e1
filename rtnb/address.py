"""Where to connect: the one seam between OpenAI, other servers, the practice server and a replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from . import models
from .errors import InputError

__all__ = ["OPENAI", "Address", "resolve"]

OPENAI = "wss://api.openai.com/v1/realtime"
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Address:
    """One server, ready to connect to.

    Attributes:
        url: The WebSocket address with its query.
        provider: What kind of server it is, and what it lacks.
        headers: The headers that carry the key; never shown.
        source: Who answers, in a word: `"openai"`, `"practice"`, `"replay"`, or the host's name.
    """

    url: str
    provider: models.Provider
    source: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, where no proxy may come between."""
        return (urlsplit(self.url).hostname or "") in _LOCAL_HOSTS

    @property
    def sideband(self) -> bool:
        """Whether it joins a live call, where the server sends no `session.created` (recorded)."""
        return any(name == "call_id" for name, _ in parse_qsl(urlsplit(self.url).query))


def resolve(
    url: str | None, model: str | None, *, key: str = "", source: str | None = None, provider: str | None = None
) -> Address:
    """Complete an address.

    Args:
        url: A WebSocket or HTTP address, with or without `/realtime` and `?model=`. None means OpenAI's.
        model: The model to ask for. None leaves the address as it is.
        key: The key's plain text; "" sends none.
        source: Who answers, in a word. None: told from the address.
        provider: The kind of server by its name in `models.toml`. None: told from the address.

    Raises:
        InputError: If the address is not one a socket can be opened to.
    """
    parts = urlsplit((url or OPENAI).strip())
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise InputError(
            f"Your url {url!r} is not a WebSocket address. Give one like {OPENAI} or ws://localhost:8000/v1/realtime.",
            url=url,
        )
    kind = models.provider(provider) if provider else models.provider_of(url or None)
    path = parts.path.rstrip("/")
    if not path:
        path = "/openai/v1/realtime" if kind.name == "azure" else "/v1/realtime"
    elif path.endswith("/v1"):
        path += "/realtime"
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in query}
    # A transcription session and a joined call name no model in the address; the server refuses one (docs).
    if model and not names & {kind.model_parameter, "call_id"} and ("intent", "transcription") not in query:
        query.append((kind.model_parameter, model))
    full = urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))
    told = source or (kind.name if kind.name == "openai" else parts.hostname)
    return Address(full, kind, told, kind.headers(key))
