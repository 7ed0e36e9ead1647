"""Why a job ran, did not run, or ran late at some time, in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tminus.errors import JobNotFound
from tminus.instants import format_duration, rfc3339
from tminus.ledger import fire_time_rows, history, instances, pauses
from tminus.ledger.engine import Ledger
from tminus.ledger.fire_time_rows import ScheduleInForce
from tminus.ledger.pauses import PauseTrace
from tminus.ledger.rows import Unreadable
from tminus.model.definitions import Definitions
from tminus.model.job import Schedule
from tminus.model.occurrence import Attempt, Occurrence
from tminus.operations.times import local
from tminus.outcome import Outcome
from tminus.schedule import canonical
from tminus.schedule.fire_times import after, between, last_between

#: Fire times are looked for this far before an instant.
_LONG_NS = 366 * 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What the ledger and the schedule say of a job at an instant."""

    job: str
    at_ns: int
    sentences: Sequence[str]
    occurrences: Sequence[Occurrence]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that `tminus why --json` prints."""
        return {
            "job": self.job,
            "time": rfc3339(self.at_ns),
            "sentences": list(self.sentences),
            "occurrences": [occurrence.as_json() for occurrence in self.occurrences],
        }


def explain(
    ledger: Ledger,
    definitions: Definitions | None,
    job: str,
    *,
    at_ns: int,
    now_ns: int,
    zone: ZoneInfo,
    unreadable: Unreadable,
) -> Explanation:
    """
    Explain what became of a job at an instant.

    Args:
        definitions: Those of the jobs file; None if it is not valid.
        at_ns: The instant, wall clock.
        now_ns: Wall clock.
        zone: The zone in which times are shown.
        unreadable: See `ledger.rows`.

    Raises:
        JobNotFound: neither the jobs file nor the ledger knows this job.
    """
    found = history.find_at(ledger, job, at_ns, unreadable=unreadable)
    past = fire_time_rows.schedules_between(ledger, since_ns=at_ns - 1, until_ns=at_ns + 1, job=job)
    known = definitions.jobs if definitions else {}
    if not (found or past or job in known or history.last_of_each(ledger, [job], unreadable=unreadable)):
        raise JobNotFound(job, known)
    if found:
        sentences = [sentence for one in found for sentence in _of_occurrence(ledger, one, zone, now_ns)]
    elif past and past[0].schedule:
        sentences = list(_without_row(past[0], at_ns, now_ns, zone))
    else:
        sentences = list(_without_schedule(definitions, job, at_ns, now_ns, zone))
    # A pause counts when an occurrence is decided, which is some time before its fire time, or later if it is
    # late.
    decided = [one.finished_at_ns for one in found if one.outcome is Outcome.SKIPPED and one.finished_at_ns]
    first_ns, last_ns = min([at_ns, *decided]), max([at_ns, *decided])
    with ledger.read() as connection:
        traces = pauses.between(connection, since_ns=first_ns, until_ns=last_ns, job=job)
    sentences += (_of_pause(trace, zone, now_ns) for trace in traces)
    return Explanation(job=job, at_ns=at_ns, sentences=sentences, occurrences=found)


def _of_occurrence(ledger: Ledger, one: Occurrence, zone: ZoneInfo, now_ns: int) -> Iterator[str]:
    due = f"{one.id} was planned for {local(one.planned_at_ns, zone)}, origin {one.origin.value}."
    if one.count > 1:
        due = f"{one.id} stands for {one.count} fire times in a row."
    yield due
    if one.outcome is None:
        yield _state(one, zone, now_ns)
    elif one.started_at_ns is None:
        yield f"It did not start: {one.outcome.value}, {one.reason}."
        if one.outcome is Outcome.MISSED:
            yield _daemon_at(ledger, one.planned_at_ns, zone)
    else:
        offset = format_duration(one.start_offset_ns or 0)
        armed = "armed" if one.armed else "not armed"
        reason = f": {one.reason}" if one.reason else ""
        yield f"It started {offset} after that, {armed}, and ended as {one.outcome.value}{reason}."
    attempts = history.find_attempts(ledger, one.id)
    if len(attempts) > 1:
        yield from (_of_attempt(attempt, zone) for attempt in attempts)
    for link in one.chain:
        error = f": {link.error}" if link.error else ""
        yield f"Its link {link.link} is {link.state.value.replace('_', ' ')}{error}."


def _state(one: Occurrence, zone: ZoneInfo, now_ns: int) -> str:
    if one.next_attempt_ns is not None:
        return (
            f"Attempt {one.attempts} has failed; the next one is due at {local(one.next_attempt_ns, zone)}."
        )
    if one.planned_at_ns > now_ns:
        return f"It is {one.state.value}, and is to start in {format_duration(one.planned_at_ns - now_ns)}."
    return f"It is {one.state.value}, and has no outcome yet."


def _of_attempt(attempt: Attempt, zone: ZoneInfo) -> str:
    if attempt.started_at_ns:
        started = f"started at {local(attempt.started_at_ns, zone)}"
    else:
        started = "may have started" if attempt.outcome is Outcome.UNKNOWN else "did not start"
    reason = f": {attempt.reason}" if attempt.reason else ""
    return f"Attempt {attempt.attempt} {started}, {attempt.outcome.value}{reason}."


def _daemon_at(ledger: Ledger, at_ns: int, zone: ZoneInfo) -> str:
    """Return whether a daemon ran at an instant."""
    before, following = instances.around(ledger, at_ns)
    if before and (before.stopped_ns or before.beat_ns) >= at_ns:
        return f"A daemon ran then, {before}."
    ended = f"the last one ended at {local(before.stopped_ns or before.beat_ns, zone)}" if before else ""
    started = f"the next one started at {local(following.started_ns, zone)}" if following else ""
    rest = "; ".join(part for part in (ended, started) if part)
    return f"No daemon ran then{f': {rest}' if rest else ''}."


def _of_pause(trace: PauseTrace, zone: ZoneInfo, now_ns: int) -> str:
    is_over = trace.until_ns is not None and trace.until_ns <= now_ns
    pause, verb = trace.pause, "was" if is_over else "is"
    until = "" if trace.until_ns is None else f", until {local(trace.until_ns, zone)}"
    ended = f" (ended by {trace.ended_by})" if trace.ended_by else ""
    reason = f": {pause.reason}" if pause.reason else ""
    since = local(pause.since_ns, zone)
    return f"The job {verb} {pause.verb} by {pause.by} since {since}{until}{ended}{reason}."


def _without_row(in_force: ScheduleInForce, at_ns: int, now_ns: int, zone: ZoneInfo) -> Iterator[str]:
    """Explain an instant at which a schedule was in force, and for which there is no row."""
    schedule = canonical.from_text(in_force.schedule)
    if next(between(schedule, at_ns - 1, at_ns), None) is None:
        yield "Its schedule was not due then."
        yield from _nearest(schedule, at_ns, zone)
    elif at_ns > now_ns:
        yield f"It is due then, in {format_duration(at_ns - now_ns)}."
    elif in_force.deleted_until_ns is not None and at_ns <= in_force.deleted_until_ns:
        yield "It was due then. Its history was deleted (daemon.history)."
    else:
        yield "It was due then, and the ledger has no row for it: no daemon has decided it yet."


def _without_schedule(
    definitions: Definitions | None, job: str, at_ns: int, now_ns: int, zone: ZoneInfo
) -> Iterator[str]:
    yield "No schedule of this job was in force then, by the ledger."
    found = definitions.jobs.get(job) if definitions else None
    if found is None:
        yield "The jobs file does not have the job now." if definitions else "The jobs file is not valid now."
    elif not found.schedule:
        yield "It only starts by hand: schedule: manual."
    else:
        yield from _nearest(found.schedule, max(at_ns, now_ns), zone)


def _nearest(schedule: Schedule, at_ns: int, zone: ZoneInfo) -> Iterator[str]:
    before, following = last_between(schedule, at_ns - _LONG_NS, at_ns), after(schedule, at_ns)
    if before is not None:
        yield f"The fire time before is {local(before, zone)}."
    if following is not None:
        yield f"The fire time after is {local(following, zone)}."
