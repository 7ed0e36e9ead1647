"""Recovery: after a start, what an earlier process left open gets its outcome, or runs on time or late."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from scheduler.daemon import judge
from scheduler.daemon.background import MOST_CALLS, without_options
from scheduler.daemon.call import Came
from scheduler.daemon.calls import KILLED
from scheduler.daemon.handed_over import ended
from scheduler.daemon.late import coalesced, missed, scheduled, settle_late
from scheduler.daemon.left_behind import due_by, unreadable
from scheduler.errors import LedgerError, Refused
from scheduler.ledger import background, claims, history, outcomes, requests, schedules
from scheduler.ledger.background import Run
from scheduler.ledger.engine import Ledger
from scheduler.ledger.schedules import Account
from scheduler.model.batch import Decided, Due, Ended
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
_DELETED = "the job was deleted from the jobs file"
_NOT_SCHEDULED = "the job was suspended, or has no schedule any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """
    Attributes:
        dues: Due occurrences that run: on time if T is still to come, otherwise late.
        after: For each scheduled job, the instant up to which all its fire times are decided.
    """

    dues: Sequence[Due]
    after: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Left:
    dues: list[Due] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)


def recover(
    ledger: Ledger, definitions: Definitions, *, since_ns: int, now_ns: int, goes_on: Callable[[], None] = lambda: None
) -> Recovered:
    """
    Decide all that an earlier process has left undecided. Nothing else may run on this ledger meanwhile.

    It may be ended at any moment: the next start finds what is still undecided, and nothing that is decided changes. A job or a
    row that raises here affects itself alone.

    Args:
        ledger: Locked by this process.
        definitions: The definitions in force.
        since_ns: When this process started: the fire times of a new job count from then on.
        now_ns: Wall clock.
        goes_on: Called now and then, as a sign that it does not hang.
    """
    again = _call_again(ledger, now_ns=now_ns)
    unfinished = history.unfinished(ledger, background=False, unreadable=unreadable)
    unknown = _lost(ledger, definitions, [one for one in unfinished if one.state is State.RUNNING], now_ns=now_ns)
    left, claimed = _Left(), defaultdict[str, list[Due]](list)
    for occurrence in unfinished:
        if occurrence.state is not State.RUNNING:
            with _guard(occurrence):
                _sort(occurrence, definitions, left, claimed, now_ns=now_ns)
    decided_until = schedules.adopt(ledger, wanted(definitions), now_ns=since_ns)
    for account in schedules.accounts(ledger):
        owed = _owed(account, claimed[account.job], definitions, now_ns=now_ns)
        left.dues.extend(owed.dues)
        left.decided.extend(owed.decided)
    claims.renew(ledger, [due.id for due in left.dues if due.is_written], version=definitions.version)
    for start in range(0, len(left.decided), _CHUNK):
        _write(ledger, left.decided[start : start + _CHUNK], now_ns=now_ns)
        goes_on()
    _say(unknown, left)
    if again:
        log.warning("killed while they ran, called again", background_runs=again)
    return Recovered(dues=left.dues, after={name: max(after, now_ns) for name, after in decided_until.items()})


def wanted(definitions: Definitions) -> dict[str, str]:
    """Return the canonical text of the schedule of each job that one starts."""
    jobs = {name: job.schedule for name, job in definitions.jobs.items() if job.schedule and not job.suspended}
    return {name: canonical.to_text(schedule) for name, schedule in jobs.items()}


@contextmanager
def _guard(one: Occurrence | Run) -> Iterator[None]:
    """Run a step that handles one row: if it raises, the row stays as it is until the next start."""
    try:
        yield
    except LedgerError:
        raise
    except Exception:
        identity = one.occurrence if isinstance(one, Run) else one.id
        log.exception("a row of the ledger makes no sense", occurrence=str(identity))


def _sort(
    occurrence: Occurrence, definitions: Definitions, left: _Left, claimed: defaultdict[str, list[Due]], *, now_ns: int
) -> None:
    """Decide an occurrence that is queued, or claimed and not released: it was not sent."""
    due = due_by(definitions, occurrence)
    if due is None:
        left.decided.append(_cancelled(occurrence, _DELETED))
    elif due.origin is Origin.SCHEDULE and (due.job.suspended or not due.job.schedule):
        left.decided.append(_cancelled(occurrence, _NOT_SCHEDULED))
    elif due.planned_at_ns > now_ns:
        left.dues.append(due)
    elif is_misfire(planned_at_ns=due.planned_at_ns, now_ns=now_ns, grace_ns=due.job.misfire_grace_ns):
        left.decided.append(missed(due))
    elif due.origin is Origin.SCHEDULE:
        claimed[due.job.name].append(due)
    else:
        left.dues.append(due)


def _owed(account: Account, claimed: Sequence[Due], definitions: Definitions, *, now_ns: int) -> _Left:
    """Decide what is due by a schedule and has no row, and what of it an earlier process has claimed and is late."""
    try:
        if account.until_ns is not None:
            return _Left(decided=list(_close(account, account.until_ns, definitions)))
        return _settle(account, claimed, definitions, now_ns=now_ns)
    except Exception:
        log.exception("what was due by a schedule is not known", job=account.job)
        return _run_latest(claimed if account.until_ns is None else [], None)


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
        return _Left()
    return _Left([runs], [coalesced(due, into=runs.id.fire_time_ns) for due in claimed if due is not runs])


def _close(account: Account, until_ns: int, definitions: Definitions) -> Iterator[Decided]:
    """Decide what is left of a schedule that has ended: its job was changed, suspended or deleted."""
    owed = arrears(
        canonical.from_text(account.schedule),
        after_ns=account.decided_until_ns,
        now_ns=until_ns,
        grace_ns=-1,  # what was due at that very moment has ended with it
        covered=account.covered,
    )
    job = definitions.jobs.get(account.job)
    if job is None:
        outcome, why = Outcome.CANCELLED, _DELETED
    elif job.suspended or not job.schedule:
        outcome, why = Outcome.CANCELLED, _NOT_SCHEDULED
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
    """Queue interrupted background runs again, unless they are cancelled or that was the last call; return how many."""
    lost, cancelled = background.lost(ledger), requests.to_cancel(ledger)
    again = [run for run in lost if run.attempt < MOST_CALLS and run.number not in cancelled]
    background.again(ledger, {run.number: judge.unknown_attempt(run.attempt, KILLED, now_ns=now_ns) for run in again})
    for run in lost:
        if run not in again:
            with _guard(run):
                outcomes.record(ledger, [_ended(ledger, run, is_cancelled=run.number in cancelled, now_ns=now_ns)])
    return len(again)


def _ended(ledger: Ledger, run: Run, *, is_cancelled: bool, now_ns: int) -> Ended:
    came, earlier = Came(owner=run.number, lost=KILLED), history.attempts_of(ledger, run.occurrence)
    try:
        return ended(run, came, earlier, now_ns=now_ns, is_cancelled=is_cancelled, history=History())
    except Exception:  # its chain, or its options
        log.exception("a background run makes no sense", occurrence=str(run.occurrence))
        return ended(without_options(run), came, earlier, now_ns=now_ns, is_cancelled=is_cancelled, history=History())


def _lost(ledger: Ledger, definitions: Definitions, released: Sequence[Occurrence], *, now_ns: int) -> int:
    """End what was released and has no outcome as `unknown`, and begin its chains; return how many there were."""
    for occurrence in released:
        with _guard(occurrence):
            due = due_by(definitions, occurrence)
            if due and due.job.then:
                outcomes.record(ledger, [judge.lost(due, _KILLED, executor=None, now_ns=now_ns)])
    outcomes.unknown_after_crash(ledger, now_ns=now_ns, reason=f"executor: {_KILLED}; whether the request arrived is not known")
    return len(released)


def _cancelled(occurrence: Occurrence, why: str) -> Decided:
    return Decided(
        id=occurrence.id,
        planned_at_ns=occurrence.planned_at_ns,
        origin=occurrence.origin,
        config_version=occurrence.config_version,
        outcome=Outcome.CANCELLED,
        reason=why,
    )


def _write(ledger: Ledger, decided: Sequence[Decided], *, now_ns: int) -> None:
    """Write decisions in one transaction, without those that the ledger does not take."""
    try:
        outcomes.decide(ledger, decided, now_ns=now_ns)
    except Exception as error:
        if isinstance(error, LedgerError) and not isinstance(error, Refused):
            raise
        if len(decided) == 1:
            log.exception("what was decided cannot be written", occurrence=str(decided[0].id))
            return
        middle = len(decided) // 2
        for some in (decided[:middle], decided[middle:]):
            _write(ledger, some, now_ns=now_ns)


def _say(unknown: int, left: _Left) -> None:
    if unknown:
        log.warning("killed between release and answer, outcome unknown", occurrences=unknown)
    late = sum(one.count for one in left.decided if one.outcome is Outcome.MISSED)
    if late:
        log.warning("missed while tminus was not running", fire_times=late)
    if left.dues or left.decided:
        log.info("recovered", runs=len(left.dues), ended=len(left.decided))
