"""`pydantic-ai` realtime holds a conversation with the practice server: its own model of a session, its own player."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from practice_harness import MINI, SPEECH

pytest.importorskip("openai", reason="the openai SDK is not installed")
pydantic_ai = pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
pytest.importorskip(
    "pydantic_ai.realtime.openai",
    reason="this pydantic-ai has no realtime module: install pydantic-ai-slim[openai-realtime]",
    exc_type=ImportError,
)

from practice_scenes import HEARD, UNHURRIED, engines  # noqa: E402
from pydantic_ai.messages import SpeechPart, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402
from pydantic_ai.realtime.openai import OpenAIRealtimeModel  # noqa: E402

from rtnb.server import server  # noqa: E402

HELLO = "Hello to you too. Shall we go on talking about this and that for a while longer?"
HEARS = {"input_transcription_model": "gpt-4o-transcribe"}


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=40) as running:
        yield running


@pytest.fixture(scope="module")
def unhurried() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=UNHURRIED) as running:
        yield running


@pytest.fixture
def agent() -> Any:
    return pydantic_ai.Agent(instructions="Be brief.")


class Talk:
    """A session whose events are read as they come; an error among them fails."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._events = aiter(session)

    async def until(self, kind: str) -> Any:
        while True:
            event = await asyncio.wait_for(anext(self._events), 20)
            assert not hasattr(event, "recoverable"), event  # a session error, of the server or of the client's parser
            if type(event).__name__ == kind:
                return event

    async def turn(self) -> None:
        await self.until("RealtimeTurnCompleteEvent")

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The conversation as the session keeps it: (who, what)."""
        return [_line(part) for message in self.session.all_messages() for part in message.parts]


def _line(part: Any) -> tuple[str, str]:
    if isinstance(part, SpeechPart):
        return (part.speaker, part.transcript or "")
    if isinstance(part, ToolCallPart | ToolReturnPart):
        return (part.tool_name, str(part.args if isinstance(part, ToolCallPart) else part.content))
    assert isinstance(part, UserPromptPart | TextPart)
    return ("user" if isinstance(part, UserPromptPart) else "assistant", str(part.content))


@asynccontextmanager
async def talk(practice: server.Practice, agent: Any, **settings: Any) -> AsyncIterator[Talk]:
    provider = OpenAIProvider(base_url=practice.base_url, api_key="practice")
    model = OpenAIRealtimeModel(MINI, provider=provider)
    async with agent.realtime(model, model_settings={**HEARS, **settings}).session() as session:
        yield Talk(session)


def test_an_audio_turn_with_voice_activity(practice: server.Practice, agent: Any) -> None:
    async def run() -> None:
        async with talk(practice, agent) as t:
            await t.session.send_audio(SPEECH + bytes(96_000))
            await t.until("RealtimeInputSpeechStartEvent")
            await t.until("RealtimeInputSpeechEndEvent")
            await t.turn()
            assert t.lines == [("user", HEARD), ("assistant", HELLO)]

    asyncio.run(run())


def test_push_to_talk(practice: server.Practice, agent: Any) -> None:
    async def run() -> None:
        async with talk(practice, agent, turn_detection=False) as t:
            await t.session.send_audio(SPEECH)
            await t.session.commit_audio()
            await t.session.create_response()
            await t.turn()
            assert t.lines == [("user", HEARD), ("assistant", HELLO)]

    asyncio.run(run())


def test_text(practice: server.Practice, agent: Any) -> None:
    async def run() -> None:
        async with talk(practice, agent, output_modality="text") as t:
            await t.session.send("Hello.")
            await t.turn()
            assert t.lines == [("user", "Hello."), ("assistant", HELLO)]

    asyncio.run(run())


def test_a_tool_turn(practice: server.Practice, agent: Any) -> None:
    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"foggy in {city}"

    async def run() -> None:
        async with talk(practice, agent) as t:
            await t.session.send("The weather in Rome?")
            await t.turn()
            assert t.lines[1:4] == [
                ("assistant", "Let me look."),
                ("get_weather", '{"city":"Rome"}'),
                ("get_weather", "foggy in Rome"),
            ]
            assert t.lines[4][1].startswith("It is foggy in Rome.")

    asyncio.run(run())


def test_an_interruption_is_kept_where_the_player_was(unhurried: server.Practice, agent: Any) -> None:
    async def run() -> None:
        async with talk(unhurried, agent, turn_detection=False) as t:
            sound = t.session.stream_audio()
            await t.session.send("Hello.")
            heard = b""
            while len(heard) < 600 * 48:
                heard += await asyncio.wait_for(anext(sound), 20)
            await t.session.interrupt(played_ms=320)
            await t.turn()
            spoken = t.session.all_messages()[-1].parts[0]
            assert spoken.interrupted_at_ms == 320
            assert len(spoken.transcript) < len(HELLO)

    asyncio.run(run())
