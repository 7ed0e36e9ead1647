"""Suggestions: what somebody may have meant by a word that nobody knows."""

import itertools
from collections.abc import Collection

#: A longer word gets no suggestion: a comparison of two words of this length takes up to 20 µs.
_LONGEST_WORD = 100
#: If more words are known, at most this many are compared, all with the same first letter.
_MOST_WORDS = 100


def nearest(word: str, known: Collection[str], *, likeness: float = 0.6) -> str | None:
    """
    Return the known word that is most similar to this one; None if there is none.

    Args:
        likeness: The least similarity, from 0 to 1.
    """
    if len(word) > _LONGEST_WORD:
        return None
    if len(known) > _MOST_WORDS:
        known = list(itertools.islice((other for other in known if other[:1] == word[:1]), _MOST_WORDS))
    import difflib  # here, because the import takes longer than that of this module, and few errors need it

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return near[0] if near else None


def suggest(word: str, known: Collection[str], *, otherwise: str) -> str:
    """Return a hint that names the known word that looks most like this one; `otherwise` if there is none."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return a clause that names the most similar known word; empty if there is none."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""
