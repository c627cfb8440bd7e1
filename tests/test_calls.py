"""Whatever is called wrongly says so by its own name, at the call; and what is given is read, or refused in words."""

import base64
import inspect
import math
import os
import traceback
from enum import Enum

import numpy as np
import pytest
from dialogue import serve

import rtnb
from rtnb import models
from rtnb.errors import ArgumentError, AudioError, InputError
from rtnb.protocol import frames
from rtnb.session.parts import read_parts, read_recordings

QUESTION = rtnb.samples()["question"]
WAV = QUESTION.encode("wav")
NOWHERE = "ws://127.0.0.1:9"
CALLED = {name: getattr(rtnb, name) for name in rtnb.__all__}
# Errors are caught and not made; they take any data.
CALLED = {name: one for name, one in CALLED.items() if not (isinstance(one, type) and issubclass(one, Exception))}
CALLED |= {"models.price": models.price, "models.Rate": models.Rate}


@pytest.mark.parametrize("name", CALLED)
def test_everything_public_refuses_a_wrong_name_in_the_call_itself(name):
    with pytest.raises(ArgumentError, match=r"^Your argument no_such_name= is none that ") as refused:
        CALLED[name](no_such_name=1)
    assert f" {name.rpartition('.')[2]}() takes." in str(refused.value)
    assert refused.value.argument == "no_such_name"
    called = [frame.name for frame in traceback.extract_tb(refused.value.__traceback__)]
    assert called[1:] == ["called"], "the user's line, and the one that refuses"


@pytest.mark.parametrize("name", CALLED)
def test_everything_public_refuses_too_many_or_takes_any_number(name):
    kinds = {parameter.kind for parameter in inspect.signature(CALLED[name]).parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return
    with pytest.raises(ArgumentError, match=r"\(\) does not fit: too many positional arguments"):
        CALLED[name](*range(20))


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: rtnb.Budget(limit=1), "Did you mean limit_usd=?"),
        (lambda: rtnb.Budget(), "Name its arguments: limit_usd=, parent=."),
        (lambda: rtnb.Clip(), "Or make one with Clip.read() or Clip.from_pcm() or Clip.from_array() or "),
        (lambda: rtnb.Clip(np.zeros(5, np.int16), sr=8000), "Did you mean rate_hz=?"),
        (lambda: rtnb.Image(5), "Or make one with Image.read()."),
        (lambda: rtnb.Image("a.png"), "Or make one with Image.read()."),
        (lambda: rtnb.Tool(print), "Or make one with Tool.from_function()."),
        (lambda: rtnb.Tool("a", "b", [], print), "Give a dict."),
        (lambda: rtnb.Tool("a", "b", {}, print, timeout=math.nan), "is no number of seconds."),
        (lambda: rtnb.Tool.from_function(print, name=5), "Give text or None."),
        (lambda: rtnb.Tool.from_function(lambda: 1, name="one", timeout=math.inf), "None is no limit."),
        (lambda: rtnb.Conversation(1), "Give a function or None."),
        (lambda: rtnb.Session(), "missing a required argument: 'where'"),
        (lambda: rtnb.samples("question"), "It takes none."),
        (lambda: rtnb.samples()[1.5], "Take one of: "),
        (lambda: rtnb.run(5), "Give what can be awaited, such as main() of an async def main()."),
        (lambda: rtnb.run(main), "Give what can be awaited, such as main() of an async def main()."),
        (lambda: rtnb.check([], 1), "Give text."),
        (lambda: rtnb.prices(["a"]), "Your names=['a'] is of type list, which prices() does not take. Give text."),
        (lambda: rtnb.prices("a", 5), "Your names=5 is of type int"),
        (lambda: rtnb.connect(approve=[1], url=NOWHERE), "Give a function or None."),
        (lambda: rtnb.estimate(None), "Your NoneType is no recording."),
        (lambda: rtnb.estimate(QUESTION, None), "Your NoneType is no recording."),
        (lambda: rtnb.estimate(seconds_in=math.nan), "lengths of 0 or more, each below 1e9."),
        (lambda: rtnb.estimate(seconds_out=math.inf), "lengths of 0 or more, each below 1e9."),
        (lambda: rtnb.estimate(instructions_tokens=-1), "lengths of 0 or more, each below 1e9."),
        (lambda: rtnb.Image.read("a\0b.png"), "Check the path."),
    ],
)
def test_what_a_wrong_call_meant_is_said(call, meant):
    with pytest.raises((InputError, AudioError)) as refused:
        call()
    assert meant in str(refused.value)


async def main():
    raise InputError("mine")


def test_an_error_of_the_users_own_coroutine_keeps_its_lines():
    with pytest.raises(InputError, match="mine") as raised:
        rtnb.run(main())
    assert "main" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]


@pytest.mark.parametrize("digits", [400, 6000])
@pytest.mark.parametrize(
    "call",
    [
        lambda number: rtnb.Budget(number),
        lambda number: rtnb.limit_kernel(number),
        lambda number: rtnb.connect(budget=number, url=NOWHERE),
        lambda number: rtnb.connect(speed=number, url=NOWHERE),
        lambda number: rtnb.ask(number, url=NOWHERE),
        lambda number: rtnb.estimate(turns=number),
        lambda number: rtnb.estimate(seconds_in=-number),
        lambda number: rtnb.map([QUESTION], "What?", concurrency=number, url=NOWHERE),
        lambda number: rtnb.Clip.silence(number),
        lambda number: rtnb.practice(port=number),
        lambda number: rtnb.join([QUESTION], gap_seconds=number),
        lambda number: models.price("mine", per_minute_usd=number),
    ],
)
def test_a_number_too_large_for_anything_is_refused_without_its_digits(call, digits):
    with pytest.raises(InputError, match=r"300 digits") as refused:
        call(10**digits)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "prices",
    [
        {"text": ("a", "b", "c")},
        {"text": (1, 2, 3, 4)},
        {"audio": (-1, 2, 3)},
        {"image": (math.nan,)},
        {"text": "abc"},
        {"per_minute_usd": -0.1},
        {"per_minute_usd": math.inf},
    ],
    ids=str,
)
def test_a_price_is_an_amount_of_money(prices):
    with pytest.raises(InputError, match=r"^Your price is no amount|Rate\(\) does not take|Rate\(\) does not fit"):
        models.price("mine-and-wrong", **prices)
    assert not models.get("mine-and-wrong").known


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"like": ["a"]}, "Give text or None."),
        ({"text_in": 1}, "Did you mean text=?"),
        ({"text": 1}, "Give a Rate or a list or None."),
        ({"per_minute_usd": "a"}, "Give a number or None."),
        ({"like": "nobody"}, "says nothing"),
    ],
    ids=str,
)
def test_a_price_says_what_it_takes(given, why):
    with pytest.raises(InputError) as refused:
        models.price("mine-and-wrong", **given)
    assert why in str(refused.value)


def test_prices_are_stated_in_each_form():
    rate = models.Rate(0.6, None, 2.4)
    for text in ((0.6, None, 2.4), [0.6, None, 2.4], rate, np.array([0.6, 0.06, 2.4])):
        stated = models.price("mine", text=text, per_minute_usd=0.006).prices
        assert stated.text.output == 2.4
        assert stated.per_minute_usd == 0.006


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"provider": "x"}, "Your provider 'x' is not known"),
        ({"provider": "x", "practice": True}, "Your provider 'x' is not known"),
        ({"provider": "x", "url": NOWHERE}, "Your provider 'x' is not known"),
        ({"provider": ""}, "Your provider '' is not known"),
        ({"provider": "azure"}, "Your provider='azure' has no address. Give it as url=."),
        ({"replay_speed": -1}, "Your replay_speed=-1 is not a number above 0"),
        ({"replay_speed": 0}, "Your replay_speed=0 is not a number above 0"),
        ({"replay_speed": math.nan}, "Your replay_speed=nan is not a number above 0"),
        ({"timeout": 0}, "Your timeout 0 is not above 0"),
        ({"timeout": math.nan}, "Your timeout nan is no number of seconds"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused_by_all_that_take_them(no_key, wrong, why):
    for call in (
        lambda: rtnb.connect(**wrong),
        lambda: rtnb.ask("Hello", show=False, **wrong),
        lambda: rtnb.map([QUESTION], "What?", out=None, show=False, **wrong),
        lambda: rtnb.transcribe(QUESTION, **wrong),
        lambda: rtnb.translate(QUESTION, to="es", **wrong),
    ):
        with pytest.raises(InputError) as refused:
            call()
        assert why in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"speed": 100}, "Your speed=100 is out of range"),
        ({"tools": [1]}, "is not a function"),
        ({"voice": "marrin"}, "Did you mean 'marin'"),
        ({"turn_detection": "x"}, "Your turn_detection='x' is not one the API knows"),
        ({"session": {"a": math.nan}}, "which JSON cannot carry"),
        ({"session": {"max_output_tokens": True}}, "is no number of tokens"),
        ({"session": {"audio": None}}, "Your session"),
        ({"instructions": "\ud800"}, "which JSON cannot carry"),
    ],
    ids=str,
)
def test_map_refuses_at_the_call_what_no_session_could_be_opened_with(no_key, wrong, why, tmp_path):
    with pytest.raises(InputError) as refused:
        rtnb.map([QUESTION], "What?", practice=True, show=False, **wrong)
    assert why in str(refused.value)
    assert not [*tmp_path.iterdir()]


def test_map_takes_no_recording_as_its_question():
    with pytest.raises(InputError, match="question"):
        rtnb.map([QUESTION], QUESTION, url=NOWHERE)


@pytest.mark.parametrize("tokens", [True, False, 0, -5, 5.5, "5", "Inf", 2.0, [5], {"most": 5}], ids=str)
def test_a_limit_of_tokens_is_a_whole_number_or_inf(tokens):
    wanted = {"max_output_tokens": tokens}
    with serve(lambda talk: talk.open()) as url, rtnb.connect(url=url) as chat:
        for call in (
            lambda: chat.ask("Hello", response=wanted),
            lambda: chat.respond(**wanted),
            lambda: chat.side("Hello", response=wanted),
            lambda: chat.update(**wanted),
            lambda: chat.send({"type": "response.create", "response": wanted}),
            lambda: chat.send({"type": "session.update", "session": wanted}),
            lambda: rtnb.connect(url=url, session=wanted),
            lambda: rtnb.ask("Hello", url=url, response=wanted, show=False),
        ):
            with pytest.raises(InputError, match=r"max_output_tokens'\]=.* is no number of tokens\. Give a whole one"):
                call()
        assert "response.create" not in [entry.type for entry in chat.log]


@pytest.mark.parametrize("tokens", [1, 100, np.int64(100), "inf", None, Enum("Most", {"ALL": "inf"}).ALL])
def test_other_limits_of_tokens_are_sent_as_they_are(tokens):
    assert frames.plain({"max_output_tokens": tokens}, "response")["max_output_tokens"] in (1, 100, "inf", None)
    schema = {"tools": [{"parameters": {"properties": {"max_output_tokens": {"type": "integer"}}}}]}
    assert frames.plain(schema, "session") == schema


@pytest.mark.parametrize(
    ("usd", "shown"), [(1e-9, "$0.000000001"), (3.7e-8, "$0.000000037"), (1.23e-6, "$0.0000012"), (0.0045, "$0.0045")]
)
def test_an_amount_of_money_shows_more_than_noughts(usd, shown):
    assert repr(rtnb.Budget(usd)) == f"Budget($0 of {shown} spent)"


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300])
def test_a_wait_for_no_number_of_seconds_is_refused(seconds):
    with serve(lambda talk: talk.open()) as url, rtnb.connect(url=url) as chat:
        reply = chat.ask("Hello")
        for one in (chat, reply):
            with pytest.raises(InputError, match=r"^Your timeout \S+ is no number of seconds\..* None is no limit\.$"):
                one.wait(seconds)


def test_what_json_cannot_carry_is_refused_without_its_digits():
    for number in (2**64, 10**400, 10**6000, -(10**6000)):
        with pytest.raises(
            InputError, match=r"^Your session\['a'\] is a number of more than 64 bits \(int\), which JSON"
        ):
            frames.plain({"a": number}, "session")


# --- recordings in texts ---------------------------------------------------------------------------------------------


def base64_of(data, *, lines=False, urls=False, padded=True):
    text = (base64.urlsafe_b64encode if urls else base64.encodebytes if lines else base64.b64encode)(data).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "opus", "m4a"])
@pytest.mark.parametrize("form", [{}, {"lines": True}, {"urls": True}, {"padded": False}], ids=str)
def test_a_recording_in_bare_base64_is_one(kind, form):
    data = QUESTION.encode(kind)
    text = f"  {base64_of(data, **form)}\n"
    (step,) = read_parts([text])
    assert bytes(step.source) == data
    assert rtnb.Clip.read(text).seconds == pytest.approx(QUESTION.seconds, abs=0.1)
    assert rtnb.estimate(text).usage.input_audio_tokens > 0
    (recording,) = read_recordings([text])
    assert bytes(recording.source) == data


def test_a_picture_in_bare_base64_is_one_too():
    png = (b"\x89PNG\r\n\x1a\n" + bytes(100)).ljust(200, b"\1")
    (step,) = read_parts([base64_of(png)])
    assert step.content[0]["type"] == "input_image"


@pytest.mark.parametrize(
    "spoilt", [lambda text: text[:-3] + "!", lambda text: text + " Summarize it.", lambda t: t[:81]]
)
def test_base64_that_cannot_be_read_is_refused(spoilt):
    text = spoilt(base64_of(WAV))
    with pytest.raises((InputError, AudioError)) as refused:
        rtnb.ask(text, url=NOWHERE, show=False).wait(20)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    "words",
    [
        "Taumatawhakatangihangakoauauotamateaturipukakapikimaungahoronukupokaiwhenuakitanatahu",
        base64_of(b"Nothing but a long text, written in base64 for whatever reason there may be."),
        "0123456789abcdef" * 8,
        "UklGR",
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j",
        "A" * 500,
    ],
)
def test_other_long_words_stay_words(words):
    (step,) = read_parts([words])
    assert step.content == ({"type": "input_text", "text": words},)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["new\nline.wav", "two\n\nlines", "tab\tin.wav", " blank.wav", "q%20.wav", "quoted'.wav", "50 %", "a#b.wav", "?"],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_file_with_a_recording_in_it_is_one_whatever_its_name(folder, name):
    (folder / name).write_bytes(WAV)
    for text in (name, f"./{name}", str(folder / name)):
        (step,) = read_parts([text])
        assert step.source.read_bytes() == WAV
        (step,) = read_recordings([text])
        assert step.source.read_bytes() == WAV


@pytest.mark.parametrize(
    "url", ["file://q.wav", "FILE://q.wav", "'file://q.wav'", "file:q.wav", "file://localhost{}/q.wav"]
)
def test_a_file_url_is_the_file(folder, url):
    (folder / "q.wav").write_bytes(WAV)
    (step,) = read_parts([url.format(folder)])
    assert step.source.read_bytes() == WAV


@pytest.mark.parametrize(
    "url", ["file://missing.wav", "file://missing", "file:///no/such/thing", "file://localhost/no.such"]
)
def test_a_file_url_of_nothing_is_refused(folder, url):
    with pytest.raises(InputError, match="there is no such file"):
        read_parts([url])


@pytest.mark.parametrize("words", ["file: see below", "file:", "Line one\nline two.wav", "a\nb"])
def test_other_words_stay_words(folder, words):
    (step,) = read_parts([words])
    assert step.content[0]["text"] == words


@pytest.mark.parametrize(
    "address", ["s3://bucket/a.wav", "gs://bucket/a.wav", "abfss://c@a.net/a.wav", "hdfs://h/a.mp3"]
)
def test_an_address_is_not_downloaded_by_what_cannot_download_it(address):
    for call in (lambda: read_parts([address]), lambda: read_recordings(address), lambda: rtnb.Clip.read(address)):
        with pytest.raises((InputError, AudioError)) as refused:
            call()
        assert "urlretrieve" not in str(refused.value)
        assert f"with a program for {address.partition('/')[0]}//" in str(refused.value)


def test_words_as_bytes_are_not_looked_for_on_disk():
    for given in (b"Hello there, how are you?", {"note.txt": b"Hello there, how are you?"}):
        with pytest.raises(AudioError, match=r"plain text.*data\.decode\(\)") as refused:
            read_parts([given])
        assert "Path(" not in str(refused.value)


# --- what JSON has not -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type": "x", "a": NaN}',
        b'{"type": "x", "a": [1, -Infinity]}',
        b'{"type": "x", "a": ' + b"9" * 6000 + b"}",
        b'{"type": "x", "a": 1e999}',
        b'\xef\xbb\xbf{"type": "x"}',
        b'{"type": "x", "a": "\\ud83d"}',
        b'{"type": "x", "a": "\xff"}',
    ],
)
def test_what_is_said_of_an_odd_event_is_true_of_each_oddity(frame):
    notes = []
    assert frames.loads(frame, notes.append)["type"] == "x"
    (note,) = notes
    for what in ("NaN", "a number too large", "half a character", "a byte order mark"):
        assert what in note
