"""A map that is interrupted, cancelled, killed or run twice at a time pays for nothing twice."""

import _thread
import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from dialogue import serve, until, usage
from test_map import Server, ask, clip
from websockets.exceptions import ConnectionClosed

from rtnb.errors import InputError
from rtnb.jobs.rows import RowsFile
from rtnb.transport import cells

TWELVE = [clip(number) for number in range(12)]


class Counting(Server):
    """Counts what is asked for, in all and by recording."""

    def __init__(self):
        super().__init__()
        self.heard = Counter()

    def counts(self, sound):
        """Count one more, and return how many there are."""
        with self._lock:
            self.asked += 1
            self.heard[sound] += 1
            return self.asked


class Slow(Counting):
    """Answers when it may, counts what is asked for, and calls a function when the n-th is."""

    def __init__(self, at=0, call=None, pcm=b"", words="yes"):
        super().__init__()
        self.may_answer = threading.Event()
        self._at, self._call, self._pcm, self._words = at, call, pcm, words

    def __call__(self, talk):
        talk.open()
        sound = talk.take_sound()
        talk.take_message()
        talk.expect("response.create")
        last = self.counts(sound) == self._at
        if last and self._call:
            self._call()
        if self._at <= self.asked:
            self.may_answer.wait(10)
        talk.answer(self._words, self._pcm, expect=False, usage=usage(input_text=1000, output_text=100))


def names_in(path):
    return [json.loads(line)["name"] for line in Path(path).read_text("utf-8").split("\n") if line]


def press_stop():
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()


# --- interrupted and run again


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="these tests were started where Ctrl+C is ignored"
)
def test_an_interrupted_cell_ends_at_once_has_the_answers_and_the_next_one_pays_for_the_rest():
    server = Slow(at=6, call=press_stop)
    with serve(server) as url:
        with pytest.raises(KeyboardInterrupt) as pressed:
            ask(TWELVE, url).wait(20)
        assert not server.may_answer.is_set()
        assert "run the same line again" in pressed.value.__notes__[0].lower()
        results = pressed.value.reply
        assert 1 <= len(results.rows) <= 5
        server.may_answer.set()
        again = ask(TWELVE, url).wait(20)
        assert [row.status for row in again] == ["completed"] * 12
        assert len(results.rows) < 12
        with pytest.raises(InputError, match="cancelled"):
            results.wait(20)
    assert set(server.heard.values()) == {1}
    assert sorted(names_in("results.jsonl")) == sorted(row.name for row in again)


@pytest.mark.parametrize("in_a_cell", [True, False])
def test_a_cancelled_wait_stops_it_and_a_cell_of_ipython_ends_with_keyboard_interrupt(in_a_cell, monkeypatch):
    monkeypatch.setattr(cells, "kernel", object)

    async def run_cell_async(results):  # as IPython names it
        try:
            await results
        except BaseException as ended:
            return ended

    async def another_task(results):
        return await run_cell_async(results)

    async def main(url, server):
        before = signal.signal(signal.SIGINT, lambda *_: waiting.cancel())  # as that of a kernel
        try:
            results = ask(TWELVE, url)
            waiting = asyncio.ensure_future((run_cell_async if in_a_cell else another_task)(results))
            await asyncio.to_thread(until, lambda: server.asked >= 6)
            signal.raise_signal(signal.SIGINT)
            ended = await waiting
        finally:
            signal.signal(signal.SIGINT, before)
        server.may_answer.set()
        return ended, await ask(TWELVE, url)

    server = Slow(at=6)
    with serve(server) as url:
        ended, again = asyncio.run(main(url, server))
    assert type(ended) is (KeyboardInterrupt if in_a_cell else asyncio.CancelledError)
    assert 1 <= len(ended.reply.rows) < 12
    assert len(again.rows) == 12
    assert set(server.heard.values()) == {1}


def test_the_stop_button_ends_an_awaiting_cell_of_a_kernel(tmp_path):
    """ipykernel looks for it when its loop wakes."""
    manager = pytest.importorskip("jupyter_client.manager").KernelManager(kernel_name="python3")
    server = Slow(at=3)
    manager.kernel_spec.argv[:] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()

    def run(code, meanwhile=lambda: None):
        asked, said = client.execute(code), ""
        meanwhile()
        while True:
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            said += str(content.get("text") or content.get("ename") or content.get("data", {}).get("text/plain", ""))
            if content.get("execution_state") == "idle":
                return said

    def stop():
        until(lambda: server.asked >= 3)
        manager.interrupt_kernel()

    try:
        client.start_channels()
        client.wait_for_ready(60)
        with serve(server) as url:
            run("import rtnb; rtnb.run")
            line = f"r = await rtnb.map(rtnb.samples()[:6], 'What?', url={url!r}, concurrency=2, show=False)"
            assert run(line, stop).endswith("KeyboardInterrupt")
            assert not server.may_answer.is_set()
            assert "Results(" in run("import rtnb; rtnb.last")
            server.may_answer.set()
            assert "Error" not in run(line)
            assert run("len(r), len(r.unfinished)") == "(6, 0)"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert set(server.heard.values()) == {1}


def test_a_second_map_of_this_kernel_waits_for_the_file(capsys):
    server = Slow(at=1)
    with serve(server) as url:
        first = ask(TWELVE, url, concurrency=2)
        until(lambda: server.asked == 2)
        Path("again.jsonl").symlink_to("results.jsonl")
        second = ask(TWELVE, url, out="again.jsonl")
        assert "Another map of this kernel still writes to again.jsonl" in capsys.readouterr().out
        third = ask(TWELVE, url)
        third.cancel()
        with pytest.raises(InputError, match="cancelled"):
            third.wait(20)
        server.may_answer.set()
        assert len(second.wait(20).rows) == 12
        assert (first.done, second.skipped) == (True, 12)
    assert set(server.heard.values()) == {1}


def test_cancelling_keeps_what_is_under_way_and_asks_nothing_more():
    server = Slow(at=1)
    with serve(server) as url:
        results = ask(TWELVE, url, concurrency=2)
        until(lambda: server.asked == 2)
        results.cancel()
        results.cancel()
        server.may_answer.set()
        with pytest.raises(InputError, match="cancelled") as cancelled:
            results.wait(20)
        assert cancelled.value.reply is results
        assert [len(results.rows), len(results.unfinished), server.asked] == [2, 10, 2]


def test_a_recording_that_is_still_being_sent_is_not_asked_about_once_it_is_cancelled():
    began, go_on, heard = threading.Event(), threading.Event(), []

    def hears_nothing_at_first(talk):
        talk.open()
        began.set()
        go_on.wait(20)
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(talk.hear()["type"])

    with serve(hears_nothing_at_first) as url:
        results = ask([clip(1, 400.0)], url)  # more than sockets hold
        began.wait(20)
        results.cancel()
        with pytest.raises(InputError, match="cancelled"):
            results.wait(20)
        go_on.set()
    assert results.rows == []
    assert "response.create" not in heard


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_map import ask, clip
print("ready", flush=True)
sys.stdin.readline()
ask([clip(number) for number in range(12)], sys.argv[2], out=sys.argv[3], concurrency=int(sys.argv[4])).wait()
"""


@contextlib.contextmanager
def mapping_child(url, path, concurrency=4):
    """Another process that runs the same map; `.stdin` starts it."""
    line = [sys.executable, "-c", CHILD, str(Path(__file__).parent), url, str(path), str(concurrency)]
    child = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_another_programs_file_is_refused_by_its_name_and_free_once_it_is_killed(tmp_path):
    path, server = tmp_path / "results.jsonl", Slow(at=1)
    with serve(server) as url:
        with mapping_child(url, path, concurrency=1) as child:
            child.stdin.write("\n")
            child.stdin.flush()
            until(lambda: server.asked == 1)
            with pytest.raises(InputError, match=rf"is in use: a map of .* \(process {child.pid} on ") as refused:
                ask(TWELVE, url, out=path)
            assert str(refused.value).endswith("give another out=.")
            assert server.asked == 1
        server.may_answer.set()
        assert len(ask(TWELVE, url, out=path).wait(20).rows) == 12
    assert [file.name for file in tmp_path.iterdir()] == ["results.jsonl"]


class Killing(Counting):
    """Kills the process that asks when it asks for the n-th time, or once that one is answered."""

    child = None

    def __init__(self, at, *, answered):
        super().__init__()
        self._at, self._answered = at, answered

    def __call__(self, talk):
        talk.open()
        sound = talk.take_sound()
        talk.take_message()
        talk.expect("response.create")
        kills = self.counts(sound) == self._at
        if kills and not self._answered:
            self.child.kill()
        talk.answer("yes", expect=False, usage=usage(input_text=1000, output_text=100))
        if kills and self._answered:
            self.child.kill()


LONG = [pytest.param(number, marks=pytest.mark.long) for number in range(3, 50)]


@pytest.mark.parametrize("number", [0, 1, 2, *LONG])
def test_a_kill_loses_no_row_and_only_what_was_on_the_wire_is_paid_for_again(number, tmp_path):
    path = tmp_path / "results.jsonl"
    server = Killing(1 + number * 7 % 12, answered=bool(number % 2))
    with serve(server) as url:
        with mapping_child(url, path) as server.child:
            server.child.communicate("\n", timeout=60)
        written = path.read_bytes()
        kept, asked = RowsFile(path).read(), server.asked
        assert asked - len(kept) <= 4  # as many as are asked at a time
        again = ask(TWELVE, url, out=path).wait(60)
    assert again.skipped == len(kept)
    assert [row.status for row in again] == ["completed"] * 12
    assert path.read_bytes().startswith(written)
    assert server.asked == asked + 12 - len(kept)
    assert sum(times - 1 for times in server.heard.values()) == asked - len(kept)
