"""HTTP beside the sockets: requests that websockets itself does not read, and answers."""

import json
import re
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

__all__ = ["Headers", "Opening", "Request", "Response", "api_error", "offered_protocols", "read_opening", "response"]


class Opening(NamedTuple):
    """First request of a connection.

    Attributes:
        as_get: The same request as a GET without a body, which is all that websockets reads.
        body: The body of a POST; None for every other method.
        preflight: Whether it is the OPTIONS by which a browser asks whether a page may send its request.
    """

    as_get: bytes
    body: bytes | None = None
    preflight: bool = False


def read_opening(data: bytes) -> Opening | None:
    """Read the first request of a connection; whatever is no POST and no OPTIONS is left to websockets as it came.

    Args:
        data: Everything that has come so far.

    Returns:
        The request; None while more of it must come.

    Raises:
        ValueError: Its head or its body is too long, or its length cannot be told. It says so to the client.
    """
    if not any(method.startswith(data[: len(method)]) for method in (b"POST ", b"OPTIONS ")):
        return Opening(data)
    head, blank, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if len(head) > 64 * 1024:
        raise ValueError("Your request's headers are too long.")
    if not blank:
        return None
    fields = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    lengths = [value for name, value in fields if name == b"content-length"]
    # Who reads such a length in another way than the next server smuggles requests past it (RFC 9112, 6.3).
    if len(lengths) > 1 or not all(re.fullmatch(rb"\d{1,15}", value) for value in lengths):
        raise ValueError("Your request must say the length of its body once and as a number (Content-Length).")
    if any(name == b"transfer-encoding" for name, _ in fields):
        raise ValueError("Your request's body must come in one piece, with its Content-Length.")
    if (length := int(lengths[0]) if lengths else 0) > 256 * 1024:
        raise ValueError("Your request's body is too long.")
    if len(body) < length:
        return None
    method, _, rest = first.partition(b" ")
    kept = [line for line in lines if not line.lower().startswith((b"content-length", b"transfer-encoding"))]
    as_get = b"\r\n".join([b"GET " + rest, *kept, b"", b""])
    return Opening(as_get, preflight=True) if method == b"OPTIONS" else Opening(as_get, body[:length])


def is_target(text: str) -> bool:
    """Return whether what a request asks for can be an address."""
    try:
        return text.isascii() and bool(urlsplit(text))
    except ValueError:  # such as half an IPv6 address
        return False


def offered_protocols(headers: Headers) -> list[str]:
    """Return the subprotocols that a handshake offers, in order."""
    return [name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(",")]


def response(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Make an HTTP response of a text, or of anything else as JSON; the connection closes after it."""
    kind, text = ("text/plain", content) if isinstance(content, str) else ("application/json", json.dumps(content))
    body = text.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)


def api_error(status: HTTPStatus, message: str, code: str | None = None, **fields: Any) -> Response:
    """Make the response of a refused request, an error in the API's form.

    Args:
        status: The HTTP status.
        message: The sentence.
        code: The error's code.
        **fields: Other fields of the error than the usual.
    """
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, **fields}
    return response({"error": error}, status)
