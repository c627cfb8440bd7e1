"""Captions: which model writes down what the user says, when its words come, and what they cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dialogue import serve, until, usage
from test_ui_call import PCM, Page, hear_sound, user_spoke

import rtnb
from rtnb import costs, models
from rtnb.money import Cost
from rtnb.server import server
from rtnb.ui.call.record import cost_in_words
from rtnb.ui.reply_card.card import card

CHEAP, FAST = "gpt-transcribe", "gpt-realtime-whisper"
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def usd_a_minute(name: str) -> str:
    prices = models.get(name).prices
    assert prices is not None
    return f"${prices.per_minute_usd}"


# --- which model


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (True, {"model": CHEAP}),
        (FAST, {"model": FAST}),
        ({"model": CHEAP, "languages": ["en", "pt"]}, {"model": CHEAP, "languages": ["en", "pt"]}),
        (False, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["call", "connect"])
def test_the_cheap_model_writes_where_none_is_named(given: Any, asked: Any, how: str) -> None:
    wanted = []

    def script(talk):
        wanted.append(talk.open()["audio"]["input"].get("transcription"))

    with serve(script) as url:
        if how == "call":
            page = Page(url, transcription=given)
            page.start()
            page.call.hang_up().wait(5)
        else:
            rtnb.connect(url=url, transcription=given).wait(10).close().wait(5)
    assert wanted == [asked]


def send(page: Page, clip: rtnb.Clip) -> None:
    """Send what the microphone of a call hears."""
    for at in range(0, len(clip.pcm), 9_600):
        page.say("audio", clip.pcm[at : at + 9_600])


def received(page: Page, kind: str) -> int:
    return sum(entry.type == kind for entry in page.call.log)


def say(page: Page, clip: rtnb.Clip) -> None:
    """Say something in a call, and wait for the answer."""
    before = received(page, "response.done")
    send(page, clip)
    page.say("recorded")
    until(lambda: received(page, "response.done") > before)


def test_the_words_come_when_the_turn_ends() -> None:
    with server.start() as practice:
        page = Page(practice.url)
        page.start()
        say(page, rtnb.samples()["order"])
        shown = page.hear("turn", role="user", open=False)
        page.call.hang_up().wait(5)
    assert shown["text"].startswith("I would like to order")
    types = [entry.type for entry in page.call.log]
    assert types.index(DELTA) > types.index("input_audio_buffer.committed")
    assert types.count(COMPLETED) == 1


def test_a_dearer_model_brings_them_while_the_user_speaks() -> None:
    order = rtnb.samples()["order"]
    with server.start() as practice:
        page = Page(practice.url, transcription=FAST)
        page.start()
        send(page, order[:2.5])
        until(lambda: received(page, DELTA))
        assert page.hear("turn", role="user", open=True)["text"]
        send(page, order[2.5:])
        page.say("recorded")
        until(lambda: received(page, "response.done"))
        page.call.hang_up().wait(5)
    types = [entry.type for entry in page.call.log]
    assert types.index(DELTA) < types.index("input_audio_buffer.committed")


# --- what they cost


def test_a_minute_of_speech_costs_little_more_than_a_cent_with_its_captions() -> None:
    talk, names = rtnb.samples()["talk"], [f"dialogue-{number}" for number in range(1, 7)]
    turns = [talk, rtnb.join([rtnb.samples()[name] for name in names], gap_seconds=0.1)]
    with server.start() as practice:
        page = Page(practice.url)
        page.start()
        for turn in turns:
            say(page, turn)
        page.call.hang_up().wait(5)
    spoken = [entry for entry in page.call.log if entry.type == COMPLETED]
    assert len(spoken) == len(turns)
    minutes = sum(turn.seconds for turn in turns) / 60
    assert minutes > 0.6
    lines = page.call.cost.lines
    assert {line.model for line in lines} == {"gpt-realtime-2.1-mini", CHEAP}
    # What was heard, also where it was read again with a later turn, and its captions: not the answers.
    heard = [line for line in lines if line.what.startswith("audio in") or line.model == CHEAP]
    usd = Cost(tuple(heard)).usd
    assert usd is not None
    # 600 tokens × $10 / 1M = $0.006 and $0.0045 are $0.0105; what is read again comes on top.
    assert 0.0100 < usd / minutes <= 0.0120
    captions = next(line for line in lines if line.model == CHEAP).quantity
    assert (usd + captions * (0.017 - 0.0045)) / minutes > 0.022  # with the model that writes during speech


# --- where they are told apart


def heard_and_answered(talk: Any) -> None:
    talk.open()
    hear_sound(talk, len(PCM))
    user_spoke(talk, words="Hello.")
    talk.answer("Hello you.", expect=False, usage=usage(output_audio=1000))


def test_the_bill_has_a_row_for_the_captions_together() -> None:
    with serve(heard_and_answered) as url:
        page = Page(url)
        page.start()
        page.say("audio", PCM)
        page.hear("response", on=False)
        bill = page.call.session.bill
        page.call.hang_up().wait(5)
    assert bill.captions.usd == pytest.approx(0.0045 / 60)
    assert bill.cost.usd == pytest.approx(bill.captions.usd + 1000 * 20 / 1e6)
    rows = [line.split() for line in repr(bill).splitlines()]
    assert [row for row in rows if row[0] == "captions"] == [["captions", "0.007"]]
    assert rows[-1][:2] == ["in", "all"]
    assert "captions" in bill._repr_html_()


def test_a_bill_without_captions_has_no_row_for_them() -> None:
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hi.", usage=usage(output_text=10))

    with serve(script) as url, rtnb.connect(url=url) as chat:
        reply = chat.ask("Hello").wait(10)
        assert "captions" not in repr(chat.bill)
        assert chat.bill.captions == Cost()
        assert "captions" not in card(reply)


def test_the_page_is_told_the_cost_of_the_captions_apart() -> None:
    with serve(heard_and_answered) as url:
        page = Page(url)
        first = page.hear("money")
        assert (first["text"], first["captions"]) == ("$0", "")
        page.start()
        page.say("audio", PCM)
        page.hear("response", on=False)
        told = page.hear("money")
        page.call.hang_up().wait(5)
    assert (told["text"], told["captions"]) == ("$0.02", "$0.000075")


def test_the_record_of_a_call_and_the_card_of_a_reply_say_it_in_brackets() -> None:
    captions = costs.cost_of_transcription({"type": "duration", "seconds": 60}, CHEAP)
    whole = captions + costs.cost(usage(output_audio=1000), "gpt-realtime-2.1-mini")
    assert cost_in_words(whole, "openai", captions) == "$0.025 (captions $0.0045)"
    assert cost_in_words(whole, "practice", captions) == "$0.025 (captions $0.0045) at OpenAI, free here"

    def script(talk):
        talk.open()
        talk.take_sound("item_1")
        talk.say({"type": COMPLETED, "item_id": "item_1", "content_index": 0, "transcript": "Hi.", "usage": MINUTE})
        talk.answer("Hi.", usage=usage(output_audio=1000))

    with serve(script) as url, rtnb.connect(url=url, transcription=True) as chat:
        reply = chat.ask(rtnb.samples()["question"]).wait(10)
        assert "$0.025 (captions $0.0045)" in card(reply)


MINUTE = {"type": "duration", "seconds": 60}


# --- where the choice is made


@pytest.mark.parametrize("function", [rtnb.call, rtnb.connect, rtnb.transcribe])
def test_both_prices_stand_where_the_choice_is_made(function: Any) -> None:
    written = " ".join((function.__doc__ or "").split())
    names = [CHEAP, "gpt-live-transcribe"] if function is rtnb.transcribe else [CHEAP, FAST]
    for name in names:
        assert name in written
        assert f"{usd_a_minute(name)}" in written
    translated = " ".join((rtnb.translate.__doc__ or "").split())
    assert f"{FAST} at {usd_a_minute(FAST)} a minute" in translated


def test_so_they_do_in_the_notebook_of_the_live_call() -> None:
    source = (Path(__file__).parents[1] / "notebooks/source/03_live_voice.md").read_text("utf-8")
    for cells in re.split(r"^%% ", source, flags=re.MULTILINE):
        if FAST in cells:
            assert all(usd_a_minute(name).removeprefix("$") in cells for name in (FAST, CHEAP))
    assert source.count(FAST) >= 2  # in both languages


def test_the_call_says_before_it_begins_who_writes_its_captions() -> None:
    for given, setup in [
        (True, {"model": CHEAP, "usd": "$0.0045/min"}),
        (FAST, {"model": FAST, "usd": "$0.017/min"}),
        ({"model": "gpt-4o-transcribe"}, {"model": "gpt-4o-transcribe", "usd": "$0.0036/min"}),
        ("of-another-server", {"model": "of-another-server", "usd": "price unknown"}),
        (False, ""),
    ]:
        widget = rtnb.call(url="ws://127.0.0.1:1/v1/realtime", show=False, transcription=given).widget
        assert widget.setup["captions"] == setup
