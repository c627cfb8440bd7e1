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


def download(data: bytes, name: str) -> None:
    """Offer `data` as a file called `name`.

    In Colab this is `google.colab.files.download`. Elsewhere the page gets a link that a script presses once; where
    scripts do not run (VS Code, a page not trusted) the link is there to be pressed.
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
    anchor = (
        f'<a download="{escape(name)}" href="data:{kind};base64,{base64.b64encode(data).decode()}">'
        f"Download {escape(name)}</a> ({size})"
    )
    # Pressed once, when the cell has just run; a notebook opened again tomorrow must not download anything by itself.
    made = json.dumps(int(time.time() * 1000))
    script = (
        "<script>(()=>{const a=document.currentScript&&document.currentScript.parentNode.querySelector('a[download]');"
        f"if(a&&Math.abs(Date.now()-{made})<30000)a.click()}})()</script>"
    )
    return html.notice(html.Safe(anchor + script), "ok")
