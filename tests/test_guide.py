"""The documentation site: its examples run, and it is whole, in both languages, without the network."""

import doctest
import os
import pydoc
import re
import subprocess
import threading
import tomllib
import warnings
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import lab

import rtnb

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "notebooks/guide"
LANGUAGES = ["en", "zh"]
SURFACE = tomllib.loads((ROOT / "tests/surface/names.toml").read_text("utf-8"))
PAGES = tomllib.loads((GUIDE / "api.toml").read_text("utf-8")).values()
ON_PAGES = [name for page in PAGES for name in page["names"].split()]
EXAMPLES = {name: text for page in PAGES for name, text in page.get("examples", {}).items()}


def test_the_reference_has_every_public_name_once():
    called = {name if name.startswith("rtnb.") else f"rtnb.{name}" for name in SURFACE["functions"]}
    # Methods stand with their class, and these five under the name that the package has for them.
    double = {f"rtnb.costs.{name}" for name in ("Budget", "estimate", "limit_kernel", "prices")} | {
        "rtnb.keys.find_key"
    }
    functions = {name for name in called if name.count(".") < 2 or not name.split(".")[-2][0].isupper()}
    pages = [ROOT / "README.md", *(ROOT / "notebooks").rglob("*.md")]
    written = set(re.findall(r"\b((?:costs|models|keys)\.\w+)", "\n".join(path.read_text("utf-8") for path in pages)))
    used = {f"rtnb.{name}" for name in written if not name.endswith((".py", ".toml"))}
    assert {f"rtnb.{name}" for name in rtnb.__all__} | (functions | used) - double <= set(ON_PAGES)
    assert len(ON_PAGES) == len(set(ON_PAGES))


def test_both_languages_have_the_same_pages():
    assert len({tuple(sorted(path.name for path in (GUIDE / language).glob("*.md"))) for language in LANGUAGES}) == 1


@pytest.mark.parametrize("name", ON_PAGES)
def test_the_example_of_each_name_runs_as_it_stands(name, monkeypatch):
    monkeypatch.setattr("rtnb.texts.language._chosen", None)
    example = EXAMPLES.get(name) or pydoc.locate(name).__doc__
    read = doctest.DocTestParser().get_doctest(example, {"rtnb": rtnb}, name, None, None)
    assert 1 <= len(read.examples) <= 6
    said = []
    with warnings.catch_warnings():
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(read, out=said.append)
    assert not said, "".join(said)


# --- the site --------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page has: its anchors, its links, and what a browser loads with it."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.players = set(), [], [], 0
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        self.players += tag == "audio"
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag != "a":
            self.loaded += [attributes[name] for name in ("src", "href", "data", "poster") if name in attributes]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    python = os.environ.get("RTNB_SITE_PYTHON")
    if not python:
        pytest.skip("RTNB_SITE_PYTHON names no Python")
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run([python, str(GUIDE / "build.py"), str(out)], capture_output=True, text=True, timeout=1200)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_the_site_has_the_course_and_the_guide_in_both_languages(site, pages):
    for language in LANGUAGES:
        notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
        expected = [f"course/{path.stem}" for path in notebooks] + [path.stem for path in (GUIDE / "en").glob("*.md")]
        expected += [f"course/{page}" for page in ("index", "teaching", "engines", "questions/01", "solutions/09")]
        missing = [name for name in expected if site / language / f"{name}.html" not in pages]
        assert not missing
        assert ("On this page" in (site / language / "howto.html").read_text("utf-8")) == (language == "en")
        heard = {path.stem: pages[site / language / "course" / f"{path.stem}.html"].players for path in notebooks}
        saved = ROOT / "notebooks" / ("" if language == "en" else language)
        assert heard == {path.stem: path.read_text("utf-8").count("<audio ") for path in sorted(saved.glob("*.ipynb"))}
        anchors = set().union(*(page.anchors for path, page in pages.items() if path.parent.name == "api"))
        assert set(ON_PAGES) <= anchors


# Under what name of the list of what functions return a class stands there, where that is not its own.
LISTED = {
    "rtnb.money.limits.Limits": "Limits of a session",
    "rtnb.models.Limits": "Limits of the API",
    "rtnb.money.bill.Item": "Item of a bill",
    "rtnb.costs.Line": "Line of a cost",
    "rtnb.audio.check.Check": "Check of a clip",
    "rtnb.session.reply.Delta": "Piece",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_has_what_returned_objects_have(site, language):
    returned = {LISTED.get(name, name.rpartition(".")[2]): name for name in ON_PAGES}
    assert set(SURFACE["returned"]) <= set(returned)
    html = "".join(path.read_text("utf-8") for path in sorted((site / language / "api").glob("*.html")))
    starts = sorted((html.index(f'id="{name}"'), name) for name in ON_PAGES)
    ends = [start for start, _ in starts[1:]] + [len(html)]
    parts = {name: html[start:end] for (start, name), end in zip(starts, ends, strict=True)}
    missing = []
    for listed, entry in SURFACE["returned"].items():
        name = returned[listed]
        for member in [*entry["names"].split(), *entry.get("methods", {})]:
            if f'id="{name}.{member}"' not in parts[name] and f"<strong>{member}</strong>" not in parts[name]:
                missing.append(f"{name}.{member}")
    assert missing == ["rtnb.costs.PriceTable.HEADERS"]  # the words over its columns


def test_no_page_loads_anything_from_the_network(site, pages):
    foreign = [
        (path.relative_to(site).as_posix(), address)
        for path, page in pages.items()
        for address in page.loaded
        if re.match(r"(?!data:)[a-z]+:|//", address)
    ]
    assert not foreign
    sheets = [*site.rglob("*.css"), *pages]
    assert not [path for path in sheets if re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text("utf-8"))]
    assert not [path for path in pages if "mathjax.js" in (text := path.read_text("utf-8")) or "require.min" in text]


def test_no_link_on_the_site_is_broken(site, pages):
    broken = []
    for path, page in pages.items():
        for address in {*page.links, *page.loaded}:
            parts = urlsplit(address)
            if parts.scheme or not address:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[there].anchors if there in pages else {parts.fragment}
            if not there.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append((path.relative_to(site).as_posix(), address))
    assert not broken


def test_a_language_model_finds_each_page_in_llms_txt(site):
    text = (site / "llms.txt").read_text("utf-8")
    assert text.startswith("# rtnb\n\n> ")
    linked = re.findall(r"^- \[.+?\]\((\S+?)\)", text, re.M)
    assert len(linked) > 40
    assert not [address for address in linked if not (site / address).is_file()]


# What is looked for, without blanks where the language has none, and a page on which it stands.
FOUND = {"en": ("microphone headphones", "course/03_live_voice"), "zh": ("麦克风和耳机", "course/03_live_voice")}


@pytest.fixture
def address(site):
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.browser
@pytest.mark.skipif(lab.missing() is not None, reason=str(lab.missing()))
def test_in_a_browser_audio_plays_words_are_found_and_the_language_changes(address):
    with lab.chromium() as browser:
        page = lab.page(browser, dark=True)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        for language, (words, where) in FOUND.items():
            page.goto(f"{address}/{language}/course/02_conversation.html")
            page.locator(".rtnb-audio button").first.click()
            page.wait_for_function("[...document.querySelectorAll('audio')].some((audio) => audio.currentTime > 0.2)")
            assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
            light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert max(light[:3]) < 64
            page.locator(".sidebar-search").fill(words)
            page.locator(".sidebar-search").press("Enter")
            page.wait_for_selector(f"#search-results li a[href^='{where}.html']")
            page.goto(f"{address}/{language}/course/02_conversation.html")
            page.locator(".other-language").click()
            other = LANGUAGES[language == "en"]
            page.wait_for_url(f"{address}/{other}/course/02_conversation.html")
            assert page.locator("html").get_attribute("lang").startswith(other)
        page.goto(address)
        page.wait_for_url(f"{address}/en/index.html")
        assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
