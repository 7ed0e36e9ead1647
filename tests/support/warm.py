"""
Commands without their start-up. Half of what the tests would cost is the import of libraries, again and again; here a process that
has imported the command line forks one for each command. What runs then is the real one, in a process of its own.

`python -m tests.support.warm FD` serves that socket: a message has arguments, folder and environment, and three descriptors: stdout,
stderr, and where pid and exit status are told.
"""

import atexit
import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LARGEST = 1 << 20


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
    `tminus ARGUMENTS`, to its end.

    Args:
        stdout: The descriptor of another file for it.
        closed: The standard streams that are closed, by their numbers.
        encoding: That of the standard streams.
    """
    given = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "env": dict(env), "closed": closed, "encoding": encoding}
    message = json.dumps(given).encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        told, tells = os.pipe()
        with open(told, "rb", buffering=0) as status:
            try:
                socket.send_fds(_server(), [message], [out.fileno() if stdout is None else stdout, err.fileno(), tells])
            finally:
                os.close(tells)
            said, until = b"", time.monotonic() + timeout_s
            while select.select([status], [], [], max(until - time.monotonic(), 0))[0] and (chunk := status.read(64)):
                said += chunk
        pid, _, code = said.decode().partition(" ")
        if not code:
            os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(["tminus", *arguments], timeout_s)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(
            ["tminus", *arguments], int(code), out.read().decode(encoding), err.read().decode(encoding)
        )


@functools.cache
def _server() -> socket.socket:
    """Of this process; it ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", __name__, str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)  # which comes first, and ends it
    return ours


def _serve(server: socket.socket) -> None:
    for module in ("past", "health", "definitions", "run_now", "demo", "daemon"):
        importlib.import_module(f"scheduler.cli.commands.{module}")
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
    sys.argv[1:] = given["arguments"]
    from scheduler.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
