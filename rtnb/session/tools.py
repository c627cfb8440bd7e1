"""Python functions as tools: what the model reads about one, and what happens when the model calls it."""

# ruff: noqa: ASYNC109 - `timeout` is the tool's limit, of which the model is told.

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import enum
import functools
import inspect
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

from rtnb.errors import InputError, ToolFailed, mask_secrets
from rtnb.session import signature
from rtnb.texts.arguments import checks_call
from rtnb.texts.shortening import in_one_line
from rtnb.transport.handle import settle

TIMEOUT_SECONDS = 30.0
"""Time a function may take unless its tool says otherwise: a user on the phone waits no longer."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # SDK: the API's own pattern for function names.


@dataclass(frozen=True, repr=False)
class ToolCall:
    """One call of a tool, as it went.

    Attributes:
        name: The tool's name.
        arguments: The arguments by name, as the model wrote them; the raw text where that is not a JSON
            object.
        call_id: The API's id of the call.
        output: The result as the model reads it. None while the function runs.
        error: What went wrong: a `ToolFailed`, whose `__cause__` is what the function raised. None for
            nothing.
        seconds: How long the function took. None while it runs.

    Examples:
        >>> def weather(city: str) -> str:
        ...     "Return the weather in a city."
        ...     return f"sunny in {city}"
        >>> reply = rtnb.ask("What is the weather in Oslo?", tools=[weather], practice=True, show=False).wait()
        >>> reply.tool_calls
        [weather(city='Oslo') → sunny in Oslo]
    """

    name: str
    arguments: dict[str, Any] | str
    call_id: str = ""
    output: str | None = None
    error: Exception | None = None
    seconds: float | None = None

    def __repr__(self) -> str:
        given = self.arguments
        written = given if isinstance(given, str) else ", ".join(f"{name}={value!r}" for name, value in given.items())
        call = f"{self.name}({in_one_line(written, 120)})"
        if self.error is not None:
            return mask_secrets(f"{call} ✗ {in_one_line(getattr(self.error, 'problem', str(self.error)), 120)}")
        return f"{call} …" if self.output is None else mask_secrets(f"{call} → {in_one_line(self.output, 120)}")


def _in_words(error: BaseException) -> str:
    said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@checks_call
@dataclass(frozen=True, repr=False)
class Tool:
    """Function that the model may call.

    Attributes:
        name: Its name for the model: letters, digits, `_` and `-`, at most 64.
        description: What it does, for the model.
        parameters: JSON Schema of its arguments.
        function: What is called, sync or async.
        timeout: Seconds it may take. None means as long as it likes.

    Examples:
        >>> def weather(city: str) -> str:
        ...     "Return the weather in a city."
        ...     return f"sunny in {city}"
        >>> tool = rtnb.Tool.from_function(weather, timeout=5.0)
        >>> tool.name, tool.description, [*tool.parameters["properties"]]
        ('weather', 'Return the weather in a city.', ['city'])
    """

    name: str
    description: str
    parameters: dict[str, Any]
    function: Callable[..., Any]
    timeout: float | None = TIMEOUT_SECONDS
    # pydantic model whose field p0, p1, … stands for the function's parameter of that place, which is its alias.
    _model: Any = field(default=None, compare=False)

    @classmethod
    def from_function(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = TIMEOUT_SECONDS,
    ) -> Tool:
        """Make a tool of a function.

        The schema comes from the signature, the descriptions from the docstring. A parameter without an
        annotation has the type of its default, or any. `*args` and `**kwargs` are left out.

        Args:
            function: A function, method, `functools.partial` or callable object, sync or async.
            name: The tool's name. None means the function's.
            description: What it does. None means the docstring without its sections.
            timeout: Seconds it may take. None means as long as it likes.

        Raises:
            InputError: It is not callable, has no usable name, or a parameter of a type that JSON cannot
                carry.
        """
        if not callable(function):
            remedy = "Give a Python function, or a dict such as {'type': 'mcp', 'server_label': …, 'server_url': …}."
            raise InputError(f"Your tool {function!r} is not a function. {remedy}")
        plain = signature.unwrapped(function)
        name = name or str(getattr(plain, "__name__", type(plain).__name__))
        if not _NAME.fullmatch(name):
            wrong = f"Your tool {name!r} needs a name of letters, digits, _ and - (64 at most)."
            remedy = "Define it with def, or use Tool.from_function(function, name='…')."
            raise InputError(f"{wrong} {remedy}", tool=name)
        said, about = signature.docstring(function)
        model = signature.model_of(function, plain, name, about)
        described = said if description is None else description
        return cls(name, described, signature.schema_of(model), function, timeout, model)

    def definition(self) -> dict[str, Any]:
        """Write the tool as `session.tools` and `response.tools` take it: flat, without a nested `function`."""
        return {"type": "function", "name": self.name, "description": self.description, "parameters": self.parameters}

    def read(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """Turn what the model wrote into what the function takes.

        Args:
            arguments: JSON text, or the object already parsed. An empty text counts as no arguments.

        Returns:
            Values of the annotated types by parameter; those the model left out are left to the function's
            defaults.

        Raises:
            ToolFailed: It is not a JSON object, or does not fit the parameters; the message tells the model
                why.
        """
        written = _written(arguments)
        try:
            given = json.loads(written.strip() or "{}")
        except ValueError as error:
            raise self._failed(f"its arguments are not JSON ({error})", written) from error
        if not isinstance(given, dict):
            raise self._failed("its arguments are not a JSON object", written)
        if self._model is None:
            return given
        from pydantic import ValidationError

        try:
            # From JSON rather than from the dict: JSON mode takes the strings of dates, sets as lists,
            # bytes as text.
            read = self._model.model_validate_json(json.dumps(given))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in problems)
            raise self._failed(f"its arguments do not fit: {wrong}", written) from error
        fields = self._model.model_fields.items()
        return {about.alias: getattr(read, name) for name, about in fields if name in read.model_fields_set}

    async def call(self, arguments: str | Mapping[str, Any], *, timeout: float | EllipsisType | None = ...) -> str:
        """Call the function with what the model wrote.

        A sync function runs in a thread of its own, so that it may block; an async one on the loop this is
        awaited on.

        Args:
            arguments: JSON text, or the object already parsed.
            timeout: Seconds it may take. None means as long as it likes; left out, the tool's own.

        Returns:
            The result as text for the model: a string as it is, None as `"done"`, all else as JSON.

        Raises:
            ToolFailed: The arguments do not fit, the function raised (then the cause is what it raised), or
                it took too long.
        """
        limit = self.timeout if timeout is ... else timeout
        written = _written(arguments)
        values = self.read(arguments)
        try:
            async with asyncio.timeout(limit) as clock:
                result = await self._run(values)
        # `exit()` in a tool must not end the I/O thread, nor a future of its own that was cancelled this task.
        except (Exception, SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            late = isinstance(error, TimeoutError) and clock.expired()
            what = f"it did not finish within {limit:g} s" if late else _in_words(error)
            raise self._failed(what, written) from error
        try:
            return _as_text(result)
        except Exception as error:
            raise self._failed(f"its result cannot be told ({_in_words(error)})", written) from error

    async def run(self, arguments: str, *, call_id: str = "", timeout: float | EllipsisType | None = ...) -> ToolCall:
        """Call the function and return how it went, whatever happens.

        Args:
            arguments: JSON text as the model wrote it.
            call_id: The API's id of the call.
            timeout: Seconds it may take. None means as long as it likes; left out, the tool's own.

        Returns:
            The call. Where it failed, `error` says how and `output` is what the model reads of it.
        """
        begun, failed = time.monotonic(), None
        try:
            output = await self.call(arguments, timeout=timeout)
        except ToolFailed as error:
            output, failed = _sentence_of(error), error
        return ToolCall(self.name, _readable(arguments), call_id, output, failed, time.monotonic() - begun)

    async def _run(self, values: dict[str, Any]) -> Any:
        plain = signature.unwrapped(self.function)
        args, kwargs = signature.bound(self.function, values)
        if inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(type(plain).__call__):
            return await self.function(*args, **kwargs)
        result = await in_thread(functools.partial(self.function, *args, **kwargs))
        # A plain function may still hand back something to await (a lambda around a coroutine, a decorated
        # function).
        return await result if inspect.isawaitable(result) else result

    def _failed(self, what: str, arguments: str) -> ToolFailed:
        sentence = f"Your tool {self.name} failed: {what}. The model was told; look at Reply.tool_calls."
        return ToolFailed(sentence, tool=self.name, arguments=arguments, problem=what)

    def __repr__(self) -> str:
        return f"Tool({self.name}({', '.join(self.parameters.get('properties', {}))}))"


class Toolbox:
    """Tools of a session: functions of yours, and definitions that are passed through.

    Args:
        tools: Functions, `Tool`s, and dicts: `{"type": "mcp", …}` for a server the API itself calls, or
            `{"type": "function", …}` for a function you answer yourself. None: no tools.

    Raises:
        InputError: One is none of these, lacks what it needs, or two have the same name.

    Examples:
        >>> def weather(city: str) -> str:
        ...     "Return the weather in a city."
        ...     return f"sunny in {city}"
        >>> with rtnb.connect(practice=True, tools=[weather]) as chat:
        ...     [tool.name for tool in chat.tools]
        ['weather']
    """

    def __init__(self, tools: Iterable[Callable[..., Any] | Tool | Mapping[str, Any]] | None = ()) -> None:
        if callable(tools) or isinstance(tools, Tool | Mapping | str):
            raise InputError("Your tools= is a single tool. Put it into a list: tools=[weather].")
        self._all: dict[str, Tool | dict[str, Any]] = {}
        for given in () if tools is None else tools:
            tool = dict(given) if isinstance(given, Mapping) else given
            if not isinstance(tool, Tool | dict):
                tool = Tool.from_function(tool)
            name = tool.name if isinstance(tool, Tool) else _check_definition(tool)
            if name in self._all:
                twice = f"Your tools have the name {name!r} twice. Rename one: Tool.from_function(f, name='…')."
                raise InputError(twice, tool=name)
            self._all[name] = tool

    def definitions(self) -> list[dict[str, Any]]:
        """Write all tools as `session.tools` takes them, in the order they were given."""
        return [tool.definition() if isinstance(tool, Tool) else tool for tool in self]

    async def run(
        self, name: str, arguments: str, *, call_id: str = "", timeout: float | EllipsisType | None = ...
    ) -> ToolCall:
        """Call a tool by name and return how it went, whatever happens.

        Args:
            name: The name the model called. A name that is not here fails, and the model reads which
                there are.
            arguments: JSON text as the model wrote it.
            call_id: The API's id of the call.
            timeout: Seconds it may take. None means as long as it likes; left out, the tool's own.

        Returns:
            The call. Where it failed, `error` says how and `output` is what the model reads of it.
        """
        if name in self:
            return await self[name].run(arguments, call_id=call_id, timeout=timeout)
        known = ", ".join(name for name in self._all if name in self) or "none"
        what = f"there is no function of this name here; there are: {known}"
        sentence = f"Your tools have no function {name}: {what}. Give it in tools=."
        error = ToolFailed(sentence, tool=name, arguments=arguments, problem=what)
        return ToolCall(name, _readable(arguments), call_id, _sentence_of(error), error, 0.0)

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is a function that can be called here."""
        return isinstance(name, str) and isinstance(self._all.get(name), Tool)

    def __getitem__(self, name: str) -> Tool:
        if isinstance(tool := self._all.get(name), Tool):
            return tool
        raise KeyError(name)

    def __iter__(self) -> Iterator[Tool | dict[str, Any]]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Toolbox({', '.join(name.removeprefix('mcp:') for name in self._all)})"


def _check_definition(given: Mapping[str, Any]) -> str:
    """Check a tool given as a dict; returns the name it goes by."""
    kind = given.get("type")
    if kind == "mcp":
        # SDK, realtime_tools_config_union.py: server_label is required, and one of the three that say where
        # it is.
        if not given.get("server_label"):
            raise InputError("Your MCP tool has no 'server_label'. Name it, as in {'server_label': 'docs', …}.")
        if not any(given.get(where) for where in ("server_url", "connector_id", "tunnel_id")):
            wrong = f"Your MCP tool {given['server_label']!r} does not say where its server is."
            raise InputError(f"{wrong} Give 'server_url', 'connector_id' or 'tunnel_id'.")
        return f"mcp:{given['server_label']}"
    if kind == "function":
        if isinstance(given.get("function"), Mapping):
            flat = "{'type': 'function', 'name': …, 'description': …, 'parameters': …}"
            wrong = "Your tool has Chat Completions' shape, with its name inside 'function'."
            raise InputError(f"{wrong} The Realtime API takes it flat: {flat}.")
        if not _NAME.fullmatch(str(given.get("name") or "")):
            raise InputError("Your tool has no usable 'name'. Give letters, digits, _ and -, 64 at most.")
        return str(given["name"])
    raise InputError(f"Your tool has the type {kind!r}. The Realtime API knows 'function' and 'mcp'.")


def _sentence_of(error: ToolFailed) -> str:
    """Write a failure for the model: what happened, and no more of us than it needs."""
    return mask_secrets(f"Error: {error.tool} failed: {getattr(error, 'problem', error)}.")


def _written(arguments: str | Mapping[str, Any]) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)


def _readable(arguments: str) -> dict[str, Any] | str:
    with contextlib.suppress(ValueError):
        if isinstance(given := json.loads(arguments.strip() or "{}"), dict):
            return given
    return arguments


def _as_text(result: Any) -> str:
    if isinstance(result, str) and not isinstance(result, enum.Enum):
        return result
    if result is None:
        return "done"
    from pydantic_core import to_json

    return to_json(result, fallback=str, inf_nan_mode="constants").decode()


async def in_thread(function: Callable[[], Any]) -> Any:
    """Run a blocking function in a thread of its own and await its result.

    Not `asyncio.to_thread`: its threads are joined when Python ends, so that one function that hangs would
    keep the process from ending. Nobody can stop a thread, so on a timeout this one is left to itself.
    """
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def work() -> None:
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # nobody waits any more
            try:
                settle(done, context.run(function))
            except BaseException as raised:
                # SystemExit too: `exit()` in a tool must not end the thread without a word. StopIteration: no future
                # carries it.
                carried = isinstance(raised, Exception) and not isinstance(raised, StopIteration)
                settle(done, error=raised if carried else RuntimeError(_in_words(raised)))

    threading.Thread(target=work, name="rtnb-tool", daemon=True).start()
    return await asyncio.wrap_future(done)
