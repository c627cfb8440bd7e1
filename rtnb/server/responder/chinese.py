"""Chinese as rules need it: its numerals, and the words that carry no meaning in a text written without spaces."""

from __future__ import annotations

import re

__all__ = ["LETTERS", "NUMERAL", "bare", "is_number", "terms", "value"]

# Inside a character class: kana and Chinese characters, which stand beside each other without a space.
LETTERS = r"\u3040-\u30ff\u3400-\u9fff"

_DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10_000, "亿": 100_000_000}
# The point of 三点五 is the hour of 三点五分 and 三点十五.
NUMERAL = (
    r"[零〇一二两三四五六七八九十百千万亿]+"
    r"(?:点[零〇一二三四五六七八九]+(?![零〇一二三四五六七八九十百千万亿分]))?"
)


def value(numeral: str) -> float:
    """The value of a Chinese numeral: of 十二 12, of 一百零五 105, of 二〇二六 2026, of 三点五 3.5."""
    whole, _, places = numeral.partition("点")
    if not re.search(r"[十百千万亿]", whole):
        total = float("".join(str(_DIGITS[digit]) for digit in whole))
    else:
        total = _counted(whole)
    return total + (float("0." + "".join(str(_DIGITS[digit]) for digit in places)) if places else 0)


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
    """Whether a numeral found in a text counts something: not in 一下, 十分 (very), 星期三, 万一."""
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


# Words that hold a character which alone would be one without meaning.
_KEPT = (
    "不同 主要 会议 功能 和平 和谐 到达 都市 首都 成都 存在 达到 迟到 对话 过年 过程 机会 几何 经过 就业"
    " 理想 能力 目的 请假 社会 说明 思想 太太 太阳 通过 小说 想法 要求 有名 有趣 重要 在线 从事 谁知 着急"
    " 跟随 是非 很多 会话 不错 地道 去年 过去"
)
_EMPTY = (
    "为什么 怎么样 怎么 什么 哪里 哪儿 哪个 这里 那里 这儿 那儿 这个 那个 这些 那些 这样 那样 这段 一个"
    " 一些 一下 一点 我们 你们 他们 她们 它们 自己 大家 可以 可能 应该 需要 没有 不是 就是 还是 但是 可是"
    " 因为 所以 如果 虽然 然后 而且 或者 以及 已经 正在 现在 今天 非常 真的 有点 多少 几个 请问 告诉"
    " 知道 记得 想要 看看 起来 出来 时候 关于 你好 您好 谢谢 早上好 下午好 晚上好 再见 练习 我 你 您"
    " 他 她 它 的 了 着 过 吗 呢 吧 啊 呀 嘛 是 在 有 和 与 跟 也 都 就 还 不 没 很 太 把 被 给 让 对 从"
    " 到 这 那 哪 谁 几 请 说 想 要 会 能 叫 好 又 再 更 最 去"
)
# Verbs that join a person to what is spoken of: something to remember, and nothing to speak about.
_LIGHT = re.compile("喜欢|觉得|住|第一次")
_WORDS = re.compile("|".join(sorted([*_KEPT.split(), *_EMPTY.split()], key=len, reverse=True)))
_KEPT_WORDS = frozenset(_KEPT.split())


def bare(text: str) -> str:
    """A text with its Chinese function words replaced by spaces: of 我喜欢苹果 what is left is 苹果."""
    return _WORDS.sub(lambda word: word[0] if word[0] in _KEPT_WORDS else " ", text)


def terms(text: str, longest: int = 6) -> list[str]:
    """What stands between the function words, the kana and the marks of a text, where it is as short as a word."""
    found = re.findall(r"[\u3400-\u9fff々]+|[\u30a0-\u30ff]{2,}", _LIGHT.sub(" ", bare(text)))
    return [term for term in found if len(term) <= longest and not re.fullmatch(NUMERAL, term)]
