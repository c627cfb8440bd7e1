"""Practice server beside what was recorded of the API: tokens, the order of events, refusals, the handshake."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import dialogue
import pytest
from practice_client import KEY, QUERY, receive, session, turn, until
from practice_harness import FIRST, MINI, SILENCE, SPEECH, Harness
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

import rtnb
from rtnb.server import server
from rtnb.server.protocol.requests import Call, Text
from rtnb.server.protocol.requests import Request as ToAnswer
from rtnb.server.responder.responder import think

PATTERN = "^[a-zA-Z0-9_-]+$"

LONDON = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {
        "additionalProperties": False,
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "type": "object",
    },
}
NAMES = {
    "type": "function",
    "name": "remember_name",
    "description": "Store the name the user introduced themselves with.",
    "parameters": {
        "additionalProperties": False,
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "type": "object",
    },
}
USE_THE_TOOL = "Use the get_weather tool for any weather question, then answer in one short sentence."
ALWAYS = "Always call get_weather for a weather question, then answer in one short sentence."
IN_LONDON = "What is the weather in London?"


def usage_of(harness: Harness, *said: str, **session: Any) -> dict[str, Any]:
    """What a response in text costs after these words of the user, with these settings."""
    harness.update(output_modalities=["text"], **session)
    for text in said:
        harness.say(text)
    usage: dict[str, Any] = harness.send("response.create")[-1]["response"]["usage"]
    return usage


@pytest.mark.parametrize(
    ("model", "instructions", "tools", "said", "recorded"),
    [
        (FIRST, "Answer in two words.", [], "Say hello.", 12),
        (FIRST, "Answer in two or three words.", [], "Say a short greeting.", 16),
        (FIRST, USE_THE_TOOL, [LONDON], IN_LONDON, 63),
        (FIRST, ALWAYS, [LONDON], IN_LONDON, 62),
        (MINI, "Reply in a few words.", [], "Say hi in two words.", 23),
        ("gpt-realtime-2.1", ALWAYS, [LONDON], IN_LONDON, 347),
    ],
)
def test_what_was_recorded_is_counted_alike(
    model: str, instructions: str, tools: Any, said: str, recorded: int
) -> None:
    usage = usage_of(Harness(model), said, instructions=instructions, tools=tools)
    assert usage["input_tokens"] == recorded


def test_a_history_is_counted_as_recorded() -> None:
    words = ("My name is Alice and my favorite color is teal.", "What is my name and favorite color?")
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ""}]}
    answer["content"] = [{"type": "output_text", "text": "Nice to meet you, Alice!"}]
    for model, recorded in ((FIRST, 44), ("gpt-realtime-2.1", 51)):
        harness = Harness(model)
        harness.say(words[0])
        harness.send("conversation.item.create", item=answer)
        usage = usage_of(harness, words[1], instructions="Answer in one short sentence.")
        assert usage["input_tokens"] == recorded


def test_a_recording_costs_its_length_and_eight_tokens_of_text() -> None:
    harness = Harness(FIRST).push_to_talk()
    harness.update(instructions="Reply in a few words.")
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    read = harness.send("response.create")[-1]["response"]["usage"]["input_token_details"]
    assert (read["text_tokens"], read["audio_tokens"]) == (14, 10)


def test_a_function_of_another_shape_is_counted_by_the_same_rule() -> None:
    asked = "When someone introduces themselves, call `remember_name` with their name, then greet them by name in "
    usage = usage_of(Harness(FIRST), "Hello.", instructions=asked + "a few words.", tools=[NAMES])
    assert usage["input_tokens"] - 6 + 8 == pytest.approx(69, abs=1)  # recorded: 69; a recording there, a word here


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        [],
        "any",
        {"type": "object", "properties": None},
        {"type": "object", "properties": {"size": {"enum": ["S", 1, None], "description": "How large."}, "x": 3}},
        {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}, "y": []}},
        {"properties": {"inner": {"properties": {"deep": {"type": ["string", "null"], "description": None}}}}},
    ],
)
def test_any_parameters_are_counted(parameters: Any) -> None:
    tool = {"type": "function", "name": "do_it", "parameters": parameters}
    without = usage_of(Harness(FIRST), "Hello.")["input_tokens"]
    assert without < usage_of(Harness(FIRST), "Hello.", tools=[tool])["input_tokens"] < without + 60


def test_a_longer_description_costs_more() -> None:
    def cost(tool: dict[str, Any]) -> int:
        return int(usage_of(Harness(FIRST), "Hello.", tools=[tool])["input_tokens"])

    fields = {"city": {"type": "string", "description": "The city, with its country where there are several."}}
    described = {**LONDON, "parameters": {"type": "object", "properties": fields}}
    assert cost(LONDON) < cost(described)
    assert cost(LONDON) < cost({**LONDON, "description": LONDON["description"] + " It is asked of a service."})


@pytest.mark.parametrize(
    ("model", "tools", "modality", "reports"),
    [
        ("gpt-realtime-2.1", [], "text", True),
        ("gpt-realtime-2.1", [LONDON], "text", False),
        (MINI, [], "audio", True),
        (FIRST, [], "text", False),
        (FIRST, [], "audio", False),
    ],
)
def test_reasoning_tokens_are_reported_where_they_were_recorded(
    model: str, tools: list[Any], modality: str, reports: bool
) -> None:
    harness = Harness(model, answers=[Text("Your name is Alice, and your favorite color is teal.")])
    harness.update(output_modalities=[modality], tools=tools)
    harness.say("What is my name and favorite color?")
    wrote = harness.send("response.create")[-1]["response"]["usage"]["output_token_details"]
    assert ("reasoning_tokens" in wrote) == reports
    if modality == "text":
        more = 2 if model == FIRST else 4  # recorded: 14, and 33 with 17 of reasoning
        assert wrote["text_tokens"] - wrote.get("reasoning_tokens", 0) == 12 + more


@pytest.mark.parametrize(("model", "recorded"), [(FIRST, 22), ("gpt-realtime-2.1", 36)])
def test_a_call_costs_about_what_was_recorded(model: str, recorded: int) -> None:
    answers = [Text("I’ll check the current weather in London for you."), Call("get_weather", {"city": "London"})]
    harness = Harness(model, answers=answers)
    assert usage_of(harness, IN_LONDON, tools=[LONDON])["output_tokens"] == pytest.approx(recorded, abs=2)


# ------------------------------------------------------------------ the words of the user, in the middle of the answer

WHISPER = {"model": "gpt-realtime-whisper"}
COMPLETED = "conversation.item.input_audio_transcription.completed"
LONG = SPEECH * 3


@pytest.mark.parametrize("model", [FIRST, "gpt-realtime-2.1", MINI])
@pytest.mark.parametrize("by_button", [False, True])
def test_a_streaming_transcript_is_complete_in_the_middle_of_the_spoken_answer(model: str, by_button: bool) -> None:
    harness = Harness(model, transcript="Hello, my name is Marcelo.", speech=LONG, holds=["transcribestream"])
    harness.update(audio={"input": {"transcription": WHISPER} | ({"turn_detection": None} if by_button else {})})
    harness.append(SILENCE + SPEECH + SILENCE)
    if by_button:
        harness.send("input_audio_buffer.commit")
        harness.send("response.create")
    harness.release()
    types = harness.types
    at = types.index(COMPLETED)
    assert types.index("response.created") < types.index("conversation.item.input_audio_transcription.delta")
    assert types.index("response.output_audio_transcript.delta") < types.index("response.output_audio.delta") < at
    assert at < types.index("response.output_audio.done")
    assert "response.output_audio.delta" in types[at:]


def test_it_is_complete_in_the_middle_of_a_written_answer_too() -> None:
    harness = Harness(holds=["transcribestream"])
    harness.update(output_modalities=["text"], audio={"input": {"transcription": WHISPER}})
    harness.append(SILENCE + SPEECH + SILENCE)
    harness.release()
    at = harness.types.index(COMPLETED)
    assert "response.output_text.delta" in harness.types[:at]
    assert "response.output_text.delta" in harness.types[at:]


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-transcribe", "whisper-1"])
def test_a_model_that_does_not_stream_has_its_transcript_before_the_answer(model: str) -> None:
    harness = Harness(holds=["transcribe"])
    harness.update(audio={"input": {"transcription": {"model": model}}})
    harness.append(SILENCE + SPEECH + SILENCE)
    harness.release()
    assert harness.types.index("response.created") < harness.types.index(COMPLETED)
    assert harness.types.index(COMPLETED) < harness.types.index("response.output_item.added")


@pytest.mark.parametrize(
    "answers", [[Call("get_weather", {"city": "Oslo"})], [RuntimeError("broken")], [Text("Hi.")]], ids=str
)
def test_no_transcript_is_lost_however_the_answer_ends(answers: Any) -> None:
    harness = Harness(answers=answers, holds=["transcribestream"])
    harness.update(tools=[LONDON], audio={"input": {"transcription": WHISPER}})
    harness.append(SILENCE + SPEECH + SILENCE)
    harness.release()
    assert harness.types.count(COMPLETED) == 1
    assert harness.types.index(COMPLETED) < harness.types.index("response.done")


def test_a_slow_answer_does_not_keep_the_users_words_back() -> None:
    harness = Harness(holds=["respond", "transcribestream"])
    harness.update(audio={"input": {"transcription": WHISPER}})
    harness.append(SILENCE + SPEECH + SILENCE)
    harness.release("transcribestream")
    assert COMPLETED not in harness.types
    harness.wait(3)
    assert harness.types.count(COMPLETED) == 1
    harness.release()
    assert harness.types.count(COMPLETED) == 1
    assert "response.done" in harness.types


def test_an_interrupted_answer_keeps_no_transcript_back() -> None:
    harness = Harness(holds=["respond", "transcribestream"])
    harness.update(audio={"input": {"transcription": WHISPER}})
    harness.append(SILENCE + SPEECH + SILENCE)
    harness.release("transcribestream")
    harness.send("response.cancel")
    assert harness.types.index(COMPLETED) < harness.types.index("response.done")


def test_without_an_answer_a_transcript_is_complete_at_once() -> None:
    harness = Harness().push_to_talk()
    harness.update(audio={"input": {"transcription": WHISPER}})
    harness.append(SPEECH)
    harness.send("input_audio_buffer.commit")
    assert harness.types[-1] == COMPLETED


# ------------------------------------------------------------------ commentary and a call


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize(
    ("words", "commentary"), [(IN_LONDON, "One moment, please."), ("查一下London的天气 (weather)", "请稍等。")]
)
def test_2_1_comments_on_its_call_in_the_same_response_and_1_x_does_not(
    modality: str, words: str, commentary: str
) -> None:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    answers = [*think(ToAnswer(items=[said], tools=[LONDON], instructions=ALWAYS))]
    for model in ("gpt-realtime-2.1", FIRST):
        harness = Harness(model, answers=answers)
        harness.update(output_modalities=[modality], tools=[LONDON])
        harness.say(words)
        output = harness.send("response.create")[-1]["response"]["output"]
        call = output[-1]
        assert (call["type"], call["name"]) == ("function_call", "get_weather")
        if model == FIRST:
            assert len(output) == 1
        else:
            message, _ = output
            [part] = message["content"]
            assert (message["phase"], part.get("text") or part["transcript"]) == ("commentary", commentary)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_call_that_is_required_comes_without_a_comment(choice: Any) -> None:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": IN_LONDON}]}
    assert [*map(type, think(ToAnswer(items=[said], tools=[LONDON], tool_choice=choice)))] == [Call]


# ------------------------------------------------------------------ what is refused


def function_call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "name": "get_weather", "call_id": "call_1", "arguments": "{}", **fields}


@pytest.mark.parametrize("kind", ["function_call", "function_call_output"])
def test_a_call_id_has_at_most_32_characters(kind: str) -> None:
    harness = Harness()
    harness.send("conversation.item.create", item=function_call(call_id="c" * 32))
    rest = {"output": "x"} if kind == "function_call_output" else {"name": "f", "arguments": "{}"}
    sent = harness.send("conversation.item.create", item={"type": kind, "call_id": "c" * 32, **rest})
    assert sent[-1]["type"] == "conversation.item.done"
    (refused,) = harness.send("conversation.item.create", item={"type": kind, "call_id": "c" * 33, **rest})
    assert refused["error"]["code"] == "string_above_max_length"
    assert refused["error"]["param"] == "item.call_id"
    harness.send("response.create", response={"input": [{"type": kind, "call_id": "c" * 33, **rest}]})
    assert harness.error()["param"] == "response.input[0].call_id"


@pytest.mark.parametrize("name", ["get weather", "", "wetter.holen", "天气", "a/b", "get_weather\n", "x" * 65])
def test_a_functions_name_has_the_apis_pattern(name: str) -> None:
    harness = Harness()
    tool = {"type": "function", "name": name, "parameters": {}}
    harness.update(tools=[LONDON, tool])
    assert harness.error()["param"] == "session.tools[1].name"
    harness.send("response.create", response={"tools": [tool]})
    assert harness.error()["param"] == "response.tools[0].name"
    harness.update(tools=[LONDON], tool_choice={"type": "function", "name": name})
    assert harness.error()["param"] == "session.tool_choice.name"
    harness.send("conversation.item.create", item=function_call(name=name))
    assert harness.error()["param"] == "item.name"
    if len(name) < 65:
        expected = f"Expected a string that matches the pattern '{PATTERN}'."
        assert harness.error()["message"] == f"Invalid 'item.name': string does not match pattern. {expected}"
        assert harness.error()["code"] == "invalid_value"
    assert "response.created" not in harness.types


def test_every_name_of_the_pattern_is_taken() -> None:
    harness = Harness()
    names = ["a", "get_weather", "Get-Weather-2", "_", "-", "x" * 64]
    harness.update(tools=[{"type": "function", "name": name} for name in names])
    assert [tool["name"] for tool in harness.last("session.updated")["session"]["tools"]] == names


# ------------------------------------------------------------------ the handshake


@pytest.fixture(scope="module")
def practice() -> Iterator[server.Practice]:
    with server.start(engines=False) as running:
        yield running


def status_of(practice: server.Practice, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """How a handshake for a path is answered: the HTTP status and the error of its body."""

    async def knock() -> tuple[int, dict[str, Any]]:
        url = f"ws://127.0.0.1:{practice.port}{path}"
        try:
            async with connect(url, additional_headers=KEY | headers, proxy=None):
                return 101, {}
        except InvalidStatus as refused:
            return refused.response.status_code, json.loads(refused.response.body or b"")["error"]

    return asyncio.run(knock())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/realtime",
        "/v1/Realtime",
        "/v2/realtime",
        "/v1//realtime",
        "/v1/realtime/extra",
        "/v1/realtime/calls",
        "/v1/realtime/client_secrets",
        "/v1/realtime/translations/extra",
        "/v1/live/sessions",
        "/v1/models",
        "/openai",
        "/openai/realtime/translations",
        "/openai/v2/realtime",
        "/x/v1/realtime",
        "/v1/realtime%2f",
        "/v1/realtime;x",
    ],
)
def test_only_the_apis_paths_open_a_session(practice: server.Practice, path: str) -> None:
    status, error = status_of(practice, path + QUERY)
    assert (status, error["type"]) == (404, "invalid_request_error")
    assert error["message"].startswith("Invalid URL (GET /")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "PUT", "HEAD"])
def test_only_a_get_opens_a_session(practice: server.Practice, method: str) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer practice\r\nContent-Length: 0\r\n"
    with socket.create_connection(("127.0.0.1", practice.port), timeout=60) as plain:
        plain.sendall(f"{method} /v1/realtime{QUERY} HTTP/1.1\r\nHost: localhost\r\n{upgrade}{key}\r\n".encode())
        assert b" 101 " not in plain.recv(1000)


@pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime", "/openai/realtime"])
def test_the_apis_paths_open_one(practice: server.Practice, path: str) -> None:
    assert status_of(practice, path + QUERY)[0] == 101


@pytest.mark.parametrize("call_id", ["rtc_none", "sess_none", "x", "rtc_u0_" + "a" * 21])
def test_a_call_that_is_not_there_is_a_404(practice: server.Practice, call_id: str) -> None:
    status, error = status_of(practice, f"/v1/realtime?call_id={call_id}")
    assert (status, error["code"], error["param"]) == (404, "call_id_not_found", "")
    assert error["message"] == "No session found for the provided call_id"


def test_who_joins_a_call_that_is_not_there_reads_so(practice: server.Practice) -> None:
    with pytest.raises(rtnb.ConnectionFailed, match=r"call_id_not_found.* That call is over, or never was: join one"):
        rtnb.connect(url=f"{practice.url}?call_id=rtc_none", key="any", show=False).wait(60)


def test_a_call_that_is_over_or_joined_with_an_ephemeral_key_is_a_404(practice: server.Practice) -> None:
    secret = Request(f"{practice.base_url}/realtime/client_secrets", b"{}", KEY)
    with urlopen(secret) as answer:
        ephemeral = f"Bearer {json.load(answer)['value']}"

    async def call() -> str:
        async with session(practice) as talk:
            path = f"/v1/realtime?call_id={(await receive(talk))['session']['id'].replace('sess_', 'rtc_')}"
            assert (await asyncio.to_thread(status_of, practice, path))[0] == 101
            of_a_browser = f"realtime, openai-insecure-api-key.{ephemeral.removeprefix('Bearer ')}"
            for headers in (
                {"Authorization": ephemeral},
                {"Authorization": "", "Sec-WebSocket-Protocol": of_a_browser},
            ):
                status, error = await asyncio.to_thread(status_of, practice, path, **headers)
                assert (status, error["code"]) == (404, "call_id_not_found")
        await asyncio.to_thread(dialogue.until, lambda: not practice.session_ids)
        return path

    assert status_of(practice, asyncio.run(call()))[0] == 404


def test_deflate_is_agreed_to_where_it_is_offered(practice: server.Practice) -> None:
    async def talk(**options: Any) -> str:
        async with session(practice, **options) as talking:
            await receive(talking)
            assert talking.response is not None
            # Longer than a megabyte once it is unpacked.
            await talking.send(json.dumps({"type": "session.update", "session": {"instructions": "word " * 300_000}}))
            assert (await until(talking, "error"))["error"]["code"] == "missing_required_parameter"
            assert (await turn(talking))["response"]["status"] == "completed"
            await talking.send(["{", '"type": "response.cancel"}'])  # in fragments
            assert (await until(talking, "error"))["error"]["code"] == "response_cancel_not_active"
            return talking.response.headers.get("Sec-WebSocket-Extensions", "")

    assert asyncio.run(talk(compression="deflate")).startswith("permessage-deflate")
    assert asyncio.run(talk()) == ""
    without = [ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)]
    assert "no_context_takeover" in asyncio.run(talk(extensions=without))
