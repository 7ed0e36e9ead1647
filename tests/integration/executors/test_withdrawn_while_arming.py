"""A permit may come before a lane is at the barrier: what it withdraws sends nothing, however far its arming has come."""

import threading
from typing import Any

import pytest

from scheduler.executors.http import wire
from scheduler.executors.http.lane import Lane
from scheduler.executors.http.wire import Ended
from tests.support.lanes import Lanes
from tests.support.target import TargetServer

# PycURL deprecates what libcurl goes on with after a `perform`.
pytestmark = pytest.mark.filterwarnings("ignore:socket_all:DeprecationWarning")


def test_before_the_lane_has_begun_to_arm(target: TargetServer, monkeypatch: pytest.MonkeyPatch) -> None:
    permitted, arm = threading.Event(), Lane.arm

    def waits(lane: Lane, deadline_ns: int) -> None:
        assert permitted.wait(20)
        arm(lane, deadline_ns)

    monkeypatch.setattr(Lane, "arm", waits)
    lanes = Lanes()
    lanes.arm(1, target.url, 10, max_connections=4)
    lanes.executor.obey(wire.Release(shard=1, withdrawn=[0, 7, 9]))
    permitted.set()
    _check(lanes, target, {1, 2, 3, 4, 5, 6, 8})


def test_while_the_lane_makes_it_ready_for_the_release(target: TargetServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes, hold = Lanes(), Lane._hold

    def permitted_meanwhile(lane: Lane, bundle: Any, transfer: Any) -> None:
        if transfer.request.index == 2:
            permit = threading.Thread(target=lanes.executor.obey, args=[wire.Release(shard=1, withdrawn=[2])])
            permit.start()
            permit.join(0.2)
        hold(lane, bundle, transfer)

    monkeypatch.setattr(Lane, "_hold", permitted_meanwhile)
    lanes.arm(1, target.url, 4)
    _check(lanes, target, {0, 1, 3})


def _check(lanes: Lanes, target: TargetServer, indexes: set[int]) -> None:
    assert set(lanes.until(1, Ended)) == indexes
    assert {arrival.path for arrival in target.arrivals} == {f"/{index}" for index in indexes}
