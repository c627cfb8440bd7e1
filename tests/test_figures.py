"""The figures of the course: drawn by their script, in both languages, readable, and inside the notebooks."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import make_figures
import nbformat
import pytest

from rtnb.course import sources

CHINESE = re.compile(r"[\u4e00-\u9fff]")
NOTEBOOKS = make_figures.NOTEBOOKS
SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {draw.__name__: draw().svg() for draw in make_figures.FIGURES}
BOTH = [(path.stem, language) for path in sources.paths(NOTEBOOKS) for language in sources.LANGUAGES]


def in_language(svg, language):
    """A figure with the words of one language, as a tree."""
    number = sources.LANGUAGES.index(language) + 1
    return ElementTree.fromstring(re.sub(r"\{\{([^{}|]*)\|([^{}|]*)\}\}", rf"\{number}", svg))


def texts(tree):
    return [element.text for element in tree.iter() if element.text and element.text.strip()]


def test_every_figure_is_what_its_script_draws():
    for path, text in make_figures.files().items():
        assert path.read_text("utf-8") == text, "run python tests/make_figures.py"
    assert {path.stem for path in (NOTEBOOKS / "source" / "figures").glob("*")} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_has_words_in_both_languages_and_a_title(name):
    english, chinese = (in_language(DRAWN[name], language) for language in sources.LANGUAGES)
    assert len(texts(english)) == len(texts(chinese)) > 6
    assert not CHINESE.search("".join(texts(english)))
    titles = [tree.find(f"{SVG}title").text for tree in (english, chinese)]
    assert CHINESE.search(titles[1])
    assert not re.search(r'["<>&]', "".join(titles)), "each becomes an alt"
    # What stays English in the Chinese one is code, a name or a figure.
    kept = [text for text in texts(chinese) if not CHINESE.search(text)]
    for text in kept:
        assert re.fullmatch(r"[\w.…,()→ :\"{}=×、-]*|“rain and …”", text), text
        assert not re.search(r"\b(the|of|and|is|you|your)\b", text.replace("“rain and …”", "")), text


@pytest.mark.parametrize("language", sources.LANGUAGES)
@pytest.mark.parametrize("name", DRAWN)
def test_its_words_are_large_enough_and_stay_on_the_card(name, language):
    tree = in_language(DRAWN[name], language)
    width, height = (float(tree.get(side)) for side in ("width", "height"))
    assert width == make_figures.WIDTH
    for element in tree.iter(f"{SVG}text"):
        x, y, size = (float(element.get(key)) for key in ("x", "y", "font-size"))
        # Fonts of the system differ: a Latin letter takes 0.6 of its size at most, a Chinese one all of it.
        long = sum(size if CHINESE.match(sign) else 0.6 * size for sign in element.text)
        left = x - long * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
        assert size >= 12
        assert left >= 4, element.text
        assert left + long <= width - 4, element.text
        assert size <= y <= height - 6, element.text


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return sum(
        weight * (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4)
        for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
    )


def test_its_words_stand_out_from_every_fill():
    # The card is part of the figure, so the page may be light or dark.
    fills = [make_figures.CARD, *(colours[1] for colours in make_figures.COLOURS)]
    for ink in (make_figures.INK, make_figures.GREY, *(colours[0] for colours in make_figures.COLOURS[:3])):
        for fill in fills:
            assert (luminance(fill) + 0.05) / (luminance(ink) + 0.05) >= 4.5, (ink, fill)


@pytest.mark.parametrize(("name", "language"), BOTH)
def test_it_travels_inside_the_notebook(name, language):
    notebook = nbformat.read(NOTEBOOKS / sources.target(name, language), 4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', prose)
    shown = ElementTree.fromstring(base64.b64decode(picture))
    assert texts(shown) in [texts(in_language(svg, language)) for svg in DRAWN.values()]
    assert shown.find(f"{SVG}title").text in prose


@pytest.mark.parametrize("folder", ["", "zh"])
def test_the_map_stands_in_the_readme(folder):
    page = (NOTEBOOKS / folder / "README.md").read_text("utf-8")
    (alt,) = re.findall(r"!\[(.+)\]\(map\.svg\)", page)
    assert ElementTree.parse(NOTEBOOKS / folder / "map.svg").find(f"{SVG}title").text == alt
