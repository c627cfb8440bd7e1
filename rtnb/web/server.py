"""Start of a server of sockets on a loop: who may come in, the HTTP beside, the connections, a masked log."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from websockets.asyncio.server import Server, serve

from rtnb.errors import mask_record
from rtnb.web.connection import Connection
from rtnb.web.http import Request, Response
from rtnb.web.origins import OriginCheck


def masked_log(name: str) -> logging.Logger:
    """Make a log for a server's sockets; websockets writes whole handshakes to it, with keys and secret addresses."""
    log = logging.getLogger(name)
    log.addFilter(mask_record)
    log.setLevel(logging.CRITICAL)  # also a traceback for every client that sends rubbish
    return log


async def listen(
    handle: Callable[[Connection], Awaitable[None]],
    host: str,
    port: int,
    *,
    origin_check: OriginCheck,
    answer: Callable[[Connection, Request], Response | None],
    protocol: str | None = None,
    **options: Any,
) -> tuple[Server, int]:
    """Start a server on the running loop. It ends by its own `close()`, or as a context manager.

    Args:
        handle: Called with each connection whose handshake is done; the connection closes when it returns.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        origin_check: Who may come in, handshakes and plain HTTP alike.
        answer: Called with each request that may come in. It returns the response; None goes on with the handshake.
        protocol: The subprotocol to agree on where a client offers it.
        **options: Further options of `websockets.serve`; its `logger` should be a `masked_log`.

    Returns:
        The server, and the port it listens on. Hold the server: one that nobody holds is collected, and its sockets
        with it.

    Raises:
        OSError: The address cannot be listened on.
    """

    def admit(connection: Any, request: Request) -> Response | None:
        return origin_check.refusal(request, connection.local_address[1]) or answer(connection, request)

    server = await serve(
        cast(Any, handle),  # of our class, see below
        host,
        port,
        process_request=admit,
        select_subprotocol=lambda connection, offered: protocol if protocol in offered else None,  # type: ignore[arg-type, return-value]
        create_connection=type("Connection", (Connection,), {"halves": {}}),
        compression=None,  # deflate costs about ten times the rest on base64 audio
        **options,
    )
    return server, next(iter(server.sockets)).getsockname()[1]
