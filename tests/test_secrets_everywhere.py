"""More that goes wrong, more ways to look at it, and a key from every place: it shows in none of it."""
# ruff: noqa: F401, F811 - fixtures are imported by their names

import asyncio
import base64
import copy
import pickle
import socket
import sys
import threading
import warnings
import zipfile
from urllib.parse import quote

import dialogue
import numpy as np
import pytest
from canaries import CANARIES, TESTS, all_of, door, leaks, logged, shown_of, source
from dialogue import serve

import rtnb
from rtnb.audio import Clip
from rtnb.errors import ConnectionFailed, KeyRefused
from rtnb.keys import find_key

TESTS.update((__file__, dialogue.__file__))  # the other end's frames hold what it says
SECONDS = 20  # for any one wait
TAKEN = __file__  # no folder
TONE = Clip.from_array(np.sin(np.arange(24_000) / 10).astype(np.float32) * 0.3, rate_hz=24_000, name="tone")
KEPT = []  # the sessions a failure left behind


def connect(url, how, **more):
    session = rtnb.connect(url=url, **{**how, **more})
    KEPT.append(session)
    return session


def quoting(canary):
    """What a server says that quotes a key in every way."""
    coded = base64.b64encode(canary.encode()).decode()
    return f"No {canary}; {canary[:12]}…{canary[-8:]}; {quote(canary, safe='')}; {coded}; Bearer {canary}"


def asks(script, **more):
    """A turn, of which the other end takes the question and then does as the script says."""

    def fail(how, canary):
        def talk_of(talk):
            talk.open()
            talk.take_message()
            script(talk, canary)

        with serve(talk_of) as url, connect(url, how, **more) as chat:
            chat.ask("Hi").wait(SECONDS)

    fail.__name__ = script.__name__
    return fail


# --- what the server says ---------------------------------------------------------------------------------------------


@asks
def an_error_event_in_a_turn(talk, canary):
    talk.say({"type": "error", "error": {"type": "x", "message": quoting(canary), "param": canary}})
    talk.expect("response.create")
    talk.end(1011, canary[:60])


@asks
def a_response_that_fails(talk, canary):
    error = {"type": "server_error", "code": "x", "message": quoting(canary)}
    talk.answer("", status="failed", status_details={"type": "failed", "error": error})


@asks
def frames_that_cannot_be_read(talk, canary):
    for text in (f'{{"type": "{canary}"', f"[{canary}]", f'{{"error": "{canary}"}}', canary):
        talk.socket.send(text)
    talk.drop()


@asks
def an_unknown_event(talk, canary):
    talk.say({"type": canary, canary: canary}, {"type": "response.done", "response": canary})
    talk.drop()


def closed_with(code):
    @asks
    def fail(talk, canary):
        talk.end(code, f"{canary} {quote(canary, safe='')}"[:120])

    fail.__name__ = f"closed_with_{code}"
    return fail


def an_error_that_is_text(how, canary):
    def script(talk):
        talk.say({"type": "error", "error": f"no {canary}"})
        talk.end(4000, f"invalid_request_error.{canary[:40]}")

    with serve(script) as url:
        connect(url, how).wait(SECONDS)


def settings_that_are_refused(how, canary):
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": canary}})
        update = talk.expect("session.update")
        error = {"type": "x", "message": quoting(canary), "param": canary, "event_id": update["event_id"]}
        talk.say({"type": "error", "error": error})

    with serve(script) as url:
        connect(url, how).wait(SECONDS)


# --- what does not come -----------------------------------------------------------------------------------------------


def silence(how, canary):
    with serve(lambda talk: talk.socket.recv(SECONDS)) as url:
        connect(url, how, timeout=0.3).wait(SECONDS)


@asks
def a_wait_that_is_given_up(talk, canary):
    talk.drop()


def given_up(how, canary):
    def script(talk):
        talk.open()
        talk.take_message()

    with serve(script) as url:
        chat = connect(url, how)
        try:
            chat.ask("Hi").wait(0.2)
        finally:
            chat.close().wait(SECONDS)


def cancelled(how, canary):
    async def cell(url):
        chat = connect(url, how)
        await chat
        asyncio.get_running_loop().call_later(0.1, asyncio.current_task().cancel)
        try:
            await chat.ask("Hi")
        finally:
            await chat.close()

    with serve(lambda talk: (talk.open(), talk.take_message())) as url:
        asyncio.run(cell(url))


# --- code of the user's -----------------------------------------------------------------------------------------------


def a_tool_that_fails(how, canary):
    def look_up():
        """Look it up."""
        raise RuntimeError("There is nothing.")

    def script(talk):
        talk.open()
        talk.take_message()
        call = {"id": "item_c", "type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"}
        talk.answer("", output=[{**call, "status": "completed"}])
        talk.expect("conversation.item.create")
        talk.drop()

    with serve(script) as url, connect(url, how, tools=[look_up]) as chat:
        chat.ask("Hi").wait(SECONDS)


# --- jobs -------------------------------------------------------------------------------------------------------------


def job(call):
    def fail(how, canary):
        with serve(lambda talk: talk.end(1011, canary[:60])) as url:
            call(f"{url}?api-key={quote(canary, safe='')}", how)

    fail.__name__ = call.__name__
    return fail


@job
def transcribed(url, how):
    rtnb.transcribe(TONE, url=url, **how).wait(SECONDS)


@job
def translated(url, how):
    rtnb.translate(TONE, to="es", url=url, **how).wait(SECONDS)


@job
def asked(url, how):
    rtnb.ask("Hi", url=url, show=False, **how).wait(SECONDS)


@job
def mapped(url, how):
    table = rtnb.map([TONE], "What?", url=url, out=None, show=False, **how)
    raise RuntimeError(f"{table!r} {table} {list(table)}")


def asked_of_the_doctor(how, canary):
    with door(401, quoting(canary).encode()) as there:
        raise RuntimeError(repr(rtnb.doctor(url=f"ws://{there.address}/v1/realtime", key=how.get("key"))))


# --- a key in another place -------------------------------------------------------------------------------------------


def under_the_name(name):
    def fail(how, canary):
        rtnb.connect(practice=True, **{name: canary})

    fail.__name__ = f"as_{name}"
    return fail


def as_a_position(how, canary):
    rtnb.connect(canary, canary, canary)


def as_a_model(how, canary):
    rtnb.connect(model=canary, url=f"wss://x.example/v1?model={canary}&api-key={canary}", modalities="smell", **how)


def as_a_modality(how, canary):
    rtnb.connect(practice=True, modalities=canary)


def as_a_provider(how, canary):
    rtnb.connect(url="ws://127.0.0.1:1", provider=canary)


def as_a_replay(how, canary):
    rtnb.connect(replay=f"{TAKEN}/{canary}.rtnb")


def as_a_timeout(how, canary):
    rtnb.connect(practice=True, timeout=canary)


def as_instructions(how, canary):
    with serve(lambda talk: talk.open()) as url:
        connect(url, how, instructions={"key": canary}).wait(SECONDS)


def as_a_setting(how, canary):
    with serve(lambda talk: talk.open()) as url, connect(url, how) as chat:
        chat.update(turn_detection={canary: object()})


def as_an_event(how, canary):
    with serve(lambda talk: talk.open()) as url, connect(url, how) as chat:
        chat.send({"type": 5, "authorization": canary})


def as_a_folder(how, canary):
    with serve(lambda talk: talk.open()) as url, connect(url, how) as chat:
        chat.wait(SECONDS).save(f"{TAKEN}/{canary}/x.rtnb")


def as_a_recording(how, canary):
    rtnb.transcribe(f"{TAKEN}/{canary}.wav", url="ws://127.0.0.1:1", **how)


def as_a_clip(how, canary):
    Clip.read(f"{TAKEN}/{canary}.wav")


def as_a_picture(how, canary):
    rtnb.Image.read(f"{TAKEN}/{canary}.png")


def as_a_place(how, canary):
    TONE.save(f"{TAKEN}/{canary}/x.wav")


def as_a_table(how, canary):
    rtnb.map([TONE], "What?", url="ws://127.0.0.1:1", out=f"{TAKEN}/{canary}", show=False, **how)


def as_a_host(how, canary):
    rtnb.practice(host=canary)


# --- addresses --------------------------------------------------------------------------------------------------------


def at(form):
    def fail(how, canary):
        with door(403, quoting(canary).encode()) as there:
            connect(form.format(key=quote(canary, safe=""), host=there.address), how).wait(SECONDS)

    fail.__name__ = f"at_{form}"
    return fail


def at_a_broken_address(how, canary):
    connect(f"ws://user:{canary}@127.0.0.1:99999/?api-key={canary}", how)


def at_no_address(how, canary):
    connect(canary, how)


def behind_a_proxy(how, canary):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ws_proxy", "WS_PROXY", "http_proxy", "HTTP_PROXY"):
            patch.setenv(name, f"http://user:{quote(canary, safe='')}@127.0.0.1:{port}")
        connect("ws://no.such.example/v1/realtime", how).wait(SECONDS)


# --- copies -----------------------------------------------------------------------------------------------------------


def pickled(how, canary):
    with serve(lambda talk: talk.open()) as url, connect(url, how) as chat:
        pickle.dumps(chat)


def a_pickled_key(how, canary):
    pickle.dumps(find_key(how.get("key"), provider=how["provider"]))


def a_changed_key(how, canary):
    find_key(how.get("key"), provider=how["provider"]).source = canary


def copied(how, canary):
    with serve(lambda talk: talk.open()) as url, connect(url, how) as chat:
        raise RuntimeError("\n".join(all_of(copy.copy(chat))))


FAILURES = [
    an_error_event_in_a_turn, a_response_that_fails, frames_that_cannot_be_read, an_unknown_event,
    *map(closed_with, (1000, 1008, 1011, 3000, 4000)), an_error_that_is_text, settings_that_are_refused, silence,
    given_up, cancelled, a_tool_that_fails, transcribed, translated, asked, mapped, asked_of_the_doctor,
    *map(under_the_name, ("api_key", "token", "secret", "openai_api_key", "speed", "reconnect", "budget", "tools")),
    as_a_position, as_a_model, as_a_modality, as_a_provider, as_a_replay, as_a_timeout, as_instructions, as_a_setting,
    as_an_event, as_a_folder, as_a_recording, as_a_clip, as_a_picture, as_a_place, as_a_table, as_a_host,
    *map(at, (
        "ws://{host}/v1/realtime?api-key={key}", "ws://me:{key}@{host}/v1/realtime", "ws://{key}@{host}/v1",
        "ws://{host}/v1/realtime?model=m&token={key}#x", "ws://{host}/{key}/v1/realtime", "ws://{host}/v1?{key}",
    )),
    at_a_broken_address, at_no_address, behind_a_proxy, pickled, a_pickled_key, a_changed_key, copied,
]  # fmt: skip
MATRIX = [
    pytest.param(fail, where, id=f"{fail.__name__}-{where}", marks=[pytest.mark.long] if at_ % 5 != place else [])
    for at_, fail in enumerate(FAILURES)
    for place, where in enumerate(CANARIES)
]


def failure_of(fail, how, canary):
    """What it raised, in a thread of its own, so that nothing waits longer than a few waits of its own."""
    raised = []

    def run():
        try:
            fail(how, canary)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2 * SECONDS)
    assert not thread.is_alive(), "it hangs"
    assert raised, "it did not fail"
    return raised[0]


@pytest.mark.parametrize(("fail", "source"), MATRIX, indirect=["source"])
def test_the_key_shows_in_none_of_it(fail, source, logged, capfd, monkeypatch):
    KEPT.clear()
    odd = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: odd.append(f"{told} {told.exc_value!r}"))
    monkeypatch.setattr(threading, "excepthook", lambda told: odd.append(f"{told} {told.exc_value!r}"))
    key = find_key(source.get("key"), provider=source["provider"])  # in use all the time, as a session's is
    canary = key.reveal()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        error = failure_of(fail, source, canary)
    lives = [session.lifecycle for session in KEPT]
    shown = shown_of(error, *KEPT, *(life.where for life in lives), *(life.channel for life in lives))
    shown["carried"] = "\n".join(text for part in vars(error).values() for text in all_of(part))
    shown["addresses"] = " ".join([str(getattr(error, "url", "")), *(session.url for session in KEPT)])
    shown["warned"] = "".join(str(one.message) for one in warned) + "".join(odd)
    shown["logged"] = "\n".join(logged)
    shown["printed"] = "".join(capfd.readouterr())
    assert leaks(shown) == []
    if isinstance(error, ConnectionFailed | KeyRefused):
        assert error.__cause__ is None
        assert error.__context__ is None


@pytest.mark.parametrize("source", list(CANARIES), indirect=True)
def test_no_saved_session_and_no_shown_reply_holds_a_key_that_the_server_says(source, tmp_path):
    canary = find_key(source.get("key"), provider=source["provider"]).reveal()

    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer(f"Is it {canary} ?")

    with serve(script) as url, connect(f"{url}?api-key={quote(canary, safe='')}", source) as chat:
        reply = chat.ask("Hi").wait(SECONDS)
        path = chat.save(tmp_path / "kept.rtnb")
        shown = {"url": str(chat.url), "session": repr(chat), "settings": str(chat.settings)}
    with zipfile.ZipFile(path) as archive:
        shown |= {name: archive.read(name).decode("latin-1") for name in archive.namelist()}
    assert leaks(shown) == []
    assert reply.status == "completed"
