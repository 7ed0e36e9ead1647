"""The HTTP executor in this process, so that a test can look into its steps."""

import queue

from tests.support.executor import many
from tests.support.moments import PATIENCE_S
from tminus.clock import SystemClock
from tminus.executors.http.executor import Executor
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    HttpReport,
    Release,
    ShardEnded,
)
from tminus.instants import MS, SECOND


class Lanes:
    """An executor in this process."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.reports: queue.SimpleQueue[HttpReport] = queue.SimpleQueue()
        self.executor = Executor(clock=self.clock, report=self.reports.put)

    def arm(self, shard: int, url: str, count: int = 1, *, max_connections: int | None = None) -> None:
        """Send an Arm."""
        release_at_ns = self.clock.wall_ns() + 300 * MS
        self.executor.handle_command(
            Arm(
                shard=shard,
                release_at_ns=release_at_ns,
                deadline_ns=release_at_ns - 100 * MS,
                give_up_ns=release_at_ns + 20 * SECOND,
                lanes=2,
                max_connections=max_connections,
                realtime=False,
                works=many(count, url),
            )
        )

    def until(self, shard: int, last: type) -> dict[int, AttemptResult]:
        """Return the results by index that are reported of a shard until a report of this type."""
        found: dict[int, AttemptResult] = {}
        while (
            not isinstance(report := self.reports.get(timeout=PATIENCE_S), last)
            or getattr(report, "shard", 0) != shard
        ):
            if isinstance(report, AttemptResults) and report.shard == shard:
                found |= {one.index: one for one in report.finished}
        return found

    def run(self, shard: int, url: str, count: int = 1) -> dict[int, AttemptResult]:
        """Run one shard from its Arm to its end; return the results by index."""
        self.arm(shard, url, count)
        found = self.until(shard, Armed)
        self.executor.handle_command(Release(shard=shard, withdrawn=[]))
        return found | self.until(shard, ShardEnded)
