"""The HTTP executor in a process of its own, driven as the daemon drives it: through its pipes."""

import itertools
import os
import queue
import resource
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.moments import PATIENCE_S, stretched
from tminus.clock import SystemClock
from tminus.executors.http import wire
from tminus.executors.http.wire import Request
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    Hello,
    HttpReport,
    Release,
    ShardEnded,
    Withdraw,
)
from tminus.instants import MS, SECOND

#: From the Arm to T if a shard is to be armed. It is long enough for a busy machine; each test waits this long.
LEAD_NS = 600 * MS
#: From the end of arming to T.
COMMIT_NS = 150 * MS
#: A T so far ahead that no test gets there: the shard is arming until its process ends.
FAR_NS = 3_600 * SECOND

_REQUEST: dict[str, Any] = {
    "method": "GET",
    "headers": ["User-Agent: tminus/test", "Content-Type:"],
    "body": None,
    "connect_ms": 30_000,
    "first_byte_ms": 60_000,
    "total_ms": 120_000,
    "latest_ns": 1 << 62,
    "max_body": 1 << 20,
    "keep_body": 1 << 16,
}


def a_request(url: str, index: int = 0, **different: Any) -> Request:
    """Return a GET request with generous limits."""
    return Request(index=index, url=url, **{**_REQUEST, **different})


def many(count: int, url: str, **different: Any) -> list[Request]:
    """Return this many requests, to `url`/0, `url`/1, …"""
    return [a_request(f"{url}/{index}", index, **different) for index in range(count)]


@dataclass(slots=True, kw_only=True)
class ShardInFlight:
    """A shard that was sent to the executor, and what was reported of it so far."""

    number: int
    release_at_ns: int
    reports: "queue.SimpleQueue[HttpReport | None]" = field(default_factory=queue.SimpleQueue)
    finished: list[AttemptResult] = field(default_factory=list)
    ended: ShardEnded | None = None

    def __getitem__(self, index: int) -> AttemptResult:
        """Return the one result of the request with this index."""
        (one,) = [finished for finished in self.finished if finished.index == index]
        return one

    @property
    def indexes(self) -> list[int]:
        """The indexes of all results so far, sorted."""
        return sorted(finished.index for finished in self.finished)


class ExecutorProcess:
    """
    A process of `python -m tminus.executors.http`. It is ready when the `with` block begins, and is killed at
    its end.

    Args:
        env: Additions to the environment.
        wrapper: A command that starts the executor.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()) -> None:
        command = [*wrapper, sys.executable, "-m", "tminus.executors.http"]
        self.clock = SystemClock()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=Path.cwd(),
        )
        self._numbers = itertools.count(1)
        self._shards: dict[int, ShardInFlight] = {}
        self._hello: queue.SimpleQueue[HttpReport | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="executor-reports", daemon=True)

    def __enter__(self) -> "ExecutorProcess":
        self._reader.start()
        hello = self._hello.get(timeout=PATIENCE_S)
        assert isinstance(hello, Hello), "the executor does not start"
        self.hello = hello
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        """The id of the executor's own process, not of its wrapper."""
        return self.hello.pid

    def arm(
        self,
        requests: Sequence[Request],
        *,
        release_at_ns: int | None = None,
        deadline_ns: int | None = None,
        **different: Any,
    ) -> ShardInFlight:
        """Send a shard, and return it. By default it is armed until shortly before its T."""
        release_at_ns = self.clock.wall_ns() + stretched(LEAD_NS) if release_at_ns is None else release_at_ns
        number = next(self._numbers)
        shard = self._shards[number] = ShardInFlight(number=number, release_at_ns=release_at_ns)
        command: dict[str, Any] = {
            "deadline_ns": release_at_ns - COMMIT_NS if deadline_ns is None else deadline_ns,
            "give_up_ns": release_at_ns + stretched(20 * SECOND),
            "lanes": None,
            "max_connections": None,
            "realtime": False,
        }
        self.say(
            Arm(shard=number, release_at_ns=release_at_ns, works=list(requests), **{**command, **different})
        )
        return shard

    def arm_all(
        self, requests: Sequence[Request], *, armed: int | None = None, lead_ns: int = LEAD_NS, **more: Any
    ) -> ShardInFlight:
        """
        Arm a shard of which all requests, or this many, are armed. A busy machine that does not get that far
        by the deadline has twice the time in the next try.
        """
        armed = len(requests) if armed is None else armed
        while True:
            shard = self.arm(requests, release_at_ns=self.clock.wall_ns() + lead_ns, **more)
            if (count := self.wait_armed(shard).armed) == armed:
                return shard
            self.withdraw(shard)
            self.collect(shard)
            lead_ns *= 2
            assert lead_ns < PATIENCE_S * SECOND, f"{count} are armed, not {armed}"

    def release(self, shard: ShardInFlight, withdrawn: Iterable[int] = ()) -> None:
        """Permit the release of a shard at its T, except for the requests with these indexes."""
        self.say(Release(shard=shard.number, withdrawn=list(withdrawn)))

    def withdraw(self, shard: ShardInFlight) -> None:
        """Withdraw a shard: its lanes stand down."""
        self.say(Withdraw(shard=shard.number))

    def say(self, command: wire.Command) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        wire.write(self.process.stdin, command)  # type: ignore[arg-type]  # IO[bytes] is one

    def wait_armed(self, shard: ShardInFlight) -> Armed:
        """Wait until all lanes of a shard are at the barrier; return the report."""
        report = shard.reports.get(timeout=PATIENCE_S)
        assert isinstance(report, Armed), report
        return report

    def collect(self, shard: ShardInFlight) -> ShardInFlight:
        """Wait for the end of a shard; return it."""
        while shard.ended is None:
            match shard.reports.get(timeout=PATIENCE_S):
                case AttemptResults(finished=finished):
                    shard.finished += finished
                case ShardEnded() as ended:
                    shard.ended = ended
                case None:
                    raise AssertionError("the executor has died")
        return shard

    def collect_results(self, shard: ShardInFlight, number: int) -> None:
        """Wait until a shard that goes on has this many results."""
        while len(shard.finished) < number:
            report = shard.reports.get(timeout=PATIENCE_S)
            assert isinstance(report, AttemptResults), report
            shard.finished += report.finished

    def wait_for_descriptors(self, most: int) -> None:
        """Wait until the executor has at most this many descriptors open."""
        deadline, rested = self.clock.monotonic_ns() + int(PATIENCE_S * SECOND), threading.Event()
        while self.descriptors() > most:
            assert self.clock.monotonic_ns() < deadline, f"{self.descriptors()} are open"
            rested.wait(0.05)

    def run(
        self, requests: Sequence[Request], *, withdrawn: Iterable[int] = (), **more: Any
    ) -> ShardInFlight:
        """Arm a shard, release it once it is armed, and wait for its end; return it."""
        shard = self.arm(requests, **more)
        self.wait_armed(shard)
        self.release(shard, withdrawn)
        return self.collect(shard)

    def run_armed(self, requests: Sequence[Request], **more: Any) -> ShardInFlight:
        """As `run`, with the arguments and the promise of `arm_all`."""
        shard = self.arm_all(requests, **more)
        self.release(shard)
        return self.collect(shard)

    def run_unarmed(self, requests: Sequence[Request], **more: Any) -> ShardInFlight:
        """Run a shard that starts at once, without time to arm."""
        now_ns = self.clock.wall_ns()
        return self.run(requests, release_at_ns=now_ns, deadline_ns=now_ns - SECOND, **more)

    def limit_files(self, number: int) -> None:
        """Limit the number of files that the executor may have open."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (number, number))

    def descriptors(self) -> int:
        """Return how many descriptors the executor has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> list[str]:
        """Return the ids of the executor's threads."""
        return sorted(os.listdir(f"/proc/{self.pid}/task"))

    def wait_quiet(self) -> None:
        """Wait until ended shards have closed their descriptors: until the number of descriptors stays the same."""
        rested = threading.Event()
        before, same = self.descriptors(), 0
        while same < 5:
            rested.wait(0.05)
            same = same + 1 if self.descriptors() == before else 0
            before = self.descriptors()

    def resident_kib(self) -> int:
        """Return the executor's anonymous private memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for report in wire.read_reports(self.process.stdout):  # type: ignore[arg-type]  # IO[bytes] is one
            match report:
                case Hello():
                    self._hello.put(report)
                case Armed(shard=number) | AttemptResults(shard=number) | ShardEnded(shard=number):
                    self._shards[number].reports.put(report)
        self._hello.put(None)
        for shard in list(self._shards.values()):
            shard.reports.put(None)
