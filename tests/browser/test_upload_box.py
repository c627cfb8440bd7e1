"""The upload box in a real page: large files, lost pieces, a busy kernel, broken files, the keyboard, a restart."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import rtnb
from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

TOLD = "print([(f.name, f.bytes, f.sha256, f.error is None) for f in box.files])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav of 100 MB that compresses to nothing less."""
    path = tmp_path_factory.mktemp("big") / "lecture.wav"
    noise = np.random.default_rng(3).integers(-3000, 3000, 50_000_000, dtype=np.int16)
    soundfile.write(path, noise, 24_000)
    assert path.stat().st_size > 100_000_000
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    rtnb.samples()["question"].save(folder / "问题 one.m4a")
    rtnb.samples()["weather"].save(folder / "two.webm")
    (folder / "broken.wav").write_bytes(b"<html>please log in</html>")
    (folder / "empty.mp3").write_bytes(b"")
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settled(page: Any, count: int, *, seconds: float = 120) -> None:
    """Wait until so many files are listed and none is under way or being looked at."""
    page.wait_for_function(
        """(count) => {
          const lines = [...document.querySelectorAll('.rtnb-upload li:not([data-id=sample])')];
          return lines.length === count && lines.every((line) => !line.querySelector('progress')
            && !/checking/.test(line.textContent));
        }""",
        arg=count,
        timeout=seconds * 1000,
    )


@pytest.mark.parametrize("app", ["lab", lab.only_long("notebook"), "colab"])
def test_100_mb_arrive_whole_and_nothing_is_kept_in_the_notebook(
    app: str, browser: Any, big: Path, jupyters: Any
) -> None:
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        cells = ["import rtnb\nbox = rtnb.upload()\nbox", "print(box.clip)", TOLD, "print(sum(1 for _ in range(3)))"]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run_all()  # with nobody there to choose
        assert "Clip(talk" in notebook.output(1).inner_text()
        assert "[]" in notebook.output(2).inner_text()
        notebook.cell(0).locator("input[type=file]").set_input_files(str(big))
        settled(page, 1)
        notebook.run(2)
        told = notebook.output(2).inner_text()
        assert sha256(big) in told
        assert str(big.stat().st_size) in told
        assert len(json.dumps(notebook.saved())) < 20_000
        assert notebook.errors() == []
        page.context.close()


def test_several_files_broken_ones_among_them_by_drop_and_paste(browser: Any, files: Path, jupyters: Any) -> None:
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        cells = ["import rtnb\nbox = rtnb.upload()\nbox", TOLD, "print([c.name for c in box.clips])"]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run(0)
        page.wait_for_selector(".rtnb-upload")

        def give(event: str, names: list[str]) -> None:
            given = [[name, list((files / name).read_bytes())] for name in names]
            page.evaluate(
                """([kind, files]) => {
                  const data = new DataTransfer();
                  for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
                  const target = document.querySelector(kind === 'drop' ? '.rtnb-drop' : '.rtnb-upload');
                  const all = { bubbles: true, cancelable: true };
                  target.dispatchEvent(kind === 'drop' ? new DragEvent('drop', { ...all, dataTransfer: data })
                    : new ClipboardEvent('paste', { ...all, clipboardData: data }));
                }""",
                [event, given],
            )

        give("drop", ["问题 one.m4a", "broken.wav", "empty.mp3"])
        settled(page, 3)
        give("paste", ["two.webm"])
        settled(page, 4)
        shown = notebook.output(0).inner_text()
        assert "The file broken.wav cannot be read" in shown
        assert "The file empty.mp3 cannot be read" in shown
        assert notebook.output(0).get_by_role("alert").count() == 2
        notebook.run(1)
        told = notebook.output(1).inner_text()
        for name in ("问题 one.m4a", "two.webm", "broken.wav", "empty.mp3"):
            assert sha256(files / name) in told
        notebook.run(2)
        assert "['问题 one.m4a', 'two.webm']" in notebook.output(2).inner_text()
        # By keyboard alone: to the first button of the second line, and away with it.
        page.get_by_role("button", name="Remove broken.wav").focus()
        page.keyboard.press("Enter")
        settled(page, 3)
        notebook.run(1)
        assert "broken.wav" not in notebook.output(1).inner_text()
        assert notebook.kernel_status() == "idle"
        page.context.close()


def test_lost_and_damaged_messages_are_sent_again(browser: Any, jupyters: Any, tmp_path: Path) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(os.urandom(12_000_000))
    # The kernel's end loses every seventh piece and damages every eleventh, on the way in.
    lossy = (
        "import rtnb\nbox = rtnb.upload()\nheard = box._link.received\nseen = []\n"
        "def worse(content, buffers=()):\n"
        "    if content.get('kind') == 'piece':\n"
        "        seen.append(content['n'])\n"
        "        if len(seen) % 7 == 0: return\n"
        "        if len(seen) % 11 == 0: buffers = [bytes(len(buffers[0]))]\n"
        "    heard(content, buffers)\n"
        "box._link.received = worse\nbox"
    )
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [lossy, TOLD, "print(len(seen), len(set(seen)))"]))
        notebook.run(0)
        page.locator(".rtnb-upload input[type=file]").set_input_files(str(path))
        settled(page, 1)
        notebook.run(1)
        assert sha256(path) in notebook.output(1).inner_text()
        notebook.run(2)
        sent, pieces = map(int, notebook.output(2).inner_text().split())
        assert pieces == 46
        assert sent > 46
        page.context.close()


@pytest.mark.parametrize("app", ["lab", lab.only_long("colab")])
def test_an_upload_while_a_cell_blocks_the_kernel(app: str, browser: Any, jupyters: Any, tmp_path: Path) -> None:
    """With subshells it goes on beside the cell; without, it waits, says so, and goes on when the cell is over."""
    path = tmp_path / "noise.bin"
    path.write_bytes(os.urandom(20_000_000))
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        # It runs until the test has seen what there is to see.
        block = "import os, time\nwhile not os.path.exists('seen'): time.sleep(0.05)"
        cells = ["import rtnb\nbox = rtnb.upload()\nbox", block, TOLD]
        notebook = jupyter.open(page, jupyter.write("a.ipynb", cells))
        notebook.run(0)
        page.wait_for_selector(".rtnb-upload")
        notebook.run(1, wait=False)
        notebook.cell(1).get_by_text("[*]").first.wait_for()
        page.locator(".rtnb-upload input[type=file]").set_input_files(str(path))
        if app == "lab":
            settled(page, 1)
            assert "[*]" in notebook.cell(1).inner_text()
        else:
            page.wait_for_function(
                "() => document.querySelector('.rtnb-upload .rtnb-note').textContent.includes('running a cell')"
            )
        (jupyter.folder / "seen").touch()
        settled(page, 1)
        notebook.wait_idle()
        notebook.run(2)
        assert sha256(path) in notebook.output(2).inner_text()
        page.context.close()


@pytest.mark.parametrize("app", ["lab", "notebook", lab.only_long("colab")])
def test_wait_true_waits_for_the_person(app: str, browser: Any, files: Path, jupyters: Any) -> None:
    with jupyters(app) as jupyter:
        page = lab.page(browser)
        cell = "import rtnb\nbox = rtnb.upload(wait=True)\nprint('got', box)"
        notebook = jupyter.open(page, jupyter.write("a.ipynb", [cell, "print('next cell')"]))
        notebook.run_all(wait=False)
        page.wait_for_selector(".rtnb-upload .rtnb-goon:not([hidden])")
        page.wait_for_timeout(1500)
        assert "got" not in notebook.output(0).inner_text()
        page.locator(".rtnb-upload input[type=file]").set_input_files(str(files / "问题 one.m4a"))
        page.wait_for_function("() => document.body.innerText.includes('got UploadBox(问题 one.m4a)')")
        notebook.wait_idle()
        assert "next cell" in notebook.output(1).inner_text()  # what had been queued was not lost
        # And it lets go of whoever has no recording.
        notebook.run(0, wait=False)
        page.get_by_role("button", name="Go on with the sample").click()
        notebook.wait_idle()
        assert "got UploadBox(the sample 'talk'" in notebook.output(0).inner_text()
        page.context.close()


def test_a_restarted_kernel_is_told_in_the_box(browser: Any, jupyters: Any) -> None:
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", ["import rtnb\nrtnb.upload()"]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-upload")
        notebook.restart()
        page.wait_for_function("() => document.body.innerText.includes('The kernel was restarted')")
        assert page.locator(".rtnb-upload .rtnb-main").is_disabled()
        page.context.close()


def test_each_control_has_a_name_and_the_focus_can_be_seen(browser: Any, jupyters: Any) -> None:
    with jupyters("lab") as jupyter:
        page = lab.page(browser)
        notebook = jupyter.open(page, jupyter.write("a.ipynb", ["import rtnb\nrtnb.upload()"]))
        notebook.run(0)
        page.wait_for_selector(".rtnb-upload")
        tree = notebook.output(0).aria_snapshot()
        for said in ('region "Your recording"', 'button "choose files"', 'button "Listen to talk"', "status"):
            assert said in tree, tree
        page.locator(".rtnb-upload .rtnb-main").focus()
        page.keyboard.press("Tab")
        focused = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
        assert focused == "Listen to talk"
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        assert re.search(r"list \"Chosen recordings\"", tree)
        page.context.close()
