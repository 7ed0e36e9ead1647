"""
Chains: what follows a run. A chain begins in the transaction that records the run's outcome. Each step of it
is durable before the next one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.causes import find_cause
from tminus.ledger.claims import queue
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import CHUNK, Unreadable, id_filters, left_out_if_unreadable, storable
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.tables import chains, links, occurrences
from tminus.model.batch import ChainStart, DueOccurrence
from tminus.model.chain import Failure, Link, LinkStatus, Value
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import LinkState


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
        return self.links == _stored(map(str, links))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUpdate:
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
    starts: DueOccurrence | None = None


def start_chains(connection: Connection, starts: Mapping[int, ChainStart]) -> None:
    """Write new chains, by the row numbers of their occurrences, in the caller's transaction."""
    if not starts:
        return
    flows = [{"occurrence": number, **_flow(one.value)} for number, one in starts.items()]
    connection.execute(insert_or_skip(connection, chains), flows)
    rows = [
        {"occurrence": number, "position": position, "link": link, "state": LinkState.WAITING.value}
        for number, one in starts.items()
        for position, link in enumerate(_stored(one.links))
    ]
    connection.execute(insert_or_skip(connection, links), rows)


def find(
    ledger: Ledger, ids: Sequence[OccurrenceId] | None = None, *, unreadable: Unreadable | None = None
) -> list[OpenChain]:
    """
    Return the chains that have not ended, of these occurrences or of all; `unreadable` as in
    `rows.Unreadable`.
    """
    columns = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run, occurrences.c.id)
    query = sa.select(*columns, chains.c.failure).join(chains).order_by(occurrences.c.id)
    found: list[OpenChain] = []
    with ledger.read() as connection:
        for condition in [sa.true()] if ids is None else id_filters(ids):
            rows = connection.execute(query.where(condition)).all()
            links_of = load_links(connection, [row.id for row in rows])
            for row in rows:
                with left_out_if_unreadable(row.id, unreadable):
                    statuses = [to_link_status(link) for link in links_of.get(row.id, ())]
                    found.append(
                        OpenChain(
                            occurrence=row.id,
                            id=OccurrenceId(job=row.job, fire_time_ns=row.fire_time_ns, run=row.run),
                            links=tuple(status.link for status in statuses),
                            states=tuple(status.state for status in statuses),
                            failure=row.failure,
                        )
                    )
    return found


def load_links(connection: Connection, numbers: Sequence[int]) -> dict[int, list[sa.Row[Any]]]:
    """
    Return the rows of the links of occurrences, by the occurrences' row numbers, except those without links.
    """
    found: dict[int, list[sa.Row[Any]]] = {}
    for start in range(0, len(numbers), CHUNK):
        is_theirs = links.c.occurrence.in_(numbers[start : start + CHUNK])
        for row in connection.execute(
            sa.select(links).where(is_theirs).order_by(links.c.occurrence, links.c.position)
        ):
            found.setdefault(row.occurrence, []).append(row)
    return found


def to_link_status(row: sa.Row[Any]) -> LinkStatus:
    """
    Return the status of the link in a row.

    Raises:
        ValueError: its state is not known.
    """
    return LinkStatus(
        link=row.link,
        state=LinkState(row.state),
        error=row.error,
        started_at_ns=row.started_at_ns,
        finished_at_ns=row.finished_at_ns,
        output=row.output or b"",
    )


def next_inputs(ledger: Ledger, numbers: Sequence[int]) -> dict[int, str]:
    """Return the value that flows into the next link of each of these chains, as text for `value_of`."""
    found: dict[int, str] = {}
    with ledger.read() as connection:
        for start in range(0, len(numbers), CHUNK):
            query = sa.select(chains).where(chains.c.occurrence.in_(numbers[start : start + CHUNK]))
            found |= {row.occurrence: row.value for row in connection.execute(query)}
    return found


def advance(ledger: Ledger, updates: Iterable[LinkUpdate], *, ended: Sequence[int]) -> list[DueOccurrence]:
    """
    Write changes of links in one transaction. A link that has ended stays as it is.

    Args:
        ledger: The open ledger.
        updates: The changes, in their order.
        ended: The row numbers of chains without a further link. Of what flowed from the last link, only
            whether it was a failure is kept.

    Returns:
        The occurrences that were started.
    """
    with ledger.write(step="link") as connection:
        started = [due for update in updates if (due := _write_update(connection, update))]
        for start in range(0, len(ended), CHUNK):
            _end_chains(connection, chains.c.occurrence.in_(ended[start : start + CHUNK]))
    return started


def _end_chains(connection: Connection, are_theirs: sa.ColumnElement[bool]) -> None:
    failure = sa.select(chains.c.failure).where(chains.c.occurrence == occurrences.c.id).scalar_subquery()
    # If a commit that raised was durable, the chains are gone now, and `chain_failure` has to stay.
    are_there = occurrences.c.id.in_(sa.select(chains.c.occurrence).where(are_theirs))
    connection.execute(occurrences.update().where(are_there).values(chain_failure=failure))
    connection.execute(chains.delete().where(are_theirs))


def _write_update(connection: Connection, update: LinkUpdate) -> DueOccurrence | None:
    due = update.starts and replace(update.starts, cause=find_cause(connection, update.occurrence))
    states = [state.value for state in LinkState if state.is_open]
    is_this_link = sa.and_(
        links.c.occurrence == update.occurrence,
        links.c.position == update.position,
        links.c.state.in_(states),
    )
    when: dict[str, Any] = (
        {"started_at_ns": update.at_ns}
        if update.state is LinkState.RUNNING
        else {"finished_at_ns": update.at_ns}
    )
    changes = {
        "state": update.state.value,
        "error": storable(update.error),
        "output": update.output or None,
        **when,
    }
    if connection.execute(links.update().where(is_this_link).values(changes)).rowcount == 0:
        return due  # a commit that raised was durable
    if update.value is not None:
        flows = chains.update().where(chains.c.occurrence == update.occurrence)
        connection.execute(flows.values(_flow(update.value)))
    # If another one was started in this nanosecond, take the next nanosecond.
    while due is not None and not queue(connection, [due]):
        due = replace(due, id=replace(due.id, fire_time_ns=due.id.fire_time_ns + 1))
    return due


def _stored(links: Iterable[str]) -> tuple[str, ...]:
    """Convert the texts of links to those that the ledger stores."""
    return tuple(storable(link) or "" for link in links)


def _flow(value: Value) -> dict[str, Any]:
    return {"failure": isinstance(value, Failure), "value": value.as_text()}
