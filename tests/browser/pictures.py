"""Take the README's pictures anew, light and dark, from a real JupyterLab: `python tests/browser/pictures.py`.

A reply and, below it, a call in the middle of its second answer.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO), str(REPO / "tests")]

from browser import calling, lab  # noqa: E402

IMAGES = REPO / "notebooks" / "images"
WIDTH = 800
CELLS = [
    'import rtnb\ntalk = rtnb.samples()["talk"]\n'
    "def weather(city: str) -> str:\n"
    '    """Return the weather of today in a city."""\n'
    '    return f"Rain in {city} from three o\'clock, 9 degrees"\n'
    "def order(dish: str, size: str) -> str:\n"
    '    """Order food."""\n'
    '    return "it is on its way"',
    'reply = await rtnb.ask(talk, "Summarize this audio content", practice=True)',
    "call = rtnb.call(tools=[weather, order], practice=True)",
    ("markdown", "&nbsp;"),
]
# What belongs to the notebook's page and not to what is shown.
PLAIN = """
.jp-cell-toolbar, .jp-Collapser { visibility: hidden !important; }
.jp-Cell.jp-mod-active { border-color: transparent !important; box-shadow: none !important; }
"""


def picture(cell: Any) -> Image.Image:
    """A cell as it is seen."""
    return Image.open(io.BytesIO(cell.screenshot())).convert("RGB")


def keep(name: str, *parts: Image.Image) -> None:
    """Keep pictures of one width, one below the other, in 96 colours: a third of the bytes, and no eye sees it."""
    whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    path = IMAGES / name
    whole.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(REPO)}: {path.stat().st_size / 1000:.0f} kB, {whole.width} × {whole.height}")


def take(jupyter: lab.Jupyter, browser: Any, *, dark: bool) -> None:
    """Take all pictures in one of the two themes."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": WIDTH + 130, "height": 1100}, color_scheme=scheme, device_scale_factor=2
    )
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.add_init_script(calling.SPEAKING_MICROPHONE)
    lab.capture(page)
    page.add_init_script(calling.KEEP_STREAMS)
    notebook = jupyter.open(page, jupyter.write(f"{scheme}.ipynb", CELLS))
    if dark:
        notebook.dark()
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.add_style_tag(content=PLAIN)

    def ran(text: str) -> Any:
        # JupyterLab keeps a hidden copy of a cell, which has no output.
        return page.locator(".jp-Cell:not(.jp-mod-noOutputs):visible", has_text=text)

    notebook.run(0)
    notebook.run(1)
    card = picture(ran("rtnb.ask("))
    notebook.run(2)
    call = calling.OpenCall(page, notebook)
    call.wait(lambda: call.root.count() > 0)
    call.part("main").click()
    for sample in ("order", "weather"):
        call.until("listening")
        call.speak(sample)
        call.until("speaking")
    call.wait(lambda: call.lines()[-1][1].startswith("Rain in Oslo"))
    page.wait_for_timeout(300)  # in the middle of what it says
    suffix = "-dark" if dark else ""
    keep(
        f"card_and_call{suffix}.png",
        card,
        picture(ran("rtnb.call(")),
    )
    context.close()


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder, lab.server(folder) as jupyter, lab.chromium() as browser:
        for dark in (False, True):
            with jupyter.emptied("dark" if dark else "light") as room:
                take(room, browser, dark=dark)


if __name__ == "__main__":
    main()
