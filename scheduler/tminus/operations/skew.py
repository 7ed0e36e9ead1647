"""Skew: the start offsets of a batch."""

from tminus.errors import NotFound
from tminus.instants import rfc3339
from tminus.ledger import history
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import Unreadable
from tminus.model.occurrence import Occurrence
from tminus.model.skew import Offset, Skew


def skew_of(
    ledger: Ledger, planned_at_ns: int | None, *, unreadable: Unreadable | None = None
) -> tuple[Skew, list[Occurrence]]:
    """
    Return the start offsets of a batch, and its occurrences.

    Args:
        ledger: The open ledger.
        planned_at_ns: T; None for the last batch in which a job has started.
        unreadable: See `ledger.rows`.

    Raises:
        NotFound: there is no such batch.
    """
    if planned_at_ns is None:
        planned_at_ns = history.last_batch(ledger)
        if planned_at_ns is None:
            raise NotFound("no batch yet", hint="`tminus next` says when the first one is")
    occurrences = history.find_batch(ledger, planned_at_ns, unreadable=unreadable)
    if not occurrences:
        raise NotFound(f"no batch at {rfc3339(planned_at_ns)}", hint="`tminus history` lists what has run")
    started = ((one, one.start_offset_ns) for one in occurrences)
    offsets = [
        Offset(id=str(one.id), offset_ns=offset_ns, armed=bool(one.armed))
        for one, offset_ns in started
        if offset_ns is not None
    ]
    offsets.sort(key=lambda offset: offset.offset_ns)
    return Skew(planned_at_ns=planned_at_ns, jobs=len(occurrences), offsets=offsets), occurrences
