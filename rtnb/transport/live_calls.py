"""Live calls that a sideband has joined."""

import contextlib
import http.client
import urllib.request
from urllib.parse import parse_qs, urlsplit

from rtnb.transport.endpoint import Address


def hang_up(where: Address) -> None:
    """End the live call that a sideband joined, which would go on without it; a call that is over already is none.

    Blocks for 10 seconds at most.

    Args:
        where: The address of the sideband.
    """
    parts = urlsplit(where.reveal())
    call_id = parse_qs(parts.query).get("call_id", [""])[0]
    url = f"{parts.scheme.replace('ws', 'http', 1)}://{parts.netloc}{parts.path.rstrip('/')}/calls/{call_id}/hangup"
    headers = {**where.headers(), "Content-Type": "application/json"}
    # Neither the address nor the headers may be seen, so that nothing of what goes wrong is passed on.
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        urllib.request.urlopen(urllib.request.Request(url, b"", headers, method="POST"), timeout=10.0).close()
