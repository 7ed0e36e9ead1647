"""Audit: what was due, by the schedules that were in force, compared with the rows of the ledger."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tminus.errors import UsageError
from tminus.instants import rfc3339
from tminus.ledger import instances, pauses
from tminus.ledger.engine import Ledger
from tminus.ledger.fire_time_rows import FireTimeRow, ScheduleInForce, rows_of, schedules_between
from tminus.ledger.pauses import PauseTrace
from tminus.model.occurrence import OccurrenceId, timestamp
from tminus.operations.running_daemon import daemon_of
from tminus.outcome import Outcome
from tminus.schedule import canonical
from tminus.schedule.fire_times import between, count_between


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An occurrence that is not as it should be, and why."""

    id: OccurrenceId
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the JSON of an entry of `tminus audit --json`."""
        return {
            "id": str(self.id),
            "job": self.id.job,
            "fire_time": rfc3339(self.id.fire_time_ns),
            "detail": self.detail,
        }


@dataclass(slots=True)
class Audit:
    """
    The result of an audit.

    Attributes:
        checked: The number of fire times that were due.
        ok: Those with one row that is neither missed nor unknown; or unknown, and resolved.
        missed: Due, and without a row or with that outcome.
        doubled: Fire times for which two rows stand.
        unexplained: Rows of fire times that were not due.
        unknown: Fire times whose outcome is unknown, until an operator has resolved it.
        pauses: The pauses and suspensions that were in force at some time of the stretch.
        shortened: The jobs of which only a part was compared, because older history was deleted.
    """

    checked: int = 0
    ok: int = 0
    missed: list[Finding] = field(default_factory=list)
    doubled: list[Finding] = field(default_factory=list)
    unexplained: list[Finding] = field(default_factory=list)
    unknown: list[Finding] = field(default_factory=list)
    pauses: Sequence[PauseTrace] = ()
    shortened: set[str] = field(default_factory=set)

    @property
    def is_well(self) -> bool:
        """Whether nothing was found."""
        return not (self.missed or self.doubled or self.unexplained or self.unknown)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that `tminus audit --json` prints."""
        return {
            "checked": self.checked,
            "ok": self.ok,
            "missed": [finding.as_json() for finding in self.missed],
            "doubled": [finding.as_json() for finding in self.doubled],
            "unexplained": [finding.as_json() for finding in self.unexplained],
            "unknown": [finding.as_json() for finding in self.unknown],
            "pauses": [_pause_json(trace) for trace in self.pauses],
        }


def audit(ledger: Ledger, *, since_ns: int, until_ns: int, now_ns: int) -> Audit:
    """
    Compare the fire times after `since_ns`, up to and including `until_ns`, with the ledger.

    The schedules are those that the ledger says were in force, so a job that was changed or deleted is judged
    by what it was. Fire times that a running daemon has not decided yet are left out, and so are those whose
    rows may have been deleted.

    Raises:
        UsageError: the stretch is empty.
    """
    if until_ns <= since_ns:
        raise UsageError(f"{rfc3339(until_ns)} is not after {rfc3339(since_ns)}")
    with ledger.read() as connection:
        found = Audit(pauses=pauses.between(connection, since_ns=since_ns, until_ns=until_ns))
    until_ns = min(until_ns, _decided_until_ns(ledger, now_ns))
    for schedule in schedules_between(ledger, since_ns=since_ns, until_ns=until_ns):
        if schedule.schedule:
            first_ns = max(since_ns, schedule.since_ns)
            if schedule.deleted_until_ns is not None and schedule.deleted_until_ns > first_ns:
                first_ns = schedule.deleted_until_ns
                found.shortened.add(schedule.job)
            last_ns = until_ns if schedule.until_ns is None else min(until_ns, schedule.until_ns)
            _audit_schedule(ledger, schedule, found, first_ns=first_ns, last_ns=last_ns)
    return found


def _pause_json(trace: PauseTrace) -> dict[str, str | None]:
    pause = trace.pause
    return {
        "job": trace.job,
        "kind": pause.kind.value,
        "since": rfc3339(pause.since_ns),
        "until": timestamp(trace.until_ns),
        "by": pause.by,
        "ended_by": trace.ended_by,
        "reason": pause.reason,
    }


def _decided_until_ns(ledger: Ledger, now_ns: int) -> int:
    daemon = daemon_of(ledger, now_ns)
    if daemon is None:
        return now_ns
    return min(now_ns, instances.decided_until_ns(ledger) or daemon.started_ns)


def _audit_schedule(
    ledger: Ledger, schedule: ScheduleInForce, found: Audit, *, first_ns: int, last_ns: int
) -> None:
    parts = canonical.from_text(schedule.schedule)
    due = between(parts, first_ns, last_ns)
    at_ns, covered_until_ns = next(due, None), first_ns
    for row in rows_of(ledger, schedule.job, since_ns=first_ns + 1, until_ns=last_ns):
        identity = OccurrenceId(job=schedule.job, fire_time_ns=row.fire_time_ns)
        began_before = row.fire_time_ns <= first_ns
        at_ns = _without_rows(schedule.job, due, at_ns, row.fire_time_ns, found)
        if not began_before and row.fire_time_ns <= covered_until_ns:
            detail = f"an earlier row stands for all fire times up to {rfc3339(covered_until_ns)}"
            found.doubled.append(Finding(id=identity, detail=detail))
        elif not began_before and at_ns != row.fire_time_ns:
            detail = "its job was not due then, by the schedule that was in force"
            found.unexplained.append(Finding(id=identity, detail=detail))
        else:
            covered_until_ns = min(row.until_ns, last_ns)
            count = count_between(parts, max(row.fire_time_ns - 1, first_ns), covered_until_ns)
            _judge(found, identity, row, count)
            if row.count > 1:
                due = between(parts, covered_until_ns, last_ns)
            at_ns = next(due, None)
    _without_rows(schedule.job, due, at_ns, last_ns + 1, found)


def _without_rows(
    job: str, due: Iterator[int], at_ns: int | None, before_ns: int, found: Audit
) -> int | None:
    """Note the fire times before an instant as missed: no row stands for them. Return the next one."""
    while at_ns is not None and at_ns < before_ns:
        found.checked += 1
        found.missed.append(
            Finding(id=OccurrenceId(job=job, fire_time_ns=at_ns), detail="it is not in the ledger")
        )
        at_ns = next(due, None)
    return at_ns


def _judge(found: Audit, identity: OccurrenceId, row: FireTimeRow, count: int) -> None:
    found.checked += count
    several = f"{count} fire times: " if count > 1 else ""
    finding = Finding(id=identity, detail=f"{several}{row.reason or 'no reason is stored'}")
    match row.outcome:
        case Outcome.MISSED:
            found.missed.append(finding)
        case Outcome.UNKNOWN if not row.is_resolved:
            found.unknown.append(finding)
        case _:
            found.ok += count


def findings(found: Audit) -> Iterable[tuple[str, Finding]]:
    """Yield what was found, each with its kind."""
    for kind in ("missed", "doubled", "unexplained", "unknown"):
        for finding in getattr(found, kind):
            yield kind, finding
