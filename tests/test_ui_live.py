"""How a reply shows itself: the card, the bundle, a terminal, and cells that a program runs."""

import re
import threading
import time

import nbformat
import numpy as np
import pytest
from dialogue import serve
from nbclient import NotebookClient

import rtnb
from rtnb.texts.language import language
from rtnb.ui.reply_card import live
from rtnb.ui.shared import frontend

TONE = (np.sin(np.arange(24_000 * 2) / 20) * 8000).astype("<i2").tobytes()


@pytest.fixture(autouse=True)
def in_english():
    language("en")
    yield
    language("auto")


def spoken(talk):
    talk.open()
    talk.take_message()
    talk.answer("Oslo is the capital of Norway.", TONE)


def ask(script, **how):
    with serve(script) as url:
        reply = rtnb.ask("What is the capital?", url=url, key="sk-test", show=False, **how)
        try:
            reply.wait(10)
        except rtnb.RtnbError:
            assert reply.error is not None
        return reply


def words_of(page):
    return re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.S))


def test_the_card_has_words_one_sound_tokens_and_cost():
    reply = ask(spoken)
    page = live.card(reply)
    assert "Oslo is the capital of Norway." in words_of(page)
    assert page.count("data:audio/ogg;base64,") == 1
    assert "10 in, 5 out" in words_of(page)
    assert "$" in words_of(page)
    assert "127.0.0.1" in words_of(page)
    # 2 s of sound: what a saved notebook grows by.
    assert len(page) < 24_000


def test_one_minute_of_speech_adds_less_than_300_kb():
    talk = rtnb.samples()["talk"]
    minute = rtnb.join([talk, talk, talk])[:60.0]
    assert minute.seconds == 60

    def long(talk):
        talk.open()
        talk.take_message()
        talk.answer("A minute.", minute.pcm)

    assert len(live.card(ask(long))) < 300_000


def test_what_people_and_servers_write_is_text_not_html():
    def wicked(talk):
        talk.open()
        talk.take_message()
        talk.answer("<script>alert(1)</script><img onerror=x>")

    page = live.card(ask(wicked, modalities="text"))
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        (
            "incomplete",
            {"type": "incomplete", "reason": "max_output_tokens"},
            ["is incomplete", "max_output_tokens", "Raise max_output_tokens"],
        ),
        ("incomplete", {"type": "incomplete", "reason": "content_filter"}, ["content filter stopped it"]),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, ["was cancelled", "client_cancelled"]),
        (
            "failed",
            {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "Slow down, sk-abc123456."}},
            ["Slow down"],
        ),
    ],
)
def test_a_status_other_than_completed_is_told_with_what_to_do(status, details, expected):
    def stopped(talk):
        talk.open()
        talk.take_message()
        talk.answer("Oslo", status=status, status_details=details)

    page = words_of(live.card(ask(stopped, modalities="text")))
    for part in [status, *expected]:
        assert part in page
    assert "sk-abc" not in page
    assert "Oslo" in page  # what came is kept


def test_a_broken_connection_is_told_and_keeps_what_came():
    def drops(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        part = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        item = {"id": "i", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        talk.say(
            {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "response_id": "r", "output_index": 0, "item": item},
            {"type": "response.output_text.delta", **part, "delta": "Oslo is"},
        )
        talk.drop()

    reply = ask(drops, modalities="text")
    page = words_of(live.card(reply))
    assert "Oslo is" in page
    assert "failed" in page
    assert str(reply.error).split(".")[0] in page


def test_how_it_ended_what_it_cost_and_how_long_it_took_stand_on_one_line_once():
    page = live.card(ask(spoken))
    assert page.count('class="facts"') == 1
    (line,) = re.findall(r'<div class="facts">(.*?)</div>', page)
    assert re.match(
        r"completed · cost \$[\d.]+ · first sound after [\d.]+ s · tokens 10 in, 5 out$", re.sub("<.*?>", "", line)
    )
    assert words_of(page).count("completed") == 1


def test_where_practice_answers_the_card_says_what_it_would_cost_and_not_once_more_who_answers():
    reply = rtnb.ask("Good morning.", practice=True, modalities="text", show=False).wait(60)
    said = words_of(live.card(reply))
    assert re.search(r"cost\s+\$[\d.]+ at OpenAI", said)
    assert said.count("practice server") == 1
    assert "nothing" not in said
    language("zh")
    assert re.search(r"已完成.*在 OpenAI 要 \$", words_of(live.card(reply)), re.S)


def test_an_answer_without_words_says_so():
    def silent(talk):
        talk.open()
        talk.take_message()
        talk.answer("", item_id="empty")

    assert "(no words came)" in words_of(live.card(ask(silent, modalities="text")))


def test_the_card_speaks_chinese_when_asked_to():
    language("zh")
    whole = live.card(ask(spoken))
    page = words_of(whole)
    assert "回答" in page
    assert "下载 回答" in whole


def test_outside_a_notebook_the_bundle_is_the_headline_and_the_card():
    reply = ask(spoken)
    assert live.bundle(reply) == {"text/plain": repr(reply), "text/html": live.card(reply)}


def test_what_goes_wrong_in_showing_harms_nothing(monkeypatch, caplog):
    reply = ask(spoken)
    monkeypatch.setattr(live, "card", lambda reply: 1 / 0)
    assert live.bundle(reply) == {"text/plain": repr(reply)}
    assert "could not show a reply" in caplog.text
    monkeypatch.setattr(live.frontend, "detect", lambda: 1 / 0)
    live.show(reply)
    assert reply.text == "Oslo is the capital of Norway."


def test_a_terminal_gets_words_on_stdout_and_progress_on_stderr(monkeypatch, capsys):
    where = frontend.Frontend("terminal", False, False, False, True, "the test says so")
    monkeypatch.setattr(live.frontend, "detect", lambda: where)
    clip = rtnb.samples()["question"]

    def hears(talk):
        talk.open()
        talk.take_sound()
        assert drawn.wait(20)
        talk.answer("Oslo is the capital.", TONE)

    drawn = threading.Event()
    with serve(hears) as url:
        reply = rtnb.ask(clip, url=url, key="sk-test")
        end = time.monotonic() + 20
        out = err = ""
        while "1.9/1.9 s" not in err and time.monotonic() < end:
            err += capsys.readouterr().err
            time.sleep(0.02)
        drawn.set()
        reply.wait(20)
        while not out.endswith("\n") and time.monotonic() < end:
            new = capsys.readouterr()
            out, err = out + new.out, err + new.err
            time.sleep(0.02)
    assert out == "Oslo is the capital.\n"
    assert re.search(r"Sending 100%.* 1\.9/1\.9 s", err), err


def late(talk):
    """An answer, and the limits after its end, as OpenAI sends them."""
    talk.open()
    talk.take_message()
    talk.answer("Oslo is the capital.", TONE)
    time.sleep(0.04)
    talk.say({"type": "rate_limits.updated", "rate_limits": []})


def test_in_a_terminal_the_words_come_whole_after_the_lines_of_the_events(monkeypatch, capsys):
    where = frontend.Frontend("terminal", False, False, False, True, "the test says so")
    monkeypatch.setattr(live.frontend, "detect", lambda: where)
    with serve(spoken) as url:
        rtnb.ask("Where?", url=url, key="sk-test", verbose=True).wait(20)
        end, out = time.monotonic() + 20, ""
        while not out.endswith("Norway.\n") and time.monotonic() < end:
            out += capsys.readouterr().out
            time.sleep(0.02)
    *lines, words = out.splitlines()
    assert words == "Oslo is the capital of Norway."
    assert all(re.match(r" *\d+\.\d{3} s [←→] [a-z_.]+ ", line) for line in lines), out
    assert "← response.done" in lines[-1]


def test_a_terminal_is_told_of_an_answer_cut_short(monkeypatch, capsys):
    where = frontend.Frontend("terminal", False, False, False, True, "the test says so")
    monkeypatch.setattr(live.frontend, "detect", lambda: where)

    def cut(talk):
        talk.open()
        talk.take_message()
        talk.answer("Oslo is", status="incomplete", status_details={"reason": "max_output_tokens"})

    with serve(cut) as url:
        reply = rtnb.ask("Where?", url=url, key="sk-test", modalities="text")
        reply.wait(10)
        end = time.monotonic() + 5
        err = ""
        while "Raise max_output_tokens" not in err and time.monotonic() < end:
            err += capsys.readouterr().err
            time.sleep(0.02)
    assert "The response is incomplete" in err


# --- cells that a program runs


def run(*cells, **env):
    """Run cells in a fresh kernel as nbclient does; gives them back with their outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute(env={**_environment(), **env})
    return notebook.cells


def _environment():
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JPY_", "VSCODE_", "COLAB_"))}
    return {**kept, "LANG": "en_US.UTF-8"}


def data_of(cell):
    return [output.get("data", {}) for output in cell.outputs]


def test_a_program_that_runs_the_cells_gets_words_card_and_player_as_plain_html():
    with serve(spoken) as url:
        ask_, last, where = run(
            f"import rtnb\nreply = await rtnb.ask('What?', url={url!r}, key='sk-test')",
            "reply",
            "from rtnb.ui.shared import frontend; print(frontend.detect())",
        )
    (card,) = data_of(ask_)
    assert set(card) == {"text/plain", "text/html"}
    assert "Oslo is the capital of Norway." in card["text/html"]
    assert card["text/html"].count("data:audio/ogg;base64,") == 1
    assert data_of(last)[0]["text/html"] == card["text/html"]  # another cell: the whole card again
    assert "headless" in where.outputs[0]["text"] or "nbclient" in where.outputs[0]["text"]


def test_the_card_is_there_though_the_cell_blocks_and_the_sound_is_stored_once():
    with serve(spoken) as url:
        (cell,) = run(f"import rtnb\nreply = rtnb.ask('What?', url={url!r}, key='sk-test')\nreply.wait(20)\nreply")
    card, headline = data_of(cell)
    assert card["text/html"].count("data:audio/ogg;base64,") == 1
    assert "data:audio" not in headline["text/html"]
    assert "the card above" in headline["text/html"]


def test_a_reply_shown_before_it_is_done_shows_itself_live_and_then_whole():
    def slow(talk):
        talk.open()
        talk.take_message()
        time.sleep(1.0)
        talk.answer("Oslo at last.", TONE)

    with serve(slow) as url:
        first, second = run(
            f"import rtnb\nchat = rtnb.connect(url={url!r}, key='sk-test')\nreply = chat.ask('What?')\nreply",
            "await reply; from rtnb.ui.reply_card import live; assert live._views[reply].carded.wait(20)",
        )
    shown = data_of(first)
    assert "Oslo at last." in shown[0]["text/html"]  # replaced while the second cell ran
    assert second.outputs == []


def test_the_upload_box_and_a_failed_cell_leave_whole_notebooks():
    def stopped(talk):
        talk.open()
        talk.take_message()
        details = {"type": "failed", "error": {"code": "server_error", "message": "The server had an error."}}
        talk.answer("Oslo", status="failed", status_details=details)

    notebook = nbformat.v4.new_notebook()
    with serve(stopped) as url:
        notebook.cells = [
            nbformat.v4.new_code_cell("import rtnb\nbox = rtnb.upload()\nbox"),
            nbformat.v4.new_code_cell(f"await rtnb.ask('What?', url={url!r}, key='sk-test')"),
        ]
        NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute(env=_environment())
    box, failed = notebook.cells
    assert set(data_of(box)[0]) == {"text/plain", "text/html"}
    assert "stands in" in data_of(box)[0]["text/html"]
    # The error says it; the card keeps what came, and that it failed.
    shown = words_of(data_of(failed)[0]["text/html"])
    assert "Oslo" in shown
    assert "failed" in shown
    assert failed.outputs[-1]["output_type"] == "error"
    assert "The server had an error." in "\n".join(failed.outputs[-1]["traceback"])
    assert "The server had an error." not in shown


def test_the_card_says_what_went_wrong_where_nobody_waits_for_it():
    def stopped(talk):
        talk.open()
        talk.take_message()
        details = {"type": "failed", "error": {"code": "server_error", "message": "The server had an error."}}
        talk.answer("Oslo", status="failed", status_details=details)

    with serve(stopped) as url:
        asked = f"import rtnb, asyncio\nreply = rtnb.ask('What?', url={url!r}, key='sk-test')"
        later = f"{asked}\nwhile not reply.done:\n    await asyncio.sleep(0.05)"
        (failed,) = run(later)
    assert [output["output_type"] for output in failed.outputs] == ["display_data"]
    assert "The server had an error." in words_of(data_of(failed)[0]["text/html"])


@pytest.mark.parametrize(
    "cell",
    [
        "await rtnb.ask('What?', url=url, key='sk-test', verbose=True)",
        "rtnb.ask('What?', url=url, key='sk-test', verbose=True).wait(60); import time; time.sleep(0.5)",
        "chat = rtnb.connect(url=url, key='sk-test', verbose=True)\n_ = await chat.ask('What?')",
    ],
)
def test_a_verbose_cell_has_a_line_for_each_event_and_then_the_card(cell):
    with serve(late) as url:
        _, cell = run(f"import rtnb; url = {url!r}", cell)
    lines = [output for output in cell.outputs if output["output_type"] == "stream"]
    card = next(output for output in cell.outputs if "data" in output)
    assert "Oslo is the capital." in card["data"]["text/html"]
    assert cell.outputs.index(card) == len(lines)  # whatever follows it is the value of the cell
    events = "".join(line["text"] for line in lines).splitlines()
    assert "rate_limits.updated" in events[-1]
    assert sum("← response.output_audio_transcript.delta" in line for line in events) == 4
