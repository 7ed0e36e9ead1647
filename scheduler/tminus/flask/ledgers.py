"""The open ledgers of a web worker. None of their connections crosses a fork."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tminus.errors import TminusError, UsageError
from tminus.executors.python import daemon_client

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from tminus.ledger.engine import Ledger


class _Ledgers:
    """
    The ledgers of this process, by URL. Thread-safe.

    No connection crosses a fork: SQLite's locks belong to the process, and its records of them are in memory.
    A child with a copy of those records would rely on locks that it does not hold
    (sqlite.org/howtocorrupt.html, section 2.6).
    """

    def __init__(self) -> None:
        self._open: dict[str, Ledger] = {}
        #: One connection per SQLite ledger, outside of any transaction, for its change counter.
        self._watching: dict[Ledger, Connection] = {}
        self._of_parent: list[object] = []
        self._lock = threading.Lock()
        self._is_registered = False

    def get(self, url: str) -> "Ledger":
        # Imported here, and not with the application: its runner has no SQLAlchemy.
        from tminus.ledger.engine import open_ledger

        if not self._is_registered:  # before any thread holds the lock: a child has to replace a held lock
            os.register_at_fork(before=self._close, after_in_child=self._forget)
            self._is_registered = True
        with self._lock:
            if url not in self._open:
                self._open[url] = open_ledger(url, create=False, upgrade=False)
            return self._open[url]

    def change_counter(self, ledger: "Ledger") -> int | None:
        from tminus.ledger.changes import change_counter

        if ledger.path is None:
            return None
        with self._lock:
            if ledger not in self._watching:
                self._watching[ledger] = ledger.own_connection()
            return change_counter(self._watching[ledger])

    def _close(self) -> None:
        """Close all connections before a fork. The parent opens new ones when it needs them."""
        with self._lock:
            while self._watching:
                self._watching.popitem()[1].close()
            for ledger in self._open.values():
                ledger.close()

    def _forget(self) -> None:
        # Kept: garbage collection would close connections that a thread of the parent may have been using.
        self._of_parent += [self._open, self._watching]
        self._open, self._watching = {}, {}
        self._lock = threading.Lock()


_ledgers = _Ledgers()


def ledger() -> "Ledger":
    """
    Return the ledger of this process, `$TMINUS_LEDGER`. Open it if it is not open yet.

    Raises:
        UsageError: the caller is a job. Only the daemon uses the ledger.
        LedgerError: the ledger is missing, has another version, or does not work.
    """
    if daemon_client.current is not None:
        hint = "give the id to a view, or use `tminus history`"
        raise UsageError("a job cannot read the status of a run: only the daemon uses the ledger", hint=hint)
    from tminus.ledger.files import own_url

    return _ledgers.get(os.environ.get("TMINUS_LEDGER") or own_url(os.environ))


@contextmanager
def without_cause() -> Iterator[None]:
    """Raise errors without their cause: SQLAlchemy's errors would fill a web server's log with statements."""
    try:
        yield
    except TminusError as error:
        raise error from None


def change_counter() -> int | None:
    """
    Return a number that changes when another connection has written to the ledger; None on PostgreSQL.

    Raises:
        LedgerError: it cannot be read.
    """
    return _ledgers.change_counter(ledger())
