"""How soon the practice server speaks: what is done once is not done again for each answer."""

from __future__ import annotations

import subprocess
import sys
import types

from rtnb.server.engines.engines import installed
from rtnb.server.protocol.requests import Request, Text


def asked(text: str) -> Request:
    content = [{"type": "input_audio", "transcript": text}]
    return Request(items=[{"type": "message", "role": "user", "content": content}])


def compiled_by(request: Request) -> int:
    """Count the regular expressions that are compiled for an answer."""
    found: list[str] = []

    def look(frame: types.FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "compile" and "re/_compiler" in frame.f_code.co_filename:
            found.append(frame.f_code.co_name)

    engines = installed()
    sys.setprofile(look)
    try:
        answer = [*engines.answer(request)]
    finally:
        sys.setprofile(None)
    assert isinstance(answer[0], Text)
    return len(found)


def test_once_the_engines_are_warm_hardly_an_expression_is_compiled_for_an_answer() -> None:
    installed().warm_up()
    assert compiled_by(asked("We need six people to plant apple trees.")) < 150
    questions = [asked("Which town has the oldest bridge?"), asked("今天有什么新闻？")]
    for _ in range(2):
        counts = [compiled_by(question) for _ in range(2) for question in questions]
    assert counts == [0, 0, 0, 0]


COUNTING = """
import subprocess
import sys
compiled = []

def look(frame, event, _):
    if event == "call" and frame.f_code.co_name == "compile" and "re/_compiler" in frame.f_code.co_filename:
        compiled.append(len(str(frame.f_locals["p"])))

sys.setprofile(look)
from rtnb.server.protocol.requests import Request
from rtnb.server.responder.responder import think
at_import = len(compiled)
answer = list(think(Request(asked="Which question is this?")))
sys.setprofile(None)
print(at_import, sum(compiled))
"""


def test_few_expressions_are_compiled_up_to_the_first_answer() -> None:
    """Those of two thousand words, one by one, took half a second of a processor's time."""
    counted = subprocess.run([sys.executable, "-c", COUNTING], capture_output=True, text=True, check=True)
    at_import, characters = map(int, counted.stdout.split())
    assert at_import < 300
    assert characters < 300_000
