"""Live views of a reply: progress, words and audio as they come, and one card at the end.

The reply knows nothing of this; a view subscribes to it. Words, progress and the card are plain HTML in one output
that is updated (`display_id`), so they work wherever cells are shown, also where a program runs them. Only the audio
that plays while it streams is a widget, in a second output; when it has played, the same player as plain HTML takes its
place there: a widget left in a saved notebook shows nothing but an error when it is opened again.

Whatever goes wrong in here goes to the log and never harms the reply.
"""

import asyncio
import contextlib
import contextvars
import logging
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any

from rtnb.protocol.updates import AudioDelta, AudioDone, TextDelta
from rtnb.session.reply import Reply
from rtnb.session.updates import Finished
from rtnb.texts.language import say
from rtnb.transport import io_thread
from rtnb.ui.player.widget import StreamPlayer
from rtnb.ui.reply_card.card import card, headline, player, spoken, trouble
from rtnb.ui.shared import frontend, widget

_log = logging.getLogger("rtnb")

_REDRAW_SECONDS = 0.1  # about ten times a second; more only costs the page
_LATE_SECONDS = 0.15  # `rate_limits.updated` comes 29–46 ms after the end of an answer (recorded)

_views: "weakref.WeakKeyDictionary[Any, _NotebookView]" = weakref.WeakKeyDictionary()


def show(reply: Reply) -> None:
    """Show a reply as it comes, where somebody reads: in a notebook's cell or in a terminal.

    Args:
        reply: It may have begun, or be over, already.
    """
    with _harmless():
        if (where := frontend.detect()).name == "terminal":
            _TerminalView(reply)
        elif frontend.kernel() is not None:
            _NotebookView(reply, where).start()


def bundle(reply: Reply) -> dict[str, str]:
    """Return a reply as MIME types, for the last line of a cell.

    Of a reply that is shown in this same cell already it is a headline only, so that its audio is stored once. One that
    is not done and shown nowhere in this cell shows itself live.

    Returns:
        "text/plain", and "text/html" where a notebook may show it.
    """
    plain = {"text/plain": repr(reply)}
    with _harmless():
        shown = (view := _views.get(reply)) is not None and view.cell == frontend.cell()
        if not (shown or reply.done or frontend.kernel() is None):
            _NotebookView(reply, frontend.detect()).start()
            shown = True
        elif shown and reply.done:  # below its card, which may wait for the lines of the last events
            _views[reply].finish()
        return {**plain, "text/html": headline(reply) if shown else card(reply)}
    return plain


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.warning("rtnb could not show a reply; the reply itself is whole", exc_info=True)


# --- in a notebook ---------------------------------------------------------------------------------------------------


class _NotebookView:
    """Live view of one reply in one cell."""

    def __init__(self, reply: Reply, where: frontend.Frontend) -> None:
        self.cell = frontend.cell()
        self._reply, self._where = reply, where
        self._began = time.monotonic()
        self._words: dict[str, str] = {}
        self._drawn = ""
        self._finished = threading.Event()  # the reply is over
        self.carded = threading.Event()  # and its card has been drawn
        self._drawing = threading.Lock()
        self._raised = False  # whether the card leaves it to an error of the cell to say what went wrong
        self._player: Any = None
        self._player_output: Any = None

    def start(self) -> None:
        from IPython.display import display

        _views[self._reply] = self
        # Outputs that can be replaced from any thread; none above the lines of events, which the card follows.
        verbose = self._reply.session.lifecycle.verbose
        self._main: Any = None if verbose else display(self._live(), raw=True, display_id=True)
        # In the context of this cell, to which the card belongs whenever it comes.
        later = partial(contextvars.copy_context().run, display)
        self._draw: Any = later if self._main is None else self._main.update
        # VS Code starts no audio without a click, so a player that plays by itself would only be in the way; Voilà runs
        # all cells before it shows any, and where nobody listens it would be a widget that nothing ever empties.
        speaks = self._where.widgets and self._where.person and self._where.name not in ("vscode", "voila")
        expects_audio = "text" not in (self._reply.session.settings.get("output_modalities") or ())
        if speaks and not self._reply.done and expects_audio:
            with _harmless():
                self._player = StreamPlayer(self._played)
                shown = {**widget.view(self._player.widget, ""), "text/plain": ""}
                self._player_output = display(shown, raw=True, display_id=True)
        # A program that runs cells keeps what came before a cell's end and drops what comes later. So a cell whose
        # reply is over does not end before its card is there.
        frontend.shell().events.register("post_run_cell", self._end_of_cell)
        self._reply.subscribe(self._take)
        io_thread.io_loop().call_soon_threadsafe(self._tick)

    # --- on the I/O thread

    def _take(self, update: Any) -> None:
        with _harmless():
            match update:
                case TextDelta(item_id=item_id, whole=whole):
                    self._words[item_id] = whole
                case AudioDelta(item_id=item_id, pcm=pcm) if self._player is not None:
                    self._player.push(item_id, pcm)
                case AudioDone(item_id=item_id) if self._player is not None:
                    self._player.end(item_id)
                case Finished():
                    self._send_words()
                    if self._player is not None:
                        self._player.over(stop=self._reply.status == "cancelled")
                    # The card compresses the audio, which would hold up every socket on this thread.
                    threading.Thread(target=self.finish, name="rtnb-card", daemon=True).start()

    def _tick(self) -> None:
        if self._finished.is_set():
            return
        with _harmless():
            self._send_words()
        with _harmless(), self._drawing:
            data = self._live()
            if self._main is not None and data["text/html"] != self._drawn and not self._finished.is_set():
                self._drawn = data["text/html"]
                self._main.update(data, raw=True)
        io_thread.io_loop().call_later(_REDRAW_SECONDS, self._tick)

    def _send_words(self) -> None:
        if self._player is not None:
            for item_id, whole in self._words.items():
                self._player.words(item_id, whole)

    # --- on a thread of its own, or at the end of the cell

    def _end_of_cell(self, *_: Any) -> None:
        with _harmless():
            frontend.shell().events.unregister("post_run_cell", self._end_of_cell)
            if self._reply.done:
                self.finish()

    def finish(self) -> None:
        """Draw the card in place of the live block, or below the lines of the events, once; of a reply that is over."""
        self._finished.set()  # its last update may still be on its way on the I/O thread
        if self._main is None and not self.carded.is_set():
            with contextlib.suppress(TimeoutError):  # without the lock, which the I/O thread may be waiting for
                quiet = self._reply.session.lifecycle.listeners.quiet(_LATE_SECONDS)
                io_thread.submit(asyncio.wait_for(quiet, 1)).result()
        with self._drawing:
            before, self._raised = self._raised, self._reply.waited_for
            # Once more at the end of the cell, where it was over before the cell came to wait for it.
            again = self._main is not None and self._reply.error is not None and before is not self._raised
            if again or not self.carded.is_set():
                with _harmless():
                    whole = card(self._reply, key=self._key, with_player=self._player is None, raised=self._raised)
                    self._draw({"text/plain": repr(self._reply), "text/html": whole}, raw=True)
                self.carded.set()
        with _harmless():
            player(self._reply)  # compresses the audio, which is kept, before the player is wanted

    @property
    def _key(self) -> str:
        return "" if self._player is None else str(self._player.key)

    def _live(self) -> dict[str, Any]:
        sent, total = self._reply.progress
        words = "\n".join(self._words.values())
        caret = '<span class="caret"></span>'
        if words:
            plain, body = words, spoken(words, self._key, caret)
        elif total is None or sent < total:
            meter = _meter(sent, total, time.monotonic() - self._began)
            share = f' max="{total:.3f}" value="{sent:.3f}"' if total else ""
            plain, label = f"{say('Sending')} {meter}", escape(say("Sending"))
            body = f'<progress{share} aria-label="{label}"></progress><div class="mono">{label} {escape(meter)}</div>'
        else:
            plain = say("Waiting for the answer")
            body = f'<div class="dim">{escape(plain)}{caret}</div>'
        return {"text/plain": plain, "text/html": card(self._reply, body=body, with_player=False)}

    # --- audio

    def _played(self) -> None:
        output, self._player_output = self._player_output, None
        if output is not None:
            with _harmless():
                output.update({"text/plain": "", "text/html": player(self._reply)}, raw=True)
                self._player.close()


def _meter(sent: float, total: float | None, elapsed: float) -> str:
    """Return the seconds of audio sent, as tqdm says it."""
    from tqdm import tqdm

    of_total = "{percentage:3.0f}% {n:.1f}/{total:.1f} s [{elapsed}<{remaining}, {rate_noinv:.0f}×]"
    shape = "{n:.1f} s [{elapsed}, {rate_noinv:.0f}×]" if total is None else of_total
    return str(tqdm.format_meter(sent, total, max(elapsed, 1e-3), bar_format=shape))


# --- in a terminal ---------------------------------------------------------------------------------------------------


def _bar_format(total: float | None) -> str:
    if not total:
        return "{desc} {n:.1f} s [{elapsed}]"
    return "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]"


class _TerminalView:
    """View in a terminal: progress on stderr, words on stdout as they come."""

    def __init__(self, reply: Reply) -> None:
        from tqdm import tqdm

        self._reply = reply
        self._said: dict[str, int] = {}
        self._verbose = reply.session.lifecycle.verbose  # the words come whole, below the lines of the events
        how = {"unit": "s", "leave": False, "bar_format": _bar_format(reply.progress[1]), "disable": self._verbose}
        self._bar = tqdm(total=reply.progress[1], desc=say("Sending"), **how)
        self._reply.subscribe(self._take)
        io_thread.io_loop().call_soon_threadsafe(self._tick)

    def _tick(self) -> None:
        if self._bar.disable:  # closed
            return
        with _harmless():
            self._bar.n, self._bar.total = self._reply.progress
            self._bar.bar_format = _bar_format(self._bar.total)
            self._bar.refresh()
        io_thread.io_loop().call_later(_REDRAW_SECONDS, self._tick)

    def _take(self, update: Any) -> None:
        with _harmless():
            match update:
                case TextDelta(item_id=item_id, whole=whole) if not self._verbose:
                    self._bar.close()
                    gap = "\n" if self._said and item_id not in self._said else ""
                    print(gap + whole[self._said.get(item_id, 0) :], end="", flush=True)
                    self._said[item_id] = len(whole)
                case Finished():
                    self._bar.close()
                    words = self._reply.text if self._verbose else ""
                    if words or self._said:
                        print(words, flush=True)
                    # An error is raised where the reply is awaited; what is no error is printed here.
                    if self._reply.error is None and (problem := trouble(self._reply)):
                        print(problem.replace("\n", " "), file=sys.stderr)
