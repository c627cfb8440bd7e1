"""A page that is reloaded in the middle of something, and a notebook that is open twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import rtnb
from browser import lab
from browser.calling import OpenCall, in_notebook, microphone

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

CALL = "import rtnb\ncall = rtnb.call(practice=True)"
TOLD = (
    "print('told', call.state, len(call._engine.exchange.sessions) - 1, [e.event['audio_end_ms'] for e in call.log"
    " if e.direction == 'sent' and e.type == 'conversation.item.truncate'])\n"
    "print('ended', call.ended)"
)


def reload(it: OpenCall, jupyter: lab.Jupyter) -> None:
    """Save the notebook, reload the page, and wait until the first cell shows its widget again."""
    it.notebook.saved()
    it.notebook = jupyter.open(it.page, it.notebook.path)
    it.root.wait_for()


def test_a_call_whose_page_is_reloaded_goes_on_with_one_click(jupyter, tmp_path: Path):
    with in_notebook(jupyter, "again.ipynb", [CALL, TOLD], microphone=microphone(tmp_path / "quiet.wav", 60)) as call:
        call.until("listening")
        call.say("Please count from one to sixty.")
        call.wait(lambda: call.engine("e.played.played_ms") > 1_200)
        reload(call, jupyter)
        call.until("away")
        assert call.part("main").get_attribute("aria-label") == "Go on with the call"
        assert "page was closed or reloaded" in call.part("hint").inner_text()
        (_, asked), (_, answered) = call.lines()  # the captions are there
        assert asked == "Please count from one to sixty."
        assert answered.endswith("interrupted")
        call.part("main").click()
        call.until("listening")
        assert not call.microphone_is_off()
        call.say("What is two plus two?")
        call.wait(lambda: len(call.lines()) == 4 and "4" in call.lines()[3][1])
        told = call.run(1)
        assert "told open 0 [" in told  # the same session, and it knows how much of the answer was heard
        assert int(told.split("[")[1].split("]")[0]) > 800
        call.part("hangup").click()
        call.until("closed")
        assert call.microphone_is_off()
        assert not [line for line in call.page.console if "pageerror" in line]


def test_a_call_to_which_nobody_comes_back_ends_and_can_be_taken_up_with_its_history(jupyter, tmp_path: Path):
    cells = [CALL + "\nimport rtnb.ui.call.engine as it; it._PAGE_BACK_SECONDS = 1", TOLD]
    with in_notebook(jupyter, "over.ipynb", cells, microphone=microphone(tmp_path / "quiet.wav", 60)) as call:
        call.until("listening")
        call.say("What is two plus two?")
        call.wait(lambda: len(call.lines()) == 2 and "4" in call.lines()[1][1])
        call.notebook.saved()
        call.page.goto("about:blank")
        call.page.wait_for_timeout(3_000)  # the kernel waits for one
        call.notebook = jupyter.open(call.page, call.notebook.path)
        call.until("closed")
        assert "Nobody was on the page any more" in call.part("hint").inner_text()
        assert [role for role, _ in call.lines()] == ["user", "assistant"]
        assert call.part("main").get_attribute("aria-label") == "Reconnect"
        call.part("main").click()
        call.until("listening")
        assert "told open 1 " in call.run(1)


def test_a_second_tab_takes_the_call_over_and_the_first_one_falls_silent(jupyter, tmp_path: Path):
    with in_notebook(jupyter, "tabs.ipynb", [CALL, TOLD], microphone=microphone(tmp_path / "quiet.wav", 90)) as call:
        call.until("listening")
        call.notebook.saved()
        other = call.page.context.new_page()
        address = jupyter.url + f"/lab/workspaces/other/tree/{jupyter.room}/{call.notebook.path}?token={jupyter.token}"
        other.goto(address)
        second = OpenCall(other, lab.Notebook(jupyter, other, call.notebook.path))
        second.until("elsewhere", seconds=400)  # a second JupyterLab opens
        assert "another tab" in second.part("hint").inner_text()
        assert second.part("main").get_attribute("aria-label") == "Bring the call here"
        call.say("Please count from one to sixty.")
        call.until("speaking")  # looking on disturbs nobody
        second.wait(lambda: [role for role, _ in second.lines()] == ["user", "assistant"])
        second.part("main").click()
        second.until("listening")
        call.until("elsewhere")
        call.wait(call.microphone_is_off)
        assert call.engine("e.context") is None
        second.say("What is two plus two?")
        second.wait(lambda: len(second.lines()) == 4 and "4" in second.lines()[3][1])
        call.wait(lambda: len(call.lines()) == 4)  # and the first tab reads along
        assert call.lines()[1][1].endswith("interrupted")
        told = second.run(1)
        assert "told open 0 [" in told


def test_two_views_in_one_page_are_the_same_call(jupyter, tmp_path: Path):
    cells = [CALL, "call"]
    with in_notebook(jupyter, "views.ipynb", cells, microphone=microphone(tmp_path / "quiet.wav", 60)) as call:
        call.until("listening")
        call.notebook.run(1)
        views = call.page.locator(".rtnb-call")
        views.nth(1).wait_for()
        assert [views.nth(i).get_attribute("data-status") for i in (0, 1)] == ["listening"] * 2
        call.say("What is two plus two?")
        call.wait(lambda: views.nth(1).locator(".rtnb-call-line").count() == 2)
        call.notebook.select(0)
        call.notebook._command("notebook:clear-cell-output")
        call.wait(lambda: views.count() == 1)
        call.page.wait_for_timeout(1_000)
        assert call.status == "listening" or call.status == "speaking"  # the other view keeps it
        assert not call.microphone_is_off()
        call.part("hangup").click()
        call.until("closed")
        assert call.microphone_is_off()


def test_what_was_recorded_before_a_reload_is_kept_and_can_be_heard(jupyter):
    box = "import rtnb\nbox = rtnb.record()\nbox"
    tell = "from rtnb.server.engines import asr\nprint(box, asr.transcribe(box.clip.pcm, rate_hz=box.clip.rate_hz))"
    with in_notebook(jupyter, "record.ipynb", [box, tell], start=False, root=".rtnb-recorder", speaks=True) as it:
        it.root.locator(".rtnb-recorder-main").click()
        it.wait(lambda: it.root.get_attribute("data-state") == "recording")
        it.speak("question")
        reload(it, jupyter)
        it.wait(lambda: it.root.get_attribute("data-state") == "done")
        assert "what you had said until then is kept" in it.shows()
        assert "Norway" in it.run(1)
        it.root.get_by_role("button", name="Play your recording").click()
        it.page.wait_for_function("() => document.querySelector('.rtnb-recorder audio').currentTime > 0.5")
        loudest = """async () => {
          const file = await (await fetch(document.querySelector(".rtnb-recorder audio").src)).arrayBuffer();
          const decoded = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(file);
          return decoded.getChannelData(0).reduce((peak, it) => Math.max(peak, Math.abs(it)), 0);
        }"""
        assert it.page.evaluate(loudest) > 0.05
        assert not [line for line in it.page.console if "pageerror" in line]


def test_an_upload_cut_off_by_a_reload_is_told_and_can_be_given_again(jupyter, tmp_path: Path):
    path = tmp_path / "lecture.wav"
    path.write_bytes(os.urandom(6_000_000))
    # The kernel takes so long over a piece that the page goes away in the middle.
    slow = (
        "import rtnb, time\nbox = rtnb.upload()\npiece = box._transfers.piece\n"
        "def slowly(*args):\n    time.sleep(0.3)\n    piece(*args)\n"
        "box._transfers.piece = slowly\nbox"
    )
    tell = "print([(f.name, f.bytes, f.sha256) for f in box.files], len(box._transfers.arriving))"
    cells = [slow, tell, "box._transfers.piece = piece"]
    with in_notebook(jupyter, "upload.ipynb", cells, start=False, root=".rtnb-upload") as it:
        it.notebook.saved()
        it.root.locator("input[type=file]").set_input_files(str(path))
        it.page.wait_for_function("() => document.querySelector('.rtnb-upload progress')?.value > 0.1")
        reload(it, jupyter)
        it.wait(lambda: "closed or reloaded" in it.shows())
        assert "lecture.wav" in it.shows()
        assert it.run(1).startswith("[] 0")
        it.notebook.run(2)
        it.root.locator("input[type=file]").set_input_files(str(path))
        it.page.wait_for_function(
            "() => !document.querySelector('.rtnb-upload progress') && !/reloaded/.test(document.body.innerText)"
        )
        it.wait(lambda: hashlib.sha256(path.read_bytes()).hexdigest() in it.run(1))


def test_two_views_of_one_upload_box_send_side_by_side_and_only_one_plays(jupyter, tmp_path: Path):
    paths = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for path in paths:
        path.write_bytes(os.urandom(3_000_000))
    talk = tmp_path / "talk.ogg"
    rtnb.samples()["talk"].save(talk)
    tell = "print([f.sha256 for f in box.files])"
    with in_notebook(
        jupyter, "both.ipynb", ["import rtnb\nbox = rtnb.upload()\nbox", "box", tell], start=False, root=".rtnb-upload"
    ) as it:
        it.notebook.run(1)
        views = it.page.locator(".rtnb-upload")
        views.nth(1).wait_for()
        for i, path in enumerate(paths):
            views.nth(i).locator("input[type=file]").set_input_files(str(path))
        told = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        it.wait(lambda: all(checksum in it.run(2) for checksum in told))
        assert [views.nth(i).locator("li:not([data-id=sample])").count() for i in (0, 1)] == [2, 2]
        views.nth(0).locator("input[type=file]").set_input_files(str(talk))
        # The other view has no copy of it, and asks the kernel for one.
        views.nth(1).get_by_role("button", name="Listen to talk.ogg").click()
        views.nth(1).get_by_role("button", name="Pause talk.ogg").wait_for()
        assert views.nth(0).get_by_role("button", name="Pause talk.ogg").count() == 0
        assert not [line for line in it.page.console if "pageerror" in line]
