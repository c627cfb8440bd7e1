"""The exercises of notebook 8: each with its solution, what is still broken, slips, a cheat, and another's object."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect

import rtnb

OLD = "gpt-4o-realtime-preview-2024-10-01"
KEY = {"Authorization": "Bearer practice"}
BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.fixture(autouse=True)
def in_english():
    rtnb.language("en")
    yield
    rtnb.language("auto")


@cache
def practice():
    return rtnb.practice(engines=False)


@cache
def opened(model, *, beta, key=True):
    """A socket as `connect` returns it, closed again."""

    async def opening():
        headers = (KEY if key else {}) | (BETA if beta else {})
        async with connect(f"{practice().url}?model={model}", additional_headers=headers, proxy=None) as socket:
            await socket.recv()
            return socket

    return asyncio.run(opening())


@cache
def refused():
    async def opening():
        async with connect(practice().url, extra_headers=KEY, proxy=None):
            pass

    with pytest.raises(TypeError) as caught:
        asyncio.run(opening())
    return caught.value


@cache
def spoken():
    there = practice()
    return rtnb.ask("Count to three.", url=there.url, key="practice", provider="practice", show=False).wait(60)


def types():
    return [entry.type for entry in spoken().session.log if entry.direction == "received"]


def check(number, *made):
    """The verdict in English, of at most 200 characters; the Chinese one says the same in Chinese."""
    verdict = rtnb.check(number, *made)
    rtnb.language("zh")
    chinese = rtnb.check(number, *made)
    rtnb.language("en")
    assert chinese.status == verdict.status
    assert re.search(r"[\u4e00-\u9fff]", chinese.sentence), chinese
    for sentence in (verdict.sentence, chinese.sentence):
        assert len(sentence) <= 200, sentence
    return verdict


def until(name):
    return types()[: types().index(name) + 1]


NOW = "gpt-realtime-2.1-mini"
CHEAT = SimpleNamespace(close_code=1000)
TABLE = [
    ("08.1", lambda: [opened(OLD, beta=True)], "right", "both headers"),
    ("08.1", lambda: [refused()], "wrong", "extra_headers"),
    ("08.1", lambda: [opened(OLD, beta=False)], "wrong", "keep both headers"),
    ("08.1", lambda: [opened(OLD, beta=True, key=False)], "wrong", "without the key"),
    ("08.1", lambda: [TypeError], "wrong", "type"),
    ("08.1", lambda: [None], "nothing", "Not filled in yet"),
    ("08.1", lambda: [CHEAT], "wrong", "SimpleNamespace"),
    ("08.1", lambda: [spoken()], "wrong", "Reply"),
    ("08.2", lambda: [opened(OLD, beta=False)], "right", "4000"),
    ("08.2", lambda: [opened(NOW, beta=False)], "right", "1000"),
    ("08.2", lambda: [opened(OLD, beta=True)], "wrong", "beta_api_shape_disabled"),
    ("08.2", lambda: [opened(NOW, beta=True)], "wrong", "Leave that header out"),
    ("08.2", lambda: [opened(OLD, beta=False, key=False)], "wrong", "Authorization"),
    ("08.2", lambda: [{"type": "session.created"}], "wrong", "dict"),
    ("08.2", lambda: [refused()], "wrong", "TypeError"),
    ("08.2", lambda: [None], "nothing", "Not filled in yet"),
    ("08.3", lambda: [opened(NOW, beta=False)], "right", NOW),
    ("08.3", lambda: [opened(OLD, beta=False)], "wrong", "invalid_model"),
    ("08.3", lambda: [opened("gpt-realtime-9", beta=False)], "wrong", "gpt-realtime-9"),
    ("08.3", lambda: [opened("gpt-realtime", beta=False)], "wrong", "2027-01-20"),
    ("08.3", lambda: [opened(NOW, beta=True)], "wrong", "8.2"),
    ("08.3", lambda: [opened("", beta=False)], "wrong", "missing_model"),
    ("08.3", lambda: [CHEAT], "wrong", "SimpleNamespace"),
    ("08.3", lambda: [None], "nothing", "Not filled in yet"),
    ("08.4", lambda: [spoken(), spoken().text], "right", "characters"),
    (
        "08.4",
        lambda: [spoken(), UnboundLocalError("cannot access local variable 'words'")],
        "wrong",
        "UnboundLocalError(",
    ),
    ("08.4", lambda: [spoken(), spoken().text[:5]], "wrong", "5 characters"),
    ("08.4", lambda: [spoken(), spoken().text * 200], "wrong", "whole"),
    ("08.4", lambda: [spoken(), ""], "wrong", "text is empty"),
    ("08.4", lambda: [spoken(), spoken().events], "wrong", "of type ReceivedEvents. Hand over text"),
    ("08.4", lambda: [spoken(), None], "nothing", "Not filled in yet"),
    ("08.4", lambda: [spoken().session, spoken().text], "wrong", "Session"),
    ("08.5", lambda: [spoken(), spoken().audio.pcm], "right", "bytes"),
    ("08.5", lambda: [spoken(), b""], "wrong", "no error"),
    ("08.5", lambda: [spoken(), spoken().audio.pcm[:-2]], "wrong", "every delta"),
    ("08.5", lambda: [spoken(), spoken().audio.pcm[::-1]], "wrong", "in order"),
    ("08.5", lambda: [spoken(), bytes(len(spoken().audio.pcm))], "wrong", "Decode"),
    ("08.5", lambda: [spoken(), "UklGRg=="], "wrong", "Hand over bytes"),
    ("08.5", lambda: [spoken(), None], "nothing", "Not filled in yet"),
    ("08.5", lambda: [opened(NOW, beta=False), b""], "wrong", "Hand over a reply"),
    ("08.6", lambda: [spoken().session, until("response.done")], "right", "response.done"),
    ("08.6", lambda: [spoken().session, TimeoutError()], "wrong", "never comes"),
    ("08.6", lambda: [spoken().session, until("response.output_audio.done")], "wrong", "more of the answer"),
    ("08.6", lambda: [spoken().session, until("response.created")], "wrong", "response.created"),
    ("08.6", lambda: [spoken().session, ["response.done"]], "wrong", "not the events"),
    ("08.6", lambda: [spoken().session, "response.done"], "wrong", "the list"),
    ("08.6", lambda: [spoken().session, None], "nothing", "Not filled in yet"),
    ("08.6", lambda: [spoken(), until("response.done")], "wrong", "Reply"),
]


@pytest.mark.parametrize(("number", "made", "status", "word"), TABLE)
def test_each_kind_of_answer_gets_its_verdict(number, made, status, word):
    verdict = check(number, *made())
    assert verdict.status == status, verdict
    assert word in verdict.sentence
