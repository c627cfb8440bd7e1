"""Chinese as rules need it: its numerals, and the words that carry no meaning in a text written without spaces."""

from __future__ import annotations

import re

from rtnb.server.responder import lexicon

NUMERAL = lexicon.source("chinese_numeral")
_DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ASCII = str.maketrans({digit: str(number) for digit, number in _DIGITS.items()})
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10_000, "亿": 100_000_000}


def value(numeral: str) -> float:
    """Return the value of a Chinese numeral: of 十二 12, of 一百零五 105, of 二〇二六 2026, of 三点五 3.5."""
    whole, _, places = numeral.partition("点")
    total = _counted(whole) if re.search(r"[十百千万亿]", whole) else float(whole.translate(_ASCII))
    return total + float(f"0.{places.translate(_ASCII)}")


def _counted(whole: str) -> float:
    total = section = digit = 0.0  # floats: a row of 亿 is endless, and no error
    last = 1  # the place named last: 一百二 is 120, 一百零二 is 102
    for character in whole:
        if character in _DIGITS:
            digit = _DIGITS[character]
            last = last if digit else 10
        elif character in _PLACES:
            last = _PLACES[character]
            section += (digit or 1) * last
            digit = 0
        else:
            last = _MYRIADS[character]
            # 三万亿 multiplies all that came before.
            total = (total + section + digit) * last if total and last > total else total + (section + digit) * last
            section = digit = 0
    return total + section + digit * max(1, last // 10)


def is_number(text: str, start: int, end: int) -> bool:
    """Return whether a numeral found in a text counts something: not in 一下, 十分 (very), 星期三, 万一."""
    numeral, before, after = text[start:end], text[:start], text[end : end + 2]
    if numeral[0] in "百千万亿" or re.search(r"(?:星期|礼拜|周)$", before):
        return False
    if before.endswith("第"):
        return True
    if numeral == "一":
        return not re.match(r"[个下些起样点直定切般会旦生边共同向方面半遍次]", after)
    if numeral == "十" and after[:1] == "分":
        return after == "分钟"
    return numeral + after[:1] not in ("三明", "四川", "零下", "零食")


_KEPT = lexicon.bag("kept")
_WORDS = re.compile("|".join(sorted(_KEPT | lexicon.bag("function_words"), key=len, reverse=True)))
_LIGHT = re.compile("|".join(lexicon.bag("light_verbs")))


def bare(text: str) -> str:
    """Replace the Chinese function words of a text by spaces: of 我喜欢苹果 what is left is 苹果."""
    return _WORDS.sub(lambda word: word[0] if word[0] in _KEPT else " ", text)


def terms(text: str, longest: int = 6) -> list[str]:
    """List what stands between the function words, the kana and the marks, where it is as short as a word."""
    found = re.findall(r"[\u3400-\u9fff々]+|[\u30a0-\u30ff]{2,}", _LIGHT.sub(" ", bare(text)))
    return [term for term in found if len(term) <= longest and not re.fullmatch(NUMERAL, term)]
