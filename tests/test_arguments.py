"""A wrong call is refused by the function that was called, with what was meant, before anything begins."""

import inspect
import traceback

import numpy as np
import pytest
from dialogue import serve

import rtnb
from rtnb import errors
from rtnb.audio import samples
from rtnb.errors import ArgumentError, InputError, ServerError

QUESTION = samples()["question"]
NOWHERE = "ws://127.0.0.1:9"


@pytest.fixture
def chat():
    """A session that nobody answers: what is refused is refused before it matters."""
    with serve(lambda talk: talk.open()) as url, rtnb.connect(url=url) as session:
        yield session


def ask(**arguments):
    return rtnb.ask("Hello", url=NOWHERE, show=False, **arguments)


MEANT = [
    (ask, "api_key", "key="),
    (ask, "openai_api_key", "key="),
    (rtnb.connect, "base_url", "url="),
    (ask, "prompt", "a part (it has no name) or instructions="),
    (ask, "question", "a part (it has no name)"),
    (ask, "audio", "a part (it has no name)"),
    (rtnb.connect, "prompt", "instructions="),
    (rtnb.connect, "system_prompt", "instructions="),
    (ask, "max_output_tokens", 'response={"max_output_tokens": …} or session={"max_output_tokens": …}'),
    (rtnb.connect, "max_tokens", 'session={"max_output_tokens": …}'),
    (rtnb.connect, "modality", "modalities="),
    (rtnb.connect, "output_modalities", "modalities="),
    (rtnb.connect, "push_to_talk", "turn_detection=None"),
    (rtnb.call, "ptt", "turn_detection=None"),
    (ask, "language", 'instructions="Answer in …"'),
    (ask, "voise", "voice="),
    (ask, "Voice", "voice="),
    (ask, "instruction", "instructions="),
    (ask, "cost_limit", None),
    (ask, "max_cost", "budget="),
    (lambda **given: rtnb.map(QUESTION, "What?", **given), "results", "out="),
    (lambda **given: rtnb.map(QUESTION, "What?", **given), "max_workers", "concurrency="),
    (lambda **given: rtnb.map(prompt="What?", **given), "files", "clips="),
    (rtnb.transcribe, "file", "source="),
    (lambda **given: rtnb.transcribe(QUESTION, **given), "lang", "language="),
    (lambda **given: rtnb.translate(QUESTION, **given), "target_language", "to="),
    (rtnb.call, "api_key", "key="),
    (rtnb.call, "captions", "transcription=True"),
    (rtnb.record, "samples", "sample="),
    (rtnb.upload, "several", None),
    (rtnb.upload, "multi", "multiple="),
    (rtnb.practice, "api_key", "key="),
    (rtnb.practice, "brain_url", "brain="),
    (rtnb.doctor, "api_key", "key="),
    (rtnb.estimate, "seconds", "seconds_in="),
    (rtnb.estimate, "clip", "a part (it has no name)"),
    (lambda **given: rtnb.join([QUESTION], **given), "gap", "gap_seconds="),
    (lambda **given: rtnb.Clip.from_array([0.0], **given), "sr", "rate_hz="),
    (lambda **given: rtnb.Clip.from_pcm(b"", **given), "sample_rate", "rate_hz="),
    (lambda **given: rtnb.Clip.read(b"", **given), "sampling_rate", "rate_hz="),
]


@pytest.mark.parametrize(("call", "name", "meant"), MEANT)
def test_a_wrong_name_is_refused_with_the_right_one(call, name, meant):
    with pytest.raises(ArgumentError) as refused:
        call(**{name: "sk-proj-abcdefgh12345678"})
    said = str(refused.value)
    assert said.startswith(f"Your argument {name}= is none that ")
    assert said.endswith(f" Did you mean {meant}?" if meant else ".")
    assert refused.value.argument == name
    assert isinstance(refused.value, InputError)
    assert isinstance(refused.value, TypeError)
    shown = traceback.TracebackException(*without_our_frames(refused), capture_locals=True)
    assert "sk-proj-abcdefgh" not in "".join(shown.format())


def without_our_frames(refused):
    """Return the error without this file's own frames, which hold what the test gave."""
    frames = refused.value.__traceback__
    while frames is not None and "rtnb" not in frames.tb_frame.f_globals.get("__name__", "").split(".")[0]:
        frames = frames.tb_next
    return refused.type, refused.value, frames


@pytest.mark.parametrize(
    "name", ["shown", "voise", "prompt", "max_output_tokens", "language", "output_file", "timeout"]
)
def test_a_session_refuses_wrong_names_too(chat, name):
    sent = len(chat.log)
    with pytest.raises(ArgumentError, match=rf"^Your argument {name}= is none that Session\.ask\(\) takes\. \w.*[.?]$"):
        chat.ask("Hello", **{name: 1})
    assert [entry.type for entry in chat.log[sent:]] == []


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("side", {"voice": "marin"}),
        ("save", {"format": "opus"}),
        ("append", {"audio": b""}),
        ("create", {"items": []}),
        ("truncate", {"item_id": "x", "ms": 5}),
        ("delete", {"id": "x"}),
        ("approve", {"no": True}),
        ("wait", {"seconds": 1}),
        ("subscribe", {"callback": print}),
        ("commit", {"wait": True}),
    ],
)
def test_every_method_of_a_session_says_what_it_takes(chat, method, arguments):
    with pytest.raises(ArgumentError, match=rf"that Session\.{method}\(\) takes"):
        getattr(chat, method)(**arguments)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: rtnb.connect("gpt-realtime"), r"connect\(\) does not fit: too many positional.*model="),
        (lambda: rtnb.map(QUESTION), r"map\(\) does not fit: missing a required argument: 'prompt'"),
        (lambda: rtnb.translate(QUESTION, "es"), r"translate\(\) does not fit: too many.*to="),
        (lambda: rtnb.translate(QUESTION), "required argument: 'to'"),
        (lambda: rtnb.upload("a.wav"), r"upload\(\) does not fit.*multiple="),
        (lambda: rtnb.call("Be brief."), r"call\(\) does not fit"),
        (lambda: rtnb.practice(8000), r"practice\(\) does not fit.*port="),
        (lambda: rtnb.Clip.from_pcm(b""), "required argument: 'rate_hz'"),
        (lambda: rtnb.Clip.read(), "required argument: 'source'"),
        (lambda: rtnb.join(), "required argument: 'clips'"),
    ],
)
def test_too_many_and_too_few_arguments_are_refused_with_their_names(call, why):
    with pytest.raises(ArgumentError, match=why):
        call()


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": "fast"},
        {"speed": True},
        {"speed": [1.0]},
        {"voice": 5},
        {"voice": ["marin"]},
        {"instructions": ["Be brief."]},
        {"budget": "0.25"},
        {"budget": [1]},
        {"turn_detection": True},
        {"turn_detection": 5},
        {"transcription": 5},
        {"session": "x"},
        {"session": [1]},
        {"practice": "yes"},
        {"reconnect": "no"},
        {"tools": 5},
        {"modalities": 5},
        {"model": 5},
        {"provider": 5},
        {"approve": True},
        {"replay_speed": "1"},
        {"replay": 5},
        {"verbose": "yes"},
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused_at_the_call(wrong):
    ((name, value),) = wrong.items()
    for call in (rtnb.connect, ask):
        with pytest.raises(ArgumentError, match=rf"^Your {name}=.* {type(value).__name__}, .* Give .+\.$") as refused:
            call(**wrong)
        assert refused.value.argument == name


@pytest.mark.parametrize(
    "call",
    [
        lambda: rtnb.map(QUESTION, 5),
        lambda: rtnb.map(QUESTION, "What?", concurrency="4"),
        lambda: rtnb.map(QUESTION, "What?", concurrency=1.5),
        lambda: rtnb.map(QUESTION, "What?", out=5),
        lambda: rtnb.transcribe(QUESTION, language=5),
        lambda: rtnb.transcribe(QUESTION, keywords=5),
        lambda: rtnb.translate(QUESTION, to="es", model=5),
        lambda: rtnb.call(voice=5),
        lambda: rtnb.call(budget="1"),
        lambda: rtnb.call(transcription=5),
        lambda: rtnb.upload(multiple="yes"),
        lambda: rtnb.upload(sample=5),
        lambda: rtnb.record(sample=5),
        lambda: rtnb.practice(port="80"),
        lambda: rtnb.practice(pace="fast"),
        lambda: rtnb.doctor(learners="thirty"),
        lambda: rtnb.doctor(talk=5),
        lambda: rtnb.estimate(turns="5"),
        lambda: rtnb.estimate(seconds_in=[60]),
        lambda: rtnb.join([QUESTION], gap_seconds="1"),
        lambda: rtnb.Clip.silence("1"),
        lambda: QUESTION.resample("48000"),
        lambda: QUESTION.save(5),
        lambda: rtnb.Clip.from_pcm(b"", rate_hz=24_000, channels="2"),
    ],
)
def test_other_functions_refuse_types_too(call):
    with pytest.raises(ArgumentError, match=r"^Your \w+=.* is of type \w+, which [\w.]+\(\) does not take\. Give .+"):
        call()


@pytest.mark.parametrize("turns", [["Hi"], [("user", 5)], [("user",)], [None], [{"role": "user"}]], ids=str)
def test_turns_that_are_none_are_not_seeded(chat, turns):
    with pytest.raises(InputError, match=r"^Your turns"):
        chat.seed(turns)


@pytest.mark.parametrize("key", [0, slice("a", "b"), slice(None, "2"), slice(0, 1, 2), "a"], ids=str)
def test_a_stretch_of_a_clip_is_two_times(key):
    with pytest.raises(InputError, match="Slice a clip in seconds"):
        QUESTION[key]


@pytest.mark.parametrize("models", [["mine"], ("mine",), {"mine"}])
def test_a_tuple_may_be_another_list(models):
    with rtnb.practice(models=models, engines=False) as server:
        assert server.url


def test_what_is_returned_refuses_wrong_calls_too():
    reply = rtnb.ask("Hello", practice=True, show=False).wait(20)
    job = rtnb.transcribe(practice=True)
    for call, name in (
        (lambda: reply.save(), r"Reply\.save"),
        (lambda: reply.save(5), r"Reply\.save"),
        (lambda: reply.wait(seconds=1), r"\.wait\(\)"),
        (lambda: reply.wait("5"), r"\.wait\(\)"),
        (lambda: job.append(audio=b""), r"Transcription\.append"),
        (lambda: rtnb.Image.read("a.png", size=5), r"Image\.read"),
    ):
        with pytest.raises(ArgumentError, match=name):
            call()
    job.cancel()


def test_numbers_of_numpy_are_numbers():
    assert rtnb.estimate(seconds_in=np.float32(60), turns=np.int64(2)).turns == 2
    assert rtnb.Clip.silence(np.float64(0.5)).seconds == 0.5
    assert rtnb.estimate(seconds_in=60, turns=2.0).turns == 2


@pytest.mark.parametrize("voice", ["marrin", "Marin", "MARIN", "allloy", "cedr"])
def test_a_misspelt_voice_is_refused_with_the_right_one(voice):
    with pytest.raises(InputError, match=r"^Your voice='\w+' is none there is\. Did you mean '(marin|alloy|cedar)'\?$"):
        rtnb.ask("Hello", voice=voice, practice=True, show=False)
    with pytest.raises(InputError, match="Did you mean"):
        rtnb.call(voice=voice, practice=True)
    chat = rtnb.connect(practice=True)
    with pytest.raises(InputError, match="Did you mean"):
        chat.ask("Hello", voice=voice)
    chat.close().wait(10)


def test_another_server_may_have_voices_that_are_not_known():
    asked = []
    with serve(lambda talk: asked.append(talk.open())) as url, rtnb.connect(url=url, voice="marin2"):
        pass
    assert asked[0]["audio"]["output"]["voice"] == "marin2"


def test_no_tools_may_be_written_as_none():
    asked = []
    with serve(lambda talk: asked.append(talk.open())) as url, rtnb.connect(url=url, tools=None) as chat:
        assert not chat.tools
    assert "tools" not in asked[0]
    rtnb.call(tools=None, show=False, practice=True)


@pytest.mark.parametrize(
    "session", [{"audio": None}, {"audio": {"input": "x"}}, {"audio": {"output": {"format": "pcm16"}}}], ids=str
)
def test_a_session_object_that_cannot_be_is_refused_in_words(session):
    with pytest.raises(InputError, match=r"^Your session.* (Leave the format out|Give a dict)\.$"):
        rtnb.connect(url=NOWHERE, session=session)


@pytest.mark.parametrize("modalities", ["video", ["audio", "text"]])
def test_modalities_of_one_answer_are_checked_at_the_call(chat, modalities):
    with pytest.raises(InputError, match="is not one the API takes"):
        chat.ask("Hello", modalities=modalities)


def test_a_refused_configuration_says_nothing_of_a_session_that_goes_on():
    def refuse(talk):
        talk.say({"type": "session.created", "session": {"id": "sess_1", "type": "realtime"}})
        event = talk.expect("session.update")
        error = {"type": "invalid_request_error", "message": "No such voice.", "event_id": event["event_id"]}
        talk.say({"type": "error", "error": error})

    with serve(refuse) as url:
        chat = rtnb.connect(url=url, voice="nobody")
        with pytest.raises(ServerError, match=r"refused the session's configuration.*Change what it names") as refused:
            chat.wait(10)
    assert "goes on" not in str(refused.value)


def test_a_wrong_part_opens_nothing():
    talks = []
    with serve(talks.append) as url:
        for part in (None, "missing.wav", {}):
            with pytest.raises(InputError):
                rtnb.ask(part, url=url, show=False)
    assert talks == []


def test_an_estimate_takes_what_ask_takes():
    typed = rtnb.estimate("Summarize this recording in one sentence, please.")
    heard = rtnb.estimate(QUESTION, "Summarize")
    assert heard.usage.input_audio_tokens == pytest.approx(QUESTION.seconds * 10, abs=1)
    assert typed.usage.input_audio_tokens == 0
    assert typed.usage.output_audio_tokens == heard.usage.output_audio_tokens == 400  # 20 s
    assert rtnb.estimate((24_000, QUESTION.array)).usage.input_audio_tokens == heard.usage.input_audio_tokens
    assert rtnb.estimate(QUESTION.encode("wav"), seconds_out=5, turns=2).usage.output_audio_tokens == 100
    assert rtnb.estimate(QUESTION, seconds_in=60).usd > rtnb.estimate(seconds_in=60, seconds_out=20).usd
    with pytest.raises(InputError, match="no such file"):
        rtnb.estimate("missing.wav")


def test_the_error_of_a_wrong_call_is_public_and_signatures_stay():
    assert rtnb.ArgumentError is errors.ArgumentError
    assert list(inspect.signature(rtnb.upload).parameters) == ["multiple", "sample", "wait"]
    assert "Show a box" in rtnb.upload.__doc__
