"""Checks of the network, against sockets that refuse, hang, speak something else, or show their own certificate."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtnb.diagnosis.certificates import issuer_in
from rtnb.diagnosis.network import check_network
from rtnb.diagnosis.report import Finding
from rtnb.transport.route import Target, proxies_for, proxy_for

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
        check_network(
            Target("api.openai.com", 443, True, "/"), proxies={"https": f"http://127.0.0.1:{port}"}, timeout=1
        )
    )
    assert found.symptom == f"127.0.0.1:{port} (proxy for api.openai.com) refuses the connection"
    assert found.remedy.startswith("Unset HTTPS_PROXY")


def test_a_proxy_that_is_no_address_and_one_that_speaks_socks():
    there = Target("api.openai.com", 443, True, "/")
    for proxy in ("http://:port", "127.0.0.1:3128", "nonsense"):
        assert "no address" in only(check_network(there, proxies={"https": proxy})).symptom
    socks = only(check_network(there, proxies={"socks": "http://127.0.0.1:9"}))
    assert (socks.state, socks.symptom) == ("error", "a SOCKS proxy (127.0.0.1:9) is set")
    assert "python-socks" in socks.remedy


def test_which_proxy_is_taken():
    there = Target("api.openai.com", 443, True, "/")
    assert proxy_for(there, {}) is None
    assert proxy_for(there, {"https": "http://a:1", "http": "http://b:2"}) == "http://a:1"
    assert proxy_for(there, {"wss": "http://w:1", "https": "http://a:1"}) == "http://w:1"
    assert proxy_for(there, {"http": "http://b:2"}) is None
    assert proxy_for(Target("h", 80, False, "/"), {"http": "http://b:2"}) == "http://b:2"


def test_no_proxy_and_this_machine_go_past_it(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxies_for(Target("api.openai.com", 443, True, "/"))["https"] == "http://proxy.example:3128"
    assert proxies_for(Target("127.0.0.1", 8000, False, "/")) == {}
    monkeypatch.setenv("NO_PROXY", "api.openai.com")
    assert proxies_for(Target("api.openai.com", 443, True, "/")) == {}


# --- certificates


def test_the_issuer_is_read_out_of_the_bytes_and_junk_gives_nothing():
    assert issuer_in(ssl.PEM_cert_to_DER_cert(CERTIFICATE)) == "Example School Filter"
    for junk in (b"", b"0", b"\x30\x80", os.urandom(64), ssl.PEM_cert_to_DER_cert(CERTIFICATE)[:40]):
        assert issuer_in(junk) == ""
