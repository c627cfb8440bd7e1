"""A server that follows a script, so that a test reads as a dialogue.

```python
def script(talk):
    talk.open()                                   # session.created, and session.updated for the client's update
    talk.expect("response.create")
    talk.say({"type": "response.created", …})

with serve(script) as url:
    …
```
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as listen

TIMEOUT_SECONDS = 10


class Talk:
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.pause_seconds = 0.0  # after each piece of audio
        self._ids = 0

    @property
    def headers(self) -> Any:
        return self.socket.request.headers

    @property
    def path(self) -> str:
        return self.socket.request.path

    def say(self, *events: dict[str, Any]) -> None:
        for event in events:
            self._ids += 1
            self.socket.send(json.dumps({"event_id": f"event_{self._ids}", **event}))
            if event["type"] == "response.output_audio.delta":
                time.sleep(self.pause_seconds)

    def hear(self) -> dict[str, Any]:
        event = json.loads(self.socket.recv(timeout=TIMEOUT_SECONDS))
        self.heard.append(event)
        return event

    def expect(self, type_: str, *, over: tuple[str, ...] = ()) -> dict[str, Any]:
        """Hear until an event of this type; only the types in `over` may come before it."""
        while True:
            event = self.hear()
            if event["type"] == type_:
                return event
            assert event["type"] in over, f"expected {type_}, heard {event}"

    def open(self, **session: Any) -> dict[str, Any]:
        """Create the session and take its configuration as it comes; gives what the client asked for."""
        created = {"id": "sess_1", "object": "realtime.session", "type": "realtime", "model": "m", **session}
        self.say({"type": "session.created", "session": created})
        wanted = self.expect("session.update")["session"]
        self.say({"type": "session.updated", "session": {**created, **wanted}})
        return wanted

    def drop(self) -> None:
        """End the connection without a word, as a dead network does."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)

    def end(self, code: int | None = None, reason: str = "") -> None:
        """End the connection with a closing frame, and wait for nothing the client may still say."""
        said = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        self.socket.socket.sendall(bytes([0x88, len(said)]) + said)
        with contextlib.suppress(OSError):  # the client may have answered already, and all be over
            self.socket.socket.shutdown(socket.SHUT_WR)

    def take_message(self, item_id: str = "item_user") -> dict[str, Any]:
        item = {**self.expect("conversation.item.create")["item"], "id": item_id, "status": "completed"}
        for name in ("added", "done"):
            self.say({"type": f"conversation.item.{name}", "previous_item_id": None, "item": item})
        return item

    def take_sound(self, item_id: str = "item_sound") -> bytes:
        """Hear appends until the commit; gives the sound."""
        pcm = b""
        while (event := self.hear())["type"] != "input_audio_buffer.commit":
            assert event["type"] == "input_audio_buffer.append", event
            pcm += base64.b64decode(event["audio"])
        item = {
            "id": item_id,
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        self.say({"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": item_id})
        for name in ("added", "done"):
            self.say({"type": f"conversation.item.{name}", "previous_item_id": None, "item": item})
        return pcm

    def answer(
        self,
        words: str = "Hello there.",
        pcm: bytes = b"",
        *,
        id: str = "resp_1",
        item_id: str = "item_answer",
        expect: bool = True,
        **done: Any,
    ) -> dict[str, Any]:
        """Answer a response.create in the recorded order, spoken where there is sound; gives what was asked."""
        asked = self.expect("response.create") if expect else {}
        audible = bool(pcm)
        part = {"response_id": id, "item_id": item_id, "output_index": 0, "content_index": 0}
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        response = {"id": id, "object": "realtime.response", "status": "in_progress", "output": [], "usage": None}
        response |= {"conversation_id": "conv_1", "metadata": (asked.get("response") or {}).get("metadata")}
        self.say(
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "response_id": id, "output_index": 0, "item": item},
            {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        )
        kind = "output_audio_transcript" if audible else "output_text"
        for piece in words.split(" "):
            lead = "" if piece == words.split(" ")[0] else " "
            self.say({"type": f"response.{kind}.delta", **part, "delta": lead + piece, "obfuscation": "x"})
        # An odd last chunk is normal, and its base64 has padding.
        for start in range(0, len(pcm), 4801):
            chunk = base64.b64encode(pcm[start : start + 4801]).decode()
            self.say({"type": "response.output_audio.delta", **part, "delta": chunk})
        content = {"type": "output_audio", "transcript": words} if audible else {"type": "output_text", "text": words}
        item = {**item, "status": "completed", "content": [content]}
        if audible:
            self.say({"type": "response.output_audio.done", **part})
        self.say(
            {"type": f"response.{kind}.done", **part, ("transcript" if audible else "text"): words},
            {"type": "conversation.item.done", "previous_item_id": None, "item": item},
            {"type": "response.output_item.done", "response_id": id, "output_index": 0, "item": item},
        )
        final = {**response, "status": "completed", "output": [item], "usage": usage(input_text=10, output_text=5)}
        self.say({"type": "response.done", "response": {**final, **done}})
        return asked


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that another thread brings about; fail where it does not within many times its usual."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def usage(*, input_text: int = 0, input_audio: int = 0, output_text: int = 0, output_audio: int = 0) -> dict[str, Any]:
    return {
        "total_tokens": input_text + input_audio + output_text + output_audio,
        "input_tokens": input_text + input_audio,
        "output_tokens": output_text + output_audio,
        "input_token_details": {
            "text_tokens": input_text,
            "audio_tokens": input_audio,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output_text, "audio_tokens": output_audio},
    }


@contextlib.contextmanager
def serve(*scripts: Callable[[Talk], None]) -> Iterator[str]:
    """Listen on loopback; each connection follows the next script, the last one again for any further.

    A script's failed assertion fails the test when the block ends.
    """
    failures: list[BaseException] = []
    waiting = list(scripts)

    def handle(connection: ServerConnection) -> None:
        script = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        try:
            script(Talk(connection))
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                while True:
                    connection.recv(timeout=TIMEOUT_SECONDS)
        except ConnectionClosed:
            pass
        except BaseException as failure:
            failures.append(failure)

    with listen(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        host, port = server.socket.getsockname()[:2]
        try:
            yield f"ws://{host}:{port}/v1/realtime"
        finally:
            server.shutdown()
            thread.join(TIMEOUT_SECONDS)
    if failures:
        raise failures[0]
