"""
Errors that people read: what is wrong, where, and how to fix it. All have one base class.
"""

from collections.abc import Collection

from tminus.suggestions import did_you_mean

#: Characters of a value, and of a path, that a message quotes.
_LONGEST_VALUE = 60
_LONGEST_PATH = 200
#: Characters of a message. Only a message with a value that was not shortened gets this long, and is cut.
_LONGEST_MESSAGE = 1_000


class TminusError(Exception):
    """
    An error with a sentence for people. The command line prints it without a traceback.

    Args:
        message: What is wrong; in lower case, without a full stop.
        hint: What to write instead, or what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = shorten(message, _LONGEST_MESSAGE)
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # the log of a web server shows only the traceback


class UsageError(TminusError):
    """Wrong usage, or an invalid file."""

    exit_code = 2


class InvalidText(ValueError):
    """
    A text that is not valid where it is.

    Args:
        message: What is wrong, lower case, no full stop. It may quote the text.
        hint: What would be right.
        offset: The place of the error in the text, in characters; None for the whole text.
        length: The number of characters that are wrong there.
    """

    def __init__(self, message: str, *, hint: str, offset: int | None = None, length: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset
        self.length = length


class LedgerError(TminusError):
    """The ledger cannot be opened, read or written."""


class NoLedger(LedgerError):
    """There is no ledger yet."""


class EmptyLedger(NoLedger):
    """There is a database for the ledger, without tables yet."""


class LedgerAway(LedgerError):
    """The database of the ledger does not respond now. It may respond later."""


class WrongLedger(LedgerError):
    """The database server responds, but refuses this user, password or database."""

    exit_code = 2


class OldLedger(LedgerError):
    """The ledger is older than this program, and this command may not migrate it."""

    exit_code = 3


class LedgerLost(LedgerError):
    """Another process runs jobs on the ledger now, so this process must end."""


class LedgerValueError(LedgerError):
    """The ledger works, but cannot store these values. A retry does not help."""


class LockTimeout(TminusError, TimeoutError):
    """A lock was not free in time. This is also a `TimeoutError`."""


class DaemonNeeded(TminusError):
    """The daemon is required, but is not running or does not respond."""

    exit_code = 3


class NotPossible(TminusError):
    """What is asked for cannot be done with an occurrence in its state."""


class NotFound(TminusError):
    """No such job, batch or occurrence."""

    exit_code = 4


class JobNotFound(NotFound):
    """No job has this name."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(f"no job {quoted(name)}{did_you_mean(name, known)}", hint="`tminus jobs` lists them")


def shorten(value: object, most: int = _LONGEST_VALUE) -> str:
    """Return the text of a value for a message, cut after `most` characters."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def shorten_path(path: object) -> str:
    """Return a path for a message. It may be longer than other values, because half a path is useless."""
    return shorten(path, _LONGEST_PATH)


def quoted(value: object) -> str:
    """Return a value for a message: cut, in quotes, with control characters escaped."""
    return repr(shorten(value))


def printable(text: str, *, keep: str = "", instead: str = "") -> str:
    """
    Return a text without commands for a terminal: control and formatting characters are escaped.

    Args:
        text: The text, from any source.
        keep: The control characters that stay.
        instead: The replacement of each other one; if empty, its escape sequence in Python.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in keep else instead or repr(sign)[1:-1] for sign in text
    )


def is_utf8(text: str) -> bool:
    """
    Return whether a text can be encoded. A command-line argument or an environment variable that is not UTF-8
    contains lone surrogates.
    """
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)
