"""Every widget by the keyboard alone, and by the names that a screen reader says, in one page of JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dialogue import serve

import rtnb
from browser import lab
from browser.calling import OpenCall, in_notebook
from browser.test_player import ask, speaking

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

UPLOAD, RECORDER, STATIC, LIVE, EVENTS, CALL, CHINESE = range(7)
# What the Tab key stops at, in the order of the document.
STOPS = """
(output) => [...output.querySelectorAll("button, a[href], input, select, textarea, summary, [tabindex]")].filter((it) =>
  it.tabIndex >= 0 && !it.disabled && it.checkVisibility({ visibilityProperty: true }) && it.getClientRects().length)
"""
# Where the focus is: which stop, its box, and whether a line is drawn around it or around what it stands in for.
FOCUSED = f"""
(output) => {{
  const it = document.activeElement, {{ left, top, right, bottom }} = it.getBoundingClientRect();
  const line = (one) => getComputedStyle(one).outlineStyle !== "none" && parseFloat(getComputedStyle(one).outlineWidth);
  const seen = (one) => one && line(one) >= 1;
  return {{ stop: ({STOPS})(output).indexOf(it), box: [left, top, right, bottom], html: it.outerHTML.slice(0, 200),
            seen: it.matches(":focus-visible") && (seen(it) || seen(it.closest("label"))) }};
}}
"""
CONTROLS = {"button", "link", "slider", "combobox", "textbox", "checkbox", "meter", "log", "region", "progressbar"}
GROUPS = {"group", "list", "table"}  # which may be named by what stands in them


@pytest.fixture(scope="module")
def opened(jupyters: Any) -> Iterator[OpenCall]:
    """A notebook with each widget in a cell of its own."""
    with serve(speaking(20)) as url, jupyters("lab") as jupyter:
        cells = ["import rtnb\nrtnb.upload()", "rtnb.record()", "rtnb.samples()['talk']", ask(url), "reply.events"]
        cells += ["call = rtnb.call(practice=True)", "rtnb.language('zh')"]
        with in_notebook(jupyter, "keys.ipynb", cells, start=False, root=".rtnb-upload", speaks=True) as it:
            yield it


def shown(opened: OpenCall, cell: int, what: str) -> Any:
    """Run a cell and return its output, in which this is to be seen."""
    opened.notebook.run(cell, wait=cell != LIVE)
    output = opened.notebook.output(cell)
    output.locator(what).first.wait_for()
    return output


def walk(page: Any, output: Any) -> None:
    """Go with the Tab key through an output: to every control, in the order of the eye, the focus always seen."""
    stops = output.evaluate(
        f"(output) => {{ const stops = ({STOPS})(output); stops[0].focus(); return stops.length; }}"
    )
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")  # so that it came there by the keyboard
    assert output.locator("[tabindex]").evaluate_all("(all) => all.every((it) => it.tabIndex <= 0)")
    before = None
    for number in range(stops):
        now = output.evaluate(FOCUSED)
        assert now["stop"] == number, now
        assert now["seen"], now
        (left, top, _, _), below = now["box"], before
        assert below is None or top >= below[3] - 8 or left >= below[0], now  # a new line, or further on in it
        before = now["box"]
        page.keyboard.press("Tab")
    assert output.evaluate(FOCUSED)["stop"] in (-1, 0)  # and out of it


def named(output: Any, *wanted: str) -> dict[str, list[str]]:
    """Return the names of the controls and their groups by their roles; none is without one, and these are there."""
    tree = output.aria_snapshot()
    found = re.findall(r'^\s*- (\w+)(?: "((?:[^"\\]|\\.)*)")?', tree, re.MULTILINE)
    names: dict[str, list[str]] = {}
    for role, name in found:
        names.setdefault(role, []).append(name)
    assert not [role for role, said in names.items() if role in CONTROLS and "" in said], tree
    for line in wanted:
        assert line in tree, tree
    return names


def test_the_upload_box(opened: OpenCall, tmp_path: Path) -> None:
    page, path = opened.page, tmp_path / "two.wav"
    rtnb.samples()["weather"].save(path)
    output = shown(opened, UPLOAD, ".rtnb-upload li button")
    named(
        output,
        'region "Your recording"',
        'button "choose files"',
        'list "Chosen recordings"',
        'button "Listen to talk"',
    )
    walk(page, output)
    with page.expect_file_chooser() as chooser:
        output.get_by_role("button", name="choose files").press("Enter")
    chooser.value.set_files(str(path))
    listen = output.get_by_role("button", name="Listen to two.wav")
    listen.focus()
    page.keyboard.press("Space")
    output.get_by_role("button", name="Pause two.wav").wait_for()
    page.keyboard.press("Space")  # the focus has gone to the player
    output.get_by_role("button", name="Play two.wav").wait_for()
    named(
        output, 'button "Remove two.wav"', 'slider "Position in two.wav"', 'combobox "Speed"', 'link "Download two.wav"'
    )
    walk(page, output)
    output.get_by_role("button", name="Remove two.wav").focus()
    page.keyboard.press("Enter")
    output.get_by_role("button", name="Listen to talk").wait_for()


def test_the_recorder(opened: OpenCall) -> None:
    page, output = opened.page, shown(opened, RECORDER, ".rtnb-recorder")
    named(output, 'region "Record your voice"', 'button "Record"', 'meter "Microphone level"')
    walk(page, output)
    output.get_by_role("button", name="Record").focus()
    page.keyboard.press("Enter")
    output.locator("[data-state=recording]").wait_for()
    named(output, 'button "Stop recording"')
    opened.speak("question")
    page.keyboard.press("Escape")
    output.locator("[data-state=done]").wait_for()
    output.get_by_role("button", name="Use the sample again").wait_for()
    named(output, 'button "Record again"', 'button "Play your recording"', 'slider "Position in your recording"')
    walk(page, output)
    output.get_by_role("button", name="Play your recording").focus()
    page.keyboard.press("Enter")
    output.get_by_role("button", name="Pause your recording").wait_for()
    page.keyboard.press("Enter")
    output.get_by_role("button", name="Use the sample again").focus()
    page.keyboard.press("Space")
    output.locator("[data-state=ready]").wait_for()


def test_a_player(opened: OpenCall) -> None:
    page, output = opened.page, shown(opened, STATIC, ".rtnb-audio.on")
    named(output, 'group "talk, 21.9 s"', 'button "Play talk"', 'slider "Position in talk"', 'combobox "Speed"')
    walk(page, output)
    speed = output.get_by_role("combobox", name="Speed")
    speed.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.querySelector('.rtnb-audio.on audio').playbackRate === 1.25")
    output.get_by_role("link", name="Download talk").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "talk.ogg"


def test_an_answer_that_comes_and_its_events(opened: OpenCall) -> None:
    page, output = opened.page, shown(opened, LIVE, ".rtnb-player[data-state=playing]")
    pause = output.get_by_role("button", name="Pause the answer")
    pause.focus()
    page.keyboard.press("Space")
    output.locator(".rtnb-player[data-state=paused]").wait_for()
    named(output, 'button "Play the answer"', 'slider "Position in the answer"', 'slider "Volume"', 'button "Stop"')
    walk(page, output.locator(".rtnb-player"))
    output.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    opened.notebook.wait_idle()
    output.get_by_role("link", name="Download the answer").wait_for()
    named(output, 'group "Answer"', 'button "Play the answer"')
    walk(page, output)

    events = shown(opened, EVENTS, "select")
    names = named(events, "table", 'columnheader "time"', 'columnheader "type"')
    assert names["combobox"] == ["all types"]
    walk(page, events)
    choice = events.get_by_role("combobox")
    choice.focus()
    page.keyboard.type("response.d")
    assert choice.input_value() == "response.done"
    assert [row.split()[-3] for row in events.locator("tbody tr:visible").all_inner_texts()] == ["response.done"]
    page.keyboard.press("Tab")
    for key, unfolded in (("Enter", True), ("Space", False), ("Enter", True)):
        page.keyboard.press(key)
        assert events.locator("tr:visible details").evaluate("(it) => it.open") is unfolded
    # None of the keys was the notebook's.
    assert opened.notebook.cell(EVENTS).locator(".jp-InputArea").inner_text().endswith("reply.events")
    kinds = "() => window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.type).join()"
    assert page.evaluate(kinds) == ",".join(["code"] * 7)


def test_a_call_before_it_in_it_and_after_it(opened: OpenCall) -> None:
    page = opened.page
    output = shown(opened, CALL, ".rtnb-call")
    call = OpenCall(page, opened.notebook)
    named(output, 'region "Live call"', 'button "Start the call"')
    walk(page, output)
    call.part("main").focus()
    page.keyboard.press("Enter")
    call.until("listening")
    call.part("settings").locator("summary").focus()
    page.keyboard.press("Space")
    output.get_by_role("slider", name="Volume").wait_for()
    call.part("input").focus()
    page.keyboard.type("Please count from one to sixty.")
    page.keyboard.press("Enter")
    call.until("speaking")
    page.keyboard.press("Escape")
    call.until("listening")
    names = named(
        output, 'log "Conversation"', 'button "Mute"', 'button "Stop"', 'button "Hang up"', 'meter "Microphone level"'
    )
    assert names["textbox"] == ["Or type here"]
    walk(page, output)
    call.part("hangup").focus()
    page.keyboard.press("Space")
    call.until("closed")
    output.locator(".rtnb-audio.on").first.wait_for()
    page.wait_for_function("() => document.activeElement.matches('.rtnb-call-over .rtnb-call-main')")
    named(output, 'button "Reconnect"', 'slider "Position in')
    walk(page, output)


def test_the_names_are_chinese_where_the_language_is(opened: OpenCall) -> None:
    opened.notebook.run(CHINESE)
    seen = {
        UPLOAD: ".rtnb-upload li button",
        RECORDER: ".rtnb-recorder",
        STATIC: ".rtnb-audio.on",
        LIVE: ".rtnb-player",
        EVENTS: "select",
        CALL: ".rtnb-call",
    }
    for cell, what in seen.items():
        output = shown(opened, cell, what)
        if cell == LIVE:
            opened.page.wait_for_selector(".rtnb-player[data-state=playing]")
        for role, names in named(output).items():
            if role in CONTROLS | GROUPS:
                for name in names:
                    assert not re.search("[A-Za-z]{2}", name.replace("talk", "")), (role, name)
        if cell == LIVE:
            output.locator(".rtnb-player .stop").click()
