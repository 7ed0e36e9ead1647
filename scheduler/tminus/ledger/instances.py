"""The processes that run jobs on a ledger: a row for each one that has held the lock, with a heartbeat."""

import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from tminus import __version__
from tminus.instants import SECOND
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import storable
from tminus.ledger.tables import instances

HEARTBEAT_NS = 5 * SECOND
#: A process that holds the lock and has written no heartbeat for this long does not answer.
STALE_NS = 15 * SECOND


#: The columns that an `Instance` does not have.
_LEFT_OUT = ("boot_id", "decided_until_ns", "arming_costs")
#: The columns that are the fields of an `Instance`.
_COLUMNS = [column for column in instances.c if column.name not in _LEFT_OUT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A process that runs jobs, as stored in the ledger."""

    id: str
    kind: str  #: "daemon", or "run-now" for that command without a daemon
    pid: int
    host: str
    version: str
    config_version: str | None
    config_error: str | None  #: one problem per line
    started_ns: int
    beat_ns: int
    stopped_ns: int | None

    def is_fresh(self, now_ns: int) -> bool:
        """Return whether its last heartbeat is recent."""
        return self.stopped_ns is None and now_ns - self.beat_ns < STALE_NS

    def is_stopping(self, now_ns: int) -> bool:
        """
        Return whether it finishes what is running and takes nothing new. The caller knows that this instance
        holds the lock.
        """
        return self.stopped_ns is not None and now_ns - self.beat_ns < STALE_NS

    def may_run(self, now_ns: int) -> bool:
        """
        Return whether this instance may still run although another one has its lock. Only on its own host is
        its end known at once.
        """
        if not self.is_fresh(now_ns) or self.pid == os.getpid():
            return False
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def __str__(self) -> str:
        return f"{self.kind} with pid {self.pid} on {self.host}"


def register(ledger: Ledger, *, kind: str, config_version: str | None, now_ns: int) -> str:
    """Write that this process runs jobs on the ledger now; return its id."""
    identity = uuid.uuid4().hex
    with ledger.write() as connection:
        # `latest` compares this time, and the clock may have been set back since the last start.
        last_ns = connection.execute(sa.select(sa.func.max(instances.c.started_ns))).scalar() or 0
        connection.execute(
            instances.insert().values(
                id=identity,
                kind=kind,
                pid=os.getpid(),
                host=socket.gethostname(),
                boot_id=boot_id(),
                version=__version__,
                config_version=config_version,
                started_ns=max(now_ns, last_ns + 1),
                beat_ns=now_ns,
            )
        )
    return identity


def record_heartbeat(
    ledger: Ledger, identity: str, now_ns: int, *, decided_until_ns: int | None = None
) -> None:
    """
    Write a heartbeat.

    Args:
        ledger: The open ledger.
        identity: The id of this process.
        now_ns: Wall clock.
        decided_until_ns: The high-water mark, up to which each fire time has a row; None if unknown. It never
            moves back.
    """
    mark = instances.c.decided_until_ns
    if decided_until_ns is not None:
        moved = sa.case((sa.or_(mark.is_(None), mark < decided_until_ns), decided_until_ns), else_=mark)
        _set(ledger, identity, step="high-water", beat_ns=now_ns, decided_until_ns=moved)
    else:
        _set(ledger, identity, beat_ns=now_ns)


def set_config_version(ledger: Ledger, identity: str, *, version: str) -> None:
    """Write the version of the configuration in force."""
    _set(ledger, identity, config_version=version)


def set_problems(ledger: Ledger, identity: str, *, problems: Sequence[str]) -> None:
    """
    Write the problems of its configuration: a jobs file that is not valid, applications that do not import.
    """
    _set(ledger, identity, config_error=storable("\n".join(problems)) or None)


def set_arming_costs(ledger: Ledger, identity: str, *, costs: str) -> None:
    """Write what this daemon has learned of the costs of arming."""
    _set(ledger, identity, arming_costs=costs)


def arming_costs(ledger: Ledger) -> str | None:
    """Return what was learned last of the costs of arming; None if nothing was."""
    query = sa.select(instances.c.arming_costs).where(instances.c.arming_costs.is_not(None))
    with ledger.read() as connection:
        return connection.execute(query.order_by(instances.c.started_ns.desc()).limit(1)).scalar()


def record_stop(ledger: Ledger, identity: str, now_ns: int) -> None:
    """
    Write that the process has stopped, or is stopping while it still writes heartbeats, see
    `Instance.is_stopping`.
    """
    _set(ledger, identity, stopped_ns=now_ns)


def latest(ledger: Ledger, *, kind: str | None = None) -> Instance | None:
    """Return the process that started last, of this kind or of any."""
    query = sa.select(*_COLUMNS).order_by(instances.c.started_ns.desc()).limit(1)
    if kind:
        query = query.where(instances.c.kind == kind)
    with ledger.read() as connection:
        row = connection.execute(query).mappings().first()
    return Instance(**row) if row else None


def around(ledger: Ledger, at_ns: int) -> tuple[Instance | None, Instance | None]:
    """Return the last daemon that started by an instant, and the first one that started after it."""
    is_daemon = instances.c.kind == "daemon"
    started_ns = instances.c.started_ns
    before = sa.select(*_COLUMNS).where(is_daemon, started_ns <= at_ns).order_by(started_ns.desc()).limit(1)
    following = sa.select(*_COLUMNS).where(is_daemon, started_ns > at_ns).order_by(started_ns).limit(1)
    with ledger.read() as connection:
        rows = [connection.execute(query).mappings().first() for query in (before, following)]
    return Instance(**rows[0]) if rows[0] else None, Instance(**rows[1]) if rows[1] else None


def decided_until_ns(ledger: Ledger) -> int | None:
    """Return the high-water mark of the daemon that started last; None if it has not set one."""
    query = sa.select(instances.c.decided_until_ns).where(instances.c.kind == "daemon")
    with ledger.read() as connection:
        return connection.execute(query.order_by(instances.c.started_ns.desc()).limit(1)).scalar()


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if it is unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _set(ledger: Ledger, identity: str, *, step: str | None = None, **changes: object) -> None:
    with ledger.write(step=step) as connection:
        connection.execute(instances.update().where(instances.c.id == identity).values(**changes))
