"""A budget is a hard stop, for one session and for several: every response and every transcription is booked."""

import time

import numpy as np
import pytest
from dialogue import serve, usage

import rtnb
from rtnb.errors import BudgetExceeded
from rtnb.money import Budget
from rtnb.money.budget import Hold
from rtnb.opening import connect

# On gpt-realtime-2.1-mini, dollars per million tokens (OpenAI's price list): audio in 10, audio out 20, text in 0.60,
# text out 2.40. 1,000 audio tokens out: $0.02. 500 text tokens in: $0.0003.
ANSWER = usage(input_text=500, output_audio=1000)
ANSWER_USD = 500 * 0.60e-6 + 1000 * 20e-6


def turns(count, used=ANSWER):
    def script(talk):
        talk.open()
        for number in range(count):
            talk.take_message(f"item_{number}")
            talk.answer("Yes.", id=f"resp_{number}", item_id=f"answer_{number}", usage=used)

    return script


def test_what_was_spent_is_what_the_session_cost():
    budget = Budget(1.0)
    with serve(turns(2)) as url, connect(url=url, budget=budget) as chat:
        chat.ask("One").wait(10)
        assert budget.spent == pytest.approx(ANSWER_USD) == pytest.approx(0.0203)
        chat.ask("Two").wait(10)
        assert budget.spent == pytest.approx(chat.cost.usd) == pytest.approx(0.0406)


def test_sessions_that_share_a_budget_stop_each_other():
    budget = Budget(0.041)
    with serve(turns(2)) as url, connect(url=url, budget=budget) as one, connect(url=url, budget=budget) as two:
        one.ask("Hi").wait(10)
        two.ask("Hi").wait(10)  # $0.0203 of it were spent before: what is left pays for 1,000 tokens of audio
        with pytest.raises(BudgetExceeded) as stopped:
            one.ask("More").wait(10)
        assert stopped.value.spent_usd == pytest.approx(0.0406)
        assert [event.type for event in one.log if event.direction == "sent"].count("response.create") == 1


def test_the_transcription_is_booked_apart():
    budget = Budget(1.0)

    def script(talk):
        talk.open()
        talk.take_message()
        done = {
            "item_id": "item_user",
            "content_index": 0,
            "transcript": "Hi.",
            "usage": {"type": "duration", "seconds": 6},
        }
        talk.say({"type": "conversation.item.input_audio_transcription.completed", **done})
        talk.answer("Yes.", usage=ANSWER)

    with serve(script) as url, connect(url=url, budget=budget, transcription=True) as chat:
        reply = chat.ask("Hi").wait(10)
        # gpt-transcribe is $0.0045 a minute: 6 seconds are $0.00045.
        assert budget.spent == pytest.approx(ANSWER_USD + 0.00045)
        assert reply.cost.usd == pytest.approx(ANSWER_USD + 0.00045)


def test_a_session_that_answers_by_itself_is_closed_when_the_budget_is_spent():
    def script(talk):
        talk.open()
        talk.answer("By itself.", expect=False, usage=usage(output_audio=100_000))

    with serve(script) as url:
        chat = connect(url=url, budget=0.05, turn_detection="server_vad", reconnect=True).wait(10)
        end = time.monotonic() + 10
        while chat.state != "closed" and time.monotonic() < end:
            time.sleep(0.01)
        assert chat.state == "closed"
        assert isinstance(chat.error, BudgetExceeded)
        assert chat.turns[-1].words == "By itself."


def test_the_bill_names_each_answer_with_its_tokens_and_cents():
    def script(talk):
        talk.open()
        talk.take_message("item_1")
        done = {
            "item_id": "item_1",
            "content_index": 0,
            "transcript": "Hi.",
            "usage": {"type": "duration", "seconds": 6},
        }
        talk.say({"type": "conversation.item.input_audio_transcription.completed", **done})
        talk.answer("First.", usage=ANSWER)
        talk.take_message("item_2")
        talk.answer("Second.", id="resp_2", item_id="item_3", usage=usage(input_text=1000, output_text=100))

    with serve(script) as url, connect(url=url, transcription=True, model="gpt-realtime-2.1-mini") as chat:
        chat.ask("One").wait(10)
        chat.ask("Two").wait(10)
        bill = chat.bill
    assert [(item.what, item.status) for item in bill] == [
        ("First.", "completed"),
        ("Second.", "completed"),
        ("Hi.", "transcription"),
    ]
    # 0.0203 as above; 1,000 × $0.60 and 100 × $2.40 a million; 6 seconds at $0.0045 a minute.
    assert [item.cost.usd for item in bill] == [pytest.approx(usd) for usd in (0.0203, 0.00084, 0.00045)]
    assert bill.cost.usd == pytest.approx(chat.cost.usd)
    assert repr(bill).splitlines()[1].split() == ["1", "First.", "completed", "500", "0", "1,000", "2.030"]
    assert "in all" in bill._repr_html_()
    # On gpt-realtime-2.1: 1,500 text in at $4, 1,000 audio out at $64, 100 text out at $24 a million.
    assert bill.compare()["gpt-realtime-2.1"].usd == pytest.approx(0.006 + 0.064 + 0.0024)


def test_what_one_turn_has_reserved_another_cannot_count_on():
    budget = Budget(1.0)
    one, other = Hold(), Hold()
    one.take(budget, 0.7)
    assert budget.left == pytest.approx(0.3)
    with pytest.raises(BudgetExceeded, match=r"\$0\.70 is held for responses under way"):
        other.take(budget, 0.4)
    one.take(budget, 0.5)  # the next response in place of the one before
    other.take(budget, 0.4)
    one.release()
    other.release()
    assert budget.left == 1.0


def test_what_a_response_was_reserved_is_free_again_when_it_is_booked():
    budget = Budget(1.0)
    left = []

    def script(talk):
        talk.open()
        for number in range(2):
            talk.take_message(f"item_{number}")
            talk.expect("response.create")
            left.append(budget.left)
            talk.answer("Yes.", id=f"resp_{number}", item_id=f"answer_{number}", usage=ANSWER, expect=False)

    with serve(script) as url, connect(url=url, budget=budget) as chat:
        chat.ask("One").wait(10)
        chat.ask("Two").wait(10)
        assert budget.left == pytest.approx(1.0 - budget.spent) == pytest.approx(1.0 - 2 * ANSWER_USD)
    # Each may write 4,096 tokens at $20 a million. The second reads what the first read and said: 500 text tokens at
    # $0.60 and 1,000 audio tokens at $10 a million. Words and objects around them are less than 100 tokens of text.
    first = 1.0 - 4096 * 20e-6
    assert left == [
        pytest.approx(first, abs=1e-4),
        pytest.approx(first - ANSWER_USD - 500 * 0.60e-6 - 1000 * 10e-6, abs=1e-4),
    ]


def test_what_is_booked_is_no_longer_looked_at():
    budget = rtnb.Budget(1.0)
    with rtnb.connect(practice=True, budget=budget) as chat:
        for _ in range(3):
            chat.ask("Hello.").wait(20)
    assert not budget.holds


def test_a_number_of_numpy_is_money():
    assert rtnb.Budget(np.int64(2)).limit_usd == 2.0
    assert rtnb.Budget(np.float32(0.5)).left == 0.5


def test_where_the_server_does_not_say_what_it_costs_the_most_it_can_have_cost_is_spent():
    budget = Budget(0.02)
    with serve(turns(3, used=None)) as url, connect(url=url, budget=budget) as chat:
        assert chat.ask("One").wait(10).text == "Yes."
        assert "does not say what an answer cost" in " ".join(chat.warnings)
        with pytest.raises(BudgetExceeded):
            [chat.ask("Another").wait(10) for _ in range(2)]
    assert 0 < budget.spent <= 0.02
