"""Withholding: the jobs that the definitions in force suspend, and those whose failures are counted."""

from collections.abc import Mapping

from tminus.daemon.runtime import Runtime
from tminus.ledger import failure_counts, pauses
from tminus.model.definitions import Definitions
from tminus.policies.pause import Pause, PauseKind


def find_suspensions(
    definitions: Definitions, known: Mapping[str, Pause], *, now_ns: int
) -> Mapping[str, Pause]:
    """
    Return the suspension of each job that the definitions suspend.

    Args:
        definitions: The definitions.
        known: The suspensions so far: a job that stays suspended keeps its own.
        now_ns: When the others begin, wall clock.
    """
    return {
        name: known.get(name)
        or Pause(kind=PauseKind.SUSPEND, since_ns=now_ns, until_ns=None, reason="", by=_who(definitions))
        for name, job in definitions.jobs.items()
        if job.suspended
    }


def adopt_suspensions(runtime: Runtime, definitions: Definitions, *, now_ns: int) -> None:
    """
    Begin and end suspensions as these definitions say, and forget the failures of jobs whose failures are not
    counted any more.

    Raises:
        LedgerError: it could not be written; the suspensions in force stay.
    """
    with runtime.ledger.write() as connection:
        known = pauses.load(connection, suspensions=True)
        wanted = find_suspensions(definitions, known, now_ns=now_ns)
        pauses.replace_suspensions(connection, known, wanted, by=_who(definitions), now_ns=now_ns)
        failure_counts.keep_only(connection, list(definitions.failure_limits))
    runtime.change_withheld(suspensions=wanted)


def _who(definitions: Definitions) -> str:
    return f"configuration {definitions.version}"
