"""The HTTP executor in this process, so that a test can look into its steps."""

import queue

from scheduler.clock import SystemClock
from scheduler.executors.http import wire
from scheduler.executors.http.executor import Executor
from scheduler.executors.http.wire import Armed, Ended, Finished
from scheduler.instants import MS, SECOND
from tests.support.executor import PATIENCE_S, many


class Lanes:
    """An executor in this process."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.reports: queue.SimpleQueue[wire.Report] = queue.SimpleQueue()
        self.executor = Executor(clock=self.clock, report=self.reports.put)

    def arm(self, shard: int, url: str, count: int = 1, *, max_connections: int | None = None) -> None:
        """Send an Arm."""
        t_ns = self.clock.wall_ns() + 300 * MS
        self.executor.obey(
            wire.Arm(
                shard=shard,
                t_ns=t_ns,
                deadline_ns=t_ns - 100 * MS,
                give_up_ns=t_ns + 20 * SECOND,
                lanes=2,
                max_connections=max_connections,
                realtime=False,
                requests=many(count, url),
            )
        )

    def until(self, shard: int, last: type) -> dict[int, Finished]:
        """What is reported of a shard, until this is."""
        found: dict[int, Finished] = {}
        while not isinstance(report := self.reports.get(timeout=PATIENCE_S), last) or getattr(report, "shard", 0) != shard:
            if isinstance(report, wire.Results) and report.shard == shard:
                found |= {one.index: one for one in report.finished}
        return found

    def run(self, shard: int, url: str, count: int = 1) -> dict[int, Finished]:
        """One shard, from its Arm to its end."""
        self.arm(shard, url, count)
        found = self.until(shard, Armed)
        self.executor.obey(wire.Release(shard=shard, withdrawn=[]))
        return found | self.until(shard, Ended)
