"""Requests for tools as people say them: clean arguments, no call where none is asked for, and no false number."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rtnb.server.languages import together
from rtnb.server.nlu.names import last_name, places
from rtnb.server.nlu.numbers import numbers
from rtnb.server.responder.responder import Call, Request, Text, think


def tool(name: str, description: str, required: list[str], /, **properties: Any) -> dict[str, Any]:
    schemas = {key: {"type": kind} if isinstance(kind, str) else kind for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schemas, "required": required}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def described(description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


WEATHER = tool("get_weather", "Get the current weather for a city", ["city"], city="string")
FORECAST = tool("weather_forecast", "", ["location"], location=described("Where"), date="string")
WEATHER_ZH = tool("query_weather", "查询某个城市的天气", ["city"], city=described("城市名"), date=described("日期"))
PLACE_ZH = tool("get_weather", "查询天气", ["place"], place=described("地点"))
ORDER = tool("place_order", "Place a food order", ["item", "quantity"], item="string", quantity="integer")
DRINK = tool(
    "order_drink",
    "点一杯饮料",
    ["drink", "size"],
    drink=described("饮料名称"),
    size={"type": "string", "enum": ["大杯", "中杯", "小杯"]},
    count=described("数量", "integer"),
)
TIMER = tool("set_timer", "Start a countdown timer", ["minutes"], minutes="number", label="string")
LIGHT = tool("switch_light", "Turn a light on or off in a room", ["room", "on"], room="string", on="boolean")
PIZZA = tool(
    "order_pizza",
    "Order a pizza",
    ["size", "topping"],
    size={"type": "string", "enum": ["small", "medium", "large"]},
    topping="string",
    quantity="integer",
)
CALL = tool("call_contact", "Call a contact on the phone", ["contact"], contact="string")
MESSAGE = tool("send_message", "Send a text message", ["to", "text"], to=described("Recipient"), text="string")
REMIND = tool("create_reminder", "Create a reminder", ["text"], text="string", time="string")
REMIND_ZH = tool(
    "create_reminder", "创建提醒", ["content", "time"], content=described("提醒内容"), time=described("时间")
)
MONEY = tool(
    "convert_currency",
    "Convert money",
    ["amount", "from_currency", "to_currency"],
    amount="number",
    from_currency="string",
    to_currency="string",
)
TAXI = tool("book_taxi", "叫出租车", ["destination"], destination=described("目的地"))
ALARM = tool("set_alarm", "设置闹钟", ["time"], time=described("时间，HH:MM"))
TABLE = tool("book_table", "预订餐桌", ["time", "guests"], time=described("时间"), guests=described("人数", "integer"))


def message(text: str, role: str = "user") -> dict[str, Any]:
    kind = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def calls(tools: list[dict[str, Any]], *texts: str) -> list[dict[str, Any]]:
    """Return the arguments of the calls that the last of the user's words bring, answered in between."""
    items = [item for text in texts for item in (message(text), message("…", "assistant"))][:-1]
    return [piece.arguments for piece in think(Request(items=items, tools=tools)) if isinstance(piece, Call)]


def say(text: str, *before: str, tools: list[dict[str, Any]] | None = None) -> str:
    items = [message("…", "assistant")]
    items += [item for one in before for item in (message(one), message(say(one, tools=tools), "assistant"))]
    pieces = think(Request(items=[*items, message(text)], tools=tools or []))
    return together(piece.text for piece in pieces if isinstance(piece, Text))


@pytest.mark.parametrize(
    ("definition", "words", "arguments"),
    [
        (WEATHER, "is it going to rain in dublin", {"city": "Dublin"}),
        (WEATHER, "is it going to snow in oslo", {"city": "Oslo"}),
        (WEATHER, "going to be hot in Madrid tomorrow?", {"city": "Madrid"}),
        (WEATHER, "do i need an umbrella in leeds", {"city": "Leeds"}),
        (FORECAST, "how cold is it in new york today", {"location": "New York", "date": "today"}),
        (WEATHER_ZH, "北京天气怎么样", {"city": "北京"}),
        (WEATHER, "今天上海的天气如何", {"city": "上海"}),
        (WEATHER_ZH, "明天去深圳要带伞吗", {"city": "深圳", "date": "明天"}),
        (PLACE_ZH, "明天去深圳要带伞吗？", {"place": "深圳"}),
        (FORECAST, "上海明天会下雨吗", {"location": "上海", "date": "明天"}),
        (WEATHER, "广州今天多少度？", {"city": "广州"}),
        (WEATHER, "帮我查一下奥斯陆的天气", {"city": "奥斯陆"}),
        (WEATHER, "请问呼和浩特现在冷不冷", {"city": "呼和浩特"}),
        (ORDER, "can i get three veggie burgers", {"item": "veggie burger", "quantity": 3}),
        (ORDER, "may I have ten spring rolls please", {"item": "spring roll", "quantity": 10}),
        (DRINK, "给我妈来一杯大杯豆浆", {"drink": "豆浆", "size": "大杯", "count": 1}),
        (REMIND, "remind me in ten minutes to check the oven", {"text": "check the oven", "time": "in ten minutes"}),
        (REMIND_ZH, "半小时后提醒我关火", {"content": "关火", "time": "半小时后"}),
        (MESSAGE, "send John a message that I am late", {"to": "John", "text": "I am late"}),
        (DRINK, "给我两杯大杯红茶", {"drink": "红茶", "size": "大杯", "count": 2}),
        (ORDER, "Let me have six oysters", {"item": "oyster", "quantity": 6}),
        (REMIND, "remind me to buy milk tomorrow at nine", {"text": "buy milk", "time": "nine"}),
        (MESSAGE, "tell Lucy that dinner is ready", {"to": "Lucy", "text": "dinner is ready"}),
        (WEATHER, "福州最近天气怎么样", {"city": "福州"}),
        (WEATHER, "我老家在徐州，那边冷吗", {"city": "徐州"}),
        (ORDER, "two coffees please", {"item": "coffee", "quantity": 2}),
        (ORDER, "I'll have four croissants.", {"item": "croissant", "quantity": 4}),
        (ORDER, "I'd like a cup of green tea, please", {"item": "green tea", "quantity": 1}),
        (DRINK, "来一杯大杯拿铁", {"drink": "拿铁", "size": "大杯", "count": 1}),
        (DRINK, "我要一杯大杯的美式", {"drink": "美式", "size": "大杯", "count": 1}),
        (DRINK, "给我来两杯小杯奶茶，谢谢", {"drink": "奶茶", "size": "小杯", "count": 2}),
        (TIMER, "set a timer for seven and a half minutes", {"minutes": 7.5}),
        (TIMER, "set a timer for half an hour", {"minutes": 30}),
        (TIMER, "start a timer for three quarters of an hour", {"minutes": 45}),
        (ORDER, "can you get me one bottle of sparkling water", {"item": "sparkling water", "quantity": 1}),
        (TIMER, "set a timer for an hour and a half", {"minutes": 90}),
        (TIMER, "Time me for ninety seconds", {"minutes": 1.5}),
        (PIZZA, "two small pizzas with extra cheese please", {"size": "small", "topping": "cheese", "quantity": 2}),
        (CALL, "call mom", {"contact": "mom"}),
        (MESSAGE, "text Anna that I'm running late", {"to": "Anna", "text": "I'm running late"}),
        (REMIND, "remind me to water the plants at 6 pm", {"text": "water the plants", "time": "6 pm"}),
        (REMIND_ZH, "提醒我明天下午三点开会", {"content": "开会", "time": "15:00"}),
        (MONEY, "convert 250 dollars to euros", {"amount": 250, "from_currency": "USD", "to_currency": "EUR"}),
        (TAXI, "叫一辆出租车去机场", {"destination": "机场"}),
        (LIGHT, "Turn off the bedroom light.", {"room": "bedroom", "on": False}),
        (ALARM, "明天早上六点半叫我起床", {"time": "06:30"}),
        (ALARM, "定一个下午三点的闹钟", {"time": "15:00"}),
        (TABLE, "book a table for 2 at 6", {"time": "6", "guests": 2}),
        (TABLE, "19 点订一张 4 人桌", {"time": "19:00", "guests": 4}),
        (TABLE, "订一个明天晚上七点三个人的位子", {"time": "19:00", "guests": 3}),
    ],
)
def test_an_argument_holds_its_value_and_nothing_else(definition: Any, words: str, arguments: Any) -> None:
    assert calls([definition], words) == [arguments]


@pytest.mark.parametrize(
    "words",
    [
        "Under the weather today. Do you have any advice?",
        "I'm feeling a bit under the weather.",
        "I will weather the storm in Boston.",
        "how do timers work",
        "What is a timer?",
        "do you like coffee",
        "stop the timer",
        "I already ordered two pizzas.",
        "that reminds me of my grandmother",
        "why is the light on in the hall",
        "call me at seven",
        "取消七点的闹钟",
        "The lights in the office are on.",
        "I love rainy days in Paris.",
        "What is the speed of light?",
        "Who should I call?",
        "You can't control the weather.",
        "The room is light and airy.",
        "谢谢你的天气预报",
        "天气热死了怎么办",
        "I'd like a word with the manager.",
        "天气不好我心情也不好",
        "灯笼真好看",
        "I'm reading a book at the table.",
        "Is the weather a good topic for small talk?",
        "Never mind the weather.",
        "灯泡是谁发明的",
        "有没有靠窗的桌子",
        "天气好的话我们去公园",
        "闹钟响了吗",
        "灯为什么会亮",
        "天气预报准吗",
        "The light in the hall is really pretty.",
        "Don't set a timer, just tell me how long pasta takes.",
        "don't turn on the light in the kitchen",
        "please do not order two coffees",
        "天气预报是怎么做出来的",
        "今天天气真好，我们去哪儿玩好呢？",
        "天气这么好，真想出去走走",
        "不要开灯",
        "别查北京的天气了",
        "不用定七点的闹钟了",
        "你喜欢喝大杯拿铁吗",
    ],
)
def test_a_mention_an_idiom_or_a_refusal_calls_nothing_and_asks_for_nothing(words: str) -> None:
    tools = [WEATHER, TIMER, LIGHT, ORDER, WEATHER_ZH, ALARM, DRINK, REMIND, CALL, TABLE]
    for some in (tools, *([one] for one in tools)):
        assert calls(some, words) == []
        answer = say(words, tools=some)
        assert not answer.startswith("Which ")
        assert not answer.startswith("请告诉我")


@pytest.mark.parametrize(
    ("definition", "turns", "arguments"),
    [
        (ORDER, ["I'd like some lasagne.", "For two. Actually, make it three."], {"item": "lasagne", "quantity": 3}),
        (ORDER, ["I'd like some rice", "two portions"], {"item": "rice", "quantity": 2}),
        (ORDER, ["two coffees please", "Actually, make it three"], {"item": "coffee", "quantity": 3}),
        (DRINK, ["我要两杯美式。", "中杯的，谢谢。"], {"drink": "美式", "size": "中杯", "count": 2}),
        (WEATHER, ["What's the weather in Oslo?", "and in Bergen?"], {"city": "Bergen"}),
        (WEATHER_ZH, ["杭州天气怎么样", "那苏州呢"], {"city": "苏州"}),
        (WEATHER_ZH, ["明天杭州天气怎么样", "那苏州呢？"], {"city": "苏州", "date": "明天"}),
        (WEATHER_ZH, ["洛阳这周末天气", "开封呢"], {"city": "开封", "date": "这周末"}),
        (WEATHER_ZH, ["武汉会不会下雪", "长沙呢"], {"city": "长沙"}),
        (WEATHER_ZH, ["帮我查一下天气", "西安的"], {"city": "西安"}),
        (TABLE, ["订一张桌子", "晚上七点", "四个人"], {"time": "19:00", "guests": 4}),
    ],
)
def test_the_next_words_add_to_the_call_or_change_it(definition: Any, turns: list[str], arguments: Any) -> None:
    assert calls([definition], *turns) == [arguments]


def test_each_order_of_one_request_is_a_call() -> None:
    assert calls([DRINK], "两杯大杯红茶，再来一杯小杯绿茶") == [
        {"drink": "红茶", "size": "大杯", "count": 2},
        {"drink": "绿茶", "size": "小杯", "count": 1},
    ]
    assert calls([LIGHT], "Turn off the light in the kitchen and turn on the light in the bedroom") == [
        {"room": "kitchen", "on": False},
        {"room": "bedroom", "on": True},
    ]
    assert calls([ORDER], "two coffees and three teas please") == [], "two amounts in one breath are asked for again"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("Don't call anybody, please.", "All right, I will not."),
        ("Never turn on the light without asking me.", "All right, I will not."),
        ("don't tell me a joke", "All right, I will not."),
        ("不要开灯，谢谢", "好的，那我就不做了。"),
        ("别给我讲故事了", "好的，那我就不做了。"),
    ],
)
def test_what_is_refused_is_acknowledged(words: str, answer: str) -> None:
    assert say(words, tools=[CALL, LIGHT]) == answer
    assert say(words) == answer


def test_what_is_no_value_of_a_parameter_is_asked_for() -> None:
    for words, definition in (
        ("帮我预订二十号晚上六点的桌子，两大一小", TABLE),
        ("我要打车", TAXI),
        ("换一杯小杯的", DRINK),
        ("set a timer", TIMER),
        ("开灯", LIGHT),
    ):
        assert calls([definition], words) == []


def test_a_value_of_one_character_is_found_inside_a_chinese_word() -> None:
    state = {"type": "string", "enum": ["开", "关"]}
    lamp = tool("control_light", "打开或关闭房间的灯", ["room", "state"], room=described("房间"), state=state)
    assert calls([lamp], "帮我把卧室的灯打开") == [{"room": "卧室", "state": "开"}]
    assert calls([lamp], "关掉客厅的灯") == [{"room": "客厅", "state": "关"}]


def test_two_places_in_chinese_are_two_calls() -> None:
    assert calls([WEATHER], "奥斯陆和卑尔根的天气怎么样") == [{"city": "奥斯陆"}, {"city": "卑尔根"}]
    assert places("呼和浩特天气怎么样") == ["呼和浩特"]


def test_what_is_missing_is_asked_for_in_the_language_of_the_question() -> None:
    assert say("帮我查一下天气", tools=[WEATHER]) == "请告诉我：城市。"
    assert say("我要两杯美式", tools=[DRINK]) == "请告诉我：大小。"
    assert say("What's the weather?", tools=[WEATHER]) == "Which city, please?"


def told(words: str, output: str) -> str:
    call = {"type": "function_call", "call_id": "c", "name": "query_weather", "arguments": '{"city": "西安"}'}
    result = {"type": "function_call_output", "call_id": "c", "output": output}
    pieces = think(Request(items=[message(words), call, result], tools=[WEATHER_ZH]))
    return together(piece.text for piece in pieces if isinstance(piece, Text))


def test_a_result_is_read_out_in_the_language_of_the_question() -> None:
    assert told("西安天气怎么样", '{"city": "西安", "weather": "晴", "temperature_c": 22}') == (
        "天气的结果：城市西安、天气晴、温度22摄氏度。"
    )
    assert told("西安天气怎么样", '{"ok": true}') == "已经办好了。"
    assert told("What is the weather in Xi'an?", '{"ok": true}') == "That is done."
    assert told("西安天气怎么样", '{"error": "没有这个城市"}') == "天气失败了：没有这个城市。"


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("convert 5 feet 11 inches to centimetres", "180.34"),
        ("What is 5 foot 11 in centimetres?", "180.34"),
        ("Convert 6 pounds 4 ounces to kilograms.", "2.835"),
        ("What's 2 hours and 30 minutes in seconds?", "9000"),
        ("how many grams are in half a kilo", "500"),
        ("How many minutes are in two and a half hours?", "150"),
        ("一斤半等于多少克", "750"),
        ("how many grams is two and a quarter pounds", "1020.6"),
        ("How many seconds are in an hour and a quarter?", "4500"),
        ("What is 5 ft 11 in cm?", "180.34"),
        ("minus forty celsius in fahrenheit", "-40"),
        ("3公里200米是多少米", "3200"),
        ("五分之二加五分之一等于多少", "0.6"),
        ("两斤半是多少克", "1250"),
        ("三公里半是多少米", "3500"),
        ("一米八是多少厘米", "180"),
        ("一米七五是多少厘米", "175"),
        ("半公斤是多少克", "500"),
        ("一个半小时是多少分钟", "90"),
        ("两小时三十分钟是多少分钟", "150"),
        ("华氏一百度是多少摄氏度", "37.7778"),
        ("摄氏三十七度是多少华氏度", "98.6"),
        ("100华氏度是多少摄氏度", "37.7778"),
        ("How far is the moon from the Earth in miles?", "miles"),
    ],
)
def test_a_quantity_is_converted_whole(question: str, number: str) -> None:
    assert number in say(question)


@pytest.mark.parametrize(
    "question",
    ["What is 3 kilometres 4 in miles?", "两斤三两是多少克", "两个小时一刻钟是多少分钟", "half of half of 100"],
)
def test_a_quantity_that_is_not_understood_whole_is_not_converted(question: str) -> None:
    assert not re.search(r"\d", say(question))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seven and a half minutes", [7.5]),
        ("two and a half", [2.5]),
        ("一个半小时", [1.5]),
        ("七分半钟", [7.5]),
        ("half an hour", [0.5]),
        ("半小时", [0.5]),
    ],
)
def test_halves_are_numbers(text: str, values: list[float]) -> None:
    assert [one.value for one in numbers(text)] == values


@pytest.mark.parametrize(
    "words",
    [
        "call me at seven",
        "call me at seven tomorrow",
        "Call me back later",
        "明天早上六点半叫我起床",
        "七点叫我",
        "明天叫我妈妈来",
        "到时候叫我一声",
        "我叫了外卖",
    ],
)
def test_to_be_called_is_not_always_to_be_named(words: str) -> None:
    assert last_name([words]) is None
    assert "Nice to meet you" not in say(words)
    assert "很高兴认识你" not in say(words)


@pytest.mark.parametrize(
    ("words", "name"),
    [("call me Ishmael", "Ishmael"), ("叫我小王就行", "小王"), ("你可以叫我安娜", "安娜"), ("我叫李雷", "李雷")],
)
def test_names_are_still_taken(words: str, name: str) -> None:
    assert last_name([words]) == name


@pytest.mark.parametrize(
    ("turns", "result"),
    [
        (["what is 10 plus 5", "times two"], "30"),
        (["How much is 12 times 12?", "Now halve it."], "72"),
        (["How much is 12 times 12?", "Now halve it.", "And add six."], "78"),
        (["25加17等于多少", "再减去10", "乘以2呢"], "64"),
        (["十加五", "再乘以二"], "30"),
    ],
)
def test_a_sum_goes_on(turns: list[str], result: str) -> None:
    *before, last = turns
    items = [message("…", "assistant")]
    for one in before:
        pieces = [piece.text for piece in think(Request(items=[*items, message(one)])) if isinstance(piece, Text)]
        items += [message(one), message(together(pieces), "assistant")]
    pieces = [piece.text for piece in think(Request(items=[*items, message(last)])) if isinstance(piece, Text)]
    assert result in together(pieces)
