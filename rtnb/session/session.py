"""One session as its user sees it: ask, send single events, look at what was said and paid.

Its life is in `lifecycle`, on the I/O thread, so that a cell that blocks the kernel loses no event and no connection.
Everything public may be called from any thread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

from rtnb import html
from rtnb.errors import InputError, mask_secrets
from rtnb.money import Budget, Cost, Usage, limits
from rtnb.money.bill import Bill, transcription_model
from rtnb.money.meter import Reservation
from rtnb.protocol import frames
from rtnb.protocol.items import Response
from rtnb.session import following, settings, turn
from rtnb.session.lifecycle import Lifecycle
from rtnb.session.parts import read_parts
from rtnb.session.reply import Approval, Reply, TurnState
from rtnb.session.requests import Requests
from rtnb.session.tools import Toolbox
from rtnb.session.updates import Listener
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import Warnings, say, translate
from rtnb.timeline.timeline import Timeline
from rtnb.transport import endpoint
from rtnb.transport.handle import Handle
from rtnb.transport.websocket import OpenTransport


@checks_call
class Session(Requests):
    """One connection to a Realtime server, hot from the start.

    Attributes:
        conversation: The state of the conversation.
        turns: Turns so far: role, words, audio.
        log: Every event both ways, with its time and its audio.
        model: The model's name.
        url: The address without anything secret.
        source: Who answers: `"openai"`, `"practice"`, `"replay"` or the host's name.
        tools: The functions the model may call.
        budget: The budget it spends from. None without one.
        show: Whether the replies that are asked for from now on show themselves as they come.
        warnings: Plain sentences about what was odd but stopped nothing.

    Examples:
        >>> with rtnb.connect(practice=True, modalities="text", show=False) as chat:
        ...     reply = chat.ask("Repeat after me: yes").wait()
        >>> chat.source, chat.state, len(chat.turns)
        ('practice', 'closed', 2)
    """

    def __init__(
        self,
        where: endpoint.Address,
        open_transport: OpenTransport,
        model: str,
        wanted: dict[str, Any],
        tools: Toolbox | None = None,
        budget: Budget | None = None,
        *,
        approve: Callable[[Approval], Any] | None = None,
        reconnect: bool = False,
        show: bool = False,
        verbose: bool = False,
        timeout: float | None = 60.0,
    ) -> None:
        self.model = model
        self.source = where.source
        self.url = mask_secrets(where.url)
        self.tools = tools if tools is not None else Toolbox()
        self.budget = budget
        self.show = show
        # What lives on the I/O thread must not hold the session: it would never be forgotten.
        unasked = weakref.WeakMethod(self._take_unasked)
        self.lifecycle = Lifecycle(
            where, open_transport, model, wanted, self.tools, budget, approve, reconnect, verbose, unasked, timeout
        )
        weakref.finalize(self, self.lifecycle.forgotten).atexit = False
        self.warnings = self.lifecycle.warnings
        self.log = self.lifecycle.channel.log
        self.conversation = self.lifecycle.channel.conversation
        self.turns = self.conversation.turns
        self._opened: Handle[None] = Handle(self.lifecycle.opened)
        self._ended: Handle[None] = Handle(self.lifecycle.ended)
        # Last: a response that nobody asked for may end before this returns.
        self.lifecycle.call_soon(self.lifecycle.start)

    # --- handle

    def wait(self, timeout: float | None = None) -> Session:
        """Block until the session is open and configured.

        Raises:
            KeyRefused: If the server does not accept the key.
            ConnectionFailed: If no session came about.
            ServerError: If the server refuses the configuration.
            TimeoutError: If it takes longer than `timeout` seconds.
        """
        self._opened.wait(timeout)
        return self

    def __await__(self) -> Generator[Any, None, Session]:
        yield from self._opened.__await__()
        return self

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
        return self.lifecycle.state

    @property
    def error(self) -> BaseException | None:
        """Error that ended it. None while it runs and after an orderly end."""
        return self.lifecycle.error

    @property
    def settings(self) -> dict[str, Any]:
        """Session object that was asked for."""
        return self.lifecycle.settings

    @property
    def id(self) -> str | None:
        """Id that the server gave the session. None before it is open."""
        return self.conversation.session.get("id")

    @property
    def usage(self) -> Usage:
        """Tokens of all responses so far, as the server counted them."""
        return self.bill.usage

    @property
    def cost(self) -> Cost:
        """Cost of the session so far in US dollars, transcription included."""
        return self.bill.cost

    @property
    def bill(self) -> Bill:
        """Answers with their tokens and cents; `.compare()` says what the same talk costs on other models."""
        talk = self.conversation
        transcriber = transcription_model(talk.session or self.settings)
        return Bill.of(self.model, list(talk.responses.values()), talk.transcribed, transcriber)

    @property
    def unsent_bytes(self) -> int:
        """Bytes of appended audio that have not gone out yet."""
        return self.lifecycle.channel.unsent_bytes + self.lifecycle.queue.unsent_bytes

    @property
    def limits(self) -> limits.Limits:
        """Tokens and requests that the account may still use, as the server said last."""
        return limits.Limits.of(self.conversation.rate_limits)

    @property
    def seconds(self) -> float:
        """Time since the session was asked for, on the log's clock."""
        return self.lifecycle.channel.seconds

    def __repr__(self) -> str:
        return f"Session({self.model}, {self.source}, {self.state}, {say('{count} turns', count=len(self.turns))})"

    def _repr_html_(self) -> str:
        return html.root(f"<p><code>{escape(repr(self))}</code></p>{self.turns._repr_html_()}")

    # --- asking

    def ask(
        self,
        *parts: Any,
        instructions: str | None = None,
        modalities: Literal["audio", "text"] | Sequence[str] | None = None,
        voice: str | None = None,
        response: Mapping[str, Any] | None = None,
        show: bool | None = None,
    ) -> Reply:
        """Take one turn: send the parts in their order, then ask for an answer.

        Turns of one session follow each other; asking while one is under way queues the next. What is called besides
        goes out in the order of the calls, and does not wait for a queued turn.

        Args:
            *parts: Words (`str`), recordings (`Clip`, a path, bytes of a sound file, samples with their rate, an upload
                or record box), images. A string that names a file stands for it, and one that reads like a file's name
                must name one; where it may have been meant otherwise, the reply's `warnings` say so.
            instructions: Instructions for this answer alone. None: the session's.
            modalities: `"audio"` or `"text"` for this answer alone. None: the session's.
            voice: A voice for this answer alone, before any audio was sent. None: the session's.
            response: Further fields of the API's `response.create`, laid over the others.
            show: Whether this answer shows itself as it comes. None: as the session's do.

        Returns:
            A `Reply` that has started.

        Raises:
            InputError: If a part is nothing that can be sent, or there is none.
            AudioError: If a file is no recording.
        """
        steps = read_parts(parts)
        settings.check_voice(voice, self.lifecycle.provider)
        wanted = frames.plain(settings.of_response(instructions, modalities, voice, response), "response")
        doubts = Warnings(translate(step.doubt) for step in steps if step.doubt)
        return self._take(turn.take_turn, steps, settings=wanted, progress=(0.0, None), warnings=doubts, show=show)

    def respond(self, **response: Any) -> Reply:
        """Ask for an answer to what is there already; keyword arguments are fields of the API's `response.create`.

        Raises:
            InputError: If a field cannot be written as JSON.
        """
        return self._take(turn.take_turn, [], settings=frames.plain(response, "response"))

    def side(
        self,
        prompt: str,
        *,
        about: Sequence[Any] | None = None,
        modalities: Literal["audio", "text"] | Sequence[str] = "text",
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
        wanted: dict[str, Any] = {"conversation": "none", "output_modalities": settings.output_modalities(modalities)}
        wanted |= {"instructions": prompt} if about is None else {"instructions": prompt, "input": list(about)}
        wanted |= response or {}
        return self._take(turn.take_side, settings=frames.plain(wanted, "response"), beside=True)

    def approve(self, what: Approval | Reply | Iterable[Approval], yes: bool = True, *, reason: str = "") -> Reply:
        """Answer the question whether an MCP tool may be called, and follow how the model goes on.

        Args:
            what: An approval of `reply.approvals`, several, or the reply for all of its.
            yes: Whether it may.
            reason: Why, for the model to know.

        Returns:
            A `Reply` that has started.

        Raises:
            InputError: If there is nothing to approve, or something else in it.
        """
        asked = [what] if isinstance(what, Approval) else list(what.approvals if isinstance(what, Reply) else what)
        if not asked or not all(isinstance(one, Approval) for one in asked):
            raise InputError("Your argument asks for no approval. Give a reply that does, or of its reply.approvals.")
        return self._take(turn.take_approved, asked, yes, frames.plain(reason, "reason"))

    def _take(self, taking: Callable[..., Any], *args: Any, show: bool | None = None, **fields: Any) -> Reply:
        """Take a turn with these fields of its state; `args` go to one of the functions of `turn`."""
        life, state = self.lifecycle, TurnState(Reservation(), **fields)

        async def in_place() -> None:
            life.check_open()
            await state.place
            async with life.listeners.queued() as state.steering:
                await taking(life, state, *args)

        reply = Reply(self, state, lambda: life.call_soon(life.router.cancel, state))
        life.call_soon(life.router.begin, state, in_place)
        if Reply.shown_live is not None and (self.show if show is None else show) and not state.beside:
            Reply.shown_live(reply)
        return reply

    def _take_unasked(self, response: Response) -> None:
        """Take a turn for the functions that were called in a response that no caller asked for."""
        if following.calls_ours(self.lifecycle, response):
            self._take(turn.take_unasked, unasked=True, beside=True, responses=[response])

    # --- events

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Every server event from the very first on, none lost between sending and here; ends with the session.

        Raises:
            ConnectionFailed: If the session did not end in an orderly way.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        end = self.subscribe(lambda _: loop.call_soon_threadsafe(news.set))
        seen, over = 0, False
        try:
            while not over:
                news.clear()
                over, entries = self.state == "closed", self.log[seen:]
                seen += len(entries)
                for entry in entries:
                    if entry.direction == "received":
                        yield entry.event
                if not over:
                    await news.wait()
        finally:
            end()
        if self.error is not None:
            raise self.error

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a function with every update from now on, last with `Closed`.

        Args:
            listener: Called with each update on the I/O thread; it must return quickly. What it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        return self.lifecycle.listeners.subscribe(listener)

    def save(self, path: str | Path, *, sound: Literal["flac", "opus"] = "flac") -> Path:
        """Save the session: every event both ways with its time, the audio once and compressed, no secrets.

        Args:
            path: Where to, for example `"lesson.rtnb"`.
            sound: `"flac"` keeps every sample; `"opus"` sounds the same and is about a tenth as large.

        Returns:
            The path written; `rtnb.connect(replay=path)` plays it back.

        Raises:
            InputError: If the place cannot be written to.
        """
        from rtnb.recording.save import save_session

        about = {"model": self.model, "source": self.source, "url": self.url.partition("?")[0]}
        secrets = self.lifecycle.where.headers().values()
        return save_session(self.log, path, sound, about | {"settings": self.settings}, secrets)

    def timeline(self) -> Timeline:
        """Draw the session over time: user, model, tools and socket; `.save("talk.html")` keeps it with its audio."""
        return Timeline.read(f"{self.model}, {self.source}", self.log, self.conversation)

    def close(self) -> Handle[None]:
        """Hang up. Safe to call twice; the handle is done when the socket is closed."""
        self.lifecycle.close()
        return self._ended
