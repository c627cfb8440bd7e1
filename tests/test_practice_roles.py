"""Conversations with the practice server's responder: roles, a quiz, how fast and loud it speaks, names, tools."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from practice_harness import Harness

from rtnb.server.engines import tts
from rtnb.server.languages import together
from rtnb.server.protocol.effects import Speak
from rtnb.server.protocol.requests import Call, Request, Text
from rtnb.server.responder.responder import think


def message(role: str, words: str) -> dict[str, Any]:
    kind, field = ("input_text", "text") if role == "user" else ("output_audio", "transcript")
    return {"type": "message", "role": role, "content": [{"type": kind, field: words}]}


def function(name: str, description: str, /, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


class Talk:
    """Conversation of one session: says something, runs the tools, and returns the answer."""

    def __init__(self, instructions: str = "", tools: dict[str, Any] | None = None, **run: Any) -> None:
        self.items: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._instructions, self._tools, self._run = instructions, list((tools or {}).values()), run

    def ask(self, words: str) -> str:
        self.items.append(message("user", words))
        while calls := [piece for piece in self.pieces() if isinstance(piece, Call)]:
            for call in calls:
                self.calls.append((call.name, call.arguments))
                call_id = f"call_{len(self.calls)}"
                arguments = json.dumps(call.arguments)
                output = self._run[call.name](**call.arguments)
                named = {"call_id": call_id, "name": call.name, "arguments": arguments}
                self.items.append({"type": "function_call", **named})
                self.items.append({"type": "function_call_output", "call_id": call_id, "output": output})
        said = together(piece.text for piece in self.pieces() if isinstance(piece, Text))
        self.items.append(message("assistant", said))
        return said

    def pieces(self) -> list[Any]:
        return [*think(Request(self._instructions, items=self.items, tools=self._tools))]


PART = {"type": "string", "enum": ["wheel", "brakes", "chain"]}
DESK = {
    "repair_price": function("repair_price", "Tell what it costs to repair a part that is loose or weak.", part=PART),
    "book": function("book", "Book a time.", name={"type": "string"}, hour={"type": "integer"}),
}
PRICES = {"wheel": 12, "brakes": 8, "chain": 15}


def test_a_reception_desk_sounds_like_one() -> None:
    taken: dict[int, str] = {}

    def book(name: str, hour: int) -> str:
        if hour in taken:
            return f"Error: {hour} o'clock is taken, offer another hour"
        taken[hour] = name
        return f"{hour} o'clock for {name}"

    desk = Talk(
        "You are the front desk of a bicycle workshop. Be brief and friendly.",
        DESK,
        repair_price=lambda part: f"{part}: {PRICES[part]} dollars",
        book=book,
    )
    assert "How can I help you?" in desk.ask("Hello, I think my bicycle is broken. Can you help me?")
    said = desk.ask("The front wheel is loose, and the brakes are very weak.")
    assert "Wheel: 12 dollars. Brakes: 8 dollars." in said
    assert "says" not in said
    assert "17 o'clock for Ada" in desk.ask("Book the workshop for Ada at 17 o'clock.")
    assert "I am sorry: 17 o'clock is taken" in desk.ask("Book the workshop for Ben at 17 o'clock.")
    assert "15 dollars" in desk.ask("How much is a new chain?")
    unknown = desk.ask("Do you also sell helmets?")
    assert "I can help you with: repair price and book." in unknown
    assert desk.ask("Thank you, goodbye!").startswith("Goodbye!")
    assert taken == {17: "Ada"}


def test_a_role_greets_answers_in_its_tone_and_keeps_honest() -> None:
    pirate = Talk("You are a pirate.")
    assert "Ahoy" in pirate.ask("Hello!")
    answer = pirate.ask("What is the capital of Spain?")
    assert "The capital of Spain is Madrid." in answer
    assert answer.endswith("?")
    assert "I do not know that" in pirate.ask("Why do cats purr?")
    assert pirate.ask("Repeat after me: the sea is calm.") == "the sea is calm."
    assert "Ahoy" in Talk().ask("Talk like a pirate, please.")


def test_a_quiz_goes_on_over_other_questions_and_is_played_without_a_role_too() -> None:
    quiz = Talk("You are a quiz master.")
    quiz.ask("Hello!")
    asked = quiz.ask("I am ready.")
    assert asked.endswith("?")
    assert asked in quiz.ask("What is two plus two?"), "the question waits"
    assert "That is right!" in quiz.ask("Jupiter, I think.")
    assert "Not quite" in quiz.ask("I don't know.")
    plain = Talk()
    assert "?" in plain.ask("Quiz me!")
    assert "That is right!" in plain.ask("It is Jupiter.")


def test_a_teacher_corrects_and_so_does_anybody_who_is_asked() -> None:
    teacher = Talk("You are an English teacher. Correct my English.")
    assert "went" in teacher.ask("Yesterday I goed to the cinema.")
    assert "Maria" in teacher.ask("My name is Maria.")
    assert "He doesn't like tea" in Talk().ask("Is this correct: “He don't like tea”?")


def test_slower_and_louder_act_from_then_on() -> None:
    talk = Talk()
    talk.ask("What is the capital of Spain?")
    talk.items.append(message("user", "Can you speak slower, please?"))
    slower = talk.pieces()
    assert [piece.text for piece in slower] == ["The capital of Spain is Madrid."]
    assert {(piece.pace < 1, piece.gain) for piece in slower} == {(True, 1.0)}
    talk.items += [message("assistant", "…"), message("user", "A bit louder!")]
    assert {(piece.pace < 1, piece.gain > 1) for piece in talk.pieces()} == {(True, True)}
    talk.items += [message("assistant", "…"), message("user", "Now faster and tell me a joke.")]
    talk.items += [message("assistant", "…"), message("user", "Faster.")]
    assert {piece.pace for piece in talk.pieces()} == {1.0}


def test_how_to_speak_reaches_the_voice() -> None:
    harness = Harness(answers=[Text("good morning.", pace=0.8, gain=1.6)])
    harness.say("Say good morning.")
    harness.send("response.create")
    (speak,) = [asked for asked in harness.effects if isinstance(asked, Speak)]
    assert (speak.speed, speak.gain) == (0.8, 1.6)


def test_a_louder_voice_is_louder_and_stays_in_range() -> None:
    if tts.engine() is None:
        pytest.skip("no voice is installed")
    plain, loud = (np.frombuffer(b"".join(tts.speak("Good morning.", gain=gain)), "<i2") for gain in (1.0, 8.0))
    assert np.abs(loud.astype(int)).mean() > 2 * np.abs(plain.astype(int)).mean()
    assert np.abs(loud.astype(int)).max() <= 32_768


def test_again_does_it_again() -> None:
    rolls = iter("352")
    dice = {"roll_die": function("roll_die", "Roll a die")}
    talk = Talk("", dice, roll_die=lambda: next(rolls))
    assert "3" in talk.ask("Roll a die.")
    assert "5" in talk.ask("Again, please.")
    assert [name for name, _ in talk.calls] == ["roll_die", "roll_die"]
    stories = Talk()
    first = stories.ask("Tell me a joke.")
    assert stories.ask("Another one!") not in first
    assert Talk().ask("Tell me a long story.").count(".") > 10


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Tariq speaking, nice to meet you.", "Tariq"),
        ("Hello, this is Ana Ruiz.", "Ana Ruiz"),
        ("Good morning, Lena here.", "Lena"),
        ("maria speaking", "Maria"),
        ("I go by Kit.", "Kit"),
        ("Call me Ishaan, please.", "Ishaan"),
        ("我叫欧阳明月。", "欧阳明月"),
        ("我是小李，很高兴认识你。", "小李"),
        ("大家好，我是来自成都的王大明。", "王大明"),
        ("叫我阿强就行。", "阿强"),
        ("我的名字叫王Tom。", "王Tom"),
        ("喂，这里是李雷。", "李雷"),
    ],
)
def test_a_name_is_caught_however_it_is_given(said: str, name: str) -> None:
    talk = Talk()
    talk.ask(said)
    assert name in talk.ask("我叫什么名字？" if "我" in said or "里" in said else "What is my name?")


@pytest.mark.parametrize(
    "said", ["Nobody is here.", "English speaking only.", "My name is spelled k, r, z.", "我是程序员。"]
)
def test_where_no_name_was_caught_it_is_not_said_that_none_was_told(said: str) -> None:
    talk = Talk()
    talk.ask(said)
    answer = talk.ask("What is my name?")
    assert "did not catch" in answer or "没听清" in answer


def test_what_a_role_does_not_know_of_it_says_so() -> None:
    assert "I do not know that" in Talk("You are a tour guide in Rome.").ask("Tell me about the Colosseum.")
    assert "我在这里不知道" in Talk("你是北京的导游。").ask("给我讲讲长城。")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Say the days of the week backwards.", "Sunday, Saturday, Friday, Thursday, Wednesday, Tuesday, Monday."),
        ("Can you say the alphabet backwards?", "Z, Y, X, W"),
        ("把星期几倒着说一遍。", "星期日、星期六、星期五"),
        ("How many minutes are in a quarter of an hour?", "0.25 hour is 15 minutes."),
        ("How many minutes are in three quarters of an hour?", "0.75 hour is 45 minutes."),
        ("How many grams are in half a kilo?", "0.5 kilo is 500 grams."),
        ("两三百加一是多少？", "300 + 1 等于 301。"),
        ("一万二加三万亿是多少？", "12000 + 3000000000000 等于 3000000012000。"),
        ("What is two squared minus (three minus five)?", "2 to the power of 2 - (3 - 5) is 6."),
    ],
)
def test_rows_said_backwards_and_parts_of_units_are_known(question: str, answer: str) -> None:
    talk = Talk()
    assert answer in talk.ask(question)
    assert answer in talk.ask(question), "and are not taken for what was said before"


def test_how_often_something_was_said_is_counted() -> None:
    talk = Talk()
    talk.ask("My dog likes fish, and fish only.")
    assert talk.ask("How many times did I say “fish”?") == "You have said that 2 times."


def test_a_desk_adds_up_what_it_has_said_of_each_part() -> None:
    prices = {"wheel": 12, "brakes": 8, "chain": 15}
    desk = Talk(
        "You are the front desk of a bicycle workshop. Ask if a detail is missing.",
        DESK,
        repair_price=lambda part: f"{part}: {prices[part]} dollars",
        book=lambda name, hour: f"{hour} o'clock for {name}",
    )
    desk.ask("Good morning. The wheel is loose, and the brakes are weak.")
    assert "20 dollars" in desk.ask("Great, and how much will it cost?")
    assert desk.ask("All right. Thank you.") == "You are welcome."
