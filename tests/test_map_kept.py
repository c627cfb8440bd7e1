"""A map keeps what was paid for: the place is proved first, rows before audio, and odd lines and names do no harm."""

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from dialogue import serve, until, usage
from test_map import PRICE, Server, ask, clip

import rtnb
from rtnb.errors import AudioError, InputError
from rtnb.money.budget import Hold

TWELVE = [clip(number) for number in range(12)]


class Speaker(Server):
    """Speaks every answer."""

    def __call__(self, talk):
        talk.open()
        talk.take_sound()
        talk.take_message()
        talk.expect("response.create")
        self.asked += 1
        talk.answer("Hello.", b"\1\2" * 4800, expect=False, usage=usage(output_text=10))


# --- the place is proved before the first question


def folder(path):
    path.mkdir()


def below_a_file(path):
    path.parent.rmdir()
    path.parent.write_bytes(b"")


def pipe(path):
    os.mkfifo(path)


def circle(path):
    path.symlink_to(path)


PLACES = [
    (folder, "Is a directory|no file"),
    (below_a_file, "Not a directory|File exists"),
    (circle, "Symlink loop|symbolic links"),
    pytest.param(pipe, "no file", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")),
]


@pytest.mark.parametrize(("spoil", "problem"), PLACES)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_asked(spoil, problem, tmp_path):
    path = tmp_path / "there" / "results.jsonl"
    path.parent.mkdir()
    spoil(path)
    server = Server()
    with serve(server) as url, pytest.raises(InputError, match=f"results.jsonl cannot be written: .*({problem})"):
        ask(TWELVE, url, out=path)
    assert server.asked == 0


@pytest.mark.parametrize("out", ["", ".", "a\0b.jsonl", "x" * 300, "~nobody-of-this-name/results.jsonl", 5, b"r.jsonl"])
def test_what_is_no_path_is_refused_in_words(out):
    with pytest.raises(InputError, match=r"cannot be written: .*\. Choose another place\.|Your out=.* does not take"):
        ask(TWELVE, "ws://127.0.0.1:9", out=out)


@pytest.mark.parametrize("refuse", ["open", "mkdir"])
def test_a_folder_without_leave_to_write_is_refused(refuse, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(Path, refuse, refused)
        with pytest.raises(InputError, match=r"results\.jsonl cannot be written: Permission denied"):
            ask(TWELVE, "ws://127.0.0.1:9", out=tmp_path / "results.jsonl")
    with serve(Server()) as url:  # it is free again
        assert len(ask(TWELVE, url, out=tmp_path / "results.jsonl").wait(20).rows) == 12


def test_a_blocked_folder_of_sounds_is_found_before_anything_is_asked():
    Path("results_sounds").write_bytes(b"")
    server = Speaker()
    with serve(server) as url:
        with pytest.raises(InputError, match="results_sounds cannot be written: "):
            ask(TWELVE, url, modalities="audio")
        assert server.asked == 0
    with serve(Server()) as url:  # written answers need none
        assert len(ask(TWELVE[:1], url).wait(20).rows) == 1


def test_folders_on_the_way_are_made(tmp_path):
    with serve(Speaker()) as url:
        results = ask(TWELVE[:2], url, out=tmp_path / "a" / "b" / "r.jsonl", modalities="audio").wait(20)
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["r.jsonl", "r_sounds"]
    assert all(Path(row.sound).exists() for row in results)


# --- a disk that is full


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import pytest
from dialogue import serve
from test_map import Server, ask, clip
from rtnb.errors import InputError
from rtnb.jobs import rows
from rtnb.money.budget import Hold

rows._ROOM_BYTES = int(sys.argv[2])
clips, server = [clip(number) for number in range(12)], Server()
with serve(server) as url:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    results, error = None, None
    try:
        results = ask(clips, url, concurrency=2)
        results.wait(20)
    except InputError as full:
        error = full
    print(error)
    came = results.rows if results else []
    print(len(came), server.asked, error.reply is results)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = ask(clips, url, concurrency=2).wait(20)
    print(len(again), again.skipped, server.asked)
"""


def on_a_full_disk(room_bytes, free_bytes):
    line = [sys.executable, "-c", FULL, str(Path(__file__).parent), str(room_bytes), str(free_bytes)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said, came, again = done.stdout.splitlines()
    assert said.startswith("The file results.jsonl cannot be written: ")
    assert said.endswith(". What was answered is kept. Make room there and run the same line again.")
    return came.split(), again.split()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
class TestFullDisk:
    def test_no_room_at_all_is_found_before_anything_is_asked(self):
        assert on_a_full_disk(4096, 0) == (["0", "0", "True"], ["12", "0", "12"])

    def test_where_room_ends_nothing_more_is_paid_for(self):
        (came, asked, carried), again = on_a_full_disk(4096, 10_000)
        assert 0 < int(came) < 12
        assert (asked, carried) == (came, "True")
        assert again == ["12", came, "12"]

    def test_rows_that_find_no_room_are_kept_and_written_by_the_next_run(self):
        (came, asked, carried), again = on_a_full_disk(1, 1000)
        assert 0 < int(came) < 12
        assert (asked, carried) == (came, "True")
        assert again == ["12", came, "12"]


def test_an_answer_whose_audio_cannot_be_kept_keeps_its_words(monkeypatch):
    def full(*_):
        raise AudioError("The file x.ogg cannot be written: No space left on device. Choose another place.")

    server = Speaker()
    with serve(server) as url:
        with monkeypatch.context() as patch:
            patch.setattr(rtnb.Clip, "save", full)
            with pytest.raises(AudioError, match="No space left") as stopped:
                ask(TWELVE, url, modalities="audio", concurrency=1).wait(20)
        assert [(row.name, row.text) for row in stopped.value.reply] == [("clip 0", "Hello.")]
        assert json.loads(Path("results.jsonl").read_text("utf-8"))["text"] == "Hello."
        again = ask(TWELVE, url, modalities="audio").wait(20)
        assert (len(again.rows), again.skipped, server.asked) == (12, 1, 12)


# --- what stands in the file


ODD = [
    "[1, 2]",
    "null",
    "5",
    '"words"',
    "{}",
    '{"key": ["x"]}',
    "[" * 100_000,
    "\\ud800",
    "{'key': 1}",
    "\0\0\0",
    "not JSON at all",
    "",
]
WRONG = {"text": None, "usd": "0.1", "tokens": "7", "status": 1, "seconds": [], "sound": 3, "name": {}}


def test_lines_that_are_none_of_its_rows_are_left_alone(tmp_path):
    path, server = tmp_path / "results.jsonl", Server()
    with serve(server) as url:
        first = ask(TWELVE[:1], url, out=path).wait(20)
        odd = "\n".join(ODD) + "\n" + json.dumps({**json.loads(path.read_text()), "more": 1}) + '\n{"key": "to'
        path.write_bytes(odd.encode() + b"\xff\xfe\n" + path.read_bytes().replace(b"}", b', "usd": NaN}'))
        again = ask(TWELVE[:2], url, out=path).wait(20)
    assert (again.skipped, server.asked, again[0]) == (1, 2, first[0])
    assert path.read_bytes().startswith(odd.encode())


@pytest.mark.parametrize("field", WRONG)
def test_a_row_whose_fields_are_not_what_they_are_is_asked_again(field, tmp_path):
    path = tmp_path / "results.jsonl"
    with serve(Server()) as url:
        ask(TWELVE[:1], url, out=path).wait(20)
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: WRONG[field]}) + "\n")
        again = ask(TWELVE[:1], url, out=path).wait(20)
    assert (again.skipped, again.usd) == (0, pytest.approx(PRICE))
    assert "12" in repr(again) or "Results(1 of 1" in repr(again)


@pytest.mark.parametrize("edited", [lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"\n", b"\r\n")])
def test_what_an_editor_saved_again_is_read(edited, tmp_path):
    path, server = tmp_path / "results.jsonl", Server()
    with serve(server) as url:
        ask(TWELVE[:2], url, out=path).wait(20)
        path.write_bytes(edited(path.read_bytes()))
        assert ask(TWELVE[:2], url, out=path).wait(20).skipped == 2
    assert server.asked == 2


@pytest.mark.parametrize("words", ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\r\nh\ni", "half \ud83d a pair", "你好 \0"])
def test_an_answer_with_any_characters_is_one_line_and_read_again(words):
    def odd(talk):
        talk.open()
        talk.take_sound()
        talk.take_message()
        talk.answer(words)

    with serve(odd) as url:
        first = ask(TWELVE[:1], url).wait(20)
        again = ask(TWELVE[:1], url).wait(20)
    assert again.skipped == 1
    assert again[0] == first[0]
    assert Path("results.jsonl").read_bytes().count(b"\n") == 1


# --- names


def test_files_of_the_same_bytes_have_their_own_names(tmp_path):
    for name in ("one/a.wav", "one/b.wav", "two/c.wav"):
        clip(1).save(tmp_path / name)
    server = Server()
    with serve(server) as url:
        one = ask(tmp_path / "one", url).wait(20)
        two = ask(tmp_path / "two", url).wait(20)
        all_three = ask(tmp_path, url).wait(20)
    assert [row.name for row in one] == ["a.wav", "b.wav"]
    assert [row.name for row in two] == ["c.wav"]
    assert [row.name for row in all_three] == ["a.wav", "b.wav", "c.wav"]
    assert (server.asked, one.usd, all_three.usd) == (1, pytest.approx(PRICE), pytest.approx(PRICE))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("modalities", ["text", "audio"])
def test_names_that_are_no_utf_8_do_no_harm(modalities, tmp_path, capsys):
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    clip(1).save(tmp_path / "1.wav")
    for name in (b"caf\xe9.wav", b"caf\xe8.wav"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes((tmp_path / "1.wav").read_bytes() + name)
    Path(os.fsdecode(folder + b"/broken\xff.wav")).write_bytes(b"this is no sound")
    with serve(Speaker() if modalities == "audio" else Server()) as url:
        for skipped in (0, 2):
            results = ask(tmp_path / "in", url, modalities=modalities, out=os.fsdecode(b"r\xe9.jsonl")).wait(20)
            assert results.skipped == skipped
            print(results, *results, *(row.name for row in results))
    assert sorted(row.name for row in results) == ["broken\\udcff.wav", "caf\\udce8.wav", "caf\\udce9.wav"]
    assert [row.status for row in results].count("completed") == 2
    assert "broken" in next(row.error for row in results if row.error)
    capsys.readouterr().out.encode()


@pytest.mark.parametrize("name", ["长" * 200, "a:b*c?d|e<f>", "..", "a/b\\c", "half \ud83d", "line\nbreak", " "])
def test_audio_of_an_answer_is_kept_whatever_the_recordings_name(name):
    import numpy as np

    spoken = rtnb.Clip.from_array(np.full(7200, 0.1, np.float32), rate_hz=24_000, name=name)
    with serve(Speaker()) as url:
        (row,) = ask([spoken], url, modalities="audio").wait(20)
    assert rtnb.Clip.read(row.sound).seconds == pytest.approx(0.2, abs=0.02)
    assert Path(row.sound).parent == Path("results_sounds")


@pytest.mark.parametrize("given", [lambda folder: folder, lambda folder: iter([folder])])
def test_spoken_answers_in_a_folder_that_is_asked_about_again_are_no_recordings(given, tmp_path):
    for number in range(2):
        clip(number).save(tmp_path / f"{number}.wav")
    server = Speaker()
    with serve(server) as url:
        for _ in range(3):
            results = ask(given(tmp_path), url, modalities="audio", out=tmp_path / "r.jsonl").wait(20)
            assert [row.name for row in results] == ["0.wav", "1.wav"]
        assert server.asked == 2
        about = ask(given(tmp_path / "r_sounds"), url, out=tmp_path / "r.jsonl").wait(20)  # these were meant
    assert len(about.rows) == 2


def test_audio_is_found_where_its_folder_was_moved_and_said_to_be_gone_where_it_is(tmp_path):
    server = Speaker()
    with serve(server) as url:
        ask(TWELVE[:2], url, modalities="audio", out=tmp_path / "a" / "r.jsonl").wait(20)
        (tmp_path / "a").rename(tmp_path / "b")
        kept, gone = sorted((tmp_path / "b" / "r_sounds").iterdir())
        gone.unlink()
        results = ask(TWELVE[:2], url, modalities="audio", out=tmp_path / "b" / "r.jsonl").wait(20)
    assert (results.skipped, {row.sound for row in results}) == (2, {str(kept), None})


# --- what the budget leaves


def test_over_budget_it_returns_the_table_with_the_unfinished_named_and_says_so_once(capsys):
    pytest.importorskip("pandas")
    server, recordings = Server(), [clip(number, 1.0) for number in range(12)]
    with serve(server) as url:
        results = ask(recordings, url, budget=4 * PRICE).wait(20)
        left = 12 - len(results.rows)
        said = capsys.readouterr().out
        assert said == f"{results.stopped}\n"
        assert said.startswith("Your budget of $0.0034 ended this map: $")
        assert f", and {left} of 12 recordings remain unasked. Raise budget= " in said
        assert results.error is None
        table = results.table()
        assert list(table["name"]) == [f"clip {number}" for number in range(12)]
        assert list(table["status"]).count("unfinished") == left == len(results.unfinished)
        assert all(row.name in results._repr_html_() for row in results.unfinished)
        assert results.stopped in repr(results)
        again = ask(recordings, url).wait(20)
        assert (again.stopped, again.unfinished, server.asked) == (None, [], 12)
    assert Counter(table["status"])["completed"] == len(results.rows) > 0


# --- the lock where there is no fcntl


WINDOWS = """
import fcntl, os, struct, sys, types
held = {}
def locking(file, how, size):
    place = (os.fstat(file).st_ino, os.lseek(file, 0, os.SEEK_CUR))
    assert place[1] == 2**31 - 2 and size == 1
    if how == 2 and held.setdefault(place, file) != file:
        raise OSError(13, "Permission denied")
    if how == 0:
        assert held.pop(place) == file
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, LK_UNLCK=0, locking=locking)
import rtnb.texts.files, socket, tempfile
sys.platform = "win32"
import rtnb.jobs.rows as rows
sys.platform = "linux"
one, two = rows.RowsFile("r.jsonl"), rows.RowsFile("r.jsonl")
assert one.take() and one.take() and not two.take()
two._mine = (0, two._mine[1])  # as in another process
try:
    two.take()
except rows.InputError as refused:
    print(refused)
one.append(rows.Row("k", "n", "completed"))
one.release()
assert two.take() and len(two.read()) == 1
two.release()
assert not held
"""


def test_on_windows_a_byte_past_the_end_is_locked():
    env = {**os.environ, "JPY_SESSION_NAME": "talk.ipynb"}
    done = subprocess.run([sys.executable, "-c", WINDOWS], capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The file r.jsonl is in use: a map of talk.ipynb (process ")


def test_it_waits_for_money_that_others_hold_and_may_be_cancelled_meanwhile():
    budget, other, server = rtnb.Budget(1.0), Hold(), Server()
    other.take(budget, 0.9999)
    with serve(server) as url:
        waits = ask(TWELVE, url, budget=budget)
        until(lambda: server.opened == 4)
        assert (server.asked, waits.done) == (0, False)
        waits.cancel()
        with pytest.raises(InputError, match="cancelled"):
            waits.wait(20)
        goes_on = ask(TWELVE, url, budget=budget)
        other.release()
        assert [len(goes_on.wait(20).rows), goes_on.stopped, server.asked] == [12, None, 12]


def test_two_maps_share_a_budget_and_the_table_says_what_remains(capsys):
    budget, server = rtnb.Budget(8 * PRICE), Server()
    with serve(server) as url:
        one, two = (ask(TWELVE[half : half + 6], url, budget=budget, out=f"{half}.jsonl") for half in (0, 6))
        rows = [*one.wait(20), *two.wait(20)]
    assert len(rows) + len(one.unfinished) + len(two.unfinished) == 12
    assert 0 < server.asked == len(rows) <= 8
    assert budget.spent == pytest.approx(server.asked * PRICE)
    assert budget.spent <= budget.limit_usd
    assert capsys.readouterr().out.count("remain unasked") == bool(one.unfinished) + bool(two.unfinished)


def test_a_file_that_holds_something_else_is_not_written_to(tmp_path):
    path = rtnb.samples()["question"].save(tmp_path / "mine.wav")
    before, server = path.read_bytes(), Server()
    with serve(server) as url, pytest.raises(InputError, match="holds something other than rows"):
        ask(TWELVE[:1], url, out=path)
    assert path.read_bytes() == before
    assert server.asked == 0


@pytest.mark.parametrize("question", [TWELVE[0], None, 5])
def test_a_question_that_is_no_text_is_refused_at_the_call(question):
    with pytest.raises(InputError, match=r"Say what to do with the recordings|of type"):
        rtnb.map(TWELVE[:1], question, practice=True)
