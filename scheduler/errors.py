"""What is wrong, where, and what would be right: the one root of every error that a person is meant to read."""

import difflib
import itertools
from collections.abc import Collection

#: Characters of a value that a message quotes.
_LONGEST_VALUE = 60
_LONGEST_PATH = 200
#: Characters of a message. It is longer only if somebody forgot to shorten a value.
_LONGEST_MESSAGE = 1_000
#: A comparison of two words takes up to 20 µs. Longer words are not compared, and of many words only some that begin alike.
_LONGEST_WORD = 100
_MOST_WORDS = 100


class TminusError(Exception):
    """
    An error with a sentence for people; the command line prints it without a traceback.

    Args:
        message: What is wrong, lower case, no full stop.
        hint: What would be right, or what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = shorten(message, _LONGEST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # in a web server's log a traceback is all that is seen


class UsageError(TminusError):
    """Wrong usage, or an invalid file."""

    exit_code = 2


class LedgerError(TminusError):
    """The ledger cannot be opened, read or written."""


class NoLedger(LedgerError):
    """There is no ledger yet."""


class LedgerAway(LedgerError):
    """The database of the ledger does not answer now, and may later."""


class WrongLedger(LedgerError):
    """The database's server answers, and refuses this user, password or database."""

    exit_code = 2


class OldLedger(LedgerError):
    """The ledger is older than this program, and this command may not migrate it."""

    exit_code = 3


class LedgerLost(LedgerError):
    """Another process runs jobs on the ledger now: this one must end."""


class Refused(LedgerError):
    """The ledger works, and does not take these values: to try again does not help."""


class LockTimeout(TminusError, TimeoutError):
    """A lock was not free in time."""


class DaemonNeeded(TminusError):
    """The daemon is needed and is not there, or does not answer."""

    exit_code = 3


class NotFound(TminusError):
    """No such job, batch or occurrence."""

    exit_code = 4


class JobNotFound(NotFound):
    """A name that is no job's."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"no job {quoted(name)}{did_you_mean(name, known)}", hint="`tminus jobs` lists them")


def shorten(value: object, most: int = _LONGEST_VALUE) -> str:
    """A value as a message quotes it: its text, cut after that many characters."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def shorten_path(path: object) -> str:
    """The path of a file as a message quotes it: longer than other values, because a part of it is of little use."""
    return shorten(path, _LONGEST_PATH)


def quoted(value: object) -> str:
    """A text as a message quotes it: cut, between quotes, control characters escaped."""
    return repr(shorten(value))


def printable(text: str, *, keep: str = "") -> str:
    """Return a text with its control and formatting characters escaped, except those to keep: it cannot command a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else repr(sign)[1:-1] for sign in text)


def is_utf8(text: str) -> bool:
    """Whether a text can be encoded: an argument or a variable that is not UTF-8 holds lone surrogates."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def nearest(word: str, known: Collection[str], *, likeness: float = 0.6) -> str | None:
    """
    The known word that looks most like this one, or None if there is none.

    Args:
        likeness: From 0 to 1: how much the two must have in common.
    """
    if len(word) > _LONGEST_WORD:
        return None
    if len(known) > _MOST_WORDS:
        known = list(itertools.islice((other for other in known if other[:1] == word[:1]), _MOST_WORDS))
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return near[0] if near else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A clause to put behind "no such thing": empty where nothing is near."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""
