"""Pauses and suspensions of jobs. An ended one keeps its row, as a trace."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.ledger import failure_counts
from tminus.ledger.rows import storable
from tminus.ledger.tables import pauses
from tminus.policies.pause import Pause, PauseKind

_IS_SUSPENSION = pauses.c.kind == PauseKind.SUSPEND.value
_IS_PAUSE = pauses.c.kind.in_([PauseKind.PAUSE.value, PauseKind.FAILURES.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseTrace:
    """
    A pause or a suspension of a job, which may be over.

    Attributes:
        ended_ns: When it has ended; None if it has not.
        ended_by: Who has ended it; None if nobody has.
    """

    job: str
    pause: Pause
    ended_ns: int | None
    ended_by: str | None

    @property
    def until_ns(self) -> int | None:
        """When it has ended or is to end; None if that is open."""
        return self.pause.until_ns if self.ended_ns is None else self.ended_ns


def begin(connection: Connection, jobs: Iterable[str], pause: Pause) -> None:
    """
    Pause these jobs, in the caller's transaction. An earlier pause of a job ends where the new one begins.
    """
    names = list(jobs)
    end(connection, names, by=pause.by, now_ns=pause.since_ns)
    _insert(connection, dict.fromkeys(names, pause))


def end(connection: Connection, jobs: Iterable[str], *, by: str, now_ns: int) -> set[str]:
    """
    End the pauses of these jobs, in the caller's transaction; return the jobs that were paused. Suspensions
    stay. The failures of the jobs are counted anew.
    """
    names = list(jobs)
    failure_counts.forget(connection, names)
    ended = _end(connection, names, _IS_PAUSE, by=by, now_ns=now_ns)
    return {row["job"] for row in ended if row["until_ns"] is None or now_ns < row["until_ns"]}


def replace_suspensions(
    connection: Connection,
    known: Collection[str],
    wanted: Mapping[str, Pause],
    *,
    by: str,
    now_ns: int,
) -> None:
    """
    Set which jobs are suspended from now on, in the caller's transaction.

    Args:
        connection: The transaction.
        known: The jobs whose suspensions the ledger has.
        wanted: The suspension of each of these jobs.
        by: Who ends the others.
        now_ns: Wall clock.
    """
    if gone := [job for job in known if job not in wanted]:
        _end(connection, gone, _IS_SUSPENSION, by=by, now_ns=now_ns)
    _insert(connection, {job: pause for job, pause in wanted.items() if job not in known})


def load(connection: Connection, *, suspensions: bool = False) -> Mapping[str, Pause]:
    """
    Return the pauses, or the suspensions, that nobody has ended, by job. The `until_ns` of a pause may be
    past.
    """
    is_wanted = _IS_SUSPENSION if suspensions else _IS_PAUSE
    query = sa.select(pauses).where(pauses.c.ended_ns.is_(None), is_wanted).order_by(pauses.c.id)
    return {row["job"]: _pause(row) for row in connection.execute(query).mappings()}


def between(
    connection: Connection, *, since_ns: int, until_ns: int, job: str | None = None
) -> Sequence[PauseTrace]:
    """
    Return the pauses and suspensions that were in force at some time of this stretch, both ends included, of
    one job or of all, in the order in which they began.
    """
    last_ns = sa.func.coalesce(pauses.c.ended_ns, pauses.c.until_ns)
    is_then = sa.and_(pauses.c.since_ns <= until_ns, sa.or_(last_ns.is_(None), last_ns > since_ns))
    wanted = is_then if job is None else sa.and_(is_then, pauses.c.job == job)
    query = (
        sa.select(pauses).where(wanted, _IS_PAUSE | _IS_SUSPENSION).order_by(pauses.c.since_ns, pauses.c.id)
    )
    return [
        PauseTrace(job=row["job"], pause=_pause(row), ended_ns=row["ended_ns"], ended_by=row["ended_by"])
        for row in connection.execute(query).mappings()
    ]


def is_old_pause(before_ns: int) -> sa.ColumnElement[bool]:
    """Return the condition for the traces of pauses that have ended before this instant."""
    return pauses.c.ended_ns < before_ns


def _insert(connection: Connection, begun: Mapping[str, Pause]) -> None:
    rows = [
        {
            "job": job,
            "kind": pause.kind.value,
            "since_ns": pause.since_ns,
            "until_ns": pause.until_ns,
            "reason": storable(pause.reason),
            "by": storable(pause.by),
        }
        for job, pause in begun.items()
    ]
    if rows:
        connection.execute(pauses.insert(), rows)


def _end(
    connection: Connection, jobs: Sequence[str], condition: sa.ColumnElement[bool], *, by: str, now_ns: int
) -> Sequence[RowMapping]:
    is_one = sa.and_(pauses.c.job.in_(jobs), pauses.c.ended_ns.is_(None), condition)
    is_over = sa.and_(pauses.c.until_ns.is_not(None), pauses.c.until_ns <= now_ns)
    ended_ns = sa.case((is_over, pauses.c.until_ns), else_=now_ns)
    ends = pauses.update().where(is_one).values(ended_ns=ended_ns, ended_by=storable(by))
    return connection.execute(ends.returning(pauses.c.job, pauses.c.until_ns)).mappings().all()


def _pause(row: RowMapping) -> Pause:
    return Pause(
        kind=PauseKind(row["kind"]),
        since_ns=row["since_ns"],
        until_ns=row["until_ns"],
        reason=row["reason"] or "",
        by=row["by"],
    )
