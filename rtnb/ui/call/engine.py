"""Engine of a call: its states, the page that talks, and its ends.

The page knows how much audio it has played and says so; answers are truncated to that. Audio and captions go to the
page from the I/O thread, so they keep coming while a cell blocks the kernel.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from rtnb.errors import BudgetExceeded, InputError, mask_secrets
from rtnb.protocol.event_table import event_table
from rtnb.transport import io_thread
from rtnb.transport.handle import Handle
from rtnb.ui.call.exchange import Exchange
from rtnb.ui.shared import waiting
from rtnb.ui.shared.kernel_link import FromPage, KernelLink, Send

_HEARTBEAT_SECONDS = 1.0
_EVENTS_SHOWN = 1000  # a minute of speech; its table takes a hundredth of a second to make
# Nobody is there to talk: the call is not kept open for long, for a server counts its sessions and somebody may pay.
_PAGE_BACK_SECONDS = 60.0  # a page that said goodbye may be reloading
_PAGE_GONE_SECONDS = 90.0  # a page that sends nothing, neither audio nor heartbeat, while the kernel would take it
_PAGE_MUTE_SECONDS = 900.0  # the same while a cell runs and the kernel takes nothing
_PAGE_SILENT_SECONDS = 6.0  # so long a page may send nothing and still be taken to be there

# The page's reason to end a call, where the user did not → the sentence.
_HANG_UPS = {
    "output": "The cell's output was closed, so the call was ended.",
    "page": "Nobody was on the page any more, so the call was ended.",
    "silent": "The page lost the kernel for a while, so the call was ended.",
    "microphone": "The microphone went away, so the call was ended.",
}


class Engine:
    """States of one call, whatever shows it.

    Args:
        settings: The arguments of `rtnb.opening.connect`.
        send: Sends the pages one message: `send(content, buffers)`.
        changed: Called on any thread when the state has changed, or what is known of a call that is over.

    Attributes:
        state: `"ready"`, `"connecting"`, `"open"` or `"closed"`.
        ended: The sentence why it ended; "" while it has not.
        link: The link to the pages.
        exchange: The sessions with the server.
    """

    def __init__(self, settings: Mapping[str, Any], send: Send, changed: Callable[[], None]) -> None:
        self.state: Literal["ready", "connecting", "open", "closed"] = "ready"
        self.ended = self._reason = ""
        self.link = KernelLink(send, self._from_page)
        self.exchange = Exchange(settings, self.link, self.end)
        self._changed = changed
        self._lock = threading.RLock()
        self._connecting: threading.Thread | None = None
        self._early: list[bytes] = []  # the user's audio until the session is open
        self._opened_at: float | None = None
        self._seconds = 0.0  # of the sessions before this one
        self._from_page_at = 0.0  # when the page that talks sent something last

    @property
    def seconds(self) -> float:
        """Seconds that sessions were open, all together."""
        return self._seconds + (0.0 if self._opened_at is None else time.monotonic() - self._opened_at)

    @property
    def _running(self) -> bool:
        return self.state in ("connecting", "open")

    def say(self, text: str) -> None:
        """Add typed words to the conversation and ask for an answer.

        Raises:
            InputError: If the call is not open.
        """
        if self.state != "open":
            raise InputError("Your call is not open. Click the call button first.")
        self._if_open(lambda: self.exchange.say(text))

    # --- from the page (on whatever thread widget messages come)

    def _from_page(self, message: FromPage) -> None:
        exchange, fields = self.exchange, message.fields
        if message.page == exchange.page:
            self._from_page_at = time.monotonic()
        played = {str(item["item"]): int(item["played_ms"]) for item in fields.get("items", ())}
        match message.kind:
            case "hello":
                self.link.welcome(message.page, **self._standing())
                self.link.heartbeat(on=self._running)
                exchange.captions.send(to=message.page)
                self._soon(exchange.approvals.tell)
                exchange.tell_cost()
            case "events":
                self._soon(lambda: self._tell_events(message.page))
            case "start":
                self._start(message.page)
            case "cut":  # also of a page from which the call was taken away
                self._soon(lambda: self._cut(played))
            case "approve":
                self._soon(lambda: exchange.approvals.answer(str(fields.get("id")), yes=fields.get("yes") is True))
            case _ if message.page != exchange.page:
                pass  # another tab that shows the same call
            case "bye":
                self._page_left(played)
            case "audio":
                self._append(*message.buffers)
            case "commit" | "clear" | "recorded" as kind:
                self._if_open({"commit": exchange.commit, "clear": exchange.clear}.get(kind, exchange.end_recording))
            case "stop":
                self._if_open(lambda: exchange.truncate(played, stop=True))
            case "say":
                self._if_open(lambda: exchange.say(str(fields.get("text", ""))))
            case "hangup" if (why := str(fields.get("why"))) in _HANG_UPS:
                self.end(_HANG_UPS[why], why)
            case "hangup":
                self.end()

    def _cut(self, played: Mapping[str, int]) -> None:
        if self.exchange.sessions:
            self.exchange.truncate(played, stop=False)
        if self.state == "closed":
            self._changed()

    def _tell_events(self, page: str) -> None:
        """Send a page the newest events as a table, as bytes: what is kept to be sent again is limited by those."""
        entries = [entry for session in self.exchange.sessions for entry in session.log[-_EVENTS_SHOWN:]]
        self.link.tell("events", to=page, buffers=[event_table(entries[-_EVENTS_SHOWN:], newest=True).encode()])

    def _soon(self, act: Callable[[], object]) -> None:
        io_thread.io_loop().call_soon_threadsafe(act)

    def _if_open(self, act: Callable[[], object]) -> None:
        self._soon(lambda: self.exchange.open and act())

    def _standing(self) -> dict[str, Any]:
        page, silent = self.exchange.page, time.monotonic() - self._from_page_at > _PAGE_SILENT_SECONDS
        standing = {"state": self.state, "owner": page, "away": self._running and (not page or silent)}
        standing |= {"reason": self._reason, "text": self.ended, "source": self.exchange.source}
        return standing | {"seconds": round(self.seconds, 1)}

    def _append(self, *pieces: bytes) -> None:
        with self._lock:
            if self.state == "connecting":
                self._early += pieces
            elif self.state == "open":
                self.exchange.append(*pieces)

    # --- the page that talks

    def _start(self, page: str) -> None:
        with self._lock:
            going_on = self._running
            if going_on and self.exchange.page not in ("", page):
                self._fall_silent()
            self.exchange.page, self._from_page_at = page, time.monotonic()
            if going_on:  # a page that was reloaded, or another tab, takes the call over as it stands
                self.link.tell("state", **self._standing())
                return self._soon(self.exchange.go_on)
            self._early.clear()
            self.exchange.unfollow()
            self._set_state("connecting")
            # Starting the practice server takes a moment, and this thread has audio to take.
            self._connecting = threading.Thread(target=self._connect, name="rtnb-call", daemon=True)
            self._connecting.start()

    def _page_left(self, played: Mapping[str, int]) -> None:
        """Hold the call for a page that was closed or reloaded: nothing is answered until one takes it over again."""
        with self._lock:
            if not self._running:
                return
            self._fall_silent()
            self.exchange.page, self._from_page_at = "", time.monotonic()
            self.link.tell("state", **self._standing())
        self._if_open(lambda: self.exchange.truncate(played, stop=False))

    def _fall_silent(self) -> None:
        """Stop the answer, which nobody on this page listens to any more, and forget what was said by half."""
        if self.exchange.open:
            self.exchange.clear()  # at once: whoever takes over may be speaking already
            self._if_open(self.exchange.cancel)

    # --- states and ends

    def _connect(self) -> None:
        def wanted() -> bool:  # no longer where the user has hung up, even if another try has begun since
            return self.state == "connecting" and self._connecting is threading.current_thread()

        # Before the practice server is started: on a slow computer that takes longer than a page waits for a sign.
        self._soon(self._heartbeat)
        try:
            if (session := self.exchange.connect(wanted, self._lock)) is None:
                return
            session.wait()
        except BaseException as error:
            reason = "budget" if isinstance(error, BudgetExceeded) else "failed"
            with self._lock:
                if wanted():
                    self.end(str(error) or type(error).__name__, reason)
            return
        with self._lock:
            if wanted():
                self._opened_at = time.monotonic()
                self._set_state("open")
                self.exchange.append(*self._early)
                self._early.clear()

    def _set_state(self, state: Literal["connecting", "open", "closed"], reason: str = "", text: str = "") -> None:
        self.state, self._reason, self.ended = state, reason, mask_secrets(text)
        self.exchange.open = state == "open"
        self.link.tell("state", **self._standing())
        self.link.heartbeat(on=state != "closed")
        self._changed()

    def _heartbeat(self) -> None:
        if not self._running:
            return
        self.link.heartbeat(on=True)
        away = time.monotonic() - self._from_page_at
        there = min(away, waiting.free_seconds()) <= _PAGE_GONE_SECONDS and away <= _PAGE_MUTE_SECONDS
        if there if self.exchange.page else away <= _PAGE_BACK_SECONDS:
            asyncio.get_running_loop().call_later(_HEARTBEAT_SECONDS, self._heartbeat)
        else:
            self.end(_HANG_UPS["page"], "page")

    def end(self, text: str = "You hung up.", reason: str = "hung_up") -> Handle[None]:
        """End the call; safe to call twice and before it began.

        Args:
            text: Why, in a sentence.
            reason: The same in a word, for the page.

        Returns:
            What is done when the connection is closed.
        """
        with self._lock:
            session = self.exchange.session
            if self._running:
                self._seconds, self._opened_at = self.seconds, None
                self._early.clear()
                self.exchange.respond_next = False
                self._soon(self.exchange.audio.drop)
                self._set_state("closed", reason, text)
        return session.close() if session is not None else Handle(io_thread.submit(asyncio.sleep(0)))
