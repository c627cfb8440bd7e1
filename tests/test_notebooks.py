"""The course: its rules, its languages in step, and every notebook run with no key and no network.

RTNB_KERNEL_PYTHON names another interpreter whose kernel runs the notebooks (Colab's pins, for example).
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
import tokenize
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from statistics import median

import nbformat
import pytest

from rtnb.course import execution, notebooks, sources
from rtnb.course.check import numbers

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = [path.stem for path in sources.paths(NOTEBOOKS)]
BOTH = [(name, language) for name in NAMES for language in sources.LANGUAGES]
PYTHON = os.environ.get("RTNB_KERNEL_PYTHON") or sys.executable

# In the kernel's own Python: nothing leaves this machine.
NO_NETWORK = """
import socket
_connect, _resolve = socket.socket.connect, socket.getaddrinfo
def _near(host):
    return isinstance(host, str) and (host in ("localhost", "", "::1", "0.0.0.0") or host.startswith(("127.", "/")))
def connect(self, address):
    if isinstance(address, tuple) and not _near(address[0]):
        raise OSError(f"no network in this test: {address[0]}")
    return _connect(self, address)
def getaddrinfo(host, *rest, **named):
    if host is not None and not _near(host):
        raise socket.gaierror(f"no network in this test: {host}")
    return _resolve(host, *rest, **named)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""


@cache
def source(name):
    return sources.read(NOTEBOOKS / "source" / f"{name}.md")


@cache
def committed(name, language):
    return nbformat.read(NOTEBOOKS / sources.target(name, language), 4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(notebook):
    """Every output as text, HTML included."""
    found = []
    for cell in code(notebook):
        for output in cell.outputs:
            found += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(found)


# --- the rules -------------------------------------------------------------------------------------------------------


def test_there_are_nine():
    assert [name[:2] for name in NAMES] == [f"{n:02}" for n in range(1, 10)]


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_the_notebook_is_what_its_source_says(name, language):
    made = sources.compose(source(name), language)
    found = committed(name, language)
    assert [cell.id for cell in found.cells] == [cell.id for cell in made.cells], "run python -m rtnb.course"
    for is_, should in zip(found.cells, made.cells, strict=True):
        figure = re.escape(should.source).replace(re.escape("…"), "(?:…|[0-9.]+)")
        assert is_.cell_type == should.cell_type
        assert re.fullmatch(figure, is_.source), f"run python -m rtnb.course {name}"
    nbformat.validate(found)


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_code(name):
    english, chinese = committed(name, "en"), committed(name, "zh")
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in chinese.cells]
    for one, other in zip(code(english), code(chinese), strict=True):
        assert not _CHINESE.search(one.source)
        # What a reader reads of it, which is what its strings and its comments say, is in their language.
        assert _without_words(one.source) == _without_words(other.source)
        assert not _english_words(other.source), other.source
    for one, other in zip(prose(english), prose(chinese), strict=True):
        assert not re.search(r"[\u4e00-\u9fff]", one)
        # A fenced diagram, a folded solution and a link read alike in both; everything else is written for its reader.
        if re.sub(r"```.*?```|\[.*?\]\(.*?\)|<.*?>|\W", "", one, flags=re.DOTALL):
            assert re.search(r"[\u4e00-\u9fff]", other), one[:80]


_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_OF_FSTRINGS = [getattr(tokenize, f"FSTRING_{part}", -1) for part in ("START", "MIDDLE", "END")]  # Python 3.12
_WORDS = (tokenize.COMMENT, tokenize.STRING, *_OF_FSTRINGS)
# Names, and units that Chinese has no other word for.
_NAMES = {"rtnb", "base64", "MiB", "ok", "token", "append", "commit", "pydub", "ffmpeg", "kHz", "wheel", "Colab"}


def _without_words(cell):
    """The tokens of a cell, those that say something to its reader as their kind alone."""
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    return [token.type if token.type in _WORDS else token.string for token in tokens if token.type != -1]


def _english_words(cell):
    """English words in what a cell prints, in names that it shows, and in its comments."""
    said = [line.partition("  # ")[2] or line.strip()[1:] * line.strip().startswith("#") for line in cell.splitlines()]
    for node in ast.walk(ast.parse(re.sub(r"(?m)^ *%pip.*$", "    pass", cell))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "ImportError"):
            said += _strings_of(node.args)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
            said += _strings_of([node.value.body, node.value.orelse])
        if isinstance(node, ast.keyword) and node.arg in ("name", "desc"):
            said += _strings_of([node.value])
    names = re.compile(r"\w+://\S+|[\w.-]*[.-]\w[\w.-]*|\w+Error")
    words = re.findall(r"[A-Za-z][A-Za-z0-9]{2,}", names.sub("", "\n".join(said)))
    return [word for word in words if word not in _NAMES]


def _strings_of(nodes):
    """The strings that come out as they are: no keys, and nothing that a function is asked with."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif not isinstance(node, ast.Subscript | ast.Call | ast.Compare | ast.GeneratorExp):
            yield from _strings_of(ast.iter_child_nodes(node))


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_what_a_cell_prints_is_of_its_language(name, language):
    for cell in code(sources.compose(source(name), language)):
        assert "{{" not in cell.source
        if language == "en":
            assert not _CHINESE.search(cell.source)
        else:
            assert not _english_words(cell.source), cell.source


@pytest.mark.parametrize("name", NAMES)
def test_what_a_chinese_cell_asks_and_what_its_functions_say_is_chinese(name):
    for cell in code(sources.compose(source(name), "zh")):
        for node in ast.walk(ast.parse(re.sub(r"(?m)^( *)%pip.*$", r"\1pass", cell.source))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.startswith("{"):
                english = re.findall(r"[A-Za-z']{2,}", node.value) if " " in node.value.strip() else []
                assert len(english) < 3 or _CHINESE.search(node.value), node.value


def test_words_of_both_languages_stand_side_by_side_in_a_cell(tmp_path):
    (tmp_path / "01_x.md").write_text("%% code\nprint(f'{{ok|好}} {n}{{|次}}', {{}})  # {{why|为何}}", encoding="utf-8")
    (cell,) = sources.read(tmp_path / "01_x.md").cells
    assert cell.texts == {"en": "print(f'ok {n}', {{}})  # why", "zh": "print(f'好 {n}次', {{}})  # 为何"}


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_short(name):
    lengths = [len(cell.source.splitlines()) for cell in code(committed(name, "en"))]
    assert median(lengths) <= 4
    assert max(lengths) <= 20
    # What a window of 1280 with the side bar open shows of a line.
    assert not [line for cell in code(committed(name, "en")) for line in cell.source.splitlines() if len(line) > 105]


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_there_is_more_to_read_than_to_run(name, language):
    notebook = committed(name, language)
    assert 1.0 <= len(prose(notebook)) / len(code(notebook)) <= 1.9


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_it_begins_as_it_should(name, language):
    notebook = committed(name, language)
    headings = [line for text in prose(notebook) for line in _outside_fences(text) if line.startswith("# ")]
    assert len(headings) == 1
    first = notebook.cells[0].source
    assert first.startswith("# ")
    wanted = {
        "en": (
            "When you are done you can",
            "| Time |",
            "| Cost with a key |",
            "| Key |",
            "| Microphone |",
            "| Headphones |",
        ),
        "zh": ("学完之后", "| 用时 |", "| 有密钥时的费用 |", "| 密钥 |", "| 麦克风 |", "| 耳机 |"),
    }[language]
    for words in wanted:
        assert words in first
    assert re.search(r"(about|约) [0-9.]+ (US cents|美分)", first), "the cost is worked out by python -m rtnb.course"
    assert "\n\n\n" not in first


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_sound_comes_by_the_third_cell(name, language):
    early = code(committed(name, language))[:3]
    assert any("<audio" in str(output.get("data", {})) for cell in early for output in cell.outputs)


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_it_teaches_as_it_should(name, language):
    notebook = committed(name, language)
    text = "\n".join(prose(notebook))
    assert "```text\n" not in text, "a drawing of letters"
    (figure,) = re.findall(r'<img alt="(.+?)" src="data:image/svg\+xml;base64,(.+?)">', text)
    assert bool(_CHINESE.search(figure[0])) == (language == "zh")
    assert f"](questions/{name[:2]}.md)" in text
    assert ("Predict" if language == "en" else "先猜") in text
    assert ("Check yourself" if language == "en" else "自我检查") in text
    assert ("On purpose" in text or "on purpose" in text) if language == "en" else "有意" in text
    assert ("## What next" if language == "en" else "## 接下来") in text
    assert "Traceback" not in outputs(notebook)
    assert re.search(r"(Error|Missing|Exceeded|Failed|Refused) ", outputs(notebook)), "the error that teaches"
    assert re.search(r"\bok\b", outputs(notebook))
    mine = [number for number in numbers() if number.startswith(name[:2])]
    for number in mine:
        assert any(f'rtnb.check("{number}"' in cell.source for cell in code(notebook))
        assert f"**{number[1:]}**" in text
    folded = re.findall(r"<details><summary>(.*?)</summary>", text)
    assert folded == [{"en": "Hint", "zh": "提示"}[language]] * len(mine)
    assert f"](../solutions/{name[:2]}.md)" in text if language == "zh" else f"](solutions/{name[:2]}.md)" in text


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_a_prediction_is_written_down_and_checked_and_its_answer_is_not_on_the_page(name, language):
    notebook = committed(name, language)
    guessed = 0
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        predicts = {"en": "**Predict", "zh": "**先猜"}[language] in before.source
        assert predicts == cell.source.startswith("guess"), before.source
        if predicts:
            assert re.match(r"guess(?:, \w+)? = None\b", cell.source)
            assert re.match(r'rtnb\.check\("guess", guess, .+\)$', cell.source.splitlines()[-1])
            assert cell.outputs == []
            guessed += 1
    assert guessed, "a prediction"


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_prints_one_line_where_nothing_is_filled_in(name):
    for language in sources.LANGUAGES:
        for cell in code(committed(name, language)):
            if re.search(r'rtnb\.check\("\d', cell.source):
                texts = [output["data"]["text/plain"] for output in cell.outputs if "data" in output]
                assert len(texts) == 1, cell.source
                assert re.match(r"\d\d\.\d [·✗] .+$", texts[0]), texts[0]


def test_the_solutions_are_those_of_the_exercises():
    assert [number for name in NAMES for number in solutions(name)] == numbers()


@cache
def solutions(name):
    """The solutions of a notebook by the numbers of its exercises."""
    text = (NOTEBOOKS / "solutions" / f"{name[:2]}.md").read_text("utf-8")
    return {f"0{number}": code for number, code in re.findall(r"## (\d\.\d)\n.*?```python\n(.*?)```", text, re.DOTALL)}


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_its_outputs_are_there_and_small(name, language):
    path = NOTEBOOKS / sources.target(name, language)
    notebook = committed(name, language)
    assert path.stat().st_size < 500_000
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    everything = outputs(notebook)
    for what in ("practice", "<audio", "$"):
        assert what in everything, what
    for cell in code(notebook):
        assert sum(len(str(output)) for output in cell.outputs) < 200_000, cell.source[:60]
        for output in cell.outputs:
            assert output.output_type != "error"
            assert "\n\n" not in output.get("text", ""), f"an empty answer was printed by {cell.source}"
            assert execution.WIDGET_VIEW not in output.get("data", {}), "a widget is dead once its kernel is"
    assert "widgets" not in notebook.metadata


@pytest.mark.parametrize("name", NAMES)
def test_nothing_secret_and_nothing_of_the_machine_is_in_it(name):
    for language in sources.LANGUAGES:
        text = (NOTEBOOKS / sources.target(name, language)).read_text("utf-8")
        assert not re.search(r"sk-[A-Za-z0-9]{8}|/(?:root|home|Users)/|site-packages|ipykernel_\d", text)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_it_needs_colab_or_a_package_we_do_not_bring(name):
    # Every kernel brings packaging, for ipykernel needs it.
    brought = {
        "rtnb",
        "tqdm",
        "numpy",
        "pydub",
        "websockets",
        "packaging",
        "soundfile",
        "soxr",
        "pandas",
        "jiwer",
        *sys.stdlib_module_names,
    }
    for cell in code(committed(name, "en")):
        for line in cell.source.splitlines():
            if match := re.match(r"\s*(?:from|import) ([\w.]+(?:, *[\w.]+)*)", line):
                for module in match[1].split(","):
                    assert module.strip().split(".")[0] in brought, line
        assert "google.colab" not in cell.source
        guards = ('if not getattr(find_spec("rtnb"), "origin", None):', "if missing:\n")
        assert "%pip" not in cell.source or any(guard in cell.source for guard in guards)


def test_prose_gives_no_figure_a_cell_can_compute():
    # Prices belong into cells: they change, and the cell then says so by itself.
    for name, language in BOTH:
        for text in prose(committed(name, language))[1:]:
            assert not re.search(
                r"\$ ?\d|\d ?(?:US)? ?(?:cents|¢|美分)\b", re.sub(r"```.*?```|`.*?`", "", text, flags=re.DOTALL)
            )
            assert not re.search(r"\b\d+(?:\.\d+)? (?:seconds|ms faster|times faster)\b", text)


def test_the_links_lead_somewhere():
    for name, language in BOTH:
        here = (NOTEBOOKS / sources.target(name, language)).parent
        for text in prose(committed(name, language)):
            for link in re.findall(r"\]\(([^)#]+)", text):
                assert link.startswith("https://") or (here / link).exists(), link
    for page in NOTEBOOKS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")) if "source" not in page.parts else ():
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def _outside_fences(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines()


# --- a source that is not right --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "stands before the first cell"),
        ("%% en\nA\n%% code\n1", "lacks a language"),
        ("%% zh\nA\n%% en\nB", "take turns"),
        ("%% en\nA", "last Markdown cell"),
    ],
)
def test_a_broken_source_is_detected_by_its_line(tmp_path, text, complaint):
    (tmp_path / "01_x.md").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=complaint):
        sources.read(tmp_path / "01_x.md")


def test_what_a_terminal_wrote_over_is_left_out():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    stream = nbformat.v4.new_output("stream", name="stderr", text="a 0%\ra 50%\ra 100%\n")
    nothing, bar, box = (
        nbformat.v4.new_output("display_data", data={execution.WIDGET_VIEW: {"model_id": "1"}, "text/plain": text})
        for text in ("", "  0%|          | 0/4 [00:00<?, ?recording/s]", "Here no box can be shown.")
    )
    notebook.cells[0].outputs = [stream, nothing, bar, box]
    execution.tidy(notebook)
    first, second = notebook.cells[0].outputs
    assert first.text == "a 100%\n"
    assert second.data == {"text/plain": "Here no box can be shown."}


# --- the commands of course.py ----------------------------------------------------------------------------------------


def test_the_cost_sheet_names_every_notebook_and_grows_with_the_class():
    def total(learners):
        lines = notebooks.cost_sheet(NOTEBOOKS, learners).splitlines()
        assert [line.split()[0] for line in lines[1 : 1 + len(NAMES)]] == NAMES
        summed = lines[1 + len(NAMES)].split()
        assert summed[:2] == ["all", str(sum(source(name).minutes for name in NAMES))]
        return [float(part.strip("$,")) for part in summed[2:]]

    one, class_small, class_large = total(100)
    assert class_small == pytest.approx(100 * one, rel=0.05)
    assert class_large > class_small > one > 0
    assert total(1)[0] == one


def test_words_alone_are_brought_in_without_a_run_but_code_is_not(tmp_path):
    name = NAMES[3]
    (tmp_path / "source").mkdir()
    text = (NOTEBOOKS / "source" / f"{name}.md").read_text("utf-8")
    at = tmp_path / "source" / f"{name}.md"
    at.write_text(text.replace("## Set up", "## Setting up"), encoding="utf-8")
    before = committed(name, "en")
    (tmp_path / f"{name}.ipynb").write_text(nbformat.writes(before), encoding="utf-8")
    notebooks.main([name, "--folder", str(tmp_path), "--language", "en", "--text"])
    after = nbformat.read(tmp_path / f"{name}.ipynb", 4)
    assert "## Setting up" in "\n".join(prose(after))
    assert [cell.outputs for cell in code(after)] == [cell.outputs for cell in code(before)]
    assert after.cells[0].source == before.cells[0].source, "the cents as they were"

    at.write_text(text.replace("len(reply.responses)\n", "reply.responses\n"), encoding="utf-8")
    with pytest.raises(ValueError, match="without --text"):
        notebooks.main([name, "--folder", str(tmp_path), "--language", "en", "--text"])


# --- run -------------------------------------------------------------------------------------------------------------


def solved(name):
    """The notebook in English with, after its last cell, each exercise's solution and its checker."""
    notebook = sources.compose(source(name), "en")
    checks = re.findall(r'rtnb\.check\("(\d.*?)".*\)', "\n".join(cell.source for cell in code(notebook)))
    assert checks == list(solutions(name))
    for number, solution in solutions(name).items():
        (check,) = re.findall(rf'rtnb\.check\("{number}".*\)', "\n".join(cell.source for cell in code(notebook)))
        notebook.cells.append(nbformat.v4.new_code_cell(f"{solution}\n{check}"))
    return notebook, len(checks)


def run(name, language, folder):
    notebook, exercises = solved(name) if language == "en" else (sources.compose(source(name), language), 0)
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    execution.execute(notebook, python=PYTHON, environment={"PYTHONPATH": path, "HTTPS_PROXY": "http://127.0.0.1:9"})
    return execution.tidy(notebook), exercises


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Every notebook, run once: two at a time, for most of it is waiting for speech."""
    folder = tmp_path_factory.mktemp("site")
    pool = ThreadPoolExecutor(2)
    yield {key: pool.submit(run, *key, folder) for key in BOTH if key not in ELSEWHERE or os.environ.get("RTNB_LONG")}
    pool.shutdown(cancel_futures=True)


# The code is the same in both languages; these run in JupyterLab (browser/test_course.py), here with RTNB_LONG=1.
ELSEWHERE = [(name, "zh") for name in NAMES[1::2]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language"), [pytest.param(*key, marks=pytest.mark.long if key in ELSEWHERE else ()) for key in BOTH]
)
def test_it_runs_from_top_to_bottom_without_key_and_network(name, language, ran):
    notebook, exercises = ran[name, language].result(600)
    cells = code(notebook)
    late: set[str] = set()
    for cell, shown in zip(cells, code(committed(name, language)), strict=False):
        # Words and clicks differ from run to run, kinds of outputs do not.
        assert _kinds(cell) | late == _kinds(shown) | late, cell.source
        # The limits are told after the answer's end: a line of theirs may come when the next cell runs already.
        late = {"words"} if "verbose=True" in cell.source else set()
    everything = outputs(notebook)
    wrong = ("these differ", "too late", "Traceback", "look at the diary", "different", "两者不同", "太晚", "再看看")
    for trouble in wrong:
        assert trouble not in everything
    for cell in cells[len(cells) - exercises :] if exercises else ():
        said = cell.outputs[-1]["data"]["text/plain"]
        assert " ✓ " in said, f"{cell.source}\n{said}"


def _kinds(cell):
    """What came out of a cell: words, sound, a picture, something shown. A note on stderr may come or not.

    A widget is HTML with ipywidgets 8 and a line of text with 7, where no page is.
    """
    kinds = set()
    for output in cell.outputs:
        data = output.get("data", {})
        kinds |= {kind for kind in data if kind.startswith("image/")}
        if data:
            kinds.add("shown")
        if "<audio" in data.get("text/html", ""):
            kinds.add("sound")
        if output.output_type == "stream" and output.name == "stdout":
            kinds.add("words")
    return kinds
