"""Requests to the responder: whole words where words are asked for, requests in instructions, languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from practice_harness import Harness

import rtnb
from rtnb.audio import samples
from rtnb.server import languages
from rtnb.server.engines import asr
from rtnb.server.languages import together
from rtnb.server.nlu import text_extraction
from rtnb.server.protocol import settings
from rtnb.server.protocol.effects import Respond
from rtnb.server.responder import answers, responder
from rtnb.server.responder.responder import Call, Request, Text

DEFAULT = settings.defaults("realtime", session_id="s", expires_at=0, model=settings.MODELS["gpt-realtime"])[
    "instructions"
]
TALK = (
    "Good morning, everybody. Our town garden will open again on Monday. We need six people to plant apple trees, and"
    " two people to repair the water pipe. Please bring gloves and a warm jacket, because the morning will be cold."
    " Children are welcome after lunch. At four o'clock we will make soup together, and the soup is free for everyone"
    " who helped."
)


def typed(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def spoken(transcript: str, request: str = "") -> dict[str, Any]:
    asked = [{"type": "input_text", "text": request}] if request else []
    content = [*asked, {"type": "input_audio", "transcript": transcript}]
    return {"type": "message", "role": "user", "content": content}


def answered(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": text}]}


def say(*items: dict[str, Any], instructions: str = DEFAULT, **more: Any) -> str:
    request = Request(instructions, items=items, **more)
    return together(piece.text for piece in responder.think(request) if isinstance(piece, Text))


def calls(*items: dict[str, Any], **more: Any) -> list[tuple[str, dict[str, Any]]]:
    pieces = responder.think(Request(items=items, **more))
    return [(piece.name, piece.arguments) for piece in pieces if isinstance(piece, Call)]


# ── Words that are asked for come whole ──

VERBATIM = [
    "Repeat it word by word",
    "Transcribe this",
    "Transcribe the recording, please.",
    "Give me the transcript.",
    "What was said?",
    "What exactly was said in the recording?",
    "What's being said here?",
    "What did they say?",
    "What did the speaker say?",
    "What is she saying?",
    "What did I say in this recording?",
    "Tell me word for word what they said",
    "Tell me what you heard.",
    "Write down every word.",
    "Write it out.",
    "Type out what you hear.",
    "Read it back to me.",
    "Read back what you heard.",
    "Say it again word for word.",
    "Say back what I said.",
    "Please repeat everything.",
    "Echo this.",
    "Quote the recording in full.",
    "Can you give me the exact words?",
    "Let me have the full text.",
    "Convert this audio to text",
    "Put this into writing.",
    "Verbatim, please.",
    "Speech to text, please.",
    "What's in this recording?",
    "这段录音里说了什么？",
    "他说了什么？",
    "她在说什么？",
    "你听到了什么？",
    "这段话说的是什么？",
    "录音的内容是什么？",
    "转写这段录音",
    "把语音转成文字",
    "给我文字稿",
    "逐字写下来",
    "把录音里的话写出来",
    "一字不差地重复一遍",
    "把每一句话都重复一遍",
    "请完整地重复",
    "请逐句重复",
    "请复述录音",
    "照着念一遍",
    "原话是什么？",
    "写出全文",
    "听写",
]


@pytest.mark.parametrize("instructions", [DEFAULT, "", "Be brief. Answer in one sentence.", "回答要简短。"])
@pytest.mark.parametrize("request_", VERBATIM)
def test_words_that_are_asked_for_come_whole(request_: str, instructions: str) -> None:
    assert TALK in say(spoken(TALK, request_), instructions=instructions)
    if "again" not in request_ and " I " not in request_:  # these ask for the answer, or for the question before
        later = say(spoken(TALK, "Summarize this"), answered("In short."), typed(request_), instructions=instructions)
        assert TALK in later


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("Repeat the first ten words", "Good morning, everybody. Our town garden will open again on."),
        ("Read me the first two sentences.", "Good morning, everybody. Our town garden will open again on Monday."),
        ("Transcribe the first three words", "Good morning, everybody."),
        ("Repeat the last two sentences", TALK[TALK.index("Children") :]),
        ("Transcribe this in at most ten words", "Good morning, everybody. Our town garden will open again on."),
        ("Repeat it in one sentence.", "Good morning, everybody."),
        ("复述第一句话", "Good morning, everybody."),
        ("重复最后两句", TALK[TALK.index("Children") :]),
        ("转写前三个词", "Good morning, everybody."),
    ],
)
def test_the_user_may_ask_for_less(request_: str, answer: str) -> None:
    assert say(spoken(TALK, request_)) == answer


@pytest.mark.parametrize(
    "text",
    [
        "I wrote it down yesterday.",
        "We paid in full.",
        "I like films with subtitles.",
        "I read the full text of the book.",
        "My teacher told me to write out my name.",
        "我把它写下来了。",
        "他说什么都不重要。",
    ],
)
def test_what_only_sounds_like_a_request_is_none(text: str) -> None:
    said = say(spoken("Hello."), answered("Hello."), spoken(text))
    assert text in said or said == "Hello."
    assert text in say(spoken(text))


def test_what_a_client_has_set_still_limits_what_is_not_verbatim() -> None:
    whole = say(spoken(TALK, "Summarize this"), answered("."), spoken(TALK, "Summarize this"))
    short = say(spoken(TALK, "Summarize this"), instructions="Answer in one sentence.")
    assert len(text_extraction.sentences(short)) == 2, "it says once who it is"
    assert len(text_extraction.sentences(whole)) > 1
    assert len(say(spoken(TALK, "Summarize this in three words")).split()) == 3
    assert say(spoken(TALK, "What did they say about the soup?")).count(".") == 2, "a question about a part of it"


@pytest.mark.parametrize(
    ("request_", "count"),
    [
        ("How many sentences?", "6 sentences"),
        ("Count the sentences.", "6 sentences"),
        ("How many words?", "62 words"),
        ("一共有几句话？", "6句话"),
        ("有多少个单词？", "62个词"),
    ],
)
@pytest.mark.parametrize("instructions", [DEFAULT, "Answer in one sentence."])
def test_all_of_it_is_counted(request_: str, count: str, instructions: str) -> None:
    commas = TALK.replace("everybody. Our", "everybody, our").replace("cold. Children", "cold, children")
    commas = commas.replace("lunch. At", "lunch, at")
    for heard in (TALK, commas):  # small recognisers write commas where a sentence ends
        said = say(spoken("Hello."), answered("Hello."), spoken(heard, request_), instructions=instructions)
        assert count in said


@pytest.mark.parametrize(
    ("heard", "count"),
    [
        ("Hello, I think my bicycle is broken, can you help me?", 3),
        ("Of course, what is wrong with it.", 2),
        ("The front wheel is loose, and the brakes are very weak.", 1),
        ("If it rains, we will stay at home.", 1),
        ("I like apples, pears, and plums, please.", 1),
        ("今天很冷，我们去公园。明天见。", 2),
    ],
)
def test_a_comma_of_the_recogniser_may_end_a_sentence(heard: str, count: int) -> None:
    assert len(answers.spoken_sentences(heard)) == count


# ── The language is the user's ──

ENGLISH = (
    """
Book a table|Order a pizza|Call a taxi|No idea|Roll a die|Roll a die again|Play a song|Set a timer|Take a note
Send a message|Read a book|Pick a card|Tell a joke|Write a poem|Toss a coin|Draw a cat|Open a window|Close a door
Make a list|Rent a car|Find a hotel|Book a room|Sing a song|Name a city|Name a colour|Give a hint|Start a game
No|No problem|No way|No more|No, no|No thanks|Not me|So do I|Come in|Come on|Come here|Go on|Again|Once more
Raise a hand|Work in pairs|Page ten|Chapter two|A coffee|A tea, please|Two tickets to Rome|A ticket to Oslo
Take care|Mail a letter|Call a doctor|Order a large pizza|Die hard|Die laughing|Per person|Per hour|Pro or con
Am I late|Con man|A dog and a cat|Van|Den|Bring a pen|Send a van|Met a man|Met Tom|Man in a van|Op art|Um|Er
Plan a trip|Plan a party|Form a line|Form a sentence|Use a verb|Pick a number|Guess a number|Try a new one
Dance a tango|Do a dance|Do a test|Do a quiz|Make a quiz|Do a sum|Solve a puzzle|Draw a map|Find a park
Track a parcel|Check out a book|Print a page|Fix a bug|Run a test|No entry|No exit|No smoking|No food
No school today|No rain today|A taco|Los Angeles|El Paso|Las Vegas|Las Vegas weather|San Jose|Buenos Aires
La La Land|Le Mans|De facto|A la carte|Et cetera|Via email|Mi casa|Was Anna late|Was Rome big|Data on Rome
Warm up|Wind in winter|Film noir|Hand me a pen|Bring bread|Gift card|Super|Perfect|Menu, please|Pasta salad
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("text", ENGLISH)
def test_short_english_is_answered_in_english(text: str) -> None:
    for mark in (".", "!", "?", ""):
        assert languages.guess(text + mark) == "en"
    assert re.match("I am the practice voice|You said|I cannot", say(typed(text + "."), instructions=""))
    heard = say(spoken(text + "."), instructions="你是一位友好的助手。")
    assert re.match("I am the practice voice|I heard", heard), "English was heard"


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("fr", "Merci beaucoup.|Où est la gare ?|Quelle heure est-il ?|Je ne sais pas.|Un café, s'il vous plaît."),
        ("fr", "Je suis fatigué.|À demain.|Combien ça coûte ?|D'accord.|Il fait beau aujourd'hui."),
        ("es", "Hola.|No sé.|Un café, por favor.|¿Qué hora es?|Me llamo Ana.|No entiendo.|Otra vez, por favor."),
        ("de", "Danke.|Wo ist der Bahnhof?|Ich weiß nicht.|Kein Problem.|Keine Ahnung.|Was kostet das?|Wie geht's?"),
        ("it", "Ciao.|Dov'è la stazione?|Un caffè, per favore.|Che ore sono?|Non capisco.|Quanto costa?|Come stai?"),
        ("pt", "Olá.|Onde fica a estação?|Não sei.|Um café, por favor.|Bom dia.|Quero uma pizza.|Tudo bem?"),
        ("zh", "不。|好的。|订一张桌子。|OK，谢谢。"),
        ("ja", "いいえ。|ありがとう。"),
    ],
)
def test_short_sentences_of_other_languages_are_theirs(language: str, texts: str) -> None:
    assert [languages.guess(text) for text in texts.split("|")] == [language] * len(texts.split("|"))


@pytest.mark.parametrize("short", ["No.", "OK.", "Oslo.", "42", "Pizza."])
def test_a_short_word_is_of_the_language_so_far(short: str) -> None:
    spanish = [typed("¿Puedes ayudarme con una cosa, por favor?"), answered("Te he oído, pero no lo sé.")]
    chinese = [typed("你好"), answered("你好！我听到：“Good morning, everybody, it is a fine day.”")]
    assert "Dijiste" in say(*spanish, typed(short))
    assert languages.guess(say(*chinese, typed(short))) == "zh"
    assert languages.guess(say(typed("Hello there."), answered("Hello!"), typed(short))) == "en"
    assert "Dijiste" in say(answered("Hola, ¿qué quieres hacer hoy?"), typed(short)), "the answer before tells"
    assert "Vous avez dit" in say(answered("42"), typed(short), prompt_language="fr")
    assert "You said" in say(answered("42"), typed("My dear old friend is here."), prompt_language="fr")


@pytest.mark.parametrize(
    "text",
    [
        "What's new?",
        "Where's the station?",
        "It's late.",
        "I'm hungry.",
        "I’m lost.",
        "Don't stop.",
        "Convert 9 km to miles.",
    ],
)
def test_an_english_sentence_is_answered_in_english_after_another_language(text: str) -> None:
    for before in ([typed("Guten Tag"), answered("Hallo! Was möchtest du üben?")], [typed("你好"), answered("你好！")]):
        assert languages.guess(say(*before, typed(text))) == "en"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Wie heißt du?", "Ich bin die Übungsstimme von rtnb"),
        ("¿Cómo te llamas?", "Soy la voz de práctica de rtnb"),
        ("Comment tu t’appelles ?", "Je suis la voix d'exercice de rtnb"),
        ("Comment vous appelez-vous ?", "Je suis la voix d'exercice de rtnb"),
        ("Come ti chiami?", "I am rtnb's practice voice"),
    ],
)
def test_the_practice_voice_says_its_name_in_the_language_of_the_question(text: str, answer: str) -> None:
    assert say(typed(text)).startswith(answer)


def test_the_language_that_the_session_names_reaches_the_responder() -> None:
    harness = Harness()
    harness.update(audio={"input": {"transcription": {"model": "whisper-1", "language": "fr"}}})
    harness.say("No.")
    harness.send("response.create")
    (think,) = [asked for asked in harness.effects if isinstance(asked, Respond)]
    assert think.request.prompt_language == "fr"


# ── Requests in a response's own instructions ──

ADA = [typed("My name is Ada and I like tea."), answered("Nice to meet you, Ada.")]
OSLO = [spoken("Will it rain in Oslo this afternoon?"), answered("I cannot know that offline.")]
XIAOMING = [typed("我叫小明，我喜欢喝茶。"), answered("很高兴认识你，小明。")]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def aside(*items: dict[str, Any], request: str) -> str:
    """An out-of-band response, as `Session.side` asks for it."""
    return say(*items, instructions=request, asked=request, aside=True)


@pytest.mark.parametrize(
    ("items", "request_", "answer"),
    [
        (OSLO, "Which language? One word.", "English."),
        (OSLO, "Which language is spoken?", "English."),
        (OSLO, "用的是什么语言？只用一个词。", "英文。"),
        (XIAOMING, "Which language is it?", "Chinese."),
        (ADA, "Write down in one sentence what you know of the person.", "My name is Ada and I like tea."),
        (ADA, "Write a note.", "My name is Ada and I like tea."),
        (ADA, "What is the user's name?", "Your name is Ada."),
        (ADA, "Name the topic of the conversation in one word.", "Ada."),
        (ADA, "Does the user like tea?", "I like tea."),
        (ADA, "写一条笔记", "My name is Ada and I like tea."),
        (XIAOMING, "用一句话总结", "我叫小明，我喜欢喝茶。"),
        (XIAOMING, "写一条笔记", "我叫小明，我喜欢喝茶。"),
        (XIAOMING, "用户叫什么名字？", "你叫小明。"),
        ([*ADA, typed("And I live in Oslo.")], "Write a note of it all, please.", "Ada"),
        ([*ADA, typed("And I live in Oslo.")], "Where does the user live?", "And I live in Oslo."),
        ([], "Count to three.", "1, 2, 3."),
        ([], "What is 2+2?", "2 + 2 is 4."),
        ([], "What did the user say?", "heard no words"),
    ],
)
def test_an_aside_is_answered_from_the_conversation(items: list[dict[str, Any]], request_: str, answer: str) -> None:
    said = aside(*items, request=request_)
    assert answer in said
    assert "nothing to answer" not in said
    assert "practice voice" not in said, "who speaks is no part of a note"


def test_an_aside_is_about_what_it_is_given() -> None:
    harness = Harness()
    harness.say("My name is Ada.")
    harness.send("response.create")
    wanted = {"conversation": "none", "instructions": "What is the user's name?"}
    harness.send("response.create", response=wanted)
    harness.send("response.create", response=wanted | {"input": []})
    harness.send("response.create", response=wanted | {"input": [typed("I am called Eve.")]})
    plain, *asides = [asked.request for asked in harness.effects if isinstance(asked, Respond)]
    assert (plain.asked, plain.aside) == ("", False)
    assert [(request.asked, request.aside) for request in asides] == [("What is the user's name?", True)] * 3
    names = [
        together(piece.text for piece in responder.think(request) if isinstance(piece, Text)) for request in asides
    ]
    assert ["Ada" in names[0], "Eve" in names[2]] == [True, True]
    assert names[1] == "You have not told me your name."


@pytest.mark.parametrize("items", [[], ADA, [typed("Hello.")]], ids=["nothing said", "answered", "unanswered"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_tool_that_a_responses_instructions_ask_for_is_called(items: list[dict[str, Any]], beside: bool) -> None:
    for request in ("What's the weather in Paris? Use the tool.", "Get the weather in Paris."):
        asked = {"instructions": request, "asked": request, "aside": beside, "tools": [WEATHER]}
        assert calls(*items, **asked) == [("get_weather", {"city": "Paris"})]
        assert calls(*items, **asked | {"tool_choice": "none"}) == []
    chinese = {"instructions": "请用工具查一下北京的天气。", "asked": "请用工具查一下北京的天气。", "aside": beside}
    assert [name for name, _ in calls(*items, tools=[WEATHER], **chinese)] == ["get_weather"]
    manner = "Use get_weather when the user asks for the weather in Paris."
    assert calls(*items, instructions=manner, asked=manner, aside=beside, tools=[WEATHER]) == []
    assert calls(*items, instructions=request, tools=[WEATHER]) == [], "the session's instructions are no request"


def test_instructions_for_an_answer_still_say_how_to_answer() -> None:
    french = say(typed("What is 2+3?"), instructions="Answer in French.", asked="Answer in French.")
    assert "2 + 3 = 5" in french or "font 5" in french
    echo = "Repeat what the user says."
    assert say(typed("I like tea."), instructions=echo, asked=echo) == "I like tea."
    greet = "Greet the user and ask how you can help."
    assert "Hello!" in say(instructions=greet, asked=greet)
    assert say(*ADA, instructions="Say goodbye.", asked="Say goodbye.") == "goodbye."
    persona = "You are Nova, a guide. You speak of museums. If the user asks for a price, say that you do not know."
    assert "Nova" in say(instructions=persona, asked=persona)


def test_a_side_question_after_a_spoken_turn_is_answered() -> None:
    if asr.engine() is None:
        pytest.skip("no recogniser is installed")
    with rtnb.connect(practice=True, modalities="text") as chat:
        chat.ask(samples()["weather"]).wait(60)
        assert chat.side("Which language? One word.").wait(60).text == "English."
        assert "Oslo" in chat.side("Write down in one sentence what was said.").wait(60).text
        assert len(chat.turns) == 2
