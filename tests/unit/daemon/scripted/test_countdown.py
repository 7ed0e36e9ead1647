"""The countdown of one batch, with a scripted executor: what is sent when, and the outcome of each occurrence."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T, claim, commit
from tests.support.scheduling import definitions_of
from tests.support.scripted import (
    AT_COMMIT_NS,
    Script,
    ScriptedExecutor,
    a_result,
    has_ended,
    is_armed,
    running,
    runs_well,
)
from tests.support.values import a_due, a_job
from tminus.daemon.batches.batch_dispatcher import BatchDispatcher
from tminus.daemon.batches.countdown import Countdown
from tminus.daemon.processes.commands import Command, ExecutorDied, ExecutorUnavailable, OrderHandle
from tminus.errors import LedgerError
from tminus.executors.protocol import Arm, AttemptResult, Cancel, Release, ShardEnded, Withdraw
from tminus.instants import MS, SECOND
from tminus.ledger import claims, history
from tminus.ledger.engine import Ledger
from tminus.model.batch import DueOccurrence
from tminus.model.occurrence import Occurrence
from tminus.outcome import OccurrenceState, Outcome

#: All grace is over by then.
TOO_LATE_NS = T + 31 * SECOND


class Batch:
    """A countdown of some jobs, run to its end."""

    def __init__(self, ledger: Ledger, clock: FakeClock, script: Script, *names: str) -> None:
        self.executor = ScriptedExecutor(script)
        self.definitions = definitions_of(*(a_job(name) for name in names or ("pay",)))
        self.due_occurrences = [a_due(job, fire_time_ns=T) for job in self.definitions.jobs.values()]
        self.ledger, self.clock = ledger, clock
        self.ended: list[Countdown] = []

    def run(self, *, admitted: Sequence[DueOccurrence] = ()) -> list[Occurrence]:
        """
        Run it; return what the ledger has of each occurrence, in order.

        Args:
            admitted: What is running already.
        """
        with running(self.ledger, self.definitions, self.executor, self.clock) as runtime:
            for due in admitted:
                runtime.in_flight.admit(due)
            countdown = Countdown(
                runtime, planned_at_ns=T, due_occurrences=self.due_occurrences, on_ended=self.ended.append
            )
            self.countdown = countdown
            countdown.start()
            countdown.join()
            assert runtime.recorder.flush(30)
            assert self.ended == [countdown]
            found = {one.id: one for one in history.find(self.ledger)}
            return [found[due.id] for due in self.due_occurrences if due.id in found]

    @property
    def sent(self) -> list[type[Command]]:
        """The kinds of the commands, in order."""
        return [type(command) for command in self.executor.commands]


def test_what_is_released_was_armed_and_committed_before(ledger: Ledger, clock: FakeClock) -> None:
    seen: list[tuple[type, bool, OccurrenceState]] = []
    well = runs_well(clock)

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        (one,) = history.find(ledger)
        seen.append((type(command), clock.wall_ns() < T, one.state))
        well(executor, shard, command)

    batch = Batch(ledger, clock, script)
    (one,) = batch.run()
    assert seen == [(Arm, True, OccurrenceState.CLAIMED), (Release, True, OccurrenceState.RUNNING)]
    assert (one.outcome, one.started_at_ns) == (Outcome.SUCCEEDED, T + MS)
    assert batch.countdown.claim_and_arm_ns is not None


def test_an_executor_that_dies_before_the_commit_is_replaced_in_time(
    ledger: Ledger, clock: FakeClock
) -> None:
    well, deaths = runs_well(clock), iter([True])

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if next(deaths, False):
            shard.report(ExecutorDied(at_ns=clock.wall_ns(), reason="killed"))
        else:
            well(executor, shard, command)

    batch = Batch(ledger, clock, script, "pay", "bill")
    assert [one.outcome for one in batch.run()] == [Outcome.SUCCEEDED] * 2
    assert batch.sent == [Arm, Arm, Release]


@pytest.mark.parametrize(
    ("died_at_ns", "entered", "outcome", "sent"),
    [
        pytest.param(T - MS, None, Outcome.SUCCEEDED, [Arm, Release, Arm, Release], id="before T"),
        pytest.param(T - MS, {}, Outcome.SUCCEEDED, [Arm, Release, Arm, Release], id="nothing entered"),
        pytest.param(T - MS, {0: T - MS}, Outcome.UNKNOWN, [Arm, Release], id="entered"),
        pytest.param(T + MS, None, Outcome.UNKNOWN, [Arm, Release], id="after T"),
    ],
)
def test_what_a_dead_executor_may_have_started_is_unknown_the_rest_is_sent_again(
    ledger: Ledger,
    clock: FakeClock,
    died_at_ns: int,
    entered: dict[int, int] | None,
    outcome: Outcome,
    sent: list[type],
) -> None:
    well = runs_well(clock)

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if shard.number == 1 and isinstance(command, Release):
            clock.sleep_until(died_at_ns)
            shard.report(ExecutorDied(at_ns=died_at_ns, reason="killed", entered_ns=entered))
        else:
            well(executor, shard, command)

    batch = Batch(ledger, clock, script)
    (one,) = batch.run()
    assert (one.outcome, batch.sent) == (outcome, sent)


def test_a_clock_set_back_after_t_does_not_send_anything_twice(ledger: Ledger, clock: FakeClock) -> None:
    well = runs_well(clock)

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Release):
            clock.sleep_until(T + SECOND)
            clock.step_wall(-10 * SECOND)
            shard.report(ExecutorDied(at_ns=clock.wall_ns(), reason="killed"))
        else:
            well(executor, shard, command)

    batch = Batch(ledger, clock, script)
    (one,) = batch.run()
    assert (one.outcome, batch.sent) == (Outcome.UNKNOWN, [Arm, Release])


def test_one_that_leaves_before_the_commit_leaves_its_claim(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, lambda *_: batch.countdown.leave())
    (one,) = batch.run()
    assert (one.state, batch.sent) == (OccurrenceState.CLAIMED, [Arm, Withdraw])


def test_one_that_leaves_after_the_commit_is_awaited(ledger: Ledger, clock: FakeClock) -> None:
    well = runs_well(clock)

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Release):
            batch.countdown.leave()
        well(executor, shard, command)

    batch = Batch(ledger, clock, script)
    (one,) = batch.run()
    assert one.outcome is Outcome.SUCCEEDED


def test_one_that_is_abandoned_after_the_release_is_unknown(ledger: Ledger, clock: FakeClock) -> None:
    def script(_executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Arm):
            is_armed(shard)
            clock.sleep_until(T - AT_COMMIT_NS)
        else:
            batch.countdown.abandon()

    batch = Batch(ledger, clock, script)
    (one,) = batch.run()
    assert one.outcome is Outcome.UNKNOWN
    assert "shutdown_grace" in (one.reason or "")


def test_without_an_executor_it_fails_and_nothing_is_sent(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, lambda _, shard, __: shard.report(ExecutorUnavailable("it does not start")))
    (one,) = batch.run()
    assert one.outcome is Outcome.FAILED
    assert "it does not start" in (one.reason or "")
    assert Release not in batch.sent


def test_a_part_that_ends_before_t_fails(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(
        ledger, clock, lambda _, shard, __: shard.report(ShardEnded(shard=shard.number, released=False))
    )
    (one,) = batch.run()
    assert one.outcome is Outcome.FAILED
    assert "before T" in (one.reason or "")


def test_what_ends_without_a_result_is_unknown(ledger: Ledger, clock: FakeClock) -> None:
    def script(_executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Arm):
            is_armed(shard)
            clock.sleep_until(T - AT_COMMIT_NS)
        else:
            clock.sleep_until(T + MS)
            has_ended(shard, a_result(0, at_ns=T))

    batch = Batch(ledger, clock, script, "pay", "bill")
    assert [one.outcome for one in batch.run()] == [Outcome.SUCCEEDED, Outcome.UNKNOWN]


def test_one_whose_grace_ends_before_it_is_armed_is_missed(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, lambda *_: clock.sleep_until(TOO_LATE_NS))
    (one,) = batch.run()
    assert (one.outcome, batch.sent) == (Outcome.MISSED, [Arm, Withdraw])


def test_an_executor_that_does_not_arm_in_time_is_replaced(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, lambda *_: clock.sleep_until(T + 10 * SECOND))
    batch.executor.on_replace = lambda: batch.countdown.leave()
    batch.run()
    assert [shard.number for shard in batch.executor.replaced] == [1]


def test_one_that_overlaps_is_skipped_and_the_others_start(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, runs_well(clock), "pay", "bill")
    earlier = a_due(batch.definitions.jobs["pay"], fire_time_ns=T - 60 * SECOND)
    assert [one.outcome for one in batch.run(admitted=[earlier])] == [Outcome.SKIPPED, Outcome.SUCCEEDED]
    (release,) = [command for command in batch.executor.commands if isinstance(command, Release)]
    assert release.withdrawn == [0]


def test_what_another_process_has_claimed_is_not_run(ledger: Ledger, clock: FakeClock) -> None:
    batch = Batch(ledger, clock, runs_well(clock), "pay", "bill")
    theirs = claim(ledger, batch.due_occurrences[:1])
    commit(ledger, theirs)
    pay, bill = batch.run()
    assert (pay.outcome, bill.outcome) == (None, Outcome.SUCCEEDED)
    (works,) = batch.executor.armed.values()
    assert len(works) == 1


@pytest.mark.parametrize("step", ["claim", "commit"])
def test_without_a_ledger_until_the_grace_ends_nothing_starts(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def locked(*_: object, **__: object) -> None:
        clock.sleep_until(TOO_LATE_NS)
        raise LedgerError("it is locked")

    monkeypatch.setattr(claims, step, locked)
    batch = Batch(ledger, clock, runs_well(clock))
    (one,) = batch.run()
    assert one.outcome is Outcome.MISSED
    assert Release not in batch.sent


def test_a_ledger_that_works_again_in_time_costs_nothing(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, write = iter([True, True]), claims.commit

    def busy(*arguments: Any, **more: Any) -> Any:
        if next(refusals, False):
            raise LedgerError("it is locked")
        return write(*arguments, **more)

    monkeypatch.setattr(claims, "commit", busy)
    (one,) = Batch(ledger, clock, runs_well(clock)).run()
    assert one.outcome is Outcome.SUCCEEDED


def test_events_of_a_lost_shard_change_nothing(ledger: Ledger, clock: FakeClock) -> None:
    well, lost = runs_well(clock), list[OrderHandle]()

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if not lost:
            lost.append(shard)
            shard.report(ExecutorDied(at_ns=clock.wall_ns(), reason="killed"))
            return
        if isinstance(command, Release):
            has_ended(lost[0], a_result(0, at_ns=T, status=500))
        well(executor, shard, command)

    (one,) = Batch(ledger, clock, script).run()
    assert one.outcome is Outcome.SUCCEEDED


def test_an_error_of_its_own_gives_each_occurrence_an_outcome(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(BatchDispatcher, "plan_commit", breaks)
    batch = Batch(ledger, clock, runs_well(clock), "pay", "bill")
    assert [one.outcome for one in batch.run()] == [Outcome.FAILED] * 2
    assert batch.sent == []


def test_what_is_cancelled_before_the_commit_does_not_start_and_the_others_do(
    ledger: Ledger, clock: FakeClock
) -> None:
    well = runs_well(clock)

    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Arm):
            assert batch.countdown.cancel(batch.due_occurrences[0].id, "by ann")
        well(executor, shard, command)

    batch = Batch(ledger, clock, script, "pay", "bill")
    pay, bill = batch.run()
    assert (pay.outcome, pay.reason, pay.attempts) == (Outcome.CANCELLED, "by ann", 0)
    assert bill.outcome is Outcome.SUCCEEDED


def test_what_is_cancelled_while_it_runs_ends_as_its_executor_reports(
    ledger: Ledger, clock: FakeClock
) -> None:
    def script(_executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        match command:
            case Arm():
                is_armed(shard)
                clock.sleep_until(T - AT_COMMIT_NS)
            case Release():
                clock.sleep_until(T + MS)
                assert all(batch.countdown.cancel(due.id, "by ann") for due in batch.due_occurrences)
            case Cancel(index=0):
                cancelled.append(a_result(0, at_ns=T + MS, cancelled=True))
            case Cancel(index=1):  # its response was faster
                has_ended(shard, *cancelled, a_result(1, at_ns=T + MS))

    cancelled: list[AttemptResult] = []
    batch = Batch(ledger, clock, script, "pay", "bill")
    pay, bill = batch.run()
    assert (pay.outcome, pay.reason, pay.attempts) == (Outcome.CANCELLED, "by ann", 1)
    assert bill.outcome is Outcome.SUCCEEDED
    assert not batch.countdown.cancel(pay.id, "too late")
