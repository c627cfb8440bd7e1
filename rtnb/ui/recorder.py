"""The record box: a person's voice from the page's microphone to a `Clip`.

Sound comes as 24 kHz PCM while the person speaks, in numbered messages that wait in the page while a cell runs; nothing
of it is widget state, so nothing is kept in a saved notebook.
"""

from __future__ import annotations

import functools
import threading
from html import escape
from typing import TYPE_CHECKING, Any

from rtnb import html
from rtnb.errors import InputError
from rtnb.texts import language
from rtnb.ui import frontend, waiting
from rtnb.ui.line import FromPage, KernelLink

if TYPE_CHECKING:
    from rtnb.audio import Clip

_RATE_HZ = 24_000
_PIECE_BYTES = 192_000  # 4 s in one message


def record(*, sample: bool | str = True) -> RecordBox:
    """Show a box to record one's voice in: record, listen, record again. It never waits.

    ```python
    box = rtnb.record()
    box                                        # the box; record now, or go on with the sample
    reply = await rtnb.ask(box)
    ```

    Args:
        sample: The shipped recording that stands in until somebody has recorded: True for the question, or a name from
            `rtnb.samples().names`. False for none; `.clip` is None then.

    Returns:
        The box: `.clip`, `.clips`, `.recorded`, and it can be handed to `ask` as it is.

    Raises:
        InputError: There is no sample of that name.
    """
    return RecordBox(sample=sample)


class RecordBox:
    """A box to record in. The last line of a cell shows it; it never waits.

    Attributes:
        recorded: Whether there is a recording of the person.
        error: What went wrong with the last recording. None where nothing did.
    """

    def __init__(self, *, sample: bool | str = True) -> None:
        from rtnb.audio import samples

        self._sample: Clip | None = None
        if sample is not False:
            self._sample = samples()["question" if sample is True else sample]
        self.recorded = False
        self.error: str | None = None
        self._problem = ""  # the same by its code, for the page
        self._clip: Clip | None = None
        self._takes = 0
        self._lock = threading.Lock()
        self._arriving: dict[str, bytearray] = {}  # by page
        self._widget: Any = None
        self._line = KernelLink(self._send, self._from_page)

    # --- what is in it

    @property
    def clip(self) -> Clip | None:
        """The last recording, mono, 24 kHz; before there is one the sample, or None where there is none."""
        with self._lock:
            return self._clip if self._clip is not None else self._sample

    @property
    def clips(self) -> list[Clip]:
        """The recording or the sample, in a list, as `ask` takes it.

        Raises:
            InputError: If nothing was recorded and there is no sample.
        """
        clip = self.clip
        if clip is None:
            raise InputError("Your record box is empty. Press its button and speak, then run this cell again.")
        return [clip]

    def __repr__(self) -> str:
        if self._clip is not None:
            return f"RecordBox({self._clip.seconds:.1f} s recorded)"
        if self._sample is not None:
            return f"RecordBox(the sample {self._sample.name!r} until somebody records)"
        return "RecordBox(empty)"

    # --- how it shows itself

    @property
    def widget(self) -> Any:
        """The widget that shows it, for `display` and for layouts of your own."""
        if self._widget is None:
            self._widget = _widget_class()(language=language.chosen(), setup={"id": f"{id(self):x}"})
            self._widget.on_msg(lambda _, content, buffers: self._line.received(content, buffers))
            waiting.hear_while_busy(self._widget)
        return self._widget

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        where = frontend.detect()
        if not (where.widgets and where.person):
            return {"text/plain": repr(self), "text/html": html.root(f"<p>{escape(language.text('record.plain'))}</p>")}
        view = {"model_id": self.widget.model_id, "version_major": 2, "version_minor": 0}
        return {
            "text/plain": repr(self),
            "text/html": html.root(f"<p>{escape(language.text('record.rerun'))}</p>"),
            "application/vnd.jupyter.widget-view+json": view,
        }

    def _display_(self) -> Any:
        """What marimo shows."""
        return self.widget

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None) -> None:
        if self._widget is not None:
            self._widget.send(content, buffers)

    # --- what the page says

    def _from_page(self, message: FromPage) -> None:
        page = message.page
        match message.kind:
            case "hello":
                self._line.welcome(page, **self._standing())
            case "begin":
                self._arriving[page] = bytearray()
            case "sound" if page in self._arriving:
                for pcm in message.buffers:
                    self._arriving[page] += pcm
            case "end" if page in self._arriving:
                self._take(bytes(self._arriving.pop(page)), int(message.fields.get("bytes", -1)))
            case "bye" if page in self._arriving:  # the page was closed or reloaded while somebody spoke
                pcm = bytes(self._arriving.pop(page))
                self._take(pcm, len(pcm), cut_off=True)
            case "discard":
                self._arriving.pop(page, None)
            case "fetch":
                self._give(page)
            case "forget":
                with self._lock:
                    self._clip, self.recorded, self.error, self._problem = None, False, None, ""
                self._line.tell("standing", **self._standing())

    def _take(self, pcm: bytes, size: int, *, cut_off: bool = False) -> None:
        from rtnb.audio import Clip

        with self._lock:
            if len(pcm) != size:
                self._problem = "hole"
                self.error = f"rtnb lost part of the recording: {len(pcm)} of {size} bytes came. Record again."
            elif len(pcm) < 2:
                self._problem = "empty"
                self.error = "The recording is empty. Press the button, speak, and press it again."
            else:
                self._takes += 1
                name = "recording" if self._takes == 1 else f"recording-{self._takes}"
                self._clip = Clip.from_pcm(pcm, rate_hz=_RATE_HZ, name=name)
                self.recorded, self.error, self._problem = True, None, ""
                if cut_off:
                    self._problem = "reload"
                    self.error = "The page went away during the recording, which ends there. Record again if need be."
        self._line.tell("standing", **self._standing())

    def _give(self, page: str) -> None:
        """Give a page the recording, which it has not made itself, or had made before it was reloaded."""
        with self._lock:
            pcm, take = (self._clip.pcm, self._takes) if self._clip is not None else (b"", 0)
        for at in range(0, len(pcm), _PIECE_BYTES):
            piece = pcm[at : at + _PIECE_BYTES]
            self._line.tell("piece", to=page, buffers=[piece], take=take, at=at, bytes=len(pcm))

    def _standing(self) -> dict[str, Any]:
        return {
            "seconds": None if self._clip is None else round(self._clip.seconds, 2),
            "sample": self._sample and {"name": self._sample.name, "seconds": round(self._sample.seconds, 1)},
            "take": 0 if self._clip is None else self._takes,
            "problem": self._problem,
        }


@functools.cache
def _widget_class() -> type:
    import anywidget
    import traitlets

    class RecorderWidget(anywidget.AnyWidget):
        _esm = frontend.esm(
            *("microphone.js", "line.js", "leaving.js", "words.js", "recorder.js"), texts=("record", "microphone")
        )
        _css = frontend.css("theme.css", "recorder.css")
        language = traitlets.Unicode("").tag(sync=True)
        setup = traitlets.Dict().tag(sync=True)

    return RecorderWidget
