"""Background runs for the daemon: those that wait, their start, loss, progress and end."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from scheduler.ledger.engine import Ledger, insert_or_skip
from scheduler.ledger.rows import CHUNK, OPEN, are, attempt_row, storable
from scheduler.ledger.runs import identity_of
from scheduler.ledger.tables import apps, attempts, occurrences, releases, runs
from scheduler.model.background import Deaths, Work
from scheduler.model.occurrence import Attempt, OccurrenceId
from scheduler.outcome import Origin, State

#: Beside the options of a run: those of its process, as `Deaths` has them.
_DEATHS = "_deaths"
_WAITS = {"state": State.QUEUED.value, "release": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    A background run as the ledger has it.

    Attributes:
        work: If the row cannot be read, without options and input.
        attempt: The number of the next attempt.
        deaths: The deaths of its process.
        unreadable: Why the row cannot be read; empty if it can.
    """

    number: int
    occurrence: OccurrenceId
    planned_at_ns: int
    work: Work
    attempt: int
    deaths: Deaths = field(default_factory=Deaths)
    unreadable: str = ""


def pending(ledger: Ledger, app: str, *, now_ns: int, limit: int, suspects: bool = False) -> list[Run]:
    """Return the runs of an application that wait and are due, the oldest first: either only suspects, or only the others."""
    # A run without delay is due whatever the clock of its submitter said: another host's, or ours before it was set back.
    is_at_once = occurrences.c.planned_at_ns == occurrences.c.fire_time_ns
    is_due = sa.or_(occurrences.c.planned_at_ns <= now_ns, is_at_once)
    waits = sa.and_(occurrences.c.state == State.QUEUED.value, OPEN, runs.c.app == app)
    is_suspect = runs.c.options.contains(f'"{_DEATHS}"', autoescape=True)
    is_wanted = is_suspect if suspects else sa.not_(is_suspect)
    query = sa.select(runs, occurrences).select_from(runs.join(occurrences)).where(waits, is_due, is_wanted)
    with ledger.read() as connection:
        rows = connection.execute(query.order_by(occurrences.c.planned_at_ns, occurrences.c.id).limit(limit)).mappings()
        return [_run(row) for row in rows]


def next_due(ledger: Ledger, *, after_ns: int) -> int | None:
    """Return when the next run is due that is not due yet."""
    is_later = sa.and_(occurrences.c.state == State.QUEUED.value, OPEN, occurrences.c.planned_at_ns > after_ns)
    query = sa.select(sa.func.min(occurrences.c.planned_at_ns)).select_from(runs.join(occurrences)).where(is_later)
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def start(ledger: Ledger, found: Sequence[Run], *, instance: str, now_ns: int) -> set[int]:
    """
    Write that the functions of these runs are about to be called. From here on they may have been called.

    Returns:
        The row numbers of the runs that still waited; the others were cancelled meanwhile.
    """
    numbers = [one.number for one in found]
    with ledger.write() as connection:
        begin = releases.insert().values(planned_at_ns=now_ns, instance=instance, releasing_ns=now_ns)
        release = connection.execute(begin.returning(releases.c.number)).scalar_one()
        waits = sa.and_(occurrences.c.state == State.QUEUED.value, OPEN)
        claim = occurrences.update().where(waits).values(state=State.CLAIMED.value, release=release)
        return {
            number
            for chunk in _chunks(numbers)
            for number in connection.scalars(claim.where(occurrences.c.id.in_(chunk)).returning(occurrences.c.id))
        }


def again(ledger: Ledger, lost: Mapping[int, Attempt]) -> None:
    """Queue runs again whose result is unknown, each with its lost attempt, by their row numbers."""
    with ledger.write() as connection:
        for number, attempt in lost.items():
            _again(connection, number, attempt)


def suspect(ledger: Ledger, run: Run, deaths: Deaths, attempt: Attempt | None) -> None:
    """
    Queue a run again whose process has died, to be called in a process of its own.

    Args:
        ledger: The open ledger.
        run: The run.
        deaths: The deaths of its process so far.
        attempt: The lost attempt; None if the function was not entered.
    """
    options = json.dumps({**run.work.options, _DEATHS: [deaths.alone, deaths.beside]})
    with ledger.write() as connection:
        connection.execute(runs.update().where(runs.c.occurrence == run.number).values(options=options))
        if attempt is not None:
            _again(connection, run.number, attempt)
        else:
            connection.execute(occurrences.update().where(occurrences.c.id == run.number, OPEN).values(_WAITS))


def lost(ledger: Ledger) -> list[Run]:
    """Return, after a start, the runs that were called and have no outcome. Nothing else may run on this ledger meanwhile."""
    is_lost = sa.and_(OPEN, occurrences.c.origin == Origin.BACKGROUND.value, releases.c.releasing_ns.is_not(None))
    tables = runs.join(occurrences).join(releases, occurrences.c.release == releases.c.number)
    with ledger.read() as connection:
        return [
            _run(row) for row in connection.execute(sa.select(runs, occurrences).select_from(tables).where(is_lost)).mappings()
        ]


def put_back(ledger: Ledger, numbers: Sequence[int]) -> None:
    """Queue runs again that could not be called, by their row numbers. No attempt was made."""
    with ledger.write() as connection:
        for chunk in _chunks(numbers):
            connection.execute(occurrences.update().where(occurrences.c.id.in_(chunk), OPEN).values(_WAITS))


def report(ledger: Ledger, progress: Mapping[int, tuple[float, str]]) -> None:
    """Write the progress of runs, by their row numbers: a fraction from 0 to 1, and a text."""
    with ledger.write() as connection:
        for number, (part, text) in progress.items():
            values = {"progress": part, "progress_text": storable(text)}
            connection.execute(runs.update().where(runs.c.occurrence == number).values(values))


def end(connection: Connection, results: Mapping[int, str | None]) -> None:
    """End runs in the transaction of their outcomes, with their results as JSON, and delete their input."""
    for number, result in results.items():
        connection.execute(runs.update().where(runs.c.occurrence == number).values(given=None, result=result))


def know_apps(ledger: Ledger, names: Iterable[str]) -> None:
    """Set the applications whose background runs this daemon takes."""
    with ledger.write() as connection:
        connection.execute(apps.delete())
        if rows := [{"name": name} for name in names]:
            connection.execute(apps.insert(), rows)


def of_ids(ledger: Ledger, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, Run]:
    """Return the background runs among these occurrences."""
    found: dict[OccurrenceId, Run] = {}
    with ledger.read() as connection:
        for is_one in are(ids):
            query = sa.select(runs, occurrences).select_from(runs.join(occurrences)).where(is_one)
            found |= {(run := _run(row)).occurrence: run for row in connection.execute(query).mappings()}
    return found


def _again(connection: Connection, number: int, attempt: Attempt) -> None:
    connection.execute(insert_or_skip(connection, attempts).values(attempt_row(number, attempt)))
    waits = {**_WAITS, "attempts": attempt.attempt}
    connection.execute(occurrences.update().where(occurrences.c.id == number, OPEN).values(waits))


def _chunks(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


def _run(row: RowMapping) -> Run:
    options, given, deaths, unreadable = {}, {}, Deaths(), ""
    try:
        options, given = json.loads(row[runs.c.options]), json.loads(row[runs.c.given] or "{}")
        deaths = Deaths(*options.pop(_DEATHS, ()))
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        # Anybody may write a row. The others are read all the same.
        unreadable = f"what was handed over cannot be read: {error}"
    return Run(
        number=row[occurrences.c.id],
        occurrence=identity_of(row),
        planned_at_ns=row[occurrences.c.planned_at_ns],
        work=Work(app=row[runs.c.app], ref=row[runs.c.ref], options=options, given=given),
        attempt=row[occurrences.c.attempts] + 1,
        deaths=deaths,
        unreadable=unreadable,
    )
