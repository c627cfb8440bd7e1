"""Check of `Origin` and `Host`: programs, a server's own pages and those let in reach it, by a name of its own.

Any web page can open a socket to the computer it is read on and send requests there, and by DNS rebinding even make a
name of its own mean 127.0.0.1. Browsers report both: `Origin` says whose page it is (RFC 6454), `Host` by which name
the server was called. Programs send no `Origin` and come in.

OpenAI's server lets pages of every origin in, for its keys protect it; the servers here take any key or none. Where
truth to the service and safety disagree, safety wins: a foreign page gets HTTP 403 in place of the handshake.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from rtnb.errors import InputError
from rtnb.web.http import Request, Response, api_error

_PLACE = re.compile(r"(?ai)(?:([a-z][a-z0-9+.-]*)://)?(\[[0-9a-f:.]+\]|[\w.-]*[\w-])\.?(?::(\d{1,5}))?")


class OriginCheck:
    """Check of who comes in to one server, sockets and plain HTTP alike.

    `Host` must be a loopback name (`localhost`, 127.0.0.0/8, `[::1]`) or a name the server was given. A server that
    listens beyond this computer may also be called by any IP address: no page can make a number mean another computer,
    and behind a router or in a container the server does not know all of its own. The port in `Host` is not compared,
    for it may be forwarded. A missing `Host`, several of them, and a request target with a foreign name are refused.

    `Origin` may be missing, the server's own (scheme, host and port, or the one that `Host` says), or one let in;
    several are refused.

    Args:
        hosts: The address the server listens on, then further names it is called by.
        pages: Origins of pages to let in, as `https://class.example` or `http://localhost:3000`.
        tls: Whether it speaks TLS.
        remedy: What to do about a page that is refused; `{origin}` stands for its origin.

    Raises:
        InputError: An origin to let in is none. `null` is none: every page can make itself one without an origin.
    """

    def __init__(self, hosts: Sequence[str], pages: Iterable[str] = (), *, tls: bool = False, remedy: str = "") -> None:
        self._scheme = "https" if tls else "http"
        self._names = {_plain(host) for host in hosts}
        self._far = not is_loopback(hosts[0])
        self._remedy = remedy or "Start the server with --allow-origin {origin}."
        let_in = {origin: _place(origin.removesuffix("/")) for origin in pages}
        for origin in (name for name, place in let_in.items() if place is None):
            text = f"Your allow_origins has {origin!r}, which is no origin. "
            text += "Give how a page's address begins, for example http://localhost:3000."
            raise InputError(text, origin=origin)
        self._let_in = set(let_in.values())

    def refusal(self, request: Request, port: int) -> Response | None:
        """Refuse a request that may not come in; None for one that may.

        Args:
            request: The request, a handshake or not.
            port: The port it came to.
        """
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        target = re.findall(r"^[a-z]+://([^/?#]*)", request.path, re.IGNORECASE)
        called = [_place(name, self._scheme) for name in hosts + target]
        if len(hosts) != 1 or not all(place and self._is_mine(place[1], self._far) for place in called):
            message = "Your request must call this server by one name that is its own: 127.0.0.1 or localhost, "
            message += "or a name that it was started with (--host NAME)."
            return api_error(HTTPStatus.FORBIDDEN, message, "host_not_allowed")
        page = _place(origins[0]) if len(origins) == 1 else None
        own = page and self._is_mine(page[1]) and page[::2] == (self._scheme, port)
        if not origins or own or page in (called[0], *self._let_in):
            return None
        message = f"Your page's origin, {', '.join(origins) or 'empty'}, may not use this server. "
        message += self._remedy.format(origin=origins[0] if page else "ORIGIN")
        return api_error(HTTPStatus.FORBIDDEN, message, "origin_not_allowed")

    def _is_mine(self, host: str, any_number: bool = False) -> bool:
        return is_loopback(host) or host in self._names or (any_number and number(host) is not None)


def cross_origin(request: Request) -> dict[str, str]:
    """Make the headers by which a page that was let in may read the answer, and send what it asks to send (CORS)."""
    if "Origin" not in (asked := request.headers):
        return {}
    wanted = ", ".join(asked.get_all("Access-Control-Request-Headers"))
    more = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": wanted} if wanted else {}
    return {"Access-Control-Allow-Origin": asked["Origin"], "Vary": "Origin", **more}


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer, and can be nothing else."""
    address = number(host)
    return address.is_loopback if address else host.lower() == "localhost"


def number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host is, an IPv4 one also where it is written as IPv6; None for a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _plain(host: str) -> str:
    """Write a host in the one form in which it is compared."""
    return str(number(host) or host.lower())


def _place(text: str, scheme: str = "") -> tuple[str, str, int] | None:
    """Read scheme, host and port of an origin, or with `scheme` given of a `Host`; None where it is neither."""
    found = _PLACE.fullmatch(text)
    if found is None or bool(found[1]) == bool(scheme):
        return None
    scheme = (found[1] or scheme).lower()
    return scheme, _plain(found[2]), int(found[3] or {"http": 80, "https": 443}.get(scheme, 0))
