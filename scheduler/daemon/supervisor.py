"""The supervisor: starts the executor process, hands it shards, replaces it when it dies or hangs."""

import contextlib
import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

import scheduler
from scheduler.clock import Clock
from scheduler.errors import TminusError
from scheduler.executors.http import wire
from scheduler.executors.http.wire import Request
from scheduler.instants import SECOND
from scheduler.model.definitions import DaemonSettings, Priority

log = structlog.get_logger()

_READY_S = 20
#: A process that does not take its commands for so long hangs.
_HANGS_NS = 5 * SECOND
#: After a death this soon after its start, the next one waits a little.
_TOO_SOON_NS = 2 * SECOND
#: What the executor needs of our environment; secrets are not among it.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Lost:
    """The executor died while it had the shard; what it has not reported it never will."""

    at_ns: int  #: when that was noticed, wall clock


ShardEvent = wire.Armed | wire.Results | wire.Ended | Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The daemon's end of a shard: what the executor says of it, in order."""

    number: int
    events: "queue.SimpleQueue[ShardEvent]" = field(default_factory=queue.SimpleQueue)


class Supervisor:
    """Keeps one HTTP executor running. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self.name = f"http-1@{socket.gethostname()}"
        self.may_be_realtime = False
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writing_since_ns = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._shards: dict[int, Shard] = {}
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """
        Start the executor, and a thread that reads its reports and replaces it.

        Raises:
            TminusError: it does not come up.
        """
        self._reader = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._reader.start()
        if not self._ready.wait(_READY_S):
            self.stop()
            raise TminusError("the HTTP executor does not start", hint="try: python -m scheduler.executors.http < /dev/null")

    def stop(self) -> None:
        """End the executor; what it still runs is lost."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.kill()
        if self._reader is not None:
            self._reader.join()

    def arm(
        self, requests: Sequence[Request], settings: DaemonSettings, *, t_ns: int, deadline_ns: int, give_up_ns: int
    ) -> Shard:
        """Hand over a shard to be armed; its `events` tell the rest. A dead executor shows as `Lost`."""
        shard = Shard(number=next(self._numbers))
        command = wire.Arm(
            shard=shard.number,
            t_ns=t_ns,
            deadline_ns=deadline_ns,
            give_up_ns=give_up_ns,
            lanes=settings.lanes,
            max_connections=settings.max_connections,
            realtime=settings.priority is Priority.AUTO and self.may_be_realtime,
            requests=list(requests),
        )
        self._ready.wait(_READY_S)
        with self._lock:
            self._shards[shard.number] = shard
        if not self._write(command):
            shard.events.put(Lost(self._clock.wall_ns()))
        return shard

    def release(self, shard: Shard, withdrawn: Sequence[int]) -> None:
        """The commit is durable: let the shard go at its T, but for those."""
        self._write(wire.Release(shard=shard.number, withdrawn=list(withdrawn)))

    def withdraw(self, shard: Shard) -> None:
        """Send the shard home."""
        self._write(wire.Withdraw(shard=shard.number))

    def is_well(self) -> bool:
        """Whether the executor is there and takes its commands; one that hangs is killed, and so replaced."""
        since_ns = self._writing_since_ns
        if since_ns and self._clock.monotonic_ns() - since_ns > _HANGS_NS:
            self._kill()
            return False
        return self._ready.is_set()

    def replace(self, shard: Shard) -> None:
        """Kill the executor that has this shard and hangs: a fresh one follows, and all its shards are `Lost`."""
        if shard.number in self._shards:
            self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            log.warning("executor hangs, replacing it", executor=self.name, pid=process.pid)
            process.kill()

    def _write(self, command: wire.Command) -> bool:
        with self._writing:
            process = self._process
            if process is None or process.stdin is None:
                return False
            self._writing_since_ns = self._clock.monotonic_ns()
            try:
                wire.write(process.stdin, command)  # type: ignore[arg-type]  # IO[bytes] is one
            except (OSError, ValueError):  # it has died; `_supervise` tells the shards that it had
                return False
            finally:
                self._writing_since_ns = 0
            return True

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            started_ns = self._clock.monotonic_ns()
            try:
                process = self._process = _start_process()
            except OSError as error:
                log.error("the executor cannot be started, trying again", executor=self.name, error=str(error))
                self._stopping.wait(1)
                continue
            if self._stopping.is_set():  # `stop` may have looked for the process a moment before it was there
                process.kill()
            for report in wire.read_reports(process.stdout):  # type: ignore[arg-type]  # a pipe is there
                self._hear(report)
            status = process.wait()
            self._ready.clear()
            _close_pipes(process)
            self._all_lost()
            if not self._stopping.is_set():
                log.error("executor died", executor=self.name, pid=process.pid, status=status)
                if self._clock.monotonic_ns() - started_ns < _TOO_SOON_NS:
                    self._stopping.wait(1)

    def _hear(self, report: wire.Report) -> None:
        match report:
            case wire.Hello():
                self.may_be_realtime = report.realtime
                self._ready.set()
            case wire.Ended():
                with self._lock:
                    shard = self._shards.pop(report.shard, None)
                if shard:
                    shard.events.put(report)
            case wire.Armed() | wire.Results():
                if shard := self._shards.get(report.shard):
                    shard.events.put(report)

    def _all_lost(self) -> None:
        lost = Lost(self._clock.wall_ns())
        with self._lock:
            shards = list(self._shards.values())
            self._shards.clear()
        for shard in shards:
            shard.events.put(lost)


def _start_process() -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # By its module, never by its path: that would put our own folders on its search path.
    environment["PYTHONPATH"] = str(Path(scheduler.__file__).parent.parent)
    environment["PYTHONSAFEPATH"] = "1"
    command = [sys.executable, "-m", "scheduler.executors.http"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/")


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what is still in its buffer has nowhere to go
                pipe.close()
