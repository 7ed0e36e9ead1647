"""The database of the log: one transaction per `with` block, and a class for each kind of error."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError


class DatabaseError(Exception):
    """
    An error of the log's database. `for_users` is for the page, the message for the application's log.
    """

    for_users: str


class ConnectionError_(DatabaseError):
    """No server responds, or the connection was lost."""

    for_users = "The database of the log does not answer. Please try again later."


class CredentialsError(DatabaseError):
    """A server responds, but rejects the login."""

    for_users = "The database of the log does not accept this site's name and password."


class SQLError(DatabaseError):
    """The database rejects a statement."""

    for_users = "The database of the log does not understand this site. Has its table been made?"


@contextmanager
def use_database(url: str) -> Iterator[Connection]:
    """
    Open a connection with one transaction. It is committed at the end of the block, and rolled back on an
    exception.

    Args:
        url: An SQLAlchemy URL, for SQLite or PostgreSQL.

    Raises:
        ConnectionError_, CredentialsError, SQLError: opening it failed, or a statement in the block.
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
    # Without a pool, no connection stays open between requests or crosses gunicorn's fork.
    return create_engine(found, poolclass=NullPool)


def _answers(engine: Engine) -> bool:
    """
    Return whether a server responds at all. A rejected login has no error code, only a message in the
    server's language. If a server responds but the login failed, its credentials were rejected. SQLite has
    neither.
    """
    if engine.dialect.name != "postgresql":
        return False
    conninfo = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.pq.PGconn.ping(conninfo.encode()) == psycopg.pq.Ping.OK
