"""Reads of past and open occurrences, their attempts and batches."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from scheduler.ledger import chains
from scheduler.ledger.engine import Ledger
from scheduler.ledger.rows import OPEN, Unreadable, are, left_out_if_unreadable
from scheduler.ledger.tables import attempts, configs, occurrences, releases
from scheduler.model.chain import LinkRun
from scheduler.model.occurrence import Attempt, Occurrence, OccurrenceId
from scheduler.outcome import Origin, Outcome, State

#: Rows that are read at once.
_PAGE = 1_000


def find(
    ledger: Ledger,
    *,
    jobs: Iterable[str] = (),
    since_ns: int | None = None,
    outcome: Outcome | None = None,
    limit: int | None = None,
    unreadable: Unreadable | None = None,
) -> list[Occurrence]:
    """
    Return occurrences, newest first.

    Args:
        ledger: The open ledger.
        jobs: Only these jobs; all jobs if empty.
        since_ns: Only those planned then or later.
        outcome: Only those with this outcome.
        limit: Read at most this many.
        unreadable: See `rows.Unreadable`.
    """
    pages = find_pages(ledger, jobs=jobs, since_ns=since_ns, outcome=outcome, limit=limit, unreadable=unreadable)
    return [one for page in pages for one in page]


def find_pages(
    ledger: Ledger,
    *,
    jobs: Iterable[str] = (),
    since_ns: int | None = None,
    outcome: Outcome | None = None,
    limit: int | None = None,
    page_size: int = _PAGE,
    unreadable: Unreadable | None = None,
) -> Iterator[list[Occurrence]]:
    """
    Yield the same as `find`, page by page. Each page is a transaction of its own, so a slow reader holds none open.

    Args:
        ledger: The open ledger.
        jobs: Only these jobs; all jobs if empty.
        since_ns: Only those planned then or later.
        outcome: Only those with this outcome.
        limit: Read at most this many.
        page_size: Rows of a page.
        unreadable: See `rows.Unreadable`.
    """
    query = _occurrences().order_by(occurrences.c.planned_at_ns.desc(), occurrences.c.id.desc())
    if names := list(jobs):
        query = query.where(occurrences.c.job.in_(names))
    if since_ns is not None:
        query = query.where(occurrences.c.planned_at_ns >= since_ns)
    if outcome is not None:
        query = query.where(occurrences.c.outcome == outcome.value)
    left, page = limit, query
    while left is None or left > 0:
        size = page_size if left is None else min(left, page_size)
        rows, found = _read_rows(ledger, page.limit(size), unreadable)
        yield found
        if len(rows) < size:
            return
        left = None if left is None else left - size
        last = rows[-1]
        at, number = last["planned_at_ns"], last["id"]
        is_older = sa.or_(occurrences.c.planned_at_ns < at, occurrences.c.id < number)
        page = query.where(occurrences.c.planned_at_ns <= at, is_older)


def of_batch(ledger: Ledger, planned_at_ns: int, *, unreadable: Unreadable | None = None) -> list[Occurrence]:
    """Return all occurrences with this T, in the order in which they were written."""
    is_its_own = occurrences.c.planned_at_ns == planned_at_ns
    return _read(ledger, _occurrences().where(is_its_own).order_by(occurrences.c.id), unreadable)


def of_ids(ledger: Ledger, ids: Sequence[OccurrenceId], *, unreadable: Unreadable | None = None) -> list[Occurrence]:
    """Return these occurrences, in any order, except those that do not exist."""
    return [one for is_one in are(ids) for one in _read(ledger, _occurrences().where(is_one), unreadable)]


def unfinished(
    ledger: Ledger, *, queued: bool = True, background: bool = True, unreadable: Unreadable | None = None
) -> list[Occurrence]:
    """
    Return the occurrences without an outcome, the oldest first.

    Args:
        ledger: The open ledger.
        queued: Whether with those that are queued, of which there may be very many.
        background: Whether with background runs, of which there may be very many.
        unreadable: See `rows.Unreadable`.
    """
    wanted: list[sa.ColumnElement[bool]] = [OPEN]
    if not queued:
        wanted.append(occurrences.c.state != State.QUEUED.value)
    if not background:
        wanted.append(occurrences.c.origin != Origin.BACKGROUND.value)
    # Sorted by the bare id, SQLite would walk through the whole table, and not through the index of these rows.
    return _read(ledger, _occurrences().where(*wanted).order_by(occurrences.c.id + 0), unreadable)


def last_of_each(ledger: Ledger, jobs: Sequence[str], *, unreadable: Unreadable | None = None) -> dict[str, Occurrence]:
    """Return the newest occurrence of each of these jobs that has one. It costs one look into an index per job."""
    found: dict[str, Occurrence] = {}
    for start in range(0, len(jobs), 500):
        names = [(job,) for job in jobs[start : start + 500]]
        wanted = sa.values(sa.column("name", sa.Text), name="names").data(names).cte("wanted")
        newest = (
            sa.select(occurrences.c.id)
            .where(occurrences.c.job == wanted.c.name)
            .order_by(occurrences.c.fire_time_ns.desc(), occurrences.c.run.desc())
            .limit(1)
        )
        ids = sa.select(newest.scalar_subquery()).select_from(wanted)
        newest_ones = _read(ledger, _occurrences().where(occurrences.c.id.in_(ids)), unreadable)
        found |= {one.id.job: one for one in newest_ones}
    return found


def count_outcomes(ledger: Ledger, *, since_ns: int) -> dict[Outcome, int]:
    """Return the number of occurrences of each outcome, planned then or later. A row with a count counts as that many."""
    number = sa.func.sum(occurrences.c.count)
    numbers = [number.filter(occurrences.c.outcome == outcome.value) for outcome in Outcome]  # GROUP BY would sort all rows
    query = sa.select(*numbers).where(occurrences.c.planned_at_ns >= since_ns)
    with ledger.read() as connection:
        found = connection.execute(query).one()
    return {outcome: int(count) for outcome, count in zip(Outcome, found, strict=True) if count}


def last_batch(ledger: Ledger) -> int | None:
    """Return the T of the last batch of which at least one occurrence has started."""
    query = sa.select(sa.func.max(occurrences.c.planned_at_ns)).where(occurrences.c.started_at_ns.is_not(None))
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def attempts_of(ledger: Ledger, identity: OccurrenceId, *, unreadable: Unreadable | None = None) -> list[Attempt]:
    """Return the attempts of an occurrence, first to last."""
    (is_it,) = are([identity])
    query = sa.select(attempts).join(occurrences).where(is_it).order_by(attempts.c.attempt)
    with ledger.read() as connection:
        rows = connection.execute(query).mappings().all()
    found = []
    for row in rows:
        with left_out_if_unreadable(row["occurrence"], unreadable):
            found.append(_attempt(row))
    return found


def config_text(ledger: Ledger, version: str) -> str | None:
    """Return the text of a version of the configuration; None if it is not stored."""
    with ledger.read() as connection:
        return connection.execute(sa.select(configs.c.text).where(configs.c.version == version)).scalar()


def _occurrences() -> sa.Select[Any]:
    is_running = sa.and_(OPEN, releases.c.releasing_ns.is_not(None))
    query = sa.select(occurrences, is_running.label("is_running"))
    return query.select_from(occurrences.outerjoin(releases, occurrences.c.release == releases.c.number))


def _read(ledger: Ledger, query: sa.Select[Any], unreadable: Unreadable | None) -> list[Occurrence]:
    return _read_rows(ledger, query, unreadable)[1]


def _read_rows(
    ledger: Ledger, query: sa.Select[Any], unreadable: Unreadable | None
) -> tuple[Sequence[RowMapping], list[Occurrence]]:
    with ledger.read() as connection:
        rows = connection.execute(query).mappings().all()
        links = chains.rows_of(connection, [row["id"] for row in rows])
    found = []
    for row in rows:
        with left_out_if_unreadable(row["id"], unreadable):
            found.append(_occurrence(row, [chains.link_run(link) for link in links.get(row["id"], ())]))
    return rows, found


def _occurrence(row: RowMapping, chain: Sequence[LinkRun]) -> Occurrence:
    params = json.loads(row["params"])
    if not isinstance(params, dict):
        raise ValueError("params are not a map")
    return Occurrence(
        id=OccurrenceId(job=row["job"], fire_time_ns=row["fire_time_ns"], run=row["run"]),
        planned_at_ns=row["planned_at_ns"],
        origin=Origin(row["origin"]),
        state=State.RUNNING if row["is_running"] else State(row["state"]),
        params=params,
        retry_of=row["retry_of"],
        count=row["count"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reason=row["reason"],
        started_at_ns=row["started_at_ns"],
        finished_at_ns=row["finished_at_ns"],
        duration_ns=row["duration_ns"],
        armed=row["armed"],
        attempts=row["attempts"],
        http_status=row["http_status"],
        executor=row["executor"],
        config_version=row["config_version"],
        chain=tuple(chain),
    )


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(
        attempt=row["attempt"],
        started_at_ns=row["started_at_ns"],
        finished_at_ns=row["finished_at_ns"],
        duration_ns=row["duration_ns"],
        armed=row["armed"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        http_status=row["http_status"],
        headers=tuple(row["headers"].split("\n")) if row["headers"] else (),
        body=row["body"],
        body_size=row["body_size"],
        output=row["output"] or b"",
    )
