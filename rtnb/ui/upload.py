"""The upload box: recordings from a person's computer to the kernel, in a notebook's cell.

Files come in small numbered pieces, each proved by its SHA-256, and go to a folder of this process on disk; nothing of
them is widget state, so nothing is kept in a saved notebook. A sample stands in until the person has chosen, so that
running all cells never waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import tempfile
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtnb import html
from rtnb.errors import AudioError, InputError
from rtnb.texts import language
from rtnb.texts.language import text
from rtnb.ui import frontend, waiting

if TYPE_CHECKING:
    from rtnb.audio import Clip

_log = logging.getLogger("rtnb")


@dataclass(frozen=True)
class UploadedFile:
    """One file that was uploaded.

    Attributes:
        name: Its name on the person's computer.
        path: Where it lies now; it goes when the kernel ends.
        bytes: Its size.
        sha256: The checksum of the whole file as 64 hexadecimal digits.
        seconds: How long the sound is, as far as the file tells. None where it does not, or is no sound.
        error: Why it cannot be read. None where it can.
    """

    name: str
    path: Path
    bytes: int
    sha256: str
    seconds: float | None = None
    error: AudioError | None = None


def upload(*, multiple: bool = True, sample: bool | str = True, wait: bool = False) -> UploadBox:
    """Show a box to drop, paste or choose recordings in.

    ```python
    box = rtnb.upload()
    box                                        # the box; upload now, or go on with the sample
    reply = await rtnb.ask(box, "Summarize this audio content")
    ```

    Args:
        multiple: Whether it takes several files.
        sample: The shipped recording that stands in until somebody has uploaded: True for the talk, or a name from
            `rtnb.samples().names`. False for none.
        wait: Whether to wait until somebody has uploaded, where that can work: with Colab's own upload button there,
            elsewhere in the box, if kernel and page can talk while a cell runs. It ends at once where they cannot and
            where nobody is there to upload; the sample stands then.

    Returns:
        The box: `.clip`, `.clips`, `.files`, and it can be handed to `ask` as it is.

    Raises:
        InputError: There is no sample of that name.
    """
    box = UploadBox(multiple=multiple, sample=sample)
    if wait:
        box._wait_for_person()
    return box


@dataclass(eq=False)
class _Arriving:
    """A file on its way."""

    name: str
    path: Path
    bytes: int
    pieces: int
    next: int = 0
    written: int = 0
    asked_for: int = -1
    digest: Any = field(default_factory=hashlib.sha256)


class UploadBox:
    """A box to upload recordings in. The last line of a cell shows it; it never waits.

    Attributes:
        files: What was uploaded, in order.
    """

    def __init__(self, *, multiple: bool = True, sample: bool | str = True) -> None:
        from rtnb.audio import samples

        self._multiple = multiple
        self._sample: Clip | None = None
        if sample is not False:
            self._sample = samples()["talk" if sample is True else sample]
        self._lock = threading.RLock()
        self._hearing = threading.Lock()  # the page's messages one at a time, whichever threads they come on
        self._files: dict[str, UploadedFile] = {}
        self._checking: dict[str, UploadedFile] = {}
        self._arriving: dict[str, _Arriving] = {}
        self._given_up: dict[str, UploadedFile] = {}  # the page went away while they were on their way
        self._clips: dict[Path, Clip] = {}
        self._widget: Any = None
        self._shown_in: int | None = None
        self._waiting = False
        self._went_on = False
        self._heard = False  # any word of a page

    # --- what is in it

    @property
    def files(self) -> tuple[UploadedFile, ...]:
        """What was uploaded, in order, readable or not."""
        with self._lock:
            return tuple(self._files.values())

    @property
    def sources(self) -> list[Path | Clip]:
        """What `ask` sends: the readable files' paths, which are streamed however long they are, or the sample.

        Raises:
            AudioError: Files were uploaded and none of them can be read.
            InputError: Nothing was uploaded and there is no sample.
        """
        good = [file for file in self.files if file.error is None]
        if good:
            return [file.path for file in good]
        if broken := [file.error for file in self.files if file.error is not None]:
            raise broken[-1]
        if self._sample is not None:
            return [self._sample]
        raise InputError("Your upload box is empty. Drop a recording into it, then run this cell again.")

    @property
    def clips(self) -> list[Clip]:
        """The recordings, read now if they were not before; the sample as long as nothing was uploaded.

        Raises:
            AudioError: A file cannot be read to its end, or none can.
            InputError: Nothing was uploaded and there is no sample.
        """
        return [self._clip_of(source) for source in self.sources]

    @property
    def clip(self) -> Clip:
        """The recording uploaded last, or the sample. Raises as `clips` does."""
        return self._clip_of(self.sources[-1])

    def _clip_of(self, source: Path | Clip) -> Clip:
        from rtnb.audio import Clip

        if not isinstance(source, Path):
            return source
        if source not in self._clips:
            name = next(file.name for file in self.files if file.path == source)
            self._clips[source] = Clip.read(source, name=name)
        return self._clips[source]

    def __repr__(self) -> str:
        if files := self.files:
            return f"UploadBox({', '.join(file.name for file in files)})"
        if self._sample is not None:
            return f"UploadBox(the sample {self._sample.name!r} until a recording is uploaded)"
        return "UploadBox(empty)"

    # --- how it shows itself

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        plain = {"text/plain": repr(self), "text/html": self._html()}
        where = frontend.detect()
        if not (where.widgets and where.person):
            return plain
        if self._shown_in is not None and self._shown_in == _cell():
            return {"text/plain": repr(self)}
        view = {"model_id": self._show().model_id, "version_major": 2, "version_minor": 0}
        # A page that knows no widgets, GitHub's for one, shows the sentence instead.
        sentence = html.root(f"<p>{escape(text('upload.rerun'))}</p>")
        return {**plain, "application/vnd.jupyter.widget-view+json": view, "text/html": sentence}

    def _display_(self) -> Any:
        """What marimo shows."""
        return self._show()

    def _html(self) -> str:
        lines = [text("upload.plain")]
        if self._sample is not None and not self._files:
            seconds = f"{self._sample.seconds:.1f}"
            lines.append(text("upload.plain_sample", name=self._sample.name, seconds=seconds))
        return html.notice(" ".join(lines))

    def _show(self) -> Any:
        if self._widget is None:
            self._widget = _widget_class()(
                language=language.chosen(), multiple=self._multiple, state=self._state_for_page()
            )
            self._widget.on_msg(self._hear)
            waiting.hear_while_busy(self._widget)
        return self._widget

    def _state_for_page(self) -> dict[str, Any]:
        with self._lock:
            files = [
                {
                    "id": key,
                    "name": file.name,
                    "bytes": file.bytes,
                    "seconds": file.seconds,
                    "problem": "" if file.error is None else str(file.error),
                    "checking": key in self._checking,
                    "failed": "reload" if key in self._given_up else "",
                }
                for key, file in {**self._files, **self._checking, **self._given_up}.items()
            ]
        sample = self._sample and {"name": self._sample.name, "seconds": self._sample.seconds}
        return {"files": files, "sample": sample, "waiting": self._waiting}

    def _tell_page(self) -> None:
        if self._widget is not None:
            self._widget.state = self._state_for_page()

    # --- what the page says

    def _hear(self, _: Any, content: Any, buffers: Sequence[Any] = ()) -> None:
        """Take a message of the page, on the main thread or, while a cell runs, on a subshell's."""
        if not isinstance(content, Mapping):
            return
        with self._hearing:
            self._obey(content, buffers)

    def _obey(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        kind, key = content.get("kind"), str(content.get("id", ""))
        try:
            if kind == "hello":
                self._heard = True
            elif kind == "begin":
                self._begin(key, content)
            elif kind == "piece":
                self._piece(key, content, buffers)
            elif kind == "where":
                self._answer(key, answer=True)
            elif kind == "remove":
                self._remove(key)
            elif kind == "bye":
                self._give_up(content.get("files") or ())
            elif kind == "listen":
                self._listen(key)
            elif kind == "goon":
                self._went_on = True
        except OSError as error:  # the disk is full, the folder is gone
            self._arriving.pop(key, None)
            self._send({"kind": "failed", "id": key, "why": "disk", "problem": error.strerror or str(error)})

    def _begin(self, key: str, content: Mapping[str, Any]) -> None:
        name = str(content.get("name") or "recording")
        with self._lock:
            again = [old for old, file in self._given_up.items() if file.name == name]
            for old in again:
                del self._given_up[old]
        if again:
            self._tell_page()
        self._arriving[key] = _Arriving(name, _place(name), int(content.get("bytes", 0)), int(content.get("pieces", 1)))
        self._answer(key)

    def _piece(self, key: str, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        it = self._arriving.get(key)
        number = int(content.get("i", -1))
        if it is None or number < it.next:
            self._answer(key)  # removed meanwhile, or sent twice
            return
        data = bytes(buffers[0]) if buffers else b""
        if number > it.next or not _proved(data, content):
            # One request for each hole: what was under way behind it arrives in vain and must not ask again.
            if it.asked_for != it.next or number == it.next:
                it.asked_for = it.next
                self._send({"kind": "again", "id": key, "next": it.next})
            return
        with open(it.path, "ab") as out:
            out.write(data)
        it.digest.update(data)
        it.written += len(data)
        it.next += 1
        it.asked_for = -1
        if it.next < it.pieces:
            self._answer(key)
            return
        del self._arriving[key]
        if it.written != it.bytes:
            self._send({"kind": "failed", "id": key, "why": "short", "problem": f"{it.written} / {it.bytes} B"})
            return
        self._take(key, UploadedFile(it.name, it.path, it.bytes, it.digest.hexdigest()))
        self._send({"kind": "ack", "id": key, "next": it.pieces})

    def _answer(self, key: str, *, answer: bool = False) -> None:
        it = self._arriving.get(key)
        if it is not None:
            self._send({"kind": "ack", "id": key, "next": it.next, "answer": answer})
        elif key in self._files or key in self._checking:
            self._send({"kind": "ack", "id": key, "next": 1 << 40, "answer": answer})
        elif answer:
            # Asked about a file whose beginning never came: the page must start again from the beginning.
            self._send({"kind": "failed", "id": key, "why": "lost", "problem": ""})

    def _remove(self, key: str) -> None:
        with self._lock:
            if (it := self._arriving.pop(key, None)) is not None:
                it.path.unlink(missing_ok=True)
            for place in (self._files, self._checking):
                if (file := place.pop(key, None)) is not None:
                    file.path.unlink(missing_ok=True)
                    self._clips.pop(file.path, None)
            self._given_up.pop(key, None)
        self._tell_page()

    def _give_up(self, files: Sequence[Mapping[str, Any]]) -> None:
        """The page that had these files went away; only a person can give them to another one."""
        with self._lock:
            for file in files:
                key = str(file.get("id", ""))
                if key in self._files or key in self._checking:
                    continue  # it had arrived, and only the answer had not
                if (it := self._arriving.pop(key, None)) is not None:
                    it.path.unlink(missing_ok=True)
                name = str(file.get("name") or "recording")
                self._given_up[key] = UploadedFile(name, Path(), int(file.get("bytes") or 0), "")
        self._tell_page()

    def _listen(self, key: str) -> None:
        if key == "sample" and self._sample is not None:
            self._send({"kind": "sound", "id": key}, [self._sample.encode("opus")])
        elif key in self._files:
            # Whatever the page can play of the file as it is; it has no copy of its own after a reload.
            self._send({"kind": "sound", "id": key}, [self._files[key].path.read_bytes()])

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self._widget is not None:
            self._widget.send(content, buffers)

    # --- when a file is there

    def _take(self, key: str, file: UploadedFile) -> None:
        """Put a whole file into the box; whether it is sound is found out on another thread."""
        with self._lock:
            self._checking[key] = file
        self._tell_page()
        threading.Thread(target=self._check, args=(key, file), name="rtnb-upload", daemon=True).start()

    def _check(self, key: str, file: UploadedFile) -> None:
        seconds, error = _listen_to(file)
        checked = UploadedFile(file.name, file.path, file.bytes, file.sha256, seconds, error)
        with self._lock:
            if self._checking.pop(key, None) is not None:  # not removed meanwhile
                if not self._multiple:
                    self._files.clear()
                self._files[key] = checked
        with contextlib.suppress(Exception):  # the page may be gone; the file is here
            self._tell_page()

    # --- waiting for a person

    def _wait_for_person(self) -> None:
        where = frontend.detect()
        if not where.person or not where.widgets:
            return
        if where.name == "colab":
            self._upload_by_colab()
            return
        from IPython.display import display

        self._waiting = True
        display(self)
        self._shown_in = _cell()
        try:
            waiting.serve_until(
                lambda: self._went_on or (bool(self._files) and not self._checking and not self._arriving),
                there=lambda: self._heard,
            )
        finally:
            self._waiting = False
            self._tell_page()

    def _upload_by_colab(self) -> None:
        # Colab serves its own upload button while a cell runs, and widgets only between cells.
        from google.colab import files

        for name, data in files.upload().items():
            path = _place(name)
            path.write_bytes(data)
            self._check_now(name, path, data)

    def _check_now(self, name: str, path: Path, data: bytes) -> None:
        file = UploadedFile(name, path, len(data), hashlib.sha256(data).hexdigest())
        key = f"colab-{len(self._files)}"
        self._checking[key] = file
        self._check(key, file)


def _listen_to(file: UploadedFile) -> tuple[float | None, AudioError | None]:
    """How long a file's sound is, and why it cannot be read; only its beginning is decoded."""
    from rtnb.audio import open_stream

    try:
        with open_stream(file.path, name=file.name) as stream:
            next(stream)
            return stream.seconds, None
    except StopIteration:
        return 0.0, None
    except AudioError as error:
        return None, error


def _proved(data: bytes, content: Mapping[str, Any]) -> bool:
    if "sha256" in content:
        return hashlib.sha256(data).hexdigest() == content["sha256"]
    return zlib.crc32(data) == content.get("crc32")


_folder: tempfile.TemporaryDirectory[str] | None = None
_count = 0


def _place(name: str) -> Path:
    """A place for a file in this process's own folder, which goes with the process."""
    global _folder, _count
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="rtnb-upload-")
    _count += 1
    safe = re.sub(r"[^\w.\- ]", "_", name.replace("\\", "/").split("/")[-1])[-80:].lstrip(".") or "recording"
    return Path(_folder.name) / f"{_count}-{safe}"


def _cell() -> int:
    it = frontend.kernel()
    return int(getattr(getattr(it, "shell", None), "execution_count", -1))


_made: Any = None


def _widget_class() -> Any:
    """The widget's class, made when the first box is shown: it needs ipywidgets, which `ask` in a script does not."""
    global _made
    if _made is None:
        import anywidget
        import traitlets

        class Upload(anywidget.AnyWidget):
            """The page's side of an upload box."""

            _esm = frontend.esm("leaving.js", "words.js", "upload.js", texts=("upload",))
            _css = frontend.css("theme.css", "upload.css")
            language = traitlets.Unicode().tag(sync=True)
            multiple = traitlets.Bool().tag(sync=True)
            state = traitlets.Dict().tag(sync=True)

        _made = Upload
    return _made
