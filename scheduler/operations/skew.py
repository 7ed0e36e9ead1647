"""Skew: how punctual a batch was."""

from scheduler.errors import NotFound
from scheduler.instants import rfc3339
from scheduler.ledger import history
from scheduler.ledger.engine import Ledger
from scheduler.ledger.rows import Unreadable
from scheduler.model.occurrence import Occurrence
from scheduler.model.skew import Offset, Skew


def skew_of(ledger: Ledger, planned_at_ns: int | None, *, unreadable: Unreadable | None = None) -> tuple[Skew, list[Occurrence]]:
    """
    Return the start offsets of a batch, and its occurrences.

    Args:
        ledger: Open.
        planned_at_ns: Its T; None for the last batch of which something has started.
        unreadable: As in `ledger.rows`.

    Raises:
        NotFound: there is no such batch.
    """
    if planned_at_ns is None:
        planned_at_ns = history.last_batch(ledger)
        if planned_at_ns is None:
            raise NotFound("no batch yet", hint="`tminus next` says when the first one is")
    occurrences = history.of_batch(ledger, planned_at_ns, unreadable=unreadable)
    if not occurrences:
        raise NotFound(f"no batch at {rfc3339(planned_at_ns)}", hint="`tminus history` lists what has run")
    started = ((one, one.start_offset_ns) for one in occurrences)
    offsets = [Offset(id=str(one.id), offset_ns=at, armed=bool(one.armed)) for one, at in started if at is not None]
    offsets.sort(key=lambda offset: offset.offset_ns)
    return Skew(planned_at_ns=planned_at_ns, jobs=len(occurrences), offsets=offsets), occurrences
