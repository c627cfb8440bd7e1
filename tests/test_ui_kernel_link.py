"""Both ends of the link between page and kernel, joined by a line that loses and damages: the page's runs in Node."""

from __future__ import annotations

import base64
import json
import math
import random
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtnb.ui.shared import widget
from rtnb.ui.shared.kernel_link import FromPage, KernelLink

SCRIPTS = ("shared/elements.js", "shared/pcm.js", "shared/kernel_link.js")


def intact(message: FromPage) -> bool:
    return zlib.crc32(b"".join(message.buffers)) == message.fields.get("crc32", 0)


class Joined:
    """A page's link and a kernel's: what each of them took, and the line between them."""

    def __init__(self, folder: Path) -> None:
        (folder / "link.mjs").write_text(widget.esm(*SCRIPTS), encoding="utf-8")
        shutil.copy(Path(__file__).parent / "node" / "page.mjs", folder)
        self.node = subprocess.Popen(
            ["node", "page.mjs"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.kernel_took: list[tuple[str, bytes]] = []
        self.page_took: list[dict[str, Any]] = []
        self.to_page: list[tuple[dict[str, Any], bytes | None]] = []
        self.to_kernel: list[tuple[dict[str, Any], bytes | None]] = []
        self.stands: dict[str, Any] = {}
        self.kernel = KernelLink(self._out, self._take, intact=intact, kept_bytes=math.inf)
        self.chance: random.Random | None = None
        self.seen: set[int] = set()

    def _out(self, content: dict[str, Any], buffers: list[bytes] | None) -> None:
        self.to_page.append((content, buffers[0] if buffers else None))

    def _take(self, message: FromPage) -> None:
        if message.kind == "hello":
            self.kernel.welcome(message.page)
        self.kernel_took.append((message.kind, b"".join(message.buffers)))

    def page(self, do: str, *, bytes_: bytes | None = None, **fields: Any) -> None:
        assert self.node.stdin is not None
        assert self.node.stdout is not None
        encoded = None if bytes_ is None else base64.b64encode(bytes_).decode()
        self.node.stdin.write(json.dumps({"do": do, "bytes": encoded, **fields}) + "\n")
        self.node.stdin.flush()
        while "done" not in (line := json.loads(self.node.stdout.readline())):
            if "took" in line:
                self.page_took.append(line["took"])
            else:
                data = line["bytes"]
                self.to_kernel.append((line["sent"], None if data is None else base64.b64decode(data)))
        self.stands = line["done"]

    def send(self, kind: str, data: bytes | None = None) -> None:
        fields = {} if data is None else {"crc32": zlib.crc32(data)}
        self.page("send", kind=kind, fields=fields, bytes_=data)

    def carry(self) -> None:
        """Bring over what waits on both sides until nothing does."""
        while self.to_page or self.to_kernel:
            while self.to_kernel:
                content, data = self.to_kernel.pop(0)
                fate = 1.0 if self.chance is None else self.chance.random()
                if fate < 0.15 and "n" in content:
                    continue
                if fate < 0.3 and data is not None:
                    data = bytes(len(data))
                self.kernel.received(content, [] if data is None else [data])
            while self.to_page:
                content, data = self.to_page.pop(0)
                first = "n" in content and content["kind"] != "welcome" and content["n"] not in self.seen
                self.seen |= {content["n"]} if first else set()
                if not (first and self.chance is not None and self.chance.random() < 0.2):
                    self.page("hear", content=content, bytes_=data)

    def until(self, condition: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            self.carry()
            self.page("look")
            time.sleep(0.05)


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    both = Joined(tmp_path)
    yield both
    both.page("close")
    assert both.node.stdin is not None
    both.node.stdin.close()
    both.node.wait(30)
    assert both.node.stdout is not None
    both.node.stdout.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_line_that_loses_and_damages_still_brings_everything_once_and_in_order(joined: Joined, seed: int) -> None:
    chance = random.Random(seed)
    pieces = [chance.randbytes(chance.randrange(1, 60_000)) for _ in range(40)]
    joined.page("open", options={})
    joined.send("hello")
    joined.carry()
    joined.chance = chance
    for number, piece in enumerate(pieces):
        joined.send("piece", piece)
        joined.kernel.tell("standing", number=number)
        joined.carry()
        joined.kernel.heartbeat(on=True)
    joined.until(lambda: len(joined.kernel_took) == 41 and len(joined.page_took) == 41)
    assert joined.kernel_took == [("hello", b""), *(("piece", piece) for piece in pieces)]
    assert [message["number"] for message in joined.page_took[1:]] == list(range(40))
    assert joined.stands["repeated"] > 0


def test_no_more_is_on_its_way_than_the_kernel_has_room_for(joined: Joined) -> None:
    joined.page("open", options={"inFlightBytes": 3_000})
    for _ in range(5):
        joined.send("piece", bytes(1_000))
    assert [content["n"] for content, _ in joined.to_kernel] == [1, 2, 3]
    assert (joined.stands["full"], joined.stands["waitingBytes"]) == (True, 5_000)
    joined.carry()
    joined.page("look")
    assert (joined.stands["full"], joined.stands["waitingBytes"]) == (False, 0)
    assert len(joined.kernel_took) == 5


def test_a_page_that_cannot_be_heard_takes_the_kernels_messages_from_the_first_on(joined: Joined) -> None:
    for number in range(3):
        joined.kernel.tell("audio", number=number)
    joined.to_page.clear()  # the page was not there yet
    joined.page("open", options={"fromFirst": True})
    joined.kernel.tell("audio", number=3)
    joined.carry()
    assert joined.page_took == []
    assert joined.to_kernel == []  # it asks for nothing: a busy kernel would answer when it is too late
    joined.kernel.repeat()
    joined.kernel.repeat()
    joined.carry()
    assert [message["number"] for message in joined.page_took] == [0, 1, 2, 3]
    joined.kernel.forget()
    joined.kernel.repeat()
    assert joined.to_page == []


def test_what_one_page_asks_for_does_not_pass_by_another_one_that_misses_it(joined: Joined) -> None:
    joined.page("open", options={})
    joined.send("hello")
    joined.carry()
    joined.kernel.tell("standing", number=0)
    joined.to_page.clear()
    joined.kernel.received({"kind": "again", "page": "another", "from": 1})
    joined.carry()
    assert [message["number"] for message in joined.page_took[1:]] == [0]
