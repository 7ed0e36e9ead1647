"""One isolated job, in a process that was forked for it, from its preparation to its report."""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import threading
from typing import NoReturn

from tminus.executors.protocol import Arm, AttemptResult, JobRequest, JobResponse
from tminus.executors.python import daemon_client, wire
from tminus.executors.python.job_forks import keep_from_forks
from tminus.executors.python.job_party import JobParty
from tminus.executors.python.job_run import JobRun
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.started_pipe import StartedPipe
from tminus.executors.python.wire import Work
from tminus.instants import MS
from tminus.policies.lead import LONGEST_NS
from tminus.release.gate import Gate

#: The commands of the server.
RELEASE, STAND_DOWN = b"r", b"s"
_PR_SET_PDEATHSIG = 1  # prctl(2)
#: poll(2) waits no longer.
_LONGEST_MS = 2**31 - 1


class IsolatedJob:
    """
    One job, in its process.

    Args:
        arm: The command that its shard came with.
        commands: The pipe of RELEASE or STAND_DOWN. Its end means that the server has died.
        link: The socket for `armed`, the job's requests and its one result, one per line, and for the
            daemon's responses.
        started: Tells when all jobs of its shard have started; None if there is no such pipe.
    """

    def __init__(
        self, work: Work, arm: Arm[Work], *, commands: int, link: int, started: StartedPipe | None
    ) -> None:
        self._work = work
        self._arm = arm
        self._commands = commands
        self._link = link
        self._started = started
        self._sending = threading.Lock()
        self._client = daemon_client.DaemonClient()
        self._is_listening = False

    def run(self, services: RunnerServices) -> NoReturn:
        """Prepare, wait for the permit, hold until T, enter, report; then end the process."""
        with contextlib.suppress(PermissionError):  # the server does the same, perhaps earlier
            os.setpgid(0, 0)  # what the job starts ends with it
        _end_with_parent()
        of_pipe = self._started.descriptors if self._started else ()
        keep_from_forks((self._commands, self._link, *of_pipe), services.start_table)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("SIGTERM: the job was asked to stop"))
        arm, clock, done = self._arm, services.clock, list[AttemptResult]()
        slot = arm.slots + self._work.index
        run = JobRun(
            self._work,
            services,
            slot=slot,
            report=done.append,
            on_begun=self._started.start if self._started else lambda: None,
            all_out=self._started,
        )
        job = JobParty(run, clock=clock, gate=Gate(clock), shard=0)
        self._client.open(self._send_request)
        daemon_client.current = self._client
        job.arm(arm.deadline_ns)
        self._send({"armed": run.is_armed})
        left_ns = max(arm.give_up_ns - clock.wall_ns(), 0) + LONGEST_NS  # the wall clock may be set back
        permit = select.poll()  # select(2) takes no descriptor beyond 1023
        permit.register(self._commands, select.POLLIN)
        is_told = bool(permit.poll(min(left_ns // MS, _LONGEST_MS)))
        is_permitted = is_told and os.read(self._commands, 1) == RELEASE
        # No spinning, because there are more jobs than cores.
        if is_permitted and clock.sleep_until(arm.release_at_ns, longest_ns=LONGEST_NS):
            job.release(clock.wall_ns())
            job.drain()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):  # a job may have closed or replaced it
                    stream.flush()
            self._send(wire.plain(done[0]))
        else:
            job.stand_down()
            if is_permitted:
                self._send({"stood_down": True})
        os._exit(0)

    def _send_request(self, request: JobRequest) -> None:
        with self._sending:
            is_listening, self._is_listening = self._is_listening, True
        if not is_listening:
            threading.Thread(target=self._read_responses, name="responses", daemon=True).start()
        # Not on this thread: a signal that ends the job could cut the line short.
        threading.Thread(
            target=self._send, args=({"request": wire.plain(request)},), name="request", daemon=True
        ).start()

    def _read_responses(self) -> None:
        with open(self._link, "rb", closefd=False) as responses:
            for response in wire.read_commands(responses):
                if isinstance(response, JobResponse):
                    self._client.on_response(response)
        os._exit(1)  # the server has died, and the daemon has released the locks of this process

    def _send(self, message: dict[str, object]) -> None:
        with self._sending:
            left = memoryview(json.dumps(message, default=wire.plain).encode() + b"\n")
            while left:
                left = left[os.write(self._link, left) :]


def _end_with_parent() -> None:
    """Have this process killed if its server dies, because nobody could report its result. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
