"""What learners hand over to the checkers: a right answer and wrong ones for each exercise, as a table."""

import asyncio
import base64
import contextlib
import tempfile
import threading
from bisect import bisect_left
from concurrent.futures import Future
from functools import wraps
from pathlib import Path

from websockets.asyncio.client import connect

import rtnb
from rtnb import costs, models
from rtnb.errors import BudgetExceeded
from rtnb.image import Image

# The smallest picture there is: one dot.
DOT = Image.read(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
)
SAMPLES = rtnb.samples()
SILENCE = rtnb.Clip.silence(1.0)


def cache(make):
    """`functools.cache` for threads: what several ask for at once is made once, and all get the same."""
    made, lock = {}, threading.Lock()

    @wraps(make)
    def get(*given, **named):
        key = (given, tuple(sorted(named.items())))
        with lock:
            first = key not in made
            future = made.setdefault(key, Future())
        if first:
            try:
                future.set_result(make(*given, **named))
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()

    return get


# --- what learners make -----------------------------------------------------------------------------------------------


def ask(*parts, **options):
    return rtnb.ask(*parts, practice=True, show=False, **options).wait(60)


def talk(*turns, **options):
    """A session in which these were asked one after the other; a turn may be a tuple of parts."""
    with rtnb.connect(practice=True, show=False, **{"modalities": "text", **options}) as session:
        for turn in turns:
            session.ask(*(turn if isinstance(turn, tuple) else (turn,))).wait(60)
    return session


def steps(*actions, **options):
    """A session in which these were done: functions of the session, whose result is waited for."""
    with rtnb.connect(practice=True, show=False, **{"modalities": "text", **options}) as session:
        for action in actions:
            made = action(session)
            if hasattr(made, "wait"):
                made.wait(60)
        session.update().wait(10)
    return session


def append(*clips):
    return lambda session: [session.append(clip.pcm) for clip in clips] and None


def paced(clip):
    """Send a clip as a microphone does."""

    async def speak(session):
        for at in range(0, len(clip.pcm), 4_800):
            session.append(clip.pcm[at : at + 4_800])
            await asyncio.sleep(0.1)

    return lambda session: rtnb.run(speak(session))


def commit(session):
    return session.commit()


def respond(session):
    return session.respond()


def words(*parts):
    return lambda session: session.ask(*parts)


@cache
def spoken():
    return ask("Count to five.")


@cache
def written():
    return ask("Count to three.", modalities="text")


@cache
def long():
    return ask("Count to thirty.")


def arrival(reply):
    at = [entry.at_seconds for entry in reply.log.of("response.output_audio.delta")]
    return at[-1] - at[0]


# 1.3
@cache
def both(*, first="order", commits=True, question_last=True):
    ask_both = words("What did I order, and what did I ask?")
    sent = [append(SAMPLES[first]), commit, append(SAMPLES["weather"]), *[commit] * commits]
    return steps(*([*sent, ask_both] if question_last else [*sent[:2], ask_both, *sent[2:]]))


def separate():
    talk(SAMPLES["order"])
    return talk(SAMPLES["weather"], "What did I order?")


def pcm(reply):
    deltas = [event["delta"] for event in reply.events if event["type"] == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def seen(session):
    """The types of the events received up to the end of the answer."""
    types = [entry.type for entry in session.log if entry.direction == "received"]
    return types[: types.index("response.done") + 1]


# 2.1
CUSTOMER = [SAMPLES[f"dialogue-{n}"] for n in (1, 3, 5)]


def customer(*turns):
    return steps(*(step for clip in turns for step in (append(clip), commit)), words("What is wrong with the bicycle?"))


# 2.2
CERTAINLY = "Begin every answer with 'Certainly'."


def certainly(*, instructions=CERTAINLY, voice="sage", asked=None, late_voice=None, **options):
    first = lambda session: session.ask("Say hello.", **({"instructions": asked} if asked else {}))  # noqa: E731
    update = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": late_voice}}}}
    late = [lambda session: session.send(update), words("Say good morning.")] if late_voice else []
    return steps(first, *late, instructions=instructions, voice=voice, **{"modalities": "audio", **options})


# 2.3
def forgetting(*, delete, ask_again=True, hide=False):
    with rtnb.connect(practice=True, modalities="text", show=False) as session:
        session.ask("The secret word is pumpkin.").wait(30)
        for turn in list(session.turns)[:delete]:
            session.delete(turn.item_id).wait(10)
        if ask_again:
            session.ask("What is the secret word?").wait(30)
        for turn in list(session.turns) if hide else ():
            if "pumpkin" in turn.words:
                session.delete(turn.item_id).wait(10)
    return session


# 3.1
@cache
def walkie(*order, clip="order", pace=True, detection=None):
    send = paced(SAMPLES[clip]) if pace else append(SAMPLES[clip])
    return steps(
        *({"send": send, "commit": commit, "respond": respond}[name] for name in order), turn_detection=detection
    )


# 3.2
THOUGHTFUL = rtnb.join([SAMPLES["order"][:1.7], rtnb.Clip.silence(0.9), SAMPLES["order"][1.7:], rtnb.Clip.silence(2.2)])


@cache
def listened(silence_ms, *, clip=THOUGHTFUL, feed=True, ends=1):
    """A recording heard by a server that waits for so much silence."""
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms, "create_response": False}
    with rtnb.connect(practice=True, turn_detection=detection, show=False) as session:
        if feed:
            session.append(clip.pcm)
            rtnb.run(_until(session, "input_audio_buffer.committed", ends))
        session.update().wait(10)
    return session


async def _until(session, type_, times):
    async for event in session.events():
        times -= event["type"] == type_
        if not times:
            return


# 3.3
@cache
def cut(share, question="Count to thirty."):
    with rtnb.connect(practice=True, show=False) as session:
        session.ask(question).wait(60)
        if share is not None:
            turn = session.turns[-1]
            session.truncate(turn.item_id, turn.audio_ms * share).wait(10)
    return session


def another_cut():
    with rtnb.connect(practice=True, show=False) as session:
        session.ask("Count to thirty.").wait(60)
        session.ask("Count to three.").wait(60)
        turn = session.turns[-1]
        session.truncate(turn.item_id, turn.audio_ms / 3).wait(10)
    return session


# 4.1
def sunrise(city: str) -> str:
    """Tell when the sun rises in a city."""
    return f"at 7 o'clock in {city}"


def undescribed():
    def sunrise(city: str) -> str:
        return f"at 7 o'clock in {city}"

    return sunrise


def lookup(x: str) -> str:
    return f"at 7 o'clock in {x}"


def weather(city: str) -> str:
    """Tell when the sun rises in a city, and its weather."""
    return f"rain in {city}"


def rising(*tools, question="When does the sun rise in Bergen?", **options):
    return ask(question, tools=tools, modalities="text", **options)


# 4.2
def refusing(error):
    def train(city: str) -> str:
        """Tell when the next train to a city leaves."""
        if isinstance(error, str):
            return error
        raise error

    return ask("When does the next train to Bergen leave?", tools=[train], modalities="text")


# 4.3
@cache
def shown():
    return ask(DOT, SAMPLES["question"], modalities="text")


# 5
@cache
def patient(fault):
    """A server with this fault, and a session held with it."""
    server = rtnb.practice(faults=fault, engines=False)
    chat = rtnb.connect(url=server.url, key="practice", provider="practice", transcription=True, show=False)
    with contextlib.suppress(rtnb.RtnbError), chat:
        chat.ask(SAMPLES["question"]).wait(60)
        chat.ask("Count to three.").wait(60)
    return server, chat


# 6
def bill(reply, model="gpt-realtime-2.1"):
    return costs.cost(reply.usage, model).known_usd


def bill_in(reply):
    price = models.get("gpt-realtime-2.1").prices.text
    return (reply.usage.input_text_tokens * price.input) / 1e6


@cache
def poor(budget, *turns):
    """A session, and what stopped it."""
    with rtnb.connect(practice=True, budget=budget, show=False) as session:
        try:
            for turn in turns or [SAMPLES["question"]] * 9:
                session.ask(turn).wait(60)
        except BudgetExceeded as error:
            return session, error
    return session, None


def three_turns():
    """The least budget, in tenths of a cent, that pays for three answers: more money, more answers."""
    least = bisect_left(range(60), 3, key=lambda tenths: len(poor(tenths / 1000)[0].log.of("response.done")))
    return poor(least / 1000)


@cache
def expensive():
    return ask(SAMPLES["weather"], "Repeat it word by word.")


@cache
def cheap():
    return ask(SAMPLES["weather"], "Repeat it word by word.", modalities="text")


def silenced():
    reply = ask(SAMPLES["weather"], "Repeat it word by word.", modalities="text")
    for turn in reply.responses[-1].turns:
        turn.text = "Yes."
    return reply


# 7
GUIDE = "You are a tour guide. Be brief."
WORKSHOP = "You are the front desk of a bicycle workshop. Be brief and friendly."


def book(name: str, hour: int) -> str:
    """Book a time in the workshop."""
    return f"{hour} o'clock for {name}"


def assistant(*turns, instructions=GUIDE, tools=(sunrise,)):
    return talk(*turns, instructions=instructions, tools=list(tools))


TOUR = (SAMPLES["weather"], "My name is Ada.", "When does the sun rise in Bergen?")


@cache
def replay(*questions):
    path = talk("Count to three.").save(_folder() / "mine.rtnb")
    with rtnb.connect(replay=path, modalities="text", show=False) as session:
        for question in questions:
            with contextlib.suppress(rtnb.RtnbError):
                session.ask(question).wait(30)
    return session


@cache
def _folder():
    return Path(tempfile.mkdtemp())


ABOUT = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Ada likes tea."}]}]


@cache
def noted(about="less", turns=2, first=False, spoken=SAMPLES["dialogue-3"]):
    with rtnb.connect(practice=True, modalities="text", show=False) as session:
        asked = [lambda: session.ask(spoken), lambda: session.ask("I like tea, and I live in Bergen.")][:turns]
        side = lambda: session.side("Write one sentence.", about=ABOUT if about == "less" else None)  # noqa: E731
        made = [step().wait(30) for step in ([side, *asked] if first else [*asked, side])]
    return session, made[0 if first else -1]


def note_of_another():
    return noted()[0], noted(about="all")[1]


def with_ordinary_note():
    with rtnb.connect(practice=True, modalities="text", show=False) as session:
        session.ask("My name is Ada.").wait(30)
        return session, session.ask("Write one sentence.").wait(30)


# 8
OLD = "gpt-4o-realtime-preview-2024-10-01"
BETA = {"OpenAI-Beta": "realtime=v1"}
KEY = {"Authorization": "Bearer practice"}


@cache
def knock(model=OLD, *, beta=False, key=True):
    """A socket that was opened with these headers, whose first frame was read, and which is closed."""

    async def open_one():
        headers = (KEY if key else {}) | (BETA if beta else {})
        async with connect(f"{rtnb.practice().url}?model={model}", additional_headers=headers, proxy=None) as socket:
            await socket.recv()
            return socket

    return rtnb.run(open_one())


# 9.1: of 35 words four are wrong
HEARD = [
    "What is the capital of Norway?",
    "I would like to order a small pizza without mushrooms, please.",
    "Will it rain in Oslo this afternoon?",
    "The front wheel is lose and the brakes are weak.",
]


def class_usd(session):
    minutes = sum(turn.audio.seconds for turn in session.turns if turn.audio) / 60
    return session.cost.known_usd / minutes * 300


# --- the table --------------------------------------------------------------------------------------------------------
# Exercise, what is handed over, the verdict, words of its sentence.

TABLE = [
    ("01.1", "solution", lambda: ask(SAMPLES["weather"], "What is said here?", modalities="text"), "right", "cheapest"),
    ("01.1", "no recording", written, "wrong", "There is no input_audio_buffer.committed", "['weather']"),
    ("01.1", "the wrong clip", lambda: ask(SAMPLES["order"], "What is said?", modalities="text"),
     "wrong", "clip = 'order'"),
    ("01.1", "silence under the clip's name", lambda: ask(SILENCE, "What is said?", modalities="text"),
     "wrong", "'silence'"),
    ("01.1", "no question", lambda: ask(SAMPLES["weather"], modalities="text"), "wrong", "in words"),
    ("01.1", "with sound", lambda: ask(SAMPLES["weather"], "What is said here?"), "wrong", "modalities='text'"),
    ("01.1", "another question", lambda: ask(SAMPLES["weather"], "Count to three.", modalities="text"),
     "wrong", "Ask what is said"),
    ("01.1", "another's object", lambda: both(), "wrong", "of type Session", "reply"),
    ("01.2", "solution", lambda: (long(), long().audio.seconds / arrival(long())), "right", "of speech"),
    ("01.2", "as text", lambda: (long(), str(long().audio.seconds / arrival(long()))), "right", "speech"),
    ("01.2", "upside down", lambda: (long(), arrival(long()) / long().audio.seconds), "wrong", "upside down"),
    ("01.2", "milliseconds", lambda: (long(), 1000 * long().audio.seconds / arrival(long())), "wrong", "milliseconds"),
    ("01.2", "too much", lambda: (long(), 3 * long().audio.seconds / arrival(long())), "wrong", "too large", "Divide"),
    ("01.2", "a cheat", lambda: (long(), float("inf")), "wrong", "of type float", "single number"),
    ("01.2", "a written reply", lambda: (written(), 7), "wrong", "no sound"),
    ("01.2", "another's object", lambda: (both(), 7), "wrong", "of type Session"),
    ("01.3", "solution", both, "right", "two recordings"),
    ("01.3", "the question too early", lambda: both(question_last=False),
     "wrong", "conversation.item.create is there, but too early"),
    ("01.3", "one commit", lambda: both(commits=False), "wrong", "Commit the sample weather by itself"),
    ("01.3", "one of them silent", lambda: customer(SAMPLES["order"], SILENCE),
     "wrong", "'silence'"),
    ("01.3", "two sessions", separate, "wrong", "clip = 'weather'"),
    ("01.3", "no question", lambda: talk(SAMPLES["order"], SAMPLES["weather"]),
     "wrong", "There is no conversation.item.create"),
    ("01.3", "another's object", written, "wrong", "of type Reply", "session"),
    ("02.1", "solution", lambda: customer(*CUSTOMER), "right", "tokens"),
    ("02.1", "in one ask", lambda: talk((*CUSTOMER, "What is wrong?")), "right", "tokens"),
    ("02.1", "four answers", lambda: talk(*CUSTOMER, "What is wrong?"), "wrong", "response.done is there, 4 times"),
    ("02.1", "two of three", lambda: customer(*CUSTOMER[:2]), "wrong", "dialogue-5"),
    ("02.1", "one recording of all", lambda: customer(rtnb.join(CUSTOMER)), "wrong", "each by itself"),
    ("02.1", "the question first", lambda: talk("What is wrong?", CUSTOMER), "wrong", "too early", "after all three"),
    ("02.1", "one clip three times", lambda: customer(*[CUSTOMER[0]] * 3), "wrong", "clip = 'dialogue-1'"),
    ("02.1", "another's object", spoken, "wrong", "of type Reply"),
    ("02.2", "solution", lambda: certainly(), "right", "before the first word"),
    ("02.2", "as it stands", lambda: certainly(voice=None, asked="Be brief.", late_voice="sage"),
     "wrong", "voice = 'marin'", "voice='sage'"),
    ("02.2", "no instructions", lambda: certainly(instructions=None), "wrong", "connect(instructions="),
    ("02.2", "another voice", lambda: certainly(voice="cedar"), "wrong", "'cedar'"),
    ("02.2", "in Chinese", lambda: certainly(instructions="每个回答都以“当然”开头。"),
     "right", "before the first word"),
    ("02.2", "replaced", lambda: certainly(asked="Be brief."), "wrong", "does not begin with Certainly"),
    ("02.2", "in writing", lambda: certainly(modalities="text"), "wrong", "aloud"),
    ("02.2", "nothing said", lambda: steps(instructions=CERTAINLY, voice="sage"), "wrong", "There is no response.done"),
    ("02.2", "another's object", spoken, "wrong", "of type Reply"),
    ("02.3", "solution", lambda: (forgetting(delete=2), "pumpkin"), "right", "pumpkin"),
    ("02.3", "nothing deleted", lambda: (forgetting(delete=0), "pumpkin"),
     "wrong", "There is no conversation.item.deleted"),
    ("02.3", "the answer left", lambda: (forgetting(delete=1, ask_again=False), "pumpkin"),
     "wrong", "still in an item of: assistant"),
    ("02.3", "not asked again", lambda: (forgetting(delete=2, ask_again=False), "pumpkin"),
     "wrong", "Nothing was asked", "once more"),
    ("02.3", "another word", lambda: (forgetting(delete=2), "melon"), "wrong", "holds melon"),
    ("02.3", "a cheat: the answer deleted", lambda: (forgetting(delete=1, hide=True), "pumpkin"),
     "wrong", "Nothing was asked since"),
    ("02.3", "no word", lambda: (forgetting(delete=2), "  "), "wrong", "That text is empty"),
    ("02.3", "another's object", lambda: (spoken(), "pumpkin"), "wrong", "of type Reply"),
    ("03.1", "solution", lambda: walkie("send", "commit", "respond"), "right", "append, commit, respond"),
    ("03.1", "as it stands", lambda: walkie("send", "respond", "commit"),
     "wrong", "response.create is there, but too early"),
    ("03.1", "all at once", lambda: walkie("send", "commit", "respond", pace=False),
     "wrong", "sent_in_seconds", "tenths"),
    ("03.1", "a cheat: ask", lambda: talk(SAMPLES["order"]), "wrong", "sent_in_seconds", "tenths"),
    ("03.1", "not committed", lambda: walkie("send"), "wrong", "There is no input_audio_buffer.committed", "commit it"),
    ("03.1", "nobody asked", lambda: walkie("send", "commit"), "wrong", "There is no response.create"),
    ("03.1", "another clip", lambda: walkie("send", "commit", "respond", clip="question"), "wrong", "'question'"),
    ("03.1", "another's object", spoken, "wrong", "of type Reply"),
    ("03.2", "solution", lambda: (listened(900), listened(800, ends=2)), "right", "900 ms", "800 ms"),
    ("03.2", "not the least", lambda: (listened(2000), listened(1900)), "wrong", "eager waits for 1900 ms", "less"),
    ("03.2", "too far apart", lambda: (listened(1500), listened(300, ends=2)), "wrong", "1200 ms longer"),
    ("03.2", "both too eager", lambda: (listened(300, ends=2), listened(200, ends=2)), "wrong", "300 ms", "2 ends"),
    ("03.2", "another clip", lambda: (listened(600, clip=SAMPLES["question"] + SILENCE), listened(500)),
     "wrong", "was not sent thoughtful"),
    ("03.2", "nothing sent", lambda: (listened(1500, feed=False), listened(1400)), "wrong", "was not sent thoughtful"),
    ("03.2", "push to talk", lambda: (both(), listened(300, ends=2)), "wrong", "server_vad"),
    ("03.2", "another's object", lambda: (spoken(), written()), "wrong", "of type Reply"),
    ("03.3", "solution", lambda: cut(1 / 3), "right", "a third"),
    ("03.3", "not cut", lambda: cut(None), "wrong", "There is no conversation.item.truncated"),
    ("03.3", "nothing heard", lambda: cut(0), "wrong", "share_heard = 0.0", "audio_ms / 3"),
    ("03.3", "all heard", lambda: cut(1), "wrong", "share_heard = 1.0"),
    ("03.3", "a half", lambda: cut(1 / 2), "wrong", "share_heard = 0.5"),
    ("03.3", "another answer cut", another_cut, "wrong", "words = '1, 2, 3.'"),
    ("03.3", "another answer", lambda: cut(1 / 3, "Count to three."), "wrong", "count to thirty"),
    ("03.3", "another's object", spoken, "wrong", "of type Reply"),
    ("04.1", "solution", lambda: rising(sunrise), "right", "sunrise(city='Bergen')"),
    ("04.1", "as it stands", lambda: rising(lookup), "wrong", "called nothing", "docstring"),
    ("04.1", "no tool", written, "wrong", "question"),
    ("04.1", "no tool at all", lambda: ask("When does the sun rise in Bergen?", modalities="text"),
     "wrong", "had no tool"),
    ("04.1", "the notebook's own", lambda: rising(weather), "wrong", "weather is the notebook's own tool"),
    ("04.1", "a cheat: forced", lambda: rising(lookup, response={"tool_choice": "required"}), "wrong", "forced"),
    ("04.1", "no docstring", lambda: rising(undescribed()), "wrong", "docstring"),
    ("04.1", "another city", lambda: rising(sunrise, question="When does the sun rise in Oslo?"), "wrong", "Bergen"),
    ("04.1", "another's object", lambda: both(), "wrong", "of type Session"),
    ("04.2", "solution", lambda: refusing(ValueError("no trains to Bergen, only to Oslo and Trondheim")),
     "right", "no trains to Bergen"),
    ("04.2", "as it stands", lambda: refusing(KeyError("Bergen")), "wrong", "KeyError", "ValueError"),
    ("04.2", "no words", lambda: refusing(ZeroDivisionError()), "wrong", "ZeroDivisionError"),
    ("04.2", "one word", lambda: refusing(ValueError("Bergen")), "wrong", "whole sentence"),
    ("04.2", "an assertion", lambda: refusing(AssertionError("there are no trains to Bergen, only Oslo")),
     "wrong", "AssertionError"),
    ("04.2", "a sentence under another type", lambda: refusing(KeyError("no trains to Bergen, only to Oslo")),
     "right", "Oslo"),
    ("04.2", "no other city", lambda: refusing(ValueError("there is no train to Bergen today")),
     "wrong", "offers nothing else"),
    ("04.2", "no city", lambda: refusing(ValueError("there is no such train today")), "wrong", "Name the city"),
    ("04.2", "nothing raised", lambda: refusing("no trains to Bergen, only to Oslo"), "wrong", "went well", "raise"),
    ("04.2", "another's object", written, "wrong", "No tool was called"),
    ("04.3", "solution", lambda: (shown(), shown().usage.input_image_tokens), "right", "the picture"),
    ("04.3", "all tokens", lambda: (shown(), shown().usage.input_tokens), "wrong", "all that was read"),
    ("04.3", "the voice's tokens", lambda: (shown(), shown().usage.input_audio_tokens), "wrong", "the voice"),
    ("04.3", "some number", lambda: (shown(), 1), "wrong", "too small", "usage"),
    ("04.3", "in words", lambda: (ask(DOT, "What is this?", modalities="text"), 1), "wrong", "by voice"),
    ("04.3", "silence", lambda: (ask(DOT, SILENCE, modalities="text"), 1), "wrong", "'silence'"),
    ("04.3", "two turns", lambda: (two_turns(), 1), "wrong", "flag"),
    ("04.3", "another's object", lambda: (written(), 1), "wrong", "pictures = 0"),
    ("05.1", "solution", lambda: (*patient("quota"), "quota"), "right", "quota"),
    ("05.1", "another fault", lambda: (*patient("quota"), "drop"), "wrong", "It is not drop. How that shows"),
    ("05.1", "no fault of the level", lambda: (*patient("quota"), "rate_limit"),
     "wrong", "is not among the faults", "quota"),
    ("05.1", "a session with another server", lambda: (patient("quota")[0], both(), "quota"),
     "wrong", "another server"),
    ("05.1", "a server of no such fault", lambda: (*patient("expire:60"), "quota"), "wrong", "no fault of this level"),
    ("05.1", "another's object", lambda: (written(), both(), "quota"), "wrong", "of type Reply", "rtnb.practice"),
    ("05.2", "solution", lambda: (*patient("deaf"), "deaf"), "right", "deaf"),
    ("05.2", "another fault", lambda: (*patient("deaf"), "error"), "wrong", "It is not error. How that shows"),
    ("05.2", "no fault of the level", lambda: (*patient("deaf"), "rate_limit"),
     "wrong", "is not among the faults", "deaf"),
    ("05.2", "a session with another server", lambda: (patient("deaf")[0], both(), "deaf"), "wrong", "another server"),
    ("05.2", "a server of no such fault", lambda: (*patient("expire:60"), "deaf"), "wrong", "no fault of this level"),
    ("05.2", "another's object", lambda: (written(), both(), "deaf"), "wrong", "of type Reply", "rtnb.practice"),
    ("05.3", "solution", lambda: (*patient("faint"), "faint"), "right", "faint"),
    ("05.3", "another fault", lambda: (*patient("faint"), "pace"), "wrong", "It is not pace. How that shows"),
    ("05.3", "no fault of the level", lambda: (*patient("faint"), "rate_limit"),
     "wrong", "is not among the faults", "faint"),
    ("05.3", "a session with another server", lambda: (patient("faint")[0], both(), "faint"),
     "wrong", "another server"),
    ("05.3", "a server of no such fault", lambda: (*patient("expire:60"), "faint"), "wrong", "no fault of this level"),
    ("05.3", "another's object", lambda: (written(), both(), "faint"), "wrong", "of type Reply", "rtnb.practice"),
    ("06.1", "solution", lambda: (written(), bill(written())), "right", "gpt-realtime-2.1-mini"),
    ("06.1", "the small model's", lambda: (written(), written().cost.usd), "wrong", "own model"),
    ("06.1", "cents", lambda: (written(), 100 * bill(written())), "wrong", "in cents"),
    ("06.1", "not divided", lambda: (written(), 1e6 * bill(written())), "wrong", "million"),
    ("06.1", "the input alone", lambda: (written(), bill_in(written())), "wrong", "came out"),
    ("06.1", "three times", lambda: (written(), 3 * bill(written())), "wrong", "too large"),
    ("06.1", "words", lambda: (written(), "much"), "wrong", "of type str", "number"),
    ("06.1", "another's object", lambda: (both(), 1), "wrong", "of type Session"),
    ("06.2", "solution", three_turns, "right", "three answers"),
    ("06.2", "too small", lambda: poor(0.006), "wrong", "larger budget"),
    ("06.2", "too large", lambda: poor(0.03), "wrong", "smaller budget"),
    ("06.2", "another error", lambda: (poor(0.006)[0], ValueError("no")), "wrong", "ValueError is not about money"),
    ("06.2", "of another session", lambda: (poor(0.006)[0], poor(0.03)[1]), "wrong", "another budget, $0.03"),
    ("06.2", "of a session like it", lambda: (poor(0.006)[0], poor(0.006, "Hi.")[1]), "wrong", "another budget"),
    ("06.2", "no exception", lambda: (poor(0.006)[0], 42), "wrong", "of type int"),
    ("06.2", "another's object", lambda: (spoken(), poor(0.006)[1]), "wrong", "of type Reply"),
    ("06.3", "solution", lambda: (expensive(), cheap()), "right", "instead of"),
    ("06.3", "the same twice", lambda: (expensive(), expensive()), "wrong", "same reply twice"),
    ("06.3", "not cheaper", lambda: (cheap(), expensive()), "wrong", "half at most"),
    ("06.3", "another question", lambda: (expensive(), ask(SAMPLES["weather"], "Say one word.", modalities="text")),
     "wrong", "something else"),
    ("06.3", "another clip", lambda: (expensive(), ask(SAMPLES["order"], "Repeat it word by word.", modalities="text")),
     "wrong", "order"),
    ("06.3", "a cheat: nothing said", lambda: (expensive(), silenced()), "wrong", "of the first's words"),
    ("06.3", "another's object", lambda: (expensive(), both()), "wrong", "of type Session"),
    ("07.1", "solution", lambda: assistant(*TOUR), "right", "3 turns"),
    ("07.1", "no instructions", lambda: assistant(*TOUR, instructions=None), "wrong", "no instructions"),
    ("07.1", "the workshop's", lambda: assistant(*TOUR, instructions=WORKSHOP), "wrong", "workshop's instructions"),
    ("07.1", "the workshop's in Chinese", lambda: assistant(*TOUR, instructions="你是自行车修理铺的前台。"),
     "wrong", "workshop's instructions"),
    ("07.1", "the workshop's tool", lambda: assistant(*TOUR, tools=(book,)), "wrong", "book"),
    ("07.1", "no tool", lambda: assistant(*TOUR, tools=()), "wrong", "No tool"),
    ("07.1", "no recording", lambda: assistant("Hello.", *TOUR[1:]),
     "wrong", "There is no input_audio_buffer.committed"),
    ("07.1", "silence", lambda: assistant(SILENCE, *TOUR[1:]), "wrong", "'silence'"),
    ("07.1", "two turns", lambda: assistant(TOUR[0], TOUR[2]), "wrong", "2", "at least three"),
    ("07.1", "another's object", spoken, "wrong", "of type Reply"),
    ("07.2", "solution", lambda: replay("Count to three."), "right", "no key"),
    ("07.2", "nothing asked", lambda: replay(), "wrong", "There is no response.create"),
    ("07.2", "another question", lambda: replay("Do you sell helmets?"), "wrong", "Ask what was asked"),
    ("07.2", "not a replay", lambda: talk("Count to three."), "wrong", "answered by practice"),
    ("07.2", "another's object", spoken, "wrong", "of type Reply"),
    ("07.3", "solution", noted, "right", "does not remember"),
    ("07.3", "too much read", lambda: noted(about="all"), "wrong", "Half at most"),
    ("07.3", "nothing spoken", lambda: noted(spoken="My name is Ada."), "wrong", "recording"),
    ("07.3", "one turn", lambda: noted(turns=1), "wrong", "two turns"),
    ("07.3", "before the talk", lambda: noted(first=True), "wrong", "too early"),
    ("07.3", "an ordinary turn", with_ordinary_note, "wrong", "ordinary turn"),
    ("07.3", "of another session", note_of_another, "wrong", "another session"),
    ("07.3", "another's object", lambda: (spoken(), noted()[1]), "wrong", "of type Reply"),
    ("08.1", "solution", lambda: knock(beta=True), "right", "another name"),
    ("08.1", "as it stands", lambda: TypeError("got an unexpected keyword argument 'extra_headers'"),
     "wrong", "TypeError", "Fix"),
    ("08.1", "a header gone", knock, "wrong", "keep both headers"),
    ("08.1", "the key gone", lambda: knock(beta=True, key=False), "wrong", "without the key"),
    ("08.1", "another's object", written, "wrong", "of type Reply", "socket"),
    ("08.2", "solution", knock, "right", "closed with 4000"),
    ("08.2", "as it stands", lambda: knock(beta=True), "wrong", "OpenAI-Beta: realtime=v1"),
    ("08.2", "the key gone", lambda: knock(key=False), "wrong", "without the key"),
    ("08.2", "an error", lambda: OSError("no"), "wrong", "OSError"),
    ("08.2", "another's object", written, "wrong", "of type Reply"),
    ("08.3", "solution", lambda: knock(models.DEFAULT), "right", models.DEFAULT),
    ("08.3", "as it stands", knock, "wrong", "does not serve gpt-4o-realtime-preview-2024-10-01"),
    ("08.3", "one that ends", lambda: knock("gpt-realtime"), "wrong", "it ends on"),
    ("08.3", "the Beta again", lambda: knock(models.DEFAULT, beta=True), "wrong", "Beta is back"),
    ("08.3", "another's object", written, "wrong", "of type Reply"),
    ("08.4", "solution", lambda: (spoken(), spoken().text), "right", "characters"),
    ("08.4", "as it stands", lambda: (spoken(), UnboundLocalError("words")),
     "wrong", "UnboundLocalError", "print each part"),
    ("08.4", "a part", lambda: (spoken(), spoken().text[:3]), "wrong", "whole"),
    ("08.4", "a list", lambda: (spoken(), [spoken().text]), "wrong", "of type list"),
    ("08.4", "another's object", lambda: (both(), "1"), "wrong", "of type Session"),
    ("08.5", "solution", lambda: (spoken(), pcm(spoken())), "right", "another name"),
    ("08.5", "as it stands", lambda: (spoken(), b""), "wrong", "No sound, and no error"),
    ("08.5", "too few", lambda: (spoken(), pcm(spoken())[:-2]), "wrong", "every delta"),
    ("08.5", "a written reply", lambda: (written(), b""), "wrong", "This reply has no sound"),
    ("08.5", "another's object", lambda: (both(), b"1"), "wrong", "of type Session"),
    ("08.6", "solution", lambda: (both(), seen(both())), "right", "response.done"),
    ("08.6", "as it stands", lambda: (both(), TimeoutError()), "wrong", "TimeoutError", "never comes"),
    ("08.6", "too early", lambda: (both(), seen(both())[:-1]), "wrong", "more of the answer"),
    ("08.6", "one alone", lambda: (both(), ["response.done"]), "wrong", "in their order"),
    ("08.6", "an empty list", lambda: (both(), []), "wrong", "in their order"),
    ("08.6", "another's object", lambda: (written(), []), "wrong", "of type Reply"),
    ("09.1", "solution", lambda: (HEARD, 4 / 35), "right", "11.4%"),
    ("09.1", "in percent", lambda: (HEARD, 400 / 35), "wrong", "percent"),
    ("09.1", "mean of rates", lambda: (HEARD, (0 + 2 / 11 + 0 + 2 / 11) / 4), "wrong", "mean of four"),
    ("09.1", "too many", lambda: (HEARD, 0.5), "wrong", "too large"),
    ("09.1", "other texts", lambda: (HEARD[:3], 0.1), "wrong", "in their order"),
    ("09.1", "nothing heard", lambda: ([""] * 4, 1.0), "wrong", "in their order"),
    ("09.1", "another's object", lambda: (written(), 0.1), "wrong", "of type Reply"),
    ("09.2", "solution", lambda: listened(1050), "right", "one turn"),
    ("09.2", "too patient", lambda: listened(1500), "wrong", "1200"),
    ("09.2", "too eager", lambda: listened(300, ends=2), "wrong", "2 ends"),
    ("09.2", "another clip", lambda: listened(600, clip=SAMPLES["question"] + SILENCE), "wrong", "thoughtful"),
    ("09.2", "nothing sent", lambda: listened(1050, feed=False), "wrong", "thoughtful"),
    ("09.2", "another's object", written, "wrong", "of type Reply"),
    ("09.3", "solution", lambda: (both(), class_usd(both())), "right", "three times"),
    ("09.3", "one learner", lambda: (both(), class_usd(both()) / 30), "wrong", "one learner"),
    ("09.3", "one minute", lambda: (both(), class_usd(both()) / 10), "wrong", "one minute"),
    ("09.3", "in cents", lambda: (both(), class_usd(both()) * 100), "wrong", "in cents"),
    ("09.3", "nothing spoken", lambda: (talk("Count to three."), 1.0), "wrong", "Nothing was spoken"),
    ("09.3", "another's object", lambda: (written(), 1.0), "wrong", "of type Reply"),
]  # fmt: skip


def two_turns():
    with rtnb.connect(practice=True, modalities="text", show=False) as session:
        session.ask(DOT).wait(30)
        return session.ask(SAMPLES["question"]).wait(30)
