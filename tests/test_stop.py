"""The stop button: the cell ends at once, what it waits for is cancelled, what came is kept, and nothing else stops.

In real kernels: the one of this Python, and the one of Colab's age where `RTNB_LAB3_PYTHON` names it.
"""

import ast
import asyncio
import base64
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from dialogue import serve
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from websockets.exceptions import ConnectionClosed

import rtnb

COLAB_PYTHON = os.environ.get("RTNB_LAB3_PYTHON", "")
PYTHONS = [pytest.param(sys.executable, id="newest"), pytest.param(COLAB_PYTHON, id="colab")]


class Kernel:
    """Kernel with its client; a cell is run, and stopped where its output asks for it."""

    def __init__(self, python, folder):
        self.manager = KernelManager()
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="Python", language="python")
        environment = {**os.environ, "PYTHONPATH": str(Path(rtnb.__file__).parents[1]), "OPENAI_API_KEY": ""}
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code, stop_at):
        """Run a cell and stop it where its output says so; return its error's name and the seconds it took to end."""
        request = self.client.execute(code, stop_on_error=False)
        printed, error, stopped = "", "", None
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            content = message["content"]
            # What another thread prints belongs to the cell that started the thread.
            printed += content.get("text", "") if message["msg_type"] == "stream" else ""
            if message["msg_type"] == "error":
                error = content["ename"]
            if stopped is None and stop_at in printed:
                self.manager.interrupt_kernel()
                stopped = time.monotonic()
            ended = content.get("execution_state") == "idle" and message["parent_header"].get("msg_id") == request
            if ended:
                return error, None if stopped is None else time.monotonic() - stopped

    def value(self, expression, code=""):
        """Run a cell to its end and return the value of an expression after it."""
        answer = self.client.execute_interactive(code, user_expressions={"it": expression}, output_hook=lambda _: None)
        assert answer["content"]["status"] == "ok", answer["content"]
        return ast.literal_eval(answer["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def close(self):
        self.client.stop_channels()
        with contextlib.suppress(Exception):
            self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module", params=PYTHONS)
def kernel(request, tmp_path_factory):
    if not Path(request.param).is_file():
        pytest.skip("RTNB_LAB3_PYTHON names no Python with Colab's pins and a JupyterLab")
    kernel = Kernel(request.param, tmp_path_factory.mktemp("kernel"))
    try:
        # At four times the pace of speech, so that an answer takes seconds.
        set_up = (
            "import asyncio, rtnb, threading, time\n"
            "server = rtnb.practice(pace=4)\n"
            "talk = rtnb.samples()['talk']\n"
            "def begun(handle):\n"
            "    said = []\n"
            "    def tell(update):\n"
            "        if type(update).__name__ == 'AudioDelta' and not said:\n"
            "            said.append(print('begun', flush=True))\n"
            "    getattr(handle, 'session', handle).subscribe(tell)\n"
            "    return handle\n"
            "chat = await rtnb.connect(url=server.url)\n"
            "LONG = 'Count to one hundred.'\n"
        )
        assert kernel.value("chat.state", set_up) == "open"
        yield kernel
    finally:
        kernel.close()


@pytest.mark.parametrize(
    "waiting",
    [
        "await r",
        "r.wait()",
        "await asyncio.gather(r, asyncio.sleep(0))",
        "async for piece in r:\n    pass",
        "for piece in r:\n    pass",
    ],
)
def test_a_stopped_cell_ends_at_once_and_its_answer_is_cancelled_and_kept(kernel, waiting):
    error, seconds = kernel.run(f"r = begun(chat.ask(LONG))\n{waiting}", stop_at="begun")
    assert error in ("KeyboardInterrupt", "CancelledError")
    assert seconds < 5
    assert kernel.value("(r.status, bool(r.audio), r.done)", "r.wait(60)") == ("cancelled", True, True)
    # The session goes on.
    assert kernel.value("again.status", "again = await chat.ask('hello')") == "completed"


def unending(talk):
    """Translate a second, and go on for as long as the client does."""
    talk.say({"type": "session.created", "session": {"id": "s", "type": "translation", "audio": {}}})
    talk.say({"type": "session.updated", "session": {"id": "s", **talk.expect("session.update")["session"]}})
    talk.expect("session.input_audio_buffer.append")
    talk.say({"type": "session.output_audio.delta", "delta": base64.b64encode(bytes(48_000)).decode()})
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        while True:
            talk.hear()


@pytest.mark.parametrize("waiting", ["await job", "job.wait()"])
def test_a_stopped_translation_keeps_what_came(kernel, waiting):
    with serve(unending) as url:
        code = f"job = begun(rtnb.translate(talk, to='es', url={url!r}))\n{waiting}"
        error, seconds = kernel.run(code, stop_at="begun")
    assert error in ("KeyboardInterrupt", "CancelledError")
    assert seconds < 5
    over = "try:\n    job.wait(60)\nexcept rtnb.RtnbError:\n    pass\n"
    state = kernel.value("(job.done, job.audio is not None, chat.state, job.session.state)", over)
    assert state == (True, True, "open", "closed")


@pytest.mark.parametrize("waiting", ["await table", "table.wait()"])
def test_a_stopped_map_asks_no_more_and_keeps_its_rows(kernel, waiting):
    code = (
        "clips = [clip for clip in rtnb.samples() if clip.seconds < 4]\n"
        "table = rtnb.map(clips, 'Say it.', url=server.url, out=None, concurrency=1, modalities='audio')\n"
        "def watch():\n    while not len(table):\n        time.sleep(0.05)\n    print('begun', flush=True)\n"
        f"threading.Thread(target=watch).start()\nawait asyncio.sleep(0)\n{waiting}"
    )
    error, seconds = kernel.run(code, stop_at="begun")
    assert error in ("KeyboardInterrupt", "CancelledError")
    assert seconds < 5
    over = "try:\n    table.wait(60)\nexcept rtnb.RtnbError:\n    pass\n"
    done, rows, recordings = kernel.value("(table.done, len(table), len(clips))", over)
    assert done
    assert 0 < rows < recordings


def test_a_cell_that_is_stopped_between_two_pieces_cancels_its_answer_too(kernel):
    code = "r = begun(chat.ask(LONG))\nimport time\nfor piece in r:\n    print('begun'); time.sleep(60)"
    error, seconds = kernel.run(code, stop_at="begun")
    assert error == "KeyboardInterrupt"
    assert seconds < 5
    assert kernel.value("r.status", "r.wait(60)") == "cancelled"


def test_a_stopped_cell_stops_nothing_that_it_does_not_wait_for(kernel):
    code = "import time\nother = chat.ask('hello')\nprint('begun', flush=True)\ntime.sleep(60)"
    kernel.run(code, stop_at="begun")
    assert kernel.value("other.status", "other.wait(60)") == "completed"


def test_what_an_await_would_have_returned_is_in_last(kernel):
    error, _ = kernel.run("first = begun(chat.ask(LONG))\nsecond = await first", stop_at="begun")
    assert error == "KeyboardInterrupt"
    assert kernel.value("(rtnb.last is first, rtnb.last.wait(60).status)") == (True, "cancelled")
    # Looked up anew each time.
    assert kernel.value("(rtnb.last is first, rtnb.last is again)", "again = await chat.ask('hello')") == (False, True)


def test_a_time_limit_in_a_cell_is_no_stop_button(kernel):
    code = (
        "r = begun(chat.ask(LONG))\n"
        "try:\n    async with asyncio.timeout(0.3):\n        await r\n"
        "except TimeoutError:\n    ended = 'too late'\n"
    )
    assert kernel.value("(ended, r.wait(60).status)", code) == ("too late", "cancelled")


def test_an_answer_that_is_over_stays_as_it_was(kernel):
    code = "r = chat.ask('hello')\nfor piece in r:\n    pass\nprint('begun', flush=True)\ntime.sleep(60)"
    error, _ = kernel.run(code, stop_at="begun")
    assert error == "KeyboardInterrupt"
    assert kernel.value("r.status", "r.cancel()") == "completed"


def test_a_task_that_an_earlier_cell_began_goes_on(kernel):
    code = (
        "async def read(reply):\n    async for piece in reply:\n        pass\n"
        "r = begun(chat.ask('hello'))\ntask = asyncio.create_task(read(r))"
    )
    kernel.value("0", code)
    kernel.run("print('begun', flush=True)\nawait asyncio.sleep(60)", stop_at="begun")
    assert kernel.value("(r.status, task.done())", "await task") == ("completed", True)


def test_a_cancelled_task_of_the_users_own_cancels_the_answer_it_awaits():
    async def main():
        async with rtnb.connect(practice=True) as chat:
            reply = chat.ask(rtnb.samples()["talk"], "Say it all again.")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reply, 0.01)
            await reply
            return reply.status

    assert asyncio.run(main()) == "cancelled"


def test_a_script_keeps_its_own_handler_of_interrupts():
    async def main():
        before = signal.getsignal(signal.SIGINT)
        async with rtnb.connect(practice=True) as chat:
            await chat.ask("Hello.")
        return signal.getsignal(signal.SIGINT) is before

    before = signal.getsignal(signal.SIGINT)
    assert asyncio.run(main())
    assert signal.getsignal(signal.SIGINT) is before
