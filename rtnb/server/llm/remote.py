"""LLM as the practice server's responder: any OpenAI-compatible chat endpoint, streamed sentence by sentence."""

import contextlib
import functools
import http.client
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rtnb.errors import ConnectionFailed, InputError, KeyRefused, ServerError, keep_secret, mask_secrets
from rtnb.server.llm.chat_messages import messages, tools
from rtnb.server.llm.sentences import Sentences
from rtnb.server.protocol.requests import Answer, Call, Cut, Request, Text
from rtnb.web import urls

_CONNECT_SECONDS = 10.0
# The `finish_reason` of chat servers, and what the Realtime API calls it.
_CUT = {"length": Cut("max_output_tokens"), "content_filter": Cut("content_filter")}
# 64 questions under way at a time; chat servers queue them in turn.
_threads = functools.partial(ThreadPoolExecutor, 64, thread_name_prefix="rtnb-practice-brain")


@dataclass(frozen=True)
class Remote:
    """Responder that asks a chat-completions server such as Ollama, vLLM or llama.cpp.

    Args:
        base_url: Up to and with `/v1`, for example `"http://localhost:11434/v1"`.
        model: The model's name there.
        key: Bearer key, or a function that returns it. None sends none. It is kept as a function and never shows.
        timeout_seconds: Longest wait for the first word and for each piece after it. Long, because a server may
            have to load its model first.

    Attributes:
        pool: The threads that wait for the chat server, apart from those of ASR and TTS.

    Raises:
        InputError: If `base_url` is no http or https address.
    """

    base_url: str
    model: str
    key: str | Callable[[], str] | None = field(default=None, repr=False)
    timeout_seconds: float = 300.0
    pool: ThreadPoolExecutor = field(default_factory=_threads, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not callable(self.key):
            object.__setattr__(self, "key", keep_secret(self.key) if self.key and self.key.strip() else None)
        if callable(self.key) and not re.fullmatch("[!-~]+", self.key()):  # `http.client` would quote it
            raise InputError("Your brain key cannot be one: a space or another odd character is in it. Copy it again.")
        example = "http://localhost:11434/v1"
        address = urls.parse(self.base_url, ("http", "https"), example, what="brain address")
        if address.username or address.password:
            raise InputError(
                f"Your brain address {mask_secrets(self.base_url)!r} is no http address: it holds a name and password. "
                f"Give one like {example}, and the key as --brain-key."
            )

    def headers(self) -> dict[str, str]:
        """Return a request's headers, the key included."""
        held = {"Authorization": f"Bearer {self.key()}"} if callable(self.key) else {}
        return {"Content-Type": "application/json", "Accept": "text/event-stream", **held}

    def __call__(self, request: Request) -> "_Answer":
        """Send the conversation, and return the answer as it comes.

        Args:
            request: What to answer.

        Returns:
            An iterator: `Text` for each finished sentence, then `Call` for each function the model calls, then `Cut`
            where the server stopped before its end. Its `abandon` ends it from another thread.

        Raises:
            ConnectionFailed: While iterating, if the server cannot be reached or breaks off.
            KeyRefused: If it answers 401 or 403.
            ServerError: If it answers any other error, or something that is no chat completion.
        """
        return _Answer(self, request)


class _Answer(Iterator[Answer]):
    """One answer, as it comes."""

    def __init__(self, remote: Remote, request: Request) -> None:
        self._remote, self._request = remote, request
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._abandoned = self._ended = False  # ended: the stream, as a whole one ends
        self._why = ""  # the server stopped
        self._steps = self._perform()

    def __next__(self) -> Answer:
        return next(self._steps)

    def close(self) -> None:
        """Take no more of it."""
        self._steps.close()

    def abandon(self) -> None:
        """Close the stream, from any thread: the chat server sees it, and a thread that waits here goes on."""
        with self._lock:
            self._abandoned = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _perform(self) -> Generator[Answer, None, None]:
        answer = None
        for answer in self._pieces():
            yield answer
        if answer and self._why in _CUT:
            yield _CUT[self._why]
        elif not answer and not self._abandoned:
            reason = f" (it stopped for: {self._why})" if self._why not in ("", "stop") else ""
            what = f"answered without a word{reason}. Ask again, or take another model"
            raise self._failed(what, type="empty_answer")

    def _pieces(self) -> Iterator[Text | Call]:
        sentences = Sentences(aloud="audio" in self._request.modalities)
        calls: list[dict[str, Any]] = []
        for choice in self._choices():
            self._why = choice.get("finish_reason") or self._why
            delta = choice.get("delta") or choice.get("message") or {}
            if isinstance(piece := delta.get("content"), str):
                yield from map(Text, sentences.feed(piece))
            for position, part in enumerate(delta.get("tool_calls") or ()):
                _add_call(calls, part, position)
        yield from map(Text, sentences.rest())
        yield from (
            Call(call["name"], self._arguments(call["name"], call["arguments"])) for call in calls if call["name"]
        )

    def _arguments(self, name: str, written: str) -> dict[str, Any]:
        try:
            arguments = json.loads(written or "{}")
        except ValueError as error:
            cut = ", cut off at its longest answer" if self._why == "length" else ""
            what = f"called {name} with arguments that are no JSON{cut}: {written[:200]}. Try again, or a larger model"
            raise self._failed(what, type="invalid_tool_call") from error
        return arguments if isinstance(arguments, dict) else {"value": arguments}

    # ── The request ───────────────────────────────────────────────────────────────────────────────────────

    def _choices(self) -> Iterator[Mapping[str, Any]]:
        """Return the first choice of every chunk."""
        remote, address = self._remote, urllib.parse.urlsplit(self._remote.base_url)
        kind = http.client.HTTPConnection if address.scheme == "http" else http.client.HTTPSConnection
        # There is a host: it was checked when made.
        connection = kind(str(address.hostname), address.port, timeout=_CONNECT_SECONDS)
        path = address.path.rstrip("/") + "/chat/completions"
        body = {"model": remote.model, "stream": True, "messages": messages(self._request), **tools(self._request)}
        response: http.client.HTTPResponse | None = None
        try:
            self._connect(connection)
            connection.request("POST", path, json.dumps(body).encode(), remote.headers())
            response = connection.getresponse()
            if response.status != 200:
                self._refuse(response)
            for chunk in self._chunks(response):
                choice = self._choice(chunk)
                yield choice
                self._ended |= bool(choice.get("finish_reason"))
            if not self._ended:
                # An HTTP stream that ends too early looks to http.client like one that has ended.
                raise ConnectionError("it closed the stream")
        except (OSError, http.client.HTTPException) as error:
            if self._abandoned:
                return
            error.__context__ = None  # nor its traceback: the frames of `http.client` hold the key
            raise self._lost(error, response is not None and response.status == 200) from error.with_traceback(None)
        finally:
            with self._lock:
                self._socket = None
            if response is not None:
                response.close()  # it keeps the socket open on its own where it was not read to its end
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        connection.set_debuglevel(0)  # where a program has set it for all, whole requests are printed
        connection.connect()
        with self._lock:
            if self._abandoned:
                raise ConnectionError("abandoned")
            connection.sock.settimeout(self._remote.timeout_seconds)
            self._socket = connection.sock

    def _chunks(self, response: http.client.HTTPResponse) -> Iterator[Mapping[str, Any]]:
        """Return what the stream holds until its end mark."""
        if "json" in (response.headers.get("Content-Type") or ""):  # a server that does not stream
            yield self._parsed(response.read().decode("utf-8", "replace"))
            self._ended = True
            return
        nothing, other = True, ""
        for raw in response:
            line = raw.decode("utf-8", "replace").strip()
            name, _, data = line.partition(":")
            if name == "error":  # how older llama.cpp fails in the middle
                yield {"error": self._parsed(data.strip())}
            elif name == "data":
                nothing = False
                if data.strip() == "[DONE]":
                    self._ended = True
                    return
                yield self._parsed(data.strip())
            elif nothing and name not in ("", "event", "id", "retry"):  # those are comments and such
                other = (other + line)[:200]
        if nothing and other:
            raise self._no_chat(other)

    def _parsed(self, text: str) -> Mapping[str, Any]:
        with contextlib.suppress(ValueError):
            if isinstance(value := json.loads(text), Mapping):
                return value
        raise self._no_chat(text)

    def _choice(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        if chunk.get("error") or chunk.get("object") == "error":  # the latter: older vLLM
            raise self._failed(f"failed in the middle of its answer: {_message(chunk)}. Look at its own log")
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        return choice if isinstance(choice, Mapping) else {}

    # ── What goes wrong ───────────────────────────────────────────────────────────────────────────────────

    def _failed(self, what: str, *, type: str = "server_error", code: str | None = None) -> ServerError:
        return ServerError(f"The brain at {self._remote.base_url} {what}.", type=type, code=code)

    def _no_chat(self, text: str) -> ServerError:
        remedy = "Check that the address ends in /v1 and is a chat server's"
        return self._failed(f"sent what is no chat completion: {text[:200]}. {remedy}", type="invalid_response")

    def _lost(self, error: Exception, begun: bool) -> ConnectionFailed:
        url, reason = self._remote.base_url, str(error) or type(error).__name__
        if isinstance(error, TimeoutError) and self._socket is not None:
            waited = f"{self._remote.timeout_seconds:g} s"
            problem = f"has not sent anything for {waited}. It may be overloaded: ask again, or take a smaller model"
        elif begun:
            problem = f"broke off in the middle of its answer ({reason}). What it had said by then was sent; ask again"
        elif self._socket is not None:
            problem = f"hung up without an answer ({reason}). Look at its own log, and ask again"
        else:
            problem = f"cannot be reached ({reason}). Start it, or check the address given as --brain"
        return ConnectionFailed(f"The brain at {url} {problem}.", reason=reason, url=url)

    def _refuse(self, response: http.client.HTTPResponse) -> None:
        remote, status = self._remote, response.status
        text = mask_secrets(response.read(4000).decode("utf-8", "replace"))
        said = text.strip() or response.reason
        with contextlib.suppress(ValueError, AttributeError):
            said = _message(json.loads(text))
        if 300 <= status < 400:
            said = f"it redirects to {response.headers.get('Location')}, where your key does not go"
        said = mask_secrets(" ".join(said.split())).rstrip(".")[:500]
        if status in (401, 403):
            refused = f"Your key for the brain at {remote.base_url} was refused: {said}."
            raise KeyRefused(f"{refused} Give the right one as --brain-key.", code=str(status))
        what = f"knows no model {remote.model!r}, or no such address" if status == 404 else f"answered {status}"
        remedies = dict.fromkeys(range(300, 400), "If that address is right, give it as --brain")
        remedies |= {429: "Wait a little, then ask again", 503: "It may still be loading: ask again in a moment"}
        remedies[404] = f"Check the name (with Ollama: ollama pull {remote.model}) and that the address ends in /v1"
        what = f"{what}: {said}. {remedies.get(status, 'Look at its own log')}"
        raise self._failed(what, type="not_found" if status == 404 else "server_error", code=str(status))


def _add_call(calls: list[dict[str, Any]], part: Any, position: int) -> None:
    """Add a piece of a function call, at this position of its chunk's list, to the calls that arrive in pieces."""
    if not isinstance(part, Mapping):
        return
    index = position if part.get("index") is None else part["index"]
    call_id = part.get("id") or ""
    call = next((call for call in reversed(calls) if call["index"] == index), None)
    # Some servers give every call of one answer the index 0: then another id is another call.
    if call is None or (call_id and call["id"] and call_id != call["id"]):
        call = {"index": index, "id": "", "name": "", "arguments": ""}
        calls.append(call)
    call["id"] = call["id"] or call_id
    function = part.get("function") or {}
    name = function.get("name") or ""
    if name != call["name"]:  # others repeat the name with every piece
        call["name"] += name
    arguments = function.get("arguments")
    # Ollama's older versions send the arguments as an object instead of as text.
    call["arguments"] += json.dumps(arguments) if isinstance(arguments, Mapping) else arguments or ""


def _message(body: Mapping[str, Any]) -> str:
    """Return what an error says, in the shapes that chat servers write it."""
    error = body.get("error") or body
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("detail") or error
    return error if isinstance(error, str) else json.dumps(error)[:500]
