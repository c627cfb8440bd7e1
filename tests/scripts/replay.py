"""A lesson recorded once and played back without a key; a question it does not hold is told as such."""

import rtnb
from rtnb.errors import ReplayError

with rtnb.connect(practice=True) as chat:
    first = chat.ask("What is the capital of Norway?").wait()
    chat.save("lesson.rtnb")

with rtnb.connect(replay="lesson.rtnb", replay_speed=10) as lesson:
    again = lesson.ask("What is the capital of Norway?").wait()
    print(again.text == first.text, again.audio == first.audio, again.source)
    try:
        lesson.ask("And of Sweden?").wait()
    except ReplayError as told:
        print(told)
