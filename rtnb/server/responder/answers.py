"""The practice brain's answers: one rule for each thing that can be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rtnb.server import languages
from rtnb.server.languages import closed, together
from rtnb.server.responder import chinese as han
from rtnb.server.responder import pictures, text_extraction
from rtnb.server.responder.dialogue import Dialogue
from rtnb.server.responder.intents import ask_of, command_and_rest, is_command
from rtnb.server.responder.length_limits import limits_of

__all__ = [
    "ANSWERS",
    "about_outputs",
    "about_pictures",
    "find_said",
    "heard_line",
    "joined",
    "persona",
    "plain",
]

_Rule = Callable[[Dialogue, str], list[str]]


def joined(scene: Dialogue, names: Sequence[str]) -> str:
    """Names in a row, as the language of the scene joins them: "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return scene.say("comma").join(names[:-1]) + scene.say("and") + names[-1]


def _row(scene: Dialogue, parts: Sequence[str]) -> str:
    """A row of numbers, letters or words as a sentence: "1, 2, 3."."""
    return scene.say("comma").join(parts) + scene.say("stop")


def _given(scene: Dialogue, ask: str) -> str:
    """The words a request gives to be said, in any language: behind a colon, or, if long, in quotation marks."""
    found = re.match(r"(?s)([^:：]{1,120})[:：]\s*(.+)$", ask)
    if found and ask_of(found[1] + "："):
        return found[2].strip(" \"'“”‘’「」")
    # A long text was told from its request before.
    own = together(scene.turn.typed) or together(scene.turn.heard)
    command, rest = command_and_rest(own)
    return rest if command == ask and re.search(rf"[:：“\"'‘«「]\s*{re.escape(rest)}", own) else ""


def _latin(ask: str) -> str:
    """The word a request names in quotation marks, or the first in Latin letters of one that is written without."""
    marked = text_extraction.quoted(ask)
    if marked:
        return marked[0]
    found = re.search(r"[^\W\d_]+", re.sub(rf"[{han.LETTERS}]", " ", ask))
    return found[0] if found and re.search(rf"[{han.LETTERS}]", ask) else ""


def _exactly(scene: Dialogue, ask: str) -> list[str]:
    marked = text_extraction.quoted(ask)
    if marked:
        return [marked[-1]]
    if given := _given(scene, ask):
        return [given]
    found = re.search(
        r"\b(?:say|reply|respond|answer|output)\s+(?:only|exactly|just|with)(?:\s+(?:only|exactly|just"
        r"|with|the words?|the sentence))*\s*:?\s*(.+)$",
        ask,
        re.IGNORECASE | re.DOTALL,
    )
    if not found or re.match(r"(?:in|a|an|one|two|three|the|short|your|\d)\b", found[1], re.IGNORECASE):
        return []
    return [found[1].strip(" \"'")]


def _translate(scene: Dialogue, ask: str) -> list[str]:
    material = scene.material
    return [scene.say("no_translation"), *([scene.say("heard", x=material)] if material else [])]


def _classify(scene: Dialogue, ask: str) -> list[str]:
    options = text_extraction.quoted(ask)
    if len(options) < 2:
        listed = re.search(
            r"(?:as|into|is it|of|:)\s+(?:either\s+)?((?:[\w -]+,\s*)*[\w -]+?,?\s+or\s+[\w -]+)", ask, re.IGNORECASE
        )
        options = [part.strip() for part in re.split(r",\s*(?:or\s+)?|\s+or\s+", listed[1])] if listed else []
    options = [option for option in options if option]
    if len(options) < 2:
        return []
    roots = set(text_extraction.content(scene.material or " ".join(words for _, words in scene.messages)))
    scores = [len(roots & set(text_extraction.content(option))) for option in options]
    if max(scores) == 0:
        other = next(
            (
                o
                for o in options
                if text_extraction.stem(o) in ("other", "unknown", "unclear", "none", "neutral", "neutr")
            ),
            None,
        )
        return [scene.say("fits", x=other)] if other else [scene.say("no_answer")]
    return [scene.say("fits", x=options[scores.index(max(scores))])]


def _summarise(scene: Dialogue, ask: str) -> list[str]:
    material = scene.material
    if not material:
        return [scene.say("heard_nothing" if scene.turn.clips else "nothing_to_summarise")]
    limits = limits_of(scene)
    foreign = languages.guess(material, default=scene.language) != scene.language
    if limits.words is not None:
        names = text_extraction.keywords(material, limits.words)
        return [closed("、".join(names) if re.search(rf"[{han.LETTERS}]", "".join(names)) else " ".join(names))]
    best = text_extraction.summary(material, limits.sentences)
    return [scene.say("own_words" if foreign else "summary", x=best[0]), *best[1:]]


def _which_language(scene: Dialogue, ask: str) -> list[str]:
    if not scene.material:
        return [scene.say("said_nothing")]
    names = languages.NAMES[languages.guess(scene.material)]
    chinese = [name for name in names if re.fullmatch(r"[\u4e00-\u9fff]+", name)]
    return [closed(chinese[-1] if scene.language == "zh" and chinese else names[0])]


def _name_is(scene: Dialogue, ask: str) -> list[str]:
    name = text_extraction.last_name([words for _, words in scene.messages])
    return [scene.say("your_name", x=name) if name else scene.say("no_name")]


def _said_first(scene: Dialogue, ask: str) -> list[str]:
    earlier = scene.earlier
    return [scene.say("said_first", x=earlier[0]) if earlier else scene.say("said_nothing")]


def _said_last(scene: Dialogue, ask: str) -> list[str]:
    earlier = scene.earlier
    about = re.search(r"\babout\s+(.+?)[?.!]*$|关于(.+?)[，,]?我", ask, re.IGNORECASE)
    if about and (found := find_said(scene, about[1] or about[2])):
        return [scene.say("said", x=found)]
    nth = next((number for number in text_extraction.numbers(ask) if number.ordinal), None)
    if nth is not None and 0 < int(nth.value) <= len(earlier):
        return [scene.say("said", x=earlier[int(nth.value) - 1])]
    if scene.turn.heard and scene.turn.typed:
        return [scene.say("said", x=together(scene.turn.heard))]
    return [scene.say("said_last", x=earlier[-1]) if earlier else scene.say("said_nothing")]


def _talked(scene: Dialogue, ask: str) -> list[str]:
    topics = text_extraction.keywords(" ".join(words for words in scene.earlier if not is_command(words)), 4)
    topics = topics or text_extraction.keywords(" ".join(scene.earlier), 4)
    return [scene.say("talked", x=joined(scene, topics)) if topics else scene.say("talked_nothing")]


def _i_said(scene: Dialogue, ask: str) -> list[str]:
    if not scene.answers:
        return _transcribe(scene, ask) if scene.turn.heard else [scene.say("i_said_nothing")]
    return [
        scene.answers[-1]
        if re.search(r"again|repeat|pardon|再", ask, re.I)
        else scene.say("i_said", x=scene.answers[-1])
    ]


def _count_to(scene: Dialogue, ask: str) -> list[str]:
    values = [int(number.value) for number in text_extraction.numbers(ask)]
    down = bool(re.search(r"\b(?:down|backwards?)\b|倒", ask, re.IGNORECASE))
    if not values and down:
        values = [10]
    if not values:
        return []
    first, last = (values[0], values[1]) if len(values) > 1 else (values[0], 1) if down else (1, values[0])
    if abs(last - first) > 200:
        last = first + (200 if last > first else -200)
    step = 1 if last >= first else -1
    return [_row(scene, [str(value) for value in range(first, last + step, step)])]


def _plural(scene: Dialogue, key: str, count: int) -> list[str]:
    one = {
        "count_words": "count_word",
        "count_characters": "count_character",
        "count_clips": "count_clip",
        "count_turns": "count_turn",
        "count_sentences": "count_sentence",
    }
    return [scene.say(one[key])] if count == 1 else [scene.say(key, x=count)]


_WORDS_COUNTED = r"\bwords?\b|单词|[几少]个?(?:词|字(?!母))|(?:词|字)数|\bmots\b|\bpalabras\b|\bw[öo]rte"


def _count(scene: Dialogue, ask: str) -> list[str]:
    if not re.search(r"\bwords?\b|\bsentences?\b|\bletters?\b", ask, re.I) and re.search(
        r"\b(?:clips?|recordings?|audios?|files?)\b|enregistrement|grabacion|aufnahme"
        # 录音里有几句话 counts sentences, 录音里有几个人 nothing that rules can count.
        r"|[几少][个段条份]?(?:录音|音频|文件)|(?:录音|音频|文件)(?:一?共)?有?[几多][少]?[个段条份](?:[?？。]|$)",
        ask,
        re.I,
    ):
        turns = {id(turn): turn.clips for turn, _ in scene.messages}
        return _plural(scene, "count_clips", sum(turns.values()))
    if re.search(
        r"\b(?:times|turns|messages|questions)\b|[几少](?:次|条消息|个问题)|combien de fois|cuántas veces"
        r"|wie oft",
        ask,
        re.I,
    ):
        return _plural(scene, "count_turns", len(scene.messages) - (1 if scene.turn.text else 0) or len(scene.messages))
    letters = re.search(
        r"\bletters?\b.*?\b(?:in|does|has"
        r"|of)\s+(?:the word\s+)?[\"“']?([^\W\d_]+)",
        ask,
        re.IGNORECASE,
    )
    word = letters[1] if letters else _latin(ask) if "字母" in ask else ""
    if word:
        return [scene.say("count_letters", word=word, x=sum(letter.isalpha() for letter in word))]
    if re.search(r"\bsentences?\b|[几少]个?句|句子|\bphrases\b|\bsätze\b|\bfrases\b", ask, re.I):
        split = (
            text_extraction.spoken_sentences if scene.turn.heard or not scene.turn.typed else text_extraction.sentences
        )
        return _plural(scene, "count_sentences", len(split(scene.material)))
    one = re.search(r"\bhow many times\b.*?[\"“']([^\"”']+)", ask, re.IGNORECASE)
    if one:
        return _plural(scene, "count_turns", len(re.findall(re.escape(one[1]), scene.material, re.IGNORECASE)))
    if re.search(_WORDS_COUNTED, ask, re.I) or (scene.material and re.search(r"\bcount\b|数一数", ask, re.I)):
        found = text_extraction.words(scene.material)
        unspaced = found and all(re.match(rf"[{han.LETTERS}]", one) for one in found)
        return _plural(scene, "count_characters" if unspaced else "count_words", len(found))
    return []


def _spell(scene: Dialogue, ask: str) -> list[str]:
    marked = text_extraction.quoted(ask)
    found = re.search(
        r"\bspell(?:s|ed)?\s+(?:out\s+)?(?:the (?:word|name)\s+)?(.+?)(?:\s+(?:for me|please))?[?.!]*$",
        ask,
        re.IGNORECASE,
    )
    what = marked[0] if marked else found[1] if found else _latin(ask)
    if re.fullmatch(r"(?i)my name", what) or "我的名字" in ask:
        what = text_extraction.last_name([words for _, words in scene.messages]) or ""
    if not what or re.match(r"(?i)(?:it|that|this|what|every|each|the (?:last|first)|back)\b", what):
        source = text_extraction.words(scene.material)
        what = source[-1] if source else ""
    letters = [character.upper() for character in what if character.isalnum() or character == " "]
    if not letters:
        return []
    return [what + scene.say("colon") + _row(scene, ["–" if letter == " " else letter for letter in letters[:60]])]


def _which_word(scene: Dialogue, ask: str) -> list[str]:
    found = text_extraction.words(scene.material)
    if not found:
        return [scene.say("heard_nothing")]
    word = next(
        word
        for asked, word in (
            (r"\blast word\b|最后", found[-1]),
            (r"\blongest word\b|最长", max(found, key=len)),
            (r"\bshortest word\b|最短", min(found, key=len)),
            ("", found[0]),
        )
        if re.search(asked, ask, re.IGNORECASE)
    )
    return [f"“{word}”" + scene.say("stop")]


def _reverse(scene: Dialogue, ask: str) -> list[str]:
    found = text_extraction.words(scene.material)
    return [closed(" ".join(reversed(found)))] if found else [scene.say("heard_nothing")]


def _transcribe(scene: Dialogue, ask: str) -> list[str]:
    if not scene.material:  # "I read the full text of it", said aloud, asks for nothing
        return [] if scene.turn.heard else [scene.say("heard_nothing")]
    return text_extraction.sentences(closed(scene.material))


def _passage(scene: Dialogue, ask: str) -> list[str]:
    """The first or last words or sentences: "Repeat the first ten words"."""
    material = scene.material
    if not material:
        return [scene.say("heard_nothing")]
    number = next(iter(text_extraction.numbers(re.sub(r"(?i)\b(?:first|second)\b|第一", " ", ask))), None)
    count = max(1, int(number.value)) if number else 1
    by_sentence = re.search(r"sentence|句", ask, re.IGNORECASE)
    by_word = rf"[{han.LETTERS}]|[^\s{han.LETTERS}]+"
    parts = text_extraction.sentences(material) if by_sentence else re.findall(by_word, material)
    chosen = parts[-count:] if re.search(r"\blast\b|最后|末", ask, re.IGNORECASE) else parts[:count]
    return [closed(together(chosen))]


# What names words instead of giving them: 重复我说的话, "repeat what I said".
_NAMED = (
    r"(?i)(?:what|that|this|it|everything|back|my|the (?:user|audio|clip|recording|words|last"
    r"|sentence|message)|after|exactly|to me|me|please|again|the)\b.*"
    r"|(?:[我你您他她它这那上最刚全所用每录音语]|原话|[一两二三四五几\d]+[遍下次]|句子|内容|[。！？]).*"
)


def _repeat(scene: Dialogue, ask: str) -> list[str]:
    if ask in scene.turn.text and (given := _given(scene, ask)):
        return [closed(given)]
    after = re.search(
        r"\brepeat\s+(?:after me|this|the (?:following|words?|sentence"
        r"|phrase))?\s*[:,]?\s*[\"“']?(.+?)[\"”']?$",
        ask,
        re.IGNORECASE | re.DOTALL,
    ) or re.search(r"(?:重复|复述|跟我[说读念])(?:一?[遍下次])?[，,]?\s*[“\"「]?(.+?)[”\"」]?$", ask)
    own = after[1].strip() if after else ""
    if own and not re.match(_NAMED, own) and ask in scene.turn.text:
        return [closed(own)]
    if marked := text_extraction.quoted(ask):  # 把“苹果”重复一遍
        return [closed(marked[0])]
    material = scene.material
    if not material and scene.turn.text and ask not in scene.turn.text:
        material = scene.turn.text
    return [closed(material)] if material else [scene.say("heard_nothing" if scene.turn.clips else "said_nothing")]


def _practise(scene: Dialogue, ask: str) -> list[str]:
    said = [
        sentence
        for turn, words in scene.messages
        if turn is not scene.turn or turn.heard
        for sentence in text_extraction.sentences(together(turn.heard) if turn.heard else words)
        if not is_command(sentence)
    ]
    if not said:
        return [scene.say("said_nothing")]
    fitting = [sentence for sentence in said if 4 <= len(text_extraction.words(sentence)) <= 16] or said
    return [scene.say("practise", x=max(fitting, key=lambda sentence: len(text_extraction.content(sentence))))]


def _say(scene: Dialogue, ask: str) -> list[str]:
    marked = text_extraction.quoted(ask)
    if marked:
        return [marked[0]]
    if given := _given(scene, ask):
        return [closed(given)]
    found = re.search(
        r"\b(?:say|pronounce|read)\s+(?:aloud|out loud|out|this|the (?:following|words?|sentence)"
        r"|to me)?\s*[:,]?\s*(.+)$",
        ask,
        re.IGNORECASE | re.DOTALL,
    ) or re.search(r"[说读念](?:一[下遍])?[：:“]?(.+?)”?$", ask)
    what = found[1].strip() if found else ""
    if not what or re.match(
        r"(?i)(?:something|anything|what|it|that|this|a few|nothing|the|a|your"
        r"|my)\b",
        what,
    ):
        material = scene.material
        return [closed(material)] if material and re.match(r"(?i)(?:it|that|this|what|the)\b", what) else []
    what = re.sub(r"(?i)\s+(?:please|to me|for me|in [a-z]+)[.!?]*$", "", what)
    return [closed(what)]


def _clock(scene: Dialogue, ask: str) -> list[str]:
    for text in [*reversed(scene.system), scene.instructions]:
        for sentence in text_extraction.sentences(text):
            if re.search(
                r"\b(?:today|date|time|now|currently)\b.*(?:\d|day\b)|今天.*(?:\d|星期|周)|现在.*\d",
                sentence,
                re.IGNORECASE,
            ) and (
                text_extraction.dates(sentence)
                or text_extraction.times(sentence)
                or re.search(r"\d{4}|[\d点]", sentence)
            ):
                return [scene.say("told", x=sentence)]
    return [scene.say("no_clock")]


def _who(scene: Dialogue, ask: str) -> list[str]:
    name = persona(scene)
    return [*([scene.say("intro_as", x=name)] if name else []), scene.say("who")]


def _can(scene: Dialogue, ask: str) -> list[str]:
    return [scene.say("can")]


def _hear_you(scene: Dialogue, ask: str) -> list[str]:
    heard = together(scene.turn.heard)
    return [scene.say("hear_you"), *([scene.say("heard", x=heard)] if heard else [])]


def _fine(scene: Dialogue, ask: str) -> list[str]:
    return [scene.say("fine")]


def _invent(scene: Dialogue, ask: str) -> list[str]:
    return [*heard_line(scene), scene.say("no_invention")]


def _ask_me(scene: Dialogue, ask: str) -> list[str]:
    topics = text_extraction.keywords(" ".join(words for words in scene.earlier if not is_command(words)), 1)
    return [scene.say("question_about", x=topics[0]) if topics else scene.say("question")]


def _thanks(scene: Dialogue, ask: str) -> list[str]:
    return [scene.say("thanks")]


def _bye(scene: Dialogue, ask: str) -> list[str]:
    return [scene.say("bye")]


def _greet(scene: Dialogue, ask: str) -> list[str]:
    name = text_extraction.last_name([words for _, words in scene.messages])
    return [scene.say("greet_name", x=name) if name else scene.say("greet")]


ANSWERS: dict[str, _Rule] = {
    "exactly": _exactly,
    "translate": _translate,
    "classify": _classify,
    "summarise": _summarise,
    "which_language": _which_language,
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
    "passage": _passage,
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


def persona(scene: Dialogue) -> str | None:
    """The name the instructions give the speaker: "Nova" of "You are Nova, a guide."; None for none."""
    found = re.search(
        r"\b(?:[Yy]our name is|[Yy]ou are called|[Yy]ou're called|[Yy]ou are|[Yy]ou're"
        r"|[Aa]ct as)\s+([A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)?)(?=[,.!?;]|\s+(?:and|the|a|an|from|who)\b|$)",
        scene.instructions,
    ) or re.search(
        r"你(?:叫|的名字[是叫])\s*([^\W\d_]{1,8})(?=$|[，。；,.;])|你是\s*([A-Z][\w'’-]+)", scene.instructions
    )
    return next(name for name in found.groups() if name) if found else None


def heard_line(scene: Dialogue) -> list[str]:
    """A sentence that tells what was heard in this turn; none where it was typed."""
    heard = together(scene.turn.heard)
    if heard:
        return [scene.say("heard", x=heard)]
    return [scene.say("heard_nothing")] if scene.turn.clips and not scene.turn.typed else []


_NEVER_THE_POINT = text_extraction.bag(
    "mention speak speaker audio record clip person thing remember talk user customer caller"
)


def find_said(scene: Dialogue, question: str) -> str | None:
    """The sentence of the conversation, or of the instructions, that shares most with a question."""
    wanted = set(text_extraction.content(question)) - _NEVER_THE_POINT
    if not wanted:
        return None
    pool = [
        sentence
        for turn, words in scene.messages
        for text in ([words] if turn is not scene.turn else turn.heard if turn.typed else [])
        for sentence in text_extraction.sentences(text)
        if not sentence.rstrip().endswith(("?", "？"))
    ]
    scored = [(len(wanted & set(text_extraction.content(sentence))), index) for index, sentence in enumerate(pool)]
    best, index = max(scored, default=(0, -1))
    # Half of what is asked about must be there, or we would answer beside the point.
    return pool[index] if best and best * 2 >= len(wanted) else None


def about_pictures(scene: Dialogue) -> list[str]:
    """A sentence for each picture of this turn."""
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
        return text_extraction.spoken_number(value)
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
    name, _, unit = plain(key).rpartition(" ")
    if name and unit in _UNITS and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{name} {_told(value)} {_UNITS[unit]}"
    return f"{plain(key)} {_told(value)}"


def plain(name: str) -> str:
    """A name of code as words: `get_weather`, `getWeather` → "get weather"."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", name)).casefold() or name


def about_outputs(scene: Dialogue) -> list[str]:
    """A sentence for each tool result of this turn, in its words."""
    said = []
    for call_id, output in scene.turn.outputs:
        name, arguments = scene.calls.get(call_id, ("", {}))
        tool = plain(re.sub(r"^(?:get|fetch|lookup|look_up|find|query)_?(?=[A-Za-z])", "", name)) or "tool"
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
            said.append(closed(value.strip()))
        elif given and given[0].casefold() not in _told(value).casefold():
            said.append(scene.say("result_for", given=given[0], x=_told(value)))
        else:
            said.append(scene.say("result", tool=tool.capitalize(), x=_told(value)))
    return said
