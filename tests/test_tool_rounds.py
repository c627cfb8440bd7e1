"""What happens between a model's call of a function and its answer: one run a call, and what one waited for it."""

import asyncio
import threading

import pytest
from dialogue import serve, until, usage

from rtnb.opening import connect
from rtnb.session.following import TOOL_ROUNDS
from rtnb.session.lifecycle import Lifecycle
from rtnb.session.tools import Tool
from rtnb.session.updates import ToolRan
from rtnb.texts.language import language
from rtnb.ui.reply_card import live

PCM = b"\1\0" * 2400


def call(call_id="call_1", item_id="item_call", arguments='{"seat": 3}', name="book"):
    item = {"id": item_id, "type": "function_call", "status": "completed", "name": name, "arguments": arguments}
    return {**item, "call_id": call_id} if call_id is not None else item


def say_calls(talk, *output, id="resp_1"):
    """Begin and end a response whose output is these calls."""
    talk.expect("response.create")
    response = {"id": id, "status": "in_progress", "conversation_id": "c", "output": []}
    talk.say({"type": "response.created", "response": response})
    for item in output:
        talk.say({"type": "response.output_item.done", "response_id": id, "item": item})
    final = {**response, "status": "completed", "output": list(output), "usage": usage(output_text=3)}
    talk.say({"type": "response.done", "response": final})


def take_outputs(talk, count):
    outputs = [talk.expect("conversation.item.create")["item"] for _ in range(count)]
    for number, item in enumerate(outputs):
        talk.say({"type": "conversation.item.added", "item": {**item, "id": f"out_{item['call_id']}_{number}"}})
    return [(item["call_id"], item["output"]) for item in outputs]


def booking():
    """A function that books a seat, and the seats that it was called with."""
    ran = []

    def book(seat: int) -> str:
        ran.append(seat)
        return "booked"

    return book, ran


def ask(script, tool, **settings):
    with serve(script) as url, connect(url=url, tools=[tool], **settings) as chat:
        return chat.ask("Hi").wait(20)


@pytest.mark.parametrize(
    "output",
    [
        [call(), call()],
        [call(), call(item_id="item_other")],
        [call(), call(), call()],
        [call(), call(arguments='{"seat": 4}')],
    ],
)
def test_a_call_id_that_stands_twice_in_an_output_runs_once_and_is_answered_once(output):
    ran, answered = [], []

    def book(seat: int) -> str:
        ran.append(seat)
        return f"booked {seat}"

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, *output)
        answered.extend(take_outputs(talk, 1))
        talk.answer("Done.", id="resp_2", item_id="item_2")

    assert ask(script, book).text == "Done."
    assert (ran, answered) == ([3], [("call_1", "booked 3")])


def test_calls_of_their_own_ids_or_of_none_all_run():
    answered = []
    book, ran = booking()

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, call(), call("call_2", "b"), call("", "d"), call("", "e"))
        answered.extend(call_id for call_id, _ in take_outputs(talk, 4))
        talk.answer("Done.", id="resp_2", item_id="item_2")

    assert len(ask(script, book).tool_calls) == 4
    assert (ran, answered) == ([3] * 4, ["call_1", "call_2", "", ""])


def test_a_call_that_a_later_output_repeats_beside_its_answer_does_not_run_again():
    book, ran = booking()

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, call())
        take_outputs(talk, 1)
        message = {"id": "item_2", "type": "message", "role": "assistant", "content": [{"transcript": "Done."}]}
        say_calls(talk, call(), message, id="resp_2")

    assert ask(script, book).text == "Done."
    assert ran == [3]


def test_a_server_that_writes_the_same_call_id_again_has_each_call_run():
    book, ran = booking()

    def script(talk):
        talk.open()
        for number in (1, 2):
            talk.take_message(f"item_{number}")
            say_calls(talk, call(arguments=f'{{"seat": {number}}}'), id=f"resp_{number}")
            take_outputs(talk, 1)
            say_calls(talk, call(arguments='{"seat": 9}'), id=f"resp_{number}b")
            take_outputs(talk, 1)
            talk.answer("Done.", id=f"resp_{number}c", item_id=f"said_{number}")

    with serve(script) as url, connect(url=url, tools=[book]) as chat:
        assert [chat.ask("Hi").wait(20).text for _ in range(2)] == ["Done.", "Done."]
    assert ran == [1, 9, 2, 9]


def test_what_a_function_returns_or_raises_with_half_a_pair_is_sent_all_the_same():
    def book(seat: int) -> str:
        return "half \ud83d"

    answered = []

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, call())
        answered.extend(take_outputs(talk, 1))
        talk.answer("Done.", id="resp_2", item_id="item_2")

    assert ask(script, book).text == "Done."
    assert answered == [("call_1", "half ?")]


def test_the_first_sound_counts_from_the_first_request_and_the_functions_part_is_told():
    running, go_on = threading.Event(), threading.Event()

    def book(seat: int) -> str:
        running.set()
        go_on.wait(20)
        return "booked"

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, call())
        running.wait(20)
        threading.Timer(0.3, go_on.set).start()
        take_outputs(talk, 1)
        talk.answer("Done.", PCM, id="resp_2", item_id="item_2")

    with serve(script) as url, connect(url=url, tools=[book]) as chat:
        reply = chat.ask("Hi").wait(20)
        times = {}
        for entry in chat.log:
            times.setdefault((entry.direction, entry.type), entry.at_seconds)
        waited = times["received", "response.output_audio.delta"] - times["sent", "response.create"]
        assert reply.seconds_to_first_sound == pytest.approx(waited, abs=0.01)
        assert 0.29 < reply.seconds_in_tools <= reply.seconds_to_first_sound
        assert chat.timeline().seconds_to_first_sound == (pytest.approx(waited, abs=0.01),)
        for code, told in (("en", ", {} s of it in tools"), ("zh", "（其中工具用时 {} s）")):
            language(code)
            assert told.format(f"{reply.seconds_in_tools:.2f}") in live.card(reply)
        language("auto")


def test_without_tools_none_of_it_is_theirs():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hello.", PCM)

    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi").wait(20)
        assert reply.seconds_in_tools == 0.0
        assert reply.seconds_to_first_sound >= 0.0


# --- functions and listeners that want to end the program -------------------------------------------------------------


def leave(seat: int) -> str:
    raise SystemExit(1)


async def leave_async(seat: int) -> str:
    raise SystemExit(1)


async def interrupt_async(seat: int) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", [leave, leave_async, interrupt_async])
def test_a_function_that_ends_the_program_fails_its_call_and_nothing_else(function):
    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, call(name=function.__name__))
        take_outputs(talk, 1)
        talk.answer("Done.", id="resp_2", item_id="item_2")

    reply = ask(script, function)
    assert reply.text == "Done."
    assert reply.tool_calls[0].error is not None


@pytest.mark.parametrize("function", [leave_async, interrupt_async])
def test_a_tool_called_by_hand_fails_in_the_same_words(function):
    ran = asyncio.run(Tool.from_function(function).run('{"seat": 3}'))
    assert ran.output == f"Error: {function.__name__} failed: {ran.error.problem}."


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, ValueError])
def test_a_listener_that_raises_anything_at_all_ends_neither_its_session_nor_another(raised, caplog):
    def script(talk):
        talk.open()
        for number in range(2):
            talk.take_message(f"item_{number}")
            talk.answer("Still here.", PCM, id=f"resp_{number}", item_id=f"answer_{number}")

    def listener(update):
        raise raised("enough")

    with serve(script) as url, connect(url=url) as chat, connect(url=url) as other:
        chat.subscribe(listener)
        reply = chat.ask("Hi")
        reply.subscribe(lambda update: None)
        assert reply.wait(20).text == "Still here."
        assert chat.ask("Hi").wait(20).text == "Still here."
        assert other.ask("Hi").wait(20).text == "Still here."
    assert "a listener failed" in caplog.text


@pytest.mark.parametrize("decide", [lambda approval: exit(), lambda approval: 1 / 0])
def test_who_decides_on_approvals_and_ends_the_program_fails_the_turn_alone(decide):
    request = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "docs", "name": "f", "arguments": "{}"}

    def script(talk):
        talk.open()
        talk.take_message()
        say_calls(talk, request)
        talk.take_message("item_2")
        talk.answer("Still here.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url, approve=decide) as chat:
        with pytest.raises((RuntimeError, ZeroDivisionError)):
            chat.ask("Hi").wait(20)
        assert chat.ask("Hi").wait(20).text == "Still here."


# --- responses that no caller asked for -------------------------------------------------------------------------------


def begin_by_itself(talk, *output, id="resp_1", output_text=3):
    """Begin and end a response that the server's own turn detection brought about."""
    response = {"id": id, "status": "in_progress", "conversation_id": "c", "output": []}
    talk.say({"type": "response.created", "response": response})
    final = {**response, "status": "completed", "output": list(output), "usage": usage(output_text=output_text)}
    talk.say({"type": "response.done", "response": final})


def test_a_function_called_in_a_response_that_nobody_asked_for_runs_and_the_model_goes_on():
    book, ran = booking()
    answered, updates = [], []

    def script(talk):
        talk.open()
        talk.expect("x")
        begin_by_itself(talk, call(), call("call_2", "item_2", name="made_up"))
        answered.extend(take_outputs(talk, 2))
        talk.answer("Done.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url, tools=[book], turn_detection="server_vad") as chat:
        chat.subscribe(updates.append)
        chat.send({"type": "x"})
        until(lambda: chat.turns and chat.turns[-1].words == "Done.")
    assert ran == [3]
    assert [call_id for call_id, _ in answered] == ["call_1", "call_2"]
    assert answered[0][1] == "booked"
    assert next(update.call.output for update in updates if isinstance(update, ToolRan)) == "booked"


def test_a_definition_without_a_function_is_left_to_its_owner_also_where_nobody_asked():
    definition = {"type": "function", "name": "book", "parameters": {"type": "object", "properties": {}}}

    def script(talk):
        talk.open()
        begin_by_itself(talk, call())
        talk.expect("x")

    with serve(script) as url, connect(url=url, tools=[definition], turn_detection="server_vad") as chat:
        until(lambda: any(response.status == "completed" for response in chat.conversation.responses.values()))
        chat.send({"type": "x"}).wait(10)
        assert "response.create" not in [entry.type for entry in chat.log]


def test_audio_goes_on_while_a_function_runs_that_nobody_asked_for():
    go_on, heard = threading.Event(), []

    def book(seat: int) -> str:
        go_on.wait(20)
        return "booked"

    def script(talk):
        talk.open()
        begin_by_itself(talk, call())
        heard.append(talk.hear()["type"])
        go_on.set()
        take_outputs(talk, 1)
        talk.answer("Done.", id="resp_2", item_id="item_3")

    with serve(script) as url, connect(url=url, tools=[book], turn_detection="server_vad") as chat:
        until(lambda: any(response.status == "completed" for response in chat.conversation.responses.values()))
        chat.append(PCM)
        until(lambda: chat.turns and chat.turns[-1].words == "Done.")
    assert heard == ["input_audio_buffer.append"]


def test_functions_that_nobody_asked_for_stop_at_the_same_number_of_rounds():
    book, ran = booking()

    def script(talk):
        talk.open()
        begin_by_itself(talk, call("call_0", "item_0"))
        for number in range(1, TOOL_ROUNDS):
            take_outputs(talk, 1)
            say_calls(talk, call(f"call_{number}", f"item_{number}"), id=f"resp_{number + 1}")
        take_outputs(talk, 1)
        asked = talk.answer("Enough.", id="resp_last", item_id="item_last")
        assert asked["response"] == {"tool_choice": "none"}

    with serve(script) as url, connect(url=url, tools=[book], turn_detection="server_vad") as chat:
        until(lambda: chat.turns and chat.turns[-1].words == "Enough.")
        until(lambda: any("times in a row" in warning for warning in chat.warnings))
    assert len(ran) == TOOL_ROUNDS


REQUEST = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "docs", "name": "f", "arguments": "{}"}


def test_an_approval_that_a_response_nobody_asked_for_waits_for_is_given_by_the_function():
    asked = []

    def decide(approval):
        asked.append(approval.name)
        return True

    def script(talk):
        talk.open()
        begin_by_itself(talk, REQUEST)
        item = talk.expect("conversation.item.create")["item"]
        assert (item["approval_request_id"], item["approve"]) == ("mcpr_1", True)
        talk.say({"type": "conversation.item.added", "item": {**item, "id": "mcpa_1"}})
        talk.answer("Found it.", id="resp_2", item_id="item_2", expect=False)

    with serve(script) as url, connect(url=url, approve=decide, turn_detection="server_vad") as chat:
        until(lambda: chat.turns and chat.turns[-1].words == "Found it.")
    assert asked == ["f"]


def test_an_approval_that_nobody_can_give_is_said():
    def script(talk):
        talk.open()
        begin_by_itself(talk, REQUEST)

    with serve(script) as url, connect(url=url, turn_detection="server_vad") as chat:
        until(lambda: chat.warnings)
        assert chat.warnings == [
            "The model asks whether it may call docs.f({}). Connect with approve=, a function that answers it."
        ]


def test_a_budget_refuses_the_answer_to_a_function_that_nobody_asked_for():
    book, ran = booking()

    def script(talk):
        talk.open()
        begin_by_itself(talk, call(), output_text=1000)
        take_outputs(talk, 1)
        talk.expect("x")

    # A thousand tokens of text are $0.0024; 600 of audio, the least that is set aside for the next one, are $0.012.
    detection = {"type": "server_vad", "create_response": False}
    with serve(script) as url:
        chat, seen = connect(url=url, tools=[book], turn_detection=detection, budget=0.014), []
        chat.subscribe(lambda update: seen.append(type(update).__name__))
        until(lambda: "Overspent" in seen)
        assert chat.warnings[0].startswith("Your budget of $0.014 does not cover this")
        assert "response.create" not in [entry.type for entry in chat.log]
        chat.send({"type": "x"}).wait(10)
        chat.close().wait(10)
    assert ran == [3]


def test_a_response_that_ends_while_its_session_is_being_made_has_its_function_run(monkeypatch):
    book, ran = booking()
    ended, post_init = threading.Event(), Lifecycle.__post_init__

    def script(talk):
        talk.open()
        begin_by_itself(talk, call())
        ended.set()
        take_outputs(talk, 1)
        talk.answer("Done.", id="resp_2", item_id="item_3")

    def slow(*args):
        post_init(*args)
        ended.wait(0.5)  # as long as a busy machine may let the thread wait that makes the session

    monkeypatch.setattr(Lifecycle, "__post_init__", slow)
    with serve(script) as url, connect(url=url, tools=[book], turn_detection="server_vad") as chat:
        until(lambda: chat.turns and chat.turns[-1].words == "Done.")
    assert ran == [3]


def slow_and_quick():
    """Two functions, and what lets the first one return."""
    go_on = threading.Event()

    def slow() -> str:
        go_on.wait(20)
        return "at last"

    def quick() -> str:
        return "at once"

    return slow, quick, go_on


SLOW, QUICK = call("call_1", "item_1", "{}", "slow"), call("call_2", "item_2", "{}", "quick")


def test_functions_of_a_later_response_do_not_wait_for_those_of_an_earlier_one():
    slow, quick, go_on = slow_and_quick()
    answered = []

    def script(talk):
        talk.open()
        begin_by_itself(talk, SLOW)
        begin_by_itself(talk, QUICK, id="resp_2")
        answered.extend(take_outputs(talk, 1))
        talk.answer("Quick.", id="resp_3", item_id="item_3")
        go_on.set()
        answered.extend(take_outputs(talk, 1))
        talk.answer("Slow.", id="resp_4", item_id="item_4")

    with serve(script) as url, connect(url=url, tools=[slow, quick], turn_detection="server_vad") as chat:
        until(lambda: chat.turns and chat.turns[-1].words == "Slow.")
    assert answered == [("call_2", "at once"), ("call_1", "at last")]


def test_a_question_is_asked_and_answered_while_a_function_runs_that_nobody_asked_for():
    slow, _, go_on = slow_and_quick()

    def script(talk):
        talk.open()
        begin_by_itself(talk, SLOW)
        talk.take_message()
        talk.answer("Quick.", id="resp_2", item_id="item_2")
        go_on.set()
        take_outputs(talk, 1)
        talk.answer("Slow.", id="resp_3", item_id="item_3")

    with serve(script) as url, connect(url=url, tools=[slow], turn_detection="server_vad") as chat:
        until(lambda: any(response.status == "completed" for response in chat.conversation.responses.values()))
        assert chat.ask("Meanwhile?").wait(20).text == "Quick."
        until(lambda: chat.turns[-1].words == "Slow.")


def test_the_answer_to_a_function_waits_for_the_answer_to_another_and_each_is_asked_for_once():
    slow, quick, go_on = slow_and_quick()

    def script(talk):
        talk.open()
        begin_by_itself(talk, SLOW)
        begin_by_itself(talk, QUICK, id="resp_2")
        take_outputs(talk, 1)
        talk.expect("response.create")
        go_on.set()
        take_outputs(talk, 1)  # before the server has begun to answer
        talk.answer("Quick.", id="resp_3", item_id="item_3", expect=False)
        talk.answer("Slow.", id="resp_4", item_id="item_4")

    with serve(script) as url, connect(url=url, tools=[slow, quick], turn_detection="server_vad") as chat:
        until(lambda: chat.turns and chat.turns[-1].words == "Slow.")
        assert [entry.type for entry in chat.log].count("response.create") == 2
        assert chat.warnings == []
