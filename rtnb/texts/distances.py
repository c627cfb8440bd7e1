"""Count by how many words two texts differ."""

from collections.abc import Sequence


def edit_distances(words: Sequence[str], others: Sequence[str]) -> list[int]:
    """Return how many words must be replaced, taken out or put in to turn `words` into each beginning of `others`.

    Args:
        words: The words of one text.
        others: Those of another; its first n words are at place n of what is returned, all of them at the last.
    """
    row = list(range(len(others) + 1))
    for n, word in enumerate(words, 1):
        above, row[0] = row[0], n
        for m, other in enumerate(others, 1):
            above, row[m] = row[m], min(above + (word != other), row[m] + 1, row[m - 1] + 1)
    return row
