"""The line between page and kernel: what is numbered cannot get lost unnoticed."""

from __future__ import annotations

from typing import Any

from rtnb.ui.shared.kernel_link import FromPage, KernelLink


class Page:
    """The other end, in few words."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sound: list[bytes] = []
        self.took: list[FromPage] = []
        self.line = KernelLink(self.hear, self.took.append)

    def hear(self, content: dict[str, Any], buffers: list[bytes] | None) -> None:
        self.heard.append(content)
        self.sound += buffers or []

    def say(
        self, n: int, kind: str = "audio", page: str = "p", *, buffers: tuple[bytes, ...] = (), **fields: Any
    ) -> None:
        self.line.received({"kind": kind, "n": n, "page": page, **fields}, buffers)


def test_messages_are_taken_once_and_in_order():
    page = Page()
    page.say(1, "hello")
    page.say(2, buffers=(b"one",))
    page.say(2, buffers=(b"one",))  # sent twice: the page was not sure
    page.say(3, buffers=(memoryview(b"two"),))
    assert [(m.kind, m.buffers) for m in page.took] == [("hello", ()), ("audio", (b"one",)), ("audio", (b"two",))]


def test_a_hole_is_asked_for_and_nothing_behind_it_is_taken_before():
    page = Page()
    page.say(1)
    page.say(4, buffers=(b"late",))
    assert page.heard == [{"kind": "again", "to": "p", "from": 2}]
    for n in (2, 3, 4):
        page.say(n)
    assert len(page.took) == 4
    assert page.line.lost == 2


def test_a_hole_is_asked_for_once_and_again_where_the_page_asks_what_came():
    page = Page()
    page.say(1)
    for n in (3, 4, 5):
        page.say(n)
    assert page.heard == [{"kind": "again", "to": "p", "from": 2}]
    page.line.received({"kind": "probe", "page": "p", "upto": 5})  # the second one was lost as well
    assert page.heard == [{"kind": "again", "to": "p", "from": 2}] * 2
    for n in (2, 3, 4, 5, 7):
        page.say(n)
    assert page.heard[2:] == [{"kind": "again", "to": "p", "from": 6}]
    assert len(page.took) == 5


def test_a_message_that_came_damaged_is_asked_for_and_not_taken():
    page = Page()
    page.line = KernelLink(page.hear, page.took.append, intact=lambda message: b"bad" not in message.buffers)
    page.say(1, buffers=(b"bad",), ack=True)
    page.say(2, buffers=(b"two",))  # was on its way behind it
    page.say(1, buffers=(b"bad",))
    assert page.heard == [{"kind": "again", "to": "p", "from": 1}] * 2
    assert page.took == []
    page.say(1, buffers=(b"one",))
    page.say(2, buffers=(b"two",))
    assert [m.buffers for m in page.took] == [(b"one",), (b"two",)]


def test_it_answers_where_the_page_asks_for_it():
    page = Page()
    page.say(1)
    page.say(2, ack=True)
    assert page.heard == [{"kind": "ack", "to": "p", "upto": 2}]


def test_a_probe_tells_a_busy_kernel_from_a_lost_message():
    page = Page()
    page.say(1)
    page.line.received({"kind": "probe", "page": "p", "upto": 1})
    page.line.received({"kind": "probe", "page": "p", "upto": 2})
    assert page.heard == [{"kind": "ack", "to": "p", "upto": 1}, {"kind": "again", "to": "p", "from": 2}]


def test_two_pages_have_numbers_of_their_own():
    page = Page()
    page.say(1, page="a")
    page.say(1, page="b")
    page.say(2, page="a")
    assert [m.page for m in page.took] == ["a", "b", "a"]


def test_what_the_page_missed_is_sent_again_with_its_sound():
    page = Page()
    for name in (b"one", b"two", b"three"):
        page.line.tell("audio", buffers=[name])
    page.heard.clear()
    page.sound.clear()
    page.line.received({"kind": "again", "page": "p", "from": 2})
    assert [content["n"] for content in page.heard] == [2, 3]
    assert page.sound == [b"two", b"three"]


def test_so_much_is_kept_as_is_wanted():
    page = Page()
    page.line = KernelLink(page.hear, page.took.append, kept_bytes=1_000)
    for _ in range(3):
        page.line.tell("audio", buffers=[bytes(500)])
    page.heard.clear()
    page.line.repeat()
    assert [content["n"] for content in page.heard] == [3]
    page.heard.clear()
    page.line.forget()
    page.line.repeat()
    page.line.tell("audio", buffers=[bytes(500)])
    page.line.tell("audio", buffers=[bytes(500)])
    assert [content["n"] for content in page.heard] == [4, 5]


def test_a_beat_tells_how_far_the_numbers_are():
    page = Page()
    page.line.tell("state", state="open")
    page.line.heartbeat(on=True)
    assert page.heard[-1] == {"kind": "beat", "on": True, "last": 1}


def test_a_widget_that_is_gone_stops_nobody():
    def closed(*_: Any) -> None:
        raise RuntimeError("closed")

    line = KernelLink(closed, lambda _: None)
    line.tell("state", state="open")
    line.received({"kind": "hello", "n": 1, "page": "p", "ack": True})


def test_nonsense_is_passed_over():
    page = Page()
    for content in (None, "text", {}, {"kind": 3}, {"kind": "audio", "n": 0, "page": "p"}):
        page.line.received(content)
    assert page.took == []
