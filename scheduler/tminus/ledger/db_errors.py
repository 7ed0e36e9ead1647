"""Translation of the database's errors to errors with a sentence."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import URL

from tminus.errors import LedgerAway, LedgerError, LedgerValueError, WrongLedger
from tminus.ledger import file_errors, files

#: Primary result codes of SQLite, sqlite.org/rescode.html.
SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR = 5, 6, 10
#: libpq's messages while PostgreSQL starts, stops or has no connection left. It gives no code with them.
_NOT_NOW = ("starting up", "shutting down", "recovery", "too many", "connection slots", "not yet accepting")


@contextlib.contextmanager
def translate_db_errors(url: URL) -> Iterator[None]:
    """
    Translate the errors of the database with this URL.

    Raises:
        LedgerError: instead of SQLAlchemy's errors; `LedgerValueError` if the database does not take the
            values.
        KeyboardInterrupt: it came during SQLAlchemy's ping of a connection, and the driver raised another
            error while it cleaned up.
    """
    path = files.path_of(url)
    try:
        yield
    except sa.exc.DBAPIError as error:
        if _hides_interrupt(error.orig):
            raise KeyboardInterrupt from error
        if _is_refusal(error):
            raise LedgerValueError(
                f"the ledger {path or repr(url)} does not take a value: {_first_line(error)}"
            ) from error
        report = _first_line(error)
        if path is not None:
            raise file_errors.explain(path, report, sqlite_code=sqlite_code(error.orig)) from error
        raise _postgresql_error(url, report, is_cut=error.connection_invalidated) from error
    except (OverflowError, UnicodeEncodeError) as error:
        # A number of more than 64 bits, half of a surrogate pair.
        raise LedgerValueError(f"the ledger {path or repr(url)} does not take a value: {error}") from error
    except sa.exc.TimeoutError as error:
        raise LedgerError(
            f"the ledger {url!r} is busy: no connection to it became free", hint="see `tminus doctor`"
        ) from error


def _postgresql_error(url: URL, report: str, *, is_cut: bool) -> LedgerError:
    message = f"the ledger {url!r} does not work: {report}"
    is_denied = (
        report.startswith("connection failed")
        and "FATAL:" in report
        and not any(word in report for word in _NOT_NOW)
    )
    if is_denied:
        return WrongLedger(message, hint="look at the ledger's URL, and at what the server permits")
    is_away = is_cut or report.startswith(("connection ", "failed to resolve host"))
    return LedgerAway(message) if is_away else LedgerError(message)


def sqlite_code(error: BaseException | None) -> int:
    """Return the primary result code of SQLite; 0 if the error is of something else."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: BaseException | None) -> bool:
    """Return whether another connection has locked the SQLite database."""
    return sqlite_code(error) in (SQLITE_BUSY, SQLITE_LOCKED)


def _first_line(error: sa.exc.DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]


def _hides_interrupt(error: BaseException | None) -> bool:
    """Return whether an error was raised while an interrupt was handled."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_refusal(error: sa.exc.DBAPIError) -> bool:
    """
    Return whether the values are to blame. The classes of SQLSTATE are data exceptions, violated constraints
    and exceeded limits.
    """
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, sa.exc.DataError | sa.exc.IntegrityError) or state[:2] in ("22", "23", "54")
