"""OpenAI's own Python SDK does not notice the difference: `openai` against the practice server."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from practice_harness import MINI, SPEECH

openai = pytest.importorskip("openai", reason="the openai SDK is not installed")
pydantic = pytest.importorskip("pydantic")

from openai.types import realtime as types  # noqa: E402
from practice_scenes import HEARD, UNHURRIED, USER, WEATHER, check_event, engines, unknown  # noqa: E402

from rtnb.server import server  # noqa: E402


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=40) as running:
        yield running


@pytest.fixture(scope="module")
def unhurried() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=UNHURRIED) as running:
        yield running


class Talk:
    """A connection of the SDK, whose every event is checked as it comes."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.seen: list[Any] = []

    async def until(self, kind: str) -> Any:
        while True:
            event = await asyncio.wait_for(self.connection.recv(), 10)
            assert type(check_event(event.to_dict())) is type(event)
            self.seen.append(event)
            if event.type == kind:
                return event
            assert event.type != "error", event

    async def turn(self) -> Any:
        return (await self.until("response.done")).response

    async def append(self, sound: bytes) -> None:
        for at in range(0, len(sound), 4_800):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(sound[at : at + 4_800]).decode())


@asynccontextmanager
async def talk(practice: server.Practice, **session: Any) -> AsyncIterator[Talk]:
    client = openai.AsyncOpenAI(api_key="practice", base_url=practice.base_url)
    async with client, client.realtime.connect(model=MINI) as connection:
        talk = Talk(connection)
        await talk.until("session.created")
        if session:
            await connection.session.update(session={"type": "realtime", **session})
            await talk.until("session.updated")
        yield talk


PUSH = {"input": {"turn_detection": None, "transcription": {"model": "gpt-4o-mini-transcribe"}}}


def test_openai_text(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, output_modalities=["text"]) as t:
            await t.connection.conversation.item.create(item=USER)
            await t.connection.response.create()
            response = await t.turn()
            assert response.status == "completed"
            assert response.output[0].content[0].text.startswith("Hello to you too.")
            await t.until("rate_limits.updated")

    asyncio.run(run())


def test_openai_audio_turn_with_voice_activity(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, audio={"input": {"transcription": {"model": "whisper-1"}}}) as t:
            await t.append(SPEECH + bytes(96_000))
            response = await t.turn()
            assert response.status == "completed"
            assert response.usage.input_token_details.audio_tokens > 0
            kinds = [event.type for event in t.seen]
            order = ["speech_started", "speech_stopped", "committed"]
            at = [kinds.index(f"input_audio_buffer.{name}") for name in order]
            assert at == sorted(at)
            sound = b"".join(
                base64.b64decode(event.delta) for event in t.seen if event.type == "response.output_audio.delta"
            )
            # All of what was said is there: one token is 50 ms, rounded down.
            assert response.usage.output_token_details.audio_tokens == len(sound) // 2_400

    asyncio.run(run())


def test_openai_push_to_talk(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, audio=PUSH) as t:
            await t.append(SPEECH)
            await t.connection.input_audio_buffer.commit()
            heard = await t.until("conversation.item.input_audio_transcription.completed")
            assert heard.transcript == HEARD
            await t.connection.response.create()
            assert (await t.turn()).output[0].content[0].transcript

    asyncio.run(run())


def test_openai_who_said_what(practice: server.Practice) -> None:
    async def run() -> None:
        heard = {"turn_detection": None, "transcription": {"model": "gpt-4o-transcribe-diarize"}}
        async with talk(practice, audio={"input": heard}) as t:
            await t.append(SPEECH)
            await t.connection.input_audio_buffer.commit()
            whole = await t.until("conversation.item.input_audio_transcription.completed")
            said = [event for event in t.seen if event.type == "conversation.item.input_audio_transcription.segment"]
            assert [(part.speaker, part.start, part.end) for part in said] == [("A", 0.0, 0.5), ("B", 0.6, 1.0)]
            assert " ".join(part.text for part in said) == whole.transcript == HEARD

    asyncio.run(run())


def test_openai_how_sure_each_word_is(practice: server.Practice) -> None:
    async def run() -> None:
        include = ["item.input_audio_transcription.logprobs"]
        async with talk(practice, audio=PUSH, include=include) as t:
            await t.append(SPEECH)
            await t.connection.input_audio_buffer.commit()
            whole = await t.until("conversation.item.input_audio_transcription.completed")
            assert "".join(entry.token for entry in whole.logprobs) == HEARD
            assert all(entry.logprob == pytest.approx(math.log(0.8), abs=1e-5) for entry in whole.logprobs)
            deltas = [event for event in t.seen if event.type == "conversation.item.input_audio_transcription.delta"]
            assert [delta.logprobs[0].token for delta in deltas] == [delta.delta for delta in deltas]

    asyncio.run(run())


def test_openai_tool_turn(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, output_modalities=["text"], tools=[WEATHER], tool_choice="auto") as t:
            await t.connection.conversation.item.create(item=USER)
            await t.connection.response.create()
            message, call = (await t.turn()).output
            assert message.content[0].text == "Let me look."
            assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
            answer = {"type": "function_call_output", "call_id": call.call_id, "output": "foggy in Oslo"}
            await t.connection.conversation.item.create(item=answer)
            await t.connection.response.create()
            assert "foggy" in (await t.turn()).output[0].content[0].text

    asyncio.run(run())


def test_openai_interruption_with_truncate_and_retrieve(unhurried: server.Practice) -> None:
    async def run() -> None:
        async with talk(unhurried, audio=PUSH) as t:
            await t.connection.conversation.item.create(item=USER)
            await t.connection.response.create()
            delta = await t.until("response.output_audio.delta")
            await t.connection.response.cancel()
            response = await t.turn()
            assert (response.status, response.status_details.reason) == ("cancelled", "client_cancelled")
            item_id = delta.item_id
            await t.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=200)
            assert (await t.until("conversation.item.truncated")).audio_end_ms == 200
            await t.connection.conversation.item.retrieve(item_id=item_id)
            kept = (await t.until("conversation.item.retrieved")).item
            assert len(base64.b64decode(kept.content[0].audio)) == 200 * 48
            await t.connection.conversation.item.delete(item_id=item_id)
            await t.until("conversation.item.deleted")

    asyncio.run(run())


def test_openai_barge_in(unhurried: server.Practice) -> None:
    async def run() -> None:
        async with talk(unhurried) as t:
            await t.append(SPEECH + bytes(48_000))
            await t.until("response.output_audio.delta")
            await t.append(SPEECH)
            response = await t.turn()
            assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
            assert [event.type for event in t.seen].count("input_audio_buffer.speech_started") == 2

    asyncio.run(run())


def test_openai_side_response(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, output_modalities=["text"]) as t:
            aside = {"conversation": "none", "metadata": {"topic": "mood"}, "input": [USER]}
            await t.connection.response.create(response=aside)
            response = await t.turn()
            assert response.metadata == {"topic": "mood"}
            assert response.conversation_id is None
            assert not [event for event in t.seen if event.type.startswith("conversation.item")]

    asyncio.run(run())


def test_openai_errors_parse_too(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice) as t:
            await t.connection.send(
                {"type": "session.update", "event_id": "mine", "session": {"type": "realtime", "x": 1}}
            )
            event = await asyncio.wait_for(t.connection.recv(), 10)
            check_event(event.to_dict())
            assert (event.error.code, event.error.param, event.error.event_id) == (
                "unknown_parameter",
                "session.x",
                "mine",
            )

    asyncio.run(run())


def test_openai_client_secret(practice: server.Practice) -> None:
    with openai.OpenAI(api_key="practice", base_url=practice.base_url) as client:
        made = client.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime-2.1"})
    assert made.value.startswith("ek_")
    assert made.session.type == "realtime"

    async def run() -> str:
        client = openai.AsyncOpenAI(api_key=made.value, base_url=practice.base_url)
        async with client, client.realtime.connect(model="gpt-realtime-2.1") as connection:
            return str((await connection.recv()).type)

    assert asyncio.run(run()) == "session.created"


def test_openai_translation_events(practice: server.Practice) -> None:
    adapter = pydantic.TypeAdapter(types.RealtimeTranslationServerEvent)

    async def run() -> list[str]:
        from websockets.asyncio.client import connect

        url = practice.url + "/translations?model=gpt-realtime-translate"
        kinds = []
        async with connect(url, additional_headers={"Authorization": "Bearer practice"}, proxy=None) as socket:
            sound = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "es"}}
            await socket.send(json.dumps({"type": "session.update", "session": {"audio": sound}}))
            audio = base64.b64encode(SPEECH + bytes(48_000)).decode()
            await socket.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
            await asyncio.sleep(0.3)
            await socket.send(json.dumps({"type": "session.close"}))
            async for frame in socket:
                parsed = adapter.validate_json(frame)
                assert not unknown(parsed), parsed
                kinds.append(parsed.type)
        return kinds

    kinds = asyncio.run(run())
    assert (kinds[0], kinds[1], kinds[-1]) == ("session.created", "session.updated", "session.closed")
    assert {"session.input_transcript.delta", "session.output_transcript.delta", "session.output_audio.delta"} <= {
        *kinds
    }
