"""Answers that are read, saved or left before they are there: a sentence says what to write."""

import subprocess
import sys
import threading

import pytest
from dialogue import serve

import rtnb
from rtnb.errors import RtnbWarning


@pytest.fixture
def held():
    """A reply whose server answers when it is let go."""
    go = threading.Event()

    def script(talk):
        talk.open()
        talk.take_message()
        assert go.wait(60)
        talk.answer("Fine.", b"\1\0" * 2400)

    with serve(script) as url, rtnb.connect(url=url, key="sk-test") as chat:
        reply = chat.ask("How are you?")
        yield reply, go
        go.set()
        reply.wait(60)


@pytest.mark.parametrize("name", ["text", "audio"])
def test_what_is_read_before_it_comes_is_said_to_be_empty_once_at_that_line(held, name):
    reply, go = held
    with pytest.warns(RtnbWarning, match=rf"still coming.*\.wait\(\)\.{name}") as said:
        assert not getattr(reply, name)
    assert [warning.filename for warning in said] == [__file__]
    go.set()
    reply.wait(60)
    assert getattr(reply, name)


def test_rtnb_itself_looks_without_a_word(held):
    reply, _ = held
    assert "in_progress" in repr(reply) or "sending" in repr(reply)
    assert "Answer" in reply._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("name", ["answer.txt", "answer.md", "answer.wav"])
def test_nothing_is_saved_of_what_has_not_come(held, name, tmp_path):
    reply, _ = held
    with pytest.raises(rtnb.InputError, match=r"still coming.*\.wait\(\)"):
        reply.save(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def test_a_job_says_the_same(tmp_path):
    job = rtnb.transcribe(practice=True)  # live: nothing comes before something is appended
    with pytest.warns(RtnbWarning, match="still coming"):
        assert job.text == ""
    with pytest.raises(rtnb.InputError, match="still coming"):
        job.save(tmp_path / "words.txt")
    job.finish().wait(60)
    assert job.text == ""


def ran(code):
    """What a script writes to stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    return done.stderr


SILENT = "import rtnb, socket\nserver = socket.create_server(('127.0.0.1', 0))\nurl = f'ws://127.0.0.1:{server.getsockname()[1]}'\n"
ASK = "rtnb.ask('hello', url=url, key='sk-test')"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "kind"),
    [
        (ASK, "Reply"),
        ("chat = rtnb.connect(url=url, key='sk-test')\nchat.ask('hello')", "Reply"),
        ("rtnb.transcribe(rtnb.samples()[0], url=url, key='sk-test')", "Transcription"),
        ("rtnb.map(rtnb.samples()[:1], 'What?', url=url, key='sk-test', out=None)", "Results"),
    ],
)
def test_a_script_that_ends_before_its_answer_says_what_to_write(begun, kind):
    said = ran(SILENT + begun)
    assert f"ended before its answer was there ({kind})" in said
    assert ".wait()" in said
    assert said.count("ended before") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import rtnb\nrtnb.ask('hello', practice=True).wait()",
        "import rtnb\nasync def main():\n    await rtnb.ask('hello', practice=True)\nrtnb.run(main())",
        SILENT + ASK + "\nraise ValueError('of my own')",
    ],
)
def test_one_that_waited_or_failed_hears_nothing_of_it(code):
    assert "ended before" not in ran(code)
