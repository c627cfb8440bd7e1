"""Measures of what was handed over, for what no attribute of it says; conditions name them."""

import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

from rtnb import models, money
from rtnb.audio import Clip, join
from rtnb.audio.shipped import samples
from rtnb.course.checkers.evidence import SILENCE, facts, is_clip
from rtnb.course.checkers.readers import Patient, Socket
from rtnb.errors import BudgetExceeded
from rtnb.money import Cost
from rtnb.protocol.log import Log
from rtnb.session.reply import Reply
from rtnb.session.session import Session
from rtnb.session.tools import ToolCall
from rtnb.texts.distances import edit_distances

# --- audio, and when it came ------------------------------------------------------------------------------------------


def deltas(reply: Reply) -> Log:
    """Return the audio deltas of a reply."""
    return reply.log.of("response.output_audio.delta")


def arrival_seconds(reply: Reply) -> float:
    """Return how long an answer's audio took to come: from its first delta to its last."""
    at = [entry.at_seconds for entry in deltas(reply)]
    return at[-1] - at[0] if at else 0.0


def times_faster(reply: Reply) -> float:
    """Return how many times faster the audio came than it plays."""
    return reply.audio.seconds / arrival_seconds(reply) if reply.audio else 0.0


def times_slower(reply: Reply) -> float:
    """Return the same upside down."""
    return 1 / times_faster(reply)


def times_faster_than_the_turn(reply: Reply) -> float:
    """Return the same, the time of sending and waiting counted too."""
    return times_faster(reply) * arrival_seconds(reply) / (deltas(reply)[-1].at_seconds - reply.log[0].at_seconds)


def size(data: bytes | str) -> int:
    """Return how many bytes or characters there are."""
    return len(data)


# --- a conversation and its items -------------------------------------------------------------------------------------


def secret_was_told(session: Session, secret: str) -> bool:
    """Return whether the learner sent an item with the secret."""
    items = session.log.of("conversation.item.create")
    return any(secret.casefold() in str(entry.silent.get("item")).casefold() for entry in items)


def secret_is_left_in(session: Session, secret: str) -> str:
    """Return the roles of the items that still hold the secret."""
    return ", ".join(turn.role for turn in session.turns if secret.casefold() in turn.words.casefold())


def asked_once_forgotten(session: Session, secret: str) -> bool:
    """Return whether words were sent after the last item that held the secret was deleted."""
    items = [entry.silent for entry in session.log.of("conversation.item.*") if entry.silent.get("item")]
    held = {event["item"].get("id") for event in items if secret.casefold() in str(event["item"]).casefold()}
    gone = [fact["at"] for fact in facts(session) if fact["type"].endswith(".deleted") and fact["item_id"] in held]
    later = [fact for fact in facts(session) if fact["at"] > gone[-1]]
    return any(fact.get("words") and fact["type"].endswith(".create") for fact in later)


def last_answer_knows(session: Session, secret: str) -> bool:
    """Return whether what was asked for last holds the secret, also where that answer was deleted since."""
    asked = [n for n, entry in enumerate(session.log) if entry.type == "response.create"]
    done = [entry.silent for entry in session.log[asked[-1] :] if entry.type == "response.done"]
    return secret.casefold() in str([event["response"].get("output") for event in done]).casefold()


# --- turn detection ---------------------------------------------------------------------------------------------------


def are_thoughtful(*sessions: Session) -> bool:
    """Return whether sessions were sent the notebook's `thoughtful`, the sample `order` with a pause in it, alone."""
    order = samples()["order"]
    thoughtful = join([order[:1.7], Clip.silence(0.9), order[1.7:]])
    return all(is_clip(session.log.heard.read(0, session.log.heard.size), thoughtful) for session in sessions)


def stops(session: Session) -> int:
    """Return how many ends of speech were detected."""
    return len(session.log.of("input_audio_buffer.speech_stopped"))


def silence_ms(session: Session) -> int:
    """Return how much silence a session waits for."""
    detection = ((session.conversation.session.get("audio") or {}).get("input") or {}).get("turn_detection") or {}
    return detection.get("silence_duration_ms") or 0


def gap_ms(patient: Session, eager: Session) -> int:
    """Return how much more silence the first session waits for than the second."""
    return silence_ms(patient) - silence_ms(eager)


def cut_ms(session: Session) -> int:
    """Return to how many milliseconds an answer was cut last."""
    return int(session.log.of("conversation.item.truncated")[-1].silent["audio_end_ms"])


# --- tools ------------------------------------------------------------------------------------------------------------


def last_call(reply: Reply) -> ToolCall:
    """Return the last call of a tool; one without a name where there is none."""
    return next(reversed(reply.tool_calls), ToolCall("", {}))


def is_forced(reply: Reply) -> bool:
    """Return whether the model had to call a tool, or a certain one."""
    asked = [entry.silent.get("response") or {} for entry in reply.log.of("response.create")]
    choices = [one.get("tool_choice") for one in (reply.session.conversation.session, *asked)]
    return any(choice not in (None, "auto", "none") for choice in choices)


def is_sentence(text: str) -> bool:
    """Return whether a text may be a sentence by its length: five words, or eight letters of Chinese."""
    return len(text.split()) >= 5 or sum(letter > "\u2e80" for letter in text) >= 8


def description(reply: Reply) -> str:
    """Return what the tool that was called last says about itself."""
    known = {getattr(tool, "name", ""): getattr(tool, "description", "") for tool in reply.session.tools}
    return str(known.get(last_call(reply).name, ""))


def refusal(reply: Reply) -> str:
    """Return what the exception of the last call said; "" where that is an assertion, which is for programmers."""
    cause = getattr(last_call(reply).error, "__cause__", None)
    return "" if isinstance(cause, AssertionError) else str(next(iter(getattr(cause, "args", ())), ""))


# --- the clinic -------------------------------------------------------------------------------------------------------


def is_with_the_server(server: Patient, visit: Session, _: str) -> bool:
    """Return whether a session was held with a server."""
    return visit.url.startswith(server.url)


def has_evidence(visit: Session) -> bool:
    """Return whether a session has anything to judge by: an error that ended it, or a question."""
    return visit.error is not None or bool(visit.log.of("response.create"))


# --- money ------------------------------------------------------------------------------------------------------------


def large_cost(reply: Reply) -> Cost:
    """Return what a turn costs on the large model."""
    return money.cost(reply.usage, "gpt-realtime-2.1")


def usd_in(cost: Cost) -> float:
    """Return the part of a cost that is for what the model read, in US dollars."""
    return sum(line.usd or 0.0 for line in cost.lines if "out" not in line.what)


def kind(error: BaseException) -> str:
    """Return the type of an exception."""
    return type(error).__name__


def is_of_the_session(session: Session, error: BudgetExceeded) -> bool:
    """Return whether the budget that was exceeded is the session's."""
    stopped = session if error.reply is None else error.reply.session
    return stopped is session and session.budget is not None and session.budget.limit_usd == error.limit_usd


def are_two(one: Reply, other: Reply) -> bool:
    """Return whether two replies are two."""
    return one is not other


def asked(reply: Reply) -> str:
    """Return what was asked in a turn: its recordings and words."""
    fields = {"input_audio_buffer.committed": "clip", "conversation.item.create": "words"}
    return ", ".join(sorted(str(fact[fields[fact["type"]]]) for fact in facts(reply) if fact["type"] in fields))


def asked_the_same(one: Reply, other: Reply) -> bool:
    """Return whether two turns have the same recordings and words."""
    return asked(one).casefold() == asked(other).casefold()


def share_of_cost(one: Reply, other: Reply) -> float:
    """Return which part of the first turn's cost the second is."""
    return other.cost.known_usd / one.cost.known_usd


def share_of_words(one: Reply, other: Reply) -> float:
    """Return which part of the first answer's words are in the second."""
    first, second = (set(reply.text.casefold().split()) for reply in (one, other))
    return len(first & second) / max(1, len(first))


# --- an assistant -----------------------------------------------------------------------------------------------------


def tools_of_the_workshop(session: Session) -> str:
    """Return the names of a session's tools that are the notebook's own."""
    return ", ".join({getattr(tool, "name", "") for tool in session.tools} & {"repair_price", "book"})


def results(session: Session) -> int:
    """Return how many calls of tools returned something."""
    items = [entry.silent.get("item") or {} for entry in session.log.of("conversation.item.create")]
    outputs = [item.get("output", "") for item in items if item.get("type") == "function_call_output"]
    return sum(not str(output).startswith("Error:") for output in outputs)


def user_turns(session: Session) -> int:
    """Return how many times the user said something, silence left out."""
    typed = [fact for fact in facts(session) if fact.get("words") and fact["type"].endswith(".create")]
    return len(typed) + sum(fact.get("clip", SILENCE) != SILENCE for fact in facts(session))


def is_of_the_talk(talk: Session, note: Reply) -> bool:
    """Return whether the note was taken in the same session."""
    return note.session is talk


def is_beside(reply: Reply) -> bool:
    """Return whether a reply stayed out of the conversation."""
    return all(response.conversation_id is None for response in reply.responses)


def last_tokens(session: Session) -> int:
    """Return how many tokens the last answer in the conversation has read."""
    answers = [one for one in session.conversation.responses.values() if one.conversation_id is not None and one.usage]
    return int((answers[-1].usage or {}).get("input_tokens", 0)) if answers else 0


def share_of_tokens(talk: Session, note: Reply) -> float:
    """Return how the tokens of the note compare with those of the talk's last answer."""
    return note.usage.input_tokens / max(1, last_tokens(talk))


def times_question(session: Session) -> int:
    """Return how many times the sample `question` was sent."""
    return sum(fact.get("clip") == "question" for fact in facts(session))


# --- an article to repair ---------------------------------------------------------------------------------------------


def model_asked_for(socket: Socket) -> str:
    """Return the model in the address of a socket."""
    query = urlsplit(socket.request.path).query if socket.request else ""
    return parse_qs(query).get("model", ["…"])[0]


def last_day(model: str) -> date | None:
    """Return the day on which a model ends; None while none is known."""
    return models.get(model).shutdown


def is_the_text(reply: Reply, words: str) -> bool:
    """Return whether a text is what an answer said."""
    return words == reply.text


def is_the_sound(reply: Reply, pcm: bytes) -> bool:
    """Return whether bytes are the audio of an answer."""
    return reply.audio is not None and pcm == reply.audio.pcm


def are_received(session: Session, seen: list[str]) -> bool:
    """Return whether types are those of the session's first server events, in order."""
    received = [entry.type for entry in session.log if entry.direction == "received"]
    return bool(seen) and seen == received[: len(seen)]


def seen_last(_: Session, seen: list[str]) -> str:
    """Return the last of the types."""
    return seen[-1]


# --- notebook 9 -------------------------------------------------------------------------------------------------------

_FOUR = ("question", "order", "weather", "dialogue-3")


def _words(text: object) -> list[str]:
    return re.findall(r"[\w']+", str(text).casefold())


def _counts(texts: list[str]) -> list[tuple[int, int]]:
    """Return the errors and the words of each of the four recordings."""
    said = [_words(samples().texts[name]) for name in _FOUR]
    return [(edit_distances(one, _words(text))[-1], len(one)) for one, text in zip(said, texts, strict=True)]


def are_of_four(texts: list[str], _: float) -> bool:
    """Return whether these may be what was heard of the four recordings: a text for each, not all without a word."""
    return len(texts) == len(_FOUR) and all(isinstance(text, str) for text in texts) and any(map(_words, texts))


def word_error_rate(texts: list[str], _: float) -> float:
    """Return the share of wrong words in all four."""
    return sum(errors for errors, _ in _counts(texts)) / sum(words for _, words in _counts(texts))


def mean_error_rate(texts: list[str], _: float) -> float:
    """Return the mean of the shares of each."""
    return sum(errors / words for errors, words in _counts(texts)) / len(_FOUR)


def wait_ms(session: Session) -> float:
    """Return after how much of the silence behind `thoughtful` its end was noticed."""
    (stop,) = session.log.of("input_audio_buffer.speech_stopped")
    return float(stop.silent["audio_end_ms"] - 1000 * (samples()["order"].seconds + 0.9))


def class_usd(session: Session) -> float:
    """Return what ten minutes of speech like this cost thirty learners, in US dollars."""
    minutes = sum(turn.audio.seconds for turn in session.turns if turn.audio) / 60
    return session.cost.known_usd / minutes * 10 * 30 if minutes else 0.0
