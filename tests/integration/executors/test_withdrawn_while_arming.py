"""
A permit may come before a lane is at the barrier: what it withdraws sends nothing, however far its arming has
come.
"""

import threading
from typing import Any

import pytest

from tests.support.lanes import Lanes
from tests.support.target import TargetServer
from tminus.executors.http.lane import Lane
from tminus.executors.protocol import Release, ShardEnded

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
    lanes.executor.handle_command(Release(shard=1, withdrawn=[0, 7, 9]))
    permitted.set()
    _check(lanes, target, {1, 2, 3, 4, 5, 6, 8})


def test_while_the_lane_makes_it_ready_for_the_release(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes, hold = Lanes(), Lane._add_for_release

    def permitted_meanwhile(lane: Lane, group: Any, transfer: Any) -> None:
        if transfer.request.index == 2:
            permit = threading.Thread(
                target=lanes.executor.handle_command, args=[Release(shard=1, withdrawn=[2])]
            )
            permit.start()
            permit.join(0.2)
        hold(lane, group, transfer)

    monkeypatch.setattr(Lane, "_add_for_release", permitted_meanwhile)
    lanes.arm(1, target.url, 4)
    _check(lanes, target, {0, 1, 3})


def _check(lanes: Lanes, target: TargetServer, indexes: set[int]) -> None:
    assert set(lanes.until(1, ShardEnded)) == indexes
    assert {arrival.path for arrival in target.arrivals} == {f"/{index}" for index in indexes}
