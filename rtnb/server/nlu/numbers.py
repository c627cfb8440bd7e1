"""Numbers and sums in a text, in digits, in English words and in Chinese numerals."""

import ast
import contextlib
import math
import re
from collections.abc import Sequence
from operator import add, mod, mul, sub, truediv
from typing import Any, NamedTuple

from rtnb.server.nlu.lexicon import FILES, LETTERS, cue, entries, source

_VALUES: dict[str, int] = entries("numbers")
_SCALES = {word: value for word, value in _VALUES.items() if value >= 100}  # Chinese ones behind digits, as in 3万
_NUMERALS: dict[str, int] = entries("numerals")
_ORDINALS: dict[str, int] = entries("ordinals")
_TOKEN = re.compile(
    # Digits may touch Chinese characters, which stand without a space, and no Latin letters.
    rf"(?<![^\W{LETTERS}])(?<!\.)-?\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)?(?![^\W{LETTERS}])"
    rf"|{source('chinese_numeral')}|[^\W\d_{LETTERS}]+|\S"
)


class Number(NamedTuple):
    """Number found in a text.

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


def numbers(text: str) -> list[Number]:
    """Find the numbers in a text, in order.

    They stand in digits ("3", "1,200", "2.5", "-4", "3rd"), in English words ("twenty-one", "two point five", "a
    dozen", "half a million", "two and a half", "third") or in Chinese numerals ("三", "一百零五", "第二").
    """
    found: list[Number] = []
    tokens = [(match.group().casefold(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    tokens += [("", 0, 0)] * 2  # so that there is a word before the first and behind the last
    index = 0
    while tokens[index][0]:
        (word, start, end), before, after = tokens[index], tokens[index - 1][0], index + 1
        value, ordinal = None, before == "第"
        if digits := re.fullmatch(r"(-?\d[\d,]*(?:\.\d+)?)(st|nd|rd|th)?", word):
            value, ordinal = float(digits[1].replace(",", "").rstrip(".")), ordinal or bool(digits[2])
            if tokens[after][0] in _SCALES and not digits[2]:
                value, after = value * _SCALES[tokens[after][0]], after + 1
        elif cue("chinese_numeral").fullmatch(word):
            # Not in 一下, 十分 (very), 星期三, 万一.
            around = f"{text[max(0, start - 2) : start]}|{word}|{text[end : end + 2]}"
            value = None if cue("no_number").search(around) or len(word) > 100 else _chinese_value(word)
            if value is not None and before == "负":
                value, start = -value, tokens[index - 1][1]
        elif word in _ORDINALS and (word != "second" or before in ("the", "my", "your")):
            value, ordinal = _ORDINALS[word], True
        else:
            half = cue("half").match(text, start)  # "half an hour", "a quarter of a million"
            value, after = _word_number(tokens, index + len(_TOKEN.findall(half[0])) if half else index)
            if tokens[after][0] == "dozen":
                value, after = 12 * (1 if value is None else value), after + 1
            value = (1 if value is None else value) * part_of(half[0]) if half else value
        index = max(after, index + 1)
        end = tokens[index - 1][2]
        if value is not None and (half := cue("and_a_half").match(text, end)):
            value, end, index = value + part_of(half[0]), half.end(), index + len(_TOKEN.findall(half[0]))
        # Some hundred digits in a row are more than a float holds.
        if value is not None and math.isfinite(value):
            whole = float(value).is_integer() and abs(value) < 1e15
            found.append(Number(int(value) if whole else value, start, end, ordinal))
    return found


def _word_number(tokens: Sequence[tuple[str, int, int]], at: int) -> tuple[float | None, int]:
    """Read a cardinal number in words from `at`: its value, or None, and the index after it."""
    total, current, index, last = 0.0, 0.0, at, "none"
    while True:
        word, following = tokens[index][0], tokens[index + 1][0]
        value = _VALUES.get(word, math.inf)
        if value < 100 and (last in ("none", "scale", "and") or (last == "tens" and 0 < value < 10)):
            current, last = current + value, "unit" if value < 20 else "tens"
        elif word in _SCALES and (last != "none" or tokens[index - 1][0] == "a"):
            current = (current or 1) * _SCALES[word]
            if _SCALES[word] > 100:
                total, current = total + current, 0
            last = "scale"
        elif word == "and" and last == "scale" and _VALUES.get(following, 100) < 100:
            last = "and"
        elif not (word == "-" and last == "tens"):
            break
        index += 1
    if last == "none":
        return None, at
    value = total + current
    if word == "point" and _VALUES.get(following, 20) < 20:
        digits = ""
        while (digit := _VALUES.get(tokens[index + len(digits) + 1][0], 10)) < 10:
            digits += str(digit)
        value, index = value + float(f"0.{digits}"), index + len(digits) + 1
    return value, index


def _chinese_value(numeral: str) -> float:
    """Return the value of a Chinese numeral: of 十二 12, of 一百零五 105, of 二〇二六 2026, of 三点五 3.5."""
    whole, _, places = numeral.partition("点")
    values, digits = [[_NUMERALS[sign] for sign in part] for part in (whole, places)]
    total = _counted(values) if max(values) >= 10 else float("".join(map(str, values)))
    return total + float(f"0.{''.join(map(str, digits))}")


def _counted(values: Sequence[int]) -> float:
    """Return what stands before the largest place times that place, and what stands behind it."""
    if (place := max(values, default=0)) < 10:
        return float([0, *values][-1])  # of 两三百 the larger one
    at = len(values) - 1 - values[::-1].index(place)  # 三万亿 multiplies all that came before
    short = len(values) == at + 2  # 一百二 is 120, 一百零二 is 102
    return (_counted(values[:at]) or 1) * place + _counted(values[at + 1 :]) * (place / 10 if short else 1)


def part_of(text: str) -> float:
    """Return which part of a unit is said behind it: "and a half", "and three quarters", 半."""
    return 0.75 if "three" in text else 0.25 if "quarter" in text else 0.5


def spoken_number(value: int | float) -> str:
    """Write a number as it is best read out: whole where it is whole, else with at most four places."""
    return f"{value + 0.0:.4f}".rstrip("0").rstrip(".")  # + 0.0: a zero has no sign


_OPERATIONS: Any = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv, ast.Pow: pow, ast.Mod: mod}
_RULES = [rule for file in FILES.values() for rule in file.get("arithmetic", {}).get("rules", ())]


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp() if type(node.op) in _OPERATIONS:
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
    flat = _flat(re.sub(r"\d{4}-\d{1,2}-\d{1,2}", "a date", text[:2_000]))
    if cue("unsolved").search(flat):  # "half of half of 100"
        return None
    candidates = re.findall(r"(?:(?<![\d)\w])-\s*)?[\d(][\d\s.+\-*/%()]*[\d)]", flat)
    for candidate in sorted(candidates, key=len, reverse=True):
        with contextlib.suppress(ArithmeticError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            sum_ = ast.parse("".join(candidate.split()), mode="eval").body
            found = any(isinstance(node, ast.BinOp) for node in ast.walk(sum_))
            if found and math.isfinite(result := float(_value(sum_))):
                root = r"\(([\d.]+) \*\* 0\.5\)|\b([\d.]+) \*\* 0\.5\b"
                return re.sub(root, r"sqrt \1\2", ast.unparse(sum_)), result
    return None


def _flat(text: str) -> str:
    """Rewrite the words of a text that number and calculate into digits and signs."""
    for number in reversed(numbers(text)):
        # "3-4" reads as 3 and -4 only where nothing but a space or bracket stands before the minus.
        text = f"{text[: number.start]} {spoken_number(number.value)} {text[number.end :]}"
    flat = text.casefold()
    for pattern, instead in _RULES:
        flat = re.sub(pattern, instead, flat)
    return re.sub(r"(?<=\d)\s+(?=\d)", " ; ", flat)  # two numbers side by side are not one
