"""Why there is no connection, or no more: the real reason, in the same words to who asks and to who runs the doctor."""

import asyncio
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dialogue import serve, until
from test_doctor_network import http, read_head, serving, silent, with_tls

import rtnb
from rtnb.errors import ConnectionFailed, RtnbError, ServerError
from rtnb.opening import connect
from rtnb.transport import connection_errors, io_thread

KEY = "sk-not-a-key"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(connection_errors, "OPEN_TIMEOUT_SECONDS", 2.0)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def refusal(**options):
    with pytest.raises(ConnectionFailed) as refused:
        rtnb.ask("Hi", show=False, key=KEY, **options).wait(20)
    return str(refused.value)


def agree(said, found):
    """What the error and the doctor say is the same: what happened, why, and what to do."""
    assert found.state == "error"
    for part in (found.symptom.partition("; issued by")[0], found.cause, found.remedy):
        assert part in said


# --- on the way there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxy", "blamed"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port} (proxy for api.openai.com) refuses the connection"),
        ("socks5://127.0.0.1:{port}", "python-socks"),
        ("socks5h://127.0.0.1:{port}", "python-socks"),
        ("http://:port", "the proxy in the environment is no address"),
        ("127.0.0.1:{port}", "the proxy in the environment is no address"),
        ("ftp://127.0.0.1:{port}", "no address to use. What HTTPS_PROXY or the system has as its proxy is"),
        ("socks6://127.0.0.1:{port}", "no address to use"),
        ("http://no.such.example:80", "The network does not know the proxy's name"),
    ],
)
def test_a_proxy_that_does_not_work_is_blamed_and_not_the_server(proxy, blamed, monkeypatch):
    port = free_port()
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=port))
    said, report = refusal(), rtnb.doctor(key=KEY)
    assert blamed.format(port=port) in said
    assert "The server" not in said
    agree(said, report["network"])
    assert report["model"].state == "unknown"  # no other model helps


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
def test_so_is_one_that_refuses(status, monkeypatch):
    with serving(http(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        said, found = refusal(), rtnb.doctor(key=KEY)["network"]
    assert "the proxy refuses" in said
    assert status[:3] in said
    assert "the proxy refuses" in found.symptom
    assert found.cause in said
    assert found.remedy in said


def lets_through_and(*answer, hears=False):
    """A proxy that says it let the connection through, and then sends this and closes."""

    def talk(end, heard):
        read_head(end)
        end.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        if hears:
            end.recv(4096)
        for data in answer:
            end.sendall(data)
        end.close()

    return talk


def says(data):
    """A proxy that answers with this and closes."""

    def talk(end, heard):
        read_head(end)
        end.sendall(data)
        end.close()

    return talk


@pytest.mark.parametrize("url", [None, "ws://example.org/v1/realtime"])
@pytest.mark.parametrize(
    "answer",
    [
        lets_through_and(),
        lets_through_and(hears=True),
        lets_through_and(b"SSH-2.0-OpenSSH_9.6\r\n", hears=True),
        says(b""),
        says(b"HTTP/1.1 200 OK\r\n"),
        says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    ],
    ids=["lets through", "hears", "answers nonsense", "closes", "half a head", "no head"],
)
def test_a_proxy_that_lets_nothing_through_is_blamed_and_nothing_is_printed(answer, url, monkeypatch, caplog):
    with serving(answer) as proxy:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        said, report = refusal(url=url), rtnb.doctor(key=KEY, url=url)
        io_thread.submit(asyncio.sleep(0)).result(20)  # what comes after the error has come
    assert f"127.0.0.1:{proxy.port} (proxy for {url.split('/')[2] if url else 'api.openai.com'}) lets nothing" in said
    agree(said, report["network"])
    assert caplog.records == []


def closes(end, heard):
    end.recv(4096)
    end.close()


def greets(end, heard):
    end.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    end.recv(4096)
    end.close()


@pytest.mark.parametrize(
    ("scheme", "answer", "blamed"),
    [
        ("ws", None, "refuses the connection"),
        ("http", None, "refuses the connection"),
        ("ws", closes, "does not speak HTTP"),
        ("ws", greets, "does not speak HTTP"),
        ("wss", closes, "does not speak TLS"),
        ("wss", greets, "does not speak TLS"),
        ("https", greets, "does not speak TLS"),
    ],
)
def test_the_address_is_blamed_for_what_is_wrong_with_it(scheme, answer, blamed):
    with serving(answer) if answer else contextlib.nullcontext() as server:
        url = f"{scheme}://127.0.0.1:{server.port if server else free_port()}/v1/realtime"
        said, found = refusal(url=url), rtnb.doctor(url=url, key=KEY)["network"]
    assert blamed in said
    assert blamed in found.symptom
    assert found.cause in said
    assert found.remedy in said


def test_a_name_with_several_addresses_is_refused_in_the_same_words():
    assert f"localhost:{(port := free_port())} refuses the connection" in refusal(url=f"ws://localhost:{port}")


def test_a_name_that_nobody_knows():
    said = refusal(url="wss://no.such.example")
    agree(said, rtnb.doctor(url="wss://no.such.example", key=KEY)["network"])


def test_a_certificate_that_nobody_here_trusts(tmp_path):
    with serving(with_tls(tmp_path, http("101 Switching Protocols"))) as server:
        url = f"wss://127.0.0.1:{server.port}/v1/realtime"
        said = refusal(url=url)
        agree(said, rtnb.doctor(url=url, key=KEY)["network"])
    assert "certificate not trusted" in said
    assert "SSL_CERT_FILE" in said


def test_a_server_that_takes_the_connection_and_says_nothing():
    with serving(silent) as server:
        said = refusal(url=f"ws://127.0.0.1:{server.port}")
    assert f"127.0.0.1:{server.port} did not answer within 2 s" in said


def test_a_server_that_never_opens_is_given_up_after_the_timeout_where_that_is_shorter():
    with serving(silent) as server:
        said = refusal(url=f"ws://127.0.0.1:{server.port}", timeout=0.5)
        clip = rtnb.samples()["question"]
        for start in (rtnb.transcribe, functools.partial(rtnb.translate, to="es")):
            with pytest.raises(ConnectionFailed, match=r"did not answer within 0\.5 s"):
                start(clip, url=f"ws://127.0.0.1:{server.port}", key=KEY, timeout=0.5).wait(20)
    assert f"127.0.0.1:{server.port} did not answer within 0.5 s" in said


# --- once it was open -------------------------------------------------------------------------------------------------


def frame(text, opcode=0x81):
    data = json.dumps(text).encode() if isinstance(text, dict) else text
    return bytes([opcode, 126]) + len(data).to_bytes(2, "big") + data


def opened_and_then(last):
    """A server by hand, for what no library sends: it opens a session, and then sends these bytes."""

    def answer(end, heard):
        http("101 Switching Protocols")(end, heard)
        session = {"id": "sess_1", "type": "realtime"}
        end.sendall(frame({"type": "session.created", "session": session}))
        end.recv(65536)
        end.sendall(frame({"type": "session.updated", "session": session}) + last)
        with contextlib.suppress(OSError):
            while end.recv(65536):
                pass

    return answer


@pytest.mark.parametrize(
    ("last", "code", "said"),
    [
        (b"\x83\x00", 1002, r"^rtnb closed the connection, as the server broke the WebSocket protocol \(code 1002"),
        (b"\xc1\x00", 1002, r"^rtnb closed the connection, as the server broke the WebSocket protocol \(code 1002"),
        (
            b"\x81\x7f" + (65 << 20).to_bytes(8, "big"),
            1009,
            r"^rtnb closed .* sent a frame that is too large \(code 1009",
        ),
        (b"\x88\x02\x03\xe8", 1000, r"^The server hung up\."),
        (b"\x88\x05\x03\xf3bye", 1011, r"^The server closed the connection \(code 1011\)\. It said: bye\. What came"),
        (b"\x88\x06\x03\xf3bye!", 1011, r"It said: bye! What came"),
        (b"\x88\x00", 1005, r"^The connection dropped without a word\."),
    ],
    ids=["opcode", "reserved bit", "too large", "hung up", "reason", "reason with a stop", "no code"],
)
def test_who_closed_and_why_is_told(last, code, said):
    with serving(opened_and_then(last)) as server:
        chat = connect(url=f"ws://127.0.0.1:{server.port}")
        with pytest.raises(ConnectionFailed, match=said) as gone:
            chat.ask("Hi").wait(20)
    assert gone.value.code == code


def test_a_network_that_answers_no_pings_has_gone_silent(monkeypatch):
    monkeypatch.setattr(connection_errors, "PING_SECONDS", 0.3)
    silence = r"^The network went silent: no answer to pings for 0\.3 s\."
    with serving(opened_and_then(b"")) as server, pytest.raises(ConnectionFailed, match=silence) as gone:
        connect(url=f"ws://127.0.0.1:{server.port}").ask("Hi").wait(20)
    assert gone.value.code == 1011


def deaf(end, heard):
    """A server that opens a session and then reads nothing more, so that what is sent has nowhere to go."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the system takes megabytes for it
    http("101 Switching Protocols")(end, heard)
    session = {"id": "sess_1", "type": "realtime"}
    end.sendall(frame({"type": "session.created", "session": session}))
    end.recv(65536)
    end.sendall(frame({"type": "session.updated", "session": session}))
    until(lambda: heard[1:], seconds=120)


def test_a_server_that_reads_nothing_more_is_given_up():
    long = rtnb.Clip.from_array(np.full(24_000 * 120, 0.3, np.float32), rate_hz=24_000)
    with serving(deaf) as server:
        url = f"ws://127.0.0.1:{server.port}"
        for start in (
            lambda: connect(url=url, timeout=0.5).ask(long),
            lambda: rtnb.transcribe(long, url=url, timeout=0.5),
            lambda: rtnb.translate(long, to="es", url=url, timeout=0.5),
        ):
            work = start()
            with pytest.raises(ServerError, match=r"^The server sent nothing for 0\.5 s, and takes no") as given_up:
                work.wait(20)
            assert given_up.value.reply is work
            work.session.close().wait(20)
        server.heard.append(b"")


# --- what came, and what is printed -----------------------------------------------------------------------------------


def test_every_reply_that_one_break_ends_has_its_own_in_its_error():
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        talk.say({"type": "response.created", "response": {"id": "r", "status": "in_progress", "conversation_id": "c"}})
        talk.say({"type": "response.output_text.delta", "response_id": "r", "item_id": "i", "delta": "Half"})
        talk.drop()

    with serve(script) as url, connect(url=url) as chat:
        replies = [chat.ask("One"), chat.ask("Two")]
        for reply in replies:
            with pytest.raises(ConnectionFailed, match=r"kept in error\.reply;") as broken:
                reply.wait(20)
            assert broken.value.reply is reply
        assert replies[0].error.reply.text == "Half"
        assert ".turns and .log of the session" in str(chat.error)
        assert chat.error.reply is None


def test_a_job_that_breaks_off_names_nothing_it_has_not(tmp_path):
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
        talk.hear()
        talk.drop()

    clip = rtnb.samples()["question"]
    for start in (lambda url: rtnb.transcribe(clip, url=url), lambda url: rtnb.translate(clip, to="es", url=url)):
        with serve(script) as url:
            job = start(url)
            with pytest.raises(ConnectionFailed) as broken:
                job.wait(20)
        said = str(broken.value)
        assert said.endswith("What came until then is kept in error.reply; start it again.")
        assert broken.value.reply is job
        assert (job.text, getattr(job, "segments", []), getattr(job, "audio", None)) == ("", [], None)


BREAKS = """
import gc, sys
import rtnb
clip = rtnb.samples()["question"]
for url in sys.argv[1:]:
    for start in (
        lambda: rtnb.ask("Hi", url=url, timeout=0.3, show=False),
        lambda: rtnb.connect(url=url, timeout=0.3).side("Hi"),
        lambda: rtnb.connect(url=url, timeout=0.3).update(instructions="x"),
        lambda: rtnb.connect(url=url, timeout=0.3, reconnect=True),
        lambda: rtnb.transcribe(clip, url=url, timeout=0.3),
        lambda: rtnb.translate(clip, to="es", url=url, timeout=0.3),
    ):
        try:
            start().wait(20)
        except rtnb.RtnbError as error:
            print(type(error).__name__)
        start()  # and nobody waits
        gc.collect()
"""


def test_nothing_is_printed_but_errors_that_are_raised():
    """Cut or mute at the beginning, where tasks of ours wait for each other; in a process that ends at once."""

    def before_anything(talk):
        talk.drop()

    def before_updated(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.expect("session.update")
        talk.drop()

    def after_updated(talk):
        talk.open()
        talk.drop()

    def mute(talk):
        talk.hear()

    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(serve(script)) for script in (before_anything, before_updated, after_updated, mute)]
        path = os.pathsep.join([str(Path(rtnb.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONASYNCIODEBUG": "", "PYTHONWARNINGS": "default"}
        command = [sys.executable, "-c", BREAKS, *urls, "ws://127.0.0.1:9"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    # The last one may still be under way, which a script that waits for nothing is to know.
    left = [line for line in done.stderr.splitlines() if not line.startswith("Your program ended before its answer")]
    assert left == []
    assert done.returncode == 0
    assert set(done.stdout.split()) >= {"ConnectionFailed"}
    assert issubclass(ConnectionFailed, RtnbError)
