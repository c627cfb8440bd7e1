"""A live call in the cell: the page has the microphone and the loudspeaker, the session has everything else.

What the page knows is how much sound it has played; it tells, and the answer is truncated to that. Sound and captions
go to the page from the I/O thread, so they keep coming while a cell blocks the kernel.
"""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rtnb import html, keys, models, opening
from rtnb import money as costs
from rtnb.audio.pcm import BYTES_PER_MS
from rtnb.errors import AudioError, BudgetExceeded, InputError, RtnbError, mask_secrets, without_secrets
from rtnb.protocol import client_events
from rtnb.protocol import conversation as c
from rtnb.session.history import words_heard
from rtnb.session.session import BENIGN_CODES, Closed, Session
from rtnb.session.tools import Toolbox
from rtnb.session.updates import ToolRan
from rtnb.texts import language
from rtnb.transport import endpoint as addresses
from rtnb.transport import io_thread
from rtnb.transport.handle import Handle
from rtnb.ui import waiting
from rtnb.ui.line import FromPage, KernelLink

if TYPE_CHECKING:
    from rtnb.protocol.log import Entry

__all__ = ["Call", "call"]

# The first seconds of an answer go to the page at once. The rest follows at four times the speed at which it is heard:
# on a slow network, "the person speaks, be silent" must not queue behind a minute of sound.
_AHEAD_SECONDS = 3.0
_AHEAD_SPEED = 4.0
_TICK_SECONDS = 0.05
_JOINED_BYTES = 48_000
_CAPTIONS_EVERY_SECONDS = 0.08
_BEAT_SECONDS = 1.0
# Nobody is there to talk: the call is not kept open for long, for a server counts its sessions and somebody may pay.
_PAGE_BACK_SECONDS = 60.0  # a page that said goodbye may be reloading
_PAGE_GONE_SECONDS = 90.0  # a page that says nothing, neither sound nor beat, while the kernel would hear it
_PAGE_MUTE_SECONDS = 900.0  # the same while a cell runs and the kernel hears nobody
_PAGE_SILENT_SECONDS = 6.0  # so long a page may say nothing and still be taken to be there
# After a recording given to a server that listens for the end of a turn: its silence_duration_ms and then some.
_TRAILING_SILENCE_MS = {"server_vad": 900, "semantic_vad": 4000}
# The server refuses to commit less (OpenAI docs: at least 100 ms of audio).
_LEAST_COMMIT_MS = 100


def call(
    *,
    model: str | None = None,
    voice: str | None = None,
    instructions: str | None = None,
    tools: Sequence[Any] = (),
    turn_detection: Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None = "server_vad",
    transcription: bool | str | Mapping[str, Any] = True,
    practice: bool = False,
    budget: float | costs.Budget | None = None,
    key: str | keys.Key | None = None,
    url: str | None = None,
    provider: str | None = None,
    session: Mapping[str, Any] | None = None,
    show: bool = True,
) -> Call:
    """Show a live call in the cell; returns at once. Nothing is opened, heard or paid before the person clicks.

    ```python
    call = rtnb.call(instructions="You are a patient French teacher.", voice="marin")
    ```

    Args:
        model: The model's name. None: `gpt-realtime-2.1-mini`.
        voice: One of `rtnb.models.VOICES`, or a custom voice's id. None: the model's own.
        instructions: How the model should behave. None: the server's default.
        tools: Python functions the model may call.
        turn_detection: `"server_vad"` or `"semantic_vad"`: an open microphone, the server listens for the end of a
            turn. A dict is the API's own object. None: push to talk, with the button or the space bar.
        transcription: Whether the person's words are shown too, which is billed apart. A name: with that model.
        practice: Use the practice server, whatever keys there are.
        budget: US dollars the call may cost, or a budget shared with others; the call ends when it is used up.
            None: no limit.
        key: The API key. None: found as `rtnb.find_key` does; with none anywhere, the practice server answers.
        url: Another server that speaks the protocol.
        provider: The kind of server by its name in `models.toml`, where its address does not tell.
        session: Further fields of the API's session object.
        show: Whether to show it now. False: show it later with `display(call)`.

    Returns:
        A `Call`: `.turns`, `.cost`, `.log`, `.state`, `await call.hang_up()`, `call.save(path)`.

    Raises:
        InputError: If an argument is not what the API takes.
    """
    key = keys.hold(key)
    addresses.parse(url)
    if turn_detection not in (None, "server_vad", "semantic_vad") and not isinstance(turn_detection, Mapping):
        raise InputError(
            f"Your turn_detection={turn_detection!r} is not one the API has. Give 'server_vad', 'semantic_vad', None "
            "for push to talk, or the API's own object as a dict.",
            turn_detection=turn_detection,
        )
    if not practice and url is None and keys.lookup(key) is None:
        # Said here, in the cell; by the time the session says it, the cell is over.
        opening.say_no_key()
        practice = True
    settings: dict[str, Any] = {
        "model": model,
        "voice": voice,
        "instructions": instructions,
        "tools": Toolbox(tools),
        "turn_detection": turn_detection,
        "transcription": transcription,
        "practice": practice,
        "budget": costs.Budget.of(budget),
        "key": key,
        "url": url,
        "provider": provider,
        "session": session,
    }
    it = Call(settings)
    if show:
        it._show()
    return it


@dataclass
class _Sound:
    """What is known of one answer's sound on its way to the loudspeaker, in bytes of PCM16 at 24 kHz."""

    sent: int = 0
    cut: bool = False
    played_ms: int | None = None
    dropped: bool = False


@dataclass
class _Ahead:
    """Sound on its way to the page, never far ahead of the ear; lives on the I/O thread.

    Args:
        tell: Sends one piece: `tell(item_id, pcm)`; `pcm` is None for "no more of this item".
    """

    tell: Callable[[str, bytes | None], None]
    waiting: deque[tuple[str, bytes | None]] = field(default_factory=deque)
    _credit: float = _AHEAD_SECONDS
    _at: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    def push(self, item_id: str, pcm: bytes | None) -> None:
        """Take the next piece; it goes out now, or when it is its time."""
        self.waiting.append((item_id, pcm))
        if self._timer is None:
            self._go()

    def drop(self) -> set[str]:
        """Forget what has not gone out; gives the items it belonged to."""
        items = {item_id for item_id, _ in self.waiting}
        self.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return items

    def _go(self) -> None:
        """Send the first piece alone and at once; what comes in a burst behind it is joined, a message a tick.

        A burst sent piece by piece would keep this thread busy while the one that writes the socket waits for the
        interpreter, and the first sound with it (measured: twice as late).
        """
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._credit = min(_AHEAD_SECONDS, self._credit + (now - self._at) * _AHEAD_SPEED)
        self._at = now
        seconds = 0.0
        while self.waiting and (self.waiting[0][1] is None or (not seconds and self._credit > 0)):
            item_id, pcm = self.waiting.popleft()
            if pcm is None:
                self.tell(item_id, None)
                continue
            pieces, size = [pcm], len(pcm)
            while self.waiting and size < _JOINED_BYTES and size < self._credit * 1000 * BYTES_PER_MS:
                if self.waiting[0][0] != item_id or not (more := self.waiting[0][1]):
                    break
                self.waiting.popleft()
                pieces.append(more)
                size += len(more)
            seconds = size / (1000 * BYTES_PER_MS)
            self._credit -= seconds
            self.tell(item_id, b"".join(pieces))
        if self.waiting or seconds:
            # Long before the ear has used up what was sent, for a slow page takes up to 50 ms longer over the second
            # message than over the first; with no credit, when there is some again.
            pause = max(min(_TICK_SECONDS, seconds / 5), -self._credit / _AHEAD_SPEED, 0.005)
            self._timer = loop.call_later(pause, self._go)


class Call:
    """A live call: shown in a cell, started by a click, over when somebody hangs up.

    Attributes:
        session: The session of the call now, or the last one. None before the first click.
        ended: Why it ended, in a sentence. "" while it has not.
    """

    def __init__(
        self, settings: dict[str, Any], send: Callable[[dict[str, Any], list[bytes] | None], None] | None = None
    ):
        self.session: Session | None = None
        self.ended = ""
        self._settings = settings
        self._past: list[Session] = []
        self._seeds: set[str] = set()
        self._seeds_to_come = 0
        self._tools: Toolbox = settings["tools"]
        self._tool_outputs: dict[str, str] = {}
        self._state: Literal["ready", "connecting", "open", "closed"] = "ready"
        self._reason = ""
        self._lock = threading.RLock()
        self._early: list[bytes] = []  # the person's sound until the session is open
        self._opened_at: float | None = None
        self._seconds = 0.0  # of the calls before this one
        self._owner = ""  # the page that talks; "" while it is away
        self._from_owner = 0.0  # when it was last heard of
        self._sounds: dict[str, _Sound] = {}
        self._ahead = _Ahead(self._tell_sound)
        self._dirty: dict[str, None] = {}
        self._captions_due = False
        self._ended_items: set[str] = set()
        self._respond_next = False
        self._taken_over = asyncio.Event()  # set when a page takes the call over
        self._committed_bytes = 0  # of the sound since the last commit, for push to talk
        self._shown_in: object = None
        self._widget: Any = None
        self._line = KernelLink(send or self._send, self._from_page)
        self._ends: list[Handle[None]] = []

    # --- what it is

    @property
    def state(self) -> str:
        """`"ready"`, `"connecting"`, `"open"` or `"closed"`."""
        return self._state

    @property
    def turns(self) -> c.Turns:
        """Everything said so far, also before a reconnect: who, words, sound."""
        sessions = [*self._past, *([self.session] if self.session else [])]
        return c.Turns(turn for one in sessions for turn in one.turns if turn.item_id not in self._seeds)

    @property
    def cost(self) -> costs.Cost:
        """What the call has cost so far in US dollars; with the practice server, what it would have cost at OpenAI."""
        total = costs.Cost()
        for one in [*self._past, *([self.session] if self.session else [])]:
            total = total + one.cost
        return total

    @property
    def log(self) -> Sequence[Entry]:
        """Every event both ways with its time; after a reconnect, that of all sessions one after the other."""
        if not self._past:
            return self.session.log if self.session else ()
        return [entry for one in [*self._past, *([self.session] if self.session else [])] for entry in one.log]

    @property
    def source(self) -> str:
        """Who answers: `"openai"`, `"practice"` or the host's name; "" before the first click."""
        return self.session.source if self.session else ""

    @property
    def seconds(self) -> float:
        """How long the line has been open, in seconds, all calls together."""
        return self._seconds + (time.monotonic() - self._opened_at if self._opened_at is not None else 0.0)

    def __repr__(self) -> str:
        count = len(self.turns)
        minutes, seconds = divmod(int(self.seconds), 60)
        lasted = f", {minutes}:{seconds:02d}" if self.seconds else ""
        ended = f", {self.ended}" if self.ended and self._state == "closed" else ""
        return f"Call({self._state}{lasted}, {count} turn{'' if count == 1 else 's'}{ended})"

    # --- what one can do with it

    def hang_up(self) -> Handle[None]:
        """End the call. Safe to call twice and before it began; `await` it, or `.wait()`, until the line is closed."""
        return self._end("You hung up.", "hung_up")

    def say(self, text: str) -> None:
        """Type instead of speaking: adds your words to the conversation and asks for an answer.

        Raises:
            InputError: If the call is not open.
        """
        if self._state != "open" or self.session is None:
            raise InputError("Your call is not open. Click the call button first.")
        io_thread.io_loop().call_soon_threadsafe(self._say, text)

    def save(self, path: str | Path) -> Path:
        """Save what was said; the ending decides what of it.

        Args:
            path: `.txt` or `.md`: who said what. `.wav`, `.mp3`, `.flac`, `.ogg`, `.opus`, `.m4a`: the turns' sound,
                one after the other. `.jsonl`: every event both ways. A folder (no ending): all three.

        Returns:
            The path written.

        Raises:
            InputError: If nothing was said yet.
            AudioError: If the sound cannot be written in that format, or there is none.
        """
        from rtnb.audio import join

        path = Path(path).expanduser()
        if not self.turns:
            raise InputError("Your call has no turns yet. Talk first, then save.")
        suffix = path.suffix.lower()
        if not suffix:
            path.mkdir(parents=True, exist_ok=True)
            self.save(path / "call.md")
            self.save(path / "call.jsonl")
            if any(turn.audio for turn in self.turns):
                self.save(path / "call.opus")
            return path
        if suffix in (".txt", ".md"):
            mark = "**" if suffix == ".md" else ""
            lines = [f"{mark}{_NAMES.get(t.role, t.role)}:{mark} {t.words}" for t in self.turns if t.words]
            path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
            return path
        if suffix == ".jsonl":
            with path.open("w", encoding="utf-8") as out:
                for entry in self.log:
                    line = {"at_seconds": round(entry.at_seconds, 4), "direction": entry.direction, **entry.event}
                    out.write(json.dumps(without_secrets(line, []), ensure_ascii=False) + "\n")
            return path
        clips = [clip for turn in self.turns if (clip := turn.audio) is not None]
        if not clips:
            raise AudioError(
                "The call has no sound yet. Save its words to a .txt file instead.", name=str(path), problem="no sound"
            )
        return join(clips, gap_seconds=0.4).save(path)

    # --- how it is shown

    def _show(self) -> None:
        from rtnb.ui import frontend

        if (kernel := frontend.kernel()) is None:
            if frontend.detect().name != "marimo":  # which shows what a cell ends with
                print(language.text("call.plain"))
            return
        from IPython.display import display

        self._shown_in = kernel.shell.execution_count
        display(self.widget)

    @property
    def widget(self) -> Any:
        """The widget that shows it, for `display` and for layouts of your own."""
        if self._widget is None:
            self._widget = _widget_class()(language=language.chosen(), setup=self._setup())
            self._widget.on_msg(lambda _, content, buffers: self._line.received(content, buffers))
            waiting.hear_while_busy(self._widget)
            waiting.watch_cells()
        return self._widget

    def _ipython_display_(self) -> None:
        from rtnb.ui import frontend

        # `rtnb.call()` as the last line of a cell has shown itself already.
        kernel = frontend.kernel()
        if kernel is not None and self._shown_in == kernel.shell.execution_count:
            return
        self._show()

    def _display_(self) -> Any:  # marimo
        return self.widget

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None) -> None:
        if self._widget is not None:
            self._widget.send(content, buffers)

    def _setup(self) -> dict[str, Any]:
        detection = self._settings["turn_detection"]
        return {
            "id": f"{id(self):x}-{time.time_ns():x}",
            "hold": detection is None,
            "interrupts": not isinstance(detection, Mapping) or detection.get("interrupt_response", True) is not False,
            "model": self._settings["model"] or models.DEFAULT,
            "voice": self._settings["voice"] or "",
            "practice": bool(self._settings["practice"]),
            "captions": bool(self._settings["transcription"]),
        }

    # --- from the page (on whatever thread widget messages come)

    def _from_page(self, message: FromPage) -> None:
        if message.page == self._owner:
            self._from_owner = time.monotonic()
        says = message.fields
        match message.kind:
            case "hello":
                self._welcome(message.page)
            case "start":
                self._start(message.page)
            case "cut":  # also of a page from which the call was taken away
                io_thread.io_loop().call_soon_threadsafe(self._cut, _items(says), False)
            case _ if message.page != self._owner:
                pass  # another tab that shows the same call
            case "bye":
                self._page_left(_items(says))
            case "sound":
                for pcm in message.buffers:
                    self._heard(pcm)
            case "commit":
                io_thread.io_loop().call_soon_threadsafe(self._commit)
            case "clear":
                io_thread.io_loop().call_soon_threadsafe(self._clear)
            case "recorded":
                io_thread.io_loop().call_soon_threadsafe(self._recorded)
            case "stop":
                io_thread.io_loop().call_soon_threadsafe(self._cut, _items(says), True)
            case "say":
                io_thread.io_loop().call_soon_threadsafe(self._say, str(says.get("text", "")))
            case "hangup":
                self._end(*_HANG_UPS.get(str(says.get("why")), _HANG_UPS["person"]))

    def _welcome(self, page: str) -> None:
        self._line.welcome(page, **self._standing())
        self._line.beat(on=self._state in ("connecting", "open"))
        for turn in self.turns:
            self._tell_turn(turn.item_id, to=page)
        self._tell_money()

    def _standing(self) -> dict[str, Any]:
        silent = time.monotonic() - self._from_owner > _PAGE_SILENT_SECONDS
        return {
            "state": self._state,
            "owner": self._owner,
            "away": self._state in ("connecting", "open") and (not self._owner or silent),
            "reason": self._reason,
            "text": self.ended,
            "seconds": round(self.seconds, 1),
            "source": self.source,
        }

    def _start(self, page: str) -> None:
        with self._lock:
            going_on = self._state in ("connecting", "open")
            if going_on and self._owner not in ("", page):
                self._fall_silent()
            self._owner, self._from_owner = page, time.monotonic()
            if going_on:  # a page that was reloaded, or another tab, takes the call over as it stands
                self._line.tell("state", **self._standing())
                io_thread.io_loop().call_soon_threadsafe(self._go_on)
                return
            self._early.clear()
            self._set_state("connecting")
        # Starting the practice server takes a moment, and this thread has sound to take.
        threading.Thread(target=self._connect, name="rtnb-call", daemon=True).start()

    def _page_left(self, items: Sequence[tuple[str, int]]) -> None:
        """The page was closed or reloaded: nothing is said or answered until a page takes the call over again."""
        with self._lock:
            if self._state not in ("connecting", "open"):
                return
            self._fall_silent()
            self._owner, self._from_owner = "", time.monotonic()
            self._line.tell("state", **self._standing())
        io_thread.io_loop().call_soon_threadsafe(self._cut, items, False)

    def _fall_silent(self) -> None:
        """Nobody listens here any more: stop the answer, and forget what was said by half."""
        if (session := self._open_session()) is None:
            return
        self._committed_bytes = 0
        session.clear()  # at once: whoever takes over may be speaking already

        def stop() -> None:
            self._hold_back()
            if (active := session.conversation.active_response()) is not None:
                session.cancel(active.id)

        io_thread.io_loop().call_soon_threadsafe(stop)

    def _connect(self) -> None:
        history = _history(self.turns)
        try:
            session = opening.connect(**self._settings)
        except RtnbError as error:
            self._failed(error)
            return
        with self._lock:
            if self._state != "connecting":  # hung up meanwhile
                session.close()
                return
            if self.session is not None:
                self._past.append(self.session)
            self.session = session
            self._seeds_to_come = len(history)
            self._sounds.clear()
        session.lifecycle.gate = self._until_somebody_listens
        session.subscribe(functools.partial(self._update, session))
        if history:
            session.seed(history)

        async def opened() -> None:
            try:
                await session
            except BaseException as error:
                if session is self.session:
                    self._failed(error)
                return
            if session is self.session and self._state == "connecting":
                self._open(session)

        io_thread.submit(opened())
        io_thread.io_loop().call_soon_threadsafe(self._beat)

    def _open(self, session: Session) -> None:
        with self._lock:
            self._opened_at = time.monotonic()
            self._set_state("open")
            early, self._early = self._early, []
            for pcm in early:
                session.append(pcm)

    def _heard(self, pcm: bytes) -> None:
        with self._lock:
            self._committed_bytes += len(pcm)
            if self._state == "connecting":
                self._early.append(pcm)
            elif self._state == "open" and self.session is not None:
                self.session.append(pcm)

    # --- on the I/O thread: what the person does

    def _open_session(self) -> Session | None:
        return self.session if self._state == "open" else None

    def _commit(self) -> None:
        if (session := self._open_session()) is None:
            return
        size, self._committed_bytes = self._committed_bytes, 0
        if size < _LEAST_COMMIT_MS * BYTES_PER_MS:
            session.clear()
            self._line.tell("notice", code="too_short")
            return
        session.commit()
        self._respond()

    def _clear(self) -> None:
        self._committed_bytes = 0
        if (session := self._open_session()) is not None:
            session.clear()

    def _recorded(self) -> None:
        """A recording was sent in one go: end the turn, or give the server the silence by which it hears the end."""
        if (session := self._open_session()) is None:
            return
        detection = self._settings["turn_detection"]
        if detection is None:
            self._commit()
            return
        kind = detection if isinstance(detection, str) else str(detection.get("type"))
        silence_ms = _TRAILING_SILENCE_MS.get(kind, 1000)
        if isinstance(detection, Mapping):
            silence_ms = max(silence_ms, int(detection.get("silence_duration_ms") or 0) + 200)
        session.append(bytes(silence_ms * BYTES_PER_MS))

    def _say(self, text: str) -> None:
        session = self._open_session()
        if session is None or not text.strip():
            return
        if session.conversation.active_response() is not None:
            session.cancel()
        session.create(client_events.message("user", [{"type": "input_text", "text": text.strip()}]))
        self._respond()

    def _respond(self) -> None:
        session = self._open_session()
        if session is None:
            return
        if session.conversation.active_response() is not None or not self._owner:
            self._respond_next = True  # the API has one response at a time, and nobody is to talk to an empty room
            return
        if self._out_of_budget(session):
            return
        session.send({"type": "response.create"})

    def _respond_if_asked(self) -> None:
        if self._respond_next:
            self._respond_next = False
            self._respond()

    def _cut(self, items: Sequence[tuple[str, int]], stop: bool) -> None:
        """The page fell silent: tell the server how much of each answer was heard."""
        session = self._open_session()
        if session is None:
            return
        if stop:
            self._hold_back()
            if (active := session.conversation.active_response()) is not None:
                session.cancel(active.id)
        told = dict(items)
        for item_id, one in self._sounds.items():
            if one.cut and one.dropped and item_id not in told:
                told[item_id] = 0  # nothing of it ever reached the page
        for item_id, played_ms in told.items():
            turn = session.conversation.turn(item_id)
            sound = self._sounds.get(item_id)
            if turn is None or sound is None or sound.played_ms is not None:
                continue
            sound.cut, sound.played_ms = True, max(0, played_ms)
            if played_ms < turn.audio_ms or turn.status == "in_progress":
                session.truncate(item_id, played_ms)
            self._caption(item_id)

    def _hold_back(self) -> None:
        """Send no more of the sound that came so far, nor of what still comes of these answers."""
        dropped = self._ahead.drop()
        for item_id, sound in self._sounds.items():
            sound.cut = True
            sound.dropped = sound.dropped or (item_id in dropped and sound.sent == 0)

    # --- on the I/O thread: what the server says

    def _update(self, session: Session, update: Any) -> None:
        if session is not self.session:
            return
        match update:
            case c.AudioDelta(item_id=item_id, pcm=pcm):
                sound = self._sounds.setdefault(item_id, _Sound())
                if not sound.cut:
                    self._ahead.push(item_id, pcm)
            case c.AudioDone(item_id=item_id):
                if item_id in self._sounds and not self._sounds[item_id].cut:
                    self._ahead.push(item_id, None)
            case c.SpeechStarted():
                if self._interrupts():
                    self._hold_back()
                    self._line.tell("speech", on=True, silence=True)
                else:
                    self._line.tell("speech", on=True, silence=False)
            case c.SpeechStopped():
                self._line.tell("speech", on=False)
            case c.Committed(item_id=item_id):
                self._line.tell("committed", item=item_id)
                self._caption(item_id)
            case c.InputTranscript(item_id=item_id, final=final):
                self._caption(item_id, ended=final)
                if final:
                    self._tell_money()
            case c.InputTranscriptFailed(item_id=item_id):
                self._caption(item_id, ended=True)
                self._line.tell("notice", code="not_transcribed")
            case c.ItemAdded(turn=turn):
                if self._seeds_to_come and turn.type == "message" and turn.response_id is None:
                    self._seeds_to_come -= 1
                    self._seeds.add(turn.item_id)
                    return
                self._caption(turn.item_id)
            case c.ItemDone(turn=turn):
                # The person's words come when they are transcribed; everything else is complete.
                self._caption(turn.item_id, ended=turn.role != "user" or not turn.spoken)
            case c.TextDelta(item_id=item_id):
                self._caption(item_id)
            case c.Truncated(item_id=item_id):
                self._caption(item_id)
            case ToolRan(item_id=item_id, call=ran):
                self._tool_outputs[item_id] = repr(ran)
                self._caption(item_id)
            case c.ResponseStarted():
                self._line.tell("response", on=True)
            case c.ResponseEnded(response=response):
                self._response_ended(session, response)
            case c.Errored(error=error):
                self._complain(error)
            case Closed(reason=reason, error=error):
                self._closed(reason, error)

    def _interrupts(self) -> bool:
        detection = self._settings["turn_detection"]
        return not isinstance(detection, Mapping) or detection.get("interrupt_response", True) is not False

    def _response_ended(self, session: Session, response: c.Response) -> None:
        for item_id in response.item_ids:
            if item_id in self._sounds and not self._sounds[item_id].cut:
                self._ahead.push(item_id, None)  # a cancelled response may leave its sound without an end
            self._caption(item_id, ended=True)
        details = response.status_details or {}
        error = details.get("error") or {}
        self._line.tell(
            "response",
            on=False,
            status=response.status,
            reason=str(details.get("reason") or ""),
            code=str(error.get("code") or ""),
            text=mask_secrets(str(error.get("message") or "")),
        )
        self._tell_money()
        if response.status != "completed" or not any(item.get("name") in self._tools for item in response.calls):
            self._respond_if_asked()
        self._out_of_budget(session)

    def _out_of_budget(self, session: Session) -> bool:
        """End the call where its budget is used up, by itself or with others; tell whether it was."""
        budget = session.budget
        if budget is None or not session.lifecycle.meter.exhausted:
            return False
        self._end(f"The budget of {costs.money(budget.limit_usd)} is used up. Call again with a larger one.", "budget")
        return True

    async def _until_somebody_listens(self) -> None:
        """Wait until a page has the call: what a tool brought is not to be answered into an empty room."""
        while not self._owner:
            self._taken_over.clear()
            await self._taken_over.wait()

    def _go_on(self) -> None:
        self._taken_over.set()
        self._respond_if_asked()

    def _complain(self, error: Mapping[str, Any]) -> None:
        code = str(error.get("code") or "")
        said = str(error.get("message") or "")
        # Races every client runs into: a cancel that came too late, a truncation of what was already shorter.
        if code in BENIGN_CODES or "already shorter than" in said or "Only model output audio" in said:
            return
        if code == "session_expired":
            return  # the close that follows says so
        self._line.tell("notice", code="server", text=mask_secrets(said))

    # --- captions

    def _caption(self, item_id: str, *, ended: bool = False) -> None:
        """Show the newest of an item soon; about ten times a second is as often as anybody reads."""
        if item_id in self._seeds:
            return
        if ended:
            self._ended_items.add(item_id)
        self._dirty[item_id] = None
        if not self._captions_due:
            self._captions_due = True
            asyncio.get_running_loop().call_later(_CAPTIONS_EVERY_SECONDS, self._tell_captions)

    def _tell_captions(self) -> None:
        self._captions_due = False
        dirty, self._dirty = self._dirty, {}
        for item_id in dirty:
            self._tell_turn(item_id)

    def _tell_turn(self, item_id: str, to: str | None = None) -> None:
        turns = self.turns
        index = next((i for i, turn in enumerate(turns) if turn.item_id == item_id), None)
        if index is None:
            return
        turn = turns[index]
        if turn.type == "function_call_output" or turn.role == "system":
            return
        sound = self._sounds.get(item_id)
        words = self._tool_outputs.get(item_id) or turn.words
        if turn.type == "message" and not words and turn.role == "assistant":
            return  # nothing said yet
        self._line.tell(
            "turn",
            to=to,
            item=item_id,
            after=next((t.item_id for t in reversed(turns[:index]) if _visible(t)), None),
            role="tool" if turn.type == "function_call" else turn.role,
            text=mask_secrets(words),
            spoken=turn.spoken,
            open=item_id not in self._ended_items,
            sound_ms=round(turn.audio_ms) if turn.role == "assistant" else None,
            heard_ms=sound.played_ms if sound is not None else turn.truncated_ms,
        )

    def _tell_sound(self, item_id: str, pcm: bytes | None) -> None:
        if pcm is None:
            self._line.tell("sound_end", to=self._owner, item=item_id)
            return
        sound = self._sounds.setdefault(item_id, _Sound())
        start, sound.sent = sound.sent, sound.sent + len(pcm)
        self._line.tell("sound", to=self._owner, buffers=[pcm], item=item_id, start=start)

    def _tell_money(self) -> None:
        cost = self.cost
        self._line.tell("money", text=costs.money(cost.usd), usd=cost.usd, source=self.source)

    # --- states and ends

    def _set_state(self, state: Literal["connecting", "open", "closed"], reason: str = "", text: str = "") -> None:
        self._state, self._reason, self.ended = state, reason, mask_secrets(text)
        self._line.tell("state", **self._standing())
        self._line.beat(on=state != "closed")

    def _beat(self) -> None:
        if self._state not in ("connecting", "open"):
            return
        self._line.beat(on=True)
        away = time.monotonic() - self._from_owner
        if not self._owner:
            nobody = away > _PAGE_BACK_SECONDS
        else:
            nobody = min(away, waiting.free_seconds()) > _PAGE_GONE_SECONDS or away > _PAGE_MUTE_SECONDS
        if nobody:
            self._end(*_HANG_UPS["page"])
            return
        asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _end(self, text: str, reason: str) -> Handle[None]:
        with self._lock:
            over: Handle[None] = Handle()
            session = self.session
            if self._state in ("connecting", "open"):
                self._over(reason, text)
            if session is None:
                over._finish(None)
                return over
        return session.close()

    def _over(self, reason: str, text: str) -> None:
        if self._opened_at is not None:
            self._seconds += time.monotonic() - self._opened_at
            self._opened_at = None
        self._early.clear()
        self._respond_next = False
        io_thread.io_loop().call_soon_threadsafe(self._ahead.drop)
        self._set_state("closed", reason, text)

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            if self._state in ("connecting", "open"):
                self._over("failed", str(error) or type(error).__name__)

    def _closed(self, reason: str, error: BaseException | None) -> None:
        for item_id in list(self._sounds):
            self._ended_items.add(item_id)
        with self._lock:
            if self._state not in ("connecting", "open"):
                return
            if isinstance(error, BudgetExceeded):
                self._over("budget", str(error))
            elif error is not None:
                self._over("dropped", str(error))
            else:
                self._over("hung_up", reason or "The call is over.")


_NAMES = {"user": "You", "assistant": "Answer", "tool": "Tool", "system": "System"}

# What the page says when it ends a call → the sentence, and the reason by which the page knows its own translation.
_HANG_UPS = {
    "person": ("You hung up.", "hung_up"),
    "output": ("The cell's output was closed, so the call was ended.", "output"),
    "page": ("Nobody was on the page any more, so the call was ended.", "page"),
    "silent": ("The page lost the kernel for a while, so the call was ended.", "silent"),
    "microphone": ("The microphone went away, so the call was ended.", "microphone"),
}


def _items(says: Mapping[str, Any]) -> list[tuple[str, int]]:
    """How much of which answer the page has played, in milliseconds."""
    return [(str(item["item"]), int(item["played_ms"])) for item in says.get("items", ())]


def _visible(turn: c.Turn) -> bool:
    return turn.type != "function_call_output" and turn.role != "system"


def _history(turns: Sequence[c.Turn]) -> list[tuple[str, str]]:
    """The words said so far, for a new session; of an answer that was spoken over, about as much as was heard."""
    roles = ("user", "assistant", "system")
    said = [(turn.role, words_heard(turn, " …")) for turn in turns if turn.type == "message" and turn.role in roles]
    return [(role, words.strip()) for role, words in said if words.strip(" …")]


@functools.cache
def _widget_class() -> type:
    import anywidget
    import traitlets

    from rtnb.ui import frontend

    class CallWidget(anywidget.AnyWidget):
        _esm = frontend.esm(
            *("playback.js", "microphone.js", "line.js", "leaving.js", "captions.js", "words.js", "call.js"),
            texts=("call", "microphone"),
        )
        _css = frontend.css("theme.css", "call.css")
        language = traitlets.Unicode("").tag(sync=True)
        setup = traitlets.Dict().tag(sync=True)

        def _repr_mimebundle_(self, **kwargs: Any) -> Any:
            bundle = super()._repr_mimebundle_(**kwargs)
            data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
            sentence = html.root(f"<p>{escape(language.text('call.plain'))}</p>")
            return {**(data or {}), "text/plain": "A live call.", "text/html": sentence}, metadata

    return CallWidget
