"""Runs the shards of this process. Each shard has lanes of its own, and shards may overlap in time."""

import os
import threading
from collections.abc import Callable

from tminus.clock import Clock
from tminus.executors.http import descriptors, transfer_errors, wire
from tminus.executors.http.lane import Lane
from tminus.executors.http.lane_services import LaneServices
from tminus.executors.http.reaper import Reaper
from tminus.executors.http.resolver import Resolver
from tminus.executors.http.results import result_without_transfer
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResults,
    Cancel,
    HttpReport,
    Release,
    ShardEnded,
    Withdraw,
)
from tminus.release.gate import Gate
from tminus.release.shard import ShardRun

#: A second lane is only worth it if each lane has at least this many requests.
_PER_LANE = 32
#: More lanes than this only pass the GIL to each other (measured, see ARCHITECTURE.md).
_MOST_LANES = 2


class Executor:
    """
    The lanes of this process. Belongs to the thread that reads the commands.

    Args:
        report: Takes reports, from any thread.
    """

    def __init__(self, *, clock: Clock, report: Callable[[HttpReport], None]) -> None:
        gate = Gate(clock)
        self._services = LaneServices(
            clock=clock, gate=gate, resolver=Resolver(clock), reaper=Reaper(gate=gate, clock=clock)
        )
        self._report = report
        self._connections = descriptors.connections(descriptors.raise_limit())
        self._shards: dict[int, ShardRun] = {}
        self._lanes: dict[int, list[Lane]] = {}

    def handle_command(self, command: wire.Command) -> None:
        """
        Execute a command of the daemon; return at once. After an error, the requests of its shard fail, and
        none is sent.
        """
        try:
            self._handle(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            self._break_off(command, error)

    def _break_off(self, command: wire.Command, error: Exception) -> None:
        shard = command.shard
        requests = command.works if isinstance(command, Arm) else self._requests_of(shard)
        self._report(wire.broke(error, shard=shard, index=None))
        now_ns = self._services.clock.wall_ns()
        failure = transfer_errors.broken(error, os_errno=0, sent=False)
        self._report(
            AttemptResults(
                shard=shard,
                finished=[result_without_transfer(request, now_ns, failure) for request in requests],
            )
        )
        if run := self._shards.get(shard):
            run.hold.withdraw()
        else:
            self._lanes.pop(shard, None)
            self._services.gate.release(shard)
            self._report(ShardEnded(shard=shard, released=False))

    def _handle(self, command: wire.Command) -> None:
        match command:
            case Arm():
                self._arm(command)
            case Release():
                self._permit(command.shard, set(command.withdrawn))
            case Withdraw():
                if run := self._shards.get(command.shard):
                    run.hold.withdraw()
            case Cancel():
                for lane in self._lanes.get(command.shard, ()):
                    lane.cancel(command.index)

    def _arm(self, command: Arm[wire.Request]) -> None:
        shard, gate = command.shard, self._services.gate
        began_ns = self._services.clock.monotonic_ns()
        all_out = threading.Event()
        lanes = self._lanes[shard] = self._make_lanes(command, all_out)

        def armed() -> None:
            took_ns = max(lane.armed_at_ns for lane in lanes) - began_ns
            self._report(Armed(shard=shard, armed=sum(lane.armed for lane in lanes), took_ns=max(took_ns, 0)))

        def out() -> None:
            all_out.set()
            gate.release(shard)

        def ended() -> None:
            run = self._shards.pop(shard)
            del self._lanes[shard]
            self._services.reaper.collect_garbage()
            self._report(ShardEnded(shard=shard, released=run.hold.released_at_ns is not None))

        run = ShardRun(
            release_at_ns=command.release_at_ns,
            deadline_ns=command.deadline_ns,
            give_up_ns=command.give_up_ns,
            parties=lanes,
            clock=self._services.clock,
            on_armed=armed,
            on_out=out,
            on_ended=ended,
        )
        gate.shut_around(shard, command.release_at_ns)
        self._shards[shard] = run
        for lane in run.start():
            lane.report_failure(RuntimeError(transfer_errors.NO_THREAD))
            run.report_ended()

    def _permit(self, shard: int, withdrawn: set[int]) -> None:
        run, lanes = self._shards.get(shard), self._lanes.get(shard)
        if run is None or lanes is None:
            return

        def withdraw() -> None:
            for lane in lanes:
                lane.withdraw(withdrawn)

        run.hold.permit(withdraw if withdrawn else None)

    def _requests_of(self, shard: int) -> list[wire.Request]:
        return [request for lane in self._lanes.get(shard, ()) for request in lane.requests]

    def _make_lanes(self, command: Arm[wire.Request], all_out: threading.Event) -> list[Lane]:
        requests = command.works
        count = min(command.lanes or _lanes_for(len(requests)), len(requests))
        taken = sum(lane.connections for lanes in list(self._lanes.values()) for lane in lanes)
        connections = min(command.max_connections or self._connections, max(self._connections - taken, 1))
        return [
            Lane(
                f"lane-{command.shard}-{index}",
                requests[index::count],
                max_connections=max(connections // count, 1),
                realtime=command.realtime,
                shard=command.shard,
                all_out=all_out,
                services=self._services,
                report=self._report,
            )
            for index in range(count)
        ]


def _lanes_for(requests: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_LANES, cores, requests // _PER_LANE))
