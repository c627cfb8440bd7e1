"""The texts of widgets and cards."""

import json
import re
from importlib.resources import files

import pytest

from rtnb.errors import InputError
from rtnb.texts import language as texts_of
from rtnb.texts.language import language, text

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    language("auto")
    yield
    language("auto")


UI = files("rtnb") / "ui"
TEXTS = json.loads((files("rtnb") / "texts" / "texts.json").read_text("utf-8"))
SCRIPTS = {path.name: path.read_text("utf-8") for path in UI.iterdir() if path.name.endswith(".js")}
PYTHON = [*UI.iterdir(), files("rtnb") / "opening.py"]
SOURCES = SCRIPTS | {path.name: path.read_text("utf-8") for path in PYTHON if path.name.endswith(".py")}
TOPICS = "|".join(sorted({key.split(".")[0] for key in TEXTS["en"]}))

# Names that are put together from a fixed part and one that varies; what it may be is read from the code that says it.
FAMILIES = {
    "call.is_": {*re.findall(r'"(\w+)"', SCRIPTS["call.js"].split("get status()")[1].split("\n  }\n")[0])}
    - {"new", "open"}  # of these it is told what goes on in it
    | {"connecting"},
    "call.end_": re.findall(r'"\w+": \(".*", "(\w+)"\)', SOURCES["call.py"].split("_HANG_UPS = ")[1]),
    "call.who_": ["user", "assistant", "tool"],
    "record.is_": ["ready", "asking", "recording", "done", "sending"],
    "record.hint_": ["ready", "asking", "recording", "done", "sending"],
    "record.problem_": re.findall(r'self\._problem = "(\w+)"', SOURCES["recorder.py"]),
    "microphone.is_": {*re.findall(r'return "(\w+)"', SCRIPTS["microphone.js"].split("Hindrance() {")[1])}
    | {*re.findall(r'MicrophoneError\("(\w+)"', SCRIPTS["microphone.js"]), "gone"},
    "player.is_": re.findall(r'"(\w+)"', re.search(r"const what = (.*);", SCRIPTS["player.js"])[1]),
    "upload.failed_": re.findall(r'why: "(\w+)"', SCRIPTS["upload.js"])
    + re.findall(r'"(?:why|failed)": "(\w+)"', SOURCES["upload.py"]),
    "live.": ["practice", "replay"],
    "live.is_": ["failed", "cancelled", "incomplete"],
    "live.do_": ["max_output_tokens", "content_filter", "turn_detected"],
    "call.hint_": [],  # some states have one, some need none
}
FAMILIES["microphone.do_"] = FAMILIES["microphone.is_"]


def code_of(source: str) -> str:
    """A script without its comments."""
    return re.sub(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", "", source, flags=re.DOTALL)


def test_both_languages_say_the_same_things_with_the_same_braces():
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert list(english) == list(chinese)
    for key in english:
        assert set(re.findall(r"\{\w+\}", english[key])) == set(re.findall(r"\{\w+\}", chinese[key])), key
    # A sentence that was only copied would stay English.
    assert all(re.search(r"[一-鿿]", words) for words in chinese.values())


def test_every_text_the_code_asks_for_is_there_and_none_is_there_for_nobody():
    asked = set()
    for name, source in SOURCES.items():
        asked |= set(re.findall(rf"""["'`]((?:{TOPICS})\.(?!(?:js|css|py|md|opus|jsonl)\b)[a-z_]+)["'`]""", source))
        varying = set(re.findall(rf"""["`]((?:{TOPICS})\.[a-z]+_)\$?\{{""", source))
        assert varying <= set(FAMILIES), name
    for beginning, endings in FAMILIES.items():
        asked |= {beginning + ending for ending in endings}
    assert asked - set(TEXTS["en"]) == set()
    hints = {key for key in TEXTS["en"] if re.sub("_hold$", "", key).replace("hint_", "is_") in asked}
    assert set(TEXTS["en"]) - asked - hints == set()


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_has_words_of_its_own(name):
    code = code_of(SCRIPTS[name])
    assert not re.search(r"[一-鿿]", code)
    assert not re.findall(r">[^<>{}$;=()]*[A-Za-z]{2}[^<>{}$;=()]*</", code), "words between tags"
    assert not re.findall(
        r"""(?:textContent|innerText|placeholder|title|alt|ariaLabel)\s*=\s*["'`][^"'`$]*[A-Za-z]""", code
    )
    assert not re.findall(
        r"""setAttribute\(\s*["']aria-(?:label|description|valuetext)["'],\s*["'`][^"'`$]*[A-Za-z]""", code
    )
    # A sentence: a capital and a second word. What goes to the console or names a failure begins small here.
    assert not re.findall(r"""["'`][A-Z][a-z]+,? [a-z]+[^"'`]*["'`]""", code)


def test_chinese_speaks_to_the_reader_in_one_voice():
    chinese = "".join(TEXTS["zh"].values())
    for word, instead in {"您": "你", "令牌": "token", "此": "这", "样本": "示例"}.items():
        assert word not in chinese, f"{word}: here it is {instead}"
    for key, words in TEXTS["zh"].items():
        assert not re.search(r"[一-鿿][,:;!?]|[,;!?][一-鿿]", words), f"{key}: half-width punctuation in Chinese"
        assert not re.search(r"[一-鿿]\.(\s|$)|\.\.\.", words), key
        ends = words[-1] in "。！？"
        assert ends == (TEXTS["en"][key][-1] in ".!?"), f"{key}: a sentence in one language and none in the other"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh:en"}, "zh"),
    ],
)
def test_python_follows_the_environment(monkeypatch, variables, expected):
    monkeypatch.setattr(texts_of.locale, "getlocale", lambda: (None, None))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_what_is_chosen_wins_until_it_is_taken_back(monkeypatch):
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert language("zh-Hans") == "zh"
    assert texts_of.chosen() == "zh"
    assert text("live.download") == "下载"
    assert language("auto") == "en"
    assert texts_of.chosen() == ""  # the browser decides
    assert text("live.download") == "Download"


def test_a_language_without_texts_is_refused_and_changes_nothing():
    language("zh")
    with pytest.raises(InputError, match=r"^Your language 'fr' .* Take one of: en, zh, auto\.$") as caught:
        language("fr")
    assert caught.value.name == "fr"
    assert language() == "zh"


def test_a_page_gets_only_the_texts_it_asked_for():
    given = texts_of.texts("player")
    assert set(given) == {"en", "zh"}
    assert all(key.startswith("player.") for key in given["en"])
    assert "player.stop" in given["zh"]


def test_a_text_nobody_wrote_is_a_mistake_in_the_code():
    with pytest.raises(KeyError):
        text("live.nonsense")
