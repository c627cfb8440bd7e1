"""Check the way to a server, step by step: proxy, name, port, TLS, the upgrade to a WebSocket."""

import contextlib
import os
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import unquote

from rtnb.diagnosis.certificates import issuer_in
from rtnb.diagnosis.report import Finding, State
from rtnb.errors import mask_secrets
from rtnb.texts.language import say
from rtnb.transport.route import Route, Target, proxy_for, route_to, why_closed


class _Failed(Exception):
    """Step that did not succeed, with its finding."""

    def __init__(self, symptom: str, cause: str, remedy: str, state: State = "error") -> None:
        self.finding = Finding("network", state, mask_secrets(symptom), cause, remedy)


def _open(route: Route, timeout: float | None) -> HTTPConnection:
    """Return a connection that is yet to be opened; each step may take so many seconds, or for ever with None."""
    connection = HTTPConnection(route.host, route.port, timeout=timeout)
    if route.proxy:
        headers = {}
        if route.proxy.username:
            pair = f"{unquote(route.proxy.username)}:{unquote(route.proxy.password or '')}"
            headers = {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        connection.set_tunnel(route.target.host, route.target.port, headers=headers)
    return connection


def check_network(
    target: Target,
    *,
    proxies: Mapping[str, str] | None = None,
    timeout: float = 4.0,
    context: ssl.SSLContext | None = None,
    resolve: Callable[..., Any] = socket.getaddrinfo,
) -> list[Finding]:
    """Check that a socket to the server can be opened, step by step: name, port, proxy, TLS, upgrade.

    Args:
        target: Where it goes.
        proxies: Proxies by scheme, as `urllib.request.getproxies()` returns them. None means none.
        timeout: Seconds each step may take.
        context: TLS settings. None means the system's.
        resolve: Turns a host and port into addresses, as `socket.getaddrinfo`.

    Returns:
        One finding: how far it came, and if it did not get through, why.
    """
    route = route_to(target, proxy_for(target, proxies or {}))
    try:
        if (obstacle := route.obstacle) is not None:
            raise _Failed(*obstacle)
        if route.proxy and route.proxy.scheme.startswith("socks"):
            cause = "The way through it is tried with the model."
            raise _Failed(f"a SOCKS proxy ({route.host}:{route.port}) is set", cause, "", "unknown")
        _look_up(route, resolve, timeout)
        with contextlib.closing(_open(route, timeout)) as connection:
            connection.connect()
            issuer = _secure(connection, route, context or ssl.create_default_context()) if target.tls else ""
            return [_upgrade(connection, route, issuer)]
    except _Failed as failed:
        return [failed.finding]
    except (OSError, UnicodeError, HTTPException) as error:
        untrusted = isinstance(error, ssl.SSLCertVerificationError)
        return [_Failed(*why_closed(error, route, _issuer_unchecked(route, timeout) if untrusted else "")).finding]


def _look_up(route: Route, resolve: Callable[..., Any], timeout: float) -> None:
    """Resolve the name. A lookup has no time limit of its own, so one that takes too long is left to its thread."""
    looked_up: Future[Any] = Future()

    def look_up() -> None:
        try:
            looked_up.set_result(resolve(route.host, route.port, type=socket.SOCK_STREAM))
        except BaseException as error:
            looked_up.set_exception(error)

    threading.Thread(target=look_up, name="rtnb-doctor", daemon=True).start()
    try:
        looked_up.result(timeout)
    except TimeoutError:
        cause = "The network's name server is out of reach; there may be no internet here."
        remedy = "Check the Wi-Fi; without internet practice=True works."
        raise _Failed(f"{route.host}: the name is not answered", cause, remedy) from None


def _secure(connection: HTTPConnection, route: Route, context: ssl.SSLContext) -> str:
    """Put TLS over an open connection; return the issuer of the server's certificate."""
    target = route.target
    try:
        secured = context.wrap_socket(connection.sock, server_hostname=target.host)
    except TimeoutError:
        cause = "A firewall or proxy holds it, or something else than a TLS server listens there."
        remedy = "Try another network; for a server of your own use ws:// if it has no TLS."
        raise _Failed(f"{target.host}:{target.port} takes the connection and says nothing", cause, remedy) from None
    connection.sock = secured
    return issuer_in(secured.getpeercert(binary_form=True))


def _issuer_unchecked(route: Route, timeout: float | None) -> str:
    """Return who issued a certificate that is not trusted: that names the box that reads the traffic."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, _Failed), contextlib.closing(_open(route, timeout)) as connection:
        connection.connect()
        # Nothing but the handshake is done on this socket: no key and no word goes over it.
        return _secure(connection, route, unchecked)
    return ""


def _upgrade(connection: HTTPConnection, route: Route, issuer: str) -> Finding:
    """Ask for a WebSocket, without a key: whatever status comes back, the way is open if a server sent it."""
    key = b64encode(os.urandom(16)).decode()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    try:
        connection.request("GET", route.target.path, headers=headers)
        status = connection.getresponse().status
    except TimeoutError:
        cause = "Something holds WebSockets back: a proxy, a firewall, or a server that is stuck."
        remedy = "Try another network; restart a server of your own."
        raise _Failed(f"{route.name} takes the connection and says nothing", cause, remedy) from None
    host = route.target.host
    reached = f"{host} reached through the proxy" if route.proxy else say("{host} reached", host=host)
    way = f"{reached}, certificate by {issuer}" if issuer else reached
    if status == 101:
        return Finding("network", "ok", way)
    if status == 407 or (status in (403, 511) and host.endswith("api.openai.com")):
        cause = "A proxy does not let them through, or the country is not served."
        remedy = f"Ask whoever runs the network to allow wss://{host}, or use another network."
        raise _Failed(f"{way}, but WebSockets are refused (HTTP {status})", cause, remedy)
    if status in (401, 403):
        return Finding("network", "ok", f"{way} (HTTP {status} without a key, as it should be)")
    cause = "The path is wrong, or a sign-in page answers."
    remedy = "Check the address; open any web page to sign in to the Wi-Fi."
    raise _Failed(f"{way}, but it answers HTTP {status} instead of opening a WebSocket", cause, remedy, "warning")
