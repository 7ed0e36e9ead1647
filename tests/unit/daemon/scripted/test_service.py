"""The service with a scripted executor: what it launches, and what it leaves when it stops."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.daemon import eventually
from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T
from tests.support.scheduling import definitions_of
from tests.support.scripted import ScriptedExecutor, a_result, has_ended, running, runs_well
from tests.support.values import a_due, a_job
from tminus.daemon import service as daemon_service
from tminus.daemon.attempts.unwritten import Item
from tminus.daemon.batches.countdown import Countdown
from tminus.daemon.processes.commands import Command, OrderHandle
from tminus.daemon.processes.dispatch import Dispatch
from tminus.daemon.service import Service
from tminus.executors.protocol import Arm, Release
from tminus.instants import MS, SECOND
from tminus.ledger import claims, history
from tminus.ledger.engine import Ledger
from tminus.model.batch import ScheduledRetry
from tminus.outcome import OccurrenceState, Origin, Outcome
from tminus.policies.retry import Retry

JOBS = definitions_of(a_job("pay"), a_job("bill"))


@contextmanager
def a_service(ledger: Ledger, executor: ScriptedExecutor, clock: FakeClock) -> Iterator[Service]:
    """A service that has started; it is stopped at once at the end."""
    with running(ledger, JOBS, executor, clock, starts=False) as runtime:
        service = Service(runtime, since_ns=clock.wall_ns())
        service.start({})
        try:
            yield service
        finally:
            service.stop(at_once=True)


def outcomes(ledger: Ledger) -> dict[str, Outcome | None]:
    """By job."""
    return {one.id.job: one.outcome for one in history.find(ledger)}


def test_stopped_at_once_it_leaves_a_claim_to_the_next_start(ledger: Ledger, clock: FakeClock) -> None:
    armed: list[Arm] = []  # type: ignore[type-arg]

    def script(_executor: ScriptedExecutor, _shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Arm):
            armed.append(command)

    with a_service(ledger, ScriptedExecutor(script), clock) as service:
        service.launch(T, [a_due(JOBS.jobs["pay"], fire_time_ns=T)])
        eventually(lambda: armed, what="it is armed")
        assert not service.is_idle
    (one,) = history.find(ledger)
    assert one.state is OccurrenceState.CLAIMED


def test_what_is_launched_is_over_when_it_is_written(ledger: Ledger, clock: FakeClock) -> None:
    with a_service(ledger, ScriptedExecutor(runs_well(clock)), clock) as service:
        service.launch(T, [a_due(job, fire_time_ns=T) for job in JOBS.jobs.values()])
        eventually(lambda: service.is_idle, what="it is idle")
        assert outcomes(ledger) == dict.fromkeys(JOBS.jobs, Outcome.SUCCEEDED)
        assert service.check_health()


@pytest.mark.parametrize("step", [(claims, "renew"), (daemon_service, "split_suspended")])
def test_an_occurrence_that_is_cancelled_on_its_way_to_its_countdown_starts_nothing(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str]
) -> None:
    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        runs_well(clock)(executor, shard, command)
        if isinstance(command, Arm):  # the commit is later than usual, because the lead was short
            clock.sleep_until(command.release_at_ns - MS)

    found: list[bool] = []
    executor = ScriptedExecutor(script)
    due = a_due(JOBS.jobs["pay"], fire_time_ns=T - 5 * SECOND, origin=Origin.MANUAL)
    original = getattr(*step)
    with a_service(ledger, executor, clock) as service:

        def cancels(*arguments: Any, **more: Any) -> Any:
            found.append(service.cancel(due.id, "another one starts instead"))
            return original(*arguments, **more)

        monkeypatch.setattr(*step, cancels)
        claims.put_off(ledger, [due])
        service.runtime.in_flight.add_waiting(due)
        service.runtime.on_held_back([due])
        eventually(lambda: outcomes(ledger)["pay"], what="it has an outcome")
        eventually(lambda: service.is_idle, what="it is idle")
        assert not service.cancel(due.id, "too late")
    assert found == [True]
    (one,) = history.find(ledger)
    assert (one.outcome, one.reason) == (Outcome.CANCELLED, "another one starts instead")
    assert one.started_at_ns is None


def test_one_that_is_cancelled_when_its_result_asks_for_a_retry_is_not_tried_again(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(executor: ScriptedExecutor, shard: OrderHandle, command: Command) -> None:
        if isinstance(command, Release):
            clock.sleep_until(T + MS)
            has_ended(shard, a_result(0, at_ns=T + MS, status=503))
        else:
            runs_well(clock)(executor, shard, command)

    due = a_due(a_job("pay", retry=Retry(max_attempts=2)), fire_time_ns=T)
    with a_service(ledger, ScriptedExecutor(script), clock) as service:
        put = service.runtime.recorder.put

        def cancels(item: Item) -> None:
            if isinstance(item, ScheduledRetry):
                assert service.cancel(due.id, "by ann")
            put(item)

        monkeypatch.setattr(service.runtime.recorder, "put", cancels)
        service.launch(T, [due])
        eventually(lambda: outcomes(ledger).get("pay"), what="it has an outcome")
    (one,) = history.find(ledger)
    assert (one.outcome, one.reason, one.attempts) == (Outcome.CANCELLED, "by ann", 1)


def test_a_backfill_that_waits_since_an_earlier_process_takes_no_room_from_others(
    ledger: Ledger, clock: FakeClock
) -> None:
    due = a_due(JOBS.jobs["pay"], fire_time_ns=T - 9 * SECOND, planned_at_ns=T, origin=Origin.BACKFILL)
    claims.put_off(ledger, [replace(due, room_at_ns=T)])
    with a_service(ledger, ScriptedExecutor(lambda *_: None), clock) as service:
        eventually(lambda: not service.is_idle, what="it is about to start")
        assert not service.runtime.in_flight.is_counted(due.id)


def test_a_batch_that_has_ended_leaves_nothing_to_the_garbage_collector(
    ledger: Ledger, clock: FakeClock
) -> None:
    with a_service(ledger, ScriptedExecutor(runs_well(clock)), clock) as service:
        gc.collect()
        gc.disable()
        try:
            service.launch(T, [a_due(job, fire_time_ns=T) for job in JOBS.jobs.values()])
            eventually(lambda: outcomes(ledger) == dict.fromkeys(JOBS.jobs, Outcome.SUCCEEDED))
            eventually(
                lambda: not any(isinstance(one, Countdown | Dispatch) for one in gc.get_objects()),
                what="the batch is freed",
            )
        finally:
            gc.enable()
