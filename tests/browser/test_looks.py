"""How outputs and widgets look in pages without a kernel: narrow, in colours of the system, in a theme of their own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from style_sheets import Page as Theme
from style_sheets import themes
from test_reads_anywhere import outputs

import rtnb
from browser import bare, lab
from rtnb.ui.player.widget import StreamPlayer
from rtnb.ui.recorder.widget import RecordBox
from rtnb.ui.reply_card.card import card
from rtnb.ui.upload.widget import UploadBox

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

TONE = list((np.sin(np.arange(240_000) / 9) * 9_000).astype("<i2").tobytes())
HEAR = "([content, bytes]) => window.__model.hear(content, bytes)"
FILES = [
    {"id": "a", "name": "a-recording.m4a", "seconds": 3.2, "bytes": 90_000},
    {"id": "b", "name": "broken.m4a", "seconds": 0, "bytes": 900, "problem": "No recording."},
]
KNOWN = {"checking": False, "failed": "", "problem": ""}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Each output by its language and what makes it."""
    return {language: outputs(language, tmp_path_factory.mktemp(language)) for language in ("en", "zh")}


@pytest.fixture
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    rtnb.language(request.param)
    yield request.param
    rtnb.language("auto")


def hear(page: Any, kind: str, bytes: list[int] | None = None, **content: Any) -> None:
    page.evaluate(HEAR, [{"kind": kind, **content}, bytes or []])


def answer(page: Any) -> Any:
    """A player while its answer plays."""
    cell = bare.mount(page, StreamPlayer(lambda: None).widget)
    hear(page, "audio", TONE, n=1, item="x")
    cell.locator(".rtnb-player[data-state=playing]").wait_for()
    return cell


def call(page: Any) -> Any:
    """A call in which the voice speaks."""
    cell = bare.mount(page, rtnb.call(practice=True).widget)
    me = page.evaluate("() => window.__model.sent[0].page")
    known = {"owner": me, "away": False, "reason": "", "text": "", "source": "practice"}
    hear(page, "welcome", n=0, to=me, seconds=0, **known | {"state": "ready", "owner": ""})
    cell.locator(".rtnb-call-main").click()
    cell.locator("[data-status=connecting]").wait_for()
    hear(page, "state", n=1, state="open", seconds=3, **known)
    turn = {"spoken": True, "audio_ms": 10_000, "played_ms": 0}
    hear(page, "turn", n=2, item="v", after=None, text="It rains in Oslo.", role="assistant", open=True, **turn)
    hear(page, "money", n=3, text="$0.0023", source="practice")
    hear(page, "audio", TONE, n=4, item="v")
    cell.locator("[data-status=speaking]").wait_for()
    cell.locator(".rtnb-call-settings summary").click()
    return cell


def boxes(page: Any) -> None:
    """An upload box with files, and a recorder."""
    state = {"files": [KNOWN | one for one in FILES], "sample": None, "waiting": True}
    bare.mount(page, UploadBox()._display_(), state=state)
    bare.mount(page, RecordBox()._display_())


# --- narrow ----------------------------------------------------------------------------------------------------------

WIDE = "(cells) => cells.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText.slice(0, 40))"
# Words of which a part is not shown.
CUT = """
(root) => [...root.querySelectorAll("*")].filter((one) => {
  const style = getComputedStyle(one);
  const hides = style.overflowX === "hidden" && style.clipPath === "none";
  return hides && one.innerText && one.scrollWidth > one.clientWidth + 1;
}).map((one) => one.innerText)
"""


@pytest.mark.parametrize("in_language", ["en", "zh"])
def test_what_has_a_player_fits_into_a_narrow_page(browser, made, in_language):
    pages = [one for pages in made[in_language].values() for one in pages if "<audio" in one]
    assert len(pages) > 5
    page = bare.opened(browser, *pages, theme=themes()[2])
    page.wait_for_function("() => !document.querySelector('.rtnb-audio:not(.on)')")
    assert page.locator(".cell:has(.rtnb-audio)").evaluate_all(WIDE) == []
    # Words beside a player have room.
    narrow = (
        "(all) => all.filter((one) => one.innerText.length > 40 && one.clientWidth < 120).map((one) => one.innerText)"
    )
    assert page.locator("td").evaluate_all(narrow) == []
    page.context.close()


@pytest.mark.parametrize("language", ["en", "zh"], indirect=True)
def test_nothing_of_a_call_is_cut_in_a_narrow_page(browser, language):
    page = bare.opened(browser, theme=themes()[2])
    cell = call(page)
    assert "gpt-realtime-2.1-mini" in cell.locator(".rtnb-call-who").inner_text()
    assert cell.evaluate(CUT) == []
    assert page.locator(".cell").evaluate_all(WIDE) == []
    page.context.close()


@pytest.mark.parametrize("language", ["en", "zh"], indirect=True)
def test_what_a_call_costs_stays_within_its_card(browser, language):
    page = bare.opened(browser, theme=themes()[2], width=740)
    cell = call(page)
    hear(page, "money", n=5, text="$0.0123", captions="$0.00052", source="practice")
    page.wait_for_function("() => document.querySelector('.rtnb-call-money').innerText.includes('0.00052')")
    root, money = (cell.locator(name).bounding_box() for name in (".rtnb-call", ".rtnb-call-money"))
    assert money["x"] + money["width"] <= root["x"] + root["width"] - 10
    page.context.close()


def test_many_outputs_do_not_change_each_others_players(browser, made):
    """Each output brings its style sheets, and those of a later one come after a player's."""
    page = bare.opened(browser, made["en"]["Clip"][0], made["en"]["Cost"][0], width=900)
    page.wait_for_function("() => !document.querySelector('.rtnb-audio:not(.on)')")
    caption = page.locator(".rtnb-audio figcaption").first
    assert caption.evaluate("(one) => getComputedStyle(one).display") == "block"
    assert page.locator(".rtnb-audio").first.evaluate("(one) => getComputedStyle(one).paddingTop") == "7.2px"
    page.context.close()


# --- colours of the system -------------------------------------------------------------------------------------------


def looks(element: Any, *, margin: int = 4) -> np.ndarray:
    """An element as it is seen, with a little around it: its pixels, 0–255."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    clip = {"x": box["x"] - margin, "y": box["y"] - margin}
    clip |= {"width": box["width"] + 2 * margin, "height": box["height"] + 2 * margin}
    picture = Image.open(io.BytesIO(element.page.screenshot(clip=clip)))
    return np.asarray(picture.convert("L")).astype(int)


def seen(element: Any, *, margin: int = 0) -> bool:
    """Whether something is seen of an element that stands out: a third of black to white."""
    pixels = looks(element, margin=margin)
    return bool(pixels.size and np.ptp(pixels) > 85)


CONTROLS = "button, select, summary, input:not([type=file]), label:has([type=file]), [role=slider], a[href]"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_vanishes_where_the_system_chooses_the_colours(browser, made, dark):
    page = bare.opened(browser, made["en"]["Clip"][0], theme=themes()[2], dark=dark, forced_colors=True, width=700)
    boxes(page)
    answer(page)
    call(page)
    page.add_style_tag(content="*, ::before { animation: none !important; transition: none !important; }")
    for what in (".rtnb-call-wave", ".rtnb-call-level", ".rtnb-up", ".rtnb-audio .wave", CONTROLS):
        for one in page.locator(what).all():
            if one.is_visible():
                assert seen(one), one.evaluate("(one) => one.outerHTML")
    page.context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_focus_is_seen_where_the_system_chooses_the_colours(browser, made, dark):
    page = bare.opened(browser, made["en"]["Clip"][0], theme=themes()[2], dark=dark, forced_colors=True, width=700)
    boxes(page)
    page.keyboard.press("Tab")  # from now on the focus is shown
    for control in page.locator(CONTROLS).all():
        if control.is_visible() and not control.is_disabled():
            control.blur()
            before = looks(control)
            control.focus()
            assert np.abs(looks(control) - before).max() > 85, control.evaluate("(one) => one.outerHTML")
    page.context.close()


def test_what_was_played_differs_where_the_system_chooses_the_colours(browser, made):
    page = bare.opened(browser, made["en"]["Clip"][0], theme=themes()[2], dark=True, forced_colors=True)
    wave = page.locator(".rtnb-audio .wave")
    wave.wait_for()
    before = looks(wave, margin=0)
    page.evaluate("() => document.querySelector('.wave').style.setProperty('--at', 1)")
    page.wait_for_function("() => !document.getAnimations().length")
    after = looks(wave, margin=0)
    changed = np.abs(after - before) > 20
    assert changed.mean() > 0.1
    assert after[changed].max() > 85
    page.context.close()


def test_what_is_still_to_come_is_seen_where_the_system_chooses_the_colours(browser):
    reply = rtnb.ask("Hello.", practice=True, show=False, modalities="text").wait()
    page = bare.opened(browser, card(reply, body='<span class="caret"></span>'), theme=themes()[2], forced_colors=True)
    assert seen(page.locator(".caret"), margin=2)
    page.context.close()


# --- a theme that is not the system's --------------------------------------------------------------------------------

# Words that cannot be read on what they stand on, 4.5 : 1; what is transparent lets the next one through.
UNREADABLE = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((one, i) => (one * a + below[i] * (255 - a)) / 255).concat(255);
  const ground = (one) => {
    if (!one) return rgba("Canvas");
    return over(rgba(getComputedStyle(one).backgroundColor), ground(one.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    const passed = one.closest("style, script, option, svg, :disabled, [aria-disabled=true]");
    if (!walker.currentNode.data.trim() || passed) continue;
    if (!one.checkVisibility() || !one.getClientRects().length) continue;
    const below = ground(one);
    const [a, b] = [light(over(rgba(getComputedStyle(one).color), below)), light(below)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${walker.currentNode.data.trim().slice(0, 40)} (${one.className})`);
  }
  return [...new Set(found)];
}
"""
OTHERS = [(theme, not theme.dark) for theme in themes() if theme.jupyter]


@pytest.mark.parametrize(("theme", "dark"), OTHERS, ids=[theme.name for theme, _ in OTHERS])
def test_what_is_shown_follows_the_page_and_not_the_system(browser, made, theme: Theme, dark: bool):
    pages = [one for pages in made["en"].values() for one in pages if one]
    page = bare.opened(browser, *pages, theme=theme, dark=dark, width=900)
    page.wait_for_function("() => !document.querySelector('.rtnb-audio:not(.on)')")
    boxes(page)
    answer(page)
    call(page)
    # Lists, checkboxes and bars that the browser draws, and pictures that follow what they stand in.
    schemes = "(all) => [...new Set(all.map((one) => getComputedStyle(one).colorScheme))]"
    ours = page.locator(".rtnb, .rtnb-ui, .rtnb-tlbox, .cell select, .cell img")
    assert ours.evaluate_all(schemes) == ["dark" if theme.dark else "light"]
    assert page.evaluate(UNREADABLE) == []
    page.context.close()


# --- what a page gives back ------------------------------------------------------------------------------------------

COUNTED = """
() => {
  window.__kept = new Set();
  const [make, give] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (it) => {
    const url = make.call(URL, it);
    window.__kept.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => {
    window.__kept.delete(url);
    give.call(URL, url);
  };
}
"""


def kept(page: Any) -> int:
    return page.evaluate("() => window.__kept.size")


def test_a_player_gives_its_audio_back(browser):
    page = bare.opened(browser)
    cell = bare.mount(page, StreamPlayer(lambda: None).widget)
    page.evaluate(COUNTED)
    hear(page, "audio", TONE[:4_800], n=1, item="x")
    hear(page, "stop", n=2)
    cell.locator("audio").wait_for(state="attached")
    page.wait_for_function("() => document.querySelector('audio').duration > 0")
    assert kept(page) == 1
    page.evaluate("() => window.__unmount()")
    assert kept(page) == 0
    page.context.close()


def test_a_recorder_gives_each_recording_back(browser, tmp_path):
    page = bare.opened(browser)
    cell = bare.mount(page, RecordBox()._display_())
    page.evaluate(COUNTED)
    recording = rtnb.samples()["order"].save(tmp_path / "order.wav")
    address = ""
    for _ in range(2):
        cell.locator("input[type=file]").set_input_files(recording)
        page.wait_for_function(
            "(was) => ![null, was].includes(document.querySelector('audio')?.src ?? null)", arg=address
        )
        address = page.evaluate("() => document.querySelector('audio').src")
        assert kept(page) == 1
    page.evaluate("() => window.__unmount()")
    assert kept(page) == 0
    page.context.close()
