"""A dropped socket, the end of the hour, a limit reached: each is told, keeps what came, and nothing is sent twice."""

import asyncio
import math

import pytest
from dialogue import serve, until, usage

from rtnb.errors import ConnectionFailed, ResponseFailed
from rtnb.money import limits
from rtnb.opening import connect
from rtnb.protocol.updates import AudioDelta
from rtnb.session.updates import Reconnecting

SPEECH = bytes(range(250)) * 96  # half a second of something


def drop(talk):
    """The network is gone: no close frame, no word."""
    talk.socket.socket.shutdown(2)


def say_hello(talk):
    talk.open()
    talk.take_message("item_1")
    talk.answer("Hello to you.", SPEECH, id="resp_1", item_id="item_2")


def history(talk, count):
    """Hear the earlier turns as a new server session does; gives the items."""
    items = [talk.expect("conversation.item.create")["item"] for _ in range(count)]
    for item in items:
        for name in ("added", "done"):
            talk.say({"type": f"conversation.item.{name}", "item": {**item, "status": "completed"}})
    return items


def test_a_dropped_socket_is_told_and_keeps_what_came():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": "c"}})
        talk.say({"type": "response.output_text.delta", "response_id": "r", "item_id": "i", "delta": "Half an ans"})
        drop(talk)

    with serve(script) as url, connect(url=url) as chat:
        with pytest.raises(ConnectionFailed, match=r"^The connection dropped without a word\.") as dropped:
            chat.ask("Hi").wait(10)
        assert dropped.value.reply.text == "Half an ans"
        assert dropped.value.code == 1006
        assert [turn.words for turn in chat.turns] == ["Hi", "Half an ans"]
        assert chat.state == "closed"


def test_it_goes_on_in_a_new_session_with_the_history_as_text_and_each_turn_once(capsys):
    given = []

    def first(talk):
        say_hello(talk)
        drop(talk)

    def second(talk):
        talk.open()
        given.extend(history(talk, 2))
        talk.take_message("item_3")
        talk.answer("Still here.", id="resp_2", item_id="item_4")

    heard = []
    with serve(first, second) as url, connect(url=url, reconnect=True, instructions="Be brief.") as chat:
        chat.subscribe(heard.append)
        assert chat.ask("Hello").wait(10).text == "Hello to you."
        sound = chat.turns[1].audio
        until(lambda: any(isinstance(update, Reconnecting) for update in heard))  # before that it would be lost with it
        assert chat.ask("Are you there?").wait(10).text == "Still here."
        turns = [(turn.item_id, turn.role, turn.words) for turn in chat.turns]
        kept = chat.turns[1].audio
    assert given == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}], "id": "item_1"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello to you."}],
            "id": "item_2",
        },
    ]
    assert turns == [
        ("item_1", "user", "Hello"),
        ("item_2", "assistant", "Hello to you."),
        ("item_3", "user", "Are you there?"),
        ("item_4", "assistant", "Still here."),
    ]
    assert kept == sound
    assert [update.code for update in heard if isinstance(update, Reconnecting)] == [1006]
    assert "goes on in a new session" in capsys.readouterr().out


def test_a_server_that_gives_the_items_ids_of_its_own_is_followed():
    def first(talk):
        say_hello(talk)
        drop(talk)

    def second(talk):
        talk.open()
        for number in (1, 2):
            item = talk.expect("conversation.item.create")["item"]
            talk.say({"type": "conversation.item.added", "item": {**item, "id": f"item_new_{number}"}})
        talk.expect("conversation.item.delete")
        talk.say({"type": "conversation.item.deleted", "item_id": "item_new_1"})

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        chat.ask("Hello").wait(10)
        until(lambda: [turn.item_id for turn in chat.turns] == ["item_new_1", "item_new_2"])
        assert [turn.words for turn in chat.turns] == ["Hello", "Hello to you."]
        chat.delete("item_new_1").wait(10)
        assert [turn.words for turn in chat.turns] == ["Hello to you."]


def test_a_turn_that_the_break_ended_is_not_sent_again_by_itself_and_the_waiting_one_goes_on():
    sent = []

    def first(talk):
        say_hello(talk)
        talk.take_message("item_lost")
        talk.expect("response.create")
        drop(talk)

    def second(talk):
        talk.open()
        sent.extend(item["content"][0]["text"] for item in history(talk, 2))
        sent.append(talk.take_message("item_5")["content"][0]["text"])
        talk.answer("The third.", id="resp_3", item_id="item_6")

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        chat.ask("Hello").wait(10)
        lost, waiting = chat.ask("The one that is lost"), chat.ask("The next")
        with pytest.raises(ConnectionFailed, match=r"; ask again: the talk goes on in a new session\.$"):
            lost.wait(10)
        assert waiting.wait(10).text == "The third."
    assert sent == ["Hello", "Hello to you.", "The next"]


def test_an_answer_that_was_spoken_over_is_remembered_as_far_as_it_was_heard():
    given = []

    def first(talk):
        talk.open()
        talk.take_message("item_1")
        talk.answer("one two three four", SPEECH, item_id="item_2")
        talk.expect("conversation.item.truncate")
        cut = {"type": "conversation.item.truncated", "item_id": "item_2", "content_index": 0, "audio_end_ms": 250}
        talk.say(cut)
        drop(talk)

    def second(talk):
        talk.open()
        given.extend(item["content"][0]["text"] for item in history(talk, 2))

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        chat.ask("Count").wait(10)
        chat.truncate("item_2", 250).wait(10)
        until(lambda: len(given) == 2)
        assert given == ["Count", "one two"]


def test_sound_spoken_while_there_is_no_session_waits_and_is_sent_once():
    def first(talk):
        talk.open()
        assert talk.take_sound("item_1") == b"\1\0" * 2400
        talk.socket.close(1001, "Your session hit the maximum duration of 60 minutes.")

    def second(talk):
        talk.open()
        assert talk.take_sound("item_2") == b"\2\0" * 2400

    with serve(first, second) as url, connect(url=url, reconnect=True) as chat:
        told = asyncio.run(_reconnecting(chat))
        assert told.code == 1001
        chat.append(b"\2\0" * 2400)
        chat.commit().wait(10)
        # The offsets of a new session count from its own first byte; what was heard is still told apart.
        assert [turn.audio.pcm[:2] for turn in chat.turns] == [b"\1\0", b"\2\0"]


async def _reconnecting(chat):
    news = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def hear(update):
        if isinstance(update, Reconnecting):
            loop.call_soon_threadsafe(news.set_result, update)

    chat.subscribe(hear)
    chat.append(b"\1\0" * 2400)
    chat.commit()
    return await asyncio.wait_for(news, 10)


def test_the_sixty_minutes_are_over_is_told_in_these_words():
    said = "Your session hit the maximum duration of 60 minutes."

    def script(talk):
        talk.open()
        talk.say(
            {"type": "error", "error": {"type": "invalid_request_error", "code": "session_expired", "message": said}}
        )
        talk.socket.close(1001, said)

    with serve(script) as url, connect(url=url) as chat, pytest.raises(ConnectionFailed, match="longest duration"):
        chat.ask("Hi").wait(10)


@pytest.mark.parametrize("code", ["insufficient_quota", "project_spend_limit_exceeded"])
def test_no_credit_is_no_reason_to_try_for_ever(code):
    opened = []

    def script(talk):
        opened.append(talk)
        talk.open()
        talk.say({"type": "error", "error": {"type": code, "code": code, "message": "No."}})
        talk.socket.close(1011, "")

    with serve(script) as url:
        chat = connect(url=url, reconnect=True)
        with pytest.raises(ConnectionFailed):
            chat.ask("Hi").wait(10)
        chat._ended.wait(10)
        assert len(opened) == 1


def test_changed_settings_hold_in_the_new_session_too():
    wanted = []

    def first(talk):
        talk.open()
        talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
        drop(talk)

    def second(talk):
        wanted.append(talk.open())

    with serve(first, second) as url, connect(url=url, reconnect=True, voice="marin", speed=0.9) as chat:
        chat.update(instructions="Rhyme.").wait(10)
        until(lambda: wanted)
    assert wanted[0]["instructions"] == "Rhyme."
    assert wanted[0]["audio"]["output"]["voice"] == "marin"
    assert wanted[0]["audio"]["output"]["speed"] == 0.9


# --- limits -----------------------------------------------------------------------------------------------------------


def failed(message, code="rate_limit_exceeded"):
    details = {"type": "failed", "error": {"type": "tokens", "code": code, "message": message}}
    return {"status": "failed", "status_details": details, "usage": usage(), "output": []}


def test_a_limit_is_waited_for_and_the_question_is_sent_once(capsys):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("", id="resp_1", item_id="a", **failed("Rate limit reached. Please try again in 120ms."))
        talk.answer("Here you are.", id="resp_2", item_id="b")  # hears response.create and nothing else

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
        assert reply.text == "Here you are."
        assert len(reply.responses) == 2
        assert reply.warnings == [next(line for line in capsys.readouterr().out.splitlines() if "waits" in line)]


def test_the_days_allowance_is_not_waited_for():
    said = "Rate limit reached on requests per day (RPD): Limit 1000, Used 1000. Please try again in 1m26.4s."

    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("", **failed(said))

    with serve(script) as url, connect(url=url) as chat, pytest.raises(ResponseFailed, match="RPD"):
        chat.ask("Hi").wait(10)


@pytest.mark.parametrize(
    ("message", "least", "most"),
    [
        ("Please try again in 120ms.", 0.12, 0.25),
        ("Please try again in 20s. Visit us.", 20, 25.1),
        ("Please try again in 0m3.5s.", 3.5, 4.5),
        ("No hint.", math.nan, 0),
        ("Please try again in 5m0s.", math.nan, 0),
    ],
)
def test_how_long_to_wait_is_read_from_the_servers_words(message, least, most):
    seconds = limits.wait_after({"code": "rate_limit_exceeded", "message": message}, [], 1)
    assert seconds is None if math.isnan(least) else least <= seconds <= most


def test_where_the_message_gives_no_time_the_limits_do():
    told = [{"name": "tokens", "limit": 40000, "remaining": 0, "reset_seconds": 2.0}]
    assert 2.0 <= limits.wait_after({"code": "rate_limit_exceeded", "message": "Slow down."}, told, 1) <= 2.6
    assert limits.wait_after({"code": "rate_limit_exceeded", "message": "Slow down."}, told, 3) is None
    assert limits.wait_after({"code": "server_error", "message": "try again in 1s"}, told, 1) is None


def test_room_is_made_before_a_response_that_would_not_fit():
    told = [{"name": "tokens", "limit": 40000, "remaining": 100, "reset_seconds": 1.5}]
    assert 1.0 <= limits.wait_before(told, 0.5, 500) <= 1.4
    assert limits.wait_before(told, 0.5, 99) == 0
    assert limits.wait_before(told, 2.0, 500) == 0
    assert limits.wait_before(told, 0.0, 50_000) == 0  # larger than the whole allowance: waiting is no help
    assert str(limits.Limits.of(told)[0]) == "100 of 40,000 tokens left, all again in 1.5 s"
    assert repr(limits.Limits()) == "The server has told of no limits."


def test_a_session_tells_the_accounts_limits():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hi.")
        talk.say(
            {
                "type": "rate_limits.updated",
                "rate_limits": [{"name": "tokens", "limit": 15000000, "remaining": 14997754, "reset_seconds": 0.008}],
            }
        )
        talk.take_message("item_3")
        talk.answer("Hi again.", id="resp_2", item_id="item_4")

    with serve(script) as url, connect(url=url) as chat:
        chat.ask("Hi").wait(10)
        chat.ask("Hi").wait(10)
        assert chat.limits[0].remaining == 14997754


def test_one_session_more_than_there_is_room_for_waits_for_its_turn(monkeypatch, capsys):
    def script(talk):
        talk.open()

    monkeypatch.setattr(limits, "_places", asyncio.Semaphore(1))
    with serve(script) as url:
        first = connect(url=url).wait(10)
        second = connect(url=url)
        with pytest.raises(TimeoutError):
            second.wait(0.2)
        assert second.state == "connecting"
        first.close().wait(10)
        second.wait(10)
        second.close().wait(10)
    assert "waits until another ends" in capsys.readouterr().out


def test_what_comes_of_sound_before_a_break_is_kept():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hello.", SPEECH, item_id="item_2")
        drop(talk)

    came = []
    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        reply.subscribe(lambda update: came.append(update.pcm) if isinstance(update, AudioDelta) else None)
        assert reply.wait(10).audio.pcm == b"".join(came) == SPEECH
        chat._ended.wait(10)
        assert isinstance(chat.error, ConnectionFailed)
        assert reply.audio.seconds == 0.5
