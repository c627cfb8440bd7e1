"""A budget counts what was cut off: by a break, by its caller, or by a server that says nothing more."""

import contextlib

import pytest
from dialogue import serve, until, usage

import rtnb
from rtnb.errors import BudgetExceeded
from rtnb.money import Budget
from rtnb.opening import connect

BEGUN = {"id": "resp_1", "status": "in_progress", "conversation_id": "c", "output": []}
ITEM = {"id": "item_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
SAID = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0, "delta": "word "}


def begin(talk, words=50):
    """Take a question, and begin to answer it."""
    talk.open()
    talk.take_message()
    talk.expect("response.create")
    talk.say({"type": "response.created", "response": BEGUN})
    if words:
        talk.say({"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": ITEM})
    talk.say(*[{"type": "response.output_text.delta", **SAID}] * words)


def drops(talk):
    begin(talk)
    talk.drop()


def test_an_answer_that_a_break_cuts_off_is_counted_as_the_most_it_may_be():
    budget = Budget(0.02)
    with serve(drops) as url:
        for number in range(6):
            with connect(url=url, budget=budget) as chat, pytest.raises(rtnb.RtnbError) as failed:
                chat.ask("Hi", modalities="text").wait(10)
            # 4,096 tokens at $2.40 a million are $0.0098, and the words read are next to nothing.
            assert isinstance(failed.value, BudgetExceeded) == (number >= 2)
            assert budget.held == 0
    assert 0.018 < budget.spent <= 0.02


def test_an_answer_that_is_under_way_when_the_session_is_closed_is_counted():
    budget = Budget(0.02)
    with serve(begin) as url, connect(url=url, budget=budget) as chat:
        chat.ask("Hi", modalities="text")
        until(lambda: chat.log.of("response.output_text.delta"))
    assert budget.spent == pytest.approx(4096 * 2.4e-6, abs=1e-4)
    assert budget.held == 0


CASES = [
    ("cancelled", None, 50, True),
    ("cancelled", None, 0, True),
    ("cancelled", usage(), 50, True),
    ("cancelled", usage(), 0, False),  # before anything was said, by the server's own word
    ("failed", None, 50, True),
    ("failed", None, 0, False),
    ("incomplete", None, 0, True),
]


@pytest.mark.parametrize(("status", "used", "words", "counts"), CASES)
def test_an_answer_that_ends_early_without_a_count_is_counted(status, used, words, counts):
    def script(talk):
        begin(talk, words)
        talk.say({"type": "response.done", "response": {**BEGUN, "status": status, "usage": used}})

    budget = Budget(0.02)
    with serve(script) as url, connect(url=url, budget=budget) as chat, contextlib.suppress(rtnb.RtnbError):
        chat.ask("Hi", modalities="text").wait(10)
    assert budget.spent == pytest.approx(4096 * 2.4e-6 * counts, abs=1e-4)
    assert budget.held == 0
