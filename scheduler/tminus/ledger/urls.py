"""The URL of a ledger's database."""

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from tminus.errors import UsageError

#: The driver of each database.
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_SUCH_AS = "sqlite:////var/lib/tminus/ledger.db, or postgresql+psycopg://user@host/name"


def parse_url(url: str) -> URL:
    """
    Parse a URL.

    Raises:
        UsageError: the text is not an SQLAlchemy URL, or the database is not supported.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # its text may hold a part of the password
        raise UsageError("the ledger's URL is not a URL", hint=_SUCH_AS) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS:
        raise UsageError(f"a ledger cannot be in {backend}", hint="sqlite or postgresql+psycopg")
    if driver not in ("", _DRIVERS[backend]):
        raise UsageError(f"a ledger in {backend} does not use the driver {driver}", hint=_SUCH_AS)
    if "@" in (parsed.host or ""):  # the rest of the password, which would be shown as the host
        raise UsageError(
            "the ledger's URL has more than one @ before its host",
            hint="in a password, write @ as %40 and % as %25",
        )
    if backend == "sqlite":
        _check_sqlite(parsed)
    elif {"password", "sslpassword"} & parsed.query.keys():
        hint = "postgresql+psycopg://user:password@host/name, or a file ~/.pgpass"
        raise UsageError(
            "the ledger's URL has a password among its options, where it would be shown", hint=hint
        )
    return parsed


def _check_sqlite(url: URL) -> None:
    if url.host or url.query or (url.database or "").startswith("file:") or "\0" in (url.database or ""):
        raise UsageError(
            "a ledger in SQLite is named by its path alone", hint="sqlite:////var/lib/tminus/ledger.db"
        )
    if not url.database or url.database == ":memory:":
        raise UsageError(
            "a ledger in memory would remember nothing",
            hint="sqlite:////var/lib/tminus/ledger.db",
        )
