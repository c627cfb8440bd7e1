"""A call in a real page, beyond its turns: its record, its loudspeaker, its devices, a second call beside it."""

from __future__ import annotations

import re

import nbformat
import pytest

from browser import lab
from browser.calling import WHEN_MEASURED, in_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

CALL = "import rtnb\ncall = rtnb.call(practice=True)"
DEAD_WIDGETS = ("model not found", "Loading widget")

# A microphone in a room with a loudspeaker: what the page plays comes back in it, so late and so loud. What is sent to
# the kernel while the answer plays is counted: samples, and those of them that are no silence.
LOUDSPEAKER = """
(() => {
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    constructor(...given) {
      super(...given);
      const delay = new DelayNode(this, { delayTime: 0.15 });
      this.__loop = new GainNode(this, { gain: window.__gain ?? 0 });
      this.__microphone = this.createMediaStreamDestination();
      connect.call(connect.call(this.__loop, delay), this.__microphone);
      window.__newest = this;
    }
  };
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target === this.context.destination) connect.call(this, this.context.__loop);
    return connect.call(this, target, ...rest);
  };
  navigator.mediaDevices.getUserMedia = async () => window.__newest.__microphone.stream;
  window.__listen = (engine) => {
    const send = engine.link.send.bind(engine.link);
    window.__sent = [0, 0];
    engine.link.send = (kind, fields, buffer) => {
      if (kind === "audio" && engine.played.playing) {
        window.__sent[0] += buffer.byteLength / 2;
        window.__sent[1] += new Int16Array(buffer).filter((sample) => Math.abs(sample) > 30).length;
      }
      send(kind, fields, buffer);
    };
  };
})();
"""


def counting(call) -> None:
    """Let the voice speak for half a minute."""
    call.until("listening")
    call.say("Please count from one to sixty.")
    call.until("speaking")


@pytest.mark.parametrize(("gain", "comes_back"), [(0.2, True), (0.003, False)], ids=["loudspeaker", "headphones"])
def test_a_loudspeaker_is_said_and_half_duplex_offered(jupyter, gain: float, comes_back: bool):
    # The server does not let itself be interrupted, so that the answer goes on whatever it hears of itself.
    detection = "{'type': 'server_vad', 'interrupt_response': False}"
    cell = f"import rtnb\ncall = rtnb.call(practice=True, turn_detection={detection})"
    with in_notebook(jupyter, "room.ipynb", [cell], script=f"window.__gain = {gain};{LOUDSPEAKER}") as call:
        call.until("listening")
        call.page.evaluate(WHEN_MEASURED)
        counting(call)
        if not comes_back:
            call.wait(lambda: call.engine("e.played.played_ms") > 8_000)
            assert call.engine("e.echo") is None
            assert call.notices() == ""
            return
        call.wait(lambda: "comes back in the microphone" in call.notices())
        assert call.engine("window.__measuredAt") < 4_000  # of a voice that counts with pauses, on a busy machine
        assert abs(call.engine("e.echo.delay_ms") - 150) < 60
        call.part("turns").click()
        assert call.notices() == ""
        call.page.wait_for_timeout(300)  # what was on its way when it was clicked
        call.page.evaluate("() => window.__listen([...window.__rtnbCalls.values()].at(-1))")
        call.wait(lambda: call.page.evaluate("() => window.__sent[0]") > 24_000)
        assert call.page.evaluate("() => window.__sent[1]") == 0
        assert "waits until the answer is over" in call.part("hint").inner_text()


def test_what_is_said_of_a_loudspeaker_holds_for_it_alone(jupyter):
    detection = "{'type': 'server_vad', 'interrupt_response': False}"
    cell = f"import rtnb\ncall = rtnb.call(practice=True, turn_detection={detection})"
    with in_notebook(jupyter, "rooms.ipynb", [cell], script=f"window.__gain = 0.2;{LOUDSPEAKER}") as call:
        counting(call)
        told = "comes back in the microphone"
        call.wait(lambda: told in call.notices())
        # Headphones are plugged in: what was said is taken back at once, and does not come again.
        plugged = (
            "() => { __newest.__loop.gain.value = %s; navigator.mediaDevices.dispatchEvent(new Event('devicechange')) }"
        )
        call.page.evaluate(plugged % 0)
        call.wait(lambda: call.notices() == "")
        played = call.engine("e.played.played_ms")
        call.wait(lambda: call.engine("e.played.played_ms") > played + 3_000)
        assert call.engine("e.echo") is None
        # They are pulled out, and the user leaves it so; a change of device asks anew.
        call.page.evaluate(plugged % 0.2)
        call.wait(lambda: told in call.notices())
        call.part("leave").click()
        assert call.notices() == ""
        call.page.evaluate(plugged % 0.2)
        call.wait(lambda: told in call.notices())
        # Who ends taking turns is told again.
        call.part("turns").click()
        assert call.notices() == ""
        settings = call.part("settings")
        settings.locator("summary").click()
        settings.get_by_role("checkbox").uncheck()
        call.wait(lambda: told in call.notices())


def test_a_call_that_is_over_stands_in_the_saved_notebook_and_in_a_fresh_copy(jupyter):
    with in_notebook(jupyter, "kept.ipynb", [CALL], speaks=True) as call:
        call.until("listening")
        call.speak("question")
        call.until("speaking")
        call.until("listening")
        call.say("Please count from one to sixty.")
        call.wait(lambda: call.engine("e.turns.playedMs.size") == 2)
        # Every event, while it goes on: one type of them, and what stands in one.
        events = call.part("events")
        events.locator("summary").first.click()
        events.locator("select").select_option("session.created")
        rows = events.locator("tbody tr:visible")
        call.wait(lambda: rows.count() == 1)
        rows.locator("summary").click()
        assert '"session"' in rows.locator("pre").inner_text()
        call.part("hangup").click()
        call.until("closed")
        call.wait(lambda: "not heard:" in call.notebook.output(0).inner_text())
        (output,) = call.notebook.saved().cells[0].outputs
        assert set(output["data"]) == {"text/html", "text/plain"}
        html = output["data"]["text/html"]
        for words in (
            "Live call",
            "practice voice",
            "at OpenAI, free here",
            "You hung up.",
            "capital of Norway",
            "not heard:",
            "response.output_audio.delta",
        ):
            assert words in html
        assert html.count("data:audio/ogg") == 3
        assert len(html) < 200_000
        # In this page, one click goes on.
        call.part("main").click()
        call.until("listening")
        call.wait(lambda: len(call.lines()) == 4)
        call.part("hangup").click()
        call.until("closed")
        call.wait(lambda: "not heard:" in call.notebook.output(0).inner_text())
        call.notebook.saved()
        # A fresh copy, in which nothing ran.
        copy = nbformat.read(jupyter.folder / "kept.ipynb", 4)
        nbformat.write(copy, jupyter.folder / "copy.ipynb")
        page = lab.page(call.page.context.browser)
        read = jupyter.open(page, "copy.ipynb").output(0)
        assert "capital of Norway" in read.inner_text()
        assert "Run this cell to start a live call." in read.inner_text()
        assert not any(words in read.inner_text() for words in DEAD_WIDGETS)


def test_a_second_call_puts_the_first_on_hold_and_one_click_takes_it_back(jupyter):
    other = "other = rtnb.call(practice=True)"
    with in_notebook(jupyter, "two.ipynb", [CALL, other], speaks=True) as call:
        counting(call)
        call.notebook.run(1)
        first, second = call.root, call.page.locator(".rtnb-call").nth(1)
        second.locator(".rtnb-call-main").click()
        call.wait(lambda: second.get_attribute("data-status") == "listening")
        assert first.get_attribute("data-status") == "onhold"
        assert "Another call or recording of this page took its place" in first.inner_text()
        engines = (
            "() => [...window.__rtnbCalls.values()].map((e) => [Boolean(e.mic), e.context.state, e.played.played_ms])"
        )
        (mic, state, played_ms), (other_mic, _, _) = call.page.evaluate(engines)
        assert (mic, state, other_mic) == (False, "suspended", True)
        call.page.wait_for_timeout(300)
        assert call.page.evaluate(engines)[0][2] == pytest.approx(played_ms, abs=60)
        first.locator(".rtnb-call-main").click()
        call.wait(lambda: first.get_attribute("data-status") == "speaking")  # the answer goes on where it was
        assert second.get_attribute("data-status") == "onhold"
        call.wait(lambda: call.page.evaluate(engines)[0][2] > played_ms + 500)
        assert [it[0] for it in call.page.evaluate(engines)] == [True, False]
        first.locator(".rtnb-call-hangup").click()
        assert second.locator(".rtnb-call-main").get_attribute("aria-label") == "Take this call back"


def test_microphone_loudspeaker_and_volume_are_chosen_by_name(jupyter):
    with in_notebook(jupyter, "devices.ipynb", [CALL]) as call:
        call.until("listening")
        settings = call.part("settings")
        settings.locator("summary").focus()
        call.page.keyboard.press("Enter")
        lists = (settings.get_by_role("combobox", name=name, exact=True) for name in ("Microphone", "Loudspeaker"))
        microphone, loudspeaker = lists
        call.wait(lambda: microphone.locator("option").count() > 1)
        names = microphone.locator("option").all_inner_texts()
        assert all(names)
        before = call.engine("e.mic.deviceId")
        microphone.select_option(index=len(names) - 1)
        call.wait(lambda: call.engine("e.mic.deviceId") != before)
        call.wait(lambda: call.engine("e.level") > 0)
        assert loudspeaker.locator("option").count() > 0
        loudspeaker.select_option(index=loudspeaker.locator("option").count() - 1)
        call.wait(lambda: call.engine("e.context.sinkId") != "")
        volume = settings.get_by_role("slider", name="Volume", exact=True)
        volume.focus()
        for _ in range(10):
            call.page.keyboard.press("ArrowLeft")
        assert call.engine("e.loudness.gain.value") == pytest.approx(0.5)
        call.page.keyboard.press("m")  # which is no key of a slider
        assert call.engine("e.muted") is False
        assert call.notices() == ""


def test_the_tab_key_comes_to_every_control_in_the_order_of_the_eye(jupyter):
    with in_notebook(jupyter, "keys.ipynb", [CALL]) as call:
        call.until("listening")
        call.part("settings").locator("summary").click()
        call.wait(lambda: call.part("settings").locator("select").first.locator("option").count() > 0)
        call.part("main").focus()
        names = []
        for _ in range(11):
            names.append(
                call.page.evaluate(
                    """() => { const it = document.activeElement; return it.getAttribute("aria-label")
                    ?? it.labels?.[0]?.innerText.trim() ?? it.innerText.trim(); }"""
                )
            )
            call.page.keyboard.press("Tab")
        assert [re.split(r"\n", name)[0] for name in names] == [
            "Mute",
            "Mute",
            "Stop",
            "Hang up",
            "Or type here",
            "Send",
            "Send a recording",
            "Settings",
            "Microphone",
            "Loudspeaker",
            "Volume",
        ]


def test_a_saved_call_that_nobody_started_says_how_to(jupyter):
    with in_notebook(jupyter, "ready.ipynb", [CALL], start=False) as call:
        saved = call.notebook.saved().cells[0].outputs[0]["data"]["text/html"]
        assert "Run this cell to start a live call." in saved
        assert "JupyterLab 4" not in saved
