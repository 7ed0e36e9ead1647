"""The supervisor: starts an executor process, sends it shards, replaces it when it dies or hangs."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from scheduler.clock import Clock
from scheduler.daemon.channels import Channel
from scheduler.daemon.processes import ExecutorProcess, how
from scheduler.daemon.shards import Broken, Lost, Shard, ShardEvent, Unsendable
from scheduler.daemon.written_off import WrittenOff
from scheduler.errors import TminusError
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.instants import SECOND

log = structlog.get_logger()

_READY_S = 20
#: An application that is not imported by then never will be.
_IMPORT_NS = 60 * SECOND
#: A process that reads nothing for this long, though there are commands for it, hangs.
_HANGS_NS = 5 * SECOND
#: If a process dies this soon after its start, the next one waits a little.
_TOO_SOON_NS = 2 * SECOND
_ENDED = "its executor was ended, and no other one follows"

Asked = Callable[[int, python_wire.Ask | python_wire.Gone, Callable[[Any], object]], None]


class Supervisor:
    """
    Keeps one executor running. Thread-safe; no method waits for the executor's process, except `stop`.

    Args:
        channel: To its process.
        asked: Takes the requests of jobs, the process of their runner, and what sends the response; also told of its end.

    Attributes:
        spent: Called on the thread that reads the reports if a fresh runner is to take all further jobs.
    """

    def __init__(self, channel: Channel, *, clock: Clock, asked: Asked = lambda _runner, _ask, _answer: None) -> None:
        self.channel = channel
        self.name = channel.name
        self.may_be_realtime = False
        self.written_off = WrittenOff()
        self.spent: Callable[[Supervisor], None] = lambda _: None
        self._clock = clock
        self._asked = asked
        self._number = self._started_ns = self._ready_ns = 0
        self._lock = threading.Lock()
        self._process: ExecutorProcess | None = None
        self._shards: dict[int, Shard] = {}
        self._broken = ""
        self._died = ""  #: how, before it was ready
        self._ready, self._wanted, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self.known = threading.Event()  #: it has reported that it works, or why not, or has died before
        self._retiring = False
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the executor, and a thread that reads its reports and replaces it; returns at once."""
        self._reader = threading.Thread(target=self._supervise, name=f"supervisor {self.name}", daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """
        Raises:
            TminusError: it does not come up.
        """
        if not self.known.wait(_READY_S) or self.broken:
            raise TminusError(f"the executor {self.name} does not start", hint=self.broken or "look at what it says above")

    def kill(self) -> None:
        """End the executor and the processes that its jobs have forked; no other one follows. Returns at once."""
        self._stopping.set()
        self._wanted.set()
        if (process := self._process) is not None:
            process.end_session()

    def stop(self) -> None:
        """End the executor; what it still runs is lost. A process that the kernel holds is not waited for."""
        self.kill()
        if self._reader is not None:
            self._reader.join(2)

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self._reader is not None and not self._reader.is_alive()

    @property
    def broken(self) -> str:
        """Why it does not work, such as an application that cannot be imported; empty if it works, or if that is unknown."""
        return self._broken or self._died

    def retire(self) -> None:
        """End the executor once it has no shard; no other one follows. Returns at once."""
        with self._lock:
            self._retiring = True
        self._end_if_over()

    def arm(
        self, command_of: Callable[[int, Sequence[Any]], Any], tell: Callable[[Shard, ShardEvent], None], *, answer_by_ns: int
    ) -> Shard:
        """
        Send a shard as soon as the executor is ready for it.

        Args:
            command_of: The command to arm it, by the shard's number, beside those of the shards that have not ended.
            tell: Called with what happens to the shard.
            answer_by_ns: An executor that has not reported the shard as armed or ended by then hangs. Monotonic.
        """
        with self._lock:
            if self._stopping.is_set():
                shard = Shard(0, None, tell)
                shard.tell(Lost(self._clock.wall_ns(), "a fresh one follows", {}) if self._retiring else Broken(_ENDED))
                return shard
            self._number += 1
            command = command_of(self._number, [shard.command for shard in self._shards.values()])
            shard = self._shards[self._number] = Shard(self._number, command, tell, answer_by_ns=answer_by_ns)
        self._wanted.set()
        if self._ready.is_set():
            self._send(shard)
        return shard

    def forget(self, shard: Shard) -> bool:
        """Do not send it any more; return False if it was sent."""
        with self._lock:
            is_forgotten = not shard.is_sent and self._shards.pop(shard.number, None) is not None
        self._end_if_over()
        return is_forgotten

    def write(self, command: Any, to: ExecutorProcess | None = None) -> bool:
        """
        Have a command written, to that process only if one is named; returns at once.

        Returns:
            False if the executor is gone, which its shards are told, or if the command cannot be encoded, which is logged.
        """
        try:
            frame = self.channel.encode(command)
        except Exception:
            log.exception("a command cannot be encoded", executor=self.name, command=type(command).__name__)
            return False
        return self._put(frame, to or self._process, first=not isinstance(command, http_wire.Withdraw | python_wire.Withdraw))

    def is_well(self) -> bool:
        """Whether the executor is there and takes its commands; one that hangs is killed, and so replaced."""
        process, now_ns = self._process, self._clock.monotonic_ns()
        with self._lock:  # also for shards whose jobs wait for nothing any more
            owes = any(shard.is_sent and not shard.is_answered and now_ns > shard.answer_by_ns for shard in self._shards.values())
        if process is not None and (owes or process.stuck_ns() > _HANGS_NS):
            self._kill()
            return False
        return self._ready.is_set()

    def replace(self, shard: Shard) -> None:
        """Kill the executor that has this shard and hangs: a fresh one follows, and all its shards are `Lost`."""
        by_ns = self._ready_ns + _HANGS_NS if self._ready.is_set() else self._started_ns + _IMPORT_NS
        if shard.number in self._shards and self._clock.monotonic_ns() > by_ns:
            self._kill()

    def _kill(self) -> None:
        if (process := self._process) is not None:
            log.warning("executor hangs, replacing it", executor=self.name, pid=process.pid)
            process.kill()

    def _put(self, frame: bytes, process: ExecutorProcess | None, *, first: bool) -> bool:
        return process is not None and process is self._process and process.put(frame, first=first)

    def _send(self, shard: Shard) -> None:
        with self._lock:
            if shard.is_sent or shard.number not in self._shards:
                return
            shard.is_sent = True
            shard.answer_by_ns = max(shard.answer_by_ns, self._clock.monotonic_ns() + _HANGS_NS)
        process = self._process
        try:
            frame = self.channel.encode(shard.command)
        except Exception as error:  # noqa: BLE001  whatever a job's values do to msgpack or JSON
            with self._lock:
                self._shards.pop(shard.number, None)
            shard.tell(Unsendable(self.channel.unsendable(shard.command, str(error))))
            self._end_if_over()
            return
        if not self._put(frame, process, first=False):
            self._lose(shard, "it was gone")

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._started_ns = self._clock.monotonic_ns()
            self._wanted.clear()
            try:
                process = ExecutorProcess(self.channel.start(), name=self.name, clock=self._clock)
            except Exception as error:  # noqa: BLE001  its env_file may hold anything
                self._is_broken(f"it cannot be started: {getattr(error, 'strerror', None) or error}")
            else:
                self._process = process
                if self._stopping.is_set():  # `kill` came a moment before the process was there
                    process.end_session()
                self._hear_all(process)
            if self._broken and not self._stopping.is_set():
                self._wanted.wait()  # each shard is worth another try
            elif self._clock.monotonic_ns() - self._started_ns < _TOO_SOON_NS:
                self._stopping.wait(1)
        self._refuse_all(_ENDED)
        self.channel.close()

    def _hear_all(self, process: ExecutorProcess) -> None:
        try:
            for report in self.channel.read(process.reports):
                self._hear(process, report)
        except Exception:  # its reports make no sense; this thread must go on, because it starts the next one
            log.exception("executor cannot be understood, replacing it", executor=self.name, pid=process.pid)
            process.kill()
        status = process.wait()
        self._asked(process.pid, python_wire.Gone(pid=process.pid), lambda _answer: None)
        if not self._ready.is_set():
            self._died = f"its process ended before it was ready ({how(status)})"
            self.known.set()
        self._ready.clear()
        self._process = None
        with self._lock:
            sent = [shard for shard in self._shards.values() if shard.is_sent]
        self.written_off.all_left()
        busy = sum(self.channel.busy(shard.command) for shard in sent)
        for shard in sent:
            self._lose(shard, how(status), busy)
        if not self._stopping.is_set() and not self._broken and status != 0:
            log.error("executor died", executor=self.name, pid=process.pid, status=status)

    def _hear(self, process: ExecutorProcess, report: Any) -> None:
        match report:
            case http_wire.Hello() | python_wire.Hello():
                self._greet(report)
            case python_wire.Ask() | python_wire.Gone():
                self._asked(process.pid, report, partial(self.write, to=process))
            case python_wire.Spent():
                self.spent(self)
            case http_wire.Ended() | python_wire.Ended():
                with self._lock:
                    shard = self._shards.pop(report.shard, None)
                if shard:
                    shard.tell(report)
                self._end_if_over()
            case _:
                self.written_off.hear(report)
                if shard := self._shards.get(report.shard):
                    shard.is_answered = True
                    shard.tell(report)

    def _greet(self, hello: http_wire.Hello | python_wire.Hello) -> None:
        if hello.error:
            self._is_broken(hello.error)
            return
        self._broken = self._died = ""
        self._ready_ns, self.may_be_realtime = self._clock.monotonic_ns(), hello.realtime
        self._ready.set()
        self.known.set()
        with self._lock:
            waiting = list(self._shards.values())
        for shard in waiting:
            self._send(shard)

    def _is_broken(self, why: str) -> None:
        if why != self._broken:
            log.error("executor does not work", executor=self.name, error=why)
        self._broken = why
        self.known.set()
        self._refuse_all(why)
        self._end_if_over()

    def _refuse_all(self, why: str) -> None:
        with self._lock:
            waiting, self._shards = list(self._shards.values()), {}
        for shard in waiting:
            shard.tell(Broken(why))

    def _lose(self, shard: Shard, how: str, busy: int = 0) -> None:
        with self._lock:
            if self._shards.pop(shard.number, None) is None:
                return
        entered, preparing = self.channel.entered(shard.command), self.channel.preparing(shard.command)
        shard.tell(Lost(self._clock.wall_ns(), how, entered, preparing, busy))
        self._end_if_over()

    def _end_if_over(self) -> None:
        """Let a retired executor end by itself once it has no shard; no other one follows."""
        with self._lock:
            if not self._retiring or self._shards:
                return
            self._stopping.set()
        self._wanted.set()
        if (process := self._process) is not None:
            process.finish()
