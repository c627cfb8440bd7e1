"""Two `$` in one text are money, never a formula: MathJax passes over every piece of HTML that rtnb shows.

A page's MathJax leaves an element alone by its class: `mathjax_ignore` for MathJax 3 and 4, which JupyterLab 4 has,
`tex2jax_ignore` for MathJax 2 of older pages. Every place that makes HTML is found by walking the package; a new one
has to be shown here.
"""

from __future__ import annotations

import ast
import re
import types
from html.parser import HTMLParser
from pathlib import Path

import pytest
from dialogue import serve

import rtnb
from rtnb import costs, html
from rtnb.audio import Clip
from rtnb.diagnosis.report import Finding, Report
from rtnb.protocol.items import Turns
from rtnb.timeline.timeline import Timeline
from rtnb.ui.reply_card import live
from rtnb.ui.shared import frontend, widget

PACKAGE = Path(rtnb.__file__).parent
IGNORED = {"mathjax_ignore", "tex2jax_ignore"}
DEAR = "it costs $5 today and $10 tomorrow, $$x$$ and \\(y\\)"


class Roots(HTMLParser):
    """The elements of a piece of HTML that lie in no other; those that only hold style are left out."""

    def __init__(self, page):
        super().__init__()
        self.roots, self.open, self.loose = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if not self.open and tag not in ("style", "script"):
            self.roots.append((tag, set((dict(attributes).get("class") or "").split())))
        if tag not in ("br", "hr", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open:
            self.loose += data.strip()


def passed_over(page):
    """Whether all that a page shows lies in elements which MathJax leaves alone."""
    found = Roots(page)
    return bool(found.roots) and not found.loose and all(classes >= IGNORED for _, classes in found.roots)


# --- where HTML is made -----------------------------------------------------------------------------------------------

SHOWS = ("_repr_html_", "_repr_markdown_", "_repr_latex_", "_repr_mimebundle_")


def makers():
    """Every class and function that hands HTML to a page: by its method, its MIME type, or `HTML(…)`."""
    found = set()

    def visit(node, place):
        for child in ast.iter_child_nodes(node):
            inner = place
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if child.name in SHOWS:
                    found.add(place)
                inner = f"{place}.{child.name}".lstrip(".")
            name = getattr(child.func, "id", getattr(child.func, "attr", "")) if isinstance(child, ast.Call) else ""
            keys = child.keys if isinstance(child, ast.Dict) else ()
            if name in ("HTML", "Markdown", "Latex") or any(
                isinstance(key, ast.Constant) and str(key.value) in ("text/html", "text/markdown", "text/latex")
                for key in keys
            ):
                found.add(re.sub(rf"\.(?:{'|'.join(SHOWS)})$", "", inner))
            visit(child, inner)

    for path in PACKAGE.rglob("*.py"):
        if "notebooks" not in path.parts:
            visit(ast.parse(path.read_text("utf-8")), "")
    return found


def clip():
    return rtnb.samples()["question"]


def dear(talk):
    talk.open()
    talk.take_message()
    talk.answer(DEAR)


def said():
    """A session in which the answer has dollars in it."""
    with serve(dear) as url:
        chat = rtnb.connect(url=url, key="sk-test", modalities="text").wait()
        chat.ask(DEAR).wait(10)
        chat.close()
    return chat


def reply():
    with serve(dear) as url:
        return rtnb.ask(DEAR, url=url, key="sk-test", modalities="text", show=False).wait(10)


def spoken():
    return rtnb.ask(clip(), practice=True, show=False).wait()


def displayed(monkeypatch, show):
    """What a function displays as HTML."""
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    show()
    return [page.data for page in shown]


def pages(thing):
    """What a thing shows as HTML."""
    if hasattr(thing, "_repr_html_"):
        return [thing._repr_html_()]
    data = thing._repr_mimebundle_()
    return [(data[0] if isinstance(data, tuple) else data).get("text/html")]


def widgets(thing, monkeypatch):
    """What it shows where there are widgets, and where there are none."""
    shown = []
    for widgets in (True, False):
        where = frontend.Frontend("jupyterlab" if widgets else "headless", widgets, widgets, True, widgets, "a test")
        monkeypatch.setattr(frontend, "detect", lambda where=where: where)
        shown += pages(thing)
    return shown


def views(thing, monkeypatch):
    """What stands for a widget in a saved notebook, where the page's scripts reach it and where they do not."""
    shown = []
    for name in ("jupyterlab", "vscode"):
        where = frontend.Frontend(name, True, True, True, True, "a test")
        monkeypatch.setattr(frontend, "detect", lambda where=where: where)
        shown.append(widget.view(thing, DEAR)["text/html"])
    return shown


USAGE = costs.Usage(input_text_tokens=10, output_text_tokens=5, output_audio_tokens=100)
ESTIMATE = {"seconds_in": 60, "seconds_out": 60, "turns": 3}
PLACES = {
    "Check": lambda _: pages(clip().check()),
    "Clip": lambda _: [*pages(clip()), *pages(Clip.from_pcm(b"", rate_hz=24_000, name=DEAR))],
    "download": lambda patch: displayed(patch, lambda: clip().download("a $5 and $10.wav")),
    "Samples": lambda _: pages(rtnb.samples()),
    "Bill": lambda _: pages(said().bill),
    "Verdict": lambda _: pages(rtnb.check("01.1", None)),
    "Turns": lambda _: [*pages(said().turns), *pages(Turns())],
    "Usage": lambda _: pages(USAGE),
    "Cost": lambda _: pages(costs.cost(USAGE, "gpt-realtime-2.1-mini")),
    "PriceTable": lambda _: pages(rtnb.prices()),
    "Estimate": lambda _: pages(rtnb.estimate(**ESTIMATE)),
    "Comparison": lambda _: pages(costs.compare(USAGE)),
    "Report": lambda _: pages(Report((Finding("price", "note", DEAR), Finding("sound", "unknown", DEAR)))),
    "Results": lambda _: pages(rtnb.map([clip()], DEAR, practice=True).wait()),
    "Practice": lambda _: pages(rtnb.practice()),
    "Reply": lambda _: pages(reply()),
    "Session": lambda _: pages(said()),
    "Log": lambda _: [*pages(said().log), *pages(spoken().session.log)],
    "ReceivedEvents": lambda _: [*pages(reply().events), *pages(spoken().events)],
    "Timeline": lambda _: [*pages(said().timeline()), *pages(spoken().timeline())],
    "Transcription": lambda _: pages(rtnb.transcribe(clip(), practice=True).wait()),
    "Translation": lambda _: pages(rtnb.translate(clip(), to="es", practice=True).wait()),
    "Call._record": lambda _: [rtnb.call(practice=True, show=False)._record()["text/html"]],
    "view": lambda patch: views(rtnb.call(practice=True, show=False).widget, patch),
    "bundle": lambda patch: live_pages(patch),
    "_NotebookView.finish": lambda _: [live.card(reply()), live.card(spoken())],
    "_NotebookView._live": lambda _: [live._NotebookView(reply(), frontend.detect())._live()["text/html"]],
    "Box": lambda patch: widgets(rtnb.record(), patch) + widgets(rtnb.upload(), patch),
}
# A picture is no text; an output that is emptied shows nothing.
NO_HTML = {"Image", "_NotebookView._played"}


def live_pages(monkeypatch):
    """A reply in another cell than its card, and in the same one."""
    it = reply()
    monkeypatch.setattr(frontend, "cell", lambda: 1)
    monkeypatch.setitem(live._views, it, types.SimpleNamespace(cell=1, finish=lambda: None))
    return [live.bundle(it)["text/html"], live.card(it)]


def test_every_place_that_makes_html_is_shown_here():
    assert makers() - NO_HTML == set(PLACES), "show in this test what the new place makes"


@pytest.mark.parametrize("place", PLACES)
def test_mathjax_passes_over_what_it_shows(place, monkeypatch):
    made = PLACES[place](monkeypatch)
    for page in made:
        assert passed_over(page), page[-300:]
    # The dollars are there as they were written.
    if "$$x$$" in "".join(made):
        text = re.sub(r"<[^>]*>", "", "".join(made)).replace("\\\\", "\\")  # JSON doubles it
        assert text.count("\\(y\\)") >= 1


def test_every_piece_of_the_kit_is_passed_over_alone():
    kit = [html.card(DEAR, [(DEAR, DEAR)]), html.notice(DEAR), html.table([DEAR], [[DEAR]])]
    kit += [html.player(b"Ogg", [0.5], 1.0, DEAR)]
    assert all(map(passed_over, kit))
    assert not passed_over("<p>$5 and $10</p>")
    assert not passed_over(html.notice("a") + "loose")


def test_a_timelines_own_page_is_passed_over(tmp_path):
    page = Timeline.save(said().timeline(), tmp_path / "talk.html").read_text("utf-8")
    (body,) = re.findall(r"<body[^>]*class=\"([^\"]*)\"", page)
    assert set(body.split()) >= IGNORED


def test_mathjax_passes_over_every_widget():
    scripts = {path.name: path.read_text("utf-8") for path in (PACKAGE / "ui").rglob("*.js")}
    widgets = {name for name, text in scripts.items() if re.search(r"^export default", text, re.MULTILINE)}
    assert widgets == {"call.js", "player.js", "recorder.js", "upload.js"}
    # What is appended to a widget's element is one root, with these classes.
    put = r"\bel\.(?:append|appendChild|prepend|replaceChildren)\((.*?)\)"
    views = {name: text for name, text in scripts.items() if re.search(put, text)}
    assert set(views) == widgets - {"call.js"} | {"view.js"}
    for name, text in views.items():
        assert re.findall(put, text) in (["root"], ["this.root"]), name
        assert len(re.findall(r"this\.root = widgetRoot\(", text)) == 1, name
    (classes,) = re.findall(r"root\.className = `(rtnb-ui [^`]*)`", scripts["elements.js"])
    assert set(classes.split()) >= IGNORED
