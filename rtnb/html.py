"""Show values in a notebook: plain values in, a piece of HTML out. No state, no script to load, nothing fetched.

Colours are Jupyter's own variables with a fallback for pages that have none (Colab, VS Code, a saved page), so that
light and dark both read well. Everything a caller passes is escaped; `Safe` marks what is HTML already. What is shown
reads the same where a page strips style sheets and handlers: words stand in lines and cells, and the layout that a
table needs is its cells' own. What only a script can do, playing for one, is built by an inline handler
(`texts/html.js`), so that a page which strips it shows no control that does nothing.
"""

import base64
import json
import re
from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Literal

from rtnb.texts.language import say, translate
from rtnb.texts.shortening import clock


class Safe(str):
    """Text that is HTML already and must not be escaped again."""


_TEXTS = Path(__file__).parent / "texts"
# Light by default, dark where Jupyter's theme or else the page says so.
_CSS = f"<style>\n{(_TEXTS / 'html.css').read_text('utf-8')}</style>"
PLAYER_CSS = (_TEXTS / "player.css").read_text("utf-8")


def _script(name: str) -> str:
    """Return a script without its comments and indentation, as it goes into each output."""
    lines = map(str.strip, (_TEXTS / name).read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if not line.startswith("//"))


PLAYER_JS = _script("html.js")
# Nothing to look at: a picture tells of having loaded, as no other element does that needs no script.
_CHOICE = (
    '<img alt="{label}" title="{label}" width="1" height="1" onload="'
    + escape(f"(function () {{{_script('filter.js')}}}).call(this)").replace("{", "{{").replace("}", "}}")
    + '" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">'
)
# What an output with many players needs once only; the first one builds all of them.
_ONCE = (
    f"<style>\n{PLAYER_CSS}</style>",
    f' onloadedmetadata="{escape(PLAYER_JS, quote=False).replace(chr(34), "&quot;")}\nrtnbPlayers(this.getRootNode())"',
)


def _text(value: object) -> str:
    return value if isinstance(value, Safe) else escape(str(value), quote=True)


def _said(value: object) -> str:
    """Return words of ours in the language in force."""
    return value if isinstance(value, Safe) else _lines(translate(str(value)))


def _lines(value: object) -> str:
    return value if isinstance(value, Safe) else _text(value).replace("\n", "<br>\n")


def root(body: str, *, kind: str = "", css: str = "", attributes: str = "") -> str:
    """Wrap HTML as one output of a cell, in which `$5 and $10` is money and no formula.

    Args:
        body: HTML.
        kind: The element's class, for a style sheet.
        css: A style sheet as HTML.
        attributes: Further attributes, as HTML.
    """
    for piece in _ONCE:
        before, found, after = body.partition(piece)
        body = before + found + after.replace(piece, "")
    # The first class is for MathJax 3 and 4 (JupyterLab 4), the second for MathJax 2 (nbconvert, older pages).
    classes = f"{kind} mathjax_ignore tex2jax_ignore".lstrip()
    # A key that is pressed on a control in here would be a command of Jupyter's, too: R made the cell raw text.
    return f'{css}<div class="{classes}" onkeydown="event.stopPropagation()"{attributes}>{body}</div>'


def page(body: str, *, css: str = "", attributes: str = "") -> str:
    """Wrap HTML as `root` does, with this file's style sheet once, however many pieces it is made of.

    Args:
        body: HTML, made by the functions of this file among others.
        css: A style sheet that comes behind, as text.
        attributes: Further attributes, as HTML.
    """
    sheets = _CSS + (f"<style>\n{css}</style>" if css else "")
    return root(body.replace(_CSS, ""), kind="rtnb", css=sheets, attributes=attributes)


def waveform(peaks: Sequence[float], label: str) -> str:
    """Draw a waveform as a picture made of one path.

    Args:
        peaks: Loudness of equal stretches, 0.0–1.0, any number of them; values outside are cut off.
        label: What a screen reader says of it.
    """
    # The square root lifts quiet speech to where it can be seen; a hair's breadth remains of silence.
    heights = [max(1, round(36 * min(max(peak, 0.0), 1.0) ** 0.5)) for peak in peaks]
    lines = "".join(f"M{4 * n + 2} {20 - height / 2:g}v{height}" for n, height in enumerate(heights))
    # A picture of its own, for outputs that nobody trusts may show one and no drawing; so of a colour that is seen
    # on white and on black.
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(4 * len(heights), 4)} 40" '
        f'preserveAspectRatio="none"><path d="{lines}" stroke="#808890" stroke-width="2.4" fill="none"/></svg>'
    )
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return f'<img class="peaks" width="384" height="40" alt="{_text(label)}" src="{source}">'


def player(
    sound: bytes, peaks: Sequence[float], seconds: float, label: str, *, compact: bool = False, note: str = ""
) -> str:
    """Make a player: waveform, seeking, speed, download. The audio is in it once.

    Without scripts it is the recording's name and length, its waveform, and a sentence on where to hear it.

    Args:
        sound: The audio as an Ogg/Opus file.
        peaks: Loudness of equal stretches, 0.0–1.0.
        seconds: How long the recording lasts.
        label: What it is called.
        compact: Whether it is one line, 36 px high, for places with many.
        note: What else is to be known of it. "" for nothing.
    """
    length = f"{seconds:.1f} s" if seconds < 60 else clock(seconds) + " min"
    more = f"<span> · {_text(note)}</span>" if note else ""
    if not compact:
        more += f'<span class="where"> · {_text(say("Run this cell to hear it."))}</span>'
    named = (say(text, name=label) for text in ("Play {name}", "Pause {name}", "Position in {name}"))
    controls = (*named, say("Speed"), say("Download {name}", name=label))
    source = f"data:audio/ogg;base64,{base64.b64encode(sound).decode()}"
    body = (
        f'{_ONCE[0]}<figure class="rtnb-audio{" one" if compact else ""}" role="group" '
        f'aria-label="{_text(label)}, {length}" data-say="{_text(json.dumps(controls, ensure_ascii=False))}" '
        f'style="margin-left:0;margin-right:0" data-file="{_text(Path(label).stem)}.ogg"><figcaption>'
        f"<span>{_text(label)}</span>, <span>{length}</span>{more}</figcaption>"
        f"{waveform(peaks, say('Waveform of {name}, {length}', name=label, length=length))}"
        # Unseen: a player is built around it where scripts run.
        f'<audio preload="metadata" aria-label="{_text(label)}" src="{source}"{_ONCE[1]}></audio></figure>'
    )
    # As high as the widget it follows on: Jupyter puts a margin below the last element of an output.
    return root(body, kind="rtnb", css=_CSS, attributes=' style="margin:0"')


def table(
    headers: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    caption: object = "",
    all_types: str = "",
) -> str:
    """Make a table.

    Args:
        headers: The columns' titles, none of them blank.
        rows: The cells, as many in each as there are titles; line breaks are kept.
        right: Numbers of the columns that stand to the right, from 0: amounts and counts.
        caption: Text above it. "" leaves it out.
        all_types: What stands for all rows in a choice of them by their third cell, for pages where scripts run. "" for
            none.
    """
    head = "".join(_cell("th", translate(str(title)), number in right) for number, title in enumerate(headers))
    lines = ("".join(_cell("td", value, number in right) for number, value in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    title = f'<caption style="text-align:left">{_said(caption)}</caption>' if caption else ""
    choice = _CHOICE.format(label=_text(all_types)) if all_types else ""
    return page(f"{choice}<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _cell(tag: str, value: object, right: bool) -> str:
    """Return a cell with its layout twice: JupyterLab's sanitizer keeps its style, GitHub's its attributes."""
    side = "right" if right else "left"
    # A name, a day, an amount or a few words stay in one piece; what is longer is never as narrow as a word.
    short = "[!-~]{1,40}" if tag == "th" else "[!-~]{1,40}|[ -~]{1,24}|.{0,12}"
    whole = (right and tag == "td") or re.fullmatch(short, str(value))
    kept = ";white-space:nowrap" if whole else "" if tag == "th" else ";min-width:10em"
    kind = (' scope="col"' if tag == "th" else "") + (' class="num"' if right else "") + (" nowrap" if whole else "")
    return f'<{tag}{kind} align="{side}" style="text-align:{side}{kept}">{_lines(value)}</{tag}>'


def card(title: object, facts: Iterable[tuple[object, object]] = (), *, body: object = "") -> str:
    """Make a framed block: a title, named facts, and whatever belongs below them.

    Args:
        title: Text at the top.
        facts: Pairs of a name and a value.
        body: Text below, or `Safe` HTML. "" leaves it out.
    """
    # JupyterLab lets names and values float, over each other where the page is narrow.
    own = 'style="float:none;width:auto"'
    pairs = "".join(f"<dt {own}>{_said(name)}</dt><dd {own}>{_lines(value)}</dd>" for name, value in facts)
    head = f"<figcaption><strong>{_said(title)}</strong></figcaption>"
    below = (f"<dl>{pairs}</dl>" if pairs else "") + (f"<div>{_lines(body)}</div>" if body else "")
    return page(f"<figure>{head}{below}</figure>")


def notice(text: object, kind: Literal["info", "ok", "warning", "error"] = "info") -> str:
    """Make a notice: one thing a person should read.

    Args:
        text: What to say; line breaks are kept.
        kind: "info", "ok", "warning" or "error"; the last two are announced to screen readers.
    """
    role = "alert" if kind in ("warning", "error") else "note"
    return page(f'<div class="note {_text(kind)}" role="{role}">{_said(text)}</div>')
