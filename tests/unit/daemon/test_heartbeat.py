"""The heartbeat and the watchdog go on, whatever one look at the service comes to."""

import itertools
import queue
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.moments import PATIENCE_S
from tminus.clock import SystemClock
from tminus.daemon import heartbeat, systemd
from tminus.daemon.heartbeat import Heartbeat, Watchdog
from tminus.instants import SECOND
from tminus.ledger import instances


def test_a_look_that_breaks_does_not_end_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: queue.SimpleQueue[None] = queue.SimpleQueue()
    monkeypatch.setattr(heartbeat, "_LOOK_S", 0.001)

    def check_health() -> bool:
        looks.put(None)
        raise OSError("too many open files")

    service: Any = SimpleNamespace(runtime=SimpleNamespace(clock=SystemClock()), check_health=check_health)
    watchdog = Watchdog(service)
    watchdog.start()
    try:
        for _ in range(2):
            looks.get(timeout=PATIENCE_S)
    finally:
        watchdog.stop(60)


def test_a_planner_that_hangs_is_a_problem_until_it_plans_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    monkeypatch.setattr(heartbeat, "_LOOK_S", 0.001)
    monkeypatch.setattr(instances, "set_problems", lambda *_, problems: reported.put(problems))
    runtime = SimpleNamespace(clock=SystemClock(), ledger=None, instance="")
    service: Any = SimpleNamespace(
        runtime=runtime,
        check_health=lambda: True,
        record_heartbeat=lambda: None,
        find_problems=lambda: ["another"],
        is_planning=False,
    )
    beating = Heartbeat(service, SimpleNamespace(losses=0), on_lost=lambda: None)
    beating.start()
    try:
        assert reported.get(timeout=PATIENCE_S) == ["another"]
        assert reported.get(timeout=PATIENCE_S)[1].startswith("nothing is started any more")
        service.is_planning = True
        assert reported.get(timeout=PATIENCE_S) == ["another"]
    finally:
        beating.stop(60)


def test_a_ledger_that_hangs_delays_no_sign_of_life_and_no_look_at_the_executors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signs: queue.SimpleQueue[str] = queue.SimpleQueue()
    hangs, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(heartbeat, "_LOOK_S", 0.001)
    monkeypatch.setattr(systemd, "watchdog_every_ns", lambda: 1)
    monkeypatch.setattr(systemd, "notify", lambda *lines: signs.put(lines[0]))

    def record_heartbeat() -> None:
        hangs.set()
        goes_on.wait(PATIENCE_S)

    runtime = SimpleNamespace(clock=SystemClock(), ledger=None, instance="")
    service: Any = SimpleNamespace(
        runtime=runtime,
        check_health=lambda: True,
        status=lambda: "",
        record_heartbeat=record_heartbeat,
        find_problems=list,
        is_planning=True,
    )
    beating = Heartbeat(service, SimpleNamespace(losses=0), on_lost=lambda: None)
    watchdog = Watchdog(service)
    beating.start()
    watchdog.start()
    try:
        assert hangs.wait(PATIENCE_S)
        while not signs.empty():
            signs.get()
        assert [signs.get(timeout=PATIENCE_S) for _ in range(3)] == ["WATCHDOG=1"] * 3
    finally:
        goes_on.set()
        watchdog.stop(60)
        beating.stop(60)


def test_old_history_is_deleted_between_batches_and_each_ten_seconds_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "_LONGEST_REST_S", 0)
    now_ns, pieces, gap = [0], list[int](), [False]
    clock = SimpleNamespace(monotonic_ns=lambda: now_ns[0], wall_ns=lambda: now_ns[0])
    runtime = SimpleNamespace(clock=clock, ledger=None, gate=SimpleNamespace(wait_open=lambda **_: True))

    class Batches:
        """A service that always has a batch about to be committed, unless there is a gap."""

        def __init__(self) -> None:
            self.runtime = runtime

        @property
        def commits_soon(self) -> bool:
            now_ns[0] += SECOND // 10
            return not gap[0]

    def delete() -> Iterator[int]:
        while True:
            now_ns[0] += SECOND // 10
            pieces.append(now_ns[0])
            yield 1

    service: Any = Batches()
    lock: Any = SimpleNamespace(losses=0)
    beating = Heartbeat(service, lock, on_lost=lambda: None)
    beating._pruning = delete()
    while now_ns[0] < 35 * SECOND:
        beating._prune()
    assert len(pieces) == 4  # at once, and each ten seconds
    gap[0] = True
    beating._prune()
    assert len(pieces) > 5


def test_to_delete_old_history_does_not_keep_the_heartbeat_waiting() -> None:
    now_ns = [0]

    def wait_open(**_: Any) -> None:
        now_ns[0] += SECOND

    clock = SimpleNamespace(monotonic_ns=lambda: now_ns[0], wall_ns=lambda: now_ns[0])
    runtime = SimpleNamespace(clock=clock, ledger=None, gate=SimpleNamespace(wait_open=wait_open))
    service: Any = SimpleNamespace(runtime=runtime)
    lock: Any = SimpleNamespace(losses=0)
    beating = Heartbeat(service, lock, on_lost=lambda: None)
    beating._pruning = itertools.repeat(1)
    beating._prune()
    assert next(beating._pruning) == 1
    assert now_ns[0] < 2 * SECOND
