"""Handing work over: into the ledger from a web worker, over the runner's pipe from inside a job."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from scheduler.clock import SystemClock
from scheduler.errors import TminusError, UsageError
from scheduler.executors.python import pipe
from scheduler.flask.credentials import Keys
from scheduler.model import payload
from scheduler.model.background import Standing, Work

if TYPE_CHECKING:
    from scheduler.flask.extension import Scheduler
    from scheduler.ledger.engine import Ledger

now_ns = SystemClock.wall_ns


@contextmanager
def _said_once() -> Iterator[None]:
    """An error of the ledger is its sentence: in the log of a web server what led to it would be pages, with statements."""
    try:
        yield
    except TminusError as error:
        raise error from None


@dataclass(frozen=True, slots=True)
class Run:
    """
    Work that was handed over.

    Attributes:
        id: 128 random bits: who knows them may ask how it goes.
        occurrence: What they stand for, as `tminus history` shows it.
    """

    id: str
    occurrence: str

    def standing(self) -> Standing:
        """
        How it stands now.

        Raises:
            LedgerError: the ledger does not work.
        """
        found = standing(self.id)
        if found is None:
            raise UsageError(f"the run {self.occurrence} is not in the ledger any more")
        return found

    @_said_once()
    def cancel(self) -> bool:
        """
        Cancel it where it waits, tell it to stop where it runs; False where it has ended.

        Raises:
            LedgerError: the ledger does not work.
        """
        from scheduler.ledger import requests, runs

        number = self.standing().number
        has_waited = runs.cancel(ledger(), number, now_ns=now_ns())
        if not has_waited and self.standing().outcome is not None:
            return False
        # Where it waited, too: the daemon has what it was given go from the ledger's log.
        requests.ask(ledger(), requests.Kind.CANCEL, {"number": number}, now_ns=now_ns())
        return True


class _Ledgers:
    """
    The ledgers of this process, by URL.

    No connection crosses a fork: SQLite's locks are the process's, its notes of them lie in memory, and a child with a copy of
    those would believe in locks that it does not hold (sqlite.org/howtocorrupt.html, section 2.6).
    """

    def __init__(self) -> None:
        self._open: dict[str, Ledger] = {}
        self._left_alone: list[dict[str, Ledger]] = []
        self._lock = threading.Lock()
        os.register_at_fork(before=self._close, after_in_child=self._forget)

    def _close(self) -> None:
        for ledger in list(self._open.values()):
            ledger.close()  # the parent connects again when it needs to

    def _forget(self) -> None:
        self._left_alone.append(self._open)  # a thread of the parent may be at work on one
        self._open = {}
        self._lock = threading.Lock()

    def get(self, url: str) -> "Ledger":
        # Not where the application is imported: its runner lives without SQLAlchemy, and hands over by its pipe.
        from scheduler.ledger.engine import open_ledger

        with self._lock:
            if url not in self._open:
                self._open[url] = open_ledger(url, create=False, upgrade=False)
            return self._open[url]


_ledgers = _Ledgers()


def ledger() -> "Ledger":
    """
    The ledger of this process, `$TMINUS_LEDGER`; opened when it is needed first.

    Raises:
        TminusError: it is not there, or is of another version, or this is a job.
    """
    if pipe.current is not None:
        hint = "give its id to who asks: a view does, or `tminus history`"
        raise UsageError("inside a job nobody can ask how work stands: the ledger is the daemon's", hint=hint)
    from scheduler.ledger.files import own_url

    return _ledgers.get(os.environ.get("TMINUS_LEDGER") or own_url(os.environ))


@_said_once()
def standing(identity: str) -> Standing | None:
    """How a run stands; None where nobody knows it."""
    from scheduler.ledger import runs

    return runs.standing(ledger(), identity)


@_said_once()
def submit(work_of: Callable[[str, dict[str, Any] | None], Work]) -> Run:
    """
    Hand work over.

    Args:
        work_of: The work, by the application's name and the copy of the request, if there is one.

    Raises:
        TminusError: it could not be written down, or nobody knows whose application this is.
        TypeError: the request cannot be copied.
        ValueError: its copy is too long.
    """
    from flask import has_request_context, request, session

    from scheduler.flask.request_copy import copy_of

    scheduler = _scheduler()
    copy = None
    if has_request_context():
        try:
            copy = copy_of(request, session, scheduler.copied_keys if scheduler else Keys())
            payload.dumps(copy, most_bytes=payload.MOST_BYTES)
        except RecursionError:
            raise TypeError("the request cannot be copied: its JSON is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"the copy of the request is {error}") from None
    work = work_of(app_name(scheduler), copy)
    if pipe.current is not None:
        return Run(*pipe.current.ask("submit", {field.name: getattr(work, field.name) for field in fields(work)}))
    from scheduler.ledger import runs

    accepted = runs.submit(ledger(), work, now_ns=now_ns())
    return Run(accepted.id, str(accepted.occurrence))


#: Those of this process.
schedulers: "WeakSet[Scheduler]" = WeakSet()


def _scheduler() -> "Scheduler | None":
    """That of the current application, else the only one there is."""
    from flask import current_app, has_app_context

    if has_app_context() and (own := current_app.extensions.get("scheduler")):
        return own  # type: ignore[no-any-return]
    made = list(schedulers)
    return made[0] if len(made) == 1 else None


def app_name(scheduler: "Scheduler | None") -> str:
    """
    Whose work and whose state this is.

    Raises:
        UsageError: several could be meant, or none.
    """
    if scheduler is not None and scheduler.app:
        return scheduler.app
    if named := os.environ.get("TMINUS_APP"):
        return named
    if pipe.current is not None:
        which = "the application that runs here has no name under apps:"
    else:
        from scheduler.ledger import runs

        known = runs.known_apps(ledger())
        if len(known) == 1:
            return known[0]
        which = f"the ledger knows {', '.join(known)}" if known else "no daemon has written its applications into the ledger yet"
    raise UsageError(
        f"nobody knows whose this is: {which}",
        hint="write Scheduler(app=NAME) with its name under apps:, or set $TMINUS_APP",
    )
