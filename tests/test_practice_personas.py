"""Roles that instructions ask for: how the practice server greets, opens its answers and keeps to one habit in each."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from rtnb.server.protocol.settings import INSTRUCTIONS
from rtnb.server.responder import personas
from rtnb.server.responder.personas import greeting, in_role, persona

SHEETS = {
    code: tomllib.loads(Path(personas.__file__).with_name(f"personas_{code}.toml").read_text("utf-8"))
    for code in ("en", "zh")
}
ROLES = [(code, name, entry) for code, sheet in SHEETS.items() for name, entry in sheet.items() if name != "words"]


def test_both_languages_know_the_same_roles_in_the_same_order() -> None:
    assert list(SHEETS["en"]) == list(SHEETS["zh"])


@pytest.mark.parametrize(("code", "name", "entry"), ROLES)
def test_a_role_is_a_greeting_tone_words_and_one_habit(
    code: str, name: str, entry: dict[str, dict[str, object]]
) -> None:
    assert set(entry) - {"does"} == {"role", "greeting", "tone", "habit"}
    assert set(entry["habit"]) < {"asks", "guides", "quizzes", "corrects"}
    assert len(entry["habit"]) == 1
    assert list(entry["habit"]) == list(SHEETS["en"][name]["habit"])
    assert entry["tone"] or next(iter(entry["habit"])) in ("quizzes", "corrects")
    assert len(greeting(name, code)) <= 90


@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        ("You are a pirate. Keep it short.", "pirate"),
        ("Speak like a pirate.", "pirate"),
        ("You are a quiz master for children.", "quiz_master"),
        ("Quiz the user about the world.", "quiz_master"),
        ("You are a friendly English teacher.", "english_teacher"),
        ("Correct my English, please.", "english_teacher"),
        ("You are a patient French teacher.", "language_teacher"),
        ("You are the front desk of a bicycle workshop. Be brief and friendly.", "receptionist"),
        ("Act as the receptionist of a hotel.", "hotel"),
        ("You are a doctor's assistant.", "doctors_assistant"),
        ("You are Nova, a guide to Oslo.", "tour_guide"),
        ("You're a storyteller.", "storyteller"),
        ("You are a shop assistant who sells shoes.", "shop_assistant"),
        ("Pretend to be a job interviewer.", "interviewer"),
        ("You are my best friend.", "friend"),
        ("你是一名海盗。", "pirate"),
        ("你是知识问答主持人。", "quiz_master"),
        ("请纠正我的英语错误。", "english_teacher"),
        ("你是酒店前台，说话要客气。", "hotel"),
        ("请扮演面试官。", "interviewer"),
        ("你是导游。", "tour_guide"),
        ("请像老朋友一样聊天。", "friend"),
    ],
)
def test_a_role_is_found_in_the_instructions(instructions: str, name: str) -> None:
    assert persona(instructions) == name


@pytest.mark.parametrize(
    "instructions",
    [
        INSTRUCTIONS,
        "",
        "Be brief and friendly.",
        "You are a helpful assistant.",
        "You are an echo. Repeat what the user says.",
        "Translate for the tourist guide.",
        "你是一个有用的助手。",
        "请用一句话回答。",
    ],
)
def test_instructions_without_a_role_make_none(instructions: str) -> None:
    assert persona(instructions) is None


def test_a_role_that_asks_opens_in_its_tone_and_asks_back() -> None:
    assert in_role("pirate", "en", ["2 + 2 is 4."], "What is two plus two?", "", 0) == [
        "Arr!",
        "2 + 2 is 4.",
        "What be yer next question?",
    ]
    assert in_role("hotel", "zh", [], "我要一个房间。", "", 1) == ["没问题。", "请问是哪一晚？"]


def test_a_role_asks_no_second_question() -> None:
    said = in_role("receptionist", "en", ["For book I need: hour. At which hour?"], "Book a time.", "", 3)
    assert sum(sentence.count("?") for sentence in said) == 1


def test_a_guide_leads_on() -> None:
    assert in_role("tour_guide", "en", [], "It is beautiful here.", "", 0)[-1].startswith("Follow me")


def test_a_quiz_master_asks_judges_and_asks_on() -> None:
    first = in_role("quiz_master", "en", [], "I am ready.", "Welcome to the quiz!", 1)
    assert first == ["Which planet is the largest in our solar system?"]
    right = in_role("quiz_master", "en", [], "I think it is Jupiter", first[0], 2)
    assert right == ["That is right!", "How many days are there in a leap year?"]
    wrong = in_role("quiz_master", "en", [], "Three hundred", right[-1], 3)
    assert wrong[0] == "Not quite. The answer is 366."


@pytest.mark.parametrize(
    ("said", "better"),
    [
        ("I goed to school", "I went to school"),
        ("He don't like apples", "He doesn't like apples"),
        ("She like music", "She likes music"),
        ("I am student", "I am a student"),
        ("I have 20 years", "I am 20 years old"),
        ("We was at home", "We were at home"),
        ("I am agree with you", "I agree with you"),
        ("She is more taller", "She is taller"),
        ("I didn't went there", "I didn't go there"),
        ("I live here since two years", "I live here for two years"),
    ],
)
def test_an_english_teacher_corrects_what_learners_often_say(said: str, better: str) -> None:
    assert in_role("english_teacher", "en", [], said, "", 0) == [f"Better: “{better}”"]
    assert better in in_role("english_teacher", "zh", [], said, "", 0)[0]


@pytest.mark.parametrize(
    "said",
    [
        "Does he like tea?",
        "I was at home yesterday.",
        "They let him go.",
        "My parents have a dog.",
        "Can she play the piano?",
        "I saw her eat.",
        "What does it do?",
        "I have an apple and a university.",
    ],
)
def test_an_english_teacher_leaves_right_sentences_alone(said: str) -> None:
    assert not re.search("Better", " ".join(in_role("english_teacher", "en", [], said, "", 0)))


@pytest.mark.parametrize(
    ("said", "better"),
    [
        ("She don't likes me", "She doesn't like me"),
        ("Does he likes tea", "Does he like tea"),
        ("Did you went there", "Did you go there"),
        ("I have went home", "I have gone home"),
        ("I buyed two tooths", "I bought two teeth"),
    ],
)
def test_one_mistake_is_not_mended_into_another(said: str, better: str) -> None:
    assert better.casefold() in " ".join(in_role("english_teacher", "en", [], said, "", 0)).casefold()
