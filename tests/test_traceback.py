"""What stands under a cell that fails: the user's own line and the sentence, and on request all of it."""

import re
import subprocess
import sys
import textwrap

import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell():
    shell = InteractiveShell()
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell, monkeypatch, capsys):
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    def run(cell: str) -> str:
        shell.run_cell(textwrap.dedent(cell), store_history=True)
        shown = capsys.readouterr()
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.out + shown.err).strip()

    return run


def test_a_cell_that_fails_shows_its_line_and_the_sentence(run):
    shown = run("""
        import rtnb
        clips = [1]
        rtnb.Clip.read(5)
    """)
    line, _, sentence, hint = shown.splitlines()
    assert line == "----> 3 rtnb.Clip.read(5)"
    assert sentence.startswith("AudioError: ")
    assert hint == "Type %tb for the whole traceback."


def test_the_line_is_the_users_last_in_functions_of_their_own(run):
    shown = run("""
        import rtnb
        def read():
            return rtnb.Clip.read(5)
        clip = read()
    """)
    assert shown.startswith("----> 3 return rtnb.Clip.read(5)\n")


@pytest.mark.parametrize("again", ["%tb", "%xmode Verbose\nrtnb.Clip.read(5)", "%xmode Plain\nrtnb.Clip.read(5)"])
def test_the_whole_traceback_is_shown_on_request(run, again):
    run("import rtnb\nrtnb.Clip.read(5)")
    shown = run(again)
    assert "Traceback" in shown
    assert "arguments.py" in shown
    assert "AudioError: " in shown
    assert "Type %tb" not in shown


def test_a_failed_tool_shows_the_line_in_the_tool(run):
    shown = run("""
        from rtnb.errors import ToolFailed
        def weather(city):
            return {}[city]
        try:
            weather("Bern")
        except KeyError as error:
            raise ToolFailed("Your tool weather raised KeyError.", tool="weather") from error
    """)
    assert shown.startswith("----> 3 return {}[city]\n")
    assert "ToolFailed: Your tool weather raised KeyError." in shown


def test_the_hint_is_chinese_where_the_user_is(run):
    shown = run("import rtnb\nrtnb.language('zh')\ntry:\n    rtnb.Clip.read(5)\nfinally:\n    pass")
    run("rtnb.language('auto')")
    assert shown.endswith("输入 %tb 可查看完整的错误回溯。")


def test_a_script_prints_its_traceback():
    ran = subprocess.run(
        [sys.executable, "-c", "import rtnb\nrtnb.Clip.read(5)"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("Traceback (most recent call last):")
    assert "AudioError: " in ran.stderr
