"""Every public signature is known to type checkers, editors and IPython, and every error declares what it carries."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dialogue import serve
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import rtnb
from rtnb import errors

PACKAGE = Path(rtnb.__file__).parent
ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, Warning | errors.RtnbError)
}


# --- signatures ------------------------------------------------------------------------------------------------------


def test_the_stub_names_what_the_package_has():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: (node.module, alias.asname) for node in imports for alias in node.names}
    # A stub passes on what is imported under its own name, and what it assigns.
    passed_on = {name: home for name, (home, again) in homes.items() if again == name}
    renamed = {node.targets[0].id: node.value.id for node in stub.body if isinstance(node, ast.Assign)}
    passed_on |= {name: f"{homes[there][0]}:{there}" for name, there in renamed.items()}
    catalogue = {"keys": "rtnb", "models": "rtnb", "costs": f"rtnb:{rtnb._MODULES['costs']}"}
    assert passed_on == {name: f"rtnb.{home}" for name, home in rtnb._HOME.items()} | catalogue


PROGRAM = """
import rtnb

reveal_type(rtnb.ask)
reveal_type(rtnb.connect(voice="marin"))
reveal_type(rtnb.transcribe("talk.m4a", practice=True).segments)
reveal_type(rtnb.InputError("No.").limit_usd)
reveal_type(rtnb.ToolFailed("No.").problem)
reveal_type(rtnb.costs.Usage().total_tokens)
rtnb.connect(voise="marin")
rtnb.ask("Hi", speed="fast")
"""


def test_mypy_knows_every_signature(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir",
        tmp_path / "cache",
        "--ignore-missing-imports",
        "--no-site-packages",
        program,
    ]
    told = subprocess.run(mypy, cwd=PACKAGE.parent, capture_output=True, text=True, check=False).stdout
    revealed = [line.partition("Revealed type is ")[2].strip('"') for line in told.splitlines() if "Revealed" in line]
    assert revealed[0].startswith("def (*parts: Any, response: ")
    assert "'voice'?: str | None" in revealed[0]
    assert revealed[0].endswith("-> rtnb.session.reply.Reply")
    assert revealed[1:] == [
        "rtnb.session.session.Session",
        "list[rtnb.jobs.subtitles.Segment]",
        "Any",
        "str | None",
        "int",
    ]
    wrong = [line.partition(" error: ")[2] for line in told.splitlines() if "program.py" in line and ": error:" in line]
    assert len(wrong) == 2
    assert wrong[0].startswith('Unexpected keyword argument "voise" for "connect"')
    assert wrong[1].startswith('Argument "speed" to "ask" has incompatible type "str"')


@pytest.fixture(scope="module")
def shell():
    shell = InteractiveShell()
    shell.user_ns["rtnb"] = rtnb
    return shell


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("rtnb.ask(vo", ["voice="]),
        ("rtnb.connect(turn", ["turn_detection="]),
        ("rtnb.map(instr", ["instructions="]),
        ("rtnb.call(vo", ["voice="]),
        ("rtnb.transcribe(repl", ["replay=", "replay_speed="]),
        ("rtnb.translate(prac", ["practice="]),
        ("rtnb.transcribe(vo", []),
    ],
)
def test_ipython_completes_the_options(shell, typed, completed):
    with provisionalcompleter():
        assert [found.text for found in shell.Completer.completions(typed, len(typed))] == completed


@pytest.mark.parametrize("function", [rtnb.ask, rtnb.connect, rtnb.map, rtnb.transcribe, rtnb.translate])
def test_the_docstring_describes_every_parameter(function):
    described = inspect.getdoc(function).partition("Args:")[2].partition("Returns:")[0]
    for name, parameter in inspect.signature(function).parameters.items():
        assert f"\n    {'*' if parameter.kind is parameter.VAR_POSITIONAL else ''}{name}: " in described
    assert "**" not in described


def test_an_option_that_does_not_exist_is_named_with_the_function():
    with pytest.raises(
        TypeError, match=r"^Your argument voice= is none that transcribe\(\) takes\. It takes: source, "
    ):
        rtnb.transcribe("talk.m4a", voice="marin")


@pytest.mark.parametrize("modalities", ["text", ["text"], ("text",)])
def test_modalities_are_taken_in_the_apis_own_form(modalities, tmp_path):
    asked = []

    def script(talk):
        asked.append(talk.open()["output_modalities"])
        talk.take_message()
        asked.append(talk.answer("Yes.").get("response", {}).get("output_modalities"))

    with serve(script) as url:
        with rtnb.connect(url=url, modalities=modalities) as chat:
            assert chat.ask("Hi", modalities=modalities).wait(10).text == "Yes."
        assert rtnb.ask("Hi", url=url, modalities=modalities, show=False).wait(10).text == "Yes."
    assert asked == [["text"], ["text"], ["text"], None]


@pytest.mark.parametrize("modalities", ["video", ["audio", "text"], []])
def test_other_modalities_are_refused(modalities):
    for call in (
        lambda: rtnb.ask("Hi", modalities=modalities),
        lambda: rtnb.map(rtnb.samples()["question"], "What?", modalities=modalities),
    ):
        with pytest.raises(errors.InputError, match="is not one the API takes") as refused:
            call()
        assert refused.value.modalities == modalities


# --- errors ----------------------------------------------------------------------------------------------------------


def test_every_error_is_public():
    assert {name: getattr(rtnb, name) for name in ERRORS} == ERRORS
    assert set(ERRORS) < set(rtnb.__all__)


def raised():
    """Find where an error is made with details: its class, their names, and the place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name in ERRORS and node.keywords:
                    yield ERRORS[name], {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


def test_errors_declare_what_they_carry():
    made = list(raised())
    assert len(made) > 40
    undeclared = {
        place: names
        for kind, details, place in made
        if (names := details - {None} - set(inspect.get_annotations(kind)))
    }
    assert undeclared == {}


@pytest.mark.parametrize("kind", [kind for kind in ERRORS.values() if inspect.get_annotations(kind)])
def test_an_attribute_that_was_not_given_is_there_and_described(kind):
    error = kind("Your test failed.")
    for name in inspect.get_annotations(kind):
        assert getattr(error, name) in (None, "", 0.0, ())
        assert f"\n        {name}: " in kind.__doc__


# --- docstrings ------------------------------------------------------------------------------------------------------


def exists(name):
    """Return whether `rtnb.NAME` is a module, or reached from one attribute by attribute."""
    found, at = rtnb, "rtnb"
    for part in name.split("."):
        at += f".{part}"
        try:
            found = getattr(found, part) if hasattr(found, part) else importlib.import_module(at)
        except ImportError:
            return False
    return True


def test_docstrings_name_what_exists():
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, kinds)
        for name in re.findall(r"\brtnb\.([A-Za-z_][\w.]*\w)", ast.get_docstring(node) or "")
    }
    assert {"connect", "models.VOICES"} <= named
    assert [name for name in sorted(named) if not exists(name)] == []


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rtnb.language(5), "Your name=5 is of type int, which language() does not take. Give text or None."),
        (
            lambda: rtnb.find_key(apikey="sk-1"),
            "Your argument apikey= is none that find_key() takes. Did you mean key=?",
        ),
        (lambda: rtnb.limit_kernel("1"), "Your limit_usd='1' is of type str, which limit_kernel() does not take."),
        (lambda: rtnb.check(1.1), "Your number=1.1 is of type float, which check() does not take. Give text."),
        (lambda: rtnb.prices(goen=True), "Your argument goen= is none that prices() takes. Did you mean gone=?"),
    ],
)
def test_small_functions_refuse_a_wrong_call_in_words_too(call, sentence):
    with pytest.raises(errors.ArgumentError) as refused:
        call()
    assert str(refused.value).startswith(sentence)


def test_a_whole_number_may_be_written_as_a_float():
    assert len(rtnb.Clip.silence(1.0).peaks(10.0)) == 10
    with rtnb.practice(port=0.0, engines=False) as server:
        assert isinstance(server.port, int)


def test_an_answer_may_be_truncated_at_a_fraction_of_a_millisecond():
    with rtnb.connect(practice=True) as chat:
        reply = chat.ask("Hello.").wait(20)
        (turn,) = (turn for turn in chat.turns if turn.role == "assistant")
        event = chat.truncate(turn.item_id, turn.audio_ms / 3).wait(20)
        assert event["type"] == "conversation.item.truncated"
        assert reply.status == "completed"


@pytest.mark.parametrize("name", ["models", "keys", "costs"])
def test_a_module_that_sentences_name_is_there_in_a_fresh_process(name):
    subprocess.run([sys.executable, "-c", f"import rtnb; rtnb.{name}"], check=True)


def test_a_method_is_named_by_the_class_that_the_user_has():
    with rtnb.connect(practice=True) as chat:
        reply = chat.ask("Hello.").wait(20)
        for wrong, name in ((lambda: reply.wait(5, 6), "Reply.wait()"), (lambda: chat.commit(5), "Session.commit()")):
            with pytest.raises(errors.ArgumentError, match=f"^Your call of {re.escape(name)} does not fit"):
                wrong()
    with pytest.raises(errors.ArgumentError) as refused:
        rtnb.Clip.read()
    assert "cls=" not in str(refused.value)
