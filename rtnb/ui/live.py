"""How a reply shows itself: progress, words and sound as they come, and one card at the end.

The reply knows nothing of this; a view subscribes to it. Words, progress and the card are plain HTML in one output
that is updated (`display_id`), so they work wherever cells are shown, also where a program runs them. Only the sound
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

from rtnb import html
from rtnb.errors import mask_secrets
from rtnb.protocol import conversation as c
from rtnb.texts.language import text
from rtnb.transport import io_thread
from rtnb.ui import frontend

if TYPE_CHECKING:
    from rtnb.session.reply import Reply

_log = logging.getLogger("rtnb")

_REDRAW_SECONDS = 0.1  # about ten times a second; more only costs the page

_views: weakref.WeakKeyDictionary[Any, _NotebookView] = weakref.WeakKeyDictionary()
_players: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


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
    """A reply as MIME types, for the last line of a cell.

    A reply that is shown in this same cell already gives a headline only, so that its sound is stored once. One that
    is not done and shown nowhere in this cell shows itself live.

    Returns:
        "text/plain", and "text/html" where a notebook may show it.
    """
    plain = {"text/plain": repr(reply)}
    with _harmless():
        view = _views.get(reply)
        if view is not None and view.cell == _cell():
            return {**plain, "text/html": _headline(reply)}
        if not reply.done and frontend.kernel() is not None:
            _NotebookView(reply, frontend.detect()).start()
            return {**plain, "text/html": _headline(reply)}
        return {**plain, "text/html": card(reply)}
    return plain


@contextlib.contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception:
        _log.warning("rtnb could not show a reply; the reply itself is whole", exc_info=True)


# --- the card --------------------------------------------------------------------------------------------------------

# What the card adds to html.py's look. The caret and the bar are the live block's.
_CSS = """<style>
.rtnb .head{display:flex;gap:.6rem;align-items:baseline;flex-wrap:wrap}
.rtnb .says{font-size:1.08em;white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}
.rtnb .heard{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0;color:var(--dim)}
.rtnb .chip{border:1px solid var(--line);border-radius:999px;padding:0 .6rem;font-size:.9em;color:var(--dim)}
.rtnb .facts{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;margin:.4rem 0 0;color:var(--dim);font-size:.92em}
.rtnb .facts b{font-weight:500;color:var(--fg)}
.rtnb .tools{display:flex;gap:.4rem;align-items:center;margin:.3rem 0;font-size:.92em}
.rtnb .tools button,.rtnb .tools a{font:inherit;color:var(--fg);background:transparent;border:1px solid var(--line);
border-radius:6px;padding:.05rem .5rem;cursor:pointer;text-decoration:none}
.rtnb .tools button:hover,.rtnb .tools a:hover{border-color:var(--accent)}
.rtnb .tools :focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.rtnb .tools [aria-pressed=true]{background:var(--soft);border-color:var(--accent)}
.rtnb .caret{display:inline-block;width:.5em;height:1em;background:var(--accent);
vertical-align:-.15em;margin-left:.15em}
.rtnb progress{width:100%;height:.5rem;accent-color:var(--accent);margin:.3rem 0}
.rtnb .mono{font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:.9em;color:var(--dim)}
</style>"""

_SPEED = (
    "var t=this.parentNode,a=t.parentNode.querySelector('audio');a.playbackRate={speed};a.preservesPitch=true;"
    "t.querySelectorAll('button').forEach(function(b){{b.setAttribute('aria-pressed',b===event.currentTarget)}})"
)
# The link takes its address from the element that holds the sound: written into it, the sound would be stored twice.
_DOWNLOAD = "this.href=this.parentNode.parentNode.querySelector('audio').src"


def card(reply: Reply) -> str:
    """The whole reply as one piece of HTML: words, a player, tokens, cost, who answered, and what went wrong."""
    parts = [f'<div class="head"><strong>{escape(text("live.answer"))}</strong>{_chips(reply)}</div>']
    if reply.transcript:
        parts.append(f'<div class="heard">{escape(text("live.you"))}: {escape(reply.transcript)}</div>')
    if words := reply.text:
        parts.append(f'<div class="says">{escape(words)}</div>')
    elif reply.status == "completed" and not reply.audio:
        parts.append(f'<div class="says dim">{escape(text("live.no_words"))}</div>')
    if trouble := _trouble(reply):
        parts.append(_inner(html.notice(trouble, "error" if reply.status == "failed" else "warning")))
    if (player := _player(reply)) is not None:
        parts += [player, _tools()]
    parts.append(_facts(reply))
    for warning in reply.warnings:
        parts.append(_inner(html.notice(warning, "warning")))
    return _frame("".join(parts))


def _player(reply: Reply) -> str | None:
    """The answer's player; None without sound. Compressed once however often a reply is shown."""
    if reply in _players:
        return _players[reply]
    if (sound := reply.audio) is None:
        return None
    player = _inner(html.player(sound.encode("opus"), sound.peaks(), sound.seconds, text("live.play_answer")))
    if reply.done:
        _players[reply] = player
    return player


def _frame(body: str) -> str:
    # html.py's style once, then ours, then one frame around all.
    style = html.notice("").split("</style>", 1)[0] + "</style>"
    group = f' role="group" aria-label="{escape(text("live.answer"))}"'
    return html.root(body, kind="rtnb", css=style + _CSS, attributes=group)


def _inner(page: str) -> str:
    """A piece of html.py without its style sheet, which the frame has once."""
    return page.split("</style>", 1)[-1]


def _chips(reply: Reply) -> str:
    who = text(f"live.{reply.source}") if reply.source in ("practice", "replay") else reply.source
    chips = [who, reply.model]
    if reply.status != "completed":
        chips.insert(0, reply.status)
    return "".join(f'<span class="chip">{escape(chip)}</span>' for chip in chips if chip)


def _tools() -> str:
    speeds = "".join(
        f'<button type="button" aria-pressed="{"true" if speed == 1 else "false"}" '
        f'onclick="{escape(_SPEED.format(speed=speed))}">{speed:g}×</button>'
        for speed in (0.75, 1, 1.25, 1.5, 2)
    )
    return (
        f'<div class="tools" role="group" aria-label="{escape(text("live.speed"))}"><span class="dim">'
        f"{escape(text('live.speed'))}</span>{speeds}"
        f'<a download="answer.ogg" href="#" onclick="{escape(_DOWNLOAD)}">{escape(text("live.download"))}</a></div>'
    )


def _facts(reply: Reply) -> str:
    facts: list[tuple[str, str]] = []
    usage = reply.usage
    tokens_in = usage.input_text_tokens + usage.input_audio_tokens + usage.input_image_tokens
    tokens_out = usage.output_text_tokens + usage.output_audio_tokens
    if tokens_in or tokens_out:
        facts.append((text("live.tokens"), text("live.tokens_value", input=f"{tokens_in:,}", output=f"{tokens_out:,}")))
    facts.append((text("live.cost"), _money(reply)))
    if (seconds := reply.seconds_to_first_sound) is not None:
        told = text("live.first_sound_tools", seconds=f"{reply.seconds_in_tools:.2f}") if reply.seconds_in_tools else ""
        facts.append((text("live.first_sound"), f"{seconds:.2f} s{told}"))
    if reply.tool_calls:
        facts.append((text("live.tools"), "; ".join(repr(call) for call in reply.tool_calls)))
    pairs = "".join(f"<span>{escape(name)} <b>{escape(value)}</b></span>" for name, value in facts)
    return f'<div class="facts">{pairs}</div>'


def _money(reply: Reply) -> str:
    cost = reply.cost
    if reply.source in ("practice", "replay"):
        return text("live.cost_free") if cost.usd is None else text("live.cost_elsewhere", cost=cost)
    return text("live.cost_unknown") if cost.usd is None else str(cost)


def _trouble(reply: Reply) -> str:
    """What went wrong, in the server's words, and what to do. "" where nothing did."""
    status = reply.status
    if status == "completed" or not reply.done:
        return ""
    if reply.error is not None:
        # Ours already say who is to blame first and what to do last.
        return mask_secrets(str(reply.error))
    details = reply.status_details or {}
    error = details.get("error") or {}
    reason = str(details.get("reason") or "")
    code = str(error.get("code") or error.get("type") or "")
    first = text(f"live.is_{status}") if status in ("failed", "cancelled", "incomplete") else status
    server = " ".join(part for part in (code, str(error.get("message") or ""), reason) if part)
    remedy = ""
    if "rate_limit" in code:
        remedy = text("live.do_rate_limit")
    elif reason in ("max_output_tokens", "content_filter", "turn_detected"):
        remedy = text(f"live.do_{reason}")
    elif status == "failed":
        remedy = text("live.do_failed")
    return mask_secrets("\n".join(part for part in (first, server, remedy) if part))


def _headline(reply: Reply) -> str:
    first = repr(reply).split("): ")[0].removesuffix(")") + ")"  # without the words
    return _frame(f'<div class="dim">{escape(first)} · {escape(text("live.see_above"))}</div>')


# --- in a notebook ---------------------------------------------------------------------------------------------------


def _shell() -> Any:
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _cell() -> int:
    """Which cell is running, by its execution count."""
    return int(getattr(_shell(), "execution_count", -1))


class _Output:
    """One output of the running cell that can be replaced from any thread."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._id = uuid.uuid4().hex
        self._publish(data, update=False)

    def update(self, data: dict[str, Any]) -> None:
        self._publish(data, update=True)

    def _publish(self, data: dict[str, Any], *, update: bool) -> None:
        from IPython.display import publish_display_data

        publish_display_data(data, metadata={}, transient={"display_id": self._id}, update=update)


class _NotebookView:
    """The live view of one reply in one cell."""

    def __init__(self, reply: Reply, where: frontend.Frontend) -> None:
        self.cell = _cell()
        self._reply = reply
        self._where = where
        self._began = time.monotonic()
        self._words: dict[str, str] = {}
        self._drawn = ""
        self._finished = threading.Event()  # the reply is over
        self.carded = threading.Event()  # and its card has been drawn
        self._drawing = threading.Lock()
        self._player: Any = None
        self._strip: _Output | None = None

    def start(self) -> None:
        _views[self._reply] = self
        self._main = _Output(self._live())
        # VS Code starts no sound without a click, so a strip that plays by itself would only be in the way; Voilà runs
        # all cells before it shows any, and where nobody listens it would be a widget that nothing ever empties.
        speaks = self._where.widgets and self._where.person and self._where.name not in ("vscode", "voila")
        if speaks and not self._reply.done and self._expects_sound():
            with _harmless():
                self._start_player()
        _at_end_of_cell(self)
        self._reply.subscribe(self._hear)
        io_thread.io_loop().call_soon_threadsafe(self._tick)

    def _expects_sound(self) -> bool:
        return "text" not in (self._reply.session.settings.get("output_modalities") or ())

    # --- on the I/O thread

    def _hear(self, update: Any) -> None:
        with _harmless():
            if isinstance(update, c.TextDelta):
                self._words[update.item_id] = update.whole
            elif isinstance(update, c.AudioDelta):
                if self._player is not None:
                    self._player.push(update.item_id, update.pcm)
            elif isinstance(update, c.AudioDone):
                if self._player is not None:
                    self._player.end(update.item_id)
            elif type(update).__name__ == "Finished":
                if self._player is not None:
                    self._tell_words()
                    self._player.over()
                self._finished.set()
                # The card compresses the sound, which would hold up every socket on this thread.
                threading.Thread(target=self.finish, name="rtnb-card", daemon=True).start()

    def _tick(self) -> None:
        if self._finished.is_set():
            return
        with _harmless():
            self._tell_words()
        with _harmless(), self._drawing:
            data = self._live()
            if data["text/html"] != self._drawn and not self._finished.is_set():
                self._drawn = data["text/html"]
                self._main.update(data)
        io_thread.io_loop().call_later(_REDRAW_SECONDS, self._tick)

    def _tell_words(self) -> None:
        if self._player is not None:
            for item_id, whole in self._words.items():
                self._player.words(item_id, whole)

    # --- on a thread of its own, or at the end of the cell

    def finish(self) -> None:
        """Put the card in place of the live block; done once."""
        with self._drawing:
            if self.carded.is_set():
                return
            with _harmless():
                self._main.update({"text/plain": repr(self._reply), "text/html": card(self._reply)})
            self.carded.set()

    def _live(self) -> dict[str, Any]:
        sent, total = self._reply.progress
        words = "\n".join(self._words.values())
        body, plain = "", words
        if not words and (total is None or sent < total):
            meter = _meter(sent, total, time.monotonic() - self._began)
            share = f' max="{total:.3f}" value="{sent:.3f}"' if total else ""
            label = escape(text("live.sending"))
            body = f'<progress{share} aria-label="{label}"></progress><div class="mono">{label} {escape(meter)}</div>'
            plain = f"{text('live.sending')} {meter}"
        elif not words:
            body = f'<div class="dim">{escape(text("live.thinking"))}<span class="caret"></span></div>'
            plain = text("live.thinking")
        else:
            body = f'<div class="says">{escape(words)}<span class="caret"></span></div>'
        return {"text/plain": plain, "text/html": _frame(body)}

    # --- sound

    def _start_player(self) -> None:
        from rtnb.ui.player import StreamPlayer

        self._player = StreamPlayer(self._played)
        view = {"model_id": self._player.widget.model_id, "version_major": 2, "version_minor": 0}
        self._strip = _Output({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""})

    def _played(self) -> None:
        strip, self._strip = self._strip, None
        if strip is not None:
            with _harmless():
                strip.update({"text/plain": "", "text/html": ""})
                self._player.close()


def _meter(sent: float, total: float | None, elapsed: float) -> str:
    """Seconds of sound sent, as tqdm says it."""
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
    shell = _shell()
    if not _open_views:
        shell.events.register("post_run_cell", _end_of_cell)
    _open_views.append(view)


def _end_of_cell(*_: Any) -> None:
    with _harmless():
        _shell().events.unregister("post_run_cell", _end_of_cell)
        for view in _open_views[:]:
            if view._reply.done:
                # Finished may still be on its way on the I/O thread; the card can be drawn from here as well.
                view._finished.set()
                view.finish()
        _open_views.clear()


# --- in a terminal ---------------------------------------------------------------------------------------------------


def _bar_format(total: float | None) -> str:
    if not total:
        return "{desc} {n:.1f} s [{elapsed}]"
    return "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]"


class _TerminalView:
    """Progress on stderr, words on stdout as they come."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._bar: Any = None
        self._said: dict[str, int] = {}
        self._over = False

    def start(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self._reply.progress[1],
            desc=text("live.sending"),
            unit="s",
            leave=False,
            file=sys.stderr,
            bar_format=_bar_format(self._reply.progress[1]),
        )
        self._reply.subscribe(self._hear)
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

    def _hear(self, update: Any) -> None:
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
                # An error is raised where the reply is awaited; what is no error is told here.
                if self._reply.error is None and (trouble := _trouble(self._reply)):
                    print(trouble.replace("\n", " "), file=sys.stderr)

    def _end_bar(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.close()
