"""The only client socket: connect, talk, and keep every event.

The socket lives on the I/O thread (see `background`), so that a cell that blocks the kernel loses no event and no
connection. Everything public may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rtnb import html, keys, models
from rtnb import money as costs
from rtnb.errors import (
    BudgetExceeded,
    ConnectionFailed,
    InputError,
    KeyRefused,
    ResponseFailed,
    RtnbError,
    ServerError,
    mask_secrets,
)
from rtnb.money import bill, limits
from rtnb.money.bill import Bill
from rtnb.opening import find_server
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session import settings, turn
from rtnb.session.parts import read_parts
from rtnb.session.reply import Approval, Finished, Reply
from rtnb.session.tools import Toolbox
from rtnb.transport import connection_errors, io_thread
from rtnb.transport import endpoint as addresses
from rtnb.transport.connection import Connection
from rtnb.transport.handle import Handle

if TYPE_CHECKING:
    from rtnb.timeline.timeline import Timeline

__all__ = ["Closed", "Reconnecting", "Reply", "Session", "connect"]

_log = logging.getLogger("rtnb")

_LINGER_SECONDS = 0.25
# Codes of client races every interactive client runs into; OpenAI's own SDKs and LiveKit treat them as benign.
BENIGN_CODES = frozenset(
    {
        "response_cancel_not_active",
        "conversation_already_has_active_response",
        "input_audio_buffer_commit_empty",
        "item_truncate_invalid_item_id",
    }
)
# What the OpenAI SDK 3.54.0 counts as worth a new try.
_RECOVERABLE = {1001, 1005, 1006, 1011, 1012, 1013, 1015}
# What no new session mends; going on would be a loop of sessions that die at once (reported against LiveKit).
_HOPELESS = ("insufficient_quota", "invalid_api_key", "account_deactivated", "billing_hard_limit_reached")
_TRIES = 5
# A session that lasted this long counts as recovered: the next break has all its tries again.
_RECOVERED_SECONDS = 30.0
# How long a response that was cancelled before it began is waited for.
_CANCEL_SECONDS = 3.0
# How long an unknown server may take to say `session.updated`, which some never do.
_UPDATE_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Closed:
    """The last update of a session.

    Attributes:
        code: The close code. None where the socket was never open.
        reason: The server's words; "" for none.
        error: What went wrong. None for an orderly end.
    """

    code: int | None
    reason: str
    error: BaseException | None


@dataclass(frozen=True)
class Reconnecting:
    """The connection is gone, and rtnb goes on in a new session with the history as text.

    Attributes:
        code: The close code. None where there was none.
        reason: The server's words; "" for none.
        seconds: In how many seconds the next try begins.
    """

    code: int | None
    reason: str
    seconds: float


def connect(
    *,
    model: str | None = None,
    voice: str | None = None,
    speed: float | None = None,
    instructions: str | None = None,
    tools: Sequence[Any] = (),
    approve: Callable[[Approval], Any] | None = None,
    modalities: Literal["audio", "text"] | None = None,
    turn_detection: Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None = None,
    transcription: bool | str | Mapping[str, Any] | None = None,
    key: str | keys.Key | None = None,
    url: str | None = None,
    provider: str | None = None,
    practice: bool = False,
    replay: str | Path | None = None,
    replay_speed: float = 1.0,
    budget: float | costs.Budget | None = None,
    session: Mapping[str, Any] | None = None,
    reconnect: bool = False,
    verbose: bool = False,
) -> Session:
    """Open a session; it starts at once and the call returns at once.

    ```python
    async with rtnb.connect(instructions="Answer in one sentence.", voice="marin") as chat:
        reply = await chat.ask(clip, "What is this about?")
    ```

    Args:
        model: The model's name. None: `gpt-realtime-2.1-mini`.
        voice: One of `rtnb.models.VOICES`, or a custom voice's id (`"voice_…"`). None: the model's own.
        speed: How fast it speaks, 0.25–1.5. None: 1.0.
        instructions: How the model should behave. None: the server's default; "" for none at all.
        tools: Python functions the model may call (sync or async, typed), or tool definitions as dicts, those of MCP
            servers among them.
        approve: Asked before the server calls an MCP tool that needs approval; called with an `Approval`, gives whether
            it may (sync or async). None: the reply ends with the question, see `approve()`.
        modalities: `"audio"` (sound and its transcript) or `"text"`; the API gives never both. None: audio.
        turn_detection: None: you say when a turn ends, right for recordings. `"server_vad"` or `"semantic_vad"`: the
            server listens for it, right for a microphone. A dict is the API's own object.
        transcription: Whether the person's sound is transcribed too, which is billed apart. True: with a model that
            fits; a name or the API's own object: with that.
        key: The API key. None: found as `rtnb.find_key` does.
        url: Another server that speaks the protocol. None: OpenAI, or the practice server where no key is found.
        provider: The kind of server by its name in `models.toml`, where its address does not tell.
        practice: Use the practice server, whatever keys there are.
        replay: A session saved with `save()`, to be played back instead of calling anybody.
        replay_speed: How many times faster than it was recorded; `math.inf` does not wait at all.
        budget: US dollars this session may cost, or a budget shared with others. None: no limit.
        session: Further fields of the API's session object, laid over what the other arguments say.
        reconnect: Whether to go on in a new session, with the history as text, when the socket drops.
        verbose: Whether to print every event as it comes and goes.

    Returns:
        A `Session`: await it, use it in `with` or `async with`, or just go on and ask.

    Raises:
        InputError: If an argument is not what the API takes.
        KeyMissing: If a key is needed and none is found, which only happens where `url` names a server that needs one.
    """
    key = keys.hold(key)
    if modalities not in (None, "audio", "text"):
        raise InputError(
            f"Your modalities={modalities!r} is not one the API takes. Give 'audio' (with transcript) or 'text'.",
            modalities=modalities,
        )
    if replay is not None and model is None:
        from rtnb.recording import recording

        model = recording.open_recording(replay).model
    model = model or models.DEFAULT
    where = find_server(
        model, key=key, url=url, provider=provider, practice=practice, replay=replay, replay_speed=replay_speed
    )
    if where.source == "openai":
        models.warn_shutdown(model, stacklevel=3)
    if turn_detection is None and not where.provider.commit:
        turn_detection = "server_vad"  # nobody can end a turn by hand there
    toolbox = tools if isinstance(tools, Toolbox) else Toolbox(tools)
    wanted = settings.of_session(
        voice, instructions, toolbox, modalities, turn_detection, transcription, session or {}, speed=speed
    )
    spending = costs.Budget.of(budget)
    return Session(where, model, wanted, toolbox, spending, approve=approve, reconnect=reconnect, verbose=verbose)


class Session:
    """One connection to a Realtime server, hot from the start.

    Attributes:
        conversation: The state of the talk.
        log: Every event both ways, with its time and its sound.
        model: The model's name.
        url: The address without anything secret.
        source: Who answers: `"openai"`, `"practice"`, `"replay"` or the host's name.
        settings: The session object that was asked for.
        tools: The functions the model may call.
        budget: The budget it spends from. None without one.
        warnings: Plain sentences about what was odd but stopped nothing.
        error: Why it ended. None while it runs and after an orderly end.
    """

    def __init__(
        self,
        where: addresses.Address,
        model: str,
        wanted: dict[str, Any],
        tools: Toolbox | None = None,
        budget: costs.Budget | None = None,
        *,
        approve: Callable[[Approval], Any] | None = None,
        reconnect: bool = False,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.source = where.source
        self.url = mask_secrets(where.url)
        self.settings: dict[str, Any] = client_events.plain(wanted, "session")
        self.tools = tools if tools is not None else Toolbox()
        self.budget = budget
        self.warnings: list[str] = []
        self.error: BaseException | None = None
        self._where = where
        self._approve = approve
        self._reconnect = reconnect
        self._line = Connection(where, self._tell, self._unread, self._silent, verbose=verbose)
        self.log = self._line.log
        self.conversation = self._line.conversation
        self._state: Literal["connecting", "open", "closed"] = "connecting"
        self._ready: Handle[Session] = Handle()
        self._ended: Handle[None] = Handle()
        self._listeners: list[Callable[[Any], object]] = []
        self._replies: list[Reply] = []
        self._current: Reply | None = None  # the reply whose turn is being taken
        self._waiting: Reply | None = None  # the reply whose response.created comes next
        self._side_replies: dict[str, Reply] = {}
        self._answering: dict[str, Reply] = {}  # response id → the reply it belongs to
        self._turn_tasks: weakref.WeakKeyDictionary[Reply, asyncio.Task[None]] = weakref.WeakKeyDictionary()
        self._calls: deque[bytes | Callable[[], None]] = deque()  # what was called and waits for its place
        self._sender: Reply | None = None  # whose parts are being sent; everything else waits
        self._queued: list[Callable[[], None]] = []  # turns that wait for the answer before theirs
        self._unanswered: set[c.Turn] = set()  # of turns that a break ended; asking again sends them again
        self._own_detection: dict[str, Any] | None = None  # where a server turned out to take no commit
        self._closing = False
        self._refused: Exception | None = None
        self._overspent: BudgetExceeded | None = None
        self._told = 0  # how much of the log belongs to turns that are over
        self._loop = io_thread.io_loop()
        self._loop.call_soon_threadsafe(self._start)

    # --- handle

    def wait(self, timeout: float | None = None) -> Session:
        """Block until the session is open and configured.

        Raises:
            KeyRefused: If the server does not accept the key.
            ConnectionFailed: If no session came about.
            ServerError: If the server refuses the configuration.
            TimeoutError: If it takes longer than `timeout` seconds.
        """
        return self._ready.wait(timeout)

    def __await__(self) -> Generator[Any, None, Session]:
        return self._ready.__await__()

    async def __aenter__(self) -> Session:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __enter__(self) -> Session:
        return self.wait()

    def __exit__(self, *_: object) -> None:
        self.close().wait()

    # --- what it is

    @property
    def state(self) -> str:
        """`"connecting"`, `"open"` or `"closed"`."""
        return self._state

    @property
    def id(self) -> str | None:
        """The server's id for the session. None before it is open."""
        return self.conversation.session.get("id")

    @property
    def turns(self) -> c.Turns:
        """Everything said so far: who, words, sound."""
        return self.conversation.turns

    @property
    def usage(self) -> costs.Usage:
        """The tokens of all responses so far, as the server counted them."""
        total = costs.Usage()
        for response in self.conversation.responses.values():
            if response.usage:
                total = total + costs.Usage.from_event(response.usage)
        return total

    @property
    def cost(self) -> costs.Cost:
        """What the session has cost so far in US dollars, transcription included."""
        return self._cost_of(list(self.conversation.responses.values()), None)

    @property
    def bill(self) -> Bill:
        """Each answer with its tokens and cents; `.compare()` says what the same talk costs on other models."""
        return Bill.of(
            self.conversation, self.model, bill.transcription_model(self.conversation.session or self.settings)
        )

    @property
    def unsent_bytes(self) -> int:
        """How much appended sound has not gone out yet."""
        return self._line.unsent_bytes + sum(len(call) for call in list(self._calls) if isinstance(call, bytes))

    @property
    def limits(self) -> limits.Limits:
        """How many tokens and requests the account may still use, as the server told last."""
        return limits.Limits.of(self.conversation.rate_limits)

    @property
    def seconds(self) -> float:
        """How long ago the session was asked for; the log's clock."""
        return self._line.seconds

    def __repr__(self) -> str:
        return f"Session({self.model}, {self.source}, {self._state}, {len(self.turns)} turns)"

    def _repr_html_(self) -> str:
        from html import escape

        return html.root(f"<p><code>{escape(repr(self))}</code></p>{self.turns._repr_html_()}")

    def _cost_of(self, responses: Iterable[c.Response], turns: Iterable[c.Turn] | None) -> costs.Cost:
        wanted = None if turns is None else set(turns)
        transcribed = [pair for pair in self.conversation.transcribed if wanted is None or pair[0] in wanted]
        transcriber = bill.transcription_model(self.conversation.session or self.settings)
        return bill.cost_of(responses, self.model, transcribed, transcriber)

    def _cost_of_transcript(self, usage: Mapping[str, Any] | None) -> costs.Cost:
        return bill.cost_of_words(usage, bill.transcription_model(self.conversation.session or self.settings))

    # --- asking

    def ask(
        self,
        *parts: Any,
        instructions: str | None = None,
        modalities: Literal["audio", "text"] | None = None,
        voice: str | None = None,
        response: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Take one turn: send the parts in their order, then ask for an answer.

        Turns of one session follow each other; asking while one is under way queues the next. What is called besides
        goes out in the order of the calls, and does not wait for a queued turn.

        Args:
            *parts: Words (`str`), recordings (`Clip`, a path, bytes of a sound file, an upload or record box), images.
                A string that ends like a sound file is taken as one.
            instructions: Instructions for this answer alone. None: the session's.
            modalities: `"audio"` or `"text"` for this answer alone. None: the session's.
            voice: A voice for this answer alone, before any sound was heard. None: the session's.
            response: Further fields of the API's `response.create`, laid over the others.

        Returns:
            A `Reply` that has started.

        Raises:
            InputError: If a part is nothing that can be sent, or there is none.
        """
        steps = read_parts(parts)
        wanted = client_events.plain(settings.of_response(instructions, modalities, voice, response), "response")
        reply = Reply(self, label=" · ".join(step.label for step in steps))
        reply.progress = (0.0, None)
        self._take(reply, lambda: turn.take_turn(self, reply, steps, wanted))
        return reply

    def respond(self, **response: Any) -> Reply:
        """Ask for an answer to what is there already; keyword arguments are fields of the API's `response.create`.

        Raises:
            InputError: If a field cannot be written as JSON.
        """
        wanted = client_events.plain(response, "response")
        reply = Reply(self, label="response.create")
        self._take(reply, lambda: turn.take_turn(self, reply, [], wanted))
        return reply

    def side(
        self,
        prompt: str,
        *,
        about: Sequence[Any] | None = None,
        modalities: Literal["audio", "text"] = "text",
        response: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Ask beside the talk: an answer that the conversation will not remember, also while another one runs.

        Args:
            prompt: What to do, for example "Which language is spoken? One word."
            about: Items for the model to look at instead of the conversation, as the API's item dicts. None: the
                conversation so far. An empty list: nothing.
            modalities: `"text"` or `"audio"`.
            response: Further fields of the API's `response.create`.

        Returns:
            A `Reply` that has started.

        Raises:
            InputError: If something of it cannot be written as JSON.
        """
        settings: dict[str, Any] = {
            "conversation": "none",
            "output_modalities": [modalities],
            "instructions": prompt,
            **({"input": list(about)} if about is not None else {}),
            **(response or {}),
        }
        settings = client_events.plain(settings, "response")
        reply = Reply(self, label=prompt)
        self._take(reply, lambda: turn.take_side(self, reply, settings), beside=True)
        return reply

    def approve(self, what: Approval | Reply | Iterable[Approval], yes: bool = True, *, reason: str = "") -> Reply:
        """Answer the question whether an MCP tool may be called, and follow how the model goes on.

        Args:
            what: An approval of `reply.approvals`, several, or the reply for all of its.
            yes: Whether it may.
            reason: Why, for the model to know.

        Returns:
            A `Reply` that has started.

        Raises:
            InputError: If there is nothing to approve.
        """
        asked = [what] if isinstance(what, Approval) else list(what.approvals if isinstance(what, Reply) else what)
        if not asked:
            raise InputError("Your reply asks for no approval. Look at reply.approvals.")
        reason = client_events.plain(reason, "reason")
        reply = Reply(self, label=f"{'approved' if yes else 'refused'} {', '.join(map(str, asked))}")
        self._take(reply, lambda: turn.take_approved(self, reply, asked, yes, reason))
        return reply

    def _take(self, reply: Reply, taking: Callable[[], Coroutine[Any, Any, None]], *, beside: bool = False) -> None:
        self._loop.call_soon_threadsafe(lambda: self._begin(reply, taking(), beside))

    # --- single client events; what is called goes out in the order of the calls, awaited or not

    def send(self, event: Mapping[str, Any]) -> Handle[None]:
        """Send any client event as it is; the handle is done once it is on the wire.

        Raises:
            InputError: If it has no type, or cannot be written as JSON.
        """
        prepared = client_events.plain(event, "event")
        if not isinstance(prepared, dict) or not isinstance(prepared.get("type"), str):
            raise InputError('Your event has no type. Give a dict such as {"type": "response.create"}.', event=event)
        prepared.setdefault("event_id", client_events.new_event_id())

        def send() -> Awaitable[None]:
            self._line.put(prepared)
            return self._line.flushed()

        return self._in_order(send)

    def append(self, pcm: bytes) -> None:
        """Add sound to the input buffer: s16le mono 24 kHz, any length. Never blocks; see `unsent_bytes`."""
        if pcm:
            self._loop.call_soon_threadsafe(self._enqueue, bytes(pcm))

    def commit(self) -> Handle[dict[str, Any]]:
        """Turn the sound in the input buffer into an item; gives `input_audio_buffer.committed`."""
        return self._request(client_events.commit(), _is("input_audio_buffer.committed"), "to commit the sound")

    def clear(self) -> Handle[dict[str, Any]]:
        """Forget the sound in the input buffer."""
        return self._request(client_events.clear(), _is("input_audio_buffer.cleared"), "to clear the buffer")

    def create(self, item: Mapping[str, Any], previous_item_id: str | None = None) -> Handle[dict[str, Any]]:
        """Add an item to the conversation; gives `conversation.item.added`.

        Raises:
            InputError: If it cannot be written as JSON.
        """
        if not isinstance(item, Mapping):
            raise InputError(f"Your item is a {type(item).__name__}, not a dict. Give one as the API's items are.")
        event, kind = client_events.item_create(item, previous_item_id), item.get("type")
        return self._request(
            event,
            lambda e: e["type"] == "conversation.item.added" and (e.get("item") or {}).get("type") == kind,
            "the item",
        )

    def update(self, **session: Any) -> Handle[dict[str, Any]]:
        """Change the session; keyword arguments are fields of the API's session object; gives `session.updated`.

        Raises:
            InputError: If a field cannot be written as JSON.
        """
        wanted = {"type": self.settings.get("type", "realtime"), **client_events.plain(session, "session")}
        return self._in_order(lambda: self._update_and_keep(wanted, self._update(wanted)))

    def cancel(self, response_id: str | None = None) -> Handle[dict[str, Any] | None]:
        """Stop the response under way; gives its `response.done`, or None where none was running."""
        event = client_events.cancel(response_id)
        return self._in_order(lambda: self._cancel(event))

    def truncate(self, item_id: str, audio_end_ms: int) -> Handle[dict[str, Any]]:
        """Cut an answer to what was heard of it: `audio_end_ms` is clamped to the sound received."""
        turn = self.conversation.turn(client_events.plain(item_id, "item_id")) if isinstance(item_id, str) else None
        limit = int(turn.audio_ms) if turn is not None else int(audio_end_ms)
        event = client_events.truncate(item_id, max(0, min(int(audio_end_ms), limit)))
        return self._request(event, _is("conversation.item.truncated", item_id=item_id), "to truncate the answer")

    def delete(self, item_id: str) -> Handle[dict[str, Any]]:
        """Take an item out of the conversation."""
        answers = _is("conversation.item.deleted", item_id=item_id)
        return self._request(client_events.delete(item_id), answers, "to delete the item")

    def retrieve(self, item_id: str) -> Handle[dict[str, Any]]:
        """Ask for an item as the server has it, its sound included."""
        return self._request(
            client_events.retrieve(item_id),
            lambda e: e["type"] == "conversation.item.retrieved" and (e.get("item") or {}).get("id") == item_id,
            "to retrieve the item",
        )

    def seed(self, turns: Iterable[c.Turn | tuple[str, str]]) -> Handle[None]:
        """Give the model earlier turns as text, oldest first: turns of another session, or `(role, words)` pairs.

        Sound cannot be given back: the API takes no sound for the assistant's side.
        """
        pairs = [turn if isinstance(turn, tuple) else (turn.role, turn.words) for turn in turns]
        items = client_events.plain([_message(role, words) for role, words in pairs if words], "turns")
        return self._in_order(lambda: self._seed(items))

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Every server event from the very first on, none lost between sending and here; ends with the session.

        Raises:
            ConnectionFailed: If the session did not end in an orderly way.
        """
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        end = self.subscribe(lambda _: loop.call_soon_threadsafe(news.set))
        index = 0
        try:
            while True:
                news.clear()
                over = self._state == "closed"
                while index < len(self.log):
                    entry = self.log[index]
                    index += 1
                    if entry.direction == "received":
                        yield entry.event
                if over:
                    break
                await news.wait()
        finally:
            end()
        if self.error is not None:
            raise self.error

    def subscribe(self, listener: Callable[[Any], object]) -> Callable[[], None]:
        """Hear of every update from now on, last of `Closed`.

        Args:
            listener: Called with each update on the I/O thread; it must return quickly. What it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        self._listeners.append(listener)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def save(self, path: str | Path, *, sound: Literal["flac", "opus"] = "flac") -> Path:
        """Save the session: every event both ways with its time, the sound once and compressed, no secrets.

        Args:
            path: Where to, for example `"lesson.rtnb"`.
            sound: `"flac"` keeps every sample; `"opus"` sounds the same and is about a tenth as large.

        Returns:
            The path written; `rtnb.connect(replay=path)` plays it back.

        Raises:
            InputError: If the place cannot be written to.
        """
        from rtnb.recording import recording

        return recording.save(self, path, sound=sound)

    def timeline(self) -> Timeline:
        """Draw the session over time: person, model, tools and socket; `.save("talk.html")` keeps it with its sound."""
        from rtnb.timeline.timeline import Timeline

        return Timeline.of_session(self)

    def close(self) -> Handle[None]:
        """Hang up. Safe to call twice; the handle is done when the socket is closed."""
        self._closing = True
        self._loop.call_soon_threadsafe(self._hang_up)
        return self._ended

    def _close_after(self, reply: Reply) -> None:
        """Hang up when this reply is over, and shortly after: `rate_limits.updated` comes 29–46 ms later (recorded)."""

        def end(update: Any) -> None:
            if isinstance(update, Finished):
                self._loop.call_soon_threadsafe(self._loop.call_later, _LINGER_SECONDS, self.close)

        reply.subscribe(end)

    # --- from here on: the I/O thread ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._configured = asyncio.Event()
        self._main = self._loop.create_task(self._live())

    def _hang_up(self) -> None:
        if self._state == "closed":
            return
        if self._state == "open":
            self._loop.create_task(self._line.close())
        else:  # not at once: a task cancelled before its first step would not even say that it is over
            self._loop.call_soon(self._main.cancel)

    async def _live(self) -> None:
        """The session's whole life: connect, receive until the end, and again where the person asked for it."""
        try:
            async with limits.slot(self._say):
                code, reason, error = await self._live_on()
        except asyncio.CancelledError:  # closed while waiting for a place
            code, reason, error = None, "", None
        if self._overspent is not None and self.error is self._overspent:
            error = self._overspent  # it was we who hung up, and this is why
        self.error = None if self._closing and self._ready.done and not isinstance(error, KeyRefused) else error
        self._state = "closed"
        gone = error or self._closed_by_user()
        self._calls.clear()
        self._ready._fail(gone)
        self._fail_pending(gone)
        self._tell(Closed(code, reason, self.error))
        self._ended._finish(None)

    async def _live_on(self) -> tuple[int | None, str, BaseException | None]:
        code: int | None = None
        reason = ""
        error: BaseException | None = None
        tries = 0
        while True:
            begun = self.seconds
            try:
                code, reason = await self._connected()
                error = self._ending(code, reason)
            except asyncio.CancelledError:
                error = None
            except RtnbError as raised:
                error, code = raised, getattr(raised, "code", None) if isinstance(raised, ConnectionFailed) else None
            except Exception as raised:
                _log.exception("rtnb: the session's own code failed")
                error = ConnectionFailed(
                    f"rtnb failed while receiving: {type(raised).__name__}: {raised}. What came is kept.",
                    reason=str(raised),
                    url=self.url,
                )
            if self._state == "open" and self.seconds - begun > _RECOVERED_SECONDS:
                tries = 0
            if not isinstance(error, ConnectionFailed) or tries >= _TRIES or not self._may_go_on(code):
                return code, reason, error
            tries += 1
            self._state = "connecting"
            self._configured.clear()
            self._fail_pending(connection_errors.goes_on(error), begun=True)
            self._answering.clear()
            self._line.renew()
            seconds = min(8.0, 0.25 * 2**tries) * random.uniform(0.8, 1.2)
            self._say(f"{str(error).partition('.')[0]}. rtnb goes on in a new session, with the talk so far as text.")
            self._tell(Reconnecting(code, reason, seconds))
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                return code, reason, None

    def _may_go_on(self, code: int | None) -> bool:
        """Whether a new session may take over: it was asked for, there was one, and the reason is one that passes."""
        wanted = self._reconnect and not self._closing and not self._where.sideband and self.error is None
        opened = self._ready.done and self._ready.error is None
        # No code: a try to connect again came to nothing, which may pass as well.
        return wanted and opened and (code is None or code in _RECOVERABLE) and not self._said(*_HOPELESS)

    def _fail_pending(self, error: BaseException, *, begun: bool = False) -> None:
        """Tell whoever waits; with `begun`, only those turns of which something was sent."""
        self._line.fail_expected(error)
        for reply in list(self._replies):
            if begun and not reply._begun:
                continue
            if (task := self._turn_tasks.get(reply)) is not None:
                task.cancel()
            self._unanswered.update(reply._turns(), filter(None, reply._items.values()))
            self._close_reply(reply, error)

    def _say(self, sentence: str) -> None:
        """Tell the person something that stops nothing."""
        self.warnings.append(sentence)
        self._line.say(sentence)

    async def _connected(self) -> tuple[int | None, str]:
        opening = self._loop.create_task(self._configure())
        try:
            ended = await self._line.run()
            if self._refused is not None:
                raise self._refused
            return ended
        finally:
            opening.cancel()

    def _ending(self, code: int | None, reason: str) -> BaseException | None:
        if self._closing:
            return None
        return connection_errors.ended(code, reason, self.url, expired=self._said("session_expired"))

    def _said(self, *codes: str) -> bool:
        tail = self.log[-5:]
        return any(e.type == "error" and client_events.to_ga(e.event)["error"].get("code") in codes for e in tail)

    async def _configure(self) -> None:
        """Wait for the session, configure it, give a new one the history, and open the doors."""
        if not self._where.sideband:
            while not self.conversation.session:
                await self._next_update()
        try:
            await self._update(self.settings)
            if self._ready.done:
                await self._give_history()
        except ConnectionFailed:
            return  # the break is told where the socket is read
        except Exception as refused:
            # Nothing of a refused configuration holds, answering voice detection included: not a session to talk in.
            self._refused = refused
            await self._line.close()
            return
        self._state = "open"
        self._configured.set()
        self._ready._finish(self)
        self._proceed()

    # the order of the calls

    def _enqueue(self, call: bytes | Callable[[], None]) -> None:
        if self._state != "closed":
            self._calls.append(call)
            self._proceed()

    def _proceed(self) -> None:
        """Let go out what waits, in the order of the calls: while there is a session, and one sender at a time.

        Before the session is configured, sound would meet the server's defaults: voice detection that answers.
        """
        while self._calls and self._state == "open" and self._sender is None:
            call = self._calls.popleft()
            if isinstance(call, bytes):
                self._line.append(call)
            else:
                call()

    def _in_order(self, send: Callable[[], Awaitable[Any]]) -> Handle[Any]:
        """Send something in its place among the calls; the handle is what `send` returns, awaited."""
        sent: asyncio.Future[asyncio.Future[Any]] = self._loop.create_future()

        def place() -> None:
            try:
                sent.set_result(asyncio.ensure_future(send()))
            except Exception as error:
                sent.set_exception(error)

        self._loop.call_soon_threadsafe(self._enqueue, place)

        async def answered() -> Any:
            if self._state == "closed":
                raise self._closed()
            return await (await sent)

        return self._submit(answered())

    def _let(self, reply: Reply, beside: bool) -> None:
        """Let a reply send its parts. A turn waits for the answer before it; what was called after it does not."""
        if reply._place.done():
            return  # cancelled while it waited
        if not beside:
            if self._current is not None:
                self._queued.append(functools.partial(self._let, reply, beside))
                return
            self._current = reply
        self._sender, reply._begun = reply, True
        reply._place.set_result(None)

    def _sent(self, reply: Reply) -> None:
        """Take note that a reply's parts are sent."""
        if self._sender is reply:
            self._sender = None
        self._proceed()

    async def _next_update(self) -> None:
        news = asyncio.Event()
        end = self.subscribe(lambda _: news.set())
        try:
            await news.wait()
        finally:
            end()

    async def _opened(self) -> None:
        if self._state == "closed":
            raise self._closed()
        await self._configured.wait()

    def _closed(self) -> BaseException:
        closed = ConnectionFailed("Your session is closed. Open a new one with rtnb.connect().", url=self.url)
        return self.error or closed

    def _closed_by_user(self) -> ConnectionFailed:
        return ConnectionFailed(
            "You closed the session before this was done. Open a new one with rtnb.connect().", url=self.url
        )

    def _request(
        self, event: dict[str, Any], answers: Callable[[dict[str, Any]], bool], doing: str
    ) -> Handle[dict[str, Any]]:
        return self._in_order(lambda: self._line.expect(event, answers, doing))

    def _submit(self, coroutine: Any) -> Handle[Any]:
        async def guarded() -> Any:
            # The session may end before its doors ever open.
            task = asyncio.ensure_future(coroutine)
            main = self._main
            await asyncio.wait({task, main}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                raise self.error or self._closed_by_user()
            return await task

        return Handle(asyncio.run_coroutine_threadsafe(guarded(), self._loop))

    def _update(self, settings: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        event = client_events.session_update(settings)
        if not self._where.provider.answers_update:
            self._line.put(event)
            return asyncio.sleep(0, {})
        answers = _is("session.updated", "transcription_session.updated")
        answer = self._line.expect(event, answers, "the session's configuration")
        return answer if self._where.provider.name != "other" else self._confirmed(answer)

    async def _confirmed(self, answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(answer, _UPDATE_WAIT_SECONDS)
        except (TimeoutError, ServerError) as error:
            if isinstance(error, ServerError) and ((error.event or {}).get("error") or {}).get("event_id"):
                raise  # else it may complain of a field and go on, as some do
            self._say("The server did not confirm the session's configuration, so it may have its own.")
            return {}

    async def _update_and_keep(self, session: dict[str, Any], answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        updated = await answer
        self.settings = settings.merge(self.settings, session)  # a new session after a break is to be like this one
        return updated

    def _seed(self, items: Sequence[dict[str, Any]]) -> Awaitable[Any]:
        events = [client_events.item_create(item) for item in items]
        if self._where.provider.answers_update:
            added = _is("conversation.item.added")
            return _all([self._line.expect(event, added, "an earlier turn") for event in events])
        for event in events:  # servers that speak the protocol in part never announce an item
            self._line.put(event)
        return asyncio.sleep(0)

    async def _give_history(self) -> None:
        """Give a new session the talk so far as text, under the items' old ids, so that no turn is there twice."""
        items = []
        answered = {t.item.get("call_id") for t in self.turns if t.type == "function_call_output"}
        for turn_ in list(self.turns):
            if turn_ in self._unanswered:
                continue
            if turn_.type == "message" and (words := _heard_words(turn_)):
                item = _message(turn_.role, words)
            elif turn_.type.startswith("function_call") and turn_.item.get("call_id") in answered:
                kept = ("type", "name", "call_id", "arguments", "output")
                item = {name: turn_.item[name] for name in kept if name in turn_.item}
            else:
                continue
            self.conversation.seeding(turn_)
            items.append({"id": turn_.item_id, **item})
        try:
            await self._seed(items)
        except ServerError as refused:
            self._say(f"The talk goes on without all of its history. {refused}")
        self.conversation.end_seeding()

    def _cancel(self, event: dict[str, Any]) -> Awaitable[dict[str, Any] | None]:
        active = self.conversation.active_response()
        wanted = event.get("response_id") or (active.id if active else None)
        answer = self._line.expect(
            event,
            lambda e: e["type"] == "response.done" and wanted in (None, (e.get("response") or {}).get("id")),
            "to cancel",
        )
        return self._unless_too_late(answer)

    async def _unless_too_late(self, answer: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            return await answer
        except ServerError as refused:
            if refused.code in BENIGN_CODES:
                return None
            raise

    def _tell(self, update: Any) -> None:
        self._route(update)
        for listener in list(self._listeners):
            self._call(listener, update)

    def _unread(self, type_: str, response_id: str, why: str) -> None:
        """Take note of an event that cannot be read, and let nobody wait for ever for what it may have been."""
        sentence = mask_secrets(f"The server sent an event that cannot be read ({type_ or 'without a type'}; {why}).")
        if sentence not in self.warnings:
            self.warnings.append(sentence)
        unread = ServerError(f"{sentence} What came is kept; ask again.", code="unreadable_event")
        if not self._configured.is_set() and type_.startswith(("session.", "transcription_session.")):
            self._refused = unread
            self._loop.create_task(self._line.close())
            return
        answer = self.conversation.response(response_id) or self.conversation.active_response()
        if type_ == "response.done" and answer is not None:
            self._silent(answer, sentence)
        else:
            self._line.doubt(lambda _: unread, sentence)

    def _silent(self, response: c.Response, sentence: str) -> None:
        """End an answer of which nothing more will come."""
        if not response.active:
            return
        self._line.put(client_events.cancel(response.id))  # where it goes on all the same, nobody follows it
        response.end("incomplete", "no_end")
        for reply in [reply for reply in self._replies if response in reply.responses]:
            if (task := self._turn_tasks.get(reply)) is not None:
                task.cancel()
            failed = f"{sentence} The answer has no end. What came of it is in error.reply; ask again."
            self._close_reply(reply, ResponseFailed(failed, reply=reply, code="no_end"))

    def _call(self, listener: Callable[[Any], object], update: Any) -> None:
        try:
            listener(update)
        except BaseException:  # SystemExit too would end the I/O thread, and with it every session
            _log.exception("rtnb: a listener failed; the session goes on")

    def _route(self, update: Any) -> None:
        """Give each reply the updates of its own turn."""
        if isinstance(update, c.ResponseEnded):
            self._bill(self._cost_of([update.response], ()))
            if turn.goes_on(update.response):  # the next response is of the same turn, and may begin at once
                self._waiting = self._answering.get(update.response.id) or self._waiting
        elif isinstance(update, c.InputTranscript) and update.final:
            self._bill(self._cost_of_transcript(update.event.get("usage")))
        if isinstance(update, c.ResponseStarted):
            reply = None
            if update.response.conversation_id is None:
                reply = self._side_replies.get((update.response.metadata or {}).get("rtnb_side", ""))
            elif self._waiting is not None:
                reply, self._waiting = self._waiting, None
            if reply is not None:
                reply.responses.append(update.response)
                self._answering[update.response.id] = reply
                if reply._cancelled:  # before it began
                    self._line.put(client_events.cancel(update.response.id))
        if isinstance(update, c.TextDelta | c.AudioDelta):  # nearly all updates, and their owner is plain
            if (reply := self._answering.get(update.response_id)) is not None:
                reply._tell(update)
            return
        for reply in self._replies:
            if self._concerns(update, reply):
                reply._tell(update)

    def _concerns(self, update: Any, reply: Reply) -> bool:
        """Whether an update belongs to a reply: its responses and items, and while its turn is taken the rest too."""
        turn_ = update.turn if isinstance(update, c.ItemAdded | c.ItemDone) else None
        response = getattr(update, "response", None)
        response_id = getattr(turn_ or update, "response_id", None) or (response.id if response else None)
        if response_id:
            return any(response.id == response_id for response in reply.responses)
        item_id = getattr(turn_ or update, "item_id", None)
        if item_id and any(item_id in other._items for other in self._replies):
            return item_id in reply._items
        return reply is self._current

    # turns

    def _begin(self, reply: Reply, taking: Coroutine[Any, Any, None], beside: bool) -> None:
        self._replies.append(reply)
        reply._place = self._loop.create_future()
        task = self._turn_tasks[reply] = self._loop.create_task(self._guard(reply, taking))

        def ended(_: asyncio.Task[None]) -> None:
            # A task cancelled before its first step runs nothing of its own, not even what would close the reply.
            taking.close()
            if reply._cancelled and not reply.done:
                self._close_reply(reply, None)

        task.add_done_callback(ended)
        self._enqueue(functools.partial(self._let, reply, beside))

    async def _placed(self, reply: Reply, *, beside: bool = False) -> None:
        """Wait for a reply's place among the calls; its events are those since the turn before, or from here on."""
        if self._state == "closed":
            raise self._closed()
        await reply._place
        reply._begin = len(self.log) if beside else self._told

    def _leave(self, reply: Reply) -> None:
        """Give a reply's place to the next."""
        reply._place.cancel()
        if self._current is reply:
            self._current = None
            self._told = len(self.log)
            self._calls.extendleft(reversed(self._queued))
            self._queued.clear()
        self._sent(reply)

    def _turn_detection(self) -> dict[str, Any] | None:
        """The turn detection in force: what the server says, or what was asked where it says nothing."""
        if self._own_detection is not None:
            return self._own_detection
        told = self.conversation.session or self.settings
        heard = (told.get("audio") or {}).get("input") or {}
        if "turn_detection" in heard:
            return heard["turn_detection"]
        return told.get("turn_detection", self.settings["audio"]["input"]["turn_detection"])

    def _check_budget(self, reply: Reply) -> None:
        """Refuse the next response where the budget does not cover it."""
        if self.budget is not None:
            if self._overspent is not None:
                raise self._overspent
            self.budget.check_before(turn.next_input_cost(self, reply.progress[0]))

    def _bill(self, cost: costs.Cost) -> None:
        """Book what something cost; over the budget, a session that answers by itself is closed at once."""
        if self.budget is None:
            return
        try:
            self.budget.add(cost)
        except BudgetExceeded as over:
            self._overspent = over
            if self._turn_detection() is not None:
                self.error = over
                self._hang_up()

    async def _guard(self, reply: Reply, taking: Coroutine[Any, Any, None]) -> None:
        try:
            await taking
            self._close_reply(reply, None)
        except asyncio.CancelledError:
            if reply._cancelled:
                self._close_reply(reply, None)
        except RtnbError as error:
            self._close_reply(reply, error)
        except BaseException as error:
            _log.exception("rtnb: a turn failed")
            # What would end a program (a function that calls `exit()`) fails this turn and nothing else.
            told = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
            self._close_reply(reply, told)

    def _close_reply(self, reply: Reply, error: BaseException | None) -> None:
        if reply in self._replies:
            self._replies.remove(reply)
        if self._waiting is reply:
            self._waiting = None
        tells = isinstance(error, ResponseFailed | BudgetExceeded | ConnectionFailed)
        if tells and getattr(error, "reply", None) is None:
            # One exception object may end several replies; each caller finds its own in what it awaited.
            error.reply = reply  # type: ignore[union-attr]
        reply._close(error)
        self._leave(reply)

    def _cancel_reply(self, reply: Reply) -> None:
        def go() -> None:
            if reply.done:
                return
            active = [r for r in reply.responses if r.active]
            if active:
                self._line.put(client_events.cancel(active[-1].id))
            elif (task := self._turn_tasks.get(reply)) is not None:
                waiting = self._waiting is reply
                if waiting or reply in self._side_replies.values():
                    # Asked for, not begun yet: what begins next is still this one, and is cancelled then.
                    if waiting:
                        self._line.put(client_events.cancel())
                    self._loop.call_later(_CANCEL_SECONDS, lambda: reply.responses or task.cancel())
                    return
                task.cancel()
                if self._current is reply and reply._asked_at is None:
                    self._line.put(client_events.clear())

        self._loop.call_soon_threadsafe(go)


async def _all(answers: Sequence[Awaitable[Any]]) -> None:
    """Wait for all answers, then raise the first refusal."""
    for answer in await asyncio.gather(*answers, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def _is(*types: str, item_id: str | None = None) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] in types and (item_id is None or event.get("item_id") == item_id)


def _message(role: str, words: str) -> dict[str, Any]:
    """An earlier turn as an item; the API takes no sound for the assistant's side."""
    return client_events.message(
        role, [{"type": "output_text" if role == "assistant" else "input_text", "text": words}]
    )


def _heard_words(turn_: c.Turn) -> str:
    """The words of a turn; of one that was spoken over, about those that were heard."""
    if turn_.truncated_ms is None or not turn_.audio_ms:
        return turn_.words
    words = turn_.words.split()
    return " ".join(words[: round(len(words) * turn_.truncated_ms / turn_.audio_ms)])
