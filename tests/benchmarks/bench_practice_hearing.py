"""How well the practice server hears and is heard, and how soon it speaks.

Run `python tests/benchmarks/bench_practice_hearing.py`. It prints the word error rate of every sample that ships, by
each recogniser installed here side by side, with seconds of sound per second of work; the same over twenty runs, the
audio in pieces of any size and two loops busy beside it, with the spread; the time from the commit to the first sound
of the answer by length of the recording, sent at once and at the pace of speech, and for eight and thirty learners who
stop at once; short sentences that are right, wrong and left out; the words of each voice recognised back; and the time
from a text to its first sound, beside the time for the whole (limit: 300 ms for a short answer). Name some of `samples
twenty first many short voices sound` to see these alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import websockets

from rtnb.audio import samples
from rtnb.server.engines import asr, tts, vad
from rtnb.server.nlu.numbers import numbers, spoken_number

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
SHORT = {
    "en": "Who are you?|What's seven times eight?|How are you today?|Good morning.|Tell me a story.|"
    "Where is the station?|Can you help me?|Say that again.|How much does it cost?|What day is it today?|"
    "How old are you?|Repeat after me.",
    "zh": "你好吗？|今天天气怎么样？|我想喝咖啡。|现在几点了？|多少钱？|我叫小明。",
    "fr": "Qui êtes-vous ?|Quelle heure est-il ?|Je voudrais un café.|Parlez plus lentement.",
    "es": "¿Quién eres?|¿Qué hora es?|Muchas gracias.|¿Cuánto cuesta?",
}
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


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Loops that take whole cores."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def twenty_runs() -> None:
    shipped, chance = samples(), random.Random(1)
    asr.warm_up()
    print(f"\n{asr.engine()}: twenty runs in pieces of any size, two loops busy beside them")
    with busy(2):
        for clip in shipped:
            said, rates, texts = plain(shipped.texts[clip.name]), [], set()
            for _ in range(20):
                listener, at = asr.StreamingRecogniser(interval_seconds=chance.choice([0.5, float("inf")])), 0
                while at < len(clip.pcm):
                    size = chance.choice([961, 9_600, 48_000, 480_000])
                    listener.feed(clip.pcm[at : at + size])
                    at += size
                texts.add(listener.finish().text)
                rates.append(errors(said, plain(max(texts))) / len(said))
            spread = f"{min(rates):.2f}–{max(rates):.2f}"
            print(
                f"  {clip.name:12} word error rate {statistics.mean(rates):.2f} ({spread}), transcripts: {len(texts)}"
            )


SERVER = """
import sys
from rtnb.server import server
with server.start(seed=1) as practice:
    practice.warm.result()
    print(practice.url, flush=True)
    sys.stdin.readline()
"""
CHUNK_SECONDS = 0.1


@contextmanager
def served() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


class Learner:
    """One session with a button to talk."""

    async def say(self, url: str, pcm: bytes, paced: bool, ready: asyncio.Barrier) -> float:
        """Send a recording, stop with the others, and return the seconds to the first sound of the answer."""
        how = {"additional_headers": {"Authorization": "Bearer practice"}, "compression": None}
        async with websockets.connect(f"{url}?model=gpt-realtime", **how) as socket:
            session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            await self._send(socket, "session.update", session=session)
            size = int(CHUNK_SECONDS * 48_000)
            start = time.monotonic()
            for number, at in enumerate(range(0, len(pcm), size), 1):
                piece = base64.b64encode(pcm[at : at + size]).decode()
                if paced:
                    await asyncio.sleep(max(0.0, start + number * CHUNK_SECONDS - time.monotonic()))
                elif number == 1:  # all at once: the clock starts before it is sent
                    await ready.wait()
                    start = time.monotonic()
                await self._send(socket, "input_audio_buffer.append", audio=piece)
            if paced:
                await ready.wait()
                start = time.monotonic()
            await self._send(socket, "input_audio_buffer.commit")
            await self._send(socket, "response.create")
            while json.loads(await socket.recv())["type"] != "response.output_audio.delta":
                pass
            return time.monotonic() - start

    async def _send(self, socket: websockets.ClientConnection, type: str, **fields: object) -> None:
        await socket.send(json.dumps({"type": type, **fields}))


async def together(url: str, pcms: Sequence[bytes], paced: bool) -> list[float]:
    ready = asyncio.Barrier(len(pcms))
    return sorted(await asyncio.gather(*(Learner().say(url, pcm, paced, ready) for pcm in pcms)))


def recording(seconds: float) -> bytes:
    """So much of the samples' speech, half a second between them."""
    pcm = b""
    for name in ("talk", *(clip.name for clip in samples() if clip.name != "talk"), "talk", "talk"):
        pcm += samples()[name].pcm + bytes(24_000)
    return pcm[: int(seconds * 24_000) * 2]


def first_sound_by_length() -> None:
    print("\nfrom the commit (sent at once: from the first append) to the first sound of the answer")
    with served() as url:
        for seconds in (2, 10, 22, 60):
            once = [asyncio.run(together(url, [recording(seconds)], False))[0] for _ in range(5)]
            paced = asyncio.run(together(url, [recording(seconds)], True))[0]
            print(f"  {seconds:3} s: sent at once {statistics.median(once):.2f} s, at the pace of speech {paced:.2f} s")


def many_at_once() -> None:
    print("\nlearners who stop at once, 10 s each: first, median and last first sound")
    talk = recording(60)
    with served() as url:
        for count, paced in ((8, False), (8, True), (30, True)):
            pcms = [talk[at * 48_000 :][:480_000] for at in range(count)]
            found = asyncio.run(together(url, pcms, paced))
            how = "at the pace of speech" if paced else "sent at once"
            print(f"  {count:2} {how:22} {found[0]:.2f} s, {statistics.median(found):.2f} s, {found[-1]:.2f} s")


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


def short_sentences() -> None:
    """English ones should be right or left out; of the others none should be taken for English."""
    print(f"\nshort sentences by {tts.engine()}")
    for language, texts in SHORT.items():
        counts = {"right": 0, "wrong": 0, "left out": 0}
        for text in texts.split("|"):
            for voice in ("marin", "cedar", "alloy", "echo"):
                words = plain(asr.transcribe(b"".join(tts.speak(text, voice=voice, language=language))))
                counts["left out" if not words else "right" if words == plain(text) else "wrong"] += 1
        print(f"  {language}  {', '.join(f'{count} {how}' for how, count in counts.items())}")


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
    parts: dict[str, Callable[[], None]] = {
        "samples": samples_heard,
        "twenty": twenty_runs,
        "first": first_sound_by_length,
        "many": many_at_once,
        "short": short_sentences,
        "voices": voices_heard,
        "sound": first_sound,
    }
    for name in sys.argv[1:] or parts:
        parts[name]()
