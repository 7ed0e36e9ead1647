"""The wall clock is set in each phase of a countdown: nothing starts twice or before T, and no outcome is lost."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.support.daemon import eventually
from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T
from tests.support.scheduling import definitions_of
from tests.support.scripted import (
    AT_COMMIT_NS,
    ScriptedExecutor,
    a_result,
    has_ended,
    is_armed,
    running,
)
from tests.support.values import a_due, a_job
from tminus.daemon.processes.commands import Command, OrderHandle
from tminus.daemon.service import Service
from tminus.executors.protocol import Arm, AttemptResult, Release, ShardEnded
from tminus.instants import MS, SECOND
from tminus.ledger import claims, history
from tminus.ledger.engine import Ledger
from tminus.model.occurrence import Occurrence
from tminus.outcome import OccurrenceState, Outcome
from tminus.policies.lead import LONGEST_NS
from tminus.release.hold import Hold

GRACE_NS = 30 * SECOND
JOBS = definitions_of(a_job("pay", misfire_grace_ns=GRACE_NS))
BEFORE_T = ["claim", "arm", "hold", "release"]
AFTER_T = ["running", "record"]
STEPS = {
    "1 s": SECOND,
    "5 s": 5 * SECOND,
    "a minute": 60 * SECOND,
    "an hour": 3_600 * SECOND,
    "a day": 86_400 * SECOND,
    "a year": 365 * 86_400 * SECOND,
}


def some_long(steps: Iterable[str]) -> list[Any]:
    """Mark the steps that differ from others in their length only."""
    return [
        pytest.param(step, marks=pytest.mark.long if step in ("1 s", "an hour", "a day") else [])
        for step in steps
    ]


class Stepped:
    """
    A service whose clock is set in one phase of the first countdown.

    Attributes:
        sent: When each request left, by the wall clock.
    """

    def __init__(self, ledger: Ledger, clock: FakeClock, phase: str, by_ns: int) -> None:
        self.ledger, self.clock = ledger, clock
        self.executor = ScriptedExecutor(self._script)
        self.sent: list[int] = []
        self._phase, self._by_ns = phase, by_ns

    def step_in(self, phase: str) -> None:
        """Set the clock if this is the phase for it, once."""
        if phase == self._phase:
            self._phase = ""
            self.clock.step_wall(self._by_ns)

    def run(self, then: Callable[[], Any]) -> Occurrence:
        """Launch the batch, do `then`, and return the occurrence when it has an outcome."""
        with running(self.ledger, JOBS, self.executor, self.clock, starts=False) as runtime:
            service = Service(runtime, since_ns=self.clock.wall_ns())
            service.start({})
            try:
                service.launch(T, [a_due(JOBS.jobs["pay"], fire_time_ns=T)])
                then()
                eventually(lambda: self.row.outcome, what="it has an outcome")
                eventually(lambda: service.is_idle, what="the batch is over")
                return self.row
            finally:
                service.stop(at_once=True)

    @property
    def row(self) -> Occurrence:
        """The occurrence, in the ledger."""
        (one,) = eventually(lambda: history.find(self.ledger), what="it is claimed")
        return one  # type: ignore[no-any-return]

    def _script(self, _executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        match command:
            case Arm():
                is_armed(shard)
                self.step_in("arm")
                self.clock.sleep_until(T - AT_COMMIT_NS, longest_ns=LONGEST_NS)
            case Release():
                self.step_in("hold")
                self._release(shard)

    def _release(self, shard: OrderHandle) -> None:
        hold = Hold(
            release_at_ns=T,
            give_up_ns=T + 2 * GRACE_NS,
            clock=self.clock,
            recheck=lambda: self.step_in("release"),
        )
        hold.permit()
        hold()
        hold.until_t()
        if hold.released_at_ns is None:
            shard.report(ShardEnded(shard=shard.number, released=False))
        elif hold.released_at_ns > T + GRACE_NS:
            has_ended(shard, AttemptResult(index=0, finished_ns=hold.released_at_ns, late=True))
        else:
            self.sent.append(hold.released_at_ns)
            self.step_in("running")
            result = a_result(0, at_ns=hold.released_at_ns)
            self.step_in("record")
            has_ended(shard, result)


@pytest.fixture
def claim_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stepped], None]:
    """Have the clock set while the first batch is claimed."""

    def make(stepped: Stepped) -> None:
        claim = claims.claim

        def step(*arguments: Any, **more: Any) -> Any:
            stepped.step_in("claim")
            return claim(*arguments, **more)

        monkeypatch.setattr(claims, "claim", step)

    return make


@pytest.mark.parametrize("phase", BEFORE_T)
@pytest.mark.parametrize("step", some_long(STEPS))
def test_a_step_forward_before_t_makes_it_late_or_missed(
    ledger: Ledger, clock: FakeClock, claim_steps: Callable[[Stepped], None], phase: str, step: str
) -> None:
    stepped = Stepped(ledger, clock, phase, STEPS[step])
    claim_steps(stepped)
    one = stepped.run(lambda: None)
    if STEPS[step] <= GRACE_NS:
        assert one.outcome is Outcome.SUCCEEDED
        (at_ns,) = stepped.sent
        assert T <= at_ns <= T + STEPS[step]
        assert one.started_at_ns == at_ns
    else:
        assert (one.outcome, stepped.sent) == (Outcome.MISSED, [])
        assert "misfire_grace_time" in (one.reason or "")


@pytest.mark.parametrize("phase", BEFORE_T)
@pytest.mark.parametrize("step", ["1 s", "5 s"])
def test_a_small_step_back_before_t_moves_the_release_with_it(
    ledger: Ledger, clock: FakeClock, claim_steps: Callable[[Stepped], None], phase: str, step: str
) -> None:
    stepped = Stepped(ledger, clock, phase, -STEPS[step])
    claim_steps(stepped)
    one = stepped.run(lambda: None)
    assert (one.outcome, one.started_at_ns, stepped.sent) == (Outcome.SUCCEEDED, T, [T])
    assert len(stepped.executor.armed) == 1


@pytest.mark.parametrize("phase", BEFORE_T)
@pytest.mark.parametrize("step", some_long(["a minute", "an hour", "a day", "a year"]))
def test_a_large_step_back_before_t_has_it_wait_for_its_t_again(
    ledger: Ledger, clock: FakeClock, claim_steps: Callable[[Stepped], None], phase: str, step: str
) -> None:
    stepped = Stepped(ledger, clock, phase, -STEPS[step])
    claim_steps(stepped)

    def until_t_is_near() -> None:
        eventually(lambda: stepped.row.state is OccurrenceState.QUEUED, what="it waits for its T again")
        assert stepped.sent == []
        clock.pass_by(T - SECOND - clock.wall_ns())

    one = stepped.run(until_t_is_near)
    assert (one.outcome, one.started_at_ns, stepped.sent) == (Outcome.SUCCEEDED, T, [T])
    assert (one.planned_at_ns, one.attempts) == (T, 1)


@pytest.mark.parametrize("phase", AFTER_T)
@pytest.mark.parametrize("sign", [1, -1], ids=["forward", "back"])
@pytest.mark.parametrize("step", some_long(STEPS))
def test_a_step_after_t_changes_nothing(
    ledger: Ledger, clock: FakeClock, phase: str, sign: int, step: str
) -> None:
    stepped = Stepped(ledger, clock, phase, sign * STEPS[step])
    one = stepped.run(lambda: None)
    assert (one.outcome, one.started_at_ns, stepped.sent) == (Outcome.SUCCEEDED, T, [T])
    (attempt,) = history.find_attempts(ledger, one.id)
    assert attempt.duration_ns == 5 * MS
