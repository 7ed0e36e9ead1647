"""Decisions on overdue fire times, which have passed without a row: some run late, the others end."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tminus.instants import SECOND
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.policies.catch_up import runs_back_ns
from tminus.policies.coalesce import Coalesce, choose
from tminus.policies.deadline import is_past
from tminus.policies.jitter import jittered
from tminus.policies.misfire import is_misfire
from tminus.policies.withheld import Withheld
from tminus.schedule.fire_times import after, between
from tminus.schedule.overdue_fire_times import Stretch, classify_overdue, newest_of
from tminus.schedule.times_of_day import deadline_ns, first_fire_time_ns

#: Up to this many coalesced fire times in a stretch have a row each. If there are more, they share one row.
MOST_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueOccurrences:
    """
    The decisions on the overdue fire times of one job.

    Attributes:
        runs: Those that run late or, with the origin `catch_up`, later than their grace time; in the order of
            their fire times. Then those whose planned start is still to come.
        decided: The outcomes of the others.
    """

    runs: Sequence[DueOccurrence]
    decided: Sequence[UnstartedResult]


def scheduled(job: Job, fire_time_ns: int, *, version: str) -> DueOccurrence:
    """Return the due occurrence of a job at a fire time of its schedule."""
    return DueOccurrence(
        id=OccurrenceId(job=job.name, fire_time_ns=fire_time_ns),
        job=job,
        planned_at_ns=jittered(job.name, job.jitter_ns)(fire_time_ns),
        origin=Origin.SCHEDULE,
        config_version=version,
        params=job.params,
        not_after_ns=deadline_ns(job.not_after, fire_time_ns),
    )


def decide_overdue(
    job: Job,
    *,
    after_ns: int,
    now_ns: int,
    version: str,
    covered: Iterable[tuple[int, int]] = (),
    left: Iterable[DueOccurrence] = (),
) -> OverdueOccurrences:
    """
    Decide all fire times of a job after `after_ns`, up to and including `now_ns`, that have no row, and those
    that an earlier process has left.

    Args:
        job: The definition in force.
        after_ns: All fire times up to here are decided.
        now_ns: Wall clock.
        version: The version of that definition.
        covered: The first and the last instant that each row after `after_ns` stands for.
        left: Occurrences that an earlier process has written and never released, and that may still run.
    """
    past, may_run = _split_past(left, now_ns=now_ns)
    written = {due.id.fire_time_ns: due for due in may_run}
    covered = list(covered)
    back_ns = runs_back_ns(grace_ns=job.misfire_grace_ns, window_ns=job.catch_up.window_ns)
    span = {"after_ns": after_ns, "now_ns": now_ns, "back_ns": back_ns, "jitter_ns": job.jitter_ns}
    planned_at = jittered(job.name, job.jitter_ns)
    classify = partial(classify_overdue, job.schedule, **span, covered=covered, planned_at=planned_at)
    overdue = classify(runs_from_ns=first_fire_time_ns(job.not_after, now_ns=now_ns))
    chosen = _choose(job, overdue.late, written)
    if job.coalesce is Coalesce.ALL and chosen:  # the fire times before the first that runs are missed
        overdue = classify(runs_from_ns=chosen[0])
    runs = [
        _late(
            written.pop(at_ns) if at_ns in written else scheduled(job, at_ns, version=version),
            now_ns=now_ns,
            is_one_of_many=len(chosen) > 1,
        )
        for at_ns in chosen
    ]
    runs += _to_come(job, overdue.due, version=version)
    decided = [missed(due) for due in past]
    decided += [
        missed(scheduled(job, stretch.first_ns, version=version), stretch.count, until_ns=stretch.until_ns)
        for stretch in overdue.missed
    ]
    if job.coalesce is Coalesce.ALL:
        decided += [missed(due) for due in written.values()]
    elif chosen:
        decided += [coalesced(due, into=chosen[0]) for due in written.values()]
        for stretch in overdue.late:
            decided += _coalesced(job, stretch, into=chosen[0], version=version)
    return OverdueOccurrences(runs=runs, decided=decided)


def _choose(job: Job, late: Sequence[Stretch], written: Collection[int]) -> Sequence[int]:
    """Return which fire times run, of those without a row and those with one."""

    def newest(most: int) -> Sequence[int]:
        return sorted([*newest_of(job.schedule, late, most), *written])[-most:]

    firsts = [stretch.first_ns for stretch in late[:1]]
    return choose(
        job.coalesce,
        most=job.catch_up.most,
        first=lambda: min([*firsts, *written], default=None),
        newest=newest,
    )


def coalesced(
    due: DueOccurrence, *, into: int, count: int = 1, until_ns: int | None = None
) -> UnstartedResult:
    """Return the outcome `skipped`, because another fire time of the job runs. Arguments as for `missed`."""
    reason = f"coalesced into {OccurrenceId(job=due.job.name, fire_time_ns=into)}"
    return due.ends(Outcome.SKIPPED, reason, count=count, covers_until_ns=until_ns if count > 1 else None)


def missed(due: DueOccurrence, count: int = 1, *, until_ns: int | None = None) -> UnstartedResult:
    """
    Return the outcome `missed`, because the fire times are later than the grace, and not caught up.

    Args:
        due: The first of the fire times.
        count: The number of fire times that the row stands for.
        until_ns: The last of them, or an instant before the fire time that follows.
    """
    catch_up = due.job.catch_up
    whose = "its" if count == 1 else "the"
    limits = f"{whose} misfire_grace_time of {due.job.misfire_grace_ns / SECOND:g} s"
    if catch_up.window_ns:
        limits += f" and catchup_window of {catch_up.window_ns / SECOND:g} s"
    if due.job.coalesce is Coalesce.ALL:
        limits += f", or beyond max_catchup {catch_up.most}"
    if due.job.not_after:
        limits += ", or than its not_after"
    reason = f"not started in time: later than {limits}"
    if count > 1:
        reason = f"{count} fire times were {reason}"
    return due.ends(Outcome.MISSED, reason, count=count, covers_until_ns=until_ns if count > 1 else None)


def _split_past(
    left: Iterable[DueOccurrence], *, now_ns: int
) -> tuple[list[DueOccurrence], list[DueOccurrence]]:
    """Return those whose `not_after` has passed, and the others."""
    past: list[DueOccurrence] = []
    others: list[DueOccurrence] = []
    for due in left:
        (past if is_past(deadline_ns=due.not_after_ns, now_ns=now_ns) else others).append(due)
    return past, others


def skipped_if_withheld(result: UnstartedResult, withheld: Withheld) -> UnstartedResult:
    """
    Turn `missed` into `skipped`, if an operator had paused the job or skipped the fire time by then, or if
    the job is suspended. Return any other result as it is.
    """
    if result.outcome is not Outcome.MISSED or not result.origin.is_by_schedule:
        return result
    job, at_ns = result.id.job, result.planned_at_ns
    pause = withheld.pauses.get(job)
    is_paused = job in withheld.suspensions or (
        pause and pause.since_ns <= at_ns and pause.covers(result.covers_until_ns or at_ns)
    )
    if not is_paused and (result.count > 1 or (job, result.id.fire_time_ns) not in withheld.skips):
        return result
    why = withheld.why(job, fire_time_ns=result.id.fire_time_ns, planned_at_ns=at_ns) or ""
    return replace(result, outcome=Outcome.SKIPPED, reason=why, chain=None)


def _late(due: DueOccurrence, *, now_ns: int, is_one_of_many: bool) -> DueOccurrence:
    """
    Return an overdue occurrence as it runs. When its grace time is over, it becomes a catch-up. Catch-ups,
    and several late ones of a job, wait for room.
    """
    if due.origin is Origin.CATCH_UP:
        return due
    if is_misfire(now_ns=now_ns, latest_start_ns=due.latest_start_ns):
        return replace(due, origin=Origin.CATCH_UP, planned_at_ns=now_ns, room_at_ns=now_ns)
    return replace(due, room_at_ns=now_ns) if is_one_of_many else due


def _to_come(job: Job, stretches: Iterable[Stretch], *, version: str) -> Iterator[DueOccurrence]:
    for stretch in stretches:
        for fire_time_ns in between(job.schedule, stretch.first_ns - 1, stretch.until_ns):
            yield scheduled(job, fire_time_ns, version=version)


def _coalesced(job: Job, stretch: Stretch, *, into: int, version: str) -> Iterator[UnstartedResult]:
    """Yield a row per fire time that does not run, or one row for all of them if they are many."""
    first_ns, until_ns, count = stretch.first_ns, stretch.until_ns, stretch.count
    if first_ns <= into <= until_ns:  # `into` is the first fire time of the stretch, or the last one
        count -= 1
        if into == first_ns:
            first_ns = after(job.schedule, into) or into
        else:
            until_ns = into - 1
    if count > MOST_ROWS:
        yield coalesced(scheduled(job, first_ns, version=version), into=into, count=count, until_ns=until_ns)
    elif count:
        for fire_time_ns in between(job.schedule, first_ns - 1, until_ns):
            yield coalesced(scheduled(job, fire_time_ns, version=version), into=into)
