"""
One batch, from its claim to its last outcome, on a thread of its own. It knows the order of the phases and nothing else.

Claim, arm, commit, release, drain: ARCHITECTURE.md tells why. Collecting comes before (planner), recording after (recorder).
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from scheduler.daemon import judge
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.station import Station
from scheduler.daemon.supervisor import Lost, Shard, ShardEvent
from scheduler.errors import LedgerError
from scheduler.executors.http import wire
from scheduler.executors.http.wire import Finished, Request
from scheduler.instants import MS, SECOND, rfc3339
from scheduler.ledger import claims
from scheduler.model.batch import Decided, Due, Ended, Release
from scheduler.model.occurrence import milliseconds
from scheduler.outcome import Origin, Outcome
from scheduler.policies.lead import commit_before

log = structlog.get_logger()

Result = TypeVar("Result")

#: An executor that has not armed, or not reported, this long after it must have hangs.
_HANGS_NS = 2 * SECOND
#: What a lane does between the end of arming and the barrier.
_ARM_MARGIN_NS = 50 * MS
_LEDGER_RETRY_S = 0.2
#: Between two looks at whether the process is to end.
_SLICE_NS = 100 * MS
#: After T, until the recorder may write again where no answer has come yet.
_OUT_NS = 200 * MS
_TOO_LATE = "let go later than its misfire_grace_time"


class Countdown:
    """
    Runs the dues of one T.

    Args:
        station: Of this process.
        planned_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        dues: Not empty.
        ended: Called once, on the countdown's thread, when all is over.
    """

    def __init__(
        self, station: Station, *, planned_at_ns: int, dues: Sequence[Due], ended: Callable[["Countdown"], None]
    ) -> None:
        self.planned_at_ns = planned_at_ns
        self.jobs = len(dues)
        self.claim_and_arm_ns: int | None = None
        self._station = station
        self._clock = station.clock
        self._settings = station.definitions.daemon
        self._dues = dues
        self._ended = ended
        self._last_start_ns = planned_at_ns + max(due.job.misfire_grace_ns for due in dues)
        self._longest_ns = max(due.job.timeouts.total_ns for due in dues)
        self._outstanding: dict[int, Due] = {}
        self._requests: dict[int, Request] = {}
        self._redactions: dict[int, Redaction] = {}
        self._shard, self._is_released = Shard(number=0), False
        self._shard_began_ns = self._commit_at_ns = self._hangs_at_ns = 0
        self._leave = threading.Event()
        self._abandon = threading.Event()
        self._outcomes: Counter[str] = Counter()
        self._offsets: list[int] = []
        self._thread = threading.Thread(target=self._run, name=f"countdown {rfc3339(planned_at_ns)}", daemon=True)

    def __repr__(self) -> str:
        return f"<Countdown {rfc3339(self.planned_at_ns)} [{len(self._outstanding)} of {self.jobs} outstanding]>"

    def start(self) -> None:
        """Begin with the claim."""
        self._thread.start()

    def leave(self) -> None:
        """Withdraw before the commit: the claim stays as it is, and the next start decides. No effect after the commit."""
        self._leave.set()

    def abandon(self) -> None:
        """Wait no longer for answers: what has none is `unknown`. Before the commit the same as `leave`."""
        self._leave.set()
        self._abandon.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for the end, at most that long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            began_ns = self._clock.monotonic_ns()
            if (release := self._claim()) is not None:
                self._render(release)
                if self._outstanding and self._hold(began_ns) and self._commit(release):
                    self._drain()
        except Exception:
            log.exception("countdown broke", planned_at=rfc3339(self.planned_at_ns))
            self._lose_all("the countdown broke")
        finally:
            self._station.gate.release(self)
            self._say_how_it_went()
            self._ended(self)

    def _claim(self) -> Release | None:
        """Nothing is released that is not written down."""
        ledger, instance = self._station.ledger, self._station.instance
        claim = self._insist(lambda: claims.claim(ledger, self._dues, planned_at_ns=self.planned_at_ns, instance=instance))
        if claim is None and not self._leave.is_set():
            self._miss(self._dues, "the ledger could not be written in time")
        return claim

    def _render(self, release: Release) -> None:
        """Templates and secrets are put in; a job that breaks here fails, the others go on."""
        renderer = self._station.renderer()
        for index, due in enumerate(due for due in self._dues if due.id in release.claimed):
            try:
                self._requests[index] = renderer.request(due, index)
                self._redactions[index] = Redaction(renderer.secrets(due))
                self._outstanding[index] = due
            except CannotRender as error:
                self._put(judge.not_rendered(due, error.message, now_ns=self._clock.wall_ns()))

    def _hold(self, began_ns: int) -> bool:
        """Arm, again where the executor dies, and wait for the commit; False where the process is to end before."""
        self._arm()
        armed = False
        while not self._leave.is_set():
            now_ns = self._clock.wall_ns()
            if (armed and now_ns >= self._commit_at_ns) or now_ns > self._last_start_ns:
                return True
            if not armed:
                self._replace_if_it_hangs()
            match self._next_event(self._commit_at_ns if armed else None):
                case wire.Armed(took_ns=took_ns):
                    armed = True
                    self.claim_and_arm_ns = self._shard_began_ns - began_ns + took_ns
                case Lost():
                    armed = False
                    self._arm()
                case wire.Ended():
                    return True  # sent home for want of a permit: the commit will find that it is too late
        self._station.supervisor.withdraw(self._shard)
        return False

    def _arm(self) -> None:
        now_ns = self._clock.wall_ns()
        left_ns = self.planned_at_ns - now_ns
        self._commit_at_ns = self.planned_at_ns - commit_before(left_ns)
        deadline_ns = self._commit_at_ns - min(_ARM_MARGIN_NS, max(left_ns, 0) // 20)
        self._is_released = False
        self._shard_began_ns = self._clock.monotonic_ns()
        self._shard = self._station.supervisor.arm(
            [self._requests[index] for index in self._outstanding],
            self._settings,
            t_ns=self.planned_at_ns,
            deadline_ns=deadline_ns,
            give_up_ns=max(self._last_start_ns, now_ns) + _HANGS_NS,
        )
        self._hangs_at_ns = self._clock.monotonic_ns() + max(deadline_ns - self._clock.wall_ns(), 0) + _HANGS_NS

    def _release(self, withdrawn: Sequence[int]) -> None:
        self._is_released = True
        left_ns = max(self._last_start_ns - self._clock.wall_ns(), 0) + self._longest_ns
        self._hangs_at_ns = self._clock.monotonic_ns() + left_ns + _HANGS_NS
        self._station.supervisor.release(self._shard, withdrawn)

    def _replace_if_it_hangs(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._hangs_at_ns:
            self._station.supervisor.replace(self._shard)
            self._hangs_at_ns = now_ns + _HANGS_NS

    def _commit(self, release: Release) -> bool:
        """Here, and not before, it is decided who starts; False where nobody does."""
        if self._clock.wall_ns() > self._last_start_ns:
            self._send_home(_TOO_LATE)
            return False
        withdrawn = self._decide()
        ledger, now_ns = self._station.ledger, self._clock.wall_ns
        may_start = self._insist(lambda: claims.commit(ledger, release, withdrawn=withdrawn, now_ns=now_ns()))
        if may_start is None:
            self._send_home("it could not be written down in time that it starts")
            return False
        gone = [index for index, due in self._outstanding.items() if due.id not in may_start]
        self._station.gate.shut_around(self, self.planned_at_ns)
        self._release(gone)
        for index in gone:
            self._station.running.end(self._outstanding.pop(index).id)
        self._outcomes.update(decided.outcome for decided in withdrawn)
        return bool(self._outstanding)

    def _decide(self) -> list[Decided]:
        """Who of the outstanding is withdrawn, and why."""
        deleted = [due for due in self._outstanding.values() if self._is_deleted(due)]
        kept = [due for due in self._outstanding.values() if not self._is_deleted(due)]
        refused = self._station.running.admit(kept)
        decided = [due.ends(Outcome.CANCELLED, "the job was deleted from the jobs file") for due in deleted]
        for due in kept:
            if due.id in refused:
                limit = f"max_instances {due.job.max_instances}"
                decided.append(due.ends(Outcome.SKIPPED, f"overlap: {refused[due.id]} is still running ({limit})"))
        return decided

    def _is_deleted(self, due: Due) -> bool:
        return due.origin is Origin.SCHEDULE and due.job.name not in self._station.definitions.jobs

    def _drain(self) -> None:
        """Take in what comes back, until all have an outcome."""
        while self._outstanding:
            if self._clock.wall_ns() > self.planned_at_ns + _OUT_NS:
                self._station.gate.release(self)
            if self._abandon.is_set():
                self._lose_all("tminus was stopped before an answer came (shutdown_grace)")
            self._replace_if_it_hangs()
            match self._next_event():
                case wire.Results(finished=finished):
                    self._take_in(finished)
                case Lost() if not self._is_released and self._clock.wall_ns() > self._last_start_ns:
                    self._miss(list(self._outstanding.values()), _TOO_LATE)
                case Lost(at_ns=at_ns) if not self._is_released or at_ns < self.planned_at_ns:
                    self._arm()  # nothing leaves before T, so nothing has left
                case wire.Armed() if not self._is_released:
                    self._release([])
                case Lost():
                    self._lose_all("the executor process died after the release")
                case wire.Ended(released=False):
                    self._miss(list(self._outstanding.values()), _TOO_LATE)
                case wire.Ended():
                    self._lose_all("the executor has not said how it went")

    def _take_in(self, finished: Sequence[Finished]) -> None:
        for one in finished:
            if due := self._outstanding.pop(one.index, None):
                if one.started_ns:
                    self._offsets.append(one.started_ns - self.planned_at_ns)
                executor, history, redaction = self._station.supervisor.name, self._settings.history, self._redactions[one.index]
                self._put(judge.judge(due, one, executor=executor, history=history, redaction=redaction))

    def _put(self, ended: Ended | Decided) -> None:
        self._outcomes[ended.outcome] += 1
        self._station.running.end(ended.id)
        self._station.recorder.put(ended)

    def _send_home(self, why: str) -> None:
        """Nobody starts: `missed`, or left to the next start where this process is to end."""
        self._station.supervisor.withdraw(self._shard)
        if not self._leave.is_set():
            self._miss(list(self._outstanding.values()), why)

    def _miss(self, dues: Sequence[Due], why: str) -> None:
        self._outstanding.clear()
        for due in dues:
            self._put(due.ends(Outcome.MISSED, why))

    def _lose_all(self, why: str) -> None:
        now_ns = self._clock.wall_ns()
        for due in [self._outstanding.pop(index) for index in list(self._outstanding)]:
            self._put(judge.lost(due, why, executor=self._station.supervisor.name, now_ns=now_ns))

    def _next_event(self, until_ns: int | None = None) -> ShardEvent | None:
        """What the executor says next; None then, or after a while, for a look at the clock."""
        wait_ns = _SLICE_NS if until_ns is None else min(until_ns - self._clock.wall_ns(), _SLICE_NS)
        try:
            return self._shard.events.get(timeout=max(wait_ns, 0) / SECOND)
        except queue.Empty:
            return None

    def _insist(self, action: Callable[[], Result]) -> Result | None:
        """Do it on the ledger, again while there is time; None where it did not work until then."""
        while True:
            try:
                return action()
            except LedgerError as error:
                log.error("the ledger does not work, trying again", planned_at=rfc3339(self.planned_at_ns), error=error.message)
                if self._clock.wall_ns() > self._last_start_ns or self._leave.wait(_LEDGER_RETRY_S):
                    return None

    def _say_how_it_went(self) -> None:
        if self._outcomes:
            offsets = sorted(self._offsets)
            log.info(
                "batch",
                planned_at=rfc3339(self.planned_at_ns),
                started=len(offsets),
                first_ms=milliseconds(offsets[0]) if offsets else None,
                last_ms=milliseconds(offsets[-1]) if offsets else None,
                **dict(sorted(self._outcomes.items())),
            )
