"""The little HTTP beside the sockets: ephemeral secrets, `GET /v1/models`, a page that says hello."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from websockets.http11 import Request, Response

from rtnb.server.handshake import Rejected, Secrets, bearer, check_key
from rtnb.server.protocol import beta as old
from rtnb.server.protocol import settings
from rtnb.server.protocol.api_errors import ApiError, missing, wrong_type
from rtnb.server.protocol.effects import Ids
from rtnb.server.protocol.schema import anything, choice, integer, nullable, record, too_deep
from rtnb.web.origins import response

__all__ = ["answer"]


def answer(
    request: Request,
    posted: bytes | None,
    *,
    preflight: bool = False,
    key: str | None,
    given: Secrets,
    ids: Ids,
    beta: bool = False,
) -> Response:
    """Answer a request that is no handshake."""
    if preflight:  # asked without a key: a browser has none yet
        return response("")
    path = urlsplit(request.path).path.rstrip("/")
    if path in ("", "/v1", "/v1/realtime") and posted is None:
        return response("This is rtnb's practice server. Speak WebSocket to /v1/realtime?model=gpt-realtime-2.1-mini\n")
    try:
        check_key(bearer(request.headers, ()), wanted=key, given=given, now=time.time())
    except Rejected as refusal:
        return _problem(refusal.problem, HTTPStatus.UNAUTHORIZED)
    if path == "/v1/models" and posted is None:
        models = [{"id": name, "object": "model", "owned_by": "rtnb practice"} for name in settings.MODELS]
        return response({"object": "list", "data": models})
    made = {"/v1/realtime/client_secrets": _client_secret, **({"/v1/realtime/sessions": _beta_session} if beta else {})}
    if path in made and posted is not None:
        try:
            return response(made[path](posted, given, ids))
        except ApiError as problem:
            return _problem(problem, HTTPStatus.BAD_REQUEST)
    message = f"Invalid URL ({'GET' if posted is None else 'POST'} {path})"
    return _problem(ApiError(message), HTTPStatus.NOT_FOUND)


_SECRET = record(
    {
        "expires_after": nullable(
            record({"anchor": choice("created_at"), "seconds": integer(10, 7_200)})  # SDK: 10 to 7200, default 600
        ),
        "session": nullable(anything),
    }
)


_BETA_SECRET_SECONDS = 60  # OpenAI docs of the time: a client secret expires after one minute


def _body(posted: bytes) -> Any:
    try:
        value = json.loads(posted or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError("We could not parse the JSON body of your request.", code="invalid_json") from error
    if too_deep(value):
        raise ApiError("The JSON body of your request is nested too deeply.", code="invalid_json")
    return value


def _client_secret(posted: bytes, given: Secrets, ids: Ids) -> dict[str, Any]:
    checked = _SECRET(_body(posted), "")
    wanted = checked.get("session") or {"type": "realtime"}
    if not isinstance(wanted, dict) or "type" not in wanted:
        raise missing("session.type")
    kind = choice("realtime", "transcription")(wanted["type"], "session.type")
    model = None
    if kind == "realtime":
        name = wanted.get("model", "gpt-realtime-2.1")
        model = settings.MODELS.get(name) if isinstance(name, str) else None
        if model is None:
            raise ApiError(
                f'Model "{name}" is not supported in realtime mode.', code="invalid_model", param="session.model"
            )
    session = settings.defaults(kind, session_id=ids.new("sess"), expires_at=0, model=model)
    session, _ = settings.update(session, wanted, model=model)
    seconds = (checked.get("expires_after") or {}).get("seconds", 600)
    expires_at = int(time.time()) + seconds
    return {"value": given.give(session, expires_at), "expires_at": expires_at, "session": session}


def _beta_session(posted: bytes, given: Secrets, ids: Ids) -> dict[str, Any]:
    """The Beta's ephemeral secret: a flat session in, the same with a `client_secret` out."""
    asked = _body(posted)
    if not isinstance(asked, dict):
        raise wrong_type("session", "an object", asked)
    name = asked.get("model", "gpt-4o-realtime-preview")
    model = settings.BETA_MODELS.get(name) if isinstance(name, str) else None
    if model is None:
        raise ApiError(f'Model "{name}" is not supported in realtime mode.', code="invalid_model", param="model")
    wanted, modalities, temperature = old.nested(asked | {"model": name}, ["text", "audio"], 0.8)
    session = settings.defaults("realtime", session_id=ids.new("sess"), expires_at=0, model=model)
    session, _ = settings.update(session, wanted, model=model)
    expires_at = int(time.time()) + _BETA_SECRET_SECONDS
    secret = {"value": given.give(session, expires_at), "expires_at": expires_at}
    return {**old.flat(session, modalities, temperature), "client_secret": secret}


def _problem(problem: ApiError, status: HTTPStatus) -> Response:
    error = problem.error()
    del error["event_id"]
    return response({"error": error}, status)
