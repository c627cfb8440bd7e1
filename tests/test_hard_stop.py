"""A budget is never exceeded: by any kind of response, by several at once, or by what is billed by the minute."""

import asyncio
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from dialogue import serve, until, usage
from hypothesis import given, settings
from hypothesis import strategies as st

import rtnb
from rtnb import models
from rtnb.errors import BudgetExceeded, InputError
from rtnb.money import Budget, limit_kernel
from rtnb.money.budget import Hold
from rtnb.money.estimates import most_tokens
from rtnb.money.meter import LEAST_TOKENS, MOST_TOKENS, Meter, Reservation
from rtnb.opening import connect
from rtnb.protocol import client_events, updates
from rtnb.protocol.conversation import Conversation
from rtnb.server.protocol.usage import count_input
from rtnb.transport import endpoint, live_calls
from rtnb.ui.reply_card.card import trouble

MODEL = "gpt-realtime-2.1-mini"  # audio out $20, text out $2.40, text in $0.60 a million tokens; it reasons
LONG = "Count to one hundred."  # about 2,500 tokens of audio on the practice server, $0.046
QUESTION = rtnb.samples()["question"]


# --- any interleaving -------------------------------------------------------------------------------------------------


class Holders:
    """Twenty meters that share one budget, and a server that answers them in any order."""

    def __init__(self, limit_usd: float) -> None:
        self.budget, self.beyond_usd = Budget(limit_usd), 0.0
        self.meters, self.talks = [self._meter() for _ in range(20)], [Conversation() for _ in range(20)]
        self.asked: list[dict[str, tuple[Reservation, int]]] = [{} for _ in self.meters]

    def _meter(self) -> Meter:
        nothing = lambda *_: None  # noqa: E731
        return Meter(self.budget, MODEL, nothing, nothing, nothing, nothing)

    def tell(self, number: int, **event) -> None:
        for update in self.talks[number].apply(event):
            self.meters[number].took(update)

    def ask(self, number: int, share: float) -> None:
        reservation, event = Reservation(), client_events.respond({"conversation": "none"} if share > 0.5 else {})
        try:
            self.meters[number].reserve(reservation, event)
        except BudgetExceeded:
            return
        self.asked[number][event["event_id"]] = (reservation, event["response"]["max_output_tokens"])

    def answer(self, number: int, share: float) -> None:
        """End a response with less than its cap, or, for the largest shares, with more than it."""
        if not self.asked[number]:
            return
        event_id = next(iter(self.asked[number]))
        reservation, cap = self.asked[number].pop(event_id)
        tokens = int(cap * share * 1.2)
        self.beyond_usd += max(0, tokens - cap) * 20e-6
        conversation_id = None if reservation.beside else "c"
        about = {"id": event_id, "conversation_id": conversation_id, "metadata": {"rtnb_side": event_id}}
        self.tell(number, type="response.created", response={**about, "status": "in_progress"})
        done = {**about, "status": "completed", "usage": usage(output_audio=tokens)}
        self.tell(number, type="response.done", response=done)

    def fail(self, number: int, share: float) -> None:
        if self.asked[number]:
            event_id, _ = self.asked[number].popitem()
            self.tell(number, type="error", error={"type": "invalid_request_error", "event_id": event_id})

    def release(self, number: int, share: float) -> None:
        if self.asked[number]:
            self.asked[number].popitem()[1][0].release()

    def close(self, number: int, share: float) -> None:
        self.asked[number].clear()
        self.meters[number].renew()


STEPS = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "answer", "answer", "fail", "release", "close"]),
    st.integers(0, 19),
    st.floats(0, 1),
)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(limit_usd=st.floats(0.001, 1.0), steps=st.lists(STEPS, min_size=20, max_size=80))
def test_whatever_twenty_holders_do_the_budget_is_never_exceeded(limit_usd, steps):
    holders = Holders(limit_usd)
    for what, number, share in steps:
        getattr(holders, what)(number, share)
        assert holders.budget.spent <= limit_usd + holders.beyond_usd
        if not holders.beyond_usd:
            assert holders.budget.spent + holders.budget.held <= limit_usd * (1 + 1e-12)
    for number in range(20):
        holders.close(number, 0)
    assert holders.budget.held == 0


WORDS = st.text(st.sampled_from('ab1é?_ \n你好こ한🙂{}":'), min_size=1, max_size=80)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(text=WORDS)
def test_no_text_has_more_tokens_than_are_reserved_for_it(text):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    counted = count_input("", [], [types.SimpleNamespace(shown=item, truncated_ms=None, audio_ms=0, audio=b"")])
    assert counted["text_tokens"] <= most_tokens(item).input_text_tokens


# --- every kind, on the practice server -------------------------------------------------------------------------------


async def collect(replies):
    return [type(one).__name__ for one in await asyncio.gather(*replies, return_exceptions=True)]


async def fifty_asks(budget):
    return await collect([rtnb.ask(LONG, practice=True, budget=budget, show=False) for _ in range(50)])


async def five_asks(budget):
    return await collect([rtnb.ask(LONG, practice=True, budget=budget, show=False) for _ in range(5)])


async def twenty_sides(budget):
    async with connect(practice=True, budget=budget) as chat:
        return await collect([chat.side("Tell me a story.", modalities="audio") for _ in range(20)])


async def asks_in_a_row(budget):
    async with connect(practice=True, budget=budget) as chat:
        return await collect([chat.ask(QUESTION, LONG) for _ in range(8)])


async def raw_requests(budget):
    async with connect(practice=True, budget=budget) as chat:
        ended = []
        for number in range(8):
            try:
                await chat.send({"type": "response.create", "response": {"instructions": LONG}})
                await asyncio.to_thread(until, lambda: len(chat.conversation.responses) > number)  # noqa: B023
                await asyncio.to_thread(until, lambda: chat.conversation.active_response() is None)
            except BudgetExceeded:
                ended.append("BudgetExceeded")
        return ended


async def tool_rounds(budget):
    def story(topic: str) -> str:
        """Tell a story.

        Args:
            topic: What about.
        """
        return "Once upon a time there was a bear. " * 60

    async with connect(practice=True, budget=budget, tools=[story]) as chat:
        return await collect([chat.ask("Tell me a story about bears.") for _ in range(6)])


async def detected_turns(budget, **how):
    async with connect(practice=True, budget=budget, turn_detection="server_vad", **how) as chat:
        return await collect([chat.ask(QUESTION) for _ in range(8)])


async def captions(budget):
    return await detected_turns(budget, transcription=True)


async def transcriptions(budget):
    return await collect([rtnb.transcribe(QUESTION, practice=True, budget=budget) for _ in range(8)])


async def translations(budget):
    return await collect([rtnb.translate(QUESTION, to="es", practice=True, budget=budget) for _ in range(8)])


KINDS = [
    (fifty_asks, 0.07),  # one and a half answers
    (five_asks, 0.0001),
    (five_asks, 1e-7),
    (twenty_sides, 0.02),
    (asks_in_a_row, 0.05),
    (raw_requests, 0.03),
    (tool_rounds, 0.03),
    (detected_turns, 0.02),
    (captions, 0.03),
    (transcriptions, 0.004),
    (translations, 0.004),
]


@pytest.mark.parametrize(("kind", "limit_usd"), KINDS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_no_kind_spends_more_than_its_budget(kind, limit_usd):
    budget = Budget(limit_usd)
    ended = asyncio.run(kind(budget))
    assert "BudgetExceeded" in ended
    assert set(ended) <= {"BudgetExceeded", "Reply", "Transcription", "Translation"}
    assert budget.spent <= limit_usd
    until(lambda: budget.held == 0)


def test_a_call_for_less_than_its_first_answer_is_not_opened():
    budget = Budget(0.004)
    chat = connect(practice=True, budget=budget, turn_detection="server_vad", transcription=True)
    with pytest.raises(BudgetExceeded, match=r"Your budget of \$0\.004 does not cover this"):
        chat.wait(20)
    assert "session.update" not in [entry.type for entry in chat.log]
    assert budget.spent == 0


def test_the_limit_of_the_kernel_holds_for_what_was_opened_before():
    with connect(practice=True, modalities="text") as chat, connect(practice=True, budget=1.0) as other:
        chat.ask("Hello").wait(20)
        try:
            limit_kernel(0.0001)
            for one in (chat, other):
                with pytest.raises(BudgetExceeded, match=r"Your budget of \$0\.0001"):
                    one.ask("Hello").wait(20)
        finally:
            limit_kernel(None)
        assert chat.ask("Hello").wait(20).status == "completed"


# --- what goes on the wire --------------------------------------------------------------------------------------------


def one_answer(**done):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Yes.", **done)

    return script


def cap_of(chat):
    return next(e.event["response"]["max_output_tokens"] for e in chat.log if e.type == "response.create")


@pytest.mark.parametrize(
    ("budget", "how", "caps"),
    [
        (10, {}, (MOST_TOKENS, MOST_TOKENS)),
        (10, {"response": {"max_output_tokens": 300}}, (300, 300)),
        (10, {"response": {"max_output_tokens": "inf"}}, (MOST_TOKENS, MOST_TOKENS)),
        (0.02, {}, (950, 1000)),  # 1,000 tokens of audio are $0.02; words and objects around them little
        (0.02, {"modalities": "text"}, (MOST_TOKENS, MOST_TOKENS)),
        (0.005, {"modalities": "text"}, (1950, 2083)),
        (0.002, {"response": {"max_output_tokens": 50}}, (50, 50)),  # the user's own, below the least
    ],
)
def test_the_cap_is_the_least_of_what_was_asked_for_and_what_the_rest_pays_for(budget, how, caps):
    with serve(one_answer()) as url, connect(url=url, budget=budget) as chat:
        chat.ask("Hi", **how).wait(10)
        assert caps[0] <= cap_of(chat) <= caps[1]


@pytest.mark.parametrize(("model", "least"), [(MODEL, LEAST_TOKENS[True]), ("gpt-realtime-mini", LEAST_TOKENS[False])])
def test_what_could_not_say_the_least_is_refused_before_anything_is_sent(model, least):
    with serve(lambda talk: talk.open()) as url, connect(url=url, model=model, budget=(least - 1) * 20e-6) as chat:
        with pytest.raises(BudgetExceeded, match="the next response was not asked for; raise budget= to go on"):
            chat.ask("Hi").wait(10)
        with pytest.raises(BudgetExceeded):
            chat.respond(max_output_tokens=least + 100).wait(10)
        assert [entry.type for entry in chat.log if entry.direction == "sent"] == ["session.update"]
    with serve(one_answer()) as url, connect(url=url, model=model, budget=(least + 50) * 20e-6) as chat:
        assert least <= cap_of(chat.ask("Hi").wait(10).session) <= least + 50


CUT = {"status": "incomplete", "status_details": {"type": "incomplete", "reason": "max_output_tokens"}}


def test_an_answer_that_the_budget_cut_names_it_and_one_that_its_caller_cut_does_not():
    with serve(one_answer(**CUT)) as url, connect(url=url, budget=0.25) as chat:
        reply = chat.ask("Hi").wait(10)
        (warning,) = reply.warnings
        assert warning.startswith("The answer was cut by your budget of $0.25, which paid for 4,096 tokens of it.")
        assert trouble(reply) == warning
    with serve(one_answer(**CUT)) as url, connect(url=url, budget=0.25) as chat:
        (warning,) = chat.ask("Hi", response={"max_output_tokens": 20}).wait(10).warnings
        assert "budget" not in warning


def test_at_eighty_percent_the_user_reads_it_once(capfd):
    def script(talk):
        talk.open()
        for number in range(2):
            talk.take_message(f"item_{number}")
            talk.answer(
                "Yes.",
                id=f"resp_{number}",
                item_id=f"answer_{number}",
                usage=usage(output_audio=105 if number == 0 else 1),
            )

    budget = Budget(0.1)
    budget.add(0.0799)
    with serve(script) as url, connect(url=url, budget=budget) as chat:
        chat.ask("One").wait(10)
        chat.ask("Two").wait(10)
        (warning,) = chat.warnings
        assert warning == "$0.082 of your budget of $0.10 is spent (82%), and $0.018 is left."
    assert capfd.readouterr().out.count("is spent") == 1


def test_what_the_server_begins_by_itself_is_capped_in_its_settings_and_the_cap_follows():
    def script(talk):
        wanted.append(talk.open()["max_output_tokens"])
        talk.answer("By itself.", expect=False, usage=usage(output_audio=400))
        update = talk.expect("session.update")["session"]
        talk.say({"type": "session.updated", "session": {"type": "realtime", "turn_detection": {"type": "server_vad"}}})
        wanted.append(update["max_output_tokens"])

    wanted = []
    with serve(script) as url, connect(url=url, budget=0.04, turn_detection="server_vad") as chat:
        until(lambda: len(wanted) == 2)
        assert 1800 <= wanted[0] <= 2000  # of audio, at $20 a million; ten seconds of speech are paid for ahead
        assert wanted[0] - 900 <= wanted[1] <= wanted[0] - 400  # the answer is read again
        assert chat.error is None


def test_what_the_server_begins_by_itself_is_cancelled_where_nothing_pays_for_it():
    heard = []

    def script(talk):
        talk.open()
        talk.say({"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": "c"}})
        heard.append(talk.expect("response.cancel")["response_id"])

    budget, other = Budget(0.1), Hold()
    other.take(budget, 0.099)
    with serve(script) as url, connect(url=url, budget=budget):
        until(lambda: heard == ["r"])
    other.release()


def test_what_was_set_aside_is_free_when_the_connection_is_lost():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.drop()

    budget = Budget(0.1)
    with serve(script) as url, connect(url=url, budget=budget) as chat, pytest.raises(rtnb.RtnbError):
        chat.ask("Hi").wait(10)
    until(lambda: budget.left == 0.1)


def test_one_that_is_patient_waits_for_what_others_hold_and_no_longer():
    budget, other = Budget(0.03), Hold()
    other.take(budget, 0.02)
    with serve(one_answer()) as url, connect(url=url, budget=budget) as chat:
        chat.lifecycle.meter.patient = True
        reply = chat.ask("Hi")
        with pytest.raises(TimeoutError):
            reply.wait(0.3)
        other.release()
        assert reply.wait(10).text == "Yes."
        budget.add(0.02)
        with pytest.raises(BudgetExceeded):
            chat.ask("More").wait(10)


def test_a_model_without_a_price_is_refused_until_its_price_is_said():
    name = "a-model-of-my-own"
    try:
        for how in ({"model": name}, {"transcription": name}):
            with pytest.raises(InputError, match=rf"its price is not known.*rtnb\.models\.price\('{name}', like="):
                connect(url="ws://127.0.0.1:9", budget=1, **how)
        models.price(name, text=(1.0, 0.5, 2.0), audio=(10.0, None, 20.0))
        assert (models.get(name).prices.text.output, models.get(name).prices.audio.cached) == (2.0, None)
        models.price(name, like=MODEL)
        with serve(one_answer(usage=usage(output_audio=100))) as url, connect(url=url, model=name, budget=1) as chat:
            chat.ask("Hi").wait(10)
            assert chat.budget.spent == pytest.approx(100 * 20e-6)
    finally:
        models.load().pop(name, None)
    with pytest.raises(InputError, match="Your price of x says nothing"):
        models.price("x", like="nobody knows")


@pytest.fixture
def mine():
    yield "a-model-of-my-own"
    models.load().pop("a-model-of-my-own", None)


@pytest.mark.parametrize(
    ("prices", "how", "lacks"),
    [
        ({"text": (0.6, 0.06, 2.4)}, {}, "audio out"),
        ({"text": (0.6, 0.06, 2.4)}, {"turn_detection": "server_vad"}, "audio in, audio out"),
        ({"text": (0.6,), "audio": (10, 0.3, 20)}, {}, "text out"),
        ({"audio": (10, 0.3, 20)}, {}, "text in, text out"),
        ({"per_minute_usd": 0.1}, {}, "text in, text out, audio out"),
    ],
    ids=str,
)
def test_a_kind_of_token_without_a_price_is_refused_before_anything_is_sent(mine, prices, how, lacks):
    models.price(mine, **prices)
    with serve(lambda talk: talk.open()) as url:
        chat = connect(url=url, model=mine, budget=1, **how)
        with pytest.raises(InputError, match=f"its price of {lacks} is not known") as refused:
            chat.wait(10).ask("Hi").wait(10)
        chat.close().wait(10)
    assert f"rtnb.models.price('{mine}', text=(" in str(refused.value)
    assert not [entry for entry in chat.log if entry.type in ("conversation.item.create", "response.create")]
    assert chat.budget.spent == 0


def test_once_its_price_is_said_the_same_session_goes_on(mine):
    models.price(mine, text=(1, 2))
    with serve(one_answer(usage=usage(output_audio=100))) as url, connect(url=url, model=mine, budget=1) as chat:
        with pytest.raises(InputError, match="price of audio out"):
            chat.ask("Hi").wait(10)
        models.price(mine, like=MODEL)
        chat.ask("Hi").wait(10)
        assert chat.budget.spent == pytest.approx(100 * 20e-6)


def test_two_prices_are_in_and_out(mine):
    models.price(mine, text=(1, 2), audio=(3, 4), image=(5, 0.5))
    prices = models.get(mine).prices
    assert (prices.text, prices.audio) == (models.Rate(1, None, 2), models.Rate(3, None, 4))
    assert prices.image == models.Rate(5, 0.5)  # which has no price out
    with serve(one_answer(usage=usage(output_text=4000))) as url, connect(url=url, model=mine, budget=0.01) as chat:
        assert cap_of(chat.ask("Hi", modalities="text").wait(10).session) == MOST_TOKENS
        assert chat.budget.spent == pytest.approx(4000 * 2e-6)
        with pytest.raises(BudgetExceeded):
            [chat.ask("More", response={"max_output_tokens": 2000}).wait(10) for _ in range(2)]


@pytest.mark.parametrize("empty", [{"text": []}, {"text": (None,)}, {"audio": models.Rate()}, {}], ids=str)
def test_a_price_that_states_nothing_is_refused(mine, empty):
    with pytest.raises(InputError, match="says nothing"):
        models.price(mine, **empty)
    assert models.get(mine).prices is None


def test_audio_in_an_item_and_pictures_are_reserved():
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    sound = {"type": "input_audio", "audio": "A" * 64_000}  # 48,000 bytes: a second
    read = most_tokens({"type": "message", "role": "user", "content": [image, sound]})
    assert (read.input_image_tokens, read.input_audio_tokens) == (models.limits().image_tokens, 10)
    assert read.input_text_tokens < 100


def test_speech_is_reserved_before_it_is_sent_and_released_when_it_is_billed():
    meter = Holders(1.0).meters[0]
    session = {"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
    meter.took(updates.SessionUpdated({"type": "session.updated"}, 0.0, session))
    usd_per_second = 0.017 / 60
    meter.before({"type": "input_audio_buffer.append", "event_id": "e"}, 5 * 48_000)
    assert meter.budget.held >= 5 * usd_per_second
    meter.before({"type": "input_audio_buffer.commit", "event_id": "e"})
    about = {"item_id": "i", "content_index": 0, "transcript": "Hi.", "usage": {"type": "duration", "seconds": 5}}
    event = {"type": "conversation.item.input_audio_transcription.completed", **about}
    meter.took(updates.Committed({"type": "input_audio_buffer.committed"}, 0.0, "i", None))
    meter.took(updates.InputTranscript(event, 0.0, "i", "Hi.", "Hi.", True))
    assert meter.budget.spent == pytest.approx(5 * usd_per_second)
    assert meter.budget.held == 0


def test_what_is_written_about_it_has_the_numbers():
    for text in (Budget.__doc__, Path(__file__).parent.parent.joinpath("README.md").read_text("utf-8")):
        for number in (MOST_TOKENS, *LEAST_TOKENS.values()):
            assert f"{number:,}" in text
        assert "kernel" in text


def test_a_live_call_whose_sideband_is_lost_is_ended(monkeypatch):
    def script(talk):
        talk.expect("session.update")
        talk.drop()

    asked = []
    monkeypatch.setattr(live_calls, "hang_up", lambda where: asked.append(where.reveal()))
    with serve(script) as url:
        for budget in (1.0, None):
            with pytest.raises(rtnb.RtnbError):
                connect(url=f"{url}?call_id=rtc_1", budget=budget).wait(20)
        assert asked == [f"{url}?call_id=rtc_1"]


def test_a_live_call_is_ended_by_its_id():
    asked = []

    class Calls(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.headers["Authorization"]))
            self.send_error(404)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Calls) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.server_port}/v1/realtime?call_id=rtc_1"
        live_calls.hang_up(endpoint.Address(url, None, "", lambda: {"Authorization": "Bearer x"}, lambda: url))
        server.shutdown()
    assert asked == [("/v1/realtime/calls/rtc_1/hangup", "Bearer x")]
