"""The pulse: it goes on beating, whatever one look at the service comes to."""

import queue
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon import pulse, systemd
from scheduler.daemon.pulse import Pulse
from scheduler.instants import SECOND
from scheduler.ledger import instances, upkeep
from scheduler.model.definitions import History


def test_a_look_that_breaks_does_not_end_the_heartbeat() -> None:
    beats: queue.SimpleQueue[None] = queue.SimpleQueue()
    breaks = iter([True])

    def is_well() -> bool:
        if next(breaks, False):
            raise OSError("too many open files")
        return True

    service: Any = SimpleNamespace(
        station=SimpleNamespace(clock=SystemClock()), is_well=is_well, beat=lambda: beats.put(None), problems=[], plans=True
    )
    lock: Any = SimpleNamespace(losses=0)
    beating = Pulse(service, lock, lost=lambda: None)
    beating.start()
    try:
        beats.get(timeout=30)
    finally:
        beating.stop(60)


def test_a_planner_that_hangs_is_a_problem_until_it_plans_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    monkeypatch.setattr(pulse, "_LOOK_S", 0.001)
    monkeypatch.setattr(instances, "report", lambda *_, problems: reported.put(problems))
    station = SimpleNamespace(clock=SystemClock(), ledger=None, instance="")
    service: Any = SimpleNamespace(station=station, is_well=lambda: True, beat=lambda: None, problems=["another"], plans=False)
    beating = Pulse(service, SimpleNamespace(losses=0), lost=lambda: None)
    beating.start()
    try:
        assert reported.get(timeout=30) == ["another"]
        assert reported.get(timeout=30)[1].startswith("nothing is started any more")
        service.plans = True
        assert reported.get(timeout=30) == ["another"]
    finally:
        beating.stop(60)


def test_a_ledger_that_hangs_delays_no_sign_of_life_and_no_look_at_the_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    signs: queue.SimpleQueue[str] = queue.SimpleQueue()
    hangs, goes_on = threading.Event(), threading.Event()
    monkeypatch.setattr(pulse, "_LOOK_S", 0.001)
    monkeypatch.setattr(systemd, "watchdog_every_ns", lambda: 1)
    monkeypatch.setattr(systemd, "notify", lambda *lines: signs.put(lines[0]))

    def beat() -> None:
        hangs.set()
        goes_on.wait(60)

    station = SimpleNamespace(clock=SystemClock(), ledger=None, instance="")
    service: Any = SimpleNamespace(station=station, is_well=lambda: True, status=lambda: "", beat=beat, problems=[], plans=True)
    beating = Pulse(service, SimpleNamespace(losses=0), lost=lambda: None)
    beating.start()
    try:
        assert hangs.wait(30)
        while not signs.empty():
            signs.get()
        assert [signs.get(timeout=5) for _ in range(3)] == ["WATCHDOG=1"] * 3
    finally:
        goes_on.set()
        beating.stop(60)


def test_to_delete_old_history_does_not_keep_the_heartbeat_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = [0]

    def wait_open(**_: Any) -> None:
        now_ns[0] += SECOND

    clock = SimpleNamespace(monotonic_ns=lambda: now_ns[0], wall_ns=lambda: now_ns[0])
    definitions = SimpleNamespace(daemon=SimpleNamespace(history=History()))
    station = SimpleNamespace(clock=clock, ledger=None, gate=SimpleNamespace(wait_open=wait_open), definitions=definitions)
    monkeypatch.setattr(upkeep, "prune", lambda _ledger, **_: True)
    service: Any = SimpleNamespace(station=station)
    lock: Any = SimpleNamespace(losses=0)
    assert Pulse(service, lock, lost=lambda: None)._prune()
    assert now_ns[0] < 2 * SECOND
