r"""Build the documentation site: the course, the guide and the API reference, in English and in Chinese.

    python3 -m venv .venv-site && .venv-site/bin/pip install -q -r notebooks/guide/requirements.txt -e . && \
        .venv-site/bin/python notebooks/guide/build.py build/site

The pages are gathered in a temporary folder, each language by itself, with their links turned to where they lead on the
site, and Sphinx writes them. Notebooks are shown with the outputs that they were saved with; nothing is run.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from html import escape
from pathlib import Path, PurePosixPath

from sphinx.cmd.build import build_main

GUIDE = Path(__file__).parent
ROOT = GUIDE.parent.parent
LANGUAGES = {"en": "en", "zh": "zh_CN"}
API = tomllib.loads((GUIDE / "api.toml").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Where the project and its site live; while nothing says so, what is not on the site is named and not linked.
URLS = {name: url.rstrip("/") for name, url in PROJECT.get("urls", {}).items()}
PICTURES = {".png", ".svg", ".jpg", ".jpeg", ".webp", ".gif"}
# The pages of the guide that come first in the menu; others follow by name.
FIRST = ["howto", "troubleshooting"]
WORDS = {
    "en": {"course": "The course", "guide": "Guide", "class": "For a class", "api": "API reference", "more": "More"},
    "zh": {"course": "课程", "guide": "指南", "class": "上课用", "api": "API 参考", "more": "其他"},
}
API_INTRODUCTION = {
    "en": "Every public name, its parameters, what it returns and raises, and an example that the tests run.",
    "zh": "所有公开的名称：参数、返回值、会抛出的错误，以及由测试运行的示例。说明取自代码里的文档字符串，为英文。",
}
# Code in a line, which is left as it is; or a link or picture, whose text may have code and pictures in it.
LINK = re.compile(
    r"(?P<code>`[^`\n]+`)|(?P<mark>!?)\[(?P<text>(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*)\]"
    r"\((?P<target>[^)\s]+)(?P<title>\s+\"[^\"]*\")?\)"
)
FENCES = re.compile(r"(^[ \t]*(?:```+|~~~+).*?^[ \t]*(?:```+|~~~+)[ \t]*$)", re.M | re.S)


class BrokenLink(Exception):
    """A page links to a file that does not exist."""


def pages_of(language: str) -> dict[str, str]:
    """Return where each page of the repository stands in a language's part of the site.

    What a language has not of its own stands there in English.
    """
    pages = {}
    for edition in dict.fromkeys(["en", language]):
        course = PurePosixPath("notebooks") / (edition if edition != "en" else "")
        found = {f"course/{path.name}": path for path in sorted((ROOT / course).glob("*.ipynb"))}
        for folder in ("questions", "solutions"):
            found |= {f"course/{folder}/{path.name}": path for path in sorted((ROOT / course / folder).glob("*.md"))}
        for path in sorted((ROOT / course).glob("*.md")):
            found["course/index.md" if path.stem == "README" else f"course/{path.name.lower()}"] = path
        found |= {path.name: path for path in sorted((GUIDE / edition).glob("*.md"))}
        if (changes := ROOT / ".github/CHANGELOG.md").exists():
            found["changelog.md"] = changes
        pages |= {place: path.relative_to(ROOT).as_posix() for place, path in found.items()}
    return pages


def api_page_of(name: str) -> str:
    """Return the page of the API reference with a name; the first, where none is asked for."""
    for page, entry in API.items():
        if any(f".{known}".endswith(f".{name.removeprefix('rtnb.')}") for known in entry["names"].split()):
            return f"api/{page}"
    return f"api/{next(iter(API))}"


class Staged:
    """The pages of one language, gathered for Sphinx.

    Args:
        language: `"en"` or `"zh"`.
        folder: Where to gather them.
    """

    def __init__(self, language: str, folder: Path) -> None:
        self.language, self.folder = language, folder
        self.pages = pages_of(language)
        self.others = {other: pages_of(other) for other in LANGUAGES if other != language}
        self.titles: dict[str, tuple[str, str]] = {}

    def gather(self) -> None:
        """Write all pages, and the menu into the first."""
        for place, source in self.pages.items():
            self.stage(place, source)
        for page, entry in API.items():
            title = entry["title"][self.language]
            head = f"{title}\n{'=' * 2 * len(title)}"
            parts = [head, API_INTRODUCTION[self.language], *map(directive, entry["names"].split())]
            self.write(f"api/{page}.rst", "\n\n".join(parts))
            self.titles[f"api/{page}"] = (title, ", ".join(name.rpartition(".")[2] for name in entry["names"].split()))
        self.add_menus()

    def write(self, place: str, text: str) -> None:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def stage(self, place: str, source: str) -> None:
        """Write one page with its links turned."""
        text = (ROOT / source).read_text("utf-8")

        def turn(markdown: str) -> str:
            parts = FENCES.split(markdown)
            return "".join(
                part if number % 2 else LINK.sub(lambda found: self.turned(found, place, source), part)
                for number, part in enumerate(parts)
            )

        if source.endswith(".ipynb"):
            notebook = json.loads(text)
            cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
            self.titles[place.partition(".")[0]] = title_of("\n\n".join("".join(cell["source"]) for cell in cells))
            for cell in cells:
                cell["source"] = turn("".join(cell["source"]))
            self.write(place, json.dumps(notebook, ensure_ascii=False))
        else:
            self.titles[place.partition(".")[0]] = title_of(text)
            self.write(place, turn(text))

    def turned(self, found: re.Match[str], place: str, source: str) -> str:
        """Return a link, or a picture, as it has to stand on the site."""
        if found["code"]:
            return found[0]
        mark, target = found["mark"], found["target"]
        text = LINK.sub(lambda inner: self.turned(inner, place, source), found["text"])
        title = found["title"] or ""
        if re.match(r"[a-z]+:", target):
            return found["text"] if mark else f"[{text}]({target}{title})"  # no picture from the network
        if target.startswith("#"):
            return found[0]
        path, _, anchor = target.partition("#")
        there = os.path.normpath(PurePosixPath(source).parent / path)
        depth = "../" * place.count("/")
        ending = f"#{anchor}" if anchor else ""
        if there == "notebooks/guide/api.toml":  # what stands for the reference among the sources
            return f'<a href="{depth}{api_page_of(anchor)}.html{ending}">{text}</a>'
        for staged, page in self.pages.items():
            if page == there:
                return f"[{text}]({depth}{staged}{ending}{title})"
        for other, pages in self.others.items():
            for staged, page in pages.items():
                if page == there:
                    return f'<a href="{depth}../{other}/{staged.rpartition(".")[0]}.html{ending}">{text}</a>'
        if not (ROOT / there).exists():
            raise BrokenLink(f"{source} links to {target}, which does not exist.")
        if mark and Path(there).suffix in PICTURES:
            copy = self.folder / "pictures" / there
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / there, copy)
            return f"![{text}]({depth}pictures/{there}{title})"
        return f"[{text}]({URLS['Repository']}/blob/HEAD/{there}{ending}{title})" if "Repository" in URLS else text

    def add_menus(self) -> None:
        """Write the tables of contents behind the pages that have pages below them."""
        words = WORDS[self.language]
        names = [place.partition(".")[0] for place in self.pages]
        guide = sorted(name for name in names if "/" not in name and name not in ("index", "changelog"))
        guide.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
        numbered = [name for name in names if re.match(r"course/\d", name)]
        below_class = [name for name in names if re.match(r"course/(questions|solutions)/", name)]
        menus = [
            (words["course"], ["course/index", *numbered]),
            (words["guide"], [*guide, "course/engines"]),
            (words["class"], ["course/teaching", "course/handout", "course/rubric"]),
            (words["api"], [f"api/{page}" for page in API]),
            (words["more"], ["changelog"] if "changelog" in names else []),
        ]
        self.menus = [(caption, entries) for caption, entries in menus if entries]
        self.append("index.md", *(toctree(entries, caption) for caption, entries in self.menus))
        self.append("course/teaching.md", toctree(["/" + name for name in below_class]))
        left = set(names) - {"index"} - {name for _, entries in menus for name in entries} - set(below_class)
        assert not left, f"No menu has {sorted(left)}."

    def append(self, place: str, *pieces: str) -> None:
        path = self.folder / place
        path.write_text("\n\n".join([path.read_text("utf-8"), *pieces]), "utf-8")


def toctree(entries: list[str], caption: str = "") -> str:
    head = f":caption: {caption}\n" if caption else ""
    return "\n".join(["```{toctree}", f":hidden:\n{head}", *entries, "```", ""])


def directive(name: str) -> str:
    last = name.rpartition(".")[2]
    kind = "data" if last.isupper() else "class" if last[0].isupper() else "function"
    return f".. auto{kind}:: {name}"


def title_of(markdown: str) -> tuple[str, str]:
    """Return a page's title, and how its first paragraph begins that is more than links, without marks."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", FENCES.sub("", markdown))]
    title = next((block.lstrip("# ").partition("\n")[0] for block in blocks if block.startswith("#")), "")
    words = (block for block in blocks if re.match(r"[\w*_“《`\[]", block) and LINK.sub("", block).strip(" ·\n"))
    plain = LINK.sub(lambda found: found["code"] or ("" if found["mark"] else found["text"]), next(words, ""))
    sentences = re.split(r"(?<=[.!?])(?=\s)|(?<=[。！？])", " ".join(plain.split()))
    first = next(text for n in range(len(sentences), 0, -1) if len(text := "".join(sentences[:n])) < 200 or n == 1)
    return re.sub(r"[*`]", "", title), re.sub(r"\*\*|`", "", first)


def write_llms(out: Path, languages: dict[str, Staged]) -> None:
    """Write what a language model is to read first: what this is, and each page with a line on it."""
    site = f"{URLS['Documentation']}/" if "Documentation" in URLS else ""
    lines = ["# rtnb", "", f"> {PROJECT['description']}", ""]
    for language, staged in languages.items():
        for caption, entries in staged.menus:
            lines += [f"## {caption}", ""]
            for name in entries:
                title, first = staged.titles[name]
                lines.append(f"- [{title}]({site}{language}/{name}.html)" + (f": {first}" if first else ""))
            lines.append("")
    (out / "llms.txt").write_text("\n".join(lines), "utf-8")


FRONT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>rtnb</title>
<style>:root {{ color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif }} body {{ margin: 20vh auto; max-width: 36rem; padding: 0 1rem }}</style>
<h1>rtnb</h1>
<p>{description}</p>
<p><a href="en/index.html">English</a> · <a href="zh/index.html" lang="zh-CN">中文</a></p>
<script>location.replace((navigator.language.startsWith("zh") ? "zh" : "en") + "/index.html")</script>
</html>
"""


def build(out: Path) -> int:
    """Build the site into a folder; what was there before is removed.

    Args:
        out: The folder.

    Returns:
        0, or the number of languages in which Sphinx warned of something.

    Raises:
        BrokenLink: If a page links to a file that does not exist.
    """
    for old in (*LANGUAGES, "llms.txt", "index.html"):
        shutil.rmtree(out / old) if (out / old).is_dir() else (out / old).unlink(missing_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        languages = {language: Staged(language, Path(folder) / language) for language in LANGUAGES}
        for staged in languages.values():
            staged.gather()
        for language, staged in languages.items():
            others = (path for other in languages.values() if other is not staged for path in other.titles)
            os.environ["RTNB_PAGES"] = " ".join(others)
            options = f"-q -W --keep-going -b html -D language={LANGUAGES[language]}".split()
            options += ["-c", str(GUIDE), "-d", str(Path(folder) / f"{language}-doctrees")]
            failed += bool(build_main([*options, str(staged.folder), str(out / language)]))
    (out / "index.html").write_text(FRONT.format(description=escape(PROJECT["description"])), "utf-8")
    write_llms(out, languages)
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(build(Path(sys.argv[1])))
