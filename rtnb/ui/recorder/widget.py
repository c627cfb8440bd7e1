"""Record box: the user's voice from the page's microphone to a `Clip`.

Audio comes as 24 kHz PCM while the user speaks, in numbered messages that wait in the page while a cell runs; nothing
of it is widget state, so nothing is kept in a saved notebook.
"""

import threading
from typing import Any

from rtnb.audio import Clip
from rtnb.audio.pcm import RATE_HZ
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say
from rtnb.ui.shared import widget
from rtnb.ui.shared.kernel_link import FromPage, KernelLink

_PIECE_BYTES = 192_000  # 4 s in one message


@checks_call
def record(*, sample: bool | str = True) -> "RecordBox":
    """Show a box to record your voice in: record, listen, record again. It never waits.

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

    Examples:
        >>> box = rtnb.record()  # `box`, as a cell's last line, shows it
        >>> box.recorded, box.clip  # until you record something
        (False, Clip(question, 1.9 s))
    """
    return RecordBox(sample=sample)


class RecordBox(widget.Box):
    """Box to record in. The last line of a cell shows it; it never waits.

    Attributes:
        error: The problem of the last recording in English, which the page says in its own language. None for none.

    Examples:
        >>> box = rtnb.record(sample="weather")
        >>> box.recorded, box.clip.name
        (False, 'weather')
    """

    def __init__(self, *, sample: bool | str = True) -> None:
        super().__init__(sample, "question")
        self.error: str | None = None
        self._clip: Clip | None = None
        self._takes = 0
        self._lock = threading.Lock()
        self._arriving: dict[str, bytearray] = {}  # by page
        self._link = KernelLink(self._send, self._from_page)

    # --- what is in it

    @property
    def recorded(self) -> bool:
        """True where there is a recording of the user."""
        return self._clip is not None

    @property
    def clip(self) -> Clip | None:
        """Last recording, mono, 24 kHz; before there is one the sample, or None where there is none."""
        with self._lock:
            return self._sample if self._clip is None else self._clip

    @property
    def clips(self) -> list[Clip]:
        """Recording or sample, in a list, as `ask` takes it.

        Raises:
            InputError: If nothing was recorded and there is no sample.
        """
        if (clip := self.clip) is None:
            raise InputError("Your record box is empty. Press its button and speak, then run this cell again.")
        return [clip]

    def __repr__(self) -> str:
        if self._clip is not None:
            return say("RecordBox({seconds:.1f} s recorded)", seconds=self._clip.seconds)
        if self._sample is not None:
            return say("RecordBox(the sample {name!r} until somebody records)", name=self._sample.name)
        return say("RecordBox(empty)")

    # --- how it shows itself

    def _make(self) -> Any:
        scripts = (*widget.MICROPHONE, "sound", "recorder/recorder")
        made = widget.widget_class("Recorder", scripts, texts=("record", "microphone", "sound"))
        return widget.make(made, self._link.received, setup={"id": f"{id(self):x}"})

    def _sentences(self) -> tuple[str, str]:
        return say("Run this cell to record."), say("No box appears? Read a sound file with rtnb.Clip.read(path).")

    # --- what the page says

    def _from_page(self, message: FromPage) -> None:
        page = message.page
        match message.kind:
            case "hello":
                self._link.welcome(page, **self._standing())
            case "begin":
                self._arriving[page] = bytearray()
            case "audio" if page in self._arriving:
                self._arriving[page] += b"".join(message.buffers)
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
                    self._clip = self.error = None
                self._link.tell("standing", **self._standing())

    def _take(self, pcm: bytes, size: int, *, cut_off: bool = False) -> None:
        with self._lock:
            if len(pcm) != size:
                self.error = "Part of the recording was lost on the way. Record again."
            elif len(pcm) < 2:
                self.error = "The recording is empty. Press the button, speak, and press it again."
            else:
                self._takes += 1
                name = "recording" if self._takes == 1 else f"recording-{self._takes}"
                self._clip = Clip.from_pcm(pcm, rate_hz=RATE_HZ, name=name)
                kept = "The page was closed or reloaded while you spoke; what you had said until then is kept."
                self.error = kept if cut_off else None
        self._link.tell("standing", **self._standing())

    def _give(self, page: str) -> None:
        """Send a page the recording, which it has not made itself, or had made before it was reloaded."""
        with self._lock:
            pcm, take = (b"", 0) if self._clip is None else (self._clip.pcm, self._takes)
        for at in range(0, len(pcm), _PIECE_BYTES):
            piece = pcm[at : at + _PIECE_BYTES]
            self._link.tell("piece", to=page, buffers=[piece], take=take, at=at, bytes=len(pcm))

    def _standing(self) -> dict[str, Any]:
        seconds, take = (None, 0) if self._clip is None else (round(self._clip.seconds, 2), self._takes)
        sample = self._sample and {"name": self._sample.name, "seconds": round(self._sample.seconds, 1)}
        return {"seconds": seconds, "sample": sample, "take": take, "problem": self.error or ""}
