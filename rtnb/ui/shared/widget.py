"""Widgets: their classes made from files of `rtnb/ui`, and what a cell shows of one."""

import functools
import json
import uuid
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Any

from rtnb import html
from rtnb.audio import Clip, samples
from rtnb.texts import language
from rtnb.ui.shared import frontend, waiting

# Files in front of those that a widget names.
_SCRIPTS = ("words", "icons", "elements", "place", "pcm", "kernel_link")
MICROPHONE = ("worklet", "microphone", "microphone_problems", "leaving")


def esm(*names: str, texts: tuple[str, ...] = ()) -> str:
    """Return the text of a widget's module: files of `rtnb/ui`, one after the other.

    A widget's module comes to the page as text and cannot import a neighbour from disk, so what several widgets share
    is put in front of each.

    Args:
        *names: Paths of files in `rtnb/ui`; the last one has the default export.
        texts: Tables of the languages' files that are put in front as `const TEXTS`: their `tag` and `sentences`.
    """
    known = [f"const TEXTS = {json.dumps(language.widget_texts(*texts), ensure_ascii=False)};\n"] if texts else []
    return "\n".join([*known, read(*names)])


@functools.cache
def read(*names: str) -> str:
    """Return the text of files of `rtnb/ui`, one after the other."""
    return "\n".join((files("rtnb") / "ui" / name).read_text("utf-8") for name in names)


@functools.cache
def widget_class(name: str, scripts: tuple[str, ...], *, texts: tuple[str, ...]) -> Any:
    """Return the class of a widget. It is made when the first one is shown, for `ask` in a script needs no ipywidgets.

    Args:
        name: Its name, and the folder of its style sheet in lower case.
        scripts: Its scripts, without `.js`, after those that every widget has; those in `shared` without a folder.
        texts: The tables of `zh.toml` that it needs.
    """
    import anywidget
    import traitlets

    text, data = traitlets.Unicode, traitlets.Dict
    kinds = {"language": text, "place": text, "setup": data, "state": data}
    members: dict[str, Any] = {key: kind().tag(sync=True) for key, kind in kinds.items()}
    paths = (script if "/" in script else f"shared/{script}" for script in (*_SCRIPTS, *scripts))
    members["_esm"] = html.PLAYER_JS + "\n" + esm(*(f"{path}.js" for path in paths), texts=texts)
    members["_css"] = html.PLAYER_CSS + read("shared/theme.css", "{0}/{0}.css".format(name.lower()))
    return type(name, (anywidget.AnyWidget,), members)


def make(made: Any, receive: Callable[[Any, Any], None], **traits: Any) -> Any:
    """Return a new widget in the language chosen.

    Args:
        made: Its class.
        receive: Called with each message of a page: `receive(content, buffers)`, also while a cell runs.
        **traits: Its `setup`, and its `state` where it has one.
    """
    widget = made(language=language.chosen(), place=f"rtnb-{uuid.uuid4().hex}", **traits)
    widget.on_msg(lambda _, *message: receive(*message))
    waiting.receive_while_busy(widget)
    return widget


def view(widget: Any, words: str) -> dict[str, Any]:
    """Return the MIME types by which a page shows a widget, and a saved notebook words in its place.

    Args:
        widget: It.
        words: Plain text; "" leaves nothing of it.
    """
    where = frontend.detect()
    # In these two, outputs stand in one document with the widgets' scripts, which then reach each of them.
    if where.name in ("jupyterlab", "notebook") or not where.widgets:
        # A view of its own would be saved too: without the kernel it is "Loading widget…" for ever, or an error.
        return {"text/html": sentence(words, kind="rtnb-place " + widget.place, attributes=' style="margin:0"')}
    shown = {"model_id": widget.model_id, "version_major": 2, "version_minor": 0}
    return {"application/vnd.jupyter.widget-view+json": shown, "text/html": sentence(words)}


def sentence(text: str, **how: str) -> str:
    """Return a sentence as HTML in a root `html.root` makes, for pages that show no widgets, GitHub's for one."""
    return html.root(f"<p>{escape(text)}</p>" if text else "", **how)


class Shown:
    """Base of what a widget shows. The widget is made when it is shown for the first time."""

    _widget: Any = None
    _shown_in: int | None = None

    def _make(self) -> Any:
        raise NotImplementedError

    @property
    def widget(self) -> Any:
        """Widget that shows it, for `display` and for layouts of your own."""
        if self._widget is None:
            self._widget = self._make()
        return self._widget

    def _display_(self) -> Any:
        """Return what marimo shows."""
        return self.widget

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self._widget is not None:  # before it is shown, no page is there to be sent anything
            self._widget.send(content, buffers)


class Box(Shown):
    """Base of a box that takes recordings; a shipped one stands in until the user has given one.

    Args:
        sample: True for the default, the name of another one, or False for none.
        default: The default's name.
    """

    def __init__(self, sample: bool | str, default: str) -> None:
        self._sample: Clip | None = None if sample is False else samples()[default if sample is True else sample]

    def _sentences(self) -> tuple[str, str]:
        """Return the words that stand in a saved notebook, and what to do where no box can be shown."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        where, (again, instead) = frontend.detect(), self._sentences()
        if not (where.widgets and where.person):
            return {"text/plain": repr(self), "text/html": sentence(f"{again} {instead}")}
        shown = {} if self._shown_in == frontend.cell() else view(self.widget, again)
        return {"text/plain": repr(self), **shown}
