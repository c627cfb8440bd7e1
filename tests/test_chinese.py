"""What a user reads in Chinese: errors, warnings, tables, reports; English is left in code, names and speech alone."""

from __future__ import annotations

import contextlib
import errno
import html as entities
import io
import os
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_dollars import DEAR, PLACES

import rtnb
from rtnb import Budget, Clip, Image, cli
from rtnb.errors import RtnbError, RtnbWarning
from rtnb.protocol import error_events, frames, server_events
from rtnb.server.faults import FAULTS
from rtnb.session.tools import Toolbox
from rtnb.transport import connection_errors
from rtnb.web import urls
from rtnb.web.origins import OriginCheck

# In quotes, in brackets of code, before a bracket or an equals sign, with a dot or an underscore in it: names and code.
_CODE = (
    r"“[^”]*”|‘[^’]*’|'[^']*'|\"[^\"]*\"|`[^`]*`|%pip install [\w -]+|pip install \w+|https?://\S+|wss?://\S*"
    r"|[\w.]*\w\([^()]*\)|\([^()]*\)|\{[^{}]*\}|\[[^\[\]]*\]|\w+=\S*|\w*[._/]\w[\w./]*|/\S+"
)


_OF_THE_SYSTEM = re.compile("|".join(re.escape(os.strerror(number)) for number in errno.errorcode))


@pytest.fixture(autouse=True)
def chinese():
    rtnb.language("zh")
    yield
    rtnb.language("auto")


def english_in(text, words):
    """Runs of so many English words outside code, names and quoted speech."""
    text = _OF_THE_SYSTEM.sub(" · ", text)
    while text != (text := re.sub(_CODE, " · ", text)):
        pass
    return re.findall(rf"(?:\b[A-Za-z]{{2,}}[ ]){{{words - 1},}}[A-Za-z]{{2,}}\b", text)


TONE = Clip.from_array(np.sin(np.arange(24_000) / 10) / 2, rate_hz=24_000)


class Odd:
    """Of no type that rtnb knows."""


def fail(error):
    raise error


def waited(begun):
    begun.wait(20)


def nameless(x: Odd) -> str:
    """A tool with a type that JSON cannot carry."""
    return ""


ERRORS = {
    "language": lambda: rtnb.language("fr"),
    "unknown argument": lambda: rtnb.ask("hi", api_key="x"),
    "unknown argument of none": lambda: rtnb.samples(x=1),
    "a type": lambda: rtnb.connect(model=3),
    "a number": lambda: rtnb.connect(budget="much"),
    "taken no more": lambda: rtnb.connect(temperature=0.5),
    "too many": lambda: rtnb.samples(1),
    "one too few": lambda: rtnb.translate(TONE),
    "made otherwise": lambda: Image(),
    "an address of another kind": lambda: rtnb.connect(url="ftp://x"),
    "no port": lambda: rtnb.practice(port=-1),
    "no fault": lambda: rtnb.practice(faults="x"),
    "spent": lambda: Budget(0.001).add(0.002),
    "does not cover": lambda: Budget(0.00001).check_before(1.0),
    "floats": lambda: Clip.from_pcm((TONE.array / 32768).astype("<f4").tobytes(), rate_hz=24_000),
    "a list": lambda: rtnb.map(3, "hi"),
    "many digits": lambda: rtnb.connect(timeout=10**400),
    "timeout": lambda: rtnb.connect(timeout=0, practice=True),
    "no fit": lambda: rtnb.check(),
    "no price": lambda: rtnb.models.price("x"),
    "price": lambda: rtnb.models.price("x", text=-1),
    "budget": lambda: Budget(-1),
    "budget text": lambda: Budget("much"),
    "estimate": lambda: rtnb.estimate(seconds_in=-1, seconds_out=1, turns=1),
    "exercise": lambda: rtnb.check("99.9", 1),
    "things": lambda: rtnb.check("01.1", 1, 2, 3),
    "sample": lambda: rtnb.samples()["nothing"],
    "no file": lambda: Clip.read("nothing.wav"),
    "folder": lambda: Clip.read("/tmp"),
    "address": lambda: Clip.read("https://example.org/a.wav"),
    "device": lambda: Clip.read("/dev/null"),
    "no recording": lambda: Clip.read(Odd()),
    "not a sound": lambda: Clip.read(b"hello there, this is text"),
    "empty": lambda: Clip.read(b""),
    "zeros": lambda: Clip.read(bytes(500)),
    "pdf": lambda: Clip.read(b"%PDF-1.7 and so on"),
    "zip": lambda: Clip.read(b"PK\x03\x04" + bytes(90)),
    "gzip": lambda: Clip.read(b"\x1f\x8b" + bytes(90)),
    "picture": lambda: Clip.read(b"\x89PNG" + bytes(90)),
    "midi": lambda: Clip.read(b"MThd" + bytes(90)),
    "page": lambda: Clip.read(b"<!doctype html><html>login</html>"),
    "json": lambda: Clip.read(b'{"a": 1}'),
    "lfs": lambda: Clip.read(b"version https://git-lfs.github.com/spec/v1"),
    "text file": lambda: Clip.read(io.StringIO("hello")),
    "bare": lambda: Clip.from_pcm(TONE.encode("wav"), rate_hz=24_000),
    "rate": lambda: Clip.from_pcm(b"12", rate_hz=0),
    "channels": lambda: Clip.from_pcm(b"12", rate_hz=24_000, channels=0),
    "shape": lambda: Clip.from_array(np.zeros((3, 3, 3)), rate_hz=24_000),
    "channels of an array": lambda: Clip.from_array(np.zeros((4000, 4000)), rate_hz=24_000),
    "dtype": lambda: Clip.from_array(np.array(["a"]), rate_hz=24_000),
    "loud": lambda: Clip.from_array(np.full(100, 300.0), rate_hz=24_000),
    "join": lambda: rtnb.join([]),
    "index": lambda: TONE["a"],
    "silence": lambda: Clip.silence(-1),
    "ending": lambda: TONE.save("a.xyz"),
    "no ending": lambda: TONE.save("a"),
    "empty clip": lambda: Clip.from_pcm(b"", rate_hz=24_000).encode("mp3"),
    "no folder": lambda: TONE.save(f"{__file__}/a.wav"),
    "image": lambda: Image.read(3),
    "image file": lambda: Image.read("nothing.png"),
    "image bytes": lambda: Image.read(b"nothing"),
    "detail": lambda: Image.read(b"\x89PNG", detail="much"),
    "no question": lambda: rtnb.ask(practice=True),
    "blank": lambda: rtnb.ask(" ", practice=True),
    "a part": lambda: rtnb.ask(Odd(), practice=True),
    "samples alone": lambda: rtnb.ask(np.zeros(9), practice=True),
    "missing file": lambda: rtnb.ask("missing.wav", practice=True),
    "an address": lambda: rtnb.ask("https://example.org/a.wav", practice=True),
    "base64": lambda: rtnb.ask("data:audio/wav;base64,UklGR", practice=True),
    "map": lambda: rtnb.map([TONE], " ", practice=True),
    "concurrency": lambda: rtnb.map([TONE], "What?", concurrency=999, practice=True),
    "transcribe": lambda: rtnb.transcribe(TONE, model="gpt-realtime-2.1", practice=True),
    "translate": lambda: rtnb.translate(TONE, to="", practice=True),
    "translate model": lambda: rtnb.translate(TONE, to="es", model="gpt-realtime-2.1", practice=True),
    "provider": lambda: rtnb.connect(provider="nobody"),
    "no address": lambda: rtnb.connect(provider="azure"),
    "url": lambda: rtnb.connect(url="http//x"),
    "port": lambda: rtnb.connect(url="ws://host:99999/"),
    "space": lambda: rtnb.connect(url="ws://a b/"),
    "no text": lambda: urls.parse(3, ("ws",), "ws://localhost:8000"),
    "key": lambda: rtnb.find_key("sk-'x'"),
    "key line": lambda: rtnb.find_key("sk-abc\ndef"),
    "key kind": lambda: rtnb.find_key(3),
    "masked": lambda: rtnb.find_key("sk-***"),
    "no key": lambda: rtnb.find_key(environ={}, folder="/"),
    "replay": lambda: rtnb.connect(replay="missing.rtnb"),
    "replay file": lambda: rtnb.connect(replay=__file__),
    "replay speed": lambda: rtnb.connect(replay=__file__, replay_speed=0),
    "voice": lambda: rtnb.connect(voice="marina", practice=True),
    "speed": lambda: rtnb.connect(speed=9, practice=True),
    "detection": lambda: rtnb.connect(turn_detection="ears", practice=True),
    "modalities": lambda: rtnb.connect(modalities="smell", practice=True),
    "json value": lambda: frames.plain({"a": Odd()}, "session"),
    "json number": lambda: frames.plain(1 << 70, "session"),
    "json key": lambda: frames.plain({3: 4}, "response"),
    "tool": lambda: Toolbox(tools=[3]),
    "single tool": lambda: Toolbox(tools=nameless),
    "tool name": lambda: Toolbox(tools=[{"type": "function", "name": "a b"}]),
    "tool kind": lambda: Toolbox(tools=[{"type": "x"}]),
    "chat tool": lambda: Toolbox(tools=[{"type": "function", "function": {"name": "x"}}]),
    "mcp label": lambda: Toolbox(tools=[{"type": "mcp"}]),
    "mcp server": lambda: Toolbox(tools=[{"type": "mcp", "server_label": "docs"}]),
    "origin": lambda: OriginCheck(["127.0.0.1"], ["null"]),
    "dropped": lambda: fail(connection_errors.ended(1006, "", url="ws://x")),
    "an hour": lambda: fail(connection_errors.ended(1001, "maximum duration", url="ws://x")),
    "ours": lambda: fail(connection_errors.ended(1009, "big", True, url="ws://x")),
    "pings": lambda: fail(connection_errors.ended(1011, "", True, url="ws://x")),
    "closed": lambda: fail(connection_errors.ended(4000, "Bye.", url="ws://x")),
    "goes on": lambda: fail(connection_errors.goes_on(connection_errors.ended(1000, "", url="ws://x"))),
    "of a reply": lambda: fail(connection_errors.of_reply(connection_errors.ended(1000, "", url="ws://x"), None)),
    "mute": lambda: fail(connection_errors.mute("The server sent nothing for 5 s", "ws://x")),
    "refused key": lambda: fail(
        connection_errors.in_session({"error": {"message": "“Bad.”", "code": "invalid_api_key"}}, 3000, "", "ws://x")
    ),
    "refused model": lambda: fail(
        connection_errors.in_session({"error": {"message": "“Bad.”", "code": "model_not_found"}}, 4000, "", "ws://x")
    ),
    "refused event": lambda: fail(
        error_events.error_from({"error": {"message": "“Bad.”", "code": "c", "param": "item.id"}}, "to delete the item")
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_chinese(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RtnbError) as caught:
            waited(ERRORS[name]())
    assert re.search(r"[一-鿿]", str(caught.value)), str(caught.value)
    assert english_in(str(caught.value), 3) == [], str(caught.value)


def test_there_are_many():
    assert len(ERRORS) > 80


WARNINGS = {
    "int32": lambda: Clip.from_array(np.full(2400, 1000, np.int32), rate_hz=24_000),
    "cut off": lambda: Clip.read(rtnb.samples()["talk"].encode("mp3")[:40_000]),
    "cancelled channels": lambda: Clip.from_array(np.stack([TONE.array, -TONE.array], 1), rate_hz=24_000),
    "budget": lambda: Budget(1).add(rtnb.costs.cost({"input_tokens": 9, "output_tokens": 9}, "unheard-of")),
    "gone": lambda: rtnb.models.warn_shutdown("gpt-4o-realtime-preview"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_is_chinese(name):
    with pytest.warns(RtnbWarning) as caught:
        WARNINGS[name]()
    for one in caught:
        assert re.search(r"[一-鿿]", str(one.message)), str(one.message)
        assert english_in(str(one.message), 3) == [], str(one.message)


# Speech of the samples and of the practice voice, which is English; a session's and a reply's line of code.
SPEECH = {*rtnb.samples().texts.values(), DEAR}
_SAID = r"I am the practice voice[^·\n]*|(?:Session|Reply)\([^)]*\)|moonshine-voice [\w-]+"


def words_of(page):
    """The text of a page and of its labels, with " · " where elements part it, without what is said in it."""
    labels = re.findall(r'(?:aria-label|alt|title|data-plays)="([^"]*)"', page)
    page = re.sub(r"<(script|style|details|pre|code)\b.*?</\1>", " · ", page, flags=re.DOTALL)
    text = re.sub(_SAID, " · ", entities.unescape(" · ".join([re.sub(r"<[^>]*>", " · ", page), *labels])))
    for speech in sorted(SPEECH, key=len, reverse=True):
        text = text.replace(speech, " · ").replace(speech[:39], " · ")
    return text


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("bundle",)])
def test_what_is_shown_is_chinese(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for page in PLACES[place](monkeypatch):
        assert english_in(words_of(page or ""), 2) == [], words_of(page)


def test_the_report_of_the_doctor_is_chinese(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    report = rtnb.doctor(url="ws://127.0.0.1:9/v1/realtime", timeout=1)
    assert english_in(repr(report), 3) == [], repr(report)
    assert english_in(words_of(report._repr_html_()), 3) == []


def test_a_timeline_and_a_check_are_chinese_as_text(tmp_path):
    reply = rtnb.ask(TONE, practice=True, show=False).wait()
    for text in (repr(reply.timeline()), repr(TONE.check()), repr(rtnb.prices()), repr(reply.session.bill)):
        assert english_in(re.sub(_SAID, "", text), 2) == [], text
    saved = Path(reply.timeline().save(tmp_path / "talk.html")).read_text("utf-8")
    assert '<html lang="zh">' in saved


SERVERS_WORDS = ["Download quota exceeded for this project.", "it is too late. Remove the slash", "The file x is gone"]


@pytest.mark.parametrize("words", SERVERS_WORDS)
def test_what_a_server_says_stays_as_it_is(words):
    event = {"error": {"message": words, "code": "c", "param": None}}
    errors = [error_events.error_from(event, "the answer"), connection_errors.in_session(event, 4000, "", "ws://x")]
    ended = connection_errors.ended(4000, words, url="ws://x")
    for error in (*errors, ended, connection_errors.goes_on(ended)):
        assert words in str(error)
        assert english_in(str(error).replace(words, " · "), 2) == []


@pytest.mark.parametrize("name", ["spent", "does not cover"])
def test_a_budget_that_is_over_is_told_as_one_sentence(name):
    with pytest.raises(RtnbError, match=r"^你的预算 \$[\d.]+ ?(?:已用完|不够用)：已花 \$"):
        ERRORS[name]()


def test_the_file_comes_first_where_it_is_damaged():
    with pytest.warns(RtnbWarning, match=r"^文件 \(bytes\) 不完整：末尾.*；已读取"):
        WARNINGS["cut off"]()


@pytest.mark.parametrize("name", ["too many", "one too few", "floats", "a number", "an address of another kind"])
def test_no_english_word_is_left_between_chinese(name):
    with pytest.raises(RtnbError) as caught:
        ERRORS[name]()
    assert re.findall(r"(?<![\w.'])(?:or|an?|and|is|floats|missing|arguments)(?![\w.'=])", str(caught.value)) == []


def test_what_is_not_over_is_told_in_chinese():
    with pytest.raises(TimeoutError, match=r"[一-鿿]"):
        rtnb.ask("hi", practice=True, show=False).wait(1e-6)


def test_a_price_that_is_not_known_is_told_in_chinese():
    assert "price unknown" not in rtnb.estimate(TONE, model="my-model")._repr_html_()


def test_odd_events_are_told_in_chinese():
    _, odd = server_events.read({"type": "response.output_text.delta", "delta": 3})
    assert odd
    assert english_in(rtnb.texts.language.translate(odd[0]), 2) == []


def shown_by_name():
    """Every public object that shows itself as a line, as a user meets it."""

    def weather(city: str) -> str:
        return "rain"

    session = rtnb.connect(practice=True, show=False, tools=[weather], transcription=True)
    reply = session.ask(rtnb.samples()["weather"]).wait()
    again = session.ask("Hello there.", modalities="text").wait()
    made = {
        "box": rtnb.upload(),
        "empty box": rtnb.upload(sample=False),
        "recorder": rtnb.record(),
        "empty recorder": rtnb.record(sample=False),
        "budget": Budget(1),
        "key": rtnb.find_key("sk-proj-0123456789abcdef"),
        "server": rtnb.practice(),
        "estimate": rtnb.estimate(TONE),
        "estimate of many": rtnb.estimate(seconds_in=9, seconds_out=9, turns=3),
        "stream": rtnb.audio.open_stream(io.BytesIO(TONE.encode("wav"))),
        "map": rtnb.map([TONE], "What?", out=None, show=False, practice=True).wait(),
        "transcription": rtnb.transcribe(rtnb.samples()["order"], practice=True).wait(),
        "translation": rtnb.translate(rtnb.samples()["order"], to="es", practice=True).wait(),
        "picture": Image.read(b"\x89PNG\r\n\x1a\n" + bytes(40)),
        "limits": rtnb.money.limits.Limits.of([{"name": "tokens", "limit": 9, "remaining": 3, "reset_seconds": 1}]),
        "no limits": rtnb.money.limits.Limits.of([]),
        "usage": rtnb.costs.Usage(9, 9, cached_text_tokens=3, output_text_tokens=9, reasoning_tokens=3),
        "call": rtnb.call(),
    }
    of_session = ("log", "usage", "cost", "limits", "error")  # what shows words is looked at elsewhere
    made |= {f"session.{name}": getattr(session, name) for name in of_session}
    of_reply = ("audio", "usage", "cost", "warnings")
    made |= {f"reply.{name}": getattr(reply, name) for name in of_reply}
    return made | {"session": session, "reply": reply, "answer": again, "clip": TONE}


def test_every_public_object_names_itself_in_chinese(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, thing in shown_by_name().items():
        told = repr(thing)
        for speech in SPEECH:
            told = told.replace(speech, "")
        # The words of an answer, a class, a key, quotes, an address, a model or a file.
        told = re.sub(r"(?s)(?<=[):])[:：]? [A-Z].*|\b[A-Z]\w*\(|sk-\S*|'[^']*'|wss?:\S*|\w+=", " ", told)
        words = set(re.findall(r"[A-Za-z]{3,}", re.sub(r"\w*[-_./]\w[\w./-]*", " ", told)))
        code = {"practice", "open", "ready", "completed", "token", "None", "weather", "png", "picture", "kHz"}
        assert words <= code | {"clip", "array", "results", "voice", "order", "answer"}, f"{name}: {thing!r}"


COMMANDS = [
    ["--help"],
    *[[name, "--help"] for name in ("demo", "practice", "doctor", "prices", "notebooks")],
    ["demo", "missing.wav"],
    ["demo", "--practice", "--out", "answer.wav", "QUESTION"],
    ["notebooks", "course"],
    ["notebooks", "course"],
    ["doctor", "--url", "ws://127.0.0.1:9"],
    ["prices"],
]


def test_the_command_line_is_chinese(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    question = str(rtnb.samples()["question"].save(tmp_path / "q.mp3"))
    for words in COMMANDS:
        with contextlib.suppress(SystemExit):
            cli.main([question if word == "QUESTION" else word for word in words])
        printed = "".join(capsys.readouterr())
        assert re.search(r"[一-鿿]", printed), words
        # What Python itself says around it has a language of its own.
        told = re.sub(r"usage:(?:.*\n)+?\n|options:|show .*? exit|program's version.*", "", printed)
        told = told.replace("positional arguments:", "").replace("OpenAI Realtime API", "").replace("jupyter lab", "")
        told = re.sub(r" --?\w[\w-]*(?: [A-Z_]+)?|^ +[a-z_]+ ", " · ", told, flags=re.MULTILINE)
        told = re.sub(_SAID + r"|[^·\n]*Summarize this audio content[^·\n]*|回答： .*", " · ", told)
        assert english_in(told, 2) == [], (words, told)


def test_the_practice_server_says_its_address_in_chinese(monkeypatch, capsys):
    monkeypatch.setattr(threading.Event, "wait", lambda *_: True)  # at once, as after SIGTERM
    assert cli.main(["practice", "--port", "0", "--no-engines"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("练习服务器：ws://127.0.0.1:")
    assert english_in(re.sub(r"(?m)^  .*$", "", printed), 2) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_described_in_chinese(fault):
    assert FAULTS[fault] in rtnb.texts.language.sentences("zh")


def test_a_bill_counts_in_chinese():
    spent = rtnb.costs.cost(rtnb.costs.Usage(9, 9, output_text_tokens=9), "gpt-realtime-2.1")
    assert [row[1] for row in spent.rows()] == ["9 个 token"] * 3
    assert rtnb.costs.cost_of_minutes(90, "gpt-realtime-translate").rows()[0][1] == "1.50 分钟"
