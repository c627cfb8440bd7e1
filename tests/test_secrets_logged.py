"""No log and no print shows a key, and the chat server behind the practice server keeps the same rules."""
# ruff: noqa: F401, F811 - fixtures are imported by their names

import http.client
import json
import logging
import socket
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from canaries import AZURE, CANARIES, TESTS, Door, door, leaks, logged, shown_of, source
from dialogue import serve

from rtnb import connect
from rtnb.errors import InputError, RtnbError, ServerError, keep_secret, mask_secrets
from rtnb.server import server as practice
from rtnb.server.llm.remote import Remote
from rtnb.server.protocol.requests import Request

TESTS.add(__file__)

# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", list(CANARIES), indirect=True)
def test_debug_logging_shows_the_handshake_and_the_frames_but_no_key(source, logged):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Hello.")

    with serve(script) as url, connect(url=f"{url}?model=m&api-key={AZURE}", **source) as chat:
        assert chat.ask("Hi").wait(10).text == "Hello."
    told = "\n".join(logged)
    name = "api-key" if source["provider"] == "azure" else "Authorization"
    for line in ("> GET /v1/realtime?model=m&api-key=…", "Sec-WebSocket-Version: 13", f"> {name}: …", "< TEXT"):
        assert line in told
    assert leaks({"logged": told}) == []


def test_who_silences_websockets_silences_this_too(logged):
    quiet = logging.getLogger("websockets.client")
    quiet.setLevel(logging.WARNING)
    try:
        with serve(lambda talk: talk.open()) as url, connect(url=url, key=AZURE):
            pass
    finally:
        quiet.setLevel(logging.NOTSET)
    assert "websockets" not in "\n".join(logged)


def test_a_tools_token_is_in_no_log_and_no_print_though_frames_are_cut_short(logged, capsys):
    token = "tok/" + "Ab3+Cd5=" * 5
    tool = {"type": "mcp", "server_label": "s", "server_url": "https://s.example", "authorization": token}

    def script(talk):
        wanted = talk.open()
        for cut in range(len(token)):  # wherever the frame is cut
            talk.say({"type": "x", "pad": "." * 100, "session": wanted, "authorization": token[:cut]})

    with serve(script) as url, connect(url=url, key=AZURE, tools=[tool], verbose=True):
        pass
    told = "\n".join(logged) + capsys.readouterr().out
    assert "> TEXT" in told
    assert "→ session.update" in told
    assert not [token[at : at + 8] for at in range(len(token) - 7) if token[at : at + 8] in told]


@pytest.mark.parametrize(
    "arguments",
    [
        ("> %s: %s", "Authorization", f"Bearer {AZURE}"),
        ("< %s: %s", "authorization", "Basic dXNlcjpTM2NyZXRTM2NyZXQ="),
        ("> %s: %s", "api-key", "S3cret"),
        ("> %s: %s", "X-Goog-Api-Key", "S3cretS3cret"),
        ("> %s: %s", "X-Auth-Token", "S3cretS3cret"),
        ("< %s: %s", "Set-Cookie", "session=S3cretS3cret; Path=/"),
        ("> %s: %s", "Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.S3cretS3cret, other"),
        ("> %s: %s", "X-Mine", "ek_S3cretS3cret"),
        ("> GET %s HTTP/1.1", "/v1/realtime?model=m&token=S3cretS3cret"),
        ("> %s", "connecting to wss://me:S3cretS3cret@host/v1"),
        ("x",),
    ],
)
def test_what_carries_a_secret_is_masked_in_the_words_and_in_the_arguments(arguments, caplog):
    logger = logging.getLogger("websockets.client.rtnb")
    with caplog.at_level(logging.DEBUG):
        logger.debug(*arguments)
    (record,) = caplog.records
    said = record.getMessage() + repr(vars(record))
    assert "S3cret" not in said
    assert "UzNjcmV0" not in said
    assert "TM2NyZXR" not in said
    assert leaks({"said": said}) == []
    assert record.getMessage().startswith(arguments[0].partition("%")[0])


def test_the_practice_server_logs_no_key_of_its_clients(logged):
    canary = CANARIES["environment"]
    logging.getLogger("rtnb.practice.sockets").setLevel(logging.DEBUG)
    try:
        with practice.start(engines=False) as running, socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(
                b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                b"Authorization: Bearer " + canary.encode() + b"\r\n\r\n"
            )
            assert client.recv(12) == b"HTTP/1.1 101"
    finally:
        logging.getLogger("rtnb.practice.sockets").setLevel(logging.CRITICAL)
    assert leaks({"logged": "\n".join(logged)}) == []


# --- the chat server behind the practice server -----------------------------------------------------------------------


class Chat(Door):
    def do_POST(self):
        self.do_GET()


@contextmanager
def brain(*answer, **headers):
    with door(*answer, **headers) as there:
        there.RequestHandlerClass = Chat
        yield there, Remote(f"http://{there.address}/v1", "small", CANARIES["argument"])


def test_a_brain_that_redirects_is_refused_and_the_second_server_hears_nothing():
    with door() as other, brain(307, b"", Location=f"http://{other.address}/v1/chat/completions") as (there, mind):
        with pytest.raises(ServerError, match=rf"307: it redirects to http://{other.address}/v1.*as --brain"):
            list(mind(Request()))
        assert (len(there.asked), other.asked) == (1, [])


@pytest.mark.parametrize("status", [0, 200, 301, 401, 404, 500])
def test_a_brain_that_fails_shows_no_key(status, capsys, monkeypatch, logged):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    canary = CANARIES["argument"]
    says = f"No {canary}, nor {canary[:20]}." if status != 200 else "I am no chat server."
    with brain(status or 200, says.encode(), Location=f"/{canary}") as (there, mind):
        if not status:
            there.shutdown()
            there.server_close()
        with pytest.raises(RtnbError) as caught:
            list(mind(Request()))
        assert (
            leaks({**shown_of(caught.value, mind), "logged": "\n".join(logged), "out": capsys.readouterr().out}) == []
        )
    if status:
        assert there.asked[0]["Authorization"] == f"Bearer {canary}"


@pytest.mark.parametrize("odd", ["a b", "a\nb", "ключ-ключ", "“quoted-key”"])
def test_a_brain_key_that_no_header_can_carry_is_told_without_quoting_it(odd):
    with pytest.raises(InputError, match="Your brain key cannot be one") as caught:
        Remote("http://localhost:1/v1", "small", CANARIES["argument"] + odd)
    assert leaks({"said": str(caught.value) + repr(vars(caught.value))}) == []
    assert Remote("http://localhost:1/v1", "small", f" {AZURE}\n").headers()["Authorization"] == f"Bearer {AZURE}"


@pytest.mark.parametrize(("key", "sent"), [("", None), (" \n", None), (f"{AZURE}\n", f"Bearer {AZURE}")])
def test_a_brain_key_that_is_empty_or_ends_in_a_line_break_is_taken_by_the_practice_server(key, sent):
    with door(401) as there:
        there.RequestHandlerClass = Chat
        address = f"http://{there.address}/v1"
        assert Remote(address, "small", key).headers().get("Authorization") == sent
        with (
            practice.start(brain=address, brain_model="small", brain_key=key, key=key) as running,
            connect(url=running.url, key=key.strip() or None, modalities="text") as chat,
            pytest.raises(RtnbError, match=r"Your key for the brain at .* was refused"),
        ):
            chat.ask("Hi").wait(10)
    assert there.asked[0].get("Authorization") == sent


@pytest.mark.parametrize(
    "wrong",
    [{"pace": -1}, {"session_seconds": 0}, {"brain": "http://[::1", "brain_model": "m"}, {"host": "203.0.113.1"}],
)
def test_a_practice_server_that_does_not_start_shows_neither_key(wrong):
    def start(**keys):
        practice.start(engines=False, **keys, **wrong)

    with pytest.raises(InputError) as caught:
        start(key=CANARIES["environment"], brain_key=CANARIES["argument"])
    shown = shown_of(caught.value)  # without "frames": the server's own settings hold its own key
    assert leaks({place: text for place, text in shown.items() if not place.endswith("frames")}) == []


@pytest.mark.parametrize("key", [CANARIES["environment"], AZURE, "Ab3+Cd5/Ef7=Gh9+"])
def test_known_keys_are_masked_whole_and_in_pieces(key):
    held = keep_secret(key)
    masked = mask_secrets(
        f"a {key} b, {key[:14]}****{key[-4:]}; {quote(key, safe='')}! ?x={key[3:12]}&y=1 ordinary words"
    )
    assert not [key[at : at + 8] for at in range(len(key) - 7) if key[at : at + 8] in masked.replace("sk-proj-", "")]
    assert masked.startswith("a ")
    assert masked.endswith("&y=1 ordinary words")
    assert held() == key


@pytest.mark.parametrize(
    ("key", "text", "masked"),
    [
        ("no-key-required", "Missing required parameter: session.type", None),
        ("sk-no-key-required", "Missing required parameter; no-key-required", None),
        ("notrequiredatall", "Missing required parameter", None),
        ("password123", "wrong password given", None),
        ("127.0.0.1", "ws://127.0.0.2:1 and 27.0.0.1", None),
        ("lm-studio", "lm-studi and m-studio", None),
        ("no-key-required", "I sent no-key-required.", "I sent …."),
        ("password123", "I sent password123.", "I sent …."),
        ("lm-studio", "Incorrect key: lm-studio", "Incorrect key: …"),
    ],
)
def test_a_key_of_ordinary_words_is_masked_whole_and_never_in_pieces(key, text, masked):
    held = keep_secret(key)
    assert mask_secrets(text) == (masked or text)
    assert held() == key


def test_what_is_nobodys_key_any_more_is_a_word_again():
    held = keep_secret("disk-drive")
    assert mask_secrets("a disk-drive") == "a …"
    del held
    assert mask_secrets("a disk-drive") == "a disk-drive"


def test_a_key_that_is_a_word_leaves_what_programs_compare():
    held = keep_secret("conversation")
    event = {"type": "conversation.x", "error": {"code": "conversation_y", "message": "no conversation"}}
    error = ServerError("Not for conversation.", code="conversation_y", param="conversation", event=event)
    assert str(error) == "Not for …."
    assert (error.code, error.param) == ("conversation_y", "conversation")
    assert error.event == {"type": "conversation.x", "error": {"code": "conversation_y", "message": "no …"}}
    assert held() == "conversation"


def test_json_stays_json_when_it_is_masked():
    words = 'See "https://x.example/?token=S3cret" or \\"wss://me:S3cret\\@h" or {\'authorization\': \'S3cret"\'}\n'
    event = {
        "text": words,
        "authorization": "S3cret",
        "tools": [{"api_key": "S3cret"}],
        "more": [json.dumps({"a": words})],
    }
    masked = mask_secrets(json.dumps(event))
    assert json.loads(masked).keys() == event.keys()
    assert json.loads(masked)["tools"] == [{"api_key": "…"}]
