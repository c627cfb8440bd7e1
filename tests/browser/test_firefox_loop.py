"""A call in Firefox through a real sound server, whose microphone takes what the page plays, or nothing of it."""

from __future__ import annotations

import contextlib
import importlib.util

import pytest
from dialogue import Talk, serve

import rtnb
from browser import firefox, lab
from browser.calling import WHEN_MEASURED

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(firefox.missing()), reason=str(firefox.missing())),
    pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="jupyterlab is not installed"),
]

# The browser's own echo cancellation takes out more or less of the loop, as steady as its delay is; here it is off.
# Which microphone the page was given, and that it is left as it is, is kept.
NOT_CANCELLED = """() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await ask({ audio: { ...wish.audio, echoCancellation: false } });
    const [track] = stream.getTracks();
    window.__microphone = [track.label, track.getSettings().echoCancellation];
    return stream;
  };
}"""

ENGINE = "[...window.__rtnbCalls.values()].at(-1)"


def speaking(talk: Talk) -> None:
    """Answer what is typed with twenty seconds of speech, whatever the microphone brings."""
    talk.open(model="m")
    talk.expect("conversation.item.create", over=("input_audio_buffer.append",))
    talk.expect("response.create", over=("input_audio_buffer.append",))
    talk.answer("A talk.", rtnb.samples()["talk"].resample(24_000).pcm[: 20 * 48_000], expect=False)
    with contextlib.suppress(Exception):
        while True:
            talk.hear()


@pytest.mark.long
@pytest.mark.parametrize("microphone", ["loudspeaker", "headphones"])
def test_an_answer_that_comes_back_through_the_sound_server_is_said(
    jupyter: lab.Jupyter, microphone: firefox.Microphone
) -> None:
    with serve(speaking) as url, firefox.opened(microphone=microphone) as page:
        cell = f"import rtnb\ncall = rtnb.call(url={url!r}, key='sk-none')"
        jupyter.open(page, jupyter.write("loop.ipynb", [cell])).run(0)
        page.evaluate(NOT_CANCELLED)
        page.click(".rtnb-call-main")
        page.wait_for_selector(".rtnb-call[data-status='listening']")
        assert page.evaluate("() => window.__microphone") == [f"Monitor of {microphone}", False]
        page.evaluate(WHEN_MEASURED)
        page.click(".rtnb-call-input")
        page.type("Go.\ue007")
        page.wait_for_selector(".rtnb-call[data-status='speaking']")
        before = page.evaluate(f"() => {ENGINE}.heardPieces")
        if microphone == "loudspeaker":
            page.wait_for_selector(".rtnb-call-turns")
            assert "comes back in the microphone" in page.text(".rtnb-call-notices")
            assert page.evaluate("() => window.__measuredAt") < 4_000  # 2 s, and as much for a busy machine
            assert 0 <= page.evaluate(f"() => {ENGINE}.echo.delay_ms") < 600
            assert page.evaluate(f"() => {ENGINE}.echo.gain_db") > -20
        else:
            page.wait_for_function(f"() => {ENGINE}.played.played_ms > 10_000")
            assert page.evaluate(f"() => {ENGINE}.heardPieces") > before + 100
            assert page.evaluate(f"() => {ENGINE}.echo") is None
            assert page.text(".rtnb-call-notices") == ""
        page.click(".rtnb-call-hangup")
        page.wait_for_selector(".rtnb-call[data-status='closed']")
