"""The public surface: names, parameters, options, errors and saved files, reached as a user reaches them.

`surface/names.toml` is the list. Nothing here names a module inside the package, so that all of it holds wherever the
code is; what is added to the package needs no line here, what the list names stays.
"""

import argparse
import inspect
import json
import math
import pickle
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dialogue import serve

import rtnb
from rtnb import cli, costs, errors, keys, models

ROOT = Path(__file__).resolve().parents[1]
FILES = Path(__file__).parent / "surface"
SURFACE = tomllib.loads((FILES / "names.toml").read_text("utf-8"))
MODULES = {"costs": costs, "models": models, "keys": keys}


# --- parameters ------------------------------------------------------------------------------------------------------


def read_parameters(text):
    """Read a line of the list as Python reads it: `"path, *, sound='flac'"`."""
    return inspect.signature(eval(f"lambda {text}: None"))


def spread(signature):
    """Return the parameters as a caller meets them: those by position in order, those by name in any order.

    `**connection` stands for the options of `rtnb.connect`, whether it is written so or one by one.
    """
    places, names = [], {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and parameter.name == "connection":
            options = read_parameters(SURFACE["functions"]["rtnb.connect"])
            names = {name: option.default for name, option in options.parameters.items()} | names
        elif parameter.kind is parameter.KEYWORD_ONLY:
            names[parameter.name] = parameter.default
        else:
            places.append((parameter.name, parameter.kind.name, parameter.default))
    return places, {name: default for name, default in names.items() if name not in {place[0] for place in places}}


def test_nothing_public_is_lost():
    public = {name.split(".")[1] for name in SURFACE["functions"] if name.startswith("rtnb.")}
    assert public | {"Session"} <= set(rtnb.__all__)
    assert set(rtnb.__all__) <= set(dir(rtnb))
    assert all(callable(getattr(rtnb, name)) for name in public)
    assert isinstance(rtnb.__version__, str)
    with pytest.raises(AttributeError, match="module 'rtnb' has no attribute 'no_such_name'"):
        _ = rtnb.no_such_name


@pytest.mark.parametrize("name", SURFACE["functions"])
def test_functions_take_what_they_took(name):
    found = {"rtnb": rtnb, **MODULES}[name.partition(".")[0]]
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    assert spread(inspect.signature(found)) == spread(read_parameters(SURFACE["functions"][name]))


def test_a_connection_option_that_does_not_exist_is_refused():
    for call in (rtnb.ask, rtnb.connect):
        with pytest.raises(TypeError, match="no_such_option"):
            call(practice=True, no_such_option=1)


def test_the_facts_of_the_catalogue():
    assert models.get(models.DEFAULT).name == models.DEFAULT == "gpt-realtime-2.1-mini"
    assert {"marin", "cedar"} <= set(models.VOICES)
    assert keys.lookup("sk-not-a-key").reveal() == "sk-not-a-key"
    assert keys.lookup(environ={}, folder=".") is None


def test_what_readme_and_notebooks_name_exists():
    pages = [ROOT / "README.md", ROOT / "notebooks/TEACHING.md", ROOT / "notebooks/ENGINES.md"]
    texts = [*pages, *sorted((ROOT / "notebooks/source").glob("*.md"))]
    text = "\n".join(path.read_text("utf-8") for path in texts)
    named = set(re.findall(r"(?<![\w./-])rtnb\.([a-z]\w+)(?=\()", text))
    assert len(named) > 10
    assert not [name for name in sorted(named) if not hasattr(rtnb, name)]
    for name, module in MODULES.items():
        named = set(re.findall(rf"(?<![\w/]){name}\.(\w+)", text)) - {"py", "toml"}
        assert named
        assert not [found for found in sorted(named) if not hasattr(module, found)]


# --- what functions return -------------------------------------------------------------------------------------------


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


WEATHER = "What is the weather in Paris?"
PICTURE = ROOT / "notebooks/images/card_and_call.png"
APPROVAL = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "files", "name": "read", "arguments": "{}"}


def wants_approval(talk):
    talk.open()
    talk.take_message()
    talk.answer(output=[APPROVAL])


@pytest.fixture
def returned(tmp_path):
    """Everything a user gets into the hands, by the name it has in the list."""
    question = rtnb.samples()["question"]
    server = {"type": "mcp", "server_label": "files", "server_url": "https://mcp.example/sse"}
    with serve(wants_approval) as url, rtnb.connect(url=url, tools=[server]) as chat:
        approval = chat.ask("Read my notes.").wait(10).approvals[0]
    with rtnb.connect(replay=FILES / "session.rtnb", replay_speed=math.inf, tools=[weather]) as chat:
        reply = chat.ask(WEATHER).wait(10)
        piece = next(iter(reply))
    with rtnb.practice(engines=False, pace=200) as practice:
        with rtnb.connect(url=practice.url) as spoken:
            spoken.ask("Hello").wait(10)
            handle = spoken.send({"type": "input_audio_buffer.clear"})
            handle.wait(10)
        timeline = spoken.timeline()
        transcription = rtnb.transcribe(question, url=practice.url).wait(10)
        translation = rtnb.translate(question, to="fr", url=practice.url).wait(10)
        call = rtnb.call(url=practice.url, show=False)
        report = rtnb.doctor(url=practice.url)
    results = rtnb.map([FILES / "question.opus"], "What is it?", out=results_file(tmp_path), **MAP).wait(10)
    usage, model = reply.usage, models.get(models.DEFAULT)
    return {
        "Session": chat,
        "Conversation": chat.conversation,
        "Turns": chat.turns,
        "Turn": chat.turns[0],
        "Response": reply.responses[0],
        "Log": chat.log,
        "Entry": chat.log[0],
        "Limits of a session": chat.limits,
        "Bill": chat.bill,
        "Item of a bill": chat.bill[0],
        "Usage": usage,
        "Cost": reply.cost,
        "Line of a cost": reply.cost.lines[0],
        "Comparison": costs.compare(usage),
        "Estimate": rtnb.estimate(seconds_in=60),
        "Budget": costs.Budget(1.0),
        "PriceTable": rtnb.prices(),
        "Reply": reply,
        "Piece": piece,
        "ToolCall": reply.tool_calls[0],
        "Tool": next(iter(chat.tools)),
        "Toolbox": chat.tools,
        "Approval": approval,
        "Handle": handle,
        "Timeline": timeline,
        "Span": timeline.spans[0],
        "Mark": timeline.marks[0],
        "Clip": question,
        "Check of a clip": question.check(),
        "Samples": rtnb.samples(),
        "Image": rtnb.Image.read(PICTURE),
        "Transcription": transcription,
        "Segment": transcription.segments[0],
        "Translation": translation,
        "Results": results,
        "Row": results[0],
        "Call": call,
        "UploadBox": rtnb.upload(),
        "RecordBox": rtnb.record(),
        "Practice": practice,
        "Report": report,
        "Finding": report.findings[0],
        "Verdict": rtnb.check("01.1"),
        "Key": rtnb.find_key("sk-not-a-key"),
        "Model": model,
        "Limits of the API": models.limits(),
    }


# What Python and IPython do with an object, and the methods by which they do it.
PROTOCOLS = {
    "await": ("__await__",),
    "for": ("__iter__",),
    "async for": ("__aiter__",),
    "with": ("__enter__", "__exit__"),
    "async with": ("__aenter__", "__aexit__"),
    "len": ("__len__",),
    "[]": ("__getitem__",),
    "in": ("__contains__",),
    "+": ("__add__",),
    "shown": ("_repr_html_", "_repr_mimebundle_"),  # one of them
}


def lacks(thing, name):
    """Return what `thing` has not of its entry in the list."""
    entry = SURFACE["returned"][name]
    found = sorted(set(entry["names"].split()) - set(dir(thing)))
    for protocol in filter(None, entry.get("does", "").split(", ")):
        has = [getattr(type(thing), special, None) is not None for special in PROTOCOLS[protocol]]
        if not (any(has) if protocol == "shown" else all(has)):
            found.append(protocol)
    for method, parameters in entry.get("methods", {}).items():
        is_there = spread(inspect.signature(getattr(thing, method)))
        if is_there != spread(read_parameters(parameters)):
            found.append(f"{method}({parameters}): {is_there}")
    return found


def test_what_functions_return_has_its_names(returned):
    assert set(returned) == set(SURFACE["returned"])
    assert {name: missing for name, thing in returned.items() if (missing := lacks(thing, name))} == {}


def test_sessions_clips_and_pictures_are_what_the_package_names(returned):
    assert [type(returned[name]) for name in ("Session", "Clip", "Image")] == [rtnb.Session, rtnb.Clip, rtnb.Image]


def test_a_conversation_reads_events_by_itself(returned):
    fold, reply = type(returned["Conversation"])(), returned["Reply"]
    for event in reply.events:
        fold.apply(event)
    assert fold.turns[-1].words == reply.text == "Weather says: sunny in Paris."


# --- the command line ------------------------------------------------------------------------------------------------


class ParserFound(Exception):
    """Thrown where the command line begins to read its words."""


def describe(action):
    """Return an option as the list has it: its spellings, what it takes, its default."""
    text = "/".join(action.option_strings) or action.dest
    text += {"?": " [VALUE]" if action.option_strings else "?", 0: "", None: " VALUE"}.get(action.nargs, action.nargs)
    text = text.removesuffix(" VALUE") if not action.option_strings else text
    text += " again" if type(action).__name__ == "_AppendAction" else ""
    text += f" of {', '.join(map(str, action.choices))}" if action.choices else ""
    plain = action.nargs == 0 or action.default in (None, [], argparse.SUPPRESS)
    return text if plain else f"{text} = {action.default!r}"


def describe_commands(parser, name="rtnb"):
    yield name, [describe(action) for action in parser._actions if not isinstance(action.choices, dict)]
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for word, below in action.choices.items():
                yield from describe_commands(below, f"{name} {word}")


def test_every_command_has_its_options(monkeypatch):
    def caught(self, *args, **more):
        parsers.append(self)
        raise ParserFound

    parsers = []
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", caught)
    with pytest.raises(ParserFound):
        cli.main([])
    commands = dict(describe_commands(parsers[0]))
    assert set(commands) >= set(SURFACE["commands"])
    for name, options in SURFACE["commands"].items():
        assert sorted(commands[name]) == sorted(options)


def test_the_command_line_can_be_run_as_a_module_and_is_installed_as_rtnb():
    ran = subprocess.run([sys.executable, "-m", "rtnb.cli", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == f"rtnb {rtnb.__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"rtnb": "rtnb.cli:main"}


# --- saved files -----------------------------------------------------------------------------------------------------


def replay(call, *parts, **options):
    return call(*parts, replay=FILES / options.pop("file"), replay_speed=math.inf, **options)


TURNS = """\
user: Hello
assistant: I am the practice voice, not a language model. Hello! What would you like to practise?
user: What is the capital of Norway?
assistant: I heard: “What is the capital of Norway?” A practice voice cannot answer that; a model could.
user: What is the weather in Paris?
assistant: weather({"city":"Paris"})
tool: sunny in Paris
assistant: Weather says: sunny in Paris.
user: Repeat after me: yes
assistant: yes.""".splitlines()


def test_a_recording_of_a_session_replays(tmp_path):
    with replay(rtnb.connect, file="session.rtnb", tools=[weather]) as chat:
        replies = [chat.ask(part).wait(10) for part in ("Hello", FILES / "question.opus", WEATHER)]
        replies.append(chat.ask("Repeat after me: yes", modalities="audio").wait(10))
        assert [f"{turn.role}: {turn.words}" for turn in chat.turns] == TURNS
        assert [turn.type for turn in chat.turns[5:7]] == ["function_call", "function_call_output"]
        assert (chat.model, chat.source) == ("gpt-realtime-2.1", "replay")
        assert chat.cost.usd == pytest.approx(0.006081066666666667)
        assert (chat.usage.input_tokens, chat.usage.cached_tokens, chat.usage.output_tokens) == (833, 576, 100)
        again = chat.save(tmp_path / "again.rtnb")
    assert replies[1].transcript == "What is the capital of Norway?"
    assert replies[2].tool_calls[0].output == "sunny in Paris"
    assert [reply.audio is None for reply in replies] == [True, True, True, False]
    assert replies[3].audio.seconds == pytest.approx(0.5, abs=0.05)
    with rtnb.connect(replay=again, replay_speed=math.inf) as chat:
        assert chat.ask("Hello").wait(10).text == TURNS[1].removeprefix("assistant: ")


def test_recordings_of_a_transcription_and_a_translation_replay():
    question = FILES / "question.opus"
    written = replay(rtnb.transcribe, question, file="transcription.rtnb").wait(10)
    assert written.text == "What is the capital of Norway?"
    assert [(segment.start_seconds, segment.end_seconds) for segment in written.segments] == [(0.0, 1.5)]
    spoken = replay(rtnb.translate, question, to="fr", file="translation.rtnb").wait(10)
    assert (spoken.text, spoken.source_text) == ("Quelle est la capitale ?", "What is the capital of Norway?")
    assert spoken.audio.seconds == pytest.approx(1.0)


MAP = {"model": "gpt-realtime-2.1-mini", "url": "ws://127.0.0.1:9/v1/realtime", "show": False}


def results_file(folder):
    return shutil.copy(FILES / "results.jsonl", folder / "results.jsonl")


def test_a_results_file_of_map_is_taken_up_where_it_ended(tmp_path):
    path = Path(results_file(tmp_path))
    before = path.read_text("utf-8").splitlines()
    asked = []

    def script(talk):
        talk.open()
        asked.append(len(talk.take_sound()))
        talk.take_message()
        talk.answer("Silence.")

    clips = [FILES / "question.opus", rtnb.Clip.silence(0.3), rtnb.Clip.silence(0.5)]
    with serve(script) as url:
        results = rtnb.map(clips, "What is it?", out=path, **{**MAP, "url": url}).wait(10)
    # Two are answered in the file; the third failed, so that it alone is asked again.
    assert (results.skipped, asked) == (2, [24_000])
    assert [row.text for row in results] == [json.loads(before[0])["text"], json.loads(before[1])["text"], "Silence."]
    assert results[0].usd == pytest.approx(json.loads(before[0])["usd"])
    after = path.read_text("utf-8").splitlines()
    assert after[:-1] == before
    assert list(json.loads(after[-1])) == list(json.loads(before[0]))
    assert json.loads(after[-1]).items() >= {"name": "silence", "status": "completed", "source": "127.0.0.1"}.items()


# --- errors ----------------------------------------------------------------------------------------------------------

ERRORS = {
    "RtnbError": ("Exception", {}),
    "RtnbWarning": ("UserWarning", {}),
    "InputError": ("RtnbError ValueError", {}),
    "AudioError": ("RtnbError ValueError", {"name": "", "problem": ""}),
    "KeyMissing": ("RtnbError", {"looked": ()}),
    "KeyRefused": ("RtnbError", {"code": None}),
    "ConnectionFailed": ("RtnbError ConnectionError", {"code": None, "reason": "", "url": ""}),
    "ServerError": ("RtnbError", {"type": "", "code": None, "param": None, "event": None}),
    "ResponseFailed": ("RtnbError", {"reply": None, "code": None}),
    "BudgetExceeded": ("RtnbError", {"limit_usd": 0.0, "spent_usd": 0.0, "reply": None}),
    "ToolFailed": ("RtnbError", {"tool": "", "arguments": ""}),
    "ReplayError": ("RtnbError", {}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_keep_their_bases_their_data_and_their_words(name):
    bases, data = ERRORS[name]
    kind = getattr(errors, name)
    assert [base.__name__ for base in kind.__bases__] == bases.split()
    assert {attribute: getattr(kind, attribute) for attribute in data} == data
    given = {} if name == "RtnbWarning" else {**dict.fromkeys(data, "x"), "more": ["y"]}
    words = "Your words. Do this."
    copy = pickle.loads(pickle.dumps(kind(words, **given)))
    assert (type(copy), str(copy), copy.args, vars(copy)) == (kind, words, (words,), given)
    if given:
        assert str(kind("Your key sk-proj-abcd1234efgh5678 is refused.")) == "Your key sk-proj-… is refused."


def test_the_two_errors_of_the_package_are_those_of_its_errors():
    assert (rtnb.RtnbError, rtnb.AudioError) == (errors.RtnbError, errors.AudioError)
