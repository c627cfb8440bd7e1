"""Scripted answers: when asked this say that, then call a function, then fail; typed, spoken and beside the talk."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from practice_client import receive, session, until
from practice_harness import SPEECH, b64
from websockets.asyncio.client import ClientConnection

import rtnb
from rtnb.errors import InputError
from rtnb.server import server
from rtnb.server.engines.engines import canned
from rtnb.server.protocol.effects import Transcript

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
SCRIPT: list[dict[str, Any]] = [
    {"when": "hello", "say": "Hello to you."},
    {"when": "the weather", "say": "Let me look.", "call": "get_weather", "with": {"city": "Oslo", "days": [1, 2]}},
    {"say": "It is sunny in Oslo."},
    {"fail": "rate_limit_exceeded"},
    {"when": "你好", "say": "你好！"},
    {"when": "tell me everything", "say": "Well then", "fail": "content_filter"},
    {"when": "a summary", "say": "They talked."},
    {"say": "They still talk."},
]
HEARD = "Um, what’s The WEATHER like"


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    engines = canned("Not in the script.", Transcript(HEARD))
    with server.start(engines=engines, pace=0, script=SCRIPT) as running:
        yield running


class Talk:
    """One session, in text unless it is to be spoken."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def begin(self, **settings: Any) -> None:
        await receive(self.socket)
        silent = {"audio": {"input": {"turn_detection": None}}}
        settings = {"type": "realtime", "output_modalities": ["text"], "tools": [WEATHER]} | silent | settings
        await self.send("session.update", session=settings)
        assert (await receive(self.socket))["type"] == "session.updated"

    async def ask(self, text: str = "", **response: Any) -> dict[str, Any]:
        """The response to these words, or without any to what is there."""
        if text:
            content = [{"type": "input_text", "text": text}]
            await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create", response=response)
        done: dict[str, Any] = (await until(self.socket, "response.done"))["response"]
        return done

    async def result(self, response: dict[str, Any]) -> None:
        call_id = response["output"][-1]["call_id"]
        item = {"type": "function_call_output", "call_id": call_id, "output": "21 degrees"}
        await self.send("conversation.item.create", item=item)


def words(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] for part in item.get("content", ())]
    return " ".join(part.get("text") or part["transcript"] for part in parts)


def dialogue(practice: server.Practice, talk: Any, query: str = "?model=gpt-realtime-2.1", **settings: Any) -> Any:
    async def run() -> Any:
        async with session(practice, query) as socket:
            one = Talk(socket)
            await one.begin(**settings)
            return await talk(one)

    return asyncio.run(run())


def test_what_is_asked_decides_and_what_follows_comes_in_order(practice: server.Practice) -> None:
    async def talk(one: Talk) -> None:
        assert words(await one.ask("Well, HELLO there!")) == "Hello to you."
        assert words(await one.ask("Hello?")) == "Hello to you."  # again, for nothing comes after it
        looked = await one.ask("And what is the weather?")
        message, call = looked["output"]
        assert (words(looked), message["phase"]) == ("Let me look.", "commentary")
        assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Oslo", "days": [1, 2]})
        await one.result(looked)
        assert words(await one.ask()) == "It is sunny in Oslo."
        failed = await one.ask("Hello once more.")  # whatever is asked
        assert (failed["status"], failed["output"]) == ("failed", [])
        assert failed["status_details"]["error"]["code"] == "rate_limit_exceeded"
        assert failed["usage"]["total_tokens"] == 0
        assert words(await one.ask("Hello!")) == "Hello to you."
        assert words(await one.ask("What is the capital of Norway?")) == "Not in the script."
        assert words(await one.ask("你好，请问")) == "你好！"
        cut = await one.ask("Tell me everything.")
        assert (cut["status"], cut["status_details"]["reason"]) == ("incomplete", "content_filter")
        assert words(cut) == "Well then"

    dialogue(practice, talk)


def test_each_session_begins_the_script_anew(practice: server.Practice) -> None:
    async def talk(one: Talk) -> None:
        assert [item["type"] for item in (await one.ask("The weather?"))["output"]] == ["message", "function_call"]

    for _ in range(2):
        dialogue(practice, talk)


def test_what_is_spoken_counts_as_what_is_typed_and_the_answer_is_spoken(practice: server.Practice) -> None:
    async def talk(one: Talk) -> None:
        await one.send("input_audio_buffer.append", audio=b64(SPEECH))
        await one.send("input_audio_buffer.commit")
        looked = await one.ask()
        assert words(looked) == "Let me look."
        assert looked["usage"]["output_token_details"]["audio_tokens"] > 0
        await one.result(looked)
        assert words(await one.ask()) == "It is sunny in Oslo."

    dialogue(practice, talk, output_modalities=["audio"])


def test_an_aside_has_its_own_place_in_the_script(practice: server.Practice) -> None:
    async def talk(one: Talk) -> None:
        aside = {"conversation": "none", "instructions": "Write a summary."}
        looked = await one.ask("The weather?")
        assert words(await one.ask(**aside)) == "They talked."
        await one.result(looked)
        assert words(await one.ask()) == "It is sunny in Oslo."  # the aside has not taken its turn
        assert words(await one.ask(**aside)) == "They still talk."
        assert words(await one.ask(conversation="none", instructions="Say hello.")) == "Hello to you."

    dialogue(practice, talk)


def test_a_responses_own_instructions_are_asked_too(practice: server.Practice) -> None:
    async def talk(one: Talk) -> None:
        assert words(await one.ask("Good morning.", instructions="Say hello to them.")) == "Hello to you."

    dialogue(practice, talk)


def test_a_first_step_that_waits_for_nothing_takes_the_first_response() -> None:
    async def talk(one: Talk) -> None:
        assert words(await one.ask()) == "Welcome."
        assert words(await one.ask("x")) == "And now?"
        assert words(await one.ask("x")) == "Not in the script."

    with server.start(
        engines=canned("Not in the script."), pace=0, script=[{"say": "Welcome."}, {"say": "And now?"}]
    ) as practice:
        dialogue(practice, talk)


def test_after_a_result_the_same_words_do_not_call_again() -> None:
    script = [{"when": "weather", "call": "get_weather"}]

    async def talk(one: Talk) -> None:
        looked = await one.ask("The weather?")
        assert json.loads(looked["output"][0]["arguments"]) == {}
        await one.result(looked)
        assert words(await one.ask()) == "Not in the script."
        assert (await one.ask("The weather again?"))["output"][0]["type"] == "function_call"

    with server.start(engines=canned("Not in the script."), pace=0, script=script) as practice:
        dialogue(practice, talk)
        dialogue(practice, talk, "?model=gpt-realtime")


def test_a_function_that_the_session_has_not_is_named(practice: server.Practice) -> None:
    async def talk(one: Talk) -> str:
        return str((await one.ask("The weather?"))["status_details"]["error"]["message"])

    message = dialogue(practice, talk, tools=[])
    assert message == "Your script calls get_weather, and the session has the tools (none)."


def test_the_one_line_of_a_lesson(practice: server.Practice) -> None:
    with rtnb.practice(engines=False, pace=0, script=SCRIPT) as lesson:
        reply = rtnb.ask("Hello there!", url=lesson.url, key="any", show=False).wait(60)
        assert reply.text == "Hello to you."


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([], "Your script has no steps. Give a list such as"),
        ({"when": "x", "say": "y"}, "Your script has no steps"),
        (["hello"], "Step 1 of your script is of type str. Give a dict"),
        (
            [{"say": "a"}, {"wehn": "b", "say": "c"}],
            "Step 2 of your script has 'wehn', which no step takes. A step takes",
        ),
        ([{"when": "b"}], "Step 1 of your script does nothing. Give it 'say', 'call' or 'fail'."),
        ([{}], "Step 1 of your script does nothing"),
        ([{"when": "?!", "say": "x"}], "has '?!' as 'when'. Give a text with words in it"),
        ([{"say": 3}], "has 3 as 'say'. Give a text"),
        ([{"say": ""}], "has '' as 'say'. Give a text"),
        ([{"call": "f", "with": "Oslo"}], "has 'Oslo' as 'with'. Give a dict"),
        ([{"say": "x", "with": {}}], "has 'with' and no 'call'"),
        ([{"call": "f", "with": {"x": {1}}}], "has arguments that JSON cannot carry"),
        ([{"fail": "quota"}], "fails with 'quota', which is no failure. These exist: insufficient_quota"),
    ],
)
def test_a_script_without_sense_is_refused_at_the_call_in_either_language(script: Any, said: str) -> None:
    with pytest.raises(InputError) as refused:
        rtnb.practice(engines=False, script=script)
    assert said in str(refused.value)
    assert str(refused.value).endswith(".")
    rtnb.language("zh")
    try:
        with pytest.raises(InputError) as refused:
            rtnb.practice(engines=False, script=script)
        assert not re.search(r"[A-Za-z]+ [a-z]+ [a-z]+", re.sub(r"\[.*\]", "", str(refused.value))), refused.value
    finally:
        rtnb.language("auto")


@pytest.mark.parametrize("script", ["hello", 3])
def test_a_script_of_another_type_is_refused_at_the_call(script: Any) -> None:
    with pytest.raises(InputError, match=r"script"):
        rtnb.practice(engines=False, script=script)
