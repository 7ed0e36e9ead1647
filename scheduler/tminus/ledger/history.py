"""Reads of past and open occurrences, their attempts and batches."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.instants import SECOND
from tminus.ledger import chains
from tminus.ledger.causes import find_causes
from tminus.ledger.engine import Ledger
from tminus.ledger.resolutions import to_resolution
from tminus.ledger.rows import IN_A_BATCH, OPEN, Unreadable, id_filters, left_out_if_unreadable
from tminus.ledger.tables import attempts, configs, occurrences, releases
from tminus.model.batch import BatchCounts
from tminus.model.chain import LinkStatus
from tminus.model.occurrence import Attempt, Occurrence, OccurrenceId, RunCause
from tminus.model.phases import Phases
from tminus.model.sent_request import SentRequest
from tminus.outcome import OccurrenceState, Origin, Outcome

#: Rows that are read at once.
_PAGE = 1_000
#: The history of at most this many jobs is read job by job. For more jobs, the history of all jobs is read:
#: it soon has a page of theirs.
_FEW_JOBS = 50
_NEWEST_FIRST = (occurrences.c.planned_at_ns.desc(), occurrences.c.id.desc())


class Filters(TypedDict, total=False):
    """The arguments of `find_pages` that select occurrences."""

    jobs: Iterable[str]
    since_ns: int | None
    until_ns: int | None
    outcome: Outcome | None
    limit: int | None
    unreadable: Unreadable | None


def find(ledger: Ledger, **filters: Unpack[Filters]) -> list[Occurrence]:
    """Return the occurrences that `find_pages` yields, in one list."""
    return [one for page in find_pages(ledger, **filters) for one in page]


def find_pages(
    ledger: Ledger,
    *,
    jobs: Iterable[str] = (),
    since_ns: int | None = None,
    until_ns: int | None = None,
    outcome: Outcome | None = None,
    limit: int | None = None,
    page_size: int = _PAGE,
    unreadable: Unreadable | None = None,
) -> Iterator[list[Occurrence]]:
    """
    Yield occurrences page by page, newest first. Each page is a transaction of its own, so a slow reader
    holds none open.

    Args:
        ledger: The open ledger.
        jobs: Only these jobs; all jobs if empty.
        since_ns: Only those planned then or later.
        until_ns: Only those planned before.
        outcome: Only those with this outcome.
        limit: Read at most this many.
        page_size: Rows of a page.
        unreadable: See `rows.Unreadable`.
    """
    conditions: list[sa.ColumnElement[bool]] = []
    if since_ns is not None:
        conditions.append(occurrences.c.planned_at_ns >= since_ns)
    if until_ns is not None:
        conditions.append(occurrences.c.planned_at_ns < until_ns)
    if outcome is not None:
        conditions.append(_has_outcome(outcome))
    names, left, older = list(dict.fromkeys(jobs)), limit, list[sa.ColumnElement[bool]]()
    while left is None or left > 0:
        size = page_size if left is None else min(left, page_size)
        query = _occurrences().where(*_of_jobs(names, [*conditions, *older], size), *conditions, *older)
        rows, found = _read_rows(ledger, query.order_by(*_NEWEST_FIRST).limit(size), unreadable)
        yield found
        if len(rows) < size:
            return
        left = None if left is None else left - size
        last = rows[-1]
        at, number = last["planned_at_ns"], last["id"]
        is_before = sa.or_(occurrences.c.planned_at_ns < at, occurrences.c.id < number)
        older = [occurrences.c.planned_at_ns <= at, is_before]


def _of_jobs(
    names: Sequence[str], conditions: Sequence[sa.ColumnElement[bool]], size: int
) -> list[sa.ColumnElement[bool]]:
    """Return the condition for a page of the newest occurrences of some jobs; none for all jobs."""
    if len(names) <= 1:
        return [occurrences.c.job == name for name in names]
    if len(names) > _FEW_JOBS:
        # By the bare name, SQLite would read and sort all occurrences of these jobs.
        return [(occurrences.c.job + "").in_(names)]
    newest = (
        sa.select(occurrences.c.id)
        .where(occurrences.c.job == name, *conditions)
        .order_by(*_NEWEST_FIRST)
        .limit(size)
        .subquery()
        for name in names
    )
    return [occurrences.c.id.in_(sa.union_all(*(sa.select(one.c.id) for one in newest)))]


def _has_outcome(outcome: Outcome) -> sa.ColumnElement[bool]:
    if outcome is Outcome.SUCCEEDED:
        return occurrences.c.outcome == outcome.value
    # The condition of the index of such occurrences, literally: a bound value would not prove it.
    is_in_index = occurrences.c.outcome != sa.literal_column("'succeeded'")
    return sa.and_(occurrences.c.outcome == outcome.value, is_in_index)


def find_batch(
    ledger: Ledger, planned_at_ns: int, *, unreadable: Unreadable | None = None
) -> list[Occurrence]:
    """Return all occurrences with this T, in the order in which they were written."""
    is_its_own = occurrences.c.planned_at_ns == planned_at_ns
    return _read(ledger, _occurrences().where(IN_A_BATCH, is_its_own).order_by(occurrences.c.id), unreadable)


def count_batch(ledger: Ledger, planned_at_ns: int) -> BatchCounts:
    """Return how far the batch with this T is. Reads one range of an index."""
    number = sa.func.count()
    is_claimed = occurrences.c.state != OccurrenceState.QUEUED.value
    has_ended = sa.or_(occurrences.c.outcome.is_not(None), occurrences.c.attempts > 0)
    query = sa.select(number, number.filter(is_claimed), number.filter(has_ended))
    with ledger.read() as connection:
        is_its_own = occurrences.c.planned_at_ns == planned_at_ns
        found = connection.execute(query.where(IN_A_BATCH, is_its_own)).one()
    return BatchCounts(written=found[0], claimed=found[1], ended=found[2])


def next_planned(ledger: Ledger, after_ns: int) -> int | None:
    """Return the first T after an instant whose batch has occurrences without an outcome."""
    query = sa.select(sa.func.min(occurrences.c.planned_at_ns))
    is_later = occurrences.c.planned_at_ns > after_ns
    with ledger.read() as connection:
        return connection.execute(query.where(IN_A_BATCH, OPEN, is_later)).scalar()


def find_by_ids(
    ledger: Ledger, ids: Sequence[OccurrenceId], *, unreadable: Unreadable | None = None
) -> list[Occurrence]:
    """Return these occurrences, in any order, except those that do not exist."""
    return [
        one for is_one in id_filters(ids) for one in _read(ledger, _occurrences().where(is_one), unreadable)
    ]


def find_where(
    ledger: Ledger, condition: sa.ColumnElement[bool], *, unreadable: Unreadable | None = None
) -> list[Occurrence]:
    """Return the occurrences whose rows meet a condition, in any order."""
    return _read(ledger, _occurrences().where(condition), unreadable)


def find_at(
    ledger: Ledger, job: str, at_ns: int, *, unreadable: Unreadable | None = None
) -> list[Occurrence]:
    """
    Return the occurrences of a job that were due or planned at an instant, and the row that stands for
    several fire times, this one among them. A whole second, as `history` prints it, means any instant in it.
    """
    until_ns = at_ns if at_ns % SECOND else at_ns + SECOND - 1
    name, fire_time_ns = occurrences.c.job, occurrences.c.fire_time_ns
    # Each part has an index of its own. By the bare name, the last one would read all earlier rows.
    is_its_own = sa.or_(
        sa.and_(name == job, fire_time_ns.between(at_ns, until_ns)),
        sa.and_(name == job, occurrences.c.planned_at_ns.between(at_ns, until_ns)),
        sa.and_(name + "" == job, fire_time_ns + 0 <= at_ns, occurrences.c.covers_until_ns >= at_ns),
    )
    query = _occurrences().where(is_its_own)
    return _read(ledger, query.order_by(occurrences.c.fire_time_ns, occurrences.c.run), unreadable)


def find_one(connection: Connection, identity: OccurrenceId) -> Occurrence | None:
    """
    Return an occurrence as the caller's transaction has it; None if it does not exist.

    Raises:
        ValueError: its row is not valid.
    """
    (is_it,) = id_filters([identity])
    return next(iter(_load(connection, _occurrences().where(is_it), None)[1]), None)


def highest_run(connection: Connection, identity: OccurrenceId) -> int:
    """
    Return the highest number after `~` of this fire time, as the caller's transaction has it; 0 if there is
    none.
    """
    is_its_time = sa.and_(
        occurrences.c.job == identity.job, occurrences.c.fire_time_ns == identity.fire_time_ns
    )
    return connection.scalar(sa.select(sa.func.max(occurrences.c.run)).where(is_its_time)) or 0


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
        wanted.append(occurrences.c.state != OccurrenceState.QUEUED.value)
    if not background:
        wanted.append(IN_A_BATCH)
    # Sorted by the bare id, SQLite would walk through the whole table, and not through the index of these
    # rows.
    return _read(ledger, _occurrences().where(*wanted).order_by(occurrences.c.id + 0), unreadable)


def last_of_each(
    ledger: Ledger,
    jobs: Sequence[str],
    *,
    outcomes: Sequence[Outcome] = (),
    unreadable: Unreadable | None = None,
) -> dict[str, Occurrence]:
    """
    Return the newest occurrence of each of these jobs that has one. It costs one look into an index per job.

    Args:
        ledger: The open ledger.
        jobs: The names of the jobs.
        outcomes: Only with one of these outcomes; all occurrences if empty.
        unreadable: See `rows.Unreadable`.
    """
    is_wanted = occurrences.c.outcome.in_([one.value for one in outcomes]) if outcomes else sa.true()
    found: dict[str, Occurrence] = {}
    for start in range(0, len(jobs), 500):
        names = [(job,) for job in jobs[start : start + 500]]
        wanted = sa.values(sa.column("name", sa.Text), name="names").data(names).cte("wanted")
        newest = (
            sa.select(occurrences.c.id)
            .where(occurrences.c.job == wanted.c.name, is_wanted)
            .order_by(occurrences.c.fire_time_ns.desc(), occurrences.c.run.desc())
            .limit(1)
        )
        ids = sa.select(newest.scalar_subquery()).select_from(wanted)
        newest_ones = _read(ledger, _occurrences().where(occurrences.c.id.in_(ids)), unreadable)
        found |= {one.id.job: one for one in newest_ones}
    return found


def count_outcomes(ledger: Ledger, *, since_ns: int) -> dict[Outcome, int]:
    """
    Return the number of occurrences of each outcome, planned then or later. A row with a count counts as that
    many.
    """
    number = sa.func.sum(occurrences.c.count)
    # GROUP BY would sort all rows.
    numbers = [number.filter(occurrences.c.outcome == outcome.value) for outcome in Outcome]
    query = sa.select(*numbers).where(occurrences.c.planned_at_ns >= since_ns)
    with ledger.read() as connection:
        found = connection.execute(query).one()
    return {outcome: int(count) for outcome, count in zip(Outcome, found, strict=True) if count}


def last_batch(ledger: Ledger) -> int | None:
    """Return the T of the last batch of which at least one occurrence has started."""
    has_started = occurrences.c.started_at_ns.is_not(None)
    query = sa.select(sa.func.max(occurrences.c.planned_at_ns)).where(IN_A_BATCH, has_started)
    with ledger.read() as connection:
        return connection.execute(query).scalar()


def find_attempts(
    ledger: Ledger, identity: OccurrenceId, *, unreadable: Unreadable | None = None
) -> list[Attempt]:
    """Return the attempts of an occurrence, first to last."""
    (is_it,) = id_filters([identity])
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
    # Between two attempts it is running, too.
    is_tried = sa.and_(occurrences.c.state == OccurrenceState.CLAIMED.value, occurrences.c.attempts > 0)
    is_running = sa.and_(OPEN, sa.or_(releases.c.releasing_ns.is_not(None), is_tried))
    query = sa.select(occurrences, is_running.label("is_running"))
    return query.select_from(occurrences.outerjoin(releases, occurrences.c.release == releases.c.number))


def _read(ledger: Ledger, query: sa.Select[Any], unreadable: Unreadable | None) -> list[Occurrence]:
    return _read_rows(ledger, query, unreadable)[1]


def _read_rows(
    ledger: Ledger, query: sa.Select[Any], unreadable: Unreadable | None
) -> tuple[Sequence[RowMapping], list[Occurrence]]:
    with ledger.read() as connection:
        return _load(connection, query, unreadable)


def _load(
    connection: Connection, query: sa.Select[Any], unreadable: Unreadable | None
) -> tuple[Sequence[RowMapping], list[Occurrence]]:
    rows = connection.execute(query).mappings().all()
    links = chains.load_links(connection, [row["id"] for row in rows])
    causes = find_causes(connection, {row["cause"] for row in rows if row["cause"]})
    found = []
    for row in rows:
        with left_out_if_unreadable(row["id"], unreadable):
            chain = [chains.to_link_status(link) for link in links.get(row["id"], ())]
            found.append(_occurrence(row, chain, causes))
    return rows, found


def _occurrence(row: RowMapping, chain: Sequence[LinkStatus], causes: Mapping[str, RunCause]) -> Occurrence:
    params = json.loads(row["params"])
    if not isinstance(params, dict):
        raise ValueError("params are not a map")
    if row["cause"] and row["cause"] not in causes:
        raise ValueError("the cause is not an occurrence")
    return Occurrence(
        id=OccurrenceId(job=row["job"], fire_time_ns=row["fire_time_ns"], run=row["run"]),
        planned_at_ns=row["planned_at_ns"],
        origin=Origin(row["origin"]),
        state=OccurrenceState.RUNNING if row["is_running"] else OccurrenceState(row["state"]),
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
        buffered_ns=row["buffered_ns"],
        next_attempt_ns=row["next_attempt_ns"],
        cause=causes[row["cause"]] if row["cause"] else None,
        chain=tuple(chain),
        chain_failure=row["chain_failure"],
        resolution=to_resolution(row),
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
        request=SentRequest.from_text(row["request"]) if row["request"] else None,
        phases=Phases.from_text(row["phases"]) if row["phases"] else Phases(),
    )
