"""Costs, worked by hand from recorded usage objects."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import pytest

from rtnb import costs, models
from rtnb.errors import BudgetExceeded, InputError, RtnbWarning
from rtnb.money import Budget, Cost, Line, Usage, compare, cost, cost_of_transcription, estimate, money, prices

# Recorded, gpt-realtime-2.1-mini: a spoken turn answered in speech, with reasoning.
SPOKEN = {
    "total_tokens": 254,
    "input_tokens": 140,
    "output_tokens": 114,
    "input_token_details": {
        "text_tokens": 89,
        "audio_tokens": 51,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 54, "audio_tokens": 60, "reasoning_tokens": 27},
}
# Recorded, gpt-realtime-2.1: a typed turn with most of its input cached.
CACHED = {
    "total_tokens": 416,
    "input_tokens": 401,
    "output_tokens": 15,
    "input_token_details": {
        "text_tokens": 401,
        "audio_tokens": 0,
        "image_tokens": 0,
        "cached_tokens": 384,
        "cached_tokens_details": {"text_tokens": 384, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 15, "audio_tokens": 0},
}
# Recorded, gpt-realtime: a spoken turn without reasoning.
OLDER = {
    "total_tokens": 205,
    "input_tokens": 41,
    "output_tokens": 164,
    "input_token_details": {"text_tokens": 14, "audio_tokens": 27, "image_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 28, "audio_tokens": 136},
}


def test_a_spoken_turn_on_the_mini():
    # text in   89 × $0.60 / 1M = $0.0000534
    # audio in  51 × $10   / 1M = $0.00051
    # text out  54 × $2.40 / 1M = $0.0001296   (the 27 reasoning tokens are among the 54)
    # audio out 60 × $20   / 1M = $0.0012
    #                             $0.001893
    assert cost(SPOKEN, "gpt-realtime-2.1-mini").usd == pytest.approx(0.001893)
    assert repr(cost(SPOKEN, "gpt-realtime-2.1-mini")) == "$0.0019"


def test_cached_tokens_are_part_of_the_input_and_cost_a_tenth():
    # 401 read, 384 of them cached:
    # text in          17 × $4.00  / 1M = $0.000068
    # text in, cached 384 × $0.40  / 1M = $0.0001536
    # text out         15 × $24.00 / 1M = $0.00036
    #                                     $0.0005816
    assert cost(CACHED, "gpt-realtime-2.1").usd == pytest.approx(0.0005816)


def test_a_spoken_turn_on_the_older_model():
    # 14 × 4 + 27 × 32 + 28 × 16 + 136 × 64 = 56 + 864 + 448 + 8704 = 10,072 millionths of a dollar
    assert cost(OLDER, "gpt-realtime").usd == pytest.approx(0.010072)


def test_the_same_turn_at_the_prices_of_the_launch():
    # 14 × 5 + 27 × 100 + 28 × 20 + 136 × 200 = 70 + 2700 + 560 + 27,200 = 30,530 millionths
    assert cost(OLDER, "gpt-4o-realtime-preview", on=date(2024, 10, 1)).usd == pytest.approx(0.030530)
    # and of December 2024: 14 × 5 + 27 × 40 + 28 × 20 + 136 × 80 = 70 + 1080 + 560 + 10,880 = 12,590
    assert cost(OLDER, "gpt-4o-realtime-preview", on=date(2025, 1, 1)).usd == pytest.approx(0.012590)


def test_where_caching_had_no_price_a_cached_token_costs_what_any_does():
    cached = Usage(input_audio_tokens=100, cached_audio_tokens=64)
    # 100 × $100 / 1M
    assert cost(cached, "gpt-4o-realtime-preview-2024-10-01").usd == pytest.approx(0.01)


def test_cached_sound_and_pictures():
    used = Usage(
        input_text_tokens=43,
        input_audio_tokens=96,
        input_image_tokens=1000,
        cached_audio_tokens=64,
        cached_image_tokens=512,
    )
    # 43 × 0.6 + 32 × 10 + 64 × 0.3 + 488 × 0.8 + 512 × 0.08 = 25.8 + 320 + 19.2 + 390.4 + 40.96 = 796.36
    assert cost(used, "gpt-realtime-2.1-mini").usd == pytest.approx(796.36e-6)


def test_lines_name_what_was_billed():
    lines = {line.what: (line.quantity, line.unit_usd) for line in cost(CACHED, "gpt-realtime-2.1").lines}
    assert lines == {"text in": (17, 4.0), "text in, cached": (384, 0.4), "text out": (15, 24.0)}


def test_an_event_a_response_or_the_usage_will_do():
    done = {"type": "response.done", "response": {"id": "resp_1", "status": "completed", "usage": SPOKEN}}
    assert Usage.from_event(done) == Usage.from_event(done["response"]) == Usage.from_event(SPOKEN)
    assert Usage.from_event(done).total_tokens == 254
    assert Usage.from_event(done).reasoning_tokens == 27


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"usage": None},
        {"response": {"usage": None}},
        {"usage": {}},
        {"input_tokens": None, "output_tokens": None, "input_token_details": None},
        {"input_tokens": "many"},
    ],
)
def test_a_failed_response_without_usage_costs_nothing(event):
    assert not Usage.from_event(event)
    assert cost(event, "gpt-realtime-2.1").usd == 0
    assert repr(cost(event, "gpt-realtime-2.1")) == "$0"


def test_counts_without_details_are_taken_for_text():
    used = Usage.from_event({"input_tokens": 12, "output_tokens": 5})
    assert (used.input_text_tokens, used.output_text_tokens) == (12, 5)


def test_cached_tokens_of_no_kind_are_taken_for_text_first():
    used = Usage.from_event(
        {"input_tokens": 139, "input_token_details": {"text_tokens": 43, "audio_tokens": 96, "cached_tokens": 64}}
    )
    assert (used.cached_text_tokens, used.cached_audio_tokens) == (43, 21)


def test_a_server_that_says_nonsense_never_makes_money():
    used = Usage.from_event(
        {"input_tokens": 10, "input_token_details": {"text_tokens": 10, "cached_tokens": 9999, "audio_tokens": -5}}
    )
    assert used.cached_tokens == 10
    assert (cost(used, "gpt-realtime-2.1").usd or 0) > 0


def test_a_model_without_a_price_has_no_cost_but_keeps_count():
    amount = cost(SPOKEN, "my-own-model")
    assert amount.usd is None
    assert repr(amount) == "price unknown"
    both = amount + cost(SPOKEN, "gpt-realtime-2.1-mini")
    assert both.usd is None
    assert both.known_usd == pytest.approx(0.001893)
    assert repr(both) == "$0.0019 + an unknown price"


def test_costs_and_tokens_add_up():
    one = cost(SPOKEN, "gpt-realtime-2.1-mini")
    both = sum([one, one], Cost())
    assert both.usd == pytest.approx(2 * 0.001893)
    assert len(both.lines) == len(one.lines)
    assert sum([Usage.from_event(SPOKEN), Usage.from_event(OLDER)]) == Usage.from_event(SPOKEN) + Usage.from_event(
        OLDER
    )


def test_transcription_by_the_second():
    # Recorded: {"type": "duration", "seconds": 3}. 3 s ÷ 60 × $0.017 = $0.00085
    recorded = {"type": "duration", "seconds": 3}
    assert cost_of_transcription(recorded, "gpt-realtime-whisper").usd == pytest.approx(0.00085)


def test_transcription_by_the_token():
    recorded = {
        "type": "tokens",
        "total_tokens": 24,
        "input_tokens": 16,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 16},
        "output_tokens": 8,
    }
    # 16 × $6 / 1M + 8 × $10 / 1M = $0.000096 + $0.00008 = $0.000176
    assert cost_of_transcription(recorded, "gpt-4o-transcribe").usd == pytest.approx(0.000176)
    # Priced by the minute, counted in tokens: 16 tokens ÷ 600 a minute × $0.017
    assert cost_of_transcription(recorded, "gpt-live-transcribe").usd == pytest.approx(16 / 600 * 0.017)


def test_transcription_counted_in_seconds_and_priced_in_tokens():
    # 30 s are 300 tokens × $6 / 1M
    assert cost_of_transcription({"type": "duration", "seconds": 30}, "gpt-4o-transcribe").usd == pytest.approx(0.0018)


def test_transcription_of_silence_or_by_nobody_costs_nothing():
    assert cost_of_transcription({"type": "duration", "seconds": 0}, "gpt-realtime-whisper").usd == 0
    assert cost_of_transcription(None, "gpt-realtime-whisper").usd == 0
    # No price is known of the one that tells speakers apart.
    assert cost_of_transcription({"type": "duration", "seconds": 3}, "gpt-4o-transcribe-diarize").usd is None


def test_translation_by_the_minute():
    assert costs.cost_of_minutes(90, "gpt-realtime-translate").usd == pytest.approx(1.5 * 0.034)


@pytest.mark.parametrize(
    ("usd", "read"),
    [
        (None, "price unknown"),
        (0, "$0"),
        (0.0012, "$0.0012"),
        (0.0192, "$0.019"),
        (0.25, "$0.25"),
        (1.5, "$1.50"),
        (1234.5, "$1,234.50"),
        (0.0000004, "$0.0000004"),
        (-0.5, "-$0.50"),
    ],
)
def test_money_as_people_read_it(usd, read):
    assert money(usd) == read


def test_each_model_that_writes_down_costs_what_its_page_says():
    minute = {"type": "duration", "seconds": 60}
    by_minute = {name: cost_of_transcription(minute, name).usd for name in ("gpt-transcribe", "whisper-1")}
    assert by_minute == {"gpt-transcribe": pytest.approx(0.0045), "whisper-1": pytest.approx(0.006)}
    # 600 tokens × $3 / 1M = $0.0018, and the words on top: 200 × $5 / 1M = $0.001; together about $0.003.
    tokens = {"type": "tokens", "input_token_details": {"audio_tokens": 600}, "output_tokens": 200}
    assert cost_of_transcription(tokens, "gpt-4o-mini-transcribe").usd == pytest.approx(0.0028)


def test_a_minute_of_live_costs_less_while_nobody_speaks():
    for name in ("gpt-live-1", "gpt-live-1.1"):
        live = models.get(name).prices
        assert live is not None
        assert (live.per_minute_usd, live.standby_per_minute_usd) == (0.05, 0.02)
        assert models.get(name).context_tokens == 128_000


# --- budgets


def test_a_budget_lets_through_what_fits_and_stops_what_does_not():
    budget = Budget(0.01)
    budget.check_before(0.009)
    budget.add(0.006)
    with pytest.raises(BudgetExceeded, match=r"Your budget of \$0\.01 does not cover this: \$0\.006 is spent") as error:
        budget.check_before(0.005)
    assert (error.value.limit_usd, error.value.spent_usd) == (0.01, 0.006)
    budget.check_before(0.003)


def test_spending_over_the_limit_is_counted_and_told():
    budget = Budget(0.001)
    with pytest.raises(BudgetExceeded, match="is used up"):
        budget.add(cost(SPOKEN, "gpt-realtime-2.1-mini"))
    assert budget.spent == pytest.approx(0.001893)
    assert budget.left == 0
    with pytest.raises(BudgetExceeded):
        budget.check_before(None)


@pytest.mark.parametrize("amount", [-5, -1e-9, float("nan"), float("inf"), Cost((Line("x", -5.0, "minutes", 1.0),))])
def test_no_amount_below_zero_or_without_end_is_counted(amount):
    budget = Budget(1)
    for count in (budget.add, budget.check_before, lambda amount: budget.hold(amount).__enter__()):
        with pytest.raises(InputError, match=r"is no amount of money\. Give US dollars of 0 or more\."):
            count(amount)
    assert (budget.spent, budget.held) == (0, 0)
    budget.add(None)
    budget.add(0.25)
    assert budget.left == 0.75


def test_an_exactly_spent_budget_is_spent():
    budget = Budget(0.5)
    budget.add(0.5)
    with pytest.raises(BudgetExceeded):
        budget.check_before(0)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "0.25", None, np.array([1, 2])], ids=str)
def test_a_budget_is_an_amount_of_money(limit):
    with pytest.raises(InputError, match="is not an amount of money"):
        Budget(limit)


def test_an_unknown_price_cannot_be_watched_and_that_is_told_once():
    budget = Budget(1)
    with pytest.warns(RtnbWarning, match="cannot watch my-own-model"):
        budget.add(cost(SPOKEN, "my-own-model"))
    budget.add(cost(SPOKEN, "my-own-model"))
    assert budget.spent == 0


def test_many_threads_spend_one_budget():
    budget = Budget(1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(budget.add, [0.01] * 2000))
    assert budget.spent == pytest.approx(20)


def test_money_held_for_one_response_is_not_there_for_another():
    budget = Budget(0.10)
    started, finish, refused = threading.Event(), threading.Event(), []

    def first() -> None:
        with budget.hold(0.08):
            started.set()
            finish.wait(5)
        budget.add(0.02)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(5)
    try:
        budget.check_before(0.05)
    except BudgetExceeded as error:
        refused.append(str(error))
    finish.set()
    thread.join()
    assert "is held for responses under way" in refused[0]
    assert budget.left == pytest.approx(0.08)
    budget.check_before(0.05)


def test_the_kernel_has_a_budget_that_every_other_counts_against():
    try:
        wide = costs.limit_kernel(0.02)
        assert Budget.of(None) is wide
        narrow = Budget.of(1.0)
        assert narrow is not None
        assert narrow.left == pytest.approx(0.02)
        with pytest.raises(BudgetExceeded, match=r"\$0\.02 is used up"):
            narrow.add(0.03)
        assert wide is not None
        assert wide.spent == pytest.approx(0.03)
        assert narrow.spent == pytest.approx(0.03)
    finally:
        costs.limit_kernel(None)
    assert Budget.of(None) is None


def test_a_shared_budget_is_the_same_one():
    shared = Budget(1)
    assert Budget.of(shared) is shared


# --- tables and estimates


def test_the_table_of_prices_has_the_launch_and_cents_a_minute():
    table = prices()
    text = repr(table)
    launch = next(line for line in text.splitlines() if "2024-10-01" in line)
    assert "100.00 / – / 200.00" in launch
    assert launch.split()[-3:-1] == ["6.00", "24.00"]
    assert "1.92" in text
    assert f"As of {models.known_on()} (" in text
    assert [model.name for model, _ in table.rows].count("gpt-realtime-2025-08-28") == 0


def test_the_table_says_how_old_it_is_and_when_that_is_too_old(monkeypatch):
    class Later(date):
        @classmethod
        def today(cls):
            return cls.fromordinal(models.known_on().toordinal() + models.STALE_DAYS + 1)

    monkeypatch.setattr(models.catalogue, "date", Later)
    assert f"As of {models.known_on()} (61 days ago). Prices may have changed: compare https://" in repr(prices())
    assert "or update rtnb." in prices()._repr_html_()


def test_the_table_can_leave_the_past_out_or_show_one_model():
    assert "gpt-4o" not in re.sub(r"gpt-4o-(mini-)?transcribe", "", repr(prices(gone=False)))
    assert {model.name for model, _ in prices("gpt-realtime-2.1").rows} == {"gpt-realtime-2.1"}


def test_one_turn_has_no_history():
    # In: 140 text (the default instructions) and 10 s × 10 = 100 audio tokens.
    # Out: 10 s × 20 = 200 audio; text 10 s × 3 + 12 + 30 of reasoning = 72.
    # 140 × 0.6 + 100 × 10 + 72 × 2.4 + 200 × 20 = 84 + 1000 + 172.8 + 4000 = 5256.8 millionths
    guess = estimate(seconds_in=10, seconds_out=10, model="gpt-realtime-2.1-mini")
    assert guess.usd == pytest.approx(5256.8e-6)
    assert guess.low.usd == guess.high.usd
    assert str(guess) == "$0.0053"
    assert guess.usage.reasoning_tokens == 30


def test_every_turn_bills_the_talk_before_it_again():
    guess = estimate(seconds_in=30, seconds_out=30, turns=3, model="gpt-realtime-2.1-mini", instructions_tokens=0)
    # Each turn: 100 audio tokens heard; 200 audio, 30 words, 12 + 30 more text said. Answers are read again as words.
    # Read at turn 1, 2, 3: audio 100 + 200 + 300 = 600; text 0 + 30 + 60 = 90
    assert guess.usage.input_audio_tokens == 600
    assert guess.usage.input_text_tokens == 90
    assert guess.usage.output_audio_tokens == 600
    assert guess.usage.output_text_tokens == 216
    # Nothing cached: 600 × 10 + 90 × 0.6 + 216 × 2.4 + 600 × 20 = 6000 + 54 + 518.4 + 12,000
    assert guess.high.usd == pytest.approx(18572.4e-6)
    # All of the past cached: new are 300 audio tokens; 300 × 10 + 300 × 0.3 + 90 × 0.06 + 518.4 + 12,000
    assert guess.low.usd == pytest.approx((3000 + 90 + 5.4 + 518.4 + 12_000) * 1e-6)


def test_an_older_model_hears_its_own_answers_again():
    guess = estimate(seconds_in=30, seconds_out=30, turns=3, model="gpt-realtime", instructions_tokens=0)
    # As above, and its own 200 audio tokens once at turn 2 and twice at turn 3: 600 + 600
    assert guess.usage.input_audio_tokens == 1200
    assert guess.usage.reasoning_tokens == 0


def test_the_recorded_second_turn_is_what_the_arithmetic_says():
    # Recorded, gpt-realtime-2.1-mini: an answer of 16 audio tokens, then 5120 ms of sound in: 51 audio tokens read.
    guess = estimate(seconds_in=5.12, seconds_out=0.8, turns=1, model="gpt-realtime-2.1-mini")
    assert guess.usage.input_audio_tokens == 51
    assert guess.usage.output_audio_tokens == 16


def test_a_long_talk_costs_more_than_its_turns_apart():
    together = estimate(seconds_in=600, seconds_out=600, turns=20).usd
    apart = estimate(seconds_in=30, seconds_out=30).usd
    assert together is not None
    assert apart is not None
    assert together > 20 * apart


def test_transcription_is_billed_apart():
    plain = estimate(seconds_in=60, seconds_out=0).usd
    heard = estimate(seconds_in=60, seconds_out=0, transcription="gpt-realtime-whisper").usd
    assert plain is not None
    assert heard == pytest.approx(plain + 0.017)


def test_text_only_answers_have_no_sound():
    assert estimate(seconds_in=10, seconds_out=10, text_only=True).usage.output_audio_tokens == 0


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"seconds_in": -1}, {"text_in_tokens": -5}])
def test_an_estimate_of_nonsense_is_refused(wrong):
    with pytest.raises(InputError, match="Your estimate needs"):
        estimate(**wrong)


def test_an_unknown_model_has_no_estimate():
    assert estimate(seconds_in=10, model="my-own-model").usd is None


def test_the_same_talk_on_each_model():
    table = compare(SPOKEN)
    names = [name for name, _ in table.rows]
    assert names[-1] in ("gpt-realtime-2.1", "gpt-realtime-2", "gpt-realtime", "gpt-realtime-1.5")
    assert table["gpt-realtime-2.1-mini"].usd == pytest.approx(0.001893)
    # 89 × 4 + 51 × 32 + 54 × 24 + 60 × 64 = 356 + 1632 + 1296 + 3840 = 7124
    assert table["gpt-realtime-2.1"].usd == pytest.approx(0.007124)
    assert "1.0 ×" in repr(table)


def test_a_comparison_among_names_given_puts_the_unpriced_last():
    table = compare(estimate(seconds_in=60, seconds_out=60), ["my-own-model", "gpt-realtime-2.1"])
    assert [name for name, _ in table.rows] == ["gpt-realtime-2.1", "my-own-model"]


@pytest.mark.parametrize(
    "thing",
    [
        Usage.from_event(SPOKEN),
        cost(SPOKEN, "gpt-realtime-2.1-mini"),
        cost(SPOKEN, "<script>"),
        prices(),
        estimate(seconds_in=60, seconds_out=60, turns=4),
        compare(SPOKEN),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_everything_shows_itself_in_a_notebook_as_a_table(thing):
    shown = thing._repr_html_()
    assert "<table" in shown
    assert "<script>" not in shown
