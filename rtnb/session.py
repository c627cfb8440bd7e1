"""The only client socket: connect, talk, and keep every event.

The socket lives on the I/O thread (see `background`), so that a cell that blocks the kernel loses no event and no
connection. Everything public may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import address as addresses
from . import background, costs, keys, models, refusals, settings, turn, wire
from . import conversation as c
from .connection import Connection
from .errors import (
    BudgetExceeded,
    ConnectionFailed,
    InputError,
    KeyRefused,
    ResponseFailed,
    RtnbError,
    ServerError,
    mask_secrets,
)
from .handle import Handle
from .parts import read_parts
from .reply import Finished, Piece, Reply
from .tools import Toolbox

__all__ = ["Closed", "Piece", "Reply", "Session", "connect"]

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




def connect(
    *,
    model: str | None = None,
    voice: str | None = None,
    instructions: str | None = None,
    tools: Sequence[Any] = (),
    modalities: Literal["audio", "text"] | None = None,
    turn_detection: Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None = None,
    transcription: bool | str | Mapping[str, Any] | None = None,
    key: str | None = None,
    url: str | None = None,
    provider: str | None = None,
    practice: bool = False,
    replay: str | Path | None = None,
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
        instructions: How the model should behave. None: the server's default; "" for none at all.
        tools: Python functions the model may call (sync or async, typed), or tool definitions as dicts.
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
    if modalities not in (None, "audio", "text"):
        raise InputError(
            f"Your modalities={modalities!r} is not one the API takes. Give 'audio' (with transcript) or 'text'.",
            modalities=modalities,
        )
    model = model or models.DEFAULT
    where = _where(model, key=key, url=url, provider=provider, practice=practice, replay=replay)
    if where.source == "openai":
        models.warn_shutdown(model, stacklevel=3)
    if turn_detection is None and not where.provider.commit:
        turn_detection = "server_vad"  # nobody can end a turn by hand there
    toolbox = tools if isinstance(tools, Toolbox) else Toolbox(tools)
    wanted = settings.of_session(voice, instructions, toolbox, modalities, turn_detection, transcription, session or {})
    return Session(where, model, wanted, toolbox, costs.Budget.of(budget), reconnect=reconnect, verbose=verbose)


def _where(
    model: str, *, key: str | None, url: str | None, provider: str | None, practice: bool, replay: str | Path | None
) -> addresses.Address:
    """Decide who answers. With a key it is never silently the practice server."""
    if replay is not None:
        from . import recording

        return addresses.resolve(recording.serve(replay), model, source="replay", provider="practice")
    if practice:
        return addresses.resolve(_practice_url(), model, key="practice", source="practice", provider="practice")
    if url is not None:
        kind = models.provider(provider) if provider else models.provider_of(url)
        # OpenAI's key is for OpenAI: an address nobody knows gets a key only where one was given for it.
        found = keys.lookup(key, provider=kind.name) if kind.name != "other" or key is not None else None
        if found is None and kind.needs_key:
            found = keys.find_key(provider=kind.name)  # raises, telling where it looked
        return addresses.resolve(url, model, key=found.reveal() if found else "", provider=kind.name)
    found = keys.lookup(key)
    if found is None:
        print(
            "No API key found, so rtnb's practice server answers: a local stand-in by rules, no language model, no cost. "
            "For OpenAI set the secret or variable OPENAI_API_KEY."
        )
        return _where(model, key=None, url=None, provider=None, practice=True, replay=None)
    return addresses.resolve(None, model, key=found.reveal(), provider=provider)


_practice: Any = None


def _practice_url() -> str:
    """Start the one practice server of this process, on the first call."""
    global _practice
    if _practice is None:
        # The two ends know nothing of each other but the address: imported here and nowhere else.
        from .practice import server

        _practice = server.start()
    return _practice.url


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
        reconnect: bool = False,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.source = where.source
        self.url = mask_secrets(where.url)
        self.settings = wanted
        self.tools = tools if tools is not None else Toolbox()
        self.budget = budget
        self.error: BaseException | None = None
        self._where = where
        self._reconnect = reconnect
        self._line = Connection(where, self._tell, verbose=verbose)
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
        self._turn_tasks: weakref.WeakKeyDictionary[Reply, asyncio.Task[None]] = weakref.WeakKeyDictionary()
        self._closing = False
        self._refused: ServerError | None = None
        self._overspent: BudgetExceeded | None = None
        self._told = 0  # how much of the log belongs to turns that are over
        self._loop = background.io_loop()
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
    def unsent_bytes(self) -> int:
        """How much appended sound has not gone out yet."""
        return self._line.unsent_bytes

    @property
    def seconds(self) -> float:
        """How long ago the session was asked for; the log's clock."""
        return self._line.seconds

    def __repr__(self) -> str:
        return f"Session({self.model}, {self.source}, {self._state}, {len(self.turns)} turns)"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><code>{escape(repr(self))}</code></p>{self.turns._repr_html_()}"

    def _cost_of(self, responses: Iterable[c.Response], item_ids: Iterable[str] | None) -> costs.Cost:
        total = costs.Cost()
        if self.source in ("practice", "replay"):
            # Nobody is billed; the figure says what the same turn would cost at OpenAI.
            pass
        for response in responses:
            if response.usage:
                total = total + costs.cost(costs.Usage.from_event(response.usage), self.model)
        wanted = None if item_ids is None else set(item_ids)
        heard = self.conversation.session.get("audio", {}).get("input", {}).get("transcription") or {}
        for item_id, usage in self.conversation.transcription_usage:
            if heard.get("model") and (wanted is None or item_id in wanted):
                total = total + costs.cost_of_transcription(usage, heard["model"])
        return total

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

        Turns of one session follow each other; asking while one is under way queues the next.

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
        wanted = settings.of_response(instructions, modalities, voice, response)
        reply = Reply(self, label=" · ".join(step.label for step in steps))
        reply.progress = (0.0, None)
        self._take(reply, lambda: turn.take_turn(self, reply, steps, wanted))
        return reply

    def respond(self, **response: Any) -> Reply:
        """Ask for an answer to what is there already; keyword arguments are fields of the API's `response.create`."""
        reply = Reply(self, label="response.create")
        self._take(reply, lambda: turn.take_turn(self, reply, [], response))
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
        """
        settings: dict[str, Any] = {
            "conversation": "none",
            "output_modalities": [modalities],
            "instructions": prompt,
            **({"input": list(about)} if about is not None else {}),
            **(response or {}),
        }
        reply = Reply(self, label=prompt)
        self._take(reply, lambda: turn.take_side(self, reply, settings))
        return reply

    def _take(self, reply: Reply, taking: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop.call_soon_threadsafe(lambda: self._begin(reply, taking()))

    # --- single client events

    def send(self, event: Mapping[str, Any]) -> Handle[None]:
        """Send any client event as it is; the handle is done once it is on the wire."""
        prepared = {**event}
        if not isinstance(prepared.get("type"), str):
            raise InputError('Your event has no type. Give a dict such as {"type": "response.create"}.', event=event)
        prepared.setdefault("event_id", wire.new_event_id())
        return self._submit(self._send_when_open(prepared))

    def append(self, pcm: bytes) -> None:
        """Add sound to the input buffer: s16le mono 24 kHz, any length. Never blocks; see `unsent_bytes`."""
        if not pcm:
            return
        self._loop.call_soon_threadsafe(self._line.append, bytes(pcm))

    def commit(self) -> Handle[dict[str, Any]]:
        """Turn the sound in the input buffer into an item; gives `input_audio_buffer.committed`."""
        return self._request(wire.commit(), _is("input_audio_buffer.committed"), "to commit the sound")

    def clear(self) -> Handle[dict[str, Any]]:
        """Forget the sound in the input buffer."""
        return self._request(wire.clear(), _is("input_audio_buffer.cleared"), "to clear the buffer")

    def create(self, item: Mapping[str, Any], previous_item_id: str | None = None) -> Handle[dict[str, Any]]:
        """Add an item to the conversation; gives `conversation.item.added`."""
        kind = item.get("type")
        return self._request(
            wire.item_create(item, previous_item_id),
            lambda e: e["type"] == "conversation.item.added" and (e.get("item") or {}).get("type") == kind,
            "the item",
        )

    def update(self, **session: Any) -> Handle[dict[str, Any]]:
        """Change the session; keyword arguments are fields of the API's session object; gives `session.updated`."""
        return self._submit(self._update({"type": self.settings.get("type", "realtime"), **session}))

    def cancel(self, response_id: str | None = None) -> Handle[dict[str, Any] | None]:
        """Stop the response under way; gives its `response.done`, or None where none was running."""
        return self._submit(self._cancel(response_id))

    def truncate(self, item_id: str, audio_end_ms: int) -> Handle[dict[str, Any]]:
        """Cut an answer to what was heard of it: `audio_end_ms` is clamped to the sound received."""
        turn = self.conversation.turn(item_id)
        limit = int(turn.audio_ms) if turn is not None else int(audio_end_ms)
        event = wire.truncate(item_id, max(0, min(int(audio_end_ms), limit)))
        return self._request(event, _is("conversation.item.truncated", item_id), "to truncate the answer")

    def delete(self, item_id: str) -> Handle[dict[str, Any]]:
        """Take an item out of the conversation."""
        return self._request(wire.delete(item_id), _is("conversation.item.deleted", item_id), "to delete the item")

    def retrieve(self, item_id: str) -> Handle[dict[str, Any]]:
        """Ask for an item as the server has it, its sound included."""
        return self._request(
            wire.retrieve(item_id),
            lambda e: e["type"] == "conversation.item.retrieved" and (e.get("item") or {}).get("id") == item_id,
            "to retrieve the item",
        )

    def seed(self, turns: Iterable[c.Turn | tuple[str, str]]) -> Handle[None]:
        """Give the model earlier turns as text, oldest first: turns of another session, or `(role, words)` pairs.

        Sound cannot be given back: the API takes no sound for the assistant's side.
        """
        pairs = [turn if isinstance(turn, tuple) else (turn.role, turn.words) for turn in turns]
        return self._submit(self._seed([(role, words) for role, words in pairs if words]))

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

    def save(self, path: str | Path) -> Path:
        """Save the session: every event both ways with its time, the sound once and compressed, no secrets.

        Returns:
            The path written; `rtnb.connect(replay=path)` plays it back.
        """
        from . import recording

        return recording.save(self, path)

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
        self._turn_lock = asyncio.Lock()
        self._configured = asyncio.Event()
        self._main = self._loop.create_task(self._live())

    def _hang_up(self) -> None:
        if self._state == "closed":
            return
        if self._state == "open":
            self._loop.create_task(self._line.close())
        else:
            self._main.cancel()

    async def _live(self) -> None:
        """The session's whole life: connect, receive until the end, and again where the person asked for it."""
        code: int | None = None
        reason = ""
        error: BaseException | None = None
        tries = 0
        while True:
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
                    f"rtnb failed while receiving: {type(raised).__name__}: {raised}. What came is kept; please report it.",
                    reason=str(raised),
                    url=self.url,
                )
            again = self._reconnect and not self._closing and self._ready.done and code in _RECOVERABLE
            if again and tries < 5 and error is not None:
                tries += 1
                self._fail_pending(error)
                self._state = "connecting"
                self._configured.clear()
                await asyncio.sleep(min(8.0, 0.25 * 2**tries))
                continue
            break
        self.error = None if self._closing and self._ready.done and not isinstance(error, KeyRefused) else error
        self._state = "closed"
        gone = error or ConnectionFailed(
            "You closed the session before this was done. Open a new one with rtnb.connect().", url=self.url
        )
        self._ready._fail(gone)
        self._fail_pending(gone)
        self._tell(Closed(code, reason, self.error))
        self._ended._finish(None)

    def _fail_pending(self, error: BaseException) -> None:
        self._line.fail_expected(error)
        for task in list(self._turn_tasks.values()):
            task.cancel()
        for reply in list(self._replies):
            self._close_reply(reply, error)

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
        return refusals.ended(code, reason, self.url, expired=self._said("session_expired"))

    def _said(self, code: str) -> bool:
        tail = self.log[-5:]
        return any(e.type == "error" and (e.event.get("error") or {}).get("code") == code for e in tail)

    async def _configure(self) -> None:
        """Wait for the session, configure it, give a new one the history, and open the doors."""
        if not self._where.sideband:
            while not self.conversation.session:
                await self._next_update()
        try:
            await self._update(self.settings, expect=self._where.provider.answers_update)
            if self._ready.done:
                await self._seed([(t.role, t.words) for t in list(self.turns) if t.words and t.type == "message"])
        except ServerError as refused:
            # Nothing of a refused configuration holds, answering voice detection included: not a session to talk in.
            self._refused = refused
            await self._line.close()
            return
        self._state = "open"
        self._configured.set()
        self._ready._finish(self)

    async def _next_update(self) -> None:
        news = asyncio.Event()
        end = self.subscribe(lambda _: news.set())
        try:
            await news.wait()
        finally:
            end()

    async def _send_when_open(self, event: dict[str, Any]) -> None:
        await self._opened()
        self._line.put(event)
        await self._line.flushed()

    async def _opened(self) -> None:
        if self._state == "closed":
            raise self.error or ConnectionFailed("Your session is closed. Open a new one with rtnb.connect().", url=self.url)
        await self._configured.wait()

    def _request(
        self, event: dict[str, Any], answers: Callable[[dict[str, Any]], bool], doing: str
    ) -> Handle[dict[str, Any]]:
        async def go() -> dict[str, Any]:
            await self._opened()
            return await self._line.expect(event, answers, doing)

        return self._submit(go())

    def _submit(self, coroutine: Any) -> Handle[Any]:
        async def guarded() -> Any:
            # The session may end before its doors ever open.
            task = asyncio.ensure_future(coroutine)
            main = self._main
            await asyncio.wait({task, main}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                raise self.error or ConnectionFailed(
                    "You closed the session before this was done. Open a new one with rtnb.connect().", url=self.url
                )
            return await task

        return Handle(asyncio.run_coroutine_threadsafe(guarded(), self._loop))

    async def _update(self, settings: Mapping[str, Any], *, expect: bool = True) -> dict[str, Any]:
        event = wire.session_update(settings)
        if not expect:
            self._line.put(event)
            return {}
        return await self._line.expect(event, _is("session.updated"), "the session's configuration")

    async def _seed(self, pairs: Sequence[tuple[str, str]]) -> None:
        for role, words in pairs:
            kind = "output_text" if role == "assistant" else "input_text"
            event = wire.item_create(wire.message(role, [{"type": kind, "text": words}]))
            await self._line.expect(event, _is("conversation.item.added"), "an earlier turn")

    async def _cancel(self, response_id: str | None) -> dict[str, Any] | None:
        await self._opened()
        event = wire.cancel(response_id)
        active = self.conversation.active_response()
        wanted = response_id or (active.id if active else None)
        try:
            return await self._line.expect(
                event,
                lambda e: e["type"] == "response.done" and wanted in (None, (e.get("response") or {}).get("id")),
                "to cancel",
            )
        except ServerError as refused:
            if refused.code in BENIGN_CODES:
                return None
            raise

    def _tell(self, update: Any) -> None:
        self._route(update)
        for listener in list(self._listeners):
            self._call(listener, update)

    def _call(self, listener: Callable[[Any], object], update: Any) -> None:
        try:
            listener(update)
        except Exception:
            _log.exception("rtnb: a listener failed; the session goes on")

    def _route(self, update: Any) -> None:
        """Give each reply the updates of its own turn."""
        if isinstance(update, c.ResponseStarted):
            reply = None
            if update.response.conversation_id is None:
                reply = self._side_replies.get((update.response.metadata or {}).get("rtnb_side", ""))
            elif self._waiting is not None:
                reply, self._waiting = self._waiting, None
            if reply is not None:
                reply.responses.append(update.response)
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
        if item_id and any(item_id in other._item_ids for other in self._replies):
            return item_id in reply._item_ids
        return reply is self._current

    # turns

    def _begin(self, reply: Reply, taking: Coroutine[Any, Any, None]) -> None:
        self._replies.append(reply)
        self._turn_tasks[reply] = self._loop.create_task(self._guard(reply, taking))

    @contextlib.asynccontextmanager
    async def _turn(self, reply: Reply) -> AsyncIterator[None]:
        """One turn at a time; its events are those since the turn before."""
        await self._opened()
        async with self._turn_lock:
            await self._opened()
            reply._begin = self._told
            self._current = reply
            try:
                yield
            finally:
                self._current = None
                self._told = len(self.log)

    def _turn_detection(self) -> dict[str, Any] | None:
        """The turn detection in force: what the server says, or what was asked where it says nothing."""
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

    def _bill(self, response: c.Response) -> None:
        """Book what a response cost; over the budget, a session that answers by itself is closed at once."""
        if self.budget is None:
            return
        try:
            self.budget.add(self._cost_of([response], response.item_ids))
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
        except Exception as error:
            _log.exception("rtnb: a turn failed")
            self._close_reply(reply, error)

    def _close_reply(self, reply: Reply, error: BaseException | None) -> None:
        if reply in self._replies:
            self._replies.remove(reply)
        if self._waiting is reply:
            self._waiting = None
        if isinstance(error, ResponseFailed | BudgetExceeded | ConnectionFailed) and getattr(error, "reply", None) is None:
            # One exception object may end several replies; each caller finds its own in what it awaited.
            error.reply = reply  # type: ignore[union-attr]
        reply._close(error)

    def _cancel_reply(self, reply: Reply) -> None:
        def go() -> None:
            if reply.done:
                return
            active = [r for r in reply.responses if r.active]
            if active:
                self._line.put(wire.cancel(active[-1].id))
            elif (task := self._turn_tasks.get(reply)) is not None:
                task.cancel()
                self._line.put(wire.clear())

        self._loop.call_soon_threadsafe(go)


def _is(type_: str, item_id: str | None = None) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] == type_ and (item_id is None or event.get("item_id") == item_id)
