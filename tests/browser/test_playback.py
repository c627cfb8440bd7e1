"""The playback queue in a real page: every sample once, silence at once, no clicks, also without a worklet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtnb
from browser import lab

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(lab.missing()), reason=str(lab.missing()))]

SHARED = Path(rtnb.__file__).parent / "ui" / "shared"
PLAYBACK = "\n".join((SHARED / name).read_text("utf-8") for name in ("pcm.js", "worklet.js", "playback.js"))

# Helpers of the page: a sweep from `make`, pushed in pieces, and the wait for its end.
HELPERS = """
import { createPlayback, openAudioContext } from "/playback.js";
window.start = async ({ rate, script } = {}) => {
  window.context = rate ? new AudioContext({ sampleRate: rate }) : openAudioContext();
  if (script) Object.defineProperty(context, "audioWorklet", { value: undefined });
  window.playback = await createPlayback(context);
  window.reports = [];
  playback.onPlayed((state) => reports.push(state));
  await context.__tap?.ready;
};
window.tone = (seconds, hz = 440) => Int16Array.from(
  { length: Math.round(seconds * 24000) }, (_, i) => Math.round(12000 * Math.cos((2 * Math.PI * hz * i) / 24000)));
window.sleep = (ms) => new Promise((done) => setTimeout(done, ms));
window.until = async (so) => {
  for (let i = 0; i < 1500; i++) { if (so()) return; await sleep(10); }
  throw Error("never so");
};
window.ready = true;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with lab.chromium() as it:
        yield it


@pytest.fixture(params=[1, 4], ids=["page", "slow page"])
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    it = lab.page(browser, cpu_throttle=request.param)
    lab.capture(it)

    def serve(route: Any) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        body = {"playback.js": PLAYBACK, "helpers.js": HELPERS}.get(
            name, '<script type="module" src="/helpers.js"></script>'
        )
        route.fulfill(body=body, content_type="text/javascript" if name.endswith(".js") else "text/html")

    # Localhost counts as secure, so that the page has AudioWorklet.
    it.route("http://localhost:1/**", serve)
    it.goto("http://localhost:1/page")
    it.wait_for_function("() => window.ready")
    yield it
    assert not [line for line in it.console if "rror" in line]
    it.context.close()


def tone(seconds: float, hz: float = 440, loud: int = 12000, rate: int = 24_000) -> np.ndarray:
    return np.round(loud * np.cos(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)) / 32768


def heard(page: Any) -> np.ndarray:
    """What was played, without the silence before and after."""
    samples, _ = lab.captured(page)
    (loud,) = np.nonzero(np.abs(samples) > 1e-6)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def assert_played(got: np.ndarray, want: np.ndarray) -> None:
    """The same samples, but for the first 20 ms: where sound sets in, the step from silence is smoothed."""
    want = want[480:].astype(np.float32)
    # What is heard may begin one sample late: the first, pulled to zero, is silence to whoever looks for a beginning.
    assert any(np.array_equal(got[480 - late :][: len(want)], want) for late in (0, 1))


def test_every_sample_is_played_once_in_order_however_it_is_cut(page: Any) -> None:
    page.evaluate("""async () => {
      await start();
      const bytes = new Uint8Array(tone(4).buffer);
      // Odd sizes split samples in two, and each piece is a view into a larger buffer, as a widget's message is.
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = [4801, 1, 9600, 333, 48000][n % 5];
        playback.push(new DataView(bytes.buffer, at, Math.min(size, bytes.length - at)), "a");
        at += size;
        if (n % 7 === 6) await sleep(5);            // more than a second ahead by then
      }
      playback.end("a");
      await until(() => playback.now().ended && playback.now().played_ms);
    }""")
    got, want = heard(page), tone(4)
    assert_played(got, want)
    assert page.evaluate("() => playback.now().played_ms") == pytest.approx(4000)
    assert page.evaluate("() => playback.now().underruns") == 0
    assert page.evaluate("() => playback.kind") == "worklet"


def test_two_items_follow_each_other_without_a_gap_and_are_counted_apart(page: Any) -> None:
    page.evaluate("""async () => {
      await start();
      for (const [name, seconds] of [["a", 0.5], ["b", 0.7]]) {
        playback.push(tone(seconds, 400).buffer, name);
        playback.end(name);
      }
      await until(() => playback.now().ended && playback.now().itemId === "b");
    }""")
    got = heard(page)
    want = np.concatenate([tone(0.5, 400), tone(0.7, 400)])  # 200 whole periods: the join is smooth
    assert_played(got, want)
    assert page.evaluate("() => [playback.playedMs('a'), playback.playedMs('b')]") == pytest.approx([500, 700], abs=0.1)
    assert page.evaluate("() => playback.playedMs('never')") == 0


def test_silence_comes_at_once_without_a_click_and_says_what_was_played(page: Any) -> None:
    found = page.evaluate("""async () => {
      await start();
      playback.push(tone(5).buffer, "a");
      playback.push(tone(1).buffer, "b");
      await until(() => playback.now().played_ms > 700);
      const before = performance.now();
      const silenced = await playback.silence();
      const took = performance.now() - before;
      playback.push(tone(1).buffer, "a");           // was under way when the person spoke
      await sleep(300);
      return { silenced, took, after: playback.now(), ended: playback.playedMs("a") };
    }""")
    assert found["took"] < 1000
    assert found["silenced"]["itemId"] == "a"
    assert [cut["itemId"] for cut in found["silenced"]["cut"]] == ["a", "b"]
    assert found["silenced"]["cut"][1]["played_ms"] == 0
    got = heard(page)
    played_ms = found["silenced"]["played_ms"]
    assert len(got) / 24 == pytest.approx(played_ms, abs=25)  # and the few milliseconds in which it dies away
    steepest = np.abs(np.diff(tone(1))).max()
    assert np.abs(np.diff(got)).max() < 1.2 * steepest
    assert found["after"]["ended"]
    # A new item plays again.
    page.evaluate("""async () => {
      playback.push(tone(0.3).buffer, "c");
      playback.end("c");
      await until(() => playback.now().itemId === "c" && playback.now().ended);
    }""")
    assert page.evaluate("() => playback.playedMs('c')") == pytest.approx(300, abs=0.1)


def test_a_queue_that_runs_dry_waits_and_goes_on_without_a_click_or_a_lost_sample(page: Any) -> None:
    page.evaluate("""async () => {
      await start();
      const all = tone(1.2);
      playback.push(all.slice(0, 12000).buffer, "a");
      await until(() => playback.now().underruns === 1);
      await sleep(200);
      playback.push(all.slice(12000).buffer, "a");
      playback.end("a");
      await until(() => playback.now().ended);
    }""")
    got = heard(page)
    steepest = np.abs(np.diff(tone(1))).max()
    assert np.abs(np.diff(got)).max() < 2 * steepest
    assert page.evaluate("() => playback.now().played_ms") == pytest.approx(1200)
    # The second half is there whole, some 200 ms late.
    want = tone(1.2)[12_480:].astype(np.float32)
    assert any(np.array_equal(got[at : at + len(want)], want) for at in range(12_400, len(got) - len(want) + 1))


def test_the_last_samples_do_not_wait_for_more_once_the_item_is_ended(page: Any) -> None:
    page.evaluate("""async () => {
      await start();
      playback.push(tone(0.01).buffer, "short");    // less than what is gathered before playing
      await sleep(150);
      window.before = playback.now().played_ms;
      playback.end("short");
      await until(() => playback.now().ended && playback.now().played_ms);
    }""")
    assert page.evaluate("() => before") == 0
    assert page.evaluate("() => playback.playedMs('short')") == pytest.approx(10)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_device_of_another_rate_plays_the_same_sound_at_the_same_speed(page: Any, rate: int) -> None:
    page.evaluate(
        """async (rate) => {
          await start({ rate });
          const bytes = new Uint8Array(tone(1, 1000).buffer);
          for (let at = 0; at < bytes.length; at += 4801) playback.push(bytes.slice(at, at + 4801).buffer, "a");
          playback.end("a");
          await until(() => playback.now().ended && playback.now().played_ms);
        }""",
        rate,
    )
    assert page.evaluate("() => playback.now().played_ms") == pytest.approx(1000, abs=1)
    got = heard(page)[rate // 20 : rate // 20 * 18]
    spectrum = np.abs(np.fft.rfft(got * np.hanning(len(got))))
    hz = np.fft.rfftfreq(len(got), 1 / rate)
    assert hz[spectrum.argmax()] == pytest.approx(1000, abs=2)
    other = spectrum[(hz < 900) | (hz > 1100)].max()
    assert 20 * np.log10(other / spectrum.max()) < -50


def test_without_worklets_the_same_queue_plays_on_the_pages_thread(page: Any) -> None:
    page.evaluate("""async () => {
      await start({ script: true });
      playback.push(tone(0.5).buffer, "a");
      playback.end("a");
      await until(() => playback.now().ended && playback.now().played_ms);
    }""")
    assert page.evaluate("() => playback.kind") == "script"
    assert page.evaluate("() => playback.playedMs('a')") == pytest.approx(500, abs=0.1)
    # A busy page may drop blocks on the way out, which is why this is only the last resort.
    assert len(heard(page)) > 24_000 * 0.1
    silenced = page.evaluate("""async () => {
      playback.push(tone(2).buffer, "b");
      await until(() => playback.now().itemId === "b" && playback.now().played_ms > 200);
      return playback.silence();
    }""")
    assert silenced["itemId"] == "b"
    assert 200 < silenced["played_ms"] < 2000


def test_what_is_said_to_be_played_is_what_left_the_loudspeaker(page: Any) -> None:
    """The count at any moment, against the samples the page's graph had got by then."""
    found = page.evaluate("""async () => {
      await start();
      playback.push(tone(3).buffer, "a");
      await until(() => playback.now().played_ms > 500);
      const rows = [];
      for (let i = 0; i < 20; i++) {
        await sleep(37);
        const blocks = context.__tap.blocks;
        const first = blocks.find(([, samples]) => samples.some((x) => x !== 0))[0];
        const rendered = (context.currentTime * 24000 - first) / 24;
        rows.push([playback.playedMs("a"), rendered, (context.outputLatency || 0) * 1000]);
      }
      return rows;
    }""")
    for said, rendered, latency in found:
        assert said == pytest.approx(rendered - latency, abs=60)


def test_the_end_is_told_when_the_last_sample_has_left_the_loudspeaker(page: Any) -> None:
    """Whoever closes the context then cuts nothing off, however long the way to the loudspeaker (Bluetooth) is."""
    found = page.evaluate("""async () => {
      await start();
      Object.defineProperty(context, "outputLatency", { value: 0.4 });
      playback.push(tone(0.5).buffer, "a");
      playback.end("a");
      await until(() => playback.now().itemId && !playback.now().playing);
      const rendered = { ended: playback.now().ended, played_ms: playback.playedMs("a") };
      await until(() => playback.now().ended);
      const told = { at: context.currentTime, played_ms: playback.playedMs("a") };
      await context.close();
      const [frame] = context.__tap.blocks.findLast(([, samples]) => samples.some((x) => Math.abs(x) > 1e-6));
      return { rendered, told, rendered_at: frame / 24000 };
    }""")
    assert not found["rendered"]["ended"]
    assert found["rendered"]["played_ms"] < 500
    assert found["told"]["played_ms"] == 500
    assert found["told"]["at"] >= found["rendered_at"] + 0.4


def test_a_closed_playback_is_out_of_the_graph(page: Any) -> None:
    page.evaluate(
        "async () => { await start(); playback.push(tone(5).buffer, 'a'); await sleep(300); playback.close(); }"
    )
    page.wait_for_timeout(300)
    assert len(heard(page)) < 3 * 24_000
    page.evaluate("async () => { await context.close(); }")
