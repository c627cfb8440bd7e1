"""The command line, as typed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import rtnb
from rtnb import cli
from rtnb.audio import Clip, samples
from rtnb.course import copies, sources
from rtnb.course.check import numbers

ROOT = Path(__file__).resolve().parents[1]


def test_the_demo_asks_and_saves(tmp_path, capsys):
    pytest.importorskip("espeakng_loader", reason="the practice server has no voice without it")
    out = tmp_path / "answer.flac"
    question = samples()["question"].save(tmp_path / "q.mp3")
    assert cli.main(["demo", str(question), "Repeat what I said", "--out", str(out), "--practice"]) == 0
    printed = capsys.readouterr().out
    for line in ("Recording: q.mp3", "Prompt:", "Answer:", "Sent:", "Saved:", "Tokens:", "Cost:", "First sound after"):
        assert line in printed
    assert Clip.read(out).seconds > 0.5


@pytest.mark.parametrize("inside", ["", "notebooks/zh"])
def test_the_demo_leaves_nothing_behind_in_a_checkout(inside, tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader", reason="the practice server has no voice without it")
    checkout, temporary = tmp_path / "checkout", tmp_path / "temporary"
    for folder in ("rtnb", "notebooks"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(checkout / inside)
    before = set(checkout.rglob("*"))
    assert cli.main(["demo", str(samples()["question"].save(tmp_path / "q.wav")), "--practice"]) == 0
    assert set(checkout.rglob("*")) == before
    saved = Path(re.search(r"Saved: +(.*output_audio\.wav) \(", capsys.readouterr().out)[1])
    assert saved.is_relative_to(temporary)
    assert Clip.read(saved).seconds > 0.5


def test_elsewhere_the_demo_saves_beside_you(tmp_path, monkeypatch, capsys):
    pytest.importorskip("espeakng_loader", reason="the practice server has no voice without it")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", str(samples()["question"].save(tmp_path / "q.wav")), "--practice"]) == 0
    assert "Saved:     output_audio.wav (" in capsys.readouterr().out
    assert Clip.read(tmp_path / "output_audio.wav").seconds > 0.5


def test_what_an_old_code_page_lacks_is_a_question_mark():
    # Where output goes to a file or a pipe, Windows writes it in its code page.
    code = "from rtnb import cli; raise SystemExit(cli.main(['doctor', '--url', 'ws://127.0.0.1:1/v1/realtime']))"
    env = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="cp1252")
    assert done.stderr == ""
    assert re.match(r"\? +python +Python 3", done.stdout)
    assert done.returncode == 1  # nobody listens there


def test_with_no_key_it_says_who_answers(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "a.wav"), str(samples()["order"].save(tmp_path / "o.wav"))]) == 0
    printed = capsys.readouterr().out
    assert "No API key found, so rtnb's practice server answers" in printed
    assert "Answered by practice" in printed


def test_a_missing_file_is_told_in_one_line(capsys):
    assert cli.main(["demo", "missing.wav"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("rtnb: Your recording missing.wav does not exist.")
    assert "Traceback" not in captured.err


def test_a_broken_file_is_told_in_one_line(tmp_path, capsys):
    path = tmp_path / "page.wav"
    path.write_text("<html>not a sound</html>")
    assert cli.main(["demo", str(path), "--practice"]) == 1
    assert "page.wav" in capsys.readouterr().err


def test_notebooks_are_copied_once_and_kept(tmp_path, capsys):
    assert cli.main(["notebooks", str(tmp_path / "course")]) == 0
    first = tmp_path / "course" / "01_walkthrough.ipynb"
    assert json.loads(first.read_text("utf-8"))["nbformat"] == 4
    assert not [name for name in ("source", "images", "guide") if (tmp_path / "course" / name).exists()]
    assert (tmp_path / "course" / "solutions" / "01.md").exists()
    first.write_text("mine")
    assert cli.main(["notebooks", str(tmp_path / "course")]) == 0
    assert first.read_text() == "mine"
    assert "kept as they were" in capsys.readouterr().out
    assert cli.main(["notebooks", str(tmp_path / "course"), "--force"]) == 0
    assert first.read_text("utf-8") != "mine"


def test_the_course_is_copied_without_outputs_but_where_one_asks_for_them(tmp_path):
    shipped = next(Path(cli.__file__).parents[1].glob("notebooks/01_*.ipynb"))
    assert cli.main(["notebooks", str(tmp_path / "bare")]) == 0
    assert cli.main(["notebooks", str(tmp_path / "read"), "--with-outputs"]) == 0
    bare, read, kept = (
        json.loads(path.read_text("utf-8"))
        for path in (tmp_path / "bare" / shipped.name, tmp_path / "read" / shipped.name, shipped)
    )
    assert read == kept
    for cell, before in zip(bare["cells"], kept["cells"], strict=True):
        assert cell["source"] == before["source"]
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert bare["metadata"] == kept["metadata"]


def everything_in(folder):
    """What pages and cells say in a folder of the course, as one text."""
    cells = (cell for path in folder.rglob("*.ipynb") for cell in json.loads(path.read_text("utf-8"))["cells"])
    texts = ["".join(cell["source"]) for cell in cells]
    return "\n".join([*texts, *(path.read_text("utf-8") for path in folder.rglob("*.md"))])


@pytest.mark.parametrize(("language", "heading"), [("en", "# Answers to the exercises"), ("zh", "# 练习答案")])
def test_for_a_class_the_answers_lie_beside_what_is_handed_out(tmp_path, capsys, request, language, heading):
    request.addfinalizer(lambda: rtnb.language("auto"))
    rtnb.language(language)
    assert cli.main(["notebooks", "--for-class", str(tmp_path / "class")]) == 0
    answers = tmp_path / "class-teacher" / "answers.ipynb"
    assert str(answers) in capsys.readouterr().out
    handed_out = everything_in(tmp_path / "class")
    shown = ["".join(cell["source"]) for cell in json.loads(answers.read_text("utf-8"))["cells"]]
    assert shown[0].startswith(heading)
    source = sources.folder()
    for name in sorted(path.stem for path in source.glob("0*.ipynb")):
        (title,) = (text for text in shown if text.startswith(f"## {int(name[:2])} · "))
        for number, why, code in copies.solutions(source, name):
            assert bool(re.search("[\u4e00-\u9fff]", why["zh"])) > bool(re.search("[\u4e00-\u9fff]", why["en"]))
            (text,) = (text for text in shown if text.startswith(f"**{number}**"))
            assert text.endswith(f"{why[language]}\n\n```python\n{code}\n```")
            assert shown.index(text) > shown.index(title)
            assert code not in handed_out
    assert len(shown) == 1 + 9 + len(numbers())
    assert not re.search(r"\]\((?!https:)", "".join(shown)), "a link from there would lead nowhere"


def test_what_is_handed_out_to_a_class_links_to_nothing_that_stays_with_the_teacher(tmp_path):
    assert cli.main(["notebooks", "--for-class", str(tmp_path / "class")]) == 0
    assert not {path.name for path in (tmp_path / "class").rglob("*")} & {"solutions", "TEACHING.md"}
    for page in [*(tmp_path / "class").rglob("*.md"), *(tmp_path / "class").rglob("*.ipynb")]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            assert link.startswith(("https:", "attachment:")) or (page.parent / link).exists(), f"{page.name}: {link}"
    first = (tmp_path / "class" / "01_walkthrough.ipynb").read_text("utf-8")
    assert '"outputs": []' in first
    assert "solutions (ask your teacher)" in first
    assert "答案（请问老师）" in (tmp_path / "class/zh/01_walkthrough.ipynb").read_text("utf-8")


def test_a_folder_with_answers_in_it_is_not_made_into_one_for_a_class(tmp_path, capsys):
    assert cli.main(["notebooks", str(tmp_path / "course")]) == 0
    for more in ([], ["--force"]):
        assert cli.main(["notebooks", "--for-class", str(tmp_path / "course"), *more]) == 1
        assert "solutions lies in it" in capsys.readouterr().err
    assert not (tmp_path / "course-teacher").exists()


def test_a_class_is_given_no_outputs(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["notebooks", "--for-class", "--with-outputs", str(tmp_path)])
    assert "not allowed with" in capsys.readouterr().err


def test_prices_are_a_table(capsys):
    assert cli.main(["prices"]) == 0
    assert "gpt-realtime-2.1-mini" in capsys.readouterr().out


def test_the_doctor_ends_with_one_line_for_the_teacher(capsys):
    assert cli.main(["doctor", "--url", "ws://127.0.0.1:9"]) == 1
    assert "For your teacher:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["nothing"], ["demo", "--unknown"]])
def test_words_that_are_off_are_answered_with_the_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "usage: rtnb" in capsys.readouterr().err


def test_python_dash_m_works_too():
    done = subprocess.run([sys.executable, "-m", "rtnb.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("rtnb ")


@pytest.mark.parametrize("words", [["--help"], ["prices"], ["nothing"]])
def test_what_only_prints_imports_nothing_that_computes_or_serves(words):
    heavy = {"numpy", "av", "soxr", "soundfile", "onnxruntime", "websockets", "asyncio", "ipywidgets", "IPython"}
    heavy |= {"rtnb.server.server", "rtnb.audio.clip", "rtnb.session.session"}
    program = f"""
import sys
from rtnb import cli
try:
    cli.main({words!r})
except SystemExit:
    pass
print("imported:", *sorted({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"
