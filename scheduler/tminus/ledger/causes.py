"""Causes: the occurrences whose chains have started others, with `{run: JOB}`."""

from collections.abc import Collection
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.rows import KEY, id_filters
from tminus.ledger.tables import occurrences
from tminus.model.occurrence import OccurrenceId, RunCause
from tminus.outcome import Outcome

_COLUMNS = (*KEY, occurrences.c.outcome, occurrences.c.reason)


def find_cause(connection: Connection, number: int) -> RunCause | None:
    """Return the occurrence with this row number as a cause; None if it is gone."""
    row = connection.execute(sa.select(*_COLUMNS).where(occurrences.c.id == number)).first()
    return _cause(*row) if row else None


def find_causes(connection: Connection, texts: Collection[str]) -> dict[str, RunCause]:
    """
    Return the causes by the texts of their ids. Texts that are no ids are left out. A cause whose row is
    gone, or is not valid, has neither outcome nor reason.
    """
    found: dict[str, RunCause] = {}
    for text in texts:
        with suppress(ValueError):
            found[text] = RunCause(id=OccurrenceId.parse(text))
    for is_one in id_filters([cause.id for cause in found.values()]):
        for row in connection.execute(sa.select(*_COLUMNS).where(is_one)):
            cause = _cause(*row)
            found[str(cause.id)] = cause
    return found


def _cause(job: str, fire_time_ns: int, run: int, outcome: str | None, reason: str | None) -> RunCause:
    identity = OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run)
    try:
        return RunCause(id=identity, outcome=Outcome(outcome) if outcome else None, reason=reason)
    except ValueError:  # anybody may write a row; the others must still be read
        return RunCause(id=identity)
