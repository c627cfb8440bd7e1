"""Offer a file to the user's own computer: through Colab where the notebook runs there, else through the page."""

import base64
import json
import mimetypes
import sys
import tempfile
import time
from html import escape
from pathlib import Path

from rtnb import html
from rtnb.texts.language import say


def download(data: bytes, name: str) -> None:
    """Offer `data` as a file called `name`.

    In Colab this is `google.colab.files.download`. Elsewhere the page gets a link from a script, which presses it
    once; where scripts do not run (a page not trusted) a sentence stands there.
    """
    if "google.colab" in sys.modules:
        from google.colab import files

        # Colab fetches the file after this returns, so it must outlive the call.
        target = Path(tempfile.mkdtemp(prefix="rtnb-")) / name
        target.write_bytes(data)
        files.download(str(target))
        return
    from IPython.display import HTML, display

    display(HTML(link(data, name)))


def link(data: bytes, name: str) -> str:
    """Return the download link as HTML, with the bytes in it."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    size = f"{len(data) / 1000:.0f} kB" if len(data) < 1e6 else f"{len(data) / 1e6:.1f} MB"
    # The bytes stand in the script: a page that strips it must not be left with a link to nothing.
    anchor = {"download": name, "textContent": f"{say('Download')} {name}"}
    anchor["href"] = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    made = json.dumps(anchor).replace("<", "\\u003c")
    # Pressed once, when the cell has just run; a notebook opened again tomorrow must not download anything by itself.
    script = (
        "<script>(()=>{const s=document.currentScript,a=document.createElement('a');if(!s)return;"
        f"Object.assign(a,{made});s.previousElementSibling.replaceWith(a,' ({size})');"
        f"if(Math.abs(Date.now()-{int(time.time() * 1000)})<30000)a.click()}})()</script>"
    )
    without = say("Run this cell to download {name} ({size}).", name=name, size=size)
    return html.notice(html.Safe(f"<span>{escape(without)}</span>{script}"), "ok")
