"""
The lock of a ledger in PostgreSQL: an advisory lock of a session of its own, which ends with the session.

The session can end without the process: the server restarts, somebody terminates the session, or the network
fails. So each transaction that writes asks the server whether the session still has its token, a lock with a
secret random number.
"""

import secrets
import threading

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import LedgerLost
from tminus.ledger.db_errors import translate_db_errors
from tminus.ledger.engine import Ledger

_IN_THIS_DATABASE = (
    "locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = "
    "current_database())"
)
#: A database may have a ledger in each schema.
_KEY = "hashtextextended('tminus ' || current_schema(), 0)"
_HAS = (
    "EXISTS (SELECT FROM pg_locks WHERE "
    + _IN_THIS_DATABASE
    + " AND objsubid = 1 AND ((classid::bigint << 32) | objid::bigint) = {})"
)
_TRY = sa.text(f"SELECT pg_try_advisory_lock({_KEY})")
_IS_HELD = sa.text(f"SELECT {_HAS.format(_KEY)}")
_TAKE_TOKEN = sa.text("SELECT pg_advisory_lock(:token)")
#: All transactions of the holder that write share this lock. The next holder takes it for a moment, and so
#: waits for their end.
_WRITERS = "hashtextextended('tminus writers ' || current_schema(), 0)"
_AWAIT_WRITERS = sa.text(f"SELECT pg_advisory_lock({_WRITERS}), pg_advisory_unlock({_WRITERS})")
#: First the shared lock, then the look at the token.
_WRITES = f"WITH writes AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_WRITERS}))"
_CHECK = sa.text(f"{_WRITES} SELECT {_HAS.format(':token')} FROM writes")  # noqa: S608
_CLASS = "hashtext('tminus queue ' || current_schema())"
_TICKETS = (
    f"SELECT max(objid::bigint) FROM pg_locks WHERE {_IN_THIS_DATABASE} AND objsubid = 2 "  # noqa: S608
    f"AND classid = {_CLASS}::oid"
)
_LAST_TICKET = sa.text(f"{_TICKETS} AND objid::bigint BETWEEN :first AND :first + {1 << 29}")
_TRY_TICKET = sa.text(f"SELECT pg_try_advisory_lock({_CLASS}, :ticket)")
_IN_FRONT = sa.text(f"{_TICKETS} AND objid::bigint < :ticket")
#: A process that has taken the lock adds a row to `instances` before it runs a job. No row is ever deleted.
_HOLDERS = sa.text("SELECT count(*) FROM instances")
_GIVE_TICKET_BACK = sa.text(f"SELECT pg_advisory_unlock({_CLASS}, :ticket)")
_LOCK_NOT_AVAILABLE = "55P03"
_FIRST_TICKET = 1
_FIRST_TICKET_OF_RUN_NOW = 1 << 30


def is_held(ledger: Ledger) -> bool:
    """
    Return whether a session has the lock.

    Raises:
        LedgerError: the ledger does not work.
    """
    with ledger.read() as connection:
        return bool(connection.execute(_IS_HELD).scalar_one())


class AdvisoryLock:
    """See `tminus.ledger.lock.Lock`."""

    def __init__(self, ledger: Ledger, *, goes_first: bool) -> None:
        self.losses = 0
        self._ledger = ledger
        self._first_ticket = _FIRST_TICKET if goes_first else _FIRST_TICKET_OF_RUN_NOW
        self._ticket: int | None = None
        self._session: Connection | None = None
        self._token = 0
        self._is_lost = False
        self._holders = 0
        self._mutex = threading.Lock()

    def acquire(self) -> bool:
        try:
            with translate_db_errors(self._ledger.url):
                return self._acquire()
        except BaseException:
            self.release()
            raise

    def _acquire(self) -> bool:
        session = self._open()
        if self._ticket is None:
            last = session.execute(_LAST_TICKET, {"first": self._first_ticket}).scalar()
            ticket = self._first_ticket if last is None else last + 1
            while not session.execute(_TRY_TICKET, {"ticket": ticket}).scalar_one():
                ticket += 1
            self._ticket = ticket
        own_ticket = {"ticket": self._ticket}
        if (
            session.execute(_IN_FRONT, own_ticket).scalar() is not None
            or not session.execute(_TRY).scalar_one()
        ):
            return False
        session.execute(_GIVE_TICKET_BACK, own_ticket)
        self._ticket = None
        try:
            session.execute(_AWAIT_WRITERS)
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            self._close()  # a transaction of the last holder is still open, and may commit
            return False
        self._holders = session.execute(_HOLDERS).scalar_one()
        self._take_token(session)
        return True

    def check(self, connection: Connection) -> None:
        token = self._token
        if not token:
            raise self._not_held()
        if not connection.execute(_CHECK, {"token": token}).scalar_one():
            with self._mutex:
                if self._token == token:
                    self._take_again()
                elif not self._token:
                    raise self._not_held()
                # Otherwise another thread has taken it again meanwhile.

    def release(self) -> None:
        self._token = 0
        self._close()

    def _close(self) -> None:
        session, self._session, self._ticket = self._session, None, None
        if session is not None:
            session.close()

    def _take_again(self) -> None:
        self._close()
        with translate_db_errors(self._ledger.url):
            session = self._open()
            # One row is this process's own. Another holder without a committed row has run nothing, and has
            # written nothing except perhaps a migration.
            if (
                not session.execute(_TRY).scalar_one()
                or session.execute(_HOLDERS).scalar_one() > self._holders + 1
            ):
                self._close()
                self._is_lost = True
                self._token = 0
                raise self._not_held()
            self._take_token(session)
        self.losses += 1

    def _open(self) -> Connection:
        if self._session is None:
            self._session = self._ledger.own_connection()
        return self._session

    def _not_held(self) -> LedgerLost:
        if not self._is_lost:
            return LedgerLost("this process has released the lock of the ledger")
        return LedgerLost(
            f"another process has the lock of the ledger {self._ledger.url!r}, or had it meanwhile"
        )

    def _take_token(self, session: Connection) -> None:
        token = secrets.randbits(62)
        session.execute(_TAKE_TOKEN, {"token": token})
        self._token = token
        self._is_lost = False
