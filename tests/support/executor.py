"""The HTTP executor in a process of its own, driven as the daemon drives it: by what crosses its pipes."""

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

from scheduler.clock import SystemClock
from scheduler.executors.http import wire
from scheduler.executors.http.wire import Armed, Ended, Finished, Request
from scheduler.instants import MS, SECOND
from tests.support.moments import stretched

PATIENCE_S = 240.0
#: From the Arm to T where a shard is to be armed: long enough for a loaded machine, and all of it is waited for.
LEAD_NS = 600 * MS
#: From the end of arming to T.
COMMIT_NS = 150 * MS

_REQUEST: dict[str, Any] = {
    "method": "GET",
    "headers": ["User-Agent: tminus/test", "Content-Type:"],
    "body": None,
    "connect_ms": 3_000,
    "first_byte_ms": 10_000,
    "total_ms": 20_000,
    "latest_ns": 1 << 62,
    "max_body": 1 << 20,
    "keep_body": 1 << 16,
}


def a_request(url: str, index: int = 0, **different: Any) -> Request:
    """A GET with generous limits."""
    return Request(index=index, url=url, **{**_REQUEST, **different})


def many(count: int, url: str, **different: Any) -> list[Request]:
    """So many requests to `url`/0, `url`/1, …"""
    return [a_request(f"{url}/{index}", index, **different) for index in range(count)]


@dataclass(slots=True, kw_only=True)
class ShardInFlight:
    """The driver's end of a shard."""

    number: int
    t_ns: int
    reports: "queue.SimpleQueue[wire.Report | None]" = field(default_factory=queue.SimpleQueue)
    finished: list[Finished] = field(default_factory=list)
    ended: Ended | None = None

    def __getitem__(self, index: int) -> Finished:
        """The one report on that request."""
        (one,) = [finished for finished in self.finished if finished.index == index]
        return one

    @property
    def indexes(self) -> list[int]:
        """The requests that were reported on, as often as they were."""
        return sorted(finished.index for finished in self.finished)


class ExecutorProcess:
    """
    `python -m scheduler.executors.http`, ready; killed at the end of the `with` block if it still runs.

    Args:
        env: Added to the environment.
        wrapper: A command that the executor is started by.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()) -> None:
        command = [*wrapper, sys.executable, "-m", "scheduler.executors.http"]
        self.clock = SystemClock()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}, cwd=Path.cwd()
        )
        self._numbers = itertools.count(1)
        self._shards: dict[int, ShardInFlight] = {}
        self._hello: queue.SimpleQueue[wire.Report | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="executor-reports", daemon=True)

    def __enter__(self) -> "ExecutorProcess":
        self._reader.start()
        hello = self._hello.get(timeout=PATIENCE_S)
        assert isinstance(hello, wire.Hello), "the executor does not start"
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
        """Of the executor itself, whatever started it."""
        return self.hello.pid

    def arm(
        self, requests: Sequence[Request], *, t_ns: int | None = None, deadline_ns: int | None = None, **different: Any
    ) -> ShardInFlight:
        """Hand over a shard; by default it is armed until shortly before its T."""
        t_ns = self.clock.wall_ns() + stretched(LEAD_NS) if t_ns is None else t_ns
        number = next(self._numbers)
        shard = self._shards[number] = ShardInFlight(number=number, t_ns=t_ns)
        command: dict[str, Any] = {
            "deadline_ns": t_ns - COMMIT_NS if deadline_ns is None else deadline_ns,
            "give_up_ns": t_ns + stretched(20 * SECOND),
            "lanes": None,
            "max_connections": None,
            "realtime": False,
        }
        self.say(wire.Arm(shard=number, t_ns=t_ns, requests=list(requests), **{**command, **different}))
        return shard

    def release(self, shard: ShardInFlight, withdrawn: Iterable[int] = ()) -> None:
        """Let it go at its T, but for those."""
        self.say(wire.Release(shard=shard.number, withdrawn=list(withdrawn)))

    def withdraw(self, shard: ShardInFlight) -> None:
        """Send it home."""
        self.say(wire.Withdraw(shard=shard.number))

    def say(self, command: wire.Command) -> None:
        """Send any command."""
        assert self.process.stdin is not None
        wire.write(self.process.stdin, command)  # type: ignore[arg-type]  # IO[bytes] is one

    def wait_armed(self, shard: ShardInFlight) -> Armed:
        """Wait until all its lanes stand at the barrier."""
        report = shard.reports.get(timeout=PATIENCE_S)
        assert isinstance(report, Armed), report
        return report

    def collect(self, shard: ShardInFlight) -> ShardInFlight:
        """Wait for the shard's end."""
        while shard.ended is None:
            match shard.reports.get(timeout=PATIENCE_S):
                case wire.Results(finished=finished):
                    shard.finished += finished
                case wire.Ended() as ended:
                    shard.ended = ended
                case None:
                    raise AssertionError("the executor has died")
        return shard

    def collect_results(self, shard: ShardInFlight, number: int) -> None:
        """Wait for so many results, while the shard goes on."""
        while len(shard.finished) < number:
            report = shard.reports.get(timeout=PATIENCE_S)
            assert isinstance(report, wire.Results), report
            shard.finished += report.finished

    def wait_for_descriptors(self, most: int) -> None:
        """Wait until it has no more than that open."""
        deadline, rested = self.clock.monotonic_ns() + int(PATIENCE_S * SECOND), threading.Event()
        while self.descriptors() > most:
            assert self.clock.monotonic_ns() < deadline, f"{self.descriptors()} are open"
            rested.wait(0.05)

    def run(self, requests: Sequence[Request], *, withdrawn: Iterable[int] = (), **more: Any) -> ShardInFlight:
        """Arm, release when armed, collect."""
        shard = self.arm(requests, **more)
        self.wait_armed(shard)
        self.release(shard, withdrawn)
        return self.collect(shard)

    def run_unarmed(self, requests: Sequence[Request], **more: Any) -> ShardInFlight:
        """Start at once: there is no time to arm."""
        now_ns = self.clock.wall_ns()
        return self.run(requests, t_ns=now_ns, deadline_ns=now_ns - SECOND, **more)

    def limit_files(self, number: int) -> None:
        """From now on it may open no more than that."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (number, number))

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> list[str]:
        """The ids of its threads."""
        return sorted(os.listdir(f"/proc/{self.pid}/task"))

    def wait_quiet(self) -> None:
        """Wait until what ended shards have left to be closed is closed: the number of descriptors rests."""
        rested = threading.Event()
        before, same = self.descriptors(), 0
        while same < 5:
            rested.wait(0.05)
            same = same + 1 if self.descriptors() == before else 0
            before = self.descriptors()

    def resident_kib(self) -> int:
        """How much memory it has, private and not in a file."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for report in wire.read_reports(self.process.stdout):  # type: ignore[arg-type]  # IO[bytes] is one
            match report:
                case wire.Hello():
                    self._hello.put(report)
                case Armed(shard=number) | wire.Results(shard=number) | Ended(shard=number):
                    self._shards[number].reports.put(report)
        self._hello.put(None)
        for shard in list(self._shards.values()):
            shard.reports.put(None)
