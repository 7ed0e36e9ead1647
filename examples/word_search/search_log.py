"""The database of the log: one transaction in a `with`, and what can go wrong with it told apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError


class DatabaseError(Exception):
    """The log cannot be read or written. `for_users` is what a page says; the text is for the application's log."""

    for_users: str


class ConnectionError_(DatabaseError):
    """Nobody answers, or not any more."""

    for_users = "The database of the log does not answer. Please try again later."


class CredentialsError(DatabaseError):
    """A server answers, and does not let us in."""

    for_users = "The database of the log does not accept this site's name and password."


class SQLError(DatabaseError):
    """It refuses a statement."""

    for_users = "The database of the log does not understand this site. Has its table been made?"


@contextmanager
def use_database(url: str) -> Iterator[Connection]:
    """
    A connection of one's own; what was done in the block is committed where it ends well, and else undone.

    Args:
        url: An SQLAlchemy URL, of SQLite or PostgreSQL.

    Raises:
        ConnectionError_, CredentialsError, SQLError: from here, or from a statement in the block.
    """
    try:
        connection = _engine(url).connect()
    except OperationalError as error:
        kind = CredentialsError if _answers(_engine(url)) else ConnectionError_
        raise kind(str(error.orig)) from error
    try:
        with connection, connection.begin():
            yield connection
    except DBAPIError as error:
        lost = error.connection_invalidated
        raise (ConnectionError_ if lost else SQLError)(str(error.orig)) from error


@cache
def _engine(url: str) -> Engine:
    found = make_url(url)
    if found.get_backend_name() == "postgresql":
        found = found.update_query_dict({"connect_timeout": "5"})  # no page waits longer
    # Without a pool nothing is held between two requests, and nothing crosses gunicorn's fork.
    return create_engine(found, poolclass=NullPool)


def _answers(engine: Engine) -> bool:
    """
    Whether a server is there, whoever asks. A refused log-in brings no code, only a sentence in the server's language; that a
    server is there and still refuses us says the same. SQLite has neither servers nor names.
    """
    if engine.dialect.name != "postgresql":
        return False
    conninfo = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.pq.PGconn.ping(conninfo.encode()) == psycopg.pq.Ping.OK
