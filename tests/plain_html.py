"""What is left of a piece of HTML where styles, scripts and handlers are taken away, and what is wrong with it.

`jupyterlab(pages)` takes away what JupyterLab takes from outputs of a notebook that is not trusted (its own sanitizer,
under Node), `github(page)` what GitHub's public sanitizer takes: the allow-list of the gem html-pipeline, version 3.2.4
(`lib/html_pipeline/sanitization_filter.rb`). GitHub's view of notebooks itself is not public.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, NavigableString, Tag

NODE = Path(__file__).parent / "node"

# --- GitHub's list

_ELEMENTS = """
h1 h2 h3 h4 h5 h6 br b i strong em a pre code img tt div ins del sup sub p picture ol ul table thead tbody tfoot
blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary details caption figure figcaption abbr bdo
cite dfn mark small source span time wbr
"""
_ATTRIBUTES = """
abbr accept accept-charset accesskey action align alt aria-describedby aria-hidden aria-label aria-labelledby axis
border char charoff charset checked clear cols colspan compact coords datetime dir disabled enctype for frame headers
height hreflang hspace id ismap label lang maxlength media method multiple name nohref noshade nowrap open progress
prompt readonly rel rev role rows rowspan rules scope selected shape size span start summary tabindex title type usemap
valign value width itemprop
"""
ELEMENTS, ATTRIBUTES = set(_ELEMENTS.split()), set(_ATTRIBUTES.split())
OF_ELEMENTS = {"a": {"href"}, "img": {"src", "longdesc", "loading", "alt"}, "source": {"srcset"}}
SCHEMES = {"href": ("http:", "https:", "mailto:", "#", "/"), "src": ("http:", "https:", "#", "/")}
# Its library Selma takes these away with what is in them; of others it leaves what is in them.
EMPTIED = {"title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "script", "plaintext"}
VOID = {"br", "hr", "img", "input", "source", "wbr"}


class _Github(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.kept, self.within = "", 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within += tag in EMPTIED
        if tag in ELEMENTS and not self.within:
            allowed = ATTRIBUTES | OF_ELEMENTS.get(tag, set())
            kept = [(name, value or "") for name, value in attrs if name in allowed]
            kept = [one for one in kept if one[1].startswith(SCHEMES.get(one[0], ""))]
            self.kept += "".join([f"<{tag}", *(f' {name}="{escape(value)}"' for name, value in kept), ">"])

    def handle_endtag(self, tag: str) -> None:
        self.within -= tag in EMPTIED
        if tag in ELEMENTS - VOID and not self.within:
            self.kept += f"</{tag}>"

    def handle_data(self, data: str) -> None:
        if not self.within:
            self.kept += escape(data)


def github(page: str) -> str:
    """What GitHub's public sanitizer leaves."""
    return _Github(page).kept


def jupyterlab(pages: Sequence[str]) -> list[str]:
    """What JupyterLab's sanitizer leaves of each."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    if not (NODE / "node_modules" / "@jupyterlab" / "apputils").is_dir():
        pytest.skip("the npm package @jupyterlab/apputils is not installed: npm ci --prefix tests/node")
    done = subprocess.run(
        ["node", "sanitize.mjs"],
        cwd=NODE,
        input=json.dumps(pages),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return list(json.loads(done.stdout))


# --- what a person reads

# What begins and ends a line, or stands in a cell of its own, whatever the style sheets are.
_BLOCKS = """
address article aside blockquote br caption dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5
h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul
"""
BLOCKS = set(_BLOCKS.split())
UNSEEN = {"style", "script", "template", "audio", "video"}
JOINS_BEFORE, JOINS_AFTER = set(".,:;!?)”’…、。，：；！？）」』%"), set("(“‘（「『$")


def _pieces(element: Tag) -> Iterator[NavigableString | None]:
    """The texts of an element in their order; None where a line, or a cell, begins or ends."""
    for child in element.children:
        if isinstance(child, Tag):
            if child.name in UNSEEN or child.has_attr("hidden"):
                continue
            block = child.name in BLOCKS
            yield from [None] * block
            yield from _pieces(child)
            yield from [None] * block
        elif type(child) is NavigableString and child:
            yield child


def words(page: str) -> list[str]:
    """The words of a page in their order."""
    return "".join("\n" if piece is None else piece for piece in _pieces(BeautifulSoup(page, "html.parser"))).split()


def touching(page: str) -> list[str]:
    """Words of separate elements with nothing between them, such as `Answerpractice server`."""
    found, before = [], None
    for piece in _pieces(BeautifulSoup(page, "html.parser")):
        parted = not piece or not before or before[-1].isspace() or piece[0].isspace()
        if not parted and piece[0] not in JOINS_BEFORE and before[-1] not in JOINS_AFTER:
            found.append(f"{before[-20:]}{piece[:20]}")
        before = piece
    return found


# --- what is wrong


def dead(page: str) -> list[str]:
    """Controls that do nothing: their handlers, addresses and scripts have been taken away."""
    soup = BeautifulSoup(page, "html.parser")
    found = soup.find_all(["button", "input", "select", "textarea", "canvas", "svg", "iframe", "object"])
    found += soup.select("[tabindex], [role=button]")
    found += [media for media in soup.select("audio[controls], video[controls]") if not media.get("src")]
    found += [link for link in soup.find_all("a") if not str(link.get("href", "#")).startswith(("http", "mailto"))]
    found += [one for one in soup.find_all("details") if one.summary is None or not words(str(one.summary))]
    return [str(one)[:120] for one in found]


def headless(page: str) -> list[str]:
    """Tables whose first row is no row of heads, each with a word, one for each column."""
    found = []
    for table in BeautifulSoup(page, "html.parser").find_all("table"):
        first, *rows = table.find_all("tr")
        heads = first.find_all("th", recursive=False)
        even = all(len(row.find_all(["td", "th"], recursive=False)) == len(heads) for row in rows)
        if not heads or first.find("td") or not even or not all(words(str(head)) for head in heads):
            found.append(str(first)[:200])
    return found


def bare(page: str) -> list[str]:
    """Pictures without a text of their own, or without a table, a list or a caption beside them that says the same."""
    found = []
    for picture in BeautifulSoup(page, "html.parser").find_all("img"):
        beside = [parent.find(["table", "dl", "ul", "ol", "figcaption"]) for parent in picture.parents]
        if not str(picture.get("alt", "")).strip() or not any(beside):
            found.append(str(picture)[:120])
    return found
