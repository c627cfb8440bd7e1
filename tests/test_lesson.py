"""The lesson that learners without a key hear: it is recorded by a command, is there, and plays back."""

from __future__ import annotations

import pytest

import rtnb
from rtnb.course import lesson, notebooks
from rtnb.errors import ConnectionFailed
from rtnb.recording.load import open_recording


def test_the_lesson_that_ships_plays_back_and_is_named_after_who_answered():
    shipped = rtnb.samples().lesson
    assert shipped.stem == f"lesson-{open_recording(shipped).source}"
    assert shipped.stat().st_size < 200_000
    with rtnb.connect(replay=shipped, replay_speed=50, show=False) as session:
        replies = [
            session.ask(rtnb.samples()["question"]).wait(60),
            session.ask(rtnb.samples()["order"], "Repeat what was ordered.").wait(60),
            session.ask("Count to three.").wait(60),
        ]
    assert all(reply.text and reply.audio.seconds > 0.5 for reply in replies)
    assert {reply.source for reply in replies} == {"replay"}


def test_the_command_records_with_whoever_answers_in_place_of_the_last(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lesson.record, "__defaults__", (tmp_path,))
    (tmp_path / "lesson-openai.rtnb").write_bytes(b"the last one")
    notebooks.main(["--record"])
    made = tmp_path / "lesson-practice.rtnb"
    assert capsys.readouterr().out.splitlines()[-1] == str(made)
    assert list(tmp_path.iterdir()) == [made]
    assert [event.type for event in open_recording(made).events].count("response.done") == 3


def test_a_lesson_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    last = tmp_path / "lesson-practice.rtnb"
    last.write_bytes(b"the last one")
    with rtnb.practice(engines=False, faults="drop:12") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-practice")
        with pytest.raises(ConnectionFailed):
            lesson.record(tmp_path)
    assert last.read_bytes() == b"the last one"
