"""OPENAI_BASE_URL: a school's gateway answers in OpenAI's name, gets its key, and is named; OpenAI gets nothing."""

import re
from urllib.parse import urlsplit

import pytest
from dialogue import serve
from test_keys import NotebookAccessError, TimeoutException, on_colab
from test_transcribe import completed, talk_of
from test_translate import SPEECH, SPOKEN, interpreter

import rtnb
from rtnb import opening
from rtnb.errors import ConnectionFailed, InputError
from rtnb.transport import endpoint

KEY = "sk-proj-" + "Gw4Tq8" * 8  # made up


@pytest.fixture
def set_base(monkeypatch):
    """Set the variable to where a server listens; returns a function that does."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def set_to(url, scheme="http", path="/v1"):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{scheme}://{urlsplit(url).netloc}{path}")

    return set_to


def gateway(seen):
    def script(talk):
        seen.append((talk.path, talk.headers["Authorization"]))
        talk.open()
        talk.take_message()
        talk.answer("Through the gateway.")

    return script


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/openai/v1", "/gate", "/v1/realtime", ""])
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_question_goes_to_it_with_the_key_and_says_so(path, scheme, set_base):
    seen = []
    with serve(gateway(seen)) as url:
        set_base(url, scheme, path)
        reply = rtnb.ask("Hi", modalities="text", show=False).wait(20)
        assert (reply.text, reply.source) == ("Through the gateway.", "127.0.0.1")
    above = path.rstrip("/").removesuffix("/realtime") or "/v1"
    assert seen == [(f"{above}/realtime?model=gpt-realtime-2.1-mini", f"Bearer {KEY}")]


def test_so_does_a_session_of_any_kind(set_base):
    def written(talk):
        assert talk.path == "/v1/realtime?intent=transcription"
        talk.open()
        talk.take_sound("item_1")
        completed(talk, "item_1", "One.")

    with serve(gateway([])) as url:
        set_base(url)
        with rtnb.connect() as chat:
            assert chat.ask("Hi").wait(20).text == "Through the gateway."
    with serve(written) as url:
        set_base(url)
        assert rtnb.transcribe(talk_of(1)).wait(20).text == "One."
    with serve(interpreter) as url:
        set_base(url)
        assert rtnb.translate(SPEECH, to="es").wait(20).audio.pcm == SPOKEN


def test_the_doctor_looks_there_and_says_why(set_base):
    with serve(lambda talk: talk.open()) as url:
        set_base(url)
        report = rtnb.doctor()
        assert report["network"].symptom == "127.0.0.1 reached"
        assert report["address"].symptom == "127.0.0.1"
        assert "OPENAI_BASE_URL" in report["address"].cause
        assert report["model"].state == "ok"
        assert report["key"].symptom == "from the environment (OPENAI_API_KEY)"


def test_what_is_named_in_the_call_goes_before_it(set_base):
    set_base("ws://127.0.0.1:9")
    assert rtnb.ask("Hi", practice=True, modalities="text", show=False).wait(20).source == "practice"
    with serve(gateway([])) as url:
        assert rtnb.ask("Hi", url=url, modalities="text", show=False).wait(20).text == "Through the gateway."


def test_a_gateway_out_of_reach_is_blamed_and_nobody_else_is_asked(set_base):
    set_base("ws://127.0.0.1:9")
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:9 refuses the connection"):
        rtnb.ask("Hi", show=False).wait(20)
    assert "127.0.0.1:9 refuses" in rtnb.doctor()["network"].symptom


@pytest.mark.parametrize("base", ["gateway.school/v1", "ftp://h/v1", "http://h:99999/v1", "http://h h/v1"])
def test_what_is_no_address_is_refused_by_the_name_of_the_variable(base, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", base)
    for call in (rtnb.ask, rtnb.transcribe):
        with pytest.raises(InputError, match=r"^Your OPENAI_BASE_URL "):
            call("Hi" if call is rtnb.ask else SPEECH)
    with pytest.raises(InputError, match=r"^Your OPENAI_BASE_URL "):
        rtnb.doctor()


@pytest.mark.parametrize("base", ["", " ", "https://api.openai.com/v1", "wss://api.openai.com/v1/realtime"])
def test_openais_own_address_changes_nothing(base, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_BASE_URL", base)
    assert opening.find_openai(None) is None
    assert "No API key found" in capsys.readouterr().out
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    base, key = opening.find_openai(None)
    assert endpoint.below(base, "?intent=transcription").endswith("//api.openai.com/v1/realtime?intent=transcription")
    assert key.reveal() == KEY


def test_a_gateway_that_needs_no_key_is_asked_without_one(monkeypatch):
    seen = []
    with serve(gateway(seen)) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url.replace("ws", "http", 1).removesuffix("/realtime"))
        assert rtnb.ask("Hi", modalities="text", show=False).wait(20).text == "Through the gateway."
    assert KEY not in str(seen)


# --- a key that is there and cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "why", "remedy"),
    [
        (NotebookAccessError(), "this notebook has no access to it", "Notebook access"),
        (TimeoutException(), "Colab did not answer", "Colab's own page"),
        (PermissionError(), "Colab did not give it (PermissionError)", "OPENAI_API_KEY"),
    ],
)
def test_why_a_key_could_not_be_read_is_said_with_what_to_do(error, why, remedy, monkeypatch, capsys):
    on_colab(monkeypatch, {"OPENAI_API_KEY": error, "openai": error})
    rtnb.ask("Hi", modalities="text", show=False).wait(20)
    said = capsys.readouterr().out
    assert "No API key could be read" in said
    assert why in said
    assert remedy in said
    found = rtnb.doctor(url=None, timeout=0.2)["key"]
    assert why in found.symptom
    assert remedy in found.remedy


def test_it_is_said_in_chinese_too(monkeypatch, capsys):
    on_colab(monkeypatch, {"OPENAI_API_KEY": NotebookAccessError()})
    rtnb.language("zh")
    try:
        opening.find_openai(None)
    finally:
        rtnb.language("auto")
    said = capsys.readouterr().out
    assert not re.search("[a-z]", re.sub("rtnb|Colab", "", said))
