"""A real mind for the practice server: any OpenAI-compatible chat endpoint, streamed sentence by sentence."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtnb.errors import ConnectionFailed, InputError, KeyRefused, ServerError, mask_secrets
from rtnb.practice.thoughts import Call, Request, Say

__all__ = ["Remote"]

# The end of a sentence within what has come so far; the mark must be followed by something, or "3." of "3.5" would
# be spoken as a sentence.
_SENTENCE = re.compile(
    r"(?s)(.{2,}?(?:(?<!\bMr)(?<!\bDr)(?<!\bMrs)(?<!\bMs)[.!?…][\"'”’)*]*(?=\s)|[。！？]"
    r"|\n))\s*"
)
_LONGEST = 400  # characters held back while waiting for the end of a sentence


@dataclass(frozen=True)
class Remote:
    """Answers from a chat-completions server such as Ollama, vLLM or llama.cpp.

    Args:
        base_url: Up to and with `/v1`, for example `"http://localhost:11434/v1"`.
        model: The model's name there.
        key: Bearer key. None sends none; it never shows in a repr.
        timeout_seconds: Longest wait for the connection and for each piece.

    Raises:
        InputError: If `base_url` is no http or https address.
    """

    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        address = urllib.parse.urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                f"Your brain address {self.base_url!r} is no http address. Give one like http://localhost:11434/v1.",
                base_url=self.base_url,
            )

    def __call__(self, request: Request) -> Iterator[Say | Call]:
        """Think: send the conversation, give the answer as it comes.

        Args:
            request: What to answer.

        Yields:
            `Say` for each finished sentence, then `Call` for each function the model calls.

        Raises:
            ConnectionFailed: If the server cannot be reached or breaks off.
            KeyRefused: If it answers 401 or 403.
            ServerError: If it answers any other error, or something that is no chat completion.
        """
        text = ""
        calls: dict[int, dict[str, str]] = {}
        for delta in self._stream(self._body(request)):
            piece = delta.get("content")
            if isinstance(piece, str):
                text += piece
                text, ready = _cut(text)
                for sentence in ready:
                    yield Say(sentence)
            for position, part in enumerate(delta.get("tool_calls") or []):
                index = part.get("index")
                call = calls.setdefault(position if index is None else int(index), {"name": "", "arguments": ""})
                function = part.get("function") or {}
                call["name"] += function.get("name") or ""
                arguments = function.get("arguments")
                # Ollama's older versions send the arguments as an object instead of as text.
                call["arguments"] += json.dumps(arguments) if isinstance(arguments, Mapping) else arguments or ""
        if text.strip():
            yield Say(_spoken(text))
        for index in sorted(calls):
            name, written = calls[index]["name"], calls[index]["arguments"]
            try:
                arguments = json.loads(written or "{}")
            except ValueError as error:
                raise ServerError(
                    f"The brain at {self.base_url} called {name} with arguments that are no JSON: "
                    "{written[:200]}."
                    " Try again, or a larger model.",
                    type="invalid_tool_call",
                ) from error
            yield Call(name, arguments if isinstance(arguments, dict) else {"value": arguments})

    # ── The request ───────────────────────────────────────────────────────────────────────────────────────

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "stream": True, "messages": messages(request)}
        tools = [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool.get("description") or "",
                    "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
                },
            }
            for tool in request.tools
            if tool.get("type", "function") == "function" and tool.get("name")
        ]
        if tools:
            body["tools"] = tools
            choice = request.tool_choice or "auto"
            if isinstance(choice, Mapping):
                body["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
            else:
                body["tool_choice"] = choice
        return body

    def _stream(self, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The `delta` of every chunk."""
        address = urllib.parse.urlsplit(self.base_url)
        assert address.hostname is not None  # checked when made
        connection: http.client.HTTPConnection
        if address.scheme == "https":
            connection = http.client.HTTPSConnection(
                address.hostname,
                address.port,
                timeout=self.timeout_seconds,
                context=ssl.create_default_context(),
            )
        else:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=self.timeout_seconds)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        response: http.client.HTTPResponse | None = None
        try:
            try:
                connection.request(
                    "POST",
                    address.path.rstrip("/") + "/chat/completions",
                    json.dumps(body).encode(),
                    headers,
                )
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionFailed(
                    f"The brain at {self.base_url} cannot be reached ({error})."
                    " Start it, or check the address given as --brain.",
                    reason=str(error),
                    url=self.base_url,
                ) from error
            if response.status != 200:
                self._refuse(response)
            try:
                yield from self._deltas(response)
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionFailed(
                    f"The brain at {self.base_url} broke off in the middle of its answer"
                    f" ({error or type(error).__name__})."
                    " What it had said until then was spoken; ask again.",
                    reason=str(error),
                    url=self.base_url,
                ) from error
        finally:
            if response is not None:
                response.close()  # it keeps the socket open on its own where it was not read to its end
            connection.close()

    def _deltas(self, response: http.client.HTTPResponse) -> Iterator[Mapping[str, Any]]:
        if "json" in (response.headers.get("Content-Type") or ""):  # a server that does not stream
            whole = self._parsed(response.read().decode("utf-8", "replace"))
            yield self._delta(whole, "message")
            return
        for raw in response:
            line = raw.decode("utf-8", "replace").strip()
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield self._delta(self._parsed(data), "delta")

    def _parsed(self, text: str) -> Mapping[str, Any]:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, Mapping):
            raise ServerError(
                f"The brain at {self.base_url} sent what is no chat completion: {mask_secrets(text[:200])}."
                " Check that the address ends in /v1 and is a chat server's.",
                type="invalid_response",
            )
        return value

    def _delta(self, chunk: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        error = chunk.get("error")
        if error:
            message = error.get("message") if isinstance(error, Mapping) else error
            raise ServerError(
                f"The brain at {self.base_url} failed: {message}. Look at its own log.", type="server_error"
            )
        choices = chunk.get("choices") or [{}]
        delta = choices[0].get(key) or {}
        return delta if isinstance(delta, Mapping) else {}

    def _refuse(self, response: http.client.HTTPResponse) -> None:
        text = response.read(4000).decode("utf-8", "replace")
        try:
            error = json.loads(text).get("error")
            said = str(error.get("message") if isinstance(error, Mapping) else error or text)
        except (ValueError, AttributeError):
            said = text.strip() or response.reason
        said = said.strip().rstrip(".")[:500]
        if response.status in (401, 403):
            raise KeyRefused(
                f"Your key for the brain at {self.base_url} was refused: {said}. Give the right one.",
                code=str(response.status),
            )
        if response.status == 404:
            raise ServerError(
                f"The brain at {self.base_url} knows no model {self.model!r}, or no such address: {said}."
                f" Check the name (with Ollama: ollama pull {self.model}) and that the address ends in /v1.",
                type="not_found",
                code="404",
            )
        raise ServerError(
            f"The brain at {self.base_url} answered {response.status}: {said}. Look at its own log.",
            type="server_error",
            code=str(response.status),
        )


def _cut(text: str) -> tuple[str, list[str]]:
    """Take finished sentences off the front of a text: what is left, and they."""
    ready: list[str] = []
    while True:
        match = _SENTENCE.match(text)
        if match is None:
            break
        sentence = _spoken(match[1])
        if sentence:
            ready.append(sentence)
        text = text[match.end() :]
    if len(text) > _LONGEST and (space := text.rfind(" ", 0, _LONGEST)) > 0:
        ready.append(_spoken(text[:space]))
        text = text[space:].lstrip()
    return text, ready


def _spoken(text: str) -> str:
    """A sentence without the Markdown that chat models write and no voice should read out."""
    text = re.sub(r"(?m)^\s*(?:#{1,6}|[-*•]|>)\s+", "", text)
    text = re.sub(r"\*\*(.+?)\*\*|__(.+?)__|`([^`]+)`", lambda m: m[1] or m[2] or m[3], text)
    return re.sub(r"\s+", " ", text).strip()


def messages(request: Request) -> list[dict[str, Any]]:
    """A conversation in the Realtime API's items as chat messages.

    Args:
        request: What to answer.

    Returns:
        Chat messages: recordings as their recognised words, pictures passed through, consecutive calls in one
        assistant message and each result as a `tool` message.
    """
    found: list[dict[str, Any]] = []
    system = request.instructions or ""
    if "audio" in request.modalities:
        aloud = "Your answer is read out aloud: speak plainly, without Markdown or lists."
        system = f"{system}\n\n{aloud}".strip()
    if system:
        found.append({"role": "system", "content": system})
    for item in request.items:
        kind = item.get("type") or "message"
        if kind == "function_call":
            call = {
                "id": str(item.get("call_id")),
                "type": "function",
                "function": {"name": item.get("name"), "arguments": item.get("arguments") or "{}"},
            }
            if found and found[-1].get("role") == "assistant" and "tool_calls" in found[-1]:
                found[-1]["tool_calls"].append(call)
            else:
                found.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            found.append(
                {"role": "tool", "tool_call_id": str(item.get("call_id")), "content": str(item.get("output") or "")}
            )
        elif kind == "message":
            content = _content(item.get("content") or [])
            if content:
                found.append({"role": str(item.get("role") or "user"), "content": content})
    return found


def _content(parts: Sequence[Any] | str) -> str | list[dict[str, Any]]:
    if isinstance(parts, str):
        return parts
    found: list[dict[str, Any]] = []
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        if part.get("type") == "input_image":
            image = {"url": part.get("image_url"), "detail": part.get("detail") or "auto"}
            found.append({"type": "image_url", "image_url": image})
        elif text := part.get("text") or part.get("transcript"):
            found.append({"type": "text", "text": text})
        elif part.get("type") == "input_audio":
            found.append({"type": "text", "text": "(a recording in which no words could be heard)"})
    if all(part["type"] == "text" for part in found):
        return "\n".join(part["text"] for part in found)
    return found
