"""A session saved and played back: the same words, the same sound, and a plain no to what was never asked."""

import asyncio
import json
import math
import zipfile

import numpy as np
import pytest
from dialogue import serve

from rtnb.audio import Clip, samples
from rtnb.errors import InputError, ReplayError
from rtnb.opening import connect
from rtnb.recording.exchanges import alike, loudness
from rtnb.recording.load import open_recording
from rtnb.recording.replay import serve as serve_replay


def speech(seed, seconds=1.3):
    """Something with the rhythm of speech: noise that swells and falls in its own way."""
    rng = np.random.default_rng(seed)
    swell = np.interp(np.linspace(0, 1, int(seconds * 24_000)), np.linspace(0, 1, 14), rng.random(14) ** 2)
    tone = np.sin(np.arange(len(swell)) * 2 * np.pi * (150 + 40 * seed) / 24_000)
    return Clip.from_array((swell * tone * 0.6).astype(np.float32), rate_hz=24_000, name=f"speech {seed}")


ANSWER = speech(9).pcm[:-1]  # its last delta ends in the middle of a sample


def lesson(talk):
    talk.open(model="gpt-realtime-2.1")
    talk.take_message("item_1")
    talk.answer("Hello to you.", ANSWER, id="resp_1", item_id="item_2")
    limit = {"name": "tokens", "limit": 40000, "remaining": 39000, "reset_seconds": 1.5}
    talk.say({"type": "rate_limits.updated", "rate_limits": [limit]})
    talk.take_sound("item_3")
    talk.answer("You said something.", speech(8).pcm, id="resp_2", item_id="item_4")


@pytest.fixture
def saved(tmp_path):
    with serve(lesson) as url, connect(url=url, model="gpt-realtime-2.1", instructions="Be kind.") as chat:
        first = chat.ask("Hello").wait(10)
        second = chat.ask(speech(1)).wait(10)
        path = chat.save(tmp_path / "lesson.rtnb")
        kept = [(r.text, r.audio, r.cost.usd, r.usage) for r in (first, second)]
    return path, kept


def test_the_same_questions_get_the_same_words_sound_and_cost(saved):
    path, kept = saved
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert chat.source == "replay"
        assert chat.model == "gpt-realtime-2.1"
        replies = [chat.ask("Hello").wait(10), chat.ask(speech(1)).wait(10)]
        assert [(r.text, r.audio, r.cost.usd, r.usage) for r in replies] == kept
        assert replies[0].source == "replay"
        assert [turn.words for turn in chat.turns if turn.words] == ["Hello", "Hello to you.", "You said something."]
        assert chat.turns[2].audio == speech(1)
        assert chat.limits[0].remaining == 39000


def test_events_come_back_to_the_letter(saved, tmp_path):
    path, _ = saved
    was = open_recording(path)
    with connect(replay=path, replay_speed=math.inf) as chat:
        chat.ask("Hello").wait(10)
        chat.ask(speech(1)).wait(10)
        now = [entry.event for entry in chat.log if entry.direction == "received"]
    assert now == [was.whole(event) for event in was.events if not event.sent]


def test_in_any_order_and_as_often_as_one_likes(saved):
    path, _ = saved
    with connect(replay=path, replay_speed=math.inf) as chat:
        texts = [chat.ask(part).wait(10).text for part in (speech(1), "Hello", "Hello", speech(1))]
    assert texts == ["You said something.", "Hello to you.", "Hello to you.", "You said something."]


@pytest.mark.parametrize("part", ["Something else", speech(2), speech(1, 1.6)])
def test_a_question_that_the_recording_does_not_hold_is_told_and_the_next_one_is_answered(saved, part):
    path, _ = saved
    with connect(replay=path, replay_speed=math.inf) as chat:
        with pytest.raises(ReplayError, match=r"^The recording lesson\.rtnb does not hold") as refused:
            chat.ask(part).wait(10)
        assert refused.value.code == "not_recorded"
        assert chat.ask("Hello").wait(10).text == "Hello to you."


@pytest.mark.parametrize("budgets", [(0.5, None), (None, 0.5), (0.5, 0.4)])
def test_a_budget_makes_no_other_question_of_it(budgets, tmp_path):
    recorded_with, replayed_with = budgets
    with serve(lesson) as url, connect(url=url, model="gpt-realtime-2.1", budget=recorded_with) as chat:
        chat.ask("Hello").wait(10)
        path = chat.save(tmp_path / "lesson.rtnb")
    with connect(replay=path, replay_speed=math.inf, budget=replayed_with) as chat:
        assert chat.ask("Hello").wait(10).text == "Hello to you."


def test_the_same_question_asked_in_another_way_is_not_held_either(saved):
    path, _ = saved
    with connect(replay=path, replay_speed=math.inf) as chat, pytest.raises(ReplayError, match="asked in this way"):
        chat.ask("Hello", instructions="Shout.").wait(10)


def test_the_same_recording_is_known_again_after_another_codec(saved):
    path, _ = saved
    with connect(replay=path, replay_speed=math.inf) as chat:
        again = Clip.read(speech(1).encode("opus"))
        assert chat.ask(again).wait(10).text == "You said something."


def test_opus_is_small_and_sounds_the_same(tmp_path):
    sample = samples()[0]

    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("So it is.", sample.resample(24_000).pcm)

    with serve(script) as url, connect(url=url) as chat:
        exact = chat.ask("Hello").wait(10).audio
        flac = chat.save(tmp_path / "exact.rtnb").stat().st_size
        opus = chat.save(tmp_path / "small.rtnb", sound="opus")
    assert opus.stat().st_size < flac / 3
    with connect(replay=opus, replay_speed=math.inf) as chat:
        reply = chat.ask("Hello").wait(10)
    assert reply.text == "So it is."
    assert len(reply.audio) == len(exact)
    assert alike(loudness(reply.audio.pcm), loudness(exact.pcm))


def test_it_keeps_its_pace_and_any_other(tmp_path):
    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        response = {"id": "r", "status": "in_progress", "conversation_id": "c"}
        talk.say({"type": "response.created", "response": response})
        talk.socket.socket.settimeout(None)
        import time

        time.sleep(0.6)
        talk.say({"type": "response.done", "response": {**response, "status": "completed"}})

    with serve(script) as url, connect(url=url) as chat:
        chat.ask("Hello").wait(10)
        path = chat.save(tmp_path / "slow.rtnb")

    def took(speed):
        with connect(replay=path, replay_speed=speed) as chat:
            response = chat.ask("Hello").wait(10).responses[0]
            return response.ended_at - response.started_at

    assert (as_it_was := took(1.0)) > 0.4
    assert took(2.0) > 0.15
    assert took(math.inf) < as_it_was


def test_tools_are_called_again_and_the_talk_goes_on(tmp_path):
    call = {"id": "item_call", "type": "function_call", "status": "completed", "name": "weather"}
    call |= {"call_id": "call_1", "arguments": '{"city": "Oslo"}'}

    def script(talk):
        talk.open()
        talk.take_message()
        talk.expect("response.create")
        response = {"id": "resp_1", "status": "in_progress", "conversation_id": "c"}
        talk.say(
            {"type": "response.created", "response": response},
            {"type": "response.done", "response": {**response, "status": "completed", "output": [call]}},
        )
        output = talk.expect("conversation.item.create")["item"]
        talk.say({"type": "conversation.item.added", "item": {**output, "id": "item_output"}})
        talk.answer("It is cold.", id="resp_2", item_id="item_9")

    degrees = iter(["3 °C", "minus 2 °C"])

    def weather(city: str) -> str:
        """The weather.

        Args:
            city: Where.
        """
        return next(degrees)

    with serve(script) as url, connect(url=url, tools=[weather]) as chat:
        chat.ask("Weather?").wait(10)
        path = chat.save(tmp_path / "tools.rtnb")
    with connect(replay=path, replay_speed=math.inf, tools=[weather]) as chat:
        reply = chat.ask("Weather?").wait(10)
    assert reply.text == "It is cold."
    assert repr(reply.tool_calls[0]) == "weather(city='Oslo') → minus 2 °C"


def test_side_responses_find_their_way_back(tmp_path):
    def script(talk):
        talk.open()
        for number in (1, 2):
            asked = talk.expect("response.create")["response"]
            response = {"id": f"resp_{number}", "status": "in_progress", "conversation_id": None}
            response["metadata"] = asked["metadata"]
            where = {"response_id": f"resp_{number}", "item_id": f"item_{number}"}
            talk.say(
                {"type": "response.created", "response": response},
                {"type": "response.output_text.delta", **where, "delta": asked["instructions"].upper()},
                {"type": "response.done", "response": {**response, "status": "completed"}},
            )

    with serve(script) as url, connect(url=url) as chat:
        for prompt in ("one", "two"):
            chat.side(prompt).wait(10)
        path = chat.save(tmp_path / "side.rtnb")
    with connect(replay=path, replay_speed=math.inf) as chat:
        both = [chat.side(prompt) for prompt in ("two", "one")]
        assert [reply.wait(10).text for reply in both] == ["TWO", "ONE"]
        assert chat.turns == []


def vad_lesson(talk):
    """A server that listens: two turns, each with a second of speech and the silence after it."""
    vad = {"type": "server_vad"}
    talk.say({"type": "session.created", "session": {"id": "sess_1", "audio": {"input": {"turn_detection": vad}}}})
    session = talk.expect("session.update")["session"]
    talk.say({"type": "session.updated", "session": session})
    came = 0
    for number, seconds in ((1, 2.0), (2, 4.0)):
        while came < seconds * 48_000:
            event = talk.hear()
            assert event["type"] == "input_audio_buffer.append"
            came += len(event["audio"]) * 3 // 4
        item = {"id": f"item_{number}", "type": "message", "role": "user", "status": "completed"}
        item["content"] = [{"type": "input_audio", "transcript": None}]
        start_ms = (number - 1) * 2000
        talk.say(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, "item_id": item["id"]},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": start_ms + 1800, "item_id": item["id"]},
            {"type": "input_audio_buffer.committed", "item_id": item["id"], "previous_item_id": None},
            {"type": "conversation.item.added", "item": item},
        )
        talk.answer(f"Answer {number}.", id=f"resp_{number}", item_id=f"answer_{number}", expect=False)


def test_a_server_that_listens_is_played_back_as_sound_comes(tmp_path):
    one, two = speech(1), speech(2)
    with serve(vad_lesson) as url, connect(url=url, turn_detection="server_vad") as chat:
        assert chat.ask(one).wait(10).text == "Answer 1."
        assert chat.ask(two).wait(10).text == "Answer 2."
        path = chat.save(tmp_path / "vad.rtnb")
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert chat.ask(one).wait(10).text == "Answer 1."
        with pytest.raises(ReplayError, match="what was said here"):
            chat.ask(speech(5)).wait(10)
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert [chat.ask(clip).wait(10).text for clip in (one, two)] == ["Answer 1.", "Answer 2."]
        assert [turn.item_id for turn in chat.turns] == ["item_1", "answer_1", "item_2", "answer_2"]


def test_cancelling_in_a_replay_stops_what_was_recorded_to_its_end(saved):
    path, _ = saved
    with connect(replay=path, replay_speed=0.01) as chat:
        reply = chat.ask("Hello")
        next(iter(reply))
        reply.cancel()
        assert reply.wait(10).status == "cancelled"
        assert chat.cancel().wait(10) is None


def test_no_key_gets_into_the_file(tmp_path):
    def script(talk):
        assert talk.headers["Authorization"] == "Bearer azure0123456789abcdef"
        talk.open()
        talk.take_message()
        talk.answer("Your key is azure0123456789abcdef, or sk-proj-abcdefghijklmnop.")

    mcp = {"type": "mcp", "server_label": "x", "server_url": "https://x.example", "authorization": "hunter2hunter2"}
    mcp["headers"] = {"X-Key": "opensesame"}
    with serve(script) as url, connect(url=url, key="azure0123456789abcdef", tools=[mcp]) as chat:
        chat.ask("My key is sk-abcdef0123456789").wait(10)
        path = chat.save(tmp_path / "keys.rtnb")
    with zipfile.ZipFile(path) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode("utf-8", "replace")
    assert "Your key is" in everything
    for secret in ("azure0123456789abcdef", "sk-abcdef", "abcdefghijklmnop", "hunter2", "opensesame"):
        assert secret not in everything


def test_the_sound_is_in_the_file_once(saved):
    path, _ = saved
    raw = len(ANSWER) + len(speech(8).pcm) + len(speech(1).pcm)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["events.jsonl", "heard.flac", "session.json", "spoken.flac"]
        lines = [json.loads(line) for line in archive.read("events.jsonl").splitlines()]
    assert sum(end - start for line in lines if "sound" in line for _, start, end in [line["sound"]]) == raw
    assert path.stat().st_size < raw


def test_a_retrieved_items_sound_is_kept_too(tmp_path):
    from rtnb.protocol import frames

    sound = frames.encode_audio(speech(3).pcm)
    item = {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}

    def script(talk):
        talk.open()
        talk.expect("conversation.item.retrieve")
        talk.say({"type": "conversation.item.retrieved", "item": item})

    with serve(script) as url, connect(url=url) as chat:
        chat.retrieve("item_1").wait(10)
        path = chat.save(tmp_path / "item.rtnb")
    assert path.stat().st_size < len(speech(3).pcm)
    with connect(replay=path) as chat:
        assert chat.retrieve("item_1").wait(10)["item"] == item
        with pytest.raises(ReplayError):
            chat.retrieve("item_2").wait(10)


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_file_that_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "x.rtnb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReplayError, match=r"x\.rtnb"):
        connect(replay=path)


def test_a_recording_of_a_later_version_says_so(saved, tmp_path):
    path, _ = saved
    later = tmp_path / "later.rtnb"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(later, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b'"version":1', b'"version":99') if name == "session.json" else data)
    with pytest.raises(ReplayError, match="newer rtnb"):
        connect(replay=later)


def test_wrong_arguments_are_told(saved, tmp_path):
    path, _ = saved
    with pytest.raises(InputError, match="speed"):
        connect(replay=path, replay_speed=0)
    with connect(replay=path) as chat, pytest.raises(InputError, match="sound="):
        chat.save(tmp_path / "y.rtnb", sound="mp3")


def test_any_client_can_talk_to_a_replay(saved):
    path, _ = saved
    openai = pytest.importorskip("openai")
    url = serve_replay(path, math.inf)

    async def talk():
        client = openai.AsyncOpenAI(api_key="none", base_url="http" + url.removeprefix("ws").removesuffix("/realtime"))
        words = []
        async with client.realtime.connect(model="gpt-realtime-2.1") as line:
            content = [{"type": "input_text", "text": "Hello"}]
            await line.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await line.response.create()
            async for event in line:
                if event.type == "response.output_audio_transcript.delta":
                    words.append(event.delta)
                if event.type == "response.done":
                    break
        await client.close()
        return "".join(words)

    assert asyncio.run(talk()) == "Hello to you."


def test_a_picture_is_kept_once_and_its_question_found_again(tmp_path):
    from rtnb.image import Image

    noise = np.random.default_rng(1).integers(0, 255, 60_000, dtype=np.uint8).tobytes()
    picture = Image.read(b"\x89PNG\r\n\x1a\n" + noise)

    def script(talk):
        talk.open()
        talk.take_message()
        talk.answer("Noise.")

    with serve(script) as url, connect(url=url) as chat:
        chat.ask(picture, "What is it?").wait(10)
        path = chat.save(tmp_path / "picture.rtnb")
    assert path.stat().st_size < 1.2 * len(noise)
    with connect(replay=path, replay_speed=math.inf) as chat:
        assert chat.ask(picture, "What is it?").wait(10).text == "Noise."
