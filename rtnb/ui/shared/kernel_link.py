"""Link between a widget and its pages: numbered both ways, so that nothing is lost without being noticed.

The page's end is `kernel_link.js`. What comes from the page arrives on whatever thread the kernel handles widget
messages on; what goes to the page may be sent on any thread and goes out at once, also while a cell blocks the kernel
(measured: messages sent from a thread reach the page during `time.sleep` on ipykernel 6.17.1 and 7.4.0).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

# Sends the pages one message with its binary part, as `ipywidgets.Widget.send` does.
Send = Callable[[dict[str, Any], list[bytes] | None], None]

_log = logging.getLogger("rtnb")


class FromPage(NamedTuple):
    """Message of a page.

    Attributes:
        kind: Its kind.
        fields: Its other fields.
        buffers: Its binary part.
        page: The page that sent it; a notebook open in two tabs has two.
    """

    kind: str
    fields: Mapping[str, Any]
    buffers: tuple[bytes, ...]
    page: str


class KernelLink:
    """Link of one widget to the pages that show it.

    Args:
        send: Sends one message, `send(content, buffers)`, as `ipywidgets.Widget.send` does; called from any thread.
        on_message: Gets each message of a page once and in the page's order.
        intact: Whether a message came as it was sent; one that did not is asked for again.
        kept_bytes: So much of what was sent is kept, in case a page asks for it again.

    Attributes:
        lost: Count of messages of pages that arrived out of turn and had to be asked for again.
    """

    def __init__(
        self,
        send: Send,
        on_message: Callable[[FromPage], None],
        *,
        intact: Callable[[FromPage], bool] = lambda _: True,
        kept_bytes: float = 16 << 20,
    ) -> None:
        self._send, self._on_message, self._intact, self._most_bytes = send, on_message, intact, kept_bytes
        self._outgoing, self._incoming = threading.Lock(), threading.Lock()
        self._n = self._kept_bytes = self.lost = 0
        self._kept: deque[tuple[dict[str, Any], list[bytes] | None]] = deque()
        self._expected: dict[str, int] = {}
        self._asked: dict[str, int] = {}  # by page, the message asked for last

    def tell(self, kind: str, *, to: str | None = None, buffers: Sequence[bytes] = (), **fields: Any) -> None:
        """Send the pages a message.

        Args:
            kind: Its kind.
            to: The one page it is for. None for all.
            buffers: Its binary part.
            **fields: Its other fields; must be JSON.
        """
        with self._outgoing:  # the numbers must leave in order
            self._n += 1
            content = {"kind": kind, "n": self._n, **fields} | ({} if to is None else {"to": to})
            sent = list(buffers) or None
            self._kept.append((content, sent))
            self._kept_bytes += _size(buffers)
            while self._kept_bytes > self._most_bytes:
                self._kept_bytes -= _size(self._kept.popleft()[1] or ())
            self._out(content, sent)

    def welcome(self, page: str, **fields: Any) -> None:
        """Send a page the number of the last message, and all it must know to begin."""
        with self._outgoing:
            self._out({"kind": "welcome", "to": page, "n": self._n, **fields})

    def heartbeat(self, *, on: bool) -> None:
        """Send the pages a heartbeat; `on` promises another one within seconds."""
        with self._outgoing:
            self._out({"kind": "beat", "on": on, "last": self._n})

    def _out(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        try:
            self._send(content, buffers)
        except Exception:  # a closed widget, a front end that went away: the call itself goes on
            _log.debug("a message to the page could not be sent", exc_info=True)

    def received(self, content: Any, buffers: Sequence[Any] = ()) -> None:
        """Take what the page sent, as the widget hands it over."""
        if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
            return
        page = str(content.get("page", ""))
        fields = {name: value for name, value in content.items() if name not in ("kind", "n", "page", "ack")}
        with self._incoming:
            expected, n = self._expected.setdefault(page, 1), int(content.get("n", 0))
            match content["kind"]:
                case "again":
                    self.repeat(int(content.get("from", 0)))
                case "bye":  # nobody is there any more to be asked for what is missing before it
                    self._on_message(FromPage("bye", fields, (), page))
                case "probe" if int(content.get("upto", 0)) >= expected:
                    self._ask_again(page)
                case kind if kind == "probe" or n < expected:
                    self._ack(page)
                case _ if n > expected:
                    # One request for each hole: what was on its way behind it comes in vain and must not ask again.
                    if self._asked.get(page) != expected:
                        self.lost += n - expected
                        self._ask_again(page)
                case kind:
                    # `bytes()` copies: the memory belongs to the message, and the audio outlives it.
                    message = FromPage(kind, fields, tuple(map(bytes, buffers or ())), page)
                    if not self._intact(message):
                        return self._ask_again(page)
                    self._expected[page] = n + 1
                    if content.get("ack"):
                        self._ack(page)
                    self._on_message(message)

    def _ask_again(self, page: str) -> None:
        self._asked[page] = self._expected[page]
        self._out({"kind": "again", "to": page, "from": self._expected[page]})

    def _ack(self, page: str) -> None:
        self._out({"kind": "ack", "to": page, "upto": self._expected[page] - 1})

    def repeat(self, start: int = 1) -> None:
        """Send messages once more, from a number on; a page takes those that it misses."""
        with self._outgoing:
            for content, buffers in self._kept:
                if content["n"] >= start:
                    self._out(content, buffers)

    def forget(self) -> None:
        """Drop what was kept: no page will ask for it any more."""
        with self._outgoing:
            self._kept.clear()
            self._kept_bytes = 0


def _size(buffers: Sequence[bytes]) -> int:
    return 200 + sum(map(len, buffers))
