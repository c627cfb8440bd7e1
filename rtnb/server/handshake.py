"""Who may come in, and to what: URL, headers and subprotocols of a handshake → a session to open, or a refusal.

Recorded: OpenAI's server upgrades every request and refuses inside the socket, with an `error` event and a close
whose reason is the error's type and code.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rtnb.server.protocol.api_errors import ApiError
from rtnb.server.protocol.settings import BETA_MODELS, MODELS, Model

__all__ = ["Handshake", "Rejected", "Secrets", "admit", "bearer"]

_KEY_PROTOCOL = "openai-insecure-api-key."
_TRANSLATION_MODELS = ("gpt-realtime-translate",)


@dataclass(frozen=True)
class Handshake:
    """What to open.

    Attributes:
        kind: `"realtime"`, `"transcription"`, `"translation"` or `"sideband"`.
        model: The model asked for; None for transcription and sideband.
        model_name: Its name as asked for; "" where none was.
        call_id: The live session a sideband joins; "" otherwise.
        beta: Whether the client speaks the Beta interface.
        session: Settings that came with an `ek_` secret.
        query: All of the URL's query, for options of this session.
    """

    kind: str
    model: Model | None = None
    model_name: str = ""
    call_id: str = ""
    beta: bool = False
    session: dict[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)


class Rejected(Exception):
    """The socket opens, says why not, and closes."""

    def __init__(self, problem: ApiError, close_code: int) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.close_code = close_code

    @property
    def reason(self) -> str:
        """`error.type`, a dot and `error.code` where there is one (recorded)."""
        return ".".join(filter(None, [self.problem.type, self.problem.code]))


class Secrets:
    """Ephemeral `ek_` secrets and what each of them may open."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[float, dict[str, Any]]] = {}

    def give(self, session: dict[str, Any], expires_at: float) -> str:
        """A new secret for these settings, good until `expires_at` (Unix seconds)."""
        value = "ek_" + secrets.token_hex(16)
        self._given[value] = (expires_at, session)
        if len(self._given) > 10_000:
            del self._given[next(iter(self._given))]
        return value

    def session(self, value: str, now: float) -> dict[str, Any] | None:
        """The settings it was given for; None where it is unknown or has expired."""
        expires_at, session = self._given.get(value, (0.0, {}))
        return session if expires_at > now else None


def bearer(headers: Mapping[str, str], protocols: Iterable[str]) -> str:
    """The key a request carries: a bearer header, Azure's `api-key`, or a browser's subprotocol; "" for none."""
    kind, _, key = headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() in ("bearer", "basic") and key.strip():
        return key.strip()
    if headers.get("api-key"):
        return headers["api-key"].strip()
    for protocol in protocols:
        if protocol.startswith(_KEY_PROTOCOL):
            return protocol[len(_KEY_PROTOCOL) :]
    return ""


def _masked(key: str) -> str:
    """A key as the server quotes it back (recorded: a few characters, stars, the last four)."""
    return key if len(key) <= 8 else f"{key[:4]}{'*' * min(len(key) - 8, 20)}{key[-4:]}"


def check_key(key: str, *, wanted: str | None, given: Secrets, now: float) -> dict[str, Any] | None:
    """Check a key; gives the settings of an `ek_` secret, None for an ordinary key.

    Raises:
        Refusal: No key, or not the right one.
    """
    if not key:
        raise Rejected(ApiError("Missing bearer or basic authentication in header"), 3000)
    session = given.session(key, now) if key.startswith("ek_") else None
    right = wanted is None and not key.startswith("ek_")
    right = right or (wanted is not None and hmac.compare_digest(key.encode(), wanted.encode()))
    if session is None and not right:
        message = (
            f"Incorrect API key provided: {_masked(key)}. "
            "You can find your API key at https://platform.openai.com/account/api-keys."
        )
        raise Rejected(ApiError(message, code="invalid_api_key"), 3000)
    return session


def admit(
    path: str,
    headers: Mapping[str, str],
    protocols: Iterable[str],
    *,
    key: str | None,
    given: Secrets,
    now: float,
    beta: bool,
    more_models: Iterable[str] = (),
) -> Handshake:
    """Decide what a handshake opens.

    Args:
        path: The request target, with its query.
        headers: The request's headers.
        protocols: The subprotocols it offers.
        key: The key this server asks for; None takes any.
        given: The `ek_` secrets given out.
        now: Unix seconds.
        beta: Whether this server also speaks the Beta interface.
        more_models: Names served besides the known ones.

    Raises:
        Refusal: What the API refuses here, in its words.
    """
    protocols = list(protocols)
    url = urlsplit(path)
    query = dict(parse_qsl(url.query))
    session = check_key(bearer(headers, protocols), wanted=key, given=given, now=now)
    speaks_beta = "realtime=v1" in headers.get("OpenAI-Beta", "") or "openai-beta.realtime-v1" in protocols
    if speaks_beta and not beta:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        raise Rejected(ApiError(message, code="beta_api_shape_disabled"), 4000)
    name = query.get("model") or query.get("deployment") or (session or {}).get("model", "")
    if url.path.rstrip("/").endswith("/translations"):
        if name not in _TRANSLATION_MODELS:
            raise _no_model(name)
        return Handshake("translation", model_name=name, session=session, query=query)
    if "call_id" in query:
        return Handshake("sideband", call_id=query["call_id"], query=query)
    kind = query.get("intent") or (session or {}).get("type", "realtime")
    if kind == "transcription":
        if query.get("model"):
            message = "You must not provide a model parameter for transcription sessions."
            raise Rejected(ApiError(message, code="invalid_parameter", param="model"), 4000)
        return Handshake(kind, beta=speaks_beta, session=session, query=query)
    known = {**MODELS, **(BETA_MODELS if beta else {}), **{name: Model(name) for name in more_models}}
    if name not in known:
        raise _no_model(name)
    return Handshake("realtime", known[name], name, beta=speaks_beta, session=session, query=query)


def _no_model(name: str) -> Rejected:
    if not name:
        message = (
            "You must provide a model parameter, for example wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
        )
        return Rejected(ApiError(message, code="missing_model"), 4000)
    message = f'Model "{name}" is not supported in realtime mode.'
    return Rejected(ApiError(message, code="invalid_model"), 4000)
