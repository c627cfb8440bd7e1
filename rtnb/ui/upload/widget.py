"""Upload box: recordings from the user's computer to the kernel, in a notebook's cell.

Files go to a folder of this process on disk; nothing of them is widget state, so nothing is kept in a saved notebook. A
sample stands in until the user has chosen, so that running all cells never waits.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtnb.audio import Clip
from rtnb.errors import InputError
from rtnb.texts.arguments import checks_call
from rtnb.texts.language import say
from rtnb.ui.shared import frontend, waiting, widget
from rtnb.ui.shared.kernel_link import FromPage, KernelLink
from rtnb.ui.upload.transfer import Transfers, UploadedFile, checked, intact, place

_PLAYED_BYTES = 64 << 20  # of a file that a page wants to hear again: it goes through memory
_UNTIL_THEN = "Until then the sample “{name}” ({seconds} s) stands in."


@checks_call
def upload(*, multiple: bool = True, sample: bool | str = True, wait: bool = False) -> "UploadBox":
    """Show a box to drop, paste or choose recordings in.

    ```python
    box = rtnb.upload()
    box                                        # the box; upload now, or go on with the sample
    reply = await rtnb.ask(box, "Summarize this audio content")
    ```

    Args:
        multiple: Whether it takes several files.
        sample: The shipped recording that stands in until the user has uploaded: True for the talk, or a name from
            `rtnb.samples().names`. False for none.
        wait: Whether to wait until the user has uploaded, where that can work: with Colab's own upload button there,
            elsewhere in the box, if kernel and page can talk while a cell runs. It ends at once where they cannot and
            where nobody is there to upload; the sample stands then.

    Returns:
        The box: `.clip`, `.clips`, `.files`, and it can be handed to `ask` as it is.

    Raises:
        InputError: There is no sample of that name.

    Examples:
        >>> box = rtnb.upload()  # `box`, as a cell's last line, shows it
        >>> box.clips  # until a file is dropped on it
        [Clip(talk, 21.9 s)]
    """
    box = UploadBox(multiple=multiple, sample=sample)
    if wait:
        box._wait_for_user()
    return box


class UploadBox(widget.Box):
    """Box to upload recordings in. The last line of a cell shows it; it never waits.

    Examples:
        >>> box = rtnb.upload(sample="question")
        >>> box.clip, box.files  # until a file is dropped on it
        (Clip(question, 1.9 s), ())
    """

    def __init__(self, *, multiple: bool = True, sample: bool | str = True) -> None:
        super().__init__(sample, "talk")
        self._multiple = multiple
        self._lock = threading.RLock()
        self._files: dict[str, UploadedFile] = {}
        self._checking: dict[str, UploadedFile] = {}
        self._given_up: dict[str, UploadedFile] = {}  # the page went away while they were on their way
        self._link = KernelLink(self._send, self._from_page, intact=intact)
        self._transfers = Transfers(self._link.tell, self._take)
        self._clips: dict[Path, Clip] = {}
        self._waiting = self._went_on = self._page_there = False  # the last: whether any page has sent anything

    # --- what is in it

    @property
    def files(self) -> tuple[UploadedFile, ...]:
        """Files that were uploaded, in order, readable or not."""
        with self._lock:
            return tuple(self._files.values())

    @property
    def sources(self) -> list[Path | Clip]:
        """Recordings that `ask` sends: the paths of readable files, streamed however long they are, or the sample.

        Raises:
            AudioError: Files were uploaded and none of them can be read.
            InputError: Nothing was uploaded and there is no sample.
        """
        good: list[Path | Clip] = [file.path for file in self.files if file.error is None]
        if good:
            return good
        if broken := [file.error for file in self.files if file.error is not None]:
            raise broken[-1]
        if self._sample is not None:
            return [self._sample]
        raise InputError("Your upload box is empty. Drop a recording into it, then run this cell again.")

    @property
    def clips(self) -> list[Clip]:
        """Recordings, read now if they were not before; the sample as long as nothing was uploaded.

        Raises:
            AudioError: A file cannot be read to its end, or none can.
            InputError: Nothing was uploaded and there is no sample.
        """
        return [self._clip_of(source) for source in self.sources]

    @property
    def clip(self) -> Clip:
        """Recording uploaded last, or the sample. Raises as `clips` does."""
        return self._clip_of(self.sources[-1])

    def _clip_of(self, source: Path | Clip) -> Clip:
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
            return say("UploadBox(the sample {name!r} until a recording is uploaded)", name=self._sample.name)
        return say("UploadBox(empty)")

    # --- how it shows itself

    def _sentences(self) -> tuple[str, str]:
        lines = [say("Run this cell to upload a recording.")]
        if (sample := self._sample) is not None and not self._files:
            lines.append(say(_UNTIL_THEN, name=sample.name, seconds=f"{sample.seconds:.1f}"))
        return " ".join(lines), say('No box appears? Give a path instead: rtnb.ask("my.m4a", …).')

    def _make(self) -> Any:
        scripts = ("leaving", "sound", "upload/sending", "upload/upload")
        made = widget.widget_class("Upload", scripts, texts=("upload", "sound"))
        return widget.make(made, self._link.received, setup={"multiple": self._multiple}, state=self._state_for_page())

    def _state_for_page(self) -> dict[str, Any]:
        files = []
        with self._lock:
            for key, file in {**self._files, **self._checking, **self._given_up}.items():
                shown = {"id": key, "name": file.name, "bytes": file.bytes, "seconds": file.seconds}
                shown |= {"problem": "" if file.error is None else str(file.error), "checking": key in self._checking}
                files.append(shown | {"failed": "reload" if key in self._given_up else ""})
        sample = self._sample and {"name": self._sample.name, "seconds": self._sample.seconds}
        return {"files": files, "sample": sample, "waiting": self._waiting}

    def _tell_page(self) -> None:
        if self._widget is not None:
            self._widget.state = self._state_for_page()

    # --- what the page says

    def _from_page(self, message: FromPage) -> None:
        """Take a message of the page, on the main thread or, while a cell runs, on a subshell's."""
        key = str(message.fields.get("id", ""))
        try:
            match message.kind:
                case "hello":
                    self._page_there = True
                    self._link.welcome(message.page)
                case "begin":
                    self._begin(key, message.fields)
                case "piece":
                    self._transfers.piece(key, b"".join(message.buffers))
                case "end":
                    self._transfers.end(key)
                case "remove":
                    self._remove(key)
                case "bye":
                    self._give_up(message.fields.get("files") or ())
                case "listen":
                    self._listen(key, message.page)
                case "goon":
                    self._went_on = True
        except OSError as error:  # the disk is full, the folder is gone
            self._transfers.arriving.pop(key, None)
            self._transfers.fail(key, "disk", error.strerror or str(error))

    def _begin(self, key: str, fields: Mapping[str, Any]) -> None:
        name = str(fields.get("name") or "recording")
        with self._lock:
            self._given_up = {old: file for old, file in self._given_up.items() if file.name != name}
        self._tell_page()
        size = fields.get("bytes")
        self._transfers.begin(key, name, size if isinstance(size, int) and size > 0 else 0)

    def _remove(self, key: str) -> None:
        with self._lock:
            self._transfers.drop(key)
            if (file := self._files.pop(key, None) or self._checking.pop(key, None)) is not None:
                file.path.unlink(missing_ok=True)
                self._clips.pop(file.path, None)
            self._given_up.pop(key, None)
        self._tell_page()

    def _give_up(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Note which files a page that went away had on their way; only the user can give them to another one."""
        with self._lock:
            for file in files:
                key = str(file.get("id", ""))
                if key in self._files or key in self._checking:
                    continue  # it had arrived, and only the answer had not
                self._transfers.drop(key)
                name = str(file.get("name") or "recording")
                self._given_up[key] = UploadedFile(name, Path(), int(file.get("bytes") or 0))
        self._tell_page()

    def _listen(self, key: str, page: str) -> None:
        if key == "sample" and self._sample is not None:
            self._link.tell("audio", to=page, buffers=[self._sample.encode("opus")], id=key)
        elif key in self._files:
            # Whatever the page can play of the file as it is; it has no copy of its own after a reload.
            with open(self._files[key].path, "rb") as file:
                self._link.tell("audio", to=page, buffers=[file.read(_PLAYED_BYTES)], id=key)

    # --- when a file is there

    def _take(self, key: str, file: UploadedFile) -> None:
        """Put a whole file into the box; another thread finds out whether it has audio."""
        with self._lock:
            self._checking[key] = file
        self._tell_page()
        threading.Thread(target=self._check, args=(key, file), name="rtnb-upload", daemon=True).start()

    def _check(self, key: str, file: UploadedFile) -> None:
        known = checked(file)
        with self._lock:
            if self._checking.pop(key, None) is not None:  # not removed meanwhile
                if not self._multiple:
                    self._files.clear()
                self._files[key] = known
        with contextlib.suppress(Exception):  # the page may be gone; the file is here
            self._tell_page()

    # --- waiting for the user

    def _wait_for_user(self) -> None:
        where = frontend.detect()
        if not where.person or not where.widgets:
            return
        if where.name == "colab":
            return self._upload_by_colab()
        from IPython.display import display

        self._waiting = True
        display(self)
        self._shown_in = frontend.cell()
        try:
            waiting.serve_until(
                lambda: self._went_on or (bool(self._files) and not self._checking and not self._transfers.arriving),
                there=lambda: self._page_there,
            )
        finally:
            self._waiting = False
            self._tell_page()

    def _upload_by_colab(self) -> None:
        # Colab serves its own upload button while a cell runs, and widgets only between cells.
        from google.colab import files

        for name, data in files.upload().items():
            path = place(name)
            path.write_bytes(data)
            key = f"colab-{len(self._files)}"
            self._checking[key] = UploadedFile(name, path, len(data))
            self._check(key, self._checking[key])
