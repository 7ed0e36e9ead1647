"""Which fire times of a job have occurrences, and which were skipped because one still runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.engine import Ledger
from tminus.ledger.tables import occurrences, schedules
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Outcome
from tminus.policies import overlap


@dataclass(slots=True)
class FireTimeRuns:
    """
    The occurrences of one fire time.

    Attributes:
        run: The highest run.
        outcomes: Their outcomes; None for one that has none yet.
    """

    run: int
    outcomes: Sequence[Outcome | None]


def last_runs(connection: Connection, job: str, *, from_ns: int, to_ns: int) -> dict[int, FireTimeRuns]:
    """Return the occurrences of a job by their fire times, from one instant to another, both included."""
    query = sa.select(occurrences.c.fire_time_ns, occurrences.c.run, occurrences.c.outcome).where(
        occurrences.c.job == job, occurrences.c.fire_time_ns.between(from_ns, to_ns)
    )
    found: dict[int, FireTimeRuns] = {}
    for fire_time_ns, run, outcome in connection.execute(query.order_by(occurrences.c.run)):
        earlier = found.get(fire_time_ns)
        outcomes = [*(earlier.outcomes if earlier else ()), Outcome(outcome) if outcome else None]
        found[fire_time_ns] = FireTimeRuns(run, outcomes)
    return found


def deleted_until_ns(connection: Connection, job: str) -> int | None:
    """Return the fire time up to which rows of a job may have been deleted; None if none was."""
    last = sa.select(sa.func.max(schedules.c.deleted_until_ns)).where(schedules.c.job == job)
    found: int | None = connection.scalar(last)
    return found


def count_skipped(ledger: Ledger, running: Collection[OccurrenceId]) -> dict[str, int]:
    """Return for each job of these running occurrences how many later fire times `overlap` has skipped."""
    since = {one.job: one.fire_time_ns for one in running}
    later = [sa.and_(occurrences.c.job == job, occurrences.c.fire_time_ns > ns) for job, ns in since.items()]
    if not later:
        return {}
    query = sa.select(occurrences.c.job, sa.func.count()).where(
        sa.or_(*later),
        occurrences.c.outcome == Outcome.SKIPPED.value,
        occurrences.c.reason.startswith(overlap.REASON),
    )
    with ledger.read() as connection:
        return {job: int(count) for job, count in connection.execute(query.group_by(occurrences.c.job))}
