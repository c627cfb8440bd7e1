"""Way to a server, straight or through a proxy, and why it is closed: the words of every error and of `doctor`."""

import errno
import importlib.util
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from rtnb.errors import mask_secrets
from rtnb.texts.shortening import in_one_line
from rtnb.transport import endpoint


class Target(NamedTuple):
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
    if target.host in endpoint.LOCAL_HOSTS or urllib.request.proxy_bypass(f"{target.host}:{target.port}"):
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


class Reason(NamedTuple):
    """Reason for which a server is out of reach.

    Attributes:
        symptom: What was found, in a few words.
        cause: Why.
        remedy: What to do.
    """

    symptom: str
    cause: str
    remedy: str


class Route(NamedTuple):
    """Way to a server, straight or through a proxy.

    Attributes:
        target: The server.
        host: Where the first connection goes: the server's name or the proxy's; "" for a proxy that is no address.
        port: Its port.
        proxy: The proxy's address in parts; None for none.
    """

    target: Target
    host: str
    port: int
    proxy: SplitResult | None = None

    @property
    def name(self) -> str:
        """Host and port of the first connection, for people."""
        return f"{self.host}:{self.port}" + (f" (proxy for {self.target.host})" if self.proxy else "")

    @property
    def obstacle(self) -> Reason | None:
        """Reason for which the proxy cannot be used at all. None for none."""
        if not self.host:
            cause = "What HTTPS_PROXY or the system has as its proxy is something else than http://HOST:PORT."
            symptom, remedy = "the proxy in the environment is no address to use", f"Unset or correct it. {_RESTART}"
            return Reason(symptom, cause, remedy)
        if self.proxy and self.proxy.scheme.startswith("socks") and not importlib.util.find_spec("python_socks"):
            remedy = f"Run %pip install python-socks, or unset the proxy. {_RESTART}"
            return Reason(f"a SOCKS proxy ({self.host}:{self.port}) is set", _NO_SOCKS, remedy)
        return None


def route_to(target: Target, proxy: str | None) -> Route:
    """Return the way to a server through a proxy, or straight where that is None."""
    if not proxy:
        return Route(target, target.host, target.port)
    try:
        parts = urlsplit(proxy if "://" in proxy else "")  # `websockets` takes none without its scheme
        default = _PROXY_PORTS[parts.scheme]  # `websockets` takes no other kinds
        return Route(target, parts.hostname or "", parts.port or default, parts)
    except (KeyError, ValueError):
        return Route(target, "", 80, urlsplit(""))


def why_closed(broken: BaseException, route: Route, issuer: str = "") -> Reason:
    """Return why a server cannot be reached.

    Args:
        broken: What was raised on the way.
        route: The way.
        issuer: Who issued the certificate that was shown; "" where nobody knows.
    """
    said, target = str(broken), route.target
    kinds = {kind.__name__ for kind in type(broken).__mro__}  # of `websockets`, of which 14 does not know all
    if route.proxy and (obstacle := route.obstacle) is not None:
        return obstacle
    if "InvalidProxyStatus" in kinds or (route.proxy and "Tunnel" in said):
        cause = "It wants a name and password (407), or does not allow this server (403)."
        remedy = f"Ask whoever runs the network to allow {target.host}, or use another network."
        return Reason(f"the proxy refuses: {_line(said)}", cause, remedy)
    if isinstance(broken, socket.gaierror | UnicodeError):
        whose = "the proxy" if route.proxy else "this server"
        cause = f"The network does not know {whose}'s name; it is wrong, or there is no internet here."
        return Reason(f"{route.host}: no such name", cause, f"Check the Wi-Fi and the address; {_OFFLINE}")
    # Where a name has several addresses, asyncio raises an error of its own, with all of theirs in it.
    if isinstance(broken, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in said:
        symptom = f"{route.name} refuses the connection"
        if route.proxy:
            return Reason(symptom, "The proxy of the environment does not run.", _NO_PROXY)
        cause = "The server does not answer at this address: nothing listens."
        return Reason(symptom, cause, "Start the server, or check the address.")
    if isinstance(broken, TimeoutError):
        remedy = "Try another network (a phone's hotspot tells whether it is this one)."
        cause = "A firewall drops the connection, or the server is down."
        return Reason(f"{route.name} does not answer", cause, remedy)
    if isinstance(broken, ssl.SSLCertVerificationError):
        why = f"{broken.verify_message}; issued by {issuer}" if issuer else broken.verify_message
        symptom = f"{target.host}: certificate not trusted ({why})"
        return Reason(symptom, _UNTRUSTED.get(broken.verify_code, _INSPECTED), _TRUST)
    if route.proxy and (isinstance(broken, ssl.SSLError | ConnectionError) or not isinstance(broken, OSError)):
        cause = "What listens at the address of the proxy is none, or it cannot reach the server."
        return Reason(f"{route.name} lets nothing through", cause, _NO_PROXY)
    cut = target.tls and isinstance(broken, ConnectionError) and "HTTPException" not in kinds
    if isinstance(broken, ssl.SSLError) or cut:
        reason = _line(str(getattr(broken, "reason", None) or type(broken).__name__))
        cause = "A sign-in page of the Wi-Fi answers instead, or the server has no TLS."
        remedy = "Open any web page and sign in to the Wi-Fi; for a server of your own use ws:// instead of wss://."
        return Reason(f"{target.host}:{target.port} does not speak TLS ({reason})", cause, remedy)
    if isinstance(broken, OSError) and not isinstance(broken, ConnectionError):
        symptom = f"{route.name} cannot be reached ({_line(broken.strerror or said)})"
        return Reason(symptom, "There is no way to it from this network.", f"Check the Wi-Fi; {_OFFLINE}")
    cause = "Something else listens there, a server that wants TLS, or a firewall that cuts WebSockets."
    remedy = "Check the address: wss:// for a server with TLS, ws:// for one without."
    return Reason(f"{route.name} does not speak HTTP ({type(broken).__name__})", cause, remedy)


def _line(text: str) -> str:
    return mask_secrets(in_one_line(text, 200))


_PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_RESTART = "Then restart the kernel."
_NO_PROXY = "Unset HTTPS_PROXY, or ask who runs it."
_OFFLINE = "without internet practice=True works."
_NO_SOCKS = "It can be spoken to only with the package python-socks, which is not installed."
_TRUST = "On a company's or school's network set SSL_CERT_FILE to the certificate of its IT, or use another network."
# By OpenSSL's X509_V_ERR_ numbers.
_UNTRUSTED = {
    9: "This computer's clock is wrong: the certificate is not valid yet.",
    10: "The certificate has run out, or this computer's clock is wrong.",
    62: "Somebody else answers under this name: a sign-in page, a proxy, or a wrong address.",
    64: "Somebody else answers at this address: a sign-in page, a proxy, or a wrong address.",
}
_INSPECTED = (
    "A company, school or virus scanner reads the traffic and shows a certificate of its own (TLS inspection), or "
    "Python has no list of trusted ones."
)
