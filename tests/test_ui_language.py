"""The sentences of widgets, cards and checkers: English in the code, Chinese in `zh.toml`."""

import ast
import re
import tomllib
from collections import defaultdict
from importlib.resources import files
from pathlib import Path

import pytest
import sentences

import rtnb
from rtnb.errors import InputError
from rtnb.texts import language as texts_of
from rtnb.texts.language import language, say

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    language("auto")
    yield
    language("auto")


PACKAGE = Path(rtnb.__file__).parent
TABLES = tomllib.loads((files("rtnb") / "texts" / "zh.toml").read_text("utf-8"))
TAG = TABLES.pop("tag")
PAIRS = [(english, chinese) for table in TABLES.values() for english, chinese in table.items()]
CHINESE = defaultdict(set)
for english, chinese in PAIRS:
    CHINESE[english].add(chinese)
PYTHON = {path: ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py") if "notebooks" not in path.parts}


def code_of(source):
    """A script without its comments, and with each text that is written in several parts in one."""
    code = re.sub(r"(?<!\w)/\*.*?\*/|(?<![:\"'])//[^\n]*", "", source, flags=re.DOTALL)
    return re.sub(r'"\s*\+\s*"', "", code)


UI = PACKAGE / "ui"
SCRIPTS = {str(path.relative_to(UI)): code_of(path.read_text("utf-8")) for path in UI.rglob("*.js")}


def texts_in(code):
    return set(re.findall(r'"((?:[^"\\\n]|\\.)*)"', code))


def said_in(name):
    """Every sentence a script asks for: by itself, or out of a table or a constant."""
    code = SCRIPTS[name]
    said = set(re.findall(r'\bsay\(\s*"((?:[^"\\\n]|\\.)*)"', code))
    # A table stands in the same script, in one of the same widget, or in one that widgets share.
    near = "\n".join(SCRIPTS[other] for other in SCRIPTS if other.split("/")[0] in (name.split("/")[0], "shared"))
    for table in re.findall(r"\bsay\(\s*([A-Z_]+|[a-z]\w*)[\[,.)]", code):
        values = re.findall(rf"\bconst {table} = (\{{.*?\n\}}|.*?);\n", near, re.DOTALL)
        said |= {text for value in values for text in texts_in(value) if re.match("[A-Z]", text)}
    return said


# The tables of `zh.toml` that each script may ask: those its widgets are made with.
AREAS = {"call": ("call", "microphone"), "recorder": ("record", "microphone", "sound"), "upload": ("upload", "sound")}
AREAS |= {"player": ("player", "sound"), "shared": ("microphone", "sound")}


def test_both_languages_say_the_same_things_with_the_same_braces():
    for english, chinese in PAIRS:
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
        # A sentence that was only copied would stay English.
        assert re.search(r"[一-鿿]", chinese), english


def test_every_sentence_a_script_asks_for_is_in_its_widgets_tables():
    for name in SCRIPTS:
        known = {english for area in AREAS[name.split("/")[0]] for english in TABLES[area]}
        assert said_in(name) - known == set(), name
    assert len(set.union(*map(said_in, SCRIPTS))) > 100


def asks(tree):
    """Whether a module has the `say` of `rtnb.texts.language`."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(node.module == "rtnb.texts.language" and "say" in [it.name for it in node.names] for node in imports)


def said_by(tree):
    """Every sentence that Python code asks for: by itself, or out of a table or a constant of its module."""
    constants = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values = [value for value in ast.walk(node.value) if isinstance(value, ast.Constant)]
            keys = {ast.dump(key) for it in ast.walk(node.value) if isinstance(it, ast.Dict) for key in it.keys if key}
            constants[node.targets[0].id] = [it.value for it in values if ast.dump(it) not in keys]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
            asked = node.args[0]
            if isinstance(asked, ast.Constant):
                yield asked.value
            else:
                yield from constants.get(getattr(getattr(asked, "value", asked), "id", ""), ())


def test_every_sentence_python_asks_for_has_one_chinese_form():
    said = {sentence for tree in PYTHON.values() if asks(tree) for sentence in said_by(tree)}
    assert "Download" in said
    assert any(sentence.startswith("No API key found") for sentence in said)
    assert len(said) > 30
    assert {sentence for sentence in said if len(CHINESE[sentence]) != 1} == set()


def test_no_sentence_is_there_for_nobody():
    written = sentences.written()
    for area, table in TABLES.items():
        folders = [folder for folder, areas in AREAS.items() if area in areas]
        code = [code for name, code in SCRIPTS.items() if name.split("/")[0] in folders]
        assert set(table) - written - texts_in("\n".join(code)) == set(), area


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_script_has_words_of_its_own(name):
    code = SCRIPTS[name]
    assert not re.search(r"[一-鿿]", code)
    assert not re.findall(r">[^<>{}$;=()]*[A-Za-z]{2}[^<>{}$;=()]*</", code), "words between tags"
    assert not re.findall(
        r"""(?:textContent|innerText|placeholder|title|alt|ariaLabel)\s*=\s*["'`][^"'`$]*[A-Za-z]""", code
    )
    assert not re.findall(
        r"""setAttribute\(\s*["']aria-(?:label|description|valuetext)["'],\s*["'`][^"'`$]*[A-Za-z]""", code
    )
    # A sentence: a capital and a second word, which has a Chinese form. What goes to the console or names a failure
    # begins small here.
    sentences = {text for text in texts_in(code) if re.match(r"[A-Z][a-z]+,? [a-z]+", text)}
    known = {english for area in AREAS[name.split("/")[0]] for english in TABLES[area]}
    assert sentences - known == set()


def test_chinese_speaks_to_the_reader_in_one_voice():
    everything = "".join(chinese for _, chinese in PAIRS)
    for word, instead in {"您": "你", "令牌": "token", "此": "这", "样本": "示例"}.items():
        assert word not in everything, f"{word}: here it is {instead}"
    for english, words in PAIRS:
        assert not re.search(r"[一-鿿][,:;!?]|[,;!?][一-鿿]", words), f"{english}: half-width punctuation in Chinese"
        assert not re.search(r"[一-鿿]\.(\s|$)|\.\.\.", words), english
        ends = words[-1] in "。！？"
        assert ends == (english[-1] in ".!?"), f"{english}: a sentence in one language and none in the other"


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
    assert say("Download") == "下载"
    assert language("auto") == "en"
    assert texts_of.chosen() == ""  # the browser decides
    assert say("Download") == "Download"


def test_a_language_without_texts_is_refused_and_changes_nothing():
    language("zh")
    with pytest.raises(InputError, match=r"^你的语言 'fr' .*请选其中之一：en, zh, auto。$") as caught:
        language("fr")
    assert caught.value.name == "fr"
    assert language() == "zh"


def test_a_page_gets_only_the_texts_it_asked_for():
    given = texts_of.sentences("zh", "player")
    assert given == TABLES["player"]
    assert given["Stop"] == "停止"
    assert "Drop recordings here, paste them, or" not in given


def test_a_table_nobody_wrote_is_a_mistake_in_the_code():
    with pytest.raises(KeyError):
        texts_of.sentences("zh", "nonsense")


def test_a_language_is_known_by_its_file(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "fr.toml").write_text('tag = "fr"\n[player]\n"Download" = "Télécharger"\n', "utf-8")
    texts_of.languages.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(texts_of, "__file__", str(tmp_path / "texts" / "language.py"))
        assert language("fr-CA") == "fr"
        assert say("Download") == "Télécharger"
        assert texts_of.widget_texts("player") == {"fr": {"tag": "fr", "sentences": {"Download": "Télécharger"}}}
    texts_of.languages.cache_clear()
