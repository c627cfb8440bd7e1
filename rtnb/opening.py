"""Choose who answers, and open sessions: OpenAI, another server, the practice server or a saved session."""

# Annotations are evaluated as they stand (no `from __future__ import annotations`): `takes_options` reads them.

import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast

from rtnb import keys, models
from rtnb.errors import InputError, KeyMissing
from rtnb.money import Budget
from rtnb.protocol import frames
from rtnb.session import settings
from rtnb.session.reply import Approval
from rtnb.session.session import Session
from rtnb.session.tools import Toolbox
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say, translate
from rtnb.transport import endpoint, websocket
from rtnb.transport.cells import kernel

F = TypeVar("F", bound=Callable[..., Any])


class ServerOptions(TypedDict, total=False):
    """Options that say who answers, and what it may cost.

    Attributes:
        key: The API key. None: found as `rtnb.find_key` does.
        url: Another server that speaks the protocol. None: OpenAI, or the practice server where no key is found.
        provider: The kind of server by its name in `models.toml`, where its address does not tell it.
        practice: Use the practice server, whatever keys there are.
        replay: A session saved with `session.save()`, to be played back instead of calling anybody.
        replay_speed: How many times faster than it was recorded; `math.inf` does not wait at all.
        budget: US dollars this may cost at most, or a budget shared with others; `rtnb.Budget` says what is guaranteed.
            None: no limit.
        verbose: Whether to print every event as it comes and goes.
        timeout: Seconds for which a server that owes something (to open, an answer, its end) may send nothing before it
            is given up with an error; a model may think that long without a word. None: as long as it likes.
    """

    key: str | keys.Key | None
    url: str | None
    provider: str | None
    practice: bool
    replay: str | Path | None
    replay_speed: float
    budget: float | Budget | None
    verbose: bool
    timeout: float | None


class ConnectionOptions(ServerOptions, total=False):
    """Options that a session can be opened with.

    Attributes:
        model: The model's name. None: `gpt-realtime-2.1-mini`.
        voice: One of `rtnb.models.VOICES`, or a custom voice's id (`"voice_…"`). None: the model's own.
        speed: How fast it speaks, 0.25–1.5. None: 1.0.
        instructions: How the model should behave. None: the server's default; "" for none at all.
        tools: Python functions the model may call (sync or async, typed), or tool definitions as dicts, those of MCP
            servers among them. None: no tools.
        approve: Called with an `Approval` before the server calls an MCP tool that needs one; returns whether it may
            (sync or async). None: the reply ends with the question, see `Session.approve()`.
        modalities: `"audio"` (audio and its transcript) or `"text"`, also in the API's own form, a list of one; the API
            never returns both. None: audio.
        turn_detection: None: you say when a turn ends, right for recordings. `"server_vad"` or `"semantic_vad"`: the
            server detects it, right for a microphone. A dict is the API's own object.
        transcription: Whether the user's audio is transcribed too, which is billed separately. True: by gpt-transcribe
            at $0.0045 a minute, after each turn. `"gpt-realtime-whisper"` writes while the user speaks, at $0.017 a
            minute. Another name, or the API's own object: with that.
        session: Further fields of the API's session object, laid over what the other arguments say.
        reconnect: Whether to go on in a new session, with the history as text, when the socket drops.
    """

    model: str | None
    voice: str | None
    speed: float | None
    instructions: str | None
    tools: Sequence[Any] | None
    approve: Callable[[Approval], Any] | None
    modalities: Literal["audio", "text"] | Sequence[Literal["audio", "text"]] | None
    turn_detection: Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None
    transcription: bool | str | Mapping[str, Any] | None
    session: Mapping[str, Any] | None
    reconnect: bool


# The others are None.
_DEFAULTS = {"practice": False, "replay_speed": 1.0, "verbose": False, "timeout": 60.0, "tools": (), "reconnect": False}
# Name and description, as they stand above under "Attributes:".
_DESCRIBED = re.compile(r"^ {8}(\w+):.*(?:\n {12}.*)*", re.MULTILINE)


def takes_options(options: Any, *, without: Collection[str] = ()) -> Callable[[F], F]:
    """Let a function that ends with `**connection` take these options by name.

    IPython completes no `Unpack`, so each option that the function does not name itself becomes a parameter of its
    signature, and its description stands in the docstring. The function is called with all of them, those left out
    with their defaults, and with the key wrapped, so that its frame shows none.

    Args:
        options: `ServerOptions` or `ConnectionOptions`.
        without: Those of them that it does not take.
    """
    # What is asked for comes before who answers, which few need.
    names = sorted(options.__annotations__, key=lambda name: name in ServerOptions.__annotations__)
    described = {found[1]: found[0] for found in _DESCRIBED.finditer(f"{options.__doc__}{ServerOptions.__doc__}")}

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        named = [parameter for parameter in own.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        added = [name for name in names if name not in own.parameters and name not in without]
        types, make = options.__annotations__, inspect.Parameter
        options_of = [make(one, make.KEYWORD_ONLY, default=_DEFAULTS.get(one), annotation=types[one]) for one in added]
        signature = own.replace(parameters=[*named, *options_of])

        called: Any = checks_call(function, signature=signature, hold=keys.hold)
        called.__signature__ = signature
        lines = "\n".join(described.get(name, name) for name in added)
        called.__doc__ = (function.__doc__ or "").replace("        **connection: As described.", lines)
        return cast(F, called)

    return decorate


@takes_options(ConnectionOptions)
def connect(*, show: bool | None = None, **connection: Unpack[ConnectionOptions]) -> Session:
    """Open a session; it starts at once and the call returns at once.

    ```python
    async with rtnb.connect(instructions="Answer in one sentence.", voice="marin") as chat:
        reply = await chat.ask(clip, "What is this about?")
    ```

    Args:
        show: Whether what is asked for shows its answer as it comes: words, audio, and the card at its end. Those of
            `side` never do. None: where a notebook shows the cells.
        **connection: As described.

    Returns:
        A `Session`: await it, use it in `with` or `async with`, or just go on and ask.

    Raises:
        InputError: If an argument is not what the API takes.
        KeyMissing: If a key is needed and none is found, which only happens where `url` names a server that needs one.

    Examples:
        >>> with rtnb.connect(practice=True, modalities="text", show=False) as chat:
        ...     first = chat.ask("My name is Ada.").wait()
        ...     chat.ask("What is my name?").wait().text
        'Your name is Ada.'
        >>> [turn.role for turn in chat.turns]
        ['user', 'assistant', 'user', 'assistant']
    """
    model = connection["model"]
    if model is None and connection["replay"] is not None:
        from rtnb.recording.load import open_recording

        model = open_recording(connection["replay"]).model
    model = model or models.DEFAULT
    where = find_server(model, connection)
    if where.provider.listed:
        models.warn_shutdown(model, stacklevel=4)  # the caller's line, past the decorator's
    wanted, tools = configuration(connection, where.provider)
    shown = kernel() is not None if show is None else show
    how = {"show": shown, "tools": tools, "approve": connection["approve"], "reconnect": connection["reconnect"]}
    return open_session(where, model, wanted, connection, **how)


def configuration(connection: ConnectionOptions, provider: models.Provider) -> tuple[dict[str, Any], Toolbox]:
    """Write options as the API's session object; return it with the tools that are in it.

    Args:
        connection: All options.
        provider: The kind of server that it is for.

    Raises:
        InputError: If one of them is not what the API takes.
    """
    tools = connection["tools"]
    toolbox = tools if isinstance(tools, Toolbox) else Toolbox(tools)
    return frames.plain(settings.of_session(connection, toolbox, provider), "session"), toolbox


def open_session(
    where: endpoint.Address, model: str, wanted: dict[str, Any], connection: ServerOptions, **how: Any
) -> Session:
    """Open a session with the options that are the same for each kind.

    Args:
        where: Who answers.
        model: The model's name.
        wanted: The session object to configure it with.
        connection: All options; what is replayed slower comes later.
        **how: Those of `Session` that only one kind has.
    """
    timeout = connection["timeout"]
    if connection["replay"] is not None and isinstance(timeout, int | float) and connection["replay_speed"] < 1:
        timeout = timeout / connection["replay_speed"]
    how |= {"budget": Budget.of(connection["budget"]), "verbose": connection["verbose"], "timeout": timeout}
    return Session(where, functools.partial(websocket.open_websocket, where, timeout), model, wanted, **how)


def find_server(model: str | None, connection: ServerOptions, beside: str = "") -> endpoint.Address:
    """Decide who answers. With a key it is never silently the practice server.

    Args:
        model: The model to ask for in the address. None where the address names none.
        connection: All options that say who answers.
        beside: The rest of the address, after `/v1/realtime`, of other kinds of session: `"?intent=transcription"` or
            `"/translations"`. Servers that only transcribe have one address.

    Raises:
        InputError: If the address cannot be read, or the server cannot do what it is asked for.
        KeyMissing: If a key is needed and none is found.
        ReplayError: If the saved session cannot be read.
    """
    key, url, provider = keys.hold(connection["key"]), connection["url"], connection["provider"]
    _check(connection)
    if connection["replay"] is not None:
        from rtnb.recording.replay import serve

        local = serve(connection["replay"], connection["replay_speed"]) + beside
        return endpoint.resolve(local, model, source="replay", provider="practice")
    if not connection["practice"]:
        if url:
            where = _server_at(url, model, key, provider, beside)
            if not where.provider.realtime:
                wrong = f"Your server ({where.provider.title}) has the Live API, whose events rtnb does not speak."
                remedy = "Give the address of its Realtime API."
                raise InputError(f"{wrong} {remedy}", provider=where.provider.name)
            if not where.provider.responses and "intent=transcription" not in beside:
                unable = f"Your server ({where.provider.title}) only transcribes. Use rtnb.transcribe(…, url=…)."
                raise InputError(unable, provider=where.provider.name)
            return where
        if found := find_openai(key):
            return _server_at(endpoint.below(found[0], beside), model, found[1], provider)
    return endpoint.resolve(_practice_url() + beside, model, key="practice", source="practice", provider="practice")


def _check(connection: ServerOptions) -> None:
    """Refuse options that say who answers, or for how long to wait, where they can mean nothing."""
    timeout, speed, name = connection["timeout"], connection["replay_speed"], connection["provider"]
    if timeout is not None and not timeout > 0:
        raise InputError(f"Your timeout {timeout!r} is not above 0. Give seconds; None is no limit.", timeout=timeout)
    if not speed > 0:
        raise InputError(f"Your replay_speed={speed!r} is not a number above 0. Give 2.0 to play twice as fast.")
    said = connection["url"] or connection["practice"] or connection["replay"] or endpoint.base() != endpoint.OPENAI
    if name is not None and not (models.provider(name).listed or said):
        raise InputError(f"Your provider={name!r} has no address. Give it as url=.", provider=name)


def find_openai(key: keys.Key | None) -> tuple[str, keys.Key | None] | None:
    """Find who answers where no server is named: OpenAI, or the server that OPENAI_BASE_URL names, with the key.

    Returns:
        The base of its API and the key. None where the practice server has to answer, which is said.

    Raises:
        InputError: If the address or the key that was found is none.
    """
    base = endpoint.base()
    kind = models.provider_of(endpoint.below(base))
    try:
        return base, keys.find_key(key, provider=kind.name if kind.finds_key else None)
    except KeyMissing as missing:
        if not kind.needs_key:
            return base, None
        say_no_key(missing.obstacle, missing.remedy)
    return None


def _server_at(
    url: str, model: str | None, key: keys.Key | None, provider: str | None, beside: str = ""
) -> endpoint.Address:
    """Return another server, with the key that is its own, and with the rest of the address where it has that."""
    url = endpoint.parse(url).geturl()
    kind = models.provider_of(url, provider)
    if beside and kind.responses:
        (path, _, query), (below, _, asked) = url.partition("?"), beside.partition("?")
        url = f"{path.rstrip('/').removesuffix(below)}{below}?{'&'.join(filter(None, (query, asked)))}"
    find = keys.find_key if kind.needs_key else keys.lookup
    found = find(key, provider=kind.name) if kind.needs_key or kind.finds_key or key is not None else None
    # Servers on this computer need no key, and some want to see any word in its place.
    no_key = "none" if endpoint.parse(url).hostname in endpoint.LOCAL_HOSTS else ""
    return endpoint.resolve(url, model, key=found.reveal if found else no_key, provider=kind.name)


_NO_KEY = (
    "No API key found, so rtnb's practice server answers: a local stand-in by rules, no language model, no cost. "
    "For OpenAI set the secret or variable OPENAI_API_KEY."
)


_NO_KEY_READ = (
    "No API key could be read ({why}), so rtnb's practice server answers: a local stand-in by rules, no language "
    "model, no cost. {remedy}"
)


@functools.cache
def say_no_key(obstacle: str = "", remedy: str = "") -> None:
    """Say that no key was found and who answers instead; once a kernel, for each reply says its source.

    Args:
        obstacle: What kept a key that may be there from being read; "" where there is none.
        remedy: What to do about it.
    """
    print(say(_NO_KEY_READ, why=translate(obstacle), remedy=translate(remedy)) if obstacle else say(_NO_KEY))


@functools.cache
def _practice_url() -> str:
    """Start the one practice server of this process, on the first call."""
    # The two ends know nothing of each other but the address: imported here and nowhere else.
    from rtnb.server import server

    return server.start().url
