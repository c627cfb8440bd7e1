"""Answers of the responder: one rule for each intent."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from rtnb.server import languages
from rtnb.server.nlu import intents
from rtnb.server.nlu.intents import command_and_rest, intent_of, is_command, is_question
from rtnb.server.nlu.lexicon import LETTERS, TOLD, bag, cue, extract, having
from rtnb.server.nlu.names import dates, last_name, times
from rtnb.server.nlu.numbers import numbers
from rtnb.server.nlu.text_extraction import content, keywords, quoted, sentences, stem, summary, unspaced, words
from rtnb.server.responder import knowledge, personas
from rtnb.server.responder.dialogue import Dialogue, limits_of

_DAYS = (("after_tomorrow", 2), ("tomorrow", 1), ("yesterday", -1))  # days from today, by what is said
_UNDECIDED = ("other", "unknown", "unclear", "none", "neutral", "neutr")  # stems of classes for what fits no other
Rule = Callable[[Dialogue, str], list[str]]


def translate(dialogue: Dialogue, request: str) -> list[str]:
    """Translate a word or phrase of the table; say of any other that no rule can, and what was heard."""
    texts = (intents.brief(dialogue.turn.request), request)
    if pair := next(filter(None, (knowledge.translate(text, dialogue.language) for text in texts)), None):
        return [dialogue.say("translation", x=pair[0], y=pair[1])]
    if cue("asks_meaning").search(request) or not (languages.named(request) or cue("translates").search(request)):
        return []  # "What does brave mean?", "How do you say no?"
    return [dialogue.say("no_translation"), *dialogue.say_if("heard", dialogue.turn.heard)]


def classify(dialogue: Dialogue, request: str) -> list[str]:
    """Choose the class that shares most words with the text."""
    options = quoted(request)
    if len(options) < 2:
        options = [*filter(None, map(str.strip, re.split(r",\s*(?:or\s+)?|\s+or\s+", extract("classes", request))))]
    if len(options) < 2:
        return []
    roots = set(content(dialogue.material or " ".join(dialogue.messages)))
    best = max(options, key=lambda option: len(roots & set(content(option))))
    if not roots & set(content(best)):
        best = next((option for option in options if stem(option) in _UNDECIDED), "")
    return dialogue.say_if("fits", best, "no_answer")


def summarise(dialogue: Dialogue, request: str) -> list[str]:
    """Say the sentences that say most, or as many keywords as words are asked for."""
    if not summary(material := dialogue.material):  # there may be signs without words
        return [dialogue.say("heard_nothing" if dialogue.turn.clips else "nothing_to_summarise")]
    limits = limits_of(dialogue)
    asked = [int(number.value) for number in numbers(request)] if cue("keywords").search(request) else []
    if count := next(iter(asked), 3) if cue("keywords").search(request) else limits.words:
        names = keywords(material, count)
        return [languages.closed("、".join(names) if unspaced("".join(names)) else " ".join(names))]
    foreign = languages.guess(material, default=dialogue.language) != dialogue.language
    first, *rest = summary(material, limits.sentences)
    return [dialogue.say("own_words" if foreign else "summary", x=first), *rest]


def clock(dialogue: Dialogue, request: str) -> list[str]:
    """Say the sentence of the instructions that says which time it is."""
    told = [*reversed(dialogue.system), dialogue.request.instructions]
    for sentence in (one for text in told for one in sentences(text)):
        if cue("time_told").search(sentence) and (dates(sentence) or times(sentence) or re.search(r"[\d点]", sentence)):
            return [dialogue.say("told", x=sentence)]
    place, zone = knowledge.zone(request, dialogue.language)
    if (place is None and cue("place_asked").search(request)) or cue("other_day").search(request):
        return [dialogue.say("no_answer")]
    now = datetime.now(zone) + timedelta(days=next((days for key, days in _DAYS if cue(key).search(request)), 0))
    date = {"weekday": dialogue.say("weekdays").split()[now.weekday()], "day": now.day, "year": now.year}
    date["month"] = dialogue.say("months").split()[now.month - 1]
    key = "date_there" if now.date() != datetime.now(zone).date() else "clock_in" if place else "clock"
    return [dialogue.say(key, place=place, time=f"{now:%H:%M}", **date)]


def who(dialogue: Dialogue, request: str) -> list[str]:
    """Say who is speaking."""
    return dialogue.say_if("intro_as", extract("persona", dialogue.request.instructions), "who")


def hear_you(dialogue: Dialogue, request: str) -> list[str]:
    """Say that the user is heard, and what was heard."""
    return [dialogue.say("hear_you"), *dialogue.say_if("heard", dialogue.turn.heard)]


def tell(dialogue: Dialogue, request: str) -> list[str]:
    """Tell a story, a joke or such; of what is not known say that no rule can make it up."""
    for kind in knowledge.KNOWN.get(dialogue.language, {"texts": ()})["texts"]:
        if cue(f"tell_{kind}").search(request):
            told = " ".join(dialogue.answers)
            topic = extract("topic", request)
            text, fits = knowledge.tell(kind, topic or request, told, dialogue.language)
            if fits or not topic:
                return sentences(text)
            text, _ = knowledge.tell(kind, request.replace(topic, " ") + " short 短", told, dialogue.language)
            return [dialogue.say("not_about"), *sentences(text)]
    return [dialogue.say("no_invention")]


def correct(dialogue: Dialogue, request: str) -> list[str]:
    """Correct the words that are given, or what was said before."""
    own = dialogue.material if is_command(request) else request
    text = "".join(quoted(request)[:1]) or _given(dialogue, request) or own
    return personas.in_role("english_teacher", dialogue.language, [], text, "", 0)


def judge(dialogue: Dialogue, reply: str) -> list[str]:
    """Say whether a reply answers the question of a quiz that was put last, and put the next one."""
    before = " ".join(dialogue.answers[-2:])
    asks = is_command(reply) or (is_question(reply) and not cue("gives_up").search(reply))
    if not reply or asks or cue("quiz_ends").search(reply) or personas.asked_last(before, dialogue.language) < 0:
        return []
    return personas.in_role("quiz_master", dialogue.language, [], reply, before, 0)


def greet(dialogue: Dialogue, request: str) -> list[str]:
    """Greet the user, by name where it is known."""
    return dialogue.say_if("greet_name", last_name(dialogue.messages), "greet")


# ── In words as they were said or given ──


def _given(dialogue: Dialogue, request: str) -> str:
    """Return the words a request gives to be said, in any language: behind a colon, or, if long, in quotation marks."""
    if (found := re.match(r"(?s)([^:：]{1,120})[:：]\s*(.+)$", request)) and intent_of(found[1] + "："):
        return found[2].strip(" \"'“”‘’「」")
    # A long text was divided from its request before.
    own = intents.without_lead(dialogue.turn.request)
    command, rest = command_and_rest(own)
    return rest if command == request and re.search(rf"[:：“\"'‘«「]\s*{re.escape(rest)}", own) else ""


def latin_word(request: str) -> str:
    """Return the word that stands in quotation marks, or the first in Latin letters of a request without spaces."""
    if marked := quoted(request):
        return marked[0]
    found = re.search(r"[^\W\d_]+", re.sub(rf"[{LETTERS}]", " ", request))
    return found[0] if found and unspaced(request) else ""


def _closed(dialogue: Dialogue, text: str) -> list[str]:
    return [languages.closed(text)] if text else [dialogue.nothing()]


def exactly(dialogue: Dialogue, request: str) -> list[str]:
    """Say what is given, and nothing else: "Say only yes"."""
    if given := "".join(quoted(request)[-1:]) or _given(dialogue, request):
        return [] if is_question(given) else [given]  # "Answer yes or no: is it late?"
    what = extract("given_exactly", request)
    vague = not what or re.match(r"(?i)(?:in|a|an|one|two|three|the|short|your|\d)\b", what)
    return [] if vague else [what.strip(" \"'")]


def say(dialogue: Dialogue, request: str) -> list[str]:
    """Say what is given, or what was said before: "Say it again"."""
    if marked := quoted(request):
        return _over(marked[0], request)
    given, what = _given(dialogue, request), extract("given_to_say", request).strip()
    if not given and cue("said_before").search(what) and len(what.split()) < 5:
        given = dialogue.material
    elif not given and not re.match(r"(?i)(?:something|anything|a few|nothing|a|your|my|it|that|what)\b", what):
        given = re.sub(r"(?i)\s+(?:please|to me|for me|in [a-z]+)[.!?]*$", "", what)
    return _over(languages.closed(cue("times_over").sub("", given).rstrip("?？ ")), request) if given else []


def _over(said: str, request: str) -> list[str]:
    """Say words as many times as a request asks for: "Say hello three times.", 把“你好”说三遍."""
    found = cue("times_over").search(request)
    count = max(1, *(int(one.value) for one in numbers(found[0])), 2 * ("twice" in found[0])) if found else 1
    return [said] if count == 1 else [languages.closed(said)] * min(count, 10)


def repeat(dialogue: Dialogue, request: str) -> list[str]:
    """Repeat the words that are given, or what was said."""
    users = request in dialogue.turn.text
    own = extract("given_to_repeat", request).strip()
    names_it = cue("named").search(own) and not cue("after_me").search(request)
    given = (_given(dialogue, request) or ("" if names_it else own)) if users else ""
    # 把“苹果”重复一遍
    alone = not dialogue.turn.typed and not dialogue.material  # nothing but this was spoken
    silent = dialogue.answers and (alone or not any(turn.clips for turn in dialogue.turns))
    if users and silent and not (given or quoted(request)):
        mine = cue("my_words").search(request)
        return said_last(dialogue, request) if mine else i_said(dialogue, dialogue.say("again"))  # "Could you repeat?"
    if own := given or "".join(quoted(request)[:1]):
        return _over(languages.closed(own), request)
    return _closed(dialogue, dialogue.material or ("" if users else dialogue.turn.text))


def transcribe(dialogue: Dialogue, request: str) -> list[str]:
    """Say every word of the recording."""
    if not dialogue.material and request not in dialogue.turn.text:
        return repeat(dialogue, request)
    if not any(turn.clips for turn in dialogue.turns) and dialogue.material and is_question(request):
        return []  # "What does the fox say?"
    if not dialogue.material:  # "I read the full text of it", said aloud, asks for nothing
        return [] if dialogue.turn.heard else [dialogue.nothing()]
    return sentences(languages.closed(dialogue.material))


def passage(dialogue: Dialogue, request: str) -> list[str]:
    """Say the first or last words or sentences: "Repeat the first ten words"."""
    count = next((max(1, int(number.value)) for number in numbers(cue("ordinal").sub(" ", request))), 1)
    material = dialogue.material if any(turn.clips for turn in dialogue.turns) else ""
    material = material or next(reversed(dialogue.answers), dialogue.material)
    each_word = re.findall(rf"[{LETTERS}]|[^\s{LETTERS}]+", material)
    parts = sentences(material) if cue("by_sentence").search(request) else each_word
    return _closed(dialogue, languages.together(parts[-count:] if cue("last").search(request) else parts[:count]))


def reverse(dialogue: Dialogue, request: str) -> list[str]:
    """Say the words from the last to the first."""
    if knowledge.know(request, dialogue.language):  # "Say the days of the week backwards."
        return []
    said = "" if is_command(dialogue.material) else dialogue.material
    found = words("".join(quoted(request)[:1]) or _given(dialogue, request) or said)
    if said != dialogue.material and not found:  # "Count to five." – "Now backwards."
        return []
    return _closed(dialogue, " ".join(reversed(found)) if len(found) != 1 else found[0][::-1])


def which_word(dialogue: Dialogue, request: str) -> list[str]:
    """Say the first, last, longest or shortest word."""
    if not (found := words(dialogue.material)):
        return [dialogue.nothing()]
    choices = {"last_word": found[-1], "longest_word": max(found, key=len), "shortest_word": min(found, key=len)}
    word = next((word for key, word in choices.items() if cue(key).search(request)), found[0])
    return [f"“{word}”" + dialogue.say("stop")]


def spell(dialogue: Dialogue, request: str) -> list[str]:
    """Spell a word, the user's name, or the last word that was said."""
    named = extract("given_to_spell", request) if not quoted(request) else ""
    if len(named.split()) > 3:  # "Spell out the rules of chess."
        return []
    what = _given(dialogue, request).strip(" .!?。") or named or latin_word(request)
    if re.fullmatch(r"(?i)my name", what) or "我的名字" in request:
        what = last_name(dialogue.messages) or ""
    what = re.sub(r"(?i)^your name$|^你的名字$", "rtnb", what)
    refers = re.match(r"(?i)(?:it|that|this|what|every|each|the (?:last|first)|back)\b", what)
    if refers or not (what or languages.named(request)):
        last = next(reversed(dialogue.answers), "") if is_question(dialogue.material) else dialogue.material
        what = next(reversed(words(last)), "")
    if unspaced(what) or (not what and languages.named(request)):
        what = (knowledge.translate(request, dialogue.language) or ("", ""))[1]
    what = what[::-1] if cue("backwards").search(request) else what
    letters = ["–" if letter == " " else letter.upper() for letter in what if letter.isalnum() or letter == " "]
    return [what + dialogue.say("colon") + dialogue.row(letters[:60])] if letters else []


# ── From what was said so far ──


def find_said(dialogue: Dialogue, question: str) -> str | None:
    """Find the sentence of the conversation, or of the instructions, that shares most with a question."""
    wanted = set(content(question)) - bag("beside_the_point")
    turn = dialogue.turn
    texts = [*dialogue.earlier, *([turn.heard] if turn.typed and turn.heard else sentences(turn.text)[:-1])]
    said = (sentence for text in texts for sentence in sentences(text))
    pool = [one for one in said if not (one.rstrip().endswith(("?", "？")) or is_command(one))]
    told = [told for asks, told in TOLD if re.search(asks, question, re.IGNORECASE)]
    fitting = [at for at, one in enumerate(pool) if any(re.search(each, one, re.IGNORECASE) for each in told)]
    best, index = max(((len(wanted & set(content(one))), at) for at, one in enumerate(pool)), default=(0, -1))
    if not fitting and not (best and best * 2 >= len(wanted)):
        return None  # half of what is asked about must be there, or we would answer beside the point
    index = fitting[-1] if fitting else index
    while cue("takes_back").search("".join(pool[index + 1 : index + 2])):  # "No, sorry, it's pasta."
        index += 1
    return pool[index]


def which_language(dialogue: Dialogue, request: str) -> list[str]:
    """Say which language was spoken."""
    if knowledge.know(request, dialogue.language):
        return []
    if not dialogue.material:
        return [dialogue.say("said_nothing")]
    names = languages.NAMES[languages.guess(dialogue.material)]
    chinese = [name for name in names if re.fullmatch(r"[\u4e00-\u9fff]+", name)]
    dialogue.word = chinese[-1] if dialogue.language == "zh" and chinese else names[0]
    return [languages.closed(dialogue.word)]


def name_is(dialogue: Dialogue, request: str) -> list[str]:
    """Say the user's name; never that none was told where something was said, and may not have been understood."""
    unknown = "no_name_heard" if dialogue.earlier else "no_name"
    return dialogue.say_if("your_name", last_name(dialogue.messages), unknown)


def said_first(dialogue: Dialogue, request: str) -> list[str]:
    """Say what the user said first."""
    return dialogue.say_if("said_first", next(iter(dialogue.earlier), ""), "said_nothing")


def said_last(dialogue: Dialogue, request: str) -> list[str]:
    """Say what the user said last, in their n-th message, or about something."""
    earlier, turn = dialogue.earlier, dialogue.turn
    about = extract("topic", request)
    found = find_said(dialogue, about) if about else None
    nth = next((int(number.value) for number in numbers(request) if number.ordinal), 0)
    said = found or dict(enumerate(earlier, 1)).get(nth) or (turn.heard if turn.typed else "")
    return dialogue.say_if("said", said) or dialogue.say_if("said_last", next(reversed(earlier), ""), "said_nothing")


def _topics(dialogue: Dialogue, count: int) -> list[str]:
    return keywords(" ".join(said for said in dialogue.earlier if not is_command(said)), count)


def talked(dialogue: Dialogue, request: str) -> list[str]:
    """Say what was talked about."""
    topics = _topics(dialogue, 4) or keywords(" ".join(dialogue.earlier), 4)
    return dialogue.say_if("talked", dialogue.join(topics), "talked_nothing")


def i_said(dialogue: Dialogue, request: str) -> list[str]:
    """Say the last answer again."""
    last = next(reversed(dialogue.answers), "").removeprefix(dialogue.say("intro")).strip()
    anew = dialogue.earlier[:-4:-1] if cue("anew").search(request) else []
    for before in map(intents.brief, anew):
        if (intent := intent_of(before)) in having("anew"):
            return ANSWERS[str(intent)](dialogue, before)
    if not last and dialogue.turn.heard:
        return transcribe(dialogue, request)
    if cue("shorter").search(request):
        first, *more = sentences(last) or [""]
        return [first if more else dialogue.say("short_already" if first else "i_said_nothing")]
    if last and (cue("once_more").search(request) or cue("pace").search(request)):
        return [last]
    return dialogue.say_if("i_said", last, "all_right" if cue("pace").search(request) else "i_said_nothing")


def practise(dialogue: Dialogue, request: str) -> list[str]:
    """Choose a sentence of the user's to say once more."""
    turns = dialogue.turns if dialogue.turn.heard else dialogue.turns[:-1]
    texts = (text for turn in turns for text in ([turn.heard] if turn.heard else turn.messages))
    found = [sentence for text in texts for sentence in sentences(text) if not is_command(sentence)]
    fitting = [sentence for sentence in found if 4 <= len(words(sentence)) <= 16] or found
    best = max(fitting, key=lambda sentence: len(content(sentence)), default="")
    return dialogue.say_if("practise", best, "said_nothing")


def ask_me(dialogue: Dialogue, request: str) -> list[str]:
    """Ask the user something: a question of the quiz that has not been asked yet, or more about what was said."""
    if cue("quiz").search(request):
        return [personas.question(" ".join(dialogue.answers), dialogue.language)]
    return dialogue.say_if("question_about", "".join(_topics(dialogue, 1)), "question")


# ── Counts ──


def spoken_sentences(text: str) -> list[str]:
    """Return the sentences of a transcript: recognisers often write a comma where a sentence ends.

    A comma counts as an end where a clause with a verb of its own follows, without a word that joins the two.
    """
    found: list[str] = []
    for sentence in sentences(text):
        begun = len(found)
        for clause in re.split(r"(?<=,)\s+", sentence):
            own = cue("clause_with_verb").search(clause) and not cue("joins_clauses").search(clause)
            if len(found) == begun or (own and not cue("leads_clauses").search(found[-1])):
                found.append(clause)
            else:
                found[-1] += f" {clause}"
    return found


def count_to(dialogue: Dialogue, request: str) -> list[str]:
    """Count from one number to another, at most 200 steps."""
    down = cue("downwards").search(request)
    by = next((max(1, int(number.value)) for number in numbers(extract("steps_of", request))), 1)
    values = [int(number.value) for number in numbers(cue("steps_of").sub(" ", request))] or ([10] if down else [])
    if not values:
        return []
    first, last = (values[0], values[1]) if len(values) > 1 else (values[0], 1) if down else (by, values[0])
    step = by if last >= first else -by
    foreign = knowledge.counted(next(iter(languages.named(request)), ""))
    named = dict(enumerate(foreign, 1)) if 1 <= first <= 10 and 1 <= last <= len(foreign) else {}
    return [dialogue.row(named.get(one, str(one)) for one in range(first, last + step // by, step)[:201])]


def _plural(dialogue: Dialogue, key: str, count: int) -> list[str]:
    return [dialogue.say(key) if count == 1 else dialogue.say(f"{key}s", x=count)]


def count(dialogue: Dialogue, request: str) -> list[str]:
    """Count what the request names."""
    turn, given = dialogue.turn, "".join(quoted(request)[:1])
    if letter := extract("letter_counted", request):
        word = extract("word_searched", request) or latin_word(request)
        x = word.casefold().count(letter.casefold())
        return [dialogue.say("count_letter", word=word, letter=letter, x=x)] if len(word) > 1 else []
    if word := extract("letters_in", request) or (latin_word(request) if "字母" in request else ""):
        return [dialogue.say("count_letters", word=word, x=sum(map(str.isalpha, word)))]
    if not (given or _given(dialogue, request) or cue("counts_here").search(request)):
        return []
    if said := extract("times_of", request):
        return _plural(dialogue, "count_time", " ".join(dialogue.messages[:-1]).casefold().count(said.casefold()))
    if not cue("count_text").search(request) and cue("count_clips").search(request):
        return _plural(dialogue, "count_clip", sum(one.clips for one in dialogue.turns))
    if cue("count_turns").search(request):
        return _plural(dialogue, "count_turn", len(dialogue.messages) - bool(turn.text) or len(dialogue.messages))
    material = given or dialogue.material
    if cue("count_sentences").search(request):
        split = spoken_sentences if turn.heard or not turn.typed else sentences
        return _plural(dialogue, "count_sentence", len(split(material)))
    if not (material or turn.clips) or not (cue("count_words").search(request) or cue("count_all").search(request)):
        return []
    found = words(material)
    return _plural(dialogue, "count_character" if found and all(map(unspaced, found)) else "count_word", len(found))


_RULES: tuple[Rule, ...] = (
    *(translate, classify, summarise, clock, who, hear_you, tell, correct, greet),
    *(exactly, say, repeat, transcribe, passage, reverse, which_word, spell),
    *(which_language, name_is, said_first, said_last, talked, i_said, practise, ask_me, count_to, count),
)
ANSWERS: dict[str, Rule] = {rule.__name__: rule for rule in _RULES} | {
    key: lambda dialogue, request, key=key: [dialogue.say(key)]
    for key in ("can", "fine", "thanks", "bye", "all_right", "will_not")
}
"""Rules by the intents that they answer: each takes the dialogue and the words of the request, and returns sentences,
or none where the request is not what it seemed."""
