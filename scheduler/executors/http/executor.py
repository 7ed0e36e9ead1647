"""Runs the shards of this process: each has lanes of its own, and they may overlap in time."""

import os
import threading
from collections.abc import Callable

from scheduler.clock import Clock
from scheduler.executors.http import descriptors, verdict, wire
from scheduler.executors.http.lane import Lane
from scheduler.executors.http.names import Resolver
from scheduler.executors.http.reaper import Reaper
from scheduler.executors.http.results import never_started
from scheduler.executors.http.surroundings import Surroundings
from scheduler.release.gate import Gate
from scheduler.release.shard import ShardRun

#: Fewer requests than this are not worth a second lane.
_PER_LANE = 32
#: More lanes than this bring nothing: they only hand the GIL to each other (measured, see ARCHITECTURE.md).
_MOST_LANES = 2


class Executor:
    """
    The lanes of this process. Belongs to the thread that reads the commands.

    Args:
        report: Takes reports, from any thread.
    """

    def __init__(self, *, clock: Clock, report: Callable[[wire.Report], None]) -> None:
        gate = Gate(clock)
        self._around = Surroundings(clock=clock, gate=gate, resolver=Resolver(clock), reaper=Reaper(gate=gate, clock=clock))
        self._report = report
        self._connections = descriptors.connections(descriptors.raise_limit())
        self._shards: dict[int, ShardRun] = {}
        self._lanes: dict[int, list[Lane]] = {}

    def obey(self, command: wire.Command) -> None:
        """Obey a command of the daemon; return at once. After an error, the requests of its shard fail, and none is sent."""
        try:
            self._obey(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            self._break_off(command, error)

    def _break_off(self, command: wire.Command, error: Exception) -> None:
        shard = command.shard
        requests = command.requests if isinstance(command, wire.Arm) else self._requests_of(shard)
        self._report(wire.broke(error, shard=shard, index=None))
        now_ns, why = self._around.clock.wall_ns(), verdict.broken(error, os_errno=0, sent=False)
        self._report(wire.Results(shard=shard, finished=[never_started(request, now_ns, why) for request in requests]))
        if run := self._shards.get(shard):
            run.hold.withdraw()
        else:
            self._lanes.pop(shard, None)
            self._around.gate.release(shard)
            self._report(wire.Ended(shard=shard, released=False))

    def _obey(self, command: wire.Command) -> None:
        match command:
            case wire.Arm():
                self._arm(command)
            case wire.Release():
                self._permit(command.shard, set(command.withdrawn))
            case wire.Withdraw():
                if run := self._shards.get(command.shard):
                    run.hold.withdraw()

    def _arm(self, command: wire.Arm) -> None:
        shard, gate = command.shard, self._around.gate
        began_ns = self._around.clock.monotonic_ns()
        all_out = threading.Event()
        lanes = self._lanes[shard] = self._make_lanes(command, all_out)

        def armed() -> None:
            took_ns = max(lane.armed_at_ns for lane in lanes) - began_ns
            self._report(wire.Armed(shard=shard, armed=sum(lane.armed for lane in lanes), took_ns=max(took_ns, 0)))

        def out() -> None:
            all_out.set()
            gate.release(shard)

        def ended() -> None:
            run = self._shards.pop(shard)
            del self._lanes[shard]
            self._around.reaper.sweep()
            self._report(wire.Ended(shard=shard, released=run.hold.released_at_ns is not None))

        run = ShardRun(
            t_ns=command.t_ns,
            deadline_ns=command.deadline_ns,
            give_up_ns=command.give_up_ns,
            parties=lanes,
            clock=self._around.clock,
            on_armed=armed,
            on_out=out,
            on_ended=ended,
        )
        gate.shut_around(shard, command.t_ns)
        self._shards[shard] = run
        for lane in run.start():
            lane.give_up(RuntimeError(verdict.NO_THREAD))
            run.done()

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

    def _make_lanes(self, command: wire.Arm, all_out: threading.Event) -> list[Lane]:
        requests = command.requests
        count = min(command.lanes or _lanes_for(len(requests)), len(requests))
        taken = sum(lane.connections for lanes in list(self._lanes.values()) for lane in lanes)
        connections = min(command.max_connections or self._connections, max(self._connections - taken, 1))
        return [
            Lane(
                f"lane-{command.shard}-{index}",
                requests[index::count],
                at_once=max(connections // count, 1),
                realtime=command.realtime,
                shard=command.shard,
                all_out=all_out,
                around=self._around,
                report=self._report,
            )
            for index in range(count)
        ]


def _lanes_for(requests: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_LANES, cores, requests // _PER_LANE))
