"""Words, sentences, quotations, keywords and a summary of plain text, by rule.

Everything here is pure and knows nothing of conversations or tools.
"""

import math
import re
from collections import Counter
from functools import cache

from rtnb.server.languages import closed, together
from rtnb.server.nlu.lexicon import FILES, LETTERS, bag, cue

_EMPTY = bag("empty")
_KEPT = bag("kept")
_WORDS = re.compile("|".join(sorted(_KEPT | bag("function_words"), key=len, reverse=True)))
# Words that may stand in any request.
_HARMLESS = _EMPTY | bag("harmless") | {word for file in FILES.values() for word in file.get("numbers", {})}
_GLUE = re.compile(
    "|".join(sorted((word for word in _HARMLESS | bag("function_words") if not word.isascii()), key=len, reverse=True))
)
_LIGHT = re.compile("|".join(bag("light_verbs")))
# English endings, what stands instead of them, and how long a word must be at least.
_ENDINGS = (("ies", "y", 5), ("ing", "", 6), ("ied", "y", 5), ("ed", "", 5), ("es", "", 5), ("s", "", 4))

_QUOTED = re.compile(
    r"""“([^”]+)”|"([^"]+)"|«\s*([^»]+?)\s*»|「([^」]+)」|《([^》]+)》|【([^】]+)】|‘([^’]+)’(?!\w)|(?<!\w)'([^']+(?:'\w[^']*)*)'(?!\w)"""
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])(?<!\b(?:Mr|Dr|Ms|St)\.)(?<!\bMrs\.)[\"'”’)]*\s+|(?<=[。！？])\s*|\n+")


def unspaced(text: str) -> bool:
    """Return whether a text holds a Chinese or Japanese character, which stands without spaces."""
    return bool(re.search(rf"[{LETTERS}]", text))


def words(text: str) -> list[str]:
    """List the words of a text in order; each Chinese character or kana counts as one."""
    return re.findall(rf"[{LETTERS}]|[^\W_]+(?:['’.\-@][^\W_]+)*", re.sub(rf"([{LETTERS}])", r" \1 ", text))


def first_words(text: str, count: int) -> str:
    """Return the first words of a text as they stand in it; each Chinese character or kana counts as one."""
    found = re.findall(rf"[{LETTERS}]|[^\s{LETTERS}]+", text)
    return closed(together(found[:count]).rstrip(',;:，、“”"'))


def stem(word: str) -> str:
    """Return a word without case and its commonest English endings, so that `cities` meets `city`."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    for ending, instead, least in _ENDINGS:
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def roots(text: str) -> list[str]:
    """List the stems of the words of a text in order."""
    return [stem(word) for word in words(text)]


def content(text: str) -> list[str]:
    """List the stems of the words that carry meaning."""
    return [stem(word) for word in words(bare(text)) if word.casefold().replace("’", "'") not in _EMPTY]


@cache
def _vocabulary(expression: str) -> frozenset[str]:
    """Return the words of a regular expression, and each longer one with a hyphen, as it may begin one."""
    plain = re.sub(r"\(\?<?!(?:[^()]|\([^()]*\))*\)|\\.", " ", expression).casefold().replace("’", "'")
    found = re.findall(rf"[{LETTERS}]|[a-zà-ÿ']+", plain)
    return frozenset([*found, *(f"{word}-" for word in found if len(word) > 3)])


def beside(text: str, expression: str) -> list[str]:
    """List the words of a text that carry meaning of their own and that a regular expression does not know.

    Of Chinese two characters count as a word.
    """
    known = _vocabulary(expression)
    left = [word.casefold().replace("’", "'").removesuffix("'s") for word in words(_GLUE.sub(" ", text))]
    left = [word for word in left if not (word in known or word in _HARMLESS or word.isdigit())]
    left = [word for word in left if not any(f"{word[:end]}-" in known for end in range(4, len(word) + 1))]
    return [word for index, word in enumerate(left) if index % 2 == 0 or not unspaced(word)]


def bare(text: str) -> str:
    """Replace the Chinese function words of a text by spaces: of 我喜欢苹果 what is left is 苹果."""
    return _WORDS.sub(lambda word: word[0] if word[0] in _KEPT else " ", text)


def terms(text: str, longest: int = 6) -> list[str]:
    """List what stands between the function words, the kana and the marks, where it is as short as a word."""
    found = re.findall(r"[\u3400-\u9fff々]+|[\u30a0-\u30ff]{2,}", _LIGHT.sub(" ", bare(text)))
    return [term for term in found if len(term) <= longest and not cue("chinese_numeral").fullmatch(term)]


def sentences(text: str) -> list[str]:
    """List a text's sentences, each with its closing mark."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part and re.search(r"\w", part)]


def quoted(text: str) -> list[str]:
    """List what stands in quotation marks of any kind, in order."""
    found = (next(filter(None, match.groups())) for match in _QUOTED.finditer(text))
    return [quotation for quotation in found if quotation.strip()]


def keywords(text: str, count: int) -> list[str]:
    """List the words a text uses most, as they are written in it, in the order of their first use."""
    seen: dict[str, str] = {}
    tally: Counter[str] = Counter()
    first = {found[0] for sentence in sentences(text) if (found := words(sentence))}
    for word in [*words(re.sub(rf"[{LETTERS}]", " ", text)), *terms(text)]:
        if word.casefold().replace("’", "'") in _EMPTY or (len(word) < 3 and word.isascii()) or word.isdigit():
            continue
        seen.setdefault(stem(word), word)
        tally[stem(word)] += 2 if word[:1].isupper() and word not in first else 1
    # Sorting keeps the order of first use where two weigh alike.
    top = sorted(seen, key=lambda root: (-tally[root], -len(root)))[:count]
    return [word.strip(".'") for root, word in seen.items() if root in top]


def summary(text: str, most: int | None = None) -> list[str]:
    """Choose the sentences that say most of what a text says, in their own order.

    Args:
        text: The transcript.
        most: At most this many sentences. None: a third of them, 1 to 3.

    Returns:
        Sentences as they stand in the text. Of a long one, as recognisers write what was said in one breath, the
        stretches between commas count as sentences; one longer than 40 words is cut.
    """
    found = [clause for sentence in sentences(text) for clause in _clauses(sentence)]
    count = most or min(3, max(1, math.ceil(len(found) / 3)))
    said = [content(sentence) for sentence in found]
    tally = Counter(root for roots in said for root in set(roots))
    # Words shared with other sentences count; long sentences must not win by length; the first sets the scene.
    weights = [sum(tally[root] for root in set(roots)) / math.sqrt(len(roots) + 3) for roots in said]
    best = sorted(sorted(range(len(found)), key=lambda index: -weights[index] - 0.5 * (index == 0))[:count])
    return [_shorten(found[index]) for index in best]


def _clauses(sentence: str) -> list[str]:
    """Cut a sentence of more than 20 words at its commas, no stretch under 6 words."""
    if _length(sentence) <= 20:
        return [sentence]
    clauses: list[str] = []
    for part in re.split(r"(?<=[,;])\s+|(?<=[，；])", sentence):
        if clauses and min(_length(clauses[-1]), _length(part)) < 6:
            clauses[-1] = together([clauses[-1], part])
        else:
            clauses.append(part)
    whole = [clause.rstrip(",;，； ") for clause in clauses]
    return [closed(clause[:1].upper() + clause[1:]) for clause in whole]


def _length(text: str) -> int:
    """Count the words of a text, a Chinese or Japanese one as two characters."""
    spaced = re.sub(rf"[{LETTERS}，。、；：]", " ", text).split()
    return len(spaced) + len(re.findall(rf"[{LETTERS}]", text)) // 2


def _shorten(sentence: str, longest: int = 40) -> str:
    if _length(sentence) > longest and " " not in sentence:
        return sentence[: 2 * longest] + "……"
    parts = sentence.split()
    if len(parts) <= longest:
        return sentence
    ends = [index for index in range(longest // 2 + 1, longest) if parts[index].endswith((",", ";", ":"))]
    return " ".join(parts[: ends[-1] + 1]).rstrip(",;:") + "." if ends else " ".join(parts[:longest]) + " …"
