"""A folder of recordings: a few at a time, each paid for once, failures as rows, a budget that holds."""

import functools
import json
import multiprocessing
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from dialogue import serve, usage

import rtnb
from rtnb.audio import Clip
from rtnb.errors import ConnectionFailed, InputError, KeyRefused
from rtnb.jobs.map import answer

PRICE = 1000 * 0.6e-6 + 100 * 2.4e-6  # 1,000 text tokens in and 100 out on gpt-realtime-2.1-mini (price list)


def clip(seed, seconds=0.3):
    noise = np.random.default_rng(seed).standard_normal(int(24_000 * seconds)) * 0.1
    return Clip.from_array(noise.astype(np.float32), rate_hz=24_000, name=f"clip {seed}")


class Server:
    """Answers every recording with its length, and remembers how often it was asked."""

    def __init__(self, fail=()):
        self.asked = self.opened = 0
        self.at_once = self.most_at_once = 0
        self._fail = list(fail)
        self._lock = threading.Lock()

    def __call__(self, talk):
        talk.open()
        with self._lock:
            self.opened += 1
        pcm = talk.take_sound()
        talk.take_message()
        with self._lock:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            failure = self._fail.pop(0) if self._fail else None
        if failure == "drop":
            talk.expect("response.create")
            talk.socket.socket.shutdown(2)
        elif failure:
            details = {"type": "failed", "error": {"code": failure, "message": failure}}
            talk.answer("", status="failed", status_details=details, output=[], usage=usage())
        else:
            talk.answer(f"{len(pcm)} bytes", usage=usage(input_text=1000, output_text=100))
        with self._lock:
            self.at_once -= 1


def ask(clips, url, **more):
    return rtnb.map(clips, "What is it?", url=url, show=False, **{"out": "results.jsonl", **more})


def test_every_recording_gets_an_answer_in_its_place():
    server = Server()
    with serve(server) as url:
        results = ask([clip(n, 0.2 + n / 10) for n in range(5)], url, concurrency=2).wait(20)
    assert [row.text for row in results] == [f"{int(24_000 * (0.2 + n / 10)) * 2} bytes" for n in range(5)]
    assert [row.name for row in results] == [f"clip {n}" for n in range(5)]
    assert results.usd == pytest.approx(5 * PRICE)
    assert server.most_at_once <= 2


def test_what_the_file_holds_is_not_asked_or_paid_for_again():
    server = Server()
    with serve(server) as url:
        ask([clip(1), clip(2)], url).wait(20)
        again = ask([clip(1), clip(3), clip(2)], url).wait(20)
        assert server.asked == 3
        assert again.skipped == 2
        assert [row.name for row in again] == ["clip 1", "clip 3", "clip 2"]
        # Another question, or another model, is another answer.
        rtnb.map([clip(1)], "Something else?", url=url, show=False).wait(20)
        ask([clip(1)], url, model="gpt-realtime-2.1").wait(20)
        assert server.asked == 5


def test_a_crash_in_the_middle_of_a_line_loses_that_line_only(tmp_path):
    server = Server()
    path = tmp_path / "out" / "results.jsonl"
    with serve(server) as url:
        ask([clip(1), clip(2)], url, out=path, concurrency=1).wait(20)
        whole = path.read_bytes()
        path.write_bytes(whole[:-40])
        results = ask([clip(1), clip(2)], url, out=path).wait(20)
    assert server.asked == 3
    assert len(results.rows) == 2
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert json.loads(lines[-1])["name"] == "clip 2"


def test_the_same_recording_twice_is_asked_once():
    server = Server()
    with serve(server) as url:
        results = ask([clip(1), clip(2), clip(1)], url).wait(20)
    assert server.asked == 2
    assert results[0] == results[2]
    assert results.usd == pytest.approx(2 * PRICE)


def test_a_failure_is_a_row_and_is_tried_again_on_the_next_run(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"this is no sound")
    server = Server(fail=["server_error"])
    with serve(server) as url:
        results = ask([clip(1), tmp_path / "broken.wav", clip(2)], url, concurrency=1).wait(20)
        assert [row.status for row in results] == ["failed", "failed", "completed"]
        assert "server_error" in results[0].error
        assert "broken.wav" in results[1].error
        assert len(results.failed) == 2
        again = ask([clip(1), tmp_path / "broken.wav", clip(2)], url).wait(20)
    assert [row.status for row in again] == ["completed", "failed", "completed"]
    assert server.asked == 3


def test_a_dropped_connection_is_a_row_too():
    server = Server(fail=[None, "drop"])
    with serve(server) as url:
        results = ask([clip(1), clip(2), clip(3)], url, concurrency=1).wait(20)
    assert [row.status for row in results] == ["completed", "failed", "completed"]


def test_a_network_that_is_gone_ends_the_run_at_once():
    results = ask([clip(n) for n in range(50)], "ws://127.0.0.1:9/v1/realtime", concurrency=1)
    with pytest.raises(ConnectionFailed):
        results.wait(20)
    assert len(results.rows) < 4


def test_a_refused_key_is_nobodys_row():
    def script(talk):
        talk.say({"type": "error", "error": {"code": "invalid_api_key", "message": "Incorrect API key provided."}})
        talk.socket.close(3000, "invalid_request_error.invalid_api_key")

    with serve(script) as url:
        results = ask([clip(1), clip(2)], url)
        with pytest.raises(KeyRefused):
            results.wait(20)
    assert results.rows == []


def test_the_budget_is_not_overspent_and_the_next_run_goes_on():
    server = Server()
    recordings = [clip(n, 1.0) for n in range(12)]
    with serve(server) as url:
        results = ask(recordings, url, budget=4 * PRICE, concurrency=4).wait(20)
        assert "Your budget" in results.stopped
        paid = len(results.rows)
        assert 0 < paid <= 4
        assert results.usd <= 4 * PRICE
        assert ask(recordings, url).wait(20).skipped == paid
        assert server.asked == 12


@pytest.mark.parametrize("nothing", [[], (), [[]]], ids=str)
def test_no_recording_at_all_is_told_so_before_anything_is_asked(nothing):
    with pytest.raises(InputError, match=r"Your list is empty: it holds no recording\. Give clips, paths or a"):
        rtnb.map(nothing, "Summarize", practice=True)


def test_a_folder_stands_for_the_recordings_in_it(tmp_path):
    for number in (2, 1):
        clip(number).save(tmp_path / f"{number}.wav")
    (tmp_path / "notes.txt").write_text("no sound")
    with serve(Server()) as url:
        assert [row.name for row in ask(tmp_path, url).wait(20)] == ["1.wav", "2.wav"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no recordings"):
        ask(tmp_path / "empty", "ws://127.0.0.1:9")


def test_pandas_gets_a_table():
    pandas = pytest.importorskip("pandas")
    with serve(Server()) as url:
        table = ask([clip(1), clip(2)], url).wait(20).table()
    assert isinstance(table, pandas.DataFrame)
    assert list(table["status"]) == ["completed", "completed"]
    assert table["usd"].sum() == pytest.approx(2 * PRICE)


def test_cancelling_keeps_what_was_answered():
    import time

    def slow(talk):
        talk.open()
        talk.take_sound()
        talk.take_message()
        talk.expect("response.create")
        time.sleep(0.3)
        talk.answer("late", expect=False)

    with serve(slow) as url:
        results = ask([clip(n) for n in range(20)], url, concurrency=1)
        while not results.rows:
            time.sleep(0.01)
        results.cancel()
        with pytest.raises(InputError, match="cancelled"):
            results.wait(20)
        assert 1 <= len(results.rows) < 20


def test_wrong_arguments_are_told():
    with pytest.raises(InputError, match="blank"):
        rtnb.map([clip(1)], " ", practice=True)
    with pytest.raises(InputError, match="concurrency"):
        rtnb.map([clip(1)], "What?", concurrency=0, practice=True)
    with pytest.raises(InputError, match="no recording"):
        rtnb.map(["Just words."], "What?", practice=True)


def test_a_progress_bar_counts(capsys):
    with serve(Server()) as url:
        rtnb.map([clip(1), clip(2), clip(1)], "What is it?", url=url).wait(20)
    assert "3/3" in capsys.readouterr().err


def test_an_iterator_is_read_only_as_far_as_is_asked():
    server, read = Server(), []

    def coming():
        for number in range(6):
            read.append(number)
            yield clip(number)

    with serve(server) as url:
        results = ask(coming(), url, out=None, concurrency=1)
        assert len(read) <= 2 or server.asked  # nothing was read ahead of the first question
        results.wait(20)
    assert [row.name for row in results] == [f"clip {number}" for number in range(6)]
    assert (server.asked, read) == (6, [*range(6)])


def test_what_an_iterator_raises_ends_the_map_and_loses_no_answer():
    server = Server()

    def broken():
        yield clip(1)
        raise OSError("the share is gone")

    with serve(server) as url:
        results = ask(broken(), url, concurrency=1)
        with pytest.raises(OSError, match="the share is gone"):
            results.wait(20)
    assert [row.status for row in results.rows] == ["completed"]


def test_an_iterator_that_waits_for_its_next_recording_holds_up_no_end():
    server, more = Server(), queue.Queue()
    more.put(clip(1))
    with serve(server) as url:
        results = ask(iter(more.get, None), url, concurrency=2)
        while not results.rows:
            time.sleep(0.01)
        results.cancel()
        with pytest.raises(InputError, match="You cancelled this"):
            results.wait(20)
        assert [row.status for row in results.rows] == ["completed"]
        more.put(clip(2))  # one that comes too late is left where it is
        assert [row.name for row in ask([clip(1)], url).wait(20)] == ["clip 1"]
    assert server.asked == 1


def test_an_error_ends_a_map_whose_iterator_waits():
    more = queue.Queue()
    more.put(clip(1))

    def refuse(talk):
        talk.open()
        talk.take_sound()
        talk.take_message()
        talk.answer("no", usage=usage(input_text=1_000_000, output_text=1_000_000))

    with serve(refuse) as url:
        results = ask(iter(more.get, None), url, budget=0.01, out=None, concurrency=2)
        while not results.rows:
            time.sleep(0.01)
        more.put(clip(2))
        assert "budget" in str(results.wait(20).stopped)
    assert results.unfinished[0].name == "clip 2"


def test_a_program_ends_while_an_iterator_waits():
    program = """
import queue, rtnb
options = {"url": "ws://127.0.0.1:9/v1/realtime", "out": None, "show": False}
results = rtnb.map(iter(queue.Queue().get, None), "What is it?", **options)
results.cancel()
results.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "You cancelled this" in done.stderr


def test_the_same_recording_twice_is_one_question_and_two_rows():
    server = Server()
    with serve(server) as url:
        results = ask(iter([clip(1), clip(2), clip(1)]), url, out=None, concurrency=2).wait(20)
    assert (server.asked, len(results)) == (2, 3)
    assert results[0].text == results[2].text


def test_a_hundred_at_once_are_taken_and_more_are_refused():
    server = Server()
    with serve(server) as url:
        assert len(ask([clip(n, 0.1) for n in range(100)], url, out=None, concurrency=100).wait(60)) == 100
    with pytest.raises(InputError, match="concurrency"):
        rtnb.map([clip(1)], "What?", concurrency=101, practice=True)


def test_the_account_is_waited_for_where_it_has_no_room(monkeypatch):
    waits = []
    monkeypatch.setattr("rtnb.money.limits.wait_before", lambda stated, age, tokens: waits.append([*stated]) or 0.0)
    stated = [{"name": "tokens", "limit": 1000, "remaining": 0, "reset_seconds": 2.0}]

    def talks(talk):
        talk.open()
        talk.take_sound()
        talk.take_message()
        talk.say({"type": "rate_limits.updated", "rate_limits": stated})
        talk.answer("Yes.", usage=usage())

    with serve(talks) as url:
        ask([clip(1), clip(2)], url, out=None, concurrency=1).wait(20)
        paced = len(waits)
        assert stated in waits
        ask([clip(1), clip(2)], url, out=None, concurrency=1, rate=None).wait(20)
    assert len(waits) - paced == paced - 2  # a session asks for itself as well
    with pytest.raises(InputError, match="rate"):
        rtnb.map([clip(1)], "What?", rate="fast", practice=True)


def test_one_recording_is_a_function_that_a_pool_of_processes_runs(tmp_path):
    for number in (1, 2):
        clip(number).save(tmp_path / f"{number}.wav")
    question = functools.partial(answer, prompt="What is it?")
    spawn = multiprocessing.get_context("spawn")
    with serve(Server()) as url, ProcessPoolExecutor(2, mp_context=spawn) as pool:
        rows = pool.map(functools.partial(question, url=url), [tmp_path / "1.wav", tmp_path / "2.wav"], timeout=300)
        assert [(row.name, row.status) for row in rows] == [("1.wav", "completed"), ("2.wav", "completed")]
