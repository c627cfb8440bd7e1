"""How well the practice server hears and is heard, and how soon it speaks.

Run `python tests/benchmarks/bench_practice_hearing.py`. It prints the word error rate of every sample that ships, by
each recogniser installed here side by side, with seconds of sound per second of work; then the words of each voice
recognised back; then the time from a text to its first sound, beside the time for the whole (limit: 300 ms for a
short answer).
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence

from rtnb.audio import samples
from rtnb.server.engines import asr, tts, vad
from rtnb.server.responder.numbers import numbers, spoken_number

ANSWERS = (
    "I am the practice voice, not a language model.",
    "The weather in Oslo is three degrees and cloudy.",
    "I heard you say that you like coffee.",
    "We talked about music and travel.",
    "In short, the meeting is on Monday morning.",
    "Hello! What would you like to talk about?",
    "You have sent two recordings.",
    "First you said that you live near the river.",
)
FIRST_SOUND_LIMIT_MS = 300


def plain(text: str) -> list[str]:
    """Words without case and marks, numbers in digits, and one spelling for what is said alike."""
    for number in reversed(numbers(text)):
        text = f"{text[: number.start]}{spoken_number(number.value)}{text[number.end :]}"
    text = text.casefold().replace("’", "'").replace("$", " dollars ")
    text = re.sub(r"(\d+) dollars|dollars (\d+)", lambda m: f"{m[1] or m[2]} dollars", text)
    for short, long in (("what's", "what is"), ("it's", "it is"), ("practise", "practice"), ("5:00", "5 o'clock")):
        text = text.replace(short, long)
    return re.findall(r"[\w']+", text)


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to replace, add or leave out to make one of the other."""
    row = list(range(len(heard) + 1))
    for index, word in enumerate(said, 1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
    return row[-1]


def recognisers() -> list[asr._Recogniser]:
    found: list[asr._Recogniser] = []
    makers: tuple[Callable[[], asr._Recogniser | None], ...] = (
        asr._faster_whisper,
        asr._moonshine,
        asr._pocketsphinx,
    )
    for make in makers:
        try:
            made = make()
        except Exception as error:
            print(f"{make.__name__.strip('_')} does not load: {error}")
            continue
        found += [made] if made else []
    return found


def samples_heard() -> None:
    shipped, load = samples(), asr._load
    for recogniser in recognisers():
        asr._load = lambda recogniser=recogniser: recogniser
        asr.warm_up()
        wrong = total = 0
        seconds = spent = 0.0
        print(f"\n{recogniser.name}, gated by {vad.detector_name()}")
        for clip in shipped:
            said = plain(shipped.texts[clip.name])
            start = time.perf_counter()
            words = asr.transcribe(clip.pcm)
            spent += time.perf_counter() - start
            seconds += clip.seconds
            here = errors(said, plain(words))
            wrong, total = wrong + here, total + len(said)
            print(f"  {clip.name:12} {clip.seconds:5.1f} s   word error rate {here / len(said):.2f}   {words}")
        print(f"  all {wrong / total:18.3f} of {total} words; {seconds / spent:.0f} s of sound heard a second")
    asr._load = load


def voices_heard() -> None:
    print(f"\n{tts.engine()} recognised back by {asr.engine()}")
    rates = []
    for name in tts.VOICES:
        wrong = total = 0
        for text in ANSWERS:
            said = plain(text)
            wrong += errors(said, plain(asr.transcribe(b"".join(tts.speak(text, voice=name)))))
            total += len(said)
        rates.append(wrong / total)
        print(f"  {name:8} word error rate {rates[-1]:.2f}")
    print(f"  all      {statistics.mean(rates):.3f}")


def first_sound() -> None:
    print(f"\ntext to sound, {tts.engine()}")
    tts.warm_up()
    worst = 0.0
    for label, text in (("short answer", ANSWERS[1]), ("a minute of talk", " ".join(ANSWERS * 3))):
        firsts, wholes, length = [], [], 0
        for _ in range(20):
            start = time.perf_counter()
            pieces = tts.speak(text)
            length = len(next(pieces))
            firsts.append((time.perf_counter() - start) * 1000)
            length += sum(len(piece) for piece in pieces)
            wholes.append((time.perf_counter() - start) * 1000)
        worst = max(worst, max(firsts))
        print(
            f"  {label:16} {length / 48_000:5.1f} s: first sound after {statistics.median(firsts):.1f} ms"
            f" (worst {max(firsts):.1f}), all after {statistics.median(wholes):.0f} ms,"
            f" {length / 48 / statistics.median(wholes):.0f} × real time"
        )
    print(f"  {'ok' if worst <= FIRST_SOUND_LIMIT_MS else 'TOO SLOW'}: limit {FIRST_SOUND_LIMIT_MS} ms")


if __name__ == "__main__":
    samples_heard()
    voices_heard()
    first_sound()
