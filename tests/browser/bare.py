"""Outputs and widgets in a page without a kernel: what is seen of them, not what page and kernel say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anywidget
from style_sheets import Page as Theme

from browser import lab

# A module of a widget with a model that keeps what it is asked to send; `hear` is the kernel's end.
_MOUNT = """
async ({ esm, css, traits }) => {
  const style = document.head.appendChild(document.createElement("style"));
  style.textContent = css;
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const widget = (await import(url)).default;
  const handlers = {};
  const model = {
    sent: [],
    get: (name) => traits[name],
    set: (name, value) => (traits[name] = value),
    save_changes: () => {},
    on: (name, handler) => (handlers[name] ??= []).push(handler),
    off: (name, handler) => (handlers[name] = handlers[name]?.filter((one) => one !== handler)),
    send: (content) => model.sent.push(content),
    hear: (content, bytes = []) => {
      const buffers = bytes.length ? [new DataView(Uint8Array.from(bytes).buffer)] : [];
      for (const handler of handlers["msg:custom"] ?? []) handler(content, buffers);
    },
  };
  const el = document.body.appendChild(document.createElement("div"));
  el.className = "cell";
  const ends = [await widget.initialize?.({ model }), await widget.render({ model, el })];
  window.__model = model;
  window.__unmount = () => ends.reverse().forEach((end) => end?.());
}
"""
_PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="{schemes}">
<style>:root{{{variables}}}html{{background:{ground};color:{ink}}}body{{margin:8px}}
a{{color:var(--jp-content-link-color)}}.cell{{overflow:auto;margin:8px 0}}</style>
<body data-jp-theme-light="{light}">{outputs}"""
_PAGE_BARE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<style>body{{margin:8px}}.cell{{overflow:auto;margin:8px 0}}</style><body>{outputs}"""


def opened(
    browser: Any,
    *outputs: str,
    theme: Theme | None = None,
    width: int = 400,
    dark: bool = False,
    forced_colors: bool = False,
) -> Any:
    """A page with these outputs, each in a cell of its own, and room for widgets.

    Args:
        browser: Playwright's.
        *outputs: HTML.
        theme: JupyterLab's, or None for a page that follows the reader's system.
        width: Of the page, in pixels.
        dark: Whether the reader's system is dark.
        forced_colors: Whether the reader's system chooses all colours.
    """
    page = lab.page(browser, width=width, height=1000, dark=dark)
    if forced_colors:
        page.emulate_media(forced_colors="active", color_scheme="dark" if dark else "light")
    cells = "".join(f'<div class="cell">{one}</div>' for one in outputs)
    if theme is None:
        content = _PAGE_BARE.format(outputs=cells)
    else:
        content = _PAGE.format(
            schemes="dark" if theme.dark else "light",
            variables=";".join(f"{name}:{value}" for name, value in theme.jupyter.items()),
            ground="var(--jp-layout-color0)",
            ink="var(--jp-content-font-color1)",
            light=json.dumps(not theme.dark),
            outputs=cells,
        )
    # Localhost counts as secure, so that the page may have a microphone.
    page.route("http://localhost:1/**", lambda route: route.fulfill(body=content, content_type="text/html"))
    page.goto("http://localhost:1/page")
    return page


def mount(page: Any, shown: anywidget.AnyWidget, **state: Any) -> Any:
    """Show a widget in a page; its cell, as Playwright finds it.

    Args:
        page: Of `opened`.
        shown: The widget.
        **state: What the kernel has told of it, in place of its own.
    """
    traits: Mapping[str, Any] = {name: getattr(shown, name) for name in ("language", "place", "setup", "state")}
    given = {"esm": shown._esm, "css": shown._css, "traits": {**traits, **state}}
    page.evaluate(_MOUNT, given)
    return page.locator(".cell").last
