"""After a start, before anything new is planned: claims, releases and arrears to outcomes, and to dues that run late."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from scheduler.daemon import judge
from scheduler.daemon.background import MOST_CALLS
from scheduler.daemon.calls import KILLED, Came
from scheduler.daemon.handed_over import ended
from scheduler.daemon.late import coalesced, missed, scheduled, settle_late
from scheduler.daemon.versions import Versions
from scheduler.ledger import background, history, outcomes, requests, schedules
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Decided, Due
from scheduler.model.definitions import Definitions, History
from scheduler.model.occurrence import Occurrence
from scheduler.outcome import Origin, Outcome, State
from scheduler.policies.misfire import is_misfire

log = structlog.get_logger()

_KILLED = "tminus was killed between the release and the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """
    Attributes:
        dues: What runs: on time where its T is still to come, else late.
        after: For each scheduled job, the instant up to which all its fire times are decided.
    """

    dues: Sequence[Due]
    after: dict[str, int]


def recover(ledger: Ledger, definitions: Definitions, *, since_ns: int, now_ns: int) -> Recovered:
    """
    Decide all that an earlier process has left undecided. Nothing else may run on this ledger meanwhile.

    Args:
        ledger: Locked by this process.
        definitions: Those in force.
        since_ns: When this process started: a job that is new owes its instants from then on.
        now_ns: Wall clock.
    """
    versions = Versions(ledger, definitions)
    again = _call_again(ledger, now_ns=now_ns)
    unfinished = [one for one in history.unfinished(ledger) if one.origin is not Origin.BACKGROUND]
    unknown = _lost(ledger, versions, unfinished, now_ns=now_ns)
    left = _left_behind(versions, [one for one in unfinished if one.state is not State.RUNNING])
    late_ones: defaultdict[str, list[Due]] = defaultdict(list)
    dues: list[Due] = []
    decided = list(left.decided)
    for due in left.dues:
        if due.planned_at_ns > now_ns:
            dues.append(due)
        elif is_misfire(planned_at_ns=due.planned_at_ns, now_ns=now_ns, grace_ns=due.job.misfire_grace_ns):
            decided.append(missed(due))
        elif due.origin is Origin.SCHEDULE:
            late_ones[due.job.name].append(due)
        else:
            dues.append(due)
    decided_until = schedules.adopt(ledger, wanted(definitions), now_ns=since_ns)
    for name, after_ns in decided_until.items():
        job = definitions.jobs[name]
        late = settle_late(job, after_ns=after_ns, now_ns=now_ns, version=definitions.version)
        decided += late.decided
        if late.runs is not None:
            late_ones[name].append(scheduled(job, late.runs, version=definitions.version))
    for of_one_job in late_ones.values():
        *others, last = sorted(of_one_job, key=lambda due: due.id.fire_time_ns)
        dues.append(last)
        decided += [coalesced(due, into=last.id.fire_time_ns) for due in others]
    outcomes.decide(ledger, decided, now_ns=now_ns)
    _say(unknown, decided, dues)
    if again:
        log.warning("killed while they ran, called again", background_runs=again)
    return Recovered(dues=dues, after={name: max(after, now_ns) for name, after in decided_until.items()})


def wanted(definitions: Definitions) -> dict[str, str]:
    """The jobs that a schedule starts, with that schedule as text."""
    return {name: repr(job.schedule) for name, job in definitions.jobs.items() if job.schedule and not job.suspended}


@dataclass(frozen=True, slots=True)
class _Left:
    dues: list[Due]
    decided: list[Decided]


def _call_again(ledger: Ledger, *, now_ns: int) -> int:
    """Background runs that were called and have no outcome: once more, unless that was the last time, or cancelled. How many."""
    lost, cancelled = background.lost(ledger), requests.to_cancel(ledger)
    again = [run for run in lost if run.attempt < MOST_CALLS and run.number not in cancelled]
    background.again(ledger, {run.number: judge.unknown_attempt(run.attempt, KILLED, now_ns=now_ns) for run in again})
    ends = [
        ended(
            run,
            Came(owner=run.number, lost=KILLED),
            history.attempts_of(ledger, run.occurrence),
            now_ns=now_ns,
            is_cancelled=run.number in cancelled,
            history=History(),
        )
        for run in lost
        if run not in again
    ]
    outcomes.record(ledger, ends)
    return len(again)


def _left_behind(versions: Versions, unfinished: Sequence[Occurrence]) -> _Left:
    """What is queued, or claimed and not released: it was not sent, and runs by the definition that it was claimed under."""
    left = _Left([], [])
    for occurrence in unfinished:
        due = versions.due(occurrence)
        if due is None:
            left.decided.append(_gone(occurrence))
        else:
            left.dues.append(due)
    return left


def _lost(ledger: Ledger, versions: Versions, unfinished: Sequence[Occurrence], *, now_ns: int) -> int:
    """What was let go and has no outcome is unknown; what follows it hears of that. How many."""
    released = [one for one in unfinished if one.state is State.RUNNING]
    followed = [due for one in released if (due := versions.due(one)) and due.job.then]
    outcomes.record(ledger, [judge.lost(due, _KILLED, executor=None, now_ns=now_ns) for due in followed])
    outcomes.unknown_after_crash(ledger, now_ns=now_ns, reason=f"executor: {_KILLED}; whether the request arrived is not known")
    return len(released)


def _gone(occurrence: Occurrence) -> Decided:
    return Decided(
        id=occurrence.id,
        planned_at_ns=occurrence.planned_at_ns,
        origin=occurrence.origin,
        config_version=occurrence.config_version,
        outcome=Outcome.CANCELLED,
        reason=f"the definition that it was claimed under ({occurrence.config_version}) is not in the ledger",
    )


def _say(unknown: int, decided: Sequence[Decided], dues: Sequence[Due]) -> None:
    if unknown:
        log.warning("killed between release and answer, outcome unknown", occurrences=unknown)
    late = sum(one.count for one in decided if one.outcome is Outcome.MISSED)
    if late:
        log.warning("missed while tminus was not running", fire_times=late)
    if dues or decided:
        log.info("recovered", runs=len(dues), ended=len(decided))
