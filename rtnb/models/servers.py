"""Kinds of servers that speak the protocol, read from `models.toml` beside this file.

Where a server differs from OpenAI's, a flag says so, and the rest of the package asks the flags, never the names.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from rtnb.errors import InputError
from rtnb.models.catalogue import read, with_tuples

__all__ = ["Provider", "provider", "provider_of", "providers"]


@dataclass(frozen=True)
class Provider:
    """Server, or kind of server, that speaks the protocol.

    Attributes:
        name: Short name, for example `"openai"`, `"azure"`, `"localai"`; `"other"` for an unknown address.
        title: Its name for people.
        example: An address as it should look.
        auth: `"bearer"` or `"basic"` (`Authorization: Bearer KEY`, `Authorization: Basic KEY`), or `"api-key"`
            (`api-key: KEY`).
        key_names: Environment variables its key is looked for in, in this order.
        colab_names: Further names of its secret on Colab.
        needs_key: Whether it answers nobody without a key.
        finds_key: Whether its key is looked for where none was given for it.
        built_in: Whether it is the practice server of this package.
        listed: Whether prices and shutdown dates in the catalogue are this server's own.
        known: Whether it is known what it takes. If not, that is found out in the session.
        path: The path of an address that has none.
        model_parameter: The query parameter that names the model; `"deployment"` on Azure's preview.
        beta_names: Whether it speaks the Beta's event names and session fields.
        commit: Whether it takes `input_audio_buffer.commit`. If not, turns end by its own detection only.
        answers_update: Whether it answers `session.update` with `session.updated`.
        responses: Whether it answers (`response.create`). Where False, it transcribes only.
        realtime: Whether it speaks the Realtime API. Where False, no session of rtnb can be opened.
        input_rate_hz: Sample rate of the audio it takes.
        session_minutes: Longest session. None where it names none.
        lacks: Sentences on what a user will miss there.
        source: Where that was read.
        matches: Pattern of its addresses.

    Examples:
        >>> azure = next(provider for provider in rtnb.models.providers() if provider.name == "azure")
        >>> azure.auth, azure.key_names[0]
        ('api-key', 'AZURE_OPENAI_API_KEY')
    """

    name: str
    title: str
    example: str
    auth: str = "bearer"
    key_names: tuple[str, ...] = ()
    colab_names: tuple[str, ...] = ()
    needs_key: bool = True
    finds_key: bool = True
    built_in: bool = False
    listed: bool = False
    known: bool = True
    path: str = "/v1/realtime"
    model_parameter: str = "model"
    beta_names: bool = False
    commit: bool = True
    answers_update: bool = True
    responses: bool = True
    realtime: bool = True
    input_rate_hz: int = 24_000
    session_minutes: int | None = 60
    lacks: tuple[str, ...] = ()
    source: str = field(default="", repr=False)
    matches: re.Pattern[str] = field(default=re.compile(""), repr=False, compare=False)

    def headers(self, key: str) -> dict[str, str]:
        """Return the HTTP headers that carry `key` (its plain text) to this server; {} for an empty key."""
        if not key:
            return {}
        return {"api-key": key} if self.auth == "api-key" else {"Authorization": f"{self.auth.title()} {key}"}


@cache
def providers() -> tuple[Provider, ...]:
    """Return every known kind of server, in the order their addresses are tried.

    Examples:
        >>> {"openai", "azure"} <= {provider.name for provider in rtnb.models.providers()}
        True
    """
    tables = map(with_tuples, read()["provider"])
    return tuple(Provider(**table | {"matches": re.compile(table["matches"], re.IGNORECASE)}) for table in tables)


def provider(name: str) -> Provider:
    """Return one provider by its short name.

    Args:
        name: For example `"azure"`.

    Raises:
        InputError: The name is not one of `providers()`.
    """
    if name not in (known := {one.name: one for one in providers()}):
        raise InputError(f"Your provider {name!r} is not known. Give one of: {', '.join(known)}.", provider=name)
    return known[name]


def provider_of(url: str | None, name: str | None = None) -> Provider:
    """Return the kind of server an address belongs to.

    Args:
        url: A `ws`, `wss`, `http` or `https` address. None means OpenAI's own.
        name: The short name of the kind, which goes before what the address says. None: the address decides.

    Returns:
        The first provider whose pattern fits; `"other"` where none does.
    """
    if name or url is None:
        return provider(name or "openai")
    if not isinstance(url, str):
        raise InputError(f"Your url is of type {type(url).__name__}, not text. Give an address such as wss://HOST.")
    # Without name and password, which could look like the host of another server and bring its key here.
    url = re.sub(r"(?<=://)[^/?#]*@", "", url)
    return next(known for known in providers() if known.matches.search(url))
