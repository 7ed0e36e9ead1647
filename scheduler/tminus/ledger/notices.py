"""
Notices: occurrences that have ended, until the notifications about them are decided.

A notice is written in the transaction of the outcome. Deciding deletes it in the transaction that writes the
notifications. So a crash loses no notification, and doubles none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.ledger import late_finishes
from tminus.ledger.engine import Ledger
from tminus.ledger.late_finishes import LateFinish
from tminus.ledger.rows import CHUNK, IN_A_BATCH, id_filters, storable
from tminus.ledger.statements import insert_or_skip, insert_or_update
from tminus.ledger.tables import alerts, notices, notifications, occurrences
from tminus.model.notification import Notification, OutcomeWatch
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.policies.notify import Alert

#: Notices that are read at once.
_MOST = 10_000
#: The key of an alert: the name of its channel, and that of its job.
AlertKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedOutcome:
    """An occurrence that has ended, and has a notice. Attributes as those of `Occurrence`."""

    number: int
    id: OccurrenceId
    planned_at_ns: int
    origin: Origin
    count: int
    outcome: Outcome
    reason: str | None
    started_at_ns: int | None
    finished_at_ns: int
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class BatchSize:
    """The number of occurrences of a batch, and of those without an outcome."""

    jobs: int
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInput:
    """
    All that a decision about notifications depends on.

    Attributes:
        noted: The occurrences with a notice, in the order in which they were written.
        batches: The size of each batch of `noted` and `late_finishes`, by its T.
        alerts: The alerts of the jobs of `noted`, and all others that may have to be told or deleted.
        late_finishes: The occurrences that had not finished by their `finish_by`, and are not decided.
    """

    noted: Sequence[NotedOutcome]
    batches: Mapping[int, BatchSize]
    alerts: Mapping[AlertKey, Alert]
    late_finishes: Sequence[LateFinish] = ()


def add(
    connection: Connection,
    watch: OutcomeWatch,
    ended: Mapping[OccurrenceId, Outcome],
    condition: sa.ColumnElement[bool] | None = None,
) -> None:
    """
    Write notices of occurrences that end in the caller's transaction, as far as they are watched.

    Args:
        connection: The transaction.
        watch: Which outcomes are watched.
        ended: The occurrences, which have a row.
        condition: Only occurrences whose row meets it end here; None if all do.
    """
    ends = sa.true() if condition is None else condition
    by_job = {identity: watch.outcomes[identity.job] for identity in ended if identity.job in watch.outcomes}
    _insert(connection, [one for one, watched in by_job.items() if ended[one] in watched], ends)
    if successes := [one for one in by_job if ended[one] is Outcome.SUCCEEDED]:
        _insert(connection, successes, sa.and_(ends, _has_failed()))
    if watch.start_within_ns is not None:
        offset = occurrences.c.started_at_ns - occurrences.c.planned_at_ns
        _insert(connection, list(ended), sa.and_(ends, offset > watch.start_within_ns))


def read(ledger: Ledger) -> DecisionInput:
    """Return what there is to decide, with one consistent view."""
    chosen = [
        occurrences.c[name]
        for name in (
            *("job", "fire_time_ns", "run", "planned_at_ns", "origin", "count"),
            *("outcome", "reason", "started_at_ns", "finished_at_ns", "duration_ns"),
        )
    ]
    query = sa.select(notices.c.occurrence, *chosen).join(occurrences).order_by(notices.c.occurrence)
    with ledger.read() as connection:
        noted = [_noted_outcome(row) for row in connection.execute(query.limit(_MOST)).mappings()]
        late = late_finishes.find_undecided(connection)
        planned = {one.planned_at_ns for one in noted} | {one.planned_at_ns for one in late}
        batches = _sizes(connection, planned)
        return DecisionInput(
            noted=noted,
            batches=batches,
            alerts=_alerts(connection, {one.id.job for one in noted}),
            late_finishes=late,
        )


def decide(
    ledger: Ledger,
    *,
    decided: Sequence[int],
    messages: Iterable[Notification],
    changed: Mapping[AlertKey, Alert | None],
    late_finishes_decided: Sequence[int] = (),
) -> None:
    """
    Write the notifications of some notices, and delete the notices, in one transaction.

    Args:
        ledger: The open ledger.
        decided: The row numbers of the occurrences whose notices are decided.
        messages: The notifications. One that exists already is left out. A ping replaces those of the same
            channel and job that are not delivered.
        changed: The alerts as they are now; None for one that is over.
        late_finishes_decided: The row numbers of the late finishes that are decided.
    """
    with ledger.write(step="notices") as connection:
        for start in range(0, len(decided), CHUNK):
            connection.execute(
                notices.delete().where(notices.c.occurrence.in_(decided[start : start + CHUNK]))
            )
        late_finishes.set_decided(connection, late_finishes_decided)
        rows = []
        for one in messages:
            rows.append(_row(one))
            if one.kind.is_ping:
                is_older = sa.and_(
                    notifications.c.channel == one.channel,
                    notifications.c.job == one.job,
                    notifications.c.sent_ns.is_(None),
                    notifications.c.given_up_ns.is_(None),
                )
                connection.execute(notifications.delete().where(is_older))
        if rows:
            connection.execute(insert_or_skip(connection, notifications), rows)
        _write_alerts(connection, changed)


def _write_alerts(connection: Connection, changed: Mapping[AlertKey, Alert | None]) -> None:
    rows = [
        {"channel": channel, "job": job, **asdict(alert), "last": storable(alert.last)}
        for (channel, job), alert in changed.items()
        if alert is not None
    ]
    if rows:
        values = [name for name in rows[0] if name not in ("channel", "job")]
        keep = insert_or_update(connection, alerts, key=["channel", "job"], changed=values)
        connection.execute(keep, rows)
    for (channel, job), alert in changed.items():
        if alert is None:
            connection.execute(alerts.delete().where(alerts.c.channel == channel, alerts.c.job == job))


def _insert(connection: Connection, ids: Sequence[OccurrenceId], condition: sa.ColumnElement[bool]) -> None:
    for is_one in id_filters(ids):
        query = sa.select(occurrences.c.id).where(is_one, IN_A_BATCH, condition)
        connection.execute(insert_or_skip(connection, notices).from_select(["occurrence"], query))


def _has_failed() -> sa.ColumnElement[bool]:
    """Return the condition that a channel may know of a failure of the job of an occurrence."""
    earlier = occurrences.alias()
    is_noted = sa.select(1).select_from(notices.join(earlier, notices.c.occurrence == earlier.c.id))
    return sa.or_(
        sa.exists().where(alerts.c.job == occurrences.c.job),
        is_noted.where(earlier.c.job == occurrences.c.job).exists(),
    )


def _sizes(connection: Connection, planned: set[int]) -> dict[int, BatchSize]:
    unfinished = sa.func.count().filter(occurrences.c.outcome.is_(None))
    query = sa.select(occurrences.c.planned_at_ns, sa.func.count(), unfinished).where(
        occurrences.c.planned_at_ns.in_(planned), IN_A_BATCH
    )
    rows = connection.execute(query.group_by(occurrences.c.planned_at_ns))
    return {planned_at_ns: BatchSize(jobs, left) for planned_at_ns, jobs, left in rows}


def _alerts(connection: Connection, jobs: set[str]) -> dict[AlertKey, Alert]:
    is_wanted = sa.or_(alerts.c.job.in_(jobs), alerts.c.untold > 0, sa.not_(alerts.c.is_failing))
    rows = connection.execute(sa.select(alerts).where(is_wanted)).mappings().all()
    return {
        (row["channel"], row["job"]): Alert(
            **{name: value for name, value in row.items() if name not in ("channel", "job")}
        )
        for row in rows
    }


def _noted_outcome(row: RowMapping) -> NotedOutcome:
    return NotedOutcome(
        number=row["occurrence"],
        id=OccurrenceId(job=row["job"], fire_time_ns=row["fire_time_ns"], run=row["run"]),
        planned_at_ns=row["planned_at_ns"],
        origin=Origin(row["origin"]),
        count=row["count"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        started_at_ns=row["started_at_ns"],
        finished_at_ns=row["finished_at_ns"],
        duration_ns=row["duration_ns"],
    )


def _row(one: Notification) -> dict[str, object]:
    return {
        "channel": one.channel,
        "kind": one.kind.value,
        "about": one.about,
        "job": one.job,
        "created_ns": one.created_ns,
        "title": storable(one.title),
        "text": storable(one.text),
        "data": storable(json.dumps(dict(one.data))),
        "tries": 0,
        "next_try_ns": one.created_ns,
    }
