"""What happened when, read from the log: who spoke, how long one waited, what was cut; and the picture of it."""

import re
import time
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from dialogue import serve

from rtnb.audio import Clip
from rtnb.errors import InputError
from rtnb.opening import connect

TONE = (np.sin(np.arange(48_000) / 8) * 9000).astype("<i2").tobytes()  # two seconds
CALL = {"id": "item_call", "type": "function_call", "status": "completed", "name": "weather"}
CALL |= {"call_id": "call_1", "arguments": '{"city": "Oslo"}'}


def weather(city: str) -> str:
    """The weather.

    Args:
        city: Where.
    """
    time.sleep(0.2)
    return "3 °C"


def tool_turn(talk):
    talk.open()
    talk.take_message("item_1")
    talk.expect("response.create")
    response = {"id": "resp_1", "status": "in_progress", "conversation_id": "c"}
    where = {"response_id": "resp_1", "item_id": "item_call", "output_index": 0}
    talk.say(
        {"type": "response.created", "response": response},
        {"type": "response.function_call_arguments.done", **where, **{k: CALL[k] for k in CALL if k != "id"}}
        | {"type": "response.function_call_arguments.done"},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [CALL]}},
    )
    output = talk.expect("conversation.item.create")["item"]
    talk.say({"type": "conversation.item.added", "item": {**output, "id": "item_output"}})
    asked = talk.expect("response.create")
    assert asked
    time.sleep(0.3)
    talk.answer("It is three degrees.", TONE, id="resp_2", item_id="item_2", expect=False)
    talk.expect("conversation.item.truncate")
    cut = {"item_id": "item_2", "content_index": 0, "audio_end_ms": 1200}
    talk.say({"type": "conversation.item.truncated", **cut})
    talk.say({"type": "error", "error": {"code": "server_error", "message": "Sorry."}})
    talk.take_message("item_3")
    talk.answer("Written.", id="resp_3", item_id="item_4")


@pytest.fixture(scope="module")
def drawn():
    with serve(tool_turn) as url, connect(url=url, tools=[weather], model="gpt-realtime-2.1") as chat:
        first = chat.ask("Weather?").wait(10)
        whole = first.timeline()
        chat.truncate("item_2", 1200).wait(10)
        chat.ask("In writing").wait(10)
        return chat, chat.timeline(), whole


def test_lanes_tell_who_did_what_and_for_how_long(drawn):
    _, timeline, _ = drawn
    tool = next(span for span in timeline.spans if span.lane == "tools")
    assert tool.label == "weather(city='Oslo') → 3 °C"
    assert 0.2 <= tool.seconds < 2
    spoken = next(span for span in timeline.spans if span.kind == "speaking")
    assert spoken.label == "It is three degrees."
    assert [mark.label for mark in timeline.marks if mark.lane == "person"] == ["Weather?", "In writing"]
    assert next(span for span in timeline.spans if span.kind == "writing").label == "Written."


def test_the_wait_for_the_first_sound_is_from_asking_to_hearing(drawn):
    chat, timeline, one = drawn
    assert 0.3 <= timeline.seconds_to_first_sound[0] < 3
    sound = next(entry for entry in chat.log if entry.type == "response.output_audio.delta")
    ask = next(entry for entry in chat.log if entry.type == "response.create")  # before the function was called
    assert timeline.seconds_to_first_sound[0] == sound.at_seconds - ask.at_seconds
    assert one.seconds_to_first_sound == timeline.seconds_to_first_sound[:1]


def test_an_answer_that_was_cut_is_as_long_as_it_was_heard(drawn):
    _, timeline, before = drawn
    spoken = next(span for span in timeline.spans if span.kind == "speaking")
    assert spoken.status == "interrupted"
    assert spoken.seconds == pytest.approx(1.2)
    assert spoken.audio == Clip.from_pcm(TONE, rate_hz=24_000)[:1.2]
    assert [mark.label for mark in timeline.interruptions] == ["cut to the 1.2 s that were heard"]
    assert next(span for span in before.spans if span.kind == "speaking").seconds == pytest.approx(2.0)


def test_a_turn_shows_itself_alone(drawn):
    _, whole, one = drawn
    assert "Written." in repr(whole)
    assert "Written." not in repr(one)
    assert "error: server_error" in repr(whole)


def test_live_speech_is_where_it_was_said_and_speaking_over_is_marked():
    def script(talk):
        talk.say({"type": "session.created", "session": {"id": "s"}})
        talk.say({"type": "session.updated", "session": talk.expect("session.update")["session"]})
        talk.answer("A long answer", TONE, expect=False)
        for _ in range(15):
            talk.expect("input_audio_buffer.append")
        talk.say({"type": "input_audio_buffer.speech_started", "audio_start_ms": 500, "item_id": "i"})
        for _ in range(15):
            talk.expect("input_audio_buffer.append")
        talk.say(
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2500, "item_id": "i"},
            {"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None},
        )

    with serve(script) as url, connect(url=url, turn_detection="server_vad").wait(10) as chat:
        sent_at = []
        for _ in range(30):
            sent_at.append(chat.seconds)
            chat.append(TONE[:4800])
            time.sleep(0.05)
        while not any(turn.role == "user" for turn in chat.turns):
            time.sleep(0.01)
        timeline = chat.timeline()
    (speech,) = [span for span in timeline.spans if span.lane == "person"]
    # Sound was sent twice as fast as it plays: 500 ms in are about 0.25 s after the first byte, the end 1 s later.
    assert speech.start_seconds == pytest.approx(sent_at[5], abs=0.15)
    assert speech.seconds == pytest.approx(sent_at[25] - sent_at[5], abs=0.3)
    assert speech.audio.seconds == 2.0
    assert [mark.kind for mark in timeline.interruptions] == ["interrupted"]


def test_a_recording_is_drawn_as_sent():
    def script(talk):
        talk.open()
        talk.take_sound("item_1")
        talk.answer("Heard.")

    with serve(script) as url, connect(url=url) as chat:
        chat.ask(Clip.from_pcm(TONE, rate_hz=24_000)).wait(10)
        (sent,) = [span for span in chat.timeline().spans if span.lane == "person"]
    assert sent.kind == "sent"
    assert sent.label == "2.0 s of sound"
    assert sent.audio.pcm == TONE


def test_the_picture_is_well_formed_and_says_in_words_what_it_shows(drawn):
    _, timeline, _ = drawn
    root = xml.fromstring(timeline.svg())
    labels = [element.get("aria-label") for element in root.iter() if element.get("aria-label")]
    assert labels[0].startswith("Timeline of gpt-realtime-2.1")
    assert any(label.startswith("Play: model speaks (interrupted): It is three degrees.") for label in labels)
    assert all(element.get("tabindex") == "0" for element in root.iter() if element.get("role") == "button")


def test_the_narrowest_picture_is_well_formed_too(drawn):
    _, timeline, _ = drawn
    assert xml.fromstring(timeline.svg(300)).get("width") == "300"


def test_a_page_holds_everything_and_fetches_nothing(drawn, tmp_path):
    _, timeline, _ = drawn
    page = timeline.save(tmp_path / "talk.html").read_text("utf-8")
    assert page.count('src="data:audio/ogg;base64,') == 1
    assert not re.search(r"""(src|href)=["'](?!data:)|url\((?!#)|@import|<script""", page)
    assert "prefers-color-scheme:dark" in page
    assert "<td>weather" in page or "runs: weather(city=&#x27;Oslo&#x27;)" in page
    picture = timeline.save(tmp_path / "talk.svg").read_text("utf-8")
    assert xml.fromstring(picture).tag.endswith("svg")
    with pytest.raises(InputError, match=r"\.html nor \.svg"):
        timeline.save(tmp_path / "talk.png")


def test_in_a_notebook_it_is_small(drawn):
    _, timeline, _ = drawn
    assert len(timeline._repr_html_()) < 60_000


def test_long_pauses_are_folded():
    from rtnb.timeline.measure import Mark, Span
    from rtnb.timeline.timeline import Timeline

    spans = [Span("person", "sent", 0.0, 1.0, "one"), Span("person", "sent", 61.0, 62.0, "two")]
    timeline = Timeline("x", spans, [Mark("socket", "opened", 0.0, "session open")])
    assert "1:00 min" in timeline.svg()
    first, second = re.findall(r'class="bar" x="([\d.]+)"', timeline.svg())
    assert float(second) - float(first) < 700


def test_what_people_say_cannot_break_the_picture():
    from rtnb.timeline.measure import Span
    from rtnb.timeline.timeline import Timeline

    nasty = "</title><script>alert(1)</script>\"'&"
    text = Timeline(nasty, [Span("model", "speaking", 0.0, 9.0, nasty)], []).svg()
    assert "<script" not in text
    xml.fromstring(text)


def test_before_anything_happened_it_says_so():
    from rtnb.timeline.timeline import Timeline

    empty = Timeline("x", [], [])
    assert repr(empty) == "Timeline(nothing has happened yet)"
    xml.fromstring(empty.svg())


def test_what_runs_at_the_same_time_is_drawn_in_rows():
    from rtnb.timeline.measure import Span
    from rtnb.timeline.timeline import Timeline

    spans = [Span("model", "speaking", 0.0, 5.0, "talk"), Span("model", "writing", 1.0, 2.0, "aside")]
    spans.append(Span("model", "writing", 6.0, 7.0, "after"))
    heights = re.findall(r'class="bar" x="[\d.]+" y="(\d+)"', Timeline("x", spans, []).svg())
    assert heights[0] != heights[1]
    assert heights[0] == heights[2]
