"""
Failures in a row, of jobs with `pause_on_failure`.

They are counted in the transaction of the outcome. If a pause is due, the same transaction asks the daemon
for it with a request row, as an operator does. So a crash loses no pause, and there is one way to pause jobs.
"""

import uuid
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import shorten
from tminus.ledger import requests
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.ledger.rows import KEY, id_filters, identities
from tminus.ledger.statements import insert_or_update
from tminus.ledger.tables import failure_counts, occurrences
from tminus.model.batch import OccurrenceResult, UnstartedResult
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import FAILED_RUNS, Origin
from tminus.policies.pause_on_failure import COUNTED, count_failures, is_pause_due

_LONGEST_REASON = 200


def count(
    connection: Connection,
    limits: Mapping[str, int],
    ended: Sequence[OccurrenceResult | UnstartedResult],
    *,
    now_ns: int,
) -> None:
    """
    Count occurrences that end in the caller's transaction, and ask for the pauses that are due.

    Args:
        connection: The transaction.
        limits: The failures in a row after which each job is paused. Other jobs are not counted.
        ended: The occurrences, which have a row, in the order in which they ended.
        now_ns: Wall clock.
    """
    counted = [one for one in ended if one.id.job in limits and one.outcome in COUNTED]
    if not counted:
        return
    by_schedule = _by_schedule(connection, [one.id for one in counted if one.outcome in FAILED_RUNS])
    names = {one.id.job for one in counted}
    is_one = failure_counts.c.job.in_(names)
    rows = connection.execute(sa.select(failure_counts).where(is_one)).mappings()
    before = {row["job"]: row["failures"] for row in rows}
    after = dict(before)
    for one in counted:
        job = one.id.job
        after[job] = count_failures(after.get(job, 0), one.outcome, is_by_schedule=one.id in by_schedule)
        if is_pause_due(after[job], limit=limits[job]):
            _ask_for_pause(connection, job, after.pop(job), one.reason, now_ns=now_ns)
    _write(connection, before, {job: failures for job, failures in after.items() if failures})


def keep_only(connection: Connection, jobs: Sequence[str]) -> None:
    """Forget the failures of all other jobs."""
    connection.execute(failure_counts.delete().where(failure_counts.c.job.not_in(jobs)))


def forget(connection: Connection, jobs: Sequence[str]) -> None:
    """Start to count anew for these jobs."""
    connection.execute(failure_counts.delete().where(failure_counts.c.job.in_(jobs)))


def _ask_for_pause(connection: Connection, job: str, failures: int, last: str | None, *, now_ns: int) -> None:
    reason = f"{failures} consecutive failure{'' if failures == 1 else 's'}"
    reason += f", the last: {shorten(last, _LONGEST_REASON)}" if last else ""
    request = RequestRow(
        id=uuid.uuid4().hex,
        kind=RequestKind.PAUSE_ON_FAILURE,
        body={"jobs": [job], "until_ns": None, "reason": reason},
        created_ns=now_ns,
        by="tminus",
    )
    requests.insert(connection, request)


def _by_schedule(connection: Connection, ids: Sequence[OccurrenceId]) -> set[OccurrenceId]:
    """Return those of these occurrences that a schedule has started."""
    is_its_origin = occurrences.c.origin.in_([one.value for one in Origin if one.is_by_schedule])
    return {
        identity
        for is_one in id_filters(ids)
        for identity in identities(connection.execute(sa.select(*KEY).where(is_one, is_its_origin)))
    }


def _write(connection: Connection, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    if gone := list(before.keys() - after.keys()):
        forget(connection, gone)
    if changed := [{"job": job, "failures": number} for job, number in after.items()]:
        keep = insert_or_update(connection, failure_counts, key=["job"], changed=["failures"])
        connection.execute(keep, changed)
