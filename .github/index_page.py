"""Make the page that the package index shows: the README, with addresses that lead somewhere from there.

The index shows no picture and follows no link by a path. Where `[project.urls]` has a `Repository` on GitHub, both get
its address at the tag of the release; while it has none, the pictures are left out and of a link its words stay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"<picture>.*?</picture>\n*|^!\[[^\]]*\]\([^)]*\)\n*", re.DOTALL | re.MULTILINE)
SOURCE = re.compile(r"<source [^>]*>\s*")  # the index strips it, as it does addresses that are `data:`
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")
SHOWN = re.compile(r'(?P<before>!\[[^\]]*\]\(|src=")(?!https?:)(?P<path>[^)"\s]+)')


def page(readme: str, repository: str, version: str) -> str:
    """Return the README as the package index shows it.

    Args:
        readme: The README, in Markdown.
        repository: The repository's address on GitHub; "" where it is not known.
        version: The version whose tag, `vVERSION`, the addresses name.
    """
    if not repository:
        return LINK.sub(r"\1", PICTURE.sub("", readme))
    at = repository.rstrip("/")
    readme = SHOWN.sub(rf"\g<before>{at}/raw/v{version}/\g<path>", SOURCE.sub("", readme))
    return LINK.sub(lambda link: f"[{link[1]}]({_address(link[2], at, version)})", readme)


def _address(path: str, repository: str, version: str) -> str:
    """Return where a path of the README, or a heading of its own, is read on GitHub."""
    return f"{repository}/blob/v{version}/{'README.md' * path.startswith('#')}{path}"


class IndexPage(MetadataHookInterface):
    """Hook of the build that sets the description in the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`."""
        repository = metadata.get("urls", {}).get("Repository", "")
        text = (Path(self.root) / "README.md").read_text("utf-8")
        shown = page(text, repository, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
