"""After a start, before anything new is planned: claims, releases and arrears to outcomes, and to dues that run late."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfoNotFoundError

import structlog

from scheduler.daemon import judge
from scheduler.daemon.background import MOST_CALLS
from scheduler.daemon.call import Came
from scheduler.daemon.calls import KILLED
from scheduler.daemon.handed_over import ended
from scheduler.daemon.late import coalesced, missed, scheduled, settle_late
from scheduler.daemon.versions import Versions
from scheduler.ledger import background, history, outcomes, requests, schedules
from scheduler.ledger.engine import Ledger
from scheduler.ledger.schedules import Account
from scheduler.model.batch import Decided, Due
from scheduler.model.definitions import Definitions, History
from scheduler.model.occurrence import Occurrence, OccurrenceId
from scheduler.outcome import Origin, Outcome, State
from scheduler.policies.misfire import is_misfire
from scheduler.schedule import canonical
from scheduler.schedule.arrears import arrears

log = structlog.get_logger()

#: Decisions per transaction.
_CHUNK = 500
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


@dataclass(frozen=True, slots=True)
class _Left:
    dues: list[Due]
    decided: list[Decided]


def recover(
    ledger: Ledger, definitions: Definitions, *, since_ns: int, now_ns: int, goes_on: Callable[[], None] = lambda: None
) -> Recovered:
    """
    Decide all that an earlier process has left undecided. Nothing else may run on this ledger meanwhile.

    It may be ended at any moment: the next start finds what is still undecided, and nothing that is decided changes.

    Args:
        ledger: Locked by this process.
        definitions: Those in force.
        since_ns: When this process started: a job that is new owes its instants from then on.
        now_ns: Wall clock.
        goes_on: Called now and then: it takes long, and it does not hang.
    """
    versions = Versions(ledger, definitions)
    again = _call_again(ledger, now_ns=now_ns)
    unfinished = [one for one in history.unfinished(ledger) if one.origin is not Origin.BACKGROUND]
    unknown = _lost(ledger, versions, unfinished, now_ns=now_ns)
    left = _left_behind(versions, [one for one in unfinished if one.state is not State.RUNNING])
    claimed: defaultdict[str, list[Due]] = defaultdict(list)
    dues: list[Due] = []
    decided = list(left.decided)
    for due in left.dues:
        if due.planned_at_ns > now_ns:
            dues.append(due)
        elif is_misfire(planned_at_ns=due.planned_at_ns, now_ns=now_ns, grace_ns=due.job.misfire_grace_ns):
            decided.append(missed(due))
        elif due.origin is Origin.SCHEDULE:
            claimed[due.job.name].append(due)
        else:
            dues.append(due)
    decided_until = schedules.adopt(ledger, wanted(definitions), now_ns=since_ns)
    for account in schedules.accounts(ledger):
        if account.until_ns is not None:
            decided += _close(account, account.until_ns, definitions)
        else:
            owed = _settle(account, claimed.pop(account.job, []), definitions, now_ns=now_ns)
            dues += owed.dues
            decided += owed.decided
    for others in claimed.values():  # of jobs that have no schedule any more
        owed = _run_latest(others, None)
        dues += owed.dues
        decided += owed.decided
    for start in range(0, len(decided), _CHUNK):
        outcomes.decide(ledger, decided[start : start + _CHUNK], now_ns=now_ns)
        goes_on()
    _say(unknown, decided, dues)
    if again:
        log.warning("killed while they ran, called again", background_runs=again)
    return Recovered(dues=dues, after={name: max(after, now_ns) for name, after in decided_until.items()})


def wanted(definitions: Definitions) -> dict[str, str]:
    """Return the canonical text of the schedule of each job that one starts."""
    jobs = {name: job.schedule for name, job in definitions.jobs.items() if job.schedule and not job.suspended}
    return {name: canonical.to_text(schedule) for name, schedule in jobs.items()}


def _settle(account: Account, claimed: Sequence[Due], definitions: Definitions, *, now_ns: int) -> _Left:
    """Decide the late fire times of a job, those that an earlier process has claimed and those that nobody has."""
    job, version = definitions.jobs[account.job], definitions.version
    owed = settle_late(
        job,
        after_ns=account.decided_until_ns,
        now_ns=now_ns,
        version=version,
        covered=account.covered,
        claimed_ns=max((due.id.fire_time_ns for due in claimed), default=None),
    )
    left = _run_latest(claimed, scheduled(job, owed.runs, version=version) if owed.runs is not None else None)
    return _Left(left.dues, [*owed.decided, *left.decided])


def _run_latest(claimed: Sequence[Due], late: Due | None) -> _Left:
    """Run `late`, or the latest of those that an earlier process has claimed; coalesce the others into it."""
    runs = late or max(claimed, key=lambda due: due.id.fire_time_ns, default=None)
    if runs is None:
        return _Left([], [])
    return _Left([runs], [coalesced(due, into=runs.id.fire_time_ns) for due in claimed if due is not runs])


def _close(account: Account, until_ns: int, definitions: Definitions) -> Iterator[Decided]:
    """Decide what is left of a schedule that has ended: its job was changed, suspended or deleted."""
    try:
        owed = arrears(
            canonical.from_text(account.schedule),
            after_ns=account.decided_until_ns,
            now_ns=until_ns,
            grace_ns=-1,  # what was due at that very moment has ended with it
            covered=account.covered,
        )
    except (ValueError, ZoneInfoNotFoundError):
        log.error("an earlier schedule is not understood, what was due by it is not known", job=account.job)
        return
    job = definitions.jobs.get(account.job)
    if job is None:
        outcome, why = Outcome.CANCELLED, "the job was deleted from the jobs file"
    elif job.suspended or not job.schedule:
        outcome, why = Outcome.CANCELLED, "the job was suspended, or has no schedule any more"
    else:
        outcome, why = Outcome.MISSED, "not started in time: the schedule was changed before"
    for stretch in owed.missed:
        yield Decided(
            id=OccurrenceId(job=account.job, fire_time_ns=stretch.first_ns),
            planned_at_ns=stretch.first_ns,
            origin=Origin.SCHEDULE,
            config_version=definitions.version,
            outcome=outcome,
            reason=why,
            count=stretch.count,
            covers_until_ns=stretch.until_ns if stretch.count > 1 else None,
        )


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
