"""Chains: what follows a run. They begin in the transaction of its outcome, and each step is durable before the next one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger.claims import queue
from scheduler.ledger.engine import Ledger, insert_or_skip
from scheduler.ledger.rows import CHUNK, Unreadable, are, left_out_if_unreadable, storable
from scheduler.ledger.tables import chains, links, occurrences
from scheduler.model.batch import Beginning, Due
from scheduler.model.chain import Failure, Link, LinkRun, Value
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import LinkState


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenChain:
    """
    A chain that has not ended.

    Attributes:
        occurrence: The row number of the occurrence.
        links: The texts of the links, first to last.
        states: The states of the links, first to last.
        failure: Whether a failure flows into the next link.
    """

    occurrence: int
    id: OccurrenceId
    links: tuple[str, ...]
    states: tuple[LinkState, ...]
    failure: bool

    def has(self, links: Sequence[Link]) -> bool:
        """Return whether the chain has exactly these links."""
        return self.links == _texts(links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    A change of one link.

    Attributes:
        value: What flows from the link; None if it passes on what flowed into it.
        starts: The occurrence that the link starts. It is written in the same transaction, so only once.
    """

    occurrence: int
    position: int
    state: LinkState
    at_ns: int
    error: str | None = None
    output: bytes = b""
    value: Value | None = None
    starts: Due | None = None


def begin(connection: Connection, beginnings: Mapping[int, Beginning]) -> None:
    """Write new chains, by the row numbers of their occurrences, in the caller's transaction."""
    if not beginnings:
        return
    flows = [{"occurrence": number, **_flow(one.value)} for number, one in beginnings.items()]
    connection.execute(insert_or_skip(connection, chains), flows)
    rows = [
        {"occurrence": number, "position": position, "link": link, "state": LinkState.WAITING.value}
        for number, one in beginnings.items()
        for position, link in enumerate(_texts(one.due.job.then))
    ]
    connection.execute(insert_or_skip(connection, links), rows)


def find(ledger: Ledger, ids: Sequence[OccurrenceId] | None = None, *, unreadable: Unreadable | None = None) -> list[OpenChain]:
    """Return the chains that have not ended, of these occurrences or of all; `unreadable` as in `rows.Unreadable`."""
    columns = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run, occurrences.c.id)
    query = sa.select(*columns, chains.c.failure).join(chains).order_by(occurrences.c.id)
    found: list[OpenChain] = []
    with ledger.read() as connection:
        for condition in [sa.true()] if ids is None else are(ids):
            rows = connection.execute(query.where(condition)).all()
            links_of = rows_of(connection, [row.id for row in rows])
            for row in rows:
                with left_out_if_unreadable(row.id, unreadable):
                    runs = [link_run(link) for link in links_of.get(row.id, ())]
                    found.append(
                        OpenChain(
                            occurrence=row.id,
                            id=OccurrenceId(job=row.job, fire_time_ns=row.fire_time_ns, run=row.run),
                            links=tuple(run.link for run in runs),
                            states=tuple(run.state for run in runs),
                            failure=row.failure,
                        )
                    )
    return found


def rows_of(connection: Connection, numbers: Sequence[int]) -> dict[int, list[sa.Row[Any]]]:
    """Return the rows of the links of occurrences, by the occurrences' row numbers, except those without links."""
    found: dict[int, list[sa.Row[Any]]] = {}
    for start in range(0, len(numbers), CHUNK):
        theirs = links.c.occurrence.in_(numbers[start : start + CHUNK])
        for row in connection.execute(sa.select(links).where(theirs).order_by(links.c.occurrence, links.c.position)):
            found.setdefault(row.occurrence, []).append(row)
    return found


def link_run(row: sa.Row[Any]) -> LinkRun:
    """
    Return the link that a row is of.

    Raises:
        ValueError: its state is not known.
    """
    return LinkRun(
        link=row.link,
        state=LinkState(row.state),
        error=row.error,
        started_at_ns=row.started_at_ns,
        finished_at_ns=row.finished_at_ns,
        output=row.output or b"",
    )


def values(ledger: Ledger, numbers: Sequence[int]) -> dict[int, str]:
    """Return what flows into the next link of each of these chains, as text for `value_of`."""
    found: dict[int, str] = {}
    with ledger.read() as connection:
        for start in range(0, len(numbers), CHUNK):
            query = sa.select(chains).where(chains.c.occurrence.in_(numbers[start : start + CHUNK]))
            found |= {row.occurrence: row.value for row in connection.execute(query)}
    return found


def advance(ledger: Ledger, steps: Iterable[Step], *, ended: Sequence[int]) -> list[Due]:
    """
    Write changes of links in one transaction. A link that has ended stays as it is.

    Args:
        ledger: The open ledger.
        steps: The changes, in their order.
        ended: The row numbers of chains without a further link. What flowed from the last link is deleted.

    Returns:
        The occurrences that were started.
    """
    with ledger.write() as connection:
        started = [due for step in steps if (due := _take(connection, step))]
        for start in range(0, len(ended), CHUNK):
            connection.execute(chains.delete().where(chains.c.occurrence.in_(ended[start : start + CHUNK])))
    return started


def _take(connection: Connection, step: Step) -> Due | None:
    states = [state.value for state in LinkState if state.is_open]
    it = sa.and_(links.c.occurrence == step.occurrence, links.c.position == step.position, links.c.state.in_(states))
    when: dict[str, Any] = {"started_at_ns": step.at_ns} if step.state is LinkState.RUNNING else {"finished_at_ns": step.at_ns}
    changes = {"state": step.state.value, "error": storable(step.error), "output": step.output or None, **when}
    if connection.execute(links.update().where(it).values(changes)).rowcount == 0:
        return step.starts  # a commit that raised was durable
    if step.value is not None:
        flows = chains.update().where(chains.c.occurrence == step.occurrence)
        connection.execute(flows.values(_flow(step.value)))
    due = step.starts
    while due is not None and not queue(connection, [due]):  # two in one nanosecond: the second takes the next
        due = replace(due, id=replace(due.id, fire_time_ns=due.id.fire_time_ns + 1))
    return due


def _texts(links: Sequence[Link]) -> tuple[str, ...]:
    """Convert links to the texts that the ledger stores."""
    return tuple(storable(str(link)) or "" for link in links)


def _flow(value: Value) -> dict[str, Any]:
    return {"failure": isinstance(value, Failure), "value": value.as_text()}
