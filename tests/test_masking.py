"""What looks like a key is masked wherever it is shown; a saved session loses keys and keeps every word."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dialogue import serve
from websockets.asyncio.client import connect as open_socket

from rtnb.errors import RtnbError, mask_secrets
from rtnb.opening import connect
from rtnb.server import server
from rtnb.session.session import Session


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """The keys of other tests, which may be pieces of these words, are gone with their sessions."""
    gc.collect()


# Each of these holds no key, however much it may look like one for a moment.
ORDINARY = [
    "The standard bearer yesterday carried the flag.",
    "the bearer yesterday",
    "The Bearer certificate was lost in transit.",
    "bearer documents, bearer instruments and bearer-friendly rules",
    "Pay to bearer 100 francs.",
    "A pallbearer stumbled; the torchbearer remembered.",
    "Please send the api-key: tomorrow morning is fine.",
    "API-Key: required. Authorization: optional.",
    "api-key = important",
    "My api_key: still missing",
    "authorization: granted yesterday",
    "The authorization is with the bearer anywhere",
    "I use sk-learn and sk-learn-contrib every day.",
    "sk-learn-0.24.2 and sk-image",
    "An sk-8-bit sound chip, an SK-II cream and SK-Telecom2024.",
    "SK-1 SK-2 sk-3 sk-abc sk-test",
    "task-force, risk-averse, desk-lamp1234567, disk-0123456789abcdef",
    "He made a task-sk-proj list.",
    "ek_ is a prefix; so is sk-.",
    "ek_tekst ek_value ek_name_of_it week_numbers123456",
    "sk-… is how a masked key is shown, and ek_… too.",
    "Wait… what? sk-… and then?",
    "sk-proj- starts a project key",
    "openai-insecure-api-key. is the subprotocol's beginning.",
    "她是旗手 bearer 昨天",
    "密钥在 api-key: 这里",
    "Der Bearer Überbringer kam gestern.",
    "bearer\nyesterday was Sunday",
    "2024-11-27 the bearer 2024-11-27 came",
    "basic training, basic mathematics, Basic Instructions",
    "Bearer token authentication uses the Authorization header.",
    "Authorization: Token is missing",
    '"max_output_tokens":100,"input_tokens":20,"total_tokens":12345678,"text_tokens_details":{"cached_tokens":12345678}',
    '{"max_output_tokens": "inf", "text_tokens_details": "x", "author": "Jane Austen", "key": "C major"}',
    '{"logprobs":[{"token":"Hello","logprob":-0.1,"bytes":[72]}]}',
]

# Made up, and obviously so; each pair is a text and what may not be left of it.
SECRET = [
    ("sk-abc123", "abc123"),
    ("Slow down, sk-abc123456.", "abc123"),
    ("sk-FAKE0000FAKE", "FAKE0000"),
    ("My key is sk-abcdef0123456789, thanks", "abcdef"),
    ("sk-proj-abcdefghijklmnop", "abcdefgh"),
    ("sk-proj-not-a-key-at-all", "not-a-key"),
    ("sk-svcacct-FAKE_f4ke-FAKE", "FAKE"),
    ("sk-admin-fakefakefake", "fakefake"),
    ("sk-or-v1-0123456789abcdef", "0123456789"),
    ("sk-ant-api03-FAKEfake00", "FAKEfake00"),
    ("sk-fakefakefakefakefake", "fakefake"),
    ("sk-a_b-c1d2e3f4", "c1d2e3f4"),
    ("Incorrect API key provided: sk-pr***********y123. You can", "y123"),
    ("Incorrect API key: sk-xx***AAAA.", "AAAA"),
    ("sk-xx…AAAA", "AAAA"),
    ("sk-proj-****Zq7L", "Zq7L"),
    ("(sk-abc123def)", "abc123"),
    ('"sk-abc123def"', "abc123"),
    ("url?key=sk-abc123def&x=1", "abc123"),
    ("密钥是sk-abc123def。", "abc123"),
    ("ek_0123456789abcdef", "01234567"),
    ("ek_a1b2c3 is over", "a1b2c3"),
    ("ws://127.0.0.1:1/ek_00000000aaaaaaaa/v1/realtime", "00000000"),
    ("openai-insecure-api-key.fakefake, realtime", "fakefake"),
    ("openai-insecure-api-key.k", "key.k"),
    ("Authorization: Bearer fakefakefake", "fakefake"),
    ("authorization: bearer FAKE-FAKE-FAKE", "FAKE"),
    ('{"Authorization": "Bearer opensesame"}', "opensesame"),
    ("{'Authorization': 'Bearer opensesame'}", "opensesame"),
    ("Authorization=Bearer hunter2hunter2", "hunter2"),
    ("> Authorization: Basic ZmFrZTpmYWtl", "ZmFrZTpmYWtl"),
    ("sent Bearer abc123def456 to it", "abc123"),
    ("bearer eyJmYWtl.eyJmYWtl.ZmFrZWZha2U", "ZmFrZ"),
    ("Bearer 00000000-aaaa-0000-aaaa-000000000000", "00000000"),
    ("api-key: 0123456789abcdef", "01234567"),
    ("api-key:0123456789abcdef", "01234567"),
    ('"api-key": "opensesame"', "opensesame"),
    ("x-api-key: a1b2c3d4e5", "a1b2c3"),
    ("OPENAI_API_KEY=a1b2c3d4e5", "a1b2c3"),
    ("wss://x.example/realtime?api-key=a1b2c3d4e5&model=m", "a1b2c3"),
    ("Authorization: Token abcdef1234567890abcdef", "abcdef"),
    ("Authorization: Token open-sesame", "sesame"),
    ("Authorization: ghp_s3cr3tvalue", "s3cr3t"),
    ("X-Auth-Token: hunter2-secret", "hunter2"),
    ("Set-Cookie: sid=hunter2hunter2; Path=/", "hunter2"),
]

# Fields of JSON that carry a secret by their name: all of it goes, however many words it has.
FIELDS = {
    "Authorization": "token ghp_s3cr3tvalue",
    "authorization": "Bearer opens esame",
    "Proxy-Authorization": "Digest a=open, b='sesame'",
    "X-Auth-Token": "hunter2-secret",
    "X-Auth-User": "hunter2-secret",
    "Cookie": 'sid="open"; more=sesame',
    "X-Secret": "open&se#same",
    "X-Key": "opensesame",
    "access_token": "opensesame",
    "clientSecret": "open sesame",
    "password": "open\\sesame\\",
    "Ocp-Apim-Subscription-Key": "open sesame",
}


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay(text: str) -> None:
    assert mask_secrets(text) == text
    assert str(RtnbError(text)) == text


@pytest.mark.parametrize(("text", "secret"), SECRET)
def test_what_looks_like_a_key_is_masked(text: str, secret: str) -> None:
    masked = mask_secrets(text)
    assert secret not in masked
    assert "…" in masked
    assert mask_secrets(masked) == masked
    assert mask_secrets(f"Before it {text} and after it.").endswith(" and after it.")


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_with_a_secrets_name_is_masked_to_its_end(name: str) -> None:
    tool = {"type": "mcp", "headers": {name: FIELDS[name], "Accept": "text/html"}, "max_output_tokens": 100}
    masked = {**tool, "headers": {name: "…", "Accept": "text/html"}}
    assert json.loads(mask_secrets(json.dumps(tool))) == masked
    assert mask_secrets(repr({name: "it's a secret"})) == f'{{{name!r}: "…"}}'
    assert mask_secrets(json.dumps(tool, separators=(",", ":")).partition(FIELDS[name][-3:-1])[0]).endswith(':"…')
    inside = mask_secrets(json.dumps([json.dumps({name: "open sesame", "Accept": "text/html"})]))
    assert json.loads(json.loads(inside)[0]) == {name: "…", "Accept": "text/html"}


def test_what_stands_around_a_key_stays() -> None:
    assert mask_secrets("Your key sk-abc123def.") == "Your key sk-…."
    assert mask_secrets("Bearer abc123def456, then") == "Bearer …, then"
    assert mask_secrets("?api-key=a1b2c3d4e5&model=m") == "?api-key=…&model=m"


def test_long_texts_are_masked_in_no_time() -> None:
    for text in ("\\" * 300_000, '"' * 300_000, '"authorization":"' * 30_000, '"token-' * 50_000, "token: " * 50_000,
                 '"' + "token-" * 50_000, '"token":"a' * 30_000, "sk-" * 100_000,
                 "sk-a" * 100_000, "bearer " * 100_000, "a" * 1_000_000, "ek_" + "_" * 300_000,
                 "api-key: " * 50_000, "sk-" + "a-" * 200_000, "Bearer " + " " * 300_000):  # fmt: skip
        mask_secrets(text)


# ------------------------------------------------------------------ saved sessions


def talker(talk: Any) -> None:
    """A server that says of its own whatever it is told."""
    wanted = talk.open(model="gpt-realtime-2.1")
    assert wanted
    for number in range(99):
        item = talk.take_message(f"item_{number}")
        (part,) = item["content"]
        talk.answer(f"You said: {part['text']}", id=f"resp_{number}", item_id=f"answer_{number}")


def everything(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist()).decode("utf-8", "replace")


def test_a_session_full_of_ordinary_words_is_saved_and_replayed_whole(tmp_path: Path) -> None:
    asked = [*ORDINARY, "Use 'Authorization: Bearer YOUR_KEY' here", "api-key: a1b2c3d4e5 was our locker"]
    with serve(talker) as url, connect(url=url, key="fake-key-0123", model="gpt-realtime-2.1") as chat:
        said = [chat.ask(words).wait(10).text for words in asked]
        path = chat.save(tmp_path / "words.rtnb")
    text = everything(path)
    for words in asked:
        assert json.dumps(words, ensure_ascii=False)[1:-1] in text
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert [chat.ask(words).wait(10).text for words in asked] == said == [f"You said: {words}" for words in asked]


def test_what_was_said_with_a_key_in_it_is_saved_without_and_is_still_found(tmp_path: Path) -> None:
    key = "class-of-2026"
    asked = [
        f"The password is {key}, isn't it?",
        "My key is sk-abcdef0123456789.",
        "And ek_0123456789abcdef is another…",
        "What do I do?",
    ]
    with serve(talker) as url, connect(url=url, key=key, model="gpt-realtime-2.1") as chat:
        for words in asked:
            chat.ask(words, instructions=f"Never say {key}.").wait(10)
        path = chat.save(tmp_path / "keys.rtnb")
    text = everything(path)
    for secret in (key, "abcdef0123456789", "0123456789abcdef"):
        assert secret not in text
    assert "The password is " in text
    with connect(replay=path, replay_speed=math.inf) as chat:
        for words in (asked[2], asked[0], asked[3], asked[1]):
            heard = chat.ask(words, instructions=f"Never say {key}.").wait(10).text
            assert heard.startswith("You said: " + words[:5])
        with pytest.raises(RtnbError, match="does not hold"):
            chat.ask("The password is nothing, is it?").wait(10)


@pytest.mark.parametrize("key", ["in_progress", "assistant", "completed", "conversation"])
def test_a_key_that_is_a_word_of_the_protocol_breaks_no_recording(tmp_path: Path, key: str) -> None:
    def script(talk: Any) -> None:
        talk.open(model="gpt-realtime-2.1")
        talk.take_message("item_1")
        talk.answer(f"It is {key}.")

    with serve(script) as url, connect(url=url, key=key, model="gpt-realtime-2.1") as chat:
        chat.ask("Hello").wait(10)
        path = chat.save(tmp_path / "odd.rtnb")
    assert json.dumps(f"It is {key}")[1:-1] not in everything(path)
    with connect(replay=path, replay_speed=math.inf) as chat:
        reply = chat.ask("Hello").wait(10)
        assert reply.status == "completed"
        assert reply.text.startswith("It is ")


MCP = {
    "type": "mcp",
    "server_label": "x",
    "server_url": "https://x.example",
    "authorization": "hunter2hunter2",
    "headers": {"X-Key": "opensesame", "X-Org": "us"},
}


def test_an_answer_asked_for_with_a_tools_secrets_is_found_again(tmp_path: Path) -> None:
    def script(talk: Any) -> None:
        talk.open(model="gpt-realtime-2.1")
        talk.take_message("item_1")
        talk.answer("Done with hunter2hunter2.")

    def ask(chat: Session) -> str:
        return chat.ask("Look it up", response={"tools": [MCP]}).wait(10).text

    with serve(script) as url, connect(url=url, model="gpt-realtime-2.1") as chat:
        assert ask(chat) == "Done with hunter2hunter2."
        path = chat.save(tmp_path / "mcp.rtnb")
    text = everything(path)
    assert "X-Key" in text
    assert not re.search("hunter2|opensesame", text)
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert ask(chat).startswith("Done with ")


def test_a_header_that_is_no_secret_takes_no_words_and_a_token_goes_without_its_scheme(tmp_path: Path) -> None:
    headers = {
        "X-Course": "chemistry",
        "Accept": "application/json",
        "Authorization": "Bearer tok-abcdef123",
        "X-Auth-Token": "token  opensesame",
    }
    asked = "I like chemistry and application/json, not tok-abcdef123 nor opensesame."

    with serve(talker) as url, connect(url=url, tools=[{**MCP, "headers": headers}]) as chat:
        chat.ask(asked).wait(10)
        path = chat.save(tmp_path / "headers.rtnb")
    text = everything(path)
    assert text.count("I like chemistry and application/json, not [hidden key] nor [hidden key].") >= 2
    assert not re.search("tok-abcdef123|opensesame|hunter2", text)
    assert '"X-Course":"[hidden key]","Accept":"[hidden key]"' in text


def test_the_practice_server_writes_down_words_and_no_keys(tmp_path: Path) -> None:
    key = "class-of-2026"

    async def talk(url: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with open_socket(url + "?model=gpt-realtime", additional_headers=headers) as line:
            for words in (*ORDINARY, f"The password is {key}.", "ek_0000aaaa1111bbbb", "sk-FAKE2222FAKE"):
                content = [{"type": "input_text", "text": words}]
                item = {"type": "message", "role": "user", "content": content}
                await line.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await line.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "tools": [MCP]}}))
            await line.send(f"no json, but {key}")
            while json.loads(await line.recv())["type"] != "error":
                pass

    for own in (key, None):  # the server's own key, or one that it does not look at
        with server.start(engines=False, key=own, record=tmp_path / "tapes") as practice:
            asyncio.run(talk(practice.url))
        (tape,) = (tmp_path / "tapes").iterdir()
        lines = [json.loads(line) for line in tape.read_text("utf-8").splitlines()]
        tape.unlink()
        sent = [line["event"] for line in lines if line["from"] == "client" and "event" in line]
        items = [event["item"]["content"][0]["text"] for event in sent if event["type"] == "conversation.item.create"]
        assert items[: len(ORDINARY)] == ORDINARY
        assert items[len(ORDINARY)].startswith("The password is ")
        text = json.dumps(lines)
        assert not re.search(f"{key}|hunter2|opensesame|0000aaaa|FAKE2222", text)
        assert "no json, but " in text
