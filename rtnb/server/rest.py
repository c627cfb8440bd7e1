"""HTTP endpoints beside the sockets: ephemeral secrets, `GET /v1/models`, a page that says hello."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from rtnb.models import limits
from rtnb.server.auth import Auth, KeyRejected, bearer
from rtnb.server.protocol import beta as beta_interface
from rtnb.server.protocol import settings
from rtnb.server.protocol.api_errors import ApiError, missing
from rtnb.server.protocol.effects import Ids
from rtnb.server.protocol.shapes import anything, choice, integer, mapping, nullable, record, too_deep
from rtnb.web.http import Opening, Request, Response, api_error, response


def answer(request: Request, opening: Opening, auth: Auth, ids: Ids, *, beta: bool = False) -> Response:
    """Answer a request that is no handshake."""
    if opening.preflight:  # asked without a key: a browser has none yet
        return response("")
    path = urlsplit(request.path).path.rstrip("/")
    if path in ("", "/v1", "/v1/realtime") and opening.body is None:
        return response("This is rtnb's practice server. Speak WebSocket to /v1/realtime?model=gpt-realtime-2.1-mini\n")
    makers = {"/v1/realtime/client_secrets": _client_secret, "/v1/realtime/sessions": _beta_session if beta else None}
    try:
        auth.check(bearer(request.headers))
        if path == "/v1/models" and opening.body is None:
            models = [{"id": name, "object": "model", "owned_by": "rtnb practice"} for name in settings.MODELS]
            return response({"object": "list", "data": models})
        if opening.body is not None and (make := makers.get(path)):
            return response(make(_json(opening.body), auth, ids))
    except ApiError as problem:
        status = HTTPStatus.UNAUTHORIZED if isinstance(problem, KeyRejected) else HTTPStatus.BAD_REQUEST
        return api_error(status, problem.message, problem.code, type=problem.type, param=problem.param)
    return api_error(HTTPStatus.NOT_FOUND, f"Invalid URL ({'GET' if opening.body is None else 'POST'} {path})")


_EXPIRES = record(anchor=choice("created_at"), seconds=integer(*limits().client_secret_seconds))
_SECRET = record(expires_after=nullable(_EXPIRES), session=nullable(anything))


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError("We could not parse the JSON body of your request.", code="invalid_json") from error
    if too_deep(value):
        raise ApiError("The JSON body of your request is nested too deeply.", code="invalid_json")
    return value


def _client_secret(asked: Any, auth: Auth, ids: Ids) -> dict[str, Any]:
    checked = _SECRET(asked, "")
    wanted = checked.get("session") or {"type": "realtime"}
    if not isinstance(wanted, dict) or "type" not in wanted:
        raise missing("session.type")
    kind = choice("realtime", "transcription")(wanted["type"], "session.type")
    model = None
    if kind == "realtime":
        model = _model(settings.MODELS, wanted.get("model", "gpt-realtime-2.1"), "session.model")
    session = _session(kind, wanted, model, ids)
    seconds = (checked.get("expires_after") or {}).get("seconds", 600)  # the default (SDK)
    return {**auth.issue(session, seconds), "session": session}


def _beta_session(asked: Any, auth: Auth, ids: Ids) -> dict[str, Any]:
    """Make the Beta's ephemeral secret: a flat session in, the same with a `client_secret` out."""
    name = mapping(asked, "session").get("model", "gpt-4o-realtime-preview")
    model = _model(settings.BETA_MODELS, name, "model")
    wanted, own = beta_interface.nested(asked | {"model": name}, beta_interface.OWN)
    session = _session("realtime", wanted, model, ids)
    secret = auth.issue(session, 60)  # OpenAI docs of the time: a client secret expires after one minute
    return {**beta_interface.flat(session, own), "client_secret": secret}


def _model(known: Any, name: Any, param: str) -> settings.Model:
    if not isinstance(name, str) or name not in known:
        raise ApiError(f'Model "{name}" is not supported in realtime mode.', code="invalid_model", param=param)
    return known[name]


def _session(kind: str, wanted: dict[str, Any], model: settings.Model | None, ids: Ids) -> dict[str, Any]:
    session = settings.defaults(kind, session_id=ids.new("sess"), expires_at=0, model=model)
    return settings.update(session, wanted, model=model)[0]
