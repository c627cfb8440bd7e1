"""An LLM for the practice server: the forms of the chat servers that people run, and a whole talk through it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from chat_server import DONE, Chat, chat_server, chunk, says
from hypothesis import given
from hypothesis import strategies as st
from practice_harness import MINI

import rtnb
from rtnb.errors import ConnectionFailed, InputError, KeyRefused, ResponseFailed, ServerError
from rtnb.server import server
from rtnb.server.engines import tts
from rtnb.server.engines.engines import canned
from rtnb.server.llm.chat_messages import messages
from rtnb.server.llm.remote import Remote
from rtnb.server.llm.sentences import Sentences
from rtnb.server.protocol.requests import Answer, Call, Cut, Request, Text

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def chat() -> Iterator[Chat]:
    with chat_server() as running:
        yield running


def typed(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def spoken(transcript: str | None) -> dict[str, Any]:
    content = [{"type": "input_audio", "transcript": transcript}]
    return {"type": "message", "role": "user", "content": content}


def answered(text: str) -> dict[str, Any]:
    content = [{"type": "output_audio", "transcript": text}]
    return {"type": "message", "role": "assistant", "content": content}


def called(call_id: str, name: str = "get_weather") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def result(call_id: str, output: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def think(chat: Chat, *items: dict[str, Any], **more: Any) -> list[Answer]:
    return list(Remote(chat.url, "small")(Request(items=items, **more)))


# ── What is asked ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_llm_is_asked_as_a_chat_server_wants_to_be(chat: Chat) -> None:
    chat.answer(*says("Hel", "lo. It costs 3", ".5 dol", "lars. **Bye", "** now"))
    remote = Remote(chat.url, "small", key="sk-not-a-key-at-all")
    pieces = list(remote(Request(instructions="Be kind.", items=[spoken("Hi there")])))
    assert pieces == [Text("Hello."), Text("It costs 3.5 dollars."), Text("Bye now")]
    asked = chat.asked[0]
    assert (asked["path"], asked["model"], asked["stream"]) == ("/v1/chat/completions", "small", True)
    assert asked["messages"][0]["content"].startswith("Be kind.")
    assert asked["messages"][1] == {"role": "user", "content": "Hi there"}
    assert "tools" not in asked
    assert chat.headers[0]["Authorization"] == "Bearer sk-not-a-key-at-all"
    assert "not-a-key" not in repr(remote)


def test_tools_and_the_choice_among_them_go_along(chat: Chat) -> None:
    chat.answer(*says("No."))
    think(chat, typed("Weather?"), tools=[WEATHER], tool_choice={"type": "function", "name": "get_weather"})
    assert chat.asked[0]["tools"][0]["function"]["parameters"] == WEATHER["parameters"]
    assert chat.asked[0]["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}


def shape(*items: dict[str, Any], instructions: str = "") -> list[tuple[str, Any]]:
    found = messages(Request(instructions=instructions, items=items, modalities=("text",)))
    return [
        (one["role"], [call["id"] for call in one["tool_calls"]] if "tool_calls" in one else one["content"])
        for one in found
    ]


def test_history_becomes_turns_that_alternate_with_results_behind_their_calls() -> None:
    history = [typed("Weather?"), answered("One moment."), called("a"), called("b"), result("b", "noon")]
    assert shape(*history, result("a", "3"), answered("Three."), spoken(None), typed("And now?")) == [
        ("user", "Weather?"),
        ("assistant", ["a", "b"]),
        ("tool", "3"),
        ("tool", "noon"),
        ("assistant", "Three."),
        ("user", "(a recording in which no words could be heard)\nAnd now?"),
    ]


def test_what_was_said_before_a_call_stays_with_it() -> None:
    found = messages(Request(items=[typed("Weather?"), answered("One moment."), called("a"), result("a", "3")]))
    assert found[-2]["content"] == "One moment."
    assert found[-2]["tool_calls"][0]["id"] == "a"


@pytest.mark.parametrize(
    ("items", "tail"),
    [
        ([typed("Weather?"), called("a"), typed("Hello?")], [("tool", "(no result has come yet)"), ("user", "Hello?")]),
        (
            [typed("Weather?"), called("a"), typed("Well?"), result("a", "3")],
            [("assistant", ["a"]), ("tool", "3"), ("user", "Well?")],
        ),
        ([result("gone", "3")], [("user", "(the result of a function called before: 3)")]),
        ([typed("Hi"), answered("Hello."), answered("So?")], [("assistant", "Hello.\nSo?"), ("user", "(Go on.)")]),
        ([], [("system", "Say hello."), ("user", "(The user has not said anything yet. Begin.)")]),
        ([typed("Hi"), {**typed("Be brief."), "role": "system"}], [("user", "Hi"), ("system", "Be brief.")]),
    ],
)
def test_what_chat_servers_refuse_is_put_right(items: list[dict[str, Any]], tail: list[tuple[str, Any]]) -> None:
    assert shape(*items, instructions="Say hello.")[-len(tail) :] == tail


def test_pictures_are_passed_on_with_the_words_beside_them() -> None:
    picture = typed("What is this?")
    picture["content"].append({"type": "input_image", "image_url": PICTURE, "detail": "low"})
    ((role, content),) = shape(spoken("Look."), picture, typed("Quick!"))
    assert role == "user"
    assert [part.get("text") or part["image_url"] for part in content] == [
        "Look.",
        "What is this?",
        {"url": PICTURE, "detail": "low"},
        "Quick!",
    ]


@given(st.lists(st.sampled_from([typed("x"), answered("y"), called("a"), called("b"), result("a", "1"), spoken("z")])))
def test_whatever_the_order_of_items_no_chat_server_has_to_refuse_it(items: list[dict[str, Any]]) -> None:
    found = messages(Request(items=items))
    roles = [message["role"] for message in found if message["role"] != "system"]
    assert roles[-1] != "assistant"
    assert all(one != two for one, two in itertools.pairwise(roles) if one != "tool")
    for at, message in enumerate(found):
        ids = [call["id"] for call in message.get("tool_calls", ())]
        assert [one.get("tool_call_id") for one in found[at + 1 : at + 1 + len(ids)]] == ids
    assert sum(message["role"] == "tool" for message in found) == sum("call_id" in i for i in items if "name" in i)


# ── The forms of their answers ────────────────────────────────────────────────────────────────────────────────

SUNNY = [Text("Sunny."), Text("Bye!")]
OSLO = [Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})]


def calls(*parts: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(parts)})


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_weather", "arguments": arguments}, **more}


@pytest.mark.parametrize(
    ("stream", "pieces"),
    [
        pytest.param(
            [
                chunk({"role": "assistant", "content": None}),
                chunk({"content": "Sun"}),
                chunk({"content": "ny. Bye!"}),
                chunk({}, finish="stop", timings={"prompt_n": 35, "predicted_ms": 4.2}),
                chunk(None, usage={"completion_tokens": 4, "prompt_tokens": 35, "total_tokens": 39}),
                DONE,
            ],
            SUNNY,
            id="llama.cpp: a first chunk of the role alone, timings, a last one without choices",
        ),
        pytest.param(
            [
                b": OPENROUTER PROCESSING\r\n\r\n",
                *(chunk({"content": piece}).replace(b"\n\n", b"\r\n\r\n") for piece in ("Sunny.", " Bye!")),
                b"event: message\r\ndata:" + chunk({"content": ""}, finish="stop")[6:].replace(b"\n\n", b"\r\n\r\n"),
                b": ping - 2026-01-01 00:00:00+00:00\r\n\r\n",
                b"data:[DONE]\r\n\r\n",
            ],
            SUNNY,
            id="routers: comments to keep the line open, CRLF, no space after the colon",
        ),
        pytest.param(
            [chunk({"role": "assistant", "content": "Sunny. Bye!"}), chunk({"content": None}, finish="stop")],
            SUNNY,
            id="litellm and others: no end mark, only a reason",
        ),
        pytest.param(
            [
                chunk({"role": "assistant", "content": "", "reasoning_content": None}),
                chunk({"reasoning_content": "Let me look out. Hm."}),
                chunk({"reasoning": "Blue sky."}),
                chunk({"content": "Sunny. "}, logprobs=None),
                chunk({"content": "Bye!", "tool_calls": []}),
                chunk({"content": "", "tool_calls": None}, finish="stop"),
                DONE,
            ],
            SUNNY,
            id="vLLM: reasoning beside the answer, empty lists of calls",
        ),
        pytest.param(
            [chunk({"content": piece}) for piece in ("<thi", "nk>\nIs it? ", "Yes.\n</thin", "k>\n\nSunny. By", "e!")]
            + [chunk(None, usage={}), DONE],
            SUNNY,
            id="Ollama with a thinking model: thoughts inside the answer",
        ),
        pytest.param(
            [
                calls(call('{"city": "Oslo"}', id="call_1", index=0)),
                calls(call('{"city": "Rome"}', id="call_2", index=0)),
                chunk({"role": "assistant", "content": ""}, finish="tool_calls"),
                DONE,
            ],
            OSLO,
            id="Ollama: whole calls, all of them of index 0",
        ),
        pytest.param(
            [
                calls(call({"city": "Oslo"}), call({"city": "Rome"})),
                chunk({"content": ""}, finish="stop"),
                DONE,
            ],
            OSLO,
            id="Ollama of old: arguments as an object, no index",
        ),
        pytest.param(
            [
                calls(call("", id="call_1", index=0)),
                calls({"index": 0, "function": {"arguments": '{"ci'}}),
                calls({"index": 0, "id": None, "function": {"name": None, "arguments": 'ty": "Oslo"}'}}),
                calls(call("", id="call_2", index=1)),
                calls({"index": 1, "function": {"arguments": '{"city": "Rome"}'}}),
                chunk({}, finish="tool_calls"),
                DONE,
            ],
            OSLO,
            id="OpenAI, vLLM, llama.cpp: calls in pieces",
        ),
        pytest.param(
            [
                calls(call('{"city": ', id="call_1", index=0)),
                calls(call('"Oslo"}', id="call_1", index=0)),
                calls(call(None, id="call_2", index=1)),
                calls(call('{"city": "Rome"}', id="call_2", index=1)),
                chunk({}, finish="tool_calls"),
                DONE,
            ],
            OSLO,
            id="others: the name again with every piece",
        ),
        pytest.param(
            [chunk({"content": "Sunny."}), calls(call(None, index=0)), chunk({}, finish="tool_calls"), DONE],
            [Text("Sunny."), Call("get_weather", {})],
            id="words and a call without arguments",
        ),
    ],
)
def test_streams_are_read_as_they_come(chat: Chat, stream: list[bytes], pieces: list[Answer]) -> None:
    chat.answer(*stream)
    assert think(chat, typed("Weather?"), tools=[WEATHER]) == pieces
    chat.answer(b"".join(stream))  # all at once
    assert think(chat, typed("Weather?"), tools=[WEATHER]) == pieces
    text = b"".join(stream)
    chat.answer(*(text[at : at + 7] for at in range(0, len(text), 7)))  # cut anywhere
    assert think(chat, typed("Weather?"), tools=[WEATHER]) == pieces
    chat.chunked = False
    assert think(chat, typed("Weather?"), tools=[WEATHER]) == pieces


def test_a_server_that_does_not_stream_will_do(chat: Chat) -> None:
    chat.kind = "application/json"
    message = {"role": "assistant", "content": "All at once. Good.", "tool_calls": [call({"a": 1})]}
    chat.answer(json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode())
    assert think(chat) == [Text("All at once."), Text("Good."), Call("get_weather", {"a": 1})]


def test_the_first_sentence_does_not_wait_for_the_second(chat: Chat) -> None:
    chat.answer(chunk({"content": "First. "}), threading.Event())
    thoughts = Remote(chat.url, "small")(Request(items=[typed("Go")]))
    assert next(thoughts) == Text("First.")
    thoughts.close()
    assert chat.hung_up.wait(10)


# ── Sentences ─────────────────────────────────────────────────────────────────────────────────────────────────


def cut(text: str, *, aloud: bool, size: int = 3) -> list[str]:
    sentences = Sentences(aloud=aloud)
    found = [one for at in range(0, len(text), size) for one in sentences.feed(text[at : at + size])]
    return [*found, *sentences.rest()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Dr. Who paid 3.5 dollars. Really?", ["Dr. Who paid 3.5 dollars.", "Really?"]),
        ("你好。今天是晴天！再见", ["你好。", "今天是晴天！", "再见"]),
        ("¿Qué tal? Bien…", ["¿Qué tal?", "Bien…"]),
        ("# Cats\n\n- **Soft** and `warm`\n* see [here](http://x.y)\n", ["Cats", "Soft and warm", "see here"]),
        ("A *very* long 2 * 3 * 4 night.\n---\n```python\n", ["A very long 2 * 3 * 4 night."]),
        ("<think>Hm. Well.</think>Yes.", ["Yes."]),
        ("<think>It never ends. Ever.", []),
        ("1 <thin 2.", ["1 <thin 2."]),
    ],
)
def test_what_is_spoken_are_plain_sentences(text: str, said: list[str]) -> None:
    for size in (1, 3, 100):
        assert cut(text, aloud=True, size=size) == said


def test_what_is_read_keeps_its_lines_and_marks() -> None:
    text = "Two things:\n\n- **one**\n- two\n\n```\nif x:\n    return 1. \n```\nDone."
    joined = " ".join(cut(text, aloud=False))
    assert [line.strip(" ") for line in joined.split("\n")] == [line.strip(" ") for line in text.split("\n")]
    assert "\n    return 1." in joined.replace("\n     return", "\n    return")


@given(st.text(alphabet="ab1 .!?。\n*<>/think", max_size=200), st.integers(1, 20))
def test_no_letter_is_lost_or_doubled_however_it_comes(text: str, size: int) -> None:
    whole = cut(text, aloud=False, size=1000)
    if "<think>" not in text:
        assert "".join("".join(whole).split()) == "".join(text.split())
    assert "".join("".join(cut(text, aloud=False, size=size)).split()) == "".join("".join(whole).split())


# ── What goes wrong ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, {"error": {"message": "Wrong API key: sk-not-a-key-at-all"}}, KeyRefused, "Your key.*--brain"),
        (403, {"error": "model is gated"}, KeyRefused, "model is gated"),
        (404, {"error": {"message": 'model "small" not found', "code": None}}, ServerError, "knows no model 'small'"),
        (404, {"detail": "Not Found"}, ServerError, r"no such address: Not Found\."),
        (400, {"error": {"code": 400, "message": "request (4031 tokens) exceeds the available context size"}},
         ServerError, "answered 400: request .4031 tokens. exceeds"),
        (422, {"detail": [{"loc": ["body", "tools"], "msg": "bad"}]}, ServerError, '422:.*"msg": "bad"'),
        (400, {"object": "error", "message": "does not support tools", "code": 400}, ServerError, "not support tools"),
        (429, {"error": {"message": "Rate limit\n\nreached."}}, ServerError, "Rate limit reached. Wait a little"),
        (500, {"error": {"message": "image input is not supported"}}, ServerError, "image input is not supported"),
        (503, {"error": {"message": "Loading model"}}, ServerError, "It may still be loading"),
        (502, "<html>Bad Gateway</html>", ServerError, "502: <html>Bad Gateway"),
        (504, "", ServerError, "504: Gateway Timeout"),
        (500, None, ServerError, "500: null"),
    ],
)  # fmt: skip
def test_refusals_are_told_clearly(chat: Chat, status: int, body: Any, error: type[Exception], words: str) -> None:
    chat.status, chat.kind = status, "application/json"
    chat.answer(body.encode() if isinstance(body, str) else json.dumps(body).encode())
    with pytest.raises(error, match=words) as raised:
        list(Remote(chat.url, "small", key="sk-not-a-key-at-all")(Request()))
    assert "not-a-key" not in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    "failing",
    [
        b'data: {"error": {"message": "too long", "type": "server_error", "code": "500"}}\n\n',
        b'event: error\ndata: {"error": "too long"}\n\n',
        b'error: {"code": 500, "message": "too long", "type": "server_error"}\n\n',
        b'data: {"object": "error", "message": "too long", "code": 400}\n\n',
    ],
)
def test_an_error_in_the_stream_keeps_what_came_before(chat: Chat, failing: bytes) -> None:
    chat.answer(chunk({"content": "Half. "}), failing)
    thoughts = Remote(chat.url, "small")(Request())
    assert next(thoughts) == Text("Half.")
    with pytest.raises(ServerError, match=r"middle of its answer: too long\. Look"):
        next(thoughts)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("ends", ["cut", "reset"])
def test_a_stream_that_breaks_off_is_no_answer_that_has_ended(chat: Chat, chunked: bool, ends: str) -> None:
    chat.chunked, chat.ends = chunked, ends
    chat.answer(chunk({"content": "Half. And then"}))
    pieces: list[Answer] = []
    with pytest.raises(ConnectionFailed, match="broke off in the middle"):
        pieces.extend(Remote(chat.url, "small")(Request()))
    assert pieces in ([Text("Half.")], [])  # a reset may overtake the words


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ([b"data: <html>hello</html>\n\n"], "no chat completion: <html>"),
        ([b"<html>\n<body>hello</body></html>"], "no chat completion: <html><body>"),
        ([b'data: ["x"]\n\n'], "no chat completion"),
        (says(), r"without a word\. Ask again"),
        (says("<think>For ever", finish="length"), r"without a word \(it stopped for: length\)"),
        ([calls(call("{broken", index=0)), DONE], r"arguments that are no JSON: \{broken\. Try again"),
        ([calls(call('{"city": "Os', index=0)), chunk({}, finish="length"), DONE], "cut off at its longest answer"),
    ],
)
def test_what_is_no_answer_is_told(chat: Chat, stream: list[Any], words: str) -> None:
    chat.answer(*stream)
    with pytest.raises(ServerError, match=words):
        think(chat)


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_off_says_so(chat: Chat, finish: str, reason: Any) -> None:
    chat.answer(*says("All of this. And half of", finish=finish))
    assert think(chat) == [Text("All of this."), Text("And half of"), Cut(reason)]


def test_odd_things_in_a_stream_do_no_harm(chat: Chat) -> None:
    odd = [{"content": 5}, {"content": None, "tool_calls": ["x", {"function": None}]}]
    stream = [b'data: {"choices": [null]}\n\n', b'data: {"choices": [{"delta": null}]}\n\n', b"data: {}\n\n"]
    chat.answer(*stream, *(chunk(delta) for delta in odd), *says("Fine."))
    assert think(chat) == [Text("Fine.")]  # a call without a name is no call


def test_a_mind_that_is_silent_or_not_there_is_told(chat: Chat) -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot be reached.*--brain"):
        list(Remote("http://127.0.0.1:9/v1", "small")(Request()))
    for wrong in ("localhost:11434", "ftp://x/v1", "http://user:password@localhost/v1"):
        with pytest.raises(InputError, match="no http address"):
            Remote(wrong, "small")
    chat.answer(threading.Event())
    with pytest.raises(ConnectionFailed, match=r"not sent anything for 0\.1 s.*smaller model"):
        list(Remote(chat.url, "small", timeout_seconds=0.1)(Request()))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            one, _ = listening.accept()
            one.recv(10_000)
            one.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(ConnectionFailed, match="hung up without an answer"):
            list(Remote(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", "small")(Request()))
        thread.join()


# ── A whole talk through the practice server ──────────────────────────────────────────────────────────────────


@pytest.fixture
def practice(chat: Chat) -> Iterator[server.Practice]:
    with server.start(engines=replace(canned(), respond=Remote(chat.url, "small")), pace=0) as running:
        yield running


def talk(practice: server.Practice, **session: Any) -> Any:
    return rtnb.connect(url=practice.url, key="practice", model=MINI, **session)


def test_the_first_sound_is_there_before_the_mind_has_finished(chat: Chat, practice: server.Practice) -> None:
    heard = threading.Event()
    chat.answer(chunk({"content": "This comes first. "}), heard, *says("And this comes last."))

    async def run() -> Any:
        async with talk(practice) as session:
            reply = session.ask("Go on.")
            async for event in session.events():
                if event["type"] == "response.output_audio.delta":
                    break
            heard.set()  # only now is there a second sentence
            return await reply

    reply = asyncio.run(run())
    assert reply.text == "This comes first. And this comes last."
    assert reply.audio.seconds > 1


def test_a_question_is_answered_with_its_history_its_tools_and_its_pictures(
    chat: Chat, practice: server.Practice
) -> None:
    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: Which one.
        """
        return f"It rains in {city}."

    chat.answers = [
        [chunk({"role": "assistant", "content": None}), calls(call('{"city": "Oslo"}', id="c", index=0)),
         chunk({}, finish="tool_calls"), DONE],
        says("It rains, ", "they say. Take a coat."),
        says("四月的", "挪威。很冷！"),
    ]  # fmt: skip
    picture = base64.b64decode(PICTURE.partition(",")[2])
    with talk(practice, tools=[get_weather], instructions="You are a guide.") as session:
        assert session.ask("Do I need a coat in Oslo?").wait().text == "It rains, they say. Take a coat."
        second = session.ask(rtnb.Image(picture, "png"), "用中文说这是什么。").wait()
    assert second.text.replace(" ", "") == "四月的挪威。很冷！"
    first, after, last = (asked["messages"] for asked in chat.asked)
    assert [message["role"] for message in first] == ["system", "user"]
    assert first[0]["content"].startswith("You are a guide.")
    assert chat.asked[0]["tools"][0]["function"]["name"] == "get_weather"
    assert [message["role"] for message in after[2:]] == ["assistant", "tool"]
    assert after[3]["content"] == "It rains in Oslo."
    assert after[2]["tool_calls"][0]["id"] == after[3]["tool_call_id"]
    assert [message["role"] for message in last[4:]] == ["assistant", "user"]
    assert [part["type"] for part in last[-1]["content"]] == ["image_url", "text"]
    assert last[-1]["content"][0]["image_url"]["url"] == PICTURE


def test_cancelling_hangs_up_on_the_mind_at_any_moment(chat: Chat, practice: server.Practice) -> None:
    for begun in ([chunk({"content": "Once upon a time. "})], []):  # in the middle, and before the first word
        chat.hung_up.clear()
        chat.answer(*begun, threading.Event())
        with talk(practice) as session:
            reply = session.ask("A story!")
            assert chat.questions.acquire(timeout=10)
            reply.cancel()
            assert reply.wait().status == "cancelled"
            assert chat.hung_up.wait(10)
            chat.answer(*says("Another."))
            assert session.ask("And now?").wait().text == "Another."
            assert chat.questions.acquire(timeout=10)


def test_a_session_that_ends_and_a_server_that_ends_hang_up_too(chat: Chat, practice: server.Practice) -> None:
    chat.answer(threading.Event())
    with talk(practice) as session:
        session.ask("A story!")
        assert chat.questions.acquire(timeout=10)
    assert chat.hung_up.wait(10)
    chat.hung_up.clear()
    with talk(practice) as session:
        session.ask("A story!")
        assert chat.questions.acquire(timeout=10)
        began = time.monotonic()
        practice.close()
        assert time.monotonic() - began < 30
        assert chat.hung_up.wait(10)


@pytest.mark.parametrize("begun", [True, False])
def test_a_mind_that_goes_away_fails_the_response_in_a_helpful_sentence(
    chat: Chat, practice: server.Practice, begun: bool
) -> None:
    chat.ends = "cut"
    chat.answer(*([chunk({"content": "One. Two"})] if begun else [b": hello\n\n"]))
    with talk(practice) as session:
        with pytest.raises(ResponseFailed, match="broke off") as failed:
            session.ask("Count.").wait()
        assert failed.value.reply.text == ("One." if begun else "")
        chat.ends = "well"
        chat.answer(*says("One. Two."))
        assert session.ask("Count.").wait().text == "One. Two."
        chat.close()
        with pytest.raises(ResponseFailed, match="cannot be reached"):
            session.ask("Count.").wait()


def test_minds_that_are_slow_keep_nobody_else_waiting(chat: Chat, practice: server.Practice) -> None:
    """More slow answers than there are threads to hear and speak with, and somebody beside them who gets one."""
    slow = threading.Event()
    chat.choose = lambda asked: [slow, *says("At last.")] if "slow" in str(asked["messages"]) else says("At once.")
    with talk(practice) as one, talk(practice) as other:
        waiting = [one.side("Be slow.") for _ in range(12)]
        for _ in waiting:
            assert chat.questions.acquire(timeout=10)
        assert other.ask("Be quick.").wait().text == "At once."
        slow.set()
        assert {reply.wait().text for reply in waiting} == {"At last."}


def test_the_installed_voice_speaks_what_a_mind_says(chat: Chat) -> None:
    if not tts.engine():
        pytest.skip("no voice is installed (extra: practice)")
    chat.answer(*says("The answer is ", "forty two. ", "答案是四十二。"))
    with (
        server.start(brain=chat.url, brain_model="small", brain_key="sk-not-a-key-at-all", pace=0) as practice,
        talk(practice) as session,
    ):
        reply = session.ask("What is the answer?").wait()
    assert reply.text == "The answer is forty two. 答案是四十二。"
    assert reply.audio.seconds > 2
    assert chat.headers[0]["Authorization"] == "Bearer sk-not-a-key-at-all"
