"""Live call in the cell: the page has the microphone and the loudspeaker, the session has everything else."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rtnb import models, money, opening
from rtnb.audio import join
from rtnb.errors import AudioError, InputError, without_secrets
from rtnb.protocol.entry import Entry
from rtnb.protocol.items import Turns
from rtnb.session import settings
from rtnb.session.reply import Approval
from rtnb.session.session import Session
from rtnb.texts.files import save_file
from rtnb.texts.language import say
from rtnb.texts.shortening import clock
from rtnb.timeline.timeline import Timeline
from rtnb.transport import endpoint as addresses
from rtnb.transport.handle import Handle
from rtnb.ui.call import record
from rtnb.ui.call.engine import Engine
from rtnb.ui.shared import frontend, waiting, widget

_NAMES = {"user": "You", "assistant": "Answer", "tool": "Tool", "system": "System"}


@opening.takes_options(opening.ConnectionOptions, without=("modalities", "replay", "replay_speed", "verbose"))
def call(
    *,
    approve: Callable[[Approval], Any] | None = None,
    turn_detection: Literal["server_vad", "semantic_vad"] | Mapping[str, Any] | None = "server_vad",
    push_to_talk: bool = False,
    transcription: bool | str | Mapping[str, Any] = True,
    show: bool = True,
    **connection: Any,
) -> "Call":
    """Show a live call in the cell; returns at once. Nothing is opened, recorded or paid before the user clicks.

    The call ends when its budget is used up. Where the connection drops, one click goes on, unless `reconnect` does.

    ```python
    call = rtnb.call(instructions="You are a patient French teacher.", voice="marin")
    ```

    Args:
        approve: Called with an `Approval` before the server calls an MCP tool that needs one; returns whether it may
            (sync or async). None: the call shows the question with two buttons.
        turn_detection: `"server_vad"` or `"semantic_vad"`: an open microphone, the server detects the end of a
            turn. A dict is the API's own object. None: push to talk.
        push_to_talk: Whether the user holds the button or the space bar to talk; the same as `turn_detection=None`.
        transcription: Whether the user's words are shown too, which is billed apart. True: by gpt-transcribe at $0.0045
            a minute, when a turn ends. `"gpt-realtime-whisper"` shows them while the user speaks, at $0.017 a minute.
            Another name, or the API's own object: with that.
        show: Whether to show it now. False: show it later with `display(call)`.
        **connection: As described.

    Returns:
        A `Call`: `.turns`, `.cost`, `.log`, `.state`, `await call.hang_up()`, `call.save(path)`.

    Raises:
        InputError: If an argument is not what the API takes.

    Examples:
        >>> call = rtnb.call(practice=True, voice="cedar", show=False)
        >>> call.state  # `call`, as a cell's last line, shows the button
        'ready'
    """
    url, own = connection["url"], {"approve": approve, "transcription": transcription, "modalities": None}
    addresses.parse(url)
    if push_to_talk:
        if turn_detection not in (None, "server_vad"):  # of which the second is the default
            both = "Your call asks for push_to_talk and for turn_detection. Leave one of them out."
            raise InputError(both, turn_detection=turn_detection)
        turn_detection = None
    arguments: Any = {**connection, **own, "turn_detection": turn_detection}
    _, arguments["tools"] = opening.configuration(arguments, models.provider_of(url, connection["provider"]))
    if not connection["practice"] and url is None:
        # Said here, in the cell; by the time the session says it, the cell is over.
        arguments["practice"] = opening.find_openai(connection["key"]) is None
    made = Call(arguments | {"budget": money.Budget.of(connection["budget"])})
    if show:
        made._show()
    return made


class Call(widget.Shown):
    """Live call: shown in a cell, started by a click, over when somebody hangs up.

    Examples:
        >>> call = rtnb.call(practice=True, show=False)
        >>> call.state, call.cost.usd, len(call.turns)
        ('ready', 0.0, 0)
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._engine = Engine(settings, self._send, self._state_changed)
        self._id = f"{id(self):x}-{time.time_ns():x}"
        self._places: list[Any] = []  # handles of the outputs that show it
        self._recorded = False  # whether they show the record of the call, and not the call
        self._replacing = threading.Lock()

    # --- what it is

    @property
    def state(self) -> str:
        """`"ready"`, `"connecting"`, `"open"` or `"closed"`."""
        return self._engine.state

    @property
    def ended(self) -> str:
        """Sentence why it ended; "" while it has not."""
        return self._engine.ended

    @property
    def session(self) -> Session | None:
        """Session of the call now, or the last one. None before the first click."""
        return self._engine.exchange.session

    @property
    def turns(self) -> Turns:
        """Everything said so far, also before a reconnect: who, words, audio."""
        return self._engine.exchange.turns

    @property
    def cost(self) -> money.Cost:
        """Cost of the call so far in US dollars; with the practice server, what it would have been at OpenAI."""
        return self._engine.exchange.cost

    @property
    def log(self) -> Sequence[Entry]:
        """Every event both ways with its time; after a reconnect, that of all sessions one after the other."""
        logs = [one.log for one in self._engine.exchange.sessions]
        return logs[0] if len(logs) == 1 else list(itertools.chain(*logs))

    @property
    def source(self) -> str:
        """Source of the answers: `"openai"`, `"practice"` or the host's name; "" before the first click."""
        return self._engine.exchange.source

    @property
    def seconds(self) -> float:
        """Seconds that the call has been open, also before a reconnect."""
        return self._engine.seconds

    def __repr__(self) -> str:
        lasted = f", {clock(self.seconds)}" if self.seconds else ""
        ended = f", {self.ended}" if self.ended and self.state == "closed" else ""
        count = say("1 turn") if len(self.turns) == 1 else say("{count} turns", count=len(self.turns))
        return f"Call({self.state}{lasted}, {count}{ended})"

    def timeline(self) -> Timeline:
        """Draw the call over time: user, model, tools and socket; after a reconnect, one session after the other.

        Raises:
            InputError: If nobody has clicked yet.
        """
        if not (drawn := [session.timeline() for session in self._engine.exchange.sessions]):
            raise InputError("Your call has not begun. Click the call button first.")
        ends = (max([0.0, *(x.end_seconds for x in one.spans), *(x.at_seconds for x in one.marks)]) for one in drawn)
        begins = list(itertools.accumulate(ends, initial=0.0))
        spans = [span.later(begin) for one, begin in zip(drawn, begins, strict=False) for span in one.spans]
        marks = [mark.later(begin) for one, begin in zip(drawn, begins, strict=False) for mark in one.marks]
        return Timeline(drawn[-1].title, spans, marks)

    # --- what one can do with it

    def hang_up(self) -> Handle[None]:
        """End the call. Safe to call twice and before it began; `await` it, or `.wait()`, until it is closed."""
        return self._engine.end()

    def say(self, text: str) -> None:
        """Type instead of speaking: add your words to the conversation and ask for an answer.

        Raises:
            InputError: If the call is not open.
        """
        self._engine.say(text)

    def save(self, path: str | Path) -> Path:
        """Save what was said; the ending decides what of it.

        Args:
            path: `.txt` or `.md`: who said what. `.wav`, `.mp3`, `.flac`, `.ogg`, `.opus`, `.m4a`: the turns' audio,
                one after the other. `.jsonl`: every event both ways. A folder (no ending): all three.

        Returns:
            The path written.

        Raises:
            InputError: If nothing was said yet.
            AudioError: If the audio cannot be written in that format, or there is none.
        """
        path = Path(path).expanduser()
        if not self.turns:
            raise InputError("Your call has no turns yet. Talk first, then save.")
        clips = [clip for turn in self.turns if (clip := turn.audio) is not None]
        match path.suffix.lower():
            case "":
                path.mkdir(parents=True, exist_ok=True)
                for name in ("call.md", "call.jsonl", *(["call.opus"] if clips else [])):
                    self.save(path / name)
            case ".txt" | ".md" as suffix:
                mark = "**" if suffix == ".md" else ""
                lines = [f"{mark}{say(_NAMES.get(t.role, t.role))}:{mark} {t.told()}" for t in self.turns if t.words]
                save_file(path, "\n\n".join(lines) + "\n")
            case ".jsonl":
                lines = []
                for entry in self.log:
                    line = {"at_seconds": round(entry.at_seconds, 4), "direction": entry.direction, **entry.event}
                    lines.append(json.dumps(without_secrets(line, []), ensure_ascii=False) + "\n")
                save_file(path, "".join(lines))
            case _ if clips:
                return join(clips, gap_seconds=0.4).save(path)
            case _:
                no_sound = "The call has no sound yet. Save its words to a .txt file instead."
                raise AudioError(no_sound, name=str(path), problem="no sound")
        return path

    # --- how it is shown

    def _make(self) -> Any:
        given = self._settings
        setup = {"id": self._id, "hold": given["turn_detection"] is None}
        setup |= {"model": given["model"] or models.DEFAULT, "voice": given["voice"] or ""}
        setup |= {"practice": bool(given["practice"]), "captions": _captions(given["transcription"])}
        waiting.watch_cells()
        names = ("texts", "turns", "echo", "engine", "captions", "notices", "settings", "events", "view", "call")
        scripts = (*widget.MICROPHONE, "playback", "captions", *(f"call/{name}" for name in names))
        made = widget.widget_class("Call", scripts, texts=("call", "microphone"))
        return widget.make(made, self._engine.link.received, setup=setup)

    def _show(self) -> None:
        if frontend.kernel() is not None:
            from IPython.display import display

            self._shown_in = frontend.cell()
            self._places.append(display(self._bundle(), raw=True, display_id=True))
        elif frontend.detect().name != "marimo":  # which shows what a cell ends with
            print(say(_PLAIN))

    def _bundle(self) -> dict[str, Any]:
        return {"text/plain": "A live call.", **widget.view(self.widget, say(record.AGAIN))}

    def _state_changed(self) -> None:
        """Put the record of a call that is over in its place, and the call back where it goes on."""
        if self._places and (self._recorded or self.state == "closed"):
            # It compresses the audio, which would hold up every socket on the I/O thread.
            threading.Thread(target=self._replace, name="rtnb-record", daemon=True).start()

    def _replace(self) -> None:
        with self._replacing:
            self._recorded = self.state == "closed"
            *others, last = self._places
            last.update(self._record() if self._recorded else self._bundle(), raw=True)
            for place in others:  # the audio is stored once
                place.update({"text/plain": repr(self)} if self._recorded else self._bundle(), raw=True)

    def _record(self) -> dict[str, Any]:
        given, practice = self._settings, self.source == "practice"
        facts = [say("practice voice") if practice else self.source, given["model"] or models.DEFAULT]
        facts += [given["voice"] or "", clock(self.seconds)]
        facts += [record.cost_in_words(self.cost, self.source, self._engine.exchange.captions_cost)]
        return {"text/plain": repr(self), "text/html": record.record(self._id, facts, self.ended, self.turns, self.log)}

    def _ipython_display_(self) -> None:
        # `rtnb.call()` as the last line of a cell has shown itself already.
        if self._shown_in != frontend.cell():
            self._show()


def _captions(given: bool | str | Mapping[str, Any]) -> dict[str, str] | Literal[""]:
    """Return which model writes the captions, and what a minute of them costs; "" where there are none."""
    if not given:
        return ""
    prices = models.get(name := str(settings.of_transcription(given).get("model"))).prices
    usd = None if prices is None else prices.audio_in_per_minute_usd
    return {"model": name, "usd": money.money(usd) + ("" if usd is None else "/min")}


_PLAIN = (
    "A live call needs a notebook that runs widgets: JupyterLab 4, Notebook 7, Colab or Voilà. "
    "Here, use rtnb.ask(recording) instead."
)
