"""Numbers and sums in a text, in digits, in English words and in Chinese numerals."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add, mod, mul, sub, truediv
from typing import Any

from rtnb.server.responder import chinese
from rtnb.server.responder.lexicon import LETTERS, entries, rules

_VALUES: dict[str, int] = entries("numbers")
_UNITS = {word: value for word, value in _VALUES.items() if value < 20}
_SCALES = {word: value for word, value in _VALUES.items() if value >= 100}  # Chinese ones behind digits, as in 3万
_ORDINALS: dict[str, int] = entries("ordinals")
_TOKEN = re.compile(
    # Digits may touch Chinese characters, which stand without a space, and no Latin letters.
    rf"(?<![^\W{LETTERS}])(?<!\.)-?\d[\d,]*(?:\.\d+)?(?:st|nd|rd|th)?(?![^\W{LETTERS}])"
    rf"|{chinese.NUMERAL}|[^\W\d_{LETTERS}]+|\S"
)
_Tokens = Sequence[tuple[str, int, int]]  # word, start, end


@dataclass(frozen=True, slots=True)
class Number:
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


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else value


def numbers(text: str) -> list[Number]:
    """Find the numbers in a text, in order.

    They stand in digits ("3", "1,200", "2.5", "-4", "3rd"), in English words ("twenty-one", "two point five", "a
    dozen", "half a million", "third") or in Chinese numerals ("三", "一百零五", "第二").
    """
    found: list[Number] = []
    tokens = [(match.group().casefold(), match.start(), match.end()) for match in _TOKEN.finditer(text)]
    tokens += [("", 0, 0)] * 2  # so that there is a word before the first and behind the last
    index = 0
    while tokens[index][0]:
        word, start, end = tokens[index]
        before = tokens[index - 1][0]
        number, after = None, index + 1
        if digits := re.fullmatch(r"(-?\d[\d,]*(?:\.\d+)?)(st|nd|rd|th)?", word):
            value = float(digits[1].replace(",", "").rstrip("."))
            if tokens[after][0] in _SCALES and not digits[2]:
                value, end, after = value * _SCALES[tokens[after][0]], tokens[after][2], after + 1
            number = Number(_whole(value), start, end, bool(digits[2]) or before == "第")
        elif re.fullmatch(chinese.NUMERAL, word):
            if chinese.is_number(text, start, end):
                sign, start = (-1, tokens[index - 1][1]) if before == "负" else (1, start)
                number = Number(_whole(sign * chinese.value(word)), start, end, before == "第")
        else:
            number, after = _spelled(tokens, index)
        found += [number] if number else []
        index = after
    # Some hundred digits in a row are more than a float holds.
    return [number for number in found if math.isfinite(number.value)]


def _spelled(tokens: _Tokens, at: int) -> tuple[Number | None, int]:
    """Read a number in English words from `at`: the number, or None, and the index after it."""
    word, start, end = tokens[at]
    value, after = _word_number(tokens, at)
    if value is not None:
        if tokens[after][0] == "dozen":
            value, after = value * 12, after + 1
        return Number(_whole(value), start, tokens[after - 1][2]), after
    if word in _ORDINALS and (word != "second" or tokens[at - 1][0] in ("the", "my", "your")):
        return Number(_ORDINALS[word], start, end, True), at + 1
    return Number(12, start, end) if word == "dozen" else None, at + 1


def _word_number(tokens: _Tokens, at: int) -> tuple[float | None, int]:
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
    if word == "point" and following in _UNITS:
        digits = ""
        index += 1
        while _UNITS.get(tokens[index][0], 10) < 10:
            digits += str(_UNITS[tokens[index][0]])
            index += 1
        value += float(f"0.{digits}")
    return value, index


def spoken_number(value: int | float) -> str:
    """Write a number as it is best read out: whole where it is whole, else with at most four places."""
    value = _whole(value)
    return str(value) if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


_OPERATIONS: Any = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv, ast.Pow: pow, ast.Mod: mod}
_RULES = rules("arithmetic")


def _value(node: ast.AST) -> float:
    match node:
        case ast.Expression(body=body):
            return _value(body)
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
    candidates = re.findall(r"(?:(?<![\d)\w])-\s*)?[\d(][\d\s.+\-*/%()]*[\d)]", flat)
    for candidate in sorted(candidates, key=len, reverse=True):
        sum_ = re.sub(r"\s+", " ", candidate).strip()
        if not re.search(r"\d\s*\)*\s*(?:[+\-*/%]|\*\*)\s*\(*-?\s*\d", sum_):
            continue
        try:
            result = float(_value(ast.parse(sum_.replace(" ", ""), mode="eval")))
        except (ArithmeticError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if math.isfinite(result):
            return _shown(sum_), result
    return None


def _flat(text: str) -> str:
    """Rewrite the words of a text that number and calculate into digits and signs."""
    flat, at = "", 0
    for number in numbers(text):
        # "3-4" reads as 3 and -4 only where nothing but a space or bracket stands before the minus.
        flat += text[at : number.start].casefold() + f" {spoken_number(number.value)} "
        at = number.end
    flat += text[at:].casefold()
    for pattern, instead in _RULES:
        flat = re.sub(pattern, instead, flat)
    return re.sub(r"(?<=\d)\s+(?=\d)", " ; ", flat)  # two numbers side by side are not one


def _shown(sum_: str) -> str:
    """Space a sum as it is written, without brackets around all of it."""
    shown = re.sub(r"\s*(\*\*|[+\-*/%])\s*", r" \1 ", sum_)
    shown = re.sub(r"\(\s*([^()\s]+) \*\* 0\.5\s*\)", r"sqrt \1", shown)
    shown = re.sub(r"^\(([^()]*)\)$", r"\1", shown.strip())
    shown = re.sub(r"\(\s+", "(", re.sub(r"\s+\)", ")", shown))
    return re.sub(r"\s+", " ", shown).strip()
