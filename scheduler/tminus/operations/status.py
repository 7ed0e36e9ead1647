"""Status: whether the daemon runs and is healthy, and what is due next."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tminus.errors import quoted, shorten
from tminus.instants import LATEST_NS, SECOND, rfc3339
from tminus.ledger import (
    background_queue,
    history,
    instances,
    notifications,
    resolutions,
    skips,
    submissions,
)
from tminus.ledger.engine import Ledger
from tminus.ledger.instances import Instance
from tminus.ledger.lock import is_held
from tminus.ledger.rows import Unreadable
from tminus.model.definitions import Definitions
from tminus.model.occurrence import Occurrence
from tminus.operations.attention import (
    failed_jobs,
    forgotten_pauses,
    long_log,
    nearly_full_disk,
    stuck_jobs,
)
from tminus.operations.next_times import next_of
from tminus.operations.running_daemon import daemon_of, stopping_daemon_of
from tminus.outcome import UNRESOLVED, OccurrenceState, Origin, Outcome
from tminus.policies.withheld import Withheld
from tminus.suggestions import did_you_mean

#: A busy machine writes an outcome at most this much later.
_SLACK_NS = 60 * SECOND
_LONGEST_REASON = 200
_DAY_NS = 86_400 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    The state of a ledger's daemon.

    Attributes:
        daemon: The daemon that runs, or ran last; None if there never was one.
        is_alive: Whether it holds the ledger's lock and its last heartbeat is recent.
        is_stopping: Whether it is alive, finishes what is running, and takes nothing new.
        is_stuck: Whether it holds the ledger's lock and its last heartbeat is old.
        next: The next fire time of all jobs, and how many are due then; None if no daemon will start them.
        running: The number of occurrences that are released and have no outcome.
        outcomes: The outcomes of the last 24 hours.
        problems: The problems that need attention, as sentences.
    """

    daemon: Instance | None
    is_alive: bool
    is_stopping: bool
    is_stuck: bool
    ledger: str
    next: tuple[int, int] | None
    running: int
    outcomes: Mapping[Outcome, int]
    problems: tuple[str, ...]

    @property
    def state(self) -> str:
        """`running`, `degraded`, `stopping` or `stopped`."""
        if not self.is_alive:
            return "stopped"
        if self.is_stopping:
            return "stopping"
        return "degraded" if self.problems else "running"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON that `tminus status --json` prints."""
        return {
            "state": self.state,
            "pid": self.daemon.pid if self.daemon and self.is_alive else None,
            "version": self.daemon.version if self.daemon else None,
            "config_version": self.daemon.config_version if self.daemon else None,
            "ledger": self.ledger,
            "next": {"fire_time": rfc3339(self.next[0]), "jobs": self.next[1]} if self.next else None,
            "running": self.running,
            "outcomes_24h": {outcome.value: count for outcome, count in self.outcomes.items()},
            "problems": list(self.problems),
        }


def status(
    ledger: Ledger,
    load: Callable[[], Definitions | None],
    *,
    now_ns: int,
    unreadable: Unreadable | None = None,
) -> Status:
    """
    Return the state of the daemon and of what it runs.

    Args:
        ledger: The open ledger.
        load: Loads the jobs file, if a daemon runs; None if it is not valid.
        now_ns: Wall clock.
        unreadable: See `ledger.rows`.
    """
    stopping = stopping_daemon_of(ledger, now_ns)
    alive = stopping or daemon_of(ledger, now_ns)
    daemon = alive or instances.latest(ledger, kind="daemon")
    definitions = load() if alive else None
    withheld = _withheld(ledger) if definitions else Withheld()
    recent = history.count_outcomes(ledger, since_ns=now_ns - _DAY_NS)
    unresolved = resolutions.count_unresolved(ledger, UNRESOLVED, since_ns=now_ns - _DAY_NS)
    unfinished = history.unfinished(ledger, queued=False, unreadable=unreadable)
    past_timeout = _find_past_timeout(unfinished, definitions, now_ns) if alive else []
    return Status(
        daemon=daemon,
        is_alive=alive is not None,
        is_stopping=stopping is not None,
        is_stuck=alive is None and daemon is not None and daemon.stopped_ns is None and is_held(ledger),
        ledger=repr(ledger.url),
        next=_next(definitions, withheld, now_ns) if definitions and alive and not stopping else None,
        running=sum(one.state is OccurrenceState.RUNNING for one in unfinished),
        outcomes=recent,
        problems=(
            *_problems(alive, definitions, unresolved),
            *past_timeout,
            *(stuck_jobs(ledger, unfinished, now_ns=now_ns) if alive else ()),
            *(_of_jobs(ledger, definitions, withheld, now_ns, unreadable) if definitions else ()),
            *nearly_full_disk(ledger),
            *long_log(ledger),
            *_find_unknown_apps(ledger),
            *_waiting_for_code(ledger),
            *_undelivered(ledger, now_ns),
        ),
    )


def _problems(
    daemon: Instance | None, definitions: Definitions | None, unresolved: Mapping[Outcome, int]
) -> list[str]:
    problems = [
        f"{unresolved[outcome]} {outcome.value} in 24 h that nobody has resolved: "
        f"tminus history --outcome {outcome.value}"
        for outcome in UNRESOLVED
        if outcome in unresolved
    ]
    if daemon and daemon.config_error:
        problems += daemon.config_error.splitlines()
    elif daemon and definitions and daemon.config_version != definitions.version:
        problems.append(
            f"the jobs file ({definitions.version}) is not the one in force ({daemon.config_version})"
        )
    return problems


def _find_past_timeout(
    unfinished: Iterable[Occurrence], definitions: Definitions | None, now_ns: int
) -> list[str]:
    """Return the problem of occurrences without outcome after their time-outs, because nothing runs them."""
    late = [
        one
        for one in unfinished
        if one.origin is not Origin.BACKGROUND and _ends_ns(one, definitions) < now_ns
    ]
    if not late:
        return []
    count = f"{len(late)} occurrence{'' if len(late) == 1 else 's'}"
    return [f"{count} without outcome past the time-out, such as {late[0].id}"]


def _ends_ns(one: Occurrence, definitions: Definitions | None) -> int:
    """
    Return the latest end of an occurrence. Without a time-out it may run forever. If it had to wait for room,
    only its daemon knows when it started.
    """
    job = definitions.jobs.get(one.id.job) if definitions else None
    has_waited = one.buffered_ns is not None and not one.origin.is_of_past_fire_time
    if has_waited or (job and not job.timeouts.total_ns):
        return LATEST_NS
    allowed_ns = job.misfire_grace_ns + job.timeouts.total_ns + job.timeouts.kill_after_ns if job else _DAY_NS
    return one.planned_at_ns + allowed_ns + _SLACK_NS


def _find_unknown_apps(ledger: Ledger) -> list[str]:
    """Return the problems of background runs of applications that the daemon does not have."""
    known = submissions.known_apps(ledger)
    unknown = {app: count for app, count in submissions.count_waiting(ledger).items() if app not in known}
    return [
        f"waiting for an application {quoted(app)}, which this daemon does not have: "
        f"{_background_runs(count)}{did_you_mean(app, known)}"
        for app, count in sorted(unknown.items())
    ]


def _waiting_for_code(ledger: Ledger) -> list[str]:
    """Return the problems of background runs whose function the loaded code does not have."""
    return [
        f"{_background_runs(count)} of {shorten(app)} queued until a reload "
        f"({shorten(reason, _LONGEST_REASON)}): tminus reload"
        for app, (count, reason) in background_queue.find_waiting_for_code(ledger).items()
    ]


def _background_runs(count: int) -> str:
    return "1 background run" if count == 1 else f"{count} background runs"


def _undelivered(ledger: Ledger, now_ns: int) -> list[str]:
    """Return the problems of channels whose notifications cannot be delivered."""
    return [
        f"{one.count} notification{'' if one.count == 1 else 's'} to {one.channel} cannot be delivered: "
        f"{one.error}"
        for one in notifications.find_undelivered(ledger, since_ns=now_ns - _DAY_NS)
    ]


def _withheld(ledger: Ledger) -> Withheld:
    with ledger.read() as connection:
        return skips.load(connection)


def _of_jobs(
    ledger: Ledger, definitions: Definitions, withheld: Withheld, now_ns: int, unreadable: Unreadable | None
) -> Iterator[str]:
    """Yield the problems of jobs whose last run failed, or that somebody may have forgotten to resume."""
    pauses = withheld.pauses
    yield from failed_jobs(ledger, definitions, pauses, now_ns=now_ns, unreadable=unreadable)
    yield from forgotten_pauses(definitions, pauses, now_ns=now_ns)


def _next(definitions: Definitions, withheld: Withheld, now_ns: int) -> tuple[int, int] | None:
    jobs = definitions.jobs.values()
    times = Counter(at for job in jobs if (at := next_of(job, now_ns, withheld)) is not None)
    return (min(times), times[min(times)]) if times else None
