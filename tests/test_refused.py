"""What is no event, setting, pattern or file is refused at the call, in words, and nothing is printed."""

import pytest

import rtnb
from rtnb.errors import AudioError, InputError

SETTINGS = [
    {"audio": 5},
    {"audio": {"input": 5}},
    {"audio": {"output": "loud"}},
    {"audio": {"input": {"transcription": 5}}},
    {"audio": {"input": {"transcription": {"model": [5]}}}},
    {"audio": {"input": {"turn_detection": "server_vad"}}},
    {"turn_detection": "server_vad"},
    {"input_audio_transcription": ["whisper-1"]},
    {"tools": 5},
    {"tools": {"name": "weather"}},
]
CALLS = {
    "approve": lambda chat: chat.approve([5]),
    "approve_text": lambda chat: chat.approve("all"),
    "truncate_nan": lambda chat: chat.truncate("item", float("nan")),
    "truncate_inf": lambda chat: chat.truncate("item", float("inf")),
    "append_event": lambda chat: chat.send({"type": "input_audio_buffer.append", "audio": 5}),
    "log": lambda chat: chat.log.of(5),
    "log_without": lambda chat: chat.log.of(),
    "bill": lambda chat: chat.bill.compare(5),
    "timeline": lambda chat: chat.timeline().save(5),
    "timeline_without": lambda chat: chat.timeline().save(),
    "timeline_svg": lambda chat: chat.timeline().svg("wide"),
}


@pytest.fixture(scope="module")
def chats():
    with (
        rtnb.connect(practice=True, show=False) as chat,
        rtnb.connect(practice=True, show=False, budget=1) as paid,
    ):
        yield chat, paid


@pytest.mark.parametrize("wanted", SETTINGS, ids=str)
def test_settings_in_another_form_are_refused_before_anything_is_sent(chats, wanted, capfd):
    for chat in chats:
        sent = len(chat.log.of("session.update"))
        for call in (
            lambda chat=chat: chat.update(**wanted),
            lambda chat=chat: chat.send({"type": "session.update", "session": wanted}),
            lambda chat=chat: chat.respond(**wanted),
            lambda chat=chat: chat.ask("Hi", response=wanted),
            lambda: rtnb.connect(practice=True, session=wanted),
        ):
            with pytest.raises(InputError, match=r"^Your \w+\[.* Give a (dict|list|str)\.$"):
                call()
        assert len(chat.log.of("session.update")) == sent
        assert chat.update(instructions="Be brief.").wait(60)["type"] == "session.updated"
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_is_refused_at_the_call(chats, name):
    with pytest.raises(InputError, match=r"^Your "):
        CALLS[name](chats[0])


def test_a_transcription_and_a_translation_refuse_a_wrong_call():
    recording = rtnb.samples()[0]
    for job in (rtnb.transcribe(recording, practice=True), rtnb.translate(recording, to="es", practice=True)):
        with pytest.raises(InputError, match=r"Your path=5 is of type int"):
            job.save(5)
        job.cancel()
    with pytest.raises(InputError, match=r"Your call of Transcription\.srt\(\) does not fit"):
        rtnb.transcribe(recording, practice=True).srt(5)


@pytest.mark.parametrize("event", [{}, {"type": 5}, {"type": None}, 5, None, [], "response.done"], ids=repr)
def test_a_conversation_refuses_what_is_no_event(event):
    with pytest.raises(ValueError, match="no JSON object with a type"):
        rtnb.Conversation().apply(event)


def test_a_file_that_opens_and_cannot_be_read_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "torn.wav"
    path.write_bytes(b"RIFF")

    class Torn:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, size):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(path), "open", lambda self, mode: Torn())
    for call in (rtnb.Clip.read, lambda path: rtnb.ask(path, practice=True)):
        with pytest.raises(AudioError, match=r"torn\.wav cannot be read as sound: .*\(input/output error\)"):
            call(str(path))
