"""Show a talk over time, as a picture and in words, with lanes for the person, the model, tools and the socket.

Everything is read from the log and the conversation; nothing is measured here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path

from rtnb import html
from rtnb.errors import InputError
from rtnb.protocol.conversation import Conversation
from rtnb.protocol.log import Log
from rtnb.texts.arguments import checks_call
from rtnb.texts.files import save_file
from rtnb.texts.language import language, translate
from rtnb.timeline.chart import Chart, css
from rtnb.timeline.measure import Mark, Span, measure

_MOVE = (
    " ontimeupdate=\"var g=this.closest('.rtnb-tlbox').querySelector('[data-sound=&quot;'+this.dataset.of+'&quot;]');"
    "g.style.setProperty('--p',this.ended?0:this.currentTime/this.duration||0)\""
)
# One handler on the frame: plays the bar that was clicked (Enter and Space do the same), stops the one that plays.
_CLICK = (
    " onclick=\"var g=event.target.closest('[data-sound]');if(!g)return;this.querySelectorAll('audio').forEach("
    "function(a){if(a.dataset.of!==g.dataset.sound){a.pause();a.currentTime=0}"
    'else if(a.paused)a.play();else a.pause()})"'
    " onkeydown=\"if((event.key==='Enter'||event.key===' ')&&event.target.dataset.sound!==undefined)"
    "{event.preventDefault();event.target.dispatchEvent(new MouseEvent('click',{bubbles:true}))}\""
)


# A cell narrower than this scrolls, so that the words stay large enough to read.
_FIT = "width:100%;min-width:40rem;max-width:none"
# Where handlers run, the picture becomes a part of the page: it has the page's colours, and its bars can be pressed.
_DRAW = (
    " onload=\"var d=document.createElement('div'),t=atob(this.src.split(',')[1]),h=this.parentNode.querySelector('p');"
    "d.innerHTML=new TextDecoder().decode(Uint8Array.from(t,function(c){return c.charCodeAt(0)}));"
    "var s=d.firstChild;s.querySelector('style').remove();s.style.cssText=this.style.cssText;this.replaceWith(s);"
    'if(h&amp;&amp;h.dataset.plays)h.textContent=h.dataset.plays"'
)


@checks_call
class Timeline:
    """Picture of a session or a turn. It shows itself in a notebook.

    Attributes:
        title: What it is of.
        spans: What lasts, in order of beginning.
        marks: What happens at a moment, in order.
        seconds_to_first_sound: Seconds from each question to the first audio of its answer; of a written one, to its
            first word.
        interruptions: Marks where the user spoke over the model, and where an answer was truncated to what had played.

    Examples:
        >>> reply = rtnb.ask(rtnb.samples()["question"], practice=True, show=False).wait()
        >>> reply.timeline().save("talk.svg").name
        'talk.svg'
    """

    def __init__(self, title: str, spans: Iterable[Span], marks: Iterable[Mark]) -> None:
        self.title = title
        self.spans: tuple[Span, ...] = tuple(sorted(spans, key=lambda span: span.start_seconds))
        self.marks: tuple[Mark, ...] = tuple(sorted(marks, key=lambda mark: mark.at_seconds))
        waits = (mark.at_seconds - mark.since_seconds for mark in self.marks if mark.since_seconds is not None)
        self.seconds_to_first_sound: tuple[float, ...] = tuple(waits)
        self.interruptions = tuple(mark for mark in self.marks if mark.kind in ("interrupted", "truncated"))

    @classmethod
    def read(cls, title: str, log: Log, conversation: Conversation, begin: int = 0, end: int | None = None) -> Timeline:
        """Draw the entries of a log from index `begin` up to `end`; None takes all to the last."""
        return cls(title, *measure(log, conversation, begin, end))

    def _words(self) -> list[tuple[float, str, str, str]]:
        """Return what is drawn as `(second, lane, what, duration)`."""
        rows = [(span.start_seconds, translate(span.lane), span.words, f"{span.seconds:.2f} s") for span in self.spans]
        rows += [(mark.at_seconds, translate(mark.lane), mark.label, "") for mark in self.marks if mark.label]
        return sorted(rows)

    def __repr__(self) -> str:
        if not self.spans and not self.marks:
            return translate("Timeline(nothing has happened yet)")
        lines = [f"{at:8.2f} s  {lane:<7} {', '.join(filter(None, what))}" for at, lane, *what in self._words()]
        return "\n".join([f"Timeline({self.title})", *lines])

    def svg(self, width: int = 900) -> str:
        """Draw it as an SVG picture.

        Args:
            width: Pixels, at least 300; the picture scales with its page.

        Returns:
            The `<svg>` element.
        """
        return Chart(self.title, self.spans, self.marks, max(300, width)).svg()

    def _repr_html_(self) -> str:
        total = sum(span.sound_seconds for span in self.spans)
        plays = 0 < total <= 20.0  # seconds of audio in a notebook's output: about 60 KB
        chart = Chart(self.title, self.spans, self.marks, 900)
        picture = base64.b64encode(_alone(chart.svg()).encode()).decode()
        note = translate('save("talk.html") keeps it with its sound') if total else ""
        hint = f' data-plays="{translate("click a bar to hear it")}"' if plays else ""
        hint = f"<p{hint}>{escape(note)}</p>" if note else ""
        words = f"<details><summary>{translate('The same in words')}</summary>{self._table()}</details>"
        image = f'<img alt="{escape(chart.label)}" src="data:image/svg+xml;base64,{picture}" style="{_FIT}"{_DRAW}>'
        return _framed(image + (self._players() if plays else "") + hint + words, handlers=_CLICK if plays else "")

    def _players(self) -> str:
        """Return an audio element for each span that has audio, once."""
        parts = []
        for number, span in enumerate(self.spans):
            if span.sound_seconds >= 0.02 and (clip := span.audio) is not None:
                source = f"data:audio/ogg;base64,{base64.b64encode(clip.encode('opus')).decode()}"
                parts.append(f'<audio data-of="{number}" preload="none" src="{source}"{_MOVE}></audio>')
        return "".join(parts)

    def save(self, path: str | Path) -> Path:
        """Write it to a file: `.html` is one page with everything in it, audio included; `.svg` is the picture alone.

        Returns:
            The path written.

        Raises:
            InputError: If the ending is neither, or the place cannot be written to.
        """
        target = Path(path).expanduser()
        if (ending := target.suffix.lower()) not in (".html", ".htm", ".svg"):
            raise InputError(f"Your file {target.name} is neither .html nor .svg. Give it one of these endings.")
        if ending == ".svg":
            text = _alone(self.svg())
        else:
            width = max(900, min(20_000, round(Chart(self.title, self.spans, self.marks, 900).seconds * 60)))
            block = self.svg(width) + self._players() + f"<p>{translate('Click a bar to hear it.')}</p>"
            page = Path(__file__).with_name("page.html").read_text("utf-8")
            texts = {"language": language(), "title": escape(translate(f"Timeline: {self.title}"))}
            texts["summary"] = translate("The same in words")
            text = page.format(**texts, block=_framed(block, handlers=_CLICK), table=self._table())
        return save_file(target, text)

    def _table(self) -> str:
        """Return the same in words, for those who read rather than look."""
        rows = [(f"{at:.2f} s", *of_row) for at, *of_row in self._words()]
        return html.table(("at", "who", "what", "how long"), rows, right=(0, 3))


def _alone(svg: str) -> str:
    """Return an `<svg>` element as a file of its own."""
    named = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return named.replace(">", f"><style>{css()}</style>", 1)


def _framed(body: str, handlers: str) -> str:
    return html.root(body, kind="rtnb-tlbox", css=f"<style>{css()}</style>", attributes=handlers)
