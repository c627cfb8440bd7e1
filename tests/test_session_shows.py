"""Sessions whose replies show themselves: in a notebook without a word, elsewhere when they are asked to."""

import nbformat
import pytest
from dialogue import serve, until
from nbclient import NotebookClient

import rtnb
from rtnb.session.reply import Reply


def three(talk):
    talk.open()
    for words in ("One.", "Two.", "Three."):
        talk.take_message()
        talk.answer(words)


@pytest.fixture
def shown(monkeypatch):
    """The replies that were shown as they came."""
    shown = []
    monkeypatch.setattr(Reply, "shown_live", shown.append)
    return shown


def test_a_script_shows_nothing_by_itself(shown):
    with serve(three) as url, rtnb.connect(url=url, key="sk-test") as chat:
        chat.ask("First").wait(20)
    assert shown == []


def test_what_is_asked_for_is_shown_where_the_session_is_to_show(shown):
    with serve(three) as url, rtnb.connect(url=url, key="sk-test", show=True) as chat:
        first = chat.ask("First").wait(20)
        chat.ask("Second", show=False).wait(20)
        chat.show = False
        third = chat.ask("Third", show=True).wait(20)
    assert shown == [first, third]


def test_an_aside_is_not_shown(shown):
    with rtnb.connect(practice=True, show=True) as chat:
        reply = chat.ask("Good morning").wait(60)
        chat.side("Which language is spoken? One word.").wait(60)
    assert shown == [reply]


def test_ask_and_map_show_theirs_once(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rtnb.ask("Good morning", practice=True, show=False).wait(60)
    rtnb.map([rtnb.samples()[0]], "Summarize this.", practice=True).wait(60)
    assert shown == []


@pytest.mark.slow
def test_a_notebook_shows_the_card_of_what_a_session_was_asked():
    cells = [
        "import rtnb\nchat = rtnb.connect(practice=True)",
        "for question in ('Good morning', 'Thank you'):\n    await chat.ask(question)",
        "quiet = rtnb.connect(practice=True, show=False)\n_ = await quiet.ask('Good morning')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300).execute()
    cards = [
        [out for out in cell.outputs if "Answer" in out.get("data", {}).get("text/html", "")] for cell in notebook.cells
    ]
    assert list(map(len, cards)) == [0, 2, 0]


def test_the_refusal_of_an_event_that_was_sent_as_it_is_is_a_warning():
    def refusing(talk):
        talk.open()
        for size in (16, 17):
            sent = talk.hear()
            talk.say({"type": "error", "error": {"message": f"{size} MB is too long.", "event_id": sent["event_id"]}})

    with serve(refusing) as url, rtnb.connect(url=url, key="sk-test") as chat:
        for own_id in ({}, {"event_id": "mine"}):
            chat.send({"type": "input_audio_buffer.append", "audio": "AAAA", **own_id}).wait(20)
        until(lambda: len(chat.warnings) == 2)
    assert [*chat.warnings] == [f"The server reported an error: {size} MB is too long." for size in (16, 17)]
