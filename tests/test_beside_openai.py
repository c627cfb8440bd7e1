"""OpenAI's own client and rtnb at the same practice server at the same time: both get through, and to the same."""

import asyncio
import threading

import pytest

from rtnb.opening import connect
from rtnb.server import server

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")

MODEL = "gpt-realtime-2.1-mini"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Tell the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The city.
    """
    return f"3 °C in {city}"


@pytest.fixture(scope="module")
def practice():
    with server.start(pace=4.0) as running:
        yield running


async def until(line, kind):
    while True:
        event = await asyncio.wait_for(line.recv(), 30)
        assert event.type != "error", event
        if event.type == kind:
            return event


def user(text):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def theirs(url):
    """A tool turn, an interruption and a side response with OpenAI's client."""
    came = {}
    async with (
        openai.AsyncOpenAI(api_key="practice", base_url=url) as client,
        client.realtime.connect(model=MODEL) as line,
    ):
        await until(line, "session.created")
        settings = {"type": "realtime", "tools": [WEATHER], "audio": {"input": {"turn_detection": None}}}
        await line.session.update(session=settings)
        await until(line, "session.updated")

        await line.conversation.item.create(item=user("What is the weather in Oslo?"))
        await line.response.create(response={"output_modalities": ["text"]})
        done = await until(line, "response.done")
        call = next(item for item in done.response.output if item.type == "function_call")
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "3 °C in Oslo"}
        await line.conversation.item.create(item=output)
        await line.response.create(response={"output_modalities": ["text"]})
        done = await until(line, "response.done")
        came["tool"] = done.response.output[-1].content[0].text

        aside = {"conversation": "none", "metadata": {"topic": "x"}, "output_modalities": ["text"], "tools": []}
        await line.response.create(response={**aside, "instructions": "Say hello.", "input": []})
        done = await until(line, "response.done")
        came["side"] = (done.response.status, done.response.conversation_id)

        await line.conversation.item.create(item=user("Count from one to fifty."))
        await line.response.create(response={"tools": []})
        sound = await until(line, "response.output_audio.delta")
        await line.response.cancel()
        done = await until(line, "response.done")
        came["cancelled"] = (done.response.status, done.response.status_details.reason)
        await line.conversation.item.truncate(item_id=sound.item_id, content_index=0, audio_end_ms=100)
        came["truncated"] = (await until(line, "conversation.item.truncated")).audio_end_ms
    return came


def ours(url):
    """The same with rtnb."""
    came = {}
    with connect(url=url, key="practice", model=MODEL, tools=[weather]) as chat:
        came["tool"] = chat.ask("What is the weather in Oslo?", modalities="text").wait(30).text

        aside = chat.side("Say hello.", about=[], response={"tools": []}).wait(30)
        came["side"] = (aside.status, aside.responses[0].conversation_id)

        long = chat.ask("Count from one to fifty.", response={"tools": []})
        for piece in long:
            if piece.audio is not None:
                long.cancel()
                break
        long.wait(30)
        came["cancelled"] = (long.status, long.status_details["reason"])
        item_id = long.responses[0].item_ids[0]
        came["truncated"] = chat.truncate(item_id, 100).wait(30)["audio_end_ms"]
        assert chat.conversation.turn(item_id).audio.seconds == pytest.approx(0.1)
    return came


def test_a_tool_an_interruption_and_a_side_response_side_by_side(practice):
    got = {}
    mine = threading.Thread(target=lambda: got.update(ours(practice.url)))
    mine.start()
    got_theirs = asyncio.run(theirs(practice.base_url))
    mine.join(60)
    assert got["tool"].endswith(got_theirs["tool"])
    assert "3 °C in Oslo" in got["tool"]
    assert got["side"] == got_theirs["side"] == ("completed", None)
    assert got["cancelled"] == got_theirs["cancelled"] == ("cancelled", "client_cancelled")
    assert got["truncated"] == got_theirs["truncated"] == 100
