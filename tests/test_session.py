"""Sessions, turn by turn, against a server that follows a script."""

import asyncio
import json
import threading
import time

import pytest
from dialogue import Talk, serve, usage

from rtnb.audio import Clip, samples
from rtnb.errors import BudgetExceeded, ConnectionFailed, InputError, KeyRefused, ResponseFailed, ServerError
from rtnb.opening import connect
from rtnb.protocol.updates import AudioDelta, ResponseEnded, ResponseStarted, TextDelta
from rtnb.session.updates import Closed
from rtnb.transport import io_thread

PCM = bytes(range(250)) * 100 + b"!"  # ends in half a sample, as the last delta may


def quick(talk: Talk) -> None:
    talk.open()
    talk.take_message()
    talk.answer("Hello there.", PCM)


def test_words_in_words_and_sound_out():
    with serve(quick) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
    assert reply.text == "Hello there."
    assert reply.audio.pcm == PCM[:-1]
    assert reply.status == "completed"
    assert reply.usage.input_text_tokens == 10
    assert reply.cost.usd > 0
    assert repr(reply) == "Reply(completed, 0.5 s of sound, 127.0.0.1): Hello there."
    assert [turn.words for turn in chat.turns] == ["Hi", "Hello there."]
    assert chat.state == "closed"


def test_await_works_from_any_loop_and_the_session_is_its_own_context():
    async def main(url):
        async with connect(url=url) as chat:
            return await chat.ask("Hi"), chat

    with serve(quick) as url:
        reply, chat = asyncio.run(main(url))
    assert reply.text == "Hello there."
    assert chat.error is None


def test_pieces_come_while_the_answer_does():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("one two three", PCM)

    with serve(script) as url, connect(url=url) as chat:
        pieces = list(chat.ask("Hi"))
    assert "".join(map(str, pieces)) == "one two three"
    assert [piece.whole for piece in pieces if piece.text] == ["one", "one two", "one two three"]
    assert sum(len(piece.audio) for piece in pieces if piece.audio) == len(PCM) // 2


def test_pieces_come_to_async_for_as_well_and_late_listeners_miss_nothing():
    async def main(url):
        async with connect(url=url) as chat:
            reply = await chat.ask("Hi")
            return [str(piece) async for piece in reply]

    with serve(quick) as url:
        assert "".join(asyncio.run(main(url))) == "Hello there."


def test_a_recording_and_a_prompt_are_one_turn_in_the_order_given():
    heard = {}

    def script(talk):
        talk.open()
        heard["pcm"] = talk.take_sound()
        heard["item"] = talk.take_message()
        talk.answer()

    clip = samples()["question"]
    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask(clip, "What is asked?").wait(10)
    assert heard["pcm"] == clip.resample(24_000).pcm
    assert heard["item"]["content"] == [{"type": "input_text", "text": "What is asked?"}]
    assert reply.progress[0] == pytest.approx(clip.seconds, abs=0.01)
    assert chat.turns[0].audio.pcm == heard["pcm"]


def test_the_configuration_is_what_was_asked_and_turns_end_by_hand():
    asked = {}

    def script(talk):
        asked.update(talk.open())

    with serve(script) as url, connect(url=url, voice="marin", instructions="", session={"max_output_tokens": 9}):
        pass
    assert asked == {
        "type": "realtime",
        "instructions": "",
        "max_output_tokens": 9,
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
        },
    }


def test_one_answer_may_differ_from_the_session():
    asked = []

    def script(talk):
        talk.open()
        talk.take_message()
        asked.append(talk.answer())

    with serve(script) as url, connect(url=url) as chat:
        chat.ask("Hi", modalities="text", instructions="Be brief.", response={"metadata": {"topic": "x"}}).wait(10)
    assert asked[0]["response"] == {
        "instructions": "Be brief.",
        "output_modalities": ["text"],
        "metadata": {"topic": "x"},
    }


def test_turns_wait_for_each_other():
    def script(talk):
        talk.open()
        for number in range(3):
            talk.take_message(f"item_{number}")
            talk.answer(f"answer {number}", id=f"resp_{number}", item_id=f"answer_{number}")

    with serve(script) as url, connect(url=url) as chat:
        replies = [chat.ask(f"question {number}") for number in range(3)]
        assert [reply.wait(10).text for reply in replies] == ["answer 0", "answer 1", "answer 2"]
    # Every event belongs to one turn, and none is lost in between.
    ids = [event["event_id"] for reply in replies for event in reply.events]
    received = [entry.event["event_id"] for entry in chat.log if entry.direction == "received"]
    assert ids == received[: len(ids)]
    assert len(ids) == len(received)


def test_the_turn_ends_on_response_done_though_rate_limits_never_come():
    with serve(quick) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(5).status == "completed"
        assert "rate_limits.updated" not in [entry.type for entry in chat.log]


def test_every_event_reaches_a_reader_who_comes_late():
    async def main(url):
        async with connect(url=url) as chat:
            await chat.ask("Hi")
            types = []
            async for event in chat.events():
                types.append(event["type"])
                if event["type"] == "response.done":
                    return types

    with serve(quick) as url:
        types = asyncio.run(main(url))
    assert types[:2] == ["session.created", "session.updated"]
    assert types.count("response.output_audio.delta") == 6


def test_events_end_with_the_session_and_tell_a_break():
    def script(talk):
        talk.open()
        talk.drop()

    async def main(url):
        chat = connect(url=url)
        await chat
        async for _ in chat.events():
            pass

    with serve(script) as url, pytest.raises(ConnectionFailed, match="dropped without a word"):
        asyncio.run(main(url))


def test_raw_events_go_out_as_they_are():
    seen = []

    def script(talk):
        talk.open()
        seen.append(talk.hear())

    with serve(script) as url, connect(url=url) as chat:
        chat.send({"type": "response.create", "event_id": "mine"}).wait(5)
        with pytest.raises(InputError, match="no type"):
            chat.send({"event": "x"})
    assert seen == [{"type": "response.create", "event_id": "mine"}]


def test_a_blocked_main_thread_loses_nothing():
    def script(talk):
        talk.open()
        for number in range(50):
            talk.say({"type": "response.brand_new", "number": number})
            time.sleep(0.01)
        said.set()

    said = threading.Event()
    with serve(script) as url, connect(url=url) as chat:
        assert said.wait(20)  # a cell that computes
        deadline = time.monotonic() + 20
        while chat.log[-1].event.get("number") != 49 and time.monotonic() < deadline:
            time.sleep(0.01)
        numbers = [entry.event["number"] for entry in chat.log if entry.type == "response.brand_new"]
    assert numbers == list(range(50))


# --- what servers say no to ---


def test_a_refused_configuration_is_an_error_and_no_session():
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1"}})
        sent = talk.expect("session.update")
        error = {"type": "invalid_request_error", "code": "unknown_parameter", "param": "session.bogus"}
        talk.say({"type": "error", "error": {**error, "message": "Unknown parameter.", "event_id": sent["event_id"]}})

    with serve(script) as url:
        chat = connect(url=url, session={"bogus": 1})
        with pytest.raises(ServerError, match=r"session\.bogus") as caught:
            chat.wait(10)
        assert caught.value.code == "unknown_parameter"
        with pytest.raises(ServerError):
            chat.ask("Hi").wait(10)


@pytest.mark.parametrize("style", ["inside the socket", "by HTTP status"])
def test_a_refused_key_is_told_and_never_shown(style):
    key = "sk-proj-thisisnotakey123"

    def inside(talk):
        assert talk.headers["Authorization"] == f"Bearer {key}"
        message = "Incorrect API key provided: sk-pr***********y123. You can find your API key at …"
        talk.say({"type": "error", "error": {"code": "invalid_api_key", "message": message}})
        talk.socket.close(3000, "invalid_request_error.invalid_api_key")

    with _refusing(401) if style == "by HTTP status" else serve(inside) as url:
        chat = connect(url=url, key=key)
        with pytest.raises(KeyRefused) as caught:
            chat.wait(10)
    assert str(caught.value).startswith("Your key was refused")
    everything = f"{caught.value!r}{caught.value}{chat!r}{chat.log[:]}{[e.event for e in chat.log]}{chat.url}"
    assert key not in everything
    assert "y123" not in str(caught.value)


def test_a_refused_key_fails_the_question_asked_at_once():
    def inside(talk):
        talk.say({"type": "error", "error": {"code": "invalid_api_key", "message": "Incorrect API key."}})
        talk.socket.close(3000, "invalid_request_error.invalid_api_key")

    with serve(inside) as url:
        reply = connect(url=url).ask("Hi")
        with pytest.raises(KeyRefused):
            reply.wait(10)
        assert reply.status == "failed"


@pytest.mark.parametrize(("status", "word"), [(403, "access"), (404, "deployment"), (429, "often"), (502, "later")])
def test_an_http_refusal_says_what_to_do(status, word):
    with _refusing(status) as url, pytest.raises(ConnectionFailed, match=word) as caught:
        connect(url=url).wait(10)
    assert caught.value.code == status


def test_an_unknown_model_is_told_in_the_servers_words():
    def inside(talk):
        talk.say({"type": "error", "error": {"code": "invalid_model", "message": 'Model "gpt-nope" is not supported.'}})
        talk.socket.close(4000, "invalid_request_error.invalid_model")

    with serve(inside) as url, pytest.raises(ConnectionFailed, match="gpt-nope") as caught:
        connect(url=url, model="gpt-nope").wait(10)
    assert caught.value.code == 4000


def test_nobody_listens_there():
    with pytest.raises(ConnectionFailed, match="nothing listens"):
        connect(url="ws://127.0.0.1:9/v1/realtime").wait(20)


def test_bad_arguments_are_refused_before_anything_is_opened():
    with pytest.raises(InputError, match="modalities"):
        connect(practice=True, modalities="both")
    with pytest.raises(InputError, match="turn_detection"):
        connect(url="ws://127.0.0.1:9", turn_detection="vad")
    with pytest.raises(InputError, match="not a WebSocket address"):
        connect(url="ftp://example.org")
    with pytest.raises(InputError, match="audio/pcmu"):
        connect(url="ws://127.0.0.1:9", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})


def test_a_refused_message_fails_its_turn_only():
    def script(talk):
        talk.open()
        sent = talk.expect("conversation.item.create")
        error = {"code": "invalid_value", "message": "No.", "param": "item", "event_id": sent["event_id"]}
        talk.say({"type": "error", "error": error})
        talk.expect("response.create")
        half = {"id": "resp_0", "status": "in_progress", "conversation_id": "conv_1"}
        talk.say({"type": "response.created", "response": half})
        assert talk.expect("response.cancel")["response_id"] == "resp_0"  # nobody wants an answer to half a question
        talk.say({"type": "response.done", "response": {**half, "status": "cancelled"}})
        talk.take_message()
        talk.answer("whole")

    with serve(script) as url, connect(url=url) as chat:
        with pytest.raises(ServerError, match="a message"):
            chat.ask("bad").wait(10)
        assert chat.ask("good").wait(10).text == "whole"


# --- bad days ---


def test_a_socket_that_drops_in_the_middle_keeps_what_came():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        part = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
        talk.say(
            {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
            {"type": "response.output_text.delta", **part, "delta": "Half an ans"},
        )
        talk.drop()

    with serve(script) as url:
        chat = connect(url=url)
        reply = chat.ask("Hi")
        with pytest.raises(ConnectionFailed, match="dropped") as caught:
            reply.wait(10)
        assert caught.value.reply is reply
        assert reply.text == "Half an ans"
        assert reply.status == "failed"
        assert [turn.words for turn in chat.turns] == ["Hi", "Half an ans"]


def test_the_end_of_the_hour_is_told_as_such():
    words = "Your session hit the maximum duration of 60 minutes."

    def script(talk):
        talk.open()
        talk.say({"type": "error", "error": {"code": "session_expired", "message": words}})
        talk.socket.close(1001, words)

    with serve(script) as url:
        chat = connect(url=url)
        ends = []
        chat.subscribe(ends.append)
        chat.wait(10)
        deadline = time.monotonic() + 10
        while chat.state != "closed" and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(ConnectionFailed, match="longest duration"):
            chat.ask("Hi").wait(10)
    assert isinstance(ends[-1], Closed)
    assert ends[-1].code == 1001


def failing(code, message="Because.", **more):
    def script(talk):
        talk.open()
        talk.take_message()
        details = {"type": "failed", "error": {"type": code, "code": code, "message": message}}
        talk.answer("", status="failed", status_details=details, usage=usage(), **more)

    return script


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("insufficient_quota", "no credit"),
        ("project_spend_limit_exceeded", "spend limit"),
        ("rate_limit_exceeded", "wait a little"),
        ("server_error", "ask again"),
    ],
)
def test_a_failed_response_raises_with_the_servers_words_and_a_remedy(code, remedy):
    with serve(failing(code)) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        with pytest.raises(ResponseFailed, match=remedy) as caught:
            reply.wait(10)
    assert caught.value.code == code
    assert caught.value.reply is reply
    assert str(caught.value).startswith("The server could not answer: Because.")


def test_an_incomplete_answer_is_kept_and_told():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Cut sh", status="incomplete", status_details={"type": "incomplete", "reason": "max_output_tokens"})

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
    assert reply.status == "incomplete"
    assert reply.text == "Cut sh"
    assert "max_output_tokens" in reply.warnings[0]


def test_cancel_keeps_what_came():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        part = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
        talk.say(
            {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
            {"type": "response.output_text.delta", **part, "delta": "On and on"},
        )
        assert talk.expect("response.cancel")["response_id"] == "resp_1"
        details = {"type": "cancelled", "reason": "client_cancelled"}
        done = {"id": "resp_1", "status": "cancelled", "status_details": details}
        talk.say({"type": "response.done", "response": done})

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        for piece in reply:
            if piece.text:
                reply.cancel()
        assert reply.status == "cancelled"
        assert reply.text == "On and on"


def test_a_question_cancelled_at_once_ends_at_once():
    with serve(lambda talk: talk.open()) as url, connect(url=url) as chat:
        for _ in range(20):
            reply = chat.ask("Hi")
            reply.cancel()
            assert reply.wait(5).status == "cancelled"


def test_a_malformed_frame_is_logged_and_skipped():
    def script(talk):
        talk.open()
        talk.socket.send("{ not json")
        talk.socket.send(json.dumps({"type": "response.output_audio.delta", "delta": "!!!"}))
        talk.take_message()
        talk.answer("fine")

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "fine"
        types = [entry.type for entry in chat.log]
        assert types.count("rtnb.malformed") == 1
        assert types.count("response.output_audio.delta") == 1


def test_an_error_that_names_nobody_harms_nobody():
    def script(talk):
        talk.open()
        talk.say({"type": "error", "error": {"type": "server_error", "code": None, "message": "Sorry about that!"}})
        talk.take_message()
        talk.answer("fine")

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(10)
    assert reply.text == "fine"


def test_a_late_cancel_is_no_error():
    def script(talk):
        talk.open()
        sent = talk.expect("response.cancel")
        error = {"code": "response_cancel_not_active", "message": "Cancellation failed", "event_id": sent["event_id"]}
        talk.say({"type": "error", "error": error})

    with serve(script) as url, connect(url=url) as chat:
        assert chat.cancel().wait(10) is None


def test_an_answer_already_under_way_is_waited_for():
    def script(talk):
        talk.open()
        talk.say(
            {"type": "response.created", "response": {"id": "resp_0", "status": "in_progress", "conversation_id": "c"}}
        )
        talk.take_message()
        sent = talk.expect("response.create")
        code = "conversation_already_has_active_response"
        talk.say({"type": "error", "error": {"code": code, "message": "Wait.", "event_id": sent["event_id"]}})
        talk.say({"type": "response.done", "response": {"id": "resp_0", "status": "completed", "conversation_id": "c"}})
        talk.answer("mine", id="resp_1")

    with serve(script) as url, connect(url=url) as chat:
        assert chat.ask("Hi").wait(10).text == "mine"


def test_closing_fails_what_is_under_way():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")

    with serve(script) as url:
        chat = connect(url=url).wait(10)
        reply = chat.ask("Hi")
        while not any(entry.type == "response.create" for entry in chat.log):
            time.sleep(0.005)
        chat.close().wait(10)
        with pytest.raises(ConnectionFailed, match="You closed the session"):
            reply.wait(10)
        with pytest.raises(ConnectionFailed):
            chat.commit().wait(10)


def test_a_session_closed_before_it_began_is_over():
    async def at_once(url):  # on the I/O thread, so that nothing of it comes in between
        return connect(url=url).close()

    with serve(lambda talk: None) as url:
        io_thread.submit(at_once(url)).result(10).wait(10)


def test_waiting_has_an_end_and_the_work_goes_on():
    slow = threading.Event()

    def script(talk):
        talk.open()
        talk.take_message()
        slow.wait(10)
        talk.answer("late")

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        with pytest.raises(TimeoutError, match="goes on"):
            reply.wait(0.05)
        slow.set()
        assert reply.wait(10).text == "late"


# --- money, tools, listeners ---


def test_a_budget_stops_the_next_response():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("dear", usage=usage(output_audio=100_000))
        talk.take_message("item_2")

    with serve(script) as url, connect(url=url, budget=0.02) as chat:
        assert chat.ask("Hi").wait(10).text == "dear"
        reply = chat.ask("More")
        with pytest.raises(BudgetExceeded) as caught:
            reply.wait(10)
    assert caught.value.reply is reply
    assert caught.value.limit_usd == 0.02


def test_a_tool_is_called_and_its_result_goes_back():
    def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: Where.
        """
        return f"3 °C in {city}"

    outputs = []

    def script(talk):
        wanted = talk.open()
        assert wanted["tools"][0]["name"] == "weather"
        talk.take_message()
        call = {"id": "item_c", "type": "function_call", "status": "completed", "name": "weather", "call_id": "call_1"}
        call["arguments"] = '{  \n  "city": "Oslo" \n} \n'  # as 1.x models write it (recorded)
        talk.answer("I'll look.", output=[call])
        outputs.append(talk.take_message("item_o"))
        talk.answer("3 degrees.", id="resp_2", item_id="item_2")

    with serve(script) as url, connect(url=url, tools=[weather]) as chat:
        reply = chat.ask("Weather in Oslo?").wait(10)
    assert repr(reply.tool_calls) == "[weather(city='Oslo') → 3 °C in Oslo]"
    assert outputs[0]["output"] == "3 °C in Oslo"
    assert reply.text == "I'll look.\n3 degrees."
    assert len(reply.responses) == 2


def test_a_listener_that_fails_does_not_stop_the_session(caplog):
    def bad(update):
        raise RuntimeError("not my day")

    with serve(quick) as url, connect(url=url) as chat:
        chat.subscribe(bad)
        assert chat.ask("Hi").wait(10).text == "Hello there."
    assert "a listener failed" in caplog.text


def test_verbose_prints_each_event_without_the_sound(capfd):
    with serve(quick) as url, connect(url=url, verbose=True) as chat:
        chat.ask("Hi").wait(10)
    printed = capfd.readouterr().out
    assert "→ session.update" in printed
    assert "← response.done" in printed
    assert "bytes of sound" in printed
    assert all(len(line) < 250 for line in printed.splitlines())


def test_with_turn_detection_the_server_ends_the_turn():
    heard = {}

    def script(talk):
        talk.open()
        size = 0
        clip_bytes = len(Clip.silence(1.0).pcm)
        while size < clip_bytes + 48 * 500:
            size += len(talk.expect("input_audio_buffer.append")["audio"]) * 3 // 4
        heard["size"] = size
        talk.say(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_u"},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 900, "item_id": "item_u"},
            {"type": "input_audio_buffer.committed", "previous_item_id": None, "item_id": "item_u"},
        )
        talk.answer("heard", expect=False)

    with serve(script) as url, connect(url=url, turn_detection="server_vad") as chat:
        reply = chat.ask(Clip.silence(1.0)).wait(10)
    assert reply.text == "heard"
    assert heard["size"] > 48_000 + 48 * 500


def test_a_side_response_runs_beside_the_talk():
    def script(talk):
        talk.open()
        asked = talk.expect("response.create")["response"]
        assert asked["conversation"] == "none"
        side = {"id": "resp_s", "status": "in_progress", "conversation_id": None, "metadata": asked["metadata"]}
        part = {"response_id": "resp_s", "item_id": "item_s", "output_index": 0, "content_index": 0}
        talk.say({"type": "response.created", "response": side})
        talk.take_message()
        talk.answer("the talk goes on")
        talk.say(
            {"type": "response.output_text.delta", **part, "delta": "French"},
            {"type": "response.done", "response": {**side, "status": "completed"}},
        )

    with serve(script) as url, connect(url=url) as chat:
        side = chat.side("Which language?")
        assert chat.ask("Hi").wait(10).text == "the talk goes on"
        assert side.wait(10).text == "French"
        assert [turn.words for turn in chat.turns] == ["Hi", "the talk goes on"]


def test_truncate_is_clamped_to_the_sound_received():
    asked = []

    def script(talk):
        quick(talk)
        asked.append(talk.expect("conversation.item.truncate"))
        talk.say(
            {"type": "conversation.item.truncated", "item_id": "item_answer", "content_index": 0, "audio_end_ms": 520}
        )

    with serve(script) as url, connect(url=url) as chat:
        chat.ask("Hi").wait(10)
        chat.truncate("item_answer", 99_999).wait(10)
        assert asked[0]["audio_end_ms"] == len(PCM) // 48
        assert chat.turns[-1].truncated_ms == 520


def test_updates_reach_subscribers_in_order():
    seen = []
    with serve(quick) as url, connect(url=url) as chat:
        chat.subscribe(seen.append)
        chat.ask("Hi").wait(10)
    kinds = [type(update) for update in seen]
    assert kinds.index(ResponseStarted) < kinds.index(TextDelta) < kinds.index(AudioDelta) < kinds.index(ResponseEnded)
    assert kinds[-1] is Closed


def _refusing(status):
    """A server that answers the upgrade with an HTTP status."""
    import contextlib
    from http import HTTPStatus

    from websockets.sync.server import serve as listen

    @contextlib.contextmanager
    def serving():
        def refuse(connection, request):
            return connection.respond(HTTPStatus(status), "no\n")

        with listen(lambda socket: None, "127.0.0.1", 0, process_request=refuse) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
            server.shutdown()
            thread.join(5)

    return serving()
