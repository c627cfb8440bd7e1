"""What a person sees: escaped, readable in light and dark, understandable without eyes or scripts."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from rtnb import html

EVIL = '<script>alert("x")</script>" onload="y'


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("path", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def first(self, name: str) -> dict[str, str | None]:
        return next(attributes for tag, attributes in self.tags if tag == name)


def picture(page: str) -> Tags:
    """The drawing in the first picture of a page."""
    return Tags(base64.b64decode(Tags(page).first("img")["src"].removeprefix("data:image/svg+xml;base64,")).decode())


def every_kind(word: str) -> list[str]:
    return [
        html.player(b"Ogg", [0.1, 1.0], 2.0, word),
        html.table([word], [[word]], caption=word),
        html.card(word, [(word, word)], body=word),
        html.notice(word, "error"),
        html.waveform([0.5], word),
    ]


def test_whatever_is_passed_in_comes_out_as_text_and_never_as_markup():
    for page in every_kind(EVIL):
        seen = Tags(page)
        assert "script" not in [tag for tag, _ in seen.tags]
        assert not any("onload" in attributes for _, attributes in seen.tags)


def test_every_tag_that_opens_closes():
    for page in every_kind("plain"):
        assert Tags(page).open == []


def test_html_that_is_marked_as_such_stays():
    assert "<code>a</code>" in html.table(["x"], [[html.Safe("<code>a</code>")]])


def test_the_player_holds_the_sound_once_and_says_what_it_is():
    sound = bytes(range(256))
    page = html.player(sound, [0.0, 0.5, 1.0], 3.21, "question.m4a")
    seen = Tags(page)
    kind, data = seen.first("audio")["src"].split(";base64,")
    assert kind == "data:audio/ogg"
    assert base64.b64decode(data) == sound
    assert page.count("audio/ogg;base64,") == 1
    assert seen.first("audio")["aria-label"] == "question.m4a"
    assert seen.first("img")["alt"] == "Waveform of question.m4a, 3.2 s"
    assert seen.text == "question.m4a, 3.2 s · Run this cell to hear it."


@pytest.mark.parametrize("compact", [False, True])
def test_without_its_handler_a_player_is_words_and_a_picture_and_no_control_that_does_nothing(compact):
    page = html.player(b"Ogg", [0.5], 1.0, "question", compact=compact)
    assert {tag for tag, _ in Tags(page).tags} == {"style", "div", "figure", "figcaption", "span", "img", "audio"}
    assert "controls" not in Tags(page).first("audio")
    handlers = [name for _, attributes in Tags(page).tags for name in attributes if name.startswith("on")]
    assert handlers == ["onkeydown", "onloadedmetadata"]  # the first keeps keys from the notebook around it


def test_the_handler_is_small_and_in_an_output_of_many_players_once():
    one = html.player(b"Ogg", [0.5], 1.0, "a", compact=True)
    assert len(Tags(one).first("audio")["onloadedmetadata"]) < 4_300
    many = html.table(["sound"], [[html.Safe(one)]] * 3)
    assert many.count("onloadedmetadata=") == 1
    assert many.count("clip-path:polygon") == one.count("clip-path:polygon")
    assert many.count("data:audio/ogg") == 3
    assert Tags(many).open == []


def test_a_long_clip_shows_minutes():
    assert "61:01 min" in html.player(b"", [], 3661.4, "long")


def test_the_waveform_draws_one_bar_for_each_peak_and_the_loudest_fills_it():
    path = picture(html.waveform([0.0, 0.25, 1.0, 7.0, -1.0], "w")).first("path")["d"]
    bars = [int(height) for height in re.findall(r"v(\d+)", path)]
    assert bars == [1, 18, 36, 36, 1]


def test_a_waveform_of_nothing_is_still_a_picture():
    assert picture(html.waveform([], "w")).first("svg")["viewbox"] == "0 0 4 40"


def test_colours_are_those_of_jupyter_with_a_fallback_and_nothing_is_fetched():
    page = html.notice("hello")
    for variable in re.findall(r"var\((--(?:jp|vscode|colab)[\w-]+)(.)", page):
        assert variable[1] == ",", f"{variable[0]} has no fallback"
    assert "prefers-reduced-motion" in html.PLAYER_CSS
    assert "prefers-color-scheme:dark" in page
    assert "http" not in page
    assert "url(" not in page


def test_amounts_stand_to_the_right_under_their_head_and_words_to_the_left():
    page = html.table(["what", "US dollars"], [["audio in", "$1.50"]], right=(1,))
    cells = [(tag, cell["align"], cell["style"]) for tag, cell in Tags(page).tags if tag in ("th", "td")]
    # Twice: JupyterLab's sanitizer keeps the style, GitHub's the attribute.
    assert cells == [
        ("th", "left", "text-align:left;white-space:nowrap"),
        ("th", "right", "text-align:right"),
        ("td", "left", "text-align:left;white-space:nowrap"),
        ("td", "right", "text-align:right;white-space:nowrap"),
    ]
    assert page.count('scope="col"') == 2


@pytest.mark.parametrize("name", ["gpt-realtime-2.1-mini", "2026-05-07", "talk-2.m4a"])
def test_a_name_and_a_day_are_not_broken(name):
    page = html.table(
        ["name", "words"], [[name, "Many words, of which a line is made."], [html.Safe(f"<i>{name}</i>"), 3]]
    )
    kept = [cell["style"].partition(";")[2] for tag, cell in Tags(page).tags if tag == "td"]
    assert kept == ["white-space:nowrap", "min-width:10em", "white-space:nowrap", "white-space:nowrap"]


@pytest.mark.parametrize(("kind", "role"), [("info", "note"), ("ok", "note"), ("warning", "alert"), ("error", "alert")])
def test_what_must_be_heard_is_announced(kind, role):
    assert Tags(html.notice("text", kind)).tags[-1][1]["role"] == role


def test_a_notice_keeps_its_lines():
    assert "one\ntwo" in Tags(html.notice("one\ntwo")).text


def test_a_card_without_facts_has_no_empty_list():
    assert "<dl>" not in html.card("Title")
    assert ">9 kB</dd>" in html.card("Title", [("size", "9 kB")])
