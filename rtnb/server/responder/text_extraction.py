"""What can be read off plain words by rule: sentences, numbers, sums, names, places, dates.

Everything here is pure and knows nothing of conversations or tools.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rtnb.server.languages import closed, together
from rtnb.server.responder import chinese

__all__ = [
    "COLOURS",
    "Number",
    "arithmetic",
    "bag",
    "content",
    "dates",
    "keywords",
    "last_name",
    "numbers",
    "places",
    "proper_names",
    "quoted",
    "sentences",
    "spoken_number",
    "spoken_sentences",
    "stem",
    "stems",
    "summary",
    "times",
    "words",
]


def bag(text: str) -> frozenset[str]:
    """The words of a list written with spaces."""
    return frozenset(text.split())


_STOP = bag(
    "a an the this that these those it its i me my mine myself we us our you your yours he him his she "
    "her they them"
    " their who whom which what where when why how am is are was were be been being do does did have has "
    "had having"
    " will would shall should can could may might must and or but if then else so as of in on at by for "
    "with about"
    " to from into over under up down out off than too very not no nor only just also there here please "
    "tell say"
    " said let get got give gave make made some any all each both more most other such own same again "
    "once now today"
    " s t don re ve ll m d well every across while until since because though although after before never "
    "always still even much many few lot very oh um uh yes okay ok hello hi hey thank thanks like know one"
)


def words(text: str) -> list[str]:
    """The words of a text in order; each Chinese character or kana counts as one."""
    return re.findall(
        rf"[{chinese.LETTERS}]|[^\W_]+(?:['’.\-@][^\W_]+)*",
        re.sub(rf"([{chinese.LETTERS}])", r" \1 ", text),
    )


def stem(word: str) -> str:
    """A word without case and its commonest English endings, so that `cities` meets `city`."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    for ending, instead, least in (
        ("ies", "y", 5),
        ("ing", "", 6),
        ("ied", "y", 5),
        ("ed", "", 5),
        ("es", "", 5),
        ("s", "", 4),
    ):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def stems(text: str) -> frozenset[str]:
    """The stems of a list of words written with spaces."""
    return frozenset(stem(word) for word in text.split())


def content(text: str) -> list[str]:
    """The stems of the words that carry meaning."""
    return [stem(word) for word in words(chinese.bare(text)) if word.casefold().replace("’", "'") not in _STOP]


def sentences(text: str) -> list[str]:
    """A text's sentences, each with its closing mark."""
    cut = re.split(
        r"(?<=[.!?…])(?<!\bMr\.)(?<!\bDr\.)(?<!\bMs\.)(?<!\bMrs\.)(?<!\bSt\.)[\"'”’)]*\s+|(?<=[。！？])\s*|\n+",
        text,
    )
    return [part.strip() for part in cut if part and re.search(r"\w", part)]


# What cannot begin a sentence after a comma, what cannot be one before it, and what tells that one has begun.
_JOINS = r"(?:and|or|but|so|because|which|who|that|as|if|when|while|where|than|then|for|to|with|not)\b"
_LEADS = (
    r"(?:if|when|while|because|as|although|though|since|after|before|on|in|at|by|from|during|for|with|last|next"
    r"|(?:yes|no|well|oh)(?=,))\b"
)
_VERB = r"(?:is|are|was|were|am|will|would|can|could|shall|should|must|may|do|does|did|has|have|had|please(?= \w))\b"
_PERSON = r"(?:i|you|he|she|it|we|they|i'm|you're|he's|she's|it's|we're|they're|that's|there's)\b"


def spoken_sentences(text: str) -> list[str]:
    """Return the sentences of a transcript: recognisers often write a comma where a sentence ends.

    A comma counts as an end where a clause with a verb of its own follows, without a word that joins the two.
    """
    found: list[str] = []
    for sentence in sentences(text):
        begun = len(found)
        for clause in re.split(r"(?<=,)\s+", sentence):
            own = re.match(rf"(?!{_JOINS})(?:{_PERSON}\s+\w|(?:[\w'’]+\s+){{0,5}}?{_VERB})", clause, re.IGNORECASE)
            if len(found) == begun or (own and not re.match(_LEADS, found[-1], re.IGNORECASE)):
                found.append(clause)
            else:
                found[-1] += f" {clause}"
    return found


def quoted(text: str) -> list[str]:
    """What stands in quotation marks of any kind, in order."""
    pattern = (
        r"“([^”]+)”|\"([^\"]+)\"|«\s*([^»]+?)\s*»|「([^」]+)」|‘([^’]+)’(?!\w)"
        r"|(?<!\w)'([^']+(?:'\w[^']*)*)'(?!\w)"
    )
    found = (next(group for group in match.groups() if group) for match in re.finditer(pattern, text))
    return [words_ for words_ in found if words_.strip()]


def keywords(text: str, count: int) -> list[str]:
    """The words a text uses most, as they are written in it, in the order of their first use."""
    seen: dict[str, str] = {}
    tally: Counter[str] = Counter()
    first = {found[0] for sentence in sentences(text) if (found := words(sentence))}
    latin = re.sub(rf"[{chinese.LETTERS}]", " ", text)
    for word in [*words(latin), *chinese.terms(text)]:
        if word.casefold().replace("’", "'") in _STOP or (len(word) < 3 and word.isascii()) or word.isdigit():
            continue
        seen.setdefault(stem(word), word)
        tally[stem(word)] += 2 if word[:1].isupper() and word not in first else 1
    # Sorting keeps the order of first use where two weigh alike.
    top = sorted(seen, key=lambda root: (-tally[root], -len(root)))[:count]
    return [word.strip(".'") for root, word in seen.items() if root in top]


def summary(text: str, most: int | None = None) -> list[str]:
    """The sentences that say most of what a text says, in their own order.

    Args:
        text: What was heard.
        most: At most this many sentences. None: a third of them, 1 to 3.

    Returns:
        Sentences as they stand in the text. Of a long one, as recognisers write what was said in one breath, the
        stretches between commas count as sentences; one longer than 40 words is cut.
    """
    found = [clause for sentence in sentences(text) for clause in _clauses(sentence)]
    if not found:
        return []
    count = most or min(3, max(1, math.ceil(len(found) / 3)))
    tally = Counter(root for sentence in found for root in set(content(sentence)))

    def weight(index: int) -> float:
        roots = content(found[index])
        # Words shared with other sentences count; long sentences must not win by length; the first sets the scene.
        return sum(tally[root] for root in set(roots)) / math.sqrt(len(roots) + 3) + (0.5 if index == 0 else 0)

    best = sorted(sorted(range(len(found)), key=lambda index: (-weight(index), index))[:count])
    return [_shorten(found[index]) for index in best]


def _clauses(sentence: str, longest: int = 20, shortest: int = 6) -> list[str]:
    """A sentence of more than `longest` words at its commas, no stretch under `shortest` words; else as it is."""
    if _length(sentence) <= longest:
        return [sentence]
    clauses: list[str] = []
    for part in re.split(r"(?<=[,;])\s+|(?<=[，；])", sentence):
        if clauses and (_length(clauses[-1]) < shortest or _length(part) < shortest):
            clauses[-1] = together([clauses[-1], part])
        else:
            clauses.append(part)
    whole = [clause.rstrip(",;，； ") for clause in clauses]
    return [closed(clause[:1].upper() + clause[1:]) for clause in whole]


def _length(text: str) -> int:
    """How many words a text has, a Chinese or Japanese one counted as two characters."""
    unspaced = len(re.findall(rf"[{chinese.LETTERS}]", text))
    return len(re.sub(rf"[{chinese.LETTERS}，。、；：]", " ", text).split()) + unspaced // 2


def _shorten(sentence: str, longest: int = 40) -> str:
    if _length(sentence) > longest and " " not in sentence:
        return sentence[: 2 * longest] + "……"
    parts = sentence.split()
    if len(parts) <= longest:
        return sentence
    for index in range(longest - 1, longest // 2, -1):
        if parts[index].endswith((",", ";", ":")):
            return " ".join(parts[: index + 1]).rstrip(",;:") + "."
    return " ".join(parts[:longest]) + " …"


# ── Numbers and sums ──────────────────────────────────────────────────────────────────────────────────────

_UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: value * 10
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_SCALES |= {"百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}  # behind digits, as in 3万
_TOKEN = re.compile(
    # Digits may touch Chinese characters, which stand without a space, and no Latin letters.
    rf"(?<![^\W{chinese.LETTERS}])(?<!\.)-?\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)?(?![^\W{chinese.LETTERS}])"
    rf"|{chinese.NUMERAL}|[^\W\d_{chinese.LETTERS}]+|\S"
)
_ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "twelfth": 12,
    "twentieth": 20,
    "thirtieth": 30,
}


@dataclass(frozen=True, slots=True)
class Number:
    """A number found in a text.

    Attributes:
        value: Its value, an int where it is whole.
        start: Index of its first character.
        end: Index after its last character.
        ordinal: True for "third" or "3rd".
    """

    value: int | float
    start: int
    end: int
    ordinal: bool = False


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else value


def numbers(text: str) -> list[Number]:
    """Numbers in a text, in order.

    They stand in digits ("3", "1,200", "2.5", "-4", "3rd"), in English words ("twenty-one", "two point five", "a
    dozen", "half a million", "third") or in Chinese numerals ("三", "一百零五", "第二").
    """
    found: list[Number] = []
    tokens = [(match.group().casefold(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    index = 0
    while index < len(tokens):
        word, start, end = tokens[index]
        before = tokens[index - 1][0] if index else ""
        digits = re.fullmatch(r"(-?\d[\d,]*(?:\.\d+)?)(st|nd|rd|th)?", word)
        if digits:
            value = float(digits[1].replace(",", "").rstrip("."))
            if index + 1 < len(tokens) and tokens[index + 1][0] in _SCALES and not digits[2]:
                value, end = value * _SCALES[tokens[index + 1][0]], tokens[index + 1][2]
                index += 1
            found.append(Number(_whole(value), start, end, bool(digits[2]) or before == "第"))
            index += 1
            continue
        if re.fullmatch(chinese.NUMERAL, word):
            if chinese.is_number(text, start, end):
                sign, start = (-1, tokens[index - 1][1]) if before == "负" else (1, start)
                found.append(Number(_whole(sign * chinese.value(word)), start, end, before == "第"))
            index += 1
            continue
        minus = word in ("minus", "negative") and index + 1 < len(tokens) and (not found or found[-1].end < start - 1)
        at = index + 1 if minus else index
        value_, after = _word_number(tokens, at)
        if value_ is None:
            if word in _ORDINALS and word != "second":
                found.append(Number(_ORDINALS[word], start, end, True))
            elif word == "second" and index and tokens[index - 1][0] in ("the", "my", "your"):
                found.append(Number(2, start, end, True))
            elif word == "dozen":
                found.append(Number(12, start, end))
            index += 1
            continue
        start = tokens[at][1]
        end = tokens[after - 1][2]
        if after < len(tokens) and tokens[after][0] == "dozen":
            value_, end, after = value_ * 12, tokens[after][2], after + 1
        found.append(Number(_whole(value_), start, end))
        index = after
    # Some hundred digits in a row are more than a float holds.
    return [number for number in found if math.isfinite(number.value)]


def _word_number(tokens: Sequence[tuple[str, int, int]], at: int) -> tuple[float | None, int]:
    """Read a number in words from `at`: its value, or None, and the index after it."""
    total, current, index, seen = 0.0, 0.0, at, False
    last = "none"
    while index < len(tokens):
        word = tokens[index][0]
        if word in _UNITS and last in ("none", "scale", "and"):
            current, last, seen = current + _UNITS[word], "unit", True
        elif word in _UNITS and last == "tens" and 0 < _UNITS[word] < 10:
            current, last = current + _UNITS[word], "unit"
        elif word in _TENS and last in ("none", "scale", "and"):
            current, last, seen = current + _TENS[word], "tens", True
        elif word in _SCALES and (seen or (index and tokens[index - 1][0] == "a")):
            scale = _SCALES[word]
            current = (current or 1) * scale
            if scale > 100:
                total, current = total + current, 0
            last, seen = "scale", True
        elif word == "-" and last == "tens":
            pass
        elif (
            word == "and"
            and last == "scale"
            and index + 1 < len(tokens)
            and (tokens[index + 1][0] in _UNITS or tokens[index + 1][0] in _TENS)
        ):
            last = "and"
        else:
            break
        index += 1
    if not seen:
        return None, at
    value = total + current
    if index + 1 < len(tokens) and tokens[index][0] == "point" and tokens[index + 1][0] in _UNITS:
        digits = ""
        index += 1
        while index < len(tokens) and tokens[index][0] in _UNITS and _UNITS[tokens[index][0]] < 10:
            digits += str(_UNITS[tokens[index][0]])
            index += 1
        value += float(f"0.{digits}") if digits else 0
    return value, index


def spoken_number(value: int | float) -> str:
    """A number as it is best read out: whole where it is whole, else with at most four places."""
    value = _whole(value)
    return str(value) if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


_OPERATIONS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
}


def _value(node: ast.AST) -> float:
    if isinstance(node, ast.Expression):
        return _value(node.body)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 1e6):
            raise OverflowError
        return _OPERATIONS[type(node.op)](left, right)
    raise ValueError("not a sum")


def arithmetic(text: str) -> tuple[str, float] | None:
    """Find a sum in a text and do it.

    Args:
        text: For example `"what is twelve times seven"` or `"(3 + 4) / 2?"`.

    Returns:
        The sum in digits and signs (`**` for powers, `sqrt` for roots) and its result; None where there is none, or
        where it has none (a division by zero).
    """
    text = re.sub(r"\d{4}-\d{1,2}-\d{1,2}", "a date", text[:2_000])
    found = numbers(text)
    flat, at = "", 0
    for number in found:
        # "3-4" reads as 3 and -4 only where nothing but a space or bracket stands before the minus.
        flat += text[at : number.start].casefold() + f" {spoken_number(number.value)} "
        at = number.end
    flat += text[at:].casefold()
    for pattern, instead in (
        (r"\bsquare root of\s+(\d+(?:\.\d+)?)", r"(\1**0.5)"),
        (r"(\d+(?:\.\d+)?)\s*(?:%|per ?cent)\s+of\s+(\d+(?:\.\d+)?)", r"(\1/100*\2)"),
        (r"\bhalf of\s+(\d+(?:\.\d+)?)", r"(\1/2)"),
        (r"\b(?:twice|double)\s+(\d+(?:\.\d+)?)", r"(2*\1)"),
        (r"\bsum of\s+(\S+)\s+and\s+(\S+)", r"(\1 + \2)"),
        (r"\bproduct of\s+(\S+)\s+and\s+(\S+)", r"(\1 * \2)"),
        (r"\bdifference (?:between|of)\s+(\S+)\s+and\s+(\S+)", r"(\1 - \2)"),
        (r"\badd\s+(\d\S*)\s+(?:and|to)\s+(\d\S*)", r"(\1 + \2)"),
        (r"\bsubtract\s+(\d\S*)\s+from\s+(\d\S*)", r"(\2 - \1)"),
        (r"\bmultiply\s+(\d\S*)\s+(?:by|and|with)\s+(\d\S*)", r"(\1 * \2)"),
        (r"\bdivide\s+(\d\S*)\s+by\s+(\d\S*)", r"(\1 / \2)"),
        (r"(\d+(?:\.\d+)?)\s*的\s*百分之\s*(\d+(?:\.\d+)?)", r"(\2/100*\1)"),
        (r"(\d+(?:\.\d+)?)\s*的\s*(\d+(?:\.\d+)?)\s*%", r"(\2/100*\1)"),
        (r"(\d+(?:\.\d+)?)\s*的平方根|根号\s*(\d+(?:\.\d+)?)", r"(\1\2**0.5)"),
        (r"\s*的\s*(\d+)\s*次方", r"**\1"),
        (r"的平方", "**2"),
        (r"的立方", "**3"),
        (r"(\d+(?:\.\d+)?)\s*的一半", r"(\1/2)"),
        (r"\bsquared\b", "**2"),
        (r"\bcubed\b", "**3"),
        (r"\b(?:to the power of|to the power)\b|\^", "**"),
        (r"\b(?:multiplied by|times)\b|[×·]|(?<=\d)\s+x\s+(?=\d)", "*"),
        (r"\b(?:divided by|over)\b|÷", "/"),
        (r"\bplus\b|加上?", "+"),
        (r"\b(?:minus|less)\b|减去?|−", "-"),
        (r"乘以?", "*"),
        (r"除以", "/"),
        (r"\bmodulo\b|\bmod\b", "%"),
    ):
        flat = re.sub(pattern, instead, flat)
    flat = re.sub(r"(?<=\d)\s+(?=\d)", " ; ", flat)  # two numbers side by side are not one
    for candidate in sorted(
        re.findall(r"(?:(?<![\d)\w])-\s*)?[\d(][\d\s.+\-*/%()]*[\d)]", flat), key=len, reverse=True
    ):
        sum_ = re.sub(r"\s+", " ", candidate).strip()
        if not re.search(r"\d\s*\)*\s*(?:[+\-*/%]|\*\*)\s*\(*-?\s*\d", sum_):
            continue
        try:
            result = float(_value(ast.parse(sum_.replace(" ", ""), mode="eval")))
        except (ArithmeticError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if not math.isfinite(result):
            continue
        shown = re.sub(r"\s*(\*\*|[+\-*/%])\s*", r" \1 ", sum_)
        shown = re.sub(r"\(\s*([^()\s]+) \*\* 0\.5\s*\)", r"sqrt \1", shown)
        shown = re.sub(r"^\(([^()]*)\)$", r"\1", shown.strip())
        shown = re.sub(r"\(\s+", "(", re.sub(r"\s+\)", ")", shown))
        return re.sub(r"\s+", " ", shown).strip(), result
    return None


# ── Names, places, dates ──────────────────────────────────────────────────────────────────────────────────

COLOURS = bag(
    "red orange yellow green blue purple violet pink brown black white grey gray gold silver cyan magenta turquoise"
    " warm cold"
)
_WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
_NOT_NAMES = bag(
    "I I'm I'd I'll I've What What's Where Who How When Why Which Is Are Was Were Do Does Did Can Could "
    "Would Will Shall"
    " Should Please Tell Say Give Get Set Turn Call Send Add Show Find Search Look Play Book Order Check "
    "The A An And Or"
    " But So If Then In On At For To From With About My Your Our His Her Their It Its This That These "
    "Those There Here"
    " Hello Hi Hey Good Thanks Thank Yes No Not Ok Okay Now Today Tomorrow Tonight Yesterday Let Let's "
    "Make Also Next"
    " Remind Translate Summarize Summarise Repeat Count Spell Answer Email Mail Write Read Open Close "
    "Start Stop Create"
    " Delete Remove Update Convert Calculate Multiply Divide Subtract We You He She They Me Us January "
    "February March"
    " April May June July August September October November December Monday Tuesday Wednesday Thursday "
    "Friday Saturday"
    " Sunday Celsius Fahrenheit Mr Mrs Ms Dr AM PM After Before Between Switch Schedule Weather Time Buy "
    "Sell Ask"
)


def proper_names(text: str) -> list[str]:
    """Runs of capitalised words that do not merely start a sentence, such as "New York" or "Ana Ruiz"."""
    found: list[str] = []
    capital = r"[A-ZÀ-ÖØ-ÞŁŚŻČŠŽ]"
    pattern = rf"{capital}[\w'’.\-]*(?:\s+(?:(?:de|da|del|la|le|of|van|von|am)\s+)?{capital}[\w'’\-]*)*"
    for match in re.finditer(pattern, text):
        parts = [part.strip(".’'") for part in match.group().split()]
        while parts and parts[0].removesuffix("'s").removesuffix("’s") in _NOT_NAMES:
            parts = parts[1:]
        while parts and parts[-1] in _NOT_NAMES:
            parts = parts[:-1]
        name = " ".join(part.removesuffix("'s").removesuffix("’s") for part in parts).strip(".,'’")
        if name:
            found.append(name)
    return list(dict.fromkeys(found))


_PLACE_END = (
    r"(?=$|[.,;:?!]|\s+(?:and|or|to|from|in|on|at|for|by|with|today|tomorrow|tonight|now|please|right"
    r"|this|next|like|is"
    r"|be|using|as|via|then|also|within|during|after|before|until|until|what|how|will|has|have|look|looks)\b)"
)


def places(text: str) -> list[str]:
    """Places a request names: "in Oslo", "from Berlin to New York", "weather for london", "巴黎的天气".

    Capitals decide where there are any, since recognisers write them; otherwise what follows in, for, at, of, to.
    """
    named = proper_names(text)
    if named:
        return named
    found = [
        match[1]
        for match in re.finditer(
            rf"\b(?:in|for|at|near|around|to|from|of)\s+(?:the\s+city\s+of\s+)?(?!the\b|a\b|an\b|me\b"
            rf"|my\b|this\b|it\b)"
            rf"([a-zà-öø-ÿ][\w'’\-]*(?:\s+[a-zà-öø-ÿ][\w'’\-]*){{0,2}}?){_PLACE_END}",
            text,
        )
        if not re.fullmatch(
            rf"(?:{_WEEKDAYS}|{_MONTHS}|celsius|fahrenheit|degrees|\w+ (?:minutes?|hours?|seconds?"
            rf"|days?))",
            match[1],
        )
        and not numbers(match[1])
        and stem(match[1]) not in ("general", "fact", "short", "total", "order", "weather", "forecast", "temperature")
    ]
    for first in list(found):  # "in oslo and paris"
        more = re.search(
            rf"\b{re.escape(first)}((?:\s*,\s*"
            rf"|\s*,?\s+and\s+)[a-zà-öø-ÿ'’\-]+)+{_PLACE_END}",
            text,
        )
        if more:
            listed = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", more.group())
            found = [*found, *listed]
    if not found:
        found = re.findall(r"\b(?:in|at|near)\s+(?:the|my|our)\s+([a-z]+(?:\s+room)?)" + _PLACE_END, text)
        found = [] if found in (["morning"], ["afternoon"], ["evening"], ["moment"], ["end"]) else found
        if found:
            return list(dict.fromkeys(found))
    if not found:
        found = re.findall(r"(?:在|查询|查一下|问)?([\u4e00-\u9fff]{2,4}?)(?:的|今天|明天|现在)", text)
        found = [place for place in found if place not in ("今天", "明天", "现在", "请问", "什么")]
    return [name.title() if name.isascii() else name for name in dict.fromkeys(found)]


def dates(text: str) -> list[str]:
    """Days as they are given: "2026-03-01", "tomorrow", "next Friday", "March 3rd", "the 5th of May", "3/4/2026"."""
    patterns = (
        r"\b\d{4}-\d{1,2}-\d{1,2}(?:T[\d:]+Z?)?\b",
        r"\b\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b",
        rf"\b(?:{_MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?\b",
        rf"\b(?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTHS})(?:\s+\d{{4}})?\b",
        rf"\b(?:{_MONTHS})\s+(?:{'|'.join(_ORDINALS)})\b",
        r"\bthe day after tomorrow\b|\b(?:today|tomorrow|tonight|yesterday)\b",
        rf"\b(?:(?:next|this|last|coming)\s+)?(?:{_WEEKDAYS})\b",
        r"\b(?:next|this|last)\s+(?:week|weekend|month|year)\b",
        r"今天|明天|后天|昨天",
    )
    spans: list[tuple[int, int]] = []
    for pattern in patterns:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            if not any(start < match.end() and match.start() < end for start, end in spans):
                spans.append(match.span())
    return [text[start:end] for start, end in sorted(spans)]


def times(text: str) -> list[str]:
    """Times of day as they are given: "5 pm", "17:30", "noon", "half past nine", "seven o'clock"."""
    number = rf"(?:\d{{1,2}}|{'|'.join(_UNITS)})"
    patterns = (
        rf"\b(?:half|quarter|ten|five|twenty) (?:past|to) {number}\b",
        rf"\b\d{{1,2}}:\d{{2}}(?:\s*[ap]\.?m\b\.?)?|\b{number}(?:\s+(?:thirty|fifteen"
        rf"|forty-five))?\s*[ap]\.?m\b\.?",
        rf"\b{number}\s+o['’]clock\b(?: in the (?:morning|afternoon|evening))?",
        r"\b(?:noon|midnight)\b",
    )
    found: list[tuple[int, str]] = []
    for pattern in patterns:
        found += [(match.start(), match.group()) for match in re.finditer(pattern, text, re.IGNORECASE)]
    if not found:
        found = [
            (match.start(1), match[1])
            for match in re.finditer(
                rf"\bat\s+({number})\b(?!\s+(?:degrees|percent"
                rf"|dollars))",
                text,
                re.IGNORECASE,
            )
        ]
    return [words_.strip() for _, words_ in sorted(found)]


_CHINESE_NAME = (
    r"(?![他她它你您们什啥谁不])[\u4e00-\u9fff]{2,4}?(?:·[\u4e00-\u9fff]{1,6}?)?(?=$|\W|[是在住来今很喜也想的有要去呢吧啊])"
)
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙朱胡郭何林罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田袁余叶蒋杜苏魏吕丁沈姚卢傅钟谭"
_NAME_SAID = (
    r"(?i:my name is|my name's|call me|i am called|i'm called|people call me|the name is)\s+"
    r"([^\W\d_][\w'’\-]*(?:\s+[A-ZÀ-Þ][\w'’\-]*)?)",
    r"\b(?:I am|I'm|I’m|[Tt]his is|[Ii]t's"
    r"|[Ii]t is)\s+([A-ZÀ-Þ][\w'’\-]+(?:\s+[A-ZÀ-Þ][\w'’\-]+)?)(?=[.,!?;]|$|\s+(?:and|from|speaking|here)\b)",
    r"(?i:je m['’]appelle|mon nom est|me llamo|mi nombre es|ich hei(?:ß|ss)e|mein name ist|mi chiamo"
    r"|meu nome é"
    r"|me chamo|ik heet|jag heter)\s+([^\W\d_][\w'’\-]*(?:\s+[A-ZÀ-Þ][\w'’\-]*)?)",
    rf"(?:我叫|我的名字[是叫])\s*({_CHINESE_NAME}|[A-Za-z]+)",
    # 我是 is followed by a trade or a town more often than by a name: 我是程序员.
    rf"我是\s*((?=[{_SURNAMES}小阿]){_CHINESE_NAME}(?<![人生员师长家孩友])|[A-Z][A-Za-z]+)(?=$|[\s，。！,.!;；])",
    r"(?:私の名前は|私は)\s*(?!何|誰)([\u3040-\u30ff\u4e00-\u9fffA-Za-z]+?)(?:です|と申します|といいます)",
)
_NOT_MINE = bag("not what who the a an is in so very from")


def last_name(texts: Iterable[str]) -> str | None:
    """The name the speaker last gave for themselves, in any of a few languages; None where none did."""
    for text in (text[:20_000] for text in reversed(list(texts))):
        for pattern in _NAME_SAID:
            for match in reversed(list(re.finditer(pattern, text))):
                name = match[1].strip(".,’'")
                if name.casefold() not in _NOT_MINE and name not in _NOT_NAMES:
                    return name if name[:1].isupper() or not name.isascii() else name.title()
    return None
