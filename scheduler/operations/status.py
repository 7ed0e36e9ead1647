"""Status: whether the daemon runs, whether it is well, and what comes next."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.errors import did_you_mean, quoted
from scheduler.instants import LATEST_NS, SECOND, rfc3339
from scheduler.ledger import history, instances, runs
from scheduler.ledger.engine import Ledger
from scheduler.ledger.instances import Instance
from scheduler.ledger.lock import is_held
from scheduler.ledger.rows import Unreadable
from scheduler.model.definitions import Definitions
from scheduler.model.occurrence import Occurrence
from scheduler.operations.next_times import next_of
from scheduler.outcome import Origin, Outcome, State

#: A busy machine writes an outcome at most this much later.
_SLACK_NS = 60 * SECOND
_DAY_NS = 86_400 * SECOND
#: Outcomes of the last day that are problems here; a failed request is a problem of its target.
_BAD = (Outcome.MISSED, Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    Attributes:
        daemon: The daemon that runs, or ran last; None if there never was one.
        is_alive: Whether it holds the ledger's lock and its last heartbeat is recent.
        is_stopping: Whether it is alive, finishes what is running, and takes nothing new.
        is_stuck: Whether it holds the ledger's lock and its last heartbeat is old.
        next: The next fire time of all jobs, and how many are due then; None if no daemon will start them.
        running: The number of occurrences that are released and have no outcome.
        outcomes: The outcomes of the last 24 hours.
        problems: What needs a look, as text.
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
        """The shape that the contract fixes."""
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


def daemon_of(ledger: Ledger, now_ns: int) -> Instance | None:
    """Return the daemon that runs on this ledger now."""
    latest = instances.latest(ledger)
    return latest if latest and latest.kind == "daemon" and latest.is_fresh(now_ns) and is_held(ledger) else None


def status(
    ledger: Ledger, load: Callable[[], Definitions | None], *, now_ns: int, unreadable: Unreadable | None = None
) -> Status:
    """
    Return the state of the daemon and of what it runs.

    Args:
        ledger: Open.
        load: Loads the jobs file, if a daemon runs; None if it is not valid.
        now_ns: Wall clock.
        unreadable: As in `ledger.rows`.
    """
    stopping = _stopping(ledger, now_ns)
    alive = stopping or daemon_of(ledger, now_ns)
    daemon = alive or instances.latest(ledger, kind="daemon")
    definitions = load() if alive else None
    recent = history.count_outcomes(ledger, since_ns=now_ns - _DAY_NS)
    unfinished = history.unfinished(ledger, queued=False, unreadable=unreadable)
    overdue = _overdue(unfinished, definitions, now_ns) if alive else []
    return Status(
        daemon=daemon,
        is_alive=alive is not None,
        is_stopping=stopping is not None,
        is_stuck=alive is None and daemon is not None and daemon.stopped_ns is None and is_held(ledger),
        ledger=repr(ledger.url),
        next=_next(definitions, now_ns) if definitions and alive and not stopping else None,
        running=sum(one.state is State.RUNNING for one in unfinished),
        outcomes=recent,
        problems=(*_problems(alive, definitions, recent), *overdue, *_strangers(ledger)),
    )


def _problems(daemon: Instance | None, definitions: Definitions | None, recent: Mapping[Outcome, int]) -> list[str]:
    said = [f"{recent[outcome]} {outcome.value.replace('_', ' ')} in 24 h" for outcome in _BAD if recent.get(outcome)]
    if daemon and daemon.config_error:
        said += daemon.config_error.splitlines()
    elif daemon and definitions and daemon.config_version != definitions.version:
        said.append(f"the jobs file ({definitions.version}) is not the one in force ({daemon.config_version})")
    return said


def _stopping(ledger: Ledger, now_ns: int) -> Instance | None:
    """Return the daemon on this ledger if it is stopping."""
    latest = instances.latest(ledger)
    return latest if latest and latest.kind == "daemon" and latest.is_stopping(now_ns) and is_held(ledger) else None


def _overdue(unfinished: Iterable[Occurrence], definitions: Definitions | None, now_ns: int) -> list[str]:
    """Return the problem of occurrences whose outcome is overdue: nothing works on them."""
    late = [one for one in unfinished if one.origin is not Origin.BACKGROUND and _ends_ns(one, definitions) < now_ns]
    if not late:
        return []
    count = f"{len(late)} occurrence{'' if len(late) == 1 else 's'}"
    return [f"{count} without outcome past the time-out, such as {late[0].id}"]


def _ends_ns(one: Occurrence, definitions: Definitions | None) -> int:
    """Return when an occurrence has ended at the latest; one without time-out may run forever."""
    job = definitions.jobs.get(one.id.job) if definitions else None
    if job and not job.timeouts.total_ns:
        return LATEST_NS
    allowed_ns = job.misfire_grace_ns + job.timeouts.total_ns + job.timeouts.kill_after_ns if job else _DAY_NS
    return one.planned_at_ns + allowed_ns + _SLACK_NS


def _strangers(ledger: Ledger) -> list[str]:
    """Return the problems of background runs of applications that the daemon does not have."""
    known = runs.known_apps(ledger)
    strange = {app: count for app, count in runs.waiting(ledger).items() if app not in known}
    waits = {app: "1 background run" if count == 1 else f"{count} background runs" for app, count in sorted(strange.items())}
    return [
        f"waiting for an application {quoted(app)}, which this daemon does not have: {what}{did_you_mean(app, known)}"
        for app, what in waits.items()
    ]


def _next(definitions: Definitions, now_ns: int) -> tuple[int, int] | None:
    times = Counter(at for name in definitions.jobs if (at := next_of(definitions, name, now_ns)) is not None)
    return (min(times), times[min(times)]) if times else None
