"""Who holds a session, and who waits for it: a function of its own, a forked child, the fifty-first, nobody."""

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dialogue import serve, until

import rtnb
from rtnb.errors import ConnectionFailed, InputError
from rtnb.money import limits
from rtnb.opening import connect

CALL = {"id": "item_call", "type": "function_call", "status": "completed", "name": "think", "call_id": "call_1"}


def calls_think(talk):
    """A model that calls `think` once, answers a side question, and then says what the function returned."""
    talk.open()
    talk.take_message("item_1")
    talk.answer("", output=[{**CALL, "arguments": "{}"}], id="resp_1", item_id="item_2")
    while (event := talk.hear())["type"] == "response.create":
        talk.answer("French.", id="resp_side", item_id="item_side", expect=False, conversation_id=None, **marked(event))
    item = {**event["item"], "id": "item_3"}
    talk.say({"type": "conversation.item.added", "item": item})
    talk.answer(item["output"], id="resp_2", item_id="item_4")
    if (event := talk.hear())["type"] != "response.create":  # a question rather than `respond()`
        talk.say({"type": "conversation.item.added", "item": {**event["item"], "id": "item_5"}})
        talk.expect("response.create")
    talk.answer("The next.", id="resp_3", item_id="item_6", expect=False)


def marked(event):
    return {"metadata": event["response"].get("metadata")}


async def awaits(chat):
    return (await chat.ask("And now?")).text


async def awaits_in_a_task(chat):
    return (await asyncio.wait_for(asyncio.create_task(_of(chat.respond())), 20)).text


async def _of(reply):
    return await reply


async def iterates(chat):
    return "".join([str(piece) async for piece in chat.ask("And now?")])


def waits(chat):
    return chat.ask("And now?").wait().text


def iterates_and_blocks(chat):
    return "".join(str(piece) for piece in chat.ask("And now?"))


def waits_in_a_thread(chat):
    said = []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: said.append(context.run(refusal_of, waits, chat)))
    thread.start()
    thread.join(20)
    raise said[0]


def refusal_of(wait, chat):
    try:
        wait(chat)
    except InputError as refused:
        return refused
    return AssertionError("not refused")


WAITS = [awaits, awaits_in_a_task, iterates, waits, iterates_and_blocks, waits_in_a_thread]


@pytest.mark.parametrize("wait", WAITS)
def test_a_function_that_waits_for_its_own_session_is_refused_and_the_answer_comes(wait):
    box = []
    if asyncio.iscoroutinefunction(wait):

        async def think():
            return await wait(box[0])

    else:

        def think():
            return wait(box[0])

    with serve(calls_think) as url, connect(url=url, tools=[think], timeout=20) as chat:
        box.append(chat)
        reply = chat.ask("Think.").wait(20)
        assert "waits for an answer of its own session" in reply.text  # the model is told
        assert "waits for an answer of its own session" in str(reply.tool_calls[0].error)


@pytest.mark.parametrize("blocks", [True, False])
def test_what_a_function_may_do_in_its_own_session(blocks):
    """Ask beside the talk, and ask without waiting: that comes next."""
    box, later = [], []

    async def think_async():
        later.append(box[0].ask("And then?"))
        return (await box[0].side("Which language?")).text

    def think():
        later.append(box[0].ask("And then?"))
        return box[0].side("Which language?").wait(20).text

    function = rtnb.Tool.from_function(think if blocks else think_async, name="think")
    with serve(calls_think) as url, connect(url=url, tools=[function]) as chat:
        box.append(chat)
        assert chat.ask("Think.").wait(20).text.endswith("French.")
        assert later[0].wait(20).text == "The next."


def test_who_answers_an_approval_may_not_wait_either():
    asked, box, refused = {"id": "m", "type": "mcp_approval_request", "name": "read", "arguments": "{}"}, [], []

    def script(talk):
        talk.open()
        talk.take_message("item_1")
        talk.answer(output=[asked])
        talk.take_message("item_2")
        talk.answer("Thank you.", id="resp_2", item_id="item_3", expect=False)

    def approve(_):
        refused.append(refusal_of(waits, box[0]))
        return True

    server = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example/sse"}
    with serve(script) as url, connect(url=url, tools=[server], approve=approve) as chat:
        box.append(chat)
        chat.ask("Read it.").wait(20)
    assert isinstance(refused[0], InputError)


def test_a_listener_that_waits_stops_no_socket():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hello.")

    refused = []
    with serve(script) as url, connect(url=url) as chat:
        reply = chat.ask("Hi")
        chat.subscribe(lambda _: refused.append(refusal_of(lambda _: list(reply), chat)))
        assert reply.wait(20).text == "Hello."
        until(lambda: refused)
        assert "I/O thread" in str(refused[0]) or reply.done


# --- held by nobody ---------------------------------------------------------------------------------------------------


def answers(talk):
    talk.open()
    while True:
        talk.take_message(f"item_{len(talk.heard)}")
        talk.answer("Hello.", id=f"resp_{len(talk.heard)}", item_id=f"answer_{len(talk.heard)}")


def test_a_session_that_nobody_holds_closes():
    gone = threading.Event()

    def script(talk):
        try:
            answers(talk)
        finally:
            gone.set()

    with serve(script) as url:
        chat = connect(url=url).wait(20)
        assert chat.ask("Hi").wait(20).text == "Hello."
        life = chat.lifecycle
        del chat
        until(lambda: gc.collect() >= 0 and life.state == "closed")  # the turn's last steps may hold it for a moment
        assert life.error is None
        assert gone.wait(20)


def test_one_of_which_an_answer_is_under_way_or_held_does_not():
    begun, go_on = threading.Event(), threading.Event()

    def script(talk):
        talk.open()
        talk.take_message()
        begun.set()
        assert go_on.wait(20)
        talk.answer("Hello.")

    with serve(script) as url:
        reply = connect(url=url).ask("Hi")
        assert begun.wait(20)
        gc.collect()
        go_on.set()
        assert reply.wait(20).text == "Hello."
        gc.collect()
        assert reply.session.state == "open"
        reply.session.close().wait(20)


def test_one_that_is_owed_a_single_answer_is_not_forgotten_before():
    go_on = threading.Event()

    def script(talk):
        talk.open()
        wanted = talk.expect("session.update")["session"]
        assert go_on.wait(20)
        talk.say({"type": "session.updated", "session": wanted})

    with serve(script) as url:
        handle = connect(url=url).update(instructions="Be brief.")
        gc.collect()
        go_on.set()
        assert handle.wait(20)["session"]["instructions"] == "Be brief."


def test_more_sessions_than_there_are_places_can_be_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "_places", asyncio.Semaphore(3))
    with serve(answers) as url:
        for _ in range(9):
            chat = connect(url=url).wait(20)
            assert chat.ask("Hi").wait(20).text == "Hello."
        chat.close().wait(20)


def test_one_more_than_are_held_and_idle_is_refused_in_words(monkeypatch, capsys):
    monkeypatch.setattr(limits, "_places", asyncio.Semaphore(2))
    monkeypatch.setattr(limits, "_IDLE_SECONDS", 0.3)
    with serve(answers) as url:
        held = [connect(url=url).wait(20) for _ in range(2)]
        with pytest.raises(ConnectionFailed, match=r"^You have 100 sessions open.*close\(\)\.$"):
            connect(url=url).ask("Hi").wait(20)
        assert "waits until another ends" in capsys.readouterr().out
        held.pop().close().wait(20)
        connect(url=url).wait(20).close().wait(20)
        held.pop().close().wait(20)


def test_one_more_than_are_busy_waits_for_its_turn(monkeypatch):
    monkeypatch.setattr(limits, "_places", asyncio.Semaphore(1))
    monkeypatch.setattr(limits, "_IDLE_SECONDS", 0.1)
    go_on = threading.Event()

    def slow(talk):
        talk.open()
        talk.take_message()
        assert go_on.wait(20)
        talk.answer("At last.")

    with serve(slow) as url:
        first = connect(url=url).wait(20)
        reply, second = first.ask("Hi"), connect(url=url)
        with pytest.raises(TimeoutError):
            second.wait(1)
        monkeypatch.setattr(limits, "_IDLE_SECONDS", 20)  # from here on, however slow this machine is
        go_on.set()
        assert reply.wait(20).text == "At last."
        first.close().wait(20)
        second.wait(20).close().wait(20)


# --- in a child of the process ------------------------------------------------------------------------------------

FORKED = """
import os, sys, time
import rtnb
def own():
    chat = rtnb.connect(url=sys.argv[1], timeout=20)
    reply = chat.ask("Hi")
    chat.clear()
    return reply.wait(20).text
chat = rtnb.connect(url=sys.argv[1], timeout=20).wait(20)
pending = chat.ask("Hi")
while not any(entry.type == "response.create" for entry in chat.log):
    time.sleep(0.01)
said = []
def attempt(name, do):
    try:
        said.append(f"{name}: {do()}")
    except rtnb.InputError as refused:
        said.append(f"{name}: {refused}")
if (child := os.fork()) == 0:
    attempt("ask", lambda: chat.ask("Hi"))
    attempt("append", lambda: chat.append(b"0000"))
    attempt("commit", lambda: chat.commit())
    attempt("close", lambda: chat.close())
    attempt("wait", lambda: pending.wait())
    attempt("iterate", lambda: list(pending))
    import asyncio
    async def awaited():
        return await pending
    attempt("await", lambda: asyncio.run(awaited()))
    attempt("own", own)
    del chat
    import gc; gc.collect()
    print("\\n".join(said), flush=True)
    os._exit(0)
os.waitpid(child, 0)
chat.clear()
print("parent:", pending.wait(20).text)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_is_refused_what_belongs_to_its_parent_and_opens_its_own():
    def when_cleared(talk):
        """Nothing is under way while the parent forks, which would be so in its child for ever."""
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.expect("input_audio_buffer.clear")
        talk.say({"type": "input_audio_buffer.cleared"})
        talk.answer("Hello.", expect=False)

    with serve(when_cleared) as url:
        path = os.pathsep.join([str(Path(rtnb.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, url]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120
        )
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.stderr == ""
    assert lines.pop("own") == "Hello."
    assert lines.pop("parent") == "Hello."
    assert list(lines) == ["ask", "append", "commit", "close", "wait", "iterate", "await"]
    assert {line.partition(" to the process")[0] for line in lines.values()} == {"Your session belongs"}
