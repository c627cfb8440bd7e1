"""Check the way to a server, step by step: proxy, name, port, TLS, the upgrade to a WebSocket."""

import contextlib
import os
import socket
import ssl
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from rtnb.diagnosis.certificates import issuer_in, why_untrusted
from rtnb.diagnosis.report import Finding, State, one_line
from rtnb.errors import mask_secrets
from rtnb.transport import endpoint


@dataclass(frozen=True)
class Target:
    """Server that a socket goes to.

    Attributes:
        host: The server's name.
        port: Its port.
        tls: Whether it is spoken to through TLS.
        path: Path and query.
    """

    host: str
    port: int
    tls: bool
    path: str


def target_of(url: str | None) -> Target:
    """Return the server of an address; None means OpenAI's.

    Raises:
        InputError: `url` is not an address.
    """
    parts = endpoint.parse(url)
    tls = parts.scheme in ("wss", "https")
    path = (parts.path or "/v1/realtime") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname or "", parts.port or (443 if tls else 80), tls, path)


def proxies_for(target: Target) -> dict[str, str]:
    """Return the proxies set for a server in the environment, or on macOS and Windows in the system; {} for none."""
    if target.host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(f"{target.host}:{target.port}"):
        return {}
    return urllib.request.getproxies()


def proxy_for(target: Target, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy that a socket to `target` goes through; None for none.

    Args:
        target: Where the socket goes.
        proxies: Addresses by scheme, as `urllib.request.getproxies()` returns them.
    """
    # The order is that of the websockets package (websockets/proxy.py), which opens the socket in the end.
    for scheme in ("wss", "socks", "https") if target.tls else ("ws", "socks", "https", "http"):
        if proxy := proxies.get(scheme):
            return f"socks5h://{proxy[7:]}" if scheme == "socks" and proxy.startswith("http://") else proxy
    return None


_TRUST = (
    "On a company's or school's network set SSL_CERT_FILE to the certificate its IT gives out, or use another network."
)


class _Failed(Exception):
    """Step that did not succeed, with its finding."""

    def __init__(self, symptom: str, cause: str, remedy: str, state: State = "error") -> None:
        self.finding = Finding("network", state, mask_secrets(symptom), cause, remedy)


@dataclass(frozen=True)
class _Route:
    """Way to a server, straight or through a proxy.

    Attributes:
        target: The server.
        host: Where the first connection goes: the server's name or the proxy's.
        port: Its port.
        proxy: The proxy's address in parts; None for none.
    """

    target: Target
    host: str
    port: int
    proxy: SplitResult | None = None

    @property
    def name(self) -> str:
        """Return where the first connection goes, for people."""
        return f"{self.host}:{self.port}" + (f" (proxy for {self.target.host})" if self.proxy else "")

    def connection(self, timeout: float | None) -> HTTPConnection:
        """Return a connection that is yet to be opened; each step may take so many seconds, or for ever with None."""
        connection = HTTPConnection(self.host, self.port, timeout=timeout)
        if self.proxy:
            headers = {}
            if self.proxy.username:
                pair = f"{unquote(self.proxy.username)}:{unquote(self.proxy.password or '')}"
                headers = {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
            connection.set_tunnel(self.target.host, self.target.port, headers=headers)
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
    try:
        route = _route(target, proxy_for(target, proxies or {}))
        _look_up(route, resolve, timeout)
        with contextlib.closing(route.connection(timeout)) as connection:
            _connect(connection, route)
            issuer = _secure(connection, route, context or ssl.create_default_context()) if target.tls else ""
            return [_upgrade(connection, route, issuer)]
    except _Failed as failed:
        return [failed.finding]


def _route(target: Target, proxy: str | None) -> _Route:
    if not proxy:
        return _Route(target, target.host, target.port)
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        route = _Route(target, parts.hostname or "", parts.port or 80, parts)
    except ValueError:
        route = _Route(target, "", 80)
    if not route.host:
        cause = "HTTPS_PROXY, or the system's proxy, is something else than http://HOST:PORT."
        remedy = "Correct the variable, or unset it, and restart the kernel."
        raise _Failed("the proxy in the environment is no address", cause, remedy)
    if parts.scheme.startswith("socks"):
        cause = "websockets speaks to it only with the package python-socks."
        remedy = "Run %pip install python-socks, or unset the proxy."
        raise _Failed(f"a SOCKS proxy ({route.host}:{route.port}) is set", cause, remedy, "unknown")
    return route


def _look_up(route: _Route, resolve: Callable[..., Any], timeout: float) -> None:
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
    except (OSError, UnicodeError):
        whose = " of the proxy." if route.proxy else "."
        cause = f"There is no internet here, or the network's name server hides the name{whose}"
        remedy = "Check the Wi-Fi and the address; without internet practice=True works."
        raise _Failed(f"{route.host}: no such name", cause, remedy) from None


def _connect(connection: HTTPConnection, route: _Route) -> None:
    """Open the connection, and the tunnel through a proxy."""
    try:
        connection.connect()
    except ConnectionRefusedError:
        cause = "The proxy of the environment does not run." if route.proxy else "Nothing listens there."
        remedy = "Unset HTTPS_PROXY, or ask who runs it." if route.proxy else "Start the server, or check the address."
        raise _Failed(f"{route.name} refuses the connection", cause, remedy) from None
    except TimeoutError:
        cause = "A firewall drops the connection, or the server is down."
        remedy = "Try another network (a phone's hotspot tells whether it is this one)."
        raise _Failed(f"{route.name} does not answer", cause, remedy) from None
    except OSError as error:
        if route.proxy and "Tunnel" in str(error):
            cause = "It wants a name and password (407), or does not allow this server (403)."
            remedy = f"Ask whoever runs the network to allow {route.target.host}, or use another network."
            raise _Failed(f"the proxy refuses: {one_line(str(error))}", cause, remedy) from None
        symptom = f"{route.name} cannot be reached ({one_line(error.strerror or str(error))})"
        remedy = "Check the Wi-Fi; without internet practice=True works."
        raise _Failed(symptom, "There is no way to it from this network.", remedy) from None


def _secure(connection: HTTPConnection, route: _Route, context: ssl.SSLContext) -> str:
    """Put TLS over an open connection; return the issuer of the server's certificate."""
    target = route.target
    try:
        secured = context.wrap_socket(connection.sock, server_hostname=target.host)
    except ssl.SSLCertVerificationError as error:
        issuer = _issuer_unchecked(route, connection.timeout)
        issued = f"; issued by {issuer}" if issuer else ""
        symptom = f"{target.host}: certificate not trusted ({error.verify_message}{issued})"
        raise _Failed(symptom, why_untrusted(error), _TRUST) from None
    except TimeoutError:
        cause = "A firewall or proxy holds it, or something else than a TLS server listens there."
        remedy = "Try another network; for a server of your own use ws:// if it has no TLS."
        raise _Failed(f"{target.host}:{target.port} takes the connection and says nothing", cause, remedy) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        symptom = f"{target.host}:{target.port} does not speak TLS ({one_line(str(reason))})"
        cause = "A sign-in page of the Wi-Fi answers instead, or the server has no TLS."
        remedy = "Open any web page and sign in to the Wi-Fi; for a server of your own use ws:// instead of wss://."
        raise _Failed(symptom, cause, remedy) from None
    connection.sock = secured
    return issuer_in(secured.getpeercert(binary_form=True))


def _issuer_unchecked(route: _Route, timeout: float | None) -> str:
    """Return who issued a certificate that is not trusted: that names the box that reads the traffic."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError), contextlib.closing(route.connection(timeout)) as connection:
        connection.connect()
        # Nothing but the handshake is done on this socket: no key and no word goes over it.
        with unchecked.wrap_socket(connection.sock, server_hostname=route.target.host) as shown:
            return issuer_in(shown.getpeercert(binary_form=True))
    return ""


def _upgrade(connection: HTTPConnection, route: _Route, issuer: str) -> Finding:
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
    except (OSError, HTTPException) as error:
        cause = "Something else listens there, a server that wants TLS, or a firewall that cuts WebSockets."
        remedy = "Check the address: wss:// for a server with TLS, ws:// for one without."
        raise _Failed(f"{route.name} does not speak HTTP ({type(error).__name__})", cause, remedy) from None
    way = f"{route.target.host} reached{' through the proxy' if route.proxy else ''}"
    return _answered(status, way + (f", certificate by {issuer}" if issuer else ""), route.target.host)


def _answered(status: int, way: str, host: str) -> Finding:
    """Return what the HTTP status of the answer means."""
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
