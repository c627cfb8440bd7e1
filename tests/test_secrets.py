"""The key goes to the server it is for, and shows nowhere else, whatever goes wrong."""
# ruff: noqa: F401, F811 - fixtures are imported by their names

import asyncio
import contextlib
import copy
import socket
import threading
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from canaries import AZURE, CANARIES, TESTS, door, leaks, logged, shown_of, source
from dialogue import serve

import rtnb
from rtnb import connect
from rtnb.errors import ConnectionFailed, InputError, KeyRefused
from rtnb.keys import Key, find_key, hold
from rtnb.transport import connection_errors

TESTS.add(__file__)

# --- a redirect at the handshake --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_redirect_is_refused_and_the_second_server_hears_nothing(status, provider):
    with door() as other, door(status, Location=f"ws://{other.address}/v1/realtime") as first:
        with pytest.raises(ConnectionFailed) as error:
            connect(url=f"ws://{first.address}/v1/realtime", provider=provider, key=AZURE).wait(10)
        assert len(first.asked) == 1
        assert AZURE in str(first.asked)
        assert other.asked == []
        assert str(error.value).startswith(f"The server redirects (HTTP {status}) to ws://{other.address}/v1/realtime")
        assert "nothing was sent" in str(error.value)
        assert "url=" in str(error.value).rpartition("; ")[2]
        assert error.value.code == status


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/v2/realtime", "/v2/realtime"),
        ("https://login.example/?next=x&token=Zq7Lw2Zq7Lw2", "https://login.example/?next=x&token=…"),
        ("wss://me:Zq7Lw2Zq7Lw2@there.example/v1", "wss://…@there.example/v1"),
        (f"wss://there.example/v1/{AZURE}", "wss://there.example/v1/…"),
        ("wss://there.example/" + "b-" * 3000, "b-b-b…"),
        ("http://[::1", "http://[::1"),
        (None, "does not say where"),
    ],
)
def test_where_a_redirect_points_is_told_without_secrets(location, told):
    with door(302, **({"Location": location} if location else {})) as first:
        with pytest.raises(ConnectionFailed) as error:
            connect(url=f"ws://{first.address}/v1/realtime", provider="azure", key=AZURE).wait(10)
        assert told in str(error.value)
        assert len(str(error.value)) < 600
        assert "Zq7Lw2" not in str(error.value) + repr(vars(error.value))
        assert AZURE not in str(error.value) + repr(vars(error.value))
        assert len(first.asked) == 1


def test_a_redirect_to_the_same_server_is_refused_too():
    with door(307) as first:
        first.answer = 307, {"Location": f"ws://{first.address}/elsewhere"}, b""
        with pytest.raises(ConnectionFailed, match="redirects"):
            connect(url=f"ws://{first.address}/v1/realtime", key=AZURE).wait(10)
        assert len(first.asked) == 1


# --- whatever goes wrong ----------------------------------------------------------------------------------------------


@contextmanager
def listening(answer=b"", *, close=True, accepted=None):
    """A server that knows no HTTP: it says `answer` and hangs up, or keeps still."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    kept.append(client)
                    accepted and accepted.set()
                    client.recv(1) if answer else None
                    client.sendall(answer)
                    if close:
                        client.close()

        kept = []
        threading.Thread(target=run, daemon=True).start()
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/v1/realtime"
        server.shutdown(socket.SHUT_RDWR)
        for client in kept:
            client.close()


def sessions(how, url):
    session = connect(url=url, **how)
    KEPT.append(session)
    return session


KEPT = []  # the sessions a failure left behind


def at_the_door(status):
    def fail(how, canary, monkeypatch):
        body = f'{{"error": {{"message": "Incorrect API key provided: {canary}."}}}}'.encode()
        with door(status, body, Location=f"wss://there.example/{canary}?k={quote(canary, safe='')}") as there:
            sessions(how, f"ws://{there.address}/v1/realtime").wait(10)

    return fail


def nobody_listens(how, canary, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sessions(how, f"ws://127.0.0.1:{port}/v1/realtime").wait(10)


def no_such_name(how, canary, monkeypatch):
    def lookup(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    sessions(how, "ws://no.such.example/v1/realtime").wait(10)


def no_tls(how, canary, monkeypatch):
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        sessions(how, url.replace("ws:", "wss:")).wait(10)


def silence(how, canary, monkeypatch):
    monkeypatch.setattr(connection_errors, "OPEN_TIMEOUT_SECONDS", 0.2)
    with listening(close=False) as url:
        sessions(how, url).wait(10)


def hung_up_at_once(how, canary, monkeypatch):
    with listening() as url:
        sessions(how, url).wait(10)


def another_protocol(how, canary, monkeypatch):
    with listening(f"SSH-2.0-{canary}\r\n\r\n".encode()) as url:
        sessions(how, url).wait(10)


def bad_headers(how, canary, monkeypatch):
    with listening(f"HTTP/1.1 101 Hi\r\nUpgrade: {canary}\r\n\r\n".encode()) as url:
        sessions(how, url).wait(10)


def refused_inside(how, canary, monkeypatch):
    def script(talk):
        talk.say({"type": "error", "error": {"code": "invalid_api_key", "message": f"Not {canary}, nor {canary[:20]}"}})
        talk.socket.close(3000, f"no {canary}")

    with serve(script) as url:
        sessions(how, url).wait(10)


def closed_with_a_reason(how, canary, monkeypatch):
    def script(talk):
        talk.socket.close(4001, f"no {canary}")

    with serve(script) as url:
        sessions(how, url).wait(10)


def rubbish_and_a_cut(how, canary, monkeypatch):
    def script(talk):
        talk.socket.send(f'{{"type": "session.created", "key": "{canary}"')
        talk.drop()

    with serve(script) as url:
        sessions(how, url).wait(10)


def settings_refused(how, canary, monkeypatch):
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1"}})
        update = talk.expect("session.update")
        error = {"type": "invalid_request_error", "message": f"{canary} may not", "event_id": update["event_id"]}
        talk.say({"type": "error", "error": error})

    with serve(script) as url:
        sessions(how, url).wait(10)


def response_failed(how, canary, monkeypatch):
    def script(talk):
        talk.open()
        talk.take_message()
        error = {"type": "server_error", "code": "server_error", "message": "This account has no credit"}
        talk.answer("", status="failed", status_details={"type": "failed", "error": error})

    with serve(script) as url, sessions(how, url) as chat:
        chat.ask("Hi").wait(10)


def bad_input(how, canary, monkeypatch):
    with serve(lambda talk: talk.open()) as url, sessions(how, url) as chat:
        chat.ask(object())


def budget_used_up(how, canary, monkeypatch):
    def script(talk):
        talk.open()
        for number in "12":
            talk.take_message(f"item_{number}")
            talk.answer("Yes.", id=f"resp_{number}", item_id=f"answer_{number}")

    with serve(script) as url:
        chat = connect(url=url, budget=1e-9, **how)
        KEPT.append(chat)
        with chat:
            chat.ask("Hi").wait(10)
            chat.ask("Hi").wait(10)


def cut_in_the_middle(how, canary, monkeypatch):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.drop()

    with serve(script) as url, sessions(how, url) as chat:
        chat.ask("Hi").wait(10)


def closed_while_it_opens(how, canary, monkeypatch):
    accepted = threading.Event()
    with listening(close=False, accepted=accepted) as url:
        chat = sessions(how, url)
        assert accepted.wait(10)
        chat.close().wait(10)
        chat.wait(10)


def given_up(how, canary, monkeypatch):
    async def cell():
        await asyncio.wait_for(sessions(how, url), 0.2)

    with listening(close=False) as url:
        asyncio.run(cell())


def interrupted(how, canary, monkeypatch):
    async def cell():
        asyncio.get_running_loop().call_later(0.2, asyncio.current_task().cancel)
        await sessions(how, url)

    with listening(close=False) as url:
        asyncio.run(cell())


def wrong_argument(how, canary, monkeypatch):
    connect(url="ws://127.0.0.1:1", modalities="smell", **how)


def wrong_address(how, canary, monkeypatch):
    connect(url="ws://127.0.0.1:99999", **how)


def no_such_provider(how, canary, monkeypatch):
    connect(url="ws://127.0.0.1:1", **{**how, "provider": "nobody"})


def wrong_part(how, canary, monkeypatch):
    rtnb.ask(object(), url="ws://127.0.0.1:1", show=False, **how)


def nothing_to_transcribe(how, canary, monkeypatch):
    rtnb.transcribe(object(), url="ws://127.0.0.1:1", **how)


def nothing_to_translate(how, canary, monkeypatch):
    rtnb.translate(object(), to="es", url="ws://127.0.0.1:1", **how)


def nothing_to_map(how, canary, monkeypatch):
    rtnb.map(object(), "What?", url="ws://127.0.0.1:1", out=None, show=False, **how)


def misnamed(how, canary, monkeypatch):
    rtnb.connect(practice=True, api_key=canary)


def wrong_call(how, canary, monkeypatch):
    rtnb.call(turn_detection="telepathy", url="ws://127.0.0.1:1", show=False, **how)


def no_patient(how, canary, monkeypatch):
    rtnb.doctor(url="ws://127.0.0.1:99999", key=how.get("key"))


FAILURES = [
    *[(at_the_door(status), f"HTTP {status}") for status in (301, 307, 400, 401, 403, 404, 429, 500)],
    (nobody_listens, "does not answer at this address"),
    (no_such_name, "does not know this server's name"),
    (no_tls, "The network|The connection"),
    (silence, "did not answer within"),
    (hung_up_at_once, "could not be opened"),
    (another_protocol, "could not be opened"),
    (bad_headers, "could not be opened"),
    (refused_inside, "Your key was refused"),
    (closed_with_a_reason, "closed the connection"),
    (rubbish_and_a_cut, "cannot be read"),
    (settings_refused, "may not"),
    (response_failed, "no credit"),
    (bad_input, "Your"),
    (budget_used_up, "budget"),
    (cut_in_the_middle, "dropped"),
    (closed_while_it_opens, "You closed the session"),
    (given_up, ""),
    (interrupted, ""),
    (wrong_argument, "modalities"),
    (wrong_address, "not a WebSocket address"),
    (no_such_provider, "nobody"),
    (wrong_part, "Your"),
    (nothing_to_transcribe, "Your"),
    (nothing_to_translate, "Your"),
    (nothing_to_map, "Your"),
    (misnamed, r"argument api_key= is none that connect\(\) takes\. Did you mean key="),
    (wrong_call, "telepathy"),
    (no_patient, "not a WebSocket address"),
]
NAMED = [pytest.param(fail, says, id=says if fail.__name__ == "fail" else fail.__name__) for fail, says in FAILURES]
SOME = [at_the_door(401), refused_inside, wrong_address]


def fails_without_showing(fail, says, how, logged, monkeypatch):
    KEPT.clear()
    canary = how.get("key") or find_key(provider=how["provider"]).reveal()
    with pytest.raises(BaseException, match=says or None) as caught:
        fail(how, canary, monkeypatch)
    monkeypatch.undo()
    lives = [session.lifecycle for session in KEPT]
    shown = shown_of(caught.value, *KEPT, *(life.where for life in lives), *(life.channel for life in lives))
    shown["logged"] = "\n".join(logged)
    assert leaks(shown) == []
    return caught.value


@pytest.mark.parametrize("source", ["argument"], indirect=True)
@pytest.mark.parametrize(("fail", "says"), NAMED)
def test_nothing_that_goes_wrong_shows_the_key(fail, says, source, logged, monkeypatch):
    error = fails_without_showing(fail, says, source, logged, monkeypatch)
    if isinstance(error, ConnectionFailed | KeyRefused):
        assert error.__cause__ is None
        assert error.__context__ is None


@pytest.mark.parametrize("source", list(CANARIES), indirect=True)
@pytest.mark.parametrize("fail", SOME, ids=["401", "refused", "address"])
def test_wherever_the_key_came_from(fail, source, logged, monkeypatch):
    fails_without_showing(fail, "", source, logged, monkeypatch)


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", list(CANARIES), indirect=True)
def test_nothing_that_is_kept_holds_the_key(source):
    with serve(lambda talk: talk.open()) as url, connect(url=url, **source) as chat:
        shown = shown_of(None, chat, chat.lifecycle.where, chat.lifecycle.channel)
        copied = copy.deepcopy(chat.lifecycle.where)
        assert copied.headers() == chat.lifecycle.where.headers() != {}
    call = rtnb.call(url=url, show=False, **source)
    shown |= shown_of(None, call)
    assert leaks(shown) == []


def test_a_key_given_by_hand_is_taken_as_it_is_and_shown_nowhere():
    held = hold(CANARIES["argument"])
    assert isinstance(held, Key)
    assert find_key(held).reveal() == CANARIES["argument"]
    assert hold(held) is held
    assert hold(None) is None
    for odd in (5, CANARIES["argument"].encode(), [CANARIES["argument"]]):
        assert leaks({"repr": repr(hold(odd)) + str(hold(odd))}) == []
        with pytest.raises(InputError, match="not text"):
            connect(url="ws://127.0.0.1:1", key=odd)
