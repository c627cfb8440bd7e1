"""The record box without a browser: what a page says, and what the box then holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rtnb
from rtnb.errors import InputError
from rtnb.session.parts import Recording, read_parts

PCM = (np.sin(np.arange(48_000) * 0.05) * 8000).astype("<i2").tobytes()


class Page:
    def __init__(self, **options: Any) -> None:
        self.heard: list[dict[str, Any]] = []
        self.n = 0
        self.box = rtnb.record(**options)
        self.box._link._send = lambda content, buffers: self.heard.append(content)

    def say(self, kind: str, *buffers: bytes, **fields: Any) -> None:
        self.n += 1
        self.box._link.received({"kind": kind, "n": self.n, "page": "p", **fields}, buffers)


def test_a_sample_stands_in_until_somebody_records():
    box = rtnb.record()
    assert box.recorded is False
    assert box.clip.name == "question"
    assert repr(box) == "RecordBox(the sample 'question' until somebody records)"
    (step,) = read_parts([box])
    assert isinstance(step, Recording)


def test_an_empty_box_never_waits():
    box = rtnb.record(sample=False)
    assert box.clip is None
    with pytest.raises(InputError, match="Press its button"):
        box.clips  # noqa: B018 - the property raises


def test_a_recording_comes_in_pieces_and_becomes_a_clip():
    page = Page()
    page.say("hello")
    assert page.heard[-1]["kind"] == "welcome"
    page.say("begin")
    for at in range(0, len(PCM), 9_600):
        page.say("audio", PCM[at : at + 9_600])
    page.say("end", bytes=len(PCM))
    assert page.box.recorded
    assert page.box.clip.pcm == PCM
    assert page.box.clip.rate_hz == 24_000
    assert repr(page.box) == "RecordBox(2.0 s recorded)"
    assert page.heard[-1] == {**page.heard[-1], "kind": "standing", "seconds": 2.0, "problem": ""}


def test_recording_again_replaces_it_and_forgetting_gives_the_sample_back():
    page = Page()
    for name, pcm in (("recording", PCM), ("recording-2", PCM[:24_000])):
        page.say("begin")
        page.say("audio", pcm)
        page.say("end", bytes=len(pcm))
        assert page.box.clip.name == name
    page.say("forget")
    assert page.box.clip.name == "question"
    assert page.box.recorded is False


def test_a_recording_that_was_given_up_changes_nothing():
    page = Page()
    page.say("begin")
    page.say("audio", PCM)
    page.say("discard")
    page.say("end", bytes=len(PCM))
    assert page.box.recorded is False


def test_a_recording_with_a_hole_is_an_error_and_not_a_clip():
    page = Page()
    page.say("begin")
    page.say("audio", PCM[:100])
    page.say("end", bytes=len(PCM))
    assert page.box.recorded is False
    assert page.box.error == "Part of the recording was lost on the way. Record again."
    assert page.heard[-1]["problem"] == page.box.error  # the page says it in its reader's language


def test_where_nobody_sees_widgets_it_is_a_sentence():
    bundle = rtnb.record()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert "Clip.read" in bundle["text/html"]


def test_a_page_that_is_reloaded_in_the_middle_loses_nothing_that_had_been_said():
    page = Page()
    page.say("begin")
    page.say("audio", PCM)
    page.box._link.received({"kind": "bye", "page": "p"})  # the last word of a page has no number
    assert page.box.clip.pcm == PCM
    assert page.box.recorded
    assert page.box.error.startswith("The page was closed or reloaded while you spoke")
    assert page.heard[-1] == {**page.heard[-1], "kind": "standing", "take": 1, "problem": page.box.error}
    page.box._link.received({"kind": "hello", "n": 1, "page": "new"})
    assert page.heard[-1] == {**page.heard[-1], "kind": "welcome", "take": 1, "problem": page.box.error}
    page.box._link.received({"kind": "bye", "page": "new"})  # nothing was under way there
    assert page.box.clip.pcm == PCM


def test_a_page_that_did_not_make_the_recording_gets_it():
    page = Page()
    page.say("begin")
    page.say("audio", PCM * 5)
    page.say("end", bytes=len(PCM) * 5)
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    page.box._link._send = lambda content, buffers: sent.append((content, buffers or []))
    page.box._link.received({"kind": "fetch", "n": 1, "page": "other"})
    pieces = [(content, buffers[0]) for content, buffers in sent if content["kind"] == "piece"]
    assert {(content["to"], content["take"], content["bytes"]) for content, _ in pieces} == {("other", 1, len(PCM) * 5)}
    assert b"".join(piece for _, piece in pieces) == PCM * 5
    assert [content["at"] for content, _ in pieces] == [0, 192_000, 384_000]
