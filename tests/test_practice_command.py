"""The practice server as a process of its own: what it prints, how it ends, what it says of options without sense."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chat_server import Chat, chat_server, says
from practice_client import KEY, QUERY, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rtnb.server import command, server
from rtnb.web import tls


def test_a_process_of_its_own_is_spared_looking_through_what_stays() -> None:
    before = gc.get_freeze_count()
    try:
        command.settle()
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def running_command(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`rtnb practice` on a free port, and what it prints until it waits."""
    program = [sys.executable, "-m", "rtnb.cli", "practice", "--port", "0", *options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines: list[str] = []
        try:
            while not lines or not lines[-1].startswith("Ctrl+C"):
                line = child.stdout.readline()
                assert line, (lines, child.stderr and child.stderr.read())
                lines.append(line.strip())
            yield child, lines
        finally:
            if child.poll() is None:
                child.kill()


def in_a_shell(line: str, folder: Path) -> str:
    """What a line prints that somebody pastes into a fresh shell."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    fresh = {"PATH": path, "HOME": str(folder), "PYTHONWARNINGS": "error::ResourceWarning"}
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=fresh, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


OPENAI_PROGRAM = """
import openai
with openai.OpenAI().realtime.connect(model="gpt-realtime-2.1-mini") as connection:
    connection.response.create(response={"output_modalities": ["text"]})
    for event in connection:
        if event.type == "response.done":
            print(event.response.status)
            break
"""
# Over TLS not the client with threads: two of them share a socket, unguarded, and one request in some hundreds is lost.
OPENAI_PROGRAM_OVER_TLS = """
import asyncio, openai
async def main():
    async with openai.AsyncOpenAI() as client, client.realtime.connect(model="gpt-realtime-2.1-mini") as connection:
        await connection.response.create(response={"output_modalities": ["text"]})
        async for event in connection:
            if event.type == "response.done":
                print(event.response.status)
                break
asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="the lines are for a POSIX shell here")
@pytest.mark.parametrize("options", [["--beta"], ["--tls"], ["--host", "0.0.0.0", "--key", "class-of-2026", "--tls"]])
def test_the_two_lines_to_try_work_as_they_are_printed(options: list[str], tmp_path: Path) -> None:
    if "--tls" in options:
        pytest.importorskip("cryptography", reason="cryptography makes the certificate")
    with running_command("--no-engines", *options) as (child, lines):
        assert "class-of-2026" not in "\n".join(lines)
        assert ("YOUR_KEY" in lines[2]) == ("--key" in options)
        ask, run = (line.replace("YOUR_KEY", "class-of-2026") for line in lines[2:4])
        assert "completed" in in_a_shell(ask, tmp_path)
        if importlib.util.find_spec("openai"):
            (tmp_path / "your_program.py").write_text(OPENAI_PROGRAM_OVER_TLS if "--tls" in options else OPENAI_PROGRAM)
            assert in_a_shell(run, tmp_path) == "completed\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    assert ("wss://127.0.0.1:" if "--tls" in options else "ws://127.0.0.1:") in lines[0]


def test_the_extra_of_the_practice_server_brings_what_makes_a_certificate() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    imported = set(re.findall(r"from (\w+)[\w.]* import", inspect.getsource(tls.self_signed)))
    brought = [re.match(r"[\w-]+", one) for one in project["optional-dependencies"]["practice"]]
    assert imported == {"cryptography"} <= {one[0] for one in brought if one}


def test_a_real_mind_is_named_and_asked_by_the_command(tmp_path: Path) -> None:
    with chat_server() as chat:
        chat.answer(*says("It is ", "the real mind."))
        brain = ["--brain", chat.url, "--brain-model", "small", "--brain-key", "sk-not-a-key-at-all"]
        with running_command("--no-engines", *brain) as (child, lines):
            assert lines[0].endswith(f"brain: small at {chat.url})")
            assert "It is the real mind." in in_a_shell(lines[2], tmp_path)
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        assert "not-a-key" not in "\n".join(lines)


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_the_command_ends_cleanly_in_the_middle_of_everything(how: str) -> None:
    """With a session open, an answer under way and a mind that says nothing: at once, without a word, port free."""
    if signal.getsignal(signal.Signals[how]) is signal.SIG_IGN:
        pytest.skip("these tests were started where Ctrl+C is ignored, and so is what they start")

    async def open_session(port: int) -> ClientConnection:
        url = f"ws://127.0.0.1:{port}/v1/realtime{QUERY}"
        socket = await connect(url, additional_headers=KEY, proxy=None)
        await socket.send('{"type": "response.create"}')
        await until(socket, "response.created")
        return socket

    async def run(port: int, chat: Chat, child: subprocess.Popen[str]) -> int | None:
        socket = await open_session(port)
        assert await asyncio.to_thread(chat.questions.acquire, timeout=10)
        child.send_signal(signal.Signals[how])
        with pytest.raises(ConnectionClosed):
            await until(socket, "never")
        return socket.close_code

    with chat_server() as chat:
        chat.answer(threading.Event())
        with running_command("--no-engines", "--brain", chat.url, "--brain-model", "small") as (child, lines):
            port = urlsplit(lines[0].split()[2]).port
            assert port is not None
            assert asyncio.run(run(port, chat, child)) == 1001
            _, told = child.communicate(timeout=20)
            assert child.returncode == 0
            assert told == ""
        with server.start(engines=False, port=port):  # the port is free again
            pass


@pytest.mark.parametrize(
    "wrong",
    [["--host", "0.0.0.0"], ["--fault", "nonsense"], ["--brain", "http://localhost:1/v1"], ["--pace", "-1"]],
)
def test_the_command_says_what_makes_no_sense(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.main(parser.parse_args(["--port", "0", "--no-engines", *wrong])) == 2
    assert capsys.readouterr().out.strip().endswith(".")
