"""Live views of a reply: progress, words and audio as they come, and one card at the end.

The reply knows nothing of this; a view subscribes to it. Words, progress and the card are plain HTML in one output
that is updated (`display_id`), so they work wherever cells are shown, also where a program runs them. Only the audio
that plays while it streams is a widget, in a second output, and that one is emptied when it has played: a widget left
in a saved notebook shows nothing but an error when it is opened again.

Whatever goes wrong in here goes to the log and never harms the reply.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from rtnb.protocol import conversation as c
from rtnb.texts.language import say
from rtnb.transport import io_thread
from rtnb.ui.player.widget import StreamPlayer
from rtnb.ui.reply_card.card import card, frame, headline, trouble
from rtnb.ui.shared import frontend, widget

if TYPE_CHECKING:
    from rtnb.session.reply import Reply

__all__ = ["bundle", "card", "show"]

_log = logging.getLogger("rtnb")

_REDRAW_SECONDS = 0.1  # about ten times a second; more only costs the page

_views: weakref.WeakKeyDictionary[Any, _NotebookView] = weakref.WeakKeyDictionary()


def show(reply: Reply) -> None:
    """Show a reply as it comes, where somebody reads: in a notebook's cell or in a terminal.

    Args:
        reply: It may have begun, or be over, already.
    """
    with _harmless():
        where = frontend.detect()
        if frontend.kernel() is not None and where.name != "terminal":
            _NotebookView(reply, where).start()
        elif where.name == "terminal":
            _TerminalView(reply).start()


def bundle(reply: Reply) -> dict[str, str]:
    """Return a reply as MIME types, for the last line of a cell.

    Of a reply that is shown in this same cell already it is a headline only, so that its audio is stored once. One that
    is not done and shown nowhere in this cell shows itself live.

    Returns:
        "text/plain", and "text/html" where a notebook may show it.
    """
    plain = {"text/plain": repr(reply)}
    with _harmless():
        view = _views.get(reply)
        if view is not None and view.cell == frontend.cell():
            return {**plain, "text/html": headline(reply)}
        if not reply.done and frontend.kernel() is not None:
            _NotebookView(reply, frontend.detect()).start()
            return {**plain, "text/html": headline(reply)}
        return {**plain, "text/html": card(reply)}
    return plain


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.warning("rtnb could not show a reply; the reply itself is whole", exc_info=True)


# --- in a notebook ---------------------------------------------------------------------------------------------------


class _Output:
    """Output of the running cell that can be replaced from any thread."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._id = uuid.uuid4().hex
        self.update(data, update=False)

    def update(self, data: dict[str, Any], *, update: bool = True) -> None:
        from IPython.display import publish_display_data

        publish_display_data(data, metadata={}, transient={"display_id": self._id}, update=update)


class _NotebookView:
    """Live view of one reply in one cell."""

    def __init__(self, reply: Reply, where: frontend.Frontend) -> None:
        self.cell = frontend.cell()
        self._reply = reply
        self._where = where
        self._began = time.monotonic()
        self._words: dict[str, str] = {}
        self._drawn = ""
        self._finished = threading.Event()  # the reply is over
        self.carded = threading.Event()  # and its card has been drawn
        self._drawing = threading.Lock()
        self._player: Any = None
        self._player_output: _Output | None = None

    def start(self) -> None:
        _views[self._reply] = self
        self._main = _Output(self._live())
        # VS Code starts no audio without a click, so a player that plays by itself would only be in the way; Voilà runs
        # all cells before it shows any, and where nobody listens it would be a widget that nothing ever empties.
        speaks = self._where.widgets and self._where.person and self._where.name not in ("vscode", "voila")
        if speaks and not self._reply.done and self._expects_audio():
            with _harmless():
                self._start_player()
        _at_end_of_cell(self)
        self._reply.subscribe(self._take)
        io_thread.io_loop().call_soon_threadsafe(self._tick)

    def _expects_audio(self) -> bool:
        return "text" not in (self._reply.session.settings.get("output_modalities") or ())

    # --- on the I/O thread

    def _take(self, update: Any) -> None:
        with _harmless():
            if isinstance(update, c.TextDelta):
                self._words[update.item_id] = update.whole
            elif isinstance(update, c.AudioDelta) and self._player is not None:
                self._player.push(update.item_id, update.pcm)
            elif isinstance(update, c.AudioDone) and self._player is not None:
                self._player.end(update.item_id)
            elif type(update).__name__ == "Finished":
                if self._player is not None:
                    self._send_words()
                    self._player.over()
                self._finished.set()
                # The card compresses the audio, which would hold up every socket on this thread.
                threading.Thread(target=self.finish, name="rtnb-card", daemon=True).start()

    def _tick(self) -> None:
        if self._finished.is_set():
            return
        with _harmless():
            self._send_words()
        with _harmless(), self._drawing:
            data = self._live()
            if data["text/html"] != self._drawn and not self._finished.is_set():
                self._drawn = data["text/html"]
                self._main.update(data)
        io_thread.io_loop().call_later(_REDRAW_SECONDS, self._tick)

    def _send_words(self) -> None:
        if self._player is not None:
            for item_id, whole in self._words.items():
                self._player.words(item_id, whole)

    # --- on a thread of its own, or at the end of the cell

    def finish_if_done(self) -> None:
        """Draw the card of a reply that is over: its last update may still be on its way on the I/O thread."""
        if self._reply.done:
            self._finished.set()
            self.finish()

    def finish(self) -> None:
        """Draw the card in place of the live block, once."""
        with self._drawing:
            if self.carded.is_set():
                return
            with _harmless():
                self._main.update({"text/plain": repr(self._reply), "text/html": card(self._reply)})
            self.carded.set()

    def _live(self) -> dict[str, Any]:
        sent, total = self._reply.progress
        words = "\n".join(self._words.values())
        caret = '<span class="caret"></span>'
        if words:
            plain, body = words, f'<div class="says">{escape(words)}{caret}</div>'
        elif total is None or sent < total:
            meter = _meter(sent, total, time.monotonic() - self._began)
            share = f' max="{total:.3f}" value="{sent:.3f}"' if total else ""
            plain, label = f"{say('Sending')} {meter}", escape(say("Sending"))
            body = f'<progress{share} aria-label="{label}"></progress><div class="mono">{label} {escape(meter)}</div>'
        else:
            plain = say("Waiting for the answer")
            body = f'<div class="dim">{escape(plain)}{caret}</div>'
        return {"text/plain": plain, "text/html": frame(body)}

    # --- audio

    def _start_player(self) -> None:
        self._player = StreamPlayer(self._played)
        self._player_output = _Output({**widget.view(self._player.widget), "text/plain": ""})

    def _played(self) -> None:
        output, self._player_output = self._player_output, None
        if output is not None:
            with _harmless():
                output.update({"text/plain": "", "text/html": ""})
                self._player.close()


def _meter(sent: float, total: float | None, elapsed: float) -> str:
    """Return the seconds of audio sent, as tqdm says it."""
    from tqdm import tqdm

    if total is None:
        shape = "{n:.1f} s [{elapsed}, {rate_noinv:.0f}×]"
    else:
        shape = "{percentage:3.0f}% {n:.1f}/{total:.1f} s [{elapsed}<{remaining}, {rate_noinv:.0f}×]"
    return str(tqdm.format_meter(sent, total, max(elapsed, 1e-3), bar_format=shape))


# A program that runs cells keeps what came before a cell's end and drops what comes later. So a cell whose reply is
# over does not end before its card is there.
_open_views: list[_NotebookView] = []


def _at_end_of_cell(view: _NotebookView) -> None:
    if not _open_views:
        frontend.shell().events.register("post_run_cell", _end_of_cell)
    _open_views.append(view)


def _end_of_cell(*_: Any) -> None:
    with _harmless():
        frontend.shell().events.unregister("post_run_cell", _end_of_cell)
        for view in _open_views[:]:
            view.finish_if_done()
        _open_views.clear()


# --- in a terminal ---------------------------------------------------------------------------------------------------


def _bar_format(total: float | None) -> str:
    if not total:
        return "{desc} {n:.1f} s [{elapsed}]"
    return "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]"


class _TerminalView:
    """View in a terminal: progress on stderr, words on stdout as they come."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._bar: Any = None
        self._said: dict[str, int] = {}
        self._over = False

    def start(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self._reply.progress[1],
            desc=say("Sending"),
            unit="s",
            leave=False,
            file=sys.stderr,
            bar_format=_bar_format(self._reply.progress[1]),
        )
        self._reply.subscribe(self._take)
        io_thread.io_loop().call_soon_threadsafe(self._tick)

    def _tick(self) -> None:
        if self._bar is None:
            return
        with _harmless():
            sent, total = self._reply.progress
            self._bar.total = total
            self._bar.bar_format = _bar_format(total)
            self._bar.n = sent
            self._bar.refresh()
        io_thread.io_loop().call_later(_REDRAW_SECONDS, self._tick)

    def _take(self, update: Any) -> None:
        with _harmless():
            if isinstance(update, c.TextDelta):
                self._end_bar()
                said = self._said.get(update.item_id, 0)
                if self._said and update.item_id not in self._said:
                    sys.stdout.write("\n")
                self._said[update.item_id] = len(update.whole)
                sys.stdout.write(update.whole[said:])
                sys.stdout.flush()
            elif type(update).__name__ == "Finished" and not self._over:
                self._over = True
                self._end_bar()
                if self._said:
                    sys.stdout.write("\n")
                    sys.stdout.flush()
                # An error is raised where the reply is awaited; what is no error is printed here.
                if self._reply.error is None and (problem := trouble(self._reply)):
                    print(problem.replace("\n", " "), file=sys.stderr)

    def _end_bar(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
