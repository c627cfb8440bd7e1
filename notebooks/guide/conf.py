"""Sphinx's settings for both languages; `build.py` sets `language` and says with RTNB_PAGES which pages the other has."""

import logging
import os
import re
import tomllib
from gettext import NullTranslations
from importlib.metadata import version as version_of
from pathlib import Path
from typing import ClassVar

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.python import PyObject
from sphinx.search.zh import SearchChinese

GUIDE = Path(__file__).parent
OTHER = {"en": "zh", "zh": "en"}
PAGES = tomllib.loads((GUIDE / "api.toml").read_text("utf-8")).values()
EXAMPLES = {name: text for page in PAGES for name, text in page.get("examples", {}).items()}
OTHER_PAGES = set(os.environ.get("RTNB_PAGES", "").split())

logging.getLogger("jieba").setLevel(logging.WARNING)

project = "rtnb"
author = "The rtnb maintainers"
release = version = version_of("rtnb")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
templates_path = [str(GUIDE / "theme")]

# The notebooks as they are saved: nothing is run, and nothing but the page itself is loaded.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_heading_anchors = 6

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
# With what a class has from others of rtnb, but not with what every list or exception has.
autodoc_default_options = {
    "members": True,
    "inherited-members": "object,list,tuple,Sequence,Generic,BaseException,RtnbError",
}
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"rtnb {release}"
html_static_path = [str(GUIDE / "theme" / "site.css")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"


class SearchChineseWords(SearchChinese):
    """Sphinx's search in Chinese, where a question without blanks is cut into words that the pages have."""

    language_name = "English"  # the stemmer it has: Sphinx 9.0 looks for one of this name and finds no Chinese one
    # The longest words that the index has, one after another; what it has not is passed over.
    js_splitter_code = r"""
function splitQuery(query) {
  const {terms, titleterms} = Search._index, words = [];
  const known = (word) => Object.hasOwn(terms, word) || Object.hasOwn(titleterms, word);
  for (const [piece, chinese] of query.matchAll(/(\p{Script=Han}+)|[^\p{Script=Han}\P{L}]+|\p{N}+/gu)) {
    let rest = piece;
    while (rest) {
      let end = rest.length;
      while (chinese && end && !known(rest.slice(0, end))) end--;
      if (end) words.push(rest.slice(0, end));
      rest = rest.slice(end || 1);
    }
  }
  return words;
}
"""


def as_rst(app: Sphinx, what: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Write a docstring's code as reStructuredText does; what names a class or a function of rtnb becomes a link."""
    if what == "data":
        lines.clear()  # what is said of its type
    if what in ("attribute", "property"):
        lines.insert(0, "")  # or napoleon takes what stands before a colon for a type
    if name in EXAMPLES:
        lines += ["", "Examples:", *(f"    {line}" for line in EXAMPLES[name].splitlines()), ""]
    fenced = False
    for number, line in enumerate(lines):
        indent, fence, kind = re.fullmatch(r"(\s*)(```)?(.*)", line, re.S).groups()
        if fence and not fenced:
            lines[number] = f"{indent}.. code-block:: {kind or 'text'}\n"
        elif fence:
            lines[number] = ""
        elif fenced:
            lines[number] = f"    {line}"
        else:
            lines[number] = re.sub(r"(?<!`)`([^`]+)`(?!`)", as_role, line)
        fenced ^= bool(fence)
    lines[:] = "\n".join(lines).split("\n")


def as_role(code: re.Match[str]) -> str:
    return f":py:obj:{code[0]}" if re.fullmatch(r"(rtnb\.|[A-Z])[\w.]+(\(\))?", code[1]) else f"``{code[1]}``"


def find_by_its_end(app: Sphinx, env: object, node: Element, text: Element) -> Element | None:
    """Find what a docstring names without its module: `Reply` is `rtnb.session.reply.Reply`."""
    target = node.get("reftarget", "").removesuffix("()").removeprefix("rtnb.")
    domain = env.get_domain("py")
    found = [name for name in domain.objects if f".{name}".endswith(f".{target}")]
    if node.get("refdomain") != "py" or not target or len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, text)


def other_language(app: Sphinx, page: str, template: str, context: dict[str, object], doctree: object) -> None:
    """Say where the same page is in the other language."""
    other = OTHER[app.config.language[:2]]
    there = page if page in OTHER_PAGES else "index"
    context["other_page"] = "../" * (page.count("/") + 1) + f"{other}/{there}.html"
    context["other_language"] = {"en": "English", "zh": "中文"}[other]
    context["other_lang"] = {"en": "en", "zh": "zh-CN"}[other]


class Words(NullTranslations):
    """The theme's words in Chinese, which Sphinx's own translation does not have."""

    CHINESE: ClassVar = {
        "Back to top": "回到顶部",
        "Home": "首页",
        "Next": "下一页",
        "On this page": "本页内容",
        "Previous": "上一页",
    }

    def gettext(self, message: str) -> str:
        return self.CHINESE.get(message.strip(), message)


def add_words(app: Sphinx) -> None:
    if app.config.language.startswith("zh"):
        app.translator.add_fallback(Words())


def name_attributes(app: Sphinx, config: Config) -> None:
    """Head the list of a class's attributes with their own word."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = {"en": "Attributes", "zh": "属性"}[config.language[:2]]


def setup(app: Sphinx) -> None:
    app.connect("config-inited", name_attributes)
    app.connect("builder-inited", add_words)
    app.add_search_language(SearchChineseWords)
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon reads its sections
    app.connect("missing-reference", find_by_its_end)
    app.connect("html-page-context", other_language)
