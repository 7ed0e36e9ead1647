"""Admission: which occurrences of a batch do not start, decided right before the commit."""

from collections.abc import Sequence

from scheduler.daemon.station import Station
from scheduler.instants import rfc3339
from scheduler.ledger import claims
from scheduler.model.batch import Decided, Due, Release
from scheduler.outcome import Origin, Outcome


def claim(station: Station, dues: Sequence[Due], *, planned_at_ns: int, token: str) -> Release:
    """
    Claim a batch. From then on each of its occurrences has a row: this process's, or another's.

    Raises:
        LedgerError: it was not written, or that is unknown; a call with the same token finds out.
    """
    release = claims.claim(station.ledger, dues, planned_at_ns=planned_at_ns, instance=station.instance, token=token)
    station.recorder.undecided.discard(due.id for due in dues)
    return release


def decide(station: Station, due: Due) -> Decided | None:
    """Decide whether an occurrence may start; None if it may. It counts as running then."""
    if due.origin is Origin.SCHEDULE and due.job.name not in station.definitions.jobs:
        return due.ends(Outcome.CANCELLED, "the job was deleted from the jobs file")
    other = station.running.admit(due)
    if other is None:
        return None
    # The commit comes before T: an occurrence that is committed may be about to start.
    is_early = station.clock.wall_ns() < other.planned_at_ns
    state = f"is to start at {rfc3339(other.planned_at_ns)}" if is_early else "is still running"
    return due.ends(Outcome.SKIPPED, f"overlap: {other.id} {state} (max_instances {due.job.max_instances})")
