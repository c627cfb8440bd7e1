"""Who may reach a server of ours: programs, pages of its own and those let in, by a name that is the server's."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets
from dialogue import serve

from rtnb.errors import InputError
from rtnb.opening import connect
from rtnb.recording.load import open_recording
from rtnb.recording.replay import serve as serve_replay
from rtnb.server import command, server

HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)
SOCKET = "/v1/realtime?model=gpt-realtime"
# What a browser can ask for: a session, and every route beside it.
WAYS = {
    "socket": ("GET", SOCKET, HANDSHAKE, 101),
    "translation socket": ("GET", "/v1/realtime/translations?model=gpt-realtime-translate", HANDSHAKE, 101),
    "sideband": ("GET", "/v1/realtime?call_id=rtc_x", HANDSHAKE, 404),  # no such call
    "models": ("GET", "/v1/models", "Accept: */*", 200),
    "hello": ("GET", "/", "Accept: */*", 200),
    "secret": ("POST", "/v1/realtime/client_secrets", "Content-Length: 2", 200),
    "nothing": ("GET", "/v1/nothing", "Accept: */*", 404),
    "refused on purpose": ("GET", SOCKET + "&fault=refuse:429", HANDSHAKE, 429),
}


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=False, allow_origins=["https://class.example", "http://localhost:3000"]) as running:
        yield running


def knock(
    port: int,
    way: str | tuple[str, str, str] = "models",
    *headers: str,
    host: str | None = "",
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as raw as a test wants it; gives status, headers and what came of the body.

    Args:
        port: The server's.
        way: One of `WAYS`, or method, target and further headers.
        headers: More header lines.
        host: What the Host header says; "" for the address that is called, None for no such header.
        address: Where the server is.
        tls: For a server that speaks TLS.
    """
    method, target, more = (WAYS[way] if isinstance(way, str) else way)[:3]
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [] if host is None else [f"Host: {host or f'{address}:{port}'}"]
    head = "\r\n".join([*lines, "Authorization: Bearer practice", *headers, more, ""])
    head += "\r\n{}" if method == "POST" else "\r\n"
    plain = socket.create_connection((address, port), timeout=20)
    with tls.wrap_socket(plain, server_hostname=address) if tls else plain as line:
        line.sendall(head.encode("latin-1"))
        came = b""
        while b"\r\n\r\n" not in came or (b" 101 " not in came[:20] and not came.endswith((b"}", b"\n"))):
            piece = line.recv(65_536)
            if not piece:
                break
            came += piece
    start, _, body = came.partition(b"\r\n\r\n")
    first, *rest = start.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, _, v in (r.partition(": ") for r in rest)}, body


def refusal(answer: tuple[int, dict[str, str], bytes]) -> str:
    """The sentence of a refusal, which is an error in the API's form and lets no page read it."""
    status, headers, body = answer
    assert status == 403, answer
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith("access-control")]
    error = json.loads(body)["error"]
    assert error["type"] == "invalid_request_error"
    assert error["code"] in ("origin_not_allowed", "host_not_allowed", "address_not_known")
    return error["message"]


# ------------------------------------------------------------------ programs


@pytest.mark.parametrize("way", WAYS)
def test_programs_send_no_origin_and_come_in(practice: server.Practice, way: str) -> None:
    status, headers, _ = knock(practice.port, way)
    assert status == WAYS[way][3]
    assert "access-control-allow-origin" not in headers


def test_a_program_that_names_the_server_itself_as_its_origin_comes_in(practice: server.Practice) -> None:
    client = pytest.importorskip("websocket", reason="websocket-client, which sends an Origin, is not installed")
    for url in (practice.url, practice.url.replace("127.0.0.1", "localhost")):
        line = client.create_connection(url + "?model=gpt-realtime", header=["Authorization: Bearer x"], timeout=20)
        assert json.loads(line.recv())["type"] == "session.created"
        line.close()


def test_nodes_own_socket_comes_in(practice: server.Practice) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    script = f"""
    if (typeof WebSocket === "undefined") {{ console.log("none"); process.exit(); }}
    const line = new WebSocket("{practice.url}?model=gpt-realtime", ["realtime", "openai-insecure-api-key.x"]);
    line.onmessage = (event) => {{ console.log(JSON.parse(event.data).type); process.exit(); }};
    line.onerror = () => {{ console.log("refused"); process.exit(); }};
    """
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=60, check=True)
    if done.stdout.strip() == "none":
        done = subprocess.run(
            [node, "--experimental-websocket", "-e", script], capture_output=True, text=True, timeout=60, check=True
        )
    assert done.stdout.strip() == "session.created"


# ------------------------------------------------------------------ pages


FOREIGN = [
    "http://evil.example",
    "https://evil.example:8765",
    "null",
    "",
    "file://",
    "http://localhost:1",
    "http://127.0.0.1",
    "http://localhost.evil.example:PORT",
    "http://127.0.0.1.nip.io:PORT",
    "http://evil.example:PORT",
    "http://6.6.6.6:PORT",
    "https://127.0.0.1:PORT",
    "ws://127.0.0.1:PORT",
    "http://localhost:PORT@evil.example",
    "http://user@localhost:PORT",
    "http://localhost:PORT/",
    "http://localhost:PORT http://evil.example",
    "http://evil.example, http://localhost:PORT",
    "http://localhost:0PORT0",
    "http://[::1]evil:PORT",
    "localhost:PORT",
    "//localhost:PORT",
    "http://loc\xe4lhost:PORT",
    "http://class.example",
    "https://class.example:8443",
    "https://sub.class.example",
    "https://class.example.evil.example",
    "http://127.0.0.1:3000",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_gets_nothing(practice: server.Practice, origin: str) -> None:
    origin = origin.replace("PORT", str(practice.port))
    for way in WAYS:
        assert "--allow-origin" in refusal(knock(practice.port, way, f"Origin: {origin}"))
    assert practice.session_ids == []


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:PORT", "http://localhost:PORT", "HTTP://LocalHost.:PORT", "http://[0:0:0:0:0:0:0:1]:PORT"],
)
def test_a_page_of_the_server_itself_comes_in(practice: server.Practice, origin: str) -> None:
    origin = origin.replace("PORT", str(practice.port))
    assert knock(practice.port, "socket", f"Origin: {origin}")[0] == 101
    assert knock(practice.port, "models", f"Origin: {origin}")[1]["access-control-allow-origin"] == origin


def test_a_page_seen_through_a_forwarded_port_is_the_servers_own(practice: server.Practice) -> None:
    assert knock(practice.port, "socket", "Origin: http://localhost:9000", host="localhost:9000")[0] == 101
    refusal(knock(practice.port, "socket", "Origin: http://localhost:9000", host="localhost:9001"))


@pytest.mark.parametrize("way", WAYS)
def test_a_page_that_was_let_in_may_ask_for_all_and_read_all(practice: server.Practice, way: str) -> None:
    for origin in ("https://class.example", "HTTPS://Class.example:443", "http://localhost:3000"):
        status, headers, _ = knock(practice.port, way, f"Origin: {origin}")
        assert status == WAYS[way][3]
        if not WAYS[way][2].startswith("Connection"):
            assert headers["access-control-allow-origin"] == origin
            assert headers["vary"] == "Origin"


def test_several_origins_are_none(practice: server.Practice) -> None:
    both = ("Origin: https://class.example", "Origin: https://class.example")
    for way in WAYS:
        refusal(knock(practice.port, way, *both))
        refusal(knock(practice.port, way, "Origin: https://evil.example", both[0]))


ASKING = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, x-stainless-os"


def test_a_browser_that_asks_beforehand_is_told_yes_for_pages_let_in_only(practice: server.Practice) -> None:
    way = ("OPTIONS", "/v1/realtime/client_secrets", ASKING)
    status, headers, _ = knock(practice.port, way, "Origin: https://class.example")
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://class.example"
    assert {"GET", "POST"} <= set(re.split(r",\s*", headers["access-control-allow-methods"]))
    assert headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    for origin in ("https://evil.example", "null"):
        refusal(knock(practice.port, way, f"Origin: {origin}"))
    refusal(knock(practice.port, way, "Origin: https://class.example", host="evil.example"))


@pytest.mark.parametrize(
    "origin", ["null", "*", "", "class.example", "https://", "https://class.example/page", "https://user@class.example"]
)
def test_what_is_no_origin_cannot_be_let_in(origin: str) -> None:
    with pytest.raises(InputError, match=r"no origin.*for example http://localhost:3000"):
        server.start(engines=False, allow_origins=[origin])


def test_one_origin_may_be_given_alone() -> None:
    with server.start(engines=False, allow_origins="https://class.example/") as running:
        assert knock(running.port, "socket", "Origin: https://class.example")[0] == 101


def test_under_tls_the_servers_own_pages_are_https() -> None:
    pytest.importorskip("cryptography", reason="cryptography makes the certificate")
    with server.start(engines=False, tls=True) as running:
        tls = ssl.create_default_context(cadata=running.certificate)
        own = f"127.0.0.1:{running.port}"
        assert knock(running.port, "socket", f"Origin: https://{own}", tls=tls)[0] == 101
        refusal(knock(running.port, "socket", f"Origin: http://{own}", tls=tls))


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST", "localhost.", "localhost.:PORT", "127.0.0.1", "127.1.2.3:PORT",
     "[::1]:PORT", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:PORT", "localhost:9000"],
)  # fmt: skip
def test_this_computer_may_be_called_by_its_loopback_names(practice: server.Practice, host: str) -> None:
    for way in WAYS:
        assert knock(practice.port, way, host=host.replace("PORT", str(practice.port)))[0] == WAYS[way][3]


STRANGE = [
    "evil.example",
    "evil.example:PORT",
    "localhost.evil.example:PORT",
    "127.0.0.1.nip.io:PORT",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost:PORT:PORT",
    "localhost:port",
    "localhost..",
    "::1",
    "[::1",
    "[::1]x",
    "6.6.6.6:PORT",
    "0.0.0.0:PORT",
    "2130706433",
    "http://localhost",
    "localhost/",
    "localhost, evil.example",
    "localhost evil.example",
    ".",
    "loc\xe4lhost",
]


@pytest.mark.parametrize("host", STRANGE)
def test_a_foreign_name_that_leads_here_leads_nowhere(practice: server.Practice, host: str) -> None:
    host = host.replace("PORT", str(practice.port))
    for way in WAYS:
        assert "--host" in refusal(knock(practice.port, way, host=host))
        refusal(knock(practice.port, way, f"Origin: http://{host}", host=host))  # a page after DNS rebinding
    assert practice.session_ids == []


def test_no_name_and_several_names_are_refused(practice: server.Practice) -> None:
    for way in WAYS:
        refusal(knock(practice.port, way, host=None))
        refusal(knock(practice.port, way, "Host: ", host=None))
        refusal(knock(practice.port, way, "Host: localhost"))
        refusal(knock(practice.port, way, "Host: evil.example"))


def test_a_target_with_a_name_in_it_is_held_to_that_name_too(practice: server.Practice) -> None:
    for begin, status in (("http://localhost", 101), ("http://evil.example", 403), ("HTTP://evil.example", 403)):
        assert knock(practice.port, ("GET", begin + SOCKET, HANDSHAKE))[0] == status


def test_a_server_may_be_called_by_the_names_it_was_given() -> None:
    with server.start(engines=False, host=["127.0.0.1", "class.local"]) as running:
        assert knock(running.port, "socket", host=f"class.local:{running.port}")[0] == 101
        assert knock(running.port, "socket", host="Class.Local.")[0] == 101
        own = f"http://class.local:{running.port}"
        assert knock(running.port, "socket", f"Origin: {own}")[0] == 101
        refusal(knock(running.port, "socket", host="other.local"))
        refusal(knock(running.port, "socket", host="192.168.1.7"))


def test_a_server_that_listens_everywhere_may_be_called_by_any_number() -> None:
    """No page can make a number mean another computer, and behind a router or a container it may be any."""
    with server.start(engines=False, host="0.0.0.0", key="practice") as running:
        for host in ("192.168.1.7", f"192.168.1.7:{running.port}", "[fe80::1]", "localhost"):
            assert knock(running.port, "socket", host=host)[0] == 101
        own = f"192.168.1.7:{running.port}"
        assert knock(running.port, "socket", f"Origin: http://{own}", host=own)[0] == 101
        refusal(knock(running.port, "socket", f"Origin: http://6.6.6.6:{running.port}", host=own))
        assert "--host" in refusal(knock(running.port, "socket", host="evil.example"))


def test_a_server_on_ipv6_only() -> None:
    try:
        running = server.start(engines=False, host="::1")
    except InputError:
        pytest.skip("This computer has no IPv6")
    with running:
        assert knock(running.port, "socket", host=f"[::1]:{running.port}", address="::1")[0] == 101
        own = f"http://[::1]:{running.port}"
        assert knock(running.port, "socket", f"Origin: {own}", host="[::1]", address="::1")[0] == 101


def test_the_command_line_takes_names_and_origins() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args([])
    assert (args.host, args.allow_origin) == (None, [])
    args = parser.parse_args(["--host=::1", "--host=x.local", "--allow-origin=http://a:1", "--allow-origin=http://b:2"])
    assert (args.host, args.allow_origin) == (["::1", "x.local"], ["http://a:1", "http://b:2"])


# ------------------------------------------------------------------ replays


def lesson(talk: Any) -> None:
    talk.open(model="gpt-realtime-2.1")
    talk.take_message("item_1")
    talk.answer("The password of the lesson is swordfish.")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("replay") / "lesson.rtnb"
    with serve(lesson) as url, connect(url=url, model="gpt-realtime-2.1") as chat:
        chat.ask("Hello").wait(10)
        chat.save(path)
    return path, serve_replay(path, math.inf)


def test_a_replay_answers_programs_that_know_its_address(replayed: tuple[Path, str]) -> None:
    path, _ = replayed
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert chat.ask("Hello").wait(10).text == "The password of the lesson is swordfish."


@pytest.mark.parametrize("door", ["", "?intent=transcription", "/translations", "?model=gpt-realtime-2.1"])
def test_who_scans_ports_gets_no_replay(replayed: tuple[Path, str], door: str) -> None:
    parts = urlsplit(replayed[1])
    assert parts.port is not None
    secret = parts.path.split("/")[1]
    assert len(secret) > 32
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    for path in ("/v1/realtime", "/", "//", f"/{wrong}/v1/realtime", f"/{secret[:-1]}/v1/realtime", f"/v1/{secret}",
                 f"/v1/realtime?{secret}", "//[::1/", "/\xe4/v1/realtime"):  # fmt: skip
        for headers in (HANDSHAKE, "Accept: */*"):
            refusal(knock(parts.port, ("GET", path + door, headers)))


def test_a_page_gets_no_replay_even_if_it_knows_the_address(replayed: tuple[Path, str]) -> None:
    parts = urlsplit(replayed[1])
    assert parts.port is not None
    way = ("GET", parts.path, HANDSHAKE)
    assert knock(parts.port, way)[0] == 101
    for origin in ("https://evil.example", "null", f"http://127.0.0.1.nip.io:{parts.port}", "http://localhost:8888"):
        said = refusal(knock(parts.port, way, f"Origin: {origin}"))
        assert "--allow-origin" not in said  # there is no such thing here
        assert "program" in said
        assert parts.path.split("/")[1] not in said
    refusal(knock(parts.port, way, host="evil.example"))
    refusal(knock(parts.port, way, host=None))
    with socket.create_connection(("127.0.0.1", parts.port), timeout=20) as line:
        line.sendall(f"OPTIONS {parts.path} HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n".encode())
        came = b""
        while piece := line.recv(65_536):
            came += piece
    assert b"access-control" not in came.lower()


def test_each_replay_has_an_address_of_its_own(replayed: tuple[Path, str]) -> None:
    path, url = replayed
    other = serve_replay(path, 2.0)
    assert urlsplit(url).path != urlsplit(other).path
    assert serve_replay(path, math.inf) == url


def test_a_replays_address_is_not_shown(
    replayed: tuple[Path, str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path, url = replayed
    secret = urlsplit(url).path.split("/")[1]
    caplog.set_level(logging.DEBUG)
    with connect(replay=path, replay_speed=math.inf, verbose=True) as chat:
        reply = chat.ask("Hello").wait(10)
        again = chat.save(tmp_path / "again.rtnb")
        shown = [chat.url, repr(chat), repr(reply), chat._repr_html_()]
    out, err = capsys.readouterr()
    assert chat.url.startswith("ws://127.0.0.1:")
    # The client's own log is not the replay's to keep.
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.endswith("client"))
    recorded = open_recording(again)
    for text in (*shown, out, err, logged, again.read_bytes().decode("latin-1"), repr(recorded)):
        assert secret not in text
        assert secret[3:] not in text


def test_a_replay_that_breaks_names_no_address(replayed: tuple[Path, str]) -> None:
    secret = urlsplit(replayed[1]).path.split("/")[1]
    with pytest.raises(ConnectionError) as told:
        connect(url=replayed[1].replace(secret, secret[:-4] + "0000"), key="none").wait(10)
    assert secret[:-4] not in str(told.value)
    assert secret[:-4] not in getattr(told.value, "url", "")


def test_many_at_once_are_each_judged_by_themselves(practice: server.Practice) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda o=o: statuses.append(knock(practice.port, "models", *o)[0]))
        for o in [(), ("Origin: https://evil.example",)] * 10
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200] * 10 + [403] * 10


def test_a_client_reads_why_it_was_refused(practice: server.Practice) -> None:
    async def come() -> str:
        headers = {"Authorization": "Bearer x"}
        url = practice.url + "?model=gpt-realtime"
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(url, origin="https://school.example", additional_headers=headers):  # type: ignore[arg-type]
                pass
        assert refused.value.response.status_code == 403
        return json.loads(refused.value.response.body or b"")["error"]["message"]

    assert asyncio.run(come()).endswith("--allow-origin https://school.example.")
