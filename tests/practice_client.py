"""A client of the practice server for its tests: a session over a real socket, a turn, a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from practice_harness import MINI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rtnb.server import server

QUERY = f"?model={MINI}"
KEY = {"Authorization": "Bearer practice"}


@contextlib.asynccontextmanager
async def session(
    practice: server.Practice, query: str = QUERY, headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    url = practice.url + query
    options = {"proxy": None, "compression": None, "max_size": None, **options}
    async with connect(url, additional_headers=KEY if headers is None else headers, **options) as socket:
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 10))
    return event


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (event := await receive(socket))["type"] != kind:
        pass
    return event


async def turn(socket: ClientConnection) -> dict[str, Any]:
    """One whole turn in text: proof that a session works."""
    content = [{"type": "input_text", "text": "Hello."}]
    item = {"type": "message", "role": "user", "content": content}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))
    return await until(socket, "response.done")


async def refused(practice: server.Practice, query: str, headers: dict[str, str], **options: Any) -> tuple[Any, ...]:
    async with session(practice, query, headers, **options) as socket:
        event = await receive(socket)
        with pytest.raises(ConnectionClosed):
            await receive(socket)
        assert event["type"] == "error"
        return event["error"]["code"], event["error"]["message"], socket.close_code, socket.close_reason
