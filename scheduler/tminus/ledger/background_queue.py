"""Background runs for the daemon: the queue, and the start, progress, loss and end of each run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.errors import shorten
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import CHUNK, OPEN, attempt_row, id_filters, storable
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.submissions import identity_of
from tminus.ledger.tables import apps, attempts, occurrences, releases, runs
from tminus.model.background import Deaths, Submission
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.outcome import OccurrenceState, Origin

#: The key in the options of a run that has the numbers of `Deaths`.
_DEATHS = "_deaths"
_WAITS = {"state": OccurrenceState.QUEUED.value, "release": None}
#: The condition for runs that wait for newer code: only these are queued and have a reason.
_WAITS_FOR_CODE = sa.and_(
    occurrences.c.state == OccurrenceState.QUEUED.value, OPEN, occurrences.c.reason.is_not(None)
)
_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """
    A background run as the ledger has it.

    Attributes:
        work: The submission. If the row cannot be read, its options and input are meaningless.
        attempt: The number of the next attempt.
        deaths: The deaths of its process.
        unreadable: Why the row cannot be read; empty if it can.
    """

    number: int
    run_id: str
    occurrence: OccurrenceId
    planned_at_ns: int
    work: Submission
    attempt: int
    deaths: Deaths = field(default_factory=Deaths)
    unreadable: str = ""


def find_due_runs(
    ledger: Ledger, app: str, *, now_ns: int, limit: int, suspects: bool = False
) -> list[QueuedRun]:
    """
    Return the queued runs of an application that are due, the oldest first: either only suspects, or only the
    others. Runs that wait for newer code are not due.
    """
    # A run without delay is due at once, even if the clock of its submitter was ahead: it may be another
    # host's, or ours before it was set back.
    is_at_once = occurrences.c.planned_at_ns == occurrences.c.fire_time_ns
    next_ns = occurrences.c.next_attempt_ns
    is_planned = sa.or_(occurrences.c.planned_at_ns <= now_ns, is_at_once)
    is_due = sa.and_(is_planned, sa.or_(next_ns.is_(None), next_ns <= now_ns))
    is_queued = sa.and_(occurrences.c.state == OccurrenceState.QUEUED.value, OPEN)
    waits = sa.and_(is_queued, occurrences.c.reason.is_(None), runs.c.app == app)
    is_suspect = runs.c.options.contains(f'"{_DEATHS}"', autoescape=True)
    is_wanted = is_suspect if suspects else sa.not_(is_suspect)
    query = sa.select(runs, occurrences).select_from(runs.join(occurrences)).where(waits, is_due, is_wanted)
    with ledger.read() as connection:
        rows = connection.execute(
            query.order_by(occurrences.c.planned_at_ns, occurrences.c.id).limit(limit)
        ).mappings()
        return [_run(row) for row in rows]


def next_due(ledger: Ledger, *, after_ns: int) -> int | None:
    """Return when the next run is due after this instant; None if there is none."""
    due_ns = sa.func.coalesce(occurrences.c.next_attempt_ns, occurrences.c.planned_at_ns)
    is_later = sa.and_(occurrences.c.state == OccurrenceState.QUEUED.value, OPEN, due_ns > after_ns)
    query = sa.select(sa.func.min(due_ns)).select_from(runs.join(occurrences)).where(is_later)
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def mark_started(ledger: Ledger, queued: Sequence[QueuedRun], *, instance: str, now_ns: int) -> set[int]:
    """
    Write that the functions of these runs are about to be called. From here on they may have been called.

    Returns:
        The row numbers of the runs that were still queued. The others were cancelled meanwhile.
    """
    numbers = [run.number for run in queued]
    with ledger.write() as connection:
        begin = releases.insert().values(planned_at_ns=now_ns, instance=instance, releasing_ns=now_ns)
        release = connection.execute(begin.returning(releases.c.number)).scalar_one()
        waits = sa.and_(occurrences.c.state == OccurrenceState.QUEUED.value, OPEN)
        claimed = {"state": OccurrenceState.CLAIMED.value, "release": release, "next_attempt_ns": None}
        claim = occurrences.update().where(waits).values(claimed)
        return {
            number
            for chunk in _chunks(numbers)
            for number in connection.scalars(
                claim.where(occurrences.c.id.in_(chunk)).returning(occurrences.c.id)
            )
        }


def requeue_failed(ledger: Ledger, number: int, attempt: Attempt, *, next_attempt_ns: int) -> None:
    """Queue a run again whose attempt has failed, by its row number, for the next attempt."""
    with ledger.write() as connection:
        _requeue_after(connection, number, attempt, next_attempt_ns=next_attempt_ns)


def requeue_interrupted(ledger: Ledger, lost_attempts: Mapping[int, Attempt]) -> None:
    """Queue runs again whose result is unknown, each with its lost attempt, by their row numbers."""
    with ledger.write() as connection:
        for number, attempt in lost_attempts.items():
            _requeue_after(connection, number, attempt)


def requeue_suspect(ledger: Ledger, run: QueuedRun, deaths: Deaths, attempt: Attempt | None) -> None:
    """
    Queue a run again whose process has died, to be called in a process of its own.

    Args:
        ledger: The open ledger.
        run: The run.
        deaths: The deaths of its process so far.
        attempt: The lost attempt; None if the function was not entered.
    """
    options = json.dumps({**run.work.options, _DEATHS: [deaths.alone, deaths.shared]})
    with ledger.write() as connection:
        connection.execute(runs.update().where(runs.c.occurrence == run.number).values(options=options))
        if attempt is not None:
            _requeue_after(connection, run.number, attempt)
        else:
            connection.execute(
                occurrences.update().where(occurrences.c.id == run.number, OPEN).values(_WAITS)
            )


def find_interrupted(ledger: Ledger) -> list[QueuedRun]:
    """
    Return, after a start, the runs that were called and have no outcome. Nothing else may run on this ledger
    meanwhile.
    """
    is_interrupted = sa.and_(
        OPEN, occurrences.c.origin == Origin.BACKGROUND.value, releases.c.releasing_ns.is_not(None)
    )
    tables = runs.join(occurrences).join(releases, occurrences.c.release == releases.c.number)
    with ledger.read() as connection:
        return [
            _run(row)
            for row in connection.execute(
                sa.select(runs, occurrences).select_from(tables).where(is_interrupted)
            ).mappings()
        ]


def requeue(ledger: Ledger, numbers: Sequence[int]) -> None:
    """Queue runs again that could not be called, by their row numbers. No attempt was made."""
    with ledger.write() as connection:
        for chunk in _chunks(numbers):
            connection.execute(occurrences.update().where(occurrences.c.id.in_(chunk), OPEN).values(_WAITS))


def wait_for_code(ledger: Ledger, number: int, reason: str) -> None:
    """
    Queue a run again, by its row number, until `end_wait_for_code`: the loaded code does not have its
    function. No attempt was made.
    """
    values = {**_WAITS, "reason": storable(shorten(reason, _LONGEST_REASON))}
    with ledger.write() as connection:
        connection.execute(occurrences.update().where(occurrences.c.id == number, OPEN).values(values))


def end_wait_for_code(ledger: Ledger, app: str, *, after: int, limit: int) -> int | None:
    """
    Make some runs of an application due again that wait for newer code.

    Args:
        ledger: The open ledger.
        app: The application.
        after: The last row number of the previous call; 0 for the first call.
        limit: The most runs.

    Returns:
        The last row number of this call; None if no run waits.
    """
    query = (
        sa.select(occurrences.c.id)
        .select_from(runs.join(occurrences))
        .where(_WAITS_FOR_CODE, runs.c.app == app, occurrences.c.id > after)
        .order_by(occurrences.c.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        numbers = connection.scalars(query).all()
    if not numbers:
        return None
    with ledger.write() as connection:
        is_one = occurrences.c.id.in_(numbers)
        connection.execute(occurrences.update().where(is_one, _WAITS_FOR_CODE).values(reason=None))
    return int(numbers[-1])


def find_waiting_for_code(ledger: Ledger) -> dict[str, tuple[int, str]]:
    """Return how many runs of each application wait for newer code, and the reason of one of them."""
    query = (
        sa.select(runs.c.app, sa.func.count(), sa.func.min(occurrences.c.reason))
        .select_from(runs.join(occurrences))
        .where(_WAITS_FOR_CODE)
        .group_by(runs.c.app)
        .order_by(runs.c.app)
    )
    with ledger.read() as connection:
        return {app: (count, reason) for app, count, reason in connection.execute(query)}


def record_progress(ledger: Ledger, progress: Mapping[int, tuple[float, str]]) -> None:
    """Write the progress of runs, by their row numbers: a fraction from 0 to 1, and a text."""
    with ledger.write() as connection:
        for number, (fraction, text) in progress.items():
            values = {"progress": fraction, "progress_text": storable(text)}
            connection.execute(runs.update().where(runs.c.occurrence == number).values(values))


def finish_runs(connection: Connection, results: Mapping[int, str | None]) -> None:
    """End runs in the transaction of their outcomes, with their results as JSON, and delete their input."""
    for number, result in results.items():
        connection.execute(runs.update().where(runs.c.occurrence == number).values(given=None, result=result))


def set_served_apps(ledger: Ledger, names: Iterable[str]) -> None:
    """Set the applications whose background runs this daemon takes."""
    with ledger.write() as connection:
        connection.execute(apps.delete())
        if rows := [{"name": name} for name in names]:
            connection.execute(apps.insert(), rows)


def load_runs(ledger: Ledger, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, QueuedRun]:
    """Return the background runs among these occurrences."""
    found: dict[OccurrenceId, QueuedRun] = {}
    with ledger.read() as connection:
        for is_one in id_filters(ids):
            query = sa.select(runs, occurrences).select_from(runs.join(occurrences)).where(is_one)
            found |= {(run := _run(row)).occurrence: run for row in connection.execute(query).mappings()}
    return found


def _requeue_after(
    connection: Connection, number: int, attempt: Attempt, *, next_attempt_ns: int | None = None
) -> None:
    connection.execute(insert_or_skip(connection, attempts).values(attempt_row(number, attempt)))
    waits = {**_WAITS, "attempts": attempt.attempt, "next_attempt_ns": next_attempt_ns}
    connection.execute(occurrences.update().where(occurrences.c.id == number, OPEN).values(waits))


def _chunks(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


def _run(row: RowMapping) -> QueuedRun:
    options, given, deaths, unreadable = {}, {}, Deaths(), ""
    try:
        options, given = json.loads(row[runs.c.options]), json.loads(row[runs.c.given] or "{}")
        deaths = Deaths(*map(index, options.pop(_DEATHS, ())))  # `index` takes only integers
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        # Anybody may write a row. The other rows must still be read.
        unreadable = f"the submission cannot be read: {error}"
    return QueuedRun(
        number=row[occurrences.c.id],
        run_id=row[runs.c.id],
        occurrence=identity_of(row),
        planned_at_ns=row[occurrences.c.planned_at_ns],
        work=Submission(app=row[runs.c.app], ref=row[runs.c.ref], options=options, given=given),
        attempt=row[occurrences.c.attempts] + 1,
        deaths=deaths,
        unreadable=unreadable,
    )
