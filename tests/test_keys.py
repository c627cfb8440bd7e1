"""The key is found where people keep it, and shown nowhere."""

import copy
import functools
import io
import logging
import pickle
import sys
import traceback
import types
from pathlib import Path

import pytest

from rtnb.errors import InputError, KeyMissing
from rtnb.keys import Key, find_key, lookup

SECRET = "sk-proj-" + "Zq7Lw2" * 8  # made up
OTHER = "sk-" + "Bt9Rk4" * 8


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder without .env, an environment without keys, no Colab."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_VOICELIVE_API_KEY", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in sys.modules if name == "google.colab" or name.startswith("google.colab.")]:
        monkeypatch.delitem(sys.modules, name)


class SecretNotFoundError(Exception):
    """As in googlecolab/colabtools."""


class NotebookAccessError(Exception):
    """As in googlecolab/colabtools."""


class TimeoutException(Exception):
    """As in googlecolab/colabtools."""


def on_colab(monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str | Exception]) -> list[str]:
    """Put a `google.colab.userdata` in place as Colab has it; returns the names that were asked for."""
    asked: list[str] = []

    def get(name: str) -> str:
        asked.append(name)
        answer = secrets.get(name, SecretNotFoundError(f"Secret {name} does not exist."))
        if isinstance(answer, Exception):
            raise answer
        return answer

    userdata = types.ModuleType("google.colab.userdata")
    userdata.get = get  # type: ignore[attr-defined]
    colab = types.ModuleType("google.colab")
    colab.userdata = userdata  # type: ignore[attr-defined]
    google = types.ModuleType("google")
    google.colab = colab  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google.colab.userdata", userdata)
    return asked


# --- where it is looked for


def test_the_argument_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", OTHER)
    key = find_key(SECRET)
    assert key.reveal() == SECRET
    assert key.source == "the key= argument"
    assert find_key(key) == key


def test_then_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {SECRET}\n")
    key = find_key()
    assert key.reveal() == SECRET
    assert key.source == "the environment (OPENAI_API_KEY)"


def test_then_a_dotenv_file_here_or_above(tmp_path: Path):
    (tmp_path / ".env").write_text(
        f"# mine\nexport OPENAI_API_KEY='{SECRET}'  # made today\nOTHER=1\n", encoding="utf-8"
    )
    deep = tmp_path / "course" / "lesson"
    deep.mkdir(parents=True)
    key = find_key(folder=deep)
    assert key.reveal() == SECRET
    assert key.source == ".env (OPENAI_API_KEY)"


@pytest.mark.parametrize(
    "line",
    [
        f"OPENAI_API_KEY={SECRET}",
        f'OPENAI_API_KEY = "{SECRET}"',
        f"OPENAI_API_KEY={SECRET} # comment",
        f"OPENAI_API_KEY={OTHER}\nOPENAI_API_KEY={SECRET}",
        f"\ufeffOPENAI_API_KEY={SECRET}\r",
    ],
)
def test_dotenv_lines_as_people_write_them(tmp_path: Path, line: str):
    (tmp_path / ".env").write_text(line + "\n", encoding="utf-8")
    assert find_key().reveal() == SECRET


def test_nothing_of_dotenv_reaches_the_environment(tmp_path: Path):
    import os

    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={SECRET}\n", encoding="utf-8")
    find_key()
    assert "OPENAI_API_KEY" not in os.environ


def test_a_dotenv_that_cannot_be_read_is_told(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"OPENAI_API_KEY=\xff\xfe\n")
    with pytest.raises(KeyMissing, match=r"\.env in .* cannot be read \(UnicodeDecodeError\)"):
        find_key()


def test_no_key_anywhere_says_where_it_looked_and_what_to_do():
    with pytest.raises(KeyMissing) as error:
        find_key()
    said = str(error.value)
    assert said.startswith(
        "Your API key was not found. Looked in the environment (OPENAI_API_KEY): not set; .env: no such"
    )
    assert said.endswith("without a key, practice=True works.")
    assert error.value.looked[0] == ("the environment (OPENAI_API_KEY)", "not set")
    assert lookup() is None


def test_an_empty_variable_is_no_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    with pytest.raises(KeyMissing, match=r"OPENAI_API_KEY\): empty"):
        find_key()


def test_azure_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", OTHER)
    with pytest.raises(KeyMissing, match="AZURE_OPENAI_API_KEY"):
        find_key(provider="azure")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "0123456789abcdef0123456789abcdef")
    assert find_key(provider="azure").reveal() == "0123456789abcdef0123456789abcdef"
    # Voice Live takes its own name first, then Azure OpenAI's.
    assert find_key(provider="azure-voice-live").source == "the environment (AZURE_OPENAI_API_KEY)"


# --- on Colab


def test_colab_has_the_key_as_a_secret(monkeypatch: pytest.MonkeyPatch):
    on_colab(monkeypatch, {"OPENAI_API_KEY": SECRET, "openai": OTHER})
    assert find_key().source == "Colab's secret OPENAI_API_KEY"


def test_colab_has_it_under_the_articles_name(monkeypatch: pytest.MonkeyPatch):
    asked = on_colab(monkeypatch, {"openai": SECRET})
    key = find_key()
    assert key.reveal() == SECRET
    assert key.source == "Colab's secret openai"
    assert asked == ["OPENAI_API_KEY", "openai"]


def test_colab_has_no_such_secret(monkeypatch: pytest.MonkeyPatch):
    on_colab(monkeypatch, {})
    with pytest.raises(KeyMissing) as error:
        find_key()
    assert "Colab's secret OPENAI_API_KEY: there is no such secret; Colab's secret openai: there is no" in str(
        error.value
    )
    assert "add a secret named OPENAI_API_KEY and switch on 'Notebook access'" in str(error.value)


def test_colab_has_the_secret_but_this_notebook_may_not_read_it(monkeypatch: pytest.MonkeyPatch):
    on_colab(monkeypatch, {"OPENAI_API_KEY": NotebookAccessError("Notebook does not have access to secret")})
    with pytest.raises(KeyMissing) as error:
        find_key()
    assert "it exists, but this notebook has no access to it" in str(error.value)
    assert str(error.value).endswith("switch on 'Notebook access' beside the secret.")


def test_colab_does_not_answer_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch):
    asked = on_colab(monkeypatch, {"OPENAI_API_KEY": TimeoutException("Requesting secret timed out.")})
    with pytest.raises(KeyMissing, match="Colab did not answer; secrets work only in Colab's own page"):
        find_key()
    assert asked == ["OPENAI_API_KEY"]


def test_colab_fails_in_a_way_nobody_knew(monkeypatch: pytest.MonkeyPatch):
    on_colab(monkeypatch, {"OPENAI_API_KEY": RuntimeError(f"odd {SECRET}")})
    with pytest.raises(KeyMissing, match=r"Colab did not give it \(RuntimeError\)") as error:
        find_key()
    assert "Zq7" not in str(error.value)


def test_on_colab_the_environment_still_counts(monkeypatch: pytest.MonkeyPatch):
    on_colab(monkeypatch, {"OPENAI_API_KEY": TimeoutException()})
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert find_key().source == "the environment (OPENAI_API_KEY)"


# --- asked for


def test_a_prompt_only_when_asked_for(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []

    def typed(prompt: str) -> str:
        shown.append(prompt)
        return SECRET + "\n"

    monkeypatch.setattr("getpass.getpass", typed)
    with pytest.raises(KeyMissing):
        find_key()
    assert shown == []
    key = find_key(ask=True)
    assert key.reveal() == SECRET
    assert key.source == "the prompt"
    assert shown == ["OPENAI_API_KEY: "]


def test_a_prompt_with_nobody_there(monkeypatch: pytest.MonkeyPatch):
    class StdinNotImplementedError(Exception):
        """As ipykernel raises where a notebook runs unattended."""

    def nobody(prompt: str) -> str:
        raise StdinNotImplementedError("raw_input was called, but this frontend does not support input requests.")

    monkeypatch.setattr("getpass.getpass", nobody)
    with pytest.raises(KeyMissing, match="a prompt: nobody is there to answer"):
        find_key(ask=True)


def test_a_prompt_that_would_show_what_is_typed_does_not_ask(monkeypatch: pytest.MonkeyPatch):
    # No terminal to switch the echo off on: getpass itself would warn and read openly.
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET + "\n"))
    monkeypatch.setattr("os.open", _no_terminal)
    with pytest.raises(KeyMissing, match="a prompt: nobody is there to answer, or what is typed cannot be hidden"):
        find_key(ask=True)


def _no_terminal(path: str, *args: object) -> int:
    raise OSError("no tty")


# --- what cannot be a key


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (f'"{SECRET}"', "has quotation marks around it"),
        (f"“{SECRET}”", "has quotation marks around it"),
        (f"{SECRET[:20]}\n{SECRET[20:]}", "has a line break in it"),
        (f"{SECRET[:20]} {SECRET[20:]}", "has a space in it"),
        (f"{SECRET[:20]}\u00a0{SECRET[20:]}", "has a space in it"),
        (SECRET.replace("sk-", "sk–"), "has a character in it that no key has"),
        (f"{SECRET[:20]}\u200b{SECRET[20:]}", "has a character in it that no key has"),
        (f"{SECRET}\x07x", "has an invisible character in it"),
        (f"Bearer-{SECRET}", "begins with 'Bearer'"),
        (f"OPENAI_API_KEY={SECRET}", "begins with the name of a variable"),
        ("sk-proj-****Zq7L", "is a masked or placeholder copy"),
        ("sk-…Zq7L", "has a character in it that no key has"),
        ("sk-xxxxxxxxxxxxxxxx", "is a masked or placeholder copy"),
        ("your-key-here", "is a placeholder"),
        ("<key>", "is a placeholder"),
    ],
)
def test_what_cannot_be_a_key_is_told_without_quoting_it(value: str, why: str):
    with pytest.raises(InputError, match=r"^Your key from the key= argument cannot be an API key: it") as error:
        find_key(value)
    assert why in str(error.value)
    assert "Zq7" not in str(error.value)


def test_a_broken_key_is_not_the_same_as_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"'{SECRET}'")
    with pytest.raises(InputError, match=r"Your key from the environment \(OPENAI_API_KEY\) .* quotation marks"):
        lookup()


def test_a_key_is_text():
    with pytest.raises(InputError, match="Your key is a int, not text"):
        Key(12345)  # type: ignore[arg-type]


# --- it never shows


def shown_everywhere(key: Key) -> str:
    held = {"key": key, "list": [key]}
    log = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(log))
    logger.warning("the key %s %r %s", key, key, held)
    return " ".join([str(key), repr(key), f"{key} {key!r} {key:>60}", "%s" % key, repr(held), log.getvalue()])  # noqa: UP031


def test_it_shows_masked_wherever_it_is_printed():
    key = Key(SECRET)
    assert repr(key) == "Key(sk-proj-…, from the key= argument)"
    shown = shown_everywhere(key)
    for part in range(0, len(SECRET) - 4, 4):
        piece = SECRET[8:][part : part + 4]
        assert len(piece) < 4 or piece not in shown


def test_azure_keys_show_nothing_at_all():
    assert str(Key("0123456789abcdef0123456789abcdef")) == "…"


def test_it_does_not_go_into_files():
    key = Key(SECRET)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(key, protocol)


def test_it_can_be_copied_with_what_holds_it():
    key = Key(SECRET)
    assert copy.deepcopy({"key": key})["key"].reveal() == SECRET
    assert copy.copy(key) == key


def test_it_has_nothing_for_an_inspector_to_list():
    key = Key(SECRET)
    assert not hasattr(key, "__dict__")
    listed = " ".join(repr(getattr(key, name)) for name in dir(key) if name != "reveal" and not name.startswith("__"))
    assert "Zq7" not in listed
    with pytest.raises(AttributeError):
        key.source = "elsewhere"


def verbose_traceback(error: BaseException) -> str:
    """As IPython's `%xmode Verbose` prints it, with the value of every local that is used in the frame."""
    from IPython.core import ultratb

    printer = ultratb.VerboseTB(include_vars=True)
    return printer.text(type(error), error, error.__traceback__)


def all_locals(error: BaseException) -> str:
    return " ".join(
        repr(dict(frame.f_locals))
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "rtnb" in frame.f_code.co_filename and "test_keys" not in frame.f_code.co_filename
    )


@pytest.mark.parametrize("broken", [f'"{SECRET}"', f"{SECRET[:30]} {SECRET[30:]}", f"OPENAI_API_KEY={SECRET}"])
@pytest.mark.parametrize("where", ["argument", "environment", "dotenv", "colab", "prompt"])
def test_a_refused_key_is_in_no_traceback(where: str, broken: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    given, ask = None, False
    if where == "argument":
        given = [broken]
    elif where == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", broken)
    elif where == "dotenv":
        # Quotes around a value are a file's own; a second pair is not.
        (tmp_path / ".env").write_text(f"OPENAI_API_KEY='{broken}'\n", encoding="utf-8")
    elif where == "colab":
        on_colab(monkeypatch, {"OPENAI_API_KEY": broken})
    else:
        monkeypatch.setattr("getpass.getpass", functools.partial(_typed, broken))
        ask = True
    with pytest.raises(InputError) as error:
        find_key(given.pop() if given else None, ask=ask)
    assert "Zq7" not in all_locals(error.value)
    shown = "".join(traceback.format_exception(error.value))
    assert "Zq7" not in shown


def test_ipythons_verbose_traceback_shows_no_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    key = find_key()

    def use(key: Key) -> None:
        raise RuntimeError(f"no answer for {key}")

    with pytest.raises(RuntimeError) as error:
        use(key)
    shown = verbose_traceback(error.value)
    assert "no answer" in shown
    assert "Zq7" not in shown


def _typed(what: str, prompt: str) -> str:
    return what


def test_kinds_of_keys():
    assert Key("ek_" + "a1" * 16).kind == "ephemeral"
    assert Key(SECRET).kind == "project"
    assert Key("sk-svcacct-" + "a1" * 16).kind == "service"
    assert Key(OTHER).kind == "api"


def test_equal_keys_are_equal_wherever_they_came_from():
    assert Key(SECRET, "here") == Key(SECRET, "there")
    assert Key(SECRET) != Key(OTHER)
    assert Key(SECRET) != SECRET
    assert len({Key(SECRET), Key(SECRET, "there")}) == 1
