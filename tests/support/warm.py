"""
Commands and daemons without their start-up. Otherwise half of the tests' time would be the import of libraries.
Here a process that has imported the command line forks one process per command, which runs the real command.

`python -m tests.support.warm FD` serves that socket. A message has arguments, folder and environment, and three
descriptors: stdout, stderr, and one for the process id and the exit status.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tminus import crash_points
from tminus.cli import commands

_LARGEST = 1 << 20
#: What the daemon and commands import, beside the modules of all commands.
_LOADED = (
    "psycopg",
    "pysqlite3.dbapi2",
    "tminus.cli.run_now_client",
    "tminus.cli.run_now_local",
    "tminus.daemon.main",
    "tminus.jobsfile.jobs.build",
    "tminus.ledger.copy",
    "tminus.ledger.migrate",
    "tminus.operations.check_apps",
    "tminus.operations.doctor",
    "tminus.operations.notify",
    "tminus.operations.why",
)


class WarmProcess:
    """
    A process that the server has forked: as much of `subprocess.Popen` as tests use. Not thread-safe.

    Args:
        arguments: Of `tminus`.
        cwd: Its folder; None for this process's own.
        env: All of its environment.
        stdout: The descriptor of its standard output; the same for `stderr`.
        closed: The standard streams that are closed, by their numbers.
        encoding: That of the standard streams.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path | None,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
        closed: Sequence[int] = (),
        encoding: str = "utf-8",
    ) -> None:
        sys.audit("tests.process", "tminus")
        self.args = ["tminus", *arguments]
        self.returncode: int | None = None
        given = {
            "arguments": arguments,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(env),
            "closed": closed,
            "encoding": encoding,
        }
        told, tells = os.pipe()
        self._status = open(told, "rb", buffering=0)  # noqa: SIM115  until its end is known
        try:
            socket.send_fds(_server(), [json.dumps(given).encode()], [stdout, stderr, tells])
        finally:
            os.close(tells)
        self._said = b""
        while b" " not in self._said:
            chunk = self._status.read(64)
            assert chunk, "the server has ended"
            self._said += chunk
        self.pid = int(self._said.partition(b" ")[0])

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; return its exit status. Raises `subprocess.TimeoutExpired`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self.returncode is None:
            left_s = None if until is None else max(until - time.monotonic(), 0)
            if not select.select([self._status], [], [], left_s)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout_s or 0)
            if chunk := self._status.read(64):
                self._said += chunk
            else:
                self.returncode = int(self._said.partition(b" ")[2])
                self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def run(
    arguments: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    timeout_s: float = 240,
    stdout: int | None = None,
    closed: Sequence[int] = (),
    encoding: str = "utf-8",
) -> "subprocess.CompletedProcess[str]":
    """
    Run `tminus ARGUMENTS` to its end.

    Args:
        timeout_s: After this long it is killed, and `subprocess.TimeoutExpired` is raised.
        stdout: The descriptor of another file for it.
        cwd, env, closed, encoding: As for `WarmProcess`.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = WarmProcess(
            arguments,
            cwd=cwd,
            env=env,
            stdout=out.fileno() if stdout is None else stdout,
            stderr=err.fileno(),
            closed=closed,
            encoding=encoding,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(
            process.args, code, out.read().decode(encoding), err.read().decode(encoding)
        )


def can_run(env: Mapping[str, str]) -> bool:
    """
    Return whether a process with these additions to its environment may be forked. The variables that the
    interpreter or the dynamic linker reads at its start need a start.
    """
    return not any(name.startswith(("PYTHON", "LD_")) for name in env)


@functools.cache
def _server() -> socket.socket:
    """Return the socket of the server, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    process = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)  # which comes first, and ends it
    return ours


def _serve(server: socket.socket) -> None:
    for module in _LOADED:
        importlib.import_module(module)
    for command in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(command.name)
    gc.freeze()  # a collection in a forked process would copy all that it shares
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        message, descriptors, _, _ = socket.recv_fds(server, _LARGEST, 3)
        if not message:
            return
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _wait_for(message, *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _wait_for(message: bytes, out: int, err: int, tells: int) -> None:
    if pid := os.fork():
        os.write(tells, f"{pid} ".encode())
        _, status = os.waitpid(pid, 0)
        os.write(tells, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(tells)
    for descriptor, standard in ((out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    given = json.loads(message)
    for stream in (sys.stdout, sys.stderr):
        if given["encoding"] != "utf-8":
            stream.reconfigure(encoding=given["encoding"])  # type: ignore[union-attr]
    for descriptor in given["closed"]:  # as the interpreter finds them when it starts
        os.close(descriptor)
        setattr(sys, ("stdin", "stdout", "stderr")[descriptor], None)
    os.chdir(given["cwd"])
    os.environ.clear()
    os.environ.update(given["env"])
    time.tzset()
    crash_points.passed = crash_points.from_environment(os.environ)
    sys.argv[1:] = given["arguments"]
    from tminus.cli.main import main

    status = main()
    # As an interpreter ends, except that it would write to all memory that it shares with the server. That takes
    # longer than most commands.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
