"""Handshakes: URL, headers and subprotocols of a request → a session to open, or a refusal.

Recorded: OpenAI's server upgrades every request and refuses inside the socket, with an `error` event and a close
whose reason is the error's type and code.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from rtnb.server.auth import Rejected
from rtnb.server.protocol.settings import BETA_MODELS, MODELS, Model
from rtnb.server.protocol.translations import TRANSLATING_MODEL
from rtnb.web.http import Request, offered_protocols


class Handshake(NamedTuple):
    """Session to open.

    Attributes:
        kind: `"realtime"`, `"transcription"`, `"translation"` or `"sideband"`.
        query: All of the URL's query, for options of this session.
        model: The model asked for; None for every kind but realtime.
        beta: Whether the client speaks the Beta interface.
        session: Settings that came with an `ek_` secret.
    """

    kind: str
    query: Mapping[str, str]
    model: Model | None = None
    beta: bool = False
    session: dict[str, Any] | None = None


def read_handshake(
    request: Request, session: dict[str, Any] | None, *, beta: bool, more_models: Iterable[str]
) -> Handshake:
    """Decide what a handshake opens.

    Args:
        request: The request.
        session: The settings of the `ek_` secret that it came with, or None.
        beta: Whether this server also speaks the Beta interface.
        more_models: Names served besides the known ones.

    Raises:
        Rejected: What the API refuses here, in its words.
    """
    url = urlsplit(request.path)
    query = dict(parse_qsl(url.query))
    protocols = offered_protocols(request.headers)
    speaks_beta = "realtime=v1" in request.headers.get("OpenAI-Beta", "") or "openai-beta.realtime-v1" in protocols
    if speaks_beta and not beta:
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        raise Rejected(message, code="beta_api_shape_disabled")
    name = query.get("model") or query.get("deployment") or (session or {}).get("model", "")
    if url.path.rstrip("/").endswith("/translations"):
        if name != TRANSLATING_MODEL:
            raise _no_model(name)
        return Handshake("translation", query, session=session)
    if "call_id" in query:
        return Handshake("sideband", query)
    kind = query.get("intent") or (session or {}).get("type", "realtime")
    if kind == "transcription":
        if query.get("model"):
            message = "You must not provide a model parameter for transcription sessions."
            raise Rejected(message, code="invalid_parameter", param="model")
        return Handshake(kind, query, None, False, session)  # the Beta's own is not spoken here
    known = {**MODELS, **(BETA_MODELS if beta else {}), **{name: Model(name) for name in more_models}}
    if name not in known:
        raise _no_model(name)
    return Handshake("realtime", query, known[name], speaks_beta, session)


def _no_model(name: str) -> Rejected:
    if not name:
        example = "wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
        message = f"You must provide a model parameter, for example {example}"
        return Rejected(message, code="missing_model")
    message = f'Model "{name}" is not supported in realtime mode.'
    return Rejected(message, code="invalid_model")
