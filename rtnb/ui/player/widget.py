"""Player of an answer in the page, while the answer is still coming.

Audio goes as buffers of messages, never as widget state, so nothing of it is kept in a saved notebook. Messages go out
from the I/O thread and arrive while a cell runs; the page's own messages may come only when the kernel is idle again
(on older kernels), so nothing waits for them.
"""

import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from rtnb.audio import pcm as arithmetic
from rtnb.ui.shared import widget
from rtnb.ui.shared.kernel_link import FromPage, KernelLink

# A page that still loads its widget code misses what comes before, and cannot say so while a cell runs on older
# kernels. What was sent is therefore sent again after these seconds, unless the page has said that it is there.
_AGAIN_AFTER_SECONDS = (0.5, 1.5, 4.0)
# A page says when it has played all. One that says nothing (gone, or on an older kernel while a cell runs) has the
# length of the audio and this: a slow page starts seconds late, and nothing may be taken from it before its end.
_PAGE_LATE_SECONDS = 15.0


class StreamPlayer:
    """Player of PCM in the page as it is pushed.

    Args:
        on_played: Called once, on any thread, when everything was played or stopped, or must have been by now.

    Attributes:
        widget: The widget to display.
        key: What the words that it marks while they are heard are found by in the page.
    """

    _speaking_until = 0.0  # of all players, on the monotonic clock

    def __init__(self, on_played: Callable[[], None]) -> None:
        self._on_played = on_played
        self._lock = threading.RLock()
        self._words: dict[str, str] = {}
        self._bytes = 0
        self._began = 0.0
        self._ready = self._held = self._over = self._closed = False
        self._timers: list[threading.Timer] = []
        self._limit: threading.Timer | None = None
        # All is kept, however long the answer: a page that is reloaded plays it from its beginning.
        self._link = KernelLink(lambda *message: self.widget.send(*message), self._from_page, kept_bytes=math.inf)
        scripts = ("worklet", "playback", "captions", "sound", "player/player")
        made = widget.widget_class("Player", scripts, texts=("player", "sound"))
        self.key = uuid.uuid4().hex
        self.widget = widget.make(made, self._link.received, setup={"key": self.key})

    def push(self, item_id: str, pcm: bytes) -> None:
        """Play more audio. Thread-safe, never waits.

        Args:
            item_id: Which item it belongs to.
            pcm: s16le, 24 kHz, mono.
        """
        self._tell("audio", buffers=[pcm], item=item_id)

    def words(self, item_id: str, whole: str) -> None:
        """Show the words of an item beside its audio. Thread-safe, never waits; ten times a second is often enough.

        Args:
            item_id: Which item they belong to.
            whole: All of them so far.
        """
        with self._lock:
            sent = self._words.get(item_id, "")
            if whole != sent:
                self._words[item_id] = whole
                start = len(sent) if whole.startswith(sent) else 0
                self._tell("words", item=item_id, start=start, text=whole[start:])

    def end(self, item_id: str) -> None:
        """Say that an item is complete, so that its last samples do not wait for more."""
        self._tell("end", item=item_id)

    def over(self, *, stop: bool = False) -> None:
        """Say that nothing more comes. `on_played` follows when the page has played it, or its time is up.

        Args:
            stop: Whether the page falls silent at once, whatever it has not played yet.
        """
        with self._lock:
            if not self._over:
                self._over = True
                self._tell("stop" if stop else "over")
                # A page plays one answer after the other.
                self._await_played(self._began if stop else max(self._began, StreamPlayer._speaking_until))

    def close(self) -> None:
        """End the audio and forget it."""
        with self._lock:
            self._closed = True
            self._link.forget()
            for timer in self._timers:
                timer.cancel()
        self.widget.close()

    def _tell(self, kind: str, *, buffers: Sequence[bytes] = (), **fields: Any) -> None:
        with self._lock:
            if self._closed:
                return
            if not self._began:
                self._began = time.monotonic()
                for seconds in _AGAIN_AFTER_SECONDS:
                    self._later(seconds, self._again)
            self._bytes += sum(map(len, buffers))
            self._link.tell(kind, buffers=buffers, **fields)

    def _again(self) -> None:
        with self._lock:
            if not (self._closed or self._ready):
                self._link.repeat()

    def _await_played(self, begins: float) -> None:
        """Set the time by which the page has played all, where it begins now or, on the monotonic clock, earlier."""
        ends = begins + arithmetic.seconds(self._bytes)
        StreamPlayer._speaking_until = max(StreamPlayer._speaking_until, ends)
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._later(max(0.0, ends - time.monotonic()) + _PAGE_LATE_SECONDS, self._time_is_up)

    def _time_is_up(self) -> None:
        if not (self._held or self._closed):
            self._on_played()

    def _later(self, seconds: float, what: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()
        return timer

    def _from_page(self, message: FromPage) -> None:
        match message.kind:
            case "hello":
                # Where it comes when all is over, the finished answer stands there already: no audio out of the past.
                late = self._over and not self._ready
                self._ready = True
                if not late:
                    self._link.repeat()
            case "held":
                with self._lock:
                    self._held = bool(message.fields.get("held"))
                    if not self._held and self._over:
                        self._await_played(time.monotonic())  # wherever it goes on, no longer than from its beginning
            case "played":
                self._on_played()
