"""The live call in real notebooks: a fake microphone speaks, the practice server answers, the page is looked at."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from dialogue import Talk, serve

from browser import lab
from browser.calling import heard_of, in_notebook, microphone

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

CALL = "import rtnb\ncall = rtnb.call(practice=True)"
TOLD = """
import json
print("told", json.dumps({"state": call.state, "ended": call.ended, "cost": call.cost.usd,
  "turns": [[t.role, t.words] for t in call.turns],
  "sent": [e.event for e in call.log if e.direction == "sent" and e.type != "input_audio_buffer.append"],
  "heard": call.session.log.heard.size if call.session else 0}))
"""


COUNT_SOUND = """() => {
  const { link } = [...window.__rtnbCalls.values()].at(-1);
  const send = link.send.bind(link);
  window.__soundBytes = 0;
  link.send = (kind, fields, buffer) => {
    if (kind === "audio") window.__soundBytes += buffer.byteLength;
    send(kind, fields, buffer);
  };
}"""


def told(text: str) -> dict:
    import json

    return dict(json.loads(re.search(r"told (\{.*\})", text, re.DOTALL)[1]))


everywhere = pytest.mark.parametrize("jupyter", ["lab", "notebook", "colab"], indirect=True)
old_and_new = pytest.mark.parametrize("jupyter", ["lab", lab.only_long("colab")], indirect=True)


@everywhere
def test_two_spoken_turns_are_heard_answered_and_captioned(jupyter):
    with in_notebook(jupyter, "two.ipynb", [CALL, TOLD], speaks=True) as call:
        call.until("listening")
        call.speak("order")
        call.until("speaking")
        call.until("listening")
        call.speak("dialogue-5")
        call.wait(lambda: [role for role, _ in call.lines()] == ["user", "assistant"] * 2)
        call.until("listening")
        (_, first), (_, answer), (_, second), _ = call.lines()
        assert "mushrooms" in first.lower()  # the pizza before them falls to the browser's gain control
        assert answer
        assert "cost" in second.lower()
        assert re.match(r"\$0\.\d+", call.part("money").inner_text())
        assert re.match(r"0:\d\d", call.part("time").inner_text())
        call.part("hangup").click()
        call.until("closed")
        assert call.microphone_is_off()
        end = told(call.run(1))
        assert end["state"] == "closed"
        assert end["turns"] == [["user", first], ["assistant", answer], ["user", second], end["turns"][3]]
        sound, rate_hz = lab.captured(call.page)
        assert rate_hz == 24_000
        assert np.abs(sound).max() > 0.05


@old_and_new
def test_speaking_over_the_answer_silences_it_and_the_server_learns_what_was_heard(jupyter):
    keep = "open('over.pcm', 'wb').write(call.turns[1].pcm)"
    with in_notebook(jupyter, "over.ipynb", [CALL, TOLD, keep], speaks=True) as call:
        call.until("listening")
        call.say("Please count from one to sixty.")
        call.wait(lambda: call.engine("e.played.played_ms") > 2_500)
        call.speak("dialogue-1", wait=False)
        call.until("hearing")
        call.wait(lambda: call.engine("e.silencedMs ?? -1") >= 0)
        assert call.engine("e.silencedMs") < 1000
        assert call.engine("e.played.playing") is False
        call.until("speaking")  # and it answers what was said instead
        call.until("listening")
        role, words = call.lines()[1]
        assert role == "assistant"
        assert words.endswith("interrupted")
        end = told(call.run(1))
        call.run(2)
        cuts = [event for event in end["sent"] if event["type"] == "conversation.item.truncate"]
        assert len(cuts) == 1
        assert isinstance(cuts[0]["audio_end_ms"], int)
        sound, _ = lab.captured(call.page)
        pcm = np.frombuffer((jupyter.folder / "over.pcm").read_bytes(), np.int16)
        _, played, _ = heard_of(sound, pcm)
        assert 2_000 < played / 24 < len(pcm) / 24 - 2_000  # it was cut in the middle
        assert abs(played / 24 - cuts[0]["audio_end_ms"]) < 150
        assert not [line for line in call.page.console if "pageerror" in line]
        assert call.notices() == ""


def test_the_stop_button_cancels_and_truncates(jupyter, tmp_path: Path):
    speech = microphone(tmp_path / "quiet.wav", 60)
    with in_notebook(jupyter, "stop.ipynb", [CALL, TOLD], microphone=speech) as call:
        call.until("listening")
        call.say("Please count from one to sixty.")
        call.wait(lambda: call.engine("e.played.played_ms") > 1_000)
        call.part("stop").click()
        call.until("listening")
        call.page.wait_for_timeout(500)  # in which nothing more is to be heard, nor in the next second and a half
        heard = sum(np.abs(lab.captured(call.page)[0]) > 0.001)
        call.page.wait_for_timeout(1500)
        assert sum(np.abs(lab.captured(call.page)[0]) > 0.001) == heard
        sent = [event["type"] for event in told(call.run(1))["sent"]]
        assert "conversation.item.truncate" in sent
        assert call.notices() == ""


def noise(seconds: float) -> bytes:
    """Sound in which no stretch is like another, so that a lost or doubled sample shows."""
    generator = np.random.default_rng(7)
    return (generator.normal(0, 3000, int(seconds * 24_000))).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("jupyter", "seconds"),
    [("lab", 25), lab.only_long("lab", 60), lab.only_long("colab", 20)],
    indirect=["jupyter"],
)
def test_a_long_answer_is_played_to_the_sample(jupyter, seconds: int, tmp_path: Path):
    pcm = noise(seconds)

    def script(talk: Talk) -> None:
        talk.open(model="m")
        talk.expect("conversation.item.create", over=("input_audio_buffer.append",))
        talk.expect("response.create", over=("input_audio_buffer.append",))
        talk.answer("So much noise.", pcm, expect=False)
        while True:  # a blocked kernel sends nothing for longer than the script would wait
            with contextlib.suppress(TimeoutError):
                talk.hear()

    with serve(script) as url:
        block = f"import time; time.sleep({seconds / 2})"
        cells = [f"import rtnb\ncall = rtnb.call(url={url!r}, key='sk-none')", block]
        quiet = microphone(tmp_path / "quiet.wav", 120)
        with in_notebook(jupyter, "noise.ipynb", cells, microphone=quiet) as call:
            call.until("listening")
            call.say("Go.")
            call.until("speaking")
            call.notebook.run(1, wait=False)  # and the kernel is blocked for half of it
            call.until("listening", seconds=seconds + 60)
            sound, rate_hz = lab.captured(call.page)
            assert rate_hz == 24_000
            begin, played, gaps = heard_of(sound, np.frombuffer(pcm, "<i2"))
            assert begin >= 0
            assert played == len(pcm) // 2
            assert gaps == call.engine("e.played.underruns")  # none but where the machine is too slow


@pytest.mark.parametrize(("jupyter", "seconds"), [("lab", 30), lab.only_long("colab", 16)], indirect=["jupyter"])
def test_a_blocked_kernel_keeps_the_callers_words_and_says_so(jupyter, seconds: int):
    block = f"import time; time.sleep({seconds})"
    with in_notebook(jupyter, "blocked.ipynb", [CALL, block, TOLD], speaks=True) as call:
        call.page.evaluate(COUNT_SOUND)
        call.until("listening")
        call.notebook.run(1, wait=False)
        call.page.wait_for_timeout(6_000)
        call.speak("order")
        waiting = call.engine("e.link.waitingSeconds")
        if waiting > 5:  # this kernel takes no messages while a cell runs: the page says so and keeps them
            assert "kernel is running a cell" in call.notices()
        call.notebook.wait_idle(timeout=60)
        call.wait(lambda: call.engine("e.link.waitingSeconds") < 1)
        assert "kernel is running a cell" not in call.notices()
        call.wait(lambda: [role for role, _ in call.lines()] == ["user", "assistant"])
        assert "mushrooms" in call.lines()[0][1].lower()
        before = call.page.evaluate("window.__soundBytes")
        heard = told(call.run(2))["heard"]
        after = call.page.evaluate("window.__soundBytes")
        assert before - 96_000 < heard <= after + 96_000
        assert call.engine("e.link.sent") > 100


@old_and_new
def test_a_kernel_restarted_in_the_middle_turns_the_microphone_off_and_says_so(jupyter, tmp_path: Path):
    speech = microphone(tmp_path / "quiet.wav", 60)
    with in_notebook(jupyter, "restart.ipynb", [CALL], microphone=speech) as call:
        call.until("listening")
        assert not call.microphone_is_off()
        call.notebook.restart()
        call.until("closed")
        assert call.microphone_is_off()
        assert "kernel is gone" in call.notices()
        assert call.part("main").get_attribute("aria-disabled") == "true"
        call.notebook.run(0)  # what the sentence says to do
        call.page.wait_for_selector(".rtnb-call[data-status='ready']")
        call.part("main").click()
        call.until("listening")


@old_and_new
def test_closing_the_output_hangs_up(jupyter, tmp_path: Path):
    speech = microphone(tmp_path / "quiet.wav", 60)
    with in_notebook(jupyter, "close.ipynb", [CALL, TOLD], microphone=speech) as call:
        call.until("listening")
        call.notebook.select(0)
        call.notebook._command("notebook:clear-cell-output")
        call.wait(lambda: call.root.count() == 0)
        call.wait(call.microphone_is_off)
        call.wait(lambda: told(call.run(1))["state"] == "closed")
        end = told(call.run(1))
        assert end["state"] == "closed"
        assert "output was closed" in end["ended"]


def test_a_lost_socket_is_told_and_one_click_goes_on_with_the_history(jupyter, tmp_path: Path):
    seeds = []
    drop = threading.Event()

    def first(talk: Talk) -> None:
        talk.open(model="m")
        talk.expect("conversation.item.create", over=("input_audio_buffer.append",))
        item = {
            "id": "item_u",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "My name is Ada."}],
        }
        for name in ("added", "done"):
            talk.say({"type": f"conversation.item.{name}", "previous_item_id": None, "item": item})
        talk.expect("response.create", over=("input_audio_buffer.append",))
        talk.answer("Hello Ada.", noise(0.5), expect=False)
        while not drop.is_set():  # the microphone goes on
            talk.hear()
        talk.drop()

    def second(talk: Talk) -> None:
        talk.open(model="m")
        for number in range(2):
            item = talk.expect("conversation.item.create", over=("input_audio_buffer.append",))["item"]
            seeds.append((item["role"], item["content"][0]["type"], item["content"][0]["text"]))
            for name in ("added", "done"):
                talk.say(
                    {
                        "type": f"conversation.item.{name}",
                        "item": {**item, "id": f"item_seed{number}", "status": "completed"},
                    }
                )

    with serve(first, second) as url:
        cells = [f"import rtnb\ncall = rtnb.call(url={url!r}, key='sk-none')", TOLD]
        quiet = microphone(tmp_path / "quiet.wav", 60)
        with in_notebook(jupyter, "lost.ipynb", cells, microphone=quiet) as call:
            call.until("listening")
            call.say("My name is Ada.")
            call.wait(lambda: call.lines()[1:] == [("assistant", "Hello Ada.")])
            call.until("listening")
            drop.set()
            call.until("closed")
            assert "connection dropped" in call.notices()
            assert call.microphone_is_off()
            call.part("main").click()
            call.until("listening")
            call.wait(lambda: len(seeds) == 2)
            call.wait(lambda: len(call.lines()) == 2)
            assert call.lines() == [("user", "My name is Ada."), ("assistant", "Hello Ada.")]
            assert told(call.run(1))["turns"] == [["user", "My name is Ada."], ["assistant", "Hello Ada."]]
    assert seeds == [("user", "input_text", "My name is Ada."), ("assistant", "output_text", "Hello Ada.")]


def test_push_to_talk_with_the_space_bar(jupyter):
    cell = "import rtnb\ncall = rtnb.call(practice=True, turn_detection=None)"
    with in_notebook(jupyter, "hold.ipynb", [cell, TOLD], speaks=True) as call:
        call.until("holding")
        assert call.part("main").get_attribute("aria-label") == "Hold to talk"
        call.part("main").focus()
        call.page.keyboard.down("Space")
        call.until("sending")
        call.speak("question")
        call.page.keyboard.up("Space")
        call.until("speaking")
        call.until("holding")
        assert "norway" in call.lines()[0][1].lower()
        call.page.keyboard.down("Space")
        call.page.wait_for_timeout(60)
        call.page.keyboard.up("Space")
        call.wait(lambda: "too short" in call.notices())
        assert [event["type"] for event in told(call.run(1))["sent"]].count("input_audio_buffer.commit") == 1


def test_a_refused_microphone_has_its_sentence_and_a_way_on(jupyter):
    with in_notebook(jupyter, "denied.ipynb", [CALL, TOLD], allow_microphone=False) as call:
        call.wait(lambda: "may not use the microphone" in call.notices() or "closed without" in call.notices())
        assert call.status == "ready"
        call.part("without").click()
        call.until("typing")
        call.say("What is two plus two?")
        call.until("speaking")
        call.wait(lambda: len(call.lines()) == 2 and "4" in call.lines()[1][1])


def test_each_failure_of_the_microphone_has_its_own_sentence(jupyter):
    sentences = {
        "NotFoundError": "No microphone was found",
        "NotReadableError": "another program may be using it",
        "SecurityError": "page around this notebook",
    }
    with in_notebook(jupyter, "failure.ipynb", [CALL], start=False) as call:
        for name, words in sentences.items():
            call.page.evaluate(
                """(name) => {
                  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', name); };
                }""",
                name,
            )
            call.part("main").click()
            call.wait(lambda words=words: words in call.notices())
            assert call.status == "ready"


def test_a_computer_without_a_loudspeaker_is_told_of_and_not_waited_for(jupyter):
    with in_notebook(jupyter, "soundless.ipynb", [CALL], start=False) as call:
        # As Firefox does it: the context never starts, and says nothing.
        call.page.evaluate(
            """() => {
              Object.defineProperty(AudioContext.prototype, "state", { get: () => "suspended" });
              AudioContext.prototype.resume = () => new Promise(() => {});
            }"""
        )
        call.part("main").click()
        call.wait(lambda: "no loudspeaker" in call.notices())
        assert call.status == "ready"
        assert call.microphone_is_off()


def test_where_no_microphone_can_be_had_it_is_told_before_anybody_clicks(jupyter):
    places = [
        ("window", "origin", "'vscode-webview://x'", "VS Code gives notebooks no microphone"),
        ("window", "isSecureContext", "false", "https"),
        ("document", "permissionsPolicy", "{ allowsFeature: () => false }", "page around"),
        ("navigator", "mediaDevices", "undefined", "browser gives pages no microphone"),
    ]
    with in_notebook(jupyter, "nowhere.ipynb", [CALL], start=False) as call:
        for where, name, value, words in places:
            call.page.evaluate(
                f"""() => {{
                  window.__undo?.();
                  const before = Object.getOwnPropertyDescriptor({where}, '{name}');
                  Object.defineProperty({where}, '{name}', {{ configurable: true, value: {value} }});
                  window.__undo = () => {{
                    delete {where}.{name};
                    if (before) Object.defineProperty({where}, '{name}', before);
                  }};
                }}"""
            )
            call.engine("(e.changed(), 1)")
            call.wait(lambda words=words: words in call.notices())
        call.part("main").click()  # and the button calls without
        call.until("typing")


def test_a_recording_can_be_sent_instead_of_a_microphone(jupyter, tmp_path: Path):
    import rtnb

    clip = rtnb.samples()["weather"].save(tmp_path / "weather.mp3")
    with in_notebook(jupyter, "file.ipynb", [CALL], allow_microphone=False) as call:
        call.part("without").click()
        call.until("typing")
        call.part("pick").set_input_files(str(clip))
        call.until("speaking")
        call.wait(lambda: "oslo" in call.lines()[0][1].lower())


def test_it_reads_chinese_where_the_browser_does(jupyter):
    with in_notebook(jupyter, "zh.ipynb", [CALL], start=False, locale="zh-CN", dark=True) as call:
        assert "准备就绪" in call.root.inner_text()
        assert call.root.get_attribute("lang") == "zh-Hans"
        assert call.part("main").get_attribute("aria-label") == "开始通话"


def test_nothing_of_a_call_stays_in_the_saved_notebook(jupyter, tmp_path: Path):
    speech = microphone(tmp_path / "saved.wav", 3, "question", 30)
    with in_notebook(jupyter, "saved.ipynb", [CALL], microphone=speech) as call:
        call.until("speaking")
        call.until("listening")
        saved = call.notebook.saved()
        assert (jupyter.folder / "saved.ipynb").stat().st_size < 20_000
        assert "live call" in saved.cells[0].outputs[0]["data"]["text/html"]


def spoken_turn(page) -> None:
    """Click, let the fake microphone ask, and wait for words on both sides."""
    call = page.locator(".rtnb-call").first
    call.wait_for()
    call.locator(".rtnb-call-main").click()
    page.wait_for_selector(".rtnb-call[data-status='speaking']")
    words = call.locator(".rtnb-call-line[data-role='user'] .rtnb-call-text")
    words.first.wait_for()
    assert "Norway" in words.first.inner_text()


def test_it_works_in_voila(tmp_path: Path):
    pytest.importorskip("voila", reason="Voilà is not installed")
    with (
        lab.server(tmp_path / "voila", app="voila") as voila,
        lab.chromium(microphone=microphone(tmp_path / "asked.wav", 4, "question", 60)) as browser,
    ):
        page = lab.page(browser)
        voila.open(page, voila.write("call.ipynb", [CALL]))
        spoken_turn(page)


def test_it_works_in_marimo(tmp_path: Path):
    pytest.importorskip("marimo", reason="marimo is not installed")
    script = tmp_path / "call.py"
    script.write_text(
        "import marimo\napp = marimo.App()\n\n@app.cell\ndef _():\n"
        "    import rtnb\n    call = rtnb.call(practice=True)\n    call\n    return\n"
    )
    port = lab._free_port()
    command = [sys.executable, "-m", "marimo", "run", str(script), "--headless", "--no-token"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    marimo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with lab.chromium(microphone=microphone(tmp_path / "asked.wav", 4, "question", 60)) as browser:
            page = lab.page(browser)
            for _ in range(60):
                with contextlib.suppress(Exception):
                    page.goto(f"http://127.0.0.1:{port}")
                    break
                page.wait_for_timeout(500)
            spoken_turn(page)
    finally:
        marimo.terminate()
        marimo.wait(10)
