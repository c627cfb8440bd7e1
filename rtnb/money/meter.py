"""Checks what may be spent and books what was; no other place does.

A meter belongs to one session; its budget may be shared. Before a response is asked for, what it reads and the most
that it may write are set aside, and that most goes to the server as `max_output_tokens`; after `response.done` the real
cost is booked. What it reads is an upper bound: what the last response read and wrote by the server's own count, and
what came since by its length. A server that begins responses by itself gets the cap in its settings. What is billed by
the minute is set aside some seconds ahead of its audio.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rtnb import models
from rtnb.audio import pcm
from rtnb.errors import BudgetExceeded, InputError
from rtnb.models import Prices
from rtnb.money.bill import cost_of_words, transcription_model
from rtnb.money.budget import Budget, Hold
from rtnb.money.costs import Cost, cost
from rtnb.money.estimates import ITEM_TOKENS, most_tokens, usd_per_second
from rtnb.money.usage import Usage, money
from rtnb.protocol import client_events, updates
from rtnb.protocol.items import Response
from rtnb.texts.language import translate

MOST_TOKENS = 4_096
"""How many tokens a response may write at most where a budget is set and its caller asked for no fewer."""

LEAST_TOKENS = {False: 200, True: 600}
"""How many tokens a response must be able to write to be asked for, by whether the model reasons before it answers."""

# How much audio is paid for ahead, so that the cap in the server's settings need not change with every block.
_AHEAD_SECONDS = 10.0
# How much audio a server that detects speech keeps while it detects none; the rest is not billed.
_QUIET_SECONDS = 3.0
# How much speech that is written down is to be paid for beside a response, where there is that much.
_MEANWHILE_SECONDS = 60.0
_NOT_SENT = "the audio that follows was not sent"
_Part = Mapping[str, Any] | float  # an item, or seconds of audio


def _detection(session: Mapping[str, Any]) -> Mapping[str, Any]:
    heard = (session.get("audio") or {}).get("input") or session
    return heard.get("turn_detection") or {"create_response": False, "interrupt_response": False}


def _has_mcp(session: Mapping[str, Any]) -> bool:
    return any(isinstance(tool, dict) and tool.get("type") == "mcp" for tool in session.get("tools") or ())


def _know_kinds(used: Usage, model: models.Model) -> None:
    """Refuse tokens of a kind whose price is not known: they would count as nothing."""
    if kinds := ", ".join(translate(line.what) for line in cost(used, model).lines if line.usd is None):
        wrong = f"Your budget cannot count {model.name}, for its price of {kinds} is not known. "
        price = f"rtnb.models.price({model.name!r}, text=(in, cached, out), audio=…)"
        raise InputError(wrong + f"Say all, as {price}, or leave budget= out.", model=model.name)


def _costs(response: Response) -> bool:
    """Return whether a response without a count of tokens may cost something."""
    came = response.status in ("completed", "incomplete") or bool(response.turns or response.output)
    return came or (response.status == "cancelled" and response.usage is None)


class Reservation(Hold):
    """Money set aside for one response, and what tells it from the others.

    Attributes:
        event_id: Of the `response.create`.
        beside: Whether the response is out of band.
        pending: Whether it was asked for and has not begun.
        capped: Number of tokens that the budget allows it, where its caller allows more; else 0.
        read: How many of the parts that no response has counted it reads.
    """

    event_id, beside, pending, capped, read = "", False, False, 0, 0

    def release(self) -> None:
        """Set nothing aside any more: the response was booked, or there will be none."""
        super().release()
        self.pending = False


@dataclass(eq=False)
class Meter:
    """Check and book everything that one session spends; on the I/O thread, but for its making.

    Args:
        given: The budget it spends from. None for that of the whole kernel.
        name: The model that answers.
        put: Sends a client event.
        update: Sends a `session.update` without a change of its own, into which the cap is written.
        warn: Called with a sentence for the user.
        stop: Called with the refusal where the server begins responses by itself and nothing is left to pay for one.

    Attributes:
        patient: Whether a turn waits for money that others hold, instead of being refused.
        overspent: The refusal after which nothing more is asked for. None while there is money left.

    Raises:
        InputError: There is a budget and the model's price is not known.
    """

    given: Budget | None
    name: str
    put: Callable[[dict[str, Any]], object]
    update: Callable[[], object]
    warn: Callable[[str], object]
    stop: Callable[[BudgetExceeded], object]
    patient: bool = False
    overspent: BudgetExceeded | None = None
    _audio: Hold = field(default_factory=Hold)  # for what is billed by the minute
    _standing: Reservation = field(default_factory=lambda: Reservation(standing=True))
    _uncounted: bool = False  # whether a response came of which the server did not say what it cost
    _own_tokens: Any = None  # `max_output_tokens` of the session, as its user wants it

    def __post_init__(self) -> None:
        self.model = models.get(self.name)
        self.know(self.name)
        self._clear()

    @property
    def budget(self) -> Budget | None:
        """Budget it spends from: its own, else that of the whole kernel, where there is one now."""
        return Budget.of(self.given)

    def know(self, name: str | None) -> None:
        """Refuse a model that a budget cannot count.

        Raises:
            InputError: If there is a budget and its price is not known.
        """
        if self.budget is not None and name and models.get(name).prices is None:
            price = f"rtnb.models.price({name!r}, like={models.DEFAULT!r})"
            wrong = f"Your budget cannot count {name}, for its price is not known. "
            raise InputError(wrong + f"Say it before, for example with {price}, or leave budget= out.", model=name)

    def renew(self) -> None:
        """Begin a new server session: nothing is under way, for what was is booked, and nothing was said."""
        for running in self._running.values():
            self._book(running, None)
        heard = sum(self._unbilled) + (0.0 if self._begins_responses() else self._buffered)
        self._book(self._audio, min(self._audio.usd, self._usd_per_second() * heard))
        for hold in (*self._asked, *self._running.values(), self._standing, self._audio):
            hold.release()
        self._clear()

    def _clear(self) -> None:
        self._asked: list[Reservation] = []
        self._running: dict[str, Reservation] = {}  # by response id
        self._configured, self._cap = False, 0  # the cap in the server's settings
        self._history = Usage()  # what the last response read and wrote
        self._session: Mapping[str, Any] = {}  # its settings
        self._fixed: dict[str, Any] = {}  # instructions and tools
        self._new: list[_Part] = []  # what no response has counted
        self._speaking, self._buffered, self._ready_until = False, 0.0, 0.0  # seconds in the input buffer
        self._commits, self._unbilled = 0, list[float]()  # seconds of each item that is to be transcribed

    # --- what a response may cost

    def reads(self, *more: _Part) -> Usage:
        """Return at most what the next response reads: the history again, what came since, and `more`."""
        return sum(map(most_tokens, (*self._new, self._buffered, *more)), self._history)

    def _take(self, reservation: Reservation, wanted: Mapping[str, Any], *parts: _Part) -> int:
        """Set aside what a response may cost, and return how many tokens it may write.

        Raises:
            BudgetExceeded: If what is left does not pay for the least. Nothing is set aside then.
            InputError: If the price of a kind of token is not known.
        """
        self.model = models.get(self.name)  # its price may have been said since
        budget, of = self.budget, self.model.prices or Prices(since=date.min)
        assert budget is not None
        own = wanted.get("max_output_tokens") or self._own_tokens
        own = own if isinstance(own, int) and own > 0 else math.inf
        spoken = (wanted.get("output_modalities") or self._session.get("output_modalities")) != ["text"]
        usd_per_token = max(of.text.output or 1e-9, (of.audio.output or 0) * spoken) / 1e6
        given, more = wanted.get("input"), {k: wanted[k] for k in ("instructions", "tools") if wanted.get(k)}
        items = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        parts = (*parts, *([more] if more else ()), *items)
        alone = isinstance(given, list) and all(one.get("type") != "item_reference" for one in items)
        reads = sum(map(most_tokens, (self._fixed, *parts)), Usage()) if alone else self.reads(*parts)
        _know_kinds(reads + Usage(output_text_tokens=1, output_audio_tokens=int(spoken)), self.model)
        reads_usd, most = cost(reads, self.model).known_usd, min(own, MOST_TOKENS)
        least, left_usd = min(most, LEAST_TOKENS[bool(self.model.reasoning)]), budget.left + reservation.usd - reads_usd
        if self._begins_responses():  # the user may speak meanwhile, which is written down
            spare = max(0.0, left_usd - least * usd_per_token)
            left_usd -= min(self._usd_per_second() * _MEANWHILE_SECONDS, spare / 2)
        tokens = int(max(min(most, left_usd / usd_per_token * (1 - 1e-9)), least))  # never a rounding too much
        try:
            reservation.take(budget, reads_usd + tokens * usd_per_token)
        except BudgetExceeded:
            reservation.release()
            raise
        reservation.capped = tokens if tokens < own else 0
        return tokens

    async def announce(self, reservation: Reservation, wanted: Mapping[str, Any], *parts: _Part) -> None:
        """Set aside what a turn may cost before any of its parts is sent.

        Args:
            reservation: For it.
            wanted: What is asked for, as the API's `response.create` takes it.
            *parts: Its items, and the seconds of its recordings.

        Raises:
            BudgetExceeded: If the budget does not cover it, or, for one that is patient, never will.
            InputError: If the price of a kind of its tokens is not known.
        """
        while self.budget is not None:
            try:
                with self._yielding():
                    self._take(reservation, wanted, *parts)
                    if self._begins_responses():
                        reservation.release()  # what stands ready pays for it
                return
            except BudgetExceeded as over:
                if not (self.patient and over.held_usd):
                    raise
            await asyncio.sleep(0.05)  # until others, on any thread, may hold less

    def reserve(self, reservation: Reservation, event: dict[str, Any]) -> None:
        """Set aside what the response to a `response.create` may cost, and write the cap into the event.

        Raises:
            BudgetExceeded: If the budget does not cover it.
            InputError: If the price of a kind of its tokens is not known.
        """
        wanted = event["response"] if isinstance(event.get("response"), dict) else {}
        self._asked = [one for one in self._asked if one.pending and one is not reservation] + [reservation]
        reservation.event_id, reservation.beside = event["event_id"], wanted.get("conversation") == "none"
        reservation.read, reservation.pending = len(self._new), True
        if self.budget is not None:
            with self._yielding():
                event["response"] = {**wanted, "max_output_tokens": self._take(reservation, wanted)}

    # --- responses that the server begins by itself

    def _begins_responses(self) -> bool:
        """Return whether the server begins responses by itself: after speech that it detects, or after an MCP call."""
        answers = _detection(self._session).get("create_response") is not False
        return self.model.kind in ("realtime", "unknown") and (answers or _has_mcp(self._session))

    @contextlib.contextmanager
    def _yielding(self) -> Iterator[None]:
        """Let what is set aside meanwhile come before what stands ready for what the server begins."""
        self._standing.release()
        try:
            yield
        finally:
            self._stand_ready()

    def _stand_ready(self) -> None:
        """Set aside what the next response may cost that the server begins by itself, and have the server cap it."""
        if self.budget is None or not self._configured or not self._begins_responses():
            self._standing.release()
            return
        under_way = (*self._running.values(), *(one for one in self._asked if one.pending))
        # Speech ends the response under way, and what was set aside for it is free for the next one.
        ends = _detection(self._session).get("interrupt_response") is not False and not _has_mcp(self._session)
        if ends and not all(one.beside for one in under_way):
            return
        with contextlib.suppress(InputError):  # of a kind without a price: what begins then is cancelled
            if self._standing_cap() != self._cap:
                self.update()

    def _standing_cap(self) -> int:
        self._ready_until = self._buffered + _AHEAD_SECONDS
        try:
            return self._take(self._standing, {}, _AHEAD_SECONDS)
        except BudgetExceeded as over:
            if not over.held_usd and self.overspent is None:
                self.overspent = over
                self.stop(over)
            return 1  # the least that the API takes

    # --- what is sent

    def before(self, event: dict[str, Any], pcm_bytes: int = 0) -> None:
        """Set aside what a client event may cost, before it is sent; caps are written into it.

        Args:
            event: The event.
            pcm_bytes: Size of its audio. 0: read from the event.

        Raises:
            BudgetExceeded: If the budget does not cover it.
            InputError: If the price of what it asks for is not known.
        """
        match event:
            case {"type": "response.create", "event_id": event_id}:
                if all(one.event_id != event_id for one in self._asked):
                    self.reserve(Reservation(), event)
            case {"type": "input_audio_buffer.append" | "session.input_audio_buffer.append"}:
                self._hear(pcm.seconds(pcm_bytes or len(event.get("audio") or "") * 3 // 4))
            case {"type": "input_audio_buffer.commit"}:
                self._commit()
                self._commits += 1
            case {"type": "input_audio_buffer.clear"}:
                self._buffered = 0.0
            case {"type": "conversation.item.create", "item": dict(item)}:
                self._new.append(item)
            case {"type": "session.update", "session": dict(session)}:
                self._configure(session)

    def _configure(self, wanted: dict[str, Any]) -> None:
        self.know(transcription_model(wanted))
        self._own_tokens = wanted.get("max_output_tokens", self._own_tokens)
        audio = {**(self._session.get("audio") or {}), **(wanted.get("audio") or {})}
        self._take_over({**self._session, **wanted, **({"audio": audio} if audio else {})})
        if self.budget is not None and self._begins_responses():
            wanted["max_output_tokens"] = self._cap = self._standing_cap()
            if self.overspent is not None and not self._configured:
                raise self.overspent
        self._configured = True

    def _take_over(self, session: Mapping[str, Any]) -> None:
        """Take note of the settings, with the instructions and tools, which every response reads."""
        self._session = session
        fixed = {name: session[name] for name in ("instructions", "tools") if session.get(name)}
        if fixed != self._fixed:
            self._new = [*(self._new if self._configured else ()), fixed]
            self._fixed = fixed

    def _commit(self) -> None:
        self._new.append(self._buffered)
        self._unbilled.append(self._buffered)
        self._buffered, self._speaking = 0.0, False

    def _hear(self, seconds: float) -> None:
        """Set aside what audio costs before it is sent."""
        budget, detects = self.budget, self._begins_responses()
        self._buffered = min(self._buffered + seconds, _QUIET_SECONDS if detects and not self._speaking else math.inf)
        if budget is not None and self.model.kind == "translation":  # no event will say what it cost
            self._audio.take(budget, self._usd_per_second() * seconds, _NOT_SENT)
            self._book(self._audio, self._audio.usd)
        elif budget is not None:
            needed, ahead = self._unbilled_usd(), self._usd_per_second() * _AHEAD_SECONDS
            # In good time: when the response has begun, it has what is left, and quiet goes on being sent.
            if needed + ahead / 2 > self._audio.usd or (detects and self._buffered > self._ready_until):
                self._audio.standing = detects
                with self._yielding():
                    spare = max(0.0, (budget.left + self._audio.usd - needed) * (1 - 1e-9))
                    self._audio.take(budget, needed + min(ahead, spare), _NOT_SENT)
        if self.overspent is not None:
            raise self.overspent

    def _usd_per_second(self) -> float:
        """Return what a second of audio costs besides what the model that answers reads of it."""
        names = {transcription_model(self._session) or ""}
        names |= {self.name} if self.model.kind in ("transcription", "translation") else set()
        return sum(usd_per_second(models.get(name)) for name in names if name)

    def _unbilled_usd(self) -> float:
        """Return what is still to be billed by the minute; each item by whole seconds."""
        return self._usd_per_second() * sum(one + 1 for one in (self._buffered, *self._unbilled) if one)

    # --- what the server says

    def took(self, update: Any) -> None:
        """Book what something cost, and take note of what the next response will read."""
        match update:
            case updates.ResponseStarted(response=response):
                self._started(response)
            case updates.ResponseEnded(response=response):
                self._ended(response)
            case updates.SessionStarted(session=session) | updates.SessionUpdated(session=session):
                self._take_over(session)
            case updates.SpeechStarted():
                self._speaking = True
            case updates.Committed():
                if not self._commits:  # the server's own turn detection
                    self._commit()
                self._commits = max(0, self._commits - 1)
            case updates.InputTranscript(final=True, event=event) | updates.InputTranscriptFailed(event=event):
                self._transcribed(event.get("usage"))
            case updates.ItemDone(turn=turn) if turn.type.startswith("mcp_"):
                self._new.append(turn.item)
            case updates.Errored(error=error):
                for reservation in [one for one in self._asked if one.event_id == error.get("event_id")]:
                    reservation.release()
            case updates.Other(event={"type": "transcription.done"}):  # it says nothing of what it cost
                self._book(self._audio, self._usd_per_second() * sum(self._unbilled))
                self._unbilled.clear()
            case _:
                return
        self._stand_ready()

    def _started(self, response: Response) -> None:
        beside, mark = response.conversation_id is None, (response.metadata or {}).get("rtnb_side")
        asked = [one for one in self._asked if one.pending and one.beside == beside and mark in (None, one.event_id)]
        found = asked[0] if asked else Reservation() if beside else self._standing
        running = self._running[response.id] = Reservation()
        running.read, running.capped = found.read if asked else len(self._new), found.capped
        running.beside = beside
        found.move(running)
        if self.budget is not None and not running.usd:
            try:
                self._take(running, {})
            except (BudgetExceeded, InputError):
                self.put(client_events.cancel(response.id))

    def _ended(self, response: Response) -> None:
        running, budget = self._running.pop(response.id, Reservation()), self.budget
        used = Usage.from_event(response.usage)
        if used and response.conversation_id is not None:
            text = used.input_text_tokens + used.output_text_tokens + ITEM_TOKENS * len(response.output)
            self._history = Usage(text, used.input_audio_tokens + used.output_audio_tokens, used.input_image_tokens)
            del self._new[: running.read]
        if budget and running.capped and (response.status_details or {}).get("reason") == "max_output_tokens":
            limit = money(min(budget.chain, key=lambda one: one.left).limit_usd)
            paid = f"which paid for {running.capped:,} tokens of it"
            response.cut = f"The answer was cut by your budget of {limit}, {paid}. Raise budget=, or ask for less."
        self._book(running, cost(used, self.model) if used or not _costs(response) else None)

    def _transcribed(self, usage: Mapping[str, Any] | None) -> None:
        if self._unbilled:
            self._unbilled.remove(min(self._unbilled))  # whichever it was: the rest is no less
        transcriber = transcription_model(self._session)
        transcriber = transcriber or (self.name if self.model.kind == "transcription" else None)
        self._book(self._audio, cost_of_words(usage, transcriber), self._unbilled_usd())

    def _book(self, hold: Hold, spent: Cost | float | None, keep: float = 0.0) -> None:
        if (budget := self.budget) is not None:
            if spent is None and not self._uncounted:
                self.warn("The server does not say what an answer cost: your budget counts the most it may be.")
                self._uncounted = True
            hold.book(budget, hold.usd if spent is None else spent, keep)
            if (sentence := budget.notice()) is not None:
                self.warn(sentence)
