"""`openai-agents` realtime does not notice the difference: its sessions, history, tools, handoffs and guardrails."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from practice_harness import MINI, SPEECH

pytest.importorskip("openai", reason="the openai SDK is not installed")
agents = pytest.importorskip("agents", reason="openai-agents is not installed")

from agents.realtime import (  # noqa: E402
    RealtimeAgent,
    RealtimeModelSendRawMessage,
    RealtimePlaybackTracker,
    RealtimeRunner,
)
from practice_scenes import HEARD, UNHURRIED, USER, check_event, engines  # noqa: E402
from websockets.asyncio.client import ClientConnection  # noqa: E402

from rtnb.server import server  # noqa: E402

SPEECH_AND_SILENCE = SPEECH + bytes(96_000)
HELLO = "Hello to you too. Shall we go on talking about this and that for a while longer?"
WRITTEN = {"output_modalities": ["text"]}
PUSH = {"turn_detection": None}


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=40) as running:
        yield running


@pytest.fixture(scope="module")
def unhurried() -> Iterator[server.Practice]:
    with server.start(engines=engines(), pace=UNHURRIED) as running:
        yield running


@pytest.fixture(autouse=True)
def untraced() -> None:
    agents.set_tracing_disabled(True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the SDK sends, in order, seen at its socket."""
    frames: list[dict[str, Any]] = []
    send = ClientConnection.send

    async def noted(connection: ClientConnection, message: Any, *rest: Any, **more: Any) -> None:
        frames.append(json.loads(message))
        await send(connection, message, *rest, **more)

    monkeypatch.setattr(ClientConnection, "send", noted)
    return frames


class Talk:
    """A session of the SDK. Every server event is checked as it comes, and an error of either side fails."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.server: list[dict[str, Any]] = []  # what the server sent
        self.told: list[Any] = []  # what the session told about it
        self._events = aiter(session)

    async def _next(self) -> Any:
        event = await asyncio.wait_for(anext(self._events), 20)
        if event.type != "raw_model_event":
            assert event.type != "error", event.error
            self.told.append(event)
        elif event.data.type == "raw_server_event":
            check_event(event.data.data)
            assert event.data.data["type"] != "error"
            self.server.append(event.data.data)
        return event

    async def until(self, kind: str, met: Callable[[Any], bool] = lambda event: True) -> Any:
        """The next thing of a kind that the session tells."""
        while True:
            event = await self._next()
            if event.type == kind and met(event):
                return event

    async def until_server(self, kind: str) -> dict[str, Any]:
        """The next server event of a kind."""
        while True:
            event = await self._next()
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                plain: dict[str, Any] = event.data.data
                if plain["type"] == kind:
                    return plain

    async def turn(self) -> dict[str, Any]:
        """The next response, when the session too has made of it what it makes."""
        done = await self.until_server("response.done")
        await self.until("agent_end")
        return dict(done["response"])

    async def history(self, *items: tuple[str, ...]) -> None:
        """Wait until the session's history says this: (role, words) or (tool, arguments, output)."""
        while [*map(_line, self.session._history)] != [*items]:
            await self._next()

    async def raw(self, type: str, **fields: Any) -> None:
        message = {"type": type, "other_data": fields}
        await self.session.model.send_event(RealtimeModelSendRawMessage(message=message))

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.server]

    def sound(self) -> bytes:
        return b"".join(event.audio.data for event in self.told if event.type == "audio")


def _line(item: Any) -> tuple[str, ...]:
    if item.type == "function_call":
        return (item.name, item.arguments, item.output)
    (part,) = item.content or [None]
    return (item.role, getattr(part, "transcript", None) or getattr(part, "text", None) or "")


@asynccontextmanager
async def talk(
    practice: server.Practice,
    settings: dict[str, Any] | None = None,
    *,
    agent: Any = None,
    config: dict[str, Any] | None = None,
    **model: Any,
) -> AsyncIterator[Talk]:
    agent = agent or RealtimeAgent(name="Teacher", instructions="Be brief.")
    settings = {"model_name": MINI, **(settings or {})}
    runner = RealtimeRunner(agent, config={"model_settings": settings, **(config or {})})
    where = {"api_key": "practice", "url": f"{practice.url}?model={MINI}", **model}
    async with await runner.run(model_config=where) as session:
        talk = Talk(session)
        await talk.until_server("session.updated")
        yield talk


def test_an_audio_turn_with_voice_activity(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice) as t:  # the SDK asks for semantic_vad and a transcription
            await t.session.send_audio(SPEECH_AND_SILENCE)
            response = await t.turn()
            assert response["status"] == "completed"
            order = ["speech_started", "speech_stopped", "committed"]
            at = [t.kinds.index(f"input_audio_buffer.{name}") for name in order]
            assert at == sorted(at)
            # One token is 50 ms, rounded down: the session handed on all of what was said.
            assert response["usage"]["output_token_details"]["audio_tokens"] == len(t.sound()) // 2_400
            await t.history(("user", HEARD), ("assistant", HELLO))

    asyncio.run(run())


def test_push_to_talk(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, PUSH) as t:
            await t.session.send_audio(SPEECH[:24_000])
            await t.session.send_audio(SPEECH[24_000:], commit=True)
            await t.until_server("input_audio_buffer.committed")
            await t.raw("response.create")
            assert (await t.turn())["status"] == "completed"
            await t.history(("user", HEARD), ("assistant", HELLO))
            assert "input_audio_buffer.speech_started" not in t.kinds
            assert t.kinds.count("response.created") == 1

    asyncio.run(run())


def test_text(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, WRITTEN) as t:
            await t.session.send_message("Hello.")
            response = await t.turn()
            assert response["output"][0]["content"] == [{"type": "output_text", "text": HELLO}]
            await t.history(("user", "Hello."), ("assistant", HELLO))
            assert not t.sound()
            usage = t.session._context_wrapper.usage
            assert (usage.requests, usage.total_tokens) == (1, response["usage"]["total_tokens"])

    asyncio.run(run())


def forecaster(called: list[str]) -> Any:
    @agents.function_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        called.append(city)
        return f"foggy in {city}"

    return get_weather


def test_a_tool_turn(practice: server.Practice) -> None:
    called: list[str] = []
    agent = RealtimeAgent(name="Teacher", instructions="Be brief.", tools=[forecaster(called)])

    async def run() -> None:
        async with talk(practice, agent=agent) as t:
            await t.session.send_audio(SPEECH_AND_SILENCE)
            assert [item["type"] for item in (await t.turn())["output"]] == ["message", "function_call"]
            answer = await t.turn()
            assert answer["output"][0]["content"][0]["transcript"].startswith("It is foggy in Oslo.")
            await t.history(
                ("user", HEARD),
                ("assistant", "Let me look."),
                ("get_weather", '{"city":"Oslo"}', "foggy in Oslo"),
                ("assistant", answer["output"][0]["content"][0]["transcript"]),
            )
            kinds = [event.type for event in t.told]
            assert kinds.index("tool_start") < kinds.index("tool_end")

    asyncio.run(run())
    assert called == ["Oslo"]


def test_two_tool_calls_in_one_response(practice: server.Practice) -> None:
    called: list[str] = []
    agent = RealtimeAgent(name="Teacher", instructions="Be brief.", tools=[forecaster(called)])

    async def run() -> None:
        async with talk(practice, WRITTEN, agent=agent) as t:
            await t.session.send_message("The weather in Oslo and in Rome?")
            kinds = [item["type"] for item in (await t.turn())["output"]]
            assert kinds == ["message", "function_call", "function_call"]
            # The SDK asks for an answer when the first result is there, and again if the second comes after that.
            answer = ""
            while "foggy in Oslo and foggy in Rome" not in answer:
                answer = (await t.turn())["output"][0]["content"][0]["text"]

    asyncio.run(run())
    assert sorted(called) == ["Oslo", "Rome"]


def test_an_interruption_is_truncated_where_the_player_was(
    unhurried: server.Practice, sent: list[dict[str, Any]]
) -> None:
    player = RealtimePlaybackTracker()

    async def run() -> None:
        async with talk(unhurried, PUSH, playback_tracker=player) as t:
            await t.session.send_message("Hello.")
            heard = await t.until("audio", lambda event: len(t.sound()) >= 400 * 48)
            player.on_play_ms(heard.item_id, heard.content_index, 320)
            await t.session.interrupt()
            truncated = await t.until_server("conversation.item.truncated")
            assert (truncated["item_id"], truncated["audio_end_ms"]) == (heard.item_id, 320)
            assert (await t.turn())["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
            assert [event.type for event in t.told].count("audio_interrupted") == 1

    asyncio.run(run())
    assert [event["audio_end_ms"] for event in sent if event["type"] == "conversation.item.truncate"] == [320]


def test_an_interruption_of_what_has_all_come_already_cancels_nothing(
    practice: server.Practice, sent: list[dict[str, Any]]
) -> None:
    player = RealtimePlaybackTracker()

    async def run() -> None:
        async with talk(practice, PUSH, playback_tracker=player) as t:
            await t.session.send_message("Hello.")
            item_id = (await t.turn())["output"][0]["id"]
            player.on_play_ms(item_id, 0, 700)
            await t.session.interrupt()
            truncated = await t.until_server("conversation.item.truncated")
            assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, 700)
            kept = (await t.until_server("conversation.item.retrieved"))["item"]  # the SDK asks for what is left
            assert len(base64.b64decode(kept["content"][0]["audio"])) == 700 * 48

    asyncio.run(run())
    assert [event["audio_end_ms"] for event in sent if event["type"] == "conversation.item.truncate"] == [700]
    assert "response.cancel" not in {event["type"] for event in sent}


def test_a_spoken_interruption(unhurried: server.Practice, sent: list[dict[str, Any]]) -> None:
    async def run() -> int:
        async with talk(unhurried) as t:
            await t.session.send_message("Hello.")
            await t.until("audio", lambda event: len(t.sound()) >= 400 * 48)
            await t.session.send_audio(SPEECH)
            assert (await t.turn())["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
            truncated = await t.until_server("conversation.item.truncated")
            assert 0 < truncated["audio_end_ms"] <= len(t.sound()) // 48
            return int(truncated["audio_end_ms"])

    echoed = asyncio.run(run())
    assert [event["audio_end_ms"] for event in sent if event["type"] == "conversation.item.truncate"] == [echoed]
    assert "response.cancel" not in {event["type"] for event in sent}  # the server's turn detection does it


def test_a_side_response(practice: server.Practice) -> None:
    async def run() -> None:
        async with talk(practice, WRITTEN) as t:
            aside = {"conversation": "none", "metadata": {"topic": "mood"}, "input": [USER]}
            await t.raw("response.create", response=aside)
            response = await t.turn()
            assert (response["conversation_id"], response["metadata"]) == (None, {"topic": "mood"})
            assert response["output"][0]["content"][0]["text"] == HELLO
            assert not [kind for kind in t.kinds if kind.startswith("conversation.item")]
            await t.session.send_message("Hello.")
            assert (await t.turn())["conversation_id"] is not None

    asyncio.run(run())


def test_a_handoff(practice: server.Practice, sent: list[dict[str, Any]]) -> None:
    weather = RealtimeAgent(name="Forecaster", instructions="Speak of the weather.")
    teacher = RealtimeAgent(name="Teacher", instructions="Be brief.", handoffs=[weather])

    async def run() -> None:
        async with talk(practice, agent=teacher) as t:
            await t.session.send_audio(SPEECH_AND_SILENCE)
            assert (await t.turn())["output"][0]["name"] == "transfer_to_forecaster"
            assert (await t.turn())["status"] == "completed"
            sessions = [event["session"] for event in t.server if event["type"] == "session.updated"]
            assert [session["instructions"] for session in sessions][-2:] == ["Be brief.", "Speak of the weather."]
            assert [len(session["tools"]) for session in sessions][-2:] == [1, 0]
            (handoff,) = [event for event in t.told if event.type == "handoff"]
            assert (handoff.from_agent.name, handoff.to_agent.name) == ("Teacher", "Forecaster")
            assert t.told[-1].agent.name == "Forecaster"

    asyncio.run(run())


def test_an_output_guardrail(unhurried: server.Practice) -> None:
    def no_hello(context: Any, agent: Any, output: str) -> Any:
        return agents.GuardrailFunctionOutput(output_info="too friendly", tripwire_triggered="Hello" in output)

    config = {
        "output_guardrails": [agents.OutputGuardrail(guardrail_function=no_hello, name="no_hello")],
        "guardrails_settings": {"debounce_text_length": 8},
    }

    async def run() -> None:
        async with talk(unhurried, PUSH, config=config) as t:
            await t.session.send_message("Hello.")
            assert (await t.until("guardrail_tripped")).message.startswith("Hello")
            assert (await t.turn())["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
            # The SDK tells the model why, and the model says something else.
            again = await t.turn()
            assert again["output"][0]["content"][0]["transcript"].startswith("Something else")

    asyncio.run(run())
