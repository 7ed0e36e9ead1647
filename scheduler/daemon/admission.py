"""Admission: who of a batch does not start after all, decided right before the commit."""

from collections.abc import Sequence

from scheduler.daemon.station import Station
from scheduler.model.batch import Decided, Due
from scheduler.outcome import Origin, Outcome


def withdrawn(station: Station, outstanding: Sequence[Due]) -> list[Decided]:
    """Who of these is withdrawn, and why; the others count as running."""
    deleted = [due for due in outstanding if _is_deleted(station, due)]
    kept = [due for due in outstanding if not _is_deleted(station, due)]
    refused = station.running.admit(kept)
    decided = [due.ends(Outcome.CANCELLED, "the job was deleted from the jobs file") for due in deleted]
    for due in kept:
        if due.id in refused:
            limit = f"max_instances {due.job.max_instances}"
            decided.append(due.ends(Outcome.SKIPPED, f"overlap: {refused[due.id]} is still running ({limit})"))
    return decided


def _is_deleted(station: Station, due: Due) -> bool:
    return due.origin is Origin.SCHEDULE and due.job.name not in station.definitions.jobs
