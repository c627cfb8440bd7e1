"""Read the sources of the notebooks and compose notebooks from them, one for each language.

A source in `notebooks/source/` is text. `%% en` and `%% zh` begin the two languages of one Markdown cell, `%% code` a
cell both share, in which `{{they agree|两者一致}}` stands for the words of each; so the code of both languages is the
same by construction.
"""

import hashlib
import re
import tomllib
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

LANGUAGES = ("en", "zh")

# Whether the package index has rtnb. Until its first release that name may be a stranger's there, and nothing of ours
# asks for it. Set with the release; then `python -m rtnb.course --text` brings it into every notebook.
ON_INDEX = False

_INSTALL = """from importlib.util import find_spec

if not getattr(find_spec("rtnb"), "origin", None):  # {{rtnb is not installed yet|还没有安装 rtnb}}
    from glob import glob
    from packaging.version import Version

    # {{What lies beside this notebook: the newest wheel, else a checkout of the repository.\
|笔记本旁边最新的 wheel 文件，否则代码仓库。}}
    near = ["./", "../", "../../", *glob("./*/")]
    wheels = [file for folder in near for file in glob(folder + "rtnb-*-py3-none-any.whl")]
    wheels.sort(key=lambda file: Version(file.split("-")[-4]), reverse=True)
    checkouts = [at for at in near if glob(at + "pyproject.toml") and glob(at + "rtnb/cli.py")]
    found = [{{found}}]
    if not found:
        raise ImportError(
            "{{Your kernel has no rtnb, and neither its wheel (rtnb-….whl) nor its repository lies beside \
|内核里没有 rtnb，笔记本旁边也没有它的 wheel 文件（rtnb-….whl）或代码仓库：}}"
            "{{this notebook: put one of them there (in Colab, under Files) and run this cell again.\
|请把其中一个放到那里（在 Colab 中放到“文件”里），再运行这一格。}}"
        )
    %pip install -q "{found[0]}[practice]"

import rtnb"""


class Cell(NamedTuple):
    """Cell of a source.

    Attributes:
        kind: `"markdown"` or `"code"`.
        texts: The cell's text by language; a code cell's is the same in both but for its words.
    """

    kind: str
    texts: dict[str, str]


class Source(NamedTuple):
    """Source of a notebook.

    Attributes:
        name: The notebook's name without its ending, for example `"01_walkthrough"`.
        minutes: Minutes a learner will take.
        cells: The cells in order.
    """

    name: str
    minutes: int
    cells: tuple[Cell, ...]


def read(path: Path) -> Source:
    """Read a source.

    Raises:
        ValueError: If a Markdown cell lacks one of the languages, or a line before the first cell is not understood.
    """
    head, *blocks = re.split(r"^%% (en|zh|code)[ \t]*$", path.read_text("utf-8"), flags=re.MULTILINE)
    if strange := re.search(r"^(?!<!--|%% minutes: \d+\s*$).*\S.*$", head, re.MULTILINE):
        raise ValueError(f"{path.name}: {strange[0]!r} stands before the first cell")
    minutes = re.search(r"^%% minutes: (\d+)", head, re.MULTILINE)
    cells, waiting = list[Cell](), dict[str, str]()
    for kind, text in zip(blocks[::2], (block.strip("\n") for block in blocks[1::2]), strict=True):
        if kind == "code" and waiting:
            raise ValueError(f"{path.name}: the Markdown cell before {text[:60]!r} lacks a language")
        if kind in waiting or (kind == "zh" and "en" not in waiting):
            raise ValueError(f"{path.name}: English and Chinese must take turns at {text[:60]!r}")
        if kind == "code":
            cells.append(Cell("code", {language: _in(language, text) for language in LANGUAGES}))
        else:
            waiting[kind] = text
        if len(waiting) == len(LANGUAGES):
            cells.append(Cell("markdown", waiting))
            waiting = {}
    if waiting:
        raise ValueError(f"{path.name}: the last Markdown cell lacks a language")
    return Source(path.stem, int(minutes[1]) if minutes else 0, tuple(cells))


def _in(language: str, text: str) -> str:
    """Return code with the words of one language: of `{{these|those}}`, the first are English."""
    return re.sub(r"\{\{([^{}|]*)\|([^{}|]*)\}\}", rf"\{LANGUAGES.index(language) + 1}", text)


def folder() -> Path:
    """Return where the notebooks are: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parents[1]
    places = (package / "notebooks", package.parent / "notebooks")
    return next((at for at in places if any(at.glob("*.ipynb"))), Path("notebooks"))


def paths(folder: Path) -> list[Path]:
    """Return the paths of the sources below `notebooks/`, in the order of the course."""
    return sorted((folder / "source").glob("[0-9][0-9]_*.md"))


def target(name: str, language: str) -> str:
    """Return the notebook's path below `notebooks/`."""
    return f"{name}.ipynb" if language == "en" else f"{language}/{name}.ipynb"


def _badge(path: str) -> str:
    """Return the badge that opens a notebook in Colab, as a paragraph; "" where the checkout's `[project.urls]` has no
    `Repository` on GitHub."""
    urls = tomllib.loads((folder().parent / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    colab = "https://colab.research.google.com"
    at = urls.get("Repository", "").rstrip("/").replace("https://github.com", f"{colab}/github")
    badge = f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({at}/blob/main/notebooks/{path})\n\n"
    return badge if at.startswith(colab) else ""


def _figures(language: str) -> dict[str, str]:
    """Return each figure as an image that travels inside its notebook, by what stands for it in a source."""
    found = {}
    for path in (folder() / "source" / "figures").glob("*.svg"):
        svg = _in(language, path.read_text("utf-8"))
        url = "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
        # As HTML, not as `![…](…)`: markdown-it, which VS Code uses, takes no SVG there.
        found[f"figure_{path.stem}"] = f'<img alt="{re.findall("<title>(.*)</title>", svg)[0]}" src="{url}">'
    return found


def compose(source: Source, language: str, cents: str = "…") -> Any:
    """Compose a notebook without outputs from a source.

    Args:
        source: The source.
        language: `"en"` or `"zh"`.
        cents: What a run costs at OpenAI, in US cents, as text; `{{cents}}` stands for it.

    Returns:
        A notebook of `nbformat`.
    """
    import nbformat.v4 as v4

    install = _in(language, _INSTALL).replace("{{found}}", "*wheels, *checkouts" + ', "rtnb"' * ON_INDEX)
    badge, figures = _badge(target(source.name, language)), _figures(language)
    values = figures | {"language": language, "minutes": str(source.minutes), "cents": cents, "install": install}
    cells, seen = [], dict[str, int]()
    for cell in source.cells:
        text = cell.texts[language].replace("{{colab}}\n\n", badge)
        text = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)
        # An id from the English text: the same in both languages, and unchanged where the cell is.
        stem = hashlib.sha256(cell.texts["en"].encode()).hexdigest()[:8]
        seen[stem] = seen.get(stem, 0) + 1
        made = (v4.new_code_cell if cell.kind == "code" else v4.new_markdown_cell)(text)
        made["id"] = stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"
        cells.append(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "colab": {"provenance": []}}
    return v4.new_notebook(cells=cells, metadata=metadata)
