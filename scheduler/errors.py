"""What is wrong, where, and what would be right: the one root of every error that a person is meant to read."""

import difflib
from collections.abc import Iterable


class TminusError(Exception):
    """
    An error with a sentence for people; the command line prints it without a traceback.

    Args:
        message: What is wrong, lower case, no full stop.
        hint: What would be right, or what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
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

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no job {name!r}{did_you_mean(name, known)}", hint="`tminus jobs` lists them")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like this one, or None where none does."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A clause to put behind "no such thing": empty where nothing is near."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""
