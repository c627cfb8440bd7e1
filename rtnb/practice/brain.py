"""The practice server's brain: offline, by rules, pure and deterministic.

It does what it was told as far as rules can (summarise, repeat, count, remember, spell, add up, call tools), answers
from the conversation so far, and says plainly what only a model could do. `Remote` is a real mind behind any
OpenAI-compatible chat endpoint, of the same shape.

How a turn is read: everything the user sent since the last answer. Typed words beside a recording are the request
and the recording is what it is about; a recording alone is both; the instructions speak where the user only talks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtnb.practice import choosing, languages, pictures, reading
from rtnb.practice.phrases import PHRASES, phrase
from rtnb.practice.remote import Remote
from rtnb.practice.thoughts import Brain, Call, Request, Say

__all__ = ["Brain", "Call", "Remote", "Request", "Say", "think"]


# ── What lies before us ───────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Turn:
    """What one side said until the other spoke."""

    typed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    clips: int = 0
    pictures: list[str] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)  # call_id, output

    @property
    def text(self) -> str:
        return " ".join([*self.typed, *self.heard])

    @property
    def empty(self) -> bool:
        return not (self.typed or self.clips or self.pictures or self.outputs)


@dataclass(slots=True)
class _Scene:
    """The conversation as the rules see it."""

    request: Request
    instructions: str = ""
    system: list[str] = field(default_factory=list)
    messages: list[tuple[_Turn, str]] = field(default_factory=list)  # every user message: its turn, its words
    answers: list[str] = field(default_factory=list)  # what we said, one an item
    calls: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # call_id → name, arguments
    turn: _Turn = field(default_factory=_Turn)  # the last one, which wants an answer
    language: str = "en"

    def say(self, key: str, **filled: object) -> str:
        return phrase(self.language, key, **filled)

    @property
    def earlier(self) -> list[str]:
        """What the user said before this turn, one entry a message."""
        return [words for turn, words in self.messages if turn is not self.turn and words]

    @property
    def material(self) -> str:
        """What a request such as "summarise this" is about."""
        turn = self.turn
        if turn.heard and turn.typed:
            return " ".join(turn.heard)
        request, rest = _command_and_rest(turn.text)
        if rest:
            return rest
        if turn.clips and not turn.typed and not _is_command(request):
            return " ".join(turn.heard)
        whole = bool(
            re.search(r"\b(?:all|everything|conversation|we|so far|both|clips|recordings)\b|全部|我们", request, re.I)
        )
        clips = [" ".join(other.heard) for other, _ in self._turns() if other.heard and other is not turn]
        if clips:
            return " ".join(clips if whole else clips[-1:])
        earlier = self.earlier
        return " ".join(earlier if whole or len(earlier) < 2 else earlier[-1:] or earlier)

    def _turns(self) -> list[tuple[_Turn, str]]:
        seen: list[tuple[_Turn, str]] = []
        for turn, words in self.messages:
            if not any(turn is other for other, _ in seen):
                seen.append((turn, words))
        return seen


def _look(request: Request) -> _Scene:
    scene = _Scene(request, instructions=request.instructions or "")
    turn = _Turn()
    for item in request.items:
        kind = item.get("type") or "message"
        if kind == "function_call":
            scene.calls[str(item.get("call_id"))] = (str(item.get("name")), _parsed(item.get("arguments")))
            if turn.typed or turn.clips:
                turn = _Turn()  # the question it came from is being answered
        elif kind == "function_call_output":
            turn.outputs.append((str(item.get("call_id")), str(item.get("output") or "")))
        elif kind == "message":
            role = item.get("role")
            parts = item.get("content") or []
            parts = [{"type": "input_text", "text": parts}] if isinstance(parts, str) else parts
            texts = [
                str(part.get("text") or part.get("transcript") or "").strip()
                for part in parts
                if isinstance(part, Mapping)
            ]
            joined = " ".join(text for text in texts if text)
            if role == "assistant":
                if joined:
                    scene.answers.append(joined)
                turn = _Turn()
            elif role == "system":
                if joined:
                    scene.system.append(joined)
            else:
                for part, text in zip((part for part in parts if isinstance(part, Mapping)), texts, strict=True):
                    if part.get("type") in ("input_audio", "audio"):
                        turn.clips += 1
                        turn.heard += [text] if text else []
                    elif part.get("type") in ("input_image", "image_url"):
                        turn.pictures.append(_url(part))
                    elif text:
                        turn.typed.append(text)
                scene.messages.append((turn, joined))
    scene.turn = turn
    scene.language = _language(scene)
    return scene


def _url(part: Mapping[str, Any]) -> str:
    url = part.get("image_url")
    return str(url.get("url") if isinstance(url, Mapping) else url or "")


def _parsed(arguments: Any) -> dict[str, Any]:
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return {}
    return dict(value) if isinstance(value, Mapping) else {}


# "answer in French", "speak Chinese", "in German, please", "用中文回答", "auf Deutsch", "en français"
_TONGUE = re.compile(
    r"\b(?:answer|answers|reply|replies|respond|responses?|speak|speaks|talk|converse|write|communicate|summari[sz]e|say|"
    r"explain|greet|repeat|continue|switch|use|language|only|always)\b[^.!?;]*?\b(?:in|to|only|using|with|is)?\b[^.!?;]*"
    r"|\bin\s+\w+\s*[.!?]*$|\bin\s+\w+,?\s+please|用[^。，]*|auf\s+\w+|en\s+\w+|in\s+het\s+\w+|in italiano|em\s+\w+",
    re.IGNORECASE,
)


def _asked_language(text: str) -> str | None:
    """The language an answer is asked for in, where rules see that one is."""
    for sentence in reading.sentences(text):
        # A language that is talked about or translated into is not one to answer in.
        if re.search(r"\btranslat|翻译|\btradu|übersetz|\bteacher\b|\btutor\b|\blearn", sentence, re.IGNORECASE):
            continue
        for match in _TONGUE.finditer(sentence):
            found = [code for code in languages.named(match.group()) if code in PHRASES]
            if found:
                return found[0]
    return None


def _language(scene: _Scene) -> str:
    turn = scene.turn
    if found := _asked_language(" ".join(turn.typed or turn.heard)):
        return found
    for words in reversed(scene.earlier):
        if re.search(
            r"\b(?:from now on|always|let's speak|let us speak|only)\b|从现在|désormais|ab jetzt", words, re.I
        ) and (found := _asked_language(words)):
            return found
    if found := _asked_language(" ".join([scene.instructions, *scene.system])):
        return found
    said = " ".join(turn.typed) or " ".join(turn.heard) or (scene.earlier[-1] if scene.earlier else "")
    guess = languages.guess(said, default=scene.request.prompt_language or "")
    if not guess:
        guess = languages.guess(scene.instructions)
    return guess if guess in PHRASES else "en"


# ── Reading a request ─────────────────────────────────────────────────────────────────────────────────────

# What is asked, each with the words that ask it. The first that matches is answered, so what is narrow stands first.
_ASKS: dict[str, str] = {
    "exactly": r"\b(?:say|reply|respond|answer|output)\s+(?:only|exactly|just|with only|with exactly|with just|with)\b",
    "translate": r"\btranslat|\bhow do (?:you|i) say\b|翻译|怎么说|\btradui|\btraduc|\btraduz|\bübersetz|翻訳",
    "classify": r"\b(?:classify|categori[sz]e|label|which of)\b",
    "summarise": r"\bsummar|\bsum (?:it |this |that )?up\b|\btl;?dr\b|\bgist\b|\b(?:main|key) (?:points?|ideas?|message)\b"
    r"|\bwhat (?:is|was|'s) (?:this|it|that|the (?:audio|clip|recording)\b.*) (?:all )?about\b|\brecap\b"
    r"|总结|概括|摘要|\brésum|\bresum|\briassum|zusammenfass|fass\w* .*zusammen|要約|まとめ",
    "name_is": r"\bwhat(?:'s| is|s) my name\b|\bwho am i\b|\b(?:do you )?(?:remember|know) my name\b|我叫什么|我的名字是什么"
    r"|comment je m['’]appelle|cómo me llamo|wie hei(?:ß|ss)e ich|come mi chiamo|私の名前は何|名前を覚えて",
    "said_first": r"\b(?:what|which)\b.*\bI\b.*\b(?:say|said|ask|asked|tell|told)\b.*\bfirst\b|\b(?:my|the) first"
    r" (?:question|message|sentence|thing)|我(?:最先|首先|第一)|was habe ich zuerst|dit en premier|dije primero",
    "said_last": r"\bwhat (?:did|have) i (?:just )?(?:say|said|ask|asked|tell)\b|\bwhat was my \w+ (?:question|message|sentence)"
    r"|\bwhat i (?:just )?said\b|我(?:刚才|刚刚)?说了什么|qu['’]est-ce que j['’]ai dit|qué (?:he dicho|dije)"
    r"|was habe ich (?:gerade )?gesagt|cosa ho detto",
    "talked": r"\bwhat (?:did|have|were) we (?:talk|discuss|speak|been talking|been discussing)\w*|我们(?:谈|聊|说)了?什么"
    r"|worüber haben wir|de quoi avons-nous|de qué hablamos",
    "i_said": r"\bwhat did you (?:just )?say\b|\b(?:say|repeat) (?:that|it) again\b|\brepeat (?:that|yourself|your (?:last )?answer)\b"
    r"|^\s*(?:pardon|sorry|come again|again)\s*\?|你(?:刚才)?说了?什么|再说一遍",
    "count_to": r"\bcount (?:from|to|up|down|back)",
    "count": r"\bhow many\b|\bcount\b|\bnumber of (?:words|sentences|clips|recordings|letters|messages)\b|多少|几个|数一数"
    r"|\bcombien de\b|\bcuánt[ao]s\b|\bwie ?viele\b",
    "spell": r"\bspell\b|\bletter by letter\b|拼写|\bépel|\bdeletre|\bbuchstabier",
    "which_word": r"\b(?:first|last|longest|shortest) word\b",
    "reverse": r"\b(?:backwards?|in reverse|reversed?)\b",
    "transcribe": r"\btranscri|\bwrite (?:down|out) what\b|\bverbatim\b|\bword for word\b|\bwhat (?:is|was) (?:being )?said\b"
    r"|\bwhat does (?:the|this|it|he|she|my)\b.*\bsay\b|\bwhat (?:is|was) (?:the )?(?:person|speaker|he|she)\b.*\bsay"
    r"|\bwhat (?:did|do) you hear\b|转写|听到了?什么|\btranscris|\btranskrib|書き起こ",
    "repeat": r"\brepeat\b|\bsay (?:it|this|that) (?:back|again|after)\b|\becho\b|重复|跟读|\brépèt|\brepite|\bwiederhol|\bripeti|繰り返",
    "practise": r"\b(?:something|thing|one thing|sentence|exercise)\b.*\bpractis\w*\b|\bpractic\w*\b.*\b(?:thing|sentence|exercise)"
    r"|\bgive me (?:one|an) (?:thing|exercise)\b|\bthing to practi[cs]e\b|\bwhat should i practi[cs]e\b|练习一下",
    "say": r"^\W*(?:please |can you |could you |now |just )*(?:say|read(?: aloud| out)?|pronounce)\b(?! (?:hello|hi)\b.*\bto\b)|请?说[：:“]",
    "clock": r"\bwhat(?:'s| is) the (?:time|date)\b|\bwhat time is it\b|\bwhat (?:day|date|month|year) is (?:it|today)\b"
    r"|\btoday's date\b|现在几点|今天(?:几号|星期几)|quelle heure|qué hora|wie spät|wieviel uhr",
    "who": r"\bwho are you\b|\bwhat are you\b|\bare you (?:a|an|real|human|chatgpt|gpt|ai)\b|\bwhat(?:'s| is) your name\b|\bintroduce yourself\b"
    r"|你是谁|你叫什么|qui es-tu|qui êtes-vous|quién eres|wer bist du|chi sei|あなたは誰",
    "can": r"\bwhat can you do\b|\bhow can you help\b|\bwhat do you do\b|\bhelp me\?|你能做什么|que sais-tu faire|qué puedes hacer|was kannst du",
    "hear_you": r"\b(?:can|do|did) you hear (?:me|this|that)\b|\bare you (?:there|listening)\b|听得到|听见我|m['’]entend|me oyes|hörst du mich",
    "fine": r"\bhow are you\b|\bhow(?:'s| is) it going\b|你好吗|comment (?:ça va|vas|allez)|cómo est[áa]s|wie geht|come stai|元気",
    "invent": r"\b(?:tell|write|make|compose|sing|give|create|invent)\b.*\b(?:story|joke|poem|song|haiku|rap|riddle|essay|letter)\b"
    r"|讲个?(?:笑话|故事)|写一?首",
    "ask_me": r"\bask me\b|\bquiz me\b|问我",
    "thanks": r"^\W*(?:ok(?:ay)?,? |great,? )?(?:thanks|thank you|cheers)\b|谢谢|^\W*merci\b|^\W*gracias\b|^\W*danke\b|^\W*grazie\b|ありがとう",
    "bye": r"^\W*(?:ok(?:ay)?,? )?(?:good ?bye|bye|see you|good night)\b|再见|au revoir|\badiós\b|auf wiedersehen|tschüss|arrivederci|さようなら",
    "greet": r"^\W*(?:hello|hi|hey|good (?:morning|afternoon|evening)|greetings|bonjour|salut|hola|hallo|guten (?:tag|morgen)|ciao"
    r"|olá|你好|您好|こんにちは)(?![\w'-])|\b(?:greet|welcome|say (?:hello|hi)(?: to)?)\b",
}
_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _ASKS.items()}
# Asks that instructions can make of every answer ("You are an echo. Repeat what the user says.").
_STANDING = (
    "exactly",
    "translate",
    "classify",
    "summarise",
    "count",
    "spell",
    "reverse",
    "transcribe",
    "repeat",
    "say",
    "greet",
)
_IMPERATIVE = re.compile(
    r"^\W*(?:please|always|only|just|simply|now|then|first|you (?:must|should|will|only|always)|your (?:task|job) is to|never)*\s*"
    r"(?:please|always|only|just|simply)?\s*(?:summar|sum|repeat|echo|translat|transcrib|count|spell|greet|welcome|say|reply"
    r"|respond|answer|classif|categor|label|revers|output|read|write|总结|重复|翻译|回答)",
    re.IGNORECASE,
)


def _ask(text: str) -> str | None:
    return next((name for name, pattern in _COMPILED.items() if pattern.search(text)), None)


def _is_command(text: str) -> bool:
    ask = _ask(text)
    return ask is not None and ask not in ("greet", "thanks", "bye", "fine")


def _command_and_rest(text: str) -> tuple[str, str]:
    """Tell the request in a text from the text it is about: "Summarise this: …", "… Now count the words." """
    lead = re.match(r"(?s)(.{3,120}?[^\d:])[:：]\s*(\S.{12,})$", text)
    if lead and _ask(lead[1]):
        return lead[1], lead[2].strip(" \"'“”")
    marked = reading.quoted(text)
    if marked and max(map(len, marked)) > 12:
        longest = max(marked, key=len)
        outside = text.replace(longest, " ")
        if _ask(outside):
            return outside, longest
    parts = reading.sentences(text)
    commands = [index for index, part in enumerate(parts) if _is_command(part)]
    if commands and len(parts) > len(commands):
        rest = [part for index, part in enumerate(parts) if index not in commands]
        rest = [part for part in rest if len(reading.content(part)) >= 2]
        if rest:
            return " ".join(parts[index] for index in commands), " ".join(rest)
    return text, ""


def _standing(scene: _Scene) -> tuple[str, str] | None:
    """What the instructions ask of this answer whatever the user says: the ask and the sentence that makes it."""
    for text in [scene.instructions, *reversed(scene.system)]:
        for sentence in reading.sentences(text):
            if re.search(r"\b(?:if|when|whenever|unless|in case)\b|如果|wenn|quand|cuando", sentence, re.IGNORECASE):
                continue
            if not _IMPERATIVE.search(sentence):
                continue
            for name in _STANDING:
                if _COMPILED[name].search(sentence):
                    return name, sentence
    return None


# ── Length and manner ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Limits:
    words: int | None = None
    sentences: int | None = None
    prefix: str = ""
    suffix: str = ""


def _limits(scene: _Scene) -> _Limits:
    """How long the answer may be, and how it must begin and end: the user's word over the instructions'."""
    own = " ".join(scene.turn.typed or scene.turn.heard)
    standing = " ".join([scene.instructions, *scene.system])
    words = sentence_count = None
    for text in (own, standing):
        for number in reading.numbers(text):
            before, after = text[: number.start].casefold(), text[number.end :].casefold()
            asked = re.search(
                r"(?:\b(?:in|with|using|to|of|than|most|most of|within|exactly|only|under|say|limit\w*|keep\b.*)|^|[,:(])\s*(?:about |exactly |only |just |at most |no more than |fewer than |max(?:imum)? )?$",
                before,
            )
            if words is None and asked and re.match(r"[\s-]*words?\b", after) and number.value >= 1:
                words = int(number.value)
            if (
                sentence_count is None
                and asked
                and re.match(
                    r"[\s-]*(?:short |simple |brief )?(?:sentences?|lines?|bullets?|points?|bullet points?)\b", after
                )
            ):
                sentence_count = max(1, int(number.value))
        if sentence_count is None and re.search(
            r"\b(?:in|as) (?:a|one|a single) (?:short |single |brief )?sentence\b|\bone-sentence\b|一句话|en une phrase|en una frase|in einem satz|in una frase",
            text,
            re.I,
        ):
            sentence_count = 1
        if words is None and re.search(r"\b(?:in|with) (?:a|one|a single) word\b|\bone-word\b", text, re.I):
            words = 1
        if sentence_count is None and re.search(
            r"\b(?:be |very |answer |reply |speak )?(?:brief(?:ly)?|concise(?:ly)?|short answers?|succinct(?:ly)?)\b|简短|简洁|brièvement|kurz\b",
            text,
            re.I,
        ):
            sentence_count = 2
    prefix = suffix = ""
    for text in (own, standing):
        begin = re.search(
            r"\b(?:start|begin|open)\w*\b[^.!?\"“”‘’']*?\b(?:with|by saying)\b[^\"“‘']*(\"[^\"]+\"|“[^”]+”|'[^']+'|‘[^’]+’)",
            text,
            re.I,
        )
        end = re.search(
            r"\b(?:end|finish|close|conclude)\w*\b[^.!?\"“”‘’']*?\b(?:with|by saying)\b[^\"“‘']*(\"[^\"]+\"|“[^”]+”|'[^']+'|‘[^’]+’)",
            text,
            re.I,
        )
        prefix = prefix or (begin[1][1:-1].strip() if begin else "")
        suffix = suffix or (end[1][1:-1].strip() if end else "")
    return _Limits(words, sentence_count, prefix, suffix)


def _fit(said: Sequence[str], limits: _Limits) -> list[str]:
    parts = [sentence for text in said for sentence in _split_said(text)]
    if limits.sentences is not None:
        parts = parts[: limits.sentences]
    if limits.words is not None:
        kept: list[str] = []
        left = limits.words
        for part in parts:
            tokens = part.split()
            if part and not part.isascii() and len(tokens) < 2 and len(part) > left:
                tokens = list(part)
                kept.append("".join(tokens[:left]))
                break
            if len(tokens) > left:
                if left:
                    kept.append(
                        " ".join(tokens[:left]).rstrip(',;:“”"') + ("" if tokens[left - 1][-1:] in ".!?" else ".")
                    )
                break
            kept.append(part)
            left -= len(tokens)
        parts = kept
    if limits.prefix:
        parts = [_closed(limits.prefix), *parts]
    if limits.suffix:
        parts = [*parts, _closed(limits.suffix)]
    return [part for part in parts if part.strip()]


def _closed(text: str) -> str:
    return text if text[-1:] in ".!?。！？…" else f"{text}."


def _split_said(text: str) -> list[str]:
    """Our own sentences, a quotation kept whole unless it is long."""
    if len(text) <= 160:
        return [text]
    return reading.sentences(text) or [text]


# ── Answers ───────────────────────────────────────────────────────────────────────────────────────────────

_Rule = Callable[[_Scene, str], list[str]]


def _joined(scene: _Scene, names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    if scene.language in ("zh", "ja"):
        return "、".join(names[:-1]) + phrase(scene.language, "and") + names[-1]
    return ", ".join(names[:-1]) + f" {phrase(scene.language, 'and')} " + names[-1]


def _exactly(scene: _Scene, ask: str) -> list[str]:
    marked = reading.quoted(ask)
    if marked:
        return [marked[-1]]
    found = re.search(
        r"\b(?:say|reply|respond|answer|output)\s+(?:only|exactly|just|with)(?:\s+(?:only|exactly|just|with|the words?|the sentence))*\s*:?\s*(.+)$",
        ask,
        re.IGNORECASE | re.DOTALL,
    )
    if not found or re.match(r"(?:in|a|an|one|two|three|the|short|your|\d)\b", found[1], re.IGNORECASE):
        return []
    return [found[1].strip(" \"'")]


def _translate(scene: _Scene, ask: str) -> list[str]:
    material = scene.material
    return [scene.say("no_translation"), *([scene.say("heard", x=material)] if material else [])]


def _classify(scene: _Scene, ask: str) -> list[str]:
    options = reading.quoted(ask)
    if len(options) < 2:
        listed = re.search(
            r"(?:as|into|is it|of|:)\s+(?:either\s+)?((?:[\w -]+,\s*)*[\w -]+?,?\s+or\s+[\w -]+)", ask, re.IGNORECASE
        )
        options = [part.strip() for part in re.split(r",\s*(?:or\s+)?|\s+or\s+", listed[1])] if listed else []
    options = [option for option in options if option]
    if len(options) < 2:
        return []
    roots = set(reading.content(scene.material or " ".join(words for _, words in scene.messages)))
    scores = [len(roots & set(reading.content(option))) for option in options]
    if max(scores) == 0:
        other = next(
            (o for o in options if reading.stem(o) in ("other", "unknown", "unclear", "none", "neutral", "neutr")), None
        )
        return [scene.say("fits", x=other)] if other else [scene.say("no_answer")]
    return [scene.say("fits", x=options[scores.index(max(scores))])]


def _summarise(scene: _Scene, ask: str) -> list[str]:
    material = scene.material
    if not material:
        return [scene.say("heard_nothing" if scene.turn.clips else "nothing_to_summarise")]
    limits = _limits(scene)
    foreign = languages.guess(material, default=scene.language) != scene.language
    if limits.words is not None:
        return [" ".join(reading.keywords(material, limits.words)) + "."]
    best = reading.summary(material, limits.sentences)
    return [scene.say("own_words" if foreign else "summary", x=best[0]), *best[1:]]


def _name_is(scene: _Scene, ask: str) -> list[str]:
    name = reading.last_name([words for _, words in scene.messages])
    return [scene.say("your_name", x=name) if name else scene.say("no_name")]


def _said_first(scene: _Scene, ask: str) -> list[str]:
    earlier = scene.earlier
    return [scene.say("said_first", x=earlier[0]) if earlier else scene.say("said_nothing")]


def _said_last(scene: _Scene, ask: str) -> list[str]:
    earlier = scene.earlier
    about = re.search(r"\babout\s+(.+?)[?.!]*$", ask, re.IGNORECASE)
    if about and (found := _find(scene, about[1])):
        return [scene.say("said", x=found)]
    nth = next((number for number in reading.numbers(ask) if number.ordinal), None)
    if nth is not None and 0 < int(nth.value) <= len(earlier):
        return [scene.say("said", x=earlier[int(nth.value) - 1])]
    if scene.turn.heard and scene.turn.typed:
        return [scene.say("said", x=" ".join(scene.turn.heard))]
    return [scene.say("said_last", x=earlier[-1]) if earlier else scene.say("said_nothing")]


def _talked(scene: _Scene, ask: str) -> list[str]:
    topics = reading.keywords(" ".join(words for words in scene.earlier if not _is_command(words)), 4)
    topics = topics or reading.keywords(" ".join(scene.earlier), 4)
    return [scene.say("talked", x=_joined(scene, topics)) if topics else scene.say("talked_nothing")]


def _i_said(scene: _Scene, ask: str) -> list[str]:
    if not scene.answers:
        return [scene.say("i_said_nothing")]
    return [
        scene.answers[-1]
        if re.search(r"again|repeat|pardon|再", ask, re.I)
        else scene.say("i_said", x=scene.answers[-1])
    ]


def _count_to(scene: _Scene, ask: str) -> list[str]:
    values = [int(number.value) for number in reading.numbers(ask)]
    if not values:
        return []
    down = bool(re.search(r"\b(?:down|backwards?)\b", ask, re.IGNORECASE))
    first, last = (values[0], values[1]) if len(values) > 1 else (values[0], 1) if down else (1, values[0])
    if abs(last - first) > 200:
        last = first + (200 if last > first else -200)
    step = 1 if last >= first else -1
    return [", ".join(str(value) for value in range(first, last + step, step)) + "."]


def _plural(scene: _Scene, key: str, count: int) -> list[str]:
    one = {
        "count_words": "count_word",
        "count_clips": "count_clip",
        "count_turns": "count_turn",
        "count_sentences": "count_sentence",
    }
    return [scene.say(one[key])] if count == 1 else [scene.say(key, x=count)]


def _count(scene: _Scene, ask: str) -> list[str]:
    if not re.search(r"\bwords?\b|\bsentences?\b|\bletters?\b", ask, re.I) and re.search(
        r"\b(?:clips?|recordings?|audios?|files?)\b|录音|enregistrement|grabacion|aufnahme", ask, re.I
    ):
        turns = {id(turn): turn.clips for turn, _ in scene.messages}
        return _plural(scene, "count_clips", sum(turns.values()))
    if re.search(r"\b(?:times|turns|messages|questions)\b|几次|combien de fois|cuántas veces|wie oft", ask, re.I):
        return _plural(scene, "count_turns", len(scene.messages) - (1 if scene.turn.text else 0) or len(scene.messages))
    letters = re.search(r"\bletters?\b.*?\b(?:in|does|has|of)\s+(?:the word\s+)?[\"“']?([^\W\d_]+)", ask, re.IGNORECASE)
    if letters:
        return [scene.say("count_letters", word=letters[1], x=len(letters[1]))]
    if re.search(r"\bsentences?\b|几句|\bphrases\b|\bsätze\b|\bfrases\b", ask, re.I):
        return _plural(scene, "count_sentences", len(reading.sentences(scene.material)))
    one = re.search(r"\bhow many times\b.*?[\"“']([^\"”']+)", ask, re.IGNORECASE)
    if one:
        return _plural(scene, "count_turns", len(re.findall(re.escape(one[1]), scene.material, re.IGNORECASE)))
    if (
        re.search(r"\bwords?\b|几个词|多少(?:个)?(?:词|字)|\bmots\b|\bpalabras\b|\bwörter\b|\bworte\b", ask, re.I)
        or scene.material
    ):
        return (
            _plural(scene, "count_words", len(reading.words(scene.material)))
            if re.search(r"\bcount\b|\bwords?\b|词|字|\bmots\b|\bpalabras\b|\bw[öo]rte", ask, re.I)
            else []
        )
    return []


def _spell(scene: _Scene, ask: str) -> list[str]:
    marked = reading.quoted(ask)
    found = re.search(
        r"\bspell(?:s|ed)?\s+(?:out\s+)?(?:the (?:word|name)\s+)?(.+?)(?:\s+(?:for me|please))?[?.!]*$",
        ask,
        re.IGNORECASE,
    )
    what = marked[0] if marked else found[1] if found else ""
    if re.fullmatch(r"(?i)my name", what):
        what = reading.last_name([words for _, words in scene.messages]) or ""
    if not what or re.match(r"(?i)(?:it|that|this|what|every|each|the (?:last|first)|back)\b", what):
        source = reading.words(scene.material)
        what = source[-1] if source else ""
    letters = [character.upper() for character in what if character.isalnum() or character == " "]
    if not letters:
        return []
    return [f"{what}: " + ", ".join("–" if letter == " " else letter for letter in letters[:60]) + "."]


def _which_word(scene: _Scene, ask: str) -> list[str]:
    found = reading.words(scene.material)
    which = re.search(r"\b(first|last|longest|shortest) word\b", ask, re.IGNORECASE)
    if not found or not which:
        return [scene.say("heard_nothing")]
    kind = which[1].casefold()
    word = {
        "first": found[0],
        "last": found[-1],
        "longest": max(found, key=len),
        "shortest": min(found, key=len),
    }[kind]
    return [_closed(f"“{word}”")]


def _reverse(scene: _Scene, ask: str) -> list[str]:
    found = reading.words(scene.material)
    return [_closed(" ".join(reversed(found)))] if found else [scene.say("heard_nothing")]


def _transcribe(scene: _Scene, ask: str) -> list[str]:
    if not scene.material:
        return [scene.say("heard_nothing")]
    return [_closed(scene.material)]


def _repeat(scene: _Scene, ask: str) -> list[str]:
    after = re.search(
        r"\brepeat\s+(?:after me|this|the (?:following|words?|sentence|phrase))?\s*[:,]?\s*[\"“']?(.+?)[\"”']?$",
        ask,
        re.IGNORECASE | re.DOTALL,
    )
    own = after[1].strip() if after else ""
    vague = re.match(
        r"(?i)(?:what|that|this|it|everything|back|my|the (?:user|audio|clip|recording|words|last|sentence|message)|after|exactly|to me|me|please|again|the)\b.*",
        own,
    )
    if own and not vague and ask in scene.turn.text:
        return [_closed(own)]
    material = scene.material
    if not material and scene.turn.text and ask not in scene.turn.text:
        material = scene.turn.text
    return [_closed(material)] if material else [scene.say("heard_nothing" if scene.turn.clips else "said_nothing")]


def _practise(scene: _Scene, ask: str) -> list[str]:
    said = [
        sentence
        for turn, words in scene.messages
        if turn is not scene.turn or turn.heard
        for sentence in reading.sentences(" ".join(turn.heard) if turn.heard else words)
        if not _is_command(sentence)
    ]
    if not said:
        return [scene.say("said_nothing")]
    fitting = [sentence for sentence in said if 4 <= len(reading.words(sentence)) <= 16] or said
    return [scene.say("practise", x=max(fitting, key=lambda sentence: len(reading.content(sentence))))]


def _say(scene: _Scene, ask: str) -> list[str]:
    marked = reading.quoted(ask)
    if marked:
        return [marked[0]]
    found = re.search(
        r"\b(?:say|pronounce|read)\s+(?:aloud|out loud|out|this|the (?:following|words?|sentence)|to me)?\s*[:,]?\s*(.+)$",
        ask,
        re.IGNORECASE | re.DOTALL,
    ) or re.search(r"说[：:“]?(.+?)”?$", ask)
    what = found[1].strip() if found else ""
    if not what or re.match(r"(?i)(?:something|anything|what|it|that|this|a few|nothing|the|a|your|my)\b", what):
        material = scene.material
        return [_closed(material)] if material and re.match(r"(?i)(?:it|that|this|what|the)\b", what) else []
    what = re.sub(r"(?i)\s+(?:please|to me|for me|in [a-z]+)[.!?]*$", "", what)
    return [_closed(what)]


def _clock(scene: _Scene, ask: str) -> list[str]:
    for text in [*reversed(scene.system), scene.instructions]:
        for sentence in reading.sentences(text):
            if re.search(
                r"\b(?:today|date|time|now|currently)\b.*(?:\d|day\b)|今天|现在", sentence, re.IGNORECASE
            ) and (reading.dates(sentence) or reading.times(sentence) or re.search(r"\d{4}", sentence)):
                return [scene.say("told", x=sentence)]
    return [scene.say("no_clock")]


def _who(scene: _Scene, ask: str) -> list[str]:
    name = _persona(scene)
    return [*([scene.say("intro_as", x=name)] if name else []), scene.say("who")]


def _can(scene: _Scene, ask: str) -> list[str]:
    return [scene.say("can")]


def _hear_you(scene: _Scene, ask: str) -> list[str]:
    heard = " ".join(scene.turn.heard)
    return [scene.say("hear_you"), *([scene.say("heard", x=heard)] if heard else [])]


def _fine(scene: _Scene, ask: str) -> list[str]:
    return [scene.say("fine")]


def _invent(scene: _Scene, ask: str) -> list[str]:
    return [*_heard_line(scene), scene.say("no_invention")]


def _ask_me(scene: _Scene, ask: str) -> list[str]:
    topics = reading.keywords(" ".join(words for words in scene.earlier if not _is_command(words)), 1)
    return [scene.say("question_about", x=topics[0]) if topics else scene.say("question")]


def _thanks(scene: _Scene, ask: str) -> list[str]:
    return [scene.say("thanks")]


def _bye(scene: _Scene, ask: str) -> list[str]:
    return [scene.say("bye")]


def _greet(scene: _Scene, ask: str) -> list[str]:
    name = reading.last_name([words for _, words in scene.messages])
    return [scene.say("greet_name", x=name) if name else scene.say("greet")]


_ANSWERS: dict[str, _Rule] = {
    "exactly": _exactly,
    "translate": _translate,
    "classify": _classify,
    "summarise": _summarise,
    "name_is": _name_is,
    "said_first": _said_first,
    "said_last": _said_last,
    "talked": _talked,
    "i_said": _i_said,
    "count_to": _count_to,
    "count": _count,
    "spell": _spell,
    "which_word": _which_word,
    "reverse": _reverse,
    "transcribe": _transcribe,
    "repeat": _repeat,
    "practise": _practise,
    "say": _say,
    "clock": _clock,
    "who": _who,
    "can": _can,
    "hear_you": _hear_you,
    "fine": _fine,
    "invent": _invent,
    "ask_me": _ask_me,
    "thanks": _thanks,
    "bye": _bye,
    "greet": _greet,
}


def _persona(scene: _Scene) -> str | None:
    found = re.search(
        r"\b(?:[Yy]our name is|[Yy]ou are called|[Yy]ou're called|[Yy]ou are|[Yy]ou're|[Aa]ct as)\s+([A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)?)(?=[,.!?;]|\s+(?:and|the|a|an|from|who)\b|$)",
        scene.instructions,
    )
    return found[1] if found else None


def _heard_line(scene: _Scene) -> list[str]:
    heard = " ".join(scene.turn.heard)
    if heard:
        return [scene.say("heard", x=heard)]
    return [scene.say("heard_nothing")] if scene.turn.clips and not scene.turn.typed else []


def _find(scene: _Scene, question: str) -> str | None:
    """The sentence of the conversation, or of the instructions, that shares most with a question."""
    wanted = set(reading.content(question)) - {
        "mention",
        "speak",
        "speaker",
        "audio",
        "record",
        "clip",
        "person",
        "thing",
        "remember",
        "talk",
    }
    if not wanted:
        return None
    pool = [
        sentence
        for turn, words in scene.messages
        for text in ([words] if turn is not scene.turn else turn.heard if turn.typed else [])
        for sentence in reading.sentences(text)
        if not sentence.rstrip().endswith(("?", "？"))
    ]
    scored = [(len(wanted & set(reading.content(sentence))), index) for index, sentence in enumerate(pool)]
    best, index = max(scored, default=(0, -1))
    # Half of what is asked about must be there, or we would answer beside the point.
    return pool[index] if best and best * 2 >= len(wanted) else None


def _is_question(text: str) -> bool:
    return bool(
        re.search(
            r"[?？]\s*$|^\W*(?:what|who|where|when|why|how|which|whose|is|are|was|were|do|does|did|can|could|would|will|should"
            r"|explain|tell me|describe|qui|que|quoi|où|comment|pourquoi|cuál|qué|quién|dónde|wer|wie|wo|warum)\b|吗|什么|谁|哪",
            text,
            re.IGNORECASE,
        )
    )


def _pictures(scene: _Scene) -> list[str]:
    said = []
    for url in scene.turn.pictures:
        seen = pictures.describe(url)
        if seen is None:
            said.append(scene.say("picture_unknown"))
        else:
            kind, width, height = seen
            said.append(scene.say("picture", kind=kind, width=width, height=height))
    return said


def _told(value: Any) -> str:
    """A tool's result in words."""
    if isinstance(value, Mapping):
        return ", ".join(_entry(str(key), inner) for key, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return reading.spoken_number(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_told(inner) for inner in value) or "nothing"
    return "nothing" if value is None else str(value).strip().rstrip(".。")


_UNITS = {
    "c": "degrees Celsius",
    "celsius": "degrees Celsius",
    "f": "degrees Fahrenheit",
    "fahrenheit": "degrees Fahrenheit",
    "percent": "percent",
    "pct": "percent",
    "kmh": "kilometres an hour",
    "mph": "miles an hour",
    "usd": "dollars",
    "eur": "euros",
    "km": "kilometres",
    "seconds": "seconds",
    "minutes": "minutes",
}


def _entry(key: str, value: Any) -> str:
    """One entry of a result, a unit in its name read out behind its number."""
    name, _, unit = _plain(key).rpartition(" ")
    if name and unit in _UNITS and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{name} {_told(value)} {_UNITS[unit]}"
    return f"{_plain(key)} {_told(value)}"


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)).casefold() or name


def _outputs(scene: _Scene) -> list[str]:
    said = []
    for call_id, output in scene.turn.outputs:
        name, arguments = scene.calls.get(call_id, ("", {}))
        tool = _plain(re.sub(r"^(?:get|fetch|lookup|look_up|find|query)_?(?=[A-Za-z])", "", name)) or "tool"
        try:
            value = json.loads(output)
        except ValueError:
            value = output
        error = value.get("error") if isinstance(value, Mapping) else None
        given = [str(argument) for argument in arguments.values() if isinstance(argument, str) and len(argument) < 40]
        if error:
            said.append(scene.say("result_error", tool=tool.capitalize(), x=_told(error)))
        elif not _told(value) or value is None:
            said.append(scene.say("result_empty", tool=tool.capitalize()))
        elif isinstance(value, str) and len(value.split()) > 6:
            said.append(_closed(value.strip()))
        elif given and given[0].casefold() not in _told(value).casefold():
            said.append(scene.say("result_for", given=given[0], x=_told(value)))
        else:
            said.append(scene.say("result", tool=tool.capitalize(), x=_told(value)))
    return said


# ── Thinking ──────────────────────────────────────────────────────────────────────────────────────────────


def think(request: Request) -> Iterator[Say | Call]:
    """Answer offline, by rules: no network, no clock, no chance; the same request gives the same answer.

    Args:
        request: What to answer.

    Yields:
        `Say` for each sentence of the answer, or `Call` for each function to call; at least one of either.
    """
    scene = _look(request)
    calls, lacking = _calls(scene)
    if calls:
        yield from calls
        return
    said = _answer(scene, lacking)
    if not scene.answers and not _has_spoken(scene):
        said = _introduced(scene, said)
    for sentence in _fit(said, _limits(scene)) or [scene.say("wrote_nothing")]:
        yield Say(sentence)


def _has_spoken(scene: _Scene) -> bool:
    return bool(scene.calls)


def _introduced(scene: _Scene, said: list[str]) -> list[str]:
    """Say once, at the first answer of a conversation, who is speaking, unless each word of it was asked for."""
    ask = _request_ask(scene)
    if ask in ("exactly", "say", "repeat", "transcribe", "who", "classify", "spell", "count_to") or scene.turn.outputs:
        return said
    limits = _limits(scene)
    if limits.words is not None or limits.sentences is not None:
        return said
    name = _persona(scene)
    return [scene.say("intro_as", x=name) if name else scene.say("intro"), *said]


def _calls(scene: _Scene) -> tuple[list[Call], list[str]]:
    """The functions to call now; or, where an argument is missing, the sentence that asks for it."""
    request, turn = scene.request, scene.turn
    tools = choosing.functions(request.tools)
    choice = request.tool_choice or "auto"
    if not tools or choice == "none" or turn.outputs:
        # After a result the answer is the result, also where calls are required: rules have nothing to add by
        # calling again, and a client that answers every call would go round for ever.
        return [], []
    named = None
    if isinstance(choice, Mapping):
        named = str(choice.get("name") or (choice.get("function") or {}).get("name") or "") or None
    insist = choice == "required" or named is not None
    words = turn.text
    if insist and not words:
        words = scene.earlier[-1] if scene.earlier else ""
    if not words and not insist:
        return [], []
    matches = choosing.choose(words, tools, insist=insist, named=named)
    if matches and not matches[0].calls and scene.answers:
        # "What's the weather?" – "For weather I need: city." – "Oslo."
        pass
    elif not matches and scene.earlier and not _is_command(words) and len(reading.words(words)) <= 6:
        before = choosing.choose(scene.earlier[-1], tools)
        if before and (not before[0].calls or re.match(r"(?i)\W*(?:and|what about|how about|or)\b|那", words)):
            again = re.sub(r"(?i)^\W*(?:and|what about|how about|or)\s+", "", words)
            matches = choosing.choose(f"in {again}", tools, named=str(before[0].tool["name"]))
            if not any(
                choosing.fill(before[0].tool.get("parameters") or {}, f"in {again}", insist=False)[0:1][0].values()
            ):
                matches = []
    calls = [call for match in matches for call in match.calls]
    if calls:
        return calls, []
    for match in matches:
        if match.missing and match.score >= 2.5:
            tool = _plain(re.sub(r"^(?:get|fetch)_", "", str(match.tool["name"])))
            missing = _joined(scene, [_plain(name) for name in match.missing])
            return [], [scene.say("need", tool=tool, x=missing)]
    return [], []


def _request_ask(scene: _Scene) -> str | None:
    turn = scene.turn
    own = " ".join(turn.typed) or " ".join(turn.heard)
    ask = _ask(_command_and_rest(own)[0]) if own else None
    if ask in (None, "greet", "fine", "thanks") or (turn.empty and not own):
        standing = _standing(scene)
        if standing is not None and (ask is None or standing[0] != "greet"):
            return standing[0]
    return ask


def _answer(scene: _Scene, lacking: list[str]) -> list[str]:
    turn = scene.turn
    if turn.outputs:
        return _outputs(scene)
    said = _pictures(scene)
    typed, heard = " ".join(turn.typed), " ".join(turn.heard)
    # "Answer the question in the recording": then the recording is the request.
    deferring = (
        turn.typed
        and heard
        and re.search(
            r"\b(?:answer|respond|reply|react|follow)\b.*\b(?:question|audio|recording|clip|speaker|this|it|them|user|instructions?)\b|^\W*(?:answer|respond|reply)\W*$|回答",
            typed,
            re.IGNORECASE,
        )
    )
    own = heard if deferring or not typed else typed
    if deferring:
        turn.typed = []
    command = _command_and_rest(own)[0] if own else ""
    ask = _ask(command) if command else None
    standing = _standing(scene)
    if standing is not None and (ask is None or (ask in ("greet", "fine", "thanks") and standing[0] != "greet")):
        if standing[0] != "greet" or not own or not scene.answers:
            found = _apply_standing(scene, *standing)
            if found:
                return [*said, *found]
    if ask is not None:
        found = _ANSWERS[ask](scene, command)
        if found:
            return [*said, *found]
    if lacking:
        return [*said, *lacking]
    if own and (sum_ := reading.arithmetic(own)):
        return [*said, scene.say("equals", sum=sum_[0], x=reading.spoken_number(sum_[1]))]
    if not own:
        if turn.clips:
            return [*said, scene.say("heard_nothing")]
        return said or [scene.say("greet" if not scene.answers else "wrote_nothing")]
    introduced = reading.last_name([own])
    if _is_question(own):
        found_sentence = _find(scene, own)
        if found_sentence:
            return [*said, scene.say("said", x=found_sentence)]
        return [*said, *_heard_line(scene), *([] if said else [scene.say("no_answer")])]
    if introduced:
        return [*said, scene.say("nice", x=introduced)]
    if heard:
        topics = reading.keywords(heard, 1)
        follow = [scene.say("question_about", x=topics[0])] if topics and not turn.typed else []
        return [*said, scene.say("heard", x=heard), *follow]
    topics = reading.keywords(own, 1)
    return [*said, scene.say("said", x=own), *([scene.say("question_about", x=topics[0])] if topics else [])]


def _apply_standing(scene: _Scene, ask: str, sentence: str) -> list[str]:
    """Do to the user's words what the instructions say to do to them."""
    turn = scene.turn
    own = turn.text
    if ask in ("summarise", "transcribe", "repeat", "reverse", "translate", "classify", "spell", "count") and not own:
        return []
    return _ANSWERS[ask](scene, sentence)
